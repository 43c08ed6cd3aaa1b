"""Posting lists -> the documents, or pages, of a segment that may match. Pure array work; nothing is read.

Lists are read rarest first. Reading them stops as soon as the next one would cost more than it saves, which
is judged by what the last ones ruled out: the trigrams of one word stand together, so after two or three
lists the others say nothing new. Whatever a list that was left out would have told, verification finds.

The first list is taken as numbers, and those that the next ones do not have are left out. A folded query is
an "and" of "or"s: its many spellings are looked up in the key table in one search, and only those that occur
are decoded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from indexer.records import I64, U8, U32, Bool
from indexer.store.postings import decode, keep, mark, spans
from search.regex_trigrams import TrigramQuery
from search.runs import is_first

# Costs on one core, measured on Linux 6.1: using a posting list, per list and per entry; reading a document
# or page, by itself and per byte (unpacked at 3 GB/s, searched at 2).
LIST_US = 15.0
POSTING_US = 0.005
UNIT_US = 8.0
BYTE_US = 0.0008
# Share that the next list is taken to rule out at least, and how much it may be less than what the last did.
SHARE_MIN = 0.01
SHARE_KEPT = 0.5


class Contents(Protocol):
    """What text search needs of a segment."""

    @property
    def path(self) -> Path: ...
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
    def page_line(self) -> U32: ...
    @property
    def doc_len(self) -> U32: ...
    @property
    def tri_key(self) -> U32: ...
    @property
    def tri_count(self) -> U32: ...
    @property
    def tri_off(self) -> U32: ...
    @property
    def tri_data(self) -> U8: ...
    def unpack_pages(self, pages: I64) -> bytes: ...
    def doc_bytes(self, ordinal: int) -> bytes: ...


class TrigramFilter:
    """A trigram query, ready to be asked of many segments."""

    def __init__(self, query: TrigramQuery, wanted: int | None = None) -> None:
        """wanted: about how many candidates will be read at most; None: all of them."""
        self.query = query
        self._wanted = wanted
        self._keys = np.array(sorted(query.all_keys()), np.uint32)

    def candidates(self, segment: Contents, among: I64 | None = None) -> I64 | None:
        """Return the sorted ordinals of documents that may match, or None if the query says nothing.

        among  sorted ordinals to choose from; None: all documents
        """
        return self._narrowed(segment, _Docs, among)

    def pages(self, segment: Contents, among: I64 | None = None) -> I64:
        """Return the sorted pages in which a line may match.

        among  sorted ordinals of the documents to choose from; None: all
        """
        pages = None if among is None else pages_of(segment, among)
        found = self._narrowed(segment, _Pages, pages)
        return np.arange(segment.n_pages) if found is None else found

    def _narrowed(self, segment: Contents, units: type[_Pages], among: I64 | None) -> I64 | None:
        if self.query.op == "all":
            return among
        if self.query.op == "none" or not segment.n_docs:
            return np.empty(0, np.int64)
        if among is not None and not len(among):
            return among
        return _Narrowing(units(segment, self._keys), self._wanted).narrow(self.query, among)


class _Pages:
    """Pages as candidates, and the lists of the trigrams that a query asks for."""

    def __init__(self, segment: Contents, keys: U32) -> None:
        """Look the keys up; those that occur nowhere are in no list."""
        self.n = segment.n_pages
        self._segment = segment
        table = segment.tri_key
        at = np.minimum(np.searchsorted(table, keys), max(0, len(table) - 1))
        there = table[at] == keys if len(table) else np.zeros(len(keys), np.bool_)
        known, at = keys[there].tolist(), at[there]
        self.counts: dict[int, int] = dict(zip(known, segment.tri_count[at].tolist(), strict=True))
        bounds = zip(segment.tri_off[at].tolist(), segment.tri_off[at + 1].tolist(), strict=True)
        self._bounds: dict[int, tuple[int, int]] = dict(zip(known, bounds, strict=True))

    def members(self, key: int) -> I64:
        """Return the sorted pages that contain a trigram."""
        data, count, n_pages = self._list(key)
        pages: I64 = decode(data, count, n_pages).astype(np.int64)
        return pages

    def keep(self, key: int, found: I64) -> I64:
        """Return those of some pages that contain a trigram."""
        return keep(*self._list(key), found)

    def mark(self, key: int, flags: Bool) -> None:
        """Set the flags of the pages that contain a trigram."""
        mark(*self._list(key), flags)

    def _list(self, key: int) -> tuple[U8, int, int]:
        low, high = self._bounds[key]
        return self._segment.tri_data[low:high], self.counts[key], self._segment.n_pages

    def nbytes(self, found: I64) -> int:
        """Return how much there is to read of some."""
        at = self._segment.page_at
        return int((at[found + 1] - at[found]).sum())


class _Docs(_Pages):
    """The same for documents: one contains what any of its pages does."""

    def __init__(self, segment: Contents, keys: U32) -> None:
        super().__init__(segment, keys)
        self.n = segment.n_docs

    def members(self, key: int) -> I64:
        pages = super().members(key)
        if self._segment.n_pages == self.n:
            return pages
        docs: I64 = self._segment.page_doc[pages]
        return docs[is_first(docs)]

    def keep(self, key: int, found: I64) -> I64:
        flags: Bool = np.zeros(self.n, np.bool_)
        self.mark(key, flags)
        return found[flags[found]]

    def mark(self, key: int, flags: Bool) -> None:
        if self._segment.n_pages == self.n:
            super().mark(key, flags)
        else:
            flags[self.members(key)] = True

    def nbytes(self, found: I64) -> int:
        return int(self._segment.doc_len[found].sum())


class _Narrowing:
    def __init__(self, units: _Pages, wanted: int | None) -> None:
        self._units = units
        self._counts = units.counts
        self._wanted = wanted

    def narrow(self, query: TrigramQuery, among: I64 | None) -> I64 | None:
        """Return those of `among` for which `query` holds, or a superset where that is cheaper."""
        if query.op == "or":
            return self._any_of(query, among)
        assert query.op == "and", query.op
        items: list[int | TrigramQuery] = [*query.keys, *query.parts]
        sized = sorted((self._estimate(item), i) for i, item in enumerate(items))
        if not sized[0][0]:
            return np.empty(0, np.int64)
        found = among
        share = 1.0  # of the candidates that a list ruled out lately
        for _, i in sized:
            if found is not None and self._verify_us(found) * share < self._read_us(items[i]):
                break
            before, found = found, self._within(found, items[i])
            if found is not None and not len(found):
                break
            if before is not None and found is not None:
                share = max(1 - len(found) / len(before), share * SHARE_KEPT, SHARE_MIN)
        return found

    def _within(self, found: I64 | None, item: int | TrigramQuery) -> I64 | None:
        if not isinstance(item, int):
            return self.narrow(item, found)
        if found is None:
            return self._units.members(item)
        return self._units.keep(item, found)

    def _verify_us(self, found: I64) -> float:
        """Return what reading these would cost, as far as they will be read."""
        n = len(found)
        if self._wanted is None or n <= self._wanted:
            return n * UNIT_US + self._units.nbytes(found) * BYTE_US
        return self._wanted * UNIT_US + self._units.nbytes(found[: self._wanted]) * BYTE_US

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
                self._units.mark(key, found)
        for part in query.parts:
            if self._estimate(part):
                members = self.narrow(part, None)
                if members is None:
                    return among
                found[members] = True
        return np.flatnonzero(found) if among is None else among[found[among]]


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
