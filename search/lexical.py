"""Retriever: BM25F over the words of chunks (Robertson and Zaragoza 2009).

    score(chunk) = sum over terms of idf * tf / (k1 + tf)
    tf           = body / (1 - b + b * length / mean length) + name_weight * name + path_weight * path

`body` and `name` counts stand in the segments' postings; `path`, the share of a word in the path, belongs to
the file, so it comes from the caller. Any word may be missing from a chunk; a file whose path alone matches
is found by its first chunk. idf counts all chunks of the snapshot.

Scores go into one dense array per segment, by compiled loops (indexer/native/terms.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log1p
from weakref import WeakKeyDictionary

import numpy as np

from config.settings import Rank
from indexer.native.terms import TERM, TERMS_MAX, WORTH, Records
from indexer.records import F32, I64, Bool
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from indexer.words import term_hash, terms, words
from search.budget import Budget
from search.places import segment_masks

VARIANT_WEIGHT = 0.5  # of another form of a word (retries for retry), against the word itself

# Words that say nothing about code and are rare in it, so idf would make them the most important ones.
STOP_WORDS = frozenset(
    b"a an and are as at be been being but by can could did do does doing each for from had has have how i "
    b"in into is it its me my of on or our so some such than that the their them then there these they this "
    b"those to too us very was we were what when where which while who whom whose why will with would you "
    b"your".split()
)


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is looked up in the postings."""

    text: bytes
    weight: float
    word: int  # which word of the query it comes from


@dataclass(frozen=True, slots=True)
class Scored:
    """Chunks by BM25F, best first."""

    chunk: I64  # global chunk numbers
    score: F32


# Terms -> (global documents whose path contains each, share 0..1, where the documents of each term end).
PathMatches = Callable[[Sequence[bytes]], tuple[I64, F32, I64]]


def query_terms(texts: Iterable[str]) -> tuple[Term, ...]:
    """Return what to look up for the words of a query: their terms, and other forms of plain words.

    Stop words are left out unless nothing else is there.
    """
    return _query_terms(tuple(texts))


@lru_cache(maxsize=256)  # every step of a query asks
def _query_terms(texts: tuple[str, ...]) -> tuple[Term, ...]:
    spelled = [word for text in texts for word in words(text.encode("utf-8", "surrogateescape"))]
    kept = [word for word in spelled if word.lower() not in STOP_WORDS] or spelled
    found: dict[bytes, Term] = {}
    for number, word in enumerate(dict.fromkeys(kept)):
        for term in terms(word):
            found.setdefault(term, Term(term, 1.0, number))
    for plain in list(found.values()):
        for variant in _variants(plain.text):
            found.setdefault(variant, Term(variant, VARIANT_WEIGHT, plain.word))
    return tuple(found.values())[:TERMS_MAX]


class TermLists:
    """The terms of one query in one snapshot: where the list of each is, and its idf."""

    def __init__(self, snapshot: Snapshot, query: tuple[Term, ...]) -> None:
        """Look all terms up."""
        self.snapshot = snapshot
        self.query = query
        hashes = np.array([term_hash(term.text) for term in query], np.uint64)
        self.found = [segment.scorer.find(hashes) for segment in snapshot.segments]  # LIST [terms] of each
        self.idf = self._idf()

    def _idf(self) -> list[float]:
        """Return the idf of each term, never below 0; 0 where no chunk has it.

        Another form of a word is never rarer than the word itself: `retrys` would outweigh `retry`.
        """
        n = max(1, self.snapshot.n_chunks)
        out: list[float] = []
        limit: dict[int, float] = {}
        counts = sum((found["count"] for found in self.found), np.zeros(len(self.query), np.int64))
        for term, found in zip(self.query, counts.tolist(), strict=True):
            value = log1p((n - found + 0.5) / (found + 0.5)) if found else 0.0
            if term.weight < 1 and limit.get(term.word, 0.0) > 0:
                value = min(value, limit[term.word])
            elif found:
                limit[term.word] = min(value, limit.get(term.word, value))
            out.append(value)
        return out


def best_chunks(
    lists: TermLists,
    doc_mask: Bool,
    n: int,
    weights: Rank,
    budget: Budget,
    paths: PathMatches | None = None,
) -> Scored:
    """Return the n best chunks among the documents of `doc_mask` (bool, all documents of the snapshot).

    paths  None: they do not count

    When the budget ends, the segments read so far answer.
    """
    snapshot = lists.snapshot
    named = _named(lists, weights, paths)
    terms = _strengths(lists)
    norm = 1 - weights.bm25_b, weights.bm25_b / _mean_length(snapshot)
    chunks: list[I64] = []
    scores: list[F32] = []
    for segment, base, mask in segment_masks(snapshot, doc_mask):
        if budget.over():
            break
        number = int(np.searchsorted(snapshot.seg_base, base, side="right")) - 1
        docs, frequency, terms["named_end"] = named.within(base, segment.n_docs)
        terms["found"] = lists.found[number]
        local, score = segment.scorer.best(
            terms, docs, frequency, mask, n, norm, weights.name_weight, weights.bm25_k1
        )
        chunks.append(local.astype(np.int64) + int(snapshot.chunk_base[number]))
        scores.append(score)
    if not chunks:
        return Scored(np.empty(0, np.int64), np.empty(0, np.float32))
    chunk, score = np.concatenate(chunks), np.concatenate(scores)
    order = np.lexsort((chunk, -score))[:n]
    return Scored(chunk[order], score[order])


