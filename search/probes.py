"""Windows of bytes, looked for by the compiled scan. Pure.

One to three places of a window that are rare in source code are compared everywhere; what is left, a
thousandth, is compared at all other places. That costs 0.05-0.1 ns a byte, however common the text is
(`bytes.split`: 0.3 to 0.9; RE2: 0.1 where it knows rare bytes to begin with, else 1.5, and 1 us for each
match).

A window of one set many times over, `[0-9a-f]{40}`, is sampled: every run of 40 covers two neighbouring
multiples of 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from math import prod

import numpy as np

from indexer.native.scan import PROBES_MAX, Left, Right, Row, Run
from indexer.records import I64
from search.folding import BEYOND_ASCII
from search.windows import ByteSet, Window

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

# Costs, ns: one place compared in every byte; one place that is left, compared at the rest of the window.
PASS_NS = 0.03
LEFT_NS = 3.0
BEYOND_NS = 0.1  # to make sure that a text holds no letters of BEYOND_ASCII
SAMPLED_MIN = 8  # a shorter run of one set is not sampled


class Finder:
    """Looks for one window."""

    def __init__(self, window: Window, left: Left = "", right: Right = "", *, apart: bool = False) -> None:
        """Choose what is compared first.

        left, right  what must stand there
        apart        leave out what overlaps the place before it
        """
        self.window = window
        shares = [float(_FREQUENCY[list(each)].sum()) for each in window.sets]
        order = sorted(range(len(shares)), key=shares.__getitem__)
        n_probes, probed = _probes([shares[i] for i in order])
        run = _longest_run(window.sets)
        sampled = float("inf")
        if run is not None and shares[run.at] < 1:
            sampled = (1 + LEFT_NS / max(1e-3, 1 - shares[run.at])) / run.stride
        self.samples = sampled < probed
        self.scan_ns = min(probed, sampled) + BEYOND_NS * window.beyond  # a byte
        self.share = prod(shares)  # of all bytes at which the window is expected
        self._row = Row(
            window.sets,
            order,
            n_probes,
            left=left,
            right=right,
            apart=apart,
            starts_line=window.starts_line,
            run=run if self.samples else None,
        )

    def places(self, content: bytes) -> I64:
        """Return where the window stands, ascending: the place of its first byte.

        Of a window that is sampled, one place in each sequence of its bytes is returned, where that begins.
        A window that starts with the line end before the match is also found at the very start (-1), where
        there is none.
        """
        return self._row.places(content)

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


def _probes(shares: Sequence[float]) -> tuple[int, float]:
    """Return how many places, the rarest first, are compared everywhere, and what a byte costs then."""
    costs = [
        (PASS_NS * n + LEFT_NS * prod(shares[:n]), n) for n in range(1, min(len(shares), PROBES_MAX) + 1)
    ]
    cost, n = min(costs)
    return n, cost


def _longest_run(sets: Sequence[ByteSet]) -> Run | None:
    """Return the longest run of one set, None if none is worth sampling."""
    at, best = 0, (0, 0)
    for _, group in groupby(sets):
        length = len(list(group))
        best = max(best, (length, at))
        at += length
    length, at = best
    return Run(at, length, length // 2) if length >= SAMPLED_MIN else None
