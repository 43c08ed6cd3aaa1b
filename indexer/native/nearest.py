"""The rows of a pool that are nearest to a query: what nearest.c does, with arrays in and out. Pure."""

from __future__ import annotations

import ctypes

import numpy as np

from indexer.native.library import address, function
from indexer.records import F16, F32, I64, U8, U32, Bool

PLANES = 3
_ROOM = 4  # times as many rows as are wanted: those that were near are dropped now and then


def nearest_rows(planes: U8, signs: U8, live: Bool, n: int) -> I64:
    """Return the n live rows of least weighted distance, in row order; of equal ones the first.

    planes  [PLANES, width] of the query; bits that differ from the first count 1, from the second 2, then 4
    signs   [rows, width], contiguous; width is a multiple of 8
    At least n rows are live.
    """
    rows, width = signs.shape
    assert planes.shape == (PLANES, width) and width % 8 == 0 and signs.flags.c_contiguous, planes.shape
    assert live.shape == (rows,) and live.flags.c_contiguous, live.shape
    planes = np.ascontiguousarray(planes)
    at = np.zeros(56 * width + 1, np.int64)
    row, distance = np.empty(_ROOM * n, np.int64), np.empty(_ROOM * n, np.int32)
    found = _nearest_rows(
        address(planes), address(signs), width, address(live), rows, n, _WIDE, len(row), address(at),
        address(row), address(distance),
    )  # fmt: skip
    return row[:found]


def score_rows(query: F32, vectors: F16, rows: I64) -> F32:
    """Return the inner product of a query and some rows, float32 [n].

    query    [dim]
    vectors  [rows, dim]
    """
    assert not len(rows) or 0 <= rows.min() <= rows.max() < len(vectors)
    scaled, rows = query.astype(np.float32) * _HALF_SCALE, np.ascontiguousarray(rows, np.int64)
    out = np.empty(len(rows), np.float32)
    _score_rows(address(scaled), *_rows_at(query, vectors), address(rows), len(rows), address(out))
    return out


def score_wholes(query: F32, vectors: F16, doc_chunk: U32, chunk_row: U32, docs: I64, most: int) -> F32:
    """Return the cosine of a query and each document as a whole, the sum of its chunks' rows: float32 [n].

    doc_chunk, chunk_row  of a segment; a number that is no row says that the chunk has none
    docs                  ordinals in the segment
    most                  chunks of a document, evenly spread, that stand for all

    -inf for a document without rows, or whose rows add up to nothing.
    """
    assert not len(docs) or 0 <= docs.min() <= docs.max() < len(doc_chunk) - 1
    query, docs = np.ascontiguousarray(query, np.float32), np.ascontiguousarray(docs, np.int64)
    out = np.full(len(docs), -np.inf, np.float32)
    scratch = np.empty(len(query), np.float32)
    _score_wholes(
        address(query), *_rows_at(query, vectors), len(vectors), address(doc_chunk), address(chunk_row),
        address(docs), len(docs), most, address(scratch), address(out),
    )  # fmt: skip
    return out


def _rows_at(query: F32, vectors: F16) -> tuple[int, int, int]:
    """Return where the rows are: address, numbers from one to the next, dim."""
    step, item = vectors.strides
    assert query.shape == vectors.shape[1:], (query.shape, vectors.shape)
    assert not vectors.size or (item == 2 and step % 2 == 0), vectors.strides
    return address(vectors), step // 2, len(query)


_HALF_SCALE = np.float32(2.0**112)
_ADDRESS, _COUNT = ctypes.c_void_p, ctypes.c_int64
_WIDE: int = function("has_wide", ctypes.c_int)()
_nearest_rows = function(
    "nearest_rows", _COUNT,
    _ADDRESS, _ADDRESS, _COUNT, _ADDRESS, _COUNT, _COUNT, ctypes.c_int, _COUNT, _ADDRESS, _ADDRESS, _ADDRESS,
)  # fmt: skip
_score_rows = function("score_rows", None, _ADDRESS, _ADDRESS, _COUNT, _COUNT, _ADDRESS, _COUNT, _ADDRESS)
_score_wholes = function(
    "score_wholes", None,
    _ADDRESS, _ADDRESS, _COUNT, _COUNT, _COUNT, _ADDRESS, _ADDRESS, _ADDRESS, _COUNT, _COUNT, _ADDRESS,
    _ADDRESS,
)  # fmt: skip
