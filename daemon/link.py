"""The way from a query process to the writer: its private socket, spoken to with the same protocol.

Each request has a connection of its own, so that it can wait and be cancelled by itself; connecting and a
ping take 0.06 ms together, so none are kept.
"""

from __future__ import annotations

import time
from typing import Any

from config.errors import Cancelled, DaemonUnavailable
from daemon import client
from daemon.connection import Context

RETRY_S = 0.05  # between looks for a writer that is being started


def call_writer(
    socket_path: str,
    method: str,
    params: dict[str, Any],
    context: Context,
    *,
    timeout: float | None,
    patience_s: float = 0.0,
    again: int = 0,
) -> dict[str, Any]:
    """Return the writer's result, or raise its error; ends early with `Cancelled` when `context` does.

    timeout     seconds for the reply; None waits for ever
    patience_s  seconds to wait for a writer that is being started
    again       times to ask again if the writer dies over the request; only if asking twice does no harm
    Raises DaemonUnavailable if there is no writer, DeadlineExceeded.
    """
    while True:
        with _connect(socket_path, context, patience_s) as connection:
            context.on_cancel(connection.abort)
            try:
                return connection.call(method, params, timeout)
            except DaemonUnavailable:
                if context.is_set():
                    raise Cancelled("cancelled by the client") from None
                if again <= 0:
                    raise DaemonUnavailable(
                        "the writer process went away over this request; ask again"
                    ) from None
        again -= 1


def _connect(socket_path: str, context: Context, patience_s: float) -> client.Connection:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return client.connect(socket_path, timeout=1.0)
        except DaemonUnavailable:
            if context.is_set():
                raise Cancelled("cancelled by the client") from None
            if time.monotonic() >= deadline:
                raise DaemonUnavailable(
                    "the writer process is not running; it is started again by itself, `searchd log` says why"
                ) from None
        time.sleep(RETRY_S)
