r"""Text retriever: posting lists narrow, RE2 verifies in the unpacked blocks.

Documents lie one after the other in a block, apart by a separator of newline, NUL, newline. So neighbouring
candidates are searched as one long stretch, in one call, and a match is mapped back to its document. A match
that would reach past its document is looked for again inside of it. Patterns that could run across separators
(they match both newline and NUL, as `[^;]*` does) and those with \A or \z get one call per document.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from indexer.records import I64, U8, U32, Bool
from indexer.store.format import PAGES_MAX
from search.budget import Budget
from search.candidates import Contents, TrigramFilter, as_ordinals, pages_of
from search.far import FAR_BYTES, PORTION_BYTES, Elsewhere, PageMatches, Portion, count_lines, find_here
from search.lines import LineFinder
from search.matcher import PER_DOC, Matcher, Span
from search.rank import PER_FILE
from search.reading import Reading
from search.regex_syntax import can_be_empty
from search.regex_trigrams import TrigramQuery
from search.runs import firsts, is_first
from search.stretch import Stretch, doc_stretches, page_stretches

STRETCH_BYTES = 1 << 20  # unpacked at a time, between two looks at the clock
# A search that may stop early reads about as many candidates at a time as will do, judged by those before.
UNITS_MIN = 16
MATCHING = 0.8  # share of the first ones that are taken to match
# It has lines enough when there are those to show, and as many as ranking wants to choose from at least;
# after LONG_BYTES, when there are those to show. Lines beyond PER_FILE of a document do not count.
LINES_MIN = 64
LONG_BYTES = 1 << 20
LINES_OF_DOC = 1.5  # as many a document is taken to have at first
FEW = 192  # candidates that are not worth being read in many turns
READ_MORE = 2  # candidates that a search which may stop early is ready to read, for each document it wants


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


@dataclass(frozen=True, slots=True)
class Order:
    """In which order documents are read by a search that may stop early."""

    turns: U8  # over all documents of the snapshot: lower ones first; within a turn in order of number
    demoted: int  # the first turn of documents that ranking demotes
    first: I64  # documents that come before all others, ascending
    crowded: bool  # within a turn, those first that share a block with most others


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
    lines_max: int | None = None,
    per_doc: int = PER_DOC,
    order: Order | None = None,
    finder: LineFinder | None = None,
    query: TrigramQuery | None = None,
    reading: Reading | None = None,
    elsewhere: Elsewhere | None = None,
) -> TextMatches:
    """Return the documents that contain a match, and the first `per_doc` matches in each.

    doc_mask  bool over all documents of the snapshot; None: all
    docs_max  stop after so many documents
    lines_max  lines that will be shown at most: stop when there are enough to choose them from
    order     in which they are read; None: in order of number
    finder    finds matches in pages; None: what finds all matches of the matcher
    query     a stronger trigram condition on documents than the matcher's own, if the caller knows one
    reading   keeps what was unpacked and matches
    elsewhere  searches what is much

    The result is a function of the arguments unless time runs out. Raises Cancelled.
    """
    found = _Found(docs_max, lines_max, per_doc, reading)
    wanted = None if docs_max is None else READ_MORE * docs_max
    narrow = TrigramFilter(matcher.query if query is None else query, wanted)
    finder = finder or line_finder(matcher)
    pages = finder is not None
    plain = _Sources(snapshot, narrow, pages, query is not None)
    work = plain.work(doc_mask) if order is None else _ordered(plain, doc_mask, order)
    if order is not None and order.crowded and narrow.query.op != "all":
        work = (
            (segment, base, _crowded_first(segment, units, found.wanted(), pages))
            for segment, base, units in work
        )
    if finder is not None:
        _search_pages(work, snapshot.segments, finder, found, budget, elsewhere)
    else:
        _search_documents(work, matcher, found, budget)
    return found.matches()


Work = tuple[Contents, int, I64]  # a segment, its first document, and its pages or documents that may match


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the work of one search comes from."""

    snapshot: SegmentSource
    narrow: TrigramFilter
    pages: bool  # units are pages, not documents
    about_docs: bool  # the condition is on documents, and says nothing about single pages

    def work(self, doc_mask: Bool | None) -> Iterator[Work]:
        """Yield what is to be read, segment by segment; a search that stops early reads no further lists."""
        for segment, base in zip(self.snapshot.segments, self.snapshot.seg_base.tolist(), strict=False):
            among = as_ordinals(doc_mask, base, segment.n_docs)
            yield segment, base, self.units(segment, among)

    def units(self, segment: Contents, among: I64 | None) -> I64:
        """Return the pages or documents of a segment that may match."""
        if self.pages and not self.about_docs:
            return self.narrow.pages(segment, among)
        ordinals = self.narrow.candidates(segment, among)
        ordinals = np.arange(segment.n_docs) if ordinals is None else ordinals
        return pages_of(segment, ordinals) if self.pages else ordinals


