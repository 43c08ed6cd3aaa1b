"""How often words and terms stand in the chunks of files. Pure.

Files are counted many at a time, because a call of NumPy costs as much as looking at a thousand words:
chunks are numbered through all files, and each file's table is cut out at the end. What comes out for a file
does not depend on the files beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from indexer.records import I64, U32, U64, ChunkTable, SymbolTable, TermTable
from indexer.vocabulary import NO_TERM, Vocabulary, Words
from indexer.words import COUNT_MAX, spread_ranges


@dataclass(frozen=True, slots=True)
class WordBag:
    """How often each word stands in each chunk; ordered by chunk, then word."""

    chunk: U32
    word: U32  # numbers of the vocabulary, valid in `epoch` only
    count: U32
    length: U32  # [n_chunks] words in each chunk, repetitions counted
    name_chunk: U32  # one entry per word of a defined name: the chunk in which the definition starts
    name_word: U32
    epoch: int


def bag_of_files(
    contents: Sequence[bytes],
    chunks: Sequence[ChunkTable],
    symbols: Sequence[SymbolTable],
    vocabulary: Vocabulary,
) -> WordBag:
    """Count the words of the files' chunks, numbered through, and of the names defined there."""
    vocabulary.make_room()
    names = [name for table in symbols for name in table.name]
    text = b"\n".join([*contents, *names])
    length = np.fromiter(map(len, chain(contents, names)), np.int64, len(contents) + len(names))
    begin = np.cumsum(length + 1) - (length + 1)  # of each content and name in the text
    n_files = len(contents)
    words = Words(text)
    number = vocabulary.number(words)

    starts = [np.zeros(0, np.int64)]
    starts += [table.start.astype(np.int64) + at for table, at in zip(chunks, begin.tolist(), strict=False)]
    end_of_contents = begin[n_files] if names else len(text) + 1
    bounds = np.searchsorted(words.start, np.append(np.concatenate(starts), end_of_contents))
    n_body = int(bounds[-1])
    assert len(bounds) == 1 or bounds[0] == 0, "the chunks of a file cover it from its beginning"

    name_chunk, name_word = _NOTHING, _NOTHING
    if names and len(bounds) > 1:
        of_name = np.diff(np.append(np.searchsorted(words.start, begin[n_files:]), len(words)))
        name_chunk = np.repeat(_chunks_of_names(chunks, symbols), of_name)
        name_word = number[n_body:]
    return _count(number[:n_body], np.diff(bounds).astype(np.uint32), name_chunk, name_word, vocabulary.epoch)


def bag(content: bytes, chunks: ChunkTable, symbols: SymbolTable, vocabulary: Vocabulary) -> WordBag:
    """Count the words of one file."""
    return bag_of_files([content], [chunks], [symbols], vocabulary)


def bag_of_texts(texts: Sequence[bytes], vocabulary: Vocabulary) -> WordBag:
    """Count the words of texts, each a chunk of its own."""
    vocabulary.make_room()
    text = b"\n".join(texts)
    begin = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    words = Words(text)
    bounds = np.append(0, np.searchsorted(words.start, begin))
    length = np.diff(bounds).astype(np.uint32)
    return _count(vocabulary.number(words), length, _NOTHING, _NOTHING, vocabulary.epoch)


def split_bag(bag: WordBag, n_chunks: Sequence[int]) -> list[WordBag]:
    """Cut the bag of several files, which have so many chunks each, into the bags of each."""
    last = np.cumsum(np.array(n_chunks, np.int64))
    cuts = np.searchsorted(bag.chunk, last).tolist()
    name_cuts = np.searchsorted(bag.name_chunk, last).tolist()
    found: list[WordBag] = []
    a = name_a = first = 0
    for b, name_b, end in zip(cuts, name_cuts, last.tolist(), strict=True):
        base = np.uint32(first)
        found.append(
            WordBag(
                chunk=bag.chunk[a:b] - base,
                word=bag.word[a:b],
                count=bag.count[a:b],
                length=bag.length[first:end],
                name_chunk=bag.name_chunk[name_a:name_b] - base,
                name_word=bag.name_word[name_a:name_b],
                epoch=bag.epoch,
            )
        )
        a, name_a, first = b, name_b, end
    return found


def term_table(counted: WordBag, vocabulary: Vocabulary) -> TermTable:
    """Turn the counted words of one file into the terms that are stored."""
    return term_tables(counted, [len(counted.length)], vocabulary)[0]


