"""A term of a file-name query against many paths at once: which rows match, with what score, and where.

A fuzzy term is looked for as fzf's FuzzyMatchV2 does it: a table with a row per typed character and a column
per character of the path, where a cell holds the best score of the characters so far when the last of them
is matched at or before this column. Only cells where the character stands are ever looked at here, those of
all paths together, sorted by path and column, as flat arrays: a row of the table costs some thirty operations
over them. In numbers, for a cell at column c whose nearest matched cell of the row above is at c0:

    score(c) = max(0, score(c0) - gap(c0, c)) + 16 + bonus

and, as in fzf, a cell that does worse than the nearest matched one before it in its own row, less the gap, is
passed over and leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.records import I64, Bool
from search.alignment import (
    BEHIND_SLASH,
    BOUNDARY,
    CONSECUTIVE,
    FIRST_COUNTS,
    GAP_MORE,
    GAP_START,
    MATCH,
    best_score,
)
from search.nametable import NameTable

I32 = npt.NDArray[np.int32]
WHOLE = 10  # times the rows that are left: to look at all paths costs no more than to gather from these
_BY_TEXT = 3  # a run is looked for in the whole text if one path in so many may have it
_BLOCKS = (2_048, 8_192)  # rows looked at first for the best there can be; then all


@dataclass(frozen=True, slots=True)
class Coded:
    """Typed characters as a table numbers them.

    folded   without their case
    exactly  each as it stands, if the case counts
    """

    folded: tuple[int, ...]
    exactly: tuple[int, ...] | None

    def case(self, i: int) -> int | None:
        """Return which very character must stand for the i-th, if the case counts."""
        return None if self.exactly is None else self.exactly[i]


def coded(text: str, cased: bool, table: NameTable) -> Coded | None:
    """Return the characters as the table numbers them; None if it lacks one, so that nothing can match."""
    folded = [table.folded.get(table.lower(char)) for char in text]
    exactly = [table.alphabet.get(char) for char in text]
    if None in folded or (cased and None in exactly):
        return None
    numbers = tuple(number for number in folded if number is not None)
    return Coded(numbers, tuple(n for n in exactly if n is not None) if cased else None)


def fuzzy_rows(term: Coded, table: NameTable, rows: I64) -> I64:
    """Return those of the rows that have all characters of the term in this order."""
    rows = rows[table.with_all(term.folded)[rows]]
    chosen = None if WHOLE * len(rows) > table.n else rows
    least = np.zeros(table.n if chosen is None else len(rows), table.column_type)
    lost = np.zeros(len(least), np.bool_)
    for i, character in enumerate(term.folded):
        found = table.places(character, chosen, term.case(i)).first(least)
        lost |= found == table.none
        least = found + 1
        n_left = len(least) - int(np.count_nonzero(lost))
        if n_left * (WHOLE if chosen is None else 1.5) < len(least):
            kept = rows if chosen is None else np.arange(len(rows))
            kept = kept[~lost[kept]]
            chosen = rows = kept if chosen is None else rows[kept]
            least, lost = least[kept], np.zeros(len(kept), np.bool_)
    return rows[~(lost[rows] if chosen is None else lost)]


def run_places(term: Coded, table: NameTable, rows: I64) -> tuple[I64, I64]:
    """Return (index into rows, column) of the places where the characters stand side by side, in no order."""
    m = len(term.folded)
    if m > 1 and _BY_TEXT * len(rows) > table.n:
        return _run_places_by_text(term, table, rows)
    by_count = sorted(range(m), key=lambda i: int(table.counts[term.folded[i]]))
    rarest = by_count[0]
    high = table.lengths[rows] - m + rarest
    at = np.flatnonzero(high >= rarest)
    if not len(at):
        return at, at
    chosen = rows[at]
    low = np.full(len(at), rarest, table.column_type)
    places = table.places(term.folded[rarest], chosen, term.case(rarest))
    index, column = places.within(low, high[at].astype(table.column_type))
    column = column.astype(np.int64) - rarest
    kept = _with_characters(term, table, table.starts[chosen][index] + column, by_count[1:])
    return at[index[kept]], column[kept]


def _run_places_by_text(term: Coded, table: NameTable, rows: I64) -> tuple[I64, I64]:
    """The same for most of the paths: two characters are compared with the whole text."""
    m = len(term.folded)
    counts = [int(table.counts[character]) for character in term.folded]
    i = min(range(m - 1), key=lambda i: counts[i] * counts[i + 1])
    two = table.letters[:-1] == term.folded[i]
    two &= table.letters[1:] == term.folded[i + 1]
    position = np.flatnonzero(two) - i
    row = np.searchsorted(table.starts, position, side="right") - 1
    column = position - table.starts[row]
    inside = np.flatnonzero((row >= 0) & (column >= 0) & (column + m <= table.lengths[row]))
    row, column, position = row[inside], column[inside], position[inside]
    others = [j for j in range(m) if term.exactly is not None or j not in (i, i + 1)]
    kept = _with_characters(term, table, position, others)
    row, column = row[kept], column[kept]
    if len(rows) == table.n:
        return row, column
    index = np.full(table.n, -1, np.int64)
    index[rows] = np.arange(len(rows))
    wanted = np.flatnonzero(index[row] >= 0)
    return index[row[wanted]], column[wanted]


def _with_characters(term: Coded, table: NameTable, position: I64, which: list[int]) -> I64:
    """Return the indexes of the positions from which on some of the term's characters are in place."""
    kept = np.arange(len(position))
    for i in which:
        at = position[kept] + i
        if term.exactly is not None:
            kept = kept[table.raw[at] == term.exactly[i]]
        else:
            kept = kept[table.letters[at] == term.folded[i]]
    return kept


