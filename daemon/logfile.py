"""The daemon's log: one file, rotated by size, written by the supervisor alone.

Children write to a pipe that the supervisor empties, so a file can be renamed under all of them at once, and
what a crashing interpreter or a C library prints lands here too.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

COPIES = 2  # searchd.log.1 and .2


class LogFile:
    """Appends to `path`; at `bytes_max` it becomes path.1, and so on."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._fd = -1
        self._size = 0
        self._open()

    def write(self, data: bytes) -> None:
        """Append; a full disk loses the message, never the daemon."""
        if self._size + len(data) > self._bytes_max and self._size:
            self._rotate()
        try:
            self._size += os.write(self._fd, data)
        except OSError:
            return

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        try:
            for number in range(COPIES - 1, 0, -1):
                older = self._copy(number)
                if older.exists():
                    older.replace(self._copy(number + 1))
            self._path.replace(self._copy(1))
        except OSError:
            return  # better a long log than none
        os.close(self._fd)
        self._open()

    def _copy(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class LogFileHandler(logging.Handler):
    """Sends this process's own log records to the file."""

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file
        self.setFormatter(
            logging.Formatter("%(asctime)s supervisor[%(process)d] %(levelname)s %(name)s: %(message)s")
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self._file.write((self.format(record) + "\n").encode(errors="replace"))
