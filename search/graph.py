"""Retriever: one hop in the graph of calls, by name: no compiler is asked, a call means what bears its name.

    callers   the calls of a name, each with the definition it stands in
    callees   the definitions that the calls inside of a definition name

Of several definitions with the name that is called, those in the same file are meant; else all are, and each
scores less the more there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from indexer.records import ROLE_ID, Bool
from indexer.store.snapshot import Snapshot
from search.budget import Budget
from search.facts import RootFacts
from search.places import Places, join_places
from search.symbol import NameQuery, find_definitions, find_references

CALL = ROLE_ID["call"]
CALLABLE = frozenset(
    ("function", "method", "macro", "test", "class", "struct", "enum", "type", "trait", "interface")
)
ORIGINS_MAX = 1_000  # definitions whose callees are looked for
SAME_FILE = 1.0  # score of a callee in the file of its caller
ELSEWHERE = 0.8  # of one that stands anywhere else, by the number of those with its name


def find_callers(snapshot: Snapshot, query: NameQuery, doc_mask: Bool, budget: Budget) -> Places:
    """Return the calls of a name in the documents of a mask (bool, all documents)."""
    return find_references(snapshot, query, doc_mask, budget, frozenset({CALL}))


def find_callees(
    snapshot: Snapshot, query: NameQuery, facts: RootFacts, doc_mask: Bool, budget: Budget
) -> Places:
    """Return the definitions that those of a name, anywhere in the root, call; best first.

    doc_mask  bool, all documents: where the callees may stand
    """
    everywhere = facts.doc_mask(facts.alive)
    origins = find_definitions(snapshot, query, everywhere, budget, facts, whole=True)
    origins = origins.where(slice(ORIGINS_MAX))
    called: dict[bytes, set[int]] = {}
    for doc, names in _calls(snapshot, origins):
        for name in names:
            called.setdefault(name, set()).add(doc)
    parts: list[Places] = []
    for name, docs in called.items():
        if budget.over():
            break
        exactly = NameQuery(name.decode("utf-8", "surrogateescape"), (), "exact", False, CALLABLE)
        parts.append(_meant(find_definitions(snapshot, exactly, everywhere, budget, whole=True), docs))
    found = join_places([part for part in parts if len(part)])
    found = found.where(np.flatnonzero(doc_mask[found.doc]))
    return found.where(np.lexsort((found.start, found.doc, -found.score)))


def _calls(snapshot: Snapshot, origins: Places) -> Iterator[tuple[int, set[bytes]]]:
    """Yield the document of each origin and the names that it calls."""
    for doc, definition in zip(origins.doc.tolist(), origins.definition.tolist(), strict=True):
        segment, ordinal = snapshot.locate_doc(doc)
        low, high = int(segment.def_start[definition]), int(segment.def_end[definition])
        refs = segment.edges_of(ordinal, low, high)
        refs = refs[segment.ref_role[refs] == CALL]
        names = np.unique(segment.name_of_ref(refs))
        yield doc, {segment.name(number) for number in names.tolist()}


def _meant(found: Places, callers: set[int]) -> Places:
    """Return the definitions that a call from these documents means."""
    here = np.isin(found.doc, np.fromiter(callers, np.int64, len(callers)))
    chosen = found.where(here) if here.any() else found
    score = SAME_FILE if here.any() else ELSEWHERE / max(1, len(found))
    return Places(
        chosen.doc, chosen.start, chosen.end, chosen.definition, np.full(len(chosen), score, np.float32)
    )
