"""Patterns of .gitignore files: reading them, and which one decides for a path. Pure.

This is git's own algorithm (dir.c and wildmatch.c of git 2.39), not an approximation: every pattern is one
regular expression over bytes with the same quirks (a literal prefix is cut off before `**` is looked at, an
unfinished bracket matches nothing, `[!...]` never matches a slash). Ready-made matchers were measured first:
pathspec differs from git on 2 % of random trees; rignore offers a walk, but no answer for one path and no
deciding rule, which every file event and `searchd why` need. tests/indexer/test_ignore.py compares the
deciding rules with those of `git check-ignore --verbose` on random trees.

Most names match nothing, so a list answers that with three set look-ups and two joined regular expressions
(1 us a name); only then are its patterns tried one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_NEVER = rb"(?!)"
_SPECIAL = frozenset(b"*?[\\")
_CLASSES: dict[bytes, bytes] = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb"\x09\x20",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb"\x09-\x0d\x20",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}


# Nearly all patterns are of a shape that needs no regular expression: the name or the path is the literal
# ("whole"), the name begins with it ("TODO*") or ends with it ("*.o"), the path ends with it ("**/a/b").
Shape = Literal["whole", "prefix", "suffix", "tail", "other"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file."""

    text: bytes  # as written
    origin: str  # what to show a user: file and line
    base: bytes  # directory of the ignore file relative to the root, with a trailing "/", or b""
    negated: bool
    only_dirs: bool
    whole_path: bool  # has a slash: matched against the path below `base`, else against the base name
    expression: bytes  # regular expression over the whole name or the whole path, without base
    shape: Shape
    literal: bytes  # what `shape` is about, b"" for "other"


def parse(text: bytes, origin: str, base: bytes = b"") -> tuple[Pattern, ...]:
    """Return the patterns of an ignore file in order; comments and empty lines are left out.

    origin  name of the file as a user knows it; ":<line>" is appended
    base    directory of the file relative to the root, b"" or with a trailing "/"
    """
    found = []
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        line = _trim(line.removesuffix(b"\r").split(b"\0")[0])
        if line and not line.startswith(b"#"):
            found.append(_parse_line(line, f"{origin}:{number}", base))
    return tuple(found)


def parse_globs(globs: Iterable[str], origin: str) -> tuple[Pattern, ...]:
    """Return patterns given one by one in a setting; the whole path of each counts from the root."""
    lines = (_trim(glob.encode("utf-8", "surrogateescape")) for glob in globs)
    return tuple(_parse_line(line, origin, b"") for line in lines if line)


class PatternList:
    """The patterns of one ignore file: the last one that matches decides."""

    __slots__ = ("__weakref__", "_above", "_any_name", "_any_path", "_base_length", "_compiled", "_flags",
                 "_fold", "_names", "_paths", "_prefixes", "_suffixes", "_tails", "patterns")  # fmt: skip

    def __init__(self, patterns: Sequence[Pattern], fold: bool = False, above: bytes = b"") -> None:
        """Take patterns that share one base.

        fold   ASCII letters match in either case (git's core.ignorecase)
        above  for a file above the root: where the root is, seen from the file's directory, with a
               trailing "/"
        """
        self.patterns = tuple(patterns)
        self._above = above
        self._fold = fold
        self._flags = re.DOTALL | (re.IGNORECASE if fold else 0)
        self._base_length = len(patterns[0].base) if patterns else 0
        self._compiled: dict[int, re.Pattern[bytes]] = {}  # as needed: most patterns never match anything
        self._names = frozenset(self._literals("whole", whole_path=False))
        self._paths = frozenset(self._literals("whole", whole_path=True))
        self._prefixes = tuple(self._literals("prefix", whole_path=False))
        self._suffixes = tuple(self._literals("suffix", whole_path=False))
        self._tails = tuple(b"/" + literal for literal in self._literals("tail", whole_path=True))
        self._any_name = self._join(whole_path=False)
        self._any_path = self._join(whole_path=True)

    def deciding(self, path: bytes, name: bytes, is_dir: bool) -> Pattern | None:
        """Return the pattern that decides for a path below the list's base, or None if none matches.

        path  relative to the root, as the base is; name  its base name
        Whether a directory above is ignored is not looked at.
        """
        below = self._above + path if self._above else path[self._base_length :]
        if not self._may_match(below, name):
            return None
        for i in range(len(self.patterns) - 1, -1, -1):
            pattern = self.patterns[i]
            if pattern.only_dirs and not is_dir:
                continue
            compiled = self._compiled.get(i)
            if compiled is None:
                compiled = self._compiled[i] = re.compile(pattern.expression, self._flags)
            if compiled.fullmatch(below if pattern.whole_path else name):
                return pattern
        return None

    def _may_match(self, below: bytes, name: bytes) -> bool:
        if self._fold:
            below, name = below.lower(), name.lower()
        return (
            name in self._names
            or name.endswith(self._suffixes)
            or name.startswith(self._prefixes)
            or below in self._paths
            or (self._any_name is not None and self._any_name.fullmatch(name) is not None)
            or (self._any_path is not None and self._any_path.fullmatch(below) is not None)
            or (len(self._tails) > 0 and (b"/" + below).endswith(self._tails))
        )

    def _literals(self, shape: Shape, whole_path: bool) -> set[bytes]:
        found = {p.literal for p in self.patterns if p.shape == shape and p.whole_path == whole_path}
        return {literal.lower() for literal in found} if self._fold else found

    def _join(self, whole_path: bool) -> re.Pattern[bytes] | None:
        found = [p.expression for p in self.patterns if p.shape == "other" and p.whole_path == whole_path]
        if not found:
            return None
        return re.compile(b"|".join(b"(?:" + expression + b")" for expression in found), self._flags)


