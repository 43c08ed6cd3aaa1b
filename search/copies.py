"""Which pieces of indexed code may be copies of a piece, by the posting lists of its words.

A *unit* is what is compared: a definition, or a chunk that shows none. With m distinct runs of tokens
(`shingles`) and a threshold t, a unit whose share is at least t has at least t * m of them, so it lacks at
most k = m - t * m. A run stands only where all its words stand; each run is charged to its rarest word, and a
unit without a word lacks all runs charged to it. Hence two sound tests:

    1  words, rarest first, until more than k runs are charged to them: a copy has at least one of these
    2  the runs charged to all words that a unit lacks: at most k of them

Both look at posting lists alone, and neither loses a unit with t of the runs as they stand. What is left is
read and compared. Renamed copies lack the words: those are looked for by vectors (`duplicates`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil

import numpy as np

from indexer.records import I64, U32, Bool
from indexer.store.postings import spans
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from indexer.words import term_hash
from indexer.words import terms as word_terms
from search.places import last_at_most, segment_masks
from search.shingles import TOKENS_MIN, Runs, is_word
from search.similar import n_chunks_of

READ_US = 200.0  # to read and compare a unit, about
POSTING_US = 0.005  # to decode a posting, about
CHUNKS_AT_ONCE = 1 << 16  # whose units are made together: 60 MB of them


@dataclass(frozen=True, slots=True)
class Units:
    """Units of one segment, as columns."""

    number: int  # of the segment in the snapshot
    ordinal: I64  # of the document
    start: I64
    end: I64
    definition: I64  # -1: a chunk that shows none
    first: I64  # the chunks that it touches: [first, last)
    last: I64

    def __len__(self) -> int:
        return len(self.start)

    def where(self, keep: Bool | I64) -> Units:
        """Return the units that `keep` selects."""
        return Units(
            self.number,
            self.ordinal[keep],
            self.start[keep],
            self.end[keep],
            self.definition[keep],
            self.first[keep],
            self.last[keep],
        )


@dataclass(frozen=True, slots=True)
class Charged:
    """A word, and how many runs stand nowhere without it."""

    term: bytes
    n_chunks: int  # that have it
    n_runs: int


def charges(snapshot: Snapshot, runs: Runs) -> list[Charged]:
    """Charge every run to the rarest of its words; rarest first. Runs without a word are nobody's."""
    found: dict[bytes, tuple[int, bytes]] = {}
    for word in sorted({token for run in runs for token in run if is_word(token)}):
        if split := word_terms(word):
            found[word] = (n_chunks_of(snapshot, split[-1]), split[-1])
    charged = Counter(
        rarest for run in runs if (rarest := min((found[t] for t in run if t in found), default=None))
    )
    return [Charged(term, n_chunks, n) for (n_chunks, term), n in sorted(charged.items())]


def lacking_at_most(runs: Runs, threshold: float) -> int:
    """Return how many of the runs a unit may lack and still have a share of `threshold`."""
    return len(runs) - ceil(threshold * len(runs) - 1e-9)


def sharing(
    snapshot: Snapshot, docs: Bool, runs: Runs, threshold: float, over: Callable[[], bool] = lambda: False
) -> Iterator[Units]:
    """Yield all units of the documents that may share so much of the runs; others too, and some twice.

    docs  bool [n_docs] over the global documents
    over  asked between two steps: whether to stop, with what was found

    Raises TooCommon where most runs have no word, so that every unit might.
    """
    words = charges(snapshot, runs)
    slack = lacking_at_most(runs, threshold)
    some = needed(words, slack)
    if some is None:
        raise TooCommon
    for segment, base, mask in segment_masks(snapshot, docs):
        number = int(np.searchsorted(snapshot.seg_base, base, side="right")) - 1
        chunks_of = lru_cache(maxsize=None)(partial(_chunks, segment))
        listed = [np.empty(0, np.uint32), *(chunks_of(word.term) for word in words[:some])]
        chunks = np.unique(np.concatenate(listed)).astype(np.int64)
        chunks = chunks[mask[segment.doc_of_chunk(chunks)]]
        for low in range(0, len(chunks), CHUNKS_AT_ONCE):
            if over():
                return
            units = units_of_chunks(segment, number, chunks[low : low + CHUNKS_AT_ONCE])
            units = _lacking(units, chunks_of, words, slack)
            if len(units):
                yield units


