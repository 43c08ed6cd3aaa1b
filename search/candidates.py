"""Posting lists -> the documents of a segment that may match. Pure array work; nothing is verified here.

Lists are read rarest first, and reading stops as soon as checking the few documents that are left costs less
than decoding the next list. A folded query is an "and" of "or"s: its many spellings are looked up in the key
table in one search, and only those that occur are decoded.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from indexer.records import I64, U8, U16, U32, U64, Bool
from search.regex_trigrams import TrigramQuery

# Costs on one core, measured on Linux 6.1: decoding a posting list, per list and per document in it;
# verifying a document, per call and per byte (RE2 at 1 GB/s).
LIST_US = 8.0
POSTING_US = 0.008
DOC_US = 3.0
BYTE_US = 0.001
VERIFY_DOCS_MAX = 2000  # more documents are worth any list


class Contents(Protocol):
    """What text search needs of a segment."""

    @property
    def n_docs(self) -> int: ...
    @property
    def block_doc(self) -> U32: ...
    @property
    def doc_start(self) -> U64: ...
    @property
    def doc_len(self) -> U32: ...
    @property
    def line_data(self) -> U8: ...
    @property
    def line_off(self) -> U32: ...
    @property
    def tri_key(self) -> U32: ...
    @property
    def tri_count(self) -> U16: ...
    def trigram_docs(self, key: int) -> U16: ...
    def unpack(self, block: int) -> bytes: ...
    def doc_bytes(self, ordinal: int) -> bytes: ...


class TrigramFilter:
    """A trigram query, ready to be asked of many segments."""

    def __init__(self, query: TrigramQuery) -> None:
        self.query = query
        self._keys = np.array(sorted(query.all_keys()), np.uint32)

    def candidates(self, segment: Contents, among: I64 | None = None) -> I64 | None:
        """Return the sorted ordinals that may match, or None if the query says nothing.

        among  sorted ordinals to choose from; None: all documents
        """
        if self.query.op == "all":
            return among
        if self.query.op == "none" or not segment.n_docs:
            return np.empty(0, np.int64)
        if among is not None and not len(among):
            return among
        return _Lists(segment, self._counts(segment)).narrow(self.query, among)

    def _counts(self, segment: Contents) -> dict[int, int]:
        """Return how many documents contain each key; keys that occur nowhere are absent."""
        table = segment.tri_key
        if not len(table):
            return {}
        at = np.minimum(np.searchsorted(table, self._keys), len(table) - 1)
        there = table[at] == self._keys
        return dict(zip(self._keys[there].tolist(), segment.tri_count[at[there]].tolist(), strict=True))


class _Lists:
    def __init__(self, segment: Contents, counts: dict[int, int]) -> None:
        self._segment = segment
        self._counts = counts
        self._mask: Bool = np.zeros(segment.n_docs, np.bool_)

    def narrow(self, query: TrigramQuery, among: I64 | None) -> I64 | None:
        """Return the ordinals of `among` for which `query` holds, or a superset where that is cheaper."""
        if query.op == "or":
            return self._any_of(query, among)
        assert query.op == "and", query.op
        items: list[int | TrigramQuery] = [*query.keys, *query.parts]
        sized = [(self._estimate(item), i) for i, item in enumerate(items)]
        found = among
        for count, i in sorted(sized):
            if count == 0 or (found is not None and not len(found)):
                return np.empty(0, np.int64)
            if found is not None and self._verify_us(found) < self._read_us(items[i]):
                break
            item = items[i]
            if isinstance(item, int):
                found = self._within(found, self._segment.trigram_docs(item))
            else:
                found = self.narrow(item, found)
        return found

    def _verify_us(self, found: I64) -> float:
        """Return what reading these documents would cost."""
        if len(found) > VERIFY_DOCS_MAX:
            return float("inf")
        return len(found) * DOC_US + float(self._segment.doc_len[found].sum()) * BYTE_US

    def _read_us(self, item: int | TrigramQuery) -> float:
        """Return what decoding the lists of `item` would cost."""
        keys = [item] if isinstance(item, int) else item.all_keys()
        counts = [self._counts[key] for key in keys if key in self._counts]
        return len(counts) * LIST_US + sum(counts) * POSTING_US

    def _estimate(self, query: int | TrigramQuery) -> int:
        """Return at least the number of documents for which `query` holds."""
        if isinstance(query, int):
            return self._counts.get(query, 0)
        counts = [self._counts.get(key, 0) for key in query.keys] + [self._estimate(p) for p in query.parts]
        return min(counts) if query.op == "and" else min(sum(counts), self._segment.n_docs)

    def _any_of(self, query: TrigramQuery, among: I64 | None) -> I64 | None:
        if self._estimate(query) >= self._segment.n_docs:
            return among
        found: Bool = np.zeros(self._segment.n_docs, np.bool_)
        for key in query.keys:
            if key in self._counts:
                found[self._segment.trigram_docs(key)] = True
        for part in query.parts:
            if self._estimate(part):
                docs = self.narrow(part, None)
                if docs is None:
                    return among
                found[docs] = True
        return np.flatnonzero(found) if among is None else among[found[among]]

    def _within(self, found: I64 | None, docs: U16) -> I64:
        if found is None:
            return docs.astype(np.int64)
        self._mask[docs] = True
        kept = found[self._mask[found]]
        self._mask[docs] = False
        return kept


def as_ordinals(mask: Bool | None, base: int, n_docs: int) -> I64 | None:
    """Return a segment's part of a mask over all documents as ordinals; None if nothing is left out."""
    if mask is None:
        return None
    part = mask[base : base + n_docs]
    return None if part.all() else np.flatnonzero(part)
