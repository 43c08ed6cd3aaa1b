"""Hits as they come, best first -> the hits of an answer. Pure.

Of a question's hits those of one file that touch or overlap become one, and among the first FIRST stand at
most `per_file` of each file; further ones follow where more than FIRST are asked for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from search.answer import Hit, Line
from search.extent import WHOLE_LINES_MAX

FIRST = 10


class Results:
    """Collects hits until there are enough."""

    def __init__(self, limit: int, per_file: int, *, joins: bool) -> None:
        """Take hits in order of rank.

        per_file  hits of one file among the first FIRST; 0: any number
        joins     hits that touch become one
        """
        self._limit = limit
        self._per_file = per_file
        self._joins = joins
        self._first: list[Hit] = []
        self._held: list[Hit] = []  # that would be too many of their files
        self._rest: list[Hit] = []
        self._of_file: Counter[str] = Counter()

    def add(self, hit: Hit) -> None:
        """Take the next hit."""
        if self._joins and self._joined(hit):
            return
        if len(self._first) == min(FIRST, self._limit):
            self._rest.append(hit)
        elif self._per_file and self._of_file[hit.path] == self._per_file:
            self._held.append(hit)
        else:
            self._of_file[hit.path] += 1
            self._first.append(hit)

    @property
    def full(self) -> bool:
        """Whether further hits would change nothing but the ranges of those that are there."""
        enough = len(self._first) == min(FIRST, self._limit)
        return enough and len(self._first) + len(self._held) + len(self._rest) >= self._limit

    def hits(self) -> list[Hit]:
        """Return the answer."""
        if self._limit <= FIRST:
            return self._first
        return [*self._first, *self._held, *self._rest][: self._limit]

    def _joined(self, hit: Hit) -> bool:
        """Make a hit part of one that it touches; False if there is none."""
        for part in (self._first, self._held, self._rest):
            for i, before in enumerate(part):
                if touch(before, hit):
                    part[i] = joined(before, hit)
                    return True
        return False


def touch(one: Hit, other: Hit) -> bool:
    """Whether two hits are to be one: nothing lies between them, and together they are not too long."""
    if one.path != other.path or one.live or other.live or "file" in (one.kind, other.kind):
        return False
    low, high = min(one.start_line, other.start_line), max(one.end_line, other.end_line)
    apart = max(one.start_line, other.start_line) - min(one.end_line, other.end_line)
    return apart <= 1 and high - low < WHOLE_LINES_MAX


def joined(one: Hit, other: Hit) -> Hit:
    """Return the first of two hits with what the other stands for and shows."""
    lines: dict[int, Line] = {line.number: line for line in (*other.lines, *one.lines)}
    for line in other.lines:
        if line.is_match:
            lines[line.number] = line
    return replace(
        one,
        start_line=min(one.start_line, other.start_line),
        end_line=max(one.end_line, other.end_line),
        lines=tuple(lines[number] for number in sorted(lines)),
    )
