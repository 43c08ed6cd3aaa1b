r"""RE2 syntax -> a tree that says which bytes a match can hold. Pure.

Only what the trigram index and the scan need is kept: characters, order, choice and repetition. Groups, greed
and names are gone. A pattern this parser does not know raises `Unsupported`; the caller then assumes nothing
about the matches, so a gap here costs speed and never a result.

Syntax: https://github.com/google/re2/wiki/Syntax, as `re2.Options()` sets it (Perl classes, Unicode, `[^a]`
matches a newline, `.` does not without `(?s)`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from search.folding import spellings

CODES_MAX = 64  # a larger class says nothing useful about trigrams
DEPTH_MAX = 100
_LAST = 0x10FFFF
_NEWLINE, _NUL = 10, 0
_SURROGATES = frozenset(range(0xD800, 0xE000))

Range = tuple[int, int]
_DIGIT: tuple[Range, ...] = ((48, 57),)
_SPACE: tuple[Range, ...] = ((9, 10), (12, 13), (32, 32))
_WORD: tuple[Range, ...] = ((48, 57), (65, 90), (95, 95), (97, 122))
_POSIX: dict[str, tuple[Range, ...]] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CONTROL = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_REPEAT = re.compile(r"\{([0-9]{1,4})(,([0-9]{1,4})?)?\}")
_POSIX_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")
_GROUP = re.compile(r"\?(?:P?<[^>]*>|([imsU]*)(?:-([imsU]+))?([:)]))")


class Unsupported(Exception):
    """The pattern uses something this parser does not know."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set."""

    codes: frozenset[int] | None  # None: too many, or unknown
    newline: bool  # "\\n" may be in the set
    nul: bool  # "\\0" may be in the set


@dataclass(frozen=True, slots=True)
class Edge:
    """A condition between characters: ^ $ \\b \\B \\A \\z."""

    name: str


