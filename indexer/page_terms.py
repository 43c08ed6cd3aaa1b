"""Words of many pages -> the terms of each page, without a vocabulary. Pure.

Text comes first in a large first index, and most of the words of a large tree stand in one place: of the
distinct words of 4 MB of Linux 6.1 six in seven are not among those of the 40 MB before. So nothing is
remembered from one call to the next, nothing is looked up, and no Python object is made for a word: a
compiled loop counts the words of each page by a 64-bit key, another splits the distinct ones of all pages,
and their terms are spread over the pages. 5 ns a byte, where counting by chunk with a vocabulary (`bags`)
takes 27.

A key is the word itself up to seven bytes, and a 56-bit hash of a longer one. Within a call there are some
50,000 distinct words, so two of them share a key once in 10 million calls; terms are stored by 40 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.native.extract import PADDING, distinct_words, split_words
from indexer.records import I64, U32, U64
from indexer.words import COUNT_MAX, parts, spread_ranges, term_hash, whole_term

# An entry sorts by term, then page: the highest bits of the term's hash, the number of the page, the count.
TERM_BITS = 40
PAGE_BITS = 16
COUNT_BITS = 8
PAGE_SHIFT = np.uint64(COUNT_BITS)
TERM_SHIFT = np.uint64(COUNT_BITS + PAGE_BITS)

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads keys over a table (Knuth, TAOCP 6.4)


def page_terms(pages: Sequence[bytes], first_page: int) -> tuple[U64, I64]:
    """Return an entry for every word and term of each page, and how many words each page has.

    Pages are numbered from `first_page` on; no word goes over the end of one. A term has an entry for each of
    its words in a page; the sum of their counts, at most COUNT_MAX, is how often it stands there.
    """
    sizes = np.fromiter(map(len, pages), np.int64, len(pages))
    text = b"\n".join([*pages, bytes(PADDING)])
    words = distinct_words(text, np.cumsum(sizes + 1))
    if not len(words.key):
        return np.empty(0, np.uint64), words.n_words
    numbers = np.arange(first_page, first_page + len(pages), dtype=np.uint64) << PAGE_SHIFT
    place = np.repeat(numbers, np.diff(words.end, prepend=0))
    place |= np.minimum(words.count, COUNT_MAX).astype(np.uint64)
    # The distinct words of all pages.
    known = np.sort(words.key)
    known = known[np.flatnonzero(np.diff(known, prepend=~known[:1]))]
    number = _numbers(words.key, known)
    somewhere = np.empty(len(known), np.int64)
    somewhere[number] = np.arange(len(number))
    offset, terms = _terms_of(text, words.begin[somewhere], words.length[somewhere])
    at, spread = spread_ranges(offset, number)
    entries = terms[at]
    entries |= np.repeat(place, spread)
    return entries, words.n_words


def _numbers(keys: U64, known: U64) -> U32:
    """Return for each key its position in `known`, which holds all of them once, ascending."""
    shift = np.uint64(64 - (4 * len(known)).bit_length())
    table = np.zeros(1 << (64 - int(shift)), np.uint32)
    table[known * _MIX >> shift] = np.arange(len(known), dtype=np.uint32)
    numbers: U32 = table[keys * _MIX >> shift]
    other = np.flatnonzero(known[numbers] != keys)  # a tenth shares its slot with another key
    numbers[other] = np.searchsorted(known, keys[other])
    return numbers


def _terms_of(text: bytes, begin: I64, length: I64) -> tuple[U32, U64]:
    """Return the terms of words, shifted to their place in an entry: offset, terms of all."""
    split = split_words(text, begin, length)
    count, terms = split.count, split.terms
    if len(split.odd):
        places = zip(begin[split.odd].tolist(), length[split.odd].tolist(), strict=True)
        own = [_odd_terms(text[at : at + size]) for at, size in places]
        before = (np.cumsum(count) - count)[split.odd]
        count[split.odd] = [len(each) for each in own]
        hashes = np.array([term_hash(term) for each in own for term in each], np.uint64)
        terms = np.insert(terms, np.repeat(before, count[split.odd]), hashes)
    offset = np.zeros(len(count) + 1, np.uint32)
    np.cumsum(count, out=offset[1:])
    terms >>= np.uint64(64 - TERM_BITS)
    terms <<= TERM_SHIFT
    return offset, terms


def _odd_terms(word: bytes) -> list[bytes]:
    """Return the terms of a word that is long or not ASCII; parts as often as they stand in it."""
    split = parts(word)
    whole = whole_term(word) if len(split) > 1 else None
    return [*split] if whole is None else [*split, whole]