def term_tables(counted: WordBag, n_chunks: Sequence[int], vocabulary: Vocabulary) -> list[TermTable]:
    """Turn the counted words of files, which have so many chunks each, into the terms that are stored.

    `counted` is of the vocabulary's present epoch.
    """
    assert counted.epoch == vocabulary.epoch, (counted.epoch, vocabulary.epoch)
    offset, part = vocabulary.part_lists
    # Low bits of the sort key: the count of a body word below, one occurrence in a name above.
    key = counted.chunk.astype(np.uint64)
    key <<= np.uint64(40)
    key |= np.minimum(counted.count, COUNT_MAX)
    word = counted.word
    if len(counted.name_word):
        name_key = (counted.name_chunk.astype(np.uint64) << np.uint64(40)) | np.uint64(_NAME_ONE)
        word, key = np.concatenate((word, counted.name_word)), np.concatenate((key, name_key))
    at, spread = spread_ranges(offset, word)
    is_whole = np.flatnonzero(vocabulary.whole_hash[word] != NO_TERM)
    rank, whole_rank, hashes = _rank_by_hash(part[at], word[is_whole], vocabulary)
    key = np.concatenate((np.repeat(key, spread), key[is_whole]))
    key |= np.concatenate((rank, whole_rank)).astype(np.uint64) << np.uint64(8)
    key.sort()

    slot = key >> np.uint64(8)
    first = _run_starts(slot)
    slot = slot[first]
    # Both fields are added up at once: names in the upper half of 64 bits.
    count = (key & np.uint64(COUNT_MAX)) | ((key & np.uint64(_NAME_ONE)) << np.uint64(28))
    total = np.zeros(len(key) + 1, np.uint64)
    np.cumsum(count, out=total[1:])
    count = np.diff(total[np.append(first, len(key))])
    hash_ = hashes[slot & np.uint64(0xFFFFFFFF)]
    chunk = (slot >> np.uint64(32)).astype(np.uint32)
    body = np.minimum(count & np.uint64(0xFFFFFFFF), COUNT_MAX).astype(np.uint8)
    name = np.minimum(count >> np.uint64(32), COUNT_MAX).astype(np.uint8)

    size = np.array(n_chunks, np.int64)
    last = np.cumsum(size)
    cuts = np.searchsorted(chunk, last)
    chunk -= np.repeat(last - size, np.diff(cuts, prepend=0)).astype(np.uint32)
    tables: list[TermTable] = []
    a = begin = 0
    for b, end in zip(cuts.tolist(), last.tolist(), strict=True):
        tables.append(TermTable(hash_[a:b], chunk[a:b], body[a:b], name[a:b], counted.length[begin:end]))
        a, begin = b, end
    return tables


_NAME_ONE = COUNT_MAX + 1
_NOTHING: U32 = np.zeros(0, np.uint32)


def _chunks_of_names(chunks: Sequence[ChunkTable], symbols: Sequence[SymbolTable]) -> U32:
    """Return for every defined name the chunk in which the definition starts, numbered through."""
    found: list[I64] = []
    base = 0
    for table, defined in zip(chunks, symbols, strict=True):
        if len(defined):
            chunk = np.searchsorted(table.start, defined.start, side="right") - 1
            found.append(np.maximum(chunk, 0) + base)
        base += len(table)
    return np.concatenate(found).astype(np.uint32)


def _count(number: U32, length: U32, name_chunk: U32, name_word: U32, epoch: int) -> WordBag:
    """Count the numbers of chunks that come one after the other."""
    key = np.repeat(np.arange(len(length), dtype=np.uint64) << np.uint64(32), length)
    key |= number
    key.sort()
    first = _run_starts(key)
    count = np.diff(first, append=len(key)).astype(np.uint32)
    key = key[first]
    word = key.astype(np.uint32)  # the low half
    key >>= np.uint64(32)
    return WordBag(key.astype(np.uint32), word, count, length, name_chunk, name_word, epoch)


def _rank_by_hash(part: U32, whole: U32, vocabulary: Vocabulary) -> tuple[U32, U32, U64]:
    """Return the rank of parts and of whole words among all their distinct hashes, and these in order."""
    parts, wholes = (
        _distinct(part, len(vocabulary.part_hash)),
        _distinct(whole, len(vocabulary.whole_hash)),
    )
    hashes = np.concatenate((vocabulary.part_hash[parts], vocabulary.whole_hash[wholes]))
    order = np.argsort(hashes)
    hashes = hashes[order]
    first = _run_starts(hashes)  # a whole word may be what another word has as its part
    rank = np.zeros(len(hashes), np.uint32)
    rank[first[1:]] = 1
    rank[order] = np.cumsum(rank, dtype=np.uint32)
    of_part = np.zeros(len(vocabulary.part_hash), np.uint32)
    of_part[parts] = rank[: len(parts)]
    of_whole = np.zeros(len(vocabulary.whole_hash), np.uint32)
    of_whole[wholes] = rank[len(parts) :]
    return of_part[part], of_whole[whole], hashes[first]


def _distinct(numbers: U32, n: int) -> npt.NDArray[np.intp]:
    """Return the distinct ones of numbers below n, sorted."""
    present = np.zeros(n, np.bool_)
    present[numbers] = True
    return np.flatnonzero(present)


def _run_starts(ordered: U64) -> npt.NDArray[np.intp]:
    new = np.empty(len(ordered), np.bool_)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return np.flatnonzero(new)
