"""A server with a toy dispatcher on a real socket, for the tests of both ends."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.errors import QuerySyntaxError, StoreCorrupt
from daemon import wire
from daemon.connection import Context
from daemon.server import Limits, Server


class Toy:
    """Answers `search` by what the query says; events let a test hold a handler where it wants it."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.entered = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)
        self.n_partial = 0

    def __call__(self, request: wire.Request, context: Context) -> Any:
        if request.method == "search":
            verb, _, rest = request.params["query"].partition(" ")
            handler: Callable[[str, Context], Any] = getattr(self, f"do_{verb}")
            return handler(rest, context)
        return {"method": request.method, **request.params}

    def is_slow(self, request: wire.Request) -> bool:
        return request.method != "search"

    def do_echo(self, rest: str, _context: Context) -> Any:
        return {"echo": rest}

    def do_bytes(self, rest: str, _context: Context) -> Any:
        return {"data": "x" * int(rest)}

    def do_block(self, _rest: str, context: Context) -> Any:
        context.on_cancel(self.cancelled.release)
        self.entered.release()
        self.release.wait(30)
        return {"released": True}

    def do_syntax(self, _rest: str, _context: Context) -> Any:
        raise QuerySyntaxError("no field 'lan'", 4, "did you mean lang?")

    def do_corrupt(self, _rest: str, _context: Context) -> Any:
        raise StoreCorrupt("segment 3")

    def do_bug(self, _rest: str, _context: Context) -> Any:
        raise ZeroDivisionError("secret detail")

    def do_unencodable(self, _rest: str, _context: Context) -> Any:
        return {"x": object()}

    def do_surrogate(self, _rest: str, _context: Context) -> Any:
        return {"path": b"caf\xe9".decode(errors="surrogateescape")}

    def do_count(self, rest: str, context: Context) -> Any:
        """Stream `n` partial results of `size` bytes, then the total."""
        n, size = (int(word) for word in rest.split())
        context.on_cancel(self.cancelled.release)

        def parts() -> Iterator[Any]:
            for i in range(n):
                self.n_partial += 1
                yield {"i": i, "data": "x" * size}
            return {"total": n}  # type: ignore[return-value]  # a generator's value

        return parts()


class Running:
    """A served socket."""

    def __init__(self, path: str, toy: Toy, server: Server) -> None:
        self.path = path
        self.toy = toy
        self.server = server

    def raw(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(20)
        sock.connect(self.path)
        return sock


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose path is short enough for a socket; pytest's own may not be."""
    path = Path(tempfile.mkdtemp(prefix="ein"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def serving(
    limits: Limits | None = None, on_activity: Callable[[], object] = lambda: None
) -> Iterator[Running]:
    """Serve a Toy until the block ends."""
    with short_directory() as directory:
        path = str(directory / "q.sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(128)
        toy = Toy()
        server = Server(listener, toy, limits, slow=toy.is_slow, on_activity=on_activity)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield Running(path, toy, server)
        finally:
            toy.release.set()
            server.stop()
            thread.join(20)
            assert not thread.is_alive()
            assert server.n_faults == 0
