"""Sorted lists of page numbers <-> bytes, many lists at a time. Pure.

A list holds distinct numbers below `domain`, at most 262,144, in ascending order, in one of two forms:

    BITMAP  one bit for each number of the domain, lowest bit first: ceil(domain / 8) bytes
    CODES   how many numbers d are left out before each number, as an exponential Golomb code of order k
            (Teuhola 1978): d + 2^k has b binary digits behind its first one; the code is b - k zeros, a one,
            and these b digits. Codes follow each other, bits of bytes and digits of numbers the lowest first;
            the last byte is filled up with zeros. k = max(0, floor(5 / 8 * floor(log2(domain / count))) - 1).

It is a BITMAP where that takes at most 5/4 of the bytes, for it is read faster; so the length of a list tells
its form. Example: 3, 4, 600 with a domain of 1,000 (k = 4) leave out 3, 0 and 595; 19 = 10011, 16 = 10000 and
611 = 1001100011 give the codes 1 1100, 1 0000 and 00000 1 110001100, as bytes 27 80 63 00.

Numbers of pages come in runs, those of one document or directory. Of Linux 6.1 (137,000 pages) these lists
take 9.4 % of the source. Lists of 8-bit distances and of 16-bit numbers took 14.5 %, the best order of every
single list would give 9.1 %. A code is read in 2 to 3 ns.
"""

from __future__ import annotations

import numpy as np

from indexer.native import postings as native
from indexer.records import I64, U8, U16, U32, Bool

DOMAIN_MAX = 1 << 18

_BLOCK_CELLS = 1 << 24  # flags of one block of bitmaps, 16 MiB


def bitmap_bytes(domain: int) -> int:
    """Return the bytes of a BITMAP list."""
    return (domain + 7) // 8


def encode(values: U32, counts: I64, domain: int) -> tuple[U8, I64]:
    """Encode lists that stand one after the other in `values`, the i-th having counts[i] >= 1 numbers.

    Returns the lists one after the other, and the bytes of each.
    """
    assert domain <= DOMAIN_MAX, domain
    return native.pack_lists(values, counts, domain)


def decode(data: U8, count: int, domain: int) -> U32:
    """Decode one list. Raises StoreCorrupt if it is damaged, as all that read do."""
    return decode_many(data, np.array([len(data)]), np.array([count]), domain)


def decode_many(data: U8, length: I64, counts: I64, domain: int) -> U32:
    """Decode consecutive lists; the numbers come back one list after the other."""
    return native.unpack_lists(data, length, counts, domain)


def keep(data: U8, count: int, domain: int, found: I64) -> I64:
    """Return those of `found` (ascending, below the domain) that one list has."""
    return native.keep_listed(data, count, domain, found)


def mark(data: U8, count: int, domain: int, flags: Bool) -> None:
    """Set the flag of every number of one list."""
    native.mark_list(data, count, domain, flags)


def spans(starts: I64, counts: I64) -> I64:
    """Return start, start+1, ... start+count-1 of every span, one span after the other."""
    total = int(counts.sum())
    ends = np.cumsum(counts)
    steps = np.arange(total, dtype=np.int64)
    steps += np.repeat(starts - (ends - counts), counts)
    return steps


def put_bitmaps(out: U8, where: I64, values: U16 | U32, counts: I64, domain: int) -> None:
    width = bitmap_bytes(domain)
    ends = np.cumsum(counts)
    step = max(1, _BLOCK_CELLS // max(domain, 1))
    for first in range(0, len(where), step):
        last = min(first + step, len(where))
        begin = int(ends[first] - counts[first])
        flags = np.zeros((last - first, domain), np.bool_)
        rows = np.repeat(np.arange(last - first), counts[first:last])
        flags[rows, values[begin : int(ends[last - 1])]] = True
        target = where[first:last, None] + np.arange(width)
        out[target] = np.packbits(flags, axis=1, bitorder="little")


def get_bitmaps(data: U8, domain: int) -> U32:
    width = bitmap_bytes(domain)
    rows = data.reshape(-1, width)
    step = max(1, _BLOCK_CELLS // (8 * width))
    parts = []
    for first in range(0, len(rows), step):
        flags: Bool = np.unpackbits(rows[first : first + step], axis=1, bitorder="little").view(np.bool_)
        parts.append((np.flatnonzero(flags) % (8 * width)).astype(np.uint32))
    return np.concatenate(parts)
