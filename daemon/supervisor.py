"""Starts, watches and restarts the daemon's processes; owns lock, socket, log and idle exit.

`python -m daemon.supervisor`. There is at most one per cache directory: it holds an flock on a file that is
never deleted, for life. The writer inherits the lock, so that after a `kill -9` of the supervisor no second
writer starts before the first has ended. Only the holder may remove a stale socket.

The socket listens before the first child runs and as long as the supervisor lives: a client that connects
while a query process is being restarted waits in the socket's queue instead of failing.

It imports nothing of the index, so that it stays small and cannot crash with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from config import machine, paths
from config import settings as configuration
from config.errors import AlreadyRunning, ConfigError, DaemonUnavailable, EinsteinError
from config.processes import is_alive
from config.settings import Settings
from daemon import wire
from daemon.child import (
    ACTIVE,
    LIFE_FD,
    NOTHING_TO_DO,
    READY,
    REPORT_FD,
    SUPERVISOR_PID,
    children_path,
    transformer_wanted,
)
from daemon.client import READY_FD
from daemon.listening import listen
from daemon.logfile import LogFile, LogFileHandler

LISTEN_FD = "EINSTEIN_LISTEN_FD"
BACKOFF_MAX_S = 30.0
STEADY_S = 30.0  # a process that lived this long starts from the first back-off again
FAILED_STARTS_MAX = 3  # of a query process before any was ready: then the installation is broken
WRITER_PATIENCE_S = 3.0  # for the writer, once queries are answered, before `ready` is said without it
QUERY_DRAIN_S = 4.0  # a query process gives its requests 2 s
WRITER_DRAIN_S = 15.0  # a batch is committed
LOCK_WAIT_S = 5.0  # for a writer whose supervisor was killed to end

log = logging.getLogger("einstein.supervisor")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, where, and within which bounds."""

    writer: tuple[str, ...]  # command
    query: tuple[str, ...]  # command of each query process
    n_query: int
    socket_path: str
    lock_path: Path
    pid_path: Path
    log_path: Path
    log_bytes_max: int
    backoff_s: float
    idle_exit_s: float  # 0: never
    transformer: tuple[str, ...] = ()  # command; empty: there is none

    @classmethod
    def of(cls, settings: Settings) -> Plan:
        """Return the plan of this user. Raises SocketPathTooLong, ConfigError."""
        python = (sys.executable, "-P", "-m")
        has_transformer = transformer_wanted(settings.transformer.model)
        return cls(
            writer=(*python, "daemon.writer"),
            query=(*python, "daemon.server"),
            transformer=(*python, "daemon.transformer_process") if has_transformer else (),
            n_query=settings.query.processes or machine.detect().query_processes(),
            socket_path=paths.query_socket(),
            lock_path=paths.lock_path(),
            pid_path=paths.pid_path(),
            log_path=paths.log_path(),
            log_bytes_max=settings.daemon.log_bytes_max,
            backoff_s=settings.daemon.restart_backoff_ms / 1000,
            idle_exit_s=settings.daemon.idle_exit_s,
        )


