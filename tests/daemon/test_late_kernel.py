"""The kernel is chosen once, when it is first needed, and answers as the choice does."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from daemon.late_kernel import LateKernel
from indexer.store.pool import pack_signs
from search.kernels import choose as choosing
from search.kernels.choose import ChosenKernel
from search.kernels.numpy_kernel import NumpyKernel


def test_it_is_chosen_once_by_whoever_needs_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def choose(name: str, dim: int) -> ChosenKernel:
        asked.append((name, dim))
        return ChosenKernel(NumpyKernel(), NumpyKernel(), ["measured"])

    monkeypatch.setattr(choosing, "choose", choose)
    kernel = LateKernel("auto", 64)
    assert not asked
    vectors = np.random.default_rng(1).standard_normal((100, 64)).astype(np.float16)
    vectors /= np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    live = np.ones(100, np.bool_)
    together = threading.Barrier(4)

    def best(row: int) -> int:
        together.wait()
        rows, _ = kernel.top_k(vectors[row].astype(np.float32), vectors, pack_signs(vectors), live, 1)
        return int(rows[0])

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(best, range(4))) == [0, 1, 2, 3]
    assert asked == [("auto", 64)]
    assert (kernel.name, kernel.chosen().notes) == (NumpyKernel().name, ["measured"])


def test_a_query_process_starts_without_the_libraries_that_only_meaning_needs() -> None:
    import subprocess

    script = "import sys, daemon.index; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"mlx", "search.kernels.choose"} & set(done.stdout.split())
