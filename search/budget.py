"""How long a query may still run, and whether its client still wants it.

One `Budget` goes down the whole path of a query. Steps ask it between pieces of work: `over` ends a step
early with
what it has (the answer is then incomplete and says so), a cancelled query ends at once with `Cancelled`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from config.errors import Cancelled


class Flag(Protocol):
    """What tells that a query was taken back: a threading.Event, or anything like it."""

    def is_set(self) -> bool: ...


class Budget:
    """The time and the wish for one query."""

    def __init__(
        self, ms: float, cancel: Flag | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._cancel = cancel
        self.start = clock()
        self._end = self.start + ms / 1000

    def left_ms(self) -> float:
        """Milliseconds until the deadline, not below 0."""
        return max(0.0, (self._end - self._clock()) * 1000)

    def late_ms(self) -> float:
        """Milliseconds since the deadline, 0 before it. Raises Cancelled."""
        self.check()
        return max(0.0, (self._clock() - self._end) * 1000)

    def spent_ms(self) -> float:
        """Milliseconds since the start."""
        return (self._clock() - self.start) * 1000

    def check(self) -> None:
        """Raise Cancelled if the client took the query back."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("the query was cancelled")

    def over(self) -> bool:
        """True once the deadline has passed. Raises Cancelled."""
        self.check()
        return self._clock() >= self._end

    def part(self, ms: float) -> Budget:
        """Return a budget for one step: `ms` from now, and never past this one's end."""
        return Budget(min(ms, self.left_ms()), self._cancel, self._clock)
