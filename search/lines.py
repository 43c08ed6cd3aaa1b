r"""One pattern, looked for line by line as grep does, in the many documents of a stretch at once. Pure.

No match crosses a line: "\n" is in no set of the pattern and matches nothing. Python and RE2 touch single
matches only where there is no way round it:

    fixed     the pattern is plain text or the like, perhaps between ^, $ or \b: fixed.py finds all matches at
              once, without RE2
    window    every match holds bytes out of some sets: RE2 sees the lines in which they stand, unless those
              are many
    direct    RE2 over the whole stretch, from each match on at the next line
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from indexer.native.scan import joined, lines_of
from indexer.records import I64
from search.compiled import UNANCHORED, BadPattern
from search.fixed import Spans, fixed_finder
from search.matcher import Case, Matcher
from search.probes import Finder
from search.regex_syntax import Node
from search.runs import firsts
from search.stretch import Stretch
from search.windows import windows

# Costs, ns: RE2's automaton, a byte; a line that is cut out and searched by itself.
READ_NS = 1.5
LINE_NS = 100

_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")


@dataclass(frozen=True, slots=True)
class LineSpec:
    """What a finder is made of."""

    pattern: str
    case: Case
    lines: bool  # nothing matches a newline


class LineFinder:
    """Looks for a pattern, none of whose matches holds a newline."""

    def __init__(self, matcher: Matcher) -> None:
        """Choose the way; `matcher` may be compiled for lines or match no newline anyway."""
        self.spec = LineSpec(matcher.pattern, matcher.case, matcher.lines)
        self._match = matcher.match
        self.whole_docs = matcher.by_itself  # \A or \z: it wants all pages of a document
        node = None if matcher.by_itself else matcher.node
        self._fixed = None if node is None else fixed_finder(node)
        self._window = None if node is None or self._fixed else _best_window(node)

    def find(self, stretch: Stretch, every: bool) -> Spans:
        """Return the first match of every matching line, or every match; some lines may be of separators."""
        if self.whole_docs:
            return self._find_singly(stretch, every)
        content = stretch.content
        if self._fixed is not None:
            spans = self._fixed.spans(content)
            if spans is not None:
                return spans
        elif self._window is not None and self._window.tells_all(content):
            places = self._window.places(content)
            if len(places) * LINE_NS <= len(content) * READ_NS:
                return self._find_in_lines(content, places + self._window.window.starts_line, every)
        found = _Spans()
        self._collect(content, 0, len(content), every, found)
        return found.arrays()

    def _collect(self, content: bytes, at: int, end: int, every: bool, found: _Spans) -> None:
        """Add the matches in content[at:end]; lines begin at `at` and end at `end`."""
        match, find, unanchored = self._match, content.find, UNANCHORED
        last = -1
        while at <= end:
            low, high = match(unanchored, content, at, end)[0]
            if low < 0:
                return
            if high > low or high != last or not every:
                found.starts.append(low)
                found.ends.append(high)
            if every:  # an empty match right behind another is none, as in ripgrep
                last = high
                at = high if high > low else _next_character(content, high)
                continue
            at = find(b"\n", high, end) + 1
            if not at:
                return

    def _find_in_lines(self, content: bytes, places: I64, every: bool) -> Spans:
        """Look at the lines around these places only, joined to one text."""
        lines = lines_of(content, (_ZERO, np.array([len(content)])), None, places, places)
        text = joined(content, lines.start, lines.end).tobytes()
        found = _Spans()
        self._collect(text, 0, len(text) - 1, every, found)
        starts, ends = found.arrays()
        lengths = lines.end - lines.start + 1
        begins = np.cumsum(lengths) - lengths
        which = np.searchsorted(begins, starts, side="right") - 1
        shift = (lines.start - begins)[which]
        return starts + shift, ends + shift

    def _find_singly(self, stretch: Stretch, every: bool) -> Spans:
        """Cut every document out of its surroundings."""
        found = _Spans()
        begins = firsts(stretch.ordinals)
        ends = stretch.end[np.append(begins[1:], len(stretch.end)) - 1]
        for start, end in zip(stretch.start[begins].tolist(), ends.tolist(), strict=True):
            inside = _Spans()
            self._collect(stretch.content[start:end], 0, end - start, every, inside)
            found.starts += [at + start for at in inside.starts]
            found.ends += [at + start for at in inside.ends]
        return found.arrays()


class LinePattern(LineFinder):
    """A pattern that is searched for line by line. Raises BadPattern."""

    def __init__(
        self, pattern: str, case: Case = "yes", *, literal: bool = False, word: bool = False
    ) -> None:
        r"""Read an RE2 pattern, or plain text where `literal`.

        word  only between word boundaries, as `\b(?:pattern)\b`
        """
        if literal:
            pattern = rf"\Q{pattern.replace(_END_QUOTE, _SPLIT_QUOTE)}\E"
        elif _ANY_BYTE.search(pattern):  # it matches newlines, whatever RE2 is told
            raise BadPattern(r"\C is not for searching line by line; use . or (?s:.)")
        if word:
            pattern = rf"\b(?:{pattern})\b"
        matcher = Matcher(pattern, case, lines=True)
        super().__init__(matcher)
        self.query = matcher.query


class _Spans:
    """Matches as they are collected."""

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def arrays(self) -> Spans:
        return np.array(self.starts, np.int64), np.array(self.ends, np.int64)


_ZERO = np.zeros(1, np.int64)
_END_QUOTE, _SPLIT_QUOTE = r"\E", r"\E\\E\Q"


def _best_window(node: Node) -> Finder | None:
    """Return what finds the window that costs least to look for and to look behind; None: RE2 is as fast."""
    finders = [Finder(window) for window in windows(node)]
    costs = [finder.scan_ns + LINE_NS * finder.share for finder in finders]
    best = min(range(len(costs)), key=costs.__getitem__, default=-1)
    return finders[best] if costs and costs[best] < READ_NS / 2 else None


def _next_character(content: bytes, at: int) -> int:
    """Return the start of the UTF-8 character after the one at `at`."""
    at += 1
    while at < len(content) and content[at] & 0xC0 == 0x80:
        at += 1
    return at
