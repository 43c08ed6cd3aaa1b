"""Bytes -> trigrams. Pure.

A trigram is three consecutive bytes, unfolded, packed into 24 bits: first byte highest, so that keys sort as
the bytes do. A window that contains a newline is left out: almost every question stays within a line, and
these windows would add a tenth to the posting lists. A pattern that crosses a line must therefore ask for the
trigrams of each line by itself. The one exception is a line of exactly two bytes, which has no other window:
with its newline it makes one. So any two bytes of a line can be asked for, as the first or last two of a
trigram.

A bit for each possible trigram tells which ones a text has had; those it has are sorted at the end: 2.6 ns a
byte, compiled (indexer/native/extract.c). What was tried with NumPy before (2.4, EPYC 9004 without AVX-512,
files of 2, 17 and 500 KB):

    all of many files made at once, sorted by file     6 in all
    one call a file, sorted                           15.1  8.4  5.6 ns a byte
    a table of 2^24 last positions, never cleared     18.0  9.9  7.3
    a table of 2^16 of them before the sort           20.1  9.5 16.3
    1 MB of files in one sort of 24 + 8 bits          9 in all, 5.5 to 6.7 in the sort
"""

from __future__ import annotations

from collections.abc import Sequence

from indexer.native.extract import distinct_trigrams
from indexer.records import U32

KEY_BITS = 24


def trigrams(content: bytes | memoryview) -> U32:
    """Return the distinct trigrams of the content, sorted."""
    return trigrams_of([content])[0]


def trigrams_of(contents: Sequence[bytes | memoryview]) -> list[U32]:
    """Return the distinct trigrams of each of several contents, sorted; views of one array."""
    kept, cuts = distinct_trigrams(contents)
    ends = cuts.tolist()
    return [kept[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def pack(three: bytes) -> int:
    """Return the key of exactly three bytes."""
    return int.from_bytes(three, "big")


def unpack(key: int) -> bytes:
    """Return the three bytes of a key."""
    return key.to_bytes(3, "big")
