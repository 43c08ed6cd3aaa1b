r"""Patterns whose matches all have one length and are told by sets of bytes: plain text above all.

`return -ENOMEM;`, `(?i)todo`, `\bkfree\b`, `[0-9]{4}-[0-9]{2}`: what stands in their window is a match, if
the edges hold, and RE2 is not needed.
"""

from __future__ import annotations

from math import prod

import numpy as np

from indexer.records import I64, U8, Bool
from search.probes import Finder
from search.regex_syntax import Chars, Edge, Node, Repeat
from search.windows import NEWLINE, REPEATS_MAX, Window, byte_sets, flat, without_beyond

Spans = tuple[I64, I64]  # starts and ends of matches, ascending

_IS_WORD = np.zeros(256, np.bool_)
_IS_WORD[[*range(48, 58), *range(65, 91), 95, *range(97, 123)]] = True


class FixedFinder:
    """Finds all matches of a pattern whose matches have one length, between edges."""

    def __init__(self, finder: Finder, left: str, right: str) -> None:
        r"""left, right  what must stand there: "" (anything), "^" or "$", or "\b"."""
        self._finder = finder
        self._length = len(finder.window.sets)
        self._left, self._right = left, right

    def spans(self, content: bytes) -> Spans | None:
        """Return the matches as RE2 would find them one after the other; None if only RE2 can tell."""
        if not self._finder.tells_all(content):
            return None
        start = self._finder.places(content)
        array = np.frombuffer(content, np.uint8)
        if self._left:
            start = start[_holds_before(array, start, self._left)]
        if self._right:
            start = start[_holds_after(array, start + self._length, self._right)]
        start = _apart(start, self._length)
        return start, start + self._length


def fixed_finder(node: Node) -> FixedFinder | None:
    """Return what finds the matches of a pattern without RE2; None if it is more than fixed text."""
    parts = list(flat(node))
    left = right = ""
    if parts and isinstance(parts[0], Edge) and parts[0].name in ("^", "\\b"):
        left, parts = parts[0].name, parts[1:]
    if parts and isinstance(parts[-1], Edge) and parts[-1].name in ("$", "\\b"):
        right, parts = parts[-1].name, parts[:-1]
    window = _whole(parts)
    if window is None or (finder := Finder(window)).samples:
        return None
    return FixedFinder(finder, left, right)


def _whole(parts: list[Node]) -> Window | None:
    """Return the window that says all of a sequence, if there is one."""
    sets: list[frozenset[int]] = []
    beyond = False
    for part in parts:
        once, copies = (part.part, part.least) if isinstance(part, Repeat) else (part, 1)
        if not isinstance(once, Chars) or (isinstance(part, Repeat) and part.most != copies):
            return None
        each, left_out = byte_sets(once)
        if each is None or copies > REPEATS_MAX or not _says_all(once, each):
            return None
        sets += each * copies
        beyond |= left_out
    return Window(tuple(sets), False, beyond) if sets else None


def _says_all(chars: Chars, sets: tuple[frozenset[int], ...]) -> bool:
    """Whether every combination of bytes out of the sets is a character of the set."""
    assert chars.codes is not None
    codes, _ = without_beyond(chars.codes)
    return codes != {NEWLINE} and prod(map(len, sets)) == len(codes - {NEWLINE})


def _holds_before(array: U8, start: I64, edge: str) -> Bool:
    before = array[start - 1]  # of place 0: any byte
    if edge == "^":
        holds: Bool = (start == 0) | (before == NEWLINE)
    else:
        holds = (_IS_WORD[before] & (start > 0)) != _IS_WORD[array[start]]
    return holds


def _holds_after(array: U8, end: I64, edge: str) -> Bool:
    behind = array[np.minimum(end, len(array) - 1)]
    if edge == "$":
        holds: Bool = (end == len(array)) | (behind == NEWLINE)
    else:
        holds = (_IS_WORD[behind] & (end < len(array))) != _IS_WORD[array[end - 1]]
    return holds


def _apart(start: I64, length: int) -> I64:
    """Leave out what overlaps the match before it."""
    if len(start) < 2 or int(np.diff(start).min()) >= length:
        return start
    kept: list[int] = []
    free = 0
    for place in start.tolist():
        if place >= free:
            kept.append(place)
            free = place + length
    return np.array(kept, np.int64)
