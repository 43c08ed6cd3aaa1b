"""File-name search: what was typed against all paths of a root, the best first. Pure.

    substring   parts apart by spaces, all of which must be in the path
    fuzzy       fzf's terms: abc a subsequence, 'abc side by side, ^abc at the start, abc$ at the end, !abc not there
    regex       an RE2 pattern; files in order of length, then path

A part or term with an upper-case letter minds the case. "\\ " is a space that does not separate. Among equal
scores the shorter path comes first, then the order of paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from config.errors import UsageError
from indexer.records import I64, Bool
from search.fuzzy import (
    I32,
    Alignments,
    Coded,
    at_most,
    best_runs,
    coded,
    fuzzy_rows,
    run_places,
    run_scores,
    top_rows,
)
from search.nametable import NameTable
from search.text import BadPattern, Matcher, matching_lines

Kind = Literal["fuzzy", "exact", "prefix", "suffix", "equal"]
MODES = ("fuzzy", "substring", "regex")
QUERY_CHARS_MAX = 1_000  # as fzf: a longer one is no file name
_FEW = 1_000  # rows whose scores cost less than to find out which can be left out
_BATCH = 256


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
    best, scores = _best(ready, table, rows, limit)
    marks = _marks(ready, table, best)
    files = [
        FoundName(int(table.slots[row]), table.path(row), score, _ranges(columns))
        for row, score, columns in zip(best.tolist(), scores.tolist(), marks, strict=True)
    ]
    return FoundNames(tuple(files), len(rows))


def _matching(term: Term, code: Coded, table: NameTable, rows: I64) -> I64:
    """Return those of the rows that a term (its negation aside) admits."""
    if term.kind == "fuzzy" and len(code.folded) > 1:
        return fuzzy_rows(code, table, rows)
    if term.kind in ("fuzzy", "exact"):
        rows = rows[table.with_all(code.folded)[rows]]
        found = np.zeros(len(rows), np.bool_)
        found[run_places(code, table, rows)[0]] = True
        return rows[found]
    return _at_an_end(term, code, table, rows)[0]


def _at_an_end(term: Term, code: Coded, table: NameTable, rows: I64) -> tuple[I64, I64]:
    """Return (rows, column) of the rows that begin or end with the characters."""
    m = len(code.folded)
    lengths = table.lengths[rows]
    rows = rows[lengths == m if term.kind == "equal" else lengths >= m]
    column = np.zeros(len(rows), np.int64) if term.kind != "suffix" else table.lengths[rows] - m
    for i in range(m):
        raw = table.raw[table.starts[rows] + column + i]
        fits = raw == code.exactly[i] if code.exactly is not None else table.fold[raw] == code.folded[i]
        rows, column = rows[fits], column[fits]
    return rows, column


def _scores(ready: list[tuple[Term, Coded]], table: NameTable, rows: I64) -> I32:
    """Return what each row earns; all terms match in all rows."""
    total = np.zeros(len(rows), np.int32)
    for term, code in ready:
        if term.kind == "fuzzy":
            total += Alignments(code, table, rows).scores
        elif term.kind == "exact":
            total += best_runs(code, table, rows)[1]
        else:
            total += run_scores(code, table, rows, _at_an_end(term, code, table, rows)[1])
    return total


def _best(ready: list[tuple[Term, Coded]], table: NameTable, rows: I64, limit: int) -> tuple[I64, I32]:
    """Return (rows, scores) of the best `limit` rows, best first."""
    if not ready:
        return rows[:limit], np.zeros(min(limit, len(rows)), np.int32)
    if len(rows) <= max(_FEW, 2 * limit) or not any(term.kind == "fuzzy" for term, _ in ready):
        return _top(rows, _scores(ready, table, rows), limit)
    if all(term.kind in ("fuzzy", "exact") for term, _ in ready):
        top = top_rows([code for _, code in ready], table, rows, limit)
        if top is not None:
            return top, _scores(ready, table, top)
    bound = np.zeros(len(rows), np.int32)
    for term, code in ready:
        bound += at_most(code, table, rows) if term.kind == "fuzzy" else _scores([(term, code)], table, rows)
    return _best_by_bound(ready, table, rows, bound, limit)


def _best_by_bound(
    ready: list[tuple[Term, Coded]], table: NameTable, rows: I64, bound: I32, limit: int
) -> tuple[I64, I32]:
    """Score the most promising rows until no other can be among the best."""
    order = np.argsort(-bound.astype(np.int16), kind="stable")
    best, scores = np.empty(0, np.int64), np.empty(0, np.int32)
    at, size = 0, max(_BATCH, 2 * limit)
    while at < len(order):
        batch = np.sort(order[at : at + size])
        at, size = at + size, 4 * size
        new = rows[batch]
        candidates = np.concatenate([best, new])
        every = np.concatenate([scores, _scores(ready, table, new)])
        chosen = np.lexsort((candidates, -every))[:limit]
        best, scores = candidates[chosen], every[chosen]
        if at < len(order) and len(best) == limit:
            next_bound, next_row = int(bound[order[at]]), int(rows[order[at]])
            if (next_bound, -next_row) < (int(scores[-1]), -int(best[-1])):
                break
    return best, scores


def _top(rows: I64, scores: I32, limit: int) -> tuple[I64, I32]:
    """Return the best, best first; of equal ones the first."""
    if len(rows) > 4 * limit:
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        kept = np.flatnonzero(scores >= least)
        rows, scores = rows[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")[:limit]
    return rows[order], scores[order]


def _marks(ready: list[tuple[Term, Coded]], table: NameTable, best: I64) -> list[set[int]]:
    """Return the matched columns of the best rows."""
    marks: list[set[int]] = [set() for _ in best]
    place = np.argsort(best)
    rows = best[place]
    for term, code in ready:
        m = len(code.folded)
        if term.kind == "fuzzy":
            aligned = Alignments(code, table, rows)
            for i, at in enumerate(place.tolist()):
                marks[at].update(aligned.columns(i))
            continue
        if term.kind == "exact":
            index, column = run_places(code, table, rows)
            scores = run_scores(code, table, rows[index], column)
            order = np.lexsort((column, -scores, index))
            first = order[np.flatnonzero(np.diff(index[order], prepend=-1))]
            column = column[first]
        else:
            column = _at_an_end(term, code, table, rows)[1]
        for at, start in zip(place.tolist(), column.tolist(), strict=True):
            marks[at].update(range(start, start + m))
    return marks


def _ranges(columns: set[int]) -> tuple[tuple[int, int], ...]:
    """Return the runs of columns as [start, end)."""
    ranges: list[tuple[int, int]] = []
    for column in sorted(columns):
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
    data, offsets = table.lines
    hit = matching_lines(matcher, data, offsets)
    rows = np.flatnonzero(hit if mask is None else hit & mask)
    files = []
    for row in rows[:limit].tolist():
        path = table.path(row)
        spans = [_characters(path, a, b) for a, b in matcher.find(path, 1)]
        files.append(FoundName(int(table.slots[row]), path, 0, tuple(s for s in spans if s[0] < s[1])))
    return FoundNames(tuple(files), len(rows))


def _characters(path: bytes, start: int, end: int) -> tuple[int, int]:
    before = len(path[:start].decode("utf-8", "surrogateescape"))
    return before, before + len(path[start:end].decode("utf-8", "surrogateescape"))
