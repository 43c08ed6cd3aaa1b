"""What is known of every file of one root, as arrays: made once per generation, shared by all its queries.

Filters and signals look at languages, paths and flags of tens of thousands of files. As arrays by slot that
is microseconds a query. A new generation usually differs in a few files and takes over what did not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from indexer.records import F32, FLAG_GENERATED, I64, U8, Bool
from indexer.store.blocks import BLOCK_BYTES
from indexer.store.root_view import Paths, RootView
from indexer.store.snapshot import Snapshot
from search.compiled import compile_pattern
from search.module_paths import Modules
from search.path_terms import INSIDE_MIN, LETTER, LOWER, PathTerms, is_plain

TEST, GENERATED, VENDORED, DOCS = 1, 2, 4, 8
# Lengths that part short documents from long ones. Other cuts (12 KiB alone; 12, 24 and 64) or none are no
# faster.
TURN_BYTES = (BLOCK_BYTES, 1 << 16)
MASKS_MAX = 64  # path patterns whose answer is kept per root
WORDS_MAX = 512  # terms whose paths are kept per root

_FLAG_PATTERNS: tuple[tuple[int, Any], ...] = (
    (
        TEST,
        compile_pattern(
            rb"(?:^|/)(?:tests?|__tests__|specs?|testing|testdata|test_data|fixtures?|e2e|__mocks__|mocks)/"
            rb"|(?:^|/)(?:test_[^/\n]*|conftest\.py|[^/\n]*[._-](?:tests?|spec|unittest)\.[a-z0-9]+)$"
            rb"|(?:^|/)[^/\n]*[a-z0-9](?:Tests?|TestCase|Spec)\.[a-z]+$",
        ),
    ),
    (
        GENERATED,
        compile_pattern(
            rb"\.min\.(?:js|css)$|\.pb\.(?:go|cc|h)$|_pb2(?:_grpc)?\.pyi?$|\.(?:generated|g|gen)\.[a-z]+$"
            rb"|(?:^|/)(?:generated|__generated__|gen)/|(?:^|/)(?:package-lock\.json|[^/\n]*\.lock|go\.sum)$"
            rb"|\.bundle\.js$|(?:^|/)zz_generated[^/\n]*$",
        ),
    ),
    (
        VENDORED,
        compile_pattern(
            rb"(?:^|/)(?:vendor|vendors|vendored|_vendor|third[_-]?party|node_modules|bower_components|external"
            rb"|externals|extern|Pods|Godeps|site-packages|dist-packages)/",
        ),
    ),
    (
        DOCS,
        compile_pattern(
            rb"(?:^|/)(?:docs?|documentation|Documentation|examples?|samples?|man)/|\.(?:md|rst|adoc|txt)$"
            rb"|(?:^|/)(?:README|CHANGELOG|CHANGES|CONTRIBUTING|LICENSE|NEWS|HISTORY|AUTHORS)[^/\n]*$",
        ),
    ),
)


@dataclass
class RootFacts:
    """Arrays by slot (file of the root); dead slots have an empty path and are not in `alive`."""

    generation: int
    view: RootView
    paths: Paths
    joined: bytes  # "\\n" + every path + "\\n"
    lowered: bytes
    offsets: I64  # path i is joined[offsets[i] : offsets[i + 1] - 1]
    alive: Bool
    doc: I64  # global document, -1 for a dead slot
    languages: tuple[str, ...]  # of the snapshot
    language: I64  # index into languages, -1 for a dead slot
    flags: U8  # TEST | GENERATED | VENDORED | DOCS
    path_flags: U8  # the same from the path alone
    n_docs: int
    masks: dict[tuple[str, str, str], Bool]  # by path pattern; dead slots may be in them
    words: dict[bytes, tuple[I64, F32]]  # term -> (slots, share of the path)
    _terms: PathTerms | None = None  # of paths that these begin with
    _modules: Modules | None = None
    _names: tuple[bytes, I64] | None = None
    _names_at: I64 | None = None
    _turns: dict[bool, U8] = field(default_factory=dict)
    _by_path: I64 | None = None  # slots in order of path, perhaps only the first ones
    _place: I64 | None = None  # of each slot in that order

    def in_path_order(self, slots: I64) -> I64:
        """Return these slots in order of path."""
        if self._place is None:
            self._by_path = order = _by_path(self.paths, self._by_path)
            self._place = np.empty(len(order), np.int64)
            self._place[order] = np.arange(len(order))
        return slots[np.argsort(self._place[slots])]

    def slots_at(self, positions: I64) -> I64:
        """Return the slots whose paths stand at these positions of `joined`."""
        return np.searchsorted(self.offsets[:-1], positions, side="right") - 1

    def doc_mask(self, slots: Bool) -> Bool:
        """Return which documents of the snapshot the masked files have (bool, all documents).

        It may be shared: do not write to it.
        """
        if slots is self.alive:
            return self.view.live_docs()
        out = np.zeros(self.n_docs, np.bool_)
        out[self.doc[slots & self.alive]] = True
        return out

    def slots_of(self, docs: I64) -> I64:
        """Return all slots of some documents (each named once), in order of document."""
        return self.view.doc_slots(np.sort(docs))

    def turns(self, snapshot: Snapshot, by_length: bool) -> U8:
        """Return when a search that stops early reads each document (uint8, all documents): lowest first.

        What ranking demotes comes last. `by_length` lets short documents come before long ones: where the
        words of a query stand in a short text they more often stand together. Linux 6.1: a megabyte of
        candidates of "use after free" holds 1.6 files with it up to 16 KiB, 0.2 up to 64, 0.16 above.
        """
        known = self._turns.get(by_length)
        if known is None:
            turns = np.zeros(self.n_docs, np.uint8)
            if by_length:
                parts = [np.searchsorted(TURN_BYTES, segment.doc_len) for segment in snapshot.segments]
                turns[:] = np.concatenate([np.zeros(0, np.int64), *parts])
            demoted = np.ones(self.n_docs, np.bool_)
            demoted[self.doc[self.alive & (self.flags == 0)]] = False
            turns[demoted] += demoted_from(by_length)
            known = self._turns[by_length] = turns
        return known

    def names_joined(self) -> tuple[bytes, I64]:
        """Return the file names as `joined` and `offsets` have the paths."""
        if self._names is None:
            names = [path.rpartition(b"/")[2] for path in self.paths]
            offsets = 1 + np.cumsum(np.fromiter((len(name) + 1 for name in names), np.int64, len(names)))
            self._names = b"\n" + b"\n".join(names) + b"\n", np.concatenate(([1], offsets))
        return self._names

    def keep(self, key: tuple[str, str, str], mask: Bool) -> Bool:
        """Remember the answer of a path pattern; the oldest gives way."""
        if len(self.masks) >= MASKS_MAX:
            self.masks.pop(next(iter(self.masks)))
        mask.setflags(write=False)
        self.masks[key] = mask
        return mask

    def path_documents(self, terms: Sequence[bytes]) -> tuple[I64, F32, I64]:
        """Return the living files whose path contains each term, for one term after the other.

        Returns their documents, what the term counts in each path, and where the documents of each term end.
        """
        found = self.path_matches(terms)
        end = np.cumsum([len(slots) for slots, _ in found])
        if not len(end) or not end[-1]:
            return np.empty(0, np.int64), np.empty(0, np.float32), np.zeros(len(terms), np.int64)
        slots, share = (
            np.concatenate([slots for slots, _ in found]),
            np.concatenate([share for _, share in found]),
        )
        living = self.alive[slots]
        if not living.all():
            slots, share, end = slots[living], share[living], np.append(0, np.cumsum(living))[end]
        return self.doc[slots], share, end

    def path_matches(self, terms: Sequence[bytes]) -> list[tuple[I64, F32]]:
        """Return for each term (slots, share) of the files whose path has it as a word, or inside of one.

        1 for a whole part of the file name, 0.5 for one of a directory, half of it inside a word.
        """
        found = {term: self.words.get(term) for term in terms}
        new = [term for term, known in found.items() if known is None]
        if new:
            plain = [term for term in new if len(term) > 1 and is_plain(term)]
            made = dict(zip(plain, self._path_terms().matches(plain), strict=True)) if plain else {}
            made.update((term, self._path_matches(term)) for term in new if term not in made)
            if len(self.words) + len(made) > WORDS_MAX:
                self.words = {}  # replaced, not cleared: another thread may be reading
            self.words.update(made)
            found.update(made)
        return [known for term in terms if (known := found[term]) is not None]

    def _path_matches(self, term: bytes) -> tuple[I64, F32]:
        """Return the same of a term that is not letters and digits only, or too short to count."""
        if len(term) < 2:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        places = find_all(self.lowered, term)
        slots = self.slots_at(places)
        share = _share(self.joined, places, places + len(term), self._name_starts()[slots])
        keep = share > 0
        slots, share = slots[keep], share[keep]
        order = np.lexsort((-share, slots))
        slots, share = slots[order], share[order]
        first = np.flatnonzero(np.diff(slots, prepend=-1))
        return slots[first], share[first]

    def modules(self) -> Modules:
        """Return the files as modules, dead ones among them."""
        if self._modules is None or len(self._modules) != len(self.paths):
            self._modules = Modules(self.paths, self._modules)
        return self._modules

    def _path_terms(self) -> PathTerms:
        if self._terms is None or self._terms.n_all != len(self.paths):
            self._terms = self._terms.extended(self.paths) if self._terms else PathTerms(self.paths)
        return self._terms

    def _name_starts(self) -> I64:
        """Return where the file name of each path starts in `joined`."""
        if self._names_at is None:
            slashes = np.flatnonzero(np.frombuffer(self.joined, np.uint8) == _SLASH)
            last = np.searchsorted(slashes, self.offsets[1:], side="left") - 1
            after = slashes[np.maximum(last, 0)] + 1 if len(slashes) else np.zeros(len(last), np.int64)
            self._names_at = np.where((last >= 0) & (after > self.offsets[:-1]), after, self.offsets[:-1])
        return self._names_at


def demoted_from(by_length: bool) -> int:
    """Return the first turn of documents that ranking demotes; see RootFacts.turns."""
    return len(TURN_BYTES) + 1 if by_length else 1


def make_facts(snapshot: Snapshot, root_id: int, before: RootFacts | None = None) -> RootFacts:
    """Return the facts of a root in this snapshot, taking over from `before` what did not change."""
    view = snapshot.roots[root_id]
    doc = view.file_doc
    alive = doc >= 0
    language = np.full(len(doc), -1, np.int64)
    language[alive] = snapshot.doc_language[doc[alive]]
    if before is not None and not _extends(view, before):
        before = None
    joined, offsets = view.paths_joined()
    if before is not None and len(before.paths) == view.n:
        lowered, path_flags, masks, words = before.lowered, before.path_flags, before.masks, before.words
        place = before._place
    else:
        lowered, masks, words, place = joined.lower(), {}, {}, None
        path_flags = _path_flags(view.paths, joined, offsets, before)
    flags = path_flags.copy()
    generated = np.zeros(len(doc), np.bool_)
    generated[alive] = _generated(snapshot)[doc[alive]]
    flags[generated] |= GENERATED
    return RootFacts(
        generation=snapshot.generation,
        view=view,
        paths=view.paths,
        joined=joined,
        lowered=lowered,
        offsets=offsets,
        alive=alive,
        doc=doc,
        languages=snapshot.languages,
        language=language,
        flags=flags,
        path_flags=path_flags,
        n_docs=snapshot.n_docs,
        masks=masks,
        words=words,
        _terms=None if before is None else before._terms,
        _modules=None if before is None else before._modules,
        _by_path=None if before is None else before._by_path,
        _place=place,
    )


def _by_path(paths: Paths, known: I64 | None) -> I64:
    """Return all slots in order of path; `known`: the same of the first ones."""
    known = np.empty(0, np.int64) if known is None else known
    new = np.array(sorted(range(len(known), len(paths)), key=paths.__getitem__), np.int64)
    return np.insert(known, np.searchsorted(paths[known], paths[new]), new)


def find_all(text: bytes, needle: bytes) -> I64:
    """Return the positions of all occurrences, overlapping ones left out."""
    found: list[int] = []
    at = text.find(needle)
    while at >= 0:
        found.append(at)
        at = text.find(needle, at + len(needle))
    return np.array(found, np.int64)


def _extends(view: RootView, before: RootFacts) -> bool:
    """True if the paths known before are the first of the view; only compaction gives slots other paths."""
    n = len(before.paths)
    if view.n < n:
        return False
    return view.paths.base is before.paths.base or bool(np.array_equal(view.paths[:n], before.paths))


def _generated(snapshot: Snapshot) -> Bool:
    """Return which documents say in their first lines that they are generated, or are minified."""
    parts = [(segment.flags & FLAG_GENERATED) != 0 for segment in snapshot.segments]
    return np.concatenate([np.zeros(0, np.bool_), *parts])


def _path_flags(paths: Paths, joined: bytes, offsets: I64, before: RootFacts | None) -> U8:
    """Classify paths; those that were there before keep what they were."""
    flags = np.zeros(len(paths), np.uint8)
    first = 0
    if before is not None:
        first = len(before.paths)
        flags[:first] = before.path_flags
    part = memoryview(joined)[int(offsets[first]) :]
    for flag, pattern in _FLAG_PATTERNS:
        # A match may begin at the "/" in front of a part of a path.
        places = np.fromiter((match.start() for match in pattern.finditer(part)), np.int64) + offsets[first]
        slots = np.searchsorted(offsets[:-1], places, side="right") - 1
        flags[slots] |= flag
    return flags


def _share(joined: bytes, start: I64, end: I64, name_start: I64) -> F32:
    """Return what each occurrence of a term counts: see RootFacts.path_matches."""
    around = np.frombuffer(joined, np.uint8)
    before, first, after = around[start - 1], around[start], around[end]
    whole_start = ~LETTER[before] | (LOWER[before] & ~LOWER[first])
    whole_end = ~LETTER[after] | ~LOWER[after]
    in_name = np.where(start >= name_start, np.float32(1), np.float32(0.5))
    inside = np.where(end - start < INSIDE_MIN, np.float32(0), np.float32(0.5))
    share: F32 = in_name * np.where(whole_start & whole_end, np.float32(1), inside)
    return share


_SLASH = 47
