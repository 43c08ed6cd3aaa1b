"""Ranked terms of a query: chunks that mean something, or that are like the code at a place.

Vectors find what is said in other words, BM25 what is said in the same; below OR and NOT, where a ranked term
has to be a set, the lists are joined by reciprocal rank. Filters become a mask of pool rows before the
kernel looks for the best, so a narrow filter loses nothing.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import numpy as np

from config.errors import UsageError
from config.settings import Rank
from indexer.embed.contract import Embedder
from indexer.records import F32, I64, Bool
from indexer.store.pool import Pool
from indexer.store.snapshot import Snapshot
from search import semantic
from search.budget import Budget
from search.facts import RootFacts
from search.kernels.contract import Kernel
from search.lexical import TermLists, best_chunks, query_terms
from search.places import chunks_at
from search.query import Meaning, Similar
from search.second import SecondMeaning, SecondModel
from search.semantic import embed_query

# A model may be shared by the engines of several threads and keeps the words it has met: one text at a time.
_EMBEDDING = threading.Lock()


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
        self.second = SecondMeaning(meanings.second, snapshot, meanings.kernel)
        self.unranked = False  # vectors were asked for and there are none

    def rank(self, term: Meaning | Similar, doc_mask: Bool, n: int) -> tuple[I64, F32]:
        """Return the n best chunks within the mask by vectors and words together, best first."""
        by_vector = self.nearest(term, doc_mask, n)[0]
        if not isinstance(term, Meaning):
            return by_vector, _reciprocal(len(by_vector), self._meanings.weights.rrf_k)
        scored = best_chunks(
            TermLists(self._snapshot, query_terms([term.text])),
            doc_mask,
            n,
            self._meanings.weights,
            self._budget,
            self._facts.path_documents,
        )
        k = self._meanings.weights.rrf_k
        lists = (by_vector, scored.chunk, self.second.nearest(term.text, doc_mask, n)[0])
        chunk, which = np.unique(np.concatenate(lists), return_inverse=True)
        total = np.zeros(len(chunk), np.float32)
        gained = np.concatenate([_reciprocal(len(each), k) for each in lists])
        np.add.at(total, which, gained)
        order = np.lexsort((chunk, -total))[:n]
        return chunk[order], total[order]

    def nearest(self, term: Meaning | Similar, doc_mask: Bool, n: int) -> tuple[I64, F32]:
        """Return the n chunks nearest by vector within the mask, best first; none without a model."""
        nothing = (np.empty(0, np.int64), np.empty(0, np.float32))
        own = self._chunk_of(term) if isinstance(term, Similar) else -1
        if not self._meanings.ready:
            self.unranked = True
            return nothing
        pool, kernel = self._meanings.pool, self._meanings.kernel
        assert pool is not None and kernel is not None
        live = semantic.live_rows(self._snapshot, doc_mask)
        if isinstance(term, Similar):
            return semantic.similar(self._snapshot, pool, kernel, own, live, n)
        return semantic.nearest(self._snapshot, pool, kernel, self._meanings.embed(term.text), live, n)

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


def _reciprocal(n: int, k: float) -> F32:
    return (1 / (k + 1 + np.arange(n))).astype(np.float32)
