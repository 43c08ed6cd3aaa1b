"""An Embedder for tests: a word is a random direction given by its hash. No file, no network, no meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.embed.contract import unit_rows
from indexer.records import F16
from indexer.words import parts, term_hash, words


class MemoryModel:
    """Texts that share words are near; the same text has the same vector everywhere."""

    name = "memory"

    def __init__(self, dim: int = 64) -> None:
        """Make vectors of `dim` numbers."""
        self.dim = dim
        self.fingerprint = f"memory-{dim}"

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """Return unit rows [n, dim]; a zero row for a text without words."""
        sums = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(sums, texts, strict=True):
            for word in words(text.encode()):
                for part in parts(word):
                    row += np.random.default_rng(term_hash(part)).standard_normal(self.dim)
        return unit_rows(sums)
