"""The next generation in the making: collected in memory, written in one transaction, then remembered.

The writer's picture of the index (`State`) changes only after the commit succeeded; a failed one leaves it
as the catalog still is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import numpy as np

from indexer.records import U32
from indexer.store import catalog, faults
from indexer.store.catalog import Change, Freed, Meta, SegmentRecord, pack, u32_key, u64_key
from indexer.store.env import Env, Transaction
from indexer.store.ledger import Turned

CHANGED_PATHS_KEPT = 200_000  # paths in all changes kept for readers, about 20 MB


@dataclass(slots=True)
class State:
    """What the writer knows of the published generation without asking the catalog."""

    meta: Meta = field(default_factory=Meta)
    records: dict[int, SegmentRecord] = field(default_factory=dict)
    members: dict[int, U32] = field(default_factory=dict)  # segment -> its blob ids, sorted
    changes: deque[tuple[int, int]] = field(default_factory=deque)  # in the catalog: generation, paths
    freed: list[int] = field(default_factory=list)  # generations with rows that wait in the catalog
    reclaimed: int = 0  # rows freed up to this generation are in the pool's free list again

    def segments_of(self, blobs: Iterable[int]) -> dict[int, int]:
        """Return the segment of each blob."""
        asked = np.array(sorted(blobs), np.uint32)
        found: dict[int, int] = {}
        if not len(asked):
            return found
        for segment_id, members in self.members.items():
            at = np.minimum(np.searchsorted(members, asked), len(members) - 1)
            found.update(dict.fromkeys(asked[members[at] == asked].tolist(), segment_id))
        return found


class Draft:
    """Everything one generation changes."""

    def __init__(self, txn: Transaction, state: State) -> None:
        """Start from the published state."""
        self.txn = txn
        self.meta = state.meta
        self.change = Change()
        self.records: dict[int, SegmentRecord | None] = {}
        self.members: dict[int, U32] = {}
        self.freed_rows: U32 = np.empty(0, np.uint32)
        self._state = state

    def add_segment(self, record: SegmentRecord, members: U32) -> None:
        """Publish a segment."""
        self.records[record.info.id] = record
        self.members[record.info.id] = np.sort(members)

    def remove_segment(self, segment_id: int) -> None:
        """Unpublish a segment."""
        self.records[segment_id] = None

    def settle(self, turned: Turned, nbytes: dict[int, int]) -> None:
        """Count the blobs that died or came back in their segments."""
        for blobs, step in ((turned.died, 1), (turned.revived, -1)):
            owners = self._owners(blobs)
            for blob in blobs:
                record = self._record(owners[blob])
                self.records[owners[blob]] = msgspec.structs.replace(
                    record,
                    dead_docs=record.dead_docs + step,
                    dead_bytes=record.dead_bytes + step * nbytes[blob],
                )

    def _owners(self, blobs: list[int]) -> dict[int, int]:
        both = State(members={**self._state.members, **self.members})
        return both.segments_of(blobs)

    def _record(self, segment_id: int) -> SegmentRecord:
        return self.records.get(segment_id) or self._state.records[segment_id]

    def write(self, changes_kept: int) -> None:
        """Put everything into the transaction, under the next generation."""
        txn, state = self.txn, self._state
        self.meta = msgspec.structs.replace(self.meta, generation=state.meta.generation + 1)
        for segment_id, record in self.records.items():
            if record is None:
                txn.delete("segments", u32_key(segment_id))
            else:
                txn.put("segments", u32_key(segment_id), pack(record))
        generation = u64_key(self.meta.generation)
        txn.put("changes", generation, pack(self.change))
        for old in self._outdated(changes_kept):
            txn.delete("changes", u64_key(old))
        for old in state.freed:
            if old <= state.reclaimed:
                txn.delete("freed", u64_key(old))
        if len(self.freed_rows):
            txn.put("freed", generation, pack(Freed(self.freed_rows.astype("<u4").tobytes())))
        txn.put("meta", catalog.META_KEY, pack(self.meta))

    def _outdated(self, changes_kept: int) -> list[int]:
        """Return the changes to forget, so that their number and their paths stay bounded."""
        kept = self._state.changes
        n_paths = sum(paths for _, paths in kept) + self._n_paths()
        outdated = []
        for i, (generation, paths) in enumerate(kept):
            if len(kept) - i < changes_kept and n_paths <= CHANGED_PATHS_KEPT:
                break
            outdated.append(generation)
            n_paths -= paths
        return outdated

    def _n_paths(self) -> int:
        return len(self.change.files) + len(self.change.removed)

    def remember(self, changes_kept: int) -> None:
        """Make this the published state; the commit succeeded."""
        state = self._state
        for _ in self._outdated(changes_kept):
            state.changes.popleft()
        state.changes.append((self.meta.generation, self._n_paths()))
        state.freed = [old for old in state.freed if old > state.reclaimed]
        if len(self.freed_rows):
            state.freed.append(self.meta.generation)
        state.members.update(self.members)
        for segment_id, record in self.records.items():
            if record is None:
                state.records.pop(segment_id, None)
                state.members.pop(segment_id, None)
            else:
                state.records[segment_id] = record
        state.meta = self.meta


@contextmanager
def publishing(env: Env, state: State, changes_kept: int, fault: str = "before-commit") -> Iterator[Draft]:
    """Collect a generation in the block and publish it at its end; an exception publishes nothing."""
    with env.write() as txn:
        draft = Draft(txn, state)
        yield draft
        draft.write(changes_kept)
        faults.point(fault)
    draft.remember(changes_kept)
