"""How a word is split into parts and terms."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.words import WORD, WORD_BYTES_MAX, parts, term_hash, terms, words


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
    assert term_hash(b"config") == 0x5DD4B7E6E0F23BC
    assert term_hash("größe".encode()) == 0xCACAEC8264EC026D
    assert term_hash(b"getconfiguration") == 0xD45FF36F2345E16B


@given(st.lists(st.text("ab_é", min_size=1, max_size=30).map(str.encode), max_size=50, unique=True))
def test_term_hashes_differ_and_are_spread(found: list[bytes]) -> None:
    hashes = [term_hash(term) for term in found]
    assert len(set(hashes)) == len(found)
    assert all(0 < each < 1 << 64 for each in hashes)


def test_term_hashes_of_like_terms_fill_their_range_evenly() -> None:
    hashes = [term_hash(b"%s%d" % (stem, i)) for stem in (b"x", b"register_name_") for i in range(4096)]
    for shift in (0, 28, 56):  # 8,192 hashes over 256 values: 32 each, and a sixth of that is one deviation
        counts = Counter(each >> shift & 0xFF for each in hashes)
        assert len(counts) == 256
        assert max(counts.values()) < 70


@given(st.binary(max_size=200))
def test_words_are_what_the_expression_finds(content: bytes) -> None:
    assert words(content) == WORD.findall(content)
