"""The second, larger model beside the first: what it adds to one query, or why it adds nothing.

Its vectors come file by file, hours after the text, and its vector of the question comes from another process
that may be busy. So everything here may be missing: a file without vectors is judged by the first model
alone, and a question whose vector is not there in time is answered without this model, and says so.
Cosines of the two models are never compared with each other.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from indexer.records import F32, I64, Bool
from indexer.store.model_view import ModelView
from indexer.store.segments import SegmentSet
from indexer.store.snapshot import Snapshot
from search import semantic
from search.kernels.contract import Kernel
from search.semantic import ROWS_STEP


class SecondModel(Protocol):
    """The vectors of a second model, and its way to a question's vector. Safe for several threads."""

    @property
    def expected(self) -> bool:
        """Whether it should answer: then its silence is told."""
        ...

    def view(self, segments: SegmentSet) -> ModelView | None:
        """Return which chunk has which vector; None while nothing is known of it."""
        ...

    def question(self, text: str) -> F32 | None:
        """Return the unit vector of a question; None if it is not there within the budget."""
        ...


class SecondMeaning:
    """One query's use of the second model; asks for the vector of each text once."""

    def __init__(self, model: SecondModel | None, snapshot: Snapshot, kernel: Kernel | None) -> None:
        """Without a model nothing is found and nothing said."""
        self._model = model
        self._snapshot = snapshot
        self._kernel = kernel
        self._view: ModelView | None = None
        self._vectors: dict[str, F32 | None] = {}
        self.silent = False  # it was asked, should have answered, and did not

    @property
    def is_there(self) -> bool:
        """Whether a second model is set up."""
        return self._model is not None and self._kernel is not None and self._model.expected

    @property
    def has_vectors(self) -> Bool:
        """Which documents have all their vectors: bool [n_docs]."""
        if self._view is None:
            return np.zeros(self._snapshot.n_docs, np.bool_)
        return self._view.complete_docs

    def nearest(self, text: str, doc_mask: Bool, n: int) -> tuple[I64, F32]:
        """Return the n nearest chunks (global) among the marked documents that have vectors, and cosines."""
        query, view = self._asked(text), self._view
        if query is None or view is None or self._kernel is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        live, chunk = view.rows_of(doc_mask, ROWS_STEP)
        if not live.any():
            return np.empty(0, np.int64), np.empty(0, np.float32)
        vectors, signs = view.vectors[: len(live)], view.signs[: len(live)]
        rows, scores = self._kernel.top_k(query, vectors, signs, live, n)
        keep = scores != 0
        return chunk[rows[keep]], scores[keep]

    def as_wholes(self, text: str, docs: I64) -> F32:
        """Return the cosine of a text and each document as a whole; -inf where vectors are missing."""
        query, view = self._asked(text), self._view
        if not text or query is None or view is None:
            return np.full(len(docs), -np.inf, np.float32)
        cosine = semantic.as_wholes(self._snapshot, view.vectors, query, docs, view.tables)
        cosine[~view.complete_docs[docs]] = -np.inf
        return cosine

    def _asked(self, text: str) -> F32 | None:
        if self._model is None or not self._model.expected or not text:
            return None
        if text not in self._vectors:
            self._view = self._view or self._model.view(self._snapshot.segment_set)
            found = self._model.question(text) if self._view is not None else None
            self._vectors[text] = found
            self.silent = self.silent or found is None
        return self._vectors[text]
