"""Which generation the oldest reader still looks at.

Every reader owns a small file `readers/<pid>-<n>.lease` with its oldest generation in it, and holds a lock
on it while it lives. The lock ends with the process, however that ends, so the writer can tell a dead
reader's file and remove it. (A table of process ids would be fooled by ids that are used again.)
"""

from __future__ import annotations

import fcntl
import os
import struct
from itertools import count
from pathlib import Path

_GENERATION = struct.Struct("<Q")
_numbers = count(1)


class Lease:
    """A reader's announcement; starts at generation 0, which keeps everything."""

    def __init__(self, store_dir: Path) -> None:
        """Create and lock the file."""
        folder = store_dir / "readers"
        folder.mkdir(exist_ok=True, mode=0o700)
        self._path = folder / f"{os.getpid()}-{next(_numbers)}.lease"
        while True:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if os.fstat(self._fd).st_nlink:
                break
            os.close(self._fd)  # a writer took it for a dead reader's between open and lock
        self.generation = 0
        self._write()

    def announce(self, generation: int) -> None:
        """Say that nothing before `generation` is looked at any more."""
        if generation != self.generation:
            self.generation = generation
            self._write()

    def _write(self) -> None:
        os.pwrite(self._fd, _GENERATION.pack(self.generation), 0)

    def close(self) -> None:
        """Take the announcement back."""
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


def generations(store_dir: Path) -> list[int]:
    """Return the oldest generation of each living reader; forgets dead readers."""
    folder = store_dir / "readers"
    if not folder.is_dir():
        return []
    found = [_living(path) for path in folder.glob("*.lease")]
    return [generation for generation in found if generation is not None]


def oldest_generation(store_dir: Path) -> int | None:
    """Return the oldest generation a living reader looks at, None without readers."""
    return min(generations(store_dir), default=None)


def _living(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
        return None
    except BlockingIOError:
        data = os.pread(fd, _GENERATION.size, 0)
        return int(_GENERATION.unpack(data)[0]) if len(data) == _GENERATION.size else 0
    finally:
        os.close(fd)
