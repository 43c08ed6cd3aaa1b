"""The boolean tree of a plan -> which files of the root it admits, and the places that made it so.

Every term is asked only about the files that the terms before it left (masks by slot; contents by document,
for a document may stand under several paths). What a positive term finds is kept as evidence: it becomes the
candidates for ranking, so nothing is searched twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol, SupportsInt

import numpy as np

from indexer.records import F32, I64, KIND_ID, Bool
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from search.answer import StepReport
from search.budget import Budget
from search.candidates import TrigramFilter, as_ordinals
from search.example import Code
from search.facts import RootFacts, demoted_from
from search.far import Elsewhere
from search.filters import Surroundings, field_mask
from search.graph import find_callees, find_callers
from search.lexical import Scored, TermLists, query_terms
from search.lexis import in_places
from search.lines import LineFinder
from search.matcher import Matcher
from search.modules import find_importers, imported_files
from search.places import (
    Places,
    by_segment,
    chunk_places,
    definitions_at,
    make_places,
    segment_masks,
)
from search.plan import (
    RANKED_SET,
    Both,
    Case,
    Either,
    FileTest,
    Hop,
    Names,
    Node,
    OfKind,
    Plan,
    Ranked,
    Text,
    Without,
)
from search.query import Meaning, Similar
from search.reading import Reading
from search.regex_syntax import can_be_empty
from search.regex_trigrams import TrigramQuery, conjunction
from search.second import SecondMeaning
from search.symbol import definitions_of_kind, find_definitions, find_references, name_query
from search.text import Order, TextMatches, search_docs

QUALIFIED_PER_DOC = 10_000  # matches of one document that `in:` and `kind:` choose from


class RankedRetriever(Protocol):
    """Ranks chunks (global numbers) among the documents of a mask, best first."""

    def rank(self, term: Meaning | Similar, doc_mask: Bool, n: int) -> tuple[I64, F32]:
        """Return the n best chunks by vectors and words together, and their scores."""
        ...

    def nearest(self, term: Meaning | Similar, doc_mask: Bool, n: int) -> tuple[I64, F32]:
        """Return the n nearest chunks by vector, and their scores."""
        ...

    def alike(self, term: Similar, doc_mask: Bool, n: int) -> tuple[tuple[I64, F32], Scored]:
        """Return the n best chunks by vectors, and the n best by the words of the code."""
        ...

    def terms_of(self, term: Meaning | Similar) -> TermLists:
        """Return the words of a term that are looked up."""
        ...

    def code_of(self, term: Meaning | Similar) -> Code:
        """Return the code that others shall be like, of a Similar."""
        ...

    def as_wholes(self, text: str, docs: I64) -> F32:
        """Return the cosine of a text and each document as a whole; -inf where there is no vector."""
        ...

    @property
    def second(self) -> SecondMeaning:
        """The second model."""
        ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one positive term found."""

    name: Literal["text", "symbol", "reference", "semantic"]
    places: Places
    term: Node
    chunks: I64 | None = None  # of a ranked term: places are whole chunks


@dataclass
class Search:
    """What the steps of one query share."""

    snapshot: Snapshot
    facts: RootFacts
    budget: Budget
    around: Surroundings
    ranked: RankedRetriever
    case: Case = "smart"
    per_doc: int = 10  # matches kept of one document
    lines_max: int = 10  # lines that are shown at most
    text_budget_ms: float = 2000.0
    elsewhere: Elsewhere | None = None  # where much text is searched
    reading: Reading = field(init=False)
    evidence: list[Evidence] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)  # why the answer is incomplete
    _terms: dict[tuple[str, ...], TermLists] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reading = Reading(self.snapshot)

    def terms_of(self, words: tuple[str, ...]) -> TermLists:
        """Return the terms of some words of the query, the same ones for all steps."""
        known = self._terms.get(words)
        if known is None:
            known = self._terms[words] = TermLists(self.snapshot, query_terms(words))
        return known

    def step(
        self, name: str, started_ms: float, candidates: SupportsInt, kept: SupportsInt, note: str = ""
    ) -> None:
        """Record a step for --explain."""
        ms = round(self.budget.spent_ms() - started_ms, 3)
        self.steps.append(StepReport(name, int(candidates), int(kept), ms, note))

    def stop(self, reason: str) -> None:
        """Say why the answer may lack something, once."""
        if reason not in self.stops:
            self.stops.append(reason)


