"""The first pass on a GPU, in the pool's own memory on Apple silicon. The door of mlx.

All rows are scored in fp16 by one product of matrix and vector; the best blocks of 128 rows by their best row
hold the best rows, so only those blocks are sorted (MLX's own partition is a full sort). The few hundred rows
that are left are scored again exactly, as the CPU does. A function is compiled for each number of rows, so
callers pass a pool in steps of many rows, and for each power of two of candidates.

Only a thread that made arrays may evaluate them, so one thread owns a kernel. On Metal the pool's map is
adopted without a copy. No other back end can do that: there every query copies the rows, and the measurement
at start sees it. On MLX's Linux CPU back end that is ten times slower than NumPy; only tests use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from config.errors import NoGpu
from indexer.records import F16, F32, I64, U8, Bool
from search.kernels.contract import best, check_shapes, exact_scores

_BLOCK: Final = 128
_MARGIN: Final = 64  # candidates beyond k: fp16 scores are off by 1e-3
_CACHE_BYTES: Final = 256 << 20  # MLX would keep every freed buffer


class MlxKernel:
    """GPU scan, then exact rerank."""

    name = "mlx"

    def __init__(self, require_gpu: bool = True) -> None:
        """Raise NoGpu unless MLX has a GPU back end here."""
        try:
            import mlx.core as mx
        except ImportError as error:
            raise NoGpu(f"MLX cannot be imported: {error}") from error
        gpu = mx.metal.is_available() or mx.cuda.is_available()
        if require_gpu and not gpu:
            raise NoGpu("MLX has no GPU back end on this machine")
        self._mx = mx
        self._compile: Callable[..., Any] = mx.compile if gpu else lambda function: function
        self._shares = mx.metal.is_available()
        self._passes: dict[tuple[int, int], Any] = {}
        self._adopted: tuple[int, int, Any] | None = None
        if gpu:
            mx.set_cache_limit(_CACHE_BYTES)

    def top_k(self, query: F32, vectors: F16, signs: U8, live: Bool, k: int) -> tuple[I64, F32]:
        """See `Kernel.top_k`. Raises RuntimeError if the GPU fails."""
        check_shapes(query, vectors, signs, live, k)
        blocks = _power(k + _MARGIN)
        if np.count_nonzero(live) <= blocks or len(live) // _BLOCK <= blocks or not query.any():
            rows = np.flatnonzero(live)
        else:
            rows = self._first_pass(query, vectors, live, blocks)
        return best(rows, exact_scores(query, vectors, rows), k)

    def _first_pass(self, query: F32, vectors: F16, live: Bool, blocks: int) -> I64:
        mx = self._mx
        pool = self._pool(vectors)
        n = int(pool.shape[0])
        bias = np.full(n, -np.inf, np.float16)
        bias[: len(live)][live] = 0
        run = self._passes.get((n, blocks))
        if run is None:
            run = self._passes[n, blocks] = self._compile(_pass(mx, blocks))
        found, score = run(pool, mx.array(query.astype(np.float16)), mx.array(bias))
        mx.eval(found, score)
        rows, scores = np.array(found).astype(np.int64), np.array(score)
        return np.sort(rows[np.isfinite(scores)])

    def _pool(self, vectors: F16) -> Any:
        """Return the rows as an array with whole blocks of rows, shared where that is possible."""
        mx = self._mx
        n = -(-len(vectors) // _BLOCK) * _BLOCK
        if not self._shares or n != len(vectors) or not vectors.flags.c_contiguous:
            padded = np.zeros((n, vectors.shape[1]), np.float16)
            padded[: len(vectors)] = vectors
            return mx.array(padded)
        key = (vectors.__array_interface__["data"][0], n)
        if self._adopted is None or self._adopted[:2] != key:
            self._adopted = (*key, mx.asarray(vectors, copy=False))
        return self._adopted[2]


def _pass(mx: Any, blocks: int) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Return the function that finds the best row's blocks, and of them the rows and their scores."""

    def run(pool: Any, query: Any, bias: Any) -> tuple[Any, Any]:
        scores = (pool @ query + bias).reshape(-1, _BLOCK)
        top = mx.argsort(-scores.max(axis=1))[:blocks]
        rows = top[:, None] * _BLOCK + mx.arange(_BLOCK)[None]
        inside = scores[top].reshape(-1)
        order = mx.argsort(-inside)[:blocks]
        return rows.reshape(-1)[order], inside[order]

    return run


def _power(n: int) -> int:
    return 1 << (n - 1).bit_length()
