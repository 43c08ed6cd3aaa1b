"""Exhaustive search: every matching line, in the order of paths.

    plan     pattern -> posting lists -> candidate files -> batches of neighbouring paths
    read     a batch -> what its files show, checked against the disk

A batch is complete in itself and can be sent to another process: it names segment files, documents, paths and
what stat said of them. Batches are read in any order and shown in the order they were made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np

from indexer.records import I64, Bool
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from search.budget import Budget
from search.candidates import TrigramFilter, as_ordinals, pages_of
from search.facts import RootFacts
from search.lines import LineMatches, LinePattern, matching_lines_of
from search.live import look_at
from search.matcher import Case
from search.stretch import Stretch, page_stretches, stretch_of_text
from search.trust import Trust

BATCH_BYTES = 2 << 20  # content of one batch: some milliseconds of work, a few hundred files
FIRST_BATCH_BYTES = 1 << 18  # of the first: it is shown soon
STRETCH_BYTES = 1 << 20  # unpacked at a time: it stays in a core's cache while it is searched

What = Literal["lines", "count", "files"]
FileLines = dict[str, Any]  # one file of an answer, as docs/PROTOCOL.md has it


@dataclass(frozen=True, slots=True)
class PatternSpec:
    """What is looked for, and what is told of it."""

    pattern: str
    case: Case = "yes"
    literal: bool = False
    word: bool = False
    what: What = "lines"
    every: bool = False  # every match of a line, not only its first


@lru_cache(maxsize=256)
def line_pattern(spec: PatternSpec) -> LinePattern:
    """Return the pattern, ready to be looked for; made once. Raises BadPattern."""
    return LinePattern(spec.pattern, spec.case, literal=spec.literal, word=spec.word)


@dataclass(frozen=True, slots=True)
class GrepRequest:
    """One exhaustive question about one root."""

    spec: PatternSpec
    root_id: int
    path_prefix: str = ""  # only files below this directory of the root, or this file
    query: str = ""  # filters in the query language
    languages: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    deadline_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Some candidate files in order of path."""

    root: bytes
    paths: list[bytes]
    size: I64  # as stat said when they were indexed
    mtime_ns: I64
    segments: tuple[str, ...]  # files of the segments that `segment` numbers
    pages: tuple[I64, ...]  # of each segment: the candidate pages of these files
    segment: I64
    ordinal: I64
    file_bytes_max: int
    nbytes: int  # of the pages


@dataclass(slots=True)
class BatchResult:
    """What a batch showed."""

    files: list[FileLines]
    lines: int = 0  # matching lines, of all files
    changed: int = 0  # files that were read live
    gone: int = 0
    complete: bool = True  # False: time ran out, and the files behind the last one shown were not read


@dataclass(frozen=True, slots=True)
class Sweep:
    """An exhaustive search that is about to read its candidate files, of one generation."""

    snapshot: Snapshot
    facts: RootFacts
    found: Candidates
    pattern: LinePattern
    budget: Budget
    file_bytes_max: int
    files_searched: int
    trusted: Callable[[list[str], int, int], Trust]  # (why steps stopped, files changed, files gone)
    stops: list[str]

    @property
    def nbytes(self) -> int:
        """Bytes of all candidates."""
        return int(self.found.nbytes.sum())

    @property
    def segments(self) -> dict[str, Segment]:
        """The segments that batches name."""
        return {str(segment.path): segment for segment in self.snapshot.segments}

    def batches(self) -> Iterator[Batch]:
        """Return the work, in order."""
        return batches(self.snapshot, self.facts, self.found, self.file_bytes_max)


