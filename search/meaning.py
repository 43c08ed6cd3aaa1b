"""Ranked terms of a query: chunks that mean something, or that are like the code at a place.

Vectors find what is said in other words, BM25 what is said in the same; below OR and NOT, where a ranked term
has to be a set, the two lists are joined by reciprocal rank. Filters become a mask of pool rows before the
kernel looks for the best, so a narrow filter loses nothing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from config.errors import UsageError
from config.settings import Rank
from indexer.embed.contract import Embedder
from indexer.records import F16, F32, I64, Bool
from indexer.store.format import NO_ROW
from indexer.store.pool import Pool
from indexer.store.snapshot import Snapshot
from search.budget import Budget
from search.facts import RootFacts
from search.kernels.contract import Kernel
from search.lexical import best_chunks, query_terms
from search.places import chunks_at
from search.query import Meaning, Similar


class Meanings:
    """The model, the pool and the kernel of a query process; `of` binds them to one query."""

    def __init__(
        self, pool: Pool | None, embedder: Embedder | None, kernel: Kernel | None, weights: Rank
    ) -> None:
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

    def of(self, snapshot: Snapshot, facts: RootFacts, budget: Budget) -> RankedTerms:
        """Return the retriever of ranked terms for one query."""
        return RankedTerms(self, snapshot, facts, budget)

    def _embed_text(self, text: str) -> F32:
        assert self.embedder is not None
        rows: F16 = self.embedder.embed_texts([text])
        vector = rows[0].astype(np.float32)
        vector.setflags(write=False)
        return vector


class RankedTerms:
    """Ranks the chunks of one snapshot."""

    def __init__(self, meanings: Meanings, snapshot: Snapshot, facts: RootFacts, budget: Budget) -> None:
        self._meanings = meanings
        self._snapshot = snapshot
        self._facts = facts
        self._budget = budget
        self.unranked = False  # vectors were asked for and there are none

    def rank(self, term: Meaning | Similar, doc_mask: Bool, n: int) -> tuple[I64, F32]:
        """Return the n best chunks within the mask by vectors and words together, best first."""
        by_vector = self.nearest(term, doc_mask, n)[0]
        if not isinstance(term, Meaning):
            return by_vector, _reciprocal(len(by_vector), self._meanings.weights.rrf_k)
        scored = best_chunks(
            self._snapshot,
            query_terms([term.text]),
            doc_mask,
            n,
            self._meanings.weights,
            self._budget,
            self._facts.path_documents,
        )
        k = self._meanings.weights.rrf_k
        chunk, which = np.unique(np.concatenate((by_vector, scored.chunk)), return_inverse=True)
        total = np.zeros(len(chunk), np.float32)
        gained = np.concatenate((_reciprocal(len(by_vector), k), _reciprocal(len(scored.chunk), k)))
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
        vector = self._vector(term, own)
        if vector is None or not vector.any():
            return nothing
        pool, kernel = self._meanings.pool, self._meanings.kernel
        assert pool is not None and kernel is not None
        n_rows = min(self._snapshot.pool_rows, len(pool.vectors))
        live = self._rows(doc_mask, n_rows)
        if not live.any():
            return nothing
        rows, scores = kernel.top_k(vector, pool.vectors[:n_rows], pool.signs[:n_rows], live, n + 1)
        chunks = self._snapshot.row_chunk(rows)
        keep = (chunks >= 0) & (chunks != own) & (scores > 0)
        return chunks[keep][:n], scores[keep][:n]

    def _vector(self, term: Meaning | Similar, own: int) -> F32 | None:
        if isinstance(term, Meaning):
            return self._meanings.embed(term.text)
        segment, local = self._snapshot.locate_chunk(own)
        row = int(segment.chunk_row[local])
        pool = self._meanings.pool
        assert pool is not None
        return None if row == NO_ROW else pool.vectors[row].astype(np.float32)

    def _rows(self, doc_mask: Bool, n_rows: int) -> Bool:
        """Return the pool rows of all chunks of the masked documents."""
        view = self._facts.view
        if np.array_equal(doc_mask, view.live_docs()):
            return view.live_rows(n_rows)
        return self._snapshot.segment_set.row_mask(doc_mask, n_rows)

    def _chunk_of(self, term: Similar) -> int:
        """Return the chunk at path:line. Raises UsageError."""
        path = term.path.encode("utf-8", "surrogateescape").lstrip(b"/")
        slot = self._facts.view.slot_of(path.removeprefix(b"./"))
        if slot < 0 or not self._facts.alive[slot]:
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


def _reciprocal(n: int, k: float) -> F32:
    return (1 / (k + 1 + np.arange(n))).astype(np.float32)
