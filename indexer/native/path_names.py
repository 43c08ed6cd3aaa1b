"""How far paths say what a question asks for: what path_names.c does, with arrays in and out. Pure.

search/path_names.py says what that means.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from indexer.native.library import address, function, row_addresses
from indexer.records import F32, I64

WORDS_MAX = 64  # of a question: bits of a number


class _Asked(ctypes.Structure):
    _fields_ = (
        ("n", ctypes.c_int64),
        ("words", ctypes.c_char_p),
        ("stems", ctypes.c_char_p),
        ("word_length", ctypes.c_void_p),
        ("stem_length", ctypes.c_void_p),
    )


def name_paths(
    words: Sequence[bytes], stems: Sequence[bytes], joined: bytes, begin: I64, end: I64
) -> tuple[F32, F32, F32]:
    """Return of each path joined[begin[i]:end[i]] three columns.

    How much of its name is asked for, the share of the words that it has, the directories above it.

    words  of the question, lower case, at most WORDS_MAX; `stems` of the same
    """
    assert len(words) == len(stems) <= WORDS_MAX, len(words)
    lengths = np.array([[len(word) for word in words], [len(stem) for stem in stems]], np.int64)
    asked = _Asked(len(words), b"".join(words), b"".join(stems), *row_addresses(lengths))
    begin, end = np.ascontiguousarray(begin, np.int64), np.ascontiguousarray(end, np.int64)
    out = np.empty((3, len(begin)), np.float32)
    places = address(begin), address(end), len(begin)
    _name_paths(ctypes.byref(asked), joined, *places, *row_addresses(out))
    return out[0], out[1], out[2]


_ADDRESS, _COUNT = ctypes.c_void_p, ctypes.c_int64
_name_paths = function(
    "name_paths", None, _ADDRESS, ctypes.c_char_p, _ADDRESS, _ADDRESS, _COUNT, _ADDRESS, _ADDRESS, _ADDRESS
)
