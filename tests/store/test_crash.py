"""The writer is killed at every named point; the next start serves the old generation or the new, whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.store.check import fsck
from indexer.store.faults import VARIABLE
from tests.store.crash_child import NEW, OLD
from tests.store.oracle import check_snapshot
from tests.support import SmallIndex, small_index

HOUSE = Path(__file__).resolve().parents[2]
EDITED = {"b.py": OLD["b.py"], **NEW}


def run_child(folder: Path, what: str, point: str) -> None:
    environment = {**os.environ, VARIABLE: point, "PYTHONPATH": str(HOUSE)}
    command = [sys.executable, "-m", "tests.store.crash_child", str(folder), what]
    done = subprocess.run(command, cwd=HOUSE, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


def check_reopened(folder: Path, expected: dict[str, str], changed: bool) -> None:
    """The index opens by itself, is whole, holds `expected`, and can be written to and merged."""
    with SmallIndex(folder) as index:
        assert fsck(folder / "store", deep=True, quiet=True) == []
        assert bool(index.writer.problems) == changed
        check_snapshot(index.snapshot(), {1: expected}, index.pool)
        in_use = sum(len(segment.chunk_row) for segment in index.snapshot().segments)
        assert index.pool.n_used == in_use  # no row leaked
        index.apply(1, {"e.py": "def epsilon(): alpha()\n"})
        index.merge(any_dead=True)
        index.writer.reclaim()
        check_snapshot(index.snapshot(), {1: {**expected, "e.py": "def epsilon(): alpha()\n"}}, index.pool)
        assert fsck(folder / "store", deep=True, quiet=True) == []


@pytest.mark.parametrize(
    ("point", "published", "leaves_files"),
    [
        ("after-vectors", False, False),
        ("segment-written", False, True),
        ("after-segment", False, True),
        ("before-commit", False, True),
        ("after-commit", True, False),
    ],
)
def test_a_batch_is_published_whole_or_not_at_all(
    tmp_path: Path, point: str, published: bool, leaves_files: bool
) -> None:
    small_index(tmp_path, OLD).close()
    run_child(tmp_path, "edit", point)
    check_reopened(tmp_path, EDITED if published else OLD, leaves_files)


@pytest.mark.parametrize(
    ("point", "leaves_files"),
    [
        ("segment-written", True),
        ("merge-written", True),
        ("merge-before-commit", True),
        ("merge-after-commit", True),
        ("reclaimed:1", False),  # the first pass is at start
    ],
)
def test_a_merge_changes_nothing_wherever_it_dies(tmp_path: Path, point: str, leaves_files: bool) -> None:
    with small_index(tmp_path, OLD) as index:
        index.apply(1, NEW, ["c.py"])
    run_child(tmp_path, "merge", point)
    check_reopened(tmp_path, EDITED, leaves_files)


def test_rows_freed_before_a_crash_wait_for_readers_of_the_old_generation(tmp_path: Path) -> None:
    index = small_index(tmp_path, OLD)
    old = index.snapshot()
    index.apply(1, NEW, ["c.py"])
    assert index.merge(any_dead=True)
    index.writer.close()  # stands for a crash: from here on only the catalog knows what waits
    index.pool.close()
    with SmallIndex(tmp_path) as again:
        again.apply(1, {f"{i}.py": f"x{i}\n" for i in range(20)})
        check_snapshot(old, {1: OLD}, again.pool)
        del old
        index.snapshot()
        again.snapshot()
        assert again.writer.reclaim() > 0
    index.reader.close()
