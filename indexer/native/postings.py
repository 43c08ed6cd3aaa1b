"""Lists of ascending numbers <-> bytes: what postings.c does, with arrays in and out. Pure.

indexer/store/postings.py has the format.
"""

from __future__ import annotations

import ctypes

import numpy as np

from config.errors import StoreCorrupt
from indexer.native.library import address, function
from indexer.records import I64, U8, U32, Bool


def pack_lists(values: U32, counts: I64, domain: int) -> tuple[U8, I64]:
    """Pack lists that stand one after the other in `values`, the i-th having counts[i] >= 1 numbers.

    Returns the lists one after the other, and the bytes of each.
    """
    values, counts = np.ascontiguousarray(values, np.uint32), np.ascontiguousarray(counts, np.int64)
    lengths = np.empty(len(counts), np.int64)
    given = address(values), address(counts), len(counts), domain
    out = np.empty(_packed_lengths(*given, address(lengths)), np.uint8)
    _pack_lists(*given, address(lengths), address(out))
    return out, lengths


def unpack_lists(data: U8, lengths: I64, counts: I64, domain: int) -> U32:
    """Return the numbers of lists that stand one after the other. Raises StoreCorrupt if one is damaged."""
    lengths, counts = np.ascontiguousarray(lengths, np.int64), np.ascontiguousarray(counts, np.int64)
    assert int(lengths.sum()) <= len(data), (int(lengths.sum()), len(data))
    out = np.empty(int(counts.sum()), np.uint32)
    given = address(data), address(lengths), address(counts), len(counts), domain
    damaged = _unpack_lists(*given, address(out))
    if damaged >= 0:
        raise StoreCorrupt(f"list {damaged} does not hold {int(counts[damaged])} numbers below {domain}")
    return out


def mark_list(data: U8, count: int, domain: int, flags: Bool) -> None:
    """Set the flag of every number of one list. Raises StoreCorrupt if it is damaged."""
    assert len(flags) == domain, (len(flags), domain)
    if not _mark_list(address(data), len(data), count, domain, address(flags)):
        raise StoreCorrupt(f"a list does not hold {count} numbers below {domain}")


def keep_listed(data: U8, count: int, domain: int, found: I64) -> I64:
    """Return those of `found` (ascending, below the domain) that one list has.

    Raises StoreCorrupt if it is damaged.
    """
    found = np.ascontiguousarray(found, np.int64)
    out = np.empty(len(found), np.int64)
    n = _keep_listed(address(data), len(data), count, domain, address(found), len(found), address(out))
    if n < 0:
        raise StoreCorrupt(f"a list does not hold {count} numbers below {domain}")
    return out[:n]


_ADDRESS, _COUNT = ctypes.c_void_p, ctypes.c_int64
_packed_lengths = function("packed_lengths", _COUNT, _ADDRESS, _ADDRESS, _COUNT, _COUNT, _ADDRESS)
_pack_lists = function("pack_lists", None, _ADDRESS, _ADDRESS, _COUNT, _COUNT, _ADDRESS, _ADDRESS)
_unpack_lists = function("unpack_lists", _COUNT, _ADDRESS, _ADDRESS, _ADDRESS, _COUNT, _COUNT, _ADDRESS)
_mark_list = function("mark_list", ctypes.c_int, _ADDRESS, _COUNT, _COUNT, _COUNT, _ADDRESS)
_keep_listed = function("keep_listed", _COUNT, _ADDRESS, _COUNT, _COUNT, _COUNT, _ADDRESS, _COUNT, _ADDRESS)
