"""What one query has unpacked, kept for its later steps.

So a match is found, ranked and shown from the same bytes, and of a long document no more than the pages that
match are read.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        content, passages = stretch.content, self._passages
        columns = (
            stretch.ordinals[positions] + base,
            stretch.start[positions],
            stretch.end[positions],
            stretch.offset[positions],
            segment.page_line[stretch.pieces[positions]],
        )
        for doc, start, end, offset, lines in zip(*(column.tolist() for column in columns), strict=True):
            passages.setdefault(doc, []).append(Passage(content[start:end], offset, lines + 1))
            self._nbytes += end - start

    def keep(self, doc: int, content: bytes) -> None:
        """Keep a document."""
        if self._nbytes <= KEPT_BYTES_MAX:
            self._keep(doc, Passage(content, 0, 1))

    def passage(self, doc: int, start: int, end: int) -> Passage:
        """Return lines of a document, all that [start, end) touches among them."""
        for passage in reversed(self._passages.get(doc, ())):
            if passage.offset <= start and end <= passage.offset + len(passage.content):
                return passage
        return self._whole(doc)

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