def _ordered(sources: _Sources, doc_mask: Bool | None, order: Order) -> Iterator[Work]:
    """Yield the work in order.

    The first turn comes segment by segment, as its lists are read. Where all candidates are few, those that
    are not demoted are one turn: each piece of work costs 0.15 ms besides what is read.
    """
    turns, last = order.turns, int(order.turns.max(initial=0))
    if len(order.first):
        yield from _first_work(sources, doc_mask, order.first)
        turns = turns.copy()
        turns[order.first] = last + 1  # done
    work = (
        (segment, base, units, turns[base + (segment.page_doc[units] if sources.pages else units)])
        for segment, base, units in sources.work(doc_mask)
        if len(units)
    )
    known: list[tuple[Contents, int, I64, U8]] = []
    n_known = 0
    for one in work:
        known.append(one)
        n_known += len(one[2])
        if n_known > FEW:
            break
    few = n_known <= FEW
    for segment, base, units, turn in known:
        yield segment, base, units[turn < order.demoted] if few else units[turn == 0]
    for segment, base, units, turn in work:
        known.append((segment, base, units, turn))
        yield segment, base, units[turn == 0]
    for number in range(order.demoted if few else 1, last + 1):
        for segment, base, units, turn in known:
            yield segment, base, units[turn == number]


def _first_work(sources: _Sources, doc_mask: Bool | None, first: I64) -> Iterator[Work]:
    docs = first if doc_mask is None else first[doc_mask[first]]
    bounds = np.searchsorted(docs, sources.snapshot.seg_base).tolist()
    bases = sources.snapshot.seg_base.tolist()
    for segment, base, (low, high) in zip(sources.snapshot.segments, bases, pairwise(bounds), strict=False):
        if high > low:
            yield segment, base, sources.units(segment, docs[low:high] - base)


def _crowded_first(segment: Contents, units: I64, wanted: int, pages: bool) -> I64:
    """Return candidates with those first that share a block with most others.

    Where many more are there than will be read, four are unpacked at the price of one.
    """
    if len(units) <= wanted:
        return units
    block = _page_blocks(segment)[units if pages else segment.doc_page[units]]
    crowd = np.bincount(block)[block]
    return units[np.argsort(-crowd, kind="stable")]


def _page_blocks(segment: Contents) -> I64:
    """Return the block of each page; made once, segments do not change."""
    known = _blocks.get(segment)
    if known is None:
        bounds = segment.block_page.astype(np.int64)
        known = _blocks[segment] = np.repeat(np.arange(len(bounds) - 1), bounds[1:] - bounds[:-1])
    return known


_blocks: WeakKeyDictionary[Contents, I64] = WeakKeyDictionary()


@lru_cache(maxsize=512)
def line_finder(matcher: Matcher) -> LineFinder | None:
    """Return what finds all matches of a pattern at once, if none of them can be empty or hold a newline."""
    if matcher.by_itself or matcher.newline or matcher.node is None or can_be_empty(matcher.node):
        return None
    return LineFinder(matcher)


def _search_pages(
    work: Iterable[Work],
    segments: Sequence[Contents],
    finder: LineFinder,
    found: _Found,
    budget: Budget,
    elsewhere: Elsewhere | None,
) -> None:
    """Search pages until there is enough."""
    portions = _page_portions(work, found)
    for portion in portions:
        if found.is_far:
            _search_far(chain((portion,), portions), segments, finder, found, budget, elsewhere)
            return
        for stretch in page_stretches(portion.segment, portion.pages, 2 * STRETCH_BYTES):
            if budget.over():
                found.reason = "time"
                return
            if not found.add_all(portion, stretch, *stretch.within(*finder.find(stretch, True))):
                return


