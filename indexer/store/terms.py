"""The table of words of a segment: many short lists, so what says where each of them is must be short too.

A term is known by its *key*, the highest 40 bits of its hash. Of the 600,000 terms of 120 MB of Linux 6.1 two
have the same key in one of five such segments: they share a list, in which a chunk stands once. A query for a
term that is not there finds something once in two million times. The keys ascend, so their highest bytes need
not be stored with each: a directory says how many terms stand before each value of them.

Lists have few different heads (postings, bytes): the 255 commonest are 99 % of all. A term keeps the
number of its head in a byte, and where its list begins is the sum of the heads before it, from every 64th
term on. Of the counts of a posting 15 are 94 % of all: they take half a byte, the others one more byte, which
is found by counting them from every 512th posting on.

format.py has the layout; here it is read and made. Making a part looks at nothing but what it holds, so a
merge and a fresh write come out the same. Pure, but for the arrays that lie in a mapping.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from indexer.records import I64, U8, U32, U64, Bool

KEY_BYTES = 5
KEY_SHIFT = 64 - 8 * KEY_BYTES  # of a term's hash
DIRECTORY_BYTES = (0, 1, 2)  # of the key, that a directory may hold
HEADS_STEP = 64  # terms between two absolute places
RARE = 255  # head of a list that has an entry of its own
COUNTS_STEP = 512  # postings between two places in the rare counts
RARE_COUNT = 15  # code of counts that have a byte of their own

# What codes 0 to 14 stand for: body count | name count << 4. The commonest of Linux 6.1; part of the format.
COMMON_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 0x11, 0x12, 0x13, 0x22)

_CODE = np.full(256, RARE_COUNT, np.uint8)
_CODE[list(COMMON_COUNTS)] = np.arange(RARE_COUNT)
_COUNT = np.array([*COMMON_COUNTS, 0], np.uint8)
_BYTES = np.arange(256)
_PAIRS: U8 = np.stack((_COUNT[_BYTES & 15], _COUNT[_BYTES >> 4]), axis=1).reshape(-1)
_PAIR = _PAIRS.view(np.uint16)  # byte of two codes -> two counts, 0 for a rare one


@dataclass(frozen=True, slots=True)
class Heads:
    """What is known of some lists without reading them."""

    counts: I64
    length: I64  # bytes


class Terms:
    """Reads the table of one segment."""

    def __init__(
        self,
        first: U32,
        low: U8,
        head: U8,
        kind: U8,
        rare: U32,
        step: U32,
        tf: U8,
        tf_rare: U8,
        tf_step: U32,
    ) -> None:
        """Take the sections of the same names."""
        self.n = len(head)
        self._first = first
        self.low_bytes = low_bytes(first)
        self._low, self._low_view = low, low.data
        self._head, self._head_view = head, head.data
        self._kind, self._rare, self._step = kind.reshape(-1, 2), rare.reshape(-1, 2), step.reshape(-1, 3)
        # One number for both sums: postings in the high, bytes in the low 32 bits.
        self._kinds: list[list[int]] = self._kind.tolist()
        self._sizes = [count << 32 | nbytes for count, nbytes in self._kinds]
        self._sizes += [0] * (256 - len(self._sizes))
        self._tf, self._tf_rare, self._tf_step = tf, tf_rare, tf_step

    @property
    def n_postings(self) -> int:
        """All postings of all terms."""
        return int(self._step[-1, 1])

    def find(self, term_hash: int) -> int:
        """Return the number of a term, -1 if there is none."""
        width = self.low_bytes
        key = term_hash >> KEY_SHIFT
        bucket = key >> 8 * width
        first, last = int(self._first[bucket]), int(self._first[bucket + 1])
        wanted = (key & (1 << 8 * width) - 1).to_bytes(width, "big")
        low = bytes(self._low_view[first * width : last * width])
        at = low.find(wanted)
        while at >= 0 and at % width:
            at = low.find(wanted, at + 1)
        return first + at // width if at >= 0 else -1

    def head(self, at: int) -> tuple[int, int]:
        """Return postings and bytes of a term's list."""
        kind = self._head_view[at]
        count, nbytes = self._kinds[kind] if kind != RARE else self._own_head(at)
        return count, nbytes

    def place(self, at: int) -> tuple[int, int]:
        """Return where a term's list begins in `term_data`, and the number of its first posting."""
        start = at - at % HEADS_STEP
        data, posting, rare = self._step[start // HEADS_STEP].tolist()
        heads = bytes(self._head_view[start:at])
        size = sum(map(self._sizes.__getitem__, heads))
        data, posting = data + (size & 0xFFFFFFFF), posting + (size >> 32)
        if own := heads.count(RARE):
            for count, nbytes in self._rare[rare : rare + own].tolist():
                data, posting = data + nbytes, posting + count
        return data, posting

    def keys(self) -> U64:
        """Return all keys, ascending unless the table is damaged."""
        buckets = np.arange(len(self._first) - 1, dtype=np.uint64)
        keys: U64 = np.repeat(buckets, np.diff(self._first)) << np.uint64(8 * self.low_bytes)
        for i in range(self.low_bytes):
            shift = np.uint64(8 * (self.low_bytes - 1 - i))
            keys |= self._low[i :: self.low_bytes].astype(np.uint64) << shift
        return keys

    def heads(self, first: int, last: int) -> Heads:
        """Return the heads of the lists [first, last)."""
        kinds = self._head[first:last]
        table = np.zeros((2, 256), np.int64)
        table[:, : len(self._kind)] = self._kind.T
        counts, length = table[0, kinds], table[1, kinds]
        own = np.flatnonzero(kinds == RARE)
        if len(own):
            begin = self._rare_number(first)
            counts[own], length[own] = self._rare[begin : begin + len(own)].T
        return Heads(counts, length)

    def tf(self, first: int, last: int) -> U8:
        """Return the counts of the postings [first, last): body in the low, name in the high 4 bits."""
        block = first // COUNTS_STEP
        start = block * COUNTS_STEP
        counts = _PAIR.take(self._tf[start // 2 : (last + 1) // 2]).view(np.uint8)
        own = (counts == 0).nonzero()[0]
        if len(own):
            begin = int(self._tf_step[block])
            counts[own] = self._tf_rare[begin : begin + len(own)]
        return counts[first - start : last - start]

    def _own_head(self, at: int) -> list[int]:
        row: list[int] = self._rare[self._rare_number(at)].tolist()
        return row

    def _rare_number(self, at: int) -> int:
        """Return how many terms before this one have an entry of their own."""
        start = at - at % HEADS_STEP
        return int(self._step[start // HEADS_STEP, 2]) + bytes(self._head_view[start:at]).count(RARE)


def low_bytes(first: U32) -> int:
    """Return how many bytes of a key `term_low` holds beside this `term_first`."""
    return KEY_BYTES - (len(first) - 1).bit_length() // 8


def directory(keys: U64) -> tuple[I64, U8]:
    """Return `term_first` and `term_low` of ascending keys: the directory that makes both shortest."""
    n = len(keys)
    width = min(DIRECTORY_BYTES, key=lambda b: 4 * (1 << 8 * b) + (KEY_BYTES - b) * n)
    rest = KEY_BYTES - width
    edges = np.arange((1 << 8 * width) + 1, dtype=np.uint64) << np.uint64(8 * rest)
    low = np.ascontiguousarray(keys.astype(">u8")).view(np.uint8).reshape(n, 8)[:, 8 - rest :]
    return np.searchsorted(keys, edges), low.reshape(-1)


@dataclass(frozen=True, slots=True)
class HeadTable:
    """The sections that say how long each list is."""

    head: U8
    kind: U8  # [n, 2]
    rare: I64  # [n, 2]
    step: I64  # [n, 3]


def head_table(heads: Heads) -> HeadTable:
    """Return the sections of all lists of a segment."""
    small = (heads.counts < 256) & (heads.length < 256)
    codes = np.where(small, heads.counts | heads.length << 8, 0)  # no list has 0 postings
    times = np.bincount(codes, minlength=1)
    times[0] = 0
    found = np.flatnonzero(times)
    common = found[np.argsort(-times[found], kind="stable")][:RARE]
    kind_of = np.full(len(times), RARE, np.uint8)
    kind_of[common] = np.arange(len(common))
    head = kind_of[codes]
    own = head == RARE
    step = np.stack([_places(column) for column in (heads.length, heads.counts, own)], axis=1)
    assert step[-1].max() < 1 << 32, step[-1].tolist()
    kind = np.stack((common & 255, common >> 8), axis=1).astype(np.uint8)
    rare = np.stack((heads.counts[own], heads.length[own]), axis=1)
    return HeadTable(head, kind, rare, step)


def _places(sizes: I64 | Bool) -> I64:
    """Return the sum of the sizes before every HEADS_STEP-th, and of all."""
    n = len(sizes)
    sums = np.add.reduceat(sizes, np.arange(0, n, HEADS_STEP), dtype=np.int64) if n else sizes
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(sums, dtype=np.int64)))


class CountWriter:
    """Packs the counts of postings as they come."""

    def __init__(self, write: Callable[[U8], None]) -> None:
        """Hand the packed codes to `write`."""
        self._write = write
        self._waiting: U8 = np.empty(0, np.uint8)  # codes of less than a step
        self._rare: list[U8] = []
        self._steps: list[I64] = [np.zeros(1, np.int64)]

    def add(self, counts: U8) -> None:
        """Append the counts of the next postings; a posting counts something."""
        assert counts.all(), "a posting without an occurrence"
        codes = _CODE[counts]
        self._rare.append(counts[codes == RARE_COUNT])
        codes = np.concatenate((self._waiting, codes))
        whole = len(codes) - len(codes) % COUNTS_STEP
        if whole:
            self._write(_packed(codes[:whole]))
            self._steps.append((codes[:whole].reshape(-1, COUNTS_STEP) == RARE_COUNT).sum(1))
        self._waiting = codes[whole:]

    def finish(self) -> tuple[U8, I64]:
        """Write the rest; return `term_tf_rare` and `term_tf_step`."""
        self._write(_packed(self._waiting))
        rare = np.concatenate([np.empty(0, np.uint8), *self._rare])
        return rare, np.cumsum(np.concatenate(self._steps))


def _packed(codes: U8) -> U8:
    if len(codes) % 2:
        codes = np.append(codes, np.uint8(0))
    packed: U8 = codes[::2] | codes[1::2] << np.uint8(4)
    return packed
