"""Two passes on the CPU: distances of sign bits, then exact scores of the nearest. The door of faiss.

Signs alone estimate the angle between two vectors (Charikar 2002) at 1/16 of the memory traffic, but the
query need not be cut down as far as the rows are. It is rounded to eight levels, -7 -5 ... 5 7, which are
three planes of signs that weigh 1, 2 and 4; its inner product with a row of signs is then a sum of three
Hamming distances. On 100,000 chunks of code and 104 English queries, the best 10 are among the first 400
candidates in 99.0 % of the cases; with the query's signs alone 92.9 %, and 2,000 candidates would be needed
for the same.

faiss counts the bits, over the pool's own sign bytes where they lie (its index classes would keep a copy).
It is called for a block of rows at a time, so that distances stay in the cache; blocks without a live row
cost nothing.
"""

from __future__ import annotations

from typing import Final

import faiss
import numpy as np
import numpy.typing as npt

from indexer.records import F16, F32, I32, I64, U8, Bool
from search.kernels.contract import best, check_shapes, exact_scores

CANDIDATES_MIN: Final = 600
CANDIDATES_PER_HIT: Final = 15  # of k: holds 98.3 % of the best 100 of 100,000 chunks
_BLOCK_ROWS: Final = 16_384  # three int32 distances of each: 192 KiB
_PLANES: Final = 3
_STEP: Final = 0.586  # of eight even levels for a normal distribution, in standard deviations (Max 1960)


class FaissKernel:
    """Hamming scan, then exact rerank."""

    name = "faiss"

    def __init__(self) -> None:
        """Keep faiss to one thread: processes are what runs side by side here."""
        faiss.omp_set_num_threads(1)

    def top_k(self, query: F32, vectors: F16, signs: U8, live: Bool, k: int) -> tuple[I64, F32]:
        """See `Kernel.top_k`."""
        check_shapes(query, vectors, signs, live, k)
        n_live = int(np.count_nonzero(live))
        n = candidates(n_live, k)
        if n_live <= 2 * n or not query.any():  # 0.2 ms for 1,000 live rows, where two passes take 0.3
            rows = np.flatnonzero(live)
        else:
            rows = _nearest(_planes(query), np.ascontiguousarray(signs), live, n)  # the pool's are contiguous
        return best(rows, exact_scores(query, vectors, rows), k)


def candidates(n_live: int, k: int) -> int:
    """Return how many rows are scored exactly: more of them among more rows."""
    spread = max(1.0, n_live / 100_000) ** 0.5
    return int(max(CANDIDATES_MIN, CANDIDATES_PER_HIT * k) * spread)


def _planes(query: F32) -> U8:
    """Return the query at eight levels as sign planes, lowest weight first: uint8 [3, 8 * ceil(dim / 64)]."""
    step = _STEP * float(np.linalg.norm(query)) / len(query) ** 0.5
    top = 2 ** (_PLANES - 1)
    level = np.clip(np.floor(query / step), -top, top - 1).astype(np.int8) + np.int8(top)  # 0..7
    bits = (level >> np.arange(_PLANES, dtype=np.int8)[:, None]) & 1
    packed = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
    planes = np.zeros((_PLANES, -(-len(query) // 64) * 8), np.uint8)
    planes[:, : packed.shape[1]] = packed
    return planes


def _nearest(planes: U8, signs: U8, live: Bool, n: int) -> I64:
    """Return the n live rows at the smallest weighted distance, in row order; at least n are live."""
    near = _Nearest(n)
    distance = np.empty((_PLANES, _BLOCK_ROWS), np.int32)
    for start in range(0, len(live), _BLOCK_ROWS):
        part = live[start : start + _BLOCK_ROWS]
        n_live = int(np.count_nonzero(part))
        if 2 * n_live > len(part):
            near.add(_distances(planes, signs[start : start + len(part)], distance), start, live=part)
        elif n_live:
            rows = np.flatnonzero(part)
            near.add(
                _distances(planes, signs[start : start + len(part)].take(rows, axis=0), distance), start, rows
            )
    return near.rows()


def _distances(planes: U8, signs: U8, room: I32) -> I32:
    n, width = signs.shape
    pointer = faiss.swig_ptr
    faiss.hammings(  # type: ignore[attr-defined]  # its stubs are incomplete
        pointer(planes), pointer(signs), _PLANES, n, width, pointer(room)
    )
    one, two, four = room.reshape(-1)[: _PLANES * n].reshape(_PLANES, n)
    four <<= 1
    four += two
    four <<= 1
    four += one
    return four


class _Nearest:
    """The nearest n of the rows seen so far, and now and then a few more."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._limit = np.int32(1 << 30)  # further than any row can be
        self._held = 0
        self._rows: list[I64] = []
        self._distances: list[I32] = []

    def add(
        self,
        distances: I32,
        first: int,
        rows: npt.NDArray[np.intp] | None = None,
        live: Bool | None = None,
    ) -> None:
        """Look at the rows from `first` on, or at `first` + `rows`; pass over those that are not live."""
        found = np.flatnonzero(distances <= self._limit)
        if live is not None:
            found = found[live[found]]
        self._distances.append(distances[found])
        self._rows.append((found if rows is None else rows[found]) + first)
        self._held += len(found)
        if self._held > 2 * self._n:
            self._shrink()

    def rows(self) -> I64:
        """Return exactly n rows in order (ties at the limit: the first ones)."""
        self._shrink()
        rows, distances = self._rows[0], self._distances[0]
        if len(rows) > self._n:
            rows = rows[np.sort(np.argsort(distances, kind="stable")[: self._n])]
        return rows

    def _shrink(self) -> None:
        rows, distances = np.concatenate(self._rows), np.concatenate(self._distances)
        if len(rows) > self._n:
            self._limit = np.partition(distances, self._n - 1)[self._n - 1]
            keep = np.flatnonzero(distances <= self._limit)
            rows, distances = rows[keep], distances[keep]
        self._rows, self._distances, self._held = [rows], [distances], len(rows)
