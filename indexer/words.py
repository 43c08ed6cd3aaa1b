"""Bytes -> words -> terms, for BM25F and for static embeddings. Pure: no disk, no clock.

A *word* is a run of letters, digits, underscores and non-ASCII bytes, as it stands in the file. Its *parts*
are what people read in it: camelCase, snake_case and digits split, lowercased. Its *terms* are what is
searched for: the parts, and the whole word if it has more than one.

Words repeat. So a process keeps one `Vocabulary` that gives every word a number and splits it once; a file
then costs one `translate`, one `split` and one dictionary look-up per word, and the rest is arithmetic on
arrays. (A regular expression in place of translate and split is three times slower.) Word numbers mean
nothing outside their vocabulary; what is stored is `term_hash`, which never changes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, count, islice

import numpy as np
import numpy.typing as npt

from indexer.records import U8, U32, U64, ChunkTable, SymbolTable, TermTable

WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]+")
COUNT_MAX = 15  # occurrences of a term in a field saturate here: BM25 hardly rises beyond, and 4 bits hold it
WORDS_MAX = 400_000  # of one vocabulary, about 150 MB; Linux 6.1 has some 2 million, mostly register names
WORD_BYTES_MAX = 96  # longer runs are data, not names: one term, no parts
PARTS_MAX = 16  # of one word

_SPACES = bytes(b if WORD.match(bytes((b,))) else 0x20 for b in range(256))
# "HTTP" in HTTPConfig, then Config, config, HTTP, 2; non-ASCII letters count as lower case.
_CAMEL = re.compile(rb"[A-Z]+(?=[A-Z][a-z\x80-\xff])|[A-Z]?[a-z\x80-\xff]+|[A-Z]+|[0-9]+")
_ONE_NAME = re.compile(rb"[0-9][0-9A-Za-z]*|[A-Za-z][0-9][0-9A-Za-z]{0,3}")  # 0x1f, 64; i2c, x86, v4l2
_TOKEN = re.compile(r"\w+")


def parts(word: bytes) -> tuple[bytes, ...]:
    """Return the parts of a word in order, lowercased: getHTTPConfig2 -> get http config 2.

    Numbers (0x1f, 10ms) and short names with a digit in second place (i2c, x86, v4l2) stay whole between
    underscores: their letters alone say nothing. Non-ASCII letters are lowercased by Unicode's rules; other
    non-ASCII characters separate.
    """
    if len(word) > WORD_BYTES_MAX:
        return (_lower(word),)
    if word.isascii():
        found = _segments(word)
    else:
        found = tuple(chain.from_iterable(map(_segments, _tokens(word))))
    return found[:PARTS_MAX]


def terms(word: bytes) -> tuple[bytes, ...]:
    """Return the distinct terms of a word: its parts, and the whole word lowercased if it has several."""
    split = parts(word)
    if len(split) < 2:
        return split
    if word.isascii():
        return tuple(dict.fromkeys((*split, word.lower())))
    return tuple(dict.fromkeys((*split, *map(_lower, _tokens(word)))))


@lru_cache(maxsize=1 << 16)
def term_hash(term: bytes) -> int:
    """Return the 64-bit number a term is stored under; part of the file format."""
    return int.from_bytes(blake2b(term, digest_size=8).digest(), "little")


def words(content: bytes) -> list[bytes]:
    """Return the words of `content` in order."""
    return content.translate(_SPACES).split()


class Vocabulary:
    """Words of this process, numbered from 0, each split into terms once.

    Not thread-safe. It grows with the words seen and starts over when `WORDS_MAX` is passed; `epoch` then
    rises, and word numbers of earlier epochs mean nothing any more.
    """

    def __init__(self, words_max: int = WORDS_MAX) -> None:
        self.epoch = 0
        self._words_max = words_max
        self._start()

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def words(self) -> list[bytes]:
        """The words by number; read only."""
        new = len(self._numbers) - len(self._words)
        if new:
            latest = list(islice(reversed(self._numbers), new))
            self._words += reversed(latest)
        return self._words

    def _start(self) -> None:
        # A missing word gets the next number, without a Python frame; numbers follow the order of insertion.
        self._numbers: defaultdict[bytes, int] = defaultdict(count().__next__)
        self._words: list[bytes] = []
        self._term_ids: dict[bytes, int] = {}
        self._n_split = 0
        self._offset = Growing(np.uint32)
        self._offset.extend([0])
        self._terms = Growing(np.uint32)
        self._hashes = Growing(np.uint64)
        self._rank = np.zeros(0, np.uint32)

    def make_room(self) -> None:
        """Start over if the vocabulary is full; to be called between files, never within one."""
        if len(self._numbers) > self._words_max:
            self.epoch += 1
            self._start()

    def number(self, lists: Iterable[Sequence[bytes]], n: int) -> U32:
        """Return the numbers of `n` words that come in lists, new ones added."""
        return np.fromiter(map(self._numbers.__getitem__, chain.from_iterable(lists)), np.uint32, n)

    def word_terms(self) -> tuple[U32, U32, U64]:
        """Return (offset, term, hash): word w has terms term[offset[w]:offset[w + 1]], t is hash[t]."""
        if self._n_split < len(self._numbers):
            self._split(self.words[self._n_split :])
            self._n_split = len(self._numbers)
        return self._offset.array, self._terms.array, self._hashes.array

    def _split(self, new: list[bytes]) -> None:
        offsets: list[int] = []
        numbers: list[int] = []
        hashes: list[int] = []
        known, end = self._term_ids, int(self._offset.array[-1])
        for word in new:
            for term in terms(word):
                number = known.get(term)
                if number is None:
                    number = known[term] = len(known)
                    hashes.append(term_hash(term))
                numbers.append(number)
            offsets.append(end + len(numbers))
        self._offset.extend(offsets)
        self._terms.extend(numbers)
        self._hashes.extend(hashes)

    def rank_by_hash(self, term: U32) -> tuple[U32, U64]:
        """Return each term's rank by hash among the distinct ones given, and their hashes in that order."""
        hashes = self._hashes.array
        if len(self._rank) < len(hashes):
            self._rank = np.zeros(max(1024, 2 * len(hashes)), np.uint32)
        distinct = _distinct(term)
        distinct_hashes = hashes[distinct]
        order = np.argsort(distinct_hashes)
        self._rank[distinct[order]] = np.arange(len(distinct), dtype=np.uint32)
        return self._rank[term], distinct_hashes[order]


