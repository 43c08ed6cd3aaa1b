"""A question gets its vector in time or not at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from daemon.listening import listen
from daemon.transformer_link import TEXT_BYTES_MAX, ask, serve
from indexer.embed.memory import MemoryModel
from indexer.records import F32

PLENTY_S = 20.0
MODEL = MemoryModel()

Serve = Callable[[Callable[[str], F32]], str]


def encode(text: str) -> F32:
    vector: F32 = MODEL.embed_texts([text])[0].astype(np.float32)
    return vector


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serve]:
    """Serves an encoder in a thread and gives the socket's path."""
    begun: list[tuple[socket.socket, threading.Thread]] = []

    def start(with_encoder: Callable[[str], F32]) -> str:
        path = str(tmp_path / f"{len(begun)}.sock")
        listener = listen(path)
        thread = threading.Thread(target=serve, args=(listener, MODEL.fingerprint, with_encoder))
        thread.start()
        begun.append((listener, thread))
        return path

    yield start
    for listener, thread in begun:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PLENTY_S)
        assert not thread.is_alive()
        listener.close()


@pytest.mark.parametrize("text", ["how are retries limited", "größe", "", "x " * TEXT_BYTES_MAX])
def test_the_vector_comes_as_the_model_gives_it(served: Serve, text: str) -> None:
    asked: list[str] = []

    def remembering(question: str) -> F32:
        asked.append(question)
        return encode(question)

    vector = ask(served(remembering), MODEL.fingerprint, text, PLENTY_S)
    assert asked == [text[:TEXT_BYTES_MAX]]
    assert vector is not None and np.array_equal(vector, encode(asked[0]))


def test_a_model_of_another_fingerprint_is_not_taken(served: Serve) -> None:
    assert ask(served(encode), "another", "text", PLENTY_S) is None


def test_who_is_too_late_is_not_waited_for_and_the_next_question_is_answered(served: Serve) -> None:
    go_on = threading.Event()

    def slow(text: str) -> F32:
        assert go_on.wait(PLENTY_S)
        return encode(text)

    path = served(slow)
    began = time.monotonic()
    assert ask(path, MODEL.fingerprint, "first", 0.05) is None
    assert time.monotonic() - began < PLENTY_S / 2
    go_on.set()
    vector = ask(path, MODEL.fingerprint, "second", PLENTY_S)
    assert vector is not None and np.array_equal(vector, encode("second"))


def test_nobody_there_is_an_answer_too(tmp_path: Path) -> None:
    assert ask(str(tmp_path / "none.sock"), MODEL.fingerprint, "text", PLENTY_S) is None


def test_garbage_harms_nobody_else(served: Serve) -> None:
    path = served(encode)
    for garbage in (b"", b"\1", b"\xff" * 40, b"\5\0\0\0abc"):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(path)
            peer.sendall(garbage)
    assert ask(path, MODEL.fingerprint, "text", PLENTY_S) is not None
