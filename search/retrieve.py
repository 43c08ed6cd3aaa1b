"""The retrievers of a plan, run within what filters and tree admit -> lists of places, chunks and files."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from config.settings import Rank
from indexer.records import F32, I64, Bool
from search.evaluate import Limits, Search, chunks_of_kinds, matcher_of, restrict_to_kinds, search_texts
from search.gather import ChunkList, path_scores
from search.lex import quote
from search.lexical import best_chunks
from search.places import Places, join_places, no_places
from search.plan import Plan, Ranked, Source
from search.query import Meaning, Similar
from search.symbol import find_definitions, name_query
from search.verbatim import find_frames, find_functions, find_lines, find_message

DOCS_MAX = 64  # files with a text that are ranked, at least; one for every hit asked for, where that is more
CHUNKS_MAX = 100  # chunks of one list, at least; the same
OF_KIND = 10  # times as many chunks where `kind:` will leave only some of them
TERM_SYMBOLS_MAX = 200  # definitions of each word of a bare query


@dataclass
class Lists:
    """What the retrievers found."""

    places: list[tuple[str, Places]] = field(default_factory=list)
    chunks: list[tuple[str, ChunkList]] = field(default_factory=list)
    files: list[tuple[str, I64, F32]] = field(default_factory=list)


def retrieve(plan: Plan, slots: Bool, search: Search, weights: Rank, limit: int) -> Lists:
    """Run every retriever of the plan among the files of `slots`, the tree's evidence included.

    limit  hits that the client asked for
    """
    lists = Lists()
    for item in search.evidence:
        if item.chunks is not None:
            lists.chunks.append((item.name, ChunkList(item.chunks, item.places.score)))
        else:
            lists.places.append((item.name, item.places))
    if not (plan.ranked or plan.sources) or not slots.any():
        return lists
    run = _Run(plan, slots, search.facts.doc_mask(slots), search, weights, limit, lists)
    sources: tuple[Ranked | Source, ...] = (*plan.ranked, *plan.sources)
    for source in sources:
        if search.budget.over():
            search.stop(f"budget: the deadline passed before {source}")
            break
        start = search.budget.spent_ms()
        found = run.one(source)
        search.step(str(source), start, np.count_nonzero(slots), found)
        term = _meant(source)
        if term is not None and search.ranked.second.is_there:
            run.transformer(term)
    return lists


def _meant(source: Ranked | Source) -> Meaning | None:
    """Return what a source looks for by its meaning, None if it does not."""
    if isinstance(source, Ranked):
        return source.term if isinstance(source.term, Meaning) else None
    return Meaning(" ".join(source.words)) if source.name == "semantic" else None


@dataclass
class _Run:
    plan: Plan
    slots: Bool
    mask: Bool  # their documents
    search: Search
    weights: Rank
    limit: int
    lists: Lists

    def one(self, source: Ranked | Source) -> int:
        """Run one retriever and return how much it found."""
        if isinstance(source, Ranked):
            if isinstance(source.term, Similar):
                near, scored = self.search.ranked.alike(source.term, self.mask, self._n())
                found = self._add_chunks("semantic", *near)
                return found + self._add_chunks("lexical", scored.chunk, scored.score)
            found = self._add_chunks(
                "semantic", *self.search.ranked.nearest(source.term, self.mask, self._n())
            )
            return found + self._lexical((source.term.text,))
        match source.name:
            case "symbol":
                return self._symbol(source.words)
            case "text":
                return self._text(source.words)
            case "lexical":
                return self._lexical(source.words)
            case "semantic":
                term = Meaning(" ".join(source.words))
                return self._add_chunks("semantic", *self.search.ranked.nearest(term, self.mask, self._n()))
            case "place" | "message" | "line":
                return self._verbatim(source)
            case "path":
                named, score = path_scores(self.search.facts, source.words, self.slots)
                self.lists.files.append(("path", named, score))
                return len(named)

    def _n(self) -> int:
        return max(CHUNKS_MAX, 4 * self.limit) * (OF_KIND if self.plan.kinds else 1)

    def _symbol(self, words: tuple[str, ...]) -> int:
        search = self.search
        parts: list[Places] = []
        for word in words:
            if "/" in word:  # a path; its parts are no names
                continue
            form = "quoted" if self.plan.pasted else "bare"  # a program writes a name as it is
            query = name_query(word, form, fold=search.case != "yes")
            found = find_definitions(search.snapshot, query, self.mask, search.budget, search.facts)
            parts.append(found.where(slice(max(TERM_SYMBOLS_MAX, 4 * self.limit))))
        return self._add_places("symbol", join_places(parts))

    def _text(self, words: tuple[str, ...]) -> int:
        """Find the files that contain every word; the matches of all words are candidates."""
        search = self.search
        mask = self.mask
        parts: list[Places] = []
        for i, word in enumerate(words):
            last = i == len(words) - 1
            matcher = matcher_of(word, False, search.case)
            limits = Limits(max(DOCS_MAX, self.limit)) if last else None
            found = search_texts(matcher, mask, search, limits, search.per_doc)
            if found.reason:
                stopped = "some time" if found.reason == "time" else f"{found.docs} files"
                search.stop(f'budget: text "{word}" stopped after {stopped}; more may contain it')
            mask = np.zeros(search.facts.n_docs, np.bool_)
            mask[found.places.doc] = True
            parts.append(found.places)
        everywhere = [part.where(mask[part.doc]) for part in parts] if len(parts) > 1 else parts
        return self._add_places("text", join_places(everywhere) if mask.any() else no_places())

    def _verbatim(self, source: Source) -> int:
        """Look for what was pasted as it is."""
        assert self.plan.pasted is not None
        match source.name:
            case "place":
                traced = find_frames(self.plan.pasted.frames, self.slots, self.search)
                found = join_places(
                    [traced, find_functions(self.plan.pasted.functions, self.mask, self.search)]
                )
            case "message":
                found = find_message(source.words, self.plan.pasted.patterns, self.mask, self.search)
            case _:
                n_lines = 1 + self.plan.pasted.text.count("\n")
                found = find_lines(source.words, n_lines, self.mask, self.search)
        return self._add_places(source.name, found)

    def _lexical(self, words: tuple[str, ...]) -> int:
        search = self.search
        scored = best_chunks(
            search.terms_of(words),
            self.mask,
            self._n(),
            self.weights,
            search.budget,
            search.facts.path_documents,
        )
        return self._add_chunks("lexical", scored.chunk, scored.score)

    def transformer(self, term: Meaning) -> None:
        """Add what is near by the second model, as a list and a step of its own."""
        second, start = self.search.ranked.second, self.search.budget.spent_ms()
        found = self._add_chunks("transformer", *second.nearest(term.text, self.mask, self._n()))
        note = "no vector of the question in time" if second.silent else ""
        files = np.count_nonzero(self.mask & second.has_vectors)
        self.search.step(f"transformer({quote(term.text)})", start, files, found, note)

    def _add_chunks(self, name: str, chunk: I64, score: F32) -> int:
        if self.plan.kinds:
            keep = chunks_of_kinds(self.search.snapshot, chunk, self.plan.kinds)
            chunk, score = chunk[keep], score[keep]
        self.lists.chunks.append((name, ChunkList(chunk, score)))
        return len(chunk)

    def _add_places(self, name: str, places: Places) -> int:
        if self.plan.kinds:
            places = restrict_to_kinds(self.search.snapshot, places, self.plan.kinds)
        self.lists.places.append((name, places))
        return len(places)
