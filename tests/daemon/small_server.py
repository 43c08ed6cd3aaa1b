"""A server of one thread that speaks the protocol, for tests of the commands."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from config.errors import EinsteinError
from daemon import wire

Handler = Callable[[str, dict[str, Any]], dict[str, Any]]


class Server:
    """Answers every request by `handler` and remembers it; connections have a thread each."""

    def __init__(self, path: str, handler: Handler) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.handler = handler
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop listening and wait for the connections to end."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            frames = wire.FrameReader()
            while data := connection.recv(65536):
                for frame in frames.feed(data):
                    connection.sendall(self._answer(wire.read_request(wire.loads(frame))))

    def _answer(self, request: wire.Request) -> bytes:
        self.asked.append((request.method, request.params))
        try:
            result = self.handler(request.method, request.params)
        except EinsteinError as error:
            return wire.error_frame(request.id, error)
        return wire.result_frame(request.id, json.dumps(result).encode())
