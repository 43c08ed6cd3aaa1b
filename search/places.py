"""Places of a snapshot: from (document, offset) to chunk, definition and segment, many at once.

A place is a global document number and a byte offset in its content. Segments keep chunks and definitions of
a document as a sorted run of one long array; `last_at_most` searches all runs together, so a thousand places
cost a dozen array operations and no Python loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexer.records import F32, I32, I64, U32, Bool
from indexer.store.postings import spans
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot

NONE = -1


@dataclass(frozen=True, slots=True)
class Places:
    """What one retriever found: places with scores, in any order."""

    doc: I64  # global document numbers
    start: I64  # byte offset of the match in the document
    end: I64
    definition: I64  # segment-wide number of the definition that was matched, -1 if none
    score: F32  # higher is better; comparable within one retriever only

    def __len__(self) -> int:
        return len(self.doc)

    def where(self, keep: Any) -> Places:
        """Return the places that `keep` (a mask or positions) selects."""
        return Places(
            self.doc[keep], self.start[keep], self.end[keep], self.definition[keep], self.score[keep]
        )


def no_places() -> Places:
    """Return the empty set of places."""
    return make_places([], [], [])


def make_places(doc: Any, start: Any, end: Any, definition: Any = None, score: Any = None) -> Places:
    """Build Places from anything array-like; definitions default to none, scores to 1."""
    docs = np.asarray(doc, np.int64)
    n = len(docs)
    return Places(
        docs,
        np.asarray(start, np.int64),
        np.asarray(end, np.int64),
        np.full(n, NONE, np.int64) if definition is None else np.asarray(definition, np.int64),
        np.ones(n, np.float32) if score is None else np.asarray(score, np.float32),
    )


def join_places(parts: list[Places]) -> Places:
    """Return all places of all parts."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return no_places()
    return Places(
        np.concatenate([p.doc for p in parts]),
        np.concatenate([p.start for p in parts]),
        np.concatenate([p.end for p in parts]),
        np.concatenate([p.definition for p in parts]),
        np.concatenate([p.score for p in parts]),
    )


def by_segment(snapshot: Snapshot, docs: I64) -> Iterator[tuple[Segment, int, I64, I64]]:
    """Yield (segment, its first document, positions in `docs`, ordinals) for every segment that `docs`
    touches."""
    if not len(docs):
        return
    if len(snapshot.segments) == 1:
        base = int(snapshot.seg_base[0])
        yield snapshot.segments[0], base, np.arange(len(docs)), docs - base
        return
    owner = np.searchsorted(snapshot.seg_base, docs, side="right") - 1
    for number in np.unique(owner).tolist():
        base = int(snapshot.seg_base[number])
        positions = np.flatnonzero(owner == number)
        yield snapshot.segments[number], base, positions, docs[positions] - base


def by_chunks(snapshot: Snapshot, chunks: I64) -> Iterator[tuple[int, Any, I64]]:
    """Yield (number of the segment, positions in `chunks`, their numbers there) for every segment that global
    chunk numbers touch."""
    if len(snapshot.segments) == 1:
        yield 0, slice(None), chunks
        return
    owner = np.searchsorted(snapshot.chunk_base, chunks, side="right") - 1
    for number in distinct(owner).tolist():
        positions = np.flatnonzero(owner == number)
        yield number, positions, chunks[positions] - int(snapshot.chunk_base[number])


def distinct(values: I64) -> I64:
    """Return the distinct values in order; a third of what np.unique takes for some hundred."""
    ordered = np.sort(values)
    keep = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=keep[1:])
    return ordered[keep]


def last_at_most(values: Any, low: I64, high: I64, keys: I64) -> I64:
    """Return for every i the last position p in [low[i], high[i]) with values[p] <= keys[i]; low[i] - 1 if
    none.

    values  sorted within each run [low, high), below 2 ** 32, as the keys and positions are
    """
    low, high = low.astype(np.int64), high.astype(np.int64)
    runs, which = np.unique(low << _BITS | high, return_inverse=True)
    first, length = runs >> _BITS, (runs & _MASK) - (runs >> _BITS)
    if int(length.sum()) > RUNS_MAX:
        return _bisected(values, low, high, keys)
    # One table of all runs, told apart by the number above the value, is searched for all keys at once.
    begin = np.cumsum(length) - length
    table = np.repeat(np.arange(len(runs)) << _BITS, length) + values[spans(first, length)]
    found = np.searchsorted(table, (which << _BITS) + keys, side="right") - 1
    out: I64 = low + found - begin[which]
    return out


RUNS_MAX = 1 << 14  # values that are copied to be searched together: 20 us; bisecting step by step takes 100
_BITS = 32
_MASK = (1 << _BITS) - 1


