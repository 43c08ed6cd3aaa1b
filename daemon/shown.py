"""Code that a command line shows: `-` is standard input, FILE:LINE the definition around a line.

Part of `search`: imports nothing that costs. The file is read here and its text goes with the request, since
the daemon reads nothing outside of its roots; what the index has of the same text it knows better.
"""

from __future__ import annotations

import os

from config.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEXT_BYTES_MAX = 1 << 20  # of a request; a larger file in a root is known by its path and line alone
STDIN = 0


def shown(flag: str, value: str, names: tuple[str, str, str]) -> dict[str, Any]:
    """Return the parameters of a request for `flag value`.

    names  of the parameters for text, path and line
    Raises UsageError that says what to give instead.
    """
    text_name, path_name, line_name = names
    if value == "-":
        text = _text(_read(STDIN, "standard input"), "standard input")
        if not text.strip():
            raise UsageError(f"{flag} -: standard input is empty; give it code, as in `{flag} - < part.c`")
        return {text_name: text}
    path, colon, line = value.rpartition(":")
    if not (colon and path and line.isascii() and line.isdigit() and 0 < int(line) < 1_000_000_000):
        raise UsageError(f"{flag} {value}: FILE:LINE is needed, lines count from 1; or - for standard input")
    absolute = os.path.abspath(path)  # noqa: PTH100
    params: dict[str, Any] = {path_name: absolute, line_name: int(line)}
    data = _file(flag, path, absolute)
    return params if len(data) > TEXT_BYTES_MAX else params | {text_name: _text(data, path)}


def _file(flag: str, path: str, absolute: str) -> bytes:
    try:
        fd = os.open(absolute, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from None
    try:
        data = _read(fd, path, refuse=False)
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from None
    finally:
        os.close(fd)
    if not data.strip():
        raise UsageError(f"{flag} {path}: the file is empty")
    return data


def _read(fd: int, name: str, refuse: bool = True) -> bytes:
    """Return what can be read, at most a byte more than TEXT_BYTES_MAX; refuse: raise UsageError for that."""
    data = b""
    while len(data) <= TEXT_BYTES_MAX and (piece := os.read(fd, TEXT_BYTES_MAX + 1 - len(data))):
        data += piece
    if refuse and len(data) > TEXT_BYTES_MAX:
        raise UsageError(f"{name} has more than {TEXT_BYTES_MAX} bytes; give one function, or FILE:LINE")
    return data


def _text(data: bytes, name: str) -> str:
    """Return the bytes as text, as the index reads files. Raises UsageError for what is none."""
    if b"\0" in data:
        raise UsageError(f"{name} holds a NUL byte, so it is binary; give source code")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