@dataclass(frozen=True, slots=True)
class Cat:
    """Parts one after the other; no parts: the empty string."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """Any of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The part, `least` to `most` times."""

    part: Node
    least: int
    most: int | None  # None: no limit


Node = Chars | Edge | Cat | Alt | Repeat


@dataclass(frozen=True, slots=True)
class Syntax:
    """A parsed pattern."""

    node: Node
    has_upper: bool  # an upper-case letter was written as itself: smart case then respects case
    has_cased: bool  # a letter that has another case was written as itself or in a class


def parse_regex(pattern: str, fold: bool) -> Syntax:
    """Return the tree of a pattern that RE2 accepts. Raises Unsupported.

    fold  True: upper and lower case are the same, as with (?i)
    """
    parser = _Parser(pattern, fold)
    try:
        node = parser.alternation(0)
    except RecursionError:
        raise Unsupported("too deep") from None
    if parser.at != len(pattern):
        raise Unsupported("an unbalanced )")
    return Syntax(node, parser.has_upper, parser.has_cased)


def atoms(node: Node) -> Iterable[Chars | Edge]:
    """Yield every character set and edge of the tree."""
    if isinstance(node, Cat | Alt):
        for part in node.parts:
            yield from atoms(part)
    elif isinstance(node, Repeat):
        yield from atoms(node.part)
    else:
        yield node


def can_be_empty(node: Node) -> bool:
    """Whether a match may hold no character at all."""
    match node:
        case Chars():
            return False
        case Edge():
            return True
        case Cat(parts):
            return all(can_be_empty(part) for part in parts)
        case Alt(parts):
            return any(can_be_empty(part) for part in parts)
        case Repeat(part, least):
            return least == 0 or can_be_empty(part)


def _char(code: int, fold: bool) -> Chars:
    return _chars(((code, code),), fold)


def _chars(ranges: Iterable[Range], fold: bool, negated: bool = False) -> Chars:
    """Return the set of `ranges`, in all spellings where case is ignored."""
    ranges = tuple(ranges)
    newline = _within(_NEWLINE, ranges) != negated
    nul = _within(_NUL, ranges) != negated
    if negated or sum(b - a + 1 for a, b in ranges) > CODES_MAX:
        return Chars(None, newline, nul)
    codes = frozenset(code for a, b in ranges for code in range(a, b + 1))
    if not _SURROGATES.isdisjoint(codes):
        return Chars(None, newline, nul)  # never in UTF-8
    if fold:
        codes = codes.union(*map(spellings, codes))
    return Chars(codes if len(codes) <= CODES_MAX else None, newline, nul)


def _within(code: int, ranges: tuple[Range, ...]) -> bool:
    return any(a <= code <= b for a, b in ranges)


def _complement(ranges: Iterable[Range]) -> tuple[Range, ...]:
    out: list[Range] = []
    low = 0
    for a, b in sorted(ranges):
        if a > low:
            out.append((low, a - 1))
        low = max(low, b + 1)
    if low <= _LAST:
        out.append((low, _LAST))
    return tuple(out)


class _Parser:
    def __init__(self, pattern: str, fold: bool) -> None:
        self.pattern = pattern
        self.at = 0
        self.fold = fold
        self.dot_newline = False
        self.has_upper = False
        self.has_cased = False

    def alternation(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise Unsupported("groups too deep")
        fold, dot_newline = self.fold, self.dot_newline
        parts = [self._sequence(depth)]
        while self._take("|"):
            parts.append(self._sequence(depth))
        self.fold, self.dot_newline = fold, dot_newline
        return parts[0] if len(parts) == 1 else Alt(tuple(parts))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            if self.pattern.startswith("\\Q", self.at):
                parts += self._quoted()
                # A repetition after \Q..\E repeats the last character, as after any literal.
                if parts:
                    parts[-1] = self._repeated(parts[-1])
                continue
            atom = self._atom(depth)
            if atom is not None:
                parts.append(self._repeated(atom))
        return parts[0] if len(parts) == 1 else Cat(tuple(parts))

    def _take(self, text: str) -> bool:
        if not self.pattern.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def _quoted(self) -> list[Node]:
        end = self.pattern.find("\\E", self.at)
        text = self.pattern[self.at + 2 : end if end >= 0 else len(self.pattern)]
        self.at = end + 2 if end >= 0 else len(self.pattern)
        return [self._typed(ord(c)) for c in text]

    def _repeated(self, node: Node) -> Node:
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            counted = _REPEAT.match(self.pattern, self.at) if char == "{" else None
            if counted:
                self.at = counted.end()
                least = int(counted[1])
                most = least if counted[2] is None else int(counted[3]) if counted[3] else None
                node = Repeat(node, least, most)
            elif char in "*+?":
                self.at += 1
                node = Repeat(node, int(char == "+"), 1 if char == "?" else None)
            else:
                break
            self._take("?")
        return node

    def _atom(self, depth: int) -> Node | None:
        char = self.pattern[self.at]
        self.at += 1
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        if char == ".":
            return Chars(None, self.dot_newline, True)
        if char in "^$":
            return Edge(char)
        if char == "\\":
            return self._escape()
        if char in "*+?":
            raise Unsupported("a repetition of nothing")
        return self._typed(ord(char))

    def _group(self, depth: int) -> Node | None:
        flags = None
        if self.pattern.startswith("?", self.at):
            flags = _GROUP.match(self.pattern, self.at)
            if flags is None:
                raise Unsupported("an unknown group")
            self.at = flags.end()
        fold, dot_newline = self.fold, self.dot_newline
        if flags is not None and flags[3]:
            self._set_flags(flags[1] or "", flags[2] or "")
            if flags[3] == ")":
                return None  # holds until the enclosing group ends; alternation() restores it
        node = self.alternation(depth + 1)
        self.fold, self.dot_newline = fold, dot_newline
        if not self._take(")"):
            raise Unsupported("a missing )")
        return node

    def _set_flags(self, on: str, off: str) -> None:
        if "m" in off:
            raise Unsupported("^ and $ at the text's ends only")
        if "i" in on + off:
            self.fold = "i" in on
        if "s" in on + off:
            self.dot_newline = "s" in on

    def _typed(self, code: int) -> Chars:
        """Return the set of a character that was written as itself."""
        char = chr(code)
        self.has_upper |= char.isupper()
        self.has_cased |= char.isalpha()
        return _char(code, self.fold)

    def _escape(self) -> Node | None:
        char = self.pattern[self.at : self.at + 1]
        if char in ("b", "B", "A", "z"):
            self.at += 1
            return Edge("\\" + char)
        if char == "E":
            self.at += 1
            return None  # RE2 skips a lone \E
        if char == "C":
            self.at += 1
            return Chars(None, True, True)
        perl = self._perl_class()
        if perl is not None:
            return _chars(perl, self.fold)
        return self._typed(self._escaped_code())

    def _perl_class(self) -> tuple[Range, ...] | None:
        """Read d, w, s, p and their negations after a backslash, or nothing."""
        char = self.pattern[self.at : self.at + 1]
        known = {"d": _DIGIT, "s": _SPACE, "w": _WORD}.get(char.lower()) if char else None
        if known is not None:
            self.at += 1
            return known if char.islower() else _complement(known)
        if char in ("p", "P"):
            self.at += 1
            end = self.pattern.find("}", self.at) if self.pattern.startswith("{", self.at) else self.at
            if end < 0:
                raise Unsupported("a missing }")
            self.at = end + 1
            return ((0, _LAST),)  # a superset is safe
        return None

    def _escaped_code(self) -> int:
        """Read the rest of an escape that stands for one character."""
        rest = self.pattern[self.at :]
        match = re.match(r"x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|([0-7]{2,3}|0)", rest)
        if match:
            self.at += match.end()
            return int(match[1] or match[2], 16) if match[3] is None else int(match[3], 8)
        char = rest[:1]
        self.at += 1
        if char in _CONTROL:
            return _CONTROL[char]
        if char and char.isascii() and not char.isalnum():
            return ord(char)
        raise Unsupported("an unknown escape")

    def _class(self) -> Chars:
        negated = self._take("^")
        ranges: list[Range] = []
        first = True
        while first or not self.pattern.startswith("]", self.at):
            first = False
            if self.at >= len(self.pattern):
                raise Unsupported("a missing ]")
            ranges += self._class_item()
        self.at += 1
        self.has_cased |= any(_within(ord(c), tuple(ranges)) for c in "abcxyzABCXYZ")
        return _chars(ranges, self.fold, negated)

    def _class_item(self) -> tuple[Range, ...]:
        posix = _POSIX_CLASS.match(self.pattern, self.at)
        if posix:
            if posix[2] not in _POSIX:
                raise Unsupported("an unknown class")
            known = _POSIX[posix[2]]
            self.at = posix.end()
            return _complement(known) if posix[1] else known
        if self._take("\\"):
            perl = self._perl_class()
            if perl is not None:
                return perl
            low = self._class_code(escaped=True)
        else:
            low = self._class_code(escaped=False)
        if self.pattern.startswith("-", self.at) and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            high = self._class_code(escaped=self._take("\\"))
            if high < low:
                raise Unsupported("a range upside down")
            return ((low, high),)
        return ((low, low),)

    def _class_code(self, escaped: bool) -> int:
        if escaped:
            code = self._escaped_code()
        else:
            code = ord(self.pattern[self.at])
            self.at += 1
        self.has_upper |= chr(code).isupper()
        self.has_cased |= chr(code).isalpha()
        return code
