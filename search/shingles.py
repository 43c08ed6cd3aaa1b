"""Code as runs of five tokens (shingles), so that two pieces of it can be compared. Pure.

    exact   the tokens as they stand: words, and each other character by itself. Comments and white space are
            left out, so that a copy that was indented or commented anew is still an exact one.
    shape   the same with a placeholder for every name, number and string: what is left when all were renamed.

    share(a, b) = |runs of a that b has| / |runs of a or b|        between 0 and 1 (Jaccard 1901, Broder 1997)

Where comments and strings are is said by `lexis`, which knows some 100 languages; another's text is all code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from search.lexis import COMMENT, spans

RUN = 5  # tokens: shorter runs are shared by unrelated code, longer ones break at every renamed name
TOKENS_MIN = 12  # of code that is compared at all; `return self.x` is nobody's copy

NAME, NUMBER, STRING = b"a", b"0", b'"'  # placeholders of a shape
_TOKEN = re.compile(rb"[A-Za-z0-9_\x80-\xff]+|[^\sA-Za-z0-9_\x80-\xff]")
_DIGITS = frozenset(b"0123456789")

# Words that a shape keeps, of the languages that are written most: renaming does not touch them.
KEYWORDS = frozenset(
    b"abstract and as assert async await begin bool boolean break byte case catch char class const constexpr "
    b"continue def default defer del delete do double elif else elsif end ensure enum except export extends "
    b"extern false final finally float fn for foreach from func function global go goto if impl implements "
    b"import in inline instanceof int interface is lambda let local long loop match module mut namespace new "
    b"nil none not null operator or override package pass private proc protected pub public raise range "
    b"readonly rescue return select self short signed sizeof static struct sub super switch synchronized "
    b"template then this throw throws trait transient true try type typedef typeof union unless unsafe "
    b"unsigned until use using val var virtual void volatile when where while with yield".split()
)

Run = tuple[bytes, ...]
Runs = frozenset[Run]


@dataclass(frozen=True)
class Tokens:
    """The tokens of a piece of code."""

    exact: tuple[bytes, ...]
    shape: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.exact)

    @cached_property
    def exact_runs(self) -> Runs:
        """The distinct runs of the tokens as they stand."""
        return runs(self.exact)

    @cached_property
    def shape_runs(self) -> Runs:
        """The distinct runs of the shape."""
        return runs(self.shape)


def tokens(language: str, content: bytes) -> Tokens:
    """Return the tokens of code in a language ("" for an unknown one); about 5 MB/s."""
    exact: list[bytes] = []
    shape: list[bytes] = []
    at = 0
    for start, end, kind in spans(language, content):
        _add_code(content[at:start], exact, shape)
        at = end
        if kind != COMMENT:
            exact += _TOKEN.findall(content[start:end])
            shape.append(STRING)
    _add_code(content[at:], exact, shape)
    return Tokens(tuple(exact), tuple(shape))


def runs(listed: tuple[bytes, ...]) -> Runs:
    """Return the distinct runs of RUN tokens; one run of all where there are fewer."""
    if len(listed) <= RUN:
        return frozenset({listed} if listed else ())
    return frozenset(zip(*(listed[i:] for i in range(RUN)), strict=False))


def share(one: Runs, other: Runs) -> float:
    """Return which part of the runs of both is common to both, 0..1; 0 where both have none."""
    common = len(one & other)
    total = len(one) + len(other) - common
    return common / total if total else 0.0


def is_word(token: bytes) -> bool:
    """True unless the token is a single character that stands for itself."""
    return len(token) > 1 or _TOKEN_IS_WORD.match(token) is not None


_TOKEN_IS_WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]")


def _add_code(piece: bytes, exact: list[bytes], shape: list[bytes]) -> None:
    found = _TOKEN.findall(piece)
    exact += found
    shape += map(_shapes.__getitem__, found)


class _Shapes(dict[bytes, bytes]):
    """Token -> what stands for it in a shape; asked for a million times, so each is decided once."""

    def __missing__(self, token: bytes) -> bytes:
        if len(self) >= SHAPES_KEPT:
            self.clear()
        known = self[token] = _shape_of(token)
        return known


SHAPES_KEPT = 1 << 16


def _shape_of(token: bytes) -> bytes:
    if token[0] in _DIGITS:
        return NUMBER
    if token in KEYWORDS or not is_word(token):
        return token
    return NAME


_shapes = _Shapes()
