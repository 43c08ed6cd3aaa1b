"""One request, one reply; starts the daemon if there is none.

`search` runs this on every start, so the way to an answer imports nothing beyond `_socket`, the C module
below `socket` (9 ms cheaper), and the protocol. What only a missing daemon needs (subprocess, select, fcntl)
is imported when it is missing.

There is no handshake: each reply says which version of the protocol it speaks, and another one than ours is
an error that says what to do. A connection serves one thread and one request at a time; open more for more.
"""

from __future__ import annotations

import _socket
import os
import sys
import time

from config import paths
from config.errors import (
    AlreadyRunning,
    DaemonUnavailable,
    DeadlineExceeded,
    EinsteinError,
    ProtocolError,
)
from daemon import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Any

CALL_TIMEOUT_S = 60.0  # without a reply for this long the daemon is taken for hung
START_TIMEOUT_S = 10.0  # settings: daemon.start_timeout_ms
_RECV_BYTES = 65_536
_CONNECT_RETRY_S = 0.01
_RESTART_AFTER_S = 0.5

_ASK_AGAIN_S = (0.02, 0.1, 0.4, 1.0)  # pauses; a killed daemon's processes are gone after the first or second
ONCE = ("shutdown", "rebuild", "remove", "fsck")  # not asked again: the first may have been carried out

READY_FD = "EINSTEIN_READY_FD"  # the pipe on which a started process says that it is ready


class Connection:
    """A connection to a daemon process. Use it from one thread, one request at a time."""

    def __init__(self, sock: _socket.socket) -> None:
        self._sock = sock
        self._frames = wire.FrameReader(wire.REPLY_BYTES_MAX)
        self._ready: list[bytes] = []
        self._last_id = 0

    def call(
        self, method: str, params: dict[str, Any] | None = None, timeout: float | None = CALL_TIMEOUT_S
    ) -> dict[str, Any]:
        """Return the result of one request.

        timeout  seconds until DeadlineExceeded, which closes the connection; None waits for ever
        Raises the class of config.errors that the daemon names; DaemonUnavailable if the connection is lost.
        """
        *_, result = self.stream(method, params, timeout)
        return result

    def stream(
        self, method: str, params: dict[str, Any] | None = None, timeout: float | None = CALL_TIMEOUT_S
    ) -> Iterator[dict[str, Any]]:
        """Yield partial results as they come, then the final one. Leaving early cancels the request."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self._last_id += 1
        id = self._last_id
        self._send(wire.request(id, method, params or {}), deadline)
        done = False
        try:
            while not done:
                reply = self._receive(deadline)
                if reply.id is not None and reply.id != id:
                    continue  # of a request that was left early
                done = not reply.partial
                if reply.error is not None:
                    raise reply.error
                yield reply.result
        except GeneratorExit:
            if not done:
                self._send(wire.request(None, "cancel", {"id": id}), deadline)
            raise

    def close(self) -> None:
        """Close the socket; the daemon cancels what is still running."""
        self._sock.close()

    def abort(self) -> None:
        """End the request that another thread waits for; there it raises DaemonUnavailable."""
        try:
            self._sock.shutdown(_socket.SHUT_RDWR)
        except OSError:
            return  # it has ended already

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, frame: bytes, deadline: float | None) -> None:
        if len(frame) > wire.FRAME_BYTES_MAX:
            raise ProtocolError(f"the request has {len(frame)} bytes; {wire.FRAME_BYTES_MAX} are allowed")
        try:
            self._sock.settimeout(_left(deadline))
            self._sock.sendall(frame)
        except (BrokenPipeError, ConnectionResetError):
            return  # the daemon may have said why before it closed: reading tells
        except OSError as error:
            self._give_up(error)

    def _receive(self, deadline: float | None) -> wire.Reply:
        while not self._ready:
            data = b""
            try:
                self._sock.settimeout(_left(deadline))
                data = self._sock.recv(_RECV_BYTES)
            except OSError as error:
                self._give_up(error)
            if not data:
                self.close()
                raise _lost("the daemon closed the connection; ask again")
            self._ready = self._frames.feed(data)
        reply = wire.read_reply(wire.loads(self._ready.pop(0)))
        if reply.version != wire.PROTOCOL_VERSION:
            self.close()
            raise wire.version_error(reply.version)
        return reply

    def _give_up(self, error: OSError) -> None:
        self.close()
        if isinstance(error, TimeoutError | BlockingIOError):
            raise DeadlineExceeded(
                "the daemon did not answer in time; `searchd status` shows what it does"
            ) from None
        raise _lost(f"lost the connection to the daemon: {error.strerror or error}; ask again") from None


def connect(
    socket_path: str | None = None,
    start: bool = True,
    timeout: float = START_TIMEOUT_S,
    environ: Mapping[str, str] | None = None,
) -> Connection:
    """Connect to the daemon of this user.

    socket_path  another socket than the user's query socket; such a daemon is never started
    start        start a daemon if none listens
    timeout      seconds until DaemonUnavailable
    environ      where to look for the user's directories; os.environ if None
    """
    deadline = time.monotonic() + timeout
    path = paths.query_socket(environ) if socket_path is None else socket_path
    if sock := _try_connect(path, deadline):
        return Connection(sock)
    if not start or socket_path is not None:
        raise DaemonUnavailable("no daemon is running; start it with `searchd start`")
    while time.monotonic() < deadline:
        start_daemon(max(deadline - time.monotonic(), 0.1), environ)
        # The lock may be held and yet nobody listen: a daemon is ending, or another client's is starting.
        patience = min(time.monotonic() + _RESTART_AFTER_S, deadline)
        while time.monotonic() < patience:
            if sock := _try_connect(path, deadline):
                return Connection(sock)
            time.sleep(_CONNECT_RETRY_S)
    raise DaemonUnavailable(f"the daemon was started but does not listen; see {paths.log_path(environ)}")


def ask(
    method: str,
    params: dict[str, Any] | None = None,
    *,
    start: bool = True,
    timeout: float | None = CALL_TIMEOUT_S,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Connect, ask once, close. Asks again if the process that took the request dies or is ending."""
    for pause_s in (*_ASK_AGAIN_S, None):
        try:
            with connect(start=start, environ=environ) as connection:
                return connection.call(method, params, timeout)
        except DaemonUnavailable as error:
            if pause_s is None or method in ONCE or not getattr(error, "retry", False):
                raise
            time.sleep(pause_s)
    raise AssertionError("unreachable")


