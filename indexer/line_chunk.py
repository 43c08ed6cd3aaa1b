"""Cut files without definitions into chunks, many at a time. Pure.

The cuts are those that `chunk.chunks` makes for a file without definitions, which the tests compare; there it
takes 14 ns a byte, here 4. What can be cut is worth one of four strengths then, and of the gaps of one
strength only the two next to the target size can be the best: one before it, one after it. So a cut looks at
a few gaps instead of eighty, and stops when none of the weaker ones can win.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from indexer.chunk import (
    BLANK_ABOVE,
    MAX_BYTES,
    MAX_LINES,
    NO_INDENT,
    OFF_TARGET,
    TARGET_BYTES,
    TARGET_LINES,
)
from indexer.records import I64, U8, ChunkTable

# By class of a gap: neither, no indent below it, a blank line above it, both. Rounded as chunk.py does.
_STRENGTH: tuple[float, ...] = (
    0.0,
    float(np.float32(NO_INDENT)),
    float(np.float32(BLANK_ABOVE)),
    float(np.float32(np.float32(BLANK_ABOVE) + NO_INDENT)),
)
_BY_LINES = [n / TARGET_LINES for n in range(MAX_LINES + 1)]
NEWLINE, SPACE = 0x0A, 0x20
_BLANKS = bytes(range(SPACE + 1))


def line_chunks(contents: Sequence[bytes]) -> list[ChunkTable]:
    """Return the chunks of each file, none of which shows a definition."""
    text = b"".join(contents)
    raw = np.frombuffer(text, np.uint8)
    begin = np.cumsum([0, *map(len, contents)])
    start = _line_starts(contents, raw, begin)
    if not len(start):
        return [_NO_CHUNKS] * len(contents)
    # The first line of each file; of an empty one anything.
    first = np.searchsorted(start, begin[:-1], side="right") - 1
    n_lines = np.searchsorted(start, begin[1:], side="left") - first
    cuts: list[int] = []
    ends: list[int] = []
    cutter = _Cutter(start, _classes(text, raw, start))
    for content, line, n in zip(contents, first.tolist(), n_lines.tolist(), strict=True):
        if content:
            cutter.cut(line, line + n, cuts)
        ends.append(len(cuts))
    return _tables(begin, start, first, np.array(cuts, np.int64), ends)


_NOTHING = np.zeros(0, np.uint32)
_NO_CHUNKS = ChunkTable(_NOTHING, _NOTHING, _NOTHING, np.zeros(0, np.int32))


def _line_starts(contents: Sequence[bytes], raw: U8, begin: I64) -> I64:
    """Return where lines start, and after the lines of each file, unless it is empty, where it ends."""
    breaks = np.flatnonzero(raw == NEWLINE) + 1
    begins = [at for at, content in zip(begin.tolist(), contents, strict=False) if content]
    ends = zip(begin[1:].tolist(), contents, strict=True)
    open_ends = [at for at, content in ends if content and not content.endswith(b"\n")]
    return np.sort(np.concatenate((breaks, np.array(begins + open_ends, np.int64))))


def _classes(text: bytes, raw: U8, start: I64) -> U8:
    """Return the class of the gap before each line; 0 at the ends of files."""
    line_end = np.append(start[1:], len(raw))
    length = line_end - start  # 0 where `start` is the end of a file
    padded = np.append(raw, np.uint8(NEWLINE))
    no_indent = (padded[start] > SPACE) & (length > 0)
    last = np.maximum(line_end - 1, 0)
    last -= (padded[last] == NEWLINE) & (length > 1)
    blank = (length > 0) & ~no_indent & (padded[last] <= SPACE)
    unsure = np.flatnonzero(
        blank & (length > 1)
    )  # blank at both ends: empty with a carriage return, indented
    ends = zip(start[unsure].tolist(), line_end[unsure].tolist(), strict=True)
    blank[unsure] = [not text[a:b].translate(None, _BLANKS) for a, b in ends]
    kind = no_indent.astype(np.uint8)
    kind[1:] += 2 * (blank[:-1] & ~blank[1:] & (length[1:] > 0)).astype(np.uint8)
    return kind


class _Cutter:
    """Cuts one file after the other."""

    def __init__(self, start: I64, kind: U8) -> None:
        # Arrays of Python's, not lists: few elements are ever looked at, and making an int costs 40 ns.
        self._start = array("q", start.tobytes())
        self._kind: bytes = kind.tobytes()
        # From the strongest class down: its strength, the gaps of this class or a stronger one.
        self._gaps: list[tuple[float, array[int] | None]] = [
            (_STRENGTH[least], array("q", np.flatnonzero(kind >= least).tobytes())) for least in (3, 2, 1)
        ]
        self._gaps.append((_STRENGTH[0], None))  # all gaps

    def cut(self, first: int, end: int, cuts: list[int]) -> None:
        """Append the lines at which the chunks of the file with the lines first:end start, and `end`."""
        start, kind, gaps = self._start, self._kind, self._gaps
        cuts.append(first)
        at = first
        hints = [bisect_left(lines, first) if lines is not None else 0 for _, lines in gaps]
        while at < end:
            here = start[at]
            most = min(at + MAX_LINES, end)
            limit = bisect_right(start, here + MAX_BYTES, at + 1, most + 1) - 1
            if limit <= at:
                limit = at + 1  # a line longer than the maximum
            if limit >= end and end - at <= TARGET_LINES and start[end] - here <= TARGET_BYTES:
                cuts.append(end)
                return
            # The first gap at which the chunk has its target size.
            aim = bisect_left(start, here + TARGET_BYTES, at + 1, min(limit, at + TARGET_LINES) + 1)
            if aim > at + TARGET_LINES:
                aim = at + TARGET_LINES
            best, chosen = -1e9, end
            for level, (strength, lines) in enumerate(gaps):
                if best > strength:  # what it has at the target size: no gap of this class or below is better
                    break
                if lines is None:
                    around = (aim - 1, aim)
                else:
                    place = hints[level] = bisect_left(lines, aim, hints[level])
                    around = (
                        lines[place - 1] if place else at,
                        lines[place] if place < len(lines) else at,
                    )
                for gap in around:
                    if at < gap <= limit:
                        size, by_bytes = _BY_LINES[gap - at], (start[gap] - here) / TARGET_BYTES
                        if by_bytes > size:
                            size = by_bytes
                        score = abs(size - 1) * -OFF_TARGET + _STRENGTH[kind[gap]]
                        if score > best or (score == best and gap < chosen):
                            best, chosen = score, gap
            at = chosen
            cuts.append(at)


def _tables(begin: I64, start: I64, first: I64, cuts: I64, ends: list[int]) -> list[ChunkTable]:
    n_cuts = np.diff(ends, prepend=0)
    offset = (start[cuts] - np.repeat(begin[:-1], n_cuts)).astype(np.uint32)
    line = (cuts - np.repeat(first - 1, n_cuts)).astype(np.uint32)
    symbol = np.full(len(cuts), -1, np.int32)
    tables: list[ChunkTable] = []
    a = 0
    for b in ends:
        own = slice(a, max(a, b - 1))  # the last cut is the end of the file
        tables.append(ChunkTable(offset[own], offset[a + 1 : b], line[own], symbol[own]))
        a = b
    return tables
