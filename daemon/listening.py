"""A listening Unix socket at a path that a dead process may have left behind."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from config.errors import DaemonUnavailable

LISTEN_QUEUE = 512  # connections that wait while the processes behind it are busy or being restarted


def listen(path: str) -> socket.socket:
    """Return the socket, listening; one that nobody holds any more is replaced.

    Only for whoever holds the daemon's lock: without it, the socket may be somebody's who lives.
    Raises DaemonUnavailable.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise DaemonUnavailable(f"{path} is in the way and no socket; remove it")
        os.unlink(path)  # noqa: PTH108
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(LISTEN_QUEUE)
    except OSError as error:
        listener.close()
        raise DaemonUnavailable(f"cannot listen at {path}: {error.strerror}") from None
    return listener
