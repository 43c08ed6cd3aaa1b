"""Requests of a query process: what is checked, answered here and forwarded, with and without a writer."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import GeneratorType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from config.errors import (
    Cancelled,
    DaemonUnavailable,
    DeadlineExceeded,
    NoSuchRoot,
    NotYet,
    UsageError,
)
from config.settings import load
from daemon import codec, handlers, wire
from daemon.connection import Context
from daemon.engines import Engines
from daemon.handlers import Dispatcher
from daemon.server import Server
from indexer.store.board import Board
from search.answer import Answer, Hit, Line, SearchRequest
from search.file_finder import FileFinder, FileHit, FilesAnswer, FilesRequest
from tests.daemon.toy import short_directory

HIT = Hit("a.py", 1, 1, 1, 1, "line", "", "", "python", np.float64(1.5), (Line(1, "x", ((0, 1),), True),))
ANSWER = Answer((HIT,), 7, True, "", (), 1, 0.5)


class FakeEngine:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[SearchRequest] = []
        self.answer: Callable[[SearchRequest], Answer] = lambda _request: ANSWER

    def search(self, request: SearchRequest, cancel: Any = None) -> Answer:
        assert cancel is not None
        self.requests.append(request)
        return self.answer(request)


@dataclass
class FakeReader:
    """One generation with some roots."""

    roots: dict[int, str]

    def snapshot(self) -> Any:
        empty = np.zeros(0, np.bool_)
        views = {
            i: SimpleNamespace(id=i, path=path, n_files=3, live_docs=lambda: empty)
            for i, path in self.roots.items()
        }
        return SimpleNamespace(roots=views, generation=7, segments=(), seg_base=np.zeros(1, np.int64))


class FakeWriter:
    """A real socket with the writer's side of the protocol."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.result: Callable[[wire.Request, Context], Any] = lambda request, _: {"did": request.method}
        self._running: tuple[Server, threading.Thread] | None = None

    def start(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        Path(self.path).unlink(missing_ok=True)
        listener.bind(self.path)
        listener.listen()
        server = Server(listener, self._answer, slow=lambda _request: True)
        thread = threading.Thread(target=server.run)
        thread.start()
        self._running = server, thread

    def stop(self) -> None:
        if self._running:
            self._running[0].stop()
            self._running[1].join(20)
            self._running = None

    def _answer(self, request: wire.Request, context: Context) -> Any:
        self.asked.append((request.method, request.params))
        return self.result(request, context)


class Desk:
    """A dispatcher and everything around it."""

    def __init__(self, at: Path) -> None:
        self.tree = at / "tree"
        (self.tree / "sub" / "inner").mkdir(parents=True)
        (self.tree / "sub" / "file.py").write_text("x")
        (at / "tree2").mkdir()
        self.engine = FakeEngine()
        self.board = Board.create(at / "board.bin")
        self.writer = FakeWriter(str(at / "w.sock"))
        self.dispatcher = Dispatcher(
            load(environ={"HOME": str(at)}),
            FakeReader({1: str(self.tree), 2: str(self.tree / "sub" / "inner")}),
            Engines(lambda: self.engine, 2, lambda: {"name": "fake"}),
            self.board,
            writer_socket=self.writer.path,
            facts={"model": {"name": "none"}},
        )

    def ask(self, method: str, around: Context | None = None, /, **params: Any) -> Any:
        wire.check_params(method, params)
        request = wire.Request(1, method, params)
        return self.dispatcher(request, around or Context(request, float("inf")))

    def search(self, query: str = "x", **params: Any) -> Any:
        return self.ask("search", query=query, **({"path": str(self.tree)} | params))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with short_directory() as at:
        monkeypatch.setenv("EINSTEIN_CACHE_DIR", str(at / "cache"))
        monkeypatch.setattr(handlers, "WRITER_PATIENCE_S", 0.0)
        made = Desk(at.resolve())
        yield made
        made.writer.stop()
        made.board.close()


@pytest.mark.parametrize(
    ("place", "root", "prefix"),
    [
        ("", 1, ""),
        ("sub", 1, "sub/"),
        ("sub/file.py", 1, "sub/file.py"),
        ("sub/../sub/", 1, "sub/"),
        ("sub/inner", 2, ""),
        ("link", 1, "sub/"),
        ("not/there", 1, "not/there"),
    ],
)
def test_a_path_is_searched_in_its_innermost_root(desk: Desk, place: str, root: int, prefix: str) -> None:
    (desk.tree / "link").symlink_to("sub")
    desk.search(path=f"{desk.tree}/{place}")
    (request,) = desk.engine.requests
    assert (request.root_id, request.path_prefix) == (root, prefix)


@pytest.mark.parametrize("place", ["/", "/nowhere", "{tree}2", "{tree}/../tree2"])
def test_a_path_in_no_root_says_so(desk: Desk, place: str) -> None:
    path = place.replace("{tree}", str(desk.tree))
    with pytest.raises(NoSuchRoot, match="searchd add") as caught:
        desk.search(path=path)
    data = wire.loads(wire.error_frame(1, caught.value))["error"]["data"]
    assert data == {"code": "no_such_root", "path": path}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"path": "relative"}, "absolute"),
        ({"path": "/a\0b"}, "absolute"),
        ({"mode": "fast"}, "no mode 'fast'"),
        ({"limit": 0}, "limit is 0; it goes from 1 to 10000"),
        ({"limit": 10_001}, "limit"),
        ({"context": -1}, "context"),
        ({"deadline_ms": 0}, "deadline_ms"),
    ],
)
def test_values_out_of_range_are_the_clients_mistake(
    desk: Desk, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        desk.search(**params)
    assert not desk.engine.requests


def test_every_parameter_reaches_the_engine(desk: Desk) -> None:
    desk.search(
        "q",
        mode="text",
        limit=3,
        types=["py"],
        globs=["!x"],
        context=2,
        whole=True,
        per_file=4,
        explain=True,
        deadline_ms=123,
    )
    assert desk.engine.requests == [
        SearchRequest("q", 1, "", "text", 3, ("py",), ("!x",), 2, True, 4, True, 123),
    ]
    desk.search("q")
    assert desk.engine.requests[1] == SearchRequest("q", 1, limit=10, deadline_ms=5000)


def test_a_result_is_plain_values_with_the_root(desk: Desk) -> None:
    result = desk.search()
    assert result["root"] == str(desk.tree)
    sent = wire.loads(codec.encode(result))
    assert sent["hits"][0]["lines"] == [{"number": 1, "text": "x", "ranges": [[0, 1]], "is_match": True}]
    assert sent["hits"][0]["score"] == 1.5
    assert (sent["fresh"], sent["warnings"], sent["generation"]) == (True, [], 7)


def test_files_are_asked_for_with_every_parameter(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[FilesRequest] = []

    def find(_finder: FileFinder, request: FilesRequest, cancel: Any) -> FilesAnswer:
        assert cancel is not None
        asked.append(request)
        return FilesAnswer((FileHit("a.py", 50, ((0, 1),)),), 9, 7, True, "", (), 0.5)

    monkeypatch.setattr(FileFinder, "find", find)
    desk.board.set_paused("battery")
    desk.writer.start()
    path = str(desk.tree / "sub")
    result = desk.ask("files", query="a", path=path, mode="regex", limit=3, deadline_ms=80, wait=True)
    assert asked == [FilesRequest("a", 1, "sub/", "regex", 3, 80)]
    assert desk.writer.asked[0][0] == "sync"
    sent = wire.loads(codec.encode(result))
    assert sent["files"] == [{"path": "a.py", "score": 50, "ranges": [[0, 1]]}]
    assert (sent["root"], sent["total"], sent["warnings"]) == (
        str(desk.tree),
        9,
        ["indexing is paused: battery"],
    )
    desk.ask("files", query="a", path=path)
    assert asked[1] == FilesRequest("a", 1, "sub/", "fuzzy", 10, 5000)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"mode": "auto"}, "there are fuzzy, substring, regex"),
        ({"limit": 0}, "limit is 0"),
        ({"path": "x"}, "absolute"),
    ],
)
def test_a_wrong_value_for_files(desk: Desk, params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        desk.ask("files", **({"query": "a", "path": str(desk.tree)} | params))


def test_an_answer_without_a_living_writer_is_not_fresh_and_says_why(desk: Desk) -> None:
    desk.board.beat(1)
    result = desk.search()
    assert result["fresh"] is False
    assert "writer process is not running" in result["warnings"][0]


def test_a_pause_is_a_warning(desk: Desk) -> None:
    desk.board.set_paused("battery")
    assert desk.search()["warnings"] == ["indexing is paused: battery"]


def test_a_stream_begins_with_the_text(desk: Desk) -> None:
    desk.engine.answer = lambda request: replace(ANSWER, generation=len(request.mode))
    stream = desk.search(stream=True)
    assert isinstance(stream, GeneratorType)
    parts = []
    while True:
        try:
            parts.append(next(stream))
        except StopIteration as end:
            parts.append(end.value)
            break
    assert [request.mode for request in desk.engine.requests] == ["text", "auto"]
    assert [part["generation"] for part in parts] == [4, 4]
    assert isinstance(desk.search(stream=True, mode="symbol"), dict)


def test_a_stream_has_no_part_where_the_text_says_nothing(desk: Desk) -> None:
    def answer(request: SearchRequest) -> Answer:
        if request.mode == "text":
            raise UsageError("not by text")
        return ANSWER

    desk.engine.answer = answer
    with pytest.raises(StopIteration) as end:
        next(desk.search(stream=True))
    assert end.value.value["hits"]


def test_errors_of_the_engine_pass_through_and_the_engine_is_given_back(desk: Desk) -> None:
    def answer(_request: SearchRequest) -> Answer:
        raise NotYet("callers is not there yet")

    desk.engine.answer = answer
    for _ in range(5):
        with pytest.raises(NotYet):
            desk.search()


def test_engines_are_lent_to_one_thread_at_a_time() -> None:
    made: list[FakeEngine] = []

    def make() -> FakeEngine:
        made.append(FakeEngine())
        return made[-1]

    engines = Engines(make, 2)
    for _ in range(3):
        with engines.borrow() as one:
            pass
    assert len(made) == 1
    with engines.borrow() as one, engines.borrow() as other:
        assert one is not other
        waiting = threading.Thread(target=lambda: engines.borrow().__enter__())
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(20)
    assert len(made) == 2


@pytest.mark.parametrize("method", ["add", "remove", "rebuild", "why"])
def test_what_the_writer_knows_is_forwarded(desk: Desk, method: str) -> None:
    desk.writer.start()
    assert desk.ask(method, path="/p") == {"did": method}
    assert desk.writer.asked == [(method, {"path": "/p"})]


def test_every_method_of_the_protocol_has_a_handler() -> None:
    in_the_loop = {"ping", "hello", "cancel"}
    here = {"search", "duplicates", "grep", "files", "status", "roots", "shutdown"}
    assert set(wire.METHODS) == in_the_loop | here | set(handlers.FORWARDED)


def test_the_writers_errors_come_through_as_they_are(desk: Desk) -> None:
    def refuse(_request: wire.Request, _context: Context) -> Any:
        raise NoSuchRoot("no such directory")

    desk.writer.result = refuse
    desk.writer.start()
    with pytest.raises(NoSuchRoot, match="no such directory"):
        desk.ask("add", path="/p")


def test_wait_syncs_the_root_before_the_search(desk: Desk) -> None:
    desk.writer.result = lambda *_: {"generation": len(desk.engine.requests)}
    desk.writer.start()
    desk.search(wait=True)
    ((method, params),) = desk.writer.asked
    assert (method, params["root"]) == ("sync", 1)
    assert len(desk.engine.requests) == 1


def test_without_a_writer_searches_go_on_and_the_rest_says_so(desk: Desk) -> None:
    desk.board.set_root(1, pending=4, phase="first_index", files_done=2, files_total=9)
    assert desk.search()["hits"]
    assert desk.ask("roots")["roots"][0] == {"id": 1, "path": str(desk.tree)}
    with pytest.raises(DaemonUnavailable, match="searchd log"):
        desk.ask("add", path="/p")
    with pytest.raises(DaemonUnavailable):
        desk.search(wait=True)
    status = desk.ask("status")
    assert "writer does not answer" in status["warnings"][0]
    root = status["roots"][0]
    assert (root["pending"], root["files_done"], root["files_total"], root["files"]) == (4, 2, 9, 3)
    assert (status["generation"], status["kernel"], status["model"]) == (
        7,
        {"name": "fake"},
        {"name": "none"},
    )
    assert status["processes"][0]["pid"] == os.getpid()
    assert status["processes"][0]["memory"]["resident"] > 0


def test_status_joins_what_both_sides_know(desk: Desk) -> None:
    desk.dispatcher.counters = lambda: {"clients": 3}
    desk.writer.result = lambda *_: {
        "generation": 9,
        "roots": [],
        "processes": [{"name": "writer", "pid": 1}],
    }
    desk.writer.start()
    status = desk.ask("status")
    assert [one["name"] for one in status["processes"]] == ["query", "writer"]
    assert status["processes"][0]["clients"] == 3
    assert (status["generation"], status["warnings"]) == (9, [])


def test_a_writer_that_is_being_started_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "WRITER_PATIENCE_S", 20.0)
    starting = threading.Timer(0.05, desk.writer.start)
    starting.start()
    assert desk.ask("why", path="/p") == {"did": "why"}
    starting.join()


