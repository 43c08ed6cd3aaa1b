"""What an answer is made of: hits of one file, hits that touch, hits that are read live."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from search.answer import Hit, Line
from search.extent import WHOLE_LINES_MAX
from search.results import FIRST, Results, joined, touch


def hit(path: str, low: int, high: int, line: int | None = None) -> Hit:
    number = low if line is None else line
    return Hit(path, number, 1, low, high, "line", "", "", "c", 1.0, (Line(number, "x", (), True),))


HITS = st.lists(
    st.builds(
        lambda path, low, length: hit(path, low, low + length),
        st.sampled_from("abcdefgh"),
        st.integers(1, 400),
        st.integers(0, 60),
    ),
    max_size=60,
)


def collected(hits: list[Hit], limit: int, per_file: int, joins: bool = True) -> list[Hit]:
    results = Results(limit, per_file, joins=joins)
    for each in hits:
        if results.full:
            break
        results.add(each)
    return results.hits()


@given(HITS, st.integers(1, 30), st.integers(1, 3))
def test_no_file_has_too_many_of_the_first_hits(hits: list[Hit], limit: int, per_file: int) -> None:
    found = collected(hits, limit, per_file)
    first = [each.path for each in found[:FIRST]]
    several = len({each.path for each in hits}) * per_file >= FIRST
    if limit <= FIRST:
        assert all(first.count(path) <= per_file for path in first)
    elif several and len(found) == limit:
        assert len(found) == len(set(map(id, found)))
    assert len(found) <= limit


@given(HITS)
def test_all_lines_stay_and_none_touch_any_more_than_they_may(hits: list[Hit]) -> None:
    found = collected(hits, 1000, 0)
    lines = {(each.path, line) for each in hits for line in range(each.start_line, each.end_line + 1)}
    kept = {(each.path, line) for each in found for line in range(each.start_line, each.end_line + 1)}
    assert lines <= kept
    shown = {(each.path, line.number) for each in found for line in each.lines}
    assert shown == {(each.path, each.line) for each in hits}
    assert all(each.end_line - each.start_line < WHOLE_LINES_MAX for each in found)


@given(HITS, st.integers(1, 30))
def test_without_limits_of_files_and_joins_the_order_stands(hits: list[Hit], limit: int) -> None:
    assert collected(hits, limit, 0, joins=False) == hits[:limit]


def test_hits_touch_where_no_line_lies_between() -> None:
    assert touch(hit("a", 1, 4), hit("a", 5, 9)) and touch(hit("a", 5, 9), hit("a", 1, 4))
    assert touch(hit("a", 1, 9), hit("a", 3, 4))
    assert not touch(hit("a", 1, 4), hit("a", 6, 9))
    assert not touch(hit("a", 1, 4), hit("b", 5, 9))
    assert not touch(hit("a", 1, 4), replace(hit("a", 5, 9), live=True))
    assert not touch(hit("a", 1, 4), hit("a", 5, 4 + WHOLE_LINES_MAX))


def test_the_first_of_two_hits_leads() -> None:
    one, other = hit("a", 10, 14, 12), hit("a", 5, 9, 7)
    both = joined(one, other)
    assert (both.line, both.start_line, both.end_line) == (12, 5, 14)
    assert [line.number for line in both.lines] == [7, 12]
