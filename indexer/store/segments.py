"""The open segments of one generation, numbered through. Immutable; parts made on first use are kept.

Documents and chunks of all segments get one global number each: `seg_base[s] + ordinal`, `chunk_base[s] +
chunk`. Segments stand in order of their ids, so a new segment changes no number that was there before.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from indexer.records import I64, U16, U32, Bool
from indexer.store.format import NO_ROW
from indexer.store.segment import Segment

_FEW = 1024  # blobs that are looked up one segment after the other


class SegmentSet:
    """Segments and the global numbers of what they hold."""

    def __init__(self, segments: tuple[Segment, ...], before: SegmentSet | None = None) -> None:
        """Number the segments; `before` lends what it computed of the leading segments that are the same."""
        self.segments = segments
        self.seg_base = _bases([segment.n_docs for segment in segments])
        self.chunk_base = _bases([segment.n_chunks for segment in segments])
        self.n_docs = int(self.seg_base[-1])
        self.n_chunks = int(self.chunk_base[-1])
        self._rows_before = (0, np.empty(0, np.int64))  # segments covered, table of their rows
        if before is not None:
            covered, table = before._rows_known()
            self._rows_before = (min(covered, self.shared_with(before)), table)

    def shared_with(self, other: SegmentSet) -> int:
        """Return how many leading segments are the same; what is in them has the same numbers."""
        n = 0
        for mine, theirs in zip(self.segments, other.segments, strict=False):
            if mine is not theirs:
                break
            n += 1
        return n

    @cached_property
    def _blobs(self) -> tuple[I64, I64]:
        """Blob ids ascending, and the document of each."""
        blobs = np.concatenate([np.empty(0, np.int64), *(segment.doc_blob for segment in self.segments)])
        order = np.argsort(blobs, kind="stable")
        return blobs[order].astype(np.int64), order

    def docs_of_blobs(self, blobs: I64) -> I64:
        """Return the global document of each blob, -1 for one that no segment holds."""
        if len(blobs) <= _FEW and "_blobs" not in self.__dict__:
            return self._docs_of_few(blobs)
        known, docs = self._blobs
        if not len(known):
            return np.full(len(blobs), -1, np.int64)
        at = np.minimum(np.searchsorted(known, blobs), len(known) - 1)
        return np.where(known[at] == blobs, docs[at], -1)

    def _docs_of_few(self, blobs: I64) -> I64:
        """The same without the table: a refresh after one saved file must not sort all blobs again."""
        found = np.full(len(blobs), -1, np.int64)
        for segment, base in zip(reversed(self.segments), self.seg_base[-2::-1].tolist(), strict=True):
            missing = np.flatnonzero(found < 0)
            if not len(missing):
                break
            hits = np.flatnonzero(np.isin(segment.doc_blob, blobs[missing]))
            for ordinal in hits.tolist():
                found[blobs == int(segment.doc_blob[ordinal])] = base + ordinal
        return found

    @cached_property
    def row_chunk(self) -> I64:
        """Return the global chunk of each pool row up to the highest in use, -1 for the others."""
        first, known = self._rows_before
        used = [np.flatnonzero(segment.chunk_row != NO_ROW) for segment in self.segments[first:]]
        rows = [segment.chunk_row[each] for segment, each in zip(self.segments[first:], used, strict=True)]
        size = max([len(known), *(int(each.max()) + 1 for each in rows if len(each))])
        table = np.full(size, -1, np.int64)
        table[: len(known)] = known
        if len(known) and int(known.max()) >= self.chunk_base[first]:
            table[table >= self.chunk_base[first]] = -1  # of segments that are gone
        for chunks, own, base in zip(used, rows, self.chunk_base[first:-1].tolist(), strict=True):
            table[own] = chunks + base
        return table

    def _rows_known(self) -> tuple[int, I64]:
        """Return the best table of rows there is, and how many segments it covers."""
        known = self.__dict__.get("row_chunk")
        return self._rows_before if known is None else (len(self.segments), known)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Return the names of all languages that occur."""
        return tuple(sorted({name for segment in self.segments for name in segment.languages}))

    @cached_property
    def doc_language(self) -> U16:
        """Return for each document an index into `languages`."""
        number = {name: i for i, name in enumerate(self.languages)}
        parts = [np.empty(0, np.uint16)]
        for segment in self.segments:
            table = np.array([number[name] for name in segment.languages], np.uint16)
            parts.append(table[segment.language])
        return np.concatenate(parts)

    def chunk_mask(self, docs: Bool) -> Bool:
        """Return which chunks belong to the marked documents."""
        parts = [np.empty(0, np.bool_)]
        for segment, base in zip(self.segments, self.seg_base[:-1].tolist(), strict=True):
            marked = docs[base : base + segment.n_docs]
            parts.append(np.repeat(marked, np.diff(segment.doc_chunk)))
        return np.concatenate(parts)

    def row_mask(self, docs: Bool, n_rows: int) -> Bool:
        """Return which of the first n_rows pool rows belong to the marked documents."""
        mask = np.zeros(n_rows, np.bool_)
        for segment, base in zip(self.segments, self.seg_base[:-1].tolist(), strict=True):
            marked = docs[base : base + segment.n_docs]
            rows: U32 = segment.chunk_row
            if not marked.all():
                rows = rows[np.repeat(marked, np.diff(segment.doc_chunk))]
            mask[rows[rows < n_rows]] = True
        return mask

    def set_rows(self, mask: Bool, docs: I64, value: bool) -> None:
        """Mark or unmark in a mask of pool rows those of a few documents."""
        owner = np.searchsorted(self.seg_base, docs, "right") - 1
        for at, doc in zip(owner.tolist(), docs.tolist(), strict=True):
            segment, ordinal = self.segments[at], doc - int(self.seg_base[at])
            rows = segment.chunk_row[int(segment.doc_chunk[ordinal]) : int(segment.doc_chunk[ordinal + 1])]
            mask[rows[rows < len(mask)]] = value


def _bases(counts: list[int]) -> I64:
    bases = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=bases[1:])
    return bases