def admitted(plan: Plan, scope: Bool, search: Search, docs_max: int | None) -> Bool:
    """Return which files filters and tree admit (bool, by slot); evidence is left in `search`.

    scope     the files that may answer at all
    docs_max  of the last text term, where nothing after it needs more
    """
    slots = scope
    for node in plan.filters:
        slots = _holds(node, slots, search)
    children = plan.tree.children if isinstance(plan.tree, Both) else (plan.tree,)
    last = len(children) - 1
    strongest = _conjunction(children, search.case)
    for i, child in enumerate(children):
        if not slots.any():
            break
        if search.budget.over():
            search.stop("budget: the deadline passed before every term was tried")
            slots = np.zeros_like(slots)
            break
        if isinstance(child, Text):
            slots = _text(child, slots, search, True, strongest, docs_max if i == last else None)
        else:
            slots = _holds(child, slots, search)
    return slots


@lru_cache(maxsize=512)
def matcher_of(text: str, regex: bool, case: Case) -> Matcher:
    """Return the matcher of a text term; compiled once."""
    return Matcher(text, case) if regex else Matcher.literal(text, case)


def estimate_docs(snapshot: Snapshot, term: Text, case: Case) -> int | None:
    """Return about how many documents contain a text: its rarest trigram's; None if it has none."""
    query = matcher_of(term.text, term.regex, case).query
    return _estimate(snapshot, query)


def restrict_to_kinds(snapshot: Snapshot, places: Places, kinds: frozenset[str]) -> Places:
    """Keep the places in (or at) a definition of these kinds, however deep inside."""
    found = definitions_at(snapshot, places.doc, places.start)
    keep = np.zeros(len(places), np.bool_)
    for segment, _, positions, _ordinals in by_segment(snapshot, places.doc):
        keep[positions] = _inside(segment, found[positions], kinds)
    return places.where(keep)


def chunks_of_kinds(snapshot: Snapshot, chunks: I64, kinds: frozenset[str]) -> Bool:
    """Return which chunks (global numbers) show, or stand in, a definition of these kinds."""
    keep = np.zeros(len(chunks), np.bool_)
    owner = np.searchsorted(snapshot.chunk_base, chunks, side="right") - 1
    for number in np.unique(owner).tolist():
        segment = snapshot.segments[number]
        positions = np.flatnonzero(owner == number)
        local = chunks[positions] - int(snapshot.chunk_base[number])
        keep[positions] = _inside(segment, segment.chunk_def[local].astype(np.int64), kinds)
    return keep


def _inside(segment: Segment, defs: I64, kinds: frozenset[str]) -> Bool:
    """Return which definitions are of these kinds, or stand in one that is; -1 is none."""
    wanted = np.array([KIND_ID[kind] for kind in sorted(kinds)], np.uint8)
    inside = np.zeros(len(defs), np.bool_)
    while (some := defs >= 0).any():
        inside |= some & np.isin(segment.def_kind[np.maximum(defs, 0)], wanted)
        defs = np.where(some, segment.def_parent[np.maximum(defs, 0)], -1)
    return inside


@dataclass(frozen=True, slots=True)
class TextFound:
    """What a text search found."""

    places: Places
    docs: int
    candidates: int  # documents that were read
    reason: str  # why it stopped early: "time" or "documents"; else ""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a text search has found enough."""

    docs_max: int
    lines_max: int | None = None  # that will be shown
    first: I64 | None = None  # documents that come before all others; None: in the order they are stored


