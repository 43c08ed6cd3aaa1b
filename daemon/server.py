"""A process that answers requests on a Unix socket: accept, check the peer, frame, dispatch, reply.

One thread runs the loop and never waits for anything but the selector; it answers `ping`, `hello` and
`cancel` by itself. Every other request runs in a lane of threads: the fast lane for what ends within
milliseconds, the slow lane for what may wait for minutes (the first index, a check), so that no wait holds up
a query.

Several processes accept from one listening socket, so a query never hops between processes. A reply is
written by the thread that made it, as far as the socket takes it; the loop writes the rest. Everything has a
bound: connections, unanswered requests and unread replies of each, bytes of a frame, time.

`Server` knows nothing of searching: the query processes and the writer's control socket both use it.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

import msgspec

from config.errors import (
    Cancelled,
    DaemonUnavailable,
    DeadlineExceeded,
    EinsteinError,
    ProtocolError,
)
from config.settings import Settings
from daemon import wire
from daemon.codec import decode, encode
from daemon.connection import UNREAD_BYTES_MAX, Connection, Context, peer_uid
from daemon.lanes import Lane

log = logging.getLogger("einstein.server")

# What msgspec can encode as an object, or a generator that yields partial ones and returns the final one.
Result = Any

ACCEPT_MAX = 16  # connections taken per turn, so that a burst does not stall the ones there are
STALLED_S = 30.0  # a client that reads nothing of its replies for this long is disconnected
TICK_S = 0.1  # how often deadlines and stalls are looked at, while there is something to look at
# A handler keeps its own deadline and gives what it has; after this long the loop answers for it.
DEADLINE_GRACE_S = 0.5
SLOW_THREADS_MAX = 16
_RECV_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one server."""

    threads: int = 2  # of the fast lane
    clients_max: int = 256
    frame_bytes_max: int = wire.FRAME_BYTES_MAX
    outstanding_max: int = wire.OUTSTANDING_MAX
    deadline_ms: int = 5_000  # of a request that names none and runs in the fast lane
    drain_s: float = 2.0  # for running requests to end after stop()

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits that the settings ask for."""
        return cls(
            threads=settings.query.threads,
            clients_max=settings.daemon.clients_max,
            frame_bytes_max=settings.daemon.frame_bytes_max,
            deadline_ms=settings.query.deadline_ms,
        )


Dispatch = Callable[[wire.Request, Context], Result]


class Server:
    """Serves one listening socket until `stop`. `run` blocks; `stop` may be called from anywhere."""

    def __init__(
        self,
        listener: socket.socket,
        dispatch: Dispatch,
        limits: Limits | None = None,
        *,
        slow: Callable[[wire.Request], bool] = lambda _request: False,
        on_activity: Callable[[], object] = lambda: None,
    ) -> None:
        self.limits = limits or Limits()
        self.n_requests = 0
        self.n_faults = 0  # of ours, in the loop
        self._listener = listener
        self._dispatch = dispatch
        self._is_slow = slow
        self._on_activity = on_activity
        self._uid = os.getuid()
        self._ping = b'{"pid":%d}' % os.getpid()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._connections: set[Connection] = set()
        self._leaving: set[Connection] = set()  # sent their last request, wait for replies
        self._changed: deque[Connection] = deque()  # whose buffers a lane has filled or emptied
        self._live: set[Context] = set()
        self._fast = Lane("query", self._run_one, self.limits.threads)
        self._slow = Lane("slow", self._run_one, SLOW_THREADS_MAX)
        self._accepting = False
        self._accept_after = 0.0
        self._stopping = False
        self._drain_until = float("inf")

    @property
    def n_clients(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def run(self) -> None:
        """Serve until `stop`, then let running requests end for at most `drain_s`, and close everything."""
        self._listener.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._set_accepting(True)
        try:
            while not self._finished():
                for key, events in self._selector.select(self._timeout()):
                    self._guarded_turn(key, events)
                self._after_turn()
        finally:
            self._close_all()

    def stop(self) -> None:
        """Begin to end: no new connection, no new request."""
        self._stopping = True
        self.wake()

    def stop_on_sigterm(self) -> None:
        """Make SIGTERM stop this server; from the main thread, which is to `run` it.

        The handler alone is not enough: Python runs it when the main thread next executes Python, and a
        signal that another thread takes, or that comes just before the selector waits, ends no wait.
        """
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())

    def wake(self) -> None:
        """Make the loop look at what other threads have left for it."""
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._wake_write.send(b"w")

    # The loop.

    def _guarded_turn(self, key: selectors.SelectorKey, events: int) -> None:
        """A fault of ours over one client costs this client its connection, not all of them theirs."""
        try:
            self._turn(key, events)
        except Exception:
            self.n_faults += 1
            log.exception("the loop failed over a connection")
            if not isinstance(key.data, Connection):
                raise
            self._drop(key.data)

    def _turn(self, key: selectors.SelectorKey, events: int) -> None:
        if isinstance(key.data, Connection):
            if events & selectors.EVENT_WRITE:
                key.data.flush()
            if events & selectors.EVENT_READ and not key.data.closed:
                self._read(key.data)
            self._review(key.data)
        elif key.fileobj is self._wake_read:
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
        else:
            self._accept()

    def _after_turn(self) -> None:
        while self._changed:
            self._review(self._changed.popleft())
        if self._live:
            self._on_activity()  # a request that takes long is use, too
        now = time.monotonic()
        for context in list(self._live):
            if now > context.deadline + DEADLINE_GRACE_S:
                self._answer_for(context, DeadlineExceeded("the request ran past its deadline"))
        for connection in list(self._leaving):
            self._review(connection)
        for connection in [c for c in self._connections if c.unread_bytes]:
            if now - connection.progress_at > STALLED_S:
                log.warning("a client does not read its replies; disconnected")
                self._drop(connection)
        if not self._stopping:
            room = len(self._connections) < self.limits.clients_max
            self._set_accepting(room and now >= self._accept_after)
        elif self._drain_until == float("inf"):
            self._set_accepting(False)
            self._drain_until = now + self.limits.drain_s

    def _timeout(self) -> float | None:
        if self._live or self._leaving or self._stopping or not self._accepting:
            return TICK_S
        return TICK_S if any(c.unread_bytes for c in self._connections) else None

    def _finished(self) -> bool:
        if self._drain_until == float("inf"):
            return False
        quiet = not self._live and not any(c.unread_bytes for c in self._connections)
        return quiet or time.monotonic() > self._drain_until

    def _set_accepting(self, accepting: bool) -> None:
        """At `clients_max` further connections wait in the socket's queue, or go to another process."""
        if accepting == self._accepting:
            return
        self._accepting = accepting
        if accepting:
            self._selector.register(self._listener, selectors.EVENT_READ)
        else:
            self._selector.unregister(self._listener)

    def _accept(self) -> None:
        for _ in range(min(ACCEPT_MAX, self.limits.clients_max - len(self._connections))):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:  # another process was faster
                return
            except OSError as error:  # out of file descriptors: trying again at once would only burn CPU
                log.error("cannot accept: %s", error)
                self._accept_after = time.monotonic() + 1.0
                return
            if peer_uid(sock) != self._uid:
                log.warning("refused a connection of user %d", peer_uid(sock))
                sock.close()
                continue
            connection = Connection(sock, self.limits.frame_bytes_max)
            self._connections.add(connection)
            self._selector.register(sock, selectors.EVENT_READ, connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        if not data:
            connection.at_end = True
            self._leaving.add(connection)
            return
        try:
            frames = connection.frames.feed(data)
            for frame in frames:
                self._take(connection, frame)
            if connection.frames.broken:
                connection.frames.feed(b"")
        except ProtocolError as error:  # where the next message begins is not known
            connection.send(wire.error_frame(None, error))
            connection.at_end = True
            self._leaving.add(connection)

    def _take(self, connection: Connection, frame: bytes) -> None:
        try:
            request = wire.read_request(decode(frame))
        except ProtocolError as error:
            connection.send(wire.error_frame(getattr(error, "request_id", None), error))
            return
        self.n_requests += 1
        self._on_activity()
        if request.method == "ping":
            connection.send(wire.result_frame(request.id, self._ping))
        elif request.method == "hello":
            connection.send(wire.result_frame(request.id, _hello()))
        elif request.method == "cancel":
            context = connection.jobs.get(request.params["id"])
            found = context is not None and self._answer_for(context, Cancelled("cancelled by the client"))
            if request.id is not None:
                connection.send(
                    wire.result_frame(request.id, b'{"cancelled":%s}' % str(found).lower().encode())
                )
        else:
            self._start(connection, request)

    def _start(self, connection: Connection, request: wire.Request) -> None:
        refusal: EinsteinError | None = None
        if self._stopping:
            refusal = DaemonUnavailable("the daemon is ending; ask again")
            refusal.__dict__["retry"] = True
        elif request.id in connection.jobs:
            connection.send(
                wire.error_frame(None, ProtocolError(f"id {request.id!r} belongs to an unanswered request"))
            )
            return
        elif len(connection.jobs) >= self.limits.outstanding_max:
            refusal = ProtocolError(
                f"{self.limits.outstanding_max} requests of this connection are unanswered; wait for replies"
            )
        if refusal:
            connection.send(wire.error_frame(request.id, refusal))
            return
        slow = self._is_slow(request)
        deadline_ms = request.params.get("deadline_ms", 0) or (0 if slow else self.limits.deadline_ms)
        deadline_ms = min(deadline_ms, wire.DEADLINE_MS_MAX)
        deadline = time.monotonic() + deadline_ms / 1000 if deadline_ms > 0 else float("inf")
        context = Context(request, deadline, connection)
        connection.jobs[request.id] = context
        self._live.add(context)
        (self._slow if slow else self._fast).submit(context)

    def _answer_for(self, context: Context, error: EinsteinError) -> bool:
        """Reply in the handler's place; False if it was faster."""
        won = self._finish(context, wire.error_frame(context.request.id, error))
        context.cancel()
        return won

    def _review(self, connection: Connection) -> None:
        """Bring the selector in line with what the connection wants, and close it when it is done."""
        if connection.closed:
            return
        if connection.broken or (connection.at_end and self._is_done(connection)):
            self._drop(connection)
            return
        wanted = 0
        if not connection.at_end and connection.unread_bytes <= UNREAD_BYTES_MAX:
            wanted |= selectors.EVENT_READ
        if connection.unread_bytes:
            wanted |= selectors.EVENT_WRITE
        if wanted == connection.registered:
            return
        if not connection.registered:
            self._selector.register(connection.sock, wanted, connection)
        elif not wanted:
            self._selector.unregister(connection.sock)
        else:
            self._selector.modify(connection.sock, wanted, connection)
        connection.registered = wanted

    def _is_done(self, connection: Connection) -> bool:
        """A client may shut down its sending side and still wait (`nc`), or be gone altogether."""
        return not (connection.jobs or connection.unread_bytes) or connection.is_gone()

    def _drop(self, connection: Connection) -> None:
        if connection.registered:
            self._selector.unregister(connection.sock)
        connection.close()
        self._connections.discard(connection)
        self._leaving.discard(connection)
        for context in list(connection.jobs.values()):
            self._live.discard(context)
            context.cancel()
        connection.jobs.clear()

    def _close_all(self) -> None:
        for connection in list(self._connections):
            self._drop(connection)
        self._fast.close()
        self._slow.close()
        self._selector.close()
        self._listener.close()
        self._wake_read.close()
        self._wake_write.close()

    # The lanes' threads.

    def _run_one(self, context: Context) -> None:
        if context.is_set():
            return
        id = context.request.id
        try:
            if time.monotonic() > context.deadline:
                raise DeadlineExceeded("the request waited past its deadline; the daemon is overloaded")
            result = self._dispatch(context.request, context)
            if isinstance(result, GeneratorType):
                result = self._stream(context, result)
            frame = wire.result_frame(id, encode(result))
        except EinsteinError as error:
            if error.code == EinsteinError.code:
                log.exception("%s failed", context.request.method)
            frame = wire.error_frame(id, error)
        except Exception:
            log.exception("%s failed", context.request.method)
            frame = wire.error_frame(id, EinsteinError("internal error; `searchd log` shows it"))
        self._finish(context, frame)

    def _stream(self, context: Context, parts: Generator[Any, None, Any]) -> Any:
        """Send what the generator yields, return what it returns."""
        connection = context.connection
        assert connection is not None
        try:
            while True:
                part = next(parts)
                if context.is_set() or not connection.wait_until_read(context):
                    parts.close()
                    raise Cancelled("cancelled")
                # Bytes are the encoded files of a grep; they were encoded where they were found.
                frame = wire.matches_frame if isinstance(part, bytes) else wire.partial_frame
                encoded = part if isinstance(part, bytes) else encode(part)
                self._send(connection, frame(context.request.id, encoded))
        except StopIteration as end:
            return end.value

    def _finish(self, context: Context, frame: bytes) -> bool:
        """Send the one final reply; False if there was one already or the client is gone."""
        connection = context.connection
        answered = connection is not None and connection.answer(context, frame)
        self._live.discard(context)  # after the reply: the loop ends when nothing lives and nothing is unread
        if connection is not None and answered:
            self._follow(connection)
        return answered

    def _send(self, connection: Connection, frame: bytes) -> None:
        connection.send(frame)
        self._follow(connection)

    def _follow(self, connection: Connection) -> None:
        """Have the loop look at a connection that was written to, where there is something to do."""
        if connection.unread_bytes or connection.at_end or connection.broken or self._stopping:
            self._changed.append(connection)
            self.wake()


def _hello() -> bytes:
    return msgspec.json.encode({"server": "einstein", "version": wire.PROTOCOL_VERSION, "pid": os.getpid()})


# Between collections: a question makes thousands of objects, hardly a cycle, and one of three waited 0.4 ms.
GC_OBJECTS = 50_000


def main() -> None:
    """Run one query process on the socket that the supervisor hands down."""
    gc.set_threshold(GC_OBJECTS)
    from config import cores
    from config import settings as configuration
    from daemon.child import Supervised

    supervised = Supervised()
    settings = configuration.load()
    cores.place("query")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read once, when NumPy and faiss are loaded
        os.environ.setdefault(name, str(settings.query.threads))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s query[%(process)d] %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells every instruction set it looks for
    _raise_file_limit(settings.daemon.clients_max * 2 + 1024)
    from daemon.index import OpenIndex

    # A query that computes in Python must not hold up the loop for the default of 5 ms.
    sys.setswitchinterval(0.001)
    index = OpenIndex(settings, supervised.supervisor_pid)
    dispatcher = index.dispatcher
    listener = socket.socket(fileno=int(os.environ["EINSTEIN_LISTEN_FD"]))
    listener.set_inheritable(False)
    server = Server(
        listener, dispatcher, Limits.of(settings), slow=dispatcher.is_slow, on_activity=supervised.active
    )
    server.stop_on_sigterm()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C in a terminal is for the supervisor
    dispatcher.counters = lambda: {"clients": server.n_clients, "requests": server.n_requests}
    supervised.ready()
    server.run()
    index.close()


def _raise_file_limit(wanted: int) -> None:
    """macOS starts processes with 256 file descriptors."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


if __name__ == "__main__":
    main()
