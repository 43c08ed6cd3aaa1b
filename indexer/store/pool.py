"""The vector pool: one matrix of embeddings in fp16, and its sign bits. The door of mmap for vectors.

Layout of the directory, one per embedding model:

    header        16 bytes magic and version, then dim and rows_max as u64, 16 bytes identity, then crc32 of
                  all that as u32
    <id>.vectors  rows_max rows of float16[dim], each padded with zeros to a multiple of 64 bytes
    <id>.signs    rows_max rows of one bit per dimension (1 where the number is not negative, lowest bit
                  first), padded with zero bits to a multiple of 64

The identity is random and made with the pool; <id> is it in hexadecimal digits. The catalog remembers the
identity of the pool that its rows are in: a pool that was deleted, damaged or put there from elsewhere is
another one, and what it holds is not taken for the vectors of this index. A new pool has files of its own:
who has mapped the old ones keeps them.

Both matrices are sparse files with their final length from the start, so a map never moves and nothing is
ever copied to grow. Example: dim 256 and 4,194,304 rows are 2 GiB of vectors and 128 MiB of signs in `ls`,
but a pool with 100,000 used rows takes two slabs of 65,536 rows, 68 MiB, on disk.

Everybody reads through read-only maps. The one writer writes with `pwrite`, not through a map: kernel and
maps share the same pages, and a full disk is an error that can be handled and not a SIGBUS. Slabs are
reserved before their first row is used, so that running out of disk shows before a batch is half written,
and rows lie together.

Which rows are in use is not stored here. The catalog knows, and says it at start (`mark_used`): after a crash
every row that no chunk refers to is free again by itself. A freed row waits until no reader can see it any
more.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from config.errors import PoolFull, StoreCorrupt, StoreError, StoreFull
from indexer.records import F16, U8, U32

SLAB_ROWS: Final = 65_536
ROW_ALIGN: Final = 64  # bytes; a cache line
MAP_ALIGN: Final = 16_384  # bytes; the page of Apple silicon, so that Metal can adopt the map
_HEADER: Final = struct.Struct("<16sQQ16s")
_MAGIC: Final = b"einstein pool 2\n"
_IDENTITY_BYTES: Final = 16
_FREE, _USED, _WAITING = 0, 1, 2
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RESERVE: Final = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # this file system cannot


def pack_signs(vectors: npt.NDArray[np.floating]) -> U8:
    """Return one bit per number, 1 where it is not negative: uint8 [n, 8 * ceil(dim / 64)]."""
    n, dim = vectors.shape
    bits = np.packbits(~np.signbit(vectors), axis=1, bitorder="little")
    packed = np.zeros((n, _sign_bytes(dim)), np.uint8)
    packed[:, : bits.shape[1]] = bits
    return packed


@dataclass(frozen=True, slots=True)
class Header:
    """What a pool says of itself."""

    dim: int
    rows_max: int
    identity: bytes  # random, 16 bytes


class Pool:
    """Rows of unit vectors that are handed out, written, freed and used again.

    vectors   float16 [rows_max, dim], read only; rows that were never written are zero
    signs     uint8 [rows_max, 8 * ceil(dim / 64)], read only
    identity  hexadecimal digits; see the layout

    One process opens it writable; any number read. Rows become visible to readers by being referred to in a
    published generation, never by being written. Not thread-safe.
    """

    def __init__(self, directory: Path, header: Header, writable: bool) -> None:
        """Map the files of a pool; use `Pool.open`."""
        self.directory = directory
        self.writable = writable
        self._map(header)

    def _map(self, header: Header) -> None:
        self.identity = header.identity.hex()
        self.dim = dim = header.dim
        self.rows_max = rows_max = header.rows_max
        self._width = _vector_bytes(dim)
        self._sign_width = _sign_bytes(dim)
        with contextlib.ExitStack() as undo:
            self._vector_file = _File(self._file("vectors"), rows_max * self._width, self.writable)
            undo.callback(self._vector_file.close)
            self._sign_file = _File(self._file("signs"), rows_max * self._sign_width, self.writable)
            undo.pop_all()
        wide = np.frombuffer(self._vector_file.map, np.float16, rows_max * self._width // 2)
        self.vectors: F16 = wide.reshape(rows_max, self._width // 2)[:, :dim]
        signs = np.frombuffer(self._sign_file.map, np.uint8, rows_max * self._sign_width)
        self.signs: U8 = signs.reshape(rows_max, self._sign_width)
        self._state: U8 = np.zeros(rows_max if self.writable else 0, np.uint8)
        self._waiting: deque[tuple[int, U32]] = deque()
        self._lowest = 0  # no row below is free
        self._slabs = 0  # that are reserved
        self.n_used = 0
        self.high_water = 0  # no row from here on was in use since the pool was opened

    @classmethod
    def open(cls, directory: Path, *, dim: int, rows_max: int, writable: bool) -> Pool:
        """Open the pool; a writer makes it where there is none that is whole, and may raise `rows_max`.

        Raises StoreError if it is absent, StoreCorrupt if it is damaged or of another dim, StoreFull; to a
        writer only the last: it makes another one.
        """
        if not writable:
            return cls(directory, _known(directory, dim), writable)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        rows_max = -(-rows_max // SLAB_ROWS) * SLAB_ROWS
        try:
            known = _known(directory, dim)
            header = Header(dim, max(known.rows_max, rows_max), known.identity)
        except StoreError:
            known, header = None, Header(dim, rows_max, os.urandom(_IDENTITY_BYTES))
        pool = cls(directory, header, writable)
        if header != known:
            _write_header(directory / "header", header)
        pool._remove_others()
        return pool

    def start_over(self) -> None:
        """Become another pool, without a row; for a writer that has not marked any yet.

        Readers keep what they have mapped; `found` tells them.
        """
        assert not self.n_used and not self._waiting, (self.n_used, len(self._waiting))
        self.close()
        header = Header(self.dim, self.rows_max, os.urandom(_IDENTITY_BYTES))
        self._map(header)
        _write_header(self.directory / "header", header)
        self._remove_others()

    @property
    def found(self) -> str:
        """Identity of the pool that the directory holds by now, "" if none."""
        try:
            return _read_header(self.directory / "header").identity.hex()
        except StoreError:
            return ""

    def _file(self, kind: str) -> Path:
        return _file(self.directory, self.identity, kind)

    def _remove_others(self) -> None:
        """Remove the files of a pool that this one has replaced."""
        for path in self.directory.iterdir():
            if path.name != "header" and not path.name.startswith(self.identity):
                path.unlink()

    def close(self) -> None:
        """Let go of files and maps; a map stays until the last array over it is gone."""
        self.vectors, self.signs = self.vectors[:0].copy(), self.signs[:0].copy()
        self._vector_file.close()
        self._sign_file.close()

    @property
    def n_waiting(self) -> int:
        """Rows that are freed but may still be seen by a reader."""
        return sum(len(rows) for _, rows in self._waiting)

    @property
    def n_free(self) -> int:
        """Rows that `alloc` can give."""
        return self.rows_max - self.n_used - self.n_waiting

    @property
    def disk_bytes(self) -> int:
        """Bytes the pool takes on disk."""
        return self._vector_file.disk_bytes + self._sign_file.disk_bytes

    def mark_used(self, rows: U32) -> None:
        """Take rows out of the free list: at start, for every row that the catalog refers to.

        Raises StoreCorrupt if a row is outside the pool or marked already.
        """
        if not len(rows):
            return
        if int(rows.max()) >= self.rows_max:
            raise StoreCorrupt(f"pool row {int(rows.max())} is outside the {self.rows_max} rows of the pool")
        before = np.count_nonzero(self._state)
        if self._state[rows].any():
            raise StoreCorrupt(f"{np.count_nonzero(self._state[rows])} pool rows belong to two chunks")
        self._state[rows] = _USED
        if np.count_nonzero(self._state) - before != len(rows):
            self._state[rows] = _FREE
            raise StoreCorrupt("a pool row belongs to two chunks")
        self._count_used(rows)

    def alloc(self, n: int) -> U32:
        """Return `n` rows that are free, the lowest ones, in order; they are in use from now on.

        Raises PoolFull or StoreFull, and then nothing is taken.
        """
        if n > self.n_free:
            raise PoolFull(self.rows_max)
        rows = self._lowest_free(n)
        if n:
            self._reserve(int(rows[-1]) // SLAB_ROWS + 1)
            self._state[rows] = _USED
            self._lowest = int(rows[-1]) + 1
            self._count_used(rows)
        return rows

    def write(self, rows: U32, vectors: F16) -> None:
        """Store `vectors` [n, dim] and their signs at `rows`, which must be in use and in rising order.

        Raises StoreFull; readers see nothing of it before a generation refers to the rows.
        """
        assert vectors.shape == (len(rows), self.dim), (vectors.shape, len(rows), self.dim)
        assert bool(np.all(self._state[rows] == _USED)), "rows are written only between alloc and free"
        padded = np.zeros((len(rows), self._width // 2), np.float16)
        padded[:, : self.dim] = vectors
        signs = pack_signs(vectors)
        if not len(rows):
            return
        starts = np.flatnonzero(np.diff(rows.astype(np.int64), prepend=-2) != 1)
        for a, b in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True):
            first = int(rows[a])
            self._vector_file.write(first * self._width, padded[a:b])
            self._sign_file.write(first * self._sign_width, signs[a:b])

    def flush(self) -> None:
        """Return when everything written is on disk."""
        self._vector_file.flush()
        self._sign_file.flush()

    def release(self, rows: U32) -> None:
        """Give back rows at once that no generation ever referred to: a batch that failed."""
        self._state[rows] = _FREE
        self.n_used -= len(rows)
        self._lower(rows)

    def free(self, rows: U32, generation: int) -> None:
        """Give back rows that are no longer referred to from `generation` on; they wait for `reclaim`."""
        if not len(rows):
            return
        assert bool(np.all(self._state[rows] == _USED)), "a pool row is freed twice"
        self._state[rows] = _WAITING
        self.n_used -= len(rows)
        self._waiting.append((generation, rows.copy()))

    def reclaim(self, oldest_generation: int) -> int:
        """Make the rows usable again that no reader at `oldest_generation` or later sees; return how many."""
        kept: deque[tuple[int, U32]] = deque()
        n = 0
        for generation, rows in self._waiting:
            if generation > oldest_generation:
                kept.append((generation, rows))
                continue
            self._state[rows] = _FREE
            self._lower(rows)
            n += len(rows)
        self._waiting = kept
        return n

    def _count_used(self, rows: U32) -> None:
        self.n_used += len(rows)
        self.high_water = max(self.high_water, int(rows.max()) + 1)

    def _lower(self, rows: U32) -> None:
        if len(rows):
            self._lowest = min(self._lowest, int(rows.min()))

    def _lowest_free(self, n: int) -> U32:
        found: list[npt.NDArray[np.intp]] = []
        at, missing = self._lowest, n
        while missing:
            block = np.flatnonzero(self._state[at : at + SLAB_ROWS] == _FREE)[:missing] + at
            found.append(block)
            missing -= len(block)
            at += SLAB_ROWS
        return np.concatenate(found).astype(np.uint32) if found else np.zeros(0, np.uint32)

    def _reserve(self, slabs: int) -> None:
        if slabs <= self._slabs:
            return
        for file, width in ((self._vector_file, self._width), (self._sign_file, self._sign_width)):
            file.reserve(self._slabs * SLAB_ROWS * width, (slabs - self._slabs) * SLAB_ROWS * width)
        self._slabs = slabs


class _File:
    """One sparse file and its read-only map."""

    def __init__(self, path: Path, size: int, writable: bool) -> None:
        self._path = path
        size = -(-size // MAP_ALIGN) * MAP_ALIGN
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        try:
            self._fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise StoreError(f"{path} was replaced meanwhile") from None
        try:
            actual = os.fstat(self._fd).st_size
            if actual < size:
                if not writable:
                    raise StoreCorrupt(f"{path} has {actual} bytes, fewer than {size}")
                os.ftruncate(self._fd, size)
            self.map = mmap.mmap(self._fd, size, access=mmap.ACCESS_READ)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def disk_bytes(self) -> int:
        return os.fstat(self._fd).st_blocks * 512

    def reserve(self, start: int, size: int) -> None:
        """Give the range room on disk; data in it stays. A file system that cannot is left to `write`."""
        if not hasattr(os, "posix_fallocate"):  # macOS, whose F_PREALLOCATE works past the end of a file only
            return
        try:
            os.posix_fallocate(self._fd, start, size)
        except OSError as error:
            if error.errno not in _NO_RESERVE:
                raise self._translated(error) from error

    def write(self, start: int, data: npt.NDArray[np.generic]) -> None:
        left = data.data.cast("B")
        try:
            while left:
                n = os.pwrite(self._fd, left, start)
                left, start = left[n:], start + n
        except OSError as error:
            raise self._translated(error) from error

    def flush(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._translated(error) from error

    def _translated(self, error: OSError) -> StoreError:
        if error.errno in _FULL:
            return StoreFull(
                f"{self._path}: no room for more vectors; free some disk space ({error.strerror})"
            )
        return StoreError(f"{self._path}: {error.strerror}")

    def close(self) -> None:
        with contextlib.suppress(
            BufferError
        ):  # arrays over the map are still in use; it goes with the last one
            self.map.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _vector_bytes(dim: int) -> int:
    return -(-dim * 2 // ROW_ALIGN) * ROW_ALIGN


def _sign_bytes(dim: int) -> int:
    return -(-dim // 64) * 8


def _known(directory: Path, dim: int) -> Header:
    """Return the header of a pool whose files are there. Raises StoreError, StoreCorrupt."""
    header = _read_header(directory / "header")
    if header.dim != dim:
        raise StoreCorrupt(f"{directory} holds vectors of dim {header.dim}, not {dim}; rebuild the index")
    for kind, width in (("vectors", _vector_bytes(dim)), ("signs", _sign_bytes(dim))):
        path = _file(directory, header.identity.hex(), kind)
        actual, wanted = path.stat().st_size if path.exists() else 0, header.rows_max * width
        if actual < wanted:
            raise StoreCorrupt(f"{path} has {actual} bytes, fewer than the {wanted} of its header")
    return header


def _file(directory: Path, identity: str, kind: str) -> Path:
    return directory / f"{identity}.{kind}"


def _read_header(path: Path) -> Header:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path.parent} holds no vector pool") from None
    body = data[: _HEADER.size]
    if len(data) != _HEADER.size + 4 or zlib.crc32(body) != int.from_bytes(data[_HEADER.size :], "little"):
        raise StoreCorrupt(f"{path} is damaged; rebuild the index")
    magic, dim, rows_max, identity = _HEADER.unpack(body)
    if magic != _MAGIC:
        raise StoreCorrupt(f"{path} is of another format; rebuild the index")
    return Header(dim, rows_max, identity)


def _write_header(path: Path, header: Header) -> None:
    body = _HEADER.pack(_MAGIC, header.dim, header.rows_max, header.identity)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(body + zlib.crc32(body).to_bytes(4, "little"))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
