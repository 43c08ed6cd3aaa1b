"""Killable parse workers: read, parse, count and embed files outside the process that must not die.

Grammars crash on odd input (SIGSEGV in a scanner), run for minutes, or eat gigabytes, and the parser holds
the GIL: so it never runs in the writer. Each worker is a fresh interpreter (never forked) that takes one job
at a time from a pipe and answers with one message. Before each file it notes the file's position, start and
digest on a shared page; when it dies, or is killed for being late, the page says which file did it. That file
alone is set aside (`Casualty`); the rest of the job is done again by a new worker. What comes after parsing
is done for all files of a job together; if a worker dies then, the job is done again file by file. A job
whose text comes first takes seconds and leaves its contents in a segment file (texts.py); urgent jobs are
done between its slices.

Bounds: `queue_jobs` jobs wait here, one waits in each worker's pipe, `file_deadline_ms` for the parser to
stop by itself, twice that plus a second until the worker is killed, `memory_mb` of address space beyond
what the interpreter had at its start."""

from __future__ import annotations

import gc
import logging
import mmap
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from config import cores
from config.errors import StoreError, StoreFull
from config.machine import array_variables
from config.settings import Settings
from indexer.jobs import Casualty, Job, JobResult, Outcome, Read, sources
from indexer.packing import Answer, pack, unpack
from indexer.records import Parsed, Skipped, SourceFile, Upsert

if TYPE_CHECKING:
    from indexer.prepare import Preparer
    from indexer.store.lookup import Lookup

# job id, file position (1-based; 0: idle; one past the last: all are being finished), monotonic start in ns,
# digest being parsed (zeros: not read yet)
_PAGE = struct.Struct("<QQQ16s")
_JOBS_PER_WORKER = 2  # one running, one waiting in the pipe, so that a worker never idles between jobs
_GC_OBJECTS = 50_000  # between collections: a job makes thousands of objects, and few cycles
_MEMORY_LIMIT = "memory limit"
_KILLED_LATE = "deadline"
# One thread per worker: the products of embedding are small, and threads of several workers that wait for
# each other by spinning took Linux 6.1 from 4 to 1 MB/s on two cores.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


log = logging.getLogger("einstein.workers")


