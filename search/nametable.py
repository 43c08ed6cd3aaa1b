"""The paths of a root as arrays that file-name search reads: made once, whole, and never changed.

Rows are the paths ordered by length, then by path: among equal scores the lowest row is the best, so ties
need no sorting. The text of all rows lies in one array, a "/" in front of each, a character an element:

    raw     / M a k e f i l e / m m / s l a b . c        number of the character in `alphabet`
    bonus   8 9 0 0 0 0 0 0 0 8 9 0 8 9 0 0 0 8 8        what a match earns there by what stands before it

Where a character stands in each path is kept by *level*: level k of "e" is, of every row, the column of its
k-th "e". A question like "the next e behind column 7 of every path" is then a few operations over bytes that
lie side by side: 5 us each for the 78,600 paths of Linux. A level that few rows reach is kept as a list.
Upper and lower case are one character here; who minds the case looks at `raw` as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.records import I64, U8, Bool
from search.alignment import BONUS, DELIMITER, char_class

Columns = npt.NDArray[Any]  # uint8, or uint16 where a path is longer than 254 characters
Rows = npt.NDArray[Any]  # int32 or int64
U64 = npt.NDArray[np.uint64]
_DENSE_SHARE = (
    16  # a level that one row in so many reaches is kept for all rows: larger than a list, but faster
)
_MASK_BITS = 64
KEPT_MAX = 192  # answers about one to three characters, a few bytes for each path: 20 MB for Linux


@dataclass(frozen=True, slots=True)
class Places:
    """Where one character stands: the first few columns of every row, and the further ones as a list.

    dense        [levels, rows], ascending in each row, then `none`; it may be the table's own: only read it
    row, column  the rest, ascending
    """

    dense: Columns
    row: Rows
    column: Columns
    none: int

    def first(self, least: Columns) -> Columns:
        """Return of each row the first place not before column `least`, else `none`."""
        distance = self.none - least
        for level in self.dense:  # what stands before `least` wraps round to more than any distance
            np.minimum(distance, level - least, out=distance)
        found = distance + least
        if len(self.row):
            late = np.flatnonzero((found[self.row] == self.none) & (self.column >= least[self.row]))[::-1]
            found[self.row[late]] = self.column[
                late
            ]  # of several for one row the last counts: the first place
        return found

    def within(self, low: Columns, high: Columns) -> tuple[I64, Columns]:
        """Return (rows, columns) of the places from column `low` to `high` of each row, in no order."""
        level, row = np.nonzero((self.dense >= low) & (self.dense <= high))
        inside = np.flatnonzero((self.column >= low[self.row]) & (self.column <= high[self.row]))
        rows = np.concatenate([row, self.row[inside]])
        return rows, np.concatenate([self.dense[level, row], self.column[inside]])


class NameTable:
    """Paths, by row. Immutable, so threads may share it.

    slots    int64 [n], the slot of each row, as it was given
    lengths  int64 [n], characters
    starts   int64 [n], where column 0 of each row stands in raw and bonus
    none     the column that stands for "nowhere"; larger than every column
    """

    def __init__(self, paths: Sequence[bytes], first_slot: int = 0) -> None:
        """paths: those of the slots first_slot, first_slot + 1, ..."""
        texts = [path.decode("utf-8", "surrogateescape") for path in paths]
        order = sorted(range(len(texts)), key=paths.__getitem__)
        order.sort(key=lambda i: len(texts[i]))
        self.n = len(texts)
        self.first_slot = first_slot
        self.slots: I64 = np.array(order, np.int64) + first_slot
        self.lengths: I64 = np.fromiter((len(texts[i]) for i in order), np.int64, self.n)
        self.starts: I64 = np.concatenate(([1], 1 + np.cumsum(self.lengths + 1)))[:-1].astype(np.int64)
        self._paths = [paths[i] for i in order]
        joined = "".join(["/" + texts[i] for i in order])
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
        known, raw = _numbered(codes)
        self.raw: Columns = raw
        self.alphabet = {chr(code): i for i, code in enumerate(known)}
        folded = [_fold(chr(code)) for code in known]
        numbers = {char: i for i, char in enumerate(dict.fromkeys(folded))}
        self.fold = np.array([numbers[char] for char in folded], raw.dtype)  # raw -> folded number
        self.folded = numbers
        self.letters: Columns = self.fold[raw]
        classes = np.array([char_class(chr(code)) for code in known], np.uint8)[raw]
        before = np.concatenate(([DELIMITER], classes[:-1])).astype(np.uint8)
        self.bonus: U8 = np.array(BONUS, np.uint8)[before, classes]
        self.none = 255 if self.n == 0 or int(self.lengths[-1]) < 255 else 65535
        self.column_type = np.uint8 if self.none == 255 else np.uint16
        self.counts = np.bincount(self.fold[raw], minlength=len(numbers))
        self._levels, self._masks = self._make_levels()
        self.kept: dict[Any, Any] = {}  # what was worked out for a query and serves others

    @staticmethod
    def lower(char: str) -> str:
        """Return the character that stands for both its cases."""
        return _fold(char)

    def path(self, row: int) -> bytes:
        """Return the path of a row."""
        return self._paths[row]

    @cached_property
    def lines(self) -> tuple[bytes, I64]:
        """All paths joined by newlines and where each starts, as search.text.matching_lines wants them."""
        lengths = np.fromiter(map(len, self._paths), np.int64, self.n)
        offsets = np.concatenate(([0], np.cumsum(lengths + 1))).astype(np.int64)
        return b"".join([path + b"\n" for path in self._paths]), offsets

    def with_all(self, characters: Sequence[int]) -> Bool:
        """Return the rows that may have all these folded characters; most others are left out."""
        wanted = np.uint64(0)
        for number in set(characters):
            wanted |= np.uint64(1) << np.uint64(number % _MASK_BITS)
        return np.asarray((self._masks & wanted) == wanted)

    def places(self, character: int, rows: I64 | None, exactly: int | None = None) -> Places:
        """Return where a folded character stands in some rows.

        rows     ascending; None: all
        exactly  number in `alphabet`: only places where this very case stands
        """
        levels = self._levels[character] if exactly is None else self._cased(character, exactly)
        if rows is None:
            return levels
        at, column = levels.row, levels.column
        if len(at):
            inverse = np.full(self.n, -1, np.int32)
            inverse[rows] = np.arange(len(rows), dtype=np.int32)
            inside = inverse[at]
            keep = np.flatnonzero(inside >= 0)
            at, column = inside[keep], column[keep]
        return Places(np.take(levels.dense, rows, axis=1), at, column, self.none)

    def keep(self, key: Any, value: Any) -> Any:
        """Remember an answer in `kept`; the oldest gives way."""
        for oldest in list(self.kept)[: max(0, len(self.kept) + 1 - KEPT_MAX)]:
            self.kept.pop(oldest, None)  # another thread may have been faster
        self.kept[key] = value
        return value

    def _cased(self, character: int, exactly: int) -> Places:
        """Return the places of one case of a character."""
        if int(np.count_nonzero(self.fold == character)) == 1:
            return self._levels[character]
        known: Places | None = self.kept.get(("cased", exactly))
        if known is None:
            at = np.flatnonzero(self.raw == exactly)
            row = np.searchsorted(self.starts, at, side="right") - 1
            column = (at - self.starts[row]).astype(self.column_type)
            known = self.keep(("cased", exactly), places_of(row, column, self.n, self.none))
        return known

    def _make_levels(self) -> tuple[list[Places], U64]:
        text = self.letters
        inside = np.ones(len(text), np.bool_)
        inside[self.starts - 1] = False
        where = np.flatnonzero(inside)
        text = text[where]
        row = np.repeat(np.arange(self.n, dtype=np.int32), self.lengths)
        column = (where - self.starts[row]).astype(self.column_type)
        order = np.argsort(text, kind="stable")
        row, column = row[order], column[order]
        ends = np.concatenate(([0], np.cumsum(np.bincount(text, minlength=len(self.folded)))))
        masks = np.zeros(self.n, np.uint64)
        made = []
        for number in range(len(self.folded)):
            part = slice(int(ends[number]), int(ends[number + 1]))
            rows, columns = row[part], column[part]
            masks[rows] |= np.uint64(1) << np.uint64(number % _MASK_BITS)
            made.append(places_of(rows, columns, self.n, self.none))
        return made, masks


def places_of(row: Rows, column: Columns, n: int, none: int) -> Places:
    """Return places of one character from their list, in order of row and column."""
    index = np.arange(len(row))
    new = np.concatenate(([True], row[1:] != row[:-1])) if len(row) else np.zeros(0, np.bool_)
    level = index - np.maximum.accumulate(np.where(new, index, 0))
    n_dense = int(np.count_nonzero(np.bincount(level, minlength=1) * _DENSE_SHARE >= n)) if len(row) else 0
    dense = np.full((n_dense, n), none, column.dtype)
    low = level < n_dense
    dense[level[low], row[low]] = column[low]
    return Places(dense, row[~low], column[~low], none)


def _numbered(codes: npt.NDArray[np.uint32]) -> tuple[list[int], Columns]:
    """Return the distinct characters, ascending, and the number of each character of the text."""
    if not len(codes):
        return [], np.zeros(0, np.uint8)
    seen = np.zeros(int(codes.max()) + 1, np.bool_)
    seen[codes] = True
    known = np.flatnonzero(seen)
    number = np.zeros(len(seen), _kind(len(known)))
    number[known] = np.arange(len(known))
    return known.tolist(), number[codes]


def _fold(char: str) -> str:
    lower = char.lower()
    return lower if len(lower) == 1 else char


def _kind(n: int) -> Any:
    return np.uint8 if n <= 256 else np.uint16 if n <= 65536 else np.uint32
