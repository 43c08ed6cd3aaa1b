"""The supervisor with real processes: tiny commands stand in for the writer and the query processes."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.errors import AlreadyRunning, DaemonUnavailable, SocketPathTooLong
from daemon import client, supervisor
from daemon.child import ACTIVE
from daemon.logfile import LogFile, LogFileHandler
from tests.daemon.toy import short_directory

REPO = Path(__file__).resolve().parents[2]
PATIENCE_S = 20.0

# Waits for the signal while it is blocked: between a handler and pause() it could be missed.
WRITER = """
import signal, sys
from daemon.child import Supervised
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
supervised = Supervised()
print("the writer speaks", flush=True)
supervised.ready()
signal.sigwait([signal.SIGTERM])
print("the writer ends", flush=True)
"""

QUERY = """
import os, signal, socket
from daemon import wire
from daemon.child import Supervised
from daemon.server import Limits, Server
supervised = Supervised()
listener = socket.socket(fileno=int(os.environ["EINSTEIN_LISTEN_FD"]))
server = Server(listener, lambda request, _: request.params, Limits(), on_activity=supervised.active)
server.stop_on_sigterm()
supervised.ready()
server.run()
print("the query process ends", flush=True)
"""

SUPERVISOR = """
import json, os, sys
from pathlib import Path
from daemon import supervisor
import config.settings
given = json.loads(os.environ["TEST_PLAN"])
at = Path(given.pop("at"))
plan = dict(
    writer=(sys.executable, "-c", given.pop("writer")), query=(sys.executable, "-c", given.pop("query")),
    n_query=2, socket_path=str(at / "run" / "q.sock"), lock_path=at / "daemon.lock",
    pid_path=at / "daemon.pid", log_path=at / "log" / "searchd.log", log_bytes_max=1 << 20,
    backoff_s=0.01, idle_exit_s=0.0,
)
plan |= given
supervisor.Plan.of = classmethod(lambda cls, _settings: cls(**plan))
sys.exit(supervisor.main())
"""


class Daemon:
    """A supervisor process and what it says."""

    def __init__(self, at: Path, **plan: Any) -> None:
        self.at = at
        read_end, write_end = os.pipe()
        given = {"at": str(at), "writer": WRITER, "query": QUERY, **plan}
        env = os.environ | {
            "TEST_PLAN": json.dumps(given),
            "PYTHONPATH": str(REPO),
            client.READY_FD: str(write_end),
        }
        command = [sys.executable, "-c", SUPERVISOR]
        self.process = subprocess.Popen(
            command, env=env, pass_fds=[write_end], stderr=subprocess.PIPE, start_new_session=True
        )
        os.close(write_end)
        self._read_end = read_end

    def said(self) -> str:
        """What it told whoever started it."""
        assert select.select([self._read_end], [], [], PATIENCE_S)[0], "the supervisor says nothing"
        return os.read(self._read_end, 4096).decode().strip()

    def ping(self) -> int:
        """Process id of the query process that answers."""
        with client.connect(str(self.at / "run" / "q.sock")) as connection:
            return int(connection.call("ping", timeout=PATIENCE_S)["pid"])

    def log(self) -> str:
        return (self.at / "log" / "searchd.log").read_text()

    def pids(self, name: str) -> list[int]:
        """Process ids the log names, in order of starts."""
        lines = [line for line in self.log().splitlines() if f": {name} is process " in line]
        return [int(line.rpartition(" ")[2]) for line in lines]

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self._read_end)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def at() -> Iterator[Path]:
    with short_directory() as directory:
        yield directory


@pytest.fixture
def start(at: Path) -> Iterator[Callable[..., Daemon]]:
    daemons: list[Daemon] = []

    def start(**plan: Any) -> Daemon:
        daemons.append(Daemon(at, **plan))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.end()
        daemon.close()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll; for what other processes do to the file system or the process table."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        select.select([], [], [], 0.005)
    raise AssertionError(f"not within {PATIENCE_S} s: {what}")


def gone(pid: int) -> bool:
    """Whether the process has ended; an orphan that nobody reaps yet has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        if not Path("/proc/self").exists():
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            return False
        return True