def _search_far(
    portions: Iterable[Portion],
    segments: Sequence[Contents],
    finder: LineFinder,
    found: _Found,
    budget: Budget,
    elsewhere: Elsewhere | None,
) -> None:
    if elsewhere is not None and elsewhere.ready:
        searched = elsewhere.find(finder.spec, portions, segments, budget)
    else:
        searched = find_here(finder, portions)
    for portion, matches in searched:
        if not found.add_far(portion.base, matches):
            return
        if budget.over():
            found.reason = "time"
            return


def _page_portions(work: Iterable[Work], found: _Found) -> Iterator[Portion]:
    for segment, base, pages in work:
        at = segment.page_at
        for part in _portions(pages, at[pages + 1] - at[pages], found):
            yield Portion(segment, base, part)


def _search_documents(work: Iterable[Work], matcher: Matcher, found: _Found, budget: Budget) -> None:
    """Search whole documents until there is enough."""
    for segment, base, ordinals in work:
        for part in _portions(ordinals, segment.doc_len[ordinals], found):
            for stretch in doc_stretches(segment, part, 2 * STRETCH_BYTES):
                if not _search_stretch(stretch, base, matcher, found, budget):
                    return


def _portions(units: I64, nbytes: I64 | U32, found: _Found) -> Iterator[I64]:
    """Yield what to read next in ascending order, no more at a time than will probably do."""
    low = 0
    while low < len(units):
        most, room = (len(units), PORTION_BYTES) if found.is_far else (found.wanted(), STRETCH_BYTES)
        ends = np.cumsum(nbytes[low : low + most], dtype=np.int64)
        high = low + max(1, int(np.searchsorted(ends, room, side="right")))
        yield np.sort(units[low:high])
        low = high


