"""Cut a file into chunks along its definitions. Pure.

A chunk is a run of whole lines; together the chunks cover every line once. Every gap between two lines has
a strength (the start of a top-level function is strong, a blank line weak, the middle of a statement
nothing), and from the start of a chunk the gap with the best sum of strength and size is taken. One greedy
pass joins short neighbours, splits long definitions at their parts or at blank lines, and keeps a function
of up to the maximum whole; an optimal pass (dynamic programming) would look at 80 times as many pairs for
cuts that read the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from indexer.records import F32, I64, Bool, ChunkTable, SymbolTable

# The length of a chunk. One screenful is what people take for one place, and an embedding of more than about
# 400 tokens says less about each part; shorter ones multiply vectors (768 bytes each) without finding more.
TARGET_LINES = 40
TARGET_BYTES = 1_500
MAX_LINES = 80
MAX_BYTES = 4_000

# Strength of a gap: next to a definition at depth 0, 1, ...; the last one holds for all deeper ones.
_AT_DEFINITION = np.array([3.0, 2.2, 1.6, 1.2], np.float32)
_ONE_LINER = 0.4  # of that: a list of constants is one thing
_BEFORE_DEFINITION = 0.2  # so that blank lines stay with what is above them
BLANK_ABOVE = 0.8
NO_INDENT = 0.3

# What a chunk loses for each target length that it is shorter or longer than the target. The end of a
# function (3.0) outweighs being twice the target, a blank line (0.8) does not.
OFF_TARGET = 1.1

_MAINLY = 0.5  # a chunk shows the innermost definition that fills this share of it
_AT_ALL = 0.25  # or else the largest, if it fills this share


@dataclass(frozen=True, slots=True)
class Lines:
    """Where the lines of a file start. A last line without a newline counts, an empty one does not."""

    start: I64  # [n + 1]; the last is the end of the file
    first: I64  # [n] offset of the first byte that is not blank; the next line's start in a blank line

    def __len__(self) -> int:
        return len(self.first)

    def at(self, offsets: I64) -> I64:
        """Return the 0-based line of each offset."""
        return np.searchsorted(self.start, offsets, side="right") - 1


def lines_of(content: bytes) -> Lines:
    """Find the lines of `content`; 5 ms per MB."""
    data = np.frombuffer(content, np.uint8)
    breaks = np.flatnonzero(data == 0x0A) + 1
    tail = [] if len(breaks) and breaks[-1] == len(content) else [len(content)]
    start = np.concatenate(([0], breaks, tail)).astype(np.int64) if content else np.zeros(1, np.int64)
    shown = data > 0x20
    shown[1:] &= ~shown[:-1]  # where words start: a fifth of the bytes, and every first byte of a line is one
    words = np.append(np.flatnonzero(shown), len(content))
    first = words[np.searchsorted(words, start[:-1])]
    return Lines(start, np.minimum(first, start[1:]))


def chunks(lines: Lines, symbols: SymbolTable, attached: Bool) -> ChunkTable:
    """Cut the file.

    symbols   its definitions; an empty table gives line chunks
    attached  [n_lines] lines of comments and decorators, which stay with the definition right below them
    """
    above = _first_attached(attached)
    starts = above[lines.at(symbols.start.astype(np.int64))]
    ends = lines.at(np.maximum(symbols.end.astype(np.int64) - 1, symbols.start)) + 1
    opens = np.minimum(symbols.start.astype(np.int64), lines.first[starts])
    cuts = _cuts(lines, _strengths(lines, _depths(symbols), starts, ends))
    offsets = lines.start[cuts]
    return ChunkTable(
        start=offsets[:-1].astype(np.uint32),
        end=offsets[1:].astype(np.uint32),
        line=(cuts[:-1] + 1).astype(np.uint32),
        symbol=_shown(offsets, opens, symbols.end.astype(np.int64)).astype(np.int32),
    )


def _first_attached(attached: Bool) -> I64:
    """For each line, the first line of the run of attached lines that ends right above it, or itself."""
    n = len(attached)
    line = np.arange(n, dtype=np.int64)
    starts_run = attached & ~np.concatenate(([False], attached[:-1]))
    run = np.maximum.accumulate(np.where(starts_run, line, 0))
    under = np.concatenate(([False], attached[:-1])) if n else attached
    return np.where(under, np.concatenate(([0], run[:-1])), line) if n else line


def _depths(symbols: SymbolTable) -> I64:
    depth: list[int] = []
    for parent in symbols.parent.tolist():
        depth.append(depth[parent] + 1 if parent >= 0 else 0)
    return np.array(depth, np.int64)


def _strengths(lines: Lines, depth: I64, starts: I64, ends: I64) -> F32:
    """Return float32 [n_lines + 1], how well the file may be cut before each line."""
    n = len(lines)
    strength = np.zeros(n + 1, np.float32)
    worth = _AT_DEFINITION[np.minimum(depth, len(_AT_DEFINITION) - 1)]
    worth = np.where(ends - starts > 1, worth, worth * np.float32(_ONE_LINER))
    np.maximum.at(strength, ends, worth)
    np.maximum.at(strength, starts, worth + np.float32(_BEFORE_DEFINITION))
    blank = lines.first == lines.start[1:]
    strength[1:n] += BLANK_ABOVE * (blank[:-1] & ~blank[1:])
    strength[:n] += NO_INDENT * (lines.first == lines.start[:-1])
    return strength


def _cuts(lines: Lines, strength: F32) -> I64:
    """Return the lines at which chunks start, and the number of lines."""
    n, offset = len(lines), lines.start
    # Length in units of the target, once by lines and once by bytes: the larger one counts.
    by_lines = np.arange(MAX_LINES + 1) / TARGET_LINES
    # The last line at which a chunk may end. A line longer than the maximum is a chunk of its own.
    fits = np.searchsorted(offset, offset[:-1] + MAX_BYTES, side="right") - 1
    line = np.arange(n)
    limits = np.minimum(np.maximum(fits, line + 1), line + MAX_LINES).tolist()
    cuts, at = [0], 0
    while at < n:
        limit = limits[at]
        ahead = slice(at + 1, limit + 1)
        by_bytes = (offset[ahead] - offset[at]) / TARGET_BYTES
        size = np.maximum(by_lines[1 : limit - at + 1], by_bytes)
        if limit >= n and size[-1] <= 1:
            at = n
        else:
            size -= 1
            np.abs(size, out=size)
            size *= -OFF_TARGET
            size += strength[ahead]
            at += int(size.argmax()) + 1
        cuts.append(at)
    return np.array(cuts, np.int64)


def _shown(offsets: I64, starts: I64, ends: I64) -> I64:
    """Return for each chunk the definition it mainly shows, or -1."""
    n = len(offsets) - 1
    shown = np.full(n, -1, np.int64)
    if not len(starts) or not n:
        return shown
    first = np.searchsorted(offsets, starts, side="right") - 1
    last = np.searchsorted(offsets, ends, side="left")  # one past the last chunk
    spans = last - first
    definition = np.repeat(np.arange(len(starts)), spans)
    chunk = np.arange(int(spans.sum())) - np.repeat(np.cumsum(spans) - spans, spans) + first[definition]
    opens, closes = offsets[chunk], offsets[chunk + 1]
    overlap = np.minimum(ends[definition], closes) - np.maximum(starts[definition], opens)
    share = overlap / (closes - opens)
    mainly = share >= _MAINLY
    # Definitions come in order of start, so of those that fill a chunk the last one is the innermost.
    rank = np.where(mainly, 1 + definition, share)
    order = np.lexsort((rank, chunk))
    order = order[share[order] >= _AT_ALL]
    shown[chunk[order]] = definition[order]  # the last assignment to a chunk stays
    return shown
