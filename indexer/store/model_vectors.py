"""Vectors of a second model, by content: a pool and a catalog of their own, which outlive any segment.

    <directory>/pool/              Pool: the vectors
    <directory>/catalog/data.mdb   which rows belong to which content
    <directory>/readers/*.lease    one for each reader: the oldest generation it still looks at

    table       key               value
    meta        "meta"            Meta
    vectors     digest            Entry: the rows of all chunks of a content, in order
    freed       generation u64    Freed: rows that readers before it may still look at
    changes     generation u64    Changed: what it did, so that a reader can follow step by step

The rows stand here and not in the segments, because they come hours after the segment was written. A content
has all of its vectors or none. The same bytes may be cut otherwise by a later version, so an entry carries a
mark of the chunks it was made of (`chunk_marks`), and whoever joins it with a segment compares.

Order of a step: vectors into free rows and flushed, then one commit that points at them, flushed. A crash
leaks rows, which are free again at the next start. Rows of contents that are gone wait until no reader's
lease is older; only then may they be written again. All of it is a cache: what is damaged is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from config.errors import StoreCorrupt
from indexer.records import F16, I64, U32, U64
from indexer.store import faults, lease
from indexer.store.catalog import META_KEY, Freed, pack, read_all, u64_key, unpack
from indexer.store.env import Env, Transaction
from indexer.store.pool import Pool
from indexer.store.segment import Segment

TABLES = ("meta", "vectors", "freed", "changes")
FORMAT = 1
CHANGES_KEPT = 1_000
MAP_GIB = 4  # 64 bytes and 4 for each chunk: a thousandth of it is used
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2 ** 64 / golden ratio (Knuth, multiplicative hashing)
_SHIFT = np.uint64(29)


class Meta(msgspec.Struct, frozen=True):
    """One record about all vectors of the model."""

    format: int = FORMAT
    generation: int = 0
    pool: str = ""  # identity of the pool that the rows are in


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where the vectors of a content are."""

    mark: int  # of its chunks
    rows: bytes  # u32 little-endian, one for each chunk


class Changed(msgspec.Struct, frozen=True, array_like=True):
    """What one generation changed: contents that got vectors, others or none."""

    digests: list[bytes]


@dataclass(frozen=True, slots=True)
class ContentVectors:
    """The vectors of one content."""

    digest: bytes
    mark: int  # chunk_marks of its document
    vectors: F16  # [chunks, dim], unit length


def chunk_marks(segment: Segment) -> U64:
    """Return for each document of a segment a mark of where its chunks begin and end: uint64 [n_docs]."""
    bounds = segment.chunk_start.astype(np.uint64) << np.uint64(32) | segment.chunk_end.astype(np.uint64)
    mixed = bounds * _ODD
    mixed = (mixed ^ (mixed >> _SHIFT)) * _ODD
    ends: I64 = segment.doc_chunk.astype(np.int64)
    total = np.append(np.uint64(0), np.cumsum(mixed, dtype=np.uint64))
    marks: U64 = total[ends[1:]] - total[ends[:-1]]  # modulo 2 ** 64, as the sums are
    return marks


