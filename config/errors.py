"""Every error of the product, as one tree.

Each class carries a `code`: it travels on the wire, is listed in docs/PROTOCOL.md and never changes. The
message is for people: what happened, with the values, and what to do next. A user's mistake (`UsageError`)
is printed without a stack trace and ends a command with status 2.
"""

from __future__ import annotations


class EinsteinError(Exception):
    """Anything this product raises on purpose."""

    code = "internal"


class UsageError(EinsteinError):
    """The request cannot be carried out as it was made."""

    code = "usage"


class ConfigError(UsageError):
    """A setting is unknown or has a value that cannot be used."""

    code = "config"


class NoSuchRoot(UsageError):
    """The path lies in no indexed root, or the root does not exist."""

    code = "no_such_root"


class QuerySyntaxError(UsageError):
    """The query cannot be read; `column` is the 0-based character where reading stopped."""

    code = "query_syntax"

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message}; {hint}")
        self.column = column
        self.hint = hint


class NotYet(UsageError):
    """The query names a retriever that this version does not have."""

    code = "not_yet"


class ProtocolError(EinsteinError):
    """A message on the socket is malformed, too large or of another version."""

    code = "protocol"


class DeadlineExceeded(EinsteinError):
    """The request took longer than it was allowed to."""

    code = "deadline"


class Cancelled(EinsteinError):
    """The client took the request back."""

    code = "cancelled"


class DaemonUnavailable(EinsteinError):
    """No daemon answers and none could be started."""

    code = "unavailable"


class NotInstalled(EinsteinError):
    """A part of the product that the installation makes is missing or of another machine."""

    code = "not_installed"


class NoGpu(EinsteinError):
    """MLX is absent or has no GPU here."""

    code = "no_gpu"


class AlreadyRunning(EinsteinError):
    """Another daemon of this user holds the lock."""

    code = "already_running"


class SocketPathTooLong(UsageError):
    """The socket's path is longer than this system allows."""

    code = "socket_path"


class StoreError(EinsteinError):
    """The index on disk cannot do what was asked."""

    code = "store"


class StoreCorrupt(StoreError):
    """Stored data does not match its checksum or breaks an invariant of format.py."""

    code = "store_corrupt"


class StoreFull(StoreError):
    """The disk or the map has no room for the batch; nothing of it was published."""

    code = "store_full"


class StoreVersion(StoreError):
    """The index was written by another format version."""

    code = "store_version"


class PoolFull(StoreError):
    """No free row is left in the vector pool."""

    code = "pool_full"

    def __init__(self, rows: int) -> None:
        super().__init__(f"all {rows} pool rows are in use; raise pool.rows or remove a root")


class ModelError(EinsteinError):
    """An embedding model cannot be loaded or does not fit the index."""

    code = "model"