class Clock(Protocol):
    """Tells when to stop."""

    def over(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may match."""

    slots: I64  # files in order of path
    nbytes: I64  # how much of each is to be read
    pages: tuple[Bool, ...]  # of each segment of the snapshot: which of its pages


def candidates(snapshot: Snapshot, facts: RootFacts, pattern: LinePattern, slots: Bool) -> Candidates:
    """Return the files of `slots` that may match."""
    narrow = TrigramFilter(pattern.query)
    mask = facts.view.live_docs() if slots is facts.alive else facts.doc_mask(slots)
    nbytes = np.zeros(snapshot.n_docs + 1, np.int64)  # of each document; the last entry stands for dead slots
    masks: list[Bool] = []
    for segment, base in zip(snapshot.segments, snapshot.seg_base.tolist(), strict=False):
        pages = narrow.pages(segment, as_ordinals(mask, base, segment.n_docs))
        if pattern.whole_docs:
            pages = pages_of(segment, np.unique(segment.page_doc[pages]))
        masks.append(np.zeros(segment.n_pages, np.bool_))
        if len(pages):
            masks[-1][pages] = True
            np.add.at(
                nbytes, base + segment.page_doc[pages], segment.page_at[pages + 1] - segment.page_at[pages]
            )
    if not nbytes.any():
        none = np.empty(0, np.int64)
        return Candidates(none, none, tuple(masks))
    chosen = np.flatnonzero(slots & (nbytes[facts.doc] > 0))
    paths = facts.paths[chosen].tolist()
    chosen = chosen[sorted(range(len(paths)), key=paths.__getitem__)]
    return Candidates(chosen, nbytes[facts.doc[chosen]], tuple(masks))


def batches(snapshot: Snapshot, facts: RootFacts, found: Candidates, file_bytes_max: int) -> Iterator[Batch]:
    """Cut the candidates into batches."""
    slots = found.slots
    docs = facts.doc[slots]
    number = np.searchsorted(snapshot.seg_base, docs, side="right") - 1
    ordinal = docs - snapshot.seg_base[number]
    view = facts.view
    root = os.fsencode(view.path)
    segments = tuple(str(segment.path) for segment in snapshot.segments)
    ends = np.cumsum(found.nbytes)
    low = 0
    while low < len(slots):
        before = int(ends[low - 1]) if low else 0
        room = BATCH_BYTES if low else FIRST_BATCH_BYTES
        high = max(low + 1, int(np.searchsorted(ends, before + room, side="right")))
        part = slots[low:high]
        used, where = np.unique(number[low:high], return_inverse=True)
        pages = []
        for i, segment in enumerate(used.tolist()):
            of_docs = pages_of(snapshot.segments[segment], np.unique(ordinal[low:high][where == i]))
            pages.append(of_docs[found.pages[segment][of_docs]])
        yield Batch(
            root=root,
            paths=facts.paths[part].tolist(),
            size=view.size[part],
            mtime_ns=view.mtime_ns[part],
            segments=tuple(segments[i] for i in used.tolist()),
            pages=tuple(pages),
            segment=where,
            ordinal=ordinal[low:high],
            file_bytes_max=file_bytes_max,
            nbytes=int(ends[high - 1]) - before,
        )
        low = high


def read_batch(
    batch: Batch, pattern: LinePattern, spec: PatternSpec, opened: Callable[[str], Segment], clock: Clock
) -> BatchResult:
    """Search the files of a batch. Every file that is shown was looked at on disk first."""
    result = BatchResult([])
    found: dict[int, FileLines] = {}
    for number, name in enumerate(batch.segments):
        if not _search_segment(batch, number, opened(name), pattern, spec, found, clock):
            result.complete = False
    if not found:
        return result
    keys = (batch.segment << _ORDINAL_BITS | batch.ordinal).tolist()
    sizes, times = batch.size.tolist(), batch.mtime_ns.tolist()
    for i, key in enumerate(keys):
        shown = found.get(key)
        if shown is None:
            continue
        path = batch.paths[i]
        current = look_at(batch.root, path, sizes[i], times[i], batch.file_bytes_max)
        if current.state != "same":
            if current.state == "gone":
                result.gone += 1
                continue
            result.changed += 1
            shown = _search_live(current.content, pattern, spec)
            if shown is None:
                continue
        result.lines += shown["n"]
        result.files.append({"path": path.decode("utf-8", "surrogateescape"), **shown})
    for file in result.files:
        del file["n"]
    return result


_ORDINAL_BITS = 32


def _search_segment(
    batch: Batch,
    number: int,
    segment: Segment,
    pattern: LinePattern,
    spec: PatternSpec,
    found: dict[int, FileLines],
    clock: Clock,
) -> bool:
    """Put what the batch's documents of one segment show into `found`; False if time ran out."""
    # A pattern that wants whole documents must not find one cut in two.
    at_once = 1 << 62 if pattern.whole_docs else STRETCH_BYTES
    for stretch in page_stretches(segment, batch.pages[number], at_once):
        if clock.over():
            return False
        spans = pattern.find(stretch, spec.every)
        if not len(spans[0]):
            continue
        matches = matching_lines_of(segment, stretch, spans)
        keys = (stretch.ordinals[matches.piece] | number << _ORDINAL_BITS).tolist()
        for key, shown in zip(keys, _shown(stretch, matches, spec), strict=True):
            before = found.get(key)
            found[key] = shown if before is None else _joined(before, shown)
    return True


def _joined(first: FileLines, second: FileLines) -> FileLines:
    """Return what two pages of one file show together."""
    text = {"text": f"{first['text']}\n{second['text']}"} if "text" in first else {}
    return {name: first[name] + second[name] for name in first if name != "text"} | text


def _search_live(content: bytes, pattern: LinePattern, spec: PatternSpec) -> FileLines | None:
    """Return what a file shows that is not as it was indexed; None if nothing matches any more."""
    source, stretch = stretch_of_text(content)
    matches = matching_lines_of(source, stretch, pattern.find(stretch, spec.every))
    return next(_shown(stretch, matches, spec), None)


def _shown(stretch: Stretch, matches: LineMatches, spec: PatternSpec) -> Iterator[FileLines]:
    """Yield what each matching page shows; `n` is its number of matching lines."""
    bounds = matches.piece_lines.tolist()
    pieces = pairwise(bounds)
    if spec.what == "files":
        yield from ({"n": high - low} for low, high in pieces)
        return
    if spec.what == "count":
        yield from ({"n": high - low, "count": high - low} for low, high in pieces)
        return
    content = stretch.content
    edges = zip(matches.line_start.tolist(), matches.line_end.tolist(), strict=True)
    texts = [content[start:end] for start, end in edges]
    first = matches.line_matches[:-1]
    lines = matches.line.tolist()
    if not spec.every:
        columns = (matches.start[first] - matches.line_start + 1).tolist()
        ends = (matches.end[first] - matches.line_start + 1).tolist()
        for low, high in pieces:
            yield {
                "n": high - low,
                "lines": lines[low:high],
                "columns": columns[low:high],
                "ends": ends[low:high],
                "text": b"\n".join(texts[low:high]).decode("utf-8"),
            }
        return
    counts = np.diff(matches.line_matches)
    origin = np.repeat(matches.line_start, counts) - 1
    columns, ends = (matches.start - origin).tolist(), (matches.end - origin).tolist()
    places = matches.line_matches[matches.piece_lines].tolist()
    listed = counts.tolist()
    for (low, high), (a, b) in zip(pieces, pairwise(places), strict=True):
        yield {
            "n": high - low,
            "lines": lines[low:high],
            "columns": columns[a:b],
            "ends": ends[a:b],
            "counts": listed[low:high],
            "text": b"\n".join(texts[low:high]).decode("utf-8"),
        }


def cut(result: BatchResult, lines: int) -> BatchResult:
    """Return the first `lines` matching lines of a result that has more."""
    files: list[FileLines] = []
    left = lines
    for file in result.files:
        n = len(file["lines"]) if "lines" in file else int(file.get("count", 1))
        files.append(file if n <= left else _cut_file(file, left))
        left -= min(n, left)
        if not left:
            break
    return BatchResult(files, lines - left, result.changed, result.gone, False)


def _cut_file(file: FileLines, lines: int) -> FileLines:
    if "lines" not in file:
        return {**file, "count": lines}
    matches = sum(file["counts"][:lines]) if "counts" in file else lines
    kept: FileLines = {name: file[name][:lines] for name in ("lines", "counts") if name in file}
    places: FileLines = {name: file[name][:matches] for name in ("columns", "ends")}
    return {"path": file["path"], **kept, **places, "text": "\n".join(file["text"].split("\n")[:lines])}
