"""How a word is split into parts and terms."""

from __future__ import annotations

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
    assert term_hash(b"config") == 0x19EB9613562925C4
    assert term_hash("größe".encode()) == 0xE99A32C955E1F8F4


@given(st.binary(max_size=200))
def test_words_are_what_the_expression_finds(content: bytes) -> None:
    assert words(content) == WORD.findall(content)
