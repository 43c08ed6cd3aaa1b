"""Which kernel answers here: decided by a measurement at start, and checked against the oracle.

A back end is used only if it can be imported, agrees with NumPy on a small pool, and is the fastest there;
or if the setting names it, then if it works at all. The reasons are kept for `searchd status`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from config.errors import ConfigError
from indexer.records import F16, F32, I64, U8, Bool
from indexer.store.pool import pack_signs
from search.kernels.contract import SCORE_TOLERANCE, Kernel
from search.kernels.numpy_kernel import NumpyKernel
from search.kernels.signs_kernel import SignsKernel

NAMES: Final = ("auto", "numpy", "signs", "faiss", "mlx")
_ROWS: Final = 8192  # 8 ms to make
_K: Final = 10
_REPEATS: Final = 5


def choose(name: str, dim: int) -> ChosenKernel:
    """Return the kernel for vectors of `dim`, by name or "auto". About 20 ms.

    Raises ConfigError for a name that is none.
    """
    if name not in NAMES:
        raise ConfigError(f"query.kernel is {name!r}; it can be {', '.join(NAMES)}")
    trial = _make_trial(dim)
    oracle = NumpyKernel()
    notes: list[str] = []
    measured = [Measured(oracle, trial.time(oracle))]
    for candidate, make in _MAKERS.items():
        if candidate != name and (name != "auto" or candidate == "faiss"):  # it never is the fastest
            continue
        try:
            kernel = make()
            trial.check(kernel, oracle)
            measured.append(Measured(kernel, trial.time(kernel)))
        except Exception as error:  # whatever a foreign library does, the oracle still answers
            notes.append(f"{candidate} is not used: {error}")
    notes += [f"{one.kernel.name}: {one.ms:.2f} ms for {_ROWS} rows" for one in measured]
    if name == "auto":
        chosen = min(measured, key=lambda one: one.ms).kernel
    else:
        chosen = measured[-1].kernel if name != "numpy" else oracle
    return ChosenKernel(chosen, oracle, notes)


class ChosenKernel:
    """A kernel that is replaced by the oracle, for good, if it fails."""

    def __init__(self, kernel: Kernel, oracle: Kernel, notes: Sequence[str] = ()) -> None:
        """Use `kernel` until it fails."""
        self._kernel = kernel
        self._oracle = oracle
        self.notes = list(notes)  # what was measured and what went wrong, for people

    @property
    def name(self) -> str:
        """The kernel that answers now."""
        return self._kernel.name

    def top_k(self, query: F32, vectors: F16, signs: U8, live: Bool, k: int) -> tuple[I64, F32]:
        """See `Kernel.top_k`."""
        try:
            return self._kernel.top_k(query, vectors, signs, live, k)
        except RuntimeError as error:
            if self._kernel is self._oracle:
                raise
            self.notes.append(f"{self._kernel.name} failed and was replaced by {self._oracle.name}: {error}")
            self._kernel = self._oracle
            return self._oracle.top_k(query, vectors, signs, live, k)


@dataclass(frozen=True, slots=True)
class Measured:
    """A kernel and how long it took."""

    kernel: Kernel
    ms: float


@dataclass(frozen=True, slots=True)
class _Trial:
    query: F32
    vectors: F16
    signs: U8
    live: Bool

    def run(self, kernel: Kernel) -> tuple[I64, F32]:
        return kernel.top_k(self.query, self.vectors, self.signs, self.live, _K)

    def time(self, kernel: Kernel) -> float:
        """Return the median time in ms, after one run that may load or compile."""
        self.run(kernel)
        spent = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            self.run(kernel)
            spent.append(time.perf_counter() - start)
        return sorted(spent)[_REPEATS // 2] * 1e3

    def check(self, kernel: Kernel, oracle: Kernel) -> None:
        """Raise ValueError if a kernel does not say what the oracle says."""
        rows, scores = self.run(kernel)
        _, right = self.run(oracle)
        if len(scores) != len(right) or np.abs(scores - right).max() > SCORE_TOLERANCE:
            raise ValueError("its scores differ from NumPy's")
        truth = self.vectors[rows].astype(np.float32) @ self.query
        if not self.live[rows].all() or np.abs(truth - scores).max() > SCORE_TOLERANCE:
            raise ValueError("its rows are not those of its scores")


def _make_trial(dim: int) -> _Trial:
    """Return a pool with twenty rows well above the rest, which no approximate first pass may miss."""
    random = np.random.default_rng(1)
    made = random.standard_normal((_ROWS, dim), np.float32)
    query = made[0] / np.linalg.norm(made[0])
    near = random.choice(_ROWS, 20, replace=False)
    made[near] += 8 * query * np.arange(1, 21, dtype=np.float32)[:, None]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    live = np.ones(_ROWS, np.bool_)
    live[near[::7]] = False
    vectors = made.astype(np.float16)
    return _Trial(query, vectors, pack_signs(vectors), live)


def _faiss() -> Kernel:
    from search.kernels.faiss_kernel import FaissKernel

    return FaissKernel()


def _mlx() -> Kernel:
    from search.kernels.mlx_kernel import MlxKernel

    return MlxKernel()


_MAKERS: Final[dict[str, Callable[[], Kernel]]] = {"signs": SignsKernel, "faiss": _faiss, "mlx": _mlx}
