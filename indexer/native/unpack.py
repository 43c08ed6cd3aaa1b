"""Parts of packed blocks, unpacked one behind the other into one text: what unpack.c does. Pure."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from indexer.native.library import address, function, row_addresses, rows_of
from indexer.records import I64, U8

_NEW_BYTES = ctypes.pythonapi.PyBytes_FromStringAndSize
_NEW_BYTES.restype = ctypes.py_object
_NEW_BYTES.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t)


@dataclass(frozen=True, slots=True)
class Parts:
    """What is wanted, in order; parts of one block follow each other. All [n]."""

    low: I64  # where the part's block lies among the packed bytes
    high: I64
    size: I64  # of the block, unpacked
    begin: I64  # of the part in its block
    length: I64


class _Parts(ctypes.Structure):
    _fields_ = (
        ("n", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("low", "high", "size", "begin", "length")),
    )


def unpack_parts(decoders: tuple[int, int], packed: U8, parts: Parts) -> bytes:
    """Return the parts, joined.

    decoders  addresses of functions like LZ4_decompress_safe and LZ4_decompress_safe_partial
    Raises ValueError if a block does not hold what it should.
    """
    columns = rows_of(parts.low, parts.high, parts.size, parts.begin, parts.length)
    if parts.length.min(initial=0) < 0:
        raise ValueError("the block does not hold a part of a negative length")
    scratch = np.empty(int(parts.size.max(initial=0)), np.uint8)
    # Room that nobody has seen yet: made as Python's own C code makes it, and filled before it is given away.
    content: bytes = _NEW_BYTES(None, int(parts.length.sum()))
    failed = _unpack_parts(
        *decoders,
        address(packed),
        len(packed),
        ctypes.byref(_Parts(len(parts.low), *row_addresses(columns))),
        address(scratch),
        content,
    )
    if failed >= 0:
        raise ValueError(
            f"the block at {int(parts.low[failed])} does not hold {int(parts.size[failed])} bytes"
        )
    return content


_ADDRESS = ctypes.c_void_p
_unpack_parts = function(
    "unpack_parts", ctypes.c_int64,
    _ADDRESS, _ADDRESS, _ADDRESS, ctypes.c_int64, _ADDRESS, _ADDRESS, ctypes.c_char_p,
)  # fmt: skip
