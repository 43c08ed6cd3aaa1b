"""Bytes -> trigrams. Pure.

A trigram is three consecutive bytes, unfolded, packed into 24 bits: first byte highest, so that keys sort as
the bytes do. A window that contains a newline is left out: almost every question stays within a line, and
these windows would add a tenth to the posting lists. A pattern that crosses a line must therefore ask for the
trigrams of each line by itself. The one exception is a line of exactly two bytes, which has no other window:
with its newline it makes one. So any two bytes of a line can be asked for, as the first or last two of a
trigram.

Sorting each file by itself, all else for many files at once, costs 6 ns a byte of Linux 6.1, 3.7 of them in
the sort. What was tried instead (NumPy 2.4, EPYC 9004 without AVX-512, files of 2, 17 and 500 KB):

    one call a file, sorted                           15.1  8.4  5.6 ns a byte
    a table of 2^24 last positions, never cleared     18.0  9.9  7.3
    a table of 2^16 of them before the sort           20.1  9.5 16.3
    1 MB of files in one sort of 24 + 8 bits          9 in all, 5.5 to 6.7 in the sort
    removing windows with a newline before the sort   saves 0.3, costs 1.6
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.records import I64, U8, U32, Bool

NEWLINE = 0x0A
KEY_BITS = 24
_NO_KEY = np.uint32(NEWLINE << 16 | NEWLINE << 8 | NEWLINE)  # as the windows that lie between lines
_BETWEEN = b"\n\n"  # a window that reaches over the end of a file holds a newline


def trigrams(content: bytes | memoryview) -> U32:
    """Return the distinct trigrams of the content, sorted."""
    return trigrams_of([content])[0]


def trigrams_of(contents: Sequence[bytes | memoryview]) -> list[U32]:
    """Return the distinct trigrams of each of several contents, sorted; views of one array.

    Needs some 12 times the memory of all contents together while it runs.
    """
    kept, cuts = trigrams_joined(contents)
    ends = cuts.tolist()
    return [kept[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def trigrams_joined(contents: Sequence[bytes | memoryview]) -> tuple[U32, I64]:
    """Return the same one after the other, and where those of each content end."""
    if not contents:
        return np.empty(0, np.uint32), np.empty(0, np.int64)
    raw = np.frombuffer(_BETWEEN.join([*contents, b"\n"]), np.uint8)
    pairs = raw[:-1].astype(np.uint16)
    pairs <<= 8
    pairs |= raw[1:]
    keys = pairs[:-1].astype(np.uint32)
    keys <<= 8
    keys |= raw[2:]
    np.putmask(keys, _ends_longer_line(raw), _NO_KEY)
    ends = np.cumsum(np.fromiter(map(len, contents), np.int64, len(contents)) + len(_BETWEEN))
    ends[-1] = len(keys)
    begin = 0
    for end in ends.tolist():
        keys[begin:end].sort()
        begin = end
    first = np.empty(len(keys), np.bool_)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    first[ends[:-1]] = True
    at = np.flatnonzero(first)  # an eighth of all: positions are cheaper than the mask
    distinct = keys[at]
    within_line = (distinct >> 8 & 0xFF != NEWLINE) & (distinct >> 16 != NEWLINE)
    return distinct[within_line], np.searchsorted(at[within_line], ends)


def _ends_longer_line(raw: U8) -> Bool:
    """Return which windows end with a newline, except where they are a line of two bytes."""
    newline: Bool = raw == NEWLINE
    ends: Bool = newline[2:].copy()
    ends[0] = False  # the first line begins there
    ends[1:] &= ~newline[:-3]
    return ends


def pack(three: bytes) -> int:
    """Return the key of exactly three bytes."""
    return int.from_bytes(three, "big")


def unpack(key: int) -> bytes:
    """Return the three bytes of a key."""
    return key.to_bytes(3, "big")
