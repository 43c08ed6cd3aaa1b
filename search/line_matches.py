"""Matches in a stretch -> the lines that they stand in, by the line tables. Pure array work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from indexer.records import I64, U8, U32, Bool
from indexer.store.blocks import line_ends
from search.fixed import Spans
from search.stretch import Stretch
from search.windows import NEWLINE


@dataclass(frozen=True, slots=True)
class LineMatches:
    """The matching lines of one stretch. Offsets count in the stretch's content."""

    piece: I64  # [d] positions in the stretch of the pages that match
    piece_lines: I64  # [d + 1] lines of piece[i] are [piece_lines[i], piece_lines[i + 1])
    line: I64  # [n] 1-based numbers in the document
    line_start: I64
    line_end: I64  # the newline not included
    line_matches: I64  # [n + 1] matches of line i are [line_matches[i], line_matches[i + 1])
    start: I64  # [m]
    end: I64


class LineTables(Protocol):
    """What is needed of a segment."""

    @property
    def line_data(self) -> U8: ...
    @property
    def line_off(self) -> U32: ...
    @property
    def page_line(self) -> U32: ...


def matching_lines_of(segment: LineTables, stretch: Stretch, spans: Spans) -> LineMatches:
    """Return the lines of the pages of a stretch in which `spans` begin."""
    start, end = spans
    piece = np.searchsorted(stretch.start, start, side="right") - 1
    inside = _in_a_line(stretch, start, piece)
    if not inside.all():
        start, end, piece = start[inside], end[inside], piece[inside]
    new_piece = np.diff(piece, prepend=-1) != 0
    pieces = piece[new_piece]
    sums, bounds = line_ends(segment.line_data, segment.line_off, stretch.pieces[pieces])
    # All pages that match are one text here, as far as their lines have ends: `shift` leads from there into
    # the stretch, and `ends` counts the line ends before each match in it.
    low, high = bounds[:-1], bounds[1:]
    shift = stretch.start[pieces] - np.where(low > 0, sums[low - 1] if len(sums) else 0, 0)
    which = np.cumsum(new_piece) - 1
    ends = np.minimum(np.searchsorted(sums, start - shift[which], side="right"), high[which])
    first = np.flatnonzero((np.diff(ends, prepend=-1) != 0) | new_piece)
    ends, which = ends[first], which[first]
    line_piece = pieces[which]
    shift, low, high = shift[which], low[which], high[which]
    padded = np.append(sums, 0)
    return LineMatches(
        piece=pieces,
        piece_lines=np.append(np.searchsorted(which, np.arange(len(pieces))), len(which)),
        line=ends - low + 1 + segment.page_line[stretch.pieces[line_piece]],
        line_start=np.where(ends == low, stretch.start[line_piece], padded[ends - 1] + shift),
        line_end=np.where(ends == high, stretch.end[line_piece], padded[ends] + shift - 1),
        line_matches=np.append(first, len(start)),
        start=start,
        end=end,
    )


def _in_a_line(stretch: Stretch, start: I64, piece: I64) -> Bool:
    """Return which places belong to a line of a piece: what follows its last newline is none."""
    ends = stretch.end[piece]
    at_end = np.flatnonzero(start == ends)
    inside: Bool = start < ends
    if len(at_end):
        content = np.frombuffer(stretch.content, np.uint8)
        unfinished = content[np.maximum(ends[at_end] - 1, 0)] != NEWLINE
        inside[at_end] = unfinished & (stretch.start[piece[at_end]] < ends[at_end])
    return inside
