"""Retriever: BM25F over the words of chunks (Robertson and Zaragoza 2009).

    score(chunk) = sum over terms of idf * tf / (k1 + tf)
    tf           = body / (1 - b + b * length / mean length) + name_weight * name + path_weight * path

`body` and `name` counts stand in the segments' postings; `path`, the share of a word in the path, belongs to
the file, so it comes from the caller. Any word may be missing from a chunk; a file whose path alone matches
is found by its first chunk. idf counts all chunks of the snapshot.

Scores go into one dense array per segment and only its non-zero entries are looked at again: for a million
chunks that is a millisecond, where merging sorted lists in NumPy is ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import log1p
from weakref import WeakKeyDictionary

import numpy as np

from config.settings import Rank
from indexer.records import F32, I64, U8, U32, Bool
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from indexer.words import term_hash, terms, words
from search.budget import Budget
from search.places import segment_masks

VARIANT_WEIGHT = 0.5  # of another form of a word (retries for retry), against the word itself
SAMPLE_STEP = 16  # of many values every so manieth says which of the others need not be looked at
TERMS_MAX = 64  # of one query; a pasted function says enough with its first words

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


# Term -> (global documents, share 0..1) whose path contains it; None: paths do not count.
PathMatches = Callable[[bytes], tuple[I64, F32]]


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
    """The terms of one query in one snapshot: idf, and the postings that any step read, once."""

    def __init__(self, snapshot: Snapshot, query: tuple[Term, ...]) -> None:
        """Look all terms up; 2 us a term and segment."""
        self.snapshot = snapshot
        self.query = query
        hashes = [term_hash(term.text) for term in query]
        self._at = [[segment.terms.find(h) for h in hashes] for segment in snapshot.segments]
        self._known: dict[tuple[int, int], tuple[U32, U8]] = {}
        self.idf = self._idf()

    def postings(self, segment: int, term: int) -> tuple[U32, U8]:
        """Return the sorted chunks of a segment (by number) that contain a term, and its counts in each."""
        known = self._known.get((segment, term))
        if known is None:
            known = self.snapshot.segments[segment].postings_at(self._at[segment][term])
            self._known[segment, term] = known
        return known

    def _idf(self) -> list[float]:
        """Return the idf of each term, never below 0; 0 where no chunk has it.

        Another form of a word is never rarer than the word itself: `retrys` would outweigh `retry`.
        """
        n = max(1, self.snapshot.n_chunks)
        out: list[float] = []
        limit: dict[int, float] = {}
        for number, term in enumerate(self.query):
            found = 0
            for segment, at in zip(self.snapshot.segments, self._at, strict=True):
                found += segment.terms.count(at[number]) if at[number] >= 0 else 0
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

    When the budget ends, the segments read so far answer.
    """
    snapshot = lists.snapshot
    scale = _Scale(lists, weights, paths)
    chunks: list[I64] = []
    scores: list[F32] = []
    for segment, base, mask in segment_masks(snapshot, doc_mask):
        if budget.over():
            break
        number = int(np.searchsorted(snapshot.seg_base, base, side="right")) - 1
        local, score = _score_segment(segment, number, base, mask, scale, n)
        first = int(snapshot.chunk_base[number])
        chunks.append(local + first)
        scores.append(score)
    if not chunks:
        return Scored(np.empty(0, np.int64), np.empty(0, np.float32))
    chunk, score = np.concatenate(chunks), np.concatenate(scores)
    order = np.lexsort((chunk, -score))[:n]
    return Scored(chunk[order], score[order])


def cover(lists: TermLists, chunks: I64) -> F32:
    """Return for each chunk the share of the query's words in it, 0..1, each weighing its idf."""
    n_words = 1 + max((term.word for term in lists.query), default=-1)
    if not n_words or not len(chunks):
        return np.zeros(len(chunks), np.float32)
    base = lists.snapshot.chunk_base
    owner = np.searchsorted(base, chunks, side="right") - 1
    parts = [
        (number, at, (chunks[at] - int(base[number])).astype(np.uint32))
        for number in np.unique(owner).tolist()
        for at in (np.flatnonzero(owner == number),)
    ]
    whole = np.zeros(n_words, np.float32)
    seen = np.zeros((n_words, len(chunks)), np.float32)
    for term_number, (term, value) in enumerate(zip(lists.query, lists.idf, strict=True)):
        if value == 0.0:
            continue
        whole[term.word] = max(whole[term.word], value * term.weight)
        for number, at, local in parts:
            listed = lists.postings(number, term_number)[0]
            if len(listed):
                found = np.minimum(listed.searchsorted(local), len(listed) - 1)
                has = at[listed[found] == local]
                seen[term.word, has] = np.maximum(seen[term.word, has], value * term.weight)
    total = float(whole.sum())
    return (seen.sum(0) / total).astype(np.float32) if total else np.zeros(len(chunks), np.float32)


