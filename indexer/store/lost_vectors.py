"""Vectors that are gone although the index is intact: its pool was deleted, damaged or replaced by another.

A chunk's vector follows from its text alone, and the text is in the segments. So the vectors are computed
again and written to the rows they had: no file is read or parsed for it, and nothing in the catalog changes
but the name of the pool. Until a row is written it is zero, which no query finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from indexer.records import F16, U32
from indexer.store.segment import Segment

STEP_CHUNKS = 512  # at a time, 20 to 40 ms: a saved file is committed in between

Embed = Callable[[Sequence[str]], F16]  # unit vectors of texts
Write = Callable[[U32, F16], None]  # puts vectors into rows, which are in rising order


class LostVectors:
    """Rows of a pool that are in use and have no vector."""

    def __init__(self, rows: U32) -> None:
        """Take the rows of all chunks."""
        self._lost = np.zeros(int(rows.max()) + 1, np.bool_)
        self._lost[rows] = True
        self._whole: set[int] = set()  # segments that have nothing to restore: they never change

    def __len__(self) -> int:
        return int(np.count_nonzero(self._lost))

    def is_whole(self, segment_id: int) -> bool:
        """Whether `restore` has found that a segment lacks nothing."""
        return segment_id in self._whole

    def restore(self, segment: Segment, write: Write, embed: Embed) -> int:
        """Compute some of a segment's lost vectors; returns how many, 0 if it has none. Raises StoreFull."""
        known = np.append(self._lost, np.False_)  # the last stands for all rows beyond, and for NO_ROW
        chunks = np.flatnonzero(known[np.minimum(segment.chunk_row, len(self._lost))])[:STEP_CHUNKS]
        if not len(chunks):
            self._whole.add(segment.id)
            return 0
        rows = segment.chunk_row[chunks]
        order = np.argsort(rows)
        vectors = embed([_text(segment, chunk) for chunk in chunks[order].tolist()])
        write(rows[order], vectors)
        self._lost[rows] = False
        return len(chunks)


def _text(segment: Segment, chunk: int) -> str:
    doc = int(segment.doc_of_chunk(np.array([chunk]))[0])
    text = segment.doc_bytes(doc)[int(segment.chunk_start[chunk]) : int(segment.chunk_end[chunk])]
    return text.decode("utf-8", "replace")