class Child:
    """One process that is kept running."""

    def __init__(self, name: str, command: tuple[str, ...]) -> None:
        self.name = name
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.report_fd = -1
        self.ready = False
        self.was_ready = False  # ever
        self.failures = 0  # in a row
        self.started_at = 0.0
        self.start_at = 0.0  # when it may be started (again)

    def signal(self, number: int) -> None:
        """Send a signal if the process runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """The one supervisor of a cache directory. `run` returns after a drained end."""

    def __init__(self, plan: Plan, report_to: int = -1) -> None:
        """Take the lock, the log and the socket. Raises AlreadyRunning, ConfigError, DaemonUnavailable.

        report_to  pipe on which "ready" is written, once
        """
        self._plan = plan
        self._report_to = report_to
        for directory in (plan.lock_path.parent, plan.log_path.parent, Path(plan.socket_path).parent):
            paths.ensure_private_dir(directory)
        self._lock_fd = _take_lock(plan)
        _write(plan.pid_path, f"{os.getpid()}\n")
        self._log = LogFile(plan.log_path, plan.log_bytes_max)
        self._listener = listen(plan.socket_path)
        self._log_read, self._log_write = os.pipe()
        self._life_read, self._life_write = os.pipe()
        os.set_blocking(self._log_read, False)
        self._writer = Child("writer", plan.writer)
        self._queries = [Child(f"query {i}", plan.query) for i in range(1, plan.n_query + 1)]
        self._transformers = [Child("transformer", plan.transformer)] if plan.transformer else []
        # Somebody waits for the first ones.
        self._children = [*self._queries, self._writer, *self._transformers]
        self._selector = selectors.DefaultSelector()
        self._stop_signals = 0
        self._active_at = time.monotonic()
        self._serving_since = 0.0  # the first query process was ready
        self._told_ready = False

    def run(self) -> None:
        """Keep the processes running until SIGTERM, SIGINT or idleness; then drain and clean up.

        Raises DaemonUnavailable when the query processes cannot be started at all.
        """
        handler = LogFileHandler(self._log)
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        wake_read, wake_write = os.pipe()
        for fd in (wake_read, wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the loop
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._selector.register(wake_read, selectors.EVENT_READ)
        self._selector.register(self._log_read, selectors.EVENT_READ)
        log.info("started: %d query processes at %s", len(self._queries), self._plan.socket_path)
        try:
            while not self._stop_signals:
                self._turn(wake_read)
        finally:
            self._end()
            signal.set_wakeup_fd(-1)
            root.removeHandler(handler)
            self._log.close()
            os.close(self._lock_fd)

    # One turn.

    def _turn(self, wake_read: int) -> None:
        self._start_due()
        for key, _events in self._selector.select(self._timeout()):
            if key.fd == wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
            elif key.fd == self._log_read:
                self._copy_log()
            else:
                self._read_report(key.data)
        self._reap()
        self._tell_ready()
        if self._is_idle():
            log.info("no request for %g s: ending", self._plan.idle_exit_s)
            self._stop_signals = 1

    def _is_idle(self) -> bool:
        """Whether nobody has used the daemon for `idle_exit_s` since it was ready."""
        idle_s = self._plan.idle_exit_s
        return bool(idle_s) and self._told_ready and time.monotonic() - self._active_at > idle_s

    def _timeout(self) -> float | None:
        now = time.monotonic()
        times = [child.start_at for child in self._children if child.process is None]
        times = [each for each in times if each < math.inf]
        if self._plan.idle_exit_s and self._told_ready:
            times.append(self._active_at + self._plan.idle_exit_s + 0.01)
        if self._serving_since and not self._told_ready:
            times.append(self._serving_since + WRITER_PATIENCE_S)
        return max(0.0, min(times) - now) if times else None

    def _start_due(self) -> None:
        for child in self._children:
            if child.process is None and time.monotonic() >= child.start_at:
                self._start(child)

    def _start(self, child: Child) -> None:
        child.report_fd, write_end = os.pipe()
        os.set_blocking(child.report_fd, False)
        env = machine.array_variables() | {key: value for key, value in os.environ.items() if key != READY_FD}
        env |= {SUPERVISOR_PID: str(os.getpid()), REPORT_FD: str(write_end), LIFE_FD: str(self._life_read)}
        handed = [write_end, self._life_read]
        if child is self._writer:
            handed.append(self._lock_fd)
        elif child in self._queries:
            handed.append(self._listener.fileno())
            env[LISTEN_FD] = str(self._listener.fileno())
        child.started_at = time.monotonic()
        try:
            child.process = subprocess.Popen(
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=self._log_write,
                stderr=self._log_write,
                pass_fds=handed,
                env=env,
                cwd="/",
                process_group=0,  # ^C in a terminal is for the supervisor, which drains
            )
        except OSError as error:
            log.error("cannot start %s: %s", child.name, error)
            os.close(child.report_fd)
            self._plan_restart(child)
            return
        finally:
            os.close(write_end)
        self._selector.register(child.report_fd, selectors.EVENT_READ, child)
        self._list_children()
        log.info("%s is process %d", child.name, child.process.pid)

    def _list_children(self) -> None:
        """Write a line "pid name" for each child: whose memory `status` measures."""
        lines = [f"{child.process.pid} {child.name}\n" for child in self._children if child.process]
        with contextlib.suppress(OSError):  # a full disk
            _write(children_path(self._plan.pid_path), "".join(lines))

    def _read_report(self, child: Child) -> None:
        try:
            data = os.read(child.report_fd, 4096)
        except BlockingIOError:
            return
        if not data:
            self._close_report(child)
            return
        if READY in data:
            child.ready = child.was_ready = True
            log.info("%s is ready after %.0f ms", child.name, (time.monotonic() - child.started_at) * 1000)
        if ACTIVE in data:
            self._active_at = time.monotonic()

    def _close_report(self, child: Child) -> None:
        if child.report_fd >= 0:
            self._selector.unregister(child.report_fd)
            os.close(child.report_fd)
            child.report_fd = -1

    def _reap(self) -> None:
        for child in self._children:
            if child.process is None or child.process.poll() is None:
                continue
            status = child.process.returncode
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            log.warning("%s (process %d) %s", child.name, child.process.pid, how)
            child.process = None
            self._close_report(child)
            if status == NOTHING_TO_DO and child in self._transformers:
                child.start_at = math.inf
                continue
            self._plan_restart(child)
            child.ready = False

    def _plan_restart(self, child: Child) -> None:
        now = time.monotonic()
        child.failures = 1 if now - child.started_at > STEADY_S else child.failures + 1
        delay = min(self._plan.backoff_s * 2 ** (child.failures - 1), BACKOFF_MAX_S)
        if child.failures == 1 and child.ready:
            delay = 0.0  # it worked: the first time, nobody shall wait
        child.start_at = now + delay
        hopeless = child.failures >= FAILED_STARTS_MAX and not any(c.was_ready for c in self._queries)
        if child in self._queries and hopeless:
            self._copy_log()
            raise DaemonUnavailable(
                f"the query processes end before they are ready; {self._plan.log_path} says why"
            )
        if not self._stop_signals:
            log.info("%s starts again in %.2f s", child.name, delay)

    def _tell_ready(self) -> None:
        if self._told_ready:
            return
        now = time.monotonic()
        if not self._serving_since:
            if not any(child.ready for child in self._queries):
                return
            self._serving_since = now
        late = now - self._serving_since >= WRITER_PATIENCE_S or self._writer.failures
        if self._writer.ready or late:
            self._told_ready = True
            self._active_at = now  # however long the start took
            report(self._report_to, "ready")

    def _copy_log(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._log_read, 65_536):
                self._log.write(data)

    # The end.

    def _on_stop_signal(self, _number: int, _frame: object) -> None:
        self._stop_signals += 1

    def _end(self) -> None:
        """Queries first, then the writer, then the socket and the pid file; the lock goes last."""
        log.info("ending")
        self._stop_signals = max(self._stop_signals, 1)
        Path(self._plan.socket_path).unlink(missing_ok=True)
        self._listener.close()
        self._end_children([*self._queries, *self._transformers], QUERY_DRAIN_S)
        self._end_children([self._writer], WRITER_DRAIN_S)
        self._selector.close()
        self._copy_log()
        for fd in (self._log_read, self._log_write, self._life_read, self._life_write):
            os.close(fd)
        self._plan.pid_path.unlink(missing_ok=True)
        children_path(self._plan.pid_path).unlink(missing_ok=True)
        log.info("ended")

    def _end_children(self, children: list[Child], drain_s: float) -> None:
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + drain_s
        while any(child.process is not None for child in children):
            if time.monotonic() > deadline or self._stop_signals > 1:  # asked twice: at once
                for child in children:
                    if child.process is not None:
                        log.warning("%s does not end; killed", child.name)
                    child.signal(signal.SIGKILL)
                deadline = time.monotonic() + drain_s
                self._stop_signals = 1
            for key, _events in self._selector.select(0.1):
                if key.fd == self._log_read:
                    self._copy_log()
                elif isinstance(key.data, Child):
                    self._read_report(key.data)
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.read(key.fd, 4096)
            for child in children:
                if child.process is not None and child.process.poll() is not None:
                    log.info("%s ended with status %d", child.name, child.process.returncode)
                    child.process = None
                    self._close_report(child)


def report(fd: int, line: str) -> None:
    """Tell whoever started us, once; nobody may be listening."""
    if fd >= 0:
        with contextlib.suppress(OSError):
            os.write(fd, line.encode() + b"\n")
            os.close(fd)


def error_line(error: EinsteinError) -> str:
    """Return an error as client.start_daemon reads it."""
    return wire.dumps({"message": str(error), "data": {"code": error.code}}).decode()


def _supervisor(plan: Plan, report_to: int) -> Supervisor:
    """Return the supervisor. Raises ConfigError also for a file of ours that cannot be written."""
    try:
        return Supervisor(plan, report_to)
    except OSError as error:
        where = error.filename or plan.lock_path.parent
        raise ConfigError(
            f"{where} cannot be used: {error.strerror}; the daemon must be able to write there;"
            " EINSTEIN_CACHE_DIR names another place"
        ) from error


def _take_lock(plan: Plan) -> int:
    """Return the locked file's descriptor. Raises AlreadyRunning.

    Waits a moment: a client may be looking at the lock, and a writer that has lost its supervisor ends soon.
    """
    fd = os.open(plan.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_S
    tries = 0
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            tries += 1
        pid = _read_pid(plan.pid_path)
        if (tries > 10 and is_alive(pid)) or time.monotonic() > deadline:
            os.close(fd)
            who = f"process {pid}" if is_alive(pid) else "a writer that has lost its supervisor"
            raise AlreadyRunning(
                f"the daemon of this user is already running ({who}); `searchd status` asks it"
            )
        time.sleep(0.01)


def _read_pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".tmp")
    partial.write_text(text)
    partial.replace(path)


def main() -> int:
    """Run the supervisor of this user in this process."""
    os.umask(0o077)
    report_to = int(os.environ.get(READY_FD, "-1"))
    if report_to >= 0:
        os.set_inheritable(report_to, False)
    try:
        settings = configuration.load()
        if settings.index.languages:
            from indexer.languages import resolve  # names only; nothing of the index

            for language in settings.index.languages:
                resolve(language)  # the writer would refuse it too, but only in the log
        _supervisor(Plan.of(settings), report_to).run()
    except EinsteinError as error:
        report(report_to, error_line(error))
        print(f"searchd: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
