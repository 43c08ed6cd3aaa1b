"""Threads that are placed as their process is: every thread of ours starts here.

On Linux a new thread inherits where it may run and how soon. On macOS it starts at the default QoS whatever
its process asked for, so it has to ask again, itself, first of all.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from config import cores

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Thread(threading.Thread):
    """A thread that starts by placing itself; give it a `target`."""

    def run(self) -> None:
        """Place this thread, then do what it is for."""
        cores.place_thread()
        super().run()


def executor(name: str) -> ThreadPoolExecutor:
    """Return an executor with one thread."""
    from concurrent.futures import ThreadPoolExecutor  # 7 ms that the supervisor need not pay

    return ThreadPoolExecutor(1, name, initializer=cores.place_thread)
