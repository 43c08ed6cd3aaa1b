"""What became of many files at once, as stat says: look.c."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

import numpy as np

from indexer.native.library import address, function
from indexer.records import I64, Bool


def same_files(root: bytes, paths: Sequence[bytes], size: I64, mtime_ns: I64) -> Bool:
    """Return which files below a root have these sizes and times; [n]. A file that is gone has not.

    1.2 us a file; os.lstat of the whole path takes 3.6.
    """
    size, mtime_ns = np.ascontiguousarray(size, np.int64), np.ascontiguousarray(mtime_ns, np.int64)
    same = np.zeros(len(paths), np.bool_)
    try:
        opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return same
    try:
        joined = b"\0".join([*paths, b""])
        _same_files(opened, joined, len(paths), address(size), address(mtime_ns), address(same))
    finally:
        os.close(opened)
    return same


_ADDRESS = ctypes.c_void_p
_same_files = function(
    "same_files", None, ctypes.c_int, ctypes.c_char_p, ctypes.c_int64, _ADDRESS, _ADDRESS, _ADDRESS
)
