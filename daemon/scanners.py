"""Reads batches of files for exhaustive searches: here, or in processes that many searches share.

One query that reads a gigabyte would hold the interpreter lock of its query process and slow every other
query there. So whatever is not small goes to scan processes, one for each core that queries may use. They are
started when they are first needed and end when nobody has needed them for a while. A thread for each process
takes jobs from one queue, first those of the search for which the least was read so far: a search that needs
little is not held up by ten that read everything, and those get their turns in turn. A search puts in only a
few batches ahead of what its client has read, so a client that does not read holds up nobody.

The same function reads a batch in both places. A process that dies is replaced, and its batch read once more.

A ranked search that has read much and found little has portions searched here, too, once the processes run:
it does not wait for their start.
"""

from __future__ import annotations

import itertools
import logging
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from config.errors import DaemonUnavailable, StoreError
from config.threads import Thread
from daemon.scan import READY, Failed, FindTask, Scanned, Task, scan
from indexer.workers import pipe
from search.batch import PatternSpec
from search.budget import Budget
from search.candidates import Contents
from search.far import PageMatches, Portion
from search.grep import Sweep
from search.lines import LineSpec

log = logging.getLogger("einstein.scanners")

# Candidates below it, divided by the processes, are read here: two of them take as long for 8 MB as one
# thread does. That is 10 ms, in which the interpreter is mostly left to others.
SMALL_BYTES = 16 << 20
PORTIONS_PROCESSES_MIN = 2  # one would only be another place
AHEAD = 2  # batches beyond one for each process that a search has under way or waiting to be shown
IDLE_S = 300.0  # after which a scan process that nobody needs ends
_ATTEMPTS = 2
_LOOK_S = 0.1  # between looks at whether the client still wants the answer

Work = Task | FindTask
Done = Scanned | PageMatches
Outcome = Done | Failed | None  # None: the process ended, and another one too


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
        for done in self._in_order(tasks, sweep.budget):
            assert isinstance(done, Scanned)
            yield done

    @property
    def ready(self) -> bool:
        """Whether portions are searched faster by the processes: they run, and are several. Starts them."""
        if self.n < PORTIONS_PROCESSES_MIN:
            return False
        self._start()
        for hand in self._hands:
            if hand.asleep:
                hand.asleep = False
                self._jobs.put((0, next(self._order), _WAKE))
        return all(hand.ready for hand in self._hands)

    def find(
        self, spec: LineSpec, portions: Iterable[Portion], segments: Sequence[Contents], budget: Budget
    ) -> Iterator[tuple[Portion, PageMatches]]:
        """Yield every portion of a ranked search with its matches, in order."""
        under_way: deque[Portion] = deque()
        paths = frozenset(str(segment.path) for segment in segments)

        def tasks() -> Iterator[FindTask]:
            for portion in portions:
                under_way.append(portion)
                at, pages = portion.segment.page_at, portion.pages
                nbytes = int((at[pages + 1] - at[pages]).sum())
                yield FindTask(str(portion.segment.path), pages, spec, paths, nbytes)

        for done in self._in_order(tasks(), budget):
            assert isinstance(done, PageMatches)
            yield under_way.popleft(), done

    def _in_order(self, tasks: Iterator[Work], budget: Budget) -> Iterator[Done]:
        self._start()
        finished: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        waiting: dict[int, Done] = {}
        jobs: dict[int, _Job] = {}
        shown = asked = 0
        try:
            while True:
                for task in tasks:
                    number = shown + len(jobs)
                    jobs[number] = _Job(number, task, finished)
                    self._jobs.put((asked, next(self._order), jobs[number]))
                    asked += task.nbytes
                    if len(jobs) >= self.n + AHEAD:
                        break
                if not jobs:
                    return
                while shown not in waiting:
                    budget.check()
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
    task: Work
    finished: queue.SimpleQueue[tuple[int, Outcome]]
    dropped: bool = False


class _Wake:
    """Has a process started again that nobody needed for a while."""


_WAKE = _Wake()
_Jobs = queue.PriorityQueue[tuple[int, int, _Job | _Wake | None]]


class _Hand:
    """A thread with a process of its own."""

    def __init__(self, jobs: _Jobs) -> None:
        self._jobs = jobs
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self.ready = False  # the process runs and has loaded all
        self.asleep = False  # it has ended, and the thread waits for work
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
        self._wake()
        while True:
            try:
                *_, job = self._jobs.get(timeout=IDLE_S)
            except queue.Empty:
                self._end()
                self.asleep = True
                *_, job = self._jobs.get()
                self.asleep = False
            if job is None:
                self._end()
                return
            if isinstance(job, _Wake):
                self._wake()
            elif not job.dropped:
                job.finished.put((job.number, self._do(job.task)))

    def _wake(self) -> None:
        """Have a process; if it ends at once, the first task will tell."""
        try:
            self._ensure()
        except (EOFError, OSError):
            self._end()

    def _do(self, task: Work) -> Outcome:
        for _ in range(_ATTEMPTS):
            try:
                connection = self._ensure()
                connection.send(task)
                done: Outcome = connection.recv()
            except (EOFError, OSError):
                log.warning("scan process %d ended over a batch", self.pid)
                self._end()
            else:
                return done
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
            assert self._connection.recv() == READY
            self.ready = True
        return self._connection

    def _end(self) -> None:
        self.ready = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
