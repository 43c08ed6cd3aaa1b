"""Lists of the chunks that have a term: found by the term, scored, looked up. What terms.c does.

Scores are those of search/lexical.py. All numbers are of one segment.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from config.errors import StoreCorrupt
from indexer.native.library import address, function
from indexer.records import F32, I64, U16, U32, U64, Bool

Records = npt.NDArray[np.void]

_HEADS_STEP, _COUNTS_STEP = 64, 512  # of indexer/store/terms.py
_RANGE = 1 << 14  # chunks that are scored together
TERMS_MAX = 64  # of one question; a pasted function says enough with its first words

# The list of a term: postings (0: there is none), bytes, where it begins, the number of its first posting.
LIST = np.dtype([("count", "i8"), ("n_bytes", "i8"), ("start", "i8"), ("posting", "i8")])
# A term to be scored: its list, where its documents end among all named ones, its strength in contents and
# in paths.
TERM = np.dtype(
    [("found", LIST), ("named_end", "i8"), ("strength", "f4"), ("path_strength", "f4")], align=True
)
# A term to be looked up: its list, which word it is of, what it is worth.
WORTH = np.dtype([("found", LIST), ("word", "i8"), ("worth", "f4")], align=True)


class _Table(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n", "n_chunks", "n_postings", "n_buckets", "low_bytes")),
        *((name, ctypes.c_void_p) for name in ("first", "low", "head")),
        *((name, ctypes.c_int64) for name in ("n_kinds", "n_rare")),
        *((name, ctypes.c_void_p) for name in ("kind", "rare", "step", "data")),
        ("n_data", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("tf", "tf_rare", "tf_step")),
        ("n_tf_rare", ctypes.c_int64),
    )


class _Scoring(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("chunk_words", "chunk_doc", "doc_chunk", "mask")),
        ("n_docs", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("score",)),
        *((name, ctypes.c_float) for name in ("norm_fixed", "norm_of_word", "name_weight", "k1")),
    )


class Scorer:
    """The lists of one segment."""

    def __init__(
        self,
        sections: dict[str, np.ndarray[Any, np.dtype[Any]]],
        low_bytes: int,
        chunk_words: U16,
        chunk_doc: U32,
        doc_chunk: U32,
    ) -> None:
        """Take the sections of the table, named as in format.py without "term_".

        Raises StoreCorrupt where they do not fit together.
        """
        self._sections = sections, chunk_words, chunk_doc, doc_chunk  # which C reads: they must live
        n, n_chunks, step = len(sections["head"]), len(chunk_words), sections["step"]
        n_postings = int(step[-2]) if len(step) > 1 else -1
        if (
            len(step) != 3 * (-(-n // _HEADS_STEP) + 1)
            or len(sections["low"]) != n * low_bytes
            or 2 * len(sections["tf"]) < n_postings
            or len(sections["tf_step"]) <= max(0, n_postings - 1) // _COUNTS_STEP
            or len(chunk_doc) != n_chunks
            or int(doc_chunk[-1]) != n_chunks
        ):
            raise StoreCorrupt("the sections of terms and chunks do not fit together")
        at = {name: address(section) for name, section in sections.items()}
        self._n_chunks, self._n_docs = n_chunks, len(doc_chunk) - 1
        self._largest = int(np.diff(doc_chunk).max(initial=0))  # document, in chunks
        self._chunks = address(chunk_words), address(chunk_doc), address(doc_chunk)
        self._table = _Table(
            n, n_chunks, n_postings,
            len(sections["first"]) - 1, low_bytes, at["first"], at["low"], at["head"],
            len(sections["kind"]) // 2, len(sections["rare"]) // 2, at["kind"], at["rare"], at["step"],
            at["data"], len(sections["data"]),
            at["tf"], at["tf_rare"], at["tf_step"], len(sections["tf_rare"]),
        )  # fmt: skip

    def find(self, hashes: U64) -> Records:
        """Return the LIST of each term, by its hash. Raises StoreCorrupt, as all that reads does."""
        found = np.empty(len(hashes), LIST)
        damaged = _find_lists(ctypes.byref(self._table), address(hashes), len(hashes), address(found))
        self._check(damaged >= 0)
        return found

    def best(
        self,
        terms: Records,
        docs: I64,
        frequency: F32,
        mask: Bool,
        n: int,
        norm: tuple[float, float],
        name_weight: float,
        k1: float,
    ) -> tuple[U32, F32]:
        """Return the n best chunks of the documents in `mask`, in no order, and their scores.

        Of equal ones the first.

        terms      TERM [at most TERMS_MAX]
        docs       for one term after the other the documents whose path has it, ascending, perhaps twice
        frequency  how often the term counts there, above 0
        norm       of a chunk's length: what is fixed, and what each word adds
        """
        assert len(terms) <= TERMS_MAX, len(terms)
        room = np.zeros(max(_RANGE, self._largest), np.float32)
        scoring = _Scoring(*self._chunks, address(mask), self._n_docs, address(room), *norm, name_weight, k1)
        chunks, scores = np.empty(n, np.uint32), np.empty(n, np.float32)
        found = _best_chunks(
            ctypes.byref(self._table), ctypes.byref(scoring), address(terms), len(terms), address(docs),
            address(frequency), not mask.all(), n, address(chunks), address(scores),
        )  # fmt: skip
        self._check(found < 0)
        return chunks[:found], scores[:found]

    def look_up(self, parts: Records, n_words: int, chunks: U32) -> F32:
        """Return how much of each word each chunk has, [n_words, n]: the worth of the best of its parts.

        parts   WORTH [n]
        chunks  ascending
        """
        seen = np.zeros((n_words, len(chunks)), np.float32)
        if len(chunks):
            assert chunks[-1] < self._n_chunks, (int(chunks[-1]), self._n_chunks)
            given = address(parts), len(parts), address(chunks), len(chunks)
            self._check(_look_up_terms(ctypes.byref(self._table), *given, address(seen)) >= 0)
        return seen

    def _check(self, damaged: bool) -> None:
        if damaged:
            raise StoreCorrupt("the list of a term does not hold what its table says")


_ADDRESS, _COUNT = ctypes.c_void_p, ctypes.c_int64
_find_lists = function("find_lists", _COUNT, _ADDRESS, _ADDRESS, _COUNT, _ADDRESS)
_best_chunks = function(
    "best_chunks", _COUNT,
    _ADDRESS, _ADDRESS, _ADDRESS, _COUNT, _ADDRESS, _ADDRESS, ctypes.c_int, _COUNT, _ADDRESS, _ADDRESS,
)  # fmt: skip
_look_up_terms = function("look_up_terms", _COUNT, _ADDRESS, _ADDRESS, _COUNT, _ADDRESS, _COUNT, _ADDRESS)