def end_places(term: Coded, kind: str, table: NameTable, rows: I64) -> tuple[I64, I64]:
    """Return (rows, column) of those that begin (prefix), end (suffix) or do both (equal) with a term."""
    m = len(term.folded)
    lengths = table.lengths[rows]
    rows = rows[lengths == m if kind == "equal" else lengths >= m]
    column = np.zeros(len(rows), np.int64) if kind != "suffix" else table.lengths[rows] - m
    for i in range(m):
        raw = table.raw[table.starts[rows] + column + i]
        fits = raw == term.exactly[i] if term.exactly is not None else table.fold[raw] == term.folded[i]
        rows, column = rows[fits], column[fits]
    return rows, column


def run_scores(term: Coded, table: NameTable, rows: I64, column: I64) -> I32:
    """Return the score of characters that stand side by side in each row from a column on."""
    m = len(term.folded)
    position = table.starts[rows] + column
    first = table.bonus[position].astype(np.int32)
    score: I32 = MATCH + FIRST_COUNTS * first
    for i in range(1, m):
        here = table.bonus[position + i].astype(np.int32)
        first = np.where((here >= BOUNDARY) & (here > first), here, first)
        score += MATCH + np.maximum(np.maximum(here, first), CONSECUTIVE)
    return score


def best_runs(term: Coded, table: NameTable, rows: I64) -> tuple[I64, I32]:
    """Return (index into rows, score) of the rows that hold the characters side by side, at their best."""
    index, column = run_places(term, table, rows)
    score = run_scores(term, table, rows[index], column)
    best = np.zeros(len(rows), np.int32)
    for value in np.flatnonzero(np.bincount(score)).tolist() if len(score) else []:
        best[index[score == value]] = value
    kept = np.flatnonzero(best)
    return kept, best[kept]


def top_rows(terms: list[Coded], table: NameTable, rows: I64, limit: int) -> I64 | None:
    """Return the first `limit` rows in which every term earns the most there is; None if they are fewer.

    Only a run that starts behind a slash earns that. Rows are in order of length, so these are the answer.
    """
    found: list[I64] = []
    n, at = 0, 0
    for end in (*_BLOCKS, len(rows)):
        block = rows[at:end]
        for term in terms:
            index, column = run_places(term, table, block)
            high = table.bonus[table.starts[block[index]] + column] == BEHIND_SLASH
            mask = np.zeros(len(block), np.bool_)
            mask[index[high]] = True
            block = block[mask]
        found.append(block)
        n += len(block)
        at = end
        if n >= limit or at >= len(rows):
            break
    return np.concatenate(found)[:limit] if n >= limit else None


