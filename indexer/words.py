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
NO_TERM = 0xFFFFFFFF
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
    return tuple(chain.from_iterable(map(_camel, _segments(word))))[:PARTS_MAX]


def terms(word: bytes) -> tuple[bytes, ...]:
    """Return the distinct terms of a word: its parts, and the whole word lowercased if it has several."""
    split = parts(word)
    whole = _whole(word) if len(split) > 1 else None
    return tuple(dict.fromkeys(split if whole is None else (*split, whole)))


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
        return _follow(self._words, self._numbers)

    @property
    def terms(self) -> list[bytes]:
        """The terms by number; read only."""
        return _follow(self._terms, self._term_numbers)

    def _start(self) -> None:
        # A missing word gets the next number, without a Python frame; numbers follow the order of insertion.
        self._numbers: defaultdict[bytes, int] = defaultdict(count().__next__)
        self._words: list[bytes] = []
        self._term_numbers: defaultdict[bytes, int] = defaultdict(count().__next__)
        self._terms: list[bytes] = []
        self._segments = _SegmentParts(self._term_numbers)
        self._n_split = 0
        self._offset = Growing(np.uint32)
        self._offset.extend([0])
        self._part = Growing(np.uint32)
        self._whole = Growing(np.uint32)
        self._hash = Growing(np.uint64)
        self._rank = np.zeros(0, np.uint32)

    def make_room(self) -> None:
        """Start over if the vocabulary is full; to be called between files, never within one."""
        if len(self._numbers) > self._words_max:
            self.epoch += 1
            self._start()

    def number(self, lists: Iterable[Sequence[bytes]], n: int) -> U32:
        """Return the numbers of `n` words that come in lists, new ones added."""
        return np.fromiter(map(self._numbers.__getitem__, chain.from_iterable(lists)), np.uint32, n)

    def word_parts(self) -> tuple[U32, U32]:
        """Return (offset, term): word w has the parts term[offset[w]:offset[w + 1]], repeated as they are."""
        self._split_new()
        return self._offset.array, self._part.array

    def word_whole(self) -> U32:
        """Return the term that each word is as a whole, `NO_TERM` if it has one part or none."""
        self._split_new()
        return self._whole.array

    def _split_new(self) -> None:
        if self._n_split == len(self._numbers):
            return
        offsets: list[int] = []
        part_numbers: list[int] = []
        wholes: list[int] = []
        end = int(self._offset.array[-1])
        known, number = self._segments.__getitem__, self._term_numbers
        for word in self.words[self._n_split :]:
            if word.isascii() and len(word) <= WORD_BYTES_MAX:
                found = list(chain.from_iterable(map(known, word.split(b"_"))))[:PARTS_MAX]
                wholes.append(number[word.lower()] if len(found) > 1 else NO_TERM)
            else:
                found = [number[part] for part in parts(word)]
                whole = _whole(word) if len(found) > 1 else None
                wholes.append(NO_TERM if whole is None else number[whole])
            part_numbers += found
            offsets.append(end + len(part_numbers))
        self._n_split = len(self._numbers)
        self._offset.extend(offsets)
        self._part.extend(part_numbers)
        self._whole.extend(wholes)
        fresh = self.terms[len(self._hash.array) :]
        digests = b"".join([blake2b(term, digest_size=8).digest() for term in fresh])
        self._hash.extend(np.frombuffer(digests, "<u8"))

    def rank_by_hash(self, term: U32) -> tuple[U32, U64]:
        """Return each term's rank by hash among the distinct ones given, and their hashes in that order."""
        hashes = self._hash.array
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
    offset, part = vocabulary.word_parts()
    # Low bits of the sort key: the count of a body word below, one occurrence in a name above.
    body_weight = np.minimum(counted.count, COUNT_MAX).astype(np.uint64)
    body_key = (counted.chunk.astype(np.uint64) << np.uint64(40)) | body_weight
    name_key = (counted.name_chunk.astype(np.uint64) << np.uint64(40)) | np.uint64(_NAME_ONE)
    word = np.concatenate((counted.word, counted.name_word))
    word_key = np.concatenate((body_key, name_key))
    at, spread = spread_ranges(offset, word)
    whole = vocabulary.word_whole()[word]
    has_whole = whole != NO_TERM
    term = np.concatenate((part[at], whole[has_whole]))
    if not len(term):
        return TermTable(_EMPTY64, _EMPTY32, _EMPTY8, _EMPTY8, counted.length)
    key = np.concatenate((np.repeat(word_key, spread), word_key[has_whole]))
    rank, hashes = vocabulary.rank_by_hash(term)
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


_NAME_ONE = COUNT_MAX + 1
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


def spread_ranges(offset: U32, items: U32) -> tuple[U32, U32]:
    """Return the positions of all ranges offset[i]:offset[i + 1] one after the other, and their lengths."""
    begin = offset[items]
    length = offset[items + np.uint32(1)] - begin
    ends = np.cumsum(length, dtype=np.uint32)
    n = int(ends[-1]) if len(ends) else 0
    return np.arange(n, dtype=np.uint32) + np.repeat(begin - (ends - length), length), length


class _SegmentParts(dict[bytes, tuple[int, ...]]):
    """What stands between underscores -> numbers of its parts. Words share it: that halves their cost."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: defaultdict[bytes, int]) -> None:
        super().__init__()
        self._numbers = numbers

    def __missing__(self, segment: bytes) -> tuple[int, ...]:
        found = self[segment] = tuple([self._numbers[part] for part in _camel(segment)])
        return found


def _follow(seen: list[bytes], numbers: dict[bytes, int]) -> list[bytes]:
    """Append to `seen` the keys that were added since, in order."""
    new = len(numbers) - len(seen)
    if new:
        latest = list(islice(reversed(numbers), new))
        seen += reversed(latest)
    return seen


class Growing:
    """A NumPy array that grows at its end in amortised constant time."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._room = np.zeros(256, dtype)
        self.array = self._room[:0]

    def extend(self, values: npt.ArrayLike, /) -> None:
        values = np.asarray(values, self._room.dtype)
        n = len(self.array)
        end = n + len(values)
        if end > len(self._room):
            room = np.zeros(max(end, 2 * len(self._room)), self._room.dtype)
            room[:n] = self.array
            self._room = room
        self._room[n:end] = values
        self.array = self._room[:end]


def _segments(word: bytes) -> list[bytes]:
    """Return what underscores separate, and by Unicode's rules quotes, dashes and other non-letters."""
    if word.isascii():
        return word.split(b"_")
    return [token for run in _tokens(word) for token in run.split(b"_")]


def _tokens(word: bytes) -> list[bytes]:
    return [token.encode() for token in _TOKEN.findall(word.decode("utf-8", "replace"))]


def _whole(word: bytes) -> bytes | None:
    """Return the word lowercased, without punctuation around it; None if punctuation divides it."""
    if word.isascii():
        return word.lower()
    runs = _tokens(word)
    return _lower(runs[0]) if len(runs) == 1 else None


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
