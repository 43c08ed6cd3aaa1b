"""What the path of a file says about a question."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.path_names import Named, named, stem_of
from tests.search import path_names_twin as twin


def of_paths(words: list[str], paths: list[bytes]) -> Named:
    """Ask `named` about paths that stand one behind the other."""
    lengths = np.array([len(path) + 1 for path in paths], np.int64)
    end = np.cumsum(lengths)
    return named(words, b"\n" + b"".join(path + b"\n" for path in paths), 1 + end - lengths, end)


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
    words = twin.path_words(path)
    assert (words.name, words.above, words.depth) == (name, above, depth)
    for word in name:
        assert of_paths([word], [path]).cover[0] > 0
    for word in {*above} - {*name}:
        assert (of_paths([word], [path]).cover[0], of_paths([word], [path]).asked[0]) == (0, 1)


def test_one_stem_for_the_forms_of_a_word() -> None:
    assert len({stem_of(word) for word in ("cancel", "cancels", "canceled", "canceling", "canceler")}) == 1
    assert stem_of("policies") == stem_of("policy")
    assert stem_of("is") == "is"
    assert twin.split("parseHTTPHeader_v2") == ("parse", "http", "header", "v", "2")


@pytest.mark.parametrize(
    ("word", "strength"),
    [
        ("auth", twin.SHORT),
        ("token", twin.SAME),
        ("tokens", twin.SAME_STEM),
        ("websocket", twin.SHORT),
        ("to", 0.0),
        ("other", 0.0),
    ],
)
def test_how_well_a_word_is_asked_for(word: str, strength: float) -> None:
    asked = ["authentication", "token", "socket"]
    assert of_paths(asked, [word.encode()]).cover[0] == np.float32(strength)


def test_a_file_named_in_full_covers_its_name() -> None:
    question = ["cookie", "storage", "session"]
    found = of_paths(question, [b"a/cookies.py", b"a/store.py", b"session/cookie.py"])
    assert found.cover[0] == np.float32(twin.SAME_STEM)
    assert (found.cover[1], found.asked[1]) == (0.0, 0.0)
    assert found.asked[2] == pytest.approx(2 / 3)
    assert (found.depth[2], found.alone[2]) == (1, False)


def test_a_question_of_one_word_names_a_file() -> None:
    found = of_paths(["application"], [b"lib/application.js", b"lib/applications.js"])
    assert found.alone.tolist() == [True, False]
    assert not of_paths([], [b"lib/.js"]).alone[0]


PIECES = (
    "cancel Cancelled HTTP Server auth Authentication index init src mod _ - . 2 X é web socket sockets es "
    "policies Policy ations"
)
NAMES = st.lists(st.sampled_from(PIECES.split()), max_size=5).map("".join)
ASKED = (
    "cancel cancelling http server authentication auth index websocket socket policy über é 2 x es web init "
    "ationsations s"
)
WORDS = st.sampled_from(ASKED.split())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=8), st.lists(WORDS, max_size=9)
)
def test_paths_say_what_the_twin_reads_in_them(paths: list[str], words: list[str]) -> None:
    question, distinct = twin.Question(words), list(dict.fromkeys(words))
    found = of_paths(distinct, [path.encode() for path in paths])
    for i, path in enumerate(paths):
        one = question.named(path.encode())
        assert found.cover[i] == np.float32(one.cover)
        assert found.asked[i] == np.float32(one.asked)
        assert (bool(found.alone[i]), int(found.depth[i])) == (one.alone, one.depth)


def test_a_name_as_long_as_a_file_system_allows_is_read() -> None:
    path = b"d/" + b"a" * 255
    assert of_paths(["a" * 255], [path]).cover[0] == 1
    assert of_paths(["a" * 255], [b"d/" + b"a" * 10_000]).cover[0] == 1, "cut"
