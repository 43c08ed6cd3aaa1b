"""What a fuzzy term can earn at most in each of many paths, for a fraction of the cost of finding out.

Most paths that match a short term have no chance to be among the best. A bound that no alignment exceeds
tells which: it follows the scoring (search/alignment.py), but takes every step at the best place that the
path has for it anywhere. What it needs of a path is kept for the next query, since the next key adds one
character:

    run      of two or three characters: the best bonus of the first where they stand side by side
    nearest  of two characters: the least gap between them

so a bound is arithmetic over small numbers of all paths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.records import I64
from search.alignment import BONUS, CONSECUTIVE, FIRST_COUNTS, GAP_MORE, GAP_START, MATCH
from search.fuzzy import Coded, run_places
from search.nametable import Columns, NameTable, places_of

I8 = npt.NDArray[np.int8]
I16 = npt.NDArray[np.int16]
NEVER = -10_000
GAP_MAX = 250  # a larger one is taken for this


def at_most(term: Coded, table: NameTable, rows: I64) -> I16:
    """Return for each row a score that no alignment of the term there exceeds; every row must match."""
    m = len(term.folded)
    ends = [
        np.full(len(rows), NEVER, np.int16) for _ in range(m)
    ]  # best with a character as the last of a run
    for i in range(m):
        times = FIRST_COUNTS if i == 0 else 1
        near = far = np.zeros(len(rows), np.int16)
        if i:
            gaps = nearest(table, term.folded[i - 1], term.folded[i])
            near, far = (
                np.maximum(ends[i - 1] - GAP_START - GAP_MORE * gap[rows].astype(np.int16), 0) for gap in gaps
            )
        # A run begins where there is no bonus, as near as such a place may be, or where there is one.
        own = _run(table, term.folded[i : i + 1])[0][rows]
        np.maximum(ends[i], near + MATCH, out=ends[i])
        np.maximum(ends[i], far + (MATCH + times * own.astype(np.int16)), out=ends[i])
        for length in (2, 3):
            if i + length <= m:
                run, inner = _run(table, term.folded[i : i + length])
                _run_on(term, table, rows, ends, i, length, (near, far), run[rows], inner)
    return ends[-1]


def _run_on(
    term: Coded,
    table: NameTable,
    rows: I64,
    ends: list[I16],
    start: int,
    length: int,
    before: tuple[I16, I16],
    run: I8,
    inner: int,
) -> None:
    """Raise `ends` by the runs that begin at a character: of two, or of three and more."""
    there = np.flatnonzero(run >= 0)
    if not len(there):
        return
    times = FIRST_COUNTS if start == 0 else 1
    bonus = run[there].astype(np.int16)
    near = before[0][there] + np.int16(MATCH + (length - 1) * (MATCH + max(CONSECUTIVE, inner)))
    more = np.maximum(bonus, max(CONSECUTIVE, inner))
    far = before[1][there] + (MATCH + times * bonus) + (length - 1) * (MATCH + more)
    at = start + length - 1
    while True:
        ends[at][there] = np.maximum(ends[at][there], np.maximum(near, far))
        at += 1
        if length == 2 or at == len(ends):
            return
        goes_on, inner = _run(table, term.folded[at - 2 : at + 1])
        kept = np.flatnonzero(goes_on[rows[there]] >= 0)
        if not len(kept):
            return
        there, more = there[kept], np.maximum(more[kept], inner)
        near = near[kept] + np.int16(MATCH + max(CONSECUTIVE, inner))
        far = far[kept] + (MATCH + more)


def _run(table: NameTable, characters: tuple[int, ...]) -> tuple[I8, int]:
    """Return (bonus, inner) of characters that stand side by side.

    bonus  of each path the best of the first character, -1 where they nowhere do
    inner  the best of the others, of all paths
    """
    known: tuple[I8, int] | None = table.kept.get(characters)
    if known is None:
        index, column = run_places(Coded(characters, None), table, np.arange(table.n))
        position = table.starts[index] + column
        best = np.full(table.n, -1, np.int8)
        bonus = table.bonus[position]
        for value in sorted({one for line in BONUS for one in line}):
            best[index[bonus == value]] = value
        inner = max(
            (int(table.bonus[position + i].max(initial=0)) for i in range(1, len(characters))), default=0
        )
        known = table.keep(characters, (best, inner))
    return known


def nearest(table: NameTable, one: int, other: int) -> tuple[Columns, Columns]:
    """Return of each path by how many characters the gap between two exceeds one, at least: (any, bonus).

    bonus  only places of the second that have one are looked at
    Where a path has one of them too often to know, 0. Two that stand side by side are looked over.
    """
    key = ("nearest", one, other)
    known: tuple[Columns, Columns] | None = table.kept.get(key)
    if known is None:
        known = table.keep(key, tuple(_nearest(table, one, other, only) for only in (False, True)))
    return known


def _nearest(table: NameTable, one: int, other: int, with_bonus: bool) -> Columns:
    first = table.places(one, None)
    second = _with_bonus(table, other) if with_bonus else table.places(other, None)
    none = np.array(table.none, table.column_type)
    missing = np.where(first.dense == none, none, np.array(0, none.dtype))
    least = np.full(table.n, none)
    for late in second.dense:
        for early, absent in zip(first.dense, missing, strict=True):
            # What stands the other way round wraps to a large distance.
            np.minimum(least, (late - early - np.array(2, none.dtype)) | absent, out=least)
    least[first.row] = 0
    least[second.row] = 0
    found: Columns = np.minimum(least, GAP_MAX)
    return found


def _with_bonus(table: NameTable, character: int) -> Any:
    key = ("bonus", character)
    known = table.kept.get(key)
    if known is None:
        zero = np.zeros(table.n, table.column_type)
        row, column = table.places(character, None).within(zero, zero + np.array(table.none - 1, zero.dtype))
        keep = np.flatnonzero(table.bonus[table.starts[row] + column] > 0)
        order = keep[np.lexsort((column[keep], row[keep]))]
        known = table.keep(key, places_of(row[order], column[order], table.n, table.none))
    return known
