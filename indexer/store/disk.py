"""Files that are either complete or absent, and what a full disk is called.

Nothing here knows what the files hold. A file is written under a temporary name, flushed, renamed and its
directory flushed, so a power cut leaves the whole file or only a temporary name that the next writer removes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import StoreError, StoreFull

TEMPORARY = ".tmp"

# EFBIG: a limit on the size of files (RLIMIT_FSIZE, or the file system's own) is reached; to us it is the
# same.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn OSError into StoreFull or StoreError that says what was being done."""
    try:
        yield
    except OSError as error:
        raise translated(error, doing) from error


def translated(error: OSError, doing: str) -> StoreError:
    """Return the store's name for a file-system error."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StoreFull(f"no room while {doing}: {reason}; free disk space, nothing of this batch is lost")
    return StoreError(f"cannot go on {doing}: {reason}")


def flush_directory(path: Path) -> None:
    """Make renames and removals in a directory durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_whole(path: Path, data: bytes) -> None:
    """Replace a small file at once, durably."""
    temporary = path.with_name(path.name + TEMPORARY)
    with disk_errors(f"writing {path.name}"):
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file that may be gone already."""
    path.unlink(missing_ok=True)
