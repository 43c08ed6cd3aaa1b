"""File-name search: what was typed against all paths of a root, the best first. Pure.

    substring   parts apart by spaces, all of which are in the path
    fuzzy       fzf's terms: abc in this order, 'abc side by side, ^abc first, abc$ last, !abc nowhere
    regex       an RE2 pattern; files in order of length, then path

A part or term with an upper-case letter minds the case. "\\ " is a space that does not separate. Among equal
scores the shorter path comes first, then the order of paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from config.errors import UsageError
from indexer.records import I64, Bool
from search.bound import at_most
from search.compiled import BadPattern
from search.fuzzy import (
    I32,
    Alignments,
    Coded,
    best_runs,
    coded,
    end_places,
    fuzzy_rows,
    most,
    run_places,
    run_scores,
    top_rows,
)
from search.matcher import Matcher
from search.name_regex import regex_rows
from search.nametable import NameTable

Kind = Literal["fuzzy", "exact", "prefix", "suffix", "equal"]
MODES = ("fuzzy", "substring", "regex")
QUERY_CHARS_MAX = 1_000  # as fzf: a longer one is no file name
_FEW = 1_000  # rows whose scores cost less than to find out which can be left out
_BATCH, _BATCH_MAX = 256, 4_096


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a query."""

    text: str
    kind: Kind
    negated: bool = False

    @property
    def cased(self) -> bool:
        """Whether the case counts: an upper-case letter was typed."""
        return self.text != self.text.lower()


@dataclass(frozen=True, slots=True)
class FoundName:
    """A file: its slot, what it earned, and which characters of its path matched."""

    slot: int
    path: bytes
    score: int
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class FoundNames:
    """The best files, and how many match in all."""

    files: tuple[FoundName, ...]
    total: int


def parse_terms(query: str, mode: str) -> list[Term]:
    """Return the terms of a query of mode `fuzzy` or `substring`."""
    if len(query) > QUERY_CHARS_MAX:
        raise UsageError(f"the query has {len(query)} characters; a file name has at most {QUERY_CHARS_MAX}")
    parts = [re.sub(r"\\(\s)", r"\1", part) for part in re.findall(r"(?:\\\s|\S)+", query)]
    if mode == "substring":
        return [Term(part, "exact") for part in parts]
    return [term for part in parts if (term := _term(part)).text]


def find_names(
    query: str, mode: str, tables: list[NameTable], masks: list[Bool | None], limit: int
) -> FoundNames:
    """Return the best `limit` files of some tables.

    masks  of each table, which rows may be found; None: all
    Raises UsageError for a mode that there is not or a pattern that cannot be read.
    """
    if mode not in MODES:
        raise UsageError(f"no mode {mode[:50]!r}; there are {', '.join(MODES)}")
    matcher = _matcher(query) if mode == "regex" else None
    terms = [] if matcher else parse_terms(query, mode)
    found: list[FoundName] = []
    total = 0
    for table, mask in zip(tables, masks, strict=True):
        part = _by_regex(matcher, table, mask, limit) if matcher else _by_terms(terms, table, mask, limit)
        found += part.files
        total += part.total
    if len(tables) > 1:
        found.sort(key=lambda one: (-one.score, len(one.path.decode("utf-8", "surrogateescape")), one.path))
    return FoundNames(tuple(found[:limit]), total)


def below(directory: str, table: NameTable) -> Bool:
    """Return the rows of the files below a directory, or of the file with this very path."""
    mask = np.zeros(table.n, np.bool_)
    rows = np.arange(table.n)
    for term in (Term(directory + "/", "prefix"), Term(directory, "equal")):
        code = coded(term.text, True, table)
        if code is not None:
            mask[end_places(code, term.kind, table, rows)[0]] = True
    return mask


def _term(part: str) -> Term:
    """fzf's notation, as parseTerms of src/pattern.go reads it; without OR."""
    kind: Kind = "fuzzy"
    negated = part.startswith("!")
    if negated:
        kind, part = "exact", part[1:]
    if part != "$" and part.endswith("$"):
        kind, part = "suffix", part[:-1]
    if part.startswith("'"):
        kind, part = "fuzzy" if negated else "exact", part[1:]
    elif part.startswith("^"):
        kind, part = "equal" if kind == "suffix" else "prefix", part[1:]
    return Term(part, kind, negated)