def search_texts(
    matcher: Matcher,
    mask: Bool,
    search: Search,
    limits: Limits | None,
    per_doc: int,
    query: TrigramQuery | None = None,
    finder: LineFinder | None = None,
) -> TextFound:
    """Search the documents of a mask; with limits, those that ranking does not demote come first."""
    order = None
    if limits is not None:
        best = limits.first is not None
        first = np.empty(0, np.int64) if limits.first is None else limits.first
        turns = search.facts.turns(search.snapshot, by_length=best)
        order = Order(turns, demoted_from(best), first, crowded=best)
    found = search_docs(
        search.snapshot,
        matcher,
        mask,
        search.budget.part(search.text_budget_ms),
        docs_max=None if limits is None else limits.docs_max,
        lines_max=None if limits is None else limits.lines_max,
        per_doc=per_doc,
        order=order,
        finder=finder,
        query=query,
        reading=search.reading,
        elsewhere=search.elsewhere,
    )
    return TextFound(places_of(found), len(found), found.candidates, found.reason)


def places_of(found: TextMatches) -> Places:
    """Return the matches of a text search; the more of them a document has, the higher they score."""
    counts = np.diff(found.offsets)
    score = np.repeat(1 + 0.25 * np.log2(np.maximum(counts, 1)), counts)
    return make_places(found.match_docs(), found.start, found.end, score=score)


def _holds(node: Node, slots: Bool, search: Search, positive: bool = True) -> Bool:
    """Return which of `slots` a node admits."""
    search.budget.check()
    match node:
        case FileTest():
            return _file_test(node, slots, search)
        case Text():
            return _text(node, slots, search, positive, None, None)
        case Names() | OfKind():
            return _names(node, slots, search, positive)
        case Hop():
            return _hop(node, slots, search, positive)
        case Ranked():
            return _ranked(node, slots, search, positive)
        case Both(children):
            for child in children:
                if slots.any():
                    slots = _holds(child, slots, search, positive)
            return slots
        case Either(children):
            out = np.zeros_like(slots)
            for child in children:
                out |= _holds(child, slots, search, positive)
            return out
        case Without(child):
            return slots & ~_holds(child, slots, search, False)


def _file_test(node: FileTest, slots: Bool, search: Search) -> Bool:
    start = search.budget.spent_ms()
    out = slots & field_mask(node.field, search.facts, search.around, search.case)
    search.step(str(node), start, np.count_nonzero(slots), np.count_nonzero(out))
    return out


def _text(
    node: Text,
    slots: Bool,
    search: Search,
    positive: bool,
    stronger: TrigramQuery | None,
    docs_max: int | None,
) -> Bool:
    start = search.budget.spent_ms()
    matcher = matcher_of(node.text, node.regex, search.case)
    mask = search.facts.doc_mask(slots)
    qualified = bool(node.places or node.kinds)
    per_doc = QUALIFIED_PER_DOC if qualified else search.per_doc if positive else 1
    stronger = stronger if positive else None
    limits = found = None
    if docs_max is not None:
        limits = Limits(docs_max, search.lines_max, _defining(node, mask, search))
        found = _found_in_lines(node, mask, search, limits, per_doc, stronger)
    if found is None:
        found = search_texts(matcher, mask, search, limits, per_doc, stronger)
    places = found.places
    if node.places:
        places = _in_places(search.snapshot, places, node.places)
    if node.kinds:
        places = restrict_to_kinds(search.snapshot, places, node.kinds)
    docs = places.doc
    note = ""
    if found.reason:
        note = f"stopped: {found.reason}"
        if found.reason == "time":
            search.stop(f"budget: {node} read {found.candidates} files in {search.text_budget_ms:.0f} ms")
        else:
            search.stop(f"budget: stopped after {found.docs} files with {node}")
        if not positive:  # what was not read may match: nothing of it may be admitted
            docs = np.flatnonzero(_candidates(search.snapshot, matcher, mask))
    out = _with_docs(docs, slots, search)
    search.step(str(node), start, found.candidates, np.count_nonzero(out), note)
    if positive:
        search.evidence.append(Evidence("text", places, node))
    return out