def test_cancelling_reaches_the_writer(desk: Desk) -> None:
    entered, cancelled = threading.Event(), threading.Event()

    def wait(_request: wire.Request, context: Context) -> Any:
        context.on_cancel(cancelled.set)
        entered.set()
        assert cancelled.wait(20)
        return {}

    desk.writer.result = wait
    desk.writer.start()
    context = Context(wire.Request(1, "add", {"path": "/p"}), float("inf"))
    cancel = threading.Thread(target=lambda: context.cancel() if entered.wait(20) else None)
    cancel.start()
    with pytest.raises(Cancelled):
        desk.ask("add", context, path="/p")
    assert cancelled.wait(20)
    cancel.join()


def test_a_deadline_holds_for_what_is_forwarded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "REPLY_SLACK_S", 0.0)
    release = threading.Event()
    desk.writer.result = lambda *_: release.wait(20) and {}
    desk.writer.start()
    request = wire.Request(1, "fsck", {"deadline_ms": 50})
    with pytest.raises(DeadlineExceeded):
        desk.dispatcher(request, Context(request, time.monotonic() + 0.05))
    release.set()


def test_only_plain_searches_are_fast() -> None:
    fast = {m for m in wire.METHODS if not Dispatcher.is_slow(wire.Request(1, m, {}))}
    assert fast == {"search", "duplicates", "files"}
    assert Dispatcher.is_slow(wire.Request(1, "search", {"wait": True}))


def test_without_a_supervisor_there_is_nothing_to_shut_down(desk: Desk) -> None:
    with pytest.raises(UsageError, match="without a supervisor"):
        desk.ask("shutdown")
