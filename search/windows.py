r"""What every match of a pattern holds: bytes out of given sets, one right after the other. Pure.

A window of `\d+\.\d+` is: a digit, a full stop, a digit. Wherever it stands there may be a match, and
nowhere else. No match is taken to hold a line end. probes.py looks for windows with array operations, five
times as fast as an automaton reads. A pattern that is plain text has a window that says all of it.

    foo\s+bar    "foo" and white space; white space and "bar"
    ^x           a line end, "x"
    :\s*$        ":", then white space or a line end: what can follow counts too
    [α-ω]+       0xCE or 0xCF, then a byte from 0x80 to 0xBF
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from search.folding import BEYOND_ASCII
from search.regex_syntax import Alt, Cat, Chars, Edge, Node, Repeat

NEWLINE = 10
CASE_BIT = 0x20
REPEATS_MAX = 64  # of one part that are written out
ByteSet = frozenset[int]
_LINE_END: ByteSet = frozenset({NEWLINE})


@dataclass(frozen=True, slots=True)
class Window:
    """Sets of bytes that stand one after the other in every match, or at its edges."""

    sets: tuple[ByteSet, ...]
    starts_line: bool  # sets[0] is the line end before the match; a line at the very start has none
    beyond: bool  # it holds only in texts without the letters of BEYOND_ASCII, which it leaves out


def windows(node: Node) -> list[Window]:
    """Return the windows of a pattern."""
    cutter = _Cutter()
    parts = list(flat(node))
    for i, part in enumerate(parts):
        cutter.add(part, parts[i + 1 :])
    return cutter.finished()


class _Cutter:
    """Collects windows as a sequence is read."""

    def __init__(self) -> None:
        self._windows: list[Window] = []
        self._start()

    def _start(self, sets: Iterable[ByteSet] = (), starts_line: bool = False, beyond: bool = False) -> None:
        self._sets = list(sets)
        self._starts_line = starts_line
        self._beyond = beyond

    def add(self, part: Node, rest: Sequence[Node]) -> None:
        """Read one part of the sequence; `rest` follows it."""
        if isinstance(part, Edge):
            self._edge(part)
            return
        once, least, more = (
            (part.part, part.least, part.most != part.least) if isinstance(part, Repeat) else (part, 1, False)
        )
        sets, beyond = byte_sets(once)
        copies = min(least, REPEATS_MAX)
        if sets is None or not least:
            self._end(_first_of([part, *rest]))
            self._start(_last_of(once) if least else ())
            return
        self._sets += sets * copies
        self._beyond |= beyond
        if more or copies < least:
            self._end(_first_of([Repeat(once, 0, None), *rest] if more else [once]))
            self._start(sets * copies, beyond=beyond)

    def _edge(self, edge: Edge) -> None:
        if edge.name == "^" and not self._sets:
            self._start([_LINE_END], starts_line=True)
        elif edge.name == "$":
            self._end(_LINE_END)
            self._start()

    def _end(self, follows: ByteSet | None) -> None:
        """Finish a window; `follows` is what can stand right behind it."""
        if self._sets:
            after = [] if follows is None else [follows]
            self._windows.append(Window((*self._sets, *after), self._starts_line, self._beyond))

    def finished(self) -> list[Window]:
        """Return all windows; nothing follows the last one."""
        self._end(None)
        return self._windows


def _last_of(node: Node) -> tuple[ByteSet, ...]:
    """Return the last byte of a part, if it is one character of a set, to start a window with."""
    if isinstance(node, Chars) and node.codes:
        return (frozenset(_encoded(code)[-1] for code in node.codes),)
    return ()


def byte_sets(node: Node) -> tuple[tuple[ByteSet, ...] | None, bool]:
    """Return the sets of bytes, one for each byte of a part, None if its length is not fixed; and whether
    letters of BEYOND_ASCII were left out."""
    if isinstance(node, Cat):
        sets: list[ByteSet] = []
        left_out = False
        for part in flat(node):
            more, beyond = byte_sets(part) if isinstance(part, Chars) else (None, False)
            if more is None:
                return None, False
            sets += more
            left_out |= beyond
        return tuple(sets), left_out
    if not isinstance(node, Chars) or not node.codes:
        return None, False
    codes, beyond = without_beyond(node.codes)
    encoded = [_encoded(code) for code in codes if code != NEWLINE] or [b"\n"]
    if len({len(each) for each in encoded}) > 1:
        return None, False
    return tuple(frozenset(column) for column in zip(*encoded, strict=True)), beyond


def without_beyond(codes: frozenset[int]) -> tuple[frozenset[int], bool]:
    """Leave out the letters beyond ASCII that only folding brought in."""
    brought = {
        code for code, letter in BEYOND_ASCII.items() if {code, ord(letter), ord(letter.upper())} <= codes
    }
    return codes - brought, bool(brought)


def _encoded(code: int) -> bytes:
    return chr(code).encode("utf-8", "surrogatepass")


def _first_of(parts: Sequence[Node]) -> ByteSet | None:
    """Return the bytes one of which comes next, if `parts` are what is left; None: any byte may."""
    union: ByteSet = frozenset()
    for part in parts:
        if isinstance(part, Edge):
            if part.name == "$":
                return union | _LINE_END
            continue
        first, can_be_empty = _first(part)
        if first is None:
            return None
        union |= first
        if not can_be_empty:
            return union
    return None


def _first(node: Node) -> tuple[ByteSet | None, bool]:
    """Return the bytes that a part can start with, None if any; and whether it can be empty."""
    match node:
        case Chars(codes=codes):
            return (frozenset(_encoded(code)[0] for code in codes) if codes else None), False
        case Repeat(part=part, least=least):
            first, empty = _first(part)
            return first, empty or not least
        case Alt(parts=parts):
            return _any_first(parts)
        case Cat(parts=parts) if parts:
            return _first_of([*parts, Cat(())]), all(_first(part)[1] for part in parts)
        case _:
            return frozenset(), True


def _any_first(parts: Iterable[Node]) -> tuple[ByteSet | None, bool]:
    union: ByteSet | None = frozenset()
    empty = False
    for part in parts:
        first, can_be_empty = _first(part)
        union = None if union is None or first is None else union | first
        empty |= can_be_empty
    return union, empty


def flat(node: Node) -> Iterator[Node]:
    """Yield the parts of a sequence, nested ones taken apart."""
    if isinstance(node, Cat):
        for part in node.parts:
            yield from flat(part)
    else:
        yield node