def _trim(line: bytes) -> bytes:
    """Cut trailing spaces unless a backslash keeps them (trim_trailing_spaces of dir.c)."""
    end, i = 0, 0
    while i < len(line):
        if line[i] == 0x5C:  # a backslash keeps what follows it
            i += 1
            if i == len(line):
                return line
            end = i + 1
        elif line[i] != 0x20:
            end = i + 1
        i += 1
    return line[:end]


def _parse_line(line: bytes, origin: str, base: bytes) -> Pattern:
    body = line
    negated = body.startswith(b"!")
    if negated:
        body = body[1:]
    only_dirs = body.endswith(b"/")
    if only_dirs:
        body = body[:-1]
    whole_path = b"/" in body
    plain = next((i for i, byte in enumerate(body) if byte in _SPECIAL), len(body))
    if whole_path and body.startswith(b"/"):
        body, plain = body[1:], plain - 1
    shape, literal, expression = _shape(body, plain, whole_path)
    return Pattern(line, origin, base, negated, only_dirs, whole_path, expression, shape, literal)


def _shape(body: bytes, plain: int, whole_path: bool) -> tuple[Shape, bytes, bytes]:
    """Shape, its literal, and the regular expression; the first `plain` bytes of the body are literal."""
    if not body:
        return "other", b"", _NEVER
    if plain == len(body):
        return "whole", body, re.escape(body)
    if whole_path:
        # git compares the literal prefix first and hands only the rest to wildmatch.
        expression = re.escape(body[:plain]) + _translate(body[plain:], path=True)
        if body.startswith(b"**/") and _is_plain(body[3:]):
            return "tail", body[3:], expression
        return "other", b"", expression
    if body.startswith(b"*") and _is_plain(body[1:]):
        return "suffix", body[1:], rb".*" + re.escape(body[1:])
    if body.endswith(b"*") and _is_plain(body[:-1]):
        return "prefix", body[:-1], re.escape(body[:-1]) + rb".*"
    return "other", b"", _translate(body, path=False)


def _is_plain(text: bytes) -> bool:
    return not _SPECIAL & set(text)


def _translate(glob: bytes, path: bool) -> bytes:
    """Return the regular expression of a glob; path: a wildcard other than `**` stops at slashes."""
    one = rb"[^/]" if path else rb"."
    out: list[bytes] = []
    i = 0
    while i < len(glob):
        byte = glob[i]
        if byte == 0x2A:  # *
            start = i
            while i < len(glob) and glob[i] == 0x2A:
                i += 1
            opened = start == 0 or glob[start - 1] == 0x2F
            rest = glob[i : i + 2]
            closed = rest == b"" or rest.startswith(b"/") or rest == b"\\/"
            if path and i - start >= 2 and opened and closed:
                if rest.startswith(b"/"):  # "**/": any number of directories, also none
                    out.append(rb"(?:.*/)?")
                    i += 1
                else:
                    out.append(rb".*")
            else:
                out.append(one + b"*")
        elif byte == 0x3F:  # ?
            out.append(one)
            i += 1
        elif byte == 0x5B:  # [
            bracket, i = _bracket(glob, i + 1, path)
            if bracket is None:
                return _NEVER
            out.append(bracket)
        elif byte == 0x5C:  # a backslash
            if i + 1 == len(glob):
                return _NEVER
            out.append(re.escape(glob[i + 1 : i + 2]))
            i += 2
        else:
            out.append(re.escape(glob[i : i + 1]))
            i += 1
    return b"".join(out)


def _bracket(glob: bytes, i: int, path: bool) -> tuple[bytes | None, int]:
    """Translate a bracket whose "[" stands before `i`; None if it is malformed (then nothing matches)."""
    negated = glob[i : i + 1] in (b"!", b"^")
    if negated:
        i += 1
    members: list[bytes] = []
    previous = -1  # the byte before, if it can open a range
    first = True
    while True:
        if i >= len(glob):
            return None, i
        byte = glob[i]
        if byte == 0x5D and not first:
            break
        first = False
        if byte == 0x5C:
            i += 1
            if i >= len(glob):
                return None, i
            previous = glob[i]
            members.append(_byte(previous))
        elif byte == 0x2D and previous > 0 and i + 1 < len(glob) and glob[i + 1] != 0x5D:
            i += 1
            if glob[i] == 0x5C:
                i += 1
                if i >= len(glob):
                    return None, i
            if previous <= glob[i]:
                members.append(_byte(previous) + b"-" + _byte(glob[i]))
            previous = -1
        elif byte == 0x5B and glob[i + 1 : i + 2] == b":":
            end = glob.find(b"]", i + 2)
            if end < 0:
                return None, i
            if end - i - 3 < 0 or glob[end - 1] != 0x3A:  # no ":]": an ordinary "["
                previous = byte
                members.append(_byte(byte))
            else:
                named = _CLASSES.get(glob[i + 2 : end - 1])
                if named is None:
                    return None, i
                members.append(named)
                previous, i = -1, end
        else:
            previous = byte
            members.append(_byte(byte))
        i += 1
    inside = b"".join(members)
    if not inside:
        expression = rb"." if negated else _NEVER
    else:
        expression = b"[" + (b"^" if negated else b"") + inside + b"]"
    return (rb"(?!/)" if path else b"") + expression, i + 1


def _byte(value: int) -> bytes:
    return b"\\x%02x" % value