def _bisected(values: Any, low: I64, high: I64, keys: I64) -> I64:
    """Return what `last_at_most` does, whatever the length of the runs."""
    top = len(values) - 1
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        up = open_ & (values[np.minimum(middle, top)] <= keys)
        low = np.where(up, middle + 1, low)
        high = np.where(open_ & ~up, middle, high)
    return low - 1


def chunks_at(snapshot: Snapshot, docs: I64, offsets: I64) -> I64:
    """Return the global chunk number of every place; -1 where a document has no chunks."""
    out = np.full(len(docs), NONE, np.int64)
    for segment, base, positions, ordinals in by_segment(snapshot, docs):
        low = segment.doc_chunk[ordinals].astype(np.int64)
        high = segment.doc_chunk[ordinals + 1].astype(np.int64)
        local = last_at_most(segment.chunk_start, low, high, offsets[positions])
        first = int(snapshot.chunk_base[_number(snapshot, base)])
        out[positions] = np.where(high > low, np.maximum(local, low) + first, NONE)
    return out


def definitions_at(snapshot: Snapshot, docs: I64, offsets: I64) -> I64:
    """Return the innermost definition around every place (segment-wide number), -1 at file level."""
    out = np.full(len(docs), NONE, np.int64)
    for segment, _, positions, ordinals in by_segment(snapshot, docs):
        if not segment.n_defs:
            continue
        low = segment.doc_def[ordinals].astype(np.int64)
        high = segment.doc_def[ordinals + 1].astype(np.int64)
        keys = offsets[positions]
        found = last_at_most(segment.def_start, low, high, keys)
        found = np.where(found < low, NONE, found)
        while (past := (found >= 0) & (segment.def_end[np.maximum(found, 0)] <= keys)).any():
            found = np.where(past, segment.def_parent[np.maximum(found, 0)], found)
        out[positions] = found
    return out


def definition_at(segment: Segment, ordinal: int, offset: int) -> int:
    """Return what `definitions_at` does for one place of a segment's document: 4 us instead of 60."""
    low, high = int(segment.doc_def[ordinal]), int(segment.doc_def[ordinal + 1])
    found = low + int(segment.def_start[low:high].searchsorted(np.uint32(offset), side="right")) - 1
    if found < low:
        return NONE
    while found >= 0 and int(segment.def_end[found]) <= offset:
        found = int(segment.def_parent[found])
    return found


def chunk_places(snapshot: Snapshot, chunks: I64) -> tuple[I64, I64, I64]:
    """Return (documents, starts, ends) of global chunk numbers."""
    doc = np.empty(len(chunks), np.int64)
    start = np.empty(len(chunks), np.int64)
    end = np.empty(len(chunks), np.int64)
    for number, positions, local in by_chunks(snapshot, chunks):
        segment = snapshot.segments[number]
        doc[positions] = segment.doc_of_chunk(local).astype(np.int64) + int(snapshot.seg_base[number])
        start[positions] = segment.chunk_start[local]
        end[positions] = segment.chunk_end[local]
    return doc, start, end


def definitions_of_chunks(snapshot: Snapshot, chunks: I64) -> I64:
    """Return the definition that each chunk shows (segment-wide number), -1 for none."""
    out = np.full(len(chunks), NONE, np.int64)
    for number, positions, local in by_chunks(snapshot, chunks):
        out[positions] = snapshot.segments[number].chunk_def[local]
    return out


def segment_masks(snapshot: Snapshot, doc_mask: Bool) -> Iterator[tuple[Segment, int, Bool]]:
    """Yield (segment, its first document, its part of `doc_mask`) where that part has a document."""
    for number, segment in enumerate(snapshot.segments):
        base = int(snapshot.seg_base[number])
        part = doc_mask[base : base + segment.n_docs]
        if part.any():
            yield segment, base, part


def spread(offsets: U32, rows: I64) -> tuple[I64, I64]:
    """Return (positions, row index) of all entries of CSR rows; row r owns [offsets[r], offsets[r + 1])."""
    low = offsets[rows].astype(np.int64)
    length = offsets[rows + 1].astype(np.int64) - low
    total = int(length.sum())
    owner = np.repeat(np.arange(len(rows)), length)
    skipped = np.repeat(np.cumsum(length) - length, length)
    return np.arange(total) - skipped + low[owner], owner


def parents(segment: Segment, definition: int) -> list[int]:
    """Return a definition and what encloses it, innermost first."""
    chain: list[int] = []
    parent: I32 = segment.def_parent
    while definition >= 0 and len(chain) < 64:
        chain.append(definition)
        definition = int(parent[definition])
    return chain


def _number(snapshot: Snapshot, base: int) -> int:
    return int(np.searchsorted(snapshot.seg_base, base, side="right")) - 1
