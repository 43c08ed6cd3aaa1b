"""The contents that one query has unpacked, kept for its later steps.

So a match is found, ranked and shown from the same bytes.
"""

from __future__ import annotations

from indexer.records import I64
from indexer.store.snapshot import Snapshot
from search.stretch import Stretch

KEPT_BYTES_MAX = 16 << 20


class Reading:
    """Contents by global document number."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._contents: dict[int, bytes] = {}
        self._nbytes = 0

    def note(self, base: int, stretch: Stretch, pieces: I64) -> None:
        """Keep these pieces of a stretch, where they are whole documents.

        base  first document of the segment
        """
        whole = stretch.whole[pieces]
        chosen = pieces[whole]
        docs = (stretch.ordinals[chosen] + base).tolist()
        bounds = zip(docs, stretch.start[chosen].tolist(), stretch.end[chosen].tolist(), strict=True)
        for doc, start, end in bounds:
            if self._nbytes > KEPT_BYTES_MAX:
                return
            self._contents[doc] = stretch.content[start:end]
            self._nbytes += end - start

    def content(self, doc: int) -> bytes:
        """Return the content of a document."""
        known = self._contents.get(doc)
        if known is None:
            segment, ordinal = self._snapshot.locate_doc(doc)
            known = self._keep(doc, segment.doc_bytes(ordinal))
        return known

    def _keep(self, doc: int, content: bytes) -> bytes:
        self._contents[doc] = content
        self._nbytes += len(content)
        return content
