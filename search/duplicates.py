"""Near-duplicates of a function in all roots: definitions and chunks that share most of its token runs.

    exact       share of the runs of five tokens, as they stand; 1 for a copy, however it is indented
    shape       the same with every name, number and string replaced: 1 for a copy that was renamed throughout
    similarity  the greater of the two

Candidates come from the posting lists of the code's words (`copies`), from the nearest vectors and from the
best chunks by its rarest words; all are read and compared. Of what is like the code as it stands (`exact`)
nothing is missed: every definition, and every chunk that shows none, whose exact share reaches the threshold
is found. A renamed copy is found where its chunk is among the nearest, which no list can promise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from config.errors import NoSuchRoot, UsageError
from config.settings import Settings
from indexer.languages import resolve
from indexer.records import KINDS, Bool
from indexer.store.board import RootState
from indexer.store.snapshot import Snapshot
from indexer.words import IS_WORD
from search import semantic, similar
from search.answer import Line, Shown
from search.block import block_around
from search.budget import Budget
from search.copies import TooCommon, Units, sharing, units_of_chunks
from search.example import code_of
from search.facts import RootFacts
from search.filters import language_mask, prefix_mask
from search.lexical import TermLists, best_chunks
from search.live import Disk, find_name, same_line
from search.meaning import Meanings
from search.reading import Reading
from search.shingles import TOKENS_MIN, Tokens, share, tokens
from search.snippet import column, line_number, line_span, lines_around
from search.symbol import dotted
from search.trust import States, trust

THRESHOLD = 0.7
NEAR = 100  # chunks by vectors, and as many by words, in which renamed copies are looked for
LENGTH_RATIO = 4  # a renamed copy is at most so many times as long, or as short
CONTEXT = 2  # lines shown below the first one, where the request asks for no context
LATE_MS = 50.0  # past the deadline, for showing what was found within it


@dataclass(frozen=True, slots=True)
class DuplicatesRequest:
    """One question: what is nearly this code."""

    shown: Shown
    below: str = ""  # an absolute path, with a "/" behind a directory: only hits there; "" is everywhere
    threshold: float = THRESHOLD
    limit: int = 10
    languages: tuple[str, ...] = ()
    context: int = 0
    deadline_ms: int = 5000


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A definition or a chunk that is nearly the code, as it stands on the disk."""

    root: str
    path: str  # relative to the root; undecodable bytes as surrogate escapes
    line: int  # 1-based
    column: int  # 1-based, in characters
    start_line: int  # of the definition or the chunk
    end_line: int
    kind: str  # "symbol", or "line" for a chunk
    symbol: str
    symbol_kind: str
    language: str
    score: float  # the similarity again, which makes the order
    similarity: float  # 0..1
    lines: tuple[Line, ...]
    signals: dict[str, float]  # exact, shape
    live: bool = False  # read from disk because the index was behind
    also: tuple[str, ...] = ()  # empty: files with the same content are hits of their own


