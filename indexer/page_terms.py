"""Words of many pages -> the terms of each page, without a vocabulary. Pure.

Text comes first in a large first index, and most of the words of a large tree stand in one place: of the
distinct words of 4 MB of Linux 6.1 six in seven are not among those of the 40 MB before. So nothing is
remembered from one call to the next, nothing is looked up, and no Python object is made for a word: a
compiled loop counts the words of each page by a 64-bit key, the distinct ones of all pages are split where
the class of a byte and of its neighbours says so, and their terms are spread over the pages. 6 ns a byte,
where counting by chunk with a vocabulary (`bags`) takes 27.

A key is the word itself up to seven bytes, and a 56-bit hash of a longer one. Within a call there are some
50,000 distinct words, so two of them share a key once in 10 million calls; terms are stored by 40 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from indexer.native.extract import HASHED, PADDING, distinct_words
from indexer.records import I64, U8, U32, U64
from indexer.vocabulary import KEY_BYTES, term_hashes
from indexer.words import (
    COUNT_MAX,
    PARTS_MAX,
    WORD_BYTES_MAX,
    parts,
    spread_ranges,
    whole_term,
)

# An entry sorts by term, then page: the highest bits of the term's hash, the number of the page, the count.
TERM_BITS = 40
PAGE_BITS = 16
COUNT_BITS = 8
PAGE_SHIFT = np.uint64(COUNT_BITS)
TERM_SHIFT = np.uint64(COUNT_BITS + PAGE_BITS)

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads keys over a table (Knuth, TAOCP 6.4)
_MASKS: U64 = np.array([(1 << 8 * n) - 1 for n in range(KEY_BYTES)], np.uint64)
_HIGH_BITS = np.uint64(0x8080808080808080)


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
    offset, terms = _terms_of(text, known, words.begin[somewhere], words.length[somewhere])
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


def _windows(text: bytes) -> U64:
    """Return the eight bytes from each position on."""
    return np.ndarray(len(text) - KEY_BYTES + 1, "<u8", text, strides=(1,))


def _terms_of(text_of: bytes, known: U64, places: I64, length: I64) -> tuple[U32, U64]:
    """Return the terms of distinct words, shifted to their place in an entry: offset, terms of all.

    known   their keys, ascending
    places  where each stands in `text_of`
    """
    n_plain = int(np.searchsorted(known, HASHED))
    text, begin, size = _plain_text(known[:n_plain])
    odd = np.flatnonzero(known[:n_plain] & _HIGH_BITS)
    if n_plain < len(known):
        more, more_begin, more_size = _gathered(text_of, places[n_plain:], length[n_plain:])
        high = np.searchsorted(more_begin, np.flatnonzero(more >= 0x80), side="right") - 1
        long = np.flatnonzero(more_size > WORD_BYTES_MAX)
        odd = np.concatenate((odd, n_plain + np.union1d(high, long)))
        begin, size = np.concatenate((begin, more_begin + len(text))), np.concatenate((size, more_size))
        text = np.concatenate((text, more))
    odd_words = [
        text[a : a + n].tobytes() for a, n in zip(begin[odd].tolist(), size[odd].tolist(), strict=True)
    ]
    for a, word in zip(begin[odd].tolist(), odd_words, strict=True):
        text[a : a + len(word)] = 0
    count, terms = _plain_terms(text, begin, size)
    if len(odd):
        own = [_odd_terms(word) for word in odd_words]
        before = (np.cumsum(count) - count)[odd]
        count[odd] = [len(each) for each in own]
        flat = list(chain.from_iterable(own))
        sizes = np.fromiter(map(len, flat), np.int64, len(flat))
        hashes = term_hashes(b"".join([*flat, bytes(KEY_BYTES)]), np.cumsum(sizes) - sizes, sizes)
        terms = np.insert(terms, np.repeat(before, count[odd]), hashes)
    offset = np.zeros(len(count) + 1, np.uint32)
    np.cumsum(count, out=offset[1:])
    terms >>= np.uint64(64 - TERM_BITS)
    terms <<= TERM_SHIFT
    return offset, terms


def _plain_text(known: U64) -> tuple[U8, I64, I64]:
    """Return the words that are their own keys, eight bytes each with zeros behind: text, begin, size."""
    text = known.astype("<u8").view(np.uint8)
    size = np.count_nonzero(text.reshape(-1, KEY_BYTES), axis=1).astype(np.int64)
    return text, np.arange(0, len(text), KEY_BYTES), size


def _gathered(text_of: bytes, at: I64, size: I64) -> tuple[U8, I64, I64]:
    """Return the words at some places, with one to eight zeros behind each: text, begin, size."""
    n_windows = (size >> 3) + 1
    ends = np.cumsum(n_windows)
    begin = ends - n_windows
    where = np.arange(0, KEY_BYTES * int(ends[-1]), KEY_BYTES)
    where += np.repeat(at - KEY_BYTES * begin, n_windows)
    text = _windows(text_of)[where]
    text[ends - 1] &= _MASKS[size & (KEY_BYTES - 1)]
    return text.astype("<u8", copy=False).view(np.uint8), KEY_BYTES * begin, size


# Class of a byte: what is between words and parts, small letter, capital, digit.
_SMALL, _CAPITAL, _DIGIT = 1, 2, 3
_KIND = bytes(
    _SMALL * (97 <= b <= 122) + _CAPITAL * (65 <= b <= 90) + _DIGIT * (48 <= b <= 57) for b in range(256)
)


# What a byte may be: the first of a part; the last of what underscores separate; the first of that.
_PART, _END, _RUN = 1, 2, 4


def _marks_of(before: int, here: int, after: int) -> int:
    """Return what a byte of class `here` is between two others; see words.parts."""
    if not here:
        return 0
    digits_end = (here == _DIGIT) != (before == _DIGIT)
    capital = here == _CAPITAL and (before == _SMALL or after == _SMALL)
    part = not before or digits_end or capital
    return _PART * part + _RUN * (not before) + _END * (not after)


_MARKS = bytes(_marks_of(code >> 4 & 3, code >> 2 & 3, code & 3) for code in range(256))


def _plain_terms(text: U8, begin: I64, size: I64) -> tuple[I64, U64]:
    """Return how many terms each ASCII word has, and the hashes of all: its parts, then the whole if several.

    text  the words, at least one zero behind each
    """
    joined = b"\0" + text.tobytes() + bytes(KEY_BYTES)
    lowered = joined.lower()
    kind = np.frombuffer(joined.translate(_KIND), np.uint8)
    first, last = _parts(kind)
    n_parts = np.diff(np.searchsorted(first - 1, begin), append=len(first))
    if n_parts.max() > PARTS_MAX:
        place = np.arange(len(first)) - np.repeat(np.cumsum(n_parts) - n_parts, n_parts)
        kept = place < PARTS_MAX
        first, last = first[kept], last[kept]
        n_parts = np.minimum(n_parts, PARTS_MAX)
    several = n_parts > 1
    count = n_parts + several
    end = np.cumsum(count)
    terms = np.empty(int(end[-1]), np.uint64)
    whole = end[several] - 1
    is_part = np.ones(len(terms), np.bool_)
    is_part[whole] = False
    terms[is_part] = term_hashes(lowered, first, last - first)
    terms[whole] = term_hashes(lowered, begin[several] + 1, size[several])
    return count, terms


def _parts(kind: U8) -> tuple[I64, I64]:
    """Return first and last + 1 of all parts, counted in `kind`, which has one byte more in front."""
    code = kind[:-2] << np.uint8(4)
    code |= kind[1:-1] << np.uint8(2)
    code |= kind[2:]
    marks = np.frombuffer(code.tobytes().translate(_MARKS), np.uint8)  # a third of the time of an index
    first = np.flatnonzero((marks & np.uint8(1)).view(np.bool_))
    if not len(first):
        return first, first
    leads = marks[first] & np.uint8(_RUN) != 0
    first += 1
    run, run_end = first[leads], np.flatnonzero((marks >> np.uint8(1) & np.uint8(1)).view(np.bool_)) + 2
    # Numbers, and short names with a digit in second place, are not divided.
    whole = (kind[run] == _DIGIT) | ((kind[run + 1] == _DIGIT) & (run_end - run <= _SHORT_NAME))
    inner = np.flatnonzero(~leads)
    divides = inner[whole[np.cumsum(leads)[inner] - 1]]
    if len(divides):
        kept = np.ones(len(first), np.bool_)
        kept[divides] = False
        first, leads = first[kept], leads[kept]
    # A part ends where the next begins, or with what underscores separate.
    last = np.append(first[1:], 0)
    last[np.append(leads[1:], True)[: len(last)]] = run_end
    return first, last


_SHORT_NAME = 5  # bytes


def _odd_terms(word: bytes) -> list[bytes]:
    """Return the terms of a word that is long or not ASCII; parts as often as they stand in it."""
    split = parts(word)
    whole = whole_term(word) if len(split) > 1 else None
    return [*split] if whole is None else [*split, whole]
