"""The pool against a dictionary, and what it does when there is no room."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import integers

from config.errors import PoolFull, StoreCorrupt, StoreError, StoreFull
from indexer.records import F16, U32
from indexer.store.pool import SLAB_ROWS, Pool, pack_signs

DIM = 96  # 192 bytes a row, 12 of 16 sign bytes used


def vectors(n: int, seed: int = 0, dim: int = DIM) -> F16:
    made = np.random.default_rng(seed).standard_normal((n, dim))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made.astype(np.float16)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    opened = Pool.open(tmp_path / "p", dim=DIM, rows_max=2 * SLAB_ROWS, writable=True)
    yield opened
    opened.close()


def reader(pool: Pool) -> Pool:
    return Pool.open(pool.directory, dim=DIM, rows_max=1, writable=False)


def rows(*numbers: int) -> U32:
    return np.array(numbers, np.uint32)


def test_what_is_written_is_read_by_others_without_a_flush(pool: Pool) -> None:
    other = reader(pool)
    at = pool.alloc(5)
    pool.write(at, vectors(5))
    assert at.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(other.vectors[at], vectors(5))
    assert np.array_equal(other.signs[at], pack_signs(vectors(5)))
    assert other.vectors.shape == (2 * SLAB_ROWS, DIM)
    assert not other.vectors.flags.writeable
    other.close()


def test_signs_are_one_bit_per_number_lowest_first() -> None:
    row = np.full((1, 70), -1.0, np.float16)
    row[0, [0, 9, 69]] = (0.5, 0.0, 1.0)
    assert pack_signs(row).tolist() == [[1, 2, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0]]


def test_lowest_free_rows_come_first_and_gaps_are_filled(pool: Pool) -> None:
    pool.mark_used(rows(0, 1, 3, 7))
    assert pool.alloc(4).tolist() == [2, 4, 5, 6]
    assert pool.alloc(2).tolist() == [8, 9]
    assert (pool.n_used, pool.high_water) == (10, 10)
    pool.write(np.append(rows(2, 4, 5), rows(9)), vectors(4))
    assert np.array_equal(pool.vectors[[2, 4, 5, 9]], vectors(4))
    assert not pool.vectors[6].any()


def test_a_freed_row_waits_for_the_last_reader(pool: Pool) -> None:
    pool.alloc(4)
    pool.free(rows(1, 2), 7)
    assert (pool.n_used, pool.n_waiting) == (2, 2)
    assert pool.reclaim(6) == 0
    assert pool.alloc(1).tolist() == [4]
    assert pool.reclaim(7) == 2
    assert pool.alloc(2).tolist() == [1, 2]


def test_a_failed_batch_gives_its_rows_back_at_once(pool: Pool) -> None:
    pool.release(pool.alloc(3))
    assert pool.n_used == 0
    assert pool.alloc(1).tolist() == [0]


def test_an_empty_batch_changes_nothing(pool: Pool) -> None:
    none = pool.alloc(0)
    pool.write(none, vectors(0))
    pool.free(none, 1)
    pool.mark_used(none)
    assert (pool.n_used, pool.n_waiting, pool.high_water, pool.n_free) == (0, 0, 0, 2 * SLAB_ROWS)


def test_a_full_pool_says_so_and_takes_nothing(pool: Pool) -> None:
    pool.alloc(2 * SLAB_ROWS - 1)
    with pytest.raises(PoolFull):
        pool.alloc(2)
    assert pool.alloc(1).tolist() == [2 * SLAB_ROWS - 1]
    assert pool.n_free == 0


def test_a_full_disk_is_an_error_before_anything_is_taken(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse, raising=False)
        with pytest.raises(StoreFull):
            pool.alloc(1)
    at = pool.alloc(1)
    assert at.tolist() == [0]
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(StoreFull):
            pool.write(at, vectors(1))
    pool.write(at, vectors(1))


def test_a_file_system_that_cannot_reserve_is_used_all_the_same(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot, raising=False)
    at = pool.alloc(1)
    pool.write(at, vectors(1))
    assert np.array_equal(pool.vectors[at], vectors(1))


def test_content_survives_reopening_and_growing(tmp_path: Path) -> None:
    first = Pool.open(tmp_path, dim=DIM, rows_max=10, writable=True)
    at = first.alloc(3)
    first.write(at, vectors(3))
    first.flush()
    first.close()
    second = Pool.open(tmp_path, dim=DIM, rows_max=SLAB_ROWS + 1, writable=True)
    assert second.rows_max == 2 * SLAB_ROWS
    assert second.n_used == 0  # until the catalog says otherwise
    second.mark_used(at)
    second.alloc(SLAB_ROWS)  # reserves the slabs anew
    assert np.array_equal(second.vectors[at], vectors(3))
    second.close()
    assert reader(second).rows_max == 2 * SLAB_ROWS


def test_only_what_is_used_takes_disk(pool: Pool) -> None:
    assert pool.disk_bytes < 100_000
    pool.alloc(1)
    assert pool.disk_bytes < SLAB_ROWS * (DIM * 2 + 16) + 100_000


@pytest.mark.parametrize("used", [(5, 5), (3,), (2 * SLAB_ROWS,)])
def test_rows_that_cannot_be_are_corruption(pool: Pool, used: tuple[int, ...]) -> None:
    pool.mark_used(rows(3))
    with pytest.raises(StoreCorrupt):
        pool.mark_used(rows(*used))


def test_damage_is_named(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no vector pool"):
        Pool.open(tmp_path / "none", dim=DIM, rows_max=1, writable=False)
    with pytest.raises(StoreCorrupt, match="dim 96, not 64"):
        Pool.open(pool.directory, dim=64, rows_max=1, writable=False)
    os.truncate(pool.directory / f"{pool.identity}.signs", 10)
    with pytest.raises(StoreCorrupt, match="signs has 10 bytes"):
        reader(pool)
    header = pool.directory / "header"
    written = header.read_bytes()
    header.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    with pytest.raises(StoreCorrupt, match="damaged"):
        reader(pool)


def cut(pool: Pool) -> None:
    os.truncate(pool.directory / f"{pool.identity}.vectors", 10)


def lose(pool: Pool) -> None:
    (pool.directory / f"{pool.identity}.signs").unlink()


def scribble(pool: Pool) -> None:
    (pool.directory / "header").write_bytes(b"?" * 52)


def delete(pool: Pool) -> None:
    shutil.rmtree(pool.directory)


@pytest.mark.parametrize("harm", [cut, lose, scribble, delete])
def test_a_writer_makes_another_pool_where_there_is_none_that_is_whole(
    pool: Pool, harm: Callable[[Pool], None]
) -> None:
    at = pool.alloc(2)
    pool.write(at, vectors(2))
    pool.flush()
    before = reader(pool)
    assert before.identity == pool.identity == pool.found
    harm(pool)
    other = Pool.open(pool.directory, dim=DIM, rows_max=SLAB_ROWS, writable=True)
    assert other.identity != pool.identity
    assert pool.found == before.found == other.identity
    assert not other.vectors[at].any()
    names = {path.name for path in other.directory.iterdir()}
    assert names == {"header", f"{other.identity}.vectors", f"{other.identity}.signs"}
    if harm is not cut:  # what a reader has mapped is not touched
        assert np.array_equal(before.vectors[at], vectors(2))


def test_a_pool_that_starts_over_is_another_one(pool: Pool) -> None:
    at = pool.alloc(2)
    pool.write(at, vectors(2))
    again = Pool.open(pool.directory, dim=DIM, rows_max=1, writable=True)
    assert again.identity == pool.identity
    old = reader(pool)
    again.start_over()
    assert again.found == again.identity != old.identity
    assert not again.vectors[at].any() and np.array_equal(old.vectors[at], vectors(2))
    assert reader(again).identity == again.identity
    assert again.rows_max == pool.rows_max and again.alloc(1).tolist() == [0]


class PoolMachine(RuleBasedStateMachine):
    """Any order of alloc, free and reclaim: no row is given out twice, none is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[int] = set()
        self.waiting: list[tuple[int, set[int]]] = []
        self.generation = 0

    @initialize()
    def start(self) -> None:
        self.pool = Pool.open(self.directory(), dim=64, rows_max=SLAB_ROWS, writable=True)

    @staticmethod
    def directory() -> Path:
        import tempfile

        return Path(tempfile.mkdtemp())

    @rule(n=integers(0, 50))
    def alloc(self, n: int) -> None:
        got = self.pool.alloc(n).tolist()
        busy = self.held.union(*(held for _, held in self.waiting))
        free = (row for row in range(SLAB_ROWS) if row not in busy)
        assert got == [next(free) for _ in range(n)]
        self.held.update(got)

    @precondition(lambda self: self.held)
    @rule(step=integers(1, 5))
    def free(self, step: int) -> None:
        self.generation += 1
        given = sorted(self.held)[::step]
        self.pool.free(rows(*given), self.generation)
        self.held.difference_update(given)
        self.waiting.append((self.generation, set(given)))

    @rule(back=integers(0, 3))
    def reclaim(self, back: int) -> None:
        oldest = self.generation - back
        self.pool.reclaim(oldest)
        self.waiting = [(g, held) for g, held in self.waiting if g > oldest]

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "pool"):
            assert self.pool.n_used == len(self.held)
            assert self.pool.n_waiting == sum(len(held) for _, held in self.waiting)

    def teardown(self) -> None:
        self.pool.close()
        for file in self.pool.directory.iterdir():
            file.unlink()
        self.pool.directory.rmdir()


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
