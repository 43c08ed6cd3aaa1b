"""Captured ranges -> the tables of definitions and references of one file. Pure.

The definitions (a few per KB) are worked through in Python with a stack; the references (forty per KB) with
NumPy, in order of place. See grammar.py for what the capture names mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import compress, count, repeat
from operator import neg

import numpy as np

from indexer.chunk import Lines
from indexer.grammar import Capture
from indexer.records import I64, KIND_ID, ROLE_ID, Bool, ReferenceTable, SymbolTable

NAME_BYTES_MAX = 256  # longer "names" are headings that are paragraphs, or garbage

# Where one place is captured in several ways, the first of these wins; generic patterns say "ref.read".
_REFERENCES_BY_WEIGHT = (
    "ref.import", "ref.call", "ref.inherit", "ref.type", "member.write", "ref.write", "ref.other",
    "member.read", "ref.read",
)  # fmt: skip
_ROLE_OF_WEIGHT = np.array([ROLE_ID[name.partition(".")[2]] for name in _REFERENCES_BY_WEIGHT], np.int64)
_MAY_BE_LOCAL = np.array([name in ("ref.write", "ref.read") for name in _REFERENCES_BY_WEIGHT], np.bool_)
_IS_IMPORT = np.array([name == "ref.import" for name in _REFERENCES_BY_WEIGHT], np.bool_)
_OPENS_PATH = np.zeros(256, np.bool_)
_OPENS_PATH[list(b"'\"<")] = True

_CALLABLES = frozenset(("function", "method", "test"))
_CONTAINERS = frozenset(("class", "struct", "trait", "interface", "impl", "enum"))
_LOCAL_IF_IN_CALLABLE = frozenset(("variable", "constant"))
_TYPES = frozenset(("class", "struct", "enum", "trait", "interface"))
# `struct a { } b;`: the declaration of the variable encloses the struct, but is not where it belongs.
_NEVER_HOLD_TYPES = frozenset(("type", "variable", "constant", "field"))
# One name captured as several kinds: the first of these that was captured wins.
_KINDS_BY_WEIGHT = (
    "test", "method", "impl", "interface", "trait", "enum", "struct", "class", "function", "macro",
    "constant", "property", "module", "field", "type", "variable",
)  # fmt: skip
_KIND_WEIGHT = {kind: i for i, kind in enumerate(_KINDS_BY_WEIGHT)}

_MARKS = b"'\"`: "  # around names: strings, symbols of Ruby, keywords of Elixir

_NO_PLACES = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Definitions:
    """The definitions of a file, and what its references have to be told apart from."""

    symbols: SymbolTable
    own: I64  # sorted starts of names that are declared here: of definitions and of locals
    locals: list[tuple[int, int]]  # ranges of the names of parameters and local variables
    callables: list[tuple[int, int]]  # ranges of functions that lie in no other function, in order


# One definition: start, -end, start and end of its name, kind. Sorted, the outer one of a place comes first.
# Plain tuples: a header of registers has a hundred thousand of them.
_Row = tuple[int, int, int, int, str]


def definitions(content: bytes, lines: Lines, found: Mapping[str, Capture]) -> Definitions:
    """Make the table of definitions of a file from what its query captured."""
    rows = [
        _bare(content, row) if content[row[2]] in _MARKS or content[row[3] - 1] in b": #" else row
        for row in _paired(found)
    ]
    if "clause" in found:
        rows = _joined(content, rows, set(_places(found["clause"])))
    own = {row[2] for row in rows}
    local = [place for place in _places(found.get("local")) if place[0] not in own]
    own.update(start for start, _ in local)
    nested = _nested(rows)
    _in_capitals(content, nested)
    local += nested.hidden
    name_start = np.array([row[2] for row in nested.rows], np.int64)
    symbols = SymbolTable(
        name=_names(content, nested.rows),
        kind=np.array(nested.kinds, np.uint8),
        start=np.array([row[0] for row in nested.rows], np.uint32),
        end=np.array([-row[1] for row in nested.rows], np.uint32),
        name_start=name_start.astype(np.uint32),
        line=(lines.at(name_start) + 1).astype(np.uint32),
        parent=np.array(nested.parents, np.int32),
    )
    return Definitions(symbols, np.sort(np.fromiter(own, np.int64, len(own))), local, nested.callables)


def _places(capture: Capture | None) -> list[tuple[int, int]]:
    """Return the ranges of a capture that are not empty; a parser invents empty nodes to go on."""
    if capture is None:
        return []
    return [place for place in zip(capture.start, capture.end, strict=True) if place[0] < place[1]]


def _paired(found: Mapping[str, Capture]) -> list[_Row]:
    """Give each captured name its definition: the innermost one of its kind around it."""
    dropped = {start for start, _ in _places(found.get("undef"))}
    bodies: list[tuple[int, int, str]] = []
    names: list[tuple[int, int, str]] = []
    for name, capture in found.items():
        group, _, kind = name.partition(".")
        if group == "def":
            bodies.extend(zip(capture.start, map(neg, capture.end), repeat(kind)))
        elif group == "name":
            names.extend(zip(capture.start, capture.end, repeat(kind)))
    if dropped:
        bodies = [body for body in bodies if body[0] not in dropped]
    bodies.sort()
    names.sort()
    rows: dict[int, _Row] = {}
    around: list[tuple[int, int, str]] = []
    at, n_bodies = 0, len(bodies)
    for start, end, kind in names:
        while at < n_bodies and (body := bodies[at])[0] <= start:
            while around and -around[-1][1] <= body[0]:
                around.pop()
            around.append(body)
            at += 1
        while around and -around[-1][1] <= start:
            around.pop()
        for body in reversed(around):
            if body[2] == kind and start < end:
                other = rows.get(start)
                if other is None or _KIND_WEIGHT.get(kind, 99) < _KIND_WEIGHT.get(other[4], 99):
                    rows[start] = (body[0], body[1], start, end, kind)
                break
    if "name.test" in found:  # TEST(Suite, Name) { } of gtest reads as a function named TEST
        tests = {row[:2] for row in rows.values() if row[4] == "test"}
        return sorted(row for row in rows.values() if row[4] == "test" or row[:2] not in tests)
    return sorted(rows.values())


def _bare(content: bytes, row: _Row) -> _Row:
    """Take the marks off a name that is a string, a symbol or a heading in its language."""
    start, end_negative, name_start, name_end, kind = row
    name = content[name_start:name_end]
    if kind == "heading":
        bare = name.rstrip(b"# ") if name.rstrip(b"#").endswith(b" ") else name
        return start, end_negative, name_start, name_start + len(bare), kind
    left = len(name) - len(name.lstrip(_MARKS))
    bare = name.strip(_MARKS)
    if not bare:
        return row
    return start, end_negative, name_start + left, name_start + left + len(bare), kind


def _joined(content: bytes, rows: list[_Row], clauses: set[tuple[int, int]]) -> list[_Row]:
    """Make one definition of neighbouring clauses of one name: f 0 = 1; f n = n * f (n - 1)."""
    out: list[_Row] = []
    for row in rows:
        if out and (row[0], -row[1]) in clauses:
            start, end_negative, name_start, name_end, kind = out[-1]
            same = kind == row[4] and content[name_start:name_end] == content[row[2] : row[3]]
            if same and not content[-end_negative : row[0]].strip():
                out[-1] = (start, row[1], name_start, name_end, kind)
                continue
        out.append(row)
    return out


@dataclass(slots=True)
class _Nested:
    rows: list[_Row]
    kinds: list[int]  # final: a function in a class is a method
    parents: list[int]
    hidden: list[tuple[int, int]]  # names of local variables
    callables: list[tuple[int, int]]


def _nested(rows: list[_Row]) -> _Nested:
    """Nest sorted rows, and take out the variables that lie in a function."""
    out = _Nested([], [], [], [], [])
    kinds: list[str] = []
    around: list[tuple[int, int]] = []  # -end and index in out.rows of the definitions around this place
    callable_end = 0
    for row in rows:
        start, end_negative, name_start, name_end, kind = row
        while around and -around[-1][0] <= start:
            around.pop()
        if kind in _LOCAL_IF_IN_CALLABLE and around and kinds[around[-1][1]] in _CALLABLES:
            out.hidden.append((name_start, name_end))
            continue
        parent = -1
        for holder_end, holder in reversed(around):
            same = holder_end == end_negative and out.rows[holder][0] == start
            if not same and not (kind in _TYPES and kinds[holder] in _NEVER_HOLD_TYPES):
                parent = holder
                break
        if kind == "function" and parent >= 0 and kinds[parent] in _CONTAINERS:
            kind = "method"
        if -end_negative > callable_end and kind in _CALLABLES:
            callable_end = -end_negative
            out.callables.append((start, callable_end))
        around.append((end_negative, len(kinds)))
        kinds.append(kind)
        out.rows.append(row)
        out.parents.append(parent)
    out.kinds.extend([KIND_ID[kind] for kind in kinds])
    return out


def _in_capitals(content: bytes, nested: _Nested) -> None:
    """Make variables that are written in capitals constants, as their author meant them."""
    variable, constant = KIND_ID["variable"], KIND_ID["constant"]
    for i, kind in enumerate(nested.kinds):
        if kind == variable:
            _, _, start, end, _ = nested.rows[i]
            if end - start > 1 and content[start:end].isupper():
                nested.kinds[i] = constant


def _names(content: bytes, rows: list[_Row]) -> list[bytes]:
    """Return the names as they are written, without what would break a list of names."""
    names = [content[row[2] : row[3]] for row in rows]
    if _has_line_end(names) or max(map(len, names), default=0) > NAME_BYTES_MAX:
        names = [_one_line(name) for name in names]
    return names


def _has_line_end(names: Iterable[bytes]) -> bool:
    joined = b" ".join(names)
    return b"\n" in joined or b"\r" in joined


def _one_line(name: bytes) -> bytes:
    return name.splitlines()[0][:NAME_BYTES_MAX].decode("utf-8", "ignore").encode().rstrip()


def references(content: bytes, found: Mapping[str, Capture], known: Definitions) -> ReferenceTable:
    """Make the table of references: by name, in order of place, without the names that are declared there."""
    start, end, weight = _by_place(found)
    keep = (end > start) & (end - start <= NAME_BYTES_MAX)
    if len(known.own):
        at = np.minimum(np.searchsorted(known.own, start), len(known.own) - 1)
        keep &= known.own[at] != start
    start, end, weight = start[keep], end[keep], weight[keep]
    if "ref.import" in found:  # "stdio.h", <stdio.h>
        marked = _IS_IMPORT[weight] & _OPENS_PATH[np.frombuffer(content, np.uint8)[start]]
        marked &= end - start > 2
        start, end = start + marked, end - marked
    ids: dict[bytes, int] = defaultdict(count().__next__)
    name = np.array([ids[content[a:b]] for a, b in zip(start.tolist(), end.tolist(), strict=True)], np.int64)
    keep = np.ones(len(name), np.bool_)
    keep[_declared_around(content, ids, name, start, np.flatnonzero(_MAY_BE_LOCAL[weight]), known)] = False
    if _has_line_end(ids):
        keep &= ~np.array([_has_line_end((text,)) for text in ids], np.bool_)[name]
    return _renumbered(list(ids), name[keep], start[keep], _ROLE_OF_WEIGHT[weight[keep]])


def _by_place(found: Mapping[str, Capture]) -> tuple[I64, I64, I64]:
    """Return start, end and weight of every captured reference, one for each place, in order."""
    starts, ends, weights = [_NO_PLACES], [_NO_PLACES], [_NO_PLACES]
    for weight, name in enumerate(_REFERENCES_BY_WEIGHT):
        capture = found.get(name)
        if capture is not None:
            starts.append(np.array(capture.start, np.int64))
            ends.append(np.array(capture.end, np.int64))
            weights.append(np.full(len(capture.start), weight, np.int64))
    start = np.concatenate(starts)
    key = start * len(_REFERENCES_BY_WEIGHT) + np.concatenate(weights)
    order = np.argsort(key)
    start = start[order]
    first = np.ones(len(start), np.bool_)
    first[1:] = start[1:] != start[:-1]
    order = order[first]
    return start[first], np.concatenate(ends)[order], np.concatenate(weights)[order]


def _declared_around(
    content: bytes, ids: Mapping[bytes, int], name: I64, start: I64, places: I64, known: Definitions
) -> I64:
    """Return those of `places` whose name the same outermost function declares for itself."""
    n_names = len(ids)
    declared = [(begin, ids[text]) for begin, end in known.locals if (text := content[begin:end]) in ids]
    if not declared or not known.callables:
        return _NO_PLACES
    opens, closes = np.array(known.callables, np.int64).T
    begins, names = np.array(declared, np.int64).T
    is_local = np.zeros(n_names, np.bool_)
    is_local[names] = True
    places = places[is_local[name[places]]]

    def in_function(offsets: I64, of_names: I64) -> I64:
        function = np.searchsorted(opens, offsets, side="right") - 1
        inside = (function >= 0) & (offsets < closes[function])
        return np.where(inside, function * n_names + of_names, -1)

    within = in_function(start[places], name[places])
    return places[(within >= 0) & np.isin(within, in_function(begins, names))]


def _renumbered(texts: list[bytes], name: I64, start: I64, role: I64) -> ReferenceTable:
    """Drop names that no reference uses any more."""
    used = np.zeros(len(texts), np.bool_)
    used[name] = True
    number = np.cumsum(used) - 1
    return ReferenceTable(
        names=list(compress(texts, used.tolist())),
        name=number[name].astype(np.uint32),
        start=start.astype(np.uint32),
        role=role.astype(np.uint8),
    )


def attached(lines: Lines, found: Mapping[str, Capture]) -> Bool:
    """Mark the lines that begin inside a comment, decorator or attribute: they belong to what is below."""
    marked = np.zeros(len(lines), np.bool_)
    capture = found.get("attach")
    if capture is None or not len(lines):
        return marked
    start = np.array(capture.start, np.int64)
    end = np.maximum(np.array(capture.end, np.int64) - 1, start)  # some comments hold their line break
    first, last = lines.at(start), lines.at(np.minimum(end, lines.start[-1] - 1))
    whole = lines.first[np.minimum(first, len(lines) - 1)] == start  # not behind code
    edges = np.zeros(len(lines) + 1, np.int64)
    np.add.at(edges, first[whole], 1)
    np.add.at(edges, last[whole] + 1, -1)
    return np.cumsum(edges[:-1]) > 0
