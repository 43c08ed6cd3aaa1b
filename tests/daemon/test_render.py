"""Answers as text and as JSON Lines."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import EinsteinError, QuerySyntaxError
from daemon import render, wire
from daemon.render import Style
from search.answer import Answer, Explain, Hit, Line, StepReport

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def make_hit(text: str = "    return wait(x)", **more: Any) -> Hit:
    values: dict[str, Any] = {
        "path": "src/retry.py",
        "line": 42,
        "column": 12,
        "start_line": 42,
        "end_line": 42,
        "kind": "line",
        "symbol": "Retry.delay",
        "symbol_kind": "method",
        "language": "python",
        "score": 1.5,
        "lines": (Line(41, "def delay():"), Line(42, text, ((11, 15),), is_match=True)),
    }
    return Hit(**(values | more))


def wired(*hits: Hit, **more: Any) -> dict[str, Any]:
    """An answer as it arrives."""
    values: dict[str, Any] = {
        "generation": 17,
        "fresh": True,
        "incomplete": "",
        "warnings": (),
        "files_searched": 1812,
        "ms": 2.4123,
    }
    result: dict[str, Any] = wire.loads(json.dumps(asdict(Answer(hits=hits, **(values | more)))).encode())
    for hit in result["hits"]:
        hit["root"] = "/home/me/tree"
    return result


def test_lines_left_out_and_other_paths_are_told() -> None:
    far = make_hit(lines=(Line(9, "def delay():"), Line(42, "x", is_match=True)), also=("copy/retry.py", "b"))
    assert render.hit(wired(far)["hits"][0], Style(cwd="/home/me/tree")) == (
        "src/retry.py:42  Retry.delay  method\n"
        "   9 │ def delay():\n"
        "     ⋮\n"
        "  42 │ x\n"
        "  also in copy/retry.py, b\n"
    )


def test_an_answer_reads_as_documented() -> None:
    assert render.answer(wired(make_hit()), Style(cwd="/home/me/tree")) == (
        "src/retry.py:42  Retry.delay  method\n"
        "  41 │ def delay():\n"
        "  42 │     return wait(x)\n"
        "\n"
        "-- 1 answer in 1,812 files, 2.41 ms; generation 17, fresh\n"
    )


def test_colours_only_add_to_the_text() -> None:
    result = wired(
        make_hit(), make_hit("two two", lines=(Line(7, "two two", ((4, 7), (0, 3), (1, 2)), True),))
    )
    plain = render.answer(result, Style(cwd="/home/me"))
    coloured = render.answer(result, Style(color=True, cwd="/home/me"))
    assert ESCAPE.sub("", coloured) == plain
    assert "\x1b[1;31mwait\x1b[0m" in coloured
    assert "\x1b[1;31mtwo\x1b[0m \x1b[1;31mtwo\x1b[0m" in coloured
    assert "\x1b" not in plain


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "fresh"),
        ({"fresh": False}, "not fresh: changes are still being indexed"),
        ({"incomplete": "first index: 1200 of 5000 files"}, "-- incomplete: first index: 1200 of 5000 files"),
        ({"warnings": ("watcher lost events",)}, "-- warning: watcher lost events"),
        ({"ms": 1234.5}, "1234 ms"),
    ],
)
def test_freshness_is_never_silent(more: dict[str, Any], said: str) -> None:
    assert said in render.answer(wired(**more), Style())


def test_nothing_found_says_so() -> None:
    text = render.answer(wired(), Style())
    assert text == "-- no answers in 1,812 files, 2.41 ms; generation 17, fresh\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 日本 🙂", "plain ünïcode 日本 🙂"),
        ("a\tb", "a    b"),
        ("\x1b[31mred\x07", "␛[31mred␇"),
        ("del\x7f", "del␡"),
        ("c1 \x9b31m", "c1 \ufffd31m"),
        ("trojan \u202e source \u2066", "trojan \ufffd source \ufffd"),
        ("line\u2028break\x85", "line\ufffdbreak\ufffd"),
        ("no-break\u00a0space", "no-break space"),
        ("byte \udcff", "byte \\xff"),
        ("half \ud800", "half \ufffd"),
        ("cr\r", "cr␍"),
    ],
)
def test_what_a_terminal_would_act_on_is_shown_instead(text: str, shown: str) -> None:
    assert render.clean(text) == shown


@given(st.text(st.characters(), max_size=60))
def test_no_control_character_survives_anywhere(text: str) -> None:
    hit = make_hit(text, path=text, symbol=text, symbol_kind=text)
    answer = render.answer(
        wired(
            hit,
            incomplete=text,
            warnings=(text,),
            explain=Explain(text, text, (StepReport(text, 1, 1, 0.1, text),)),
        ),
        Style(explain=True),
    )
    answer += render.failure(QuerySyntaxError(text, min(3, len(text)), text), text, Style())
    categories = {unicodedata.category(char) for char in answer if char != "\n"}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    answer.encode("utf-8")


@given(st.text(max_size=20), st.lists(st.tuples(st.integers(-2, 25), st.integers(-2, 25)), max_size=4))
def test_odd_ranges_never_change_the_text(text: str, ranges: list[tuple[int, int]]) -> None:
    line = {"number": 1, "text": text, "ranges": ranges, "is_match": True}
    assert ESCAPE.sub("", render._marked(line, Style(color=True))) == render.clean(text)


def test_explain_shows_plan_steps_and_every_signal() -> None:
    plan = Explain(
        "lang:python wait",
        "text(wait)",
        (StepReport("text", 12345, 10, 1.234, "3 trigrams"),),
        "identifier: one word",
    )
    hit = make_hit(signals={"bm25": 0.123456, "definition": 1.5})
    text = render.answer(wired(hit, explain=plan), Style(explain=True))
    assert "score 1.5: bm25 0.1235, definition 1.5" in text
    assert "query lang:python wait\ntype  identifier: one word\nplan  text(wait)\n" in text
    assert "  text      12,345    10  1.23  3 trigrams\n" in text


@pytest.mark.parametrize(
    ("cwd", "shown"),
    [
        ("/home/me/tree", "src/a.c"),
        ("/home/me", "tree/src/a.c"),
        ("/home/me/tree/src", "a.c"),
        ("/home/me/tre", "/home/me/tree/src/a.c"),
        ("/", "home/me/tree/src/a.c"),
        ("", "/home/me/tree/src/a.c"),
    ],
)
def test_paths_are_shown_as_the_user_would_type_them(cwd: str, shown: str) -> None:
    assert render.shown_path("/home/me/tree", "src/a.c", cwd) == shown


def test_hits_of_whole_files_have_no_line() -> None:
    text = render.hit(wired(make_hit(kind="file", symbol="", symbol_kind="", lines=()))["hits"][0], Style())
    assert text == "/home/me/tree/src/retry.py\n"


def test_json_lines_are_one_object_per_hit_and_a_summary() -> None:
    result = wired(make_hit("esc \x1b \u2028 \udcff"), make_hit())
    lines = render.json_lines(result).splitlines()
    first, second, summary = map(json.loads, lines)
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert (first["type"], second["type"], summary["type"]) == ("hit", "hit", "summary")
    assert first["lines"][1]["text"] == "esc \x1b \u2028 \udcff"
    assert (summary["count"], summary["generation"], summary["fresh"]) == (2, 17, True)


def test_a_mistake_in_the_query_is_pointed_at() -> None:
    text = render.failure(QuerySyntaxError("no field lnag", 4, "did you mean lang?"), "foo lnag:py", Style())
    assert text == "search: no field lnag; did you mean lang?\n  foo lnag:py\n      ^\n"
    assert render.failure(EinsteinError("boom"), "foo", Style(), "searchd") == "searchd: boom\n"