@dataclass(frozen=True, slots=True)
class WordBag:
    """How often each word stands in each chunk of one file; ordered by chunk, then word."""

    chunk: U32
    word: U32  # numbers of the vocabulary, valid in `epoch` only
    count: U32
    length: U32  # [n_chunks] words in each chunk, repetitions counted
    name_chunk: U32  # one entry per word of a defined name: the chunk in which the definition starts
    name_word: U32
    epoch: int


def bag(content: bytes, chunks: ChunkTable, symbols: SymbolTable, vocabulary: Vocabulary) -> WordBag:
    """Count the words of a file's chunks and of the names defined there.

    40 MB/s of C source with 20 lines a chunk, on one core of a 2.x GHz Xeon; 20 while every word is new.
    """
    vocabulary.make_room()
    text = content.translate(_SPACES)
    pieces = [text[a:b].split() for a, b in zip(chunks.start.tolist(), chunks.end.tolist(), strict=True)]
    return _count(pieces, vocabulary, *_named(chunks, symbols, vocabulary))


def bag_of_texts(texts: Sequence[bytes], vocabulary: Vocabulary) -> WordBag:
    """Count the words of texts, each a chunk of its own."""
    vocabulary.make_room()
    return _count([words(text) for text in texts], vocabulary, _EMPTY32, _EMPTY32)


def _count(
    pieces: Sequence[Sequence[bytes]], vocabulary: Vocabulary, name_chunk: U32, name_word: U32
) -> WordBag:
    length = np.fromiter(map(len, pieces), np.uint32, len(pieces))
    n = int(length.sum())
    word = vocabulary.number(pieces, n)
    key = np.repeat(np.arange(len(pieces), dtype=np.uint64) << np.uint64(32), length)
    key |= word
    key.sort()
    first = _run_starts(key)
    count = np.diff(first, append=n).astype(np.uint32)
    key = key[first]
    return WordBag(
        chunk=(key >> np.uint64(32)).astype(np.uint32),
        word=key.astype(np.uint32),  # the low half
        count=count,
        length=length,
        name_chunk=name_chunk,
        name_word=name_word,
        epoch=vocabulary.epoch,
    )


