"""Reads batches of files for exhaustive searches: here, or in processes that many searches share.

One query that reads a gigabyte would hold the interpreter lock of its query process and slow every other
query there. So whatever is not small goes to scan processes, one for each core that queries may use. They are
started when they are first needed and end when nobody has needed them for a while. A thread for each process
takes jobs from one queue, first those of the search for which the least was read so far: a search that needs
little is not held up by ten that read everything, and those get their turns in turn. A search puts in only a
few batches ahead of what its client has read, so a client that does not read holds up nobody.

The same function reads a batch in both places. A process that dies is replaced, and its batch read once more.
"""

from __future__ import annotations

import itertools
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from config.errors import DaemonUnavailable, StoreError
from config.threads import Thread
from daemon.scan import Failed, Scanned, Task, scan
from indexer.workers import pipe
from search.batch import PatternSpec
from search.grep import Sweep

log = logging.getLogger("einstein.scanners")

# Candidates below it, divided by the processes, are read here: two of them take as long for 8 MB as one
# thread does. That is 10 ms, in which the interpreter is mostly left to others.
SMALL_BYTES = 16 << 20
AHEAD = 2  # batches beyond one for each process that a search has under way or waiting to be shown
IDLE_S = 300.0  # after which a scan process that nobody needs ends
_ATTEMPTS = 2
_LOOK_S = 0.1  # between looks at whether the client still wants the answer

Outcome = Scanned | Failed | None  # None: the process ended, and another one too


class Scanners:
    """The scan processes of one query process. Any thread."""

    def __init__(self, n: int) -> None:
        """Start nothing yet; there will be at most `n` processes."""
        self.n = n
        self._jobs: _Jobs = queue.PriorityQueue()
        self._order = itertools.count()  # of jobs that are equal otherwise
        self._lock = threading.Lock()
        self._hands: list[_Hand] = []

    def read(self, sweep: Sweep, spec: PatternSpec, lines_max: int) -> Iterator[Scanned]:
        """Yield what each batch of a search shows, in order. Leaving early drops what is under way."""
        deadline = time.monotonic() + sweep.budget.left_ms() / 1000
        segments = sweep.segments
        batches = sweep.batches()
        left = lines_max
        tasks = (Task(batch, spec, left, deadline, frozenset(segments)) for batch in batches)
        if sweep.nbytes * self.n <= SMALL_BYTES:
            for task in tasks:
                sweep.budget.check()
                yield (scanned := scan(task, sweep.pattern, segments.__getitem__))
                left -= scanned.lines if lines_max else 0
                if lines_max and left <= 0:
                    return
            return
        yield from self._read_elsewhere(tasks, sweep)

    def _read_elsewhere(self, tasks: Iterator[Task], sweep: Sweep) -> Iterator[Scanned]:
        self._start()
        finished: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        waiting: dict[int, Scanned] = {}
        jobs: dict[int, _Job] = {}
        shown = asked = 0
        try:
            while True:
                for task in tasks:
                    number = shown + len(jobs)
                    jobs[number] = _Job(number, task, finished)
                    self._jobs.put((asked, next(self._order), jobs[number]))
                    asked += task.batch.nbytes
                    if len(jobs) >= self.n + AHEAD:
                        break
                if not jobs:
                    return
                while shown not in waiting:
                    sweep.budget.check()
                    try:
                        number, scanned = finished.get(timeout=_LOOK_S)
                    except queue.Empty:
                        continue
                    if scanned is None:
                        raise DaemonUnavailable("a scan process ended twice over the same files; ask again")
                    if isinstance(scanned, Failed):
                        raise StoreError(scanned.reason)
                    waiting[number] = scanned
                del jobs[shown]
                yield waiting.pop(shown)
                shown += 1
        finally:
            for job in jobs.values():
                job.dropped = True

    def _start(self) -> None:
        with self._lock:
            while len(self._hands) < self.n:
                self._hands.append(_Hand(self._jobs))

    @property
    def pids(self) -> list[int]:
        """Return the processes that run now, for status."""
        return [hand.pid for hand in self._hands if hand.pid]

    def close(self) -> None:
        """End all processes; searches under way get no further results."""
        with self._lock:
            hands, self._hands = self._hands, []
        for hand in hands:
            hand.stop()
        for _ in hands:
            self._jobs.put((-1, next(self._order), None))


@dataclass(slots=True)
class _Job:
    number: int
    task: Task
    finished: queue.SimpleQueue[tuple[int, Outcome]]
    dropped: bool = False


_Jobs = queue.PriorityQueue[tuple[int, int, _Job | None]]


class _Hand:
    """A thread with a process of its own."""

    def __init__(self, jobs: _Jobs) -> None:
        self._jobs = jobs
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        Thread(target=self._run, name="scan", daemon=True).start()

    @property
    def pid(self) -> int:
        process = self._process
        return process.pid if process is not None else 0

    def stop(self) -> None:
        """End the process; it owns nothing."""
        process = self._process
        if process is not None:
            process.kill()

    def _run(self) -> None:
        self._ensure()
        while True:
            try:
                *_, job = self._jobs.get(timeout=IDLE_S)
            except queue.Empty:
                self._end()
                *_, job = self._jobs.get()
            if job is None:
                self._end()
                return
            if not job.dropped:
                job.finished.put((job.number, self._do(job.task)))

    def _do(self, task: Task) -> Outcome:
        for _ in range(_ATTEMPTS):
            connection = self._ensure()
            try:
                connection.send(task)
                scanned: Outcome = connection.recv()
            except (EOFError, OSError):
                log.warning("scan process %d ended over a batch", self.pid)
                self._end()
            else:
                return scanned
        return None

    def _ensure(self) -> Connection:
        if self._connection is None:
            self._connection, child = pipe()
            with child:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "daemon.scan_process", str(child.fileno())],
                    pass_fds=(child.fileno(),),
                    stdin=subprocess.DEVNULL,
                    close_fds=True,
                )
        return self._connection

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
