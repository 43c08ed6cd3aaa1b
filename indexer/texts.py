"""A job whose text comes first -> its outcomes and one segment file with the contents.

It has as many files as make a segment, and is read slice by slice: what is made of a slice stays in the
processor's cache, and between two slices the worker can do something urgent. If the whole of it fails (too
little memory, a death while a slice was being finished), its files are prepared as if text had not come
first, a few at a time and with everything; see `JobResult.failed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from indexer.jobs import Job, Outcome, Read, sources
from indexer.records import SourceFile, TextSegment
from indexer.store.disk import TEMPORARY, remove
from indexer.store.text_writer import TextWriter

SLICE_BYTES = 2 << 20  # of contents: 50 ms, and some 60 MB while terms and trigrams are made


def text_path(store_dir: Path, job_id: int) -> Path:
    """Return where the segment of a job goes, before it has a number."""
    return store_dir / "segments" / f"text-{job_id}"


def remove_text(store_dir: Path, job_id: int) -> None:
    """Remove what a worker left that died."""
    into = text_path(store_dir, job_id)
    remove(into.with_name(into.name + TEMPORARY))


def run_text_job(
    job: Job,
    into: Path,
    known: Callable[[Sequence[bytes]], set[bytes]],
    read: Read,
    note: Callable[[int, int, bytes], None],
    pause: Callable[[], None] = lambda: None,
) -> tuple[list[Outcome], TextSegment | None]:
    """Look at every path of the job, and write the contents that are not known into a file beside `into`.

    Returns one outcome for each path, in their order, and the segment, None if there is nothing new. `known`
    says which of some digests the store has; `read` and `note` are as for `workers.run_job`; `pause` is
    called between slices. Raises StoreFull, StoreError, MemoryError; then nothing is left.
    """
    outcomes: list[Outcome] = []
    seen: set[bytes] = set()
    slice_: list[SourceFile] = []
    nbytes = 0
    with TextWriter(into) as writer:
        for _, _, found in sources(job, read, note, outcomes):
            if found.digest in seen:
                continue
            seen.add(found.digest)
            slice_.append(found)
            nbytes += len(found.content)
            if nbytes >= SLICE_BYTES:
                note(job.id, len(job.paths) + 1, b"")
                _add(writer, slice_, known)
                slice_, nbytes = [], 0
                pause()
        note(job.id, len(job.paths) + 1, b"")
        _add(writer, slice_, known)
        return outcomes, writer.finish() if len(writer) else None


def _add(
    writer: TextWriter, slice_: Sequence[SourceFile], known: Callable[[Sequence[bytes]], set[bytes]]
) -> None:
    stored = known([source.digest for source in slice_])
    fresh = [source for source in slice_ if source.digest not in stored]
    if fresh:
        writer.add(fresh)