class WorkerPool:
    """Workers of one writer. Not thread-safe: one thread submits and polls."""

    def __init__(self, settings: Settings, store_dir: Path) -> None:
        """Start no worker yet; `resize` does. Workers look digests up in the catalog below `store_dir`."""
        self._settings = settings
        self._store_dir = store_dir
        self._workers: list[_Worker] = []
        self._waiting: deque[Job] = deque()
        self._casualties: dict[int, list[Casualty]] = {}
        self._killed_once: set[tuple[int, bytes]] = set()
        self._late_s = 2 * settings.workers.file_deadline_ms / 1000 + 1
        self._placement = "background"

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers, for status."""
        return [worker.process.pid for worker in self._workers]

    @property
    def count(self) -> int:
        """Workers there are."""
        return len(self._workers)

    @property
    def outstanding(self) -> int:
        """Jobs submitted and not yet returned."""
        return len(self._waiting) + sum(len(worker.jobs) for worker in self._workers)

    @property
    def room(self) -> int:
        """Jobs that can be submitted now without queueing more than `queue_jobs` here."""
        return max(
            0, len(self._workers) * _JOBS_PER_WORKER + self._settings.workers.queue_jobs - self.outstanding
        )

    def resize(self, count: int, placement: str) -> None:
        """Run `count` workers on the cores of `placement` ("background" or "fast")."""
        if placement != self._placement:
            self._placement = placement
            for worker in self._workers:
                worker.send(placement)
        while len(self._workers) < count:
            self._workers.append(_Worker(self._settings, self._store_dir, self._placement))
        idle = [worker for worker in self._workers if not worker.jobs]
        for worker in idle[: max(0, len(self._workers) - count)]:
            self._workers.remove(worker)
            worker.stop()

    def submit(self, job: Job) -> None:
        """Queue a job; an urgent one goes before the others."""
        if job.urgent:
            self._waiting.appendleft(job)
        else:
            self._waiting.append(job)
        self._feed()

    def poll(self, timeout_s: float, wake_fd: int | None = None) -> list[JobResult]:
        """Wait up to `timeout_s` for results, for a byte on `wake_fd`, or for a worker to die."""
        self._feed()
        sources: list[Connection | int] = [worker.connection for worker in self._workers]
        if wake_fd is not None:
            sources.append(wake_fd)
        if any(worker.jobs for worker in self._workers):
            timeout_s = min(timeout_s, 1.0)  # look for late workers at least this often
        ready = wait(sources, timeout_s)
        results: list[JobResult] = []
        for worker in list(self._workers):
            if worker.connection in ready:
                self._receive(worker, results)
            elif worker.late(self._late_s):
                worker.kill()
                self._bury(worker, _KILLED_LATE, results)
        self._feed()
        return results

    def stop(self) -> None:
        """End all workers; jobs under way are dropped (the next scan finds their files again)."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
        self._waiting.clear()

    def _feed(self) -> None:
        while self._waiting and self._waiting[0].urgent and self._workers:
            min(self._workers, key=lambda worker: len(worker.jobs)).start(self._waiting.popleft())
        for depth in range(1, _JOBS_PER_WORKER + 1):
            for worker in self._workers:
                # A text job waits for a worker without any: thousands of paths fill a pipe that nobody reads.
                if self._waiting and len(worker.jobs) < (1 if self._waiting[0].text_only else depth):
                    worker.start(self._waiting.popleft())

    def _receive(self, worker: _Worker, results: list[JobResult]) -> None:
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            worker.kill()
            self._bury(worker, "", results)
            return
        job = worker.take(answer.job_id)
        assert job is not None, answer.job_id
        casualties = tuple(self._casualties.pop(job.id, ()))
        results.append(JobResult(job, unpack(answer.packed), casualties, answer.text, answer.failed))

    def _bury(self, worker: _Worker, reason: str, results: list[JobResult]) -> None:
        """Replace a dead worker and give its jobs back, without the parser for the file that killed it."""
        self._workers.remove(worker)
        status = worker.process.wait()
        job_id, position, _started, digest = worker.page.read()
        worker.close()
        self._workers.append(_Worker(self._settings, self._store_dir, self._placement))
        job = worker.take(job_id) if position else None
        for other in reversed(worker.jobs):
            self._waiting.appendleft(other)
        if job is None:  # it died between files: nobody's fault
            return
        if position > len(job.paths):
            if job.text_only:
                from indexer.texts import remove_text

                why = reason or _signal_name(status)
                log.warning(
                    "a worker ended (%s) with the text of %d files; they are read again", why, len(job.paths)
                )
                remove_text(self._store_dir, job.id)
                results.append(JobResult(job, [], failed="together"))
                return
            self._waiting.appendleft(replace(job, alone=True))  # done once more, to see which file it is
            return
        path = job.paths[position - 1]
        if not reason and status == -signal.SIGKILL and (job.root_id, path) not in self._killed_once:
            # Killed from outside (a person, the kernel's memory killer): the file may be innocent.
            self._killed_once.add((job.root_id, path))
            self._waiting.appendleft(job)
            return
        self._killed_once.discard((job.root_id, path))
        casualty = Casualty(path, digest.rstrip(b"\0") and digest, reason or _signal_name(status))
        self._casualties.setdefault(job.id, []).append(casualty)
        if path not in job.unparsed:
            self._waiting.appendleft(replace(job, unparsed=job.unparsed | {path}))
            return
        # Even without the parser: give the file up, keep the others.
        rest = tuple(other for other in job.paths if other != path)
        skipped: Outcome = Skipped(path, "crash", casualty.reason, None)
        if not rest:
            results.append(JobResult(job, [skipped], tuple(self._casualties.pop(job.id))))
            return
        results.append(JobResult(replace(job, paths=(path,)), [skipped]))
        self._waiting.appendleft(replace(job, paths=rest))


