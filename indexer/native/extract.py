"""Trigrams and words of many texts at once: what extract.c does, with arrays in and out. Pure."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer.native.library import address, function, row_addresses, rows_of
from indexer.records import I64, U32, U64

_KEYS = 1 << 24
PLAIN_BYTES = 7  # up to here a word is its key
HASHED = np.uint64(0xFF << 56)
PADDING = 32  # bytes: a vector
_TERMS_MAX = 17  # of a word: PARTS_MAX of extract.c, and the whole


class _Seen(threading.local):
    """A bit for each trigram, all 0 between calls; two megabytes that each thread keeps."""

    def __init__(self) -> None:
        self.bits: U64 = np.zeros(_KEYS // 64, np.uint64)


_seen = _Seen()


def distinct_trigrams(texts: Sequence[bytes | memoryview]) -> tuple[U32, I64]:
    """Return the distinct trigrams of each text, sorted, one after the other, and where those of each end."""
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    total = int(ends[-1]) if len(ends) else 0
    out = np.empty(total + 1, np.uint32)  # a text has no more of them than bytes
    out_ends = np.empty(len(texts), np.int64)
    scratch = np.empty(int(np.diff(ends, prepend=0).max(initial=0)) + 1, np.uint32)
    _find_trigrams(
        b"".join(texts), address(ends), len(texts), address(_seen.bits), address(out), address(out_ends),
        address(scratch),
    )  # fmt: skip
    return out[: int(out_ends[-1]) if len(out_ends) else 0], out_ends


@dataclass(frozen=True, slots=True)
class PageWords:
    """The distinct words of each page, one page after the other."""

    key: U64  # [n] the word up to PLAIN_BYTES, little-endian; of longer ones HASHED and a hash of 56 bits
    begin: I64  # [n] where one of them stands in the text
    length: I64  # [n]
    count: I64  # [n] how often it stands in its page
    end: I64  # [pages] where the words of each page end
    n_words: I64  # [pages] all words, distinct or not


class _PageWords(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p) for name in ("key", "begin", "length", "count", "end", "n_words")
    )


def distinct_words(text: bytes, ends: I64) -> PageWords:
    """Return the distinct words of pages; page i is text[ends[i - 1]:ends[i]], and no word goes over its end.

    PADDING bytes of anything follow the last page.
    """
    assert len(text) >= (int(ends[-1]) if len(ends) else 0) + PADDING
    ends = np.ascontiguousarray(ends, np.int64)
    most = int(np.diff(ends, prepend=0).max(initial=0))
    table = np.zeros(max(64, 1 << (most // 2).bit_length()), np.uint32)
    used = np.empty(most // 2 + 1, np.uint32)
    words = np.empty((4, len(text) // 2 + 1), np.int64)  # a word and what ends it are two bytes
    pages = np.empty((2, len(ends)), np.int64)
    found = _PageWords(*row_addresses(words), *row_addresses(pages))
    _find_words(text, address(ends), len(ends), address(table), address(used), ctypes.byref(found))
    n = int(pages[0, -1]) if len(ends) else 0
    key, begin, length, count = words[:, :n]
    return PageWords(key.view(np.uint64), begin, length, count, pages[0], pages[1])


@dataclass(frozen=True, slots=True)
class SplitWords:
    """The terms of words: parts, then the whole of each that has several."""

    count: I64  # [n] how many each has; 0 for odd ones
    terms: U64  # `words.term_hash` of each
    odd: I64  # words that are long or not ASCII: their terms are not here


def split_words(text: bytes, begin: I64, length: I64) -> SplitWords:
    """Return the terms of the words at these places; PADDING bytes of anything follow the last one."""
    given = rows_of(begin, length)
    n = len(begin)
    out = np.empty((2, n), np.int64)
    terms = np.empty(_TERMS_MAX * n, np.uint64)
    addresses = row_addresses(out)
    n_odd = _split_words(text, *row_addresses(given), n, addresses[0], address(terms), addresses[1])
    return SplitWords(out[0], terms[: int(out[0].sum())], out[1, :n_odd])


_ADDRESS, _COUNT = ctypes.c_void_p, ctypes.c_int64
_find_trigrams = function(
    "find_trigrams", None, ctypes.c_char_p, _ADDRESS, _COUNT, _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS
)
_find_words = function("find_words", None, ctypes.c_char_p, _ADDRESS, _COUNT, _ADDRESS, _ADDRESS, _ADDRESS)
_split_words = function(
    "split_words", ctypes.c_int64, ctypes.c_char_p, _ADDRESS, _ADDRESS, _COUNT, _ADDRESS, _ADDRESS, _ADDRESS
)
