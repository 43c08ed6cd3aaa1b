"""Which of many words have a term, and how plainly: what inside.c does, with arrays in and out. Pure."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence

import numpy as np

from indexer.native.library import address, function
from indexer.records import I64, Bool

_PADDING = bytes(32)  # a vector
_ROOM = 1_000  # words found at first; asked again where there are more


class _Words(ctypes.Structure):
    _fields_ = (
        ("raw", ctypes.c_char_p),
        ("lowered", ctypes.c_char_p),
        ("n_bytes", ctypes.c_int64),
        ("start", ctypes.c_void_p),
        ("n", ctypes.c_int64),
    )


class WordTable:
    """Distinct words, numbered in order."""

    def __init__(self, words: Iterable[bytes]) -> None:
        """Take words without newlines."""
        listed = list(words)
        self.n = len(listed)
        raw = b"\n" + b"\n".join(listed) + b"\n"
        lengths = np.fromiter(map(len, listed), np.int64, self.n)
        start = 1 + np.cumsum(lengths + 1) - (lengths + 1)
        texts = raw + _PADDING, raw.lower() + _PADDING
        self._kept = texts, start  # which C reads: they must live
        self._words = _Words(*texts, len(raw), address(start), self.n)

    def with_terms(self, terms: Sequence[bytes]) -> tuple[I64, Bool, I64]:
        """Return the words that have each term, for one term after the other, ascending.

        terms  of lower-case letters and digits, at least one

        Returns the words, whether the term is a whole part of each (`cancel` of requestCancel) or stands
        somewhere inside, which is nothing for terms of less than 4 bytes; and where the words of each end.
        """
        lengths = np.fromiter(map(len, terms), np.int64, len(terms))
        assert lengths.min(initial=1) > 0
        end = np.empty(len(terms), np.int64)
        joined, room = b"".join(terms), _ROOM
        if not self.n:
            return np.empty(0, np.int64), np.empty(0, np.bool_), np.zeros(len(terms), np.int64)
        while True:
            word, whole = np.empty(room, np.int64), np.empty(room, np.bool_)
            given = ctypes.byref(self._words), joined, address(lengths), len(terms)
            found = _find_inside(*given, room, address(word), address(whole), address(end))
            if found <= room:
                return word[:found], whole[:found], end
            room = found


_ADDRESS, _COUNT = ctypes.c_void_p, ctypes.c_int64
_find_inside = function(
    "find_inside", _COUNT, _ADDRESS, ctypes.c_char_p, _ADDRESS, _COUNT, _COUNT, _ADDRESS, _ADDRESS, _ADDRESS
)