def test_it_says_ready_serves_and_ends_in_order(start: Callable[..., Daemon], at: Path) -> None:
    daemon = start()
    assert daemon.said() == "ready"
    assert daemon.ping() in daemon.pids("query 1") + daemon.pids("query 2")
    assert (at / "daemon.pid").read_text() == f"{daemon.process.pid}\n"
    children = [f"{daemon.pids(name)[0]} {name}" for name in ("query 1", "query 2", "writer")]
    assert (at / "daemon.children").read_text().splitlines() == children
    assert (at / "run").stat().st_mode & 0o777 == 0o700
    assert daemon.end() == 0
    assert daemon.said() == ""
    assert not (at / "run" / "q.sock").exists()
    assert not (at / "daemon.pid").exists()
    assert (at / "daemon.lock").exists()
    log = daemon.log()
    assert log.index("the writer speaks") < log.index("the query process ends") < log.index("the writer ends")


@pytest.mark.parametrize("name", ["writer", "query 1"])
def test_a_killed_process_is_started_again(start: Callable[..., Daemon], name: str) -> None:
    daemon = start(n_query=1)
    assert daemon.said() == "ready"
    (first,) = daemon.pids(name)
    os.kill(first, signal.SIGKILL)
    until(lambda: len(daemon.pids(name)) == 2, "a second start")
    assert f"{name} (process {first}) was killed by signal 9" in daemon.log()
    assert daemon.ping() == daemon.pids("query 1")[-1]


def test_clients_wait_while_the_only_query_process_is_away(start: Callable[..., Daemon]) -> None:
    daemon = start(n_query=1, backoff_s=0.2)
    assert daemon.said() == "ready"
    os.kill(daemon.ping(), signal.SIGKILL)
    assert daemon.ping() == daemon.pids("query 1")[-1]


def test_restarts_back_off(start: Callable[..., Daemon]) -> None:
    daemon = start(writer="import sys; sys.exit(3)")
    assert daemon.said() == "ready"
    until(lambda: len(daemon.pids("writer")) >= 4, "four starts of the writer")
    log = daemon.log()
    assert "ended with status 3" in log
    waits = [line.rpartition(" in ")[2] for line in log.splitlines() if "writer starts again in" in line]
    assert waits[:3] == ["0.01 s", "0.02 s", "0.04 s"]
    assert daemon.ping()


def test_a_broken_installation_is_told_and_not_tried_for_ever(start: Callable[..., Daemon]) -> None:
    daemon = start(query="import no_such_module")
    error = json.loads(daemon.said())
    assert error["data"]["code"] == "unavailable"
    assert "searchd.log says why" in error["message"]
    assert daemon.process.wait(PATIENCE_S) == 2
    assert "No module named 'no_such_module'" in daemon.log()
    with pytest.raises(DaemonUnavailable):
        client._check_started(json.dumps(error), None)


def test_of_two_daemons_one_wins_and_the_other_says_so(start: Callable[..., Daemon]) -> None:
    first = start()
    assert first.said() == "ready"
    second = start()
    error = json.loads(second.said())
    assert error["data"]["code"] == AlreadyRunning.code
    assert f"process {first.process.pid}" in error["message"]
    assert second.process.wait(PATIENCE_S) == 2
    assert first.ping()


def test_two_daemons_started_at_once_are_one(start: Callable[..., Daemon]) -> None:
    said = sorted(daemon.said()[:5] for daemon in (start(), start()))
    assert said == ["ready", '{"mes'] or said == ['{"mes', "ready"]


def test_a_stale_socket_is_taken_over(start: Callable[..., Daemon], at: Path) -> None:
    (at / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(at / "run" / "q.sock"))
    daemon = start()
    assert daemon.said() == "ready"
    assert daemon.ping()


def test_something_that_is_no_socket_is_left_alone(start: Callable[..., Daemon], at: Path) -> None:
    (at / "run").mkdir(mode=0o700)
    (at / "run" / "q.sock").write_text("precious")
    error = json.loads(start().said())
    assert "no socket" in error["message"]
    assert (at / "run" / "q.sock").read_text() == "precious"


@pytest.mark.parametrize("system", [sys.platform, "darwin"])
def test_children_end_with_a_killed_supervisor_and_the_next_one_takes_over(
    start: Callable[..., Daemon], system: str
) -> None:
    """macOS does not tell a child; there a pipe does, which works here as well."""
    pretend = f"import sys; sys.platform = {system!r}"
    first = start(writer=pretend + WRITER, query=QUERY.replace("supervised =", f"{pretend}; supervised =", 1))
    assert first.said() == "ready"
    children = [pid for name in ("writer", "query 1", "query 2") for pid in first.pids(name)]
    assert len(children) == 3
    first.end(signal.SIGKILL)
    for pid in children:
        until(partial(gone, pid), f"the end of process {pid}")
    second = start()
    assert second.said() == "ready"
    assert second.ping() not in children


