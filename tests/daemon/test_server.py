"""A server process over real sockets: limits, cancel, streams, drain, garbage."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import connection as connections
from daemon import server as servers
from daemon import wire
from daemon.client import Connection, connect
from daemon.server import Limits
from tests.daemon.toy import Running, serving, short_directory

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def running() -> Iterator[Running]:
    with serving(Limits(threads=2, outstanding_max=4, drain_s=2.0)) as up:
        yield up


def client(running: Running) -> Connection:
    return connect(running.path)


def query(text: str, **more: Any) -> dict[str, Any]:
    return {"query": text, "path": "/", **more}


def lines(sock: socket.socket, n: int) -> list[Any]:
    """Read n reply lines."""
    data = b""
    while data.count(b"\n") < n:
        piece = sock.recv(65536)
        assert piece, f"closed after {data!r}"
        data += piece
    return [json.loads(line) for line in data.splitlines()]


def ask(id: Any, method: str, /, **params: Any) -> bytes:
    return wire.request(id, method, params)


def test_ping_and_hello_are_answered(running: Running) -> None:
    with client(running) as connection:
        assert connection.call("ping") == {"pid": os.getpid()}
        hello = connection.call("hello", {"version": 1, "client": "test"})
        assert hello == {"server": "einstein", "version": wire.PROTOCOL_VERSION, "pid": os.getpid()}


def test_a_shell_can_talk_to_it(running: Running) -> None:
    """Request by hand, sending side shut down before the answer is there: as `nc -N` does."""
    with running.raw() as sock:
        sock.sendall(b'{"jsonrpc": "2.0", "id": "a", "method": "search", ')
        sock.sendall(b'"params": {"query": "block", "path": "/"}}\r\n\r\n')
        sock.shutdown(socket.SHUT_WR)
        assert running.toy.entered.acquire(timeout=20)
        running.toy.release.set()
        assert lines(sock, 1) == [{"jsonrpc": "2.0", "v": 1, "id": "a", "result": {"released": True}}]
        assert sock.recv(1) == b""


def test_replies_come_in_the_order_they_are_ready(running: Running) -> None:
    with running.raw() as sock:
        sock.sendall(ask(1, "search", query="block", path="/") + ask(2, "search", query="echo hi", path="/"))
        assert [reply["id"] for reply in lines(sock, 1)] == [2]
        running.toy.release.set()
        assert [reply["id"] for reply in lines(sock, 1)] == [1]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("syntax", "query_syntax", "no field 'lan'; did you mean lang?"),
        ("corrupt", "store_corrupt", "segment 3"),
        ("bug", "internal", "internal error; `searchd log` shows it"),
        ("unencodable", "internal", "internal error; `searchd log` shows it"),
    ],
)
def test_an_exception_becomes_an_error_reply(
    running: Running, caplog: pytest.LogCaptureFixture, text: str, code: str, message: str
) -> None:
    with running.raw() as sock, caplog.at_level(logging.ERROR):
        sock.sendall(ask(1, "search", query=text, path="/"))
        error = lines(sock, 1)[0]["error"]
        assert (error["data"]["code"], error["message"]) == (code, message)
        sock.sendall(ask(2, "ping"))
        assert "result" in lines(sock, 1)[0]
    assert bool(caplog.records) is (code == "internal")


def test_an_undecodable_path_comes_through_both_ways(running: Running) -> None:
    with client(running) as connection:
        path = connection.call("search", query("surrogate"))["path"]
        assert os.fsencode(path) == b"caf\xe9"
        assert connection.call("why", {"path": path}) == {"method": "why", "path": path}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"garbage\n", -32700),
        (b"\xff\xfe\n", -32700),
        (b"[" * 100_000 + b"\n", -32700),
        (b"[1]\n", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"nope"}\n', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"search"}\n', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","v":2}\n', -32600),
    ],
)
def test_garbage_gets_our_error_and_the_connection_lives(running: Running, data: bytes, code: int) -> None:
    with running.raw() as sock:
        sock.sendall(data)
        assert lines(sock, 1)[0]["error"]["code"] == code
        sock.sendall(ask(5, "ping"))
        assert lines(sock, 1)[0]["id"] == 5


def test_random_bytes_never_stop_the_server(running: Running) -> None:
    chance = random.Random(5)
    good = [ask(i, "search", query="echo x", path="/") for i in range(3)] + [ask(9, "cancel", id=1)]
    for _ in range(60):
        with running.raw() as sock:
            for _ in range(4):
                frame = bytearray(chance.choice(good))
                for _ in range(chance.randrange(5)):
                    frame[chance.randrange(len(frame))] = chance.randrange(256)
                sock.sendall(frame)
            sock.shutdown(socket.SHUT_WR)
            data = b""
            while piece := sock.recv(65536):
                data += piece
            for line in data.splitlines():
                reply = wire.read_reply(wire.loads(line))
                assert reply.error is None or reply.error.code in ("protocol", "internal", "cancelled")
    with client(running) as connection:
        assert connection.call("ping")


def test_a_message_that_is_too_long_is_refused_and_the_connection_closed() -> None:
    with serving(Limits(frame_bytes_max=4096)) as running, running.raw() as sock:
        sock.sendall(ask(1, "ping") + b"x" * 5000)
        ping, error = lines(sock, 2)
        assert ping["id"] == 1
        assert error["error"]["data"]["code"] == "protocol"
        assert "longer than 4096 bytes" in error["error"]["message"]
        assert sock.recv(1) == b""


def test_too_many_unanswered_requests_are_refused_one_by_one(running: Running) -> None:
    with running.raw() as sock:
        for i in range(4):
            sock.sendall(ask(i, "search", query="block", path="/"))
        sock.sendall(ask(4, "search", query="echo", path="/") + ask(2, "search", query="echo", path="/"))
        refused, twice = lines(sock, 2)
        assert (refused["id"], refused["error"]["data"]["code"]) == (4, "protocol")
        assert (twice["id"], "unanswered" in twice["error"]["message"]) == (None, True)
        running.toy.release.set()
        assert {reply["id"] for reply in lines(sock, 4)} == {0, 1, 2, 3}


def test_cancel_answers_at_once_and_tells_the_handler(running: Running) -> None:
    with running.raw() as sock:
        sock.sendall(ask(1, "search", query="block", path="/"))
        assert running.toy.entered.acquire(timeout=20)
        sock.sendall(ask(2, "cancel", id=1))
        first, second = lines(sock, 2)
        assert (first["id"], first["error"]["data"]["code"]) == (1, "cancelled")
        assert second == {"jsonrpc": "2.0", "v": 1, "id": 2, "result": {"cancelled": True}}
        assert running.toy.cancelled.acquire(timeout=20)
        running.toy.release.set()
        sock.sendall(ask(3, "cancel", id=1) + ask(None, "cancel", id=77) + ask(4, "ping"))
        third, fourth = lines(sock, 2)
        assert third["result"] == {"cancelled": False}
        assert fourth["id"] == 4


def test_a_waiting_request_can_be_cancelled_before_it_begins(running: Running) -> None:
    with running.raw() as sock:
        for i in (1, 2):
            sock.sendall(ask(i, "search", query="block", path="/"))
            assert running.toy.entered.acquire(timeout=20)
        sock.sendall(ask(3, "search", query="block", path="/") + ask(None, "cancel", id=3))
        assert lines(sock, 1)[0]["error"]["data"]["code"] == "cancelled"
        running.toy.release.set()
        assert {reply["id"] for reply in lines(sock, 2)} == {1, 2}
    assert not running.toy.entered.acquire(blocking=False)


def test_a_client_that_leaves_cancels_its_requests(running: Running) -> None:
    sock = running.raw()
    sock.sendall(ask(1, "search", query="block", path="/"))
    assert running.toy.entered.acquire(timeout=20)
    sock.close()
    assert running.toy.cancelled.acquire(timeout=20)


def test_slow_requests_do_not_hold_up_queries(running: Running) -> None:
    """Both threads of the fast lane are held; a slow one still runs, and the loop still answers."""
    with running.raw() as sock:
        for i in (1, 2):
            sock.sendall(ask(i, "search", query="block", path="/"))
            assert running.toy.entered.acquire(timeout=20)
        sock.sendall(ask(3, "roots") + ask(4, "ping"))
        assert {reply["id"] for reply in lines(sock, 2)} == {3, 4}


def test_a_request_past_its_deadline_is_answered_for(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "DEADLINE_GRACE_S", 0.0)
    with running.raw() as sock:
        sock.sendall(ask(1, "search", query="block", path="/", deadline_ms=50))
        assert lines(sock, 1)[0]["error"]["data"]["code"] == "deadline"
        assert running.toy.cancelled.acquire(timeout=20)


def test_a_stream_sends_partial_results_then_the_final_one(running: Running) -> None:
    with client(running) as connection:
        got = list(connection.stream("search", query("count 3 1", stream=True)))
        assert [part.get("i") for part in got] == [0, 1, 2, None]
        assert got[-1] == {"total": 3}
        assert connection.call("search", query("count 3 1")) == {"total": 3}


def test_a_stream_that_is_left_early_is_cancelled_and_the_connection_goes_on(running: Running) -> None:
    with client(running) as connection:
        for part in connection.stream("search", query("count 100000 100", stream=True)):
            assert part["i"] == 0
            break
        assert running.toy.cancelled.acquire(timeout=20)
        assert connection.call("search", query("echo next")) == {"echo": "next"}
    assert running.toy.n_partial < 100_000


def test_a_stream_waits_for_a_client_that_does_not_read(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_BYTES_MAX", 10_000)
    with running.raw() as sock:
        sock.sendall(ask(1, "search", query="count 500 10000", path="/", stream=True))
        data = sock.recv(100)
        assert b'"partial"' in data
        with client(running) as other:
            for _ in range(20):
                assert other.call("search", query("echo x"))
        assert running.toy.n_partial < 500
        while b'"total":500' not in data:
            piece = sock.recv(1 << 20)
            assert piece
            data = data[-100:] + piece
    assert running.toy.n_partial == 500


def test_a_client_that_never_reads_is_disconnected(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "STALLED_S", 0.0)
    with running.raw() as sock:
        sock.sendall(ask(1, "search", query="bytes 8000000", path="/"))
        while sock.recv(1 << 20, socket.MSG_PEEK) and running.server.n_clients:
            pass
        received = 0
        while piece := sock.recv(1 << 20):
            received += len(piece)
        assert received < 8_000_000


def test_a_large_reply_arrives_whole(running: Running) -> None:
    with client(running) as connection:
        assert len(connection.call("search", query("bytes 20000000"))["data"]) == 20_000_000


def test_a_reply_beyond_the_limit_is_an_error(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "REPLY_BYTES_MAX", 1000)
    with running.raw() as sock:
        sock.sendall(ask(1, "search", query="bytes 2000", path="/"))
        assert lines(sock, 1)[0]["error"]["data"]["code"] == "usage"


def test_clients_beyond_the_limit_wait_for_a_place() -> None:
    with serving(Limits(clients_max=2)) as running:
        first, second, third = (client(running) for _ in range(3))
        assert first.call("ping")
        assert second.call("ping")
        third._sock.settimeout(0.05)
        third._sock.sendall(ask(1, "ping"))
        with pytest.raises(TimeoutError):
            third._sock.recv(1)
        first.close()
        assert third.call("ping")
        second.close()
        third.close()


def test_another_user_is_refused(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "peer_uid", lambda _sock: os.getuid() + 1)
    with running.raw() as sock:
        assert sock.recv(1) == b""


def test_the_peer_is_known() -> None:
    left, right = socket.socketpair()
    with left, right:
        assert connections.peer_uid(left) == os.getuid()


def test_64_clients_at_once_all_get_their_own_answers(running: Running) -> None:
    wrong: list[Any] = []

    def use(number: int) -> None:
        with client(running) as connection:
            for i in range(10):
                text = f"{number}-{i}"
                reply = connection.call("search", query(f"echo {text}"))
                if reply != {"echo": text}:
                    wrong.append((text, reply))

    threads = [threading.Thread(target=use, args=(i,)) for i in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert running.server.n_requests == 640


def test_stopping_finishes_what_runs_and_refuses_the_rest(running: Running) -> None:
    with running.raw() as sock:
        sock.sendall(ask(1, "search", query="block", path="/"))
        assert running.toy.entered.acquire(timeout=20)
        running.server.stop()
        sock.sendall(ask(2, "search", query="echo", path="/"))
        refused = lines(sock, 1)[0]
        assert (refused["id"], refused["error"]["data"]) == (2, {"code": "unavailable", "retry": True})
        running.toy.release.set()
        assert lines(sock, 1)[0]["result"] == {"released": True}
        assert sock.recv(1) == b""


def test_a_request_that_takes_long_counts_as_use_all_the_time() -> None:
    again = threading.Semaphore(0)
    with serving(on_activity=again.release) as running, running.raw() as sock:
        sock.sendall(ask(1, "search", query="block", path="/"))
        for _ in range(5):
            assert again.acquire(timeout=20)


def test_a_sigterm_that_another_thread_takes_ends_an_idle_server() -> None:
    """The main thread waits in the selector, and the signal does not interrupt it."""
    code = """
import signal, socket, sys, threading
from daemon.server import Server
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(sys.argv[1])
listener.listen()
server = Server(listener, lambda request, context: {})
server.stop_on_sigterm()
def take_signal():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(sys.argv[1])
        sock.sendall(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\\n')
        sock.recv(100)
        threading.Event().wait(0.3)  # main is in the selector by then; if not, this is only lenient
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        sock.recv(1)
threading.Thread(target=take_signal, daemon=True).start()
server.run()
"""
    with short_directory() as directory:
        command = [sys.executable, "-c", code, str(directory / "q.sock")]
        assert subprocess.run(command, timeout=20, check=False, cwd=REPO).returncode == 0


def test_stopping_does_not_wait_for_ever() -> None:
    with serving(Limits(drain_s=0.05)) as running, running.raw() as sock:
        sock.sendall(ask(1, "search", query="block", path="/"))
        assert running.toy.entered.acquire(timeout=20)
        running.server.stop()
        assert sock.recv(1) == b""
        assert running.toy.cancelled.acquire(timeout=20)
