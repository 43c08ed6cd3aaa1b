"""Lines are cut out of contents with the matched characters where they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.live import find_name, same_line
from search.snippet import CUT, clip, column, line_number, line_span, lines_around, make_line

TEXT = st.text(alphabet="ab é漢\t\r😀", max_size=40)


@given(st.lists(TEXT, min_size=1, max_size=6), st.data())
def test_lines_are_those_of_the_text(lines: list[str], data: st.DataObject) -> None:
    content = "\n".join(lines).encode()
    number = data.draw(st.integers(0, len(lines) - 1))
    line = lines[number].encode()
    start = sum(len(before.encode()) + 1 for before in lines[:number])
    offset = start + data.draw(st.integers(0, len(line)))
    assert line_span(content, offset) == (start, start + len(line))
    assert line_number(content, offset) == number + 1
    assert column(content, start, start) == 1
    made = make_line(content, (start, start + len(line)), number + 1, [], 1000)
    assert made.text == lines[number].removesuffix("\r")


@given(TEXT, TEXT, TEXT)
def test_ranges_are_characters(before: str, match: str, after: str) -> None:
    content = (before + match + "x" + after).encode()
    low = len(before.encode())
    line = make_line(content, (0, len(content)), 1, [(low, low + len(match.encode()))], 1000)
    assert "".join(line.text[a:b] for a, b in line.ranges) == match


@given(st.text(alphabet="abé漢", max_size=100), st.integers(20, 60), st.data())
def test_a_cut_line_is_short_and_keeps_the_first_match(
    text: str, chars_max: int, data: st.DataObject
) -> None:
    low = data.draw(st.integers(0, len(text)))
    high = data.draw(st.integers(low, min(len(text), low + 8)))
    kept, ranges = clip(text, [(low, high)], chars_max)
    assert len(kept) <= chars_max
    assert kept.strip(CUT) in text
    if high > low:
        assert [kept[a:b] for a, b in ranges] == [text[low:high]]


def test_a_line_of_megabytes_is_cut_without_being_read_whole() -> None:
    content = ("é" * 1_000_000 + "needle" + "é" * 1_000_000).encode()
    line = make_line(content, (0, len(content)), 1, [(2_000_000, 2_000_006)], 240)
    assert len(line.text) <= 240
    assert [line.text[a:b] for a, b in line.ranges] == ["needle"]


def test_touching_and_overlapping_matches_are_one_range() -> None:
    assert make_line(b"abcdef", (0, 6), 1, [(3, 5), (0, 2), (1, 3)], 80).ranges == ((0, 5),)


def test_context_ends_at_the_ends_of_the_file() -> None:
    content = b"one\ntwo\nthree\n"
    assert [line.text for line in lines_around(content, 4, 2, [], (5, 5), 80)] == ["one", "two", "three"]
    assert [line.number for line in lines_around(content, 0, 1, [], (1, 1), 80)] == [1, 2]


def test_a_match_over_lines_is_shown_on_each() -> None:
    shown = lines_around(b"ab\ncd\nef\n", 1, 1, [(1, 5)], (0, 2), 80)
    assert [line.ranges for line in shown] == [((1, 2),), ((0, 2),), ()]


def test_names_and_lines_are_found_again_nearest_to_where_they_were() -> None:
    content = b"foo\nfoobar foo\n  foo()\n"
    assert find_name(b"foo", content, 5) == (0, 3)
    assert find_name(b"foo", content, 12) == (11, 14)
    assert find_name(b"oo", content, 0) is None
    assert same_line(b"\tfoo()", content, 0) == (17, 22)
    assert same_line(b"bar", content, 0) is None
    assert same_line(b"  ", content, 0) is None