def test_no_second_writer_runs_beside_one_that_lost_its_supervisor(start: Callable[..., Daemon]) -> None:
    slow = """
import os, signal, sys
from daemon.child import Supervised
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
supervised = Supervised()
supervised.ready()
signal.sigwait([signal.SIGTERM])
open(os.environ["GATE"]).read()
"""
    with short_directory() as other:
        gate = other / "gate"
        os.mkfifo(gate)
        os.environ["GATE"] = str(gate)
        try:
            first = start(writer=slow)
        finally:
            del os.environ["GATE"]
        assert first.said() == "ready"
        (writer,) = first.pids("writer")
        first.end(signal.SIGKILL)
        second = start()
        opened = os.open(gate, os.O_WRONLY)  # returns when the first writer is in its handler
        assert not gone(writer)
        assert not select.select([second._read_end], [], [], 0.1)[0]
        os.close(opened)
        assert second.said() == "ready"
        assert gone(writer)


def test_it_ends_when_nobody_asks(start: Callable[..., Daemon]) -> None:
    """The start itself takes longer than the idle time, and does not count."""
    daemon = start(idle_exit_s=0.001)
    assert daemon.said() == "ready"
    assert daemon.process.wait(PATIENCE_S) == 0
    assert "no request for 0.001 s" in daemon.log()


def test_idle_time_counts_from_the_last_use(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of our own: no process is started, the report comes through the real pipe."""
    clock = [1000.0]
    monkeypatch.setattr("daemon.supervisor.time.monotonic", lambda: clock[0])
    made = supervisor.Supervisor(
        supervisor.Plan(
            writer=(),
            query=(),
            n_query=1,
            socket_path=str(at / "run" / "q.sock"),
            lock_path=at / "daemon.lock",
            pid_path=at / "daemon.pid",
            log_path=at / "log" / "searchd.log",
            log_bytes_max=1000,
            backoff_s=1.0,
            idle_exit_s=60.0,
        )
    )
    (query,) = made._queries
    query.report_fd, write_end = os.pipe()
    try:
        clock[0] += 500.0
        assert not made._is_idle()  # not ready yet
        query.ready = made._writer.ready = True
        made._tell_ready()
        clock[0] += 59.0
        assert not made._is_idle()
        os.write(write_end, ACTIVE)
        made._read_report(query)
        clock[0] += 59.0
        assert not made._is_idle()
        clock[0] += 2.0
        assert made._is_idle()
    finally:
        made._end()
        for fd in (query.report_fd, write_end, made._lock_fd):
            os.close(fd)
        made._log.close()


def test_a_process_that_does_not_end_is_killed(start: Callable[..., Daemon]) -> None:
    stubborn = QUERY.replace("server.stop_on_sigterm()", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    daemon = start(query=stubborn, n_query=1)
    assert daemon.said() == "ready"
    daemon.process.send_signal(signal.SIGTERM)
    until(lambda: "ending" in daemon.log(), "the end to begin")
    assert daemon.end(signal.SIGTERM) == 0  # asked twice: at once
    assert "does not end; killed" in daemon.log()


def test_a_socket_path_that_is_too_long_is_told(at: Path) -> None:
    environ = {"EINSTEIN_CACHE_DIR": str(at / ("x" * 120)), "HOME": str(at)}
    with pytest.raises(SocketPathTooLong, match="EINSTEIN_DAEMON_SOCKET_DIR"):
        client.start_daemon(PATIENCE_S, os.environ | environ)


def test_it_imports_nothing_of_the_index() -> None:
    code = "import sys, daemon.supervisor; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "msgspec", "lmdb", "indexer", "search", "asyncio"} & set(out)


def test_the_log_is_rotated_by_size(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = LogFile(path, 100)
    for i in range(30):
        log.write(b"%02d " % i * 10)
    log.close()
    kept = [tmp_path / name for name in ("x.log.2", "x.log.1", "x.log")]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert all(file.stat().st_size <= 100 for file in kept)
    assert b"".join(file.read_bytes() for file in kept).split()[-10:] == [b"29"] * 10
    assert path.stat().st_mode & 0o777 == 0o600


def test_own_records_and_childrens_output_share_the_log(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", 1000)
    handler = LogFileHandler(log)
    handler.emit(logging.LogRecord("einstein.x", logging.INFO, "", 0, "what %s", ("happened",), None))
    log.close()
    assert "INFO einstein.x: what happened" in (tmp_path / "x.log").read_text()