def cover(lists: TermLists, chunks: I64) -> F32:
    """Return for each chunk the share of the query's words in it, 0..1, each weighing its idf.

    chunks  ascending
    """
    worth = np.array(
        [value * term.weight for term, value in zip(lists.query, lists.idf, strict=True)], np.float32
    )
    word = [term.word for term in lists.query]
    whole = np.zeros(1 + max(word, default=-1), np.float32)
    np.maximum.at(whole, word, worth)
    total = float(whole.sum())
    covered = np.zeros(len(chunks), np.float32)
    if not total:
        return covered
    parts = np.zeros(len(word), WORTH)
    parts["word"], parts["worth"] = word, worth
    bounds = np.searchsorted(chunks, lists.snapshot.chunk_base).tolist()
    for number, (first, last) in enumerate(pairwise(bounds)):
        if first < last:
            parts["found"] = lists.found[number]
            local = (chunks[first:last] - lists.snapshot.chunk_base[number]).astype(np.uint32)
            seen = lists.snapshot.segments[number].scorer.look_up(parts, len(whole), local)
            covered[first:last] = seen.sum(0) / np.float32(total)
    return covered


def _strengths(lists: TermLists) -> Records:
    """Return the terms as TERM; a word that only paths contain counts there like the rarest one."""
    highest = max(lists.idf, default=0.0) or 1.0
    terms = np.zeros(len(lists.query), TERM)
    pairs = list(zip(lists.query, lists.idf, strict=True))
    terms["strength"] = [value * term.weight for term, value in pairs]
    terms["path_strength"] = [(value or highest) * term.weight for term, value in pairs]
    return terms


@dataclass(frozen=True, slots=True)
class _Named:
    """The documents whose path has a term, for one term after the other, ascending."""

    doc: I64
    frequency: F32
    end: I64  # [terms] where those of each end

    def within(self, base: int, n_docs: int) -> tuple[I64, F32, I64]:
        """Return the same of the documents of a segment, which are numbered from its first one on."""
        inside = (self.doc >= base) & (self.doc < base + n_docs)
        if inside.all():
            return self.doc - base, self.frequency, self.end
        before = np.append(0, np.cumsum(inside))
        return self.doc[inside] - base, self.frequency[inside], before[self.end]


def _named(lists: TermLists, weights: Rank, paths: PathMatches | None) -> _Named:
    if paths is None:
        return _Named(np.empty(0, np.int64), np.empty(0, np.float32), np.zeros(len(lists.query), np.int64))
    docs, share, end = paths([term.text for term in lists.query])
    term = np.repeat(np.arange(len(end)), np.diff(end, prepend=0))
    order = np.argsort(term << _DOC_BITS | docs)
    return _Named(docs[order], share[order] * np.float32(weights.path_weight), end)


_DOC_BITS = 40


def _mean_length(snapshot: Snapshot) -> float:
    total = sum(_length(segment) for segment in snapshot.segments)
    return max(1.0, total / max(1, snapshot.n_chunks))


def _length(segment: Segment) -> int:
    """Return the words of a segment; summed once, segments do not change."""
    known = _lengths.get(segment)
    if known is None:
        known = _lengths[segment] = int(segment.chunk_words.sum(dtype=np.int64))
    return known


_lengths: WeakKeyDictionary[Segment, int] = WeakKeyDictionary()


def _variants(term: bytes) -> list[bytes]:
    """Return other English forms of a plain word: retry, retries, retried, retrying."""
    if len(term) < 4 or not term.isalpha() or not term.isascii():
        return []
    stem = _stem(term)
    y = stem[:-1] if stem.endswith(b"y") else None
    forms = [stem, stem + b"s", stem + b"ed", stem + b"ing", stem + b"e", stem + b"es", stem + b"er"]
    if y is not None:
        forms += [y + b"ies", y + b"ied"]
    if stem.endswith(b"e"):
        forms += [stem[:-1] + b"ing", stem + b"d", stem + b"r"]
    return [form for form in dict.fromkeys(forms) if form != term]


def _stem(term: bytes) -> bytes:
    for ending, instead in _ENDINGS:
        if term.endswith(ending) and len(term) - len(ending) >= 3:
            return term[: -len(ending)] + instead
    return term


_ENDINGS = (
    (b"ies", b"y"), (b"ied", b"y"), (b"sses", b"ss"), (b"shes", b"sh"), (b"ches", b"ch"), (b"xes", b"x"),
    (b"ss", b"ss"), (b"us", b"us"), (b"s", b""), (b"ing", b""), (b"ed", b""),
)  # fmt: skip
