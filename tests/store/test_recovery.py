"""Damage and what is left of it: orphans, bad segments, a lost catalog, another model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import StoreCorrupt, StoreError
from config.settings import load
from indexer.store import catalog
from indexer.store.catalog import Meta, pack
from indexer.store.check import fsck
from indexer.store.env import Env
from indexer.store.snapshot import Reader
from indexer.store.writer import Writer
from tests.store.oracle import check_snapshot
from tests.support import SmallIndex, digest_of, small_index

FILES = {"a.py": "def alpha():\n    beta(1)\n", "b.py": "def beta(): pass\n", "c.py": "gamma(1)\n" * 9}


def two_segments(folder: Path) -> None:
    with small_index(folder, FILES) as index:
        index.apply(1, {"d.py": "delta(1)\n"})


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def segment_files(folder: Path) -> list[Path]:
    return sorted((folder / "store" / "segments").iterdir())


def test_files_of_no_generation_are_removed_at_start(tmp_path: Path) -> None:
    two_segments(tmp_path)
    for name in ("0000ffff.seg", "00000003.seg.tmp", "stray"):
        (tmp_path / "store" / "segments" / name).write_bytes(b"x")
    assert len(fsck(tmp_path / "store", quiet=True)) == 3
    with SmallIndex(tmp_path) as index:
        assert "removed 3 files" in index.writer.problems[0]
        check_snapshot(index.snapshot(), {1: {**FILES, "d.py": "delta(1)\n"}}, index.pool)
        assert fsck(tmp_path / "store", quiet=True) == []


@pytest.mark.parametrize("damage", [lambda path: flip(path, 0), lambda path: flip(path, -3), Path.unlink])
def test_a_damaged_segment_is_dropped_and_its_files_are_new_to_the_scan(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    two_segments(tmp_path)
    damage(segment_files(tmp_path)[0])
    with SmallIndex(tmp_path) as index:
        assert "indexed anew" in index.writer.problems[0]
        check_snapshot(index.snapshot(), {1: {"d.py": "delta(1)\n"}}, index.pool)
        assert set(index.writer.file_table(1)) == {b"d.py"}
        assert not index.writer.known(digest_of(FILES["a.py"].encode()))
        index.apply(1, FILES)
        check_snapshot(index.snapshot(), {1: {**FILES, "d.py": "delta(1)\n"}}, index.pool)
        assert fsck(tmp_path / "store", deep=True, quiet=True) == []


def damage_meta(folder: Path) -> None:
    env = Env.open(folder / "store", writable=True)
    with env.write() as txn:
        value = txn.get("meta", catalog.META_KEY)
        assert value is not None
        txn.put("meta", catalog.META_KEY, value[:-1] + b"?")
    env.close()


def damage_a_file_record(folder: Path) -> None:
    env = Env.open(folder / "store", writable=True)
    with env.write() as txn:
        key, value = next(iter(txn.items("files")))
        txn.put("files", key, value[:-1] + b"?")
    env.close()


def damage_the_file(folder: Path) -> None:
    (folder / "store" / "catalog" / "data.mdb").write_bytes(b"\0" * 50_000)


@pytest.mark.parametrize("damage", [damage_meta, damage_a_file_record, damage_the_file])
def test_a_damaged_catalog_is_made_anew_from_segments_and_the_list_of_roots(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    two_segments(tmp_path)
    damage(tmp_path)
    assert fsck(tmp_path / "store") != []
    with SmallIndex(tmp_path) as index:
        assert "catalog.damaged" in index.writer.problems[0]
        assert [root.path for root in index.writer.roots()] == ["/root"]
        check_snapshot(index.snapshot(), {1: {}}, index.pool)
        before = segment_files(tmp_path)
        assert index.writer.known(digest_of(FILES["a.py"].encode()))
        index.apply(1, {**FILES, "d.py": "delta(1)\n"})
        assert segment_files(tmp_path) == before  # nothing had to be prepared again
        check_snapshot(index.snapshot(), {1: {**FILES, "d.py": "delta(1)\n"}}, index.pool)
        assert fsck(tmp_path / "store", deep=True, quiet=True) == []


def test_a_reader_goes_over_to_a_catalog_that_was_made_anew(tmp_path: Path) -> None:
    two_segments(tmp_path)
    aside = tmp_path / "aside"
    reader = Reader.open(tmp_path / "store")
    old = reader.snapshot()
    shutil.move(tmp_path / "store" / "catalog", aside)
    with SmallIndex(tmp_path) as index:
        index.apply(1, {"e.py": "epsilon(1)\n"})
        assert index.writer.generation > old.generation
        check_snapshot(reader.snapshot(), {1: {"e.py": "epsilon(1)\n"}}, index.pool)
        check_snapshot(old, {1: {**FILES, "d.py": "delta(1)\n"}}, index.pool)
    reader.close()


def test_another_model_forgets_content_and_keeps_roots(tmp_path: Path) -> None:
    two_segments(tmp_path)
    writer = Writer.open(tmp_path / "store", load(environ={}).store, None, "another model")
    assert "model changed" in writer.problems[0]
    assert [root.path for root in writer.roots()] == ["/root"]
    assert writer.file_table(1) == {}
    assert not writer.known(digest_of(FILES["a.py"].encode()))
    writer.close()
    assert fsck(tmp_path / "store", quiet=True) == []
    again = Writer.open(tmp_path / "store", load(environ={}).store, None, "another model")
    assert again.problems == []
    again.close()


def test_a_reader_needs_an_index(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no index"):
        Reader.open(tmp_path / "store")


def test_a_reader_says_when_a_segment_is_missing(tmp_path: Path) -> None:
    two_segments(tmp_path)
    reader = Reader.open(tmp_path / "store")
    segment_files(tmp_path)[0].unlink()
    with pytest.raises(StoreCorrupt, match="00000001"):
        reader.snapshot()
    reader.close()


@pytest.mark.parametrize(
    ("table", "key", "value", "problem"),
    [
        ("blobs", catalog.u32_key(2), None, "has no record"),
        ("blobs", catalog.u32_key(2), pack(catalog.BlobRecord(b"x" * 16, 1, 17)), "two digests"),
        ("blobs", catalog.u32_key(77), pack(catalog.BlobRecord(b"x" * 16, 0, 17)), "is in 0 segments"),
        ("files", catalog.u32_key(1) + b"b.py", None, "counts 4 files"),
        ("files", catalog.u32_key(9) + b"q", pack(catalog.FileRecord(1, 2, 3, 1, b"x" * 16)), "do not exist"),
        ("digests", b"y" * 16, catalog.u32_key(1), "a digest points at"),
        ("changes", catalog.u64_key(3), None, "gaps"),
        ("segments", catalog.u32_key(1), b"1234567", "checksum"),
        ("freed", catalog.u64_key(2), pack(catalog.Freed(b"\0\0\0\0")), "freed pool row is in use"),
        ("meta", catalog.META_KEY, pack(Meta(generation=4, next_root=2)), "is in use"),
    ],
)
def test_fsck_finds_a_broken_catalog(
    tmp_path: Path, table: str, key: bytes, value: bytes | None, problem: str
) -> None:
    two_segments(tmp_path)
    assert fsck(tmp_path / "store", deep=True, quiet=True) == []
    env = Env.open(tmp_path / "store", writable=True)
    with env.write() as txn:
        if value is None:
            assert txn.delete(table, key)
        else:
            txn.put(table, key, value)
    env.close()
    assert any(problem in each for each in fsck(tmp_path / "store", quiet=True))


def test_fsck_finds_a_damaged_segment(tmp_path: Path) -> None:
    two_segments(tmp_path)
    flip(segment_files(tmp_path)[0], 70)
    assert fsck(tmp_path / "store") == ["segment 00000001: section block_data does not match its checksum"]
