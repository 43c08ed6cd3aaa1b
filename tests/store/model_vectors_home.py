"""A real index of small texts, and beside it the vectors of a second model, filled by the obvious loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexer.embed.memory import MemoryModel
from indexer.records import F16
from indexer.store.format import NO_ROW
from indexer.store.model_vectors import ContentVectors, ModelVectors, chunk_marks
from indexer.store.model_view import ModelReader
from indexer.store.segment import Segment
from tests.support import SmallIndex

MODEL = MemoryModel(24)


class Vectors:
    """The index in `folder`/index and the vectors in `folder`/vectors."""

    def __init__(self, folder: Path) -> None:
        """Open or create both."""
        self.folder = folder
        self.index = SmallIndex(folder / "index")
        self.vectors = ModelVectors.open(folder / "vectors", dim=MODEL.dim, rows_max=1)

    def reader(self) -> ModelReader:
        """Open a reader of the vectors."""
        return ModelReader.open(self.folder / "vectors", dim=MODEL.dim)

    def missing(self) -> list[ContentVectors]:
        """What the segments hold and has no vectors yet, each content once."""
        found: dict[bytes, ContentVectors] = {}
        for segment in self.index.snapshot().segments:
            for ordinal, mark in enumerate(chunk_marks(segment).tolist()):
                digest = segment.digest[ordinal].tobytes()
                if self.vectors.known.get(digest) != mark:
                    found[digest] = ContentVectors(digest, mark, wanted(segment, ordinal))
        return list(found.values())

    def embed_missing(self, n: int | None = None) -> None:
        """Give the first n contents without vectors theirs."""
        self.vectors.add(self.missing()[:n])

    def remove_gone(self) -> int:
        """Forget the vectors of contents that no segment holds."""
        held = {digest.tobytes() for segment in self.index.snapshot().segments for digest in segment.digest}
        return self.vectors.remove(set(self.vectors.known) - held)

    def check(self, reader: ModelReader) -> int:
        """Compare a reader's view with the texts; return how many chunks have vectors."""
        reader.refresh()
        snapshot = self.index.snapshot()
        view = reader.view(snapshot.segment_set)
        assert view is not None
        at = n = 0
        for segment in snapshot.segments:
            for ordinal, mark in enumerate(chunk_marks(segment).tolist()):
                vectors = wanted(segment, ordinal)
                rows = view.chunk_row[at : at + len(vectors)]
                if self.vectors.known.get(segment.digest[ordinal].tobytes()) == mark:
                    assert np.array_equal(view.vectors[rows], vectors)
                    n += len(rows)
                else:
                    assert (rows == NO_ROW).all()
                at += len(vectors)
        assert at == len(view.chunk_row)
        return n

    def close(self) -> None:
        """Close both."""
        self.vectors.close()
        self.index.close()

    def __enter__(self) -> Vectors:
        """Be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close both."""
        self.close()


def wanted(segment: Segment, ordinal: int) -> F16:
    """The vectors of a document's chunks, one text at a time."""
    content = segment.doc_bytes(ordinal)
    low, high = segment.doc_chunk[ordinal : ordinal + 2].tolist()
    bounds = [(int(segment.chunk_start[i]), int(segment.chunk_end[i])) for i in range(low, high)]
    made = [MODEL.embed_texts([content[a:b].decode("utf-8", "replace")])[0] for a, b in bounds]
    return np.array(made, np.float16).reshape(-1, MODEL.dim)
