"""Rows of byte sets in texts, and the lines around them: what scan.c does, with arrays in and out. Pure."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from indexer.native.library import address, function, row_addresses, rows_of
from indexer.records import I64, U8, U32

Left = Literal["", "^", "\\b"]
Right = Literal["", "$", "\\b"]

PROBES_MAX = 3  # of scan.c
_EDGES: dict[Left | Right, int] = {"": 0, "^": 1, "$": 1, "\\b": 2}
Offsets = I64 | U32

_LEAST_ROOM = 1024  # places; more than a vector has lanes


@dataclass(frozen=True, slots=True)
class Run:
    """A run of one set in a row: looked for at every multiple of `stride`, which is at most half of it."""

    at: int
    length: int
    stride: int


class _Window(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64),
        ("tables", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("n_probes", ctypes.c_int64),
        ("sets", ctypes.c_void_p),
        *(
            (name, ctypes.c_int64)
            for name in ("left", "right", "apart", "starts_line", "run_at", "run", "stride")
        ),
    )


class Row:
    """A row of byte sets, ready to be looked for."""

    def __init__(
        self,
        sets: Sequence[frozenset[int]],
        order: Sequence[int],
        n_probes: int,
        *,
        left: Left = "",
        right: Right = "",
        apart: bool = False,
        starts_line: bool = False,
        run: Run | None = None,
    ) -> None:
        """Take the sets and how they are compared.

        order        every place of the row once; the first `n_probes` of them, at most PROBES_MAX, are
                     compared everywhere
        left, right  what must stand there
        apart        a match that overlaps the one before it is none
        starts_line  sets[0] is the line end before a match; one is taken to stand before the text
        run          sample this run instead; nothing else is compared then
        """
        self._tables = np.zeros((len(sets), 256), np.uint8)
        self._nibbles = np.zeros((len(sets), 32), np.uint8)
        for table, nibbles, members in zip(self._tables, self._nibbles, sets, strict=True):
            table[list(members)] = 1
            for byte in members:
                nibbles[(byte >> 7) * 16 + (byte & 15)] |= 1 << (byte >> 4 & 7)
        self._order = np.array(order, np.int64)
        sampled = run or Run(0, 0, 0)
        self._window = _Window(
            len(sets), address(self._tables), address(self._order), n_probes, address(self._nibbles),
            _EDGES[left], _EDGES[right], apart, starts_line, sampled.at, sampled.length, sampled.stride,
        )  # fmt: skip

    def places(self, text: bytes) -> I64:
        """Return where the row stands, ascending: the place of its first byte, -1 before the text.

        A run that is sampled is found once for each sequence of its bytes, where that begins.
        """
        parts: list[I64] = []
        at = ctypes.c_int64(0)
        room = len(text) // 16 + _LEAST_ROOM
        while True:
            out = np.empty(room, np.int64)
            n = _find_window(
                ctypes.byref(self._window), text, len(text), address(out), room, ctypes.byref(at)
            )
            parts.append(out[:n])
            if at.value >= len(text):
                return parts[0] if len(parts) == 1 else np.concatenate(parts)


class _Pieces(ctypes.Structure):
    _fields_ = (
        ("n", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("start", "end", "line")),
    )


class _Lines(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("piece", "number", "start", "end", "first")),
        *((name, ctypes.c_int64) for name in ("n", "kept")),
    )


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines in which matches start, and these matches. Offsets count in the text."""

    piece: I64  # [n] the piece of each
    number: I64  # [n] 0 where lines were not counted
    start: I64  # [n]
    end: I64  # [n] the newline not included
    matches: I64  # [n + 1] matches of line i are [matches[i], matches[i + 1])
    match_start: I64  # [m]
    match_end: I64  # [m]


def lines_of(
    text: bytes, pieces: tuple[Offsets, Offsets], line: Offsets | None, match_start: I64, match_end: I64
) -> Lines:
    """Return the lines in which matches (ascending) start; matches outside of all lines are left out.

    pieces  where the pieces of the text start and end: [pieces]
    line    the number of the first line of each; None: lines are not counted
    """
    given = rows_of(*pieces, *(() if line is None else (line,)))
    matches = rows_of(match_start, match_end)
    out = np.empty((5, len(match_start)), np.int64)
    at = _Pieces(given.shape[1], *row_addresses(given))  # without a third row `line` is 0
    found = _Lines(*row_addresses(out), 0, 0)
    _find_lines(text, ctypes.byref(at), *row_addresses(matches), len(match_start), ctypes.byref(found))
    n, kept = found.n, found.kept
    piece, number, line_start, line_end, first = out[:, :n]
    matches = matches[:, :kept]
    return Lines(piece, number, line_start, line_end, np.append(first, kept), matches[0], matches[1])


def joined(text: bytes, start: I64, end: I64) -> U8:
    """Return text[start[i]:end[i]] one after the other, a newline behind each."""
    out = np.empty(int((end - start).sum()) + len(start), np.uint8)
    bounds = rows_of(start, end)
    _join_lines(text, *row_addresses(bounds), len(start), address(out))
    return out


_TEXT, _COUNT, _ADDRESS = ctypes.c_char_p, ctypes.c_int64, ctypes.c_void_p
_find_window = function("find_window", ctypes.c_int64, _ADDRESS, _TEXT, _COUNT, _ADDRESS, _COUNT, _ADDRESS)
_find_lines = function("find_lines", None, _TEXT, _ADDRESS, _ADDRESS, _ADDRESS, _COUNT, _ADDRESS)
_join_lines = function("join_lines", None, _TEXT, _ADDRESS, _ADDRESS, _COUNT, _ADDRESS)