class ModelVectors:
    """The one writer of a model's vectors. Not thread-safe."""

    def __init__(self, directory: Path, pool: Pool, env: Env) -> None:
        """Use `open`."""
        self._directory = directory
        self._pool = pool
        self._env = env
        self._meta = Meta()
        self._reclaimed = 0  # rows freed up to this generation are in the free list again
        self.known: dict[bytes, int] = {}  # digest -> mark, of all contents that have vectors

    @classmethod
    def open(cls, directory: Path, *, dim: int, rows_max: int) -> ModelVectors:
        """Open or make the vectors of a model; what is damaged is made anew. Raises StoreFull, StoreError."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        pool = Pool.open(directory / "pool", dim=dim, rows_max=rows_max, writable=True)
        try:
            return cls._opened(directory, pool)
        except StoreCorrupt:
            for path in (directory / "catalog").iterdir():
                path.unlink()
            return cls._opened(directory, pool)

    @classmethod
    def _opened(cls, directory: Path, pool: Pool) -> ModelVectors:
        env = Env.open(directory, map_gib=MAP_GIB, writable=True, tables=TABLES)
        vectors = cls(directory, pool, env)
        try:
            vectors._start()
        except BaseException:
            env.close()
            raise
        return vectors

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._pool.dim

    @property
    def generation(self) -> int:
        """The newest published generation."""
        return self._meta.generation

    @property
    def n_rows(self) -> int:
        """Rows in use: one for each chunk that has a vector."""
        return self._pool.n_used

    @property
    def disk_bytes(self) -> int:
        """Bytes of disk that the vectors take."""
        return self._pool.disk_bytes

    def close(self) -> None:
        """Let go of catalog and pool."""
        self._env.close()
        self._pool.close()

    def add(self, contents: Sequence[ContentVectors]) -> None:
        """Publish the vectors of some contents, each named once; they replace what these had.

        Raises PoolFull, StoreFull.
        """
        if not contents:
            return
        self.reclaim()
        counts = [len(content.vectors) for content in contents]
        rows = self._pool.alloc(sum(counts))
        try:
            if len(rows):
                self._pool.write(rows, np.concatenate([content.vectors for content in contents]))
                self._pool.flush()
            faults.point("model-vectors-written")
            entries = {
                content.digest: Entry(content.mark, own.astype("<u4").tobytes())
                for content, own in zip(contents, np.split(rows, np.cumsum(counts)[:-1]), strict=True)
            }
            self._publish(entries, [])
        except BaseException:
            self._pool.release(rows)
            raise
        self.known.update((content.digest, content.mark) for content in contents)
        self._env.sync()

    def remove(self, digests: Iterable[bytes]) -> int:
        """Forget the vectors of contents that are gone; returns of how many. Raises StoreFull."""
        gone = [digest for digest in digests if digest in self.known]
        if gone:
            self._publish({}, gone)
            for digest in gone:
                del self.known[digest]
            self._env.sync()
        return len(gone)

    def reclaim(self) -> int:
        """Make freed rows usable again that no reader looks at any more; return how many."""
        oldest = lease.oldest_generation(self._directory)
        reached = self.generation if oldest is None else min(oldest, self.generation)
        self._reclaimed = max(self._reclaimed, reached)
        return self._pool.reclaim(reached)

    def _publish(self, entries: dict[bytes, Entry], gone: list[bytes]) -> None:
        """One commit: new entries, entries that go, and the rows that become free by both."""
        meta = msgspec.structs.replace(self._meta, generation=self.generation + 1)
        with self._env.write() as txn:
            freed = [_rows(txn, digest) for digest in (*entries, *gone)]
            for digest, entry in entries.items():
                txn.put("vectors", digest, pack(entry))
            for digest in gone:
                txn.delete("vectors", digest)
            rows = np.concatenate([np.empty(0, np.uint32), *freed])
            _tidy(txn, meta.generation, self._reclaimed)
            if len(rows):
                txn.put("freed", u64_key(meta.generation), pack(Freed(rows.astype("<u4").tobytes())))
            txn.put("changes", u64_key(meta.generation), pack(Changed([*entries, *gone])))
            txn.put("meta", META_KEY, pack(meta))
            faults.point("model-vectors-before-commit")
        self._meta = meta
        self._pool.free(rows, meta.generation)
        faults.point("model-vectors-committed")

    def _start(self) -> None:
        """Read what there is, and tell the pool which rows are in use."""
        with self._env.read() as txn:
            value = txn.get("meta", META_KEY)
            self._meta = unpack(Meta, value, "meta") if value is not None else Meta()
        if self._meta.pool != self._pool.identity or self._meta.format != FORMAT:
            self._wipe()
            return
        with self._env.read() as txn:
            entries = {digest: unpack(Entry, value, "vectors") for digest, value in txn.items("vectors")}
            freed = [(number, from_bytes(record.rows)) for number, record in read_all(txn, "freed", Freed)]
        rows = [from_bytes(entry.rows) for entry in entries.values()]
        self._pool.mark_used(np.concatenate([np.empty(0, np.uint32), *rows, *(each for _, each in freed)]))
        for generation, each in freed:
            self._pool.free(each, generation)
        self.known = {digest: entry.mark for digest, entry in entries.items()}

    def _wipe(self) -> None:
        """Begin with nothing, above all generations that a reader may hold a lease of."""
        generation = max([self._meta.generation, *lease.generations(self._directory)]) + 1
        self._meta = Meta(generation=generation, pool=self._pool.identity)
        with self._env.write() as txn:
            for table in TABLES:
                txn.clear(table)
            txn.put("meta", META_KEY, pack(self._meta))
        self._env.sync()


def from_bytes(rows: bytes) -> U32:
    """Return rows as a record has them."""
    return np.frombuffer(rows, "<u4").astype(np.uint32)


def _rows(txn: Transaction, digest: bytes) -> U32:
    """Return the rows that a content has so far."""
    value = txn.get("vectors", digest)
    return np.empty(0, np.uint32) if value is None else from_bytes(unpack(Entry, value, "vectors").rows)


def _tidy(txn: Transaction, generation: int, reclaimed: int) -> None:
    """Drop records that nobody needs: rows that are free by now, and changes of long ago."""
    for key, _ in list(txn.items("freed")):
        if int.from_bytes(key, "big") <= reclaimed:
            txn.delete("freed", key)
    if generation > CHANGES_KEPT:
        txn.delete("changes", u64_key(generation - CHANGES_KEPT))
