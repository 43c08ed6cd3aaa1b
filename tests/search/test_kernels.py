"""Every kernel against a loop over float64, and against each other on clustered vectors."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import ConfigError, NoGpu
from indexer.native.nearest import nearest_rows
from indexer.records import F16, F32, I64, U8, Bool
from indexer.store.pool import pack_signs
from search.kernels import choose as choosing
from search.kernels import signs_kernel
from search.kernels.choose import ChosenKernel, choose
from search.kernels.contract import SCORE_TOLERANCE, Kernel, exact_scores
from search.kernels.faiss_kernel import FaissKernel, nearest_by_faiss
from search.kernels.mlx_kernel import MlxKernel
from search.kernels.numpy_kernel import NumpyKernel
from search.kernels.signs_kernel import SignsKernel

KERNELS: list[Kernel] = [NumpyKernel(), SignsKernel(), FaissKernel()]
if find_spec("mlx") is not None:
    KERNELS.append(MlxKernel(require_gpu=False))
IDS = [kernel.name for kernel in KERNELS]


def unit(vectors: F32) -> F32:
    made: F32 = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return made


def clustered(rows: int, dim: int, seed: int, centres: int = 40) -> F16:
    """Vectors around some centres, as those of code are; the same seed has the same centres."""
    random = np.random.default_rng(seed)
    middle = random.standard_normal((centres, dim), np.float32)
    made = middle[random.integers(0, centres, rows)] + 0.7 * random.standard_normal((rows, dim), np.float32)
    return unit(made).astype(np.float16)


def slow_top_k(query: F32, vectors: F16, live: Bool, k: int) -> list[tuple[float, int]]:
    scored = [
        (float(vectors[row].astype(np.float64) @ query.astype(np.float64)), row)
        for row in np.flatnonzero(live).tolist()
    ]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]


def check(kernel: Kernel, query: F32, vectors: F16, live: Bool, k: int) -> None:
    rows, scores = kernel.top_k(query, vectors, pack_signs(vectors), live, k)
    right = slow_top_k(query, vectors, live, k)
    assert rows.dtype == np.dtype(np.int64)
    assert scores.dtype == np.dtype(np.float32)
    assert len(rows) == len(set(rows.tolist())) == len(right)
    assert live[rows].all()
    assert np.allclose(scores, [score for score, _ in right], atol=SCORE_TOLERANCE)
    for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
        assert (
            abs(float(vectors[row].astype(np.float64) @ query.astype(np.float64)) - score) < SCORE_TOLERANCE
        )
    pairs = list(zip((-scores).tolist(), rows.tolist(), strict=True))
    assert pairs == sorted(pairs), "best first, equal scores in row order"


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 300),
    st.sampled_from([8, 64, 96]),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.03, 0.5, 1.0]),
)
@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
def test_small_pools_are_scored_exactly(kernel: Kernel, rows: int, dim: int, k: int, share: float) -> None:
    vectors = clustered(rows, dim, rows)
    live = np.random.default_rng(k).random(rows) < share
    check(kernel, unit(clustered(1, dim, 9)[0].astype(np.float32)), vectors, live, k)


@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
@pytest.mark.parametrize("share", [0.002, 0.05, 0.4, 0.9, 1.0])
def test_dead_rows_never_come_back(kernel: Kernel, share: float) -> None:
    vectors = clustered(20_000, 64, 3)
    query = vectors[17].astype(np.float32)
    live = np.random.default_rng(2).random(len(vectors)) < share
    best, _ = kernel.top_k(query, vectors, pack_signs(vectors), np.ones(len(vectors), np.bool_), 50)
    live[best] = False
    rows, _ = kernel.top_k(query, vectors, pack_signs(vectors), live, 50)
    assert live[rows].all()
    assert len(rows) == min(50, np.count_nonzero(live))


@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
def test_equal_scores_come_in_row_order(kernel: Kernel) -> None:
    vectors = np.repeat(clustered(4, 64, 1), [300, 300, 300, 300], axis=0)
    live = np.ones(len(vectors), np.bool_)
    live[:5] = False
    rows, scores = kernel.top_k(vectors[0].astype(np.float32), vectors, pack_signs(vectors), live, 60)
    assert rows.tolist() == list(range(5, 65))
    assert len(set(scores.tolist())) == 1


@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
def test_the_corners(kernel: Kernel) -> None:
    vectors = clustered(500, 64, 4)
    signs, query = pack_signs(vectors), vectors[3].astype(np.float32)
    everything, nothing = np.ones(500, np.bool_), np.zeros(500, np.bool_)
    assert len(kernel.top_k(query, vectors, signs, nothing, 5)[0]) == 0
    assert len(kernel.top_k(query, vectors, signs, everything, 9_999)[0]) == 500
    rows, scores = kernel.top_k(np.zeros(64, np.float32), vectors, signs, everything, 5)
    assert (rows.tolist(), scores.tolist()) == ([0, 1, 2, 3, 4], [0.0] * 5)
    empty = kernel.top_k(query, vectors[:0], signs[:0], everything[:0], 5)
    assert len(empty[0]) == len(empty[1]) == 0
    zeroed = vectors.copy()
    zeroed[:490] = 0  # chunks without a known word
    check(kernel, query, zeroed, everything, 20)


@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
def test_shapes_that_do_not_fit_are_refused(kernel: Kernel) -> None:
    vectors = clustered(10, 64, 1)
    signs, query, live = pack_signs(vectors), np.zeros(64, np.float32), np.ones(10, np.bool_)
    for wrong in (
        (query[:-1], vectors, signs, live, 1),
        (query, vectors, signs[:, :-1], live, 1),
        (query, vectors, signs, live[:-1], 1),
        (query, vectors, signs, live, 0),
    ):
        with pytest.raises(ValueError, match=r"dim|live|k is"):
            kernel.top_k(*wrong)


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_the_first_pass_misses_at_most_one_in_a_hundred(share: float) -> None:
    vectors = clustered(40_000, 256, 6, centres=400)
    signs = pack_signs(vectors)
    live = np.random.default_rng(1).random(len(vectors)) < share
    kernel, oracle = SignsKernel(), NumpyKernel()
    found = wanted = 0
    for query in clustered(25, 256, 6, centres=400).astype(np.float32):
        right, _ = oracle.top_k(query, vectors, signs, live, 10)
        got, _ = kernel.top_k(query, vectors, signs, live, 10)
        found += len(np.intersect1d(right, got))
        wanted += len(right)
    assert found / wanted >= 0.99


def test_the_first_pass_takes_the_rows_of_least_weighted_distance() -> None:
    vectors = clustered(40_000, 64, 8)
    signs, live = pack_signs(vectors), np.random.default_rng(3).random(40_000) < 0.7
    live[16_384:32_768] &= np.arange(16_384) % 50 == 0  # a block with few live rows
    planes = signs_kernel._planes(vectors[1].astype(np.float32))
    rows = nearest_rows(planes, signs, live, 700)
    assert np.array_equal(rows, nearest_by_faiss(planes, signs, live, 700))
    bits = np.unpackbits(signs, axis=1).astype(np.int32)
    distance = sum(
        (np.unpackbits(plane)[None] != bits).sum(axis=1) << weight for weight, plane in enumerate(planes)
    )
    alive = np.flatnonzero(live)
    right = alive[np.argsort(np.asarray(distance)[alive], kind="stable")[:700]]
    assert rows.tolist() == sorted(right.tolist())


def test_halves_are_widened_exactly() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    assert np.array_equal(exact_scores(np.ones(1, np.float32), finite[:, None]), finite.astype(np.float32))


def test_a_kernel_is_measured_checked_and_chosen() -> None:
    chosen = choose("auto", 64)
    assert chosen.name in ("numpy", "signs", "mlx")
    assert any(note.startswith("numpy: ") for note in chosen.notes)
    assert choose("numpy", 64).name == "numpy"
    assert choose("signs", 64).name == "signs"
    assert choose("faiss", 64).name == "faiss"
    with pytest.raises(ConfigError, match="fiass"):
        choose("fiass", 64)


class Wrong:
    """Says something else than the oracle."""

    name = "wrong"

    def __init__(self, lie: str) -> None:
        self._lie = lie

    def top_k(self, query: F32, vectors: F16, signs: U8, live: Bool, k: int) -> tuple[I64, F32]:
        if self._lie == "fails":
            raise RuntimeError("command buffer failed")
        rows, scores = NumpyKernel().top_k(query, vectors, signs, live, k)
        if self._lie == "rows":
            return rows[::-1], scores
        return rows, scores + np.float32(0.1)


@pytest.mark.parametrize("lie", ["rows", "scores", "fails"])
def test_a_kernel_that_disagrees_is_not_used(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(choosing._MAKERS, "mlx", lambda: Wrong(lie))
    chosen = choose("mlx", 64)
    assert chosen.name == "numpy"
    assert any(note.startswith("mlx is not used: ") for note in chosen.notes)


def test_a_kernel_that_fails_later_is_replaced_and_it_is_said() -> None:
    vectors = clustered(10, 64, 1)
    chosen = ChosenKernel(Wrong("fails"), NumpyKernel())
    rows, _ = chosen.top_k(
        vectors[4].astype(np.float32), vectors, pack_signs(vectors), np.ones(10, np.bool_), 1
    )
    assert rows.tolist() == [4]
    assert chosen.name == "numpy"
    assert chosen.notes == ["wrong failed and was replaced by numpy: command buffer failed"]


def test_mlx_is_refused_without_a_gpu() -> None:
    if find_spec("mlx") is not None:
        import mlx.core as mx

        if mx.metal.is_available() or mx.cuda.is_available():
            pytest.skip("this machine has a GPU for MLX")
    with pytest.raises(NoGpu):
        MlxKernel()