@dataclass(frozen=True, slots=True)
class DuplicatesAnswer:
    """Duplicates, best first, and how far they can be trusted: as search.answer.Answer."""

    hits: tuple[Duplicate, ...]
    total: int  # places found in the index, those beyond the limit too
    compared: int  # units that were read
    threshold: float
    generation: int
    fresh: bool
    incomplete: str
    warnings: tuple[str, ...]
    files_searched: int
    ms: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much of the code a unit shares."""

    exact: float
    shape: float

    @property
    def similarity(self) -> float:
        """The greater share."""
        return max(self.exact, self.shape)

    @property
    def turn(self) -> tuple[bool, float, float]:
        """What hits are sorted by: copies first, then the most similar, then the most exact."""
        return self.exact < 1, -self.similarity, -self.exact


@dataclass(frozen=True, slots=True)
class _Found:
    """A unit that reaches the threshold."""

    doc: int
    start: int
    end: int
    definition: int
    like: Likeness


@dataclass(frozen=True, slots=True)
class _At:
    """A file that has the content of a found unit."""

    root_id: int
    slot: int
    found: _Found


class Duplicates:
    """Answers one question in one snapshot."""

    def __init__(
        self,
        request: DuplicatesRequest,
        snapshot: Snapshot,
        facts_of: Callable[[int], RootFacts],
        meanings: Meanings,
        settings: Settings,
        budget: Budget,
    ) -> None:
        """Raises UsageError where there is no code to compare with."""
        if not 0 < request.threshold <= 1:
            raise UsageError(f"the threshold is {request.threshold:g}; it lies above 0 and goes up to 1")
        self._request = request
        self._snapshot = snapshot
        self._meanings = meanings
        self._settings = settings
        self._budget = budget
        self._facts = {root_id: facts_of(root_id) for root_id in snapshot.roots}
        file_bytes_max = settings.index.file_bytes_max
        self._code = code_of(request.shown, snapshot, self._facts.__getitem__, file_bytes_max)
        n = len(tokens(self._code.language, self._code.content))
        if n < TOKENS_MIN:
            mend = f"fewer than {TOKENS_MIN} are everywhere; choose a longer piece"
            raise UsageError(f"this code has {n} token{'' if n == 1 else 's'}, and {mend}")
        self._disks = {root_id: Disk(facts, file_bytes_max) for root_id, facts in self._facts.items()}
        self._slots = {root_id: _scope(request, facts) for root_id, facts in self._facts.items()}
        if not any(_is_asked(request, facts) for facts in self._facts.values()):
            place = f"in {request.below} " if request.below else ""
            raise NoSuchRoot(f"there is no indexed root {place}to search; `searchd add DIRECTORY` adds one")
        self._reading = Reading(snapshot)
        self._tokens: dict[str, Tokens] = {}  # of the code, by the language that it is read as
        self._like: dict[tuple[str, bytes], Likeness] = {}  # by language and digest
        self._read: tuple[int, bytes] = (-1, b"")  # the document that was read last
        self.stops: list[str] = []
        self.compared = 0

    def answer(self, board: States | None, states: Mapping[int, RootState | None]) -> DuplicatesAnswer:
        """Find, compare, look at the disk.

        states  of the roots, taken from the board before the snapshot
        """
        places = self._placed(self._found())
        hits = tuple(self._hits(places))
        asked = [i for i, facts in self._facts.items() if _is_asked(self._request, facts)]
        standing = [
            trust(
                board,
                states.get(i),
                self.stops,
                self._disks[i].count("changed"),
                self._disks[i].count("gone"),
                ()
                if self._meanings.ready
                else ("there is no model, so renamed copies were looked for by words",),
                structural=True,
            )
            for i in asked
        ]
        return DuplicatesAnswer(
            hits=hits,
            total=len(places),
            compared=self.compared,
            threshold=self._request.threshold,
            generation=self._snapshot.generation,
            fresh=all(one.fresh for one in standing),
            incomplete="; ".join(dict.fromkeys(one.incomplete for one in standing if one.incomplete)),
            warnings=tuple(dict.fromkeys(warning for one in standing for warning in one.warnings)),
            files_searched=sum(int(np.count_nonzero(slots)) for slots in self._slots.values()),
            ms=round(self._budget.spent_ms(), 3),
        )

    # Candidates.

    def _found(self) -> list[_Found]:
        """Return the units that reach the threshold; of those that overlap the one that is most alike."""
        found: list[_Found] = []
        seen: set[tuple[int, int, int]] = set()
        for units in self._units():
            base = int(self._snapshot.seg_base[units.number])
            columns = (units.ordinal + base, units.start, units.end, units.definition)
            for doc, start, end, definition in zip(*(c.tolist() for c in columns), strict=True):
                if (doc, start, end) in seen:
                    continue
                if self._budget.over():
                    self._stop("budget: the deadline passed before every candidate was compared")
                    return _apart(found)
                seen.add((doc, start, end))
                like = self._likeness(doc, start, end)
                if like.similarity >= self._request.threshold:
                    found.append(_Found(doc, start, end, definition, like))
        return _apart(found)

    def _units(self) -> Iterator[Units]:
        """Yield the units to compare: by words those that may be exact enough, then what is near."""
        docs = self._docs()
        threshold, over = self._request.threshold, self._budget.over
        for read_as, mask in self._readings(docs):
            try:
                yield from sharing(self._snapshot, mask, read_as.exact_runs, threshold, over)
            except TooCommon:
                self._stop("most of this code has no words, so copies were looked for among the nearest only")
            if over():
                self._stop("budget: the deadline passed before all candidates were found")
                return
        yield from self._near(docs)

    def _readings(self, docs: Bool) -> Iterator[tuple[Tokens, Bool]]:
        """Yield the tokens of the code, and the documents that are compared with these.

        Where nothing says its language, the code is read as each document's own: what is a comment differs.
        """
        if self._code.language:
            yield self._code_tokens(self._code.language), docs
            return
        of: dict[tuple[bytes, ...], list[int]] = {}
        read: dict[tuple[bytes, ...], Tokens] = {}
        for number, language in enumerate(self._snapshot.languages):
            each = self._code_tokens(language)
            of.setdefault(each.exact, []).append(number)
            read[each.exact] = each
        for exact, numbers in of.items():
            mask = docs if len(of) == 1 else docs & np.isin(self._snapshot.doc_language, numbers)
            if exact and mask.any():
                yield read[exact], mask

    def _near(self, docs: Bool) -> Iterator[Units]:
        """Yield the units of the chunks that are nearest by vectors and by words."""
        snapshot, content = self._snapshot, self._code.content
        terms = TermLists(snapshot, similar.rarest_terms(snapshot, content))
        found = [best_chunks(terms, docs, NEAR, self._meanings.weights, self._budget).chunk]
        if self._meanings.ready:
            pool, kernel = self._meanings.pool, self._meanings.kernel
            assert pool is not None and kernel is not None
            live = semantic.live_rows(snapshot, docs)
            vectors = similar.vectors(self._meanings.embed, content)
            found.append(similar.nearest(snapshot, pool, kernel, vectors, live, NEAR)[0])
        chunks = np.unique(np.concatenate(found))
        owner = np.searchsorted(snapshot.chunk_base, chunks, side="right") - 1
        for number in np.unique(owner).tolist():
            local = chunks[owner == number] - int(snapshot.chunk_base[number])
            units = units_of_chunks(snapshot.segments[number], number, local)
            length = units.end - units.start
            n = len(content)
            yield units.where((length * LENGTH_RATIO >= n) & (length <= n * LENGTH_RATIO))

    def _docs(self) -> Bool:
        docs = np.zeros(self._snapshot.n_docs, np.bool_)
        for root_id, slots in self._slots.items():
            docs |= self._facts[root_id].doc_mask(slots)
        return docs

    # Comparing.

    def _likeness(self, doc: int, start: int, end: int) -> Likeness:
        segment, ordinal = self._snapshot.locate_doc(doc)
        if self._read[0] != doc:  # units come in order of document, and may be too many to keep them all
            self._read = (doc, segment.doc_bytes(ordinal))
        return self._compared(segment.language_name(ordinal), whole_words(self._read[1], start, end))

    def _compared(self, language: str, unit: bytes) -> Likeness:
        digest = blake2b(unit, digest_size=16).digest()
        known = self._like.get((language, digest))
        if known is None:
            self.compared += 1
            own, other = self._code_tokens(self._code.language or language), tokens(language, unit)
            exact = share(own.exact_runs, other.exact_runs)
            known = Likeness(exact, 1.0 if exact == 1 else share(own.shape_runs, other.shape_runs))
            self._like[language, digest] = known
        return known

    def _code_tokens(self, language: str) -> Tokens:
        known = self._tokens.get(language)
        if known is None:
            known = self._tokens[language] = tokens(language, self._code.content)
        return known

    # Showing.

    def _placed(self, found: list[_Found]) -> list[_At]:
        """Return every file that has what was found, best first, the code itself left out."""
        by_doc: dict[int, list[_Found]] = {}
        for one in found:
            by_doc.setdefault(one.doc, []).append(one)
        docs = np.array(sorted(by_doc), np.int64)
        places: list[_At] = []
        for root_id, facts in self._facts.items():
            slots = facts.slots_of(docs)
            for slot in slots[self._slots[root_id][slots]].tolist():
                places += [
                    _At(root_id, slot, one)
                    for one in by_doc[int(facts.doc[slot])]
                    if not self._code.is_at(root_id, slot, one.start, one.end)
                ]
        places.sort(key=self._turn)
        return places

    def _turn(self, at: _At) -> tuple[tuple[bool, float, float], str, bytes, int]:
        facts = self._facts[at.root_id]
        path: bytes = facts.paths[at.slot]
        return at.found.like.turn, facts.view.path, path, at.found.start

    def _hits(self, places: list[_At]) -> Iterator[Duplicate]:
        n = 0
        for at in places:
            if n == self._request.limit:
                return
            if self._budget.late_ms() > LATE_MS:
                self._stop("budget: the deadline passed while hits were checked on disk")
                return
            hit = self._hit(at)
            if hit is not None:
                n += 1
                yield hit

    def _hit(self, at: _At) -> Duplicate | None:
        """Return a hit as its file is now; None if the file is gone, or the code in it."""
        current = self._disks[at.root_id].look(at.slot)
        if current.state == "gone":
            return None
        indexed = self._reading.content(at.found.doc)
        segment, _ = self._snapshot.locate_doc(at.found.doc)
        definition = at.found.definition
        named = at.found.start
        if definition >= 0:
            named = int(segment.def_name_start[definition])
        else:
            named += len(indexed[named : at.found.end]) - len(indexed[named : at.found.end].lstrip())
        if current.state == "same":
            return self._shown(at, indexed, named, at.found.end, False)
        name = segment.name(int(segment.def_name[definition])) if definition >= 0 else None
        return self._live(at, indexed, current.content, named, name)

    def _live(
        self, at: _At, indexed: bytes, content: bytes, named: int, name: bytes | None
    ) -> Duplicate | None:
        """Return the hit in a file that has this content now, if it is still one."""
        if name is None:
            place = same_line(indexed[slice(*line_span(indexed, named))], content, named)
        else:
            place = find_name(name, content, named)
        if place is None:
            return None
        start, end = block_around(content, line_number(content, place[0]))
        like = self._compared(self._language(at), content[start:end])
        if like.similarity < self._request.threshold or self._code.is_at(at.root_id, at.slot, start, end):
            return None
        moved = replace(at, found=replace(at.found, start=start, end=end, like=like))
        return self._shown(moved, content, place[0], end, True)

    def _shown(self, at: _At, content: bytes, named: int, end: int, live: bool) -> Duplicate:
        facts, found = self._facts[at.root_id], at.found
        segment, _ = self._snapshot.locate_doc(found.doc)
        line = line_number(content, named)
        context = (self._request.context, self._request.context or CONTEXT)
        chars_max = self._settings.query.snippet_chars_max
        is_definition = found.definition >= 0
        return Duplicate(
            root=facts.view.path,
            path=os.fsdecode(facts.paths[at.slot]),
            line=line,
            column=column(content, line_span(content, named)[0], named),
            start_line=line_number(content, found.start),
            end_line=line_number(content, max(named, end - 1)),
            kind="symbol" if is_definition else "line",
            symbol=dotted(segment, found.definition) if is_definition else "",
            symbol_kind=KINDS[int(segment.def_kind[found.definition])] if is_definition else "",
            language=self._language(at),
            score=round(found.like.similarity, 4),
            similarity=round(found.like.similarity, 4),
            lines=lines_around(content, named, line, (), context, chars_max),
            signals={"exact": round(found.like.exact, 4), "shape": round(found.like.shape, 4)},
            live=live,
        )

    def _language(self, at: _At) -> str:
        segment, ordinal = self._snapshot.locate_doc(at.found.doc)
        return segment.language_name(ordinal)

    def _stop(self, reason: str) -> None:
        if reason not in self.stops:
            self.stops.append(reason)


def _apart(found: list[_Found]) -> list[_Found]:
    """Return what does not overlap something more alike: a class is as its only method is, but less so."""
    kept: dict[int, list[_Found]] = {}
    for one in sorted(found, key=lambda f: (f.like.turn, f.doc, f.start, f.end)):
        others = kept.setdefault(one.doc, [])
        if all(one.end <= other.start or one.start >= other.end for other in others):
            others.append(one)
    return [one for others in kept.values() for one in others]


def whole_words(content: bytes, start: int, end: int) -> bytes:
    """Return content[start:end] and the rest of a word that an end of it divides."""
    while start and IS_WORD[content[start - 1]] and IS_WORD[content[start]]:
        start -= 1
    while end < len(content) and IS_WORD[content[end - 1]] and IS_WORD[content[end]]:
        end += 1
    return content[start:end]


def _is_asked(request: DuplicatesRequest, facts: RootFacts) -> bool:
    """Whether the root lies in the place that is asked about, or that place in the root."""
    root, below = facts.view.path.rstrip("/") + "/", request.below
    return not below or below.startswith(root) or (below.endswith("/") and root.startswith(below))


def _scope(request: DuplicatesRequest, facts: RootFacts) -> Bool:
    """Return the files of a root that may answer."""
    if not _is_asked(request, facts):
        return np.zeros(len(facts.paths), np.bool_)
    slots: Bool = facts.alive
    inner = request.below[len(facts.view.path.rstrip("/")) :]
    if inner.strip("/"):
        slots = slots & prefix_mask(inner, facts)
    if request.languages:
        slots = slots & language_mask([resolve(name) for name in request.languages], facts)
    return slots
