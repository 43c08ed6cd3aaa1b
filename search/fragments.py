"""What of a message the source says too: message -> fragments. Pure.

A program writes `index 7 out of range for 'names'` and its source says "index %d out of range for %r". So
numbers, addresses, quoted values, paths and the like are cut out, and what is left are fragments that stand
in the source as they are, unless a variable word stood in the message that looks like any other. For a
fragment that is found nowhere `parts` names shorter ones.
"""

from __future__ import annotations

import re

FRAGMENT_LETTERS_MIN = 6  # of a fragment; shorter ones stand everywhere
WORDS_MIN = 2  # of a fragment, unless it has a long word
LONG_WORD = 8  # letters
VALUE_CHARS_MAX = 60  # of what stands for a value in the source: %-20s, {len(names):,}, " + name + "

_VARIABLE = re.compile(
    r"""
      "[^"\n]*" | `[^`'\n]*['`] | (?<!\w)'[^'\n]*'(?!\w) | \u201c[^\u201d\n]*\u201d | \u2018[^\u2019\n]*\u2019
    | <[^<>\n]*>
    | \w+://\S+
    | (?:[A-Za-z]:\\|~?/|\.\.?/)[^\s:;,'")]*                  # a path
    | [\w.-]+(?:/[\w.-]+)*/[\w.-]*\.\w+ | \w[\w.-]*(?:/[\w.-]+){2,}/?
    | \b[0-9a-fA-F]{4,}(?:-[0-9a-fA-F]{4,}){2,}\b
    | [-+]?\b(?!\w*_[A-Za-z])\w*\d\w*(?:[.,:]\d\w*)*%?                          # 12, 0x1f, 3.5ms, eth0
    """,
    re.VERBOSE,
)
_EDGES = re.compile(r"^\W+|\W+$")
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_LIKE_CODE = re.compile(r"\w*(?:[a-z][A-Z]|[A-Z]{2}[a-z]|_|\w\.\w)[\w.]*(?:\(\))?")  # NoneType, size_t, a.b
_BREAK = re.compile(r":\s+|;\s+|\s+[-\u2013]\s+")


def fragments(message: str) -> tuple[str, ...]:
    """Return the fixed fragments of one line, in order; none where it has only values."""
    found = (_EDGES.sub("", part) for part in _split(_VARIABLE, message))
    return tuple(fragment for fragment in found if says_something(fragment))


def whole_line(message: str) -> str | None:
    """Return the pattern of a source line that has all that is fixed, in order; None for a single fragment.

    Short ones count here, which by themselves stand everywhere; but not in front, where the device or the
    program is named that speaks.
    """
    pieces = [_EDGES.sub("", part) for part in _split(_VARIABLE, message)]
    pieces = [piece for piece in pieces if re.search("[A-Za-z]", piece)]
    first = next((i for i, piece in enumerate(pieces) if says_something(piece)), len(pieces))
    if len(pieces) - first < 2:
        return None
    return f".{{0,{VALUE_CHARS_MAX}}}".join(map(re.escape, pieces[first:]))


def says_something(fragment: str) -> bool:
    """Whether a fragment is worth being looked for."""
    words = _WORD.findall(fragment)
    return sum(map(str.isalpha, fragment)) >= FRAGMENT_LETTERS_MIN and (
        len(words) >= WORDS_MIN or max(map(len, words), default=0) >= LONG_WORD
    )


def parts(fragment: str) -> tuple[str, ...]:
    """Return what a fragment that stands nowhere may be made of: cut where a value or another text may begin.

    At colons; else around words that are spelled as names; else in two halves.
    """
    for pattern in (_BREAK, _LIKE_CODE):
        pieces = [_EDGES.sub("", piece) for piece in _split(pattern, fragment)]
        if pieces != [fragment]:
            return tuple(piece for piece in pieces if says_something(piece))
    words = list(_WORD.finditer(fragment))
    if len(words) < 2 * WORDS_MIN:
        return ()
    middle = len(words) // 2
    halves = fragment[: words[middle - 1].end()], fragment[words[middle].start() :]
    return tuple(half for half in halves if says_something(half))


def _split(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return what stands between the matches of a pattern."""
    pieces: list[str] = []
    at = 0
    for match in pattern.finditer(text):
        pieces.append(text[at : match.start()])
        at = match.end()
    return [*pieces, text[at:]]
