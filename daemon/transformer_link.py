"""The way of a question from a query process to the transformer process, and of its vector back.

A Unix socket of its own, not the protocol of clients: a question has milliseconds. One connection each:

    asked     length of the text in bytes, u32; the text, UTF-8
    answered  fingerprint of the model, 64 bytes, padded with zeros; dim, u32; float32 [dim]

All numbers are little-endian. The questions are answered one after the other; who asks stops waiting by
itself. The directory of the socket is what keeps others out, as with the writer's.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable

import numpy as np

from indexer.records import F32

TEXT_BYTES_MAX = 65_536  # a network looks at the first few hundred words
PEER_TIMEOUT_S = 1.0  # for one who connects and says nothing
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<64sI")


def ask(socket_path: str, fingerprint: str, text: str, budget_s: float) -> F32 | None:
    """Return the vector of a text by the model with this fingerprint; None if there is none in time."""
    deadline = time.monotonic() + budget_s
    data = text.encode("utf-8", "replace")[:TEXT_BYTES_MAX]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.settimeout(budget_s)
            asked.connect(socket_path)
            asked.sendall(_LENGTH.pack(len(data)) + data)
            head = _received(asked, _HEAD.size, deadline)
            said, dim = _HEAD.unpack(head)
            vector = np.frombuffer(_received(asked, 4 * dim, deadline), "<f4").astype(np.float32)
    except OSError:  # too late, or nobody is there
        return None
    return vector if said.rstrip(b"\0").decode() == fingerprint else None


def serve(listener: socket.socket, fingerprint: str, encode: Callable[[str], F32]) -> None:
    """Answer questions until the listener is shut down."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer, contextlib.suppress(OSError):  # one who has stopped waiting
            peer.settimeout(PEER_TIMEOUT_S)
            deadline = time.monotonic() + PEER_TIMEOUT_S
            (length,) = _LENGTH.unpack(_received(peer, _LENGTH.size, deadline))
            if length > TEXT_BYTES_MAX:
                continue
            text = _received(peer, length, deadline).decode("utf-8", "replace")
            vector = encode(text).astype("<f4")
            peer.sendall(_HEAD.pack(fingerprint.encode(), len(vector)) + vector.tobytes())


def _received(peer: socket.socket, n: int, deadline: float) -> bytes:
    """Return the next n bytes. Raises OSError if they do not come in time."""
    data = bytearray()
    while len(data) < n:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        peer.settimeout(left)
        part = peer.recv(n - len(data))
        if not part:
            raise ConnectionError("the other end is gone")
        data += part
    return bytes(data)