def _found_in_lines(
    node: Text, mask: Bool, search: Search, limits: Limits, per_doc: int, query: TrigramQuery | None
) -> TextFound | None:
    """Return matches of a pattern that may go over lines, as far as they do not; None if those are too few.

    Single lines are searched twice as fast, so this is tried where candidates are many.
    """
    finder = within_lines(node.text, search.case) if node.regex else None
    if finder is None:
        return None
    candidates = estimate_docs(search.snapshot, node, search.case)
    if candidates is not None and candidates < MANY:
        return None
    found = search_texts(
        matcher_of(node.text, True, search.case), mask, search, limits, per_doc, query, finder
    )
    return found if found.reason else None


MANY = 512  # candidates of a pattern, from which on it is tried line by line first


@lru_cache(maxsize=512)
def within_lines(pattern: str, case: Case) -> LineFinder | None:
    """Return what finds the matches of a pattern that hold no newline; None if no match holds one."""
    matcher = matcher_of(pattern, True, case)
    if not matcher.newline or matcher.by_itself or matcher.node is None or can_be_empty(matcher.node):
        return None
    return LineFinder(Matcher(pattern, case, lines=True))


def _defining(node: Text, mask: Bool, search: Search) -> I64:
    """Return documents that define the name which a text is, if it is one: the best of them must be read."""
    name = _NAME.fullmatch(node.text) if node.regex else _NAME_ALONE.fullmatch(node.text)
    if name is None:
        return np.empty(0, np.int64)
    spelled = name[1].encode()
    parts = [np.empty(0, np.int64)]
    for segment, base in zip(search.snapshot.segments, search.snapshot.seg_base.tolist(), strict=False):
        number = segment.names_exact(spelled)
        if number >= 0:
            parts.append(segment.doc_of_def(segment.defs_of_name(number)).astype(np.int64) + base)
    docs = np.unique(np.concatenate(parts))
    docs = docs[mask[docs]]
    turns = search.facts.turns(search.snapshot, by_length=False)
    return np.sort(docs[np.argsort(turns[docs], kind="stable")][:DEFINING_MAX])


DEFINING_MAX = 8  # documents that are read first because they define what is looked for
_NAME = re.compile(r"(?:\\b)?([A-Za-z_][A-Za-z_0-9]{2,})(?:\\b)?")  # a pattern that is a name
_NAME_ALONE = re.compile(r"([A-Za-z_][A-Za-z_0-9]{2,})")


def _names(node: Names | OfKind, slots: Bool, search: Search, positive: bool) -> Bool:
    start = search.budget.spent_ms()
    mask = search.facts.doc_mask(slots)
    name: Literal["symbol", "reference"] = "symbol"
    if isinstance(node, OfKind):
        places = definitions_of_kind(search.snapshot, node.kinds, mask, search.budget)
    else:
        query = name_query(
            node.text, node.form, fold=_folds(node.text, search.case, node.role), kinds=node.kinds
        )
        if node.role == "ref":
            name = "reference"
            places = find_references(search.snapshot, query, mask, search.budget)
        else:
            places = find_definitions(search.snapshot, query, mask, search.budget, search.facts, whole=True)
    if search.budget.over():
        search.stop(f"budget: the deadline passed in {node}")
    out = _with_docs(places.doc, slots, search)
    search.step(str(node), start, len(places), np.count_nonzero(out))
    if positive:
        search.evidence.append(Evidence(name, places, node))
    return out


