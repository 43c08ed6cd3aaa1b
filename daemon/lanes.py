"""Threads that work off one queue of requests."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from config.threads import Thread
from daemon.connection import Context


class Lane:
    """Threads that take contexts from one queue; made when there is work that no idle one can take."""

    def __init__(self, name: str, work: Callable[[Context], None], threads_max: int) -> None:
        self._name = name
        self._work = work
        self._threads_max = threads_max
        self._queue: queue.SimpleQueue[Context | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._n_threads = 0
        self._n_unfinished = 0  # queued or running

    def submit(self, context: Context) -> None:
        with self._lock:
            self._n_unfinished += 1
            if self._n_threads < min(self._n_unfinished, self._threads_max):
                self._n_threads += 1
                name = f"{self._name} {self._n_threads}"
                Thread(target=self._run, name=name, daemon=True).start()
        self._queue.put(context)

    def close(self) -> None:
        for _ in range(self._n_threads):
            self._queue.put(None)

    def _run(self) -> None:
        while (context := self._queue.get()) is not None:
            self._work(context)
            with self._lock:
                self._n_unfinished -= 1
