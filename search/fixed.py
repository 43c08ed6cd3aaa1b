r"""Patterns whose matches all have one length and are told by sets of bytes: plain text above all.

`return -ENOMEM;`, `(?i)todo`, `\bkfree\b`, `[0-9]{4}-[0-9]{2}`: what stands in their window is a match, if
the edges hold, and RE2 is not needed.
"""

from __future__ import annotations

from math import prod

from indexer.native.scan import Left, Right
from indexer.records import I64
from search.probes import Finder
from search.regex_syntax import Chars, Edge, Node, Repeat
from search.windows import NEWLINE, REPEATS_MAX, Window, byte_sets, flat, without_beyond

Spans = tuple[I64, I64]  # starts and ends of matches, ascending

_LEFT: dict[str, Left] = {"^": "^", "\\b": "\\b"}
_RIGHT: dict[str, Right] = {"$": "$", "\\b": "\\b"}


class FixedFinder:
    """Finds all matches of a pattern whose matches have one length, between edges."""

    def __init__(self, finder: Finder) -> None:
        """Take what finds places that are apart."""
        self._finder = finder
        self._length = len(finder.window.sets)

    def spans(self, content: bytes) -> Spans | None:
        """Return the matches as RE2 would find them one after the other; None if only RE2 can tell."""
        if not self._finder.tells_all(content):
            return None
        start = self._finder.places(content)
        return start, start + self._length


def fixed_finder(node: Node) -> FixedFinder | None:
    """Return what finds the matches of a pattern without RE2; None if it is more than fixed text."""
    parts = list(flat(node))
    left: Left = ""
    right: Right = ""
    if parts and isinstance(parts[0], Edge) and parts[0].name in _LEFT:
        left, parts = _LEFT[parts[0].name], parts[1:]
    if parts and isinstance(parts[-1], Edge) and parts[-1].name in _RIGHT:
        right, parts = _RIGHT[parts[-1].name], parts[:-1]
    window = _whole(parts)
    if window is None or (finder := Finder(window, left, right, apart=True)).samples:
        return None
    return FixedFinder(finder)


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
