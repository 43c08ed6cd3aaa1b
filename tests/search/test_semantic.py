"""Meaning over a real index, against a loop over its chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.embed.memory import MemoryModel
from indexer.records import Bool
from indexer.store.snapshot import Snapshot
from search.kernels.contract import Kernel
from search.kernels.faiss_kernel import FaissKernel
from search.kernels.numpy_kernel import NumpyKernel
from search.kernels.signs_kernel import SignsKernel
from search.semantic import CHUNKS_OF_WHOLE, ROWS_STEP, as_wholes, embed_query, live_rows, nearest, rows_of
from tests.support import DIM, SmallIndex

KERNELS: list[Kernel] = [NumpyKernel(), SignsKernel(), FaissKernel()]


def lines(name: str, n: int) -> str:
    return "".join(f"{name} = {i}\n" for i in range(n))


@pytest.fixture
def index(tmp_path: Path) -> SmallIndex:
    """Two roots that share a file, and some removed ones; several segments."""
    made = SmallIndex(tmp_path)
    one, two = made.add_root("/one"), made.add_root("/two")
    made.apply(one, {f"f{i}": lines(f"alpha{i}", 10 + i) for i in range(20)})
    made.apply(two, {f"g{i}": lines(f"beta{i}", 9) for i in range(20)} | {"same": lines("alpha3", 13)})
    made.apply(one, {"f3": lines("gamma", 30)}, removes=["f4", "f5"])
    made.apply(two, {"long": lines("delta", 900)}, removes=["g1"])
    return made


def slow_rows(snapshot: Snapshot, docs: Bool) -> set[int]:
    found = set()
    for segment, base in zip(snapshot.segments, snapshot.seg_base.tolist(), strict=False):
        for ordinal in range(segment.n_docs):
            if docs[base + ordinal]:
                found.update(
                    segment.chunk_row[segment.doc_chunk[ordinal] : segment.doc_chunk[ordinal + 1]].tolist()
                )
    return found


def masks(snapshot: Snapshot) -> list[Bool]:
    random = np.random.default_rng(1)
    live = [view.live_docs() for view in snapshot.roots.values()]
    chosen = [live[0] & (random.random(snapshot.n_docs) < share) for share in (0.04, 0.1, 0.6)]
    return [*live, live[0].copy(), *chosen, np.zeros(snapshot.n_docs, np.bool_)]


def test_live_rows_are_those_of_the_documents(index: SmallIndex) -> None:
    with index:
        snapshot = index.snapshot()
        for docs in masks(snapshot):
            rows = live_rows(snapshot, docs)
            assert set(np.flatnonzero(rows).tolist()) == slow_rows(snapshot, docs)
            assert len(rows) % ROWS_STEP == 0


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("k", [1, 7, 1000])
def test_nearest_equals_a_loop_over_the_chunks(index: SmallIndex, kernel: Kernel, k: int) -> None:
    with index:
        snapshot = index.snapshot()
        query = np.random.default_rng(2).standard_normal(DIM).astype(np.float32)
        query /= np.linalg.norm(query)
        for docs in masks(snapshot):
            chunks, scores = nearest(snapshot, index.pool, kernel, query, live_rows(snapshot, docs), k)
            allowed = slow_rows(snapshot, docs)
            scored = []
            for chunk in range(snapshot.n_chunks):
                segment, number = snapshot.locate_chunk(chunk)
                row = int(segment.chunk_row[number])
                score = float(index.pool.vectors[row].astype(np.float32) @ query)
                if row in allowed and score != 0:
                    scored.append((score, chunk))
            scored.sort(reverse=True)
            assert np.allclose(scores, [score for score, _ in scored[:k]], atol=1e-4)
            assert set(chunks.tolist()) <= {chunk for _, chunk in scored}
            assert len(chunks) == min(k, len(scored))


def test_a_query_without_known_words_finds_nothing(index: SmallIndex) -> None:
    with index:
        snapshot = index.snapshot()
        live = live_rows(snapshot, snapshot.roots[1].live_docs())
        assert len(nearest(snapshot, index.pool, NumpyKernel(), np.zeros(DIM, np.float32), live, 5)[0]) == 0
        none = live[:0]
        assert len(nearest(snapshot, index.pool, NumpyKernel(), np.ones(DIM, np.float32), none, 5)[0]) == 0


def test_documents_as_wholes_equal_a_loop_over_their_chunks(index: SmallIndex) -> None:
    with index:
        snapshot = index.snapshot()
        query = np.random.default_rng(2).standard_normal(DIM).astype(np.float32)
        query /= np.linalg.norm(query)
        for docs in masks(snapshot):
            numbers = np.flatnonzero(docs)
            found = as_wholes(snapshot, index.pool.vectors, query, numbers)
            for number, cosine in zip(numbers.tolist(), found.tolist(), strict=True):
                segment, ordinal = snapshot.locate_doc(number)
                total = np.zeros(DIM)
                first, last = int(segment.doc_chunk[ordinal]), int(segment.doc_chunk[ordinal + 1])
                taken = min(CHUNKS_OF_WHOLE, last - first)
                for chunk in [first + i * (last - first) // taken for i in range(taken)]:
                    total += index.pool.vectors[int(segment.chunk_row[chunk])].astype(float)
                assert cosine == pytest.approx(float(total @ query / np.linalg.norm(total)), abs=1e-4)


def test_a_document_without_vectors_is_near_to_nothing(tmp_path: Path) -> None:
    with SmallIndex(tmp_path) as made:
        root = made.add_root("/one")
        made.apply(root, {"full": "alpha\n", "empty": ""})
        snapshot = made.snapshot()
        view = snapshot.roots[root]
        docs = np.array([view.file_doc[view.slot_of(name)] for name in (b"empty", b"full")])
        found = as_wholes(snapshot, made.pool.vectors, np.ones(DIM, np.float32), docs)
        assert found[0] == -np.inf and np.isfinite(found[1])


def test_the_row_of_each_chunk(index: SmallIndex) -> None:
    with index:
        snapshot = index.snapshot()
        chunks = np.random.default_rng(4).permutation(snapshot.n_chunks)
        expected = []
        for chunk in chunks.tolist():
            segment, number = snapshot.locate_chunk(chunk)
            expected.append(int(segment.chunk_row[number]))
        assert rows_of(snapshot, chunks).tolist() == expected


def test_the_query_is_embedded_as_the_chunks_are() -> None:
    model = MemoryModel()
    vector = embed_query(model, "open a file")
    assert vector.dtype == np.float32
    assert np.array_equal(vector, model.embed_texts(["open a file"])[0].astype(np.float32))
