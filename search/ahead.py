"""A step of a query that runs beside the others, in a thread of its own.

It pays where most of the step is a compiled loop, which lets other threads run, and a processor is idle.
Where none is, nobody waits for the thread: a step that it has not begun runs where its result is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from config.threads import executor

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Result = TypeVar("Result")


def ahead(work: Callable[[], Result]) -> Callable[[], Result]:
    """Begin `work`, unless there is one processor only. Call what comes back once, for the result."""
    if os.cpu_count() == 1:
        return work
    future = _thread().submit(work)
    return lambda: work() if future.cancel() else future.result()


@cache
def _thread() -> ThreadPoolExecutor:
    return executor("ahead")
