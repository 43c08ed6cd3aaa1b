"""A batch of files of an exhaustive search: reading it, and what it shows.

A batch is complete in itself and can be sent to another process: it names segment files, documents, paths
and what stat said of them. Its files are searched segment by segment, a stretch of pages at a time; lines,
columns and texts are collected for all of them together, and put in order of path at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, Literal, Protocol

import numpy as np

from indexer.native.look import same_files
from indexer.native.scan import Lines, joined
from indexer.records import I64, U8, U32
from indexer.store.segment import Segment
from search.line_matches import matching_lines_of
from search.lines import LinePattern
from search.live import look_at
from search.matcher import Case
from search.runs import firsts
from search.stretch import Stretch, page_stretches, stretch_of_text

STRETCH_BYTES = 1 << 22  # unpacked at a time: half of it costs 3 % more, much more the processor's cache

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

    def add(self, path: bytes, file: FileLines) -> None:
        """Add what a file shows; it tells its number of lines as `n`."""
        self.lines += file.pop("n")
        file["path"] = os.fsdecode(path)
        self.files.append(file)


class Clock(Protocol):
    """Tells when to stop."""

    def over(self) -> bool: ...


def read_batch(
    batch: Batch, pattern: LinePattern, spec: PatternSpec, opened: Callable[[str], Segment], clock: Clock
) -> BatchResult:
    """Search the files of a batch. Every file that is shown was looked at on disk first."""
    result = BatchResult([])
    found = _Found(spec)
    # Some paths share one document: it is searched once.
    docs, doc_of = np.unique(batch.segment << _ORDINAL_BITS | batch.ordinal, return_inverse=True)
    for number, name in enumerate(batch.segments):
        work = page_stretches(opened(name), batch.pages[number], _stretch_bytes(pattern))
        for stretch in work:
            if clock.over():
                result.complete = False
                break
            lines = _matching_lines(opened(name).page_line, stretch, pattern, spec)
            if lines is not None:
                keys = number << _ORDINAL_BITS | stretch.ordinals
                found.add(stretch.content, lines, np.searchsorted(docs, keys)[lines.piece])
    files = found.files(doc_of)
    for (position, file), same in zip(files, _as_indexed(batch, [at for at, _ in files]), strict=True):
        path = batch.paths[position]
        if same:
            result.add(path, file)
            continue
        current = look_at(
            batch.root,
            path,
            int(batch.size[position]),
            int(batch.mtime_ns[position]),
            batch.file_bytes_max,
        )
        if current.state == "gone":
            result.gone += 1
            continue
        if current.state == "changed":
            result.changed += 1
            live = _search_live(current.content, pattern, spec)
            if live is None:
                continue
            file = live
        result.add(path, file)
    return result


def _as_indexed(batch: Batch, positions: list[int]) -> list[bool]:
    """Return which of these files of a batch are on disk as they were indexed."""
    paths = [batch.paths[at] for at in positions]
    same: list[bool] = same_files(
        batch.root, paths, batch.size[positions], batch.mtime_ns[positions]
    ).tolist()
    return same


_ORDINAL_BITS = 32
_FIRST_LINE = np.zeros(1, np.uint32)


def _stretch_bytes(pattern: LinePattern) -> int:
    # A pattern that wants whole documents must not find one cut in two.
    return 1 << 62 if pattern.whole_docs else STRETCH_BYTES


def _matching_lines(
    page_line: U32, stretch: Stretch, pattern: LinePattern, spec: PatternSpec
) -> Lines | None:
    spans = pattern.find(stretch, spec.every)
    return matching_lines_of(page_line, stretch, spans) if len(spans[0]) else None


def _search_live(content: bytes, pattern: LinePattern, spec: PatternSpec) -> FileLines | None:
    """Return what a file shows that is not as it was indexed; None if nothing matches any more."""
    lines = _matching_lines(_FIRST_LINE, stretch_of_text(content), pattern, spec)
    if lines is None:
        return None
    found = _Found(spec)
    found.add(content, lines, np.zeros(len(lines.number), np.int64))
    return next((file for _, file in found.files(np.zeros(1, np.int64))), None)


class _Found:
    """Matching lines as they are collected: those of one document follow each other."""

    def __init__(self, spec: PatternSpec) -> None:
        self.spec = spec
        self._doc: list[I64] = []  # of each line
        self._line: list[I64] = []
        self._column: list[I64] = []  # of each line, or of each match
        self._end: list[I64] = []
        self._count: list[I64] = []  # matches of each line
        self._text: list[U8] = []  # of all lines of a stretch, a newline behind each
        self._length: list[I64] = []  # of each line in it

    def add(self, content: bytes, lines: Lines, docs: I64) -> None:
        """Add the lines of a stretch; `docs`: the document of each."""
        self._doc.append(docs)
        if self.spec.what != "lines":
            return
        self._line.append(lines.number)
        self._text.append(joined(content, lines.start, lines.end))
        self._length.append(lines.end - lines.start + 1)
        if self.spec.every:
            counts = np.diff(lines.matches)
            start, end, origin = lines.match_start, lines.match_end, np.repeat(lines.start, counts)
            self._count.append(counts)
        else:
            first = lines.matches[:-1]
            start, end, origin = lines.match_start[first], lines.match_end[first], lines.start
        self._column.append(start - origin + 1)
        self._end.append(end - origin + 1)

    def files(self, doc_of: I64) -> list[tuple[int, FileLines]]:
        """Return the files in order of path, with their positions; `n` is the number of matching lines.

        doc_of  the document of each file of the batch
        """
        if not self._doc:
            return []
        doc = np.concatenate(self._doc)
        first = firsts(doc)
        low, high = np.zeros((2, int(doc_of.max()) + 1), np.int64)
        low[doc[first]], high[doc[first]] = first, np.append(first[1:], len(doc))
        position = np.flatnonzero(high[doc_of])
        shown = doc_of[position]
        runs = zip(position.tolist(), low[shown].tolist(), high[shown].tolist(), strict=True)
        match self.spec.what:
            case "files":
                return [(position, {"n": end - start}) for position, start, end in runs]
            case "count":
                return [(position, {"n": end - start, "count": end - start}) for position, start, end in runs]
        return list(self._with_lines(runs))

    def _with_lines(self, runs: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, FileLines]]:
        lines, columns, ends = _listed(self._line), _listed(self._column), _listed(self._end)
        counts = _listed(self._count) if self.spec.every else []
        at: Sequence[int] = [0, *accumulate(counts)] if counts else range(len(lines) + 1)
        text = np.concatenate(self._text).data
        text_at = [0, *np.cumsum(np.concatenate(self._length)).tolist()]
        for position, start, end in runs:
            low, high = at[start], at[end]
            file: FileLines = {
                "n": end - start,
                "lines": lines[start:end],
                "columns": columns[low:high],
                "ends": ends[low:high],
            }
            if counts:
                file["counts"] = counts[start:end]
            file["text"] = str(text[text_at[start] : text_at[end] - 1], "utf-8")
            yield position, file


def _listed(parts: list[I64]) -> list[int]:
    listed: list[int] = np.concatenate(parts).tolist()
    return listed


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
