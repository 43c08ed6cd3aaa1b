"""Exhaustive search: every matching line, in the order of paths.

    plan     pattern -> posting lists -> candidate files -> batches of neighbouring paths
    read     a batch -> what its files show, checked against the disk (batch.py)

Batches are read in any order and shown in the order they were made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from indexer.records import I64, Bool
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from search.batch import Batch, PatternSpec
from search.budget import Budget
from search.candidates import TrigramFilter, as_ordinals, pages_of
from search.facts import RootFacts
from search.lines import LinePattern
from search.runs import firsts
from search.trust import Trust

# Content of one batch. What is little is one. Of more, the first is shown soon, and the last ones do not
# leave one process waiting for another.
ONE_BATCH_BYTES = 3 << 20  # 4 ms
FIRST_BATCH_BYTES = 1 << 20
BATCH_BYTES_MIN = 1 << 21
BATCH_BYTES_MAX = 1 << 23  # some milliseconds of work, some hundred files
PARTS = 4  # what is left is cut into so many, within these bounds


@dataclass(frozen=True, slots=True)
class GrepRequest:
    """One exhaustive question about one root."""

    spec: PatternSpec
    root_id: int
    path_prefix: str = ""  # only files below this directory of the root, or this file
    query: str = ""  # filters in the query language
    languages: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    deadline_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Sweep:
    """An exhaustive search that is about to read its candidate files, of one generation."""

    snapshot: Snapshot
    facts: RootFacts
    found: Candidates
    pattern: LinePattern
    budget: Budget
    file_bytes_max: int
    files_searched: int
    trusted: Callable[[list[str], int, int], Trust]  # (why steps stopped, files changed, files gone)
    stops: list[str]

    @property
    def nbytes(self) -> int:
        """Bytes of all candidates."""
        return int(self.found.nbytes.sum())

    @property
    def segments(self) -> dict[str, Segment]:
        """The segments that batches name."""
        return {str(segment.path): segment for segment in self.snapshot.segments}

    def batches(self) -> Iterator[Batch]:
        """Return the work, in order."""
        return batches(self.snapshot, self.facts, self.found, self.file_bytes_max)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may match."""

    slots: I64  # files in order of path
    nbytes: I64  # how much of each is to be read
    pages: tuple[Bool, ...]  # of each segment of the snapshot: which of its pages


def candidates(snapshot: Snapshot, facts: RootFacts, pattern: LinePattern, slots: Bool) -> Candidates:
    """Return the files of `slots` that may match."""
    narrow = TrigramFilter(pattern.query)
    mask = facts.view.live_docs() if slots is facts.alive else facts.doc_mask(slots)
    found = [np.empty((2, 0), np.int64)]  # documents, and how much of each is to be read
    masks: list[Bool] = []
    for segment, base in zip(snapshot.segments, snapshot.seg_base.tolist(), strict=False):
        pages = narrow.pages(segment, as_ordinals(mask, base, segment.n_docs))
        if pattern.whole_docs:
            pages = pages_of(segment, np.unique(segment.page_doc[pages]))
        masks.append(np.zeros(segment.n_pages, np.bool_))
        if len(pages):
            masks[-1][pages] = True
            docs = segment.page_doc[pages]
            first = firsts(docs)
            nbytes = np.add.reduceat(segment.page_at[pages + 1] - segment.page_at[pages], first)
            found.append(np.stack((base + docs[first], nbytes)))
    docs, nbytes = np.concatenate(found, axis=1)
    chosen = facts.slots_of(docs)
    chosen = facts.in_path_order(chosen[slots[chosen]])
    return Candidates(chosen, nbytes[np.searchsorted(docs, facts.doc[chosen])], tuple(masks))


def batches(snapshot: Snapshot, facts: RootFacts, found: Candidates, file_bytes_max: int) -> Iterator[Batch]:
    """Cut the candidates into batches."""
    slots = found.slots
    docs = facts.doc[slots]
    number = np.searchsorted(snapshot.seg_base, docs, side="right") - 1
    ordinal = docs - snapshot.seg_base[number]
    view = facts.view
    root = os.fsencode(view.path)
    segments = tuple(str(segment.path) for segment in snapshot.segments)
    ends = np.cumsum(found.nbytes)
    total = int(ends[-1]) if len(ends) else 0
    room = FIRST_BATCH_BYTES if total > ONE_BATCH_BYTES else total
    low = 0
    while low < len(slots):
        before = int(ends[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(ends, before + room, side="right")))
        room = min(2 * room, BATCH_BYTES_MAX, max((total - before) // PARTS, BATCH_BYTES_MIN))
        part = slots[low:high]
        used, where = np.unique(number[low:high], return_inverse=True)
        pages = []
        for i, segment in enumerate(used.tolist()):
            of_docs = pages_of(snapshot.segments[segment], np.unique(ordinal[low:high][where == i]))
            pages.append(of_docs[found.pages[segment][of_docs]])
        yield Batch(
            root=root,
            paths=facts.paths[part].tolist(),
            size=view.size[part],
            mtime_ns=view.mtime_ns[part],
            segments=tuple(segments[i] for i in used.tolist()),
            pages=tuple(pages),
            segment=where,
            ordinal=ordinal[low:high],
            file_bytes_max=file_bytes_max,
            nbytes=int(ends[high - 1]) - before,
        )
        low = high
