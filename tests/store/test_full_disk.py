"""No room: the batch fails as StoreFull, nothing of it is left, and later batches work."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.errors import PoolFull, StoreFull
from indexer.store.check import fsck
from indexer.store.merge import run_merge
from indexer.store.pool import SLAB_ROWS
from tests.store.oracle import check_snapshot
from tests.support import SmallIndex, small_index

OLD = {"a.py": "def alpha():\n    beta(1)\n", "b.py": "def beta(): pass\n"}
LARGE = "".join(f"def name{i}(): pass\n" for i in range(2000))


@contextmanager
def file_size_limit(nbytes: int) -> Iterator[None]:
    """Let every write beyond `nbytes` of a file fail with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def check_unharmed(index: SmallIndex, model: dict[str, str], files: set[str], used: int) -> None:
    assert {path.name for path in (index.folder / "store" / "segments").iterdir()} == files
    assert index.pool.n_used == used
    check_snapshot(index.snapshot(), {1: model}, index.pool)
    assert fsck(index.folder / "store", quiet=True) == []


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (2_000, "def small(): pass\n" * 40),  # the segment does not fit
        (16_000, "def small(): pass\n"),  # the segment fits, the catalog's commit does not
    ],
)
def test_a_write_that_does_not_fit_leaves_the_old_generation(tmp_path: Path, limit: int, text: str) -> None:
    with small_index(tmp_path, OLD) as index:
        files = {path.name for path in (tmp_path / "store" / "segments").iterdir()}
        used, generation = index.pool.n_used, index.writer.generation
        with file_size_limit(limit), pytest.raises(StoreFull):
            index.apply(1, {"c.py": text}, ["a.py"])
        assert index.writer.generation == generation
        check_unharmed(index, OLD, files, used)
        index.apply(1, {"c.py": text})
        check_snapshot(index.snapshot(), {1: {**OLD, "c.py": text}}, index.pool)


def test_a_merge_that_does_not_fit_leaves_the_old_generation(tmp_path: Path) -> None:
    with small_index(tmp_path, {**OLD, "c.py": LARGE}) as index:
        index.apply(1, {"a.py": "x\n"})
        plan = index.writer.plan_merge(any_dead=True)
        assert plan is not None
        with file_size_limit(10_000), pytest.raises(StoreFull):
            run_merge(plan)
        index.writer.abandon_merge()
        files = {path.name for path in (tmp_path / "store" / "segments").iterdir()}
        check_unharmed(index, {**OLD, "a.py": "x\n", "c.py": LARGE}, files, index.pool.n_used)
        assert index.merge(any_dead=True)
        check_snapshot(index.snapshot(), {1: {**OLD, "a.py": "x\n", "c.py": LARGE}}, index.pool)


def test_a_full_file_system_is_survived(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(store)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        model = dict(OLD)
        with small_index(tmp_path, OLD) as index:
            with pytest.raises(StoreFull):
                for i in range(1000):
                    text = f"def name{i}(): pass\n" * 200
                    index.apply(1, {f"{i}.py": text})
                    model[f"{i}.py"] = text
            check_snapshot(index.snapshot(), {1: model}, index.pool)
        with SmallIndex(tmp_path) as index:
            check_snapshot(index.snapshot(), {1: model}, index.pool)
            assert fsck(store, quiet=True) == []
    finally:
        subprocess.run(["umount", str(store)], check=True)


def test_a_full_pool_is_reported_and_freed_rows_are_used_again(tmp_path: Path) -> None:
    with small_index(tmp_path, OLD) as index:
        index.apply(1, {"many.py": "\n" * 4 * (SLAB_ROWS - 10)})
        with pytest.raises(PoolFull):
            index.apply(1, {"more.py": "x\n" * 4 * 20})
        index.apply(1, {}, ["many.py"])
        assert index.merge(any_dead=True)
        index.snapshot()
        index.apply(1, {"more.py": "x\n" * 4 * 20})  # asks the readers' leases by itself
        check_snapshot(index.snapshot(), {1: {**OLD, "more.py": "x\n" * 4 * 20}}, index.pool)
