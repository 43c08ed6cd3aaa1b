"""A pool that is not the one of the index has lost its vectors; they are computed again, and only they."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from config.settings import load
from indexer.embed.static import load_static_model
from indexer.prepare import Preparer
from indexer.records import F16, U32, Batch, SourceFile, Stat, Upsert
from indexer.store import lost_vectors
from indexer.store.check import fsck
from indexer.store.lost_vectors import LostVectors
from indexer.store.pool import SLAB_ROWS, Pool
from indexer.store.segment import Segment
from indexer.store.segment_writer import write_segment
from indexer.store.writer import Writer
from tests.store.oracle import check_snapshot
from tests.support import DIM, SmallIndex, digest_of, prepared, small_index, vectors_of

FILES = {f"f{i}.py": f"def name_{i}():\n    call({i})\n" * (i % 5 + 1) for i in range(20)}


def embed(texts: Sequence[str]) -> F16:
    return vectors_of([text.encode() for text in texts])


def made(folder: Path) -> None:
    with small_index(folder, FILES) as index:
        index.apply(1, {"more.py": "def more():\n    pass\n"}, removes=["f3.py"])
        index.apply(1, {"g.py": "def g():\n    pass\n"})


def held() -> dict[str, str]:
    kept = {path: text for path, text in FILES.items() if path != "f3.py"}
    return {**kept, "more.py": "def more():\n    pass\n", "g.py": "def g():\n    pass\n"}


def restore(index: SmallIndex) -> int:
    """Compute everything that is missing; returns in how many steps."""
    steps = 1
    while index.writer.restore_vectors(embed):
        steps += 1
    return steps


def delete(folder: Path) -> None:
    shutil.rmtree(folder / "pool")


def replace(folder: Path) -> None:
    """Put the pool of another index there, whose rows hold other vectors."""
    shutil.rmtree(folder / "pool")
    with small_index(folder / "other", {f"x{i}.py": f"other({i})\n" * 40 for i in range(20)}):
        pass
    shutil.copytree(folder / "other/pool", folder / "pool")


@pytest.mark.parametrize("harm", [delete, replace])
def test_vectors_of_another_pool_are_computed_again_in_place(
    tmp_path: Path, harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    harm(tmp_path)
    monkeypatch.setattr(lost_vectors, "STEP_CHUNKS", 4)
    with SmallIndex(tmp_path) as index:
        assert any("not the one of this index" in problem for problem in index.writer.problems)
        n_chunks = index.writer.stats().chunks
        assert index.writer.vectors_lost == n_chunks
        assert not index.pool.vectors[: index.snapshot().pool_rows].any()  # nothing of another index
        assert index.reader.pool == index.pool.identity
        generation = index.writer.generation
        assert restore(index) > n_chunks // 4
        assert index.writer.vectors_lost == 0
        assert index.writer.generation == generation
        check_snapshot(index.snapshot(), {1: held()}, index.pool)
        assert fsck(tmp_path / "store", quiet=True) == []
    with SmallIndex(tmp_path) as index:  # and that was that
        assert index.writer.vectors_lost == 0 and not index.writer.problems


def test_a_crash_in_the_middle_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)
    delete(tmp_path)
    monkeypatch.setattr(lost_vectors, "STEP_CHUNKS", 4)
    with SmallIndex(tmp_path) as index:
        assert index.writer.restore_vectors(embed)
        n_lost = index.writer.vectors_lost
    with SmallIndex(tmp_path) as index:
        assert index.writer.vectors_lost > n_lost
        restore(index)
        check_snapshot(index.snapshot(), {1: held()}, index.pool)


def test_batches_and_merges_go_on_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)
    delete(tmp_path)
    monkeypatch.setattr(lost_vectors, "STEP_CHUNKS", 4)
    with SmallIndex(tmp_path) as index:
        files = held()
        for i in range(8):
            assert index.writer.restore_vectors(embed)
            index.apply(1, {f"new{i}.py": f"def new_{i}(): pass\n"}, removes=[f"f{i + 4}.py"])
            files[f"new{i}.py"] = f"def new_{i}(): pass\n"
            del files[f"f{i + 4}.py"]
            index.merge(any_dead=True)
            index.writer.reclaim()
        restore(index)
        while index.merge(any_dead=True):
            pass
        check_snapshot(index.snapshot(), {1: files}, index.pool)
        assert fsck(tmp_path / "store", quiet=True) == []


def test_an_index_without_a_vector_takes_any_pool(tmp_path: Path) -> None:
    with SmallIndex(tmp_path) as index:
        index.add_root()
    delete(tmp_path)
    with SmallIndex(tmp_path) as index:
        assert index.writer.problems == [] and not index.writer.vectors_lost
        assert index.reader.pool == index.pool.identity


def test_a_pool_that_is_too_small_for_the_rows_means_a_new_index(tmp_path: Path) -> None:
    pool = Pool.open(tmp_path / "pool", dim=DIM, rows_max=2 * SLAB_ROWS, writable=True)
    pool.alloc(SLAB_ROWS)  # so that the file's rows are beyond them
    writer = Writer.open(tmp_path / "store", load(environ={}).store, pool, "test model")
    root = writer.add_root("/root")
    content = b"def far():\n    pass\n"
    writer.apply(Batch(root, [Upsert(b"a.py", Stat(1, 1, 1), digest_of(content), prepared(content))]))
    writer.close()
    pool.close()
    with SmallIndex(tmp_path) as index:  # the same pool: still large enough
        assert index.writer.problems == []
    delete(tmp_path)
    with SmallIndex(tmp_path) as index:
        assert any("rows" in problem for problem in index.writer.problems)
        assert index.writer.file_table(root) == {} and [each.id for each in index.writer.roots()] == [root]
        assert fsck(tmp_path / "store", quiet=True) == []


def test_a_text_has_the_vector_that_its_chunk_had(tmp_path: Path) -> None:
    """Of real files, with the real model: what is computed again is what a worker computed."""
    model = load_static_model()
    preparer = Preparer(load_static_model(), 10.0)
    docs, first = [], 0
    expected = []
    for blob, path in enumerate(sorted(Path(__file__).parents[2].glob("indexer/*.py")), 1):
        content = path.read_bytes()
        file = preparer.prepare(SourceFile(digest_of(content), content, "python", "utf-8", 0))
        rows = np.arange(first, first + len(file.vectors), dtype=np.uint32)
        first += len(rows)
        docs.append((blob, file, rows))
        expected.append(file.vectors)
    write_segment(tmp_path / "1.seg", 1, docs)
    segment = Segment.open(tmp_path / "1.seg")
    lost = LostVectors(segment.chunk_row)
    found = np.zeros((first, model.dim), np.float16)

    def write(rows: U32, vectors: F16) -> None:
        assert (np.diff(rows.astype(np.int64)) > 0).all()
        found[rows] = vectors

    while lost.restore(segment, write, model.embed_texts):
        pass
    assert lost.is_whole(1) and not len(lost)
    assert np.allclose(found, np.concatenate(expected), atol=1e-3)
