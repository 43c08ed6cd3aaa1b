"""Terms of pages against what `words` says of one word at a time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.page_terms import PAGE_SHIFT, TERM_BITS, TERM_SHIFT, page_terms
from indexer.words import COUNT_MAX, parts, term_hash, whole_term, words

Counted = dict[tuple[int, int], int]  # term's highest bits, page -> count

WORDS = [
    *("a", "_", "__", "_a", "a_", "x1", "i2c", "v4l2src", "x86_64", "A1B2C3", "0x1fUL", "10ms", "abc10ms"),
    *("getHTTPConfig2", "HTTPServer", "aBC", "ABc", "aBCd", "ABCd", "Ab", "aB", "camelCaseWord", "URL"),
    *("seven77", "eight888", "nine_9999", "sixteen_bytes_ab", "seventeen_bytes_a", "foo_foo_foo", "Foo_foo"),
    *(
        "a" * 17,
        "a" * 18,
        "b" * 96,
        "b" * 97,
        "x_" * 30,
        "Aa" * 40,
        "é",
        "Größe_maß",
        "naïve",
        "“q”",
        "日本語",
    ),
    *("snake_case_with_many_parts_a_b_c_d_e_f_g_h_i_j_k_l_m_n", "aaaaaaaaa", "aaaaaaaaaa", "\u2028", "ÀB1"),
]


def slow(pages: list[bytes], first: int) -> Counted:
    found: Counter[tuple[int, int]] = Counter()
    for number, page in enumerate(pages, first):
        for word, times in Counter(words(page)).items():
            split = parts(word)
            whole = whole_term(word) if len(split) > 1 else None
            for term in split if whole is None else (*split, whole):
                found[term_hash(term) >> (64 - TERM_BITS), number] += min(times, COUNT_MAX)
    return dict(found)


def check(pages: list[bytes], first: int = 0) -> None:
    entries, n_words = page_terms(pages, first)
    assert n_words.tolist() == [len(words(page)) for page in pages]
    terms, numbers = (entries >> TERM_SHIFT).tolist(), (entries >> PAGE_SHIFT & np.uint64(0xFFFF)).tolist()
    found: Counter[tuple[int, int]] = Counter()
    for term, page, times in zip(terms, numbers, (entries & np.uint64(0xFF)).tolist(), strict=True):
        found[term, page] += times
    assert dict(found) == slow(pages, first)


@pytest.mark.parametrize("word", WORDS)
def test_the_terms_of_a_word_are_those_of_its_parts_and_the_whole(word: str) -> None:
    check([word.encode()])
    check([f"other {word} {word}\n".encode(), b"\n", f"{word}+{word}".encode()], 65_000)


def test_a_word_counts_in_its_page_only_and_at_most_fifteen_times() -> None:
    check([b"alpha beta\n" * 40, b"beta\n", b"", b"gamma_alpha"], 7)


def test_no_pages_and_no_words() -> None:
    check([])
    check([b"", b"+-\n"])


LETTERS = st.sampled_from(["a", "b", "Z", "Y", "1", "_", "_a", "Ab", "é", "0x", "long_", "\u201d"])


@given(st.lists(st.lists(st.lists(LETTERS, min_size=1, max_size=30).map("".join), max_size=20), max_size=4))
def test_any_words(pages: list[list[str]]) -> None:
    check([" ".join(page).encode() for page in pages], 3)


@given(st.lists(st.binary(max_size=300).map(lambda data: data.replace(b"\0", b"")), max_size=4))
def test_any_bytes(pages: list[bytes]) -> None:
    check(pages)


def test_the_words_of_this_repository() -> None:
    folder = Path(__file__).parent.parent.parent
    check([file.read_bytes() for file in sorted((folder / "indexer").rglob("*.py"))], 100)
