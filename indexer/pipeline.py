"""The single path of a changed file: path -> job -> outcome -> batch -> generation.

Two queues lead to the same workers and the same writer. *Urgent* paths come from the watcher: somebody
saved a file and may be asking already, so each is looked at next and committed as soon as it is ready.
*Bulk* paths come from a scan: they are committed in batches, small at first (answers come early) and larger
as the build goes on (fewer segments to merge).

Where a scan finds very many files (`text_first_files`), text comes first: they are prepared without parser
and vectors, which takes a tenth of the time, and committed as *shallow*. The rest of them is made in a
second pass, a *round* of which `deepen` starts with what the catalog says is shallow, so that nothing needs
to be remembered over a restart. Paths of a round are not pending: their text in the index is right. A path
that changes leaves the round, and what a worker still makes of it there is dropped.

A path is never in two workers at once: if it changes again while it is under way, it is looked at again
afterwards. So outcomes of one path are applied in order, whatever the workers' speed. `ticket` and
`finished` tell a caller when everything known at some moment has been committed.

Applying a batch takes seconds in a first build. It runs in the writer's own thread (`Commits`), while this
thread keeps the workers fed. One thread calls everything here.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from config.errors import StoreFull
from config.settings import Settings
from indexer.jobs import Job, JobResult, Outcome
from indexer.records import Batch, FileChange, Skipped, Stat, TextSegment, Upsert
from indexer.workers import WorkerPool

JOB_FILES_MAX = 64
JOB_BYTES_MAX = 1 << 20  # about 0.2 s of one worker: what a saved file may have to wait for
# A job whose text comes first becomes a segment. The first ones are small, so that answers come early, and so
# are the last ones, so that all workers are busy to the end.
TEXT_JOB_FILES_MAX = 16_384
TEXT_JOB_BYTES_MIN = 4 << 20
TEXT_JOB_BYTES_MAX = 64 << 20
TEXT_JOB_MEMORY = 16  # times its size is allowed to a worker; it needs some 6
TEXT_JOB_GROWTH = 3  # it is as large as a third of those before it together
URGENT_JOB_FILES_MAX = 8
URGENT_MAX = 256  # hints at once; more is a checkout or an unpacked archive, not somebody saving
BATCH_GROWTH = 0.25  # a bulk batch waits for this share of the time the build has taken so far
BATCH_S_MAX = 20.0
RETRY_S = 5.0  # after a commit failed (disk full, pool full)
BATCH_FILES_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Commit:
    """What became of a batch."""

    generation: int
    again: frozenset[bytes] = frozenset()  # their content died while they were under way: look once more


Apply = Callable[[Batch], "Future[Commit]"]
_Kind = Literal["urgent", "text", "bulk", "round"]


@dataclass(slots=True)
class Progress:
    """How far the work on one root is."""

    files_total: int = 0  # of the scan under way or the last one that found something
    files_done: int = 0
    bytes_done: int = 0
    started: float = 0.0  # monotonic
    finished: float = 0.0  # monotonic; 0 while under way


@dataclass(slots=True)
class _Lane:
    """Outcomes of one root on their way into a batch, and the segments that hold contents of them."""

    outcomes: list[Outcome] = field(default_factory=list)
    texts: list[TextSegment] = field(default_factory=list)
    size: int = 0
    since: float = 0.0

    def add(self, outcomes: Sequence[Outcome], now: float) -> None:
        if not self.outcomes:
            self.since = now
        self.outcomes += outcomes
        self.size += sum(outcome_bytes(outcome) for outcome in outcomes)

    def clear(self) -> None:
        self.outcomes, self.texts, self.size = [], [], 0


class _RootWork:
    """What is under way for one root."""

    def __init__(self, root_id: int, path: bytes, languages: frozenset[str]) -> None:
        self.root_id = root_id
        self.path = path
        self.languages = languages
        self.outstanding: dict[bytes, int] = {}  # path -> ticket number; queued, in a worker or in a batch
        self.again: dict[bytes, tuple[int, FileChange]] = {}  # ticket of the first, the last change meanwhile
        self.taken: dict[bytes, Stat | None] = {}  # of those, what has left the queue: its stat when it did
        self.urgent_queue: deque[FileChange] = deque()
        self.text_queue: deque[FileChange] = deque()  # bulk, text first
        self.text_bytes = (0, 0)  # of files that have left it since it was empty, and that are in it
        self.bulk_queue: deque[FileChange] = deque()
        self.waiting: set[bytes] = set()  # paths to be done from these two; not what was saved meanwhile
        self.urgent = _Lane()
        self.text = _Lane()
        self.bulk = _Lane()
        self.progress = Progress()
        self.round = 0
        self.round_queue: deque[FileChange] = deque()
        self.round_paths: set[bytes] = set()  # queued, in a worker or in a batch
        self.round_lane = _Lane()
        self.round_started = 0.0

    def lane(self, kind: _Kind) -> _Lane:
        """Where outcomes of a kind wait for their batch."""
        return {"urgent": self.urgent, "text": self.text, "bulk": self.bulk, "round": self.round_lane}[kind]

    @property
    def bulk_left(self) -> int:
        """Paths of scans that are not committed yet."""
        return self.progress.files_total - self.progress.files_done


class Pipeline:
    """Queues, jobs and batches of all roots."""

    def __init__(
        self,
        settings: Settings,
        workers: WorkerPool,
        apply: Apply,
        quarantine: Callable[[bytes, str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is under way yet.

        apply       starts the commit of a batch and gives a future of what became of it
        quarantine  remembers that content with this digest must not be parsed, and why
        """
        self._settings = settings
        self._workers = workers
        self._apply = apply
        self._quarantine = quarantine
        self._clock = clock
        self._roots: dict[int, _RootWork] = {}
        self._job_id = 0
        self._tickets = 0
        self._retry_at = 0.0  # after a failed commit: not before
        self._full = False  # a worker found no room on the disk
        self._commit: _Committing | None = None

    def add_root(self, root_id: int, path: bytes, languages: frozenset[str] = frozenset()) -> None:
        """Accept work for a root, of which only files in these languages are indexed (none: all)."""
        self._roots[root_id] = _RootWork(root_id, path, languages)

    def drop_root(self, root_id: int) -> None:
        """Forget a root's queued work; what its workers still return is dropped."""
        work = self._roots.pop(root_id, None)
        if work is not None:
            _remove_texts(work.text.texts)

    def hint(self, root_id: int, changes: list[FileChange]) -> None:
        """Take what somebody probably saved just now; many at once (a checkout) are work like a scan's."""
        if len(changes) > URGENT_MAX:
            self._take_bulk(root_id, changes, saved=True)
            return
        work = self._roots[root_id]
        fresh = self._take_on(work, changes, saved=True) + self._hurry(work, changes)
        work.urgent.add([change for change in fresh if change.stat is None], self._clock())
        work.urgent_queue.extend(change for change in fresh if change.stat is not None)

    def scanned(self, root_id: int, changes: list[FileChange], everything: bool = False) -> None:
        """Take what a scan found changed: everything that is not committed yet is among it.

        everything  it lists what is in the index already, too, so text first would be no gain
        """
        self._take_bulk(root_id, changes, saved=False, text_first=not everything)

    def _take_bulk(
        self, root_id: int, changes: list[FileChange], saved: bool, text_first: bool = True
    ) -> None:
        work = self._roots[root_id]
        fresh = self._take_on(work, changes, saved)
        work.bulk.add([change for change in fresh if change.stat is None], self._clock())
        to_read = [change for change in fresh if change.stat is not None]
        many = len(to_read) + len(work.text_queue) >= self._settings.index.text_first_files
        if text_first and many:
            self._queue_texts(work, to_read)
        else:
            work.bulk_queue.extend(to_read)
            work.waiting.update(change.path for change in to_read)
        if not fresh:
            return
        if not work.bulk_left:
            work.progress = Progress(started=self._clock())
        work.progress.files_total += len(fresh)

    @staticmethod
    def _queue_texts(work: _RootWork, changes: list[FileChange]) -> None:
        done, left = work.text_bytes if work.text_queue else (0, 0)
        work.text_bytes = (done, left + sum(change.stat.size for change in changes if change.stat))
        work.text_queue.extend(changes)
        work.waiting.update(change.path for change in changes)

    @staticmethod
    def _hurry(work: _RootWork, changes: list[FileChange]) -> list[FileChange]:
        """Take saved files out of the bulk queues, where they wait."""
        hurried = [change for change in changes if change.stat is not None and change.path in work.waiting]
        work.waiting.difference_update(change.path for change in hurried)
        return hurried

    def deepen(self, root_id: int, changes: list[FileChange]) -> None:
        """Begin a round of the second pass with these shallow files; none is under way."""
        work = self._roots[root_id]
        assert not work.round_paths, len(work.round_paths)
        work.round = self._next_ticket()  # what workers still have of earlier rounds is not mistaken for it
        work.round_queue = deque(change for change in changes if change.path not in work.outstanding)
        work.round_paths = {change.path for change in work.round_queue}
        work.round_lane = _Lane()
        work.round_started = self._clock()

    def deepening(self, root_id: int) -> bool:
        """Whether a round of the second pass is under way."""
        work = self._roots.get(root_id)
        return work is not None and bool(work.round_paths)

    def texts_left(self, root_id: int) -> bool:
        """Whether files wait whose text comes first."""
        work = self._roots.get(root_id)
        return work is not None and bool(work.text_queue)

    def scan_left(self, root_id: int) -> int:
        """Paths of scans of this root that are not committed yet."""
        work = self._roots.get(root_id)
        return 0 if work is None else work.bulk_left

    def _take_on(self, work: _RootWork, changes: list[FileChange], saved: bool) -> list[FileChange]:
        """Enter the changes whose paths are not under way; the others may be looked at again afterwards.

        saved  each was just saved. A scan also lists what is under way unchanged, which needs no second look.
        """
        ticket = self._next_ticket()
        fresh: list[FileChange] = []
        for change in changes:
            path = change.path
            if path not in work.outstanding:
                work.outstanding[path] = ticket
                work.round_paths.discard(path)
                fresh.append(change)
                if change.stat is None:
                    work.taken[path] = None
            elif path in work.again:
                work.again[path] = (work.again[path][0], change)
            elif change.stat is None or (
                path in work.taken and (saved or work.taken[path] != change.stat)
            ):  # what still waits in the queue will be read as it is then
                work.again[path] = (ticket, change)
        return fresh

    def pending(self, root_id: int) -> int:
        """Paths known to be out of date in the index."""
        work = self._roots.get(root_id)
        return len(work.outstanding) if work else 0

    def under_way(self, root_id: int) -> Collection[bytes]:
        """Those paths: the catalog may not know them yet, and will."""
        work = self._roots.get(root_id)
        return work.outstanding.keys() if work else ()

    def progress(self, root_id: int) -> Progress:
        """How far the last scan's changes are."""
        return self._roots[root_id].progress

    @property
    def busy(self) -> bool:
        """Whether any path of any root is under way."""
        return self._commit is not None or any(
            work.outstanding or work.round_paths for work in self._roots.values()
        )

    @property
    def bulk_left(self) -> int:
        """Paths of scans and of the second pass that are not committed yet, over all roots."""
        return sum(work.bulk_left + len(work.round_paths) for work in self._roots.values())

    def ticket(self) -> int:
        """A number; see `finished`."""
        return self._next_ticket()

    def finished(self, root_id: int, ticket: int) -> bool:
        """Whether every path that was known when `ticket` was drawn is committed."""
        work = self._roots.get(root_id)
        return work is None or not any(number < ticket for number in work.outstanding.values())

    def step(self, timeout_s: float, wake_fd: int | None = None) -> tuple[int, ...]:
        """Feed the workers, collect results, commit what is due. Returns the generations that were published.

        Raises what the commit raised (StoreFull, ...), with the batch's paths put back into the queue.
        """
        self._submit()
        for result in self._workers.poll(timeout_s, wake_fd):
            self._collect(result)
        published = self._finish_commit()
        self._start_commit()
        self._submit()
        if self._full:
            self._full = False
            raise StoreFull(
                "no room while a worker wrote a segment; free disk space, its files are read again"
            )
        return published

    # -- workers

    def _submit(self) -> None:
        for work in self._roots.values():
            while work.urgent_queue:
                count = min(URGENT_JOB_FILES_MAX, len(work.urgent_queue))
                changes = [work.urgent_queue.popleft() for _ in range(count)]
                work.taken.update((change.path, change.stat) for change in changes)
                self._workers.submit(replace(self._job(work, changes), urgent=True))
        for work in self._roots.values():
            while work.text_queue and self._workers.room and self._clock() >= self._retry_at:
                if changes := self._next_texts(work):
                    self._workers.submit(replace(self._job(work, changes), text_only=True))
        for work in self._roots.values():
            while work.bulk_queue and self._workers.room and self._may_grow():
                if changes := self._next(work, work.bulk_queue, JOB_FILES_MAX, JOB_BYTES_MAX):
                    self._workers.submit(self._job(work, changes))
        for work in self._roots.values():
            while work.round_queue and self._workers.room and self._may_grow():
                if changes := self._next_of_round(work):
                    self._workers.submit(replace(self._job(work, changes), round=work.round))

    def _may_grow(self) -> bool:
        """Whether memory allows more prepared files to wait for a commit (backpressure)."""
        waiting = sum(work.bulk.size + work.round_lane.size for work in self._roots.values())
        return waiting < 2 * self._settings.index.batch_bytes

    @staticmethod
    def _next(work: _RootWork, queue: deque[FileChange], files_max: int, bytes_max: int) -> list[FileChange]:
        """Take the files of one job from a queue of a scan, none of those that were saved meanwhile."""
        changes: list[FileChange] = []
        size = 0
        while queue and len(changes) < files_max and size < bytes_max:
            change = queue.popleft()
            if change.path not in work.waiting:
                work.progress.files_total -= 1
                continue
            work.waiting.discard(change.path)
            work.taken[change.path] = change.stat
            changes.append(change)
            size += change.stat.size if change.stat else 0
        return changes

    def _next_texts(self, work: _RootWork) -> list[FileChange]:
        """The same of files whose text comes first."""
        done, left = work.text_bytes
        memory = self._settings.workers.memory_mb << 20
        most = min(TEXT_JOB_BYTES_MAX, memory // TEXT_JOB_MEMORY)
        size = min(most, done // TEXT_JOB_GROWTH, left // (2 * max(1, self._workers.count)))
        changes = self._next(work, work.text_queue, TEXT_JOB_FILES_MAX, max(TEXT_JOB_BYTES_MIN, size))
        taken = sum(change.stat.size for change in changes if change.stat)
        work.text_bytes = (done + taken, max(0, left - taken))
        return changes

    @staticmethod
    def _next_of_round(work: _RootWork) -> list[FileChange]:
        """The same of the second pass."""
        changes: list[FileChange] = []
        size = 0
        while work.round_queue and len(changes) < JOB_FILES_MAX and size < JOB_BYTES_MAX:
            change = work.round_queue.popleft()
            if change.path in work.round_paths:
                changes.append(change)
                size += change.stat.size if change.stat else 0
        return changes

    def _job(self, work: _RootWork, changes: list[FileChange]) -> Job:
        self._job_id += 1
        paths = tuple(change.path for change in changes)
        return Job(self._job_id, work.root_id, work.path, paths, languages=work.languages)

    def _collect(self, result: JobResult) -> None:
        for casualty in result.casualties:
            if casualty.digest:
                self._quarantine(casualty.digest, casualty.reason)
        work = self._roots.get(result.job.root_id)
        if work is None or result.job.languages != work.languages:  # judged by what no longer holds
            _remove_texts([result.text] if result.text else [])
            return
        if result.failed:
            self._do_again(work, result)
        elif result.job.text_only:
            work.text.add(result.outcomes, self._clock())
            work.text.texts += [result.text] if result.text else []
        elif not result.job.round:
            (work.urgent if result.job.urgent else work.bulk).add(result.outcomes, self._clock())
        elif result.job.round == work.round:
            self._collect_round(work, result.outcomes)

    def _do_again(self, work: _RootWork, result: JobResult) -> None:
        """Queue the files of a text job that failed: later, or each by itself and with everything."""
        changes = [FileChange(path, work.taken.pop(path)) for path in result.job.paths]
        if result.failed == "full":
            self._full, self._retry_at = True, self._clock() + RETRY_S
            self._queue_texts(work, changes)
        else:
            work.bulk_queue.extend(changes)
            work.waiting.update(result.job.paths)

    def _collect_round(self, work: _RootWork, outcomes: list[Outcome]) -> None:
        # A file that is gone is left to the watcher and to scans, which know a root that is not there.
        gone = {outcome.path for outcome in outcomes if isinstance(outcome, FileChange)}
        work.round_paths -= gone
        kept = [outcome for outcome in outcomes if outcome.path in work.round_paths]
        work.round_lane.add(kept, self._clock())

    # -- commits

    def _start_commit(self) -> None:
        if self._commit is not None or self._clock() < self._retry_at:
            return
        for work in self._roots.values():
            if work.urgent.outcomes:
                self._begin(work, "urgent")
                return
        for work in self._roots.values():
            if work.text.outcomes and self._begin(work, "text"):
                return
        for work in self._roots.values():
            # With the last ones, or while somebody waits who saved one of them again.
            last = len(work.bulk.outcomes) >= work.bulk_left or bool(work.again)
            if (last or self._due(work.bulk, work.progress.started)) and self._begin(work, "bulk"):
                return
        for work in self._roots.values():
            last = len(work.round_lane.outcomes) >= len(work.round_paths)
            if (last or self._due(work.round_lane, work.round_started)) and self._begin(work, "round"):
                return

    def _due(self, lane: _Lane, started: float) -> bool:
        """Whether a batch is large enough, or has waited long enough for the age of the build."""
        if lane.size >= self._settings.index.batch_bytes or len(lane.outcomes) >= BATCH_FILES_MAX:
            return True
        now = self._clock()
        shortest = self._settings.index.batch_ms / 1000
        patience = min(BATCH_S_MAX, max(shortest, BATCH_GROWTH * (now - started)))
        return now - lane.since >= patience

    def _begin(self, work: _RootWork, kind: _Kind) -> bool:
        """Start the commit of what is ready; False if nothing is."""
        lane = work.lane(kind)
        at_most = len(lane.outcomes) if kind == "text" else BATCH_FILES_MAX
        outcomes, texts = lane.outcomes[:at_most], lane.texts
        rest = lane.outcomes[at_most:]
        lane.clear()
        lane.add(rest, self._clock())
        if kind == "round":
            outcomes = [outcome for outcome in outcomes if outcome.path in work.round_paths]
        if outcomes:
            future = self._apply(as_batch(work.root_id, outcomes, texts))
            self._commit = _Committing(work, outcomes, texts, kind, future)
        return bool(outcomes)

    def _finish_commit(self) -> tuple[int, ...]:
        if self._commit is None or not self._commit.future.done():
            return ()
        commit, self._commit = self._commit, None
        work, outcomes, kind, future = commit.work, commit.outcomes, commit.kind, commit.future
        if self._roots.get(work.root_id) is not work:
            if future.exception() is not None:
                _remove_texts(commit.texts)
            return ()
        error = future.exception()
        if error is not None:
            self._retry_at = self._clock() + RETRY_S
            # Nothing was published, nothing is lost: it is tried again.
            work.lane(kind).add(outcomes, self._clock())
            work.lane(kind).texts += commit.texts
            raise error
        done = future.result()
        if kind == "round":  # what is still shallow, and what died meanwhile, is for the next round
            work.round_paths.difference_update(outcome.path for outcome in outcomes)
        else:
            work.progress.bytes_done += sum(sum(text.nbytes) for text in commit.texts)
            self._settle(work, outcomes, kind == "urgent", done.again)
        return (done.generation,)

    def _settle(
        self, work: _RootWork, outcomes: list[Outcome], urgent: bool, again: frozenset[bytes]
    ) -> None:
        for outcome in outcomes:
            path = outcome.path
            if path in work.again:
                work.outstanding[path], change = work.again.pop(path)
                if change.stat is None:
                    work.taken[path] = None
                    work.urgent.add([change], self._clock())
                else:
                    work.urgent_queue.append(change)
            elif path in again:  # its ticket stays: nothing of it was committed
                work.urgent_queue.append(FileChange(path, work.taken[path]))
            else:
                work.outstanding.pop(path, None)
                work.taken.pop(path, None)
        if not urgent:
            progress = work.progress
            progress.files_done += len(outcomes)
            progress.bytes_done += sum(outcome_bytes(outcome) for outcome in outcomes)
            if progress.files_done >= progress.files_total:
                progress.finished = self._clock()

    def _next_ticket(self) -> int:
        self._tickets += 1
        return self._tickets


@dataclass(frozen=True, slots=True)
class _Committing:
    """A batch that is being committed."""

    work: _RootWork
    outcomes: list[Outcome]
    texts: list[TextSegment]
    kind: _Kind
    future: Future[Commit]


def _remove_texts(texts: Sequence[TextSegment]) -> None:
    """Remove segments that will not be published; what is left after all is removed at the next start."""
    for text in texts:
        with contextlib.suppress(OSError):
            Path(text.path).unlink(missing_ok=True)


def as_batch(root_id: int, outcomes: list[Outcome], texts: Sequence[TextSegment] = ()) -> Batch:
    """Sort outcomes of one root into a batch; the last outcome of a path wins."""
    last = {outcome.path: outcome for outcome in outcomes}
    batch = Batch(root_id, texts=list(texts))
    for outcome in last.values():
        if isinstance(outcome, Upsert):
            batch.upserts.append(outcome)
        elif isinstance(outcome, Skipped):
            batch.skips.append(outcome)
        else:
            batch.removes.append(outcome.path)
    return batch


def outcome_bytes(outcome: Outcome) -> int:
    """Content bytes that the outcome carries; 0 for what the store knows already."""
    if isinstance(outcome, Upsert) and outcome.prepared is not None:
        return len(outcome.prepared.source.content)
    return 0
