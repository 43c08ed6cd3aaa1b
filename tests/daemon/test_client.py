"""The client: one request, one reply; versions, losses, deadlines, and a daemon that is missing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from config import paths
from config.errors import (
    AlreadyRunning,
    ConfigError,
    DaemonUnavailable,
    DeadlineExceeded,
    ProtocolError,
    QuerySyntaxError,
)
from daemon import client, wire
from tests.daemon.toy import serving, short_directory

REPO = Path(__file__).resolve().parents[2]


@contextmanager
def scripted(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """A socket whose connections are served, one after the other, by `serve`."""
    with short_directory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path = str(directory / "q.sock")
        listener.bind(path)
        listener.listen()

        def run() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock:
                    serve(sock)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def request_of(sock: socket.socket) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        piece = sock.recv(65536)
        if not piece:
            return {}
        data += piece
    message: dict[str, Any] = json.loads(data)
    return message


def test_results_and_errors_come_back_as_they_were() -> None:
    with serving() as running, client.connect(running.path) as connection:
        assert connection.call("search", {"query": "echo é", "path": "/"}) == {"echo": "é"}
        with pytest.raises(QuerySyntaxError) as caught:
            connection.call("search", {"query": "syntax", "path": "/"})
        assert (caught.value.column, caught.value.hint) == (4, "did you mean lang?")
        assert connection.call("roots") == {"method": "roots"}


def test_nobody_listening_is_unavailable() -> None:
    with short_directory() as directory:
        path = str(directory / "q.sock")
        with pytest.raises(DaemonUnavailable, match="no daemon is running"):
            client.connect(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
            left.bind(path)
        with pytest.raises(DaemonUnavailable, match="no daemon is running"):
            client.connect(path)
        (directory / "file").write_text("")
        with pytest.raises(DaemonUnavailable, match=r"cannot connect|no daemon"):
            client.connect(str(directory / "file" / "q.sock"))


def test_a_daemon_of_another_version_is_told_with_what_to_do() -> None:
    reply = b'{"jsonrpc":"2.0","v":7,"id":1,"result":{}}\n'
    with (
        scripted(lambda sock: sock.sendall(reply) if request_of(sock) else None) as path,
        client.connect(path) as connection,
        pytest.raises(ProtocolError, match=r"version 7.*searchd restart"),
    ):
        connection.call("ping")


@pytest.mark.parametrize("reply", [b"", b"half a rep", b"{}\n", b"no json\n", b'{"jsonrpc":"2.0","id":1}\n'])
def test_a_broken_reply_is_an_error_of_ours(reply: bytes) -> None:
    with (
        scripted(lambda sock: sock.sendall(reply) if request_of(sock) else None) as path,
        client.connect(path) as connection,
        pytest.raises((DaemonUnavailable, ProtocolError)),
    ):
        connection.call("ping")


def test_a_daemon_that_says_nothing_runs_into_the_timeout() -> None:
    with serving() as running, client.connect(running.path) as connection:
        with pytest.raises(DeadlineExceeded):
            connection.call("search", {"query": "block", "path": "/"}, timeout=0.05)
        assert running.toy.cancelled.acquire(timeout=20)
        with pytest.raises(DaemonUnavailable):
            connection.call("ping")


def test_a_reply_in_many_pieces_is_put_together() -> None:
    frame = wire.result_frame(1, b'{"x":"' + b"y" * 1000 + b'"}')

    def serve(sock: socket.socket) -> None:
        request_of(sock)
        for i in range(0, len(frame), 7):
            sock.sendall(frame[i : i + 7])

    with scripted(serve) as path, client.connect(path) as connection:
        assert connection.call("ping") == {"x": "y" * 1000}


def test_a_request_that_is_too_large_is_refused_here() -> None:
    with serving() as running, client.connect(running.path) as connection:
        with pytest.raises(ProtocolError, match="4194304 are allowed"):
            connection.call("search", {"query": "x" * wire.FRAME_BYTES_MAX, "path": "/"})
        assert connection.call("ping")


def test_the_daemons_last_words_are_heard_even_if_it_closed_while_we_sent() -> None:
    last = wire.error_frame(None, ProtocolError("too long for me"))

    def serve(sock: socket.socket) -> None:
        sock.recv(10)
        sock.sendall(last)

    with (
        scripted(serve) as path,
        client.connect(path) as connection,
        pytest.raises((ProtocolError, DaemonUnavailable), match=r"too long for me|lost the connection"),
    ):
        connection.call("search", {"query": "x" * 3_000_000, "path": "/"}, timeout=20)


def test_another_thread_can_end_a_wait() -> None:
    with serving() as running, client.connect(running.path) as connection:
        waiting = threading.Thread(
            target=lambda: connection.abort() if running.toy.entered.acquire(timeout=20) else None
        )
        waiting.start()
        with pytest.raises(DaemonUnavailable):
            connection.call("search", {"query": "block", "path": "/"})
        waiting.join()
        assert running.toy.cancelled.acquire(timeout=20)


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Directories of a user without a daemon."""
    with short_directory() as home:
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("EINSTEIN_CACHE_DIR", str(home / "cache"))
        monkeypatch.setenv("EINSTEIN_DAEMON_SOCKET_DIR", str(home / "s"))
        paths.ensure_private_dir(paths.runtime_dir())
        yield home


