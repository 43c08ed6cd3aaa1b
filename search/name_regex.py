"""Which paths a regular expression matches: characters that it cannot do without are looked for first.

RE2 needs a microsecond for each path that it is shown, and a pattern that is being typed matches tens of
thousands. So literal stretches of the pattern are looked up in the arrays of search.nametable; often they are
the whole pattern, else RE2 sees only the paths that have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from indexer.records import I64
from search.fuzzy import Coded, end_places, run_places
from search.matcher import Matcher
from search.nametable import NameTable
from search.regex_syntax import Cat, Chars, Edge, Node, Unsupported, parse_regex

_ONE_BY_ONE = 4  # where less than one path in so many is left, RE2 is asked for each by itself


@dataclass(frozen=True, slots=True)
class _Run:
    """Characters that stand side by side in every match."""

    term: Coded
    at_start: bool = False  # of the path
    at_end: bool = False


def regex_rows(matcher: Matcher, table: NameTable, rows: I64) -> I64:
    """Return those of the rows (ascending) whose path has a match."""
    runs, whole = _runs(matcher, table)
    for run in runs or []:
        if not len(rows):
            return rows
        rows = rows[table.with_all(run.term.folded)[rows]]
        if run.at_start or run.at_end:
            kind = "equal" if run.at_start and run.at_end else "prefix" if run.at_start else "suffix"
            rows = end_places(run.term, kind, table, rows)[0]
        else:
            found = np.zeros(len(rows), np.bool_)
            found[run_places(run.term, table, rows)[0]] = True
            rows = rows[found]
    if runs is None:
        return rows[:0]
    return rows if whole else rows[_matching(matcher, table, rows)]


def _matching(matcher: Matcher, table: NameTable, rows: I64) -> I64:
    """Return the indexes of the rows that RE2 finds a match in."""
    data, offsets = table.lines
    if matcher.newline or matcher.by_itself or _ONE_BY_ONE * len(rows) < table.n:
        starts, ends = offsets[rows].tolist(), (offsets[rows + 1] - 1).tolist()
        spans = zip(starts, ends, strict=True)
        if matcher.newline or matcher.by_itself:
            return np.array([i for i, (a, b) in enumerate(spans) if matcher.find_in(data, a, b, 1)], np.int64)
        return np.array([i for i, (a, b) in enumerate(spans) if matcher.first(data, a, b)], np.int64)
    places = []
    at, end = 0, len(data) - 1
    while at <= end and (span := matcher.first(data, at, end)) is not None:
        places.append(span[0])
        # A match may begin at the end of its line; the next one begins behind it.
        at = data.find(b"\n", span[0]) + 1
    hit = np.zeros(table.n, np.bool_)
    hit[np.searchsorted(offsets, np.array(places, np.int64), side="right") - 1] = True
    return np.flatnonzero(hit[rows])


def _runs(matcher: Matcher, table: NameTable) -> tuple[list[_Run] | None, bool]:
    """Return the runs that a match needs, and whether nothing else is needed; None: nothing can match."""
    if "\n" in table.alphabet:  # then ^ and $ are not only the ends of paths
        return [], False
    try:
        node = parse_regex(matcher.pattern, matcher.fold).node
    except Unsupported:
        return [], False
    parts = list(_flat(node))
    runs: list[_Run] = []
    whole, current, at_start = True, list[list[int]](), False
    for i, part in enumerate([*parts, None]):
        cases = _cases(part, table) if isinstance(part, Chars) else None
        if cases is not None:
            if not cases:
                return None, True
            current.append(cases)
            continue
        at_end = isinstance(part, Edge) and part.name == "$" and i == len(parts) - 1
        if current:
            term, every = _coded(current, table)
            runs.append(_Run(term, at_start, at_end))
            whole &= every
        begins = isinstance(part, Edge) and part.name == "^" and i == 0
        whole &= part is None or at_end or begins
        current, at_start = [], begins
    return runs, whole and (len(runs) == 1 or len(parts) <= 1)


def _flat(node: Node) -> list[Node]:
    if isinstance(node, Cat):
        return [inner for part in node.parts for inner in _flat(part)]
    return [node]


def _cases(part: Chars, table: NameTable) -> list[int] | None:
    """Return the characters of the alphabet that the set admits, if they are cases of one; else None."""
    if part.codes is None:
        return None
    numbers = [table.alphabet[chr(code)] for code in part.codes if chr(code) in table.alphabet]
    return numbers if len({int(table.fold[number]) for number in numbers}) <= 1 else None


def _coded(run: list[list[int]], table: NameTable) -> tuple[Coded, bool]:
    """Return what stands side by side, and whether that says it all: each in its one case, or in any."""
    folded = tuple(int(table.fold[cases[0]]) for cases in run)
    if all(len(cases) == 1 for cases in run):
        return Coded(folded, tuple(cases[0] for cases in run)), True
    every = all(
        len(cases) == int(np.count_nonzero(table.fold == one)) for cases, one in zip(run, folded, strict=True)
    )
    return Coded(folded, None), every
