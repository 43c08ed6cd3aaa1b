"""One client of a server process: its socket, its unanswered requests, the replies it has not read yet."""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from daemon import wire

UNREAD_BYTES_MAX = 1 << 20  # of replies: above it the client's requests are not read, its streams wait
_WAIT_S = 0.1


class Context:
    """What a handler knows of the request besides its parameters; an Event-like that is set by a cancel."""

    __slots__ = ("_callbacks", "_cancelled", "connection", "deadline", "request")

    def __init__(self, request: wire.Request, deadline: float, connection: Connection | None = None) -> None:
        self.request = request
        self.deadline = deadline  # time.monotonic(); inf if there is none
        self.connection = connection
        self._cancelled = False
        self._callbacks: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """Whether the request was cancelled, its client left, or its deadline passed long ago."""
        return self._cancelled

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, from another thread, when the request is cancelled; at once if it was."""
        self._callbacks.append(callback)
        if self._cancelled:
            self.cancel()

    def cancel(self) -> None:
        """Tell the handler that nobody waits for it. Any thread may call it, more than once."""
        self._cancelled = True
        while self._callbacks:
            with contextlib.suppress(IndexError):
                self._callbacks.pop()()


class Connection:
    """One client: its socket, what it has not read yet, its unanswered requests."""

    def __init__(self, sock: socket.socket, frame_bytes_max: int) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.frames = wire.FrameReader(frame_bytes_max)
        self.jobs: dict[wire.RequestId, Context] = {}
        self.registered = selectors.EVENT_READ
        self.at_end = False  # sends no more
        self.broken = False  # does not receive any more
        self.closed = False
        self.unread_bytes = 0
        self.progress_at = 0.0
        self._unread: deque[memoryview] = deque()
        self._lock = threading.Lock()
        self._read_some = threading.Condition(self._lock)

    def send(self, frame: bytes) -> None:
        """Write what the socket takes now and keep the rest for `flush`. Any thread."""
        with self._lock:
            self._send(frame)

    def answer(self, context: Context, frame: bytes) -> bool:
        """Send the final reply of a request; False if somebody else has. Any thread.

        The request counts as unanswered until its reply is written or waits to be: whoever closes what has
        nothing left to say must not find the moment between.
        """
        with self._lock:
            if self.jobs.get(context.request.id) is not context:
                return False
            self._send(frame)
            del self.jobs[context.request.id]
            return True

    def _send(self, frame: bytes) -> None:
        if self.closed or self.broken:
            return
        sent = 0 if self._unread else self._write(frame)
        if sent < len(frame) and not self.broken:
            if not self._unread:
                self.progress_at = time.monotonic()
            self._unread.append(memoryview(frame)[sent:])
            self.unread_bytes += len(frame) - sent

    def flush(self) -> None:
        """Write on. Only the loop."""
        with self._lock:
            while self._unread:
                sent = self._write(self._unread[0])
                if self.broken or not sent:
                    break
                self.unread_bytes -= sent
                self.progress_at = time.monotonic()
                if sent < len(self._unread[0]):
                    self._unread[0] = self._unread[0][sent:]
                    break
                self._unread.popleft()
            if self.unread_bytes <= UNREAD_BYTES_MAX:
                self._read_some.notify_all()

    def wait_until_read(self, context: Context) -> bool:
        """Wait until the client has read enough to get more; False if it will not. Only lanes."""
        with self._lock:
            while self.unread_bytes > UNREAD_BYTES_MAX and not context.is_set():
                if self.closed or self.broken:
                    return False
                self._read_some.wait(_WAIT_S)
        return not context.is_set()

    def is_gone(self) -> bool:
        """Whether the client has closed the connection, not only its sending side. Only the loop."""
        poll = select.poll()
        poll.register(self.sock.fileno(), 0)
        return any(events & (select.POLLHUP | select.POLLERR) for _fd, events in poll.poll(0))

    def close(self) -> None:
        """Close the socket and forget what was not read. Only the loop."""
        with self._lock:
            self.closed = True
            self.unread_bytes = 0
            self._unread.clear()
            self.sock.close()
            self._read_some.notify_all()

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.broken = True
            self.unread_bytes = 0
            self._unread.clear()
            return 0


def peer_uid(sock: socket.socket) -> int:
    """User id of the process at the other end of a Unix socket, -1 if the system does not say."""
    try:
        if sys.platform == "darwin":  # getsockopt(0, LOCAL_PEERCRED) -> struct xucred, sys/ucred.h
            version, uid = struct.unpack_from("=II", sock.getsockopt(0, 0x001, 76))
            return int(uid) if version == 0 else -1
        _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    except (OSError, struct.error):
        return -1
