"""What an embedding model is to the rest: texts in, unit vectors out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from indexer.records import F16, F32


class Embedder(Protocol):
    """A model that turns texts into vectors which can be compared by their inner product.

    Vectors of different fingerprints are never compared with each other.
    """

    @property
    def name(self) -> str:
        """What people call the model."""
        ...

    @property
    def fingerprint(self) -> str:
        """Short and fit for a file name; changes whenever the same text would give another vector."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """Return unit rows [n, dim]; a zero row where the model knows nothing of the text."""
        ...


def unit_rows(sums: F32) -> F16:
    """Return the rows at unit length in fp16; rows of zeros stay zero."""
    length = np.sqrt(np.einsum("ij,ij->i", sums, sums))
    length[length == 0] = 1
    rows: F16 = (sums / length[:, None]).astype(np.float16)
    return rows
