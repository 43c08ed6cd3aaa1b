"""What one query has unpacked, kept for its later steps.

So a match is found, ranked and shown from the same bytes, and of a long document no more than the pages that
match are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from indexer.records import I64
from indexer.store.snapshot import Snapshot
from search.candidates import Contents
from search.stretch import Stretch

KEPT_BYTES_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class Passage:
    """Whole lines of a document, one after the other."""

    content: bytes
    offset: int  # of its first byte in the document
    line: int  # number of its first line, 1-based


class Reading:
    """Contents by global document number."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._passages: dict[int, list[Passage]] = {}  # of each document, ascending
        self._nbytes = 0

    def note(self, base: int, segment: Contents, stretch: Stretch, positions: I64) -> None:
        """Keep some pieces of a stretch of pages.

        base  first document of the segment
        """
        if self._nbytes > KEPT_BYTES_MAX:
            return
        for ordinal, passage in passages_of(segment, stretch, positions):
            self.add(base + ordinal, passage)

    def add(self, doc: int, passage: Passage) -> None:
        """Keep a piece of a document."""
        self._passages.setdefault(doc, []).append(passage)
        self._nbytes += len(passage.content)

    def keep(self, doc: int, content: bytes) -> None:
        """Keep a document."""
        if self._nbytes <= KEPT_BYTES_MAX:
            self._keep(doc, Passage(content, 0, 1))

    def passage(self, doc: int, start: int, end: int) -> Passage:
        """Return lines of a document, all that [start, end) touches among them."""
        for passage in reversed(self._passages.get(doc, ())):
            if passage.offset <= start and end <= passage.offset + len(passage.content):
                return passage
        segment, ordinal = self._snapshot.locate_doc(doc)
        first, last = segment.doc_page[ordinal : ordinal + 2].tolist()
        begins = segment.page_start[first:last]
        page = first + int(np.searchsorted(begins, start, side="right")) - 1
        if page + 1 < last and end > segment.page_start[page + 1]:
            return self._whole(doc)
        offset = int(segment.page_start[page])
        content = segment.unpack_pages(np.array([page]))[: int(segment.doc_len[ordinal]) - offset]
        passage = Passage(content, offset, int(segment.page_line[page]) + 1)
        self.add(doc, passage)
        return passage

    def content(self, doc: int) -> bytes:
        """Return the content of a document."""
        known = self._passages.get(doc)
        if known is not None and len(known) == 1 and not known[0].offset:
            segment, ordinal = self._snapshot.locate_doc(doc)
            if len(known[0].content) == segment.doc_len[ordinal]:
                return known[0].content
        return self._whole(doc).content

    def _whole(self, doc: int) -> Passage:
        segment, ordinal = self._snapshot.locate_doc(doc)
        return self._keep(doc, Passage(segment.doc_bytes(ordinal), 0, 1))

    def _keep(self, doc: int, passage: Passage) -> Passage:
        self._passages[doc] = [passage]
        self._nbytes += len(passage.content)
        return passage


def passages_of(segment: Contents, stretch: Stretch, positions: I64) -> list[tuple[int, Passage]]:
    """Return some pieces of a stretch of pages, each with the ordinal of its document."""
    content = stretch.content
    columns = (
        stretch.ordinals[positions],
        stretch.start[positions],
        stretch.end[positions],
        stretch.offset[positions],
        segment.page_line[stretch.pieces[positions]],
    )
    return [
        (ordinal, Passage(content[start:end], offset, lines + 1))
        for ordinal, start, end, offset, lines in zip(*(column.tolist() for column in columns), strict=True)
    ]
