"""The two passes of signs_kernel.py, with the bits counted by faiss. The door of faiss.

faiss reads the pool's own sign bytes where they lie (its index classes would keep a copy). It is called for a
block of rows at a time, so that distances stay in the cache; blocks without a live row cost nothing. The loop
of our own takes a third of the time, so this kernel answers only where the setting `query.kernel` names it.
"""

from __future__ import annotations

from typing import Final

import faiss
import numpy as np
import numpy.typing as npt

from indexer.native.nearest import PLANES
from indexer.records import I32, I64, U8, Bool
from search.kernels.signs_kernel import SignsKernel

_BLOCK_ROWS: Final = 16_384  # three int32 distances of each: 192 KiB


class FaissKernel(SignsKernel):
    """Hamming scan, then exact rerank."""

    name = "faiss"

    def __init__(self) -> None:
        """Keep faiss to one thread: processes are what runs side by side here."""
        faiss.omp_set_num_threads(1)

    def _nearest(self, planes: U8, signs: U8, live: Bool, n: int) -> I64:
        return nearest_by_faiss(planes, signs, live, n)


def nearest_by_faiss(planes: U8, signs: U8, live: Bool, n: int) -> I64:
    """Return the n live rows at the smallest weighted distance, in row order; at least n are live."""
    near = _Nearest(n)
    distance = np.empty((PLANES, _BLOCK_ROWS), np.int32)
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
        pointer(planes), pointer(signs), PLANES, n, width, pointer(room)
    )
    one, two, four = room.reshape(-1)[: PLANES * n].reshape(PLANES, n)
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
