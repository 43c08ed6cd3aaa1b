"""A query process follows the vectors of the second model, and does not pay for its silence."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from config import paths
from config.settings import load
from daemon import transformer
from daemon.child import ENCODER
from daemon.listening import listen
from daemon.transformer import LATE_MAX, REST_S, Transformer
from daemon.transformer_link import serve
from daemon.transformer_state import State, read_state, write_state
from indexer.embed.memory import MemoryModel
from indexer.records import F32
from indexer.store.format import NO_ROW
from indexer.store.model_vectors import ModelVectors
from tests.store.model_vectors_home import MODEL, Vectors

FLAGS = {"transformer.query_budget_ms": 20_000}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of the test's own, where the second model is wanted."""
    for name, value in {"EINSTEIN_CACHE_DIR": str(tmp_path / "cache"), ENCODER: "any:encoder"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    for directory in (paths.transformer_dir(), Path(paths.transformer_socket()).parent):
        paths.ensure_private_dir(directory)
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Vectors]:
    with Vectors(tmp_path / "index") as made:
        made.index.apply(made.index.add_root(), {f"{i}.py": f"alpha({i})\n" for i in range(5)})
        yield made


def say(model: MemoryModel, pid: int = 0) -> None:
    """Write what the transformer process would."""
    state = State(pid or os.getpid(), model.name, model.fingerprint, model.dim)
    write_state(paths.transformer_state(), state)


def vectors_of(model: MemoryModel) -> ModelVectors:
    return ModelVectors.open(paths.transformer_dir() / model.fingerprint, dim=model.dim, rows_max=1)


def encode(text: str) -> F32:
    vector: F32 = MODEL.embed_texts([text])[0].astype(np.float32)
    return vector


def serving() -> tuple[socket.socket, threading.Thread]:
    listener = listen(paths.transformer_socket())
    thread = threading.Thread(target=serve, args=(listener, MODEL.fingerprint, encode))
    thread.start()
    return listener, thread


@pytest.mark.usefixtures("cache")
def test_it_follows_the_vectors_and_goes_over_to_another_model(index: Vectors) -> None:
    second = Transformer(load(flags=FLAGS))
    segments = index.index.snapshot().segment_set
    second.refresh(segments)
    assert not second.expected and second.view(segments) is None  # there is none yet
    own = vectors_of(MODEL)
    say(MODEL)
    second.refresh(segments)
    view = second.view(segments)
    assert second.expected and view is not None and (view.chunk_row == NO_ROW).all()
    own.add(index.missing())
    second.refresh(segments)
    view = second.view(segments)
    assert view is not None and (view.chunk_row != NO_ROW).all() and view.vectors.shape[1] == MODEL.dim
    had = view.vectors[view.chunk_row].copy()
    other = MemoryModel(40)
    wider = vectors_of(other)
    say(other)
    second.refresh(segments)
    held, view = view, second.view(segments)
    assert view is not None and view.vectors.shape[1] == 40 and (view.chunk_row == NO_ROW).all()
    assert np.array_equal(held.vectors[held.chunk_row], had)  # a query that began before reads on
    second.close()
    own.close()
    wider.close()


def test_after_some_late_answers_none_is_asked_for_a_while(
    cache: Path, index: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(transformer.time, "monotonic", lambda: now[0])
    vectors_of(MODEL).close()
    say(MODEL)
    second = Transformer(load(flags=FLAGS))
    second.refresh(index.index.snapshot().segment_set)
    for i in range(LATE_MAX):
        assert second.question(f"question {i}") is None  # nobody is there
    monkeypatch.undo()
    monkeypatch.setenv("EINSTEIN_CACHE_DIR", str(cache))
    listener, thread = serving()
    monkeypatch.setattr(transformer.time, "monotonic", lambda: now[0])
    assert second.question("question 0") is None  # somebody is, but is not asked
    now[0] += REST_S
    vector = second.question("question 0")
    assert vector is not None and np.array_equal(vector, encode("question 0"))
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()
    assert second.question("question 0") is vector  # it is kept
    second.close()


@pytest.mark.usefixtures("cache")
def test_without_a_model_nothing_is_expected(index: Vectors) -> None:
    vectors_of(MODEL).close()
    say(MODEL)
    second = Transformer(load(flags={"transformer.model": ""}))
    second.refresh(index.index.snapshot().segment_set)
    assert not second.expected and not second.report()["running"]


@pytest.mark.usefixtures("cache")
def test_status_says_what_the_process_said_and_whether_it_lives() -> None:
    second = Transformer(load(flags=FLAGS))
    say(MODEL)
    assert second.report()["running"] and second.report()["fingerprint"] == MODEL.fingerprint
    say(MODEL, pid=2**22 + 1)  # more than Linux and macOS give
    assert not second.report()["running"]
    paths.transformer_state().write_text("{broken")
    assert read_state(paths.transformer_state()) == State()
    assert not second.report()["running"]
