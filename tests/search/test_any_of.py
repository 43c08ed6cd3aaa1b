"""Several plain texts at once, against `re`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from search.hits import words_of
from search.matcher import AnyOf

TEXT = st.text("abcAB_.(*ß 1\n", max_size=30)
WORDS = st.lists(st.text("abcAB_.(*1", min_size=1, max_size=3), min_size=1, max_size=5)


@given(TEXT, WORDS, st.integers(0, 30), st.integers(0, 30))
def test_they_are_found_where_re_finds_them(text: str, words: list[str], start: int, end: int) -> None:
    content = text.encode()
    start, end = min(start, end, len(content)), min(max(start, end), len(content))
    longest = "|".join(map(re.escape, sorted(set(words), key=lambda word: (-len(word), word))))
    pattern = re.compile(longest.encode(), re.IGNORECASE)
    wanted = [match.span() for match in pattern.finditer(content, start, end)]
    assert list(AnyOf(words).find(content, start, end)) == wanted


def test_a_text_that_is_no_utf8_stands_nowhere() -> None:
    assert list(AnyOf(["\udcff"]).find(b"\xff and more")) == []
    assert list(AnyOf(["\udcff", "more"]).find(b"\xff and more")) == [(6, 10)]


def test_words_are_found_in_their_other_forms() -> None:
    words = words_of(("Retries", "a"))
    assert words is not None
    content = b"retry RETRIES; max_retry"
    assert [content[low:high] for low, high in words.find(content)] == [b"retry", b"RETRIES", b"retry"]
    assert words_of(()) is None