def _hop(node: Hop, slots: Bool, search: Search, positive: bool) -> Bool:
    """Return the files in which a hop ends; imported files stand for themselves, so they leave no places."""
    start = search.budget.spent_ms()
    snapshot, facts, budget = search.snapshot, search.facts, search.budget
    mask = facts.doc_mask(slots)
    query = name_query(node.text, "quoted", fold=_folds(node.text, search.case, "ref"))
    name: Literal["symbol", "reference"] = "reference"
    places = None
    match node.name:
        case "callers":
            places = find_callers(snapshot, query, mask, budget)
        case "callees":
            name, places = "symbol", find_callees(snapshot, query, facts, mask, budget)
        case "imports":
            places = find_importers(snapshot, node.text, mask, budget)
        case _:
            found = imported_files(snapshot, facts, node.text)
    if budget.over():
        search.stop(f"budget: the deadline passed in {node}")
    if places is None:
        out = np.zeros(len(slots), np.bool_)
        out[found] = slots[found]
    else:
        out = _with_docs(places.doc, slots, search)
        if positive:
            search.evidence.append(Evidence(name, places, node))
    search.step(str(node), start, np.count_nonzero(slots), np.count_nonzero(out))
    return out


def _ranked(node: Ranked, slots: Bool, search: Search, positive: bool) -> Bool:
    start = search.budget.spent_ms()
    chunks, places = ranked_places(node, search.facts.doc_mask(slots), search, RANKED_SET)
    out = _with_docs(places.doc, slots, search)
    search.step(str(node), start, len(chunks), np.count_nonzero(out), f"best {RANKED_SET} chunks")
    if positive:
        search.evidence.append(Evidence("semantic", places, node, chunks))
    return out


def ranked_places(node: Ranked, mask: Bool, search: Search, n: int) -> tuple[I64, Places]:
    """Return the best chunks of a ranked term within a mask of documents."""
    chunks, scores = search.ranked.rank(node.term, mask, n)
    docs, starts, ends = chunk_places(search.snapshot, chunks)
    return chunks, make_places(docs, starts, ends, score=scores)


def _folds(text: str, case: Case, role: str) -> bool:
    """Definitions are found in any case and ranked by it, unless case:yes; references as texts are."""
    if case != "smart" or role == "def":
        return case != "yes"
    return not any(c.isupper() for c in text)


def _with_docs(docs: I64, slots: Bool, search: Search) -> Bool:
    """Return which of `slots` are paths of some documents."""
    owned = search.facts.slots_of(np.unique(docs))
    out = np.zeros(len(slots), np.bool_)
    out[owned] = slots[owned]
    return out


def _in_places(snapshot: Snapshot, places: Places, wanted: frozenset[str]) -> Places:
    """Keep the matches that begin in a comment, a string, or code."""
    keep = np.zeros(len(places), np.bool_)
    for segment, _, positions, ordinals in by_segment(snapshot, places.doc):
        for ordinal in np.unique(ordinals).tolist():
            at = positions[ordinals == ordinal]
            content = segment.doc_bytes(ordinal)
            keep[at] = in_places(segment.language_name(ordinal), content, places.start[at], wanted)
    return places.where(keep)


def _candidates(snapshot: Snapshot, matcher: Matcher, mask: Bool) -> Bool:
    """Return the documents that the trigrams of a matcher do not rule out."""
    out = np.zeros(len(mask), np.bool_)
    narrow = TrigramFilter(matcher.query)
    for segment, base, _ in segment_masks(snapshot, mask):
        ordinals = narrow.candidates(segment, as_ordinals(mask, base, segment.n_docs))
        if ordinals is None:
            out[base : base + segment.n_docs] = mask[base : base + segment.n_docs]
        else:
            out[base + ordinals] = True
    return out


def _conjunction(children: Iterable[Node], case: Case) -> TrigramQuery | None:
    """Return what the trigrams of a document must fulfil for all text terms at once."""
    queries = [matcher_of(c.text, c.regex, case).query for c in children if isinstance(c, Text)]
    return conjunction(queries) if len(queries) > 1 else None


def _estimate(snapshot: Snapshot, query: TrigramQuery) -> int | None:
    if query.op == "all":
        return None
    if query.op == "none":
        return 0
    counts = [sum(s.trigram_count(key) for s in snapshot.segments) for key in sorted(query.keys)[:16]]
    parts = [_estimate(snapshot, part) for part in query.parts[:16]]
    if query.op == "or":
        return None if None in parts else sum(counts) + sum(part for part in parts if part is not None)
    known = counts + [part for part in parts if part is not None]
    return min(known) if known else None
