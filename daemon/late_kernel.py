"""The kernel of a query process, chosen when it is first needed.

To choose it means to import MLX, to measure and to compare: 150 ms of one core, in which a process that
just started answers queries by text and symbol instead. Who asks for meaning in that time waits for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from indexer.records import F16, F32, I64, U8, Bool

if TYPE_CHECKING:
    from search.kernels.choose import ChosenKernel


class LateKernel:
    """A Kernel. Safe for several threads."""

    def __init__(self, name: str, dim: int) -> None:
        """Choose nothing yet; see `choose` for the name."""
        self._wanted = name
        self._dim = dim
        self._lock = threading.Lock()
        self._chosen: ChosenKernel | None = None

    @property
    def name(self) -> str:
        """See `Kernel`."""
        return self.chosen().name

    def top_k(self, query: F32, vectors: F16, signs: U8, live: Bool, k: int) -> tuple[I64, F32]:
        """See `Kernel`."""
        return self.chosen().top_k(query, vectors, signs, live, k)

    def chosen(self) -> ChosenKernel:
        """Return the choice, made now if it was not."""
        with self._lock:
            if self._chosen is None:
                from search.kernels.choose import choose

                self._chosen = choose(self._wanted, self._dim)
            return self._chosen
