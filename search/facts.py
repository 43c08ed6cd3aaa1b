"""What is known of every file of one root, as arrays: made once per generation, shared by all its queries.

Filters and signals look at languages, paths and flags of tens of thousands of files. As arrays by slot that
is microseconds a query. A new generation usually differs in a few files and takes over what did not change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from indexer.records import F32, FLAG_GENERATED, I64, U8, Bool

if TYPE_CHECKING:
    from indexer.store.snapshot import RootView, Snapshot

TEST, GENERATED, VENDORED, DOCS = 1, 2, 4, 8
MASKS_MAX = 64  # path patterns whose answer is kept per root

_FLAG_PATTERNS: tuple[tuple[int, re.Pattern[bytes]], ...] = (
    (
        TEST,
        re.compile(
            rb"(?:^|/)(?:tests?|__tests__|specs?|testing|testdata|test_data|fixtures?|e2e|__mocks__|mocks)/"
            rb"|(?:^|/)(?:test_[^/\n]*|conftest\.py|[^/\n]*[._-](?:tests?|spec|unittest)\.[a-z0-9]+)$"
            rb"|(?:^|/)[^/\n]*[a-z0-9](?:Tests?|TestCase|Spec)\.[a-z]+$",
            re.MULTILINE,
        ),
    ),
    (
        GENERATED,
        re.compile(
            rb"\.min\.(?:js|css)$|\.pb\.(?:go|cc|h)$|_pb2(?:_grpc)?\.pyi?$|\.(?:generated|g|gen)\.[a-z]+$"
            rb"|(?:^|/)(?:generated|__generated__|gen)/|(?:^|/)(?:package-lock\.json|[^/\n]*\.lock|go\.sum)$"
            rb"|\.bundle\.js$|(?:^|/)zz_generated[^/\n]*$",
            re.MULTILINE,
        ),
    ),
    (
        VENDORED,
        re.compile(
            rb"(?:^|/)(?:vendor|vendors|vendored|_vendor|third[_-]?party|node_modules|bower_components|external"
            rb"|externals|extern|Pods|Godeps|site-packages|dist-packages)/",
            re.MULTILINE,
        ),
    ),
    (
        DOCS,
        re.compile(
            rb"(?:^|/)(?:docs?|documentation|Documentation|examples?|samples?|man)/|\.(?:md|rst|adoc|txt)$"
            rb"|(?:^|/)(?:README|CHANGELOG|CHANGES|CONTRIBUTING|LICENSE|NEWS|HISTORY|AUTHORS)[^/\n]*$",
            re.MULTILINE,
        ),
    ),
)


@dataclass
class RootFacts:
    """Arrays by slot (file of the root); dead slots have an empty path and are not in `alive`."""

    view: RootView
    paths: Sequence[bytes | None]
    joined: bytes  # "\\n" + every path + "\\n"
    lowered: bytes
    begin: I64  # of each path in `joined`
    alive: Bool
    doc: I64  # global document, -1 for a dead slot
    languages: tuple[str, ...]  # of the snapshot
    language: I64  # index into languages, -1 for a dead slot
    flags: U8  # TEST | GENERATED | VENDORED | DOCS
    path_flags: U8  # the same from the path alone
    n_docs: int
    masks: dict[tuple[str, str, bool], Bool] = field(default_factory=dict)
    words: dict[bytes, tuple[I64, F32]] = field(default_factory=dict)  # term -> (slots, share of the path)

    def slots_at(self, positions: I64) -> I64:
        """Return the slots whose paths stand at these positions of `joined`."""
        return np.searchsorted(self.begin, positions, side="right") - 1

    def doc_mask(self, slots: Bool) -> Bool:
        """Return which documents of the snapshot the masked files have (bool, all documents)."""
        out = np.zeros(self.n_docs, np.bool_)
        out[self.doc[slots & self.alive]] = True
        return out

    def keep(self, key: tuple[str, str, bool], mask: Bool) -> Bool:
        """Remember the answer of a path pattern; the oldest gives way."""
        if len(self.masks) >= MASKS_MAX:
            self.masks.pop(next(iter(self.masks)))
        mask.setflags(write=False)
        self.masks[key] = mask
        return mask

    def path_matches(self, term: bytes) -> tuple[I64, F32]:
        """Return (slots, share) of the files whose path contains the term as a word, or inside of one.

        1 for a whole part of the file name, 0.5 for one of a directory, half of it inside a word.
        """
        known = self.words.get(term)
        if known is None:
            if len(self.words) >= 4 * MASKS_MAX:
                self.words.clear()
            known = self.words[term] = self._path_matches(term)
        return known

    def _path_matches(self, term: bytes) -> tuple[I64, F32]:
        if len(term) < 2:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        places = find_all(self.lowered, term)
        share = np.fromiter(
            (_share(self.joined, at, at + len(term)) for at in places.tolist()), np.float32, len(places)
        )
        slots = self.slots_at(places)
        keep = share > 0
        slots, share = slots[keep], share[keep]
        order = np.lexsort((-share, slots))
        slots, share = slots[order], share[order]
        first = np.flatnonzero(np.diff(slots, prepend=-1))
        return slots[first], share[first]


def make_facts(snapshot: Snapshot, root_id: int, before: RootFacts | None = None) -> RootFacts:
    """Return the facts of a root in this snapshot, taking over from `before` what did not change."""
    view = snapshot.roots[root_id]
    alive = np.asarray(view.file_doc) >= 0
    doc = np.asarray(view.file_doc, np.int64)
    names, doc_language, doc_generated = _documents(snapshot)
    language = np.full(len(doc), -1, np.int64)
    language[alive] = doc_language[doc[alive]]
    same = before is not None and (before.paths is view.paths or before.paths == view.paths)
    if before is not None and same:
        joined, lowered, begin, path_flags = before.joined, before.lowered, before.begin, before.path_flags
    else:
        joined, begin = _join(view.paths)
        lowered = joined.lower()
        path_flags = _path_flags(view.paths, joined, begin, before)
    flags = path_flags.copy()
    generated = alive.copy()
    generated[alive] = doc_generated[doc[alive]]
    flags[generated] |= GENERATED
    facts = RootFacts(
        view,
        view.paths,
        joined,
        lowered,
        begin,
        alive,
        doc,
        names,
        language,
        flags,
        path_flags,
        snapshot.n_docs,
    )
    if before is not None and same:
        facts.masks, facts.words = before.masks, before.words
    return facts


def find_all(text: bytes, needle: bytes) -> I64:
    """Return the positions of all occurrences, overlapping ones left out."""
    found: list[int] = []
    at = text.find(needle)
    while at >= 0:
        found.append(at)
        at = text.find(needle, at + len(needle))
    return np.array(found, np.int64)


def _join(paths: Sequence[bytes | None]) -> tuple[bytes, I64]:
    joined = b"\n" + b"\n".join(path or b"" for path in paths) + b"\n"
    length = np.fromiter((len(path) if path else 0 for path in paths), np.int64, len(paths))
    return joined, 1 + np.cumsum(length + 1) - (length + 1)


def _documents(snapshot: Snapshot) -> tuple[tuple[str, ...], I64, Bool]:
    """Return (language names, language of each document, whether it says it is generated)."""
    numbers: dict[str, int] = {}
    language = [np.empty(0, np.int64)]
    generated = [np.empty(0, np.bool_)]
    for segment in snapshot.segments:
        table = np.array([numbers.setdefault(name, len(numbers)) for name in segment.languages], np.int64)
        language.append(table[segment.doc_language] if len(table) else np.zeros(0, np.int64))
        generated.append((segment.doc_flags & FLAG_GENERATED) != 0)
    return tuple(numbers), np.concatenate(language), np.concatenate(generated)


def _path_flags(paths: Sequence[bytes | None], joined: bytes, begin: I64, before: RootFacts | None) -> U8:
    """Classify paths; those that did not change keep what they were."""
    flags = np.zeros(len(paths), np.uint8)
    if before is None:
        for flag, pattern in _FLAG_PATTERNS:
            places = np.fromiter((match.start() for match in pattern.finditer(joined)), np.int64)
            # A match may begin at the "\n" or "/" in front of a path's part.
            slots = np.searchsorted(begin, places, side="right") - 1
            flags[slots[slots >= 0]] |= flag
        return flags
    n = min(len(paths), len(before.paths))
    flags[:n] = before.path_flags[:n]
    changed = [i for i in range(n) if paths[i] is not before.paths[i] and paths[i] != before.paths[i]]
    for slot in [*changed, *range(n, len(paths))]:
        path = paths[slot] or b""
        flags[slot] = sum(flag for flag, pattern in _FLAG_PATTERNS if pattern.search(path))
    return flags


def _share(joined: bytes, start: int, end: int) -> float:
    first, last = joined[start - 1], joined[end]
    whole_start = not _is_letter(first) or (_is_lower(first) and not _is_lower(joined[start]))
    whole_end = not _is_letter(last) or not _is_lower(last)
    in_name = joined.find(b"/", end, joined.find(b"\n", end)) < 0
    if whole_start and whole_end:
        return 1.0 if in_name else 0.5
    if end - start < 4:
        return 0.0
    return 0.5 if in_name else 0.25


def _is_letter(byte: int) -> bool:
    return 65 <= byte <= 90 or 97 <= byte <= 122 or byte >= 0x80


def _is_lower(byte: int) -> bool:
    return 97 <= byte <= 122 or byte >= 0x80
