"""How far a first index is: rates and an ETA, as a bar on a terminal and as a line now and then elsewhere.

Where text comes first, its files are counted first, and then those that have symbols and vectors, too.

The daemon is asked twice at the same time: one connection waits for the end of the work, the other asks for
the status. So the end is never guessed from counts, and an interrupt ends the show only.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from config.errors import EinsteinError
from daemon import client, report
from daemon.render import Style

POLL_S = 0.2  # between looks at the status
PLAIN_PROGRESS_S = 2.0  # between lines of progress where there is no terminal


def follow(method: str, root: str, style: Style) -> dict[str, Any]:
    """Ask for `method` and show its progress until it is done. An interrupt ends the show, not the work."""
    client.connect().close()  # starts the daemon here, so that both connections find it
    waiting = _Waiting(method, root)
    waiting.start()
    show = _bar if sys.stderr.isatty() and style.color else _plain
    show(waiting, os.path.realpath(root))
    if waiting.error is not None:
        raise waiting.error
    return waiting.result


class Progress:
    """Files and bytes done over time -> rates and ETA.

    Rates are those of the last `window_s` seconds: the start is slow and large files come in clumps, so
    neither the mean of all nor the last step says when it ends.
    """

    def __init__(self, window_s: float = 10.0) -> None:
        self.window_s = window_s
        self.phase = ""
        self.total = 0
        self._seen: list[tuple[float, int, int]] = [(0.0, 0, 0)]

    def update(self, now: float, done: int, total: int, n_bytes: int, phase: str = "") -> None:
        """Take what a status said at `now` (seconds); another phase is counted from its own start."""
        if not self.total or phase != self.phase:
            self._seen.clear()
        self.total, self.phase = total, phase
        self._seen.append((now, done, n_bytes))
        while now - self._seen[0][0] > self.window_s and len(self._seen) > 2:
            self._seen.pop(0)

    @property
    def done(self) -> int:
        """Files done."""
        return self._seen[-1][1]

    def rates(self) -> tuple[float, float]:
        """Files and bytes per second; 0 while unknown."""
        (began, *first), (ended, *last) = self._seen[0], self._seen[-1]
        taken = ended - began
        files, n_bytes = (
            max(0.0, (b - a) / taken) if taken > 0 else 0.0 for a, b in zip(first, last, strict=True)
        )
        return files, n_bytes

    def left_s(self) -> float | None:
        """Seconds left at this rate, None while unknown."""
        files, _ = self.rates()
        return (self.total - self.done) / files if files else None

    def __str__(self) -> str:
        files, n_bytes = self.rates()
        text = f"{self.done:,} of {self.total:,} files"
        if files:
            text += f", {files:,.0f} files/s"
        if n_bytes:
            text += f", {report.size(n_bytes)}/s"
        left = self.left_s()
        return text if left is None else f"{text}, {report.duration(left)} left"


class _Waiting(threading.Thread):
    """A request that is answered only when the work is done, beside the one that asks how far it is."""

    def __init__(self, method: str, root: str) -> None:
        super().__init__(daemon=True)
        self.method, self.root = method, root
        self.result: dict[str, Any] = {}
        self.error: EinsteinError | None = None

    def run(self) -> None:
        try:
            self.result = client.ask(self.method, {"path": self.root, "wait": True}, timeout=None)
        except EinsteinError as error:
            self.error = error


def _look(connection: client.Connection, root: str, progress: Progress) -> bool:
    """Update from the daemon's status; False while it says nothing of the root."""
    for one in connection.call("status")["roots"]:
        if one["path"] != root:
            continue
        if one.get("phase") == "structure":
            done, total = one["structure_done"], one["structure_total"]
            progress.update(time.monotonic(), done, total, 0, "symbols and vectors")
            return True
        if one.get("files_total"):
            done, n_bytes = one.get("files_done", 0), one.get("bytes_done", 0)
            progress.update(time.monotonic(), done, one["files_total"], n_bytes, "indexing")
            return True
    return False


def _plain(waiting: _Waiting, root: str) -> None:
    """A line now and then."""
    progress, said = Progress(), time.monotonic()
    with client.connect(start=False) as connection:
        while waiting.is_alive():
            waiting.join(POLL_S)
            known = _look(connection, root, progress)
            if known and waiting.is_alive() and time.monotonic() - said >= PLAIN_PROGRESS_S:
                said = time.monotonic()
                print(f"{progress.phase}: {progress}", file=sys.stderr, flush=True)


def _bar(waiting: _Waiting, root: str) -> None:
    """A bar on the terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    progress = Progress()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with (
        client.connect(start=False) as connection,
        Bars(*columns, console=Console(stderr=True), transient=True) as bars,
    ):
        task = bars.add_task("indexing", total=None, said="")
        while waiting.is_alive():
            waiting.join(POLL_S)
            if _look(connection, root, progress):
                bars.update(
                    task,
                    description=progress.phase,
                    completed=progress.done,
                    total=progress.total,
                    said=str(progress),
                )