def _by_terms(terms: list[Term], table: NameTable, mask: Bool | None, limit: int) -> FoundNames:
    rows = np.arange(table.n) if mask is None else np.flatnonzero(mask)
    wanted = sorted((t for t in terms if not t.negated), key=lambda t: (t.kind == "fuzzy", -len(t.text)))
    ready: list[tuple[Term, Coded]] = []
    for term in wanted:
        code = coded(term.text, term.cased, table)
        if code is None:
            return FoundNames((), 0)
        ready.append((term, code))
        rows = _matching(term, code, table, rows)
    for term in terms:
        code = coded(term.text, term.cased, table) if term.negated else None
        if code is not None:
            rows = np.setdiff1d(rows, _matching(term, code, table, rows), assume_unique=True)
    found, best = _best(ready, table, rows, limit)
    chosen, scores = found.rows[best].tolist(), found.scores[best].tolist()
    files = [
        FoundName(int(table.slots[row]), table.path(row), score, _ranges(columns))
        for row, score, columns in zip(chosen, scores, _marks(found, best), strict=True)
    ]
    return FoundNames(tuple(files), len(rows))


def _matching(term: Term, code: Coded, table: NameTable, rows: I64) -> I64:
    """Return those of the rows that a term (its negation aside) admits."""
    if term.kind == "fuzzy" or (term.kind == "exact" and len(code.folded) == 1):
        return fuzzy_rows(code, table, rows)
    if term.kind == "exact":
        rows = rows[table.with_all(code.folded)[rows]]
        found = np.zeros(len(rows), np.bool_)
        found[run_places(code, table, rows)[0]] = True
        return rows[found]
    return end_places(code, term.kind, table, rows)[0]


@dataclass(frozen=True, slots=True)
class _Scored:
    """Rows, ascending, and what they earn; `terms` has for each term what finds its columns."""

    rows: I64
    scores: I32
    terms: list[Alignments | _Runs]


class _Runs:
    """The best places of characters that stand side by side; each row has one."""

    def __init__(self, term: Term, code: Coded, table: NameTable, rows: I64) -> None:
        self._length = len(code.folded)
        if term.kind == "exact":
            index, column = run_places(code, table, rows)
            scores = run_scores(code, table, rows[index], column)
            # Keys sort by row, then the highest score, then the first column.
            key = np.sort((index << 40) | ((_SCORE_MAX - scores.astype(np.int64)) << 20) | column)
            key = key[np.flatnonzero(np.diff(key >> 40, prepend=-1))]
            self.scores: I32 = (_SCORE_MAX - ((key >> 20) & _SCORE_MAX)).astype(np.int32)
            self._start = key & _SCORE_MAX
        else:
            self._start = end_places(code, term.kind, table, rows)[1]
            self.scores = run_scores(code, table, rows, self._start)

    def columns(self, index: I64) -> I64:
        """Return the matched columns of some rows."""
        return self._start[index][:, None] + np.arange(self._length)


_SCORE_MAX = (1 << 20) - 1  # more than any score, and than any column


def _scored(ready: list[tuple[Term, Coded]], table: NameTable, rows: I64) -> _Scored:
    """Return what each row earns; all terms match in all rows."""
    parts: list[Alignments | _Runs] = [
        Alignments(code, table, rows) if term.kind == "fuzzy" else _Runs(term, code, table, rows)
        for term, code in ready
    ]
    total = np.zeros(len(rows), np.int32)
    for part in parts:
        total += part.scores
    return _Scored(rows, total, parts)


