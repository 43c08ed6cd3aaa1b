"""Ranked terms of a query: chunks that mean something, or that are like some code (`similar`).

Vectors find what is said in other words, BM25 what is said in the same; below OR and NOT, where a ranked term
has to be a set, the lists are joined by reciprocal rank. Filters become a mask of pool rows before the
kernel looks for the best, so a narrow filter loses nothing.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TypeGuard

import numpy as np

from config.errors import UsageError
from config.settings import Rank
from indexer.embed.contract import Embedder
from indexer.records import F32, I64, Bool
from indexer.store.pool import Pool
from indexer.store.snapshot import Snapshot
from search import semantic, similar
from search.budget import Budget
from search.example import Code
from search.facts import RootFacts
from search.kernels.contract import Kernel
from search.lexical import Scored, Term, TermLists, best_chunks, query_terms
from search.places import chunk_places, chunks_at
from search.query import Meaning, Similar
from search.second import SecondMeaning, SecondModel
from search.semantic import embed_query
from search.similar import Example

# A model may be shared by the engines of several threads and keeps the words it has met: one text at a time.
_EMBEDDING = threading.Lock()

OWN_CHUNKS = 32  # that an example itself may take up among the best, and that are left out


class Meanings:
    """The model, the pool and the kernel of a query process; `of` binds them to one query."""

    def __init__(
        self,
        pool: Pool | None,
        embedder: Embedder | None,
        kernel: Kernel | None,
        weights: Rank,
        second: SecondModel | None = None,
    ) -> None:
        self.second = second
        self.pool = pool
        self.kernel = kernel
        self.weights = weights
        self.embedder = embedder
        self._embed = lru_cache(maxsize=1024)(self._embed_text)

    @property
    def ready(self) -> bool:
        """Whether there are vectors to compare with."""
        return self.pool is not None and self.kernel is not None and self.embedder is not None

    def embed(self, text: str) -> F32:
        """Return the vector of a query text; read only."""
        return self._embed(text)

    def of(self, snapshot: Snapshot, facts: RootFacts, budget: Budget, below: str = "") -> RankedTerms:
        """Return the retriever of ranked terms for one query, asked in the directory `below` of the root."""
        return RankedTerms(self, snapshot, facts, budget, below)

    def _embed_text(self, text: str) -> F32:
        assert self.embedder is not None
        with _EMBEDDING:
            vector = embed_query(self.embedder, text)
        vector.setflags(write=False)
        return vector


class RankedTerms:
    """Ranks the chunks of one snapshot."""

    def __init__(
        self, meanings: Meanings, snapshot: Snapshot, facts: RootFacts, budget: Budget, below: str
    ) -> None:
        self._meanings = meanings
        self._snapshot = snapshot
        self._facts = facts
        self._budget = budget
        self._below = below.encode("utf-8", "surrogateescape")
        self._terms: dict[Meaning | Similar, TermLists] = {}
        self.second = SecondMeaning(meanings.second, snapshot, meanings.kernel)
        self.unranked = False  # vectors were asked for and there are none

    def rank(self, term: Meaning | Similar, doc_mask: Bool, n: int) -> tuple[I64, F32]:
        """Return the n best chunks within the mask by vectors and words together, best first."""
        by_vector = self.nearest(term, doc_mask, n)[0]
        scored = self.by_words(term, doc_mask, n)
        k = self._meanings.weights.rrf_k
        lists = [by_vector, scored.chunk]
        if isinstance(term, Meaning):
            lists.append(self.second.nearest(term.text, doc_mask, n)[0])
        chunk, which = np.unique(np.concatenate(lists), return_inverse=True)
        total = np.zeros(len(chunk), np.float32)
        gained = np.concatenate([_reciprocal(len(each), k) for each in lists])
        np.add.at(total, which, gained)
        order = np.lexsort((chunk, -total))[:n]
        return chunk[order], total[order]

    def by_words(self, term: Meaning | Similar, doc_mask: Bool, n: int) -> Scored:
        """Return the n best chunks within the mask by the words of a term: of code the rarest ones."""
        named = self._facts.path_documents if isinstance(term, Meaning) else None
        more = n + OWN_CHUNKS if isinstance(term, Similar) else n
        terms = self.terms_of(term)
        found = best_chunks(terms, doc_mask, more, self._meanings.weights, self._budget, named)
        keep = np.flatnonzero(self._not_itself(term, found.chunk))[:n]
        return Scored(found.chunk[keep], found.score[keep])

    def nearest(self, term: Meaning | Similar, doc_mask: Bool, n: int) -> tuple[I64, F32]:
        """Return the n chunks nearest by vector within the mask, best first; none without a model."""
        vectors = self._vectors_of(term)
        if not vectors:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        pool, kernel = self._meanings.pool, self._meanings.kernel
        assert pool is not None and kernel is not None
        live = semantic.live_rows(self._snapshot, doc_mask)
        more = n + OWN_CHUNKS if isinstance(term, Similar) else n
        chunks, scores = similar.nearest(self._snapshot, pool, kernel, vectors, live, more)
        keep = np.flatnonzero(self._not_itself(term, chunks))[:n]
        return chunks[keep], scores[keep]

    def alike(self, term: Similar, doc_mask: Bool, n: int) -> tuple[tuple[I64, F32], Scored]:
        """Return the n best chunks by vectors, and by words; those by words with their cosines in both."""
        by_words = self.by_words(term, doc_mask, n)
        found = self.nearest(term, doc_mask, n)
        vectors, pool = self._vectors_of(term), self._meanings.pool
        if vectors and pool is not None:
            found = similar.with_others(self._snapshot, pool, vectors, found, by_words.chunk)
        return found, by_words

    def terms_of(self, term: Meaning | Similar) -> TermLists:
        """Return the words of a term that are looked up, the same ones for all steps."""
        known = self._terms.get(term)
        if known is None:
            known = self._terms[term] = TermLists(self._snapshot, self._words_of(term))
        return known

    def code_of(self, term: Meaning | Similar) -> Code:
        """Return the code that others shall be like. Raises UsageError."""
        assert isinstance(term, Similar), term
        if isinstance(term, Example):
            return term.code
        docs, start, end = chunk_places(self._snapshot, np.array([self._chunk_of(term)]))
        segment, ordinal = self._snapshot.locate_doc(int(docs[0]))
        content = segment.doc_bytes(ordinal)[int(start[0]) : int(end[0])]
        return Code(content, segment.language_name(ordinal))

    def _words_of(self, term: Meaning | Similar) -> tuple[Term, ...]:
        if isinstance(term, Meaning):
            return query_terms([term.text])
        return similar.rarest_terms(self._snapshot, self.code_of(term).content)

    def _vectors_of(self, term: Meaning | Similar) -> list[F32]:
        """Return the vectors that a term is searched by; none where there is no model, or no vector yet."""
        own = self._chunk_of(term) if _is_place(term) else -1
        if not self._meanings.ready:
            self.unranked = True
            return []
        pool, embed = self._meanings.pool, self._meanings.embed
        assert pool is not None
        if isinstance(term, Meaning):
            return [embed(term.text)]
        if isinstance(term, Example):
            return similar.vectors(embed, term.code.content)
        row = int(semantic.rows_of(self._snapshot, np.array([own]))[0])
        return [pool.vectors[row].astype(np.float32)] if row >= 0 else []

    def _not_itself(self, term: Meaning | Similar, chunks: I64) -> Bool:
        """Return which chunks are not the code that others shall be like."""
        if isinstance(term, Meaning):
            return np.ones(len(chunks), np.bool_)
        if isinstance(term, Example):
            return similar.others(self._snapshot, self._facts, term.code, chunks)
        away: Bool = chunks != self._chunk_of(term)
        return away

    def as_wholes(self, text: str, docs: I64) -> F32:
        """Return the cosine of a text and each document as a whole; -inf where there is no vector."""
        if not text or not self._meanings.ready:
            return np.full(len(docs), -np.inf, np.float32)
        assert self._meanings.pool is not None
        vectors = self._meanings.pool.vectors
        return semantic.as_wholes(self._snapshot, vectors, self._meanings.embed(text), docs)

    def _chunk_of(self, term: Similar) -> int:
        """Return the chunk at path:line. Raises UsageError."""
        slot = self._slot_of(term.path)
        if slot < 0:
            raise UsageError(f"similar: there is no file {term.path} in the index of this root")
        doc = int(self._facts.doc[slot])
        segment, ordinal = self._snapshot.locate_doc(doc)
        low, high = int(segment.doc_chunk[ordinal]), int(segment.doc_chunk[ordinal + 1])
        last = segment.line_of(ordinal, max(0, int(segment.doc_len[ordinal]) - 1))
        if high == low or term.line > last:
            raise UsageError(f"similar: {term.path} has {last if high > low else 0} lines, not {term.line}")
        local = low + int(np.searchsorted(segment.chunk_line[low:high], term.line, side="right")) - 1
        start = np.array([int(segment.chunk_start[max(low, local)])])
        return int(chunks_at(self._snapshot, np.array([doc]), start)[0])

    def _slot_of(self, path: str) -> int:
        """Return the file at a path relative to where the query is asked, else to the root; -1 if none."""
        relative = path.encode("utf-8", "surrogateescape").lstrip(b"/").removeprefix(b"./")
        for candidate in (self._below + relative, relative):
            slot = self._facts.view.slot_of(candidate)
            if slot >= 0 and self._facts.alive[slot]:
                return slot
        return -1


def _is_place(term: Meaning | Similar) -> TypeGuard[Similar]:
    return isinstance(term, Similar) and not isinstance(term, Example)


def _reciprocal(n: int, k: float) -> F32:
    return (1 / (k + 1 + np.arange(n))).astype(np.float32)
