"""Sorted lists of page numbers <-> bytes, many lists at a time. Pure.

A list holds distinct numbers below `domain`, at most 65,536, in ascending order. Each list is stored in the
shortest of three forms; at equal length the earlier one in this table wins:

    BITMAP  one bit for each number of the domain, lowest bit first: ceil(domain / 8) bytes
    RAW     each number by itself: 2 bytes
    GAP8    each number as the distance g from the one before (the first from 0): floor(g / 255) bytes of 255,
            then one byte g % 255

Example: 3, 4, 600 as GAP8 is 3, 1, 255, 255, 86. Decoding is a running sum in which the 255s are steps and no
results: two NumPy calls, 2-3 ns a number. A variable-length integer code would be as short and takes three
times as long without compiled code; so would a loop over the lists, of which a segment has hundreds of
thousands.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from indexer.records import I64, U8, U16, U32, Bool

BITMAP, RAW, GAP8 = range(3)
DOMAIN_MAX = 1 << 16

Buffer = memoryview | U8

_BLOCK_CELLS = 1 << 24  # flags of one block of bitmaps, 16 MiB


def bitmap_bytes(domain: int) -> int:
    """Return the bytes of a BITMAP list."""
    return (domain + 7) // 8


def narrow_codec(count: npt.ArrayLike, length: npt.ArrayLike, domain: int) -> U8:
    """Return the codec of lists: the lengths tell it, so it is not stored."""
    count, length = np.asarray(count, np.int64), np.asarray(length, np.int64)
    codec = np.where(length == 2 * count, RAW, GAP8)
    codec[length == bitmap_bytes(domain)] = BITMAP
    return codec.astype(np.uint8)


def codec_of(count: int, length: int, domain: int) -> int:
    """Return the codec of one list."""
    if length == bitmap_bytes(domain):
        return BITMAP
    return RAW if length == 2 * count else GAP8


def encode(values: U32, counts: I64, domain: int) -> tuple[U8, I64]:
    """Encode lists that stand one after the other in `values`, the i-th having counts[i] >= 1 numbers.

    Returns the lists one after the other, and the bytes of each.
    """
    assert domain <= DOMAIN_MAX, domain
    if not len(counts):
        return np.empty(0, np.uint8), np.empty(0, np.int64)
    starts = np.cumsum(counts) - counts
    narrow: U16 = values.astype(np.uint16)  # half the bytes to move
    gaps = np.empty_like(narrow)
    gaps[0] = narrow[0]
    np.subtract(narrow[1:], narrow[:-1], out=gaps[1:])
    gaps[starts] = narrow[starts]
    stream, in_stream = _as_gaps(gaps, starts, counts)
    length, codec = _choose(in_stream, counts, domain)
    lists = codec == GAP8
    if lists.all():
        return stream, length
    offset = np.cumsum(length) - length
    out = np.empty(int(length.sum()), np.uint8)
    out[np.repeat(lists, length)] = stream[np.repeat(lists, in_stream)]
    for form, put in ((BITMAP, partial(put_bitmaps, domain=domain)), (RAW, _put_raw)):
        lists = codec == form
        if lists.any():
            put(out, offset[lists], narrow[np.repeat(lists, counts)], counts[lists])
    return out, length


def decode(data: Buffer, count: int, codec: int, domain: int) -> U32:
    """Decode one list."""
    raw = np.frombuffer(data, np.uint8)
    if codec == BITMAP:
        bits = np.unpackbits(raw, count=domain, bitorder="little").view(np.bool_)
        return np.flatnonzero(bits).astype(np.uint32)
    if codec == RAW:
        return raw.view(np.dtype("<u2")).astype(np.uint32)
    sums = np.cumsum(raw, dtype=np.uint32)
    if len(sums) == count:
        return sums
    values: U32 = sums[raw != 255]
    return values


def flags(data: Buffer, count: int, domain: int) -> Bool:
    """Return for every number below `domain` whether one list has it; a bitmap says so as it is."""
    codec = codec_of(count, len(data), domain)
    if codec == BITMAP:
        raw = np.frombuffer(data, np.uint8)
        return np.unpackbits(raw, count=domain, bitorder="little").view(np.bool_)
    out: Bool = np.zeros(domain, np.bool_)
    out[decode(data, count, codec, domain)] = True
    return out


def decode_many(data: U8, length: I64, counts: I64, codec: U8, domain: int) -> U32:
    """Decode consecutive lists; the numbers come back one list after the other."""
    forms = np.unique(codec).tolist()
    out = np.empty(int(counts.sum()), np.uint32)
    for form in forms:
        lists = codec == form
        part = data if len(forms) == 1 else data[np.repeat(lists, length)]
        if form == BITMAP:
            values = get_bitmaps(part, domain)
        elif form == RAW:
            values = np.ascontiguousarray(part).view(np.dtype("<u2")).astype(np.uint32)
        else:
            values = _get_gaps(part, length[lists], counts[lists])
        if len(forms) == 1:
            return values
        out[np.repeat(lists, counts)] = values
    return out


def spans(starts: I64, counts: I64) -> I64:
    """Return start, start+1, ... start+count-1 of every span, one span after the other."""
    total = int(counts.sum())
    ends = np.cumsum(counts)
    steps = np.arange(total, dtype=np.int64)
    steps += np.repeat(starts - (ends - counts), counts)
    return steps


def _as_gaps(gaps: U16, starts: I64, counts: I64) -> tuple[U8, I64]:
    """Return all lists as GAP8, one after the other, and the bytes of each."""
    base = np.uint16(255)
    steps = gaps // base
    ends = np.cumsum(steps, dtype=np.int64)  # of the bytes of each gap
    ends += np.arange(len(gaps))
    stream = np.full(int(ends[-1]) + 1, 255, np.uint8)
    steps *= base
    stream[ends] = gaps - steps
    last = ends[starts + counts - 1] + 1
    return stream, np.diff(last, prepend=0)


def _choose(as_gaps: I64, counts: I64, domain: int) -> tuple[I64, U8]:
    """Return length and codec of every list; as_gaps: the bytes of each as GAP8."""
    forms = [(BITMAP, np.full(len(counts), bitmap_bytes(domain), np.int64))]
    forms.append((RAW, 2 * counts))
    forms.append((GAP8, as_gaps))
    length, codec = forms[0][1].copy(), np.full(len(counts), BITMAP, np.uint8)
    for form, cost in forms[1:]:
        better = cost < length
        length[better] = cost[better]
        codec[better] = form
    return length, codec


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


def _put_raw(out: U8, where: I64, values: U16, counts: I64) -> None:
    positions = np.repeat(where - 2 * (np.cumsum(counts) - counts), counts)
    positions += 2 * np.arange(len(values), dtype=np.int64)
    out[positions] = values & np.uint16(255)
    out[positions + 1] = values >> np.uint16(8)


def get_bitmaps(data: U8, domain: int) -> U32:
    width = bitmap_bytes(domain)
    rows = data.reshape(-1, width)
    step = max(1, _BLOCK_CELLS // (8 * width))
    parts = []
    for first in range(0, len(rows), step):
        flags: Bool = np.unpackbits(rows[first : first + step], axis=1, bitorder="little").view(np.bool_)
        parts.append((np.flatnonzero(flags) % (8 * width)).astype(np.uint32))
    return np.concatenate(parts)


def _get_gaps(data: U8, length: I64, counts: I64) -> U32:
    sums = np.cumsum(data, dtype=np.int64)
    ends = np.cumsum(length)
    before = np.concatenate((np.zeros(1, np.int64), sums[ends[:-1] - 1]))
    values = sums[data != 255]
    values -= np.repeat(before, counts)
    result: U32 = values.astype(np.uint32)
    return result
