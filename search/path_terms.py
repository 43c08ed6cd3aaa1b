"""Which paths have a term, and how plainly. Pure.

Paths repeat themselves: the 78,000 of Linux 6.1 have 3.3 MB, 5,000 directories and 31,000 distinct words. A
term is looked for in the distinct words, by a compiled loop (indexer/native/inside.c), and of each word the
paths are known that have it in their name or above. The thirty forms of words of a question took 0.2 ms each
where every occurrence in 9,000 paths was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from indexer.native.inside import WordTable
from indexer.records import F32, I64, Bool
from indexer.store.postings import spans
from indexer.store.root_view import Paths

INSIDE_MIN = 4  # bytes of a term that counts inside of a word
TAIL_MAX = 2_000  # paths that came since; with more, all are taken in again
_RUN = re.compile(rb"[A-Za-z0-9\x80-\xff]+")

LOWER: Bool = np.zeros(256, np.bool_)
LOWER[[*range(97, 123), *range(128, 256)]] = True
LETTER: Bool = LOWER.copy()
LETTER[65:91] = True

# Shares of a path, as two bits from the greatest on: what a sort leaves first is what counts.
_SHARES = np.array([1.0, 0.5, 0.25], np.float32)


class PathTerms:
    """The distinct words of paths, and the paths of each."""

    def __init__(self, paths: Paths, first: int = 0) -> None:
        """Take in all paths; path i is slot first + i. Linux 6.1: 0.3 s."""
        self.n = first + len(paths)
        self._tail: PathTerms | None = None
        number: dict[bytes, int] = {}
        directories: dict[bytes, int] = {}
        of_directory: list[int] = []
        words_of: list[list[int]] = []  # of each directory
        named: list[tuple[int, int]] = []
        for slot, path in enumerate(paths, first):
            directory, _, name = path.rpartition(b"/")
            which = directories.setdefault(directory, len(directories))
            if which == len(words_of):
                words_of.append(
                    [number.setdefault(word, len(number)) for word in set(_RUN.findall(directory))]
                )
            of_directory.append(which)
            named += [(number.setdefault(word, len(number)), slot) for word in set(_RUN.findall(name))]
        self._words = WordTable(number)
        # Word, slot, and 1 where only a directory has it; of two that differ in that the first one counts.
        key = np.concatenate((_keys_of_names(named), _keys_of_directories(words_of, of_directory, first)))
        key.sort()
        key = key[np.flatnonzero(np.diff(key >> 1, prepend=-1))]
        word = key >> _SLOT_BITS + 1
        self._begin = np.searchsorted(word, np.arange(self._words.n + 1))
        self._entry = (key & (1 << _SLOT_BITS + 1) - 1).astype(np.int32)

    @property
    def n_all(self) -> int:
        """How many paths are taken in."""
        return self.n if self._tail is None else self._tail.n

    def extended(self, paths: Paths) -> PathTerms:
        """Return the terms of these paths, which begin with those that are known."""
        if len(paths) - self.n > TAIL_MAX:
            return PathTerms(paths)
        made = object.__new__(PathTerms)
        made.__dict__.update(self.__dict__)
        made._tail = PathTerms(paths[self.n :], self.n) if len(paths) > self.n else None
        return made

    def matches(self, terms: Sequence[bytes]) -> list[tuple[I64, F32]]:
        """Return what RootFacts.path_matches says of each term of letters and digits."""
        found = self._matches(terms)
        if self._tail is None:
            return found
        return [
            (np.concatenate((slots, later)), np.concatenate((share, of_later)))
            for (slots, share), (later, of_later) in zip(found, self._tail.matches(terms), strict=True)
        ]

    def _matches(self, terms: Sequence[bytes]) -> list[tuple[I64, F32]]:
        word, whole, end = self._words.with_terms(terms)
        begin = self._begin[word]
        length = self._begin[word + 1] - begin
        entry = self._entry[spans(begin, length)].astype(np.int64)
        # Term, slot, share: one sort for all terms.
        term = np.repeat(np.arange(len(terms)), np.diff(end, prepend=0))
        of_entry = np.repeat(term << _SLOT_BITS + 2, length) + np.repeat(~whole, length)
        key = of_entry + (entry >> 1 << 2) + (entry & 1)
        key.sort()
        key = key[np.flatnonzero(np.diff(key >> 2, prepend=-1))]
        ends = np.searchsorted(key, np.arange(1, len(terms) + 1) << _SLOT_BITS + 2).tolist()
        slots, share = key >> 2 & (1 << _SLOT_BITS) - 1, _SHARES[key & 3]
        return [(slots[a:b], share[a:b]) for a, b in pairwise([0, *ends])]


_SLOT_BITS = 29


def _keys_of_names(named: list[tuple[int, int]]) -> I64:
    table = np.array(named, np.int64).reshape(-1, 2)
    keys: I64 = table[:, 0] << _SLOT_BITS + 1 | table[:, 1] << 1
    return keys


def _keys_of_directories(words_of: list[list[int]], of_directory: list[int], first: int) -> I64:
    """Return a key for each word above each path."""
    counts = np.fromiter(map(len, words_of), np.int64, len(words_of))
    words = np.array([word for words in words_of for word in words], np.int64)
    which = np.array(of_directory, np.int64)
    length = counts[which]
    slots = np.repeat(np.arange(first, first + len(which)), length)
    keys: I64 = words[spans((np.cumsum(counts) - counts)[which], length)] << _SLOT_BITS + 1 | slots << 1 | 1
    return keys


def is_plain(term: bytes) -> bool:
    """Whether a term is letters and digits only, so that it stands within words."""
    return _RUN.fullmatch(term) is not None
