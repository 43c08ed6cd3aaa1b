"""Runs of equal values in arrays. Pure. For short arrays np.diff costs three times as much."""

from __future__ import annotations

import numpy as np

from indexer.records import I64, U8, Bool


def is_first(values: I64 | U8) -> Bool:
    """Return which values differ from the one before; the first one does."""
    out = np.empty(len(values), np.bool_)
    out[:1] = True
    np.not_equal(values[1:], values[:-1], out=out[1:])
    return out


def firsts(values: I64 | U8) -> I64:
    """Return the positions of the values that differ from the one before."""
    return np.flatnonzero(is_first(values))


def lasts(values: I64 | U8) -> I64:
    """Return the positions of the values that differ from the one behind."""
    out = np.empty(len(values), np.bool_)
    out[-1:] = True
    np.not_equal(values[1:], values[:-1], out=out[:-1])
    return np.flatnonzero(out)
