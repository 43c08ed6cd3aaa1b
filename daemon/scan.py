"""What scan processes do: batches of exhaustive searches, read and encoded; portions of ranked ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from config.errors import EinsteinError
from daemon.codec import encode
from indexer.records import I64
from indexer.store.segment import Segment
from search.batch import Batch, BatchResult, PatternSpec, cut, line_pattern, read_batch
from search.far import finder_of, matches_in
from search.lines import LinePattern, LineSpec


@dataclass(frozen=True, slots=True)
class Task:
    """A batch and how it is to be read; picklable."""

    batch: Batch
    spec: PatternSpec
    lines_max: int  # 0: no limit
    deadline: float  # time.monotonic(), which all processes of a machine share
    segments: frozenset[str]  # all that the search may still ask for; others need not stay open

    @property
    def nbytes(self) -> int:
        """How much there is to read."""
        return self.batch.nbytes


@dataclass(frozen=True, slots=True)
class FindTask:
    """A portion of a ranked search; picklable."""

    segment: str
    pages: I64
    spec: LineSpec
    segments: frozenset[str]
    nbytes: int


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a batch showed, encoded for the wire."""

    files: bytes
    n_files: int
    lines: int
    changed: int
    gone: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a batch could not be read."""

    reason: str


class Clock:
    """Tells when a point in time has passed."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def over(self) -> bool:
        """See search.grep.Clock."""
        return time.monotonic() > self._deadline


def scan(task: Task, pattern: LinePattern, opened: Callable[[str], Segment]) -> Scanned:
    """Read a batch."""
    result = read_batch(task.batch, pattern, task.spec, opened, Clock(task.deadline))
    if task.lines_max and result.lines > task.lines_max:
        result = cut(result, task.lines_max)
    return Scanned(
        encode(result.files), len(result.files), result.lines, result.changed, result.gone, result.complete
    )


def shortened(scanned: Scanned, lines: int) -> Scanned:
    """Return the first `lines` matching lines of what a batch showed."""
    files = msgspec.json.decode(scanned.files)
    result = cut(BatchResult(files, scanned.lines, scanned.changed, scanned.gone), lines)
    return replace(scanned, files=encode(result.files), n_files=len(result.files), lines=result.lines)


class _Opened:
    """The segments that a scan process has open."""

    def __init__(self) -> None:
        self._segments: dict[str, Segment] = {}

    def __call__(self, path: str) -> Segment:
        segment = self._segments.get(path)
        if segment is None:
            segment = self._segments[path] = Segment.open(Path(path))
        return segment

    def forget_all_but(self, paths: frozenset[str]) -> None:
        """Close what was merged away: a mapped file keeps its place on the disk."""
        for path in self._segments.keys() - paths:
            self._segments.pop(path).close()


def serve(connection: Connection) -> None:
    """Say that all is loaded, then do tasks until the other side closes the connection."""
    opened = _Opened()
    connection.send(READY)
    while True:
        try:
            task: Task | FindTask = connection.recv()
        except (EOFError, OSError):
            return
        opened.forget_all_but(task.segments)
        try:
            if isinstance(task, Task):
                connection.send(scan(task, line_pattern(task.spec), opened))
            else:
                connection.send(matches_in(opened(task.segment), task.pages, finder_of(task.spec)))
        except EinsteinError as error:
            connection.send(Failed(str(error)))


READY = "ready"
