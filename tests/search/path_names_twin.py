"""The slow twin of search/path_names.py: one path and one word at a time, in Python."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# How well a word of a path is asked for.
SAME, SAME_STEM, SHORT = 1.0, 0.95, 0.7
_SHORT_MIN = 3  # letters of a word of a path that may be short for one of the question
_INSIDE_MIN = 4  # letters of a word of the question that may stand at the start or end of a longer one
_ENTRIES = frozenset(("index", "mod", "init", "main", "lib", "default", "core", "src"))
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_STEM_MIN = 3
_ENDINGS = (
    ("ies", "i"), ("y", "i"), ("ing", ""), ("ers", ""), ("ations", "at"), ("ation", "at"), ("ions", ""),
    ("ion", ""), ("ments", ""), ("ment", ""), ("ed", ""), ("es", ""), ("s", ""), ("er", ""), ("or", ""),
    ("e", ""),
)  # fmt: skip


class PathWords(NamedTuple):
    """The words of a path, lower case."""

    name: tuple[str, ...]  # of the file, or of the directory whose entry it is
    above: tuple[str, ...]  # of the directories above
    stem: str  # the file's name before its first full stop, lower case
    depth: int  # directories above


@dataclass(frozen=True, slots=True)
class Named:
    """What a path says about one question."""

    cover: float  # 0..1: how much of the file's name is asked for
    asked: float  # 0..1: share of the question's words that the path has
    alone: bool  # the question is one word, and the file is named so
    depth: int


def path_words(path: bytes) -> PathWords:
    """Return the words of a path."""
    above, _, name = path.decode("utf-8", "replace").rpartition("/")
    stem = name.lstrip(".").partition(".")[0]
    own = split(stem)
    directories = above.split("/") if above else []
    depth = len(directories)
    if directories and all(word in _ENTRIES for word in own):
        own = split(directories.pop())
    words = tuple(word for directory in directories for word in split(directory))
    return PathWords(own, words, stem.lower(), depth)


def split(name: str) -> tuple[str, ...]:
    """Return the words of an identifier or a file name, lower case."""
    return tuple(word.lower() for word in _WORD.findall(name))


def stem_of(word: str) -> str:
    """Return a word without its ending: cancelled, cancelling and cancel have one stem."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_MIN:
            return word[: -len(ending)] + instead
    return word


class Question:
    """The words of one question, ready to be looked for in paths."""

    def __init__(self, words: Iterable[str]) -> None:
        """Take its words in lower case: those that say something."""
        self._words = tuple(dict.fromkeys(words))
        self._stems = tuple(stem_of(word) for word in self._words)
        self._strength: dict[
            str, tuple[float, int]
        ] = {}  # of a path's word: how well, and which words (bits)
        self._above: dict[tuple[str, ...], int] = {}  # of a directory's words: which words are asked for
        self._alone = "".join(self._words) if len(self._words) == 1 else ""

    def named(self, path: bytes) -> Named:
        """Return what a path says."""
        of = path_words(path)
        total, seen = 0.0, 0
        for word in of.name:
            strength, which = self.asks_for(word)
            total += strength
            seen |= which
        above = self._above.get(of.above)
        if above is None:
            above = 0
            for word in of.above:
                above |= self.asks_for(word)[1]
            self._above[of.above] = above
        seen |= above
        return Named(
            cover=total / len(of.name) if of.name else 0.0,
            asked=seen.bit_count() / len(self._words) if self._words else 0.0,
            alone=bool(self._alone) and of.stem == self._alone,
            depth=of.depth,
        )

    def asks_for(self, word: str) -> tuple[float, int]:
        """Return how well a word of a path is asked for, and by which words of the question, as bits."""
        known = self._strength.get(word)
        if known is None:
            known = self._strength[word] = self._asks_for(word)
        return known

    def _asks_for(self, word: str) -> tuple[float, int]:
        best, which = 0.0, 0
        stem = stem_of(word)
        for i, (asked, asked_stem) in enumerate(zip(self._words, self._stems, strict=True)):
            if asked == word:
                strength = SAME
            elif asked_stem == stem:
                strength = SAME_STEM
            elif (word[0] == asked[0] or word[-1] == asked[-1]) and _is_short(word, asked):
                strength = SHORT
            else:
                continue
            best, which = max(best, strength), which | 1 << i
        return best, which


def _is_short(word: str, asked: str) -> bool:
    """Whether a word of a path is short for an asked one, or a longer one that begins or ends with it."""
    if len(word) >= _SHORT_MIN and asked.startswith(word):
        return True
    return (
        len(asked) >= _INSIDE_MIN
        and len(word) > len(asked)
        and (word.startswith(asked) or word.endswith(asked))
    )
