"""Messages of the wire as Python values and back, for the daemon: as wire.py's codec, only faster."""

from __future__ import annotations

from typing import Any

import msgspec

from config.errors import UsageError
from daemon import wire


def decode(frame: bytes) -> Any:
    """Return the value of a frame. Raises ProtocolError."""
    try:
        return msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return wire.loads(frame)  # takes lone surrogates, which stand for undecodable bytes of paths


def encode(result: Any) -> bytes:
    """Return the JSON of a result: plain values, dataclasses, NumPy numbers. Raises UsageError if large."""
    try:
        encoded = msgspec.json.encode(result, enc_hook=_plain)
    except UnicodeEncodeError:  # undecodable bytes of a path
        encoded = wire.dumps(builtins(result))
    if len(encoded) > wire.REPLY_BYTES_MAX:
        raise UsageError(f"the answer has {len(encoded)} bytes, more than a reply may have; lower the limit")
    return encoded


def builtins(value: Any) -> Any:
    """Return dataclasses as dicts, NumPy numbers as numbers, everything else as it is."""
    return msgspec.to_builtins(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):  # a NumPy number
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")
