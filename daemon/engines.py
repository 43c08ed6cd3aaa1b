"""The engines of a query process: an engine serves one query at a time, so they are lent."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from search.answer import Answer, SearchRequest
from search.budget import Flag
from search.duplicates import DuplicatesAnswer, DuplicatesRequest
from search.grep import GrepRequest, Sweep


class Searcher(Protocol):
    """What a dispatcher needs of an engine."""

    def search(self, request: SearchRequest, cancel: Flag | None = None) -> Answer: ...
    def duplicates(self, request: DuplicatesRequest, cancel: Flag | None = None) -> DuplicatesAnswer: ...
    def grep(self, request: GrepRequest, cancel: Flag | None = None) -> Sweep: ...


class Engines:
    """At most `n` engines, made when needed. The one given back last is lent first: its caches are warm."""

    def __init__(
        self, make: Callable[[], Searcher], n: int, kernel_report: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self.kernel_report = kernel_report
        self._make = make
        self._idle: queue.LifoQueue[Searcher | None] = queue.LifoQueue()
        for _ in range(n):
            self._idle.put(None)

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Searcher]:
        """Lend an engine; waits while all are lent."""
        engine = self._idle.get()
        try:
            if engine is None:
                engine = self._make()
            yield engine
        finally:
            self._idle.put(engine)
