r"""Text retriever: posting lists narrow, RE2 verifies in the unpacked blocks.

Documents lie one after the other in a block, apart by a separator of newline, NUL, newline. So neighbouring
candidates are searched as one long stretch, in one call, and a match is mapped back to its document. A match
that would reach past its document is looked for again inside of it. Patterns that could run across separators
(they match both newline and NUL, as `[^;]*` does) and those with \A or \z get one call per document.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from indexer.records import I64, U32, Bool
from search.budget import Budget
from search.candidates import Contents, TrigramFilter, as_ordinals
from search.matcher import PER_DOC, Matcher, Span
from search.regex_trigrams import TrigramQuery
from search.stretch import Stretch, doc_stretches

STRETCH_BYTES = 1 << 18  # unpacked between two looks at the clock, and before a search that stops early


@dataclass(frozen=True, slots=True)
class TextMatches:
    """What a text search found: documents in ascending order, and the first matches in each."""

    docs: I64  # [n] global document numbers
    offsets: I64  # [n + 1] matches of docs[i] are [offsets[i], offsets[i + 1])
    start: U32  # byte offsets in the document
    end: U32
    complete: bool  # False: stopped early, so other documents may match too
    reason: str  # why not complete: "time" or "documents"
    candidates: int  # documents that were read
    bytes_read: int

    def __len__(self) -> int:
        return len(self.docs)

    def match_docs(self) -> I64:
        """Return the document of every match."""
        return np.repeat(self.docs, np.diff(self.offsets))


class SegmentSource(Protocol):
    """What text search needs of a snapshot."""

    @property
    def segments(self) -> tuple[Contents, ...]: ...
    @property
    def seg_base(self) -> I64: ...


def search_docs(
    snapshot: SegmentSource,
    matcher: Matcher,
    doc_mask: Bool | None,
    budget: Budget,
    *,
    docs_max: int | None = None,
    per_doc: int = PER_DOC,
    query: TrigramQuery | None = None,
) -> TextMatches:
    """Return the documents that contain a match, and the first `per_doc` matches in each.

    doc_mask  bool over all documents of the snapshot; None: all
    docs_max  stop after so many documents
    query     a stronger trigram condition than the matcher's own, if the caller knows one

    The result is a function of the arguments unless time runs out. Raises Cancelled.
    """
    found = _Found(docs_max, per_doc)
    narrow = TrigramFilter(matcher.query if query is None else query)
    for segment, base in zip(snapshot.segments, snapshot.seg_base.tolist(), strict=False):
        if found.reason:
            break
        ordinals = narrow.candidates(segment, as_ordinals(doc_mask, base, segment.n_docs))
        if ordinals is None:
            ordinals = np.arange(segment.n_docs)
        for stretch in doc_stretches(segment, ordinals, STRETCH_BYTES):
            if not _search_stretch(stretch, base, matcher, found, budget):
                break
    return found.matches()


def scan_docs(
    snapshot: SegmentSource, matcher: Matcher, doc_mask: Bool | None, budget: Budget, **limits: int
) -> TextMatches:
    """Return what `search_docs` does by reading every document: its slow, obvious twin."""
    found = _Found(limits.get("docs_max"), limits.get("per_doc", PER_DOC))
    for segment, base in zip(snapshot.segments, snapshot.seg_base.tolist(), strict=False):
        for ordinal in range(segment.n_docs):
            if found.reason or (doc_mask is not None and not doc_mask[base + ordinal]):
                continue
            content = segment.doc_bytes(ordinal)
            found.read(1, len(content))
            found.add(base + ordinal, matcher.find(content, found.per_doc))
            if budget.over():
                found.reason = "time"
    return found.matches()


class _Found:
    """Matches as they are collected."""

    def __init__(self, docs_max: int | None, per_doc: int) -> None:
        self.docs_max = docs_max
        self.per_doc = per_doc
        self.reason = ""
        self._docs: list[int] = []
        self._counts: list[int] = []
        self._spans: list[Span] = []
        self._candidates = 0
        self._bytes = 0

    def read(self, docs: int, nbytes: int) -> None:
        self._candidates += docs
        self._bytes += nbytes

    def add(self, doc: int, spans: list[Span]) -> None:
        if not spans:
            return
        self._docs.append(doc)
        self._counts.append(len(spans))
        self._spans += spans
        if self.docs_max is not None and len(self._docs) >= self.docs_max:
            self.reason = "documents"

    def matches(self) -> TextMatches:
        spans = np.array(self._spans, np.uint32).reshape(-1, 2)
        offsets = np.concatenate(([0], np.cumsum(self._counts))).astype(np.int64)
        return TextMatches(
            docs=np.array(self._docs, np.int64),
            offsets=offsets,
            start=spans[:, 0],
            end=spans[:, 1],
            complete=not self.reason,
            reason=self.reason,
            candidates=self._candidates,
            bytes_read=self._bytes,
        )


def _search_stretch(stretch: Stretch, base: int, matcher: Matcher, found: _Found, budget: Budget) -> bool:
    """Look for matches in every document of a stretch, in one call where the pattern allows it.

    Returns False if the search is to stop.
    """
    # Budget.over is a clock call: 0.1 us beside the 1.5 us of the shortest search.
    if budget.over():
        found.reason = "time"
    docs = (stretch.ordinals + base).tolist()
    starts, ends = stretch.start.tolist(), stretch.end.tolist()
    doc = 0
    while doc < len(docs) and not found.reason:
        at = starts[doc]
        if matcher.stretches:
            span = matcher.first(stretch.content, at, len(stretch.content))
            if span is None:
                doc = len(docs)
                break
            doc = bisect_right(starts, span[0]) - 1
            at = min(span[0], ends[doc])
        found.add(docs[doc], matcher.find_in(stretch.content, starts[doc], ends[doc], found.per_doc, at))
        doc += 1
    found.read(doc, int((stretch.end[:doc] - stretch.start[:doc]).sum()))
    return not found.reason
