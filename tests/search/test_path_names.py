"""What the path of a file says about a question."""

from __future__ import annotations

import pytest

from search.path_names import SAME, SAME_STEM, SHORT, Question, path_words, split, stem_of


@pytest.mark.parametrize(
    ("path", "name", "above", "depth"),
    [
        (b"src/http_client/RequestCancel.ts", ("request", "cancel"), ("src", "http", "client"), 2),
        (b"lib/parser/index.js", ("parser",), ("lib",), 2),
        (b"pkg/__init__.py", ("pkg",), (), 1),
        (b"main.c", ("main",), (), 0),
        (b"HTTPServer2.java", ("http", "server", "2"), (), 0),
        (b".config.yml", ("config",), (), 0),
        (b"\xff/a.py", ("a",), (), 1),
    ],
)
def test_words_of_a_path(path: bytes, name: tuple[str, ...], above: tuple[str, ...], depth: int) -> None:
    words = path_words(path)
    assert (words.name, words.above, words.depth) == (name, above, depth)


def test_one_stem_for_the_forms_of_a_word() -> None:
    assert len({stem_of(word) for word in ("cancel", "cancels", "canceled", "canceling", "canceler")}) == 1
    assert stem_of("policies") == stem_of("policy")
    assert stem_of("is") == "is"
    assert split("parseHTTPHeader_v2") == ("parse", "http", "header", "v", "2")


@pytest.mark.parametrize(
    ("word", "strength"),
    [
        ("auth", SHORT),
        ("token", SAME),
        ("tokens", SAME_STEM),
        ("websocket", SHORT),
        ("to", 0.0),
        ("other", 0.0),
    ],
)
def test_how_well_a_word_is_asked_for(word: str, strength: float) -> None:
    assert Question(["authentication", "token", "socket"]).asks_for(word)[0] == strength


def test_a_file_named_in_full_covers_its_name() -> None:
    question = Question(["cookie", "storage", "session"])
    cookies, store, both = (
        question.named(path) for path in (b"a/cookies.py", b"a/store.py", b"session/cookie.py")
    )
    assert cookies.cover == SAME_STEM
    assert (store.cover, store.asked) == (0.0, 0.0)
    assert both.asked == pytest.approx(2 / 3)
    assert (both.depth, both.alone) == (1, False)


def test_a_question_of_one_word_names_a_file() -> None:
    question = Question(["application"])
    assert question.named(b"lib/application.js").alone
    assert not question.named(b"lib/applications.js").alone
    assert not Question([]).named(b"lib/.js").alone
