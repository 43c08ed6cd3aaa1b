r"""One pattern, looked for line by line as grep does, in the many documents of a stretch at once. Pure.

No match crosses a line: "\n" is in no set of the pattern and matches nothing. What follows is array work over
all matches of a stretch; Python touches each match only where RE2 has to be called for it, so a way round
that call is taken where there is one:

    literal   the pattern is plain text, perhaps between ^, $ or \b: `bytes.split` finds all occurrences at
              once (0.1 us each, RE2 0.7), and edges are looked up for all of them together
    filtered  every match holds some plain text: RE2 sees the lines that contain it, unless they are many
    direct    RE2 over the whole stretch, from each match on at the next line

Folded plain text is looked for in bytes with bit 5 set, which makes ASCII letters of both cases the same;
other bytes are compared afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from indexer.records import I64, U8, U32, Bool
from indexer.store.blocks import line_ends
from search.matcher import UNANCHORED, BadPattern, Case, Matcher
from search.regex_syntax import Cat, Chars, Edge, Node, Repeat
from search.stretch import Stretch

_NEWLINE = 10
_CASE_BIT = 0x20
# Bytes of text for every line that the filter leaves: below it, RE2 on single lines (1.2 us each) costs more
# than RE2 over everything (1 ns a byte).
FILTER_BYTES_MIN = 1200
FILTER_CHARS_MIN = 3
_IS_WORD = np.zeros(256, np.bool_)
_IS_WORD[[*range(48, 58), *range(65, 91), 95, *range(97, 123)]] = True

_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")

Spans = tuple[I64, I64]  # starts and ends of matches, ascending


@dataclass(frozen=True, slots=True)
class _Literal:
    """Plain text as it is looked for."""

    needle: bytes  # with the case bit set where any of it is folded
    exact: bytes  # before that
    folded: bool
    given: tuple[int, ...]  # positions of `exact` whose case counts
    ascii_only: bool  # RE2 folds a letter of it beyond ASCII too
    left: str  # edges: "", "^", "\\b"
    right: str  # "", "$", "\\b"


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


class LineFinder:
    """Looks for a pattern, none of whose matches holds a newline."""

    def __init__(self, matcher: Matcher) -> None:
        """Choose the way; `matcher` may be compiled for lines or match no newline anyway."""
        self._match = matcher.match
        self.whole_docs = matcher.by_itself  # \A or \z: it wants all pages of a document
        node = None if matcher.by_itself else matcher.node
        self._literal = None if node is None else _as_literal(node)
        self._needed = None if node is None or self._literal else _needed_literal(node)

    def find(self, stretch: Stretch, every: bool) -> Spans:
        """Return the first match of every matching line, or every match; some lines may be of separators."""
        if self.whole_docs:
            return self._find_singly(stretch, every)
        if self._literal is not None:
            everywhere = _occurrences(stretch.content, self._literal)
            if everywhere is not None:
                return everywhere
        elif self._needed is not None:
            places = _occurrences(stretch.content, self._needed)
            if places is not None and len(places[0]) * FILTER_BYTES_MIN <= len(stretch.content):
                return self._find_in_lines(stretch.content, places[0].tolist(), every)
        found = _Spans()
        self._collect(stretch.content, 0, len(stretch.content), every, found)
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

    def _find_in_lines(self, content: bytes, places: list[int], every: bool) -> Spans:
        """Look at the lines around these places only."""
        found = _Spans()
        line_end = -1
        for place in places:
            if place < line_end:
                continue
            line_start = content.rfind(b"\n", 0, place) + 1
            line_end = content.find(b"\n", place)
            if line_end < 0:
                line_end = len(content)
            self._collect(content, line_start, line_end, every, found)
        return found.arrays()

    def _find_singly(self, stretch: Stretch, every: bool) -> Spans:
        """Cut every document out of its surroundings."""
        found = _Spans()
        begins = np.flatnonzero(np.diff(stretch.ordinals, prepend=-1))
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


def matching_lines_of(segment: LineTables, stretch: Stretch, spans: Spans) -> LineMatches:
    """Return the lines of the pages of a stretch in which `spans` begin."""
    start, end = spans
    piece = np.searchsorted(stretch.start, start, side="right") - 1
    inside = _in_a_line(stretch, start, piece)
    start, end, piece = start[inside], end[inside], piece[inside]
    pieces = piece[_firsts(piece)]
    after, base, last = _line_bounds(segment, stretch, pieces)
    # `before` counts the line ends in front of each match, in all pages that match.
    before = np.searchsorted(after, start, side="right")
    which = np.searchsorted(pieces, piece)
    first = np.flatnonzero((np.diff(before, prepend=-1) != 0) | (np.diff(piece, prepend=-1) != 0))
    before, which, line_piece = before[first], which[first], piece[first]
    padded = np.append(after, 0)
    return LineMatches(
        piece=pieces,
        piece_lines=np.append(np.searchsorted(line_piece, pieces), len(line_piece)),
        line=before - base[which] + 1 + segment.page_line[stretch.pieces[line_piece]],
        line_start=np.where(before == base[which], stretch.start[line_piece], padded[before - 1]),
        line_end=np.where(before == last[which], stretch.end[line_piece], padded[before] - 1),
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
        unfinished = content[np.maximum(ends[at_end] - 1, 0)] != _NEWLINE
        inside[at_end] = unfinished & (stretch.start[piece[at_end]] < ends[at_end])
    return inside


def _line_bounds(segment: LineTables, stretch: Stretch, pieces: I64) -> tuple[I64, I64, I64]:
    """Return where a line begins after each newline of these pieces, one piece after the other, and for each
    piece how many of them stand before its first and at its end."""
    sums, counts = line_ends(segment.line_data, segment.line_off, stretch.pieces[pieces])
    last = np.cumsum(counts)
    base = last - counts
    before = np.where(base > 0, np.append(sums, 0)[base - 1], 0)
    return sums + np.repeat(stretch.start[pieces] - before, counts), base, last


def _firsts(values: I64) -> I64:
    """Return the position of the first of every run of equal values."""
    return np.flatnonzero(np.diff(values, prepend=-1))


# ---- plain text -------------------------------------------------------------------------------------

_END_QUOTE, _SPLIT_QUOTE = r"\E", r"\E\\E\Q"


def _occurrences(content: bytes, literal: _Literal) -> Spans | None:
    """Return where plain text stands; None if only RE2 can tell."""
    haystack = content
    if literal.folded:
        if literal.ascii_only and not content.isascii():
            return None
        haystack = (np.frombuffer(content, np.uint8) | np.uint8(_CASE_BIT)).tobytes()
    pieces = haystack.split(literal.needle)
    if len(pieces) == 1:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    n = len(literal.needle)
    start = np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces))[:-1] + n) - n
    end = start + n
    keep = _confirmed(np.frombuffer(content, np.uint8), start, end, literal)
    return (start, end) if keep is None else (start[keep], end[keep])


def _confirmed(content: U8, start: I64, end: I64, literal: _Literal) -> Bool | None:
    """Return which occurrences fulfil what the search left open; None: nothing was."""
    keep: Bool | None = None
    if literal.folded:
        for i in literal.given:
            keep = _both(keep, content[start + i] == literal.exact[i])
    if literal.left == "^":
        keep = _both(keep, (start == 0) | (content[start - 1] == _NEWLINE))
    elif literal.left:
        before = (start > 0) & _IS_WORD[content[start - 1]]
        keep = _both(keep, before != _IS_WORD[content[start]])
    at = np.minimum(end, len(content) - 1)
    if literal.right == "$":
        keep = _both(keep, (end == len(content)) | (content[at] == _NEWLINE))
    elif literal.right:
        behind = (end < len(content)) & _IS_WORD[content[at]]
        keep = _both(keep, behind != _IS_WORD[content[end - 1]])
    return keep


def _both(keep: Bool | None, more: Bool) -> Bool:
    return more if keep is None else keep & more


def _as_literal(node: Node) -> _Literal | None:
    """Return a pattern as plain text between edges; None if it is more than that."""
    parts = list(_flat(node))
    left = right = ""
    if parts and isinstance(parts[0], Edge) and parts[0].name in ("^", "\\b"):
        left, parts = parts[0].name, parts[1:]
    if parts and isinstance(parts[-1], Edge) and parts[-1].name in ("$", "\\b"):
        right, parts = parts[-1].name, parts[:-1]
    return _literal_of(parts, left, right)


def _literal_of(parts: list[Node], left: str, right: str) -> _Literal | None:
    chars = [char for part in parts if (char := _one_char(part)) is not None]
    if not chars or len(chars) < len(parts):
        return None
    folded = any(char.two_cases for char in chars)
    exact = "".join(char.char for char in chars).encode("utf-8", "surrogateescape")
    if folded and len(exact) != len(chars):  # folded letters beyond ASCII are RE2's business
        return None
    needle = bytes(byte | _CASE_BIT for byte in exact) if folded else exact
    # Occurrences that overlap hide each other from `split`; that matters where one may be refused.
    if (left or right or folded) and _overlaps(needle):
        return None
    given = tuple(i for i, char in enumerate(chars) if not char.two_cases) if folded else ()
    return _Literal(needle, exact, folded, given, any(char.beyond_ascii for char in chars), left, right)


@dataclass(frozen=True, slots=True)
class _Char:
    """One letter of plain text."""

    char: str
    two_cases: bool
    beyond_ascii: bool  # it stands for a letter beyond ASCII too


def _one_char(node: Node) -> _Char | None:
    """Return a set as the one letter that it is, in one case or both; None for any other."""
    if not isinstance(node, Chars) or not node.codes:
        return None
    codes = node.codes
    if len(codes) == 1:
        (code,) = codes
        return None if code == _NEWLINE else _Char(chr(code), False, False)
    plain = sorted(code for code in codes if code < 128)
    if len(plain) != 2 or plain[0] ^ plain[1] != _CASE_BIT or not chr(plain[0]).isalpha():
        return None
    return _Char(chr(plain[0]), True, len(codes) > 2)


def _overlaps(needle: bytes) -> bool:
    """Whether an occurrence can begin inside of another."""
    return any(needle.startswith(needle[i:]) for i in range(1, len(needle)))


def _flat(node: Node) -> Iterator[Node]:
    """Yield the parts of a sequence, nested ones taken apart."""
    if isinstance(node, Cat):
        for part in node.parts:
            yield from _flat(part)
    else:
        yield node


def _needed_literal(node: Node) -> _Literal | None:
    """Return the longest plain text that every match holds; None if RE2 looks for that first by itself."""
    runs: list[list[Node]] = [[]]
    for part in _flat(node):
        if _one_char(part) is not None:
            runs[-1].append(part)
        else:
            runs.append(list(_flat(part.part)) if isinstance(part, Repeat) and part.least == 1 else [])
            if any(_one_char(each) is None for each in runs[-1]):
                runs[-1] = []
    best = max(runs, key=len)
    if len(best) < FILTER_CHARS_MIN:
        return None
    literal = _literal_of(best, "", "")
    begins = best is runs[0] and literal is not None and not literal.folded
    return None if begins else literal


def _next_character(content: bytes, at: int) -> int:
    """Return the start of the UTF-8 character after the one at `at`."""
    at += 1
    while at < len(content) and content[at] & 0xC0 == 0x80:
        at += 1
    return at
