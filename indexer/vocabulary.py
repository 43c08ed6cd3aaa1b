"""Words of many files -> numbers, and each word's parts, without a Python object per occurrence. Pure.

A file has a word every eight bytes and few of them are new. So words are found and looked up as arrays: a
class of bytes gives their ends, the bytes themselves a 64-bit key, and a hash table that is two arrays gives
the number. Only what stands between two underscores for the first time in a while is looked at by itself. (A
dictionary of bytes objects, file by file, took 69 ns a byte of Linux 6.1 to count and split; this takes 22.)

Two words with one key would be taken for one. Up to eight bytes the key is the word; the keys of longer ones
collide as rarely as the 64-bit hashes under which terms are stored.

The vocabulary is bounded. When it is full, the words that were met in one call only are dropped: most names
of a large tree stand in one place, and the others are the ones worth keeping.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, count, islice
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from indexer.records import I64, U32, U64
from indexer.words import (
    IS_WORD,
    MULTIPLY,
    PARTS_MAX,
    UNDERSCORE,
    WORD_BYTES_MAX,
    camel_parts,
    parts,
    spread_ranges,
    term_hash,
    whole_term,
)

WORDS_MAX = 200_000  # with their parts some 40 MB; Linux 6.1 has 2 million words, mostly names of registers
NO_TERM = 0  # the hash of no whole word; one word in 2^64 has it and is not found as a whole
KEY_BYTES = 8
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads keys over a table (Knuth, TAOCP 6.4)
_MULTIPLY = np.uint64(MULTIPLY)
_HALF = np.uint64(32)
_MASKS: U64 = np.array([(1 << 8 * n) - 1 for n in range(KEY_BYTES + 1)], np.uint64)
_NOWHERE: I64 = np.zeros(0, np.int64)

Scalar = TypeVar("Scalar", bound=np.generic)


class Growing(Generic[Scalar]):
    """A NumPy array that grows at its end in amortised constant time."""

    def __init__(self, dtype: type[Scalar]) -> None:
        """Begin without an element."""
        self._room = np.zeros(256, dtype)
        self.array: npt.NDArray[Scalar] = self._room[:0]

    def extend(self, values: npt.ArrayLike, /) -> None:
        """Append; `array` is then another view."""
        values = np.asarray(values, self._room.dtype)
        n = len(self.array)
        end = n + len(values)
        if end > len(self._room):
            room = np.zeros(max(end, 2 * len(self._room)), self._room.dtype)
            room[:n] = self.array
            self._room = room
        self._room[n:end] = values
        self.array = self._room[:end]


class Words:
    """Where the words of a text are: word i is text[start[i]:end[i]]."""

    __slots__ = ("end", "padded", "start", "text")

    def __init__(self, text: bytes) -> None:
        """Find them."""
        self.text = text
        self.padded = b"".join((b"\n", text, bytes(KEY_BYTES)))
        inside = np.frombuffer(self.padded.translate(IS_WORD), np.bool_)
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        self.start: I64 = edges[0::2]
        self.end: I64 = edges[1::2]

    def __len__(self) -> int:
        return len(self.start)

    def keys(self) -> U64:
        """The key of each."""
        return keys_of(self.padded, self.start + 1, self.end - self.start)


def term_hashes(padded: bytes, start: I64, length: I64) -> U64:
    """Return `term_hash` of padded[start:start + length]; otherwise like `keys_of`."""
    hashes = keys_of(padded, start, length)
    short = np.flatnonzero(length <= KEY_BYTES)
    hashes[short] = _mixed(_mixed(hashes[short]))
    return hashes


def keys_of(padded: bytes, start: I64, length: I64) -> U64:
    """Return the keys of padded[start:start + length], none of which is empty or has a zero byte.

    A longer one has its `term_hash`.

    padded  at least KEY_BYTES bytes of anything follow the last of them
    """
    windows: U64 = np.ndarray(len(padded) - KEY_BYTES + 1, "<u8", padded, strides=(1,))
    keys = windows[start] & _MASKS[np.minimum(length, KEY_BYTES)]
    longer = np.flatnonzero(length > KEY_BYTES)
    at, left, key = start[longer], length[longer], keys[longer]
    while len(longer):
        at = at + KEY_BYTES
        left = left - KEY_BYTES
        key = _mixed(key) ^ (windows[at] & _MASKS[np.minimum(left, KEY_BYTES)])
        over = left > KEY_BYTES
        ended = ~over
        keys[longer[ended]] = _mixed(_mixed(key[ended]))
        longer, at, left, key = longer[over], at[over], left[over], key[over]
    return keys


def _mixed(key: U64) -> U64:
    key = key * _MULTIPLY
    key ^= key >> _HALF
    return key


class Numbering:
    """A hash table from keys to numbers from 0 on, looked up for many keys at once. Open addressing."""

    def __init__(self) -> None:
        """Nothing is numbered yet."""
        self._of = Growing[np.uint64](np.uint64)  # by number: its key
        self._start(12)

    def __len__(self) -> int:
        return len(self._of.array)

    @property
    def keys(self) -> U64:
        """The keys by number."""
        return self._of.array

    def number(self, keys: U64) -> tuple[U32, I64]:
        """Number keys, none of them 0. Returns numbers, and for each new one where its key stands."""
        place = (keys * _MIX) >> self._shift
        slot = place.astype(np.int64)
        numbers = self._numbers[slot]
        other = np.flatnonzero(self._keys[slot] != keys)
        slot, missing = slot[other], []
        while len(other):
            free = self._keys[slot] == 0
            missing.append(other[free])
            other, slot = other[~free], (slot[~free] + 1) & self._mask
            same = self._keys[slot] == keys[other]
            numbers[other[same]] = self._numbers[slot[same]]
            other, slot = other[~same], slot[~same]
        if not missing or not sum(map(len, missing)):
            return numbers, _NOWHERE
        at = np.concatenate(missing)
        at = at[np.argsort(keys[at])]
        ordered = keys[at]
        new = np.empty(len(at), np.bool_)
        new[0] = True
        np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
        numbers[at] = np.cumsum(new) + (len(self) - 1)
        self._add(ordered[new])
        return numbers, at[new]

    def keep(self, numbers: I64) -> None:
        """Forget all but these, which are numbered anew in the order given."""
        kept = self.keys[numbers]
        self._of = Growing[np.uint64](np.uint64)
        self._start(12)
        self._add(kept)

    def _start(self, bits: int) -> None:
        self._shift = np.uint64(64 - bits)
        self._mask = (1 << bits) - 1
        self._keys = np.zeros(1 << bits, np.uint64)  # 0: free
        self._numbers = np.zeros(1 << bits, np.uint32)

    def _add(self, fresh: U64) -> None:
        n = len(self)
        self._of.extend(fresh)
        if 2 * len(self) > len(self._keys):
            self._start(max(12, (4 * len(self)).bit_length()))
            fresh, n = self.keys, 0
        number = np.arange(n, n + len(fresh), dtype=np.uint32)
        slot = ((fresh * _MIX) >> self._shift).astype(np.int64)
        while len(fresh):
            free = self._keys[slot] == 0
            self._keys[slot[free]] = fresh[free]  # of several for one slot the last one gets it
            got = self._keys[slot] == fresh
            self._numbers[slot[got]] = number[got]
            fresh, number, slot = fresh[~got], number[~got], (slot[~got] + 1) & self._mask


class Vocabulary:
    """Words of this process, numbered from 0, each split into parts once.

    Not thread-safe. It grows with the words seen; when `words_max` is passed, `make_room` drops those that
    are rare and numbers the others anew: `epoch` then rises, and numbers of earlier epochs mean nothing.
    """

    def __init__(self, words_max: int = WORDS_MAX) -> None:
        """Know no word yet."""
        self.epoch = 0
        self._words_max = words_max
        self._start()

    def __len__(self) -> int:
        return len(self._words)

    @property
    def part_lists(self) -> tuple[U32, U32]:
        """(offset, part): word w has the parts part[offset[w]:offset[w + 1]], repeated as they are."""
        return self._of_word.offset, self._of_word.item

    @property
    def whole_hash(self) -> U64:
        """By word: the hash of the whole word as a term, NO_TERM if it has one part or none."""
        return self._whole.array

    @property
    def part_hash(self) -> U64:
        """By part: its hash."""
        return self._part_hash.array

    @property
    def parts(self) -> list[bytes]:
        """By part: its text; read only."""
        return self._part_list

    def make_room(self) -> None:
        """Drop what is rare if the vocabulary is full; to be called between two calls of `number`."""
        if len(self._words) > self._words_max or len(self._parts) > self._words_max:
            self.epoch += 1
            self._drop_rare()

    def number(self, words: Words) -> U32:
        """Return the number of each word; new ones are added."""
        numbers, fresh = self._words.number(words.keys())
        if len(fresh):
            self._learn(words, fresh)
        met = self._met.array
        here = np.zeros(len(met), np.bool_)
        here[numbers] = True
        met += here
        return numbers

    def _start(self) -> None:
        self._words = Numbering()
        self._of_word = _Lists()
        self._whole = Growing[np.uint64](np.uint64)
        self._met = Growing[np.uint32](np.uint32)  # by word: in how many calls it stood, see _drop_rare
        # What stands between underscores is split once for all words.
        self._segments = Numbering()
        self._of_segment = _Lists()
        self._name_parts([], _NO_HASHES)

    def _name_parts(self, known: list[bytes], hashes: U64) -> None:
        # A missing part gets the next number, without a Python frame; numbers follow the order of insertion.
        self._parts: defaultdict[bytes, int] = defaultdict(count(len(known)).__next__)
        self._parts.update(zip(known, range(len(known)), strict=True))
        self._part_list = known
        self._part_hash = Growing[np.uint64](np.uint64)
        self._part_hash.extend(hashes)

    def _learn(self, words: Words, fresh: I64) -> None:
        """Split the words at these positions, which have just been numbered in this order."""
        start, size = words.start[fresh], words.end[fresh] - words.start[fresh]
        odd = np.flatnonzero(size > WORD_BYTES_MAX)
        if not words.text.isascii():
            high = np.flatnonzero(np.frombuffer(words.text, np.uint8) >= 0x80)
            foreign = np.searchsorted(high, start) < np.searchsorted(high, start + size)
            odd = np.flatnonzero((size > WORD_BYTES_MAX) | foreign)
        plain_size = size.copy()
        plain_size[odd] = 0
        length, item, hashes = self._split_plain(words, start, plain_size)
        if len(odd):
            text, number = words.text, self._parts
            ends = zip(start[odd].tolist(), (start + size)[odd].tolist(), strict=True)
            odd_words = [text[a:b] for a, b in ends]
            own = [[number[part] for part in parts(word)] for word in odd_words]
            before = (np.cumsum(length) - length)[odd]
            length[odd] = [len(numbers) for numbers in own]
            item = np.insert(item, np.repeat(before, length[odd]), list(chain.from_iterable(own)))
            hashes[odd] = [_whole_hash(word, len(n)) for word, n in zip(odd_words, own, strict=True)]
        self._of_word.extend(length, item)
        self._whole.extend(hashes)
        self._met.extend(np.zeros(len(fresh), np.uint32))
        added = len(self._parts) - len(self._part_list)
        latest = list(islice(reversed(self._parts), added))[::-1]
        self._part_list += latest
        length = np.fromiter(map(len, latest), np.int64, len(latest))
        self._part_hash.extend(
            term_hashes(b"".join([*latest, bytes(KEY_BYTES)]), np.cumsum(length) - length, length)
        )

    def _split_plain(self, words: Words, start: I64, size: I64) -> tuple[I64, U32, U64]:
        """Return of ASCII words how many parts each has, the parts, and the hash of each as a whole."""
        # All words, an underscore before and after each.
        ends = np.cumsum(size + 1) + 1  # of each word and the underscore behind it
        n = int(ends[-1])
        begin = ends - size - 1
        gather = np.arange(n) + np.repeat(start + 1 - begin, np.diff(ends, prepend=0))
        array = np.frombuffer(words.padded, np.uint8)[gather]
        array[0] = UNDERSCORE
        array[ends - 1] = UNDERSCORE
        joined = array.tobytes() + bytes(KEY_BYTES)
        lowered = joined.lower()

        inside = array != UNDERSCORE
        edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
        first, last = edges[0::2], edges[1::2]
        segment, fresh = self._segments.number(keys_of(joined, first, last - first))
        if len(fresh):
            self._learn_segments(joined, lowered, first[fresh], last[fresh])
        at, spread = spread_ranges(self._of_segment.offset, segment)
        item = self._of_segment.item[at]
        of_word = np.searchsorted(ends, first, side="right")
        length = np.bincount(of_word, spread, len(size)).astype(np.int64)
        if length.max() > PARTS_MAX:
            place = np.arange(len(item)) - np.repeat(np.cumsum(length) - length, length)
            item = item[place < PARTS_MAX]
            length = np.minimum(length, PARTS_MAX)
        several = np.flatnonzero(length > 1)
        b = ends[several] - 1
        hashes = np.full(len(size), NO_TERM, np.uint64)
        hashes[several] = term_hashes(lowered, b - size[several], size[several])
        return length, item, hashes

    def _learn_segments(self, joined: bytes, lowered: bytes, first: I64, last: I64) -> None:
        """Split what stands between underscores into parts; most of it is a single one as it is."""
        kind = np.frombuffer(joined.translate(_KINDS), np.uint8)
        size = last - first
        head, second = kind[first], kind[first + 1]
        # Positions of each segment's bytes, end to end.
        begin = np.cumsum(size) - size
        own = kind[np.arange(int(size.sum())) + np.repeat(first - begin, size)]
        kinds = np.bitwise_or.reduceat(own, begin)
        capitals = np.add.reduceat(own == _CAPITAL, begin, dtype=np.int64)
        single = (
            (kinds == _SMALL)
            | (kinds == _CAPITAL)
            | ((kinds == _SMALL | _CAPITAL) & (head == _CAPITAL) & (capitals == 1))
            | (head == _DIGIT)
            | ((second == _DIGIT) & (size <= 5))
        )
        number = self._parts
        length = np.ones(len(first), np.int64)
        ends = zip(first[single].tolist(), last[single].tolist(), strict=True)
        item = np.array([number[lowered[a:b]] for a, b in ends], np.uint32)
        camel = np.flatnonzero(~single)
        if len(camel):
            ends = zip(first[camel].tolist(), last[camel].tolist(), strict=True)
            split = [camel_parts(joined[a:b]) for a, b in ends]
            length[camel] = [len(found) for found in split]
            before = camel - np.arange(len(camel))  # of the single ones
            several = [number[part] for part in chain.from_iterable(split)]
            item = np.insert(item, np.repeat(before, length[camel]), several)
        self._of_segment.extend(length, item)

    def _drop_rare(self) -> None:
        """Keep up to half of the words: those that were met in more than one call, the most frequent first.

        How often a word was met counts half from then on, so what is not met again goes sooner or later.
        """
        met = self._met.array
        kept = np.flatnonzero(met > 1)
        room = self._words_max // 2
        if len(kept) > room:
            kept = np.sort(kept[np.argsort(met[kept])[len(kept) - room :]])
        whole, of_word = self._whole.array[kept], self._of_word.pick(kept)
        used = np.zeros(len(self._part_list), np.bool_)
        used[of_word.item] = True
        if used.sum() > room:
            self._start()
            return
        renumbered = (np.cumsum(used) - 1).astype(np.uint32)
        length = np.diff(self._of_segment.offset)
        unused = np.bincount(
            np.repeat(np.arange(len(length)), length), ~used[self._of_segment.item], len(length)
        )
        segments = np.flatnonzero(unused == 0)
        self._words.keep(kept)
        self._segments.keep(segments)
        self._of_segment = self._of_segment.pick(segments)
        self._of_segment.item[:] = renumbered[self._of_segment.item]
        of_word.item[:] = renumbered[of_word.item]
        self._of_word = of_word
        self._whole, self._met = Growing[np.uint64](np.uint64), Growing[np.uint32](np.uint32)
        self._whole.extend(whole)
        self._met.extend(met[kept] >> 1)
        known = [part for part, stays in zip(self._part_list, used.tolist(), strict=True) if stays]
        self._name_parts(known, self._part_hash.array[used])


_SMALL, _CAPITAL, _DIGIT = 1, 2, 4
_KINDS = bytes(
    _SMALL * (97 <= b <= 122) + _CAPITAL * (65 <= b <= 90) + _DIGIT * (48 <= b <= 57) for b in range(256)
)
_NO_HASHES: U64 = np.zeros(0, np.uint64)


def _whole_hash(word: bytes, n_parts: int) -> int:
    term = whole_term(word) if n_parts > 1 else None
    return NO_TERM if term is None else term_hash(term)


class _Lists:
    """Lists of numbers end to end: list i is item[offset[i]:offset[i + 1]]."""

    def __init__(self) -> None:
        self._offset = Growing[np.uint32](np.uint32)
        self._offset.extend(np.zeros(1, np.uint32))
        self._item = Growing[np.uint32](np.uint32)

    @property
    def offset(self) -> U32:
        return self._offset.array

    @property
    def item(self) -> U32:
        return self._item.array

    def extend(self, length: I64, item: U32) -> None:
        """Append lists of these lengths."""
        self._offset.extend(np.cumsum(length) + len(self.item))
        self._item.extend(item)

    def pick(self, lists: I64) -> _Lists:
        """Return a copy of some of them."""
        picked = _Lists()
        at, length = spread_ranges(self.offset, lists.astype(np.uint32))
        picked.extend(length.astype(np.int64), self.item[at])
        return picked
