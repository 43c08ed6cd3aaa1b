"""Retriever: one hop in the graph of imports: who imports a module, and which files a file imports.

Modules are compared as module_paths.py has them. What has no file in the root, a library, is a name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np

from indexer.records import I64, ROLE_ID, Bool
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from search.budget import Budget
from search.compiled import compile_pattern
from search.facts import RootFacts
from search.module_paths import Modules, module_of_import, named
from search.places import Places, join_places, make_places, no_places, segment_masks

IMPORT = ROLE_ID["import"]


class Imports:
    """The imports of a segment: each distinct one as it is written, and as a path."""

    def __init__(self, segment: Segment) -> None:
        """Take them in; Linux 6.1, 354,000 imports of 38,000 modules: 0.2 s."""
        self.segment = segment
        refs = np.flatnonzero(segment.ref_role == IMPORT).astype(np.uint32)
        self.number: I64 = np.unique(segment.name_of_ref(refs))
        paths = [module_of_import(segment.name(number)) for number in self.number.tolist()]
        self._joined = b"\n" + b"\n".join(paths) + b"\n"
        lengths = np.fromiter((len(path) + 1 for path in paths), np.int64, len(paths))
        self._starts = 1 + np.cumsum(lengths) - lengths

    def of(self, module: bytes) -> I64:
        """Return the numbers of the names that import a module, one below it, or one that ends so."""
        escaped = re.escape(module)
        pattern = compile_pattern(rb"(?:^|/)" + escaped + rb"$|^" + escaped + rb"/", lines=True)
        at = np.fromiter((match.start() for match in pattern.finditer(self._joined)), np.int64)
        found: I64 = self.number[np.unique(np.searchsorted(self._starts, at, side="right") - 1)]
        return found


_imports: WeakKeyDictionary[Segment, Imports] = WeakKeyDictionary()


def imports_of(segment: Segment) -> Imports:
    """Return the imports of a segment; made once, segments do not change."""
    known = _imports.get(segment)
    if known is None:
        known = _imports[segment] = Imports(segment)
    return known


def find_importers(snapshot: Snapshot, module: str, doc_mask: Bool, budget: Budget) -> Places:
    """Return the places where documents of a mask (bool, all documents) import a module."""
    for wanted in named(module):
        found = join_places(
            [
                _importers(segment, base, mask, wanted)
                for segment, base, mask in segment_masks(snapshot, doc_mask)
                if not budget.over()
            ]
        )
        if len(found):
            return found
    return no_places()


def _importers(segment: Segment, base: int, mask: Bool, module: bytes) -> Places:
    parts: list[Places] = []
    for number in imports_of(segment).of(module).tolist():
        docs, starts, roles = segment.refs_of_name(number)
        keep = mask[docs] & (roles == IMPORT)
        start = starts[keep].astype(np.int64)
        size = len(segment.name(number))
        parts.append(make_places(docs[keep].astype(np.int64) + base, start, start + size))
    return join_places(parts)


def imported_files(snapshot: Snapshot, facts: RootFacts, module: str) -> I64:
    """Return the slots of the files that a file, named by its path or as a module, imports."""
    modules = facts.modules()
    found: set[int] = set()
    for slot in _files(facts, modules, module):
        for text in _imports_in(snapshot, int(facts.doc[slot])):
            found.update(each for each in modules.meant(text, facts.paths[slot], facts.alive) if each != slot)
    return np.array(sorted(found), np.int64)


def _files(facts: RootFacts, modules: Modules, module: str) -> list[int]:
    """Return the living files that a module, as a user writes it, may be."""
    for wanted in named(module):
        if found := [slot for slot in modules.ending(wanted) if facts.alive[slot]]:
            return found
    return []


def _imports_in(snapshot: Snapshot, doc: int) -> Iterator[bytes]:
    """Yield the imports of a document."""
    segment, ordinal = snapshot.locate_doc(doc)
    refs = segment.edges_of(ordinal, 0, int(segment.doc_len[ordinal]))
    refs = refs[segment.ref_role[refs] == IMPORT]
    for number in np.unique(segment.name_of_ref(refs)).tolist():
        yield segment.name(number)
