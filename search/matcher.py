"""One pattern, ready to be looked for in bytes.

RE2 finds a literal at 2-10 GB/s (`bytes.find`: 1.2), a folded one at 1.3-1.9.

A line is what ends with a newline, or the rest at the end; so an empty match behind the last newline of a
document, or in an empty document, is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from indexer.records import I64, Bool
from search.compiled import UNANCHORED, compile_pattern
from search.regex_syntax import Chars, Edge, Syntax, Unsupported, atoms, parse_regex
from search.regex_trigrams import ALL, NONE, TrigramQuery, literal_query, trigram_query

Case = Literal["smart", "yes", "no"]
Span = tuple[int, int]

PER_DOC = 100  # matches kept of one document
_NEWLINE = 10
_NEVER = r"[^\x{0}-\x{10FFFF}]"


class Matcher:
    """One pattern, ready to be looked for in any bytes.

    query       the trigrams that every text with a match has
    fold        upper and lower case are the same
    stretches   several documents may be searched in one call
    newline     a match may hold a newline
    node        the parsed pattern, None where it could not be parsed here
    by_itself   a document must be cut out of its surroundings: the pattern asks for the text's start or end
    """

    def __init__(
        self, pattern: str, case: Case = "smart", *, query: TrigramQuery | None = None, lines: bool = False
    ) -> None:
        """Read an RE2 pattern. Raises BadPattern. Smart case folds unless an upper-case letter is written.

        query  what the trigrams of a text with a match fulfil, if the caller knows; else it is worked out
        lines  nothing matches a newline
        """
        self.pattern, self.case, self.lines = pattern, case, lines
        self.fold = _folds(pattern, case)
        # The bound method gives a span and makes no match object: 0.7 us a call instead of 3.
        encoded = pattern.encode("utf-8", "surrogateescape")
        self.match = compile_pattern(encoded, fold=self.fold, lines=lines)._regexp.Match
        syntax = _syntax(pattern, self.fold)
        self.node = None if syntax is None else syntax.node
        if query is None:
            query = ALL if syntax is None else trigram_query(syntax.node)
        self.query = query
        kinds = [] if syntax is None else list(atoms(syntax.node))
        sets = [a for a in kinds if isinstance(a, Chars)]
        at_ends = any(isinstance(a, Edge) and a.name in ("\\A", "\\z") for a in kinds)
        self.by_itself = syntax is None or at_ends
        self.newline = syntax is None or any(c.newline for c in sets)
        self.stretches = not (self.by_itself or (self.newline and any(c.nul for c in sets)))

    @classmethod
    def literal(cls, text: str, case: Case = "smart", *, whole_word: bool = False) -> Matcher:
        """Return the matcher of plain text.

        A line end in it also matches the one of DOS files. Folded ASCII letters match their two cases and
        nothing beyond ASCII: RE2 searches twice as fast then (1.3 GB/s instead of 0.7).
        """
        if re.search("[\ud800-\udfff]", text):
            return cls(_NEVER, "yes", query=NONE)  # contents are UTF-8
        fold = any(c.isalpha() for c in text) and (
            case == "no" or (case == "smart" and not any(c.isupper() for c in text))
        )
        pattern = r"\r?\n".join(_escaped(line) for line in text.split("\n"))
        if fold:
            pattern = "(?i)" + re.sub("[ksKS]", lambda m: f"(?-i:[{m[0].lower()}{m[0].upper()}])", pattern)
        if whole_word:
            left = r"\b" if re.match(r"[A-Za-z0-9_]", text) else ""
            right = r"\b" if re.search(r"[A-Za-z0-9_]\Z", text) else ""
            pattern = f"{left}{pattern}{right}"
        matcher = cls(pattern, "yes", query=literal_query(text, fold))
        matcher.fold = fold
        return matcher

    def any(self, content: bytes | memoryview) -> bool:
        """True if the content has a match."""
        return bool(self.find(content, 1))

    def find(self, content: bytes | memoryview, limit: int = PER_DOC) -> list[Span]:
        """Return the first `limit` matches as (start, end) bytes, not overlapping, in order."""
        return self._spans(content, 0, 0, len(content), limit)

    def find_in(
        self, content: bytes | memoryview, start: int, end: int, limit: int, at: int | None = None
    ) -> list[Span]:
        """Return what `find(content[start:end])` does, at a lower cost where the pattern allows it.

        at  where to begin, if no match starts before; the bytes before `start` and from `end` on are newlines
        """
        if self.by_itself:
            return self.find(content[start:end], limit)
        return [
            (s - start, e - start)
            for s, e in self._spans(content, start if at is None else at, start, end, limit)
        ]

    def first(self, content: bytes | memoryview, start: int, end: int) -> Span | None:
        """Return the first match in content[start:end], with the bytes around it as context for edges."""
        span: Span = self.match(UNANCHORED, content, start, end)[0]
        return None if span[0] < 0 else span

    def _spans(self, content: bytes | memoryview, at: int, start: int, end: int, limit: int) -> list[Span]:
        found: list[Span] = []
        match, line_ends = self.match, end == start or content[end - 1] == _NEWLINE
        while at <= end and len(found) < limit:
            low, high = span = match(UNANCHORED, content, at, end)[0]
            if low < 0 or (low == end and line_ends):
                break
            found.append(span)
            at = high if high > low else _next_character(content, high, end)
        return found


class AnyOf:
    """Plain texts in any case; where several begin at one place, the longest."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Take texts without line ends; those that are no UTF-8 stand in no content."""
        known = {text for text in texts if text and not re.search("[\ud800-\udfff]", text)}
        ordered = sorted(known, key=lambda text: (-len(text), text))
        pattern = "|".join(map(_escaped, ordered)) if ordered else _NEVER
        self._match = compile_pattern(pattern.encode(), fold=True)._regexp.Match

    def find(self, content: bytes, start: int = 0, end: int | None = None) -> Iterator[Span]:
        """Yield where they stand in content[start:end], not overlapping, in order."""
        end = len(content) if end is None else end
        while (span := self._match(UNANCHORED, content, start, end)[0])[0] >= 0:
            yield span
            start = span[1]


