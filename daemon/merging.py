"""Merges in the background: plan in the writer, work in a child process, commit in the writer.

A merge reads immutable files and writes one new file, so it needs nothing of the writer while it runs: a
saved file is committed meanwhile as always. If it dies, its temporary file is swept up at the next start
and the plan is made again."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

import msgspec

from config.errors import EinsteinError
from config.threads import Thread
from indexer.store.format import SegmentInfo
from indexer.store.merge import MergePlan, run_merge
from indexer.store.writer import Writer

FAILURES_MAX = 3  # in a row; then merging rests until the next start, and status says so

T = TypeVar("T")
log = logging.getLogger("einstein.merging")


class Merging:
    """At most one merge at a time. `step` belongs to the service's thread."""

    def __init__(self, writer: Writer, commits: Executor, wake: Callable[[], None]) -> None:
        self._writer = writer
        self._commits = commits
        self._wake = wake
        self._due = True
        self._any_dead = False
        self._texts = True
        self._idle = False
        self._planning: Future[MergePlan | None] | None = None
        self._plan: MergePlan | None = None
        self._child: _Child | None = None
        self._committing: Future[int] | None = None
        self.n_merges = 0
        self.failures = 0

    @property
    def busy(self) -> bool:
        """Whether a merge is planned, running or being committed."""
        return self._planning is not None or self._child is not None or self._committing is not None

    def note_commit(self) -> None:
        """There may be something to merge."""
        self._due = True

    def make_room(self) -> None:
        """The pool is full: also rewrite segments with little dead content, whose rows become free."""
        self._due = self._any_dead = True

    def step(self, texts: bool = True, idle: bool = False) -> None:
        """Go on with the merge under way, or plan the next.

        texts  also of segments that hold text only; not while their documents are being replaced
        idle   nothing has changed for a while
        """
        self._due = self._due or texts != self._texts or idle != self._idle
        self._texts, self._idle = texts, idle
        if self._committing is not None:
            self._finish_commit()
        elif self._child is not None:
            self._finish_child()
        elif self._planning is not None:
            self._finish_plan()
        elif self._due and self.failures < FAILURES_MAX:
            any_dead, self._due, self._any_dead = self._any_dead, False, False
            self._planning = self._submit(lambda: self._writer.plan_merge(any_dead, texts, idle))

    def stop(self) -> None:
        """Give up the merge under way; its file is swept up at the next start."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _finish_plan(self) -> None:
        assert self._planning is not None
        if not self._planning.done():
            return
        future, self._planning = self._planning, None
        error = future.exception()
        if isinstance(error, EinsteinError):
            self._failed(str(error))
            return
        self._plan = future.result()
        if self._plan is not None:
            self._child = _Child(self._plan, self._wake)

    def _finish_child(self) -> None:
        assert self._child is not None and self._plan is not None
        outcome = self._child.outcome
        if outcome is None:
            return
        plan, self._child = self._plan, None
        if isinstance(outcome, str):
            self._failed(outcome)
            return
        self._committing = self._submit(lambda: self._writer.commit_merge(plan, outcome.info))

    def _finish_commit(self) -> None:
        assert self._committing is not None
        if not self._committing.done():
            return
        future, self._committing = self._committing, None
        error = future.exception()
        if error is None:
            self.failures = 0
            self.n_merges += 1
            self._due = True
        elif isinstance(error, EinsteinError):
            self._failed(str(error))
        else:
            raise error

    def _failed(self, why: str) -> None:
        self.failures += 1
        self._due = True
        log.error("merge failed (%d of %d): %s", self.failures, FAILURES_MAX, why)

    def _submit(self, function: Callable[[], T]) -> Future[T]:
        future = self._commits.submit(function)
        future.add_done_callback(lambda _: self._wake())
        return future


class _Outcome(msgspec.Struct, frozen=True):
    """What the child answers: the new segment, None if no document lived."""

    info: SegmentInfo | None


class _Child:
    """The child process and the thread that waits for it."""

    def __init__(self, plan: MergePlan, wake: Callable[[], None]) -> None:
        self.outcome: _Outcome | str | None = None  # str: why it failed
        self._process = subprocess.Popen(
            [sys.executable, "-m", "daemon.merge_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._plan = plan
        self._wake = wake
        Thread(target=self._wait, name="merge", daemon=True).start()

    def kill(self) -> None:
        self._process.kill()

    def _wait(self) -> None:
        out, err = self._process.communicate(msgspec.msgpack.encode(self._plan))
        if self._process.returncode == 0:
            self.outcome = msgspec.msgpack.decode(out, type=_Outcome)
        else:
            lines = err.decode("utf-8", "replace").strip().splitlines()
            self.outcome = f"status {self._process.returncode}: {lines[-1] if lines else 'no message'}"
        self._wake()


def merge(plan: bytes) -> bytes:
    """Carry out an encoded plan and encode what came of it; in the child."""
    outcome = _Outcome(run_merge(msgspec.msgpack.decode(plan, type=MergePlan)))
    return msgspec.msgpack.encode(outcome)