def _best(ready: list[tuple[Term, Coded]], table: NameTable, rows: I64, limit: int) -> tuple[_Scored, I64]:
    """Return rows, and which of them (index) are the best `limit`, best first."""
    if not ready:
        rows = rows[:limit]
        return _Scored(rows, np.zeros(len(rows), np.int32), []), np.arange(len(rows))
    if len(rows) > max(_FEW, 2 * limit) and all(term.kind in ("fuzzy", "exact") for term, _ in ready):
        top = top_rows([code for _, code in ready], table, rows, limit)
        if top is not None:
            runs = [(replace(term, kind="exact"), code) for term, code in ready]
            return _scored(runs, table, top), np.arange(len(top))
    if len(rows) > max(_FEW, 2 * limit):
        bound = np.zeros(len(rows), np.int32)
        for term, code in ready:
            if term.kind == "fuzzy":
                bound += at_most(code, table, rows)
            else:
                bound += best_runs(code, table, rows)[1] if term.kind == "exact" else most(code)
        rows = _best_by_bound(ready, table, rows, bound, limit)
    found = _scored(ready, table, rows)
    return found, _top(found.scores, limit)


def _best_by_bound(
    ready: list[tuple[Term, Coded]], table: NameTable, rows: I64, bound: I32, limit: int
) -> I64:
    """Return the best rows, ascending: score the most promising until no other can be among the best."""
    order = np.argsort(-bound.astype(np.int16), kind="stable")
    falling, by_bound = -bound[order], rows[order]
    best, scores = np.empty(0, np.int64), np.empty(0, np.int32)
    at, end, size = 0, len(order), max(_BATCH, 2 * limit)
    while at < end:
        new = np.sort(by_bound[at : min(at + size, end)])
        at, size = at + size, min(4 * size, _BATCH_MAX)
        candidates = np.concatenate([best, new])
        every = np.concatenate([scores, _scored(ready, table, new).scores])
        chosen = np.lexsort((candidates, -every))[:limit]
        best, scores = candidates[chosen], every[chosen]
        if len(best) == limit:
            # What has a lower bound than the last, or the same one in a later row, is not among the best.
            same, lower = np.searchsorted(falling, [-scores[-1], 1 - scores[-1]]).tolist()
            end = same + int(np.searchsorted(by_bound[same:lower], best[-1]))
    return np.sort(best)


def _top(scores: I32, limit: int) -> I64:
    """Return the indexes of the best, best first; of equal ones the first."""
    if len(scores) <= 4 * limit:
        return np.argsort(-scores, kind="stable")[:limit]
    least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
    kept = np.flatnonzero(scores >= least)
    return kept[np.argsort(-scores[kept], kind="stable")[:limit]]


def _marks(found: _Scored, best: I64) -> list[list[int]]:
    """Return the matched columns of some of the rows."""
    if not found.terms:
        return [[] for _ in best]
    marks: list[list[int]] = np.concatenate([part.columns(best) for part in found.terms], axis=1).tolist()
    return marks


def _ranges(columns: list[int]) -> tuple[tuple[int, int], ...]:
    """Return the runs of columns as [start, end)."""
    ranges: list[tuple[int, int]] = []
    for column in sorted(set(columns)):
        if ranges and ranges[-1][1] == column:
            ranges[-1] = (ranges[-1][0], column + 1)
        else:
            ranges.append((column, column + 1))
    return tuple(ranges)


def _matcher(query: str) -> Matcher:
    if len(query) > QUERY_CHARS_MAX:
        raise UsageError(f"the pattern has {len(query)} characters; {QUERY_CHARS_MAX} are the most")
    try:
        return Matcher(query)
    except BadPattern as error:
        raise UsageError(f"cannot read the regular expression: {error}") from None


def _by_regex(matcher: Matcher, table: NameTable, mask: Bool | None, limit: int) -> FoundNames:
    rows = np.arange(table.n) if mask is None else np.flatnonzero(mask)
    rows = regex_rows(matcher, table, rows)
    files = []
    for row in rows[:limit].tolist():
        path = table.path(row)
        spans = [_characters(path, a, b) for a, b in matcher.find(path, 1)]
        files.append(FoundName(int(table.slots[row]), path, 0, tuple(s for s in spans if s[0] < s[1])))
    return FoundNames(tuple(files), len(rows))


def _characters(path: bytes, start: int, end: int) -> tuple[int, int]:
    before = len(path[:start].decode("utf-8", "surrogateescape"))
    return before, before + len(path[start:end].decode("utf-8", "surrogateescape"))
