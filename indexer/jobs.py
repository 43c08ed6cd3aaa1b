"""What the service asks of a parse worker, what comes back, and the reading that every job begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from indexer.records import FileChange, Skipped, SourceFile, Stat, TextSegment, Upsert

Outcome = Upsert | Skipped | FileChange  # FileChange with stat None: the file is gone
Read = Callable[[bytes, bytes], tuple[SourceFile | Skipped, Stat | None]]


@dataclass(frozen=True, slots=True)
class Job:
    """Paths of one root to look at; one worker does all of them."""

    id: int
    root_id: int
    root: bytes
    paths: tuple[bytes, ...]
    unparsed: frozenset[bytes] = field(default_factory=frozenset)  # these killed a worker: no parser
    urgent: bool = False  # somebody saved these: before other jobs
    alone: bool = False  # finishing the files together ended a worker: each by itself
    languages: frozenset[str] = field(default_factory=frozenset)  # to index; empty: all
    text_only: bool = False  # text comes first, into a segment; what is known as text is known (texts.py)
    round: int = 0  # of the second pass that makes the rest of such files; 0: not of one


@dataclass(frozen=True, slots=True)
class Casualty:
    """A file whose parsing ended a worker."""

    path: bytes
    digest: bytes  # b"" if it died before the file was read
    reason: str


@dataclass(frozen=True, slots=True)
class JobResult:
    """One outcome for every path of the job, unless it failed as a whole."""

    job: Job
    outcomes: list[Outcome]
    casualties: tuple[Casualty, ...] = ()
    text: TextSegment | None = None  # of a job whose text comes first: its new contents
    failed: str = (
        ""  # why such a job has no outcome: "full" (the disk), "together" (its files must go one by one)
    )


def sources(
    job: Job, read: Read, note: Callable[[int, int, bytes], None], outcomes: list[Outcome]
) -> Iterator[tuple[int, bytes, SourceFile]]:
    """Yield position (1-based), path and content of each file of a job that is to be indexed.

    Each path gets its outcome here, in their order; `read` and `note` are as for `workers.run_job`.
    """
    for position, path in enumerate(job.paths, 1):
        note(job.id, position, b"")
        found, stat = read(job.root, path)
        if isinstance(found, Skipped):
            outcomes.append(FileChange(path, None) if found.reason == "vanished" else found)
            continue
        assert stat is not None, path
        outcomes.append(Upsert(path, stat, found.digest, None))
        yield position, path, found