class _Page:
    """The shared page on which a worker notes what it is doing; only the worker writes."""

    def __init__(self, file_descriptor: int) -> None:
        self._map = mmap.mmap(file_descriptor, mmap.PAGESIZE)

    def note(self, job_id: int, position: int, digest: bytes) -> None:
        started = _PAGE.unpack_from(self._map)[2] if digest else time.monotonic_ns()
        _PAGE.pack_into(self._map, 0, job_id, position, started, digest)

    def clear(self) -> None:
        _PAGE.pack_into(self._map, 0, 0, 0, 0, b"")

    def read(self) -> tuple[int, int, int, bytes]:
        job_id, position, started, digest = _PAGE.unpack_from(self._map)
        return job_id, position, started, digest

    def close(self) -> None:
        self._map.close()


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, settings: Settings, store_dir: Path, placement: str) -> None:
        self.jobs: deque[Job] = deque()
        with tempfile.TemporaryFile() as file:
            file.truncate(mmap.PAGESIZE)
            self.page = _Page(file.fileno())
            parent, child = pipe()
            with child:
                fds = (child.fileno(), file.fileno())
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "indexer.workers", str(fds[0]), str(fds[1])],
                    pass_fds=fds,
                    stdin=subprocess.DEVNULL,
                    close_fds=True,
                    env={**array_variables(), **os.environ, **_ONE_THREAD},
                )
        self.connection = parent
        self.send((settings, str(store_dir), placement))

    def send(self, message: object) -> None:
        # A worker that has died is noticed by poll, through the end of its pipe.
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            return

    def start(self, job: Job) -> None:
        self.jobs.append(job)
        self.send(job)

    def take(self, job_id: int) -> Job | None:
        """Return the job with this id, which it has then no longer."""
        job = next((each for each in self.jobs if each.id == job_id), None)
        if job is not None:
            self.jobs.remove(job)
        return job

    def late(self, limit_s: float) -> bool:
        _job_id, position, started, _digest = self.page.read()
        return bool(self.jobs) and position > 0 and time.monotonic_ns() - started > limit_s * 1e9

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        self.process.kill()  # it owns nothing: no file half written, no lock
        self.process.wait()
        self.close()

    def close(self) -> None:
        self.connection.close()
        self.page.close()


