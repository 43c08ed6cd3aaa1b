"""Leases, tiers, environments, and how readers follow."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import pytest

from config.errors import StoreError, StoreFull
from config.settings import load
from indexer.store import draft, ledger
from indexer.store.env import Env
from indexer.store.lease import Lease, oldest_generation
from indexer.store.snapshot import Reader
from indexer.store.tiers import Size, choose, tier
from tests.store.oracle import check_snapshot
from tests.support import SmallIndex, small_index

MIB = 1 << 20


def test_the_oldest_living_lease_counts(tmp_path: Path) -> None:
    assert oldest_generation(tmp_path) is None
    first, second = Lease(tmp_path), Lease(tmp_path)
    assert oldest_generation(tmp_path) == 0
    first.announce(7)
    second.announce(5)
    assert oldest_generation(tmp_path) == 5
    second.close()
    assert oldest_generation(tmp_path) == 7
    first.close()
    assert oldest_generation(tmp_path) is None


def test_a_dead_readers_lease_is_removed(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    os.close(lease._fd)  # what the end of a process does
    assert oldest_generation(tmp_path) is None
    assert list((tmp_path / "readers").iterdir()) == []


@pytest.mark.parametrize(("nbytes", "level"), [(0, 0), (MIB - 1, 0), (MIB, 1), (8 * MIB, 2), (64 * MIB, 3)])
def test_tier(nbytes: int, level: int) -> None:
    assert tier(nbytes, 8) == level


def sizes(*live: int, dead: int = 0) -> list[Size]:
    return [Size(i + 1, 10, 1 if dead else 0, n + dead, dead, 10) for i, n in enumerate(live)]


MANY_PAGES = [Size(i, 9, 0, 9, 0, pages) for i, pages in enumerate((160_000, 160_000, 80_000), 1)]


@pytest.mark.parametrize(
    ("segments", "any_dead", "chosen"),
    [
        ([], False, []),
        (sizes(1, 2), False, []),
        (sizes(1, 2, 3), False, [1, 2, 3]),
        (sizes(9 * MIB, 1, 2, 3), False, [2, 3, 4]),
        (sizes(MIB, 2 * MIB, 1, 2), False, []),
        (sizes(60 * MIB, 50 * MIB, 40 * MIB), False, [2, 3]),  # all three would be over 100 MiB
        (sizes(90 * MIB, 80 * MIB, 70 * MIB), False, []),
        (sizes(100, dead=40), False, []),
        (sizes(100, dead=50), False, [1]),
        (sizes(100, dead=1), True, [1]),
        (sizes(100), True, []),
        (MANY_PAGES, False, []),
    ],
)
def test_choose(segments: list[Size], any_dead: bool, chosen: list[int]) -> None:
    assert choose(segments, 3, 1000, 100 * MIB, any_dead) == chosen


@pytest.mark.parametrize(
    ("segments", "chosen"),
    [
        (sizes(5), []),
        (sizes(1, 2), [1, 2]),
        (sizes(1, 6), []),  # 6 would be rewritten for 1
        (sizes(1, 4, 20), [1, 2, 3]),
        (sizes(1000, 2, 1, 30), [2, 3]),
        (sizes(60 * MIB, 30 * MIB, 20 * MIB), [2, 3]),
        (sizes(60 * MIB, 50 * MIB), []),
        ([Size(1, 600, 0, 10, 0, 600), Size(2, 300, 0, 60, 0, 300), Size(3, 500, 0, 70, 0, 500)], [2, 3]),
        (MANY_PAGES, [1, 3]),
    ],
)
def test_segments_are_merged_early_when_nothing_else_is_to_be_done(
    segments: list[Size], chosen: list[int]
) -> None:
    assert choose(segments, 8, 1000, 100 * MIB) == []
    assert choose(segments, 8, 1000, 100 * MIB, idle=True) == chosen


def test_early_merges_end_and_rewrite_little() -> None:
    segments: list[Size] = []
    rewritten = 0
    for i in range(200):
        segments.append(Size(i, 1, 0, 1000, 0, 1))
        while chosen := choose(segments, 8, 128_000, 4 << 30, idle=True):
            merged = [each for each in segments if each.segment_id in chosen]
            nbytes = sum(each.nbytes for each in merged)
            rewritten += nbytes
            segments = [each for each in segments if each not in merged]
            segments.append(Size(1000 + i, sum(each.docs for each in merged), 0, nbytes, 0, 1))
    assert len(segments) <= 8
    assert rewritten <= 10 * 200 * 1000


def test_a_full_map_is_store_full_and_undone(tmp_path: Path) -> None:
    env = Env.open(tmp_path, map_gib=1, writable=True)
    with env.write() as txn:
        txn.put("meta", b"a", b"1")
    with pytest.raises(StoreFull, match="map_gib"), env.write() as txn:
        txn.put("meta", b"a", b"2")
        for i in range(1 << 11):
            txn.put("meta", b"%d" % i, bytes(1 << 20))
    with env.read() as txn:
        assert txn.get("meta", b"a") == b"1"
        assert txn.count("meta") == 1
    env.close()


def test_one_process_shares_an_environment(tmp_path: Path) -> None:
    first = Env.open(tmp_path, writable=True)
    second = Env.open(tmp_path, writable=False)
    first.close()
    with second.read() as txn:
        assert txn.count("meta") == 0
    with pytest.raises(FileNotFoundError):
        Env.open(tmp_path / "none", writable=False)
    second.close()
    reading = Env.open(tmp_path, writable=False)
    with pytest.raises(StoreError, match="open the writer first"):
        Env.open(tmp_path, writable=True)
    reading.close()


def test_a_reader_far_behind_reads_everything_again(tmp_path: Path) -> None:
    store = dataclasses.replace(load(environ={}).store, changes_kept=2)
    with SmallIndex(tmp_path, store) as index:
        root, files = index.add_root(), {}
        late = Reader.open(tmp_path / "store")
        for i in range(8):
            files[f"{i % 5}.py"] = f"x{i}\n"
            index.apply(root, {f"{i % 5}.py": f"x{i}\n"})
            check_snapshot(index.snapshot(), {1: files}, index.pool)
        check_snapshot(late.snapshot(), {1: files}, index.pool)
        late.close()


def test_large_changes_are_not_listed_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CHANGED_PATHS_MAX", 3)
    monkeypatch.setattr(draft, "CHANGED_PATHS_KEPT", 4)
    with small_index(tmp_path, {"a": "a\n"}) as index:
        files = {"a": "a\n"}
        for i in range(6):
            more = {f"{j}": f"{i}{j}\n" for j in range(i)}
            files |= more
            index.apply(1, more)
            check_snapshot(index.snapshot(), {1: files}, index.pool)


def test_many_dead_slots_are_forgotten(tmp_path: Path) -> None:
    with small_index(tmp_path, {f"old/{i}": f"{i}\n" for i in range(1200)}) as index:
        index.snapshot()
        files = {f"new/{i}": f"{i}\n" for i in range(500)}
        index.apply(1, files, [f"old/{i}" for i in range(1200)])
        view = index.snapshot().roots[1]
        assert view.n == 500
        check_snapshot(index.snapshot(), {1: files}, index.pool)


def test_readers_in_threads_see_whole_generations(tmp_path: Path) -> None:
    """Every generation has the same number in both files."""
    with small_index(tmp_path, {"a": "0\n", "b": "0\n"}) as index:
        wrong: list[object] = []
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                snapshot = index.snapshot()
                view = snapshot.roots[1]
                texts = set()
                for path in (b"a", b"b"):
                    segment, ordinal = snapshot.locate_doc(int(view.file_doc[view.slot_of(path)]))
                    texts.add(bytes(segment.doc_bytes(ordinal)))
                if len(texts) != 1:
                    wrong.append(texts)

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for i in range(1, 40):
            index.apply(1, {"a": f"{i}\n", "b": f"{i}\n"})
            index.merge()
            index.writer.reclaim()
        done.set()
        for thread in threads:
            thread.join()
        assert wrong == []
