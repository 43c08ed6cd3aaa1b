"""Line by line, the fast ways find what RE2 finds in every line by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import pages
from indexer.records import I64
from search.candidates import pages_of
from search.compiled import BadPattern, compile_pattern
from search.line_matches import matching_lines_of
from search.lines import LinePattern
from search.stretch import page_stretches, stretch_of_text
from tests.support import small_segment

TEXTS = [
    "def foo(a):\n    return foo\n",
    "",
    "\n",
    "foo",
    "x foo y\nfoo foo\n\nlast foo",
    "Foo FOO\nfOo_foo foo1\n" * 3,
    "a\r\nfoo\r\n",
    "\u017fk \u017f\u212a \u212a foo\n",
    "x" * 600 + " foo\n" + "y" * 254 + "\nfoo\n",
    "aaa aa a\n aba\n",
    "nothing\n" * 50,
    "größe = GRÖSSE\n",
]
PATTERNS = [
    "foo", "(?i)foo", "^foo", "foo$", r"\bfoo\b", r"(?i)\bfoo\b", "(?i)sk", "(?i)k", "a*", "aa", r"\baa\b",
    "^", "$", "", r"\w+", "fo+", r"[fF]oo\b", "return foo", "(?i:f)oo", "o foo", r"\s", "[^a]", "x.*foo",
    "y{254}", "^$", r"\bf", r"o\b", "a|b", "(foo)+ foo", "last (foo)", "größe", "(?i)GRÖSSE", r"\x00",
    "(?i)return.foo", "f.*return", "(?s)foo.", r"foo\n", "(?i)a_foo", r"\Bo", r"[^\n]o", "(?-m)^foo$",
]  # fmt: skip

Match = tuple[int, int, int, bytes]  # line, start and end in it, the line


def slow(content: bytes, pattern: str, every: bool) -> list[Match]:
    """Return the matches by looking at every line alone."""
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    compiled = compile_pattern(pattern.encode(), lines=True)
    found: list[Match] = []
    for number, line in enumerate(lines, 1):
        at, last = 0, -1
        while at <= len(line) and (match := compiled.search(line, at)):
            start, end = match.span()
            if end > start or end != last or not every:
                found.append((number, start, end, line))
            if not every:
                break
            last = end
            at = end if end > start else end + 1
            while at < len(line) and line[at] & 0xC0 == 0x80:
                at += 1
    return found


def fast(
    tmp_path: Path, texts: list[str], ordinals: I64, pattern: str, every: bool
) -> dict[int, list[Match]]:
    segment = small_segment(tmp_path / "a.seg", texts)
    looked_for = LinePattern(pattern)
    found: dict[int, list[Match]] = {}
    for stretch in page_stretches(
        segment, pages_of(segment, ordinals), 1 << 30 if looked_for.whole_docs else 300
    ):
        lines = matching_lines_of(segment.page_line, stretch, looked_for.find(stretch, every))
        places = lines.matches.tolist()
        for i, piece in enumerate(lines.piece.tolist()):
            entries = found.setdefault(int(stretch.ordinals[piece]), [])
            start, end = int(lines.start[i]), int(lines.end[i])
            for place in range(places[i], places[i + 1] if every else places[i] + 1):
                span = int(lines.match_start[place]) - start, int(lines.match_end[place]) - start
                entries.append((int(lines.number[i]), *span, stretch.content[start:end]))
    segment.close()
    return found


def wanted(texts: list[str], ordinals: I64, pattern: str, every: bool) -> dict[int, list[Match]]:
    found = {i: slow(texts[i].encode(), pattern, every) for i in ordinals.tolist()}
    return {i: matches for i, matches in found.items() if matches}


@pytest.mark.parametrize("page_bytes", [8, pages.PAGE_BYTES])
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_fast_ways_find_what_each_line_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, every: bool, page_bytes: int
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", page_bytes)
    for ordinals in (np.arange(len(TEXTS)), np.array([3, 4, 8])):
        found = fast(tmp_path, TEXTS, ordinals, pattern, every)
        if pattern == "(?-m)^foo$":  # the whole document
            assert {i: [m[:3] for m in ms] for i, ms in found.items()} == {3: [(1, 0, 3)]}
        else:
            assert found == wanted(TEXTS, ordinals, pattern, every)


ATOMS = st.sampled_from(
    ["a", "b", "ab", "ba", "A", "k", " ", "_", ".", "[ab]", "[^a]", r"\b", "^", "$", r"\w", "é", "(?i:ab)"]
)
PIECES = st.builds(
    lambda atom, repeat: atom + repeat if atom not in (r"\b", "^", "$") else atom,
    ATOMS,
    st.sampled_from(["", "", "", "?", "+", "*"]),
)
GENERATED = st.builds(
    lambda flag, pieces, more: flag + "".join(pieces) + (f"|{''.join(more)}" if more else ""),
    st.sampled_from(["", "", "(?i)"]),
    st.lists(PIECES, min_size=1, max_size=5),
    st.lists(PIECES, max_size=2),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text("abABkK\u212a _\n\ré", max_size=40), min_size=1, max_size=5),
    pattern=GENERATED,
    every=st.booleans(),
)
def test_generated_patterns_in_generated_texts(
    tmp_path: Path, texts: list[str], pattern: str, every: bool
) -> None:
    ordinals = np.arange(len(texts))
    assert fast(tmp_path, texts, ordinals, pattern, every) == wanted(texts, ordinals, pattern, every)


def numbers(text: bytes, pattern: LinePattern) -> list[int]:
    """Return the numbers of the lines of a text that match."""
    stretch = stretch_of_text(text)
    lines = matching_lines_of(np.zeros(1, np.uint32), stretch, pattern.find(stretch, False))
    return lines.number.tolist()


@pytest.mark.parametrize(
    ("text", "line"), [("a.b", "a.b"), (r"\E", r"x\Ey"), ("(", "f("), (r"\Q*\E", r"\Q*\E"), ("a|b", "a|b")]
)
def test_plain_text_is_no_pattern(text: str, line: str) -> None:
    assert numbers(f"aXb\n{line}\n".encode(), LinePattern(text, literal=True)) == [2]


def test_whole_words() -> None:
    assert numbers(b"foobar\nfoo bar\n_foo\nfoo", LinePattern("fo+|x", word=True)) == [2, 4]


def test_smart_case() -> None:
    for pattern, lines in (("foo", [1, 2]), ("Foo", [1])):
        assert numbers(b"Foo\nfoo\n", LinePattern(pattern, "smart")) == lines


def test_many_lines_with_the_needed_text_are_read_at_once() -> None:
    text = b"xfoo1\n" * 100 + b"-\n" * 400
    assert numbers(text, LinePattern(r"\w+foo\d")) == list(range(1, 101))


@pytest.mark.parametrize("pattern", ["(", r"a\C", r"\\\C"])
def test_a_bad_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        LinePattern(pattern)