class TooCommon(Exception):
    """No list of words narrows the units down."""


def needed(words: list[Charged], slack: int) -> int | None:
    """Return how many words, rarest first, every copy has one of; None if not even all are enough."""
    lost = 0
    for i, word in enumerate(words):
        lost += word.n_runs
        if lost > slack:
            return i + 1
    return None


def units_of_chunks(segment: Segment, number: int, chunks: I64) -> Units:
    """Return the units that touch some chunks (numbers of the segment, ascending)."""
    ordinal = segment.doc_of_chunk(chunks).astype(np.int64)
    start = segment.chunk_start[chunks].astype(np.int64)
    end = segment.chunk_end[chunks].astype(np.int64)
    defs = _definitions(segment, ordinal, start, end)
    owner = segment.doc_of_def(defs).astype(np.int64)
    begins, ends = segment.def_start[defs].astype(np.int64), segment.def_end[defs].astype(np.int64)
    low, high = segment.doc_chunk[owner].astype(np.int64), segment.doc_chunk[owner + 1].astype(np.int64)
    first = np.maximum(last_at_most(segment.chunk_start, low, high, begins), low)
    last = np.maximum(last_at_most(segment.chunk_start, low, high, ends - 1), low) + 1
    plain = segment.chunk_def[chunks] < 0
    alone = chunks[plain]
    units = Units(
        number,
        np.concatenate((owner, ordinal[plain])),
        np.concatenate((begins, start[plain])),
        np.concatenate((ends, end[plain])),
        np.concatenate((defs, np.full(len(alone), -1, np.int64))),
        np.concatenate((first, alone)),
        np.concatenate((last, alone + 1)),
    )
    return units.where(units.end - units.start >= TOKENS_MIN)


def _definitions(segment: Segment, ordinal: I64, start: I64, end: I64) -> I64:
    """Return the definitions that touch [start, end) of documents, each once, ascending."""
    if not segment.n_defs:
        return np.empty(0, np.int64)
    low, high = segment.doc_def[ordinal].astype(np.int64), segment.doc_def[ordinal + 1].astype(np.int64)
    before = last_at_most(segment.def_start, low, high, start)
    inside = last_at_most(segment.def_start, low, high, end - 1)
    parts = [spans(before + 1, inside - before)]
    above = np.where(before < low, -1, before)
    while (some := above >= 0).any():
        above, start = above[some], start[some]
        parts.append(above[segment.def_end[above] > start])
        above = segment.def_parent[above].astype(np.int64)
    return np.unique(np.concatenate(parts)).astype(np.int64)


def _lacking(units: Units, chunks_of: Callable[[bytes], U32], words: list[Charged], slack: int) -> Units:
    """Return the units that lack words of at most `slack` runs, as far as it is worth finding out."""
    lacks = np.zeros(len(units), np.int64)
    for word in words:
        if len(units) * READ_US < word.n_chunks * POSTING_US:
            break  # reading what is left is cheaper than the list
        listed = chunks_of(word.term)
        has = np.searchsorted(listed, units.first) < np.searchsorted(listed, units.last)
        lacks += np.where(has, 0, word.n_runs)
        keep = lacks <= slack
        if not keep.all():
            units, lacks = units.where(keep), lacks[keep]
    return units


def _chunks(segment: Segment, term: bytes) -> U32:
    return segment.term_postings(term_hash(term))[0]
