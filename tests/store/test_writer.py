from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from config.errors import NoSuchRoot, StoreError
from config.settings import load
from indexer.records import Batch, Skipped, Stat, Upsert
from indexer.store.check import fsck
from indexer.store.merge import run_merge
from indexer.store.writer import Writer
from tests.store.oracle import check_snapshot
from tests.support import SmallIndex, digest_of, prepared, small_index

FILES = {"a.py": "def alpha():\n    beta(1)\n", "b.py": "def beta(): pass\n", "c.py": "gamma(1)\n" * 9}


def test_two_worktrees_share_every_blob(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        other = index.add_root("/worktree")
        index.apply(other, {**FILES, "d.py": FILES["a.py"]})
        snapshot = index.snapshot()
        check_snapshot(snapshot, {1: FILES, other: {**FILES, "d.py": FILES["a.py"]}}, index.pool)
        assert snapshot.n_docs == index.writer.stats().blobs == 3
        assert len(snapshot.segments) == 1


def test_a_renamed_directory_writes_no_segment(tmp_path: Path) -> None:
    with small_index(tmp_path, {f"old/{path}": text for path, text in FILES.items()}) as index:
        before = index.snapshot().segments
        index.apply(1, {f"new/{p}": t for p, t in FILES.items()}, [f"old/{p}" for p in FILES])
        assert index.snapshot().segments == before
        check_snapshot(index.snapshot(), {1: {f"new/{p}": t for p, t in FILES.items()}}, index.pool)
        assert index.writer.stats().dead_blobs == 0


def test_content_that_comes_back_is_not_prepared_again(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        index.apply(1, {"a.py": "other\n"})
        assert index.writer.stats().dead_blobs == 1
        digest = digest_of(FILES["a.py"].encode())
        assert index.writer.known(digest)
        index.writer.apply(Batch(1, [Upsert(b"a.py", Stat(len(FILES["a.py"]), 99, 9), digest, None)]))
        check_snapshot(index.snapshot(), {1: FILES}, index.pool)


def test_a_promised_content_survives_a_merge(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        index.apply(1, {}, ["a.py"])
        plan = index.writer.plan_merge(any_dead=True)
        assert plan is not None
        result = run_merge(plan)
        assert index.writer.known(digest_of(FILES["a.py"].encode()))
        generation = index.writer.generation
        assert index.writer.commit_merge(plan, result) == generation  # abandoned
        assert fsck(tmp_path / "store", quiet=True) == []
        index.apply(1, {"a.py": FILES["a.py"]})
        check_snapshot(index.snapshot(), {1: FILES}, index.pool)


def test_batches_go_on_while_a_merge_runs(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        index.apply(1, {"a.py": "new\n"})
        plan = index.writer.plan_merge(any_dead=True)
        assert plan is not None
        index.apply(1, {"b.py": "changed meanwhile\n", "e.py": "e\n"}, ["c.py"])
        index.writer.commit_merge(plan, run_merge(plan))
        check_snapshot(
            index.snapshot(), {1: {"a.py": "new\n", "b.py": "changed meanwhile\n", "e.py": "e\n"}}, index.pool
        )
        assert fsck(tmp_path / "store", deep=True, quiet=True) == []
        assert index.writer.stats().dead_blobs == 2


def test_content_neither_stored_nor_brought_fails_whole(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        generation = index.writer.generation
        items = [
            Upsert(b"x", Stat(2, 1, 1), prepared("x\n").source.digest, prepared("x\n")),
            Upsert(b"y", Stat(2, 1, 1), digest_of(b"nobody has this"), None),
        ]
        with pytest.raises(StoreError, match="neither stored"):
            index.writer.apply(Batch(1, items))
        assert index.writer.generation == generation
        assert index.snapshot().roots[1].slot_of(b"x") == -1


def test_an_empty_batch_is_no_generation(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        assert index.writer.apply(Batch(1)) == index.writer.generation == index.snapshot().generation


def test_a_touched_file_only_changes_its_stat(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        digest = digest_of(FILES["a.py"].encode())
        index.writer.apply(Batch(1, [Upsert(b"a.py", Stat(26, 12345, 9), digest, None)]))
        view = index.snapshot().roots[1]
        assert view.mtime_ns[view.slot_of(b"a.py")] == 12345
        assert len(index.snapshot().segments) == 1


def test_skipped_files_are_listed_and_leave_the_index(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        skips = [
            Skipped(b"a.py", "binary", "a NUL byte at 3", Stat(5, 6, 7)),
            Skipped(b"z" * 700, "gone", "", None),
        ]
        index.writer.apply(Batch(1, skips=skips))
        table = index.writer.skip_table(1)
        assert {path: (each.reason, each.detail, each.stat) for path, each in table.items()} == {
            skip.path: (skip.reason, skip.detail, skip.stat) for skip in skips
        }
        assert index.snapshot().roots[1].slot_of(b"a.py") == -1
        index.apply(1, {"a.py": FILES["a.py"]})
        assert set(index.writer.skip_table(1)) == {b"z" * 700}
        index.writer.apply(Batch(1, removes=[b"z" * 700]))
        assert index.writer.skip_table(1) == {}
        check_snapshot(index.snapshot(), {1: FILES}, index.pool)


def test_the_file_table_has_what_was_applied(tmp_path: Path) -> None:
    with small_index(tmp_path, {**FILES, "d" * 600: "x\n"}) as index:
        table = index.writer.file_table(1)
        assert set(table) == {path.encode() for path in [*FILES, "d" * 600]}
        record = table[b"b.py"]
        assert record.digest == digest_of(FILES["b.py"].encode())
        assert record.stat.size == len(FILES["b.py"])


def test_forgotten_content_is_prepared_anew_and_stays_searchable_meanwhile(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        digest = digest_of(FILES["a.py"].encode())
        index.writer.quarantine(digest, "crashed")
        assert index.writer.quarantined(digest) == "crashed"
        assert index.writer.forget(1, [b"a.py", b"no such"]) == 1
        assert not index.writer.known(digest)
        assert index.writer.quarantined(digest) is None
        check_snapshot(index.snapshot(), {1: FILES}, index.pool)
        old = index.writer.file_table(1)[b"a.py"].blob_id
        index.apply(1, {"a.py": FILES["a.py"]})
        assert index.writer.known(digest)
        assert index.writer.file_table(1)[b"a.py"].blob_id > old
        check_snapshot(index.snapshot(), {1: FILES}, index.pool)
        assert index.writer.forget(1) == 3


def test_roots_are_added_once_and_removed_whole(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        assert index.add_root("/root") == 1
        other = index.add_root("/other")
        index.apply(other, {"a.py": FILES["a.py"], "x": "x\n"})
        kept = json.loads((tmp_path / "store" / "roots.json").read_text())
        assert [root["path"] for root in kept["roots"]] == ["/root", "/other"]
        index.writer.remove_root(1)
        check_snapshot(index.snapshot(), {other: {"a.py": FILES["a.py"], "x": "x\n"}}, index.pool)
        assert index.writer.stats().dead_blobs == 2
        for call in (lambda: index.writer.remove_root(1), lambda: index.apply(1, {"q": "q\n"})):
            with pytest.raises(NoSuchRoot):
                call()
        assert index.add_root("/root") == 3


def test_without_a_pool_chunks_have_no_rows(tmp_path: Path) -> None:
    writer = Writer.open(tmp_path / "store", load(environ={}).store, None)
    root = writer.add_root("/r")
    file = prepared("a\n" * 9)
    writer.apply(Batch(root, [Upsert(b"a", Stat(18, 1, 1), file.source.digest, file)]))
    assert writer.reclaim() == 0
    writer.close()
    assert fsck(tmp_path / "store", quiet=True) == []


def test_a_large_batch_becomes_several_segments(tmp_path: Path) -> None:
    store = dataclasses.replace(load(environ={}).store, segment_docs_max=10, segment_bytes_max=100)
    with SmallIndex(tmp_path, store) as index:
        files = {f"{i}.py": f"x{i}\n" * i for i in range(40)}
        index.apply(index.add_root(), files)
        snapshot = index.snapshot()
        assert len(snapshot.segments) > 4
        assert max(segment.n_docs for segment in snapshot.segments) <= 10
        check_snapshot(snapshot, {1: files}, index.pool)


def test_write_amplification_stays_logarithmic(tmp_path: Path) -> None:
    with small_index(tmp_path, {}) as index:
        for i in range(60):
            index.apply(1, {f"{i}.py": f"def name{i}(): pass\n"})
            while index.merge():
                pass
        assert len(index.snapshot().segments) <= 8
        rows = np.concatenate([segment.chunk_row for segment in index.snapshot().segments])
        assert len(np.unique(rows)) == 60


def test_text_that_came_first_gives_way_to_the_whole_file_path_by_path(tmp_path: Path) -> None:
    with SmallIndex(tmp_path) as index:
        root, other = index.add_root(), index.add_root("/worktree")
        files = {**FILES, "copy.py": FILES["a.py"]}
        index.apply(root, files, shallow=True)
        index.apply(other, FILES, shallow=True)  # known as text
        assert index.writer.stats().blobs == 3
        assert [record.shallow for record in index.writer.roots()] == [4, 3]
        digest = digest_of(FILES["a.py"].encode())
        assert not index.writer.known(digest)
        check_snapshot(index.snapshot(), {root: files, other: FILES}, index.pool)

        index.apply(root, {"a.py": FILES["a.py"]})
        assert index.writer.known(digest)
        assert index.shallow_paths(root) == ["b.py", "c.py", "copy.py"]
        index.apply(root, {"copy.py": files["copy.py"]})  # known: no segment is written
        assert len(index.snapshot().segments) == 2
        assert index.writer.stats().dead_blobs == 0  # the other root still has the text
        index.apply(other, {"a.py": FILES["a.py"]}, shallow=True)  # the whole file is there, and better
        assert index.writer.stats().dead_blobs == 1
        assert index.shallow_paths(other) == ["b.py", "c.py"]

        index.apply(root, files)
        index.apply(other, FILES)
        assert [record.shallow for record in index.writer.roots()] == [0, 0]
        assert index.merge(any_dead=True)
        assert fsck(tmp_path / "store", deep=True, quiet=True) == []
        assert index.writer.stats().blobs == 3
        check_snapshot(index.snapshot(), {root: files, other: FILES}, index.pool)


def test_a_batch_with_text_and_whole_of_one_content_keeps_the_whole(tmp_path: Path) -> None:
    text = FILES["a.py"]
    digest, stat = digest_of(text.encode()), Stat(len(text), 1, 1)
    shallow, whole = prepared(text, shallow=True), prepared(text)
    for name, order in (("text first", (shallow, whole)), ("text last", (whole, shallow))):
        with SmallIndex(tmp_path / name) as index:
            upserts = [Upsert(b"%d" % i, stat, digest, file) for i, file in enumerate(order)]
            index.writer.apply(Batch(index.add_root(), upserts))
            assert index.shallow_paths(1) == [] and index.writer.stats().blobs == 1
            check_snapshot(index.snapshot(), {1: {"0": text, "1": text}}, index.pool)


def test_text_survives_merges_restarts_and_the_loss_of_the_catalog(tmp_path: Path) -> None:
    with SmallIndex(tmp_path) as index:
        root = index.add_root()
        index.apply(root, FILES, shallow=True)
        index.apply(root, {"b.py": FILES["b.py"], "d.py": "def delta(): pass\n"})
        index.apply(root, {}, ["c.py"])
        assert index.merge(any_dead=True)
        assert index.shallow_paths(root) == ["a.py"]
    with SmallIndex(tmp_path) as index:
        assert index.shallow_paths(root) == ["a.py"]
    for path in (tmp_path / "store/catalog").iterdir():
        path.write_bytes(b"garbage")
    with SmallIndex(tmp_path) as index:
        digest = digest_of(FILES["a.py"].encode())
        assert index.writer.known(digest, shallow=True) and not index.writer.known(digest)
        index.apply(root, FILES)
        assert index.shallow_paths(root) == []
        assert fsck(tmp_path / "store", deep=True) == []


def test_segments_of_text_are_not_merged_while_their_files_are_replaced(tmp_path: Path) -> None:
    store = dataclasses.replace(load(environ={}).store, merge_fanout=2)
    with SmallIndex(tmp_path, store) as index:
        root = index.add_root()
        for path, text in FILES.items():
            index.apply(root, {path: text}, shallow=True)
        assert index.writer.plan_merge(texts=False) is None
        index.apply(root, {"a.py": FILES["a.py"]})
        plan = index.writer.plan_merge(texts=False)
        assert plan is not None and [each.segment_id for each in plan.inputs] == [1, 4]  # dead, and whole
        index.writer.commit_merge(plan, run_merge(plan))
        plan = index.writer.plan_merge()
        assert plan is not None and [each.segment_id for each in plan.inputs] == [2, 3, 5]


def test_a_damaged_segment_takes_its_files_of_text_out_of_the_count(tmp_path: Path) -> None:
    with SmallIndex(tmp_path) as index:
        root = index.add_root()
        index.apply(root, FILES, shallow=True)
        index.apply(root, {"d.py": "delta\n"}, shallow=True)
        index.writer.drop_segment(1)
        assert index.writer.roots()[0].shallow == 1 and index.shallow_paths(root) == ["d.py"]
        assert fsck(tmp_path / "store", deep=True, quiet=True) == []


def test_promised_content_that_is_dead_is_counted_where_a_merge_keeps_it(tmp_path: Path) -> None:
    with small_index(tmp_path, FILES) as index:
        index.apply(1, {}, ["a.py", "b.py"])
        assert index.writer.known(digest_of(FILES["a.py"].encode()))
        assert index.merge(any_dead=True)
        assert index.writer.stats().dead_blobs == 1
        assert fsck(tmp_path / "store", quiet=True) == []