class _Scale:
    """What all segments share: idf of each term, mean length, path matches."""

    def __init__(self, lists: TermLists, weights: Rank, paths: PathMatches | None) -> None:
        self.lists = lists
        self.query = lists.query
        self.weights = weights
        self.idf = lists.idf
        self.mean_length = _mean_length(lists.snapshot)
        self.paths = [paths(term.text) if paths else _NO_PATHS for term in self.query]

    def saturate(self, frequency: F32) -> F32:
        return frequency / (np.float32(self.weights.bm25_k1) + frequency)


def _score_segment(
    segment: Segment, segment_number: int, base: int, mask: Bool, scale: _Scale, n: int
) -> tuple[I64, F32]:
    weights = scale.weights
    # Linear in the path's part: every touched chunk gets it once at the end, postings get the difference.
    score = np.zeros(segment.n_chunks, np.float32)
    doc_score = np.zeros(segment.n_docs, np.float32)
    for number, term in enumerate(scale.query):
        strength = np.float32(scale.idf[number] * term.weight)
        docs, path = _path_frequency(segment, base, number, scale)
        if path is not None:  # a document that two paths have is named twice, and counts once
            doc_score[docs] += _path_idf(scale, number) * scale.saturate(path[docs])
        chunks, counts = scale.lists.postings(segment_number, number)
        if not len(chunks):
            continue
        body = (counts & 15).astype(np.float32)
        name = (counts >> 4).astype(np.float32)
        length = segment.chunk_words[chunks].astype(np.float32)
        norm = np.float32(1 - weights.bm25_b) + np.float32(weights.bm25_b / scale.mean_length) * length
        frequency = body / norm + np.float32(weights.name_weight) * name
        if path is None:
            score[chunks] += strength * scale.saturate(frequency)
        else:
            of_path = path[segment.doc_of_chunk(chunks)]
            gained = scale.saturate(frequency + of_path) - scale.saturate(of_path)
            score[chunks] += strength * gained
    if not mask.all():
        score[np.repeat(~mask, np.diff(segment.doc_chunk))] = 0
    touched = np.flatnonzero(score != 0)  # of booleans: three times as fast
    touched, values = _with_paths(segment, score, touched, np.where(mask, doc_score, 0))
    best = _greatest(values, n)
    return touched[best].astype(np.int64), values[best].astype(np.float32)


def _greatest(values: F32, n: int) -> I64:
    """Return the positions of the n greatest values, of all if there are no more."""
    rest = np.arange(len(values))
    some = values[::SAMPLE_STEP]
    if len(some) > n:  # the n-th greatest of a part is at most the n-th greatest of all
        rest = np.flatnonzero(values >= np.partition(some, len(some) - n)[len(some) - n])
    if len(rest) > n:
        rest = rest[np.argpartition(-values[rest], n - 1)[:n]]
    return rest


def _with_paths(segment: Segment, score: F32, touched: I64, doc_score: F32) -> tuple[I64, F32]:
    """Add what the path gives to every touched chunk, and the first chunk of files found by path alone."""
    owner = segment.doc_of_chunk(touched)
    values = score[touched] + doc_score[owner]
    alone = doc_score > 0
    alone[owner] = False
    docs = np.flatnonzero(alone)
    docs = docs[segment.doc_chunk[docs] < segment.doc_chunk[docs + 1]]
    first = segment.doc_chunk[docs].astype(np.int64)
    return np.concatenate((touched, first)), np.concatenate((values, doc_score[docs]))


def _path_frequency(segment: Segment, base: int, number: int, scale: _Scale) -> tuple[I64, F32 | None]:
    """Return the documents of a segment whose path has a term, and for all documents how often it counts."""
    docs, share = scale.paths[number]
    if not len(docs):
        return _NONE, None
    inside = np.flatnonzero((docs >= base) & (docs < base + segment.n_docs))
    if not len(inside):
        return _NONE, None
    out = np.zeros(segment.n_docs, np.float32)
    local = docs[inside] - base
    np.maximum.at(out, local, share[inside] * np.float32(scale.weights.path_weight))
    return local, out


_NONE: I64 = np.empty(0, np.int64)
_NO_PATHS: tuple[I64, F32] = (_NONE, np.empty(0, np.float32))


def _path_idf(scale: _Scale, number: int) -> np.float32:
    """Return the strength of a term in paths; a word that only paths contain counts like the rarest one."""
    value = scale.idf[number] or max(scale.idf, default=0.0) or 1.0
    return np.float32(value * scale.query[number].weight)


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
