"""Vocabulary, bags and term tables against twins that take one word at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import vocabulary as vocabulary_module
from indexer.bags import WordBag, bag, bag_of_files, bag_of_texts, split_bag, term_table, term_tables
from indexer.records import ChunkTable, SymbolTable, TermTable
from indexer.vocabulary import NO_TERM, Numbering, Vocabulary, Words, keys_of
from indexer.words import COUNT_MAX, PARTS_MAX, WORD, WORD_BYTES_MAX, parts, term_hash, terms, whole_term

SYMBOLS_EMPTY = SymbolTable([], *(np.zeros(0, t) for t in (np.uint8, *[np.uint32] * 4, np.int32)))
SOURCE = (
    b"int getHTTPConfig2(int a_b)\n",
    b"{ return a_b + A_B + 0x1F; }\n",
    b"\n",
    b"class Foo: get = config2 = Foo()\n",
    "// Größe »größe« \x00 \xff\n".encode("latin-1") + "Größe ___ a_a aB—cD\n".encode() + b"x_y" * 40,
)


def table(starts: list[int], size: int) -> ChunkTable:
    start = np.array(starts, np.uint32)
    return ChunkTable(
        start,
        np.append(start[1:], size).astype(np.uint32)[: len(start)],
        np.ones(len(start), np.uint32),
        np.full(len(start), -1, np.int32),
    )


def symbols(named: list[tuple[bytes, int]]) -> SymbolTable:
    start = np.array([at for _, at in named], np.uint32)
    zeros = np.zeros(len(named), np.uint32)
    return SymbolTable(
        [name for name, _ in named],
        zeros.astype(np.uint8),
        start,
        start + 1,
        start,
        zeros,
        zeros.astype(np.int32),
    )


def slow_terms(word: bytes) -> list[bytes]:
    split = parts(word)
    return [*split, *(set(terms(word)) - set(split))]


def slow_table(content: bytes, chunks: ChunkTable, defined: SymbolTable) -> list[tuple[int, int, int, int]]:
    found = []
    for i, (a, b) in enumerate(zip(chunks.start.tolist(), chunks.end.tolist(), strict=True)):
        body: Counter[bytes] = Counter()
        name: Counter[bytes] = Counter()
        for word in WORD.findall(content[a:b]):
            body.update(slow_terms(word))
        for text, at in zip(defined.name, defined.start.tolist(), strict=True):
            if a <= at < b:
                for word in WORD.findall(text):
                    name.update(slow_terms(word))
        found += [
            (i, term_hash(t), min(body[t], COUNT_MAX), min(name[t], COUNT_MAX))
            for t in body.keys() | name.keys()
        ]
    return sorted(found)


def check(content: bytes, chunks: ChunkTable, defined: SymbolTable, vocabulary: Vocabulary) -> None:
    counted = bag(content, chunks, defined, vocabulary)
    check_bag(counted, content, chunks, vocabulary)
    check_table(term_table(counted, vocabulary), content, chunks, defined)


def check_bag(counted: WordBag, content: bytes, chunks: ChunkTable, vocabulary: Vocabulary) -> None:
    got = list(zip(counted.chunk.tolist(), counted.word.tolist(), counted.count.tolist(), strict=True))
    assert got == sorted(got)
    pieces = [
        WORD.findall(content[a:b]) for a, b in zip(chunks.start.tolist(), chunks.end.tolist(), strict=True)
    ]
    distinct = sorted(set(WORD.findall(content)))
    number = dict(zip(distinct, vocabulary.number(Words(b" ".join(distinct))).tolist(), strict=True))
    assert len(set(number.values())) == len(number)
    assert got == sorted(
        (i, number[w], n) for i, piece in enumerate(pieces) for w, n in Counter(piece).items()
    )
    assert counted.length.tolist() == [len(piece) for piece in pieces]
    assert [c.dtype for c in (counted.chunk, counted.word, counted.count, counted.length)] == [np.uint32] * 4


def check_table(stored: TermTable, content: bytes, chunks: ChunkTable, defined: SymbolTable) -> None:
    columns = (stored.chunk, stored.hash, stored.body, stored.name)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == slow_table(content, chunks, defined)
    assert [c.dtype for c in columns] == [np.uint32, np.uint64, np.uint8, np.uint8]


def test_bag_and_terms_equal_the_slow_twin() -> None:
    content = b"".join(SOURCE)
    starts = [sum(map(len, SOURCE[:i])) for i in (0, 1, 3, 4)]
    vocabulary = Vocabulary()
    named = symbols(
        [(b"getHTTPConfig2", 4), (b"operator ==", 30), (b"Foo", starts[2] + 6), (b"Foo.get", starts[2])]
    )
    for _ in range(2):  # the second time every word is known
        check(content, table(starts, len(content)), named, vocabulary)
        check(content, table(starts, len(content)), SYMBOLS_EMPTY, vocabulary)


def test_counts_saturate() -> None:
    content = b"a_b " * 40 + b"\n"
    check(content, table([0], len(content)), symbols([(b"a", 0)] * 20), Vocabulary())


@pytest.mark.parametrize("content", [b"", b"\n", b"+ - \n"])
def test_a_file_without_words_has_no_terms(content: bytes) -> None:
    check(content, table([0] if content else [], len(content)), SYMBOLS_EMPTY, Vocabulary())


LINE = st.text(alphabet="abAB_19 .\xe9\u201c", max_size=12).map(lambda line: line.encode() + b"\n")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(LINE, min_size=1, max_size=4), max_size=5), st.lists(st.integers(0, 60), max_size=3))
def test_random_files_equal_the_slow_twin(pieces: list[list[bytes]], definitions: list[int]) -> None:
    chunks = [b"".join(lines) for lines in pieces]
    content = b"".join(chunks)
    starts = [sum(map(len, chunks[:i])) for i in range(len(chunks))]
    named = symbols(sorted((b"aB%d" % at, at) for at in definitions if at < len(content)))
    check(content, table(starts, len(content)), named, Vocabulary())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=3), max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=3),
    st.sampled_from([0, 5, 1000]),
)
def test_files_counted_together_have_the_tables_of_each(
    files: list[list[list[bytes]]], definitions: list[tuple[int, int]], words_max: int
) -> None:
    vocabulary = Vocabulary(words_max)
    contents, chunks, defined = [], [], []
    for i, pieces in enumerate(files):
        texts = [b"".join(lines) for lines in pieces]
        contents.append(b"".join(texts))
        chunks.append(table([sum(map(len, texts[:j])) for j in range(len(texts))], len(contents[-1])))
        inside = sorted((b"aB%d" % at, at) for k, at in definitions if k == i and at < len(contents[-1]))
        defined.append(symbols(inside))
    for _ in range(2):  # the second time every word is known or dropped
        counted = bag_of_files(contents, chunks, defined, vocabulary)
        n_chunks = [len(each) for each in chunks]
        stored = term_tables(counted, n_chunks, vocabulary)
        bags = split_bag(counted, n_chunks)
        assert len(stored) == len(bags) == len(files)
        for i, content in enumerate(contents):
            check_table(stored[i], content, chunks[i], defined[i])
            check_bag(bags[i], content, chunks[i], vocabulary)
            alone = bag(content, chunks[i], defined[i], Vocabulary())
            assert len(bags[i].name_word) == len(alone.name_word)
            assert bags[i].name_chunk.tolist() == alone.name_chunk.tolist()
            assert stored[i].length.tolist() == bags[i].length.tolist() == alone.length.tolist()


def test_texts_are_counted_like_chunks() -> None:
    texts = [b"a b a", b"", b"getConfig a_b", b"+"]
    vocabulary = Vocabulary()
    counted = bag_of_texts(texts, vocabulary)
    ends = np.cumsum([len(text) + 1 for text in texts]).tolist()
    content = b"".join(text + b"\n" for text in texts)
    check_bag(counted, content, table([0, *ends[:-1]], len(content)), vocabulary)


WORD_TEXT = st.text("aAbB1_", max_size=40).map(str.encode)
ODD_WORD = st.text("aB1_é“ßÄ中", max_size=20).map(str.encode)


def check_words(found: list[bytes], vocabulary: Vocabulary) -> None:
    """Whether the vocabulary knows of each word what the functions for one word say."""
    number = vocabulary.number(Words(b" ".join(found))).tolist()
    offset, part = vocabulary.part_lists
    for n, word in zip(number, found, strict=True):
        split = [vocabulary.parts[i] for i in part[offset[n] : offset[n + 1]].tolist()]
        assert tuple(split) == parts(word)
        whole = whole_term(word) if len(split) > 1 else None
        assert int(vocabulary.whole_hash[n]) == (NO_TERM if whole is None else term_hash(whole))
    assert vocabulary.part_hash.tolist() == [term_hash(each) for each in vocabulary.parts]


@settings(max_examples=200, deadline=None)
@given(st.lists(WORD_TEXT | ODD_WORD, max_size=8), st.sampled_from([0, 4, 1000]))
def test_words_are_split_like_one_alone(texts: list[bytes], words_max: int) -> None:
    found = [word for text in texts for word in WORD.findall(text)]
    vocabulary = Vocabulary(words_max)
    for _ in range(3):
        check_words(found, vocabulary)
        vocabulary.make_room()


def test_long_words_are_split_like_one_alone() -> None:
    edges = [b"aB" * (WORD_BYTES_MAX // 2), b"aB" * (WORD_BYTES_MAX // 2) + b"c", b"a_" * PARTS_MAX + b"b"]
    check_words([b"_", b"a" * 5000, *edges, "é".encode() * 60, b"x" * 8, b"x" * 9, b"x" * 16], Vocabulary())


@given(st.lists(st.text("ab", min_size=1, max_size=40).map(str.encode), min_size=1, max_size=30))
def test_keys_differ_where_words_do(found: list[bytes]) -> None:
    padded = b"".join(found) + bytes(8)
    length = np.array([len(word) for word in found])
    keys = keys_of(padded, np.cumsum(length) - length, length).tolist()
    assert len(dict(zip(found, keys, strict=True))) == len(set(found)) == len(set(keys))
    assert 0 not in keys


@given(st.lists(st.lists(st.integers(1, 40), max_size=60), max_size=6), st.integers(0, 3))
def test_numbering_is_a_dictionary(calls: list[list[int]], collide: int) -> None:
    # Keys that all want few places of the table.
    factor = pow(int(vocabulary_module._MIX), -1, 1 << 64)
    numbering, twin = Numbering(), {}
    for values in calls:
        keys = np.array([(value << (16 * collide)) * factor % (1 << 64) for value in values], np.uint64)
        numbers, fresh = numbering.number(keys)
        before = len(twin)
        for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
            assert twin.setdefault(key, number) == number
        assert sorted(twin.values()) == list(range(len(twin)))
        assert [twin[key] for key in keys[fresh].tolist()] == list(range(before, len(twin)))
        assert (
            [twin[key] for key in numbering.keys.tolist()]
            == list(range(len(twin)))
            == list(range(len(numbering)))
        )


def test_numbering_grows_and_forgets() -> None:
    keys = np.random.default_rng(1).integers(1, 1 << 63, 50_000).astype(np.uint64)
    numbering = Numbering()
    first, _ = numbering.number(keys)
    again, fresh = numbering.number(keys)
    assert np.array_equal(first, again) and not len(fresh)
    kept = np.arange(0, len(numbering), 7)
    known = numbering.keys[kept]
    numbering.keep(kept)
    assert len(numbering) == len(kept)
    numbers, fresh = numbering.number(known)
    assert np.array_equal(numbers, np.arange(len(kept))) and not len(fresh)


def check_rounds(vocabulary: Vocabulary, rounds: Sequence[bytes]) -> None:
    for content in rounds:
        check(content, table([0], len(content)), symbols([(b"six", 0)]), vocabulary)


def test_a_full_vocabulary_keeps_what_is_met_again() -> None:
    vocabulary = Vocabulary(words_max=40)
    rounds = [b"common_word alsoCommon w%d x_%d yZ%d\n" % (i, i, i) for i in range(100)]
    check_rounds(vocabulary, rounds)
    assert vocabulary.epoch > 3
    assert len(vocabulary) <= 40 + 6
    before = len(vocabulary)
    vocabulary.number(Words(b"common_word alsoCommon"))
    assert len(vocabulary) == before  # neither had to be learned again
    check_words([b"common_word", b"alsoCommon", b"x_7", b"alsoCommon"], vocabulary)


def test_a_vocabulary_with_too_many_parts_starts_over() -> None:
    vocabulary = Vocabulary(words_max=20)
    rounds = [b"_".join(b"p%d" % (i * 12 + j) for j in range(12)) + b"\n" for i in range(9)]
    for content in (*rounds, *rounds):
        check_rounds(vocabulary, [content, content])
    assert vocabulary.epoch > 2
    assert len(vocabulary.parts) <= 20 + 12 + 1


def test_terms_of_an_outdated_bag_are_refused() -> None:
    vocabulary = Vocabulary(words_max=0)
    chunks = table([0], 4)
    old = bag(b"one\n", chunks, SYMBOLS_EMPTY, vocabulary)
    bag(b"two\n", chunks, SYMBOLS_EMPTY, vocabulary)
    with pytest.raises(AssertionError):
        term_table(old, vocabulary)