def scan_docs(
    snapshot: SegmentSource, matcher: Matcher, doc_mask: Bool | None, budget: Budget, **limits: int
) -> TextMatches:
    """Return what `search_docs` does by reading every document: its slow, obvious twin."""
    found = _Found(limits.get("docs_max"), None, limits.get("per_doc", PER_DOC))
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

    def __init__(
        self, docs_max: int | None, lines_max: int | None, per_doc: int, reading: Reading | None = None
    ) -> None:
        self.docs_max = docs_max
        self._lines_max = lines_max
        self.per_doc = per_doc
        self.reason = ""
        self.reading = reading
        self._docs: list[I64] = []  # one entry for each match
        self._starts: list[I64] = []
        self._ends: list[I64] = []
        self._n_docs = 0
        self._last = -1
        self._candidates = 0
        self._bytes = 0
        self._lines = 0  # that the matches stand in, PER_FILE of a document at most
        self._at_most = 0  # the same if no two matches stood in one line
        self._uncounted: list[tuple[bytes, I64, I64]] = []  # text, document and start of matches

    def read(self, docs: int, nbytes: int) -> None:
        self._candidates += docs
        self._bytes += nbytes

    def add(self, doc: int, spans: list[Span]) -> None:
        """Take the matches of one document."""
        if not spans:
            return
        self._docs.append(np.full(len(spans), doc, np.int64))
        starts, ends = zip(*spans, strict=True)
        self._starts.append(np.array(starts, np.int64))
        self._ends.append(np.array(ends, np.int64))
        self._n_docs += 1
        if self.docs_max is not None and self._n_docs >= self.docs_max:
            self.reason = "documents"

    def lines_do(self, content: bytes, doc: I64, start: I64) -> bool:
        """Take note of some matches; True if all so far stand in lines enough.

        doc    of each match, in order
        start  where each begins in `content`
        """
        if self._lines_max is None or not len(doc):
            return False
        per_doc = np.diff(firsts(doc), append=len(doc))
        self._at_most += int(np.minimum(per_doc, PER_FILE).sum())
        self._uncounted.append((content, doc, start))
        if self._at_most < self._lines_wanted():
            return False
        self._count()
        return self._lines >= self._lines_wanted()

    def _count(self) -> None:
        self._lines += sum(count_lines(*matches) for matches in self._uncounted)
        self._uncounted, self._at_most = [], self._lines

    def _lines_wanted(self) -> int:
        assert self._lines_max is not None
        long = self._bytes >= LONG_BYTES
        return self._lines_max if long else max(LINES_MIN, self._lines_max)

    def wanted(self) -> int:
        """Return how many more candidates will probably do."""
        if self.docs_max is None:
            return PAGES_MAX
        docs: float = self.docs_max - self._n_docs
        if self._lines_max is not None:
            lines_of_doc = (self._at_most + LINES_OF_DOC) / (self._n_docs + 1)
            docs = min(docs, (self._lines_wanted() - self._at_most) / lines_of_doc)
        matching = (self._n_docs + MATCHING) / (self._candidates + 1)
        return max(UNITS_MIN, int(docs / matching))

    @property
    def is_far(self) -> bool:
        """Whether so much was read that the text must be rare."""
        return self._bytes >= FAR_BYTES

    def add_far(self, base: int, matches: PageMatches) -> bool:
        """Take the matches of a portion; False if there is enough."""
        self.read(matches.docs, matches.nbytes)
        self._count()
        if len(matches.ordinals):
            self._take(matches.ordinals + base, matches.start, matches.end)
            if self.reading is not None:
                for ordinal, passage in matches.passages:
                    self.reading.add(base + ordinal, passage)
            self._lines += matches.lines
            self._at_most = self._lines
            enough = self.docs_max is not None and self._n_docs >= self.docs_max
            if enough or (self._lines_max is not None and self._lines >= self._lines_wanted()):
                self.reason = "documents"
        return not self.reason

    def add_all(self, portion: Portion, stretch: Stretch, piece: I64, start: I64, end: I64) -> bool:
        """Take the matches of many pages; False if there is enough."""
        docs_read = 1 + int(np.count_nonzero(stretch.ordinals[1:] != stretch.ordinals[:-1]))
        self.read(docs_read, int((stretch.end - stretch.start).sum()))
        if not len(piece):
            return True
        doc = stretch.ordinals[piece] + portion.base
        origin = stretch.start[piece] - stretch.offset[piece]
        kept = self._take(doc, start - origin, end - origin)
        doc, piece, start = doc[:kept], piece[:kept], start[:kept]
        if self.reading is not None:
            self.reading.note(portion.base, portion.segment, stretch, piece[is_first(piece)])
        enough = self.docs_max is not None and self._n_docs >= self.docs_max
        if enough or self.lines_do(stretch.content, doc, start):
            self.reason = "documents"
        return not self.reason

    def _take(self, doc: I64, start: I64, end: I64) -> int:
        """Take matches of as many documents as are wanted; returns how many matches that are."""
        first = is_first(doc)
        first[0] = doc[0] != self._last
        number = self._n_docs + np.cumsum(first)  # of its document, from 1
        kept = len(doc)
        if self.docs_max is not None and number[-1] > self.docs_max:
            kept = int(np.searchsorted(number, self.docs_max, side="right"))
        self._n_docs, self._last = int(number[kept - 1]), int(doc[kept - 1])
        self._docs.append(doc[:kept])
        self._starts.append(start[:kept])
        self._ends.append(end[:kept])
        return kept

    def matches(self) -> TextMatches:
        none = np.empty(0, np.int64)
        doc = np.concatenate([none, *self._docs])
        start, end = np.concatenate([none, *self._starts]), np.concatenate([none, *self._ends])
        first = firsts(doc)
        counts = np.diff(first, append=len(doc))
        kept = np.arange(len(doc)) - np.repeat(first, counts) < self.per_doc
        return TextMatches(
            docs=doc[first],
            offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(np.minimum(counts, self.per_doc)))),
            start=start[kept].astype(np.uint32),
            end=end[kept].astype(np.uint32),
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
    matching: list[int] = []
    places: list[int] = []
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
        low, high = starts[doc], ends[doc]
        spans = matcher.find_in(stretch.content, low, high, found.per_doc, at)
        if spans and found.reading is not None:
            found.reading.keep(docs[doc], stretch.content[low:high])
        found.add(docs[doc], spans)
        matching += [docs[doc]] * len(spans)
        places += [low + span[0] for span in spans]
        doc += 1
    found.read(doc, int((stretch.end[:doc] - stretch.start[:doc]).sum()))
    if found.lines_do(stretch.content, np.array(matching, np.int64), np.array(places, np.int64)):
        found.reason = "documents"
    return not found.reason
