"""Windows of bytes, looked for with array operations. Pure.

One or two places of a window that are rare in source code are compared everywhere; what is left, a
thousandth, is compared at all other places. That costs 0.2-0.3 ns a byte, however common the text is
(`bytes.split`: 0.3 to 0.9; RE2: 0.1 where it knows rare bytes to begin with, else 1.5, and 1 us for each
match).

A window of one set many times over, `[0-9a-f]{40}`, is sampled: every run of 40 covers two neighbouring
multiples of 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from math import prod

import numpy as np

from indexer.records import I64, U8, Bool
from search.folding import BEYOND_ASCII
from search.windows import CASE_BIT, ByteSet, Window

# How often bytes stand in source code, per 100,000: C of Linux 6.1 and Python's standard library, 3 to 2.
_OTHER = 3  # bytes that are not listed
_SPACES = {9: 1638, 10: 2761}
# fmt: off
_PRINTABLE = (  # from the space on
    22160, 35, 577, 372, 6, 44, 98, 440, 1033, 1033, 572, 89, 1236, 560, 723, 296, 1596, 634, 478, 297,
    239, 190, 188, 145, 201, 127, 460, 468, 66, 674, 316, 10, 26, 998, 283, 934, 721, 1108, 529, 374,
    260, 818, 12, 184, 690, 610, 681, 565, 674, 68, 914, 1085, 1022, 327, 215, 163, 196, 138, 50, 166,
    113, 165, 6, 4381, 72, 2725, 657, 1791, 1910, 5187, 1516, 741, 823, 2929, 54, 362, 1765, 1146, 2735,
    2282, 1356, 141, 2964, 2923, 3671, 1304, 536, 354, 767, 478, 86, 161, 50, 161, 10,
)
# fmt: on
_FREQUENCY = np.full(256, _OTHER / 100_000)
_FREQUENCY[32 : 32 + len(_PRINTABLE)] = np.array(_PRINTABLE) / 100_000
_FREQUENCY[list(_SPACES)] = np.array(list(_SPACES.values())) / 100_000

# Costs, ns: one operation on every byte; one place that is left, at one more set of the window.
PASS_NS = 0.055
LEFT_NS = 8.0
BEYOND_NS = 0.25  # to make sure that a text holds no letters of BEYOND_ASCII
PROBES_MAX = 3
RANGES_MAX = 3  # of a set that is compared everywhere
SAMPLED_MIN = 8  # a shorter run of one set is not sampled

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Test:
    """Whether bytes are in a set, by a few operations on all of them."""

    ranges: tuple[Range, ...]
    folded: bool  # compared with bit 5 set: one letter in both cases

    @property
    def passes(self) -> int:
        """Operations on every byte."""
        return sum(1 if low == high else 2 for low, high in self.ranges) + len(self.ranges) - 1 + self.folded

    def holds(self, content: U8) -> Bool:
        """Return which bytes are in the set."""
        if self.folded:
            content = content | np.uint8(CASE_BIT)
        found: Bool | None = None
        for low, high in self.ranges:
            if low == high:
                here: Bool = content == low
            else:
                here = (content - np.uint8(low)) <= high - low
            found = here if found is None else np.logical_or(found, here, out=found)
        assert found is not None
        return found


class Finder:
    """Looks for one window."""

    def __init__(self, window: Window) -> None:
        """Choose what is compared first."""
        self.window = window
        self._length = len(window.sets)
        self._shares = [float(_FREQUENCY[list(each)].sum()) for each in window.sets]
        self._tables = [_table(each) for each in window.sets]
        self._run = _longest_run(window.sets)
        self._tests = _tests(window.sets, self._shares)
        probed = PASS_NS * _passes(self._tests) + LEFT_NS * prod(self._shares[i] for i in self._tests)
        stride, sampled = self._run.stride, float("inf")
        if stride:
            share = self._shares[self._run.at]
            sampled = (1 + LEFT_NS / max(1e-3, 1 - share)) / stride if share < 1 else sampled
        self.samples = sampled < probed
        self.scan_ns = min(probed, sampled) + BEYOND_NS * window.beyond  # a byte
        self.share = prod(self._shares)  # of all bytes at which the window is expected

    def places(self, content: bytes) -> I64:
        """Return where the window stands, ascending: the place of its first byte.

        Of a window that is sampled, one place or more of each run are returned, not all. A window that starts
        with the line end before the match is also found at the very start, where there is none.
        """
        array = np.frombuffer(content, np.uint8)
        if self.samples:
            return self._sample(array)
        found = self._probe(array)
        if self.window.starts_line and self._holds_at_start(array):
            found = np.concatenate((np.array([-1]), found))
        return found

    def _probe(self, array: U8) -> I64:
        n = len(array) - self._length + 1
        if n <= 0:
            return np.empty(0, np.int64)
        mask: Bool | None = None
        for offset, test in self._tests.items():
            here = test.holds(array[offset : offset + n])
            mask = here if mask is None else np.logical_and(mask, here, out=mask)
        found = np.arange(n) if mask is None else np.flatnonzero(mask)
        return self._confirmed(array, found, [i for i in range(self._length) if i not in self._tests])

    def _confirmed(self, array: U8, found: I64, offsets: Sequence[int]) -> I64:
        """Keep those that hold at some more offsets, the rarest first."""
        for offset in sorted(offsets, key=self._shares.__getitem__):
            if not len(found):
                break
            found = found[self._tables[offset][array[found + offset]]]
        return found

    def _holds_at_start(self, array: U8) -> bool:
        rest = self._tables[1:]
        return len(array) >= len(rest) and all(
            table[byte] for table, byte in zip(rest, array[: len(rest)].tolist(), strict=True)
        )

    def _sample(self, array: U8) -> I64:
        stride = self._run.stride
        table = self._tables[self._run.at]
        found = np.flatnonzero(table[array[::stride]]) * stride
        for offset in range(1, stride):
            if not len(found):
                break
            found = found[found + offset < len(array)]
            found = found[table[array[found + offset]]]
        return found

    def tells_all(self, content: bytes) -> bool:
        """Whether the window tells all that there is in this text: no letter of BEYOND_ASCII is in it."""
        if not self.window.beyond or content.isascii():
            return True
        return not any(len(finder.places(content)) for finder in _beyond())


@cache
def _beyond() -> list[Finder]:
    """Return what finds the letters that folding brings in."""
    letters = [chr(code).encode() for code in BEYOND_ASCII]
    return [Finder(Window(tuple(frozenset({byte}) for byte in each), False, False)) for each in letters]


@dataclass(frozen=True, slots=True)
class _Run:
    """The longest run of one set in a window; stride 0: none is worth sampling."""

    at: int
    stride: int


def _longest_run(sets: Sequence[ByteSet]) -> _Run:
    at, best = 0, (0, 0)
    for _, group in groupby(sets):
        length = len(list(group))
        best = max(best, (length, at))
        at += length
    length, at = best
    return _Run(at, length // 2 if length >= SAMPLED_MIN else 0)


def _tests(sets: Sequence[ByteSet], shares: Sequence[float]) -> dict[int, _Test]:
    """Return the places of a window that are compared everywhere: each one more is worth its cost."""
    possible = {i: test for i, each in enumerate(sets) if (test := _test(each)) is not None}
    chosen: dict[int, _Test] = {}
    cost = LEFT_NS
    while len(chosen) < PROBES_MAX:
        share = prod(shares[i] for i in chosen)
        more = [
            (PASS_NS * (_passes(chosen) + test.passes + bool(chosen)) + LEFT_NS * share * shares[i], i)
            for i, test in possible.items()
            if i not in chosen
        ]
        if not more or min(more)[0] >= cost:
            break
        cost, best = min(more)
        chosen[best] = possible[best]
    return chosen


def _passes(tests: dict[int, _Test]) -> int:
    return sum(test.passes for test in tests.values()) + max(0, len(tests) - 1)


def _test(members: ByteSet) -> _Test | None:
    """Return how a set is compared everywhere, None if that costs too much."""
    if len(members) == 2 and max(members) - min(members) == CASE_BIT and chr(max(members)).islower():
        low = max(members)
        return _Test(((low, low),), low < 128) if low < 128 else None
    ranges: list[Range] = []
    for byte in sorted(members):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1] = ranges[-1][0], byte
        else:
            ranges.append((byte, byte))
    return _Test(tuple(ranges), False) if ranges and len(ranges) <= RANGES_MAX else None


def _table(members: ByteSet) -> Bool:
    table: Bool = np.zeros(256, np.bool_)
    table[list(members)] = True
    return table
