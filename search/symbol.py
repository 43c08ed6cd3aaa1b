"""Retriever: definitions by name, and references by name.

A name is found in five ways, best first: exactly, but for case, by its beginning, by its humps (gCFN finds
getConfigFileName and get_config_file_name), by a part of it. Names of a segment are one sorted run of lines,
so exact names and beginnings are binary searches; the rest is one pass of RE2 over the lines (about 1 GB/s),
which a ranked query makes only while it has too little. `Class.method` looks for the last part and keeps the
definitions that stand in the former, or in a file or directory of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from indexer.records import F32, I64, KIND_ID, U8, Bool
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from search.budget import Budget
from search.compiled import compile_pattern
from search.facts import RootFacts, find_all
from search.matcher import Matcher, matching_lines
from search.places import Places, join_places, make_places, no_places, parents, segment_masks, spread

EXACT, FOLDED, PREFIX, HUMPS, FOLDED_PREFIX, PART = (
    1.0,
    0.9,
    0.7,
    0.65,
    0.5,
    0.4,
)  # score of each way to find a name
SMALL_BYTES = 2 << 20  # of all names: one pass over so few costs less than the binary searches
NAMES_MAX = 4_000  # names of one segment that one query follows
PLACES_MAX = 2_000  # places that one query returns, best first
ENOUGH = 50  # places after which a ranked query looks no further
CONTAINER_MISS = 0.5  # factor where only the path, not a definition, bears the container's name
HUMPS_MAX = 12

_SEPARATORS = re.compile(r"::|->|[.#/]")


@dataclass(frozen=True, slots=True)
class NameQuery:
    """What to look for in names."""

    text: str  # without containers
    containers: tuple[str, ...] = ()  # outermost first
    form: Literal["any", "exact", "regex"] = "any"
    fold: bool = True  # False: upper and lower case differ
    kinds: frozenset[str] = frozenset()  # of definitions; empty: all


def name_query(
    text: str,
    form: str = "bare",
    *,
    fold: bool = True,
    kinds: frozenset[str] = frozenset(),
) -> NameQuery:
    """Read what was written: `Class.method`, `a::b` and `obj->f` name containers, a quoted name is exact."""
    if form == "regex":
        return NameQuery(text, (), "regex", fold, kinds)
    parts = [part for part in _SEPARATORS.split(text.removesuffix("()")) if part]
    if not parts:
        parts = [text]
    return NameQuery(parts[-1], tuple(parts[:-1]), "exact" if form == "quoted" else "any", fold, kinds)


def find_definitions(
    snapshot: Snapshot,
    query: NameQuery,
    doc_mask: Bool,
    budget: Budget,
    facts: RootFacts | None = None,
    *,
    whole: bool = False,
) -> Places:
    """Return definitions whose name matches, best first, at most PLACES_MAX.

    doc_mask  bool, all documents of the snapshot
    facts     of the root, where a container may also be a file or directory
    whole     True: every match, for use as a filter; False: the costly ways only while there are few
    """
    found = no_places()
    in_path = _docs_below(facts, query) if query.containers and facts is not None else None
    small = sum(len(segment.names) for segment in snapshot.segments) < SMALL_BYTES
    for deep in (True,) if whole or small or query.form != "any" else (False, True):
        found = join_places(
            [
                _in_segment(segment, base, mask, query, deep, in_path)
                for segment, base, mask in segment_masks(snapshot, doc_mask)
                if not budget.over()
            ]
        )
        if query.containers:
            found = _contained(snapshot, found, query, facts)
        if len(found) >= ENOUGH or (len(found) and found.score.max() >= FOLDED):
            break  # who names a definition that exists does not mean names that merely contain it
    order = np.lexsort((found.start, found.doc, -found.score))
    return found.where(order if whole else order[:PLACES_MAX])


def find_references(
    snapshot: Snapshot,
    query: NameQuery,
    doc_mask: Bool,
    budget: Budget,
    roles: frozenset[int] = frozenset(),
) -> Places:
    """Return the references to a name, in order of documents; the whole name must match.

    roles  of the references; empty: all
    """
    wanted = np.array(sorted(roles), np.uint8)
    parts: list[Places] = []
    for segment, base, mask in segment_masks(snapshot, doc_mask):
        if budget.over():
            break
        for number in _whole_names(segment, query):
            docs, starts, role = segment.refs_of_name(number)
            keep = mask[docs] if not roles else mask[docs] & np.isin(role, wanted)
            start = starts[keep].astype(np.int64)
            size = len(segment.name(number))
            parts.append(make_places(docs[keep].astype(np.int64) + base, start, start + size))
    return join_places(parts)


def definitions_of_kind(snapshot: Snapshot, kinds: frozenset[str], doc_mask: Bool, budget: Budget) -> Places:
    """Return all definitions of these kinds."""
    numbers = _kind_ids(kinds)
    parts: list[Places] = []
    for segment, base, mask in segment_masks(snapshot, doc_mask):
        if budget.over():
            break
        defs = np.flatnonzero(np.isin(segment.def_kind, numbers))
        docs = segment.doc_of_def(defs).astype(np.int64)
        defs, docs = defs[mask[docs]], docs[mask[docs]]
        parts.append(_places(segment, base, defs, docs, np.ones(len(defs), np.float32)))
    return join_places(parts)


def dotted(segment: Segment, definition: int) -> str:
    """Return the name of a definition with what encloses it: Class.method; "" for -1."""
    chain = [segment.name(int(segment.def_name[d])) for d in parents(segment, definition)]
    return b".".join(reversed(chain)).decode("utf-8", "surrogateescape")


def hump_pattern(text: str) -> str | None:
    """Return the RE2 pattern of names whose words begin like the humps of `text`; None below two humps.

    A hump is an upper-case letter or a first letter, with the lower-case letters and digits after it; words
    in between may be left out. An all-lower-case text has one hump and is only a beginning.
    """
    plain = text.replace("_", "")
    humps = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]", plain)
    if len(humps) < 2 or "".join(humps) != plain or len(humps) > HUMPS_MAX:
        return None
    later = (rf"(?:[^\n]*[_-]{_either(hump)}|[^\n]*{hump[0].upper()}{hump[1:]})" for hump in humps[1:])
    return rf"_*{_either(humps[0])}" + "".join(later)


def _either(hump: str) -> str:
    first = hump[0]
    return f"[{first.lower()}{first.upper()}]{hump[1:]}" if first.isalpha() else hump


def _in_segment(
    segment: Segment, base: int, mask: Bool, query: NameQuery, deep: bool, in_path: Bool | None
) -> Places:
    if not segment.n_defs:
        return no_places()
    names, score = _names(segment, query, deep)
    if not len(names):
        return no_places()
    positions, owner = spread(segment.name_def_off, names)
    defs = segment.name_def[positions].astype(np.int64)
    docs = segment.doc_of_def(defs).astype(np.int64)
    keep = mask[docs]
    if query.kinds:
        keep &= np.isin(segment.def_kind[defs], _kind_ids(query.kinds))
    if query.containers:
        inside = _below(segment, defs, query)
        keep &= inside if in_path is None else inside | in_path[base + docs]
    return _places(segment, base, defs[keep], docs[keep], score[owner[keep]])


def _below(segment: Segment, defs: I64, query: NameQuery) -> Bool:
    """Return which definitions stand, however deep, in one that is named like the innermost container."""
    container = NameQuery(query.containers[-1], form="exact", fold=query.fold)
    named = np.array(_whole_names(segment, container), np.int64)
    inside = np.zeros(len(defs), np.bool_)
    around = segment.def_parent[defs].astype(np.int64)
    while len(named) and (some := around >= 0).any():
        inside |= some & np.isin(segment.def_name[np.maximum(around, 0)], named)
        around = np.where(some, segment.def_parent[np.maximum(around, 0)], -1)
    return inside


def _docs_below(facts: RootFacts, query: NameQuery) -> Bool:
    """Return the documents whose path has the innermost container in it; more than are meant."""
    found = find_all(facts.lowered, _encoded(query.containers[-1]).lower())
    slots = np.zeros(len(facts.alive), np.bool_)
    slots[facts.slots_at(found)] = True
    return facts.doc_mask(slots)


def _places(segment: Segment, base: int, defs: I64, docs: I64, score: F32) -> Places:
    start = segment.def_name_start[defs].astype(np.int64)
    name = segment.def_name[defs].astype(np.int64)
    size = segment.name_off[name + 1].astype(np.int64) - segment.name_off[name] - 1
    return Places(docs + base, start, start + size, np.asarray(defs, np.int64), score.astype(np.float32))


def _names(segment: Segment, query: NameQuery, deep: bool) -> tuple[I64, F32]:
    """Return the numbers of the matching names and how well each matches."""
    wanted = _encoded(query.text)
    found: dict[int, float] = {}
    if query.form == "regex":
        found = dict.fromkeys(_names_by_regex(segment, query), EXACT)
    elif query.form == "exact":
        found = dict.fromkeys(_whole_names(segment, query), EXACT)
    elif not deep:
        for number in _beginnings(segment, wanted, query.fold):
            found[number] = _score(segment.name(number), wanted, query.fold, PREFIX)
    else:
        pattern = hump_pattern(query.text)
        if pattern is not None:
            for number in islice(_with_humps(segment, pattern, query.text), NAMES_MAX):
                found[number] = _score(segment.name(number), wanted, query.fold, HUMPS)
        for number in islice(_scan(segment, _literal(wanted, query.fold), query.fold, 0), NAMES_MAX):
            value = _score(segment.name(number), wanted, query.fold, PART)
            found[number] = max(found.get(number, 0.0), value)
    numbers = np.fromiter(found, np.int64, len(found))
    return numbers, np.fromiter(found.values(), np.float32, len(found))


def _score(name: bytes, wanted: bytes, fold: bool, otherwise: float) -> float:
    """Return how well a name matches; a longer name matches less."""
    if name == wanted:
        return EXACT
    if fold and name.lower() == wanted.lower():
        return FOLDED
    base = otherwise
    if name.startswith(wanted) or (fold and wanted.islower() and name.lower().startswith(wanted)):
        base = PREFIX
    elif fold and name.lower().startswith(wanted.lower()):
        base = max(otherwise, FOLDED_PREFIX)
    return base * (0.7 + 0.3 * min(1.0, len(wanted) / max(1, len(name))))


def _beginnings(segment: Segment, wanted: bytes, fold: bool) -> Iterator[int]:
    """Yield the names that begin with `wanted`.

    Names are sorted by case, so every spelling of the first two letters is a range of its own; the ranges are
    small, and RE2 picks from them.
    """
    if not fold:
        yield from segment.names_prefix(wanted)[:NAMES_MAX]
        return
    head, left = wanted[:2], NAMES_MAX
    pattern = compile_pattern(b"\n" + re.escape(wanted), fold=True)
    for spelling in sorted({a + b for a in _cases(head[:1]) for b in _cases(head[1:])}):
        numbers = segment.names_prefix(spelling)
        if not len(numbers):
            continue
        low = int(segment.name_off[numbers.start]) - 1
        high = int(segment.name_off[numbers.stop])
        for match in islice(pattern.finditer(segment.names[low:high]), left):
            left -= 1
            yield _name_at(segment, low + match.start() + 1)


def _whole_names(segment: Segment, query: NameQuery) -> list[int]:
    """Return the names that are equal to the query, but for case where it folds, or match its pattern."""
    if query.form == "regex":
        return _names_by_regex(segment, query)
    wanted = _encoded(query.text)
    if not query.fold:
        number = segment.names_exact(wanted)
        return [number] if number >= 0 else []
    size = len(wanted)
    return [number for number in _beginnings(segment, wanted, True) if len(segment.name(number)) == size]


def _names_by_regex(segment: Segment, query: NameQuery) -> list[int]:
    matcher = Matcher(query.text, "no" if query.fold else "yes")
    hit = matching_lines(matcher, segment.names, segment.name_off.astype(np.int64))
    numbers: list[int] = np.flatnonzero(hit).tolist()
    return numbers


def _with_humps(segment: Segment, pattern: str, text: str) -> Iterator[int]:
    """Yield the names that match the pattern of their humps: only those with the first letter, or a "_"."""
    first = text.lstrip("_")[:1].encode()
    for beginning in sorted({b"_", *_cases(first)}):
        yield from _scan(segment, f"\n(?:{pattern})", False, 1, segment.names_prefix(beginning))


def _scan(segment: Segment, pattern: str, fold: bool, skip: int, among: range | None = None) -> Iterator[int]:
    """Yield the numbers of the names in which a pattern matches, each once.

    skip   bytes of the match before the name
    among  consecutive names; None: all
    """
    low, high = 0, len(segment.names)
    if among is not None:
        if not len(among):
            return
        low, high = int(segment.name_off[among.start]) - 1, int(segment.name_off[among.stop])
    last = -1
    for match in compile_pattern(_encoded(pattern), fold=fold).finditer(segment.names[low:high]):
        at = low + match.start() + skip
        if at >= len(segment.names):
            return
        number = _name_at(segment, at)
        if number > last:
            last = number
            yield number


def _name_at(segment: Segment, position: int) -> int:
    """Return the number of the name at a position of `segment.names`."""
    key = segment.name_off.dtype.type(position)
    return int(np.searchsorted(segment.name_off, key, side="right")) - 1


def _contained(snapshot: Snapshot, found: Places, query: NameQuery, facts: RootFacts | None) -> Places:
    """Keep the definitions whose containers are named so, or else whose path is."""
    score = np.zeros(len(found), np.float32)
    containers = [_encoded(name) for name in query.containers]
    owner = np.searchsorted(snapshot.seg_base, found.doc, side="right") - 1
    for i in range(len(found)):
        segment = snapshot.segments[owner[i]]
        chain = parents(segment, int(found.definition[i]))[1:]
        names = [segment.name(int(segment.def_name[d])) for d in chain]
        if _stand_in(names, containers, query.fold):
            score[i] = found.score[i]
        elif facts is not None and any(
            _stand_in(names + _path_names(path), containers, query.fold)
            for path in _paths_of(facts, int(found.doc[i]))
        ):
            score[i] = found.score[i] * CONTAINER_MISS
    keep = score > 0
    kept = found.where(keep)
    return Places(kept.doc, kept.start, kept.end, kept.definition, score[keep])


def _stand_in(names: list[bytes], containers: list[bytes], fold: bool) -> bool:
    """True if the containers, innermost last, occur in this order among the names, innermost first."""
    at = 0
    for wanted in reversed(containers):
        while at < len(names) and not _same(names[at], wanted, fold):
            at += 1
        if at == len(names):
            return False
        at += 1
    return True


def _same(name: bytes, wanted: bytes, fold: bool) -> bool:
    return name.lower() == wanted.lower() if fold else name == wanted


def _path_names(path: bytes) -> list[bytes]:
    """Return what a path can name as a container, innermost first: its stem, then its directories."""
    *directories, name = path.split(b"/")
    return [name.partition(b".")[0], *reversed(directories)]


def _paths_of(facts: RootFacts, doc: int) -> list[bytes]:
    slots = facts.view.doc_slots(np.array([doc], np.int64))
    return [path for slot in np.asarray(slots).tolist() if (path := facts.paths[slot])]


def _literal(text: bytes, fold: bool) -> str:
    """Return the pattern of a part of a name.

    Folded, k and s match their two cases and nothing beyond ASCII: RE2 is twice as fast without the Kelvin
    sign and the long s.
    """
    pattern = re.escape(text.decode("utf-8", "surrogateescape"))
    return re.sub("[ksKS]", lambda m: f"(?-i:[{m[0].lower()}{m[0].upper()}])", pattern) if fold else pattern


def _cases(letter: bytes) -> tuple[bytes, ...]:
    return (letter.lower(), letter.upper())


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _kind_ids(kinds: frozenset[str]) -> U8:
    return np.array(sorted(KIND_ID[kind] for kind in kinds), np.uint8)
