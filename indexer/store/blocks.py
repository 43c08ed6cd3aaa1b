"""Contents of documents <-> LZ4 blocks, and their line tables. Pure. The door of lz4.

Neighbouring documents are joined, each followed by SEPARATOR, until a block has BLOCK_BYTES; a document with
several pages has a block for each of them. So a page lies in one block, and reading it costs one call. Linux
6.1 shrinks to 37 %, packed at 650 MB/s and unpacked at 3.3 GB/s on one core: a whole scan loses less time to
it than it wins from the memory that stays free (zstd: 23 %, unpacked at 1.4 GB/s). With 64 KiB a block it
would be 3 % less, and reading a single small file would take three times as long.

The line table of a page says how long each line is, its newline included: floor(length / 255) bytes of
255, then one byte length % 255. A last line without a newline is left out. So one running sum gives where the
lines start: 2.5 % of the content, 20 times as fast as looking for newlines.

Worked example: "ab\\n\\nc" has the table 3, 1; its lines start at 0, 3, 4.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from functools import cache

import lz4.block
import numpy as np

from config.errors import NotInstalled
from indexer.native import unpack as native
from indexer.native.unpack import Parts
from indexer.pages import page_starts
from indexer.records import I64, U8, U32
from indexer.store.format import SEPARATOR

BLOCK_BYTES = 1 << 14
WRITE_BYTES = 1 << 18  # of blocks written at once
LINES_BYTES = 1 << 20  # of pages whose line tables are made at once: block by block took 1.5 ns a byte more
_NEWLINE = 10
_STEP = 255


def pack(content: bytes) -> bytes:
    """Return the block that holds these bytes."""
    packed: bytes = lz4.block.compress(content, store_size=False)
    return packed


def unpack_parts(packed: U8, parts: Parts) -> bytes:
    """Return parts of blocks, joined. Raises ValueError if a block does not hold what it should."""
    return native.unpack_parts(_decoders(), packed, parts)


@cache
def _decoders() -> tuple[int, int]:
    """Return the addresses of the decoders in the library that lz4's wheel brings or links to.

    Raises NotInstalled.
    """
    library = ctypes.CDLL(lz4.block._block.__file__)
    try:
        found = library.LZ4_decompress_safe, library.LZ4_decompress_safe_partial
    except AttributeError as error:
        raise NotInstalled(
            f"this build of lz4 hides its decoder ({error}); install lz4's own wheel"
        ) from error
    whole, part = (ctypes.cast(each, ctypes.c_void_p).value for each in found)
    assert whole and part
    return whole, part


def line_starts(table: U8) -> U32:
    """Return where the lines start that a table (of one page, or of all pages of a document) describes.

    The first is at 0; there is one more than newlines.
    """
    sums = np.cumsum(table, dtype=np.uint32)
    starts = sums[table != _STEP]
    return np.concatenate((np.zeros(1, np.uint32), starts))


class BlockWriter:
    """Packs documents as they come; the tables of all of them are there at the end."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        """Hand finished blocks to `write`, several at a time."""
        self._write = write
        self._packed: list[bytes] = []  # to be written
        self._packed_bytes = 0
        self._pending: list[bytes] = []  # documents of one page
        self._pending_bytes = 0
        self._lengths: list[int] = []
        self._doc_pages = [0]
        self._page_starts: list[int] = []
        self._block_pages = [0]
        self._block_bytes: list[int] = []
        self._pages: list[bytes] = []  # whose lines are still to be told
        self._pages_bytes = 0
        self._lines: list[U8] = []
        self._line_bytes: list[I64] = []
        self._line_counts: list[I64] = []

    def add(self, contents: Iterable[bytes]) -> None:
        """Append documents in order."""
        for content in contents:
            self._lengths.append(len(content))
            starts = page_starts(content)
            if len(starts) == 1:
                self._pages.append(content)
                self._pending.append(content)
                self._pending_bytes += len(content) + len(SEPARATOR)
                if self._pending_bytes >= BLOCK_BYTES:
                    self._flush()
            else:
                self._flush()
                for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
                    page = content[start:end]
                    self._pages.append(page)
                    self._pack(page + SEPARATOR if end == len(content) else page, 1)
            self._pages_bytes += len(content)
            if self._pages_bytes >= LINES_BYTES:
                self._tell_lines()
            self._page_starts += starts
            self._doc_pages.append(len(self._page_starts))

    def finish(self) -> None:
        """Pack what is left."""
        self._flush()
        self._write_packed()
        self._tell_lines()

    @property
    def doc_len(self) -> I64:
        """Bytes of each document."""
        return np.array(self._lengths, np.int64)

    @property
    def n_pages(self) -> int:
        """Pages so far."""
        return len(self._page_starts)

    @property
    def doc_page(self) -> I64:
        """First page of each document, and the number of pages."""
        return np.array(self._doc_pages, np.int64)

    @property
    def page_start(self) -> I64:
        """Where each page starts in its document."""
        return np.array(self._page_starts, np.int64)

    @property
    def page_line(self) -> I64:
        """Lines of the document before each page."""
        counts = np.concatenate([np.empty(0, np.int64), *self._line_counts])
        before = np.cumsum(counts) - counts
        lines: I64 = before - np.repeat(before[self.doc_page[:-1]], np.diff(self.doc_page))
        return lines

    @property
    def block_page(self) -> I64:
        """First page of each block, and the number of pages."""
        return np.array(self._block_pages, np.int64)

    @property
    def block_off(self) -> I64:
        """Where each block starts in the packed bytes, and where the last ends."""
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(self._block_bytes, dtype=np.int64)))

    def line_tables(self) -> tuple[U8, I64]:
        """Return the line tables one after the other, and the bytes of each."""
        if not self._lines:
            return np.empty(0, np.uint8), np.empty(0, np.int64)
        return np.concatenate(self._lines), np.concatenate(self._line_bytes)

    def _flush(self) -> None:
        if self._pending:
            self._pack(SEPARATOR.join([*self._pending, b""]), len(self._pending))
            self._pending = []
            self._pending_bytes = 0

    def _pack(self, content: bytes, n_pages: int) -> None:
        """Write one block of so many pages."""
        packed = pack(content)
        self._packed.append(packed)
        self._packed_bytes += len(packed)
        if self._packed_bytes >= WRITE_BYTES:
            self._write_packed()
        self._block_bytes.append(len(packed))
        self._block_pages.append(self._block_pages[-1] + n_pages)

    def _write_packed(self) -> None:
        self._write(b"".join(self._packed))
        self._packed, self._packed_bytes = [], 0

    def _tell_lines(self) -> None:
        """Make the line tables of the pages that came since the last time."""
        lengths = np.fromiter(map(len, self._pages), np.int64, len(self._pages))
        table, nbytes, counts = line_tables(SEPARATOR.join([*self._pages, b""]), lengths)
        self._lines.append(table)
        self._line_bytes.append(nbytes)
        self._line_counts.append(counts)
        self._pages, self._pages_bytes = [], 0


def line_tables(content: bytes, lengths: I64) -> tuple[U8, I64, I64]:
    """Return the line tables of pages, each with a SEPARATOR behind, the bytes of each, and its newlines."""
    ends = np.cumsum(lengths + len(SEPARATOR)) - len(SEPARATOR)
    newlines = np.flatnonzero(np.frombuffer(content, np.uint8) == _NEWLINE)
    separator = np.searchsorted(newlines, ends)  # it has two
    counts = np.diff(separator, prepend=-2) - 2
    is_line = np.ones(len(newlines), np.bool_)
    is_line[separator] = False
    is_line[separator + 1] = False
    newlines = newlines[is_line]
    length = np.diff(newlines, prepend=-1)
    has_lines = counts > 0
    first = (np.cumsum(counts) - counts)[has_lines]
    length[first] = newlines[first] + 1 - (ends - lengths)[has_lines]
    if not len(newlines) or length.max() < _STEP:
        return length.astype(np.uint8), counts, counts
    units = length // _STEP + 1
    end = np.cumsum(units)
    table = np.full(int(end[-1]), _STEP, np.uint8)
    table[end - 1] = length % _STEP
    nbytes = np.zeros(len(lengths), np.int64)
    nbytes[has_lines] = np.add.reduceat(units, first)
    return table, nbytes, counts
