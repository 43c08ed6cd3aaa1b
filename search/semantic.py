"""The retriever by meaning: the chunks whose vectors are nearest to a query's.

Which rows may be found is decided before the scan, from the documents that are allowed: a filter never
empties a list of best chunks afterwards. Rows of other roots, of tombstones and free rows are never live
here, because only the chunks of allowed documents are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from indexer.embed.contract import Embedder
from indexer.native.nearest import score_wholes
from indexer.records import F16, F32, I64, U8, U32, Bool
from indexer.store.format import NO_ROW
from indexer.words import spread_ranges
from search.kernels.contract import Kernel
from search.places import by_segment

if TYPE_CHECKING:
    from indexer.store.snapshot import Snapshot

ROWS_STEP: Final = 16_384  # a kernel may compile for each number of rows, so that changes seldom
CHUNKS_OF_WHOLE: Final = 16  # of a document, evenly spread, that say what it is about as a whole
_FEW_DOCS: Final = 0.1  # share of documents under which their chunks are looked up one range at a time


class Vectors(Protocol):
    """What is read of a pool."""

    @property
    def vectors(self) -> F16: ...
    @property
    def signs(self) -> U8: ...


def embed_query(embedder: Embedder, text: str) -> F32:
    """Return the unit vector of a query, all zero if the model knows none of its words."""
    vector: F32 = embedder.embed_texts([text])[0].astype(np.float32)
    return vector


def live_rows(snapshot: Snapshot, docs: Bool) -> Bool:
    """Return which pool rows belong to the marked documents: bool [rows in use, rounded up to ROWS_STEP].

    docs  bool [n_docs] over the global documents

    All documents of a root cost nothing after the first time; few documents cost what they have; a mask in
    between costs 5 ms for a million chunks.
    """
    n_rows = -(-snapshot.pool_rows // ROWS_STEP) * ROWS_STEP
    for view in snapshot.roots.values():
        whole = view.live_docs()
        if docs is whole or np.array_equal(docs, whole):
            return view.live_rows(n_rows)
    if np.count_nonzero(docs) < _FEW_DOCS * len(docs):
        return _rows_of_few(snapshot, docs, n_rows)
    return snapshot.segment_set.row_mask(docs, n_rows)


def nearest(
    snapshot: Snapshot, pool: Vectors, kernel: Kernel, query: F32, live: Bool, k: int
) -> tuple[I64, F32]:
    """Return the k live chunks nearest to a unit vector: global numbers and cosines, best first.

    live  bool [rows], see `live_rows`

    What is farthest comes back too where nothing else is live: a filter may leave just that. A chunk of which
    the model knows no word has a vector of zeros and is near to nothing.
    """
    if not query.any() or not len(live):
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    n = len(live)
    rows, scores = kernel.top_k(query, pool.vectors[:n], pool.signs[:n], live, k)
    chunks = snapshot.row_chunk(rows)
    keep = (scores != 0) & (chunks >= 0)
    return chunks[keep], scores[keep]


def as_wholes(
    snapshot: Snapshot, vectors: F16, query: F32, docs: I64, tables: Mapping[int, U32] | None = None
) -> F32:
    """Return the cosine of a unit vector and each document as a whole, the sum of its chunks: float32 [docs].

    vectors  of the pool whose rows the segments name, or, with `tables`, those: by number of segment

    Of a long document CHUNKS_OF_WHOLE chunks stand for all. A document without vectors has -inf.
    """
    cosine = np.full(len(docs), -np.inf, np.float32)
    for segment, _, positions, ordinals in by_segment(snapshot, docs):
        rows = segment.chunk_row if tables is None else tables[segment.id]
        cosine[positions] = score_wholes(query, vectors, segment.doc_chunk, rows, ordinals, CHUNKS_OF_WHOLE)
    return cosine


def rows_of(snapshot: Snapshot, chunks: I64) -> I64:
    """Return the pool row of each chunk (global number), -1 where it has none."""
    rows = np.full(len(chunks), -1, np.int64)
    owner = np.searchsorted(snapshot.chunk_base, chunks, side="right") - 1
    for number in np.unique(owner).tolist():
        at = owner == number
        row = snapshot.segments[number].chunk_row[chunks[at] - int(snapshot.chunk_base[number])]
        rows[at] = np.where(row == NO_ROW, -1, row.astype(np.int64))
    return rows


def _rows_of_few(snapshot: Snapshot, docs: Bool, n_rows: int) -> Bool:
    mask = np.zeros(n_rows, np.bool_)
    for segment, base in zip(snapshot.segments, snapshot.seg_base[:-1].tolist(), strict=True):
        marked = np.flatnonzero(docs[base : base + segment.n_docs]).astype(np.uint32)
        if len(marked):
            at, _ = spread_ranges(segment.doc_chunk, marked)
            rows = segment.chunk_row[at]
            mask[rows[rows < len(mask)]] = True
    return mask