def test_ask_asks_again_when_the_process_dies_over_it(user: Path) -> None:  # noqa: ARG001
    asked: list[str] = []

    def serve(sock: socket.socket) -> None:
        message = request_of(sock)
        asked.append(message["method"])
        if len(asked) == 3:
            sock.sendall(wire.result_frame(message["id"], b'{"n":2}'))

    with scripted(serve) as path:
        Path(paths.query_socket()).symlink_to(path)
        assert client.ask("status", timeout=20) == {"n": 2}
        with pytest.raises(DaemonUnavailable):
            client.ask("rebuild", {"path": "/"}, timeout=20)
    assert asked == ["status", "status", "status", "rebuild"]


def test_without_start_nothing_is_started(user: Path) -> None:  # noqa: ARG001
    with pytest.raises(DaemonUnavailable, match="searchd start"):
        client.connect(start=False)
    assert client.running_pid() == 0
    assert client.stop_daemon() is False
    assert not paths.lock_path().exists()


def test_a_setting_that_stops_the_daemon_is_told_to_the_client(
    user: Path,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EINSTEIN_DAEMON_IDLE_EXIT_S", "soon")
    with pytest.raises(ConfigError, match="idle_exit_s"):
        client.connect()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("", DaemonUnavailable),
        ("half of a mess", DaemonUnavailable),
        ('{"message": "m", "data": {"code": "config"}}', ConfigError),
    ],
)
def test_what_a_daemon_says_at_its_start_is_understood(user: Path, line: str, kind: type[Exception]) -> None:  # noqa: ARG001
    with pytest.raises(kind):
        client._check_started(line, None)


def test_another_running_daemon_is_no_error() -> None:
    client._check_started("ready", None)
    line = json.dumps({"message": "m", "data": {"code": AlreadyRunning.code}})
    client._check_started(line, None)


def test_the_way_to_an_answer_imports_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); from daemon import client\n"
        "with client.connect(sys.argv[1]) as connection: connection.call('ping')\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    with serving() as running:
        out = subprocess.run(
            [sys.executable, "-S", "-c", code, running.path],
            cwd=REPO,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        ).stdout.split()
    ours = {"config", "config.errors", "config.paths", "daemon", "daemon.client", "daemon.wire"}
    of_os = {"os", "os.path", "posixpath", "genericpath", "stat", "_stat", "_collections_abc"}
    assert set(out) <= ours | of_os | {"_socket", "_json", "__future__"}