def term_table(counted: WordBag, vocabulary: Vocabulary) -> TermTable:
    """Turn counted words into the terms that are stored. `counted` is of the vocabulary's present epoch."""
    assert counted.epoch == vocabulary.epoch, (counted.epoch, vocabulary.epoch)
    offset, word_term, _ = vocabulary.word_terms()
    chunk = np.concatenate((counted.chunk, counted.name_chunk))
    word = np.concatenate((counted.word, counted.name_word))
    # Low bits of the sort key: the count of a body word below, one occurrence in a name above.
    weight = np.full(len(word), _NAME_ONE, np.uint64)
    np.minimum(counted.count, COUNT_MAX, out=weight[: len(counted.count)], casting="unsafe")
    begin, spread = offset[word], offset[word + np.uint32(1)]
    spread = spread - begin
    n = int(spread.sum())
    if n == 0:
        return TermTable(_EMPTY64, _EMPTY32, _EMPTY8, _EMPTY8, counted.length)
    ends = np.cumsum(spread, dtype=np.uint32)
    term = word_term[np.arange(n, dtype=np.uint32) + np.repeat(begin - (ends - spread), spread)]
    rank, hashes = vocabulary.rank_by_hash(term)
    key = np.repeat((chunk.astype(np.uint64) << np.uint64(40)) | weight, spread)
    key |= rank.astype(np.uint64) << np.uint64(8)
    key.sort()
    slot = key >> np.uint64(8)
    first = _run_starts(slot)
    slot = slot[first]
    body = np.add.reduceat(key & np.uint64(_NAME_ONE - 1), first)
    name = np.add.reduceat((key >> np.uint64(4)) & np.uint64(1), first)
    return TermTable(
        hash=hashes[slot & np.uint64(0xFFFFFFFF)],
        chunk=(slot >> np.uint64(32)).astype(np.uint32),
        body=np.minimum(body, COUNT_MAX).astype(np.uint8),
        name=np.minimum(name, COUNT_MAX).astype(np.uint8),
        length=counted.length,
    )


_NAME_ONE = 16
_EMPTY8: U8 = np.zeros(0, np.uint8)
_EMPTY32: U32 = np.zeros(0, np.uint32)
_EMPTY64: U64 = np.zeros(0, np.uint64)


def _named(chunks: ChunkTable, symbols: SymbolTable, vocabulary: Vocabulary) -> tuple[U32, U32]:
    """Return (chunk, word) for every word of every defined name."""
    if not len(symbols) or not len(chunks):
        return _EMPTY32, _EMPTY32
    pieces = [words(name) for name in symbols.name]
    spread = np.fromiter(map(len, pieces), np.int64, len(pieces))
    chunk = np.searchsorted(chunks.start, symbols.start, side="right") - 1
    chunk = np.maximum(chunk, 0).astype(np.uint32)
    return np.repeat(chunk, spread), vocabulary.number(pieces, int(spread.sum()))


class Growing:
    """A NumPy array that grows at its end in amortised constant time."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._room = np.zeros(256, dtype)
        self.array = self._room[:0]

    def extend(self, values: Sequence[int]) -> None:
        n = len(self.array)
        end = n + len(values)
        if end > len(self._room):
            room = np.zeros(max(end, 2 * len(self._room)), self._room.dtype)
            room[:n] = self.array
            self._room = room
        self._room[n:end] = values
        self.array = self._room[:end]


def _tokens(word: bytes) -> list[bytes]:
    """Return the runs of letters, digits and underscores by Unicode's rules: quotes and dashes separate."""
    return [token.encode() for token in _TOKEN.findall(word.decode("utf-8", "replace"))]


def _segments(token: bytes) -> tuple[bytes, ...]:
    if b"_" not in token:
        return _camel(token)
    return tuple(chain.from_iterable(map(_camel, token.split(b"_"))))


@lru_cache(maxsize=1 << 17)  # words share their segments: halves the cost of a new word
def _camel(segment: bytes) -> tuple[bytes, ...]:
    """Split what stands between two underscores."""
    if _ONE_NAME.fullmatch(segment):
        return (segment.lower(),)
    return tuple(map(_lower, _CAMEL.findall(segment)))


def _lower(word: bytes) -> bytes:
    return word.lower() if word.isascii() else word.decode("utf-8", "replace").lower().encode()


def _run_starts(ordered: U64) -> npt.NDArray[np.intp]:
    if not len(ordered):
        return np.zeros(0, np.intp)
    new = np.empty(len(ordered), np.bool_)
    new[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return np.flatnonzero(new)


def _distinct(values: U32) -> U32:
    ordered = np.sort(values)
    new = np.empty(len(ordered), np.bool_)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return ordered[new]
