"""A step that runs beside others gives what it gives alone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from search import ahead as beside
from search import retrieve
from search.ahead import ahead
from tests.search.corpus import Corpus

FILES = {
    "send.py": "def send_request(socket):\n    return socket.write(request)\n",
    "retry.py": "def wait_and_retry(limit):\n    return limit - 1\n",
    "other.py": "class Unrelated:\n    pass\n",
}


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside.os, "cpu_count", lambda: 2)


def test_the_result_comes_from_another_thread() -> None:
    result = ahead(threading.get_ident)
    beside._thread().submit(int).result()  # what was begun before has ended
    assert result() != threading.get_ident()


def test_what_the_thread_has_not_begun_runs_here() -> None:
    done = threading.Event()
    beside._thread().submit(done.wait)
    assert ahead(threading.get_ident)() == threading.get_ident()
    done.set()


def test_one_processor_does_everything_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside.os, "cpu_count", lambda: 1)
    assert ahead(threading.get_ident)() == threading.get_ident()


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    def fails() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        ahead(fails)()


def test_a_question_has_the_same_answer_with_vectors_scanned_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus(tmp_path, FILES)
    alone = corpus.search("how is a request sent", explain=True)
    begun: list[object] = []
    monkeypatch.setattr(retrieve, "BESIDE_CHUNKS_MIN", 0)
    monkeypatch.setattr(retrieve, "ahead", lambda work: begun.append(work) or ahead(work))
    both = corpus.search("how is a request sent", explain=True)
    assert both.hits == alone.hits and alone.hits
    steps = [
        [(step.name, step.candidates, step.kept) for step in answer.explain.steps]
        for answer in (alone, both)
        if answer.explain
    ]
    assert steps[0] == steps[1]
    assert len(begun) == 1
    corpus.close()
