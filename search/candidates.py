"""Posting lists -> the documents, or pages, of a segment that may match. Pure array work; nothing is read.

Lists are read rarest first, and reading stops as soon as checking the few documents that are left costs less
than decoding the next list. A folded query is an "and" of "or"s: its many spellings are looked up in the key
table in one search, and only those that occur are decoded.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from indexer.records import I64, U16, U32, Bool
from indexer.store.postings import spans
from search.regex_trigrams import TrigramQuery

# Costs on one core, measured on Linux 6.1: decoding a posting list, per list and per entry; reading a
# document or page, by itself and per byte (unpacked at 3 GB/s, searched at 2).
LIST_US = 8.0
POSTING_US = 0.008
UNIT_US = 8.0
BYTE_US = 0.0008
VERIFY_MAX = 2000  # more are worth any list


class Contents(Protocol):
    """What text search needs of a segment."""

    @property
    def n_docs(self) -> int: ...
    @property
    def n_pages(self) -> int: ...
    @property
    def block_page(self) -> U32: ...
    @property
    def doc_page(self) -> U32: ...
    @property
    def page_doc(self) -> I64: ...
    @property
    def page_at(self) -> I64: ...
    @property
    def page_start(self) -> U32: ...
    @property
    def doc_len(self) -> U32: ...
    @property
    def tri_key(self) -> U32: ...
    @property
    def tri_count(self) -> U16: ...
    def trigram_pages(self, key: int) -> U16: ...
    def pages_with_trigram(self, key: int, pages: I64) -> I64: ...
    def trigram_docs(self, key: int) -> I64: ...
    def unpack(self, blocks: I64) -> list[bytes]: ...
    def doc_bytes(self, ordinal: int) -> bytes: ...


class Units(Protocol):
    """What candidates are: documents, or pages of them."""

    @property
    def n(self) -> int: ...
    def members(self, key: int) -> I64 | U16:
        """Return the sorted numbers of those that contain a trigram."""
        ...

    def containing(self, key: int, among: I64) -> I64:
        """Return those of some that contain a trigram."""
        ...

    def nbytes(self, found: I64) -> int:
        """Return how much there is to read of some."""
        ...


class _Docs:
    def __init__(self, segment: Contents) -> None:
        self.n = segment.n_docs
        self.members = segment.trigram_docs
        self._len = segment.doc_len

    def containing(self, key: int, among: I64) -> I64:
        inside: Bool = np.zeros(self.n, np.bool_)
        inside[self.members(key)] = True
        return among[inside[among]]

    def nbytes(self, found: I64) -> int:
        return int(self._len[found].sum())


class _Pages:
    def __init__(self, segment: Contents) -> None:
        self.n = segment.n_pages
        self.members = segment.trigram_pages
        self.containing = segment.pages_with_trigram
        self._at = segment.page_at

    def nbytes(self, found: I64) -> int:
        return int((self._at[found + 1] - self._at[found]).sum())


class TrigramFilter:
    """A trigram query, ready to be asked of many segments."""

    def __init__(self, query: TrigramQuery) -> None:
        self.query = query
        self._keys = np.array(sorted(query.all_keys()), np.uint32)

    def candidates(self, segment: Contents, among: I64 | None = None) -> I64 | None:
        """Return the sorted ordinals of documents that may match, or None if the query says nothing.

        among  sorted ordinals to choose from; None: all documents
        """
        return self._narrowed(segment, _Docs(segment), among)

    def pages(self, segment: Contents, among: I64 | None = None) -> I64:
        """Return the sorted pages in which a line may match.

        among  sorted ordinals of the documents to choose from; None: all
        """
        pages = None if among is None else pages_of(segment, among)
        found = self._narrowed(segment, _Pages(segment), pages)
        return np.arange(segment.n_pages) if found is None else found

    def _narrowed(self, segment: Contents, units: Units, among: I64 | None) -> I64 | None:
        if self.query.op == "all":
            return among
        if self.query.op == "none" or not units.n:
            return np.empty(0, np.int64)
        if among is not None and not len(among):
            return among
        return _Lists(units, self._counts(segment)).narrow(self.query, among)

    def _counts(self, segment: Contents) -> dict[int, int]:
        """Return how many pages contain each key; keys that occur nowhere are absent."""
        table = segment.tri_key
        if not len(table):
            return {}
        at = np.minimum(np.searchsorted(table, self._keys), len(table) - 1)
        there = table[at] == self._keys
        return dict(zip(self._keys[there].tolist(), segment.tri_count[at[there]].tolist(), strict=True))


class _Lists:
    def __init__(self, units: Units, counts: dict[int, int]) -> None:
        self._units = units
        self._counts = counts

    def narrow(self, query: TrigramQuery, among: I64 | None) -> I64 | None:
        """Return those of `among` for which `query` holds, or a superset where that is cheaper."""
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
                found = self._containing(item, found)
            else:
                found = self.narrow(item, found)
        return found

    def _verify_us(self, found: I64) -> float:
        """Return what reading these would cost."""
        if len(found) > VERIFY_MAX:
            return float("inf")
        return len(found) * UNIT_US + self._units.nbytes(found) * BYTE_US

    def _read_us(self, item: int | TrigramQuery) -> float:
        """Return what decoding the lists of `item` would cost."""
        keys = [item] if isinstance(item, int) else item.all_keys()
        counts = [self._counts[key] for key in keys if key in self._counts]
        return len(counts) * LIST_US + sum(counts) * POSTING_US

    def _estimate(self, query: int | TrigramQuery) -> int:
        """Return at least the number of those for which `query` holds."""
        if isinstance(query, int):
            return self._counts.get(query, 0)
        counts = [self._counts.get(key, 0) for key in query.keys] + [self._estimate(p) for p in query.parts]
        return min(counts) if query.op == "and" else min(sum(counts), self._units.n)

    def _any_of(self, query: TrigramQuery, among: I64 | None) -> I64 | None:
        if self._estimate(query) >= self._units.n:
            return among
        found: Bool = np.zeros(self._units.n, np.bool_)
        for key in query.keys:
            if key in self._counts:
                found[self._units.members(key)] = True
        for part in query.parts:
            if self._estimate(part):
                members = self.narrow(part, None)
                if members is None:
                    return among
                found[members] = True
        return np.flatnonzero(found) if among is None else among[found[among]]

    def _containing(self, key: int, among: I64 | None) -> I64:
        if among is None:
            return self._units.members(key).astype(np.int64)
        return self._units.containing(key, among)


def pages_of(segment: Contents, ordinals: I64) -> I64:
    """Return all pages of some documents (sorted ordinals)."""
    if segment.n_pages == segment.n_docs:
        return ordinals
    first = segment.doc_page[ordinals].astype(np.int64)
    return spans(first, segment.doc_page[ordinals + 1].astype(np.int64) - first)


def as_ordinals(mask: Bool | None, base: int, n_docs: int) -> I64 | None:
    """Return a segment's part of a mask over all documents as ordinals; None if nothing is left out."""
    if mask is None:
        return None
    part = mask[base : base + n_docs]
    return None if part.all() else np.flatnonzero(part)
