"""Which rows of the vector pool belong to this index, and whether it is the pool that has their vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from indexer.records import F16, U32
from indexer.store import catalog, opening, recovery
from indexer.store.catalog import Freed, pack, read_all
from indexer.store.draft import State
from indexer.store.env import Env
from indexer.store.lost_vectors import LostVectors


class RowPool(Protocol):
    """What the writer needs of pool.Pool."""

    dim: int
    identity: str
    rows_max: int

    def mark_used(self, rows: U32) -> None: ...
    def alloc(self, n: int) -> U32: ...
    def write(self, rows: U32, vectors: F16) -> None: ...
    def flush(self) -> None: ...
    def release(self, rows: U32) -> None: ...
    def free(self, rows: U32, generation: int) -> None: ...
    def reclaim(self, oldest_generation: int) -> int: ...
    def start_over(self) -> None: ...


def enter(
    pool: RowPool, env: Env, state: State, store_dir: Path, fingerprint: str, changes_kept: int
) -> tuple[LostVectors | None, list[str]]:
    """Tell the pool which rows are in use, and the catalog which pool that is.

    Returns the vectors that have to be computed again, if any, and in words what is wrong. Raises
    StoreCorrupt if two chunks have one row, StoreFull.
    """
    problems: list[str] = []
    rows, freed = _in_use(env, state, store_dir / "segments")
    taken = np.concatenate([rows, *(each for _, each in freed)])
    if len(taken) and int(taken.max()) >= pool.rows_max:
        problems.append(f"the new vector pool has only {pool.rows_max} rows; everything is indexed anew")
        opening.wipe(env, state, fingerprint, changes_kept)
        recovery.remove_orphans(store_dir / "segments", set())
        rows, freed, taken = rows[:0], [], taken[:0]
    is_other = state.meta.pool != pool.identity
    lost = None
    if len(rows) and (is_other or state.meta.vectors_lost):
        lost = LostVectors(rows)
        pool.start_over()  # whatever is in it belongs to another index
        problems.append(
            "the vector pool is not the one of this index, or was not complete: it was deleted, damaged or"
            f" replaced; the vectors of {len(rows)} chunks are computed again"
        )
    if is_other or lost is not None:
        bind(pool, env, state, vectors_lost=lost is not None)
    pool.mark_used(taken)
    for generation, each in freed:
        pool.free(each, generation)
    return lost, problems


def bind(pool: RowPool, env: Env, state: State, vectors_lost: bool) -> None:
    """Remember in which pool the rows are, and whether vectors are missing there."""
    meta = msgspec.structs.replace(state.meta, pool=pool.identity, vectors_lost=vectors_lost)
    with env.write() as txn:
        txn.put("meta", catalog.META_KEY, pack(meta))
    env.sync()
    state.meta = meta


def _in_use(env: Env, state: State, segments_dir: Path) -> tuple[U32, list[tuple[int, U32]]]:
    """Return the pool rows of all chunks, and by generation those that were freed and may still be seen."""
    opened = [recovery.open_segment(segments_dir, record.info) for record in state.records.values()]
    rows = [np.empty(0, np.uint32), *map(recovery.used_rows, opened)]
    with env.read() as txn:
        freed = [
            (generation, np.frombuffer(record.rows, "<u4").astype(np.uint32))
            for generation, record in read_all(txn, "freed", Freed)
        ]
    return np.concatenate(rows), freed
