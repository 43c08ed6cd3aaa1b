"""The compiled library. The door of its C sources.

It is made when the package is installed (build.py). Calls let other threads run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from config.errors import NotInstalled

_HERE = Path(__file__).parent


@cache
def library() -> ctypes.CDLL:
    """Load the library that fits this processor. Raises NotInstalled."""
    try:
        base = ctypes.CDLL(str(_HERE / "kernels.so"))
        return ctypes.CDLL(str(_HERE / "kernels-v3.so")) if base.has_avx2() else base
    except OSError as error:
        raise NotInstalled(
            f"the compiled part cannot be loaded ({error}); install again (make setup)"
        ) from error


def function(name: str, result: type[Any] | None, *arguments: type[Any]) -> Callable[..., Any]:
    """Return a function of the library, which takes and returns these C types. Raises NotInstalled."""
    found = library()[name]
    found.restype = result
    found.argtypes = arguments
    return found


def sources_digest() -> str:
    """Return the digest of the sources that the library was made of."""
    digest: bytes = function("sources", ctypes.c_char_p)()
    return digest.decode()


def rows_of(*columns: np.ndarray[Any, np.dtype[Any]]) -> npt.NDArray[np.int64]:
    """Return arrays of one length as the rows of a new one; int64."""
    rows = np.empty((len(columns), len(columns[0])), np.int64)
    for row, column in zip(rows, columns, strict=True):
        row[:] = column
    return rows


def row_addresses(rows: npt.NDArray[Any]) -> list[int]:
    """Return where each row of an array of C order begins: one look-up is 1.5 us."""
    first, step = address(rows), rows.shape[1] * rows.itemsize
    return [first + i * step for i in range(rows.shape[0])]


def address(array: np.ndarray[Any, np.dtype[Any]]) -> int:
    """Return where the elements of an array lie; they must lie one after the other."""
    at: int = array.__array_interface__["data"][0]
    return at