def start_daemon(timeout: float = START_TIMEOUT_S, environ: Mapping[str, str] | None = None) -> bool:
    """Start a detached supervisor and wait until it is ready; False if another one holds the lock.

    Raises DaemonUnavailable, or what the supervisor gives as the reason (ConfigError, SocketPathTooLong...).
    """
    import subprocess

    _started[:] = [old for old in _started if old.poll() is None]
    env = dict(os.environ if environ is None else environ)
    # The package as it was found here, wherever that is; a user's own PYTHONPATH is not the daemon's.
    env["PYTHONPATH"] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    read_end, write_end = os.pipe()
    try:
        env[READY_FD] = str(write_end)
        command = [sys.executable, "-P", "-m", "daemon.supervisor"]
        _started.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[write_end],
                start_new_session=True,
                cwd="/",
                env=env,
            )
        )
    except OSError as error:
        os.close(read_end)
        raise DaemonUnavailable(f"cannot start {sys.executable}: {error.strerror}") from None
    finally:
        os.close(write_end)
    try:
        return _check_started(_read_line(read_end, time.monotonic() + timeout), environ)
    finally:
        os.close(read_end)


def running_pid(environ: Mapping[str, str] | None = None) -> int:
    """Process id of the supervisor that holds the lock, 0 if there is none."""
    import fcntl

    try:
        fd = os.open(paths.lock_path(environ), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        try:
            return int(paths.pid_path(environ).read_text())
        except (OSError, ValueError):
            return -1  # it has the lock and is about to write its id
    else:
        return 0
    finally:
        os.close(fd)


def stop_daemon(timeout: float = START_TIMEOUT_S, environ: Mapping[str, str] | None = None) -> bool:
    """Ask the supervisor to drain and end, and wait until the lock is free; False if none was running."""
    import contextlib
    import signal

    deadline = time.monotonic() + timeout
    asked = 0
    while pid := running_pid(environ):
        if pid > 0 and pid != asked:
            with contextlib.suppress(ProcessLookupError):  # killed; its writer holds the lock and is ending
                os.kill(pid, signal.SIGTERM)
            asked = pid
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"the daemon (process {pid}) did not end within {timeout:g} s")
        time.sleep(_CONNECT_RETRY_S)
    return asked > 0


_started: list[
    subprocess.Popen[bytes]
] = []  # polled, so that they do not stay zombies of a long-lived client


def _try_connect(path: str, deadline: float) -> _socket.socket | None:
    """Return a connected socket, None if nobody listens."""
    while True:
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            sock.settimeout(_left(deadline))
            sock.connect(path)
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            return None
        except (BlockingIOError, InterruptedError):  # Linux: the queue of the listening socket is full
            sock.close()
            if time.monotonic() > deadline:
                raise DaemonUnavailable("the daemon accepts no more connections; try again") from None
            time.sleep(_CONNECT_RETRY_S)
        except OSError as error:
            sock.close()
            raise DaemonUnavailable(f"cannot connect to {path}: {error.strerror or error}") from None


def _lost(message: str) -> DaemonUnavailable:
    """Return the error of a connection that ended without a reply: the next one may do better."""
    error = DaemonUnavailable(message)
    error.__dict__["retry"] = True
    return error


def _left(deadline: float | None) -> float | None:
    """Seconds until the deadline; never 0, which would mean a non-blocking socket."""
    return None if deadline is None else max(deadline - time.monotonic(), 0.000_1)


def _read_line(fd: int, deadline: float) -> str:
    """Return the first line from a pipe without its end, "" if the writer ended without one."""
    import select

    data = b""
    while not data.endswith(b"\n"):
        if not select.select([fd], [], [], _left(deadline))[0]:
            raise DaemonUnavailable("the daemon was started but is not ready yet; ask again in a moment")
        piece = os.read(fd, 4096)
        if not piece:
            break
        data += piece
    return data.decode(errors="replace").partition("\n")[0]


def _check_started(line: str, environ: Mapping[str, str] | None) -> bool:
    """Read what the supervisor reports: "ready", or an error as one JSON object, raised unless one serves."""
    if line == "ready":
        return True
    error: EinsteinError
    try:
        error = wire.read_error(wire.loads(line.encode()))
    except ProtocolError:
        error = DaemonUnavailable(f"the daemon could not start; see {paths.log_path(environ)}")
    if not isinstance(error, AlreadyRunning):
        raise error
    return False