def matching_lines(matcher: Matcher, data: bytes | memoryview, offsets: I64) -> Bool:
    """Return which lines have a match within themselves: for paths or names joined by newlines.

    offsets  [n + 1]; line i is data[offsets[i] : offsets[i + 1] - 1], and a newline follows it
    """
    lines = len(offsets) - 1
    hit: Bool = np.zeros(lines, np.bool_)
    if matcher.newline or matcher.by_itself:
        bounds = offsets.tolist()
        for i in range(lines):
            hit[i] = bool(matcher.find_in(data, bounds[i], bounds[i + 1] - 1, 1))
        return hit
    at, end = int(offsets[0]), int(offsets[-1])
    while at < end and (span := matcher.first(data, at, end)) is not None:
        line = int(np.searchsorted(offsets, span[0], side="right")) - 1
        hit[min(line, lines - 1)] = True
        at = int(offsets[min(line, lines - 1) + 1])
    hit &= np.diff(offsets) > 1  # as in a document, nothing matches in an empty one
    return hit


def _folds(pattern: str, case: Case) -> bool:
    """True if upper and lower case are to be the same for this pattern, and it makes a difference."""
    if case == "yes":
        return False
    syntax = _syntax(pattern, False)
    if syntax is not None:
        return syntax.has_cased and (case == "no" or not syntax.has_upper)
    return case == "no" or not any(c.isupper() for c in re.sub(r"\\(?:[pP]\{.*?\}|.)", "", pattern))


def _syntax(pattern: str, fold: bool) -> Syntax | None:
    try:
        return parse_regex(pattern, fold)
    except Unsupported:
        return None


def _escaped(text: str) -> str:
    return "".join(c if c.isalnum() or c == "_" or ord(c) > 127 else _escaped_mark(c) for c in text)


def _escaped_mark(char: str) -> str:
    return f"\\x{ord(char):02X}" if ord(char) < 32 or ord(char) == 127 else f"\\{char}"


def _next_character(content: bytes | memoryview, at: int, end: int) -> int:
    """Return the start of the UTF-8 character after the one at `at`."""
    at += 1
    while at < end and content[at] & 0xC0 == 0x80:
        at += 1
    return at
