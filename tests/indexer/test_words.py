"""words.py against a twin that takes one word at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.records import ChunkTable, SymbolTable
from indexer.words import (
    COUNT_MAX,
    WORD,
    WORD_BYTES_MAX,
    Vocabulary,
    bag,
    parts,
    term_hash,
    term_table,
    terms,
    words,
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("getHTTPConfig2", "get http config 2"),
        ("parse_config", "parse config"),
        ("__init__", "init"),
        ("XMLHttpRequest", "xml http request"),
        ("IOError", "io error"),
        ("sha256sum", "sha 256 sum"),
        ("utf8", "utf 8"),
        ("0x1F", "0x1f"),
        ("10ms", "10ms"),
        ("i2c_read", "i2c read"),
        ("x86_64", "x86 64"),
        ("v4l2_device", "v4l2 device"),
        ("MAX_LEN", "max len"),
        ("word", "word"),
        ("Größe", "größe"),
        ("neueGrößeÄndern", "neue größeändern"),
        ("“quoted_Word”", "quoted word"),
        ("中文", "中文"),
        ("___", ""),
        ("—", ""),
    ],
)
def test_parts(word: str, expected: str) -> None:
    assert b" ".join(parts(word.encode())).decode() == expected


def test_terms_add_the_whole_word_once_if_it_has_several_parts() -> None:
    assert terms(b"getConfig") == (b"get", b"config", b"getconfig")
    assert terms(b"config") == (b"config",)
    assert terms(b"a_a") == (b"a", b"a_a")  # in the index, `a` counts twice
    assert terms("„wo_rt“".encode()) == (b"wo", b"rt", b"wo_rt")


def test_a_word_divided_by_punctuation_has_no_whole() -> None:
    assert terms("aB—cD".encode()) == (b"a", b"b", b"c", b"d")


def test_a_very_long_word_is_one_term() -> None:
    long = b"aB" * WORD_BYTES_MAX
    assert terms(long) == (long.lower(),)


def test_term_hashes_never_change() -> None:
    assert term_hash(b"config") == 0x19EB9613562925C4
    assert term_hash("größe".encode()) == 0xE99A32C955E1F8F4


@given(st.binary(max_size=200))
def test_words_are_what_the_expression_finds(content: bytes) -> None:
    assert words(content) == WORD.findall(content)


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
    names = vocabulary.words
    got = [
        (chunk, names[word], n)
        for chunk, word, n in zip(
            counted.chunk.tolist(), counted.word.tolist(), counted.count.tolist(), strict=True
        )
    ]
    pieces = [
        WORD.findall(content[a:b]) for a, b in zip(chunks.start.tolist(), chunks.end.tolist(), strict=True)
    ]
    assert sorted(got) == sorted(
        (i, w, n) for i, piece in enumerate(pieces) for w, n in Counter(piece).items()
    )
    assert counted.length.tolist() == [len(piece) for piece in pieces]

    stored = term_table(counted, vocabulary)
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


def test_a_full_vocabulary_starts_over_between_files() -> None:
    vocabulary = Vocabulary(words_max=3)
    content = b"one two three four_five\n"
    check(content, table([0], len(content)), SYMBOLS_EMPTY, vocabulary)
    assert (vocabulary.epoch, len(vocabulary)) == (0, 4)
    check(content, table([0], len(content)), symbols([(b"six", 0)]), vocabulary)
    assert (vocabulary.epoch, len(vocabulary)) == (1, 5)


def test_terms_of_an_outdated_bag_are_refused() -> None:
    vocabulary = Vocabulary(words_max=0)
    chunks = table([0], 4)
    old = bag(b"one\n", chunks, SYMBOLS_EMPTY, vocabulary)
    bag(b"two\n", chunks, SYMBOLS_EMPTY, vocabulary)
    with pytest.raises(AssertionError):
        term_table(old, vocabulary)