def run_job(
    job: Job,
    lookup: Lookup,
    preparer: Preparer,
    read: Read,
    note: Callable[[int, int, bytes], None],
) -> list[Outcome]:
    """Look at every path of the job: one outcome each, in the order of the paths.

    `read` gives a file's content or why it is skipped, and its stat. `note` is told the job, the
    position of the file (1-based) and, once it is known, the digest of what is about to be parsed; then, one
    position past the last, that all files are being finished together.
    """
    outcomes: list[Outcome] = []
    fresh: list[_Fresh] = []
    for position, path, found in sources(job, read, note, outcomes):
        note(job.id, position, found.digest)
        if not lookup.known(found.digest):
            fresh.append(_Fresh(position, found, _parse(job, path, found, lookup, preparer)))
            if job.alone:
                _finish(outcomes, fresh, preparer)
                fresh.clear()
    if fresh:
        note(job.id, len(job.paths) + 1, b"")
        try:
            _finish(outcomes, fresh, preparer)
        except MemoryError:
            for one in fresh:
                note(job.id, one.position, one.source.digest)
                _finish(outcomes, [one], preparer)
    return outcomes


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A file that was read and parsed and is still to be finished."""

    position: int
    source: SourceFile
    parsed: Parsed | str


def _parse(job: Job, path: bytes, source: SourceFile, lookup: Lookup, preparer: Preparer) -> Parsed | str:
    reason = "killed a worker" if path in job.unparsed else lookup.quarantined(source.digest)
    if reason:
        return reason
    try:
        return preparer.parse(source)
    except MemoryError:
        return _MEMORY_LIMIT


def _finish(outcomes: list[Outcome], fresh: Sequence[_Fresh], preparer: Preparer) -> None:
    """Complete the outcomes of these files. Raises MemoryError only for several."""
    try:
        files = preparer.finish([one.source for one in fresh], [one.parsed for one in fresh])
    except MemoryError:
        if len(fresh) > 1:
            raise
        files = [preparer.prepare_unparsed(fresh[0].source, _MEMORY_LIMIT)]
    for one, prepared in zip(fresh, files, strict=True):
        upsert = outcomes[one.position - 1]
        assert isinstance(upsert, Upsert), upsert
        outcomes[one.position - 1] = replace(upsert, prepared=prepared)


def pipe() -> tuple[Connection, Connection]:
    import socket  # a socket pair is what multiprocessing's duplex Pipe is; this one is inherited by number

    left, right = socket.socketpair()
    return Connection(left.detach()), Connection(right.detach())


def _signal_name(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _limit_memory(megabytes: int) -> None:
    """Bound the address space beyond what the interpreter and the model already use."""
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    except OSError:
        return  # macOS does not enforce RLIMIT_AS; there the parent's deadline is the bound
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20,) * 2)


class _Child:
    """The worker's side: does one job after the other, urgent ones between the slices of a long one."""

    def __init__(self, connection: Connection, page: _Page, settings: Settings, store_dir: Path) -> None:
        from indexer.embed.static import load_static_model
        from indexer.prepare import Preparer
        from indexer.source import Limits
        from indexer.store.lookup import Lookup

        self._connection = connection
        self._page = page
        self._store_dir = store_dir
        model = load_static_model() if settings.model.tier0 else None
        self._preparer = Preparer(model, settings.workers.file_deadline_ms / 1000)
        self._lookup = Lookup(store_dir)
        self._limits = Limits.of(settings)
        self._waiting: deque[Job] = deque()

    def run(self) -> NoReturn:
        """Work until the pipe ends. Raises EOFError."""
        while True:
            while not self._waiting:
                self._receive()
            self._do(self._waiting.popleft())
            self._page.clear()

    def _receive(self) -> None:
        message = self._connection.recv()
        if isinstance(message, str):
            cores.place(message)
        elif message.urgent:
            self._waiting.appendleft(message)
        else:
            self._waiting.append(message)

    def _pause(self) -> None:
        """Between two slices: somebody may have saved a file."""
        while self._connection.poll():
            self._receive()
        while self._waiting and self._waiting[0].urgent:
            self._do(self._waiting.popleft())

    def _do(self, job: Job) -> None:
        from indexer.source import Directories, read_source_stat

        with Directories(job.root) as directories:
            limits = replace(self._limits, languages=job.languages)
            read = partial(read_source_stat, limits=limits, directories=directories)
            if job.text_only:
                answer = self._text_of(job, read)
            else:
                outcomes = run_job(job, self._lookup, self._preparer, read, self._page.note)
                answer = Answer(job.id, pack(outcomes))
        self._connection.send(answer)

    def _text_of(self, job: Job, read: Read) -> Answer:
        from indexer.texts import run_text_job, text_path

        into = text_path(self._store_dir, job.id)
        try:
            outcomes, text = run_text_job(
                job, into, self._lookup.known_texts, read, self._page.note, self._pause
            )
        except MemoryError:
            return Answer(job.id, pack([]), failed="together")
        except StoreError as error:
            return Answer(job.id, pack([]), failed="full" if isinstance(error, StoreFull) else "together")
        return Answer(job.id, pack(outcomes), text)


def main(arguments: Sequence[str]) -> int:
    """Run one worker: `python -m indexer.workers PIPE_FD PAGE_FD`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    connection = Connection(int(arguments[0]))
    page = _Page(int(arguments[1]))
    os.close(int(arguments[1]))
    settings, store_dir, placement = connection.recv()
    cores.place(placement)
    gc.set_threshold(_GC_OBJECTS)
    child = _Child(connection, page, settings, Path(store_dir))
    _limit_memory(settings.workers.memory_mb)
    try:
        child.run()
    except EOFError:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