@dataclass(frozen=True, slots=True)
class _Cells:
    """One row of the table, for many paths: cells where the character stands, sorted by path and column."""

    key: I64  # path << shift | column
    score: I32
    first: I32  # bonus of the first character of the run that the cell continues
    taken: I64  # of each cell: the last one of the same row, up to here, that is matched
    before: I64  # the matched cell of the row above that it continues


class Alignments:
    """The best alignments of one fuzzy term with some rows, all of which must match."""

    def __init__(self, term: Coded, table: NameTable, rows: I64) -> None:
        width = int(table.lengths[rows].max(initial=0))
        self._shift = width.bit_length()
        self._cells: list[_Cells] = []
        places = table.starts[rows][:, None] + np.arange(width)
        # Past the end of a short path stand those of the next ones.
        inside = np.arange(width) < table.lengths[rows][:, None]
        raw = np.take(table.raw, places, mode="clip")
        letters = np.take(table.fold, raw) if term.exactly is None else raw
        for i, character in enumerate(term.folded if term.exactly is None else term.exactly):
            path, column = np.nonzero((letters == character) & inside)
            key = (path << self._shift) | column
            bonus = table.bonus[places[path, column]].astype(np.int32)
            self._cells.append(self._first(key, bonus) if i == 0 else self._next(self._cells[-1], key, bonus))
        last = self._cells[-1]
        self._begin = np.flatnonzero(np.diff(last.key >> self._shift, prepend=-1))
        self._matched = last.taken == np.arange(len(last.key))
        self.scores: I32 = np.zeros(0, np.int32)
        if len(rows):
            self.scores = np.maximum.reduceat(np.where(self._matched, last.score, 0), self._begin)

    def columns(self, index: I64) -> I64:
        """Return the matched columns of some rows [n, characters]: of the first of the best alignments."""
        last = self._cells[-1]
        best = np.repeat(self.scores, np.diff(self._begin, append=len(last.key)))
        cell = np.flatnonzero((last.score == best) & self._matched)
        cell = cell[np.searchsorted(cell, self._begin[index])]
        found = []
        for cells in reversed(self._cells):
            found.append(cells.key[cell] & ((1 << self._shift) - 1))
            cell = cells.before[cell]
        return np.stack(found[::-1], axis=1)

    @staticmethod
    def _first(key: I64, bonus: I32) -> _Cells:
        every = np.arange(len(key))
        return _Cells(key, MATCH + FIRST_COUNTS * bonus, bonus, every, every)

    def _next(self, above: _Cells, key: I64, bonus: I32) -> _Cells:
        # A cell without any before it in the row above, in its own path, is none.
        before = np.searchsorted(above.key, key) - 1
        kept = np.flatnonzero((before >= 0) & (above.key[before] >> self._shift == key >> self._shift))
        key, bonus, before = key[kept], bonus[kept], above.taken[before[kept]]
        distance = (key - above.key[before]).astype(np.int32)
        beside = distance == 1
        # The gap between neighbours is none; a distance of 2 is a gap of one character.
        lost = np.where(beside, 0, GAP_START + GAP_MORE * (distance - 2))
        score = np.maximum(above.score[before] - lost, 0) + MATCH
        first = above.first[before]
        goes_on = beside & ~((bonus >= BOUNDARY) & (bonus > first))
        first = np.where(goes_on, first, bonus)
        score += np.where(goes_on, np.maximum(np.maximum(bonus, first), CONSECUTIVE), bonus)
        return _Cells(key, score, first, self._taken(key, score), before)

    def _taken(self, key: I64, score: I32) -> I64:
        """Return for each cell the last matched one up to it, of the same path."""
        # A cell c is matched unless the last matched one before it, d columns away, offers more:
        # score(c) >= score - GAP_START - GAP_MORE * (d - 1).
        worth = score + GAP_MORE * key
        slack = GAP_START - GAP_MORE
        new = np.diff(key >> self._shift, prepend=-1) != 0
        index = np.arange(len(key))
        matched: Bool = new.copy()
        matched[1:] |= worth[1:] >= worth[:-1] - slack
        while True:
            taken = np.maximum.accumulate(np.where(matched, index, 0))
            again = new.copy()
            again[1:] |= worth[1:] >= worth[taken[:-1]] - slack
            if np.array_equal(again, matched):
                return taken
            matched = again


def most(term: Coded) -> int:
    """Return the most that the term can earn."""
    return best_score(len(term.folded))
