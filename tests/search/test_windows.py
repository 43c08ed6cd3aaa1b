"""Windows hold around every match, and what looks for them finds what a look at every place finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.native.scan import Row, Run
from search.compiled import compile_pattern
from search.fixed import fixed_finder
from search.probes import Finder
from search.regex_syntax import parse_regex
from search.windows import Window, windows
from tests.search.test_lines import GENERATED, PATTERNS

TEXT = (
    "foo bar\nfoo\n\nx = 0x1f + 10.20.30.40;;\n\tkfree(kmalloc(1));  \nkk K\u212a s\u017f S\n"
    "größe GRÖSSE αβγ Ω\nreturn foo\nlabel:\nother : \n2024-01-02 ab12cd34ef56\n_foo_ a.b\r\nend"
)
SOURCE_PATTERNS = [
    r"[0-9a-f]{8,}", r"\d+\.\d+\.\d+\.\d+", r"^\s*[a-z]+:\s*$", "[α-ωΑ-Ω]+", r"k(m|z)?alloc\(", r"\bkfree\b",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}", ";;", r";[ \t]+$", "(?i)KFREE", "foo|bar", r"(foo )?bar", r"f(o{2})",
    r"(?i)[ks]{1,2}", r"a\.b\r$", r"[^a-z\n]+$", "(?i)Größe", r"x\s*=\s*0x[0-9a-f]+", r"(a|b)+\d", r"=.*;",
]  # fmt: skip


def made(pattern: str) -> list[Window]:
    return windows(parse_regex(pattern, False).node)


def slow_places(window: Window, content: bytes) -> list[int]:
    """Return where a window stands by looking at every place; before the start there is a line end."""
    before = b"\n" if window.starts_line else b""
    text = before + content
    n = len(window.sets)
    return [
        at - len(before)
        for at in range(len(text) - n + 1)
        if all(byte in each for byte, each in zip(text[at : at + n], window.sets, strict=True))
    ]


def lines_with_places(finder: Finder, content: bytes) -> set[int]:
    places = finder.places(content) + finder.window.starts_line
    return {content.count(b"\n", 0, place) for place in places.tolist()}


@pytest.mark.parametrize("pattern", [*PATTERNS, *SOURCE_PATTERNS])
def test_every_line_with_a_match_has_every_window(pattern: str) -> None:
    if r"(?-m)" in pattern or not pattern:
        return
    content = TEXT.encode() + b"\n"
    compiled = compile_pattern(pattern.encode(), lines=True)
    lines = content.split(b"\n")[:-1]
    matching = {i for i, line in enumerate(lines) if compiled.search(line)}
    for window in made(pattern):
        finder = Finder(window)
        if finder.tells_all(content):
            assert matching <= lines_with_places(finder, content)


BYTES = st.text("ab19\n .", max_size=60).map(str.encode)
SETS = st.frozensets(st.sampled_from(sorted(b"ab19\n .")), min_size=1, max_size=5)


@settings(deadline=None)
@given(content=BYTES, sets=st.lists(SETS, min_size=1, max_size=12), starts_line=st.booleans())
def test_places_are_those_of_a_look_at_every_place(
    content: bytes, sets: list[frozenset[int]], starts_line: bool
) -> None:
    window = Window((frozenset(b"\n"), *sets) if starts_line else tuple(sets), starts_line, False)
    finder = Finder(window)
    if not finder.samples:
        assert finder.places(content).tolist() == slow_places(window, content)


@settings(deadline=None)
@given(content=BYTES, one=SETS, length=st.integers(8, 20))
def test_a_sample_has_a_place_in_every_run(content: bytes, one: frozenset[int], length: int) -> None:
    window = Window((one,) * length, False, False)
    row = Row(window.sets, range(length), 1, run=Run(0, length, length // 2))
    found = row.places(content)
    for place in slow_places(window, content):
        before = found[found <= place]
        assert len(before) and set(content[before[-1] : place]) <= one


@pytest.mark.parametrize(
    ("pattern", "fixed"),
    [
        ("foo", True), ("(?i)foo", True), (r"\bfoo\b", True), ("^foo$", True), ("fo{2}", True),
        ("[0-9]{4}-[0-9]{2}", True), ("aa", True), (r"\baa\b", True), ("(?i)ks", True), ("größe", True),
        ("[ab]c", True), ("[äö]x", True), ("(?i)ö", True), ("a|b", False), ("[aé]", False), ("fo+", False),
        ("foo|bar", False), (r"\n", False), ("foo bar?", False), (r"f\boo", False), ("[α-ω]", False),
        ("a.b", False),
    ],
)  # fmt: skip
def test_what_needs_no_re2(pattern: str, fixed: bool) -> None:
    assert (fixed_finder(parse_regex(pattern, False).node) is not None) == fixed


@settings(max_examples=500, deadline=None)
@given(text=st.text("abABkK_é \n", max_size=60), pattern=GENERATED)
def test_fixed_patterns_match_where_re2_does(text: str, pattern: str) -> None:
    finder = fixed_finder(parse_regex(pattern, False).node)
    if finder is None:
        return
    spans = finder.spans(text.encode())
    assert spans is not None
    expected = [m.span() for m in compile_pattern(pattern.encode(), lines=True).finditer(text.encode())]
    assert np.transpose(spans).tolist() == [list(span) for span in expected]


def test_letters_that_fold_to_ascii_are_left_to_re2() -> None:
    finder = fixed_finder(parse_regex("(?i)mask", False).node)
    assert finder is not None
    assert finder.spans("MASK ma\u017fk".encode()) is None
    assert finder.spans("MASK größe".encode()) is not None
