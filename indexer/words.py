"""Bytes -> words -> terms, for BM25F and for static embeddings. Pure: no disk, no clock.

A *word* is a run of letters, digits, underscores and non-ASCII bytes, as it stands in the file. Its *parts*
are what people read in it: camelCase, snake_case and digits split, lowercased. Its *terms* are what is
searched for: the parts, and the whole word if it has more than one. This module says so for one word; for the
words of many files see `vocabulary` and `bags`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain

import numpy as np

from indexer.records import U32

WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]+")
COUNT_MAX = 15  # occurrences of a term in a field saturate here: BM25 hardly rises beyond, and 4 bits hold it
WORD_BYTES_MAX = 96  # longer runs are data, not names: one term, no parts
PARTS_MAX = 16  # of one word
UNDERSCORE = 0x5F
MULTIPLY = 0xD6E8FEB86659FD93  # with a shift by half: degski's 64-bit mixer

IS_WORD = bytes(WORD.match(bytes((b,))) is not None for b in range(256))  # for bytes.translate
_SPACES = bytes(b if WORD.match(bytes((b,))) else 0x20 for b in range(256))
# "HTTP" in HTTPConfig, then Config, config, HTTP, 2; non-ASCII letters count as lower case.
_CAMEL = re.compile(rb"[A-Z]+(?=[A-Z][a-z\x80-\xff])|[A-Z]?[a-z\x80-\xff]+|[A-Z]+|[0-9]+")
_ONE_NAME = re.compile(rb"[0-9][0-9A-Za-z]*|[A-Za-z][0-9][0-9A-Za-z]{0,3}")  # 0x1f, 64; i2c, x86, v4l2
_TOKEN = re.compile(r"\w+")


def parts(word: bytes) -> tuple[bytes, ...]:
    """Return the parts of a word in order, lowercased: getHTTPConfig2 -> get http config 2.

    Numbers (0x1f, 10ms) and short names with a digit in second place (i2c, x86, v4l2) stay whole between
    underscores: their letters alone say nothing. Non-ASCII letters are lowercased by Unicode's rules; other
    non-ASCII characters separate.
    """
    if len(word) > WORD_BYTES_MAX:
        return (_lower(word),)
    return tuple(chain.from_iterable(map(camel_parts, _segments(word))))[:PARTS_MAX]


def terms(word: bytes) -> tuple[bytes, ...]:
    """Return the distinct terms of a word: its parts, and the whole word lowercased if it has several."""
    split = parts(word)
    whole = whole_term(word) if len(split) > 1 else None
    return tuple(dict.fromkeys(split if whole is None else (*split, whole)))


@lru_cache(maxsize=1 << 16)
def term_hash(term: bytes) -> int:
    """Return the 64-bit number a term is stored under; part of the file format.

    Eight bytes at a time, little-endian, so that `vocabulary` can hash many terms at once: new names are a
    third of what it costs to count the words of Linux 6.1, and most of that was their BLAKE2b.
    """
    key = int.from_bytes(term[:8], "little")
    for at in range(8, len(term), 8):
        key = mix(key) ^ int.from_bytes(term[at : at + 8], "little")
    return mix(mix(key))


def mix(key: int) -> int:
    """Spread a 64-bit number over 64 bits; one to one."""
    key = key * MULTIPLY & 0xFFFFFFFFFFFFFFFF
    return key ^ key >> 32


def words(content: bytes) -> list[bytes]:
    """Return the words of `content` in order."""
    return content.translate(_SPACES).split()


def spread_ranges(offset: U32, items: U32) -> tuple[U32, U32]:
    """Return the positions of all ranges offset[i]:offset[i + 1] one after the other, and their lengths."""
    begin = offset[items]
    length = offset[items + np.uint32(1)] - begin
    ends = np.cumsum(length, dtype=np.uint32)
    n = int(ends[-1]) if len(ends) else 0
    return np.arange(n, dtype=np.uint32) + np.repeat(begin - (ends - length), length), length


def _segments(word: bytes) -> list[bytes]:
    """Return what underscores separate, and by Unicode's rules quotes, dashes and other non-letters."""
    if word.isascii():
        return word.split(b"_")
    return [token for run in _tokens(word) for token in run.split(b"_")]


def _tokens(word: bytes) -> list[bytes]:
    return [token.encode() for token in _TOKEN.findall(word.decode("utf-8", "replace"))]


def whole_term(word: bytes) -> bytes | None:
    """Return the word lowercased, without punctuation around it; None if punctuation divides it."""
    if word.isascii():
        return word.lower()
    runs = _tokens(word)
    return _lower(runs[0]) if len(runs) == 1 else None


def camel_parts(segment: bytes) -> tuple[bytes, ...]:
    """Split what stands between two underscores."""
    if _ONE_NAME.fullmatch(segment):
        return (segment.lower(),)
    return tuple(map(_lower, _CAMEL.findall(segment)))


def _lower(word: bytes) -> bytes:
    return word.lower() if word.isascii() else word.decode("utf-8", "replace").lower().encode()
