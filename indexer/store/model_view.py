"""The read side of a second model's vectors: which chunk of a snapshot has which row of its pool.

A `ModelReader` follows the catalog of model_vectors.py from generation to generation, and joins what it knows
with the segments of a snapshot by digest: one array of rows for each segment, made once and carried on. A
`ModelView` is immutable; a query keeps the one it started with, and while any is held, the lease keeps its
rows from being written anew.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from config.errors import StoreCorrupt, StoreError
from indexer.records import I64, U32, U64, Bool
from indexer.store.catalog import META_KEY, u64_key, unpack
from indexer.store.env import Env, Transaction
from indexer.store.format import NO_ROW
from indexer.store.lease import Lease
from indexer.store.model_vectors import TABLES, Changed, Entry, Meta, chunk_marks, from_bytes
from indexer.store.pool import Pool
from indexer.store.segment import Segment
from indexer.store.segments import SegmentSet

Known = dict[bytes, tuple[int, U32]]  # digest -> mark, rows


class ModelView:
    """The rows of one snapshot's chunks.

    generation      of the model's vectors
    vectors, signs  of its pool, which may be closed meanwhile
    chunk_row       uint32 [n_chunks], by global chunk; NO_ROW where the model has not come yet
    """

    def __init__(self, generation: int, pool: Pool, segments: SegmentSet, tables: dict[int, U32]) -> None:
        """Made by ModelReader."""
        self.generation = generation
        self.vectors, self.signs = pool.vectors, pool.signs
        self.segments = segments
        self.tables = tables  # segment id -> rows of its chunks
        self.chunk_row: U32 = np.concatenate(
            [np.empty(0, np.uint32), *(tables[segment.id] for segment in segments.segments)]
        )
        self._found: tuple[Bool | None, Bool, I64] = (None, np.empty(0, np.bool_), np.empty(0, np.int64))

    @cached_property
    def n_rows(self) -> int:
        """No chunk refers to a row from here on."""
        has = self.chunk_row[self.chunk_row != NO_ROW]
        return int(has.max()) + 1 if len(has) else 0

    def rows_of(self, docs: Bool, step: int) -> tuple[Bool, I64]:
        """Return which rows belong to the marked documents, and the global chunk of each (-1: none).

        docs  bool [n_docs]; what was asked last is kept, so that all files of a root cost nothing again
        step  what is returned has rows in use, rounded up to a multiple of this divisor of a slab
        """
        asked, live, chunk = self._found
        if asked is not None and (asked is docs or np.array_equal(asked, docs)):
            return live, chunk
        chunks = np.flatnonzero(self.segments.chunk_mask(docs) & (self.chunk_row != NO_ROW))
        rows = self.chunk_row[chunks]
        n_rows = -(-self.n_rows // step) * step
        live, chunk = np.zeros(n_rows, np.bool_), np.full(n_rows, -1, np.int64)
        live[rows] = True
        chunk[rows] = chunks
        self._found = (docs, live, chunk)
        return live, chunk

    @cached_property
    def complete_docs(self) -> Bool:
        """Which documents have all their vectors: bool [n_docs]; one without a chunk has."""
        done = np.ones(self.segments.n_docs, np.bool_)
        for segment, base in zip(self.segments.segments, self.segments.seg_base[:-1].tolist(), strict=True):
            done[base + segment.chunk_doc[self.tables[segment.id] == NO_ROW]] = False
        return done


class ModelReader:
    """Gives views of the newest generation; one for each process. Safe for several threads."""

    def __init__(self, directory: Path, env: Env, pool: Pool) -> None:
        """Use `open`."""
        self._directory = directory
        self._env = env
        self._pool = pool
        self._lease = Lease(directory)
        self._lock = threading.Lock()
        self._is_open = True
        self._generation = -1
        self._known: Known = {}
        self._current: ModelView | None = None
        self._used: weakref.WeakSet[ModelView] = weakref.WeakSet()

    @classmethod
    def open(cls, directory: Path, *, dim: int) -> ModelReader:
        """Open the vectors of a model. Raises StoreError if there are none yet, StoreCorrupt."""
        with contextlib.ExitStack() as undo:
            try:
                env = Env.open(directory, writable=False, tables=TABLES)
            except FileNotFoundError as error:
                raise StoreError(f"there are no vectors in {directory} yet") from error
            undo.callback(env.close)
            pool = Pool.open(directory / "pool", dim=dim, rows_max=0, writable=False)
            undo.callback(pool.close)
            reader = cls(directory, env, pool)
            undo.callback(reader._lease.close)
            reader.refresh()
            undo.pop_all()
            return reader

    def close(self) -> None:
        """Let go; a view that someone still holds stays readable."""
        with self._lock:
            self._current, self._is_open = None, False
            self._lease.close()
            self._env.close()
            self._pool.close()

    @property
    def is_replaced(self) -> bool:
        """Whether catalog or pool are others by now: then this reader is to be opened anew."""
        return self._env.is_replaced or self._pool.found != self._pool.identity

    def refresh(self) -> bool:
        """Take what was published since; whether anything was. Raises StoreError, StoreCorrupt."""
        with self._lock:
            with self._env.read() as txn:
                meta = _meta(txn)
                if meta.pool != self._pool.identity:
                    raise StoreError(f"the vectors in {self._directory} are made anew")
                if meta.generation == self._generation:
                    return False
                changed = self._changes(txn, meta.generation)
                if changed is None:
                    self._known = {digest: _entry(value) for digest, value in txn.items("vectors")}
                else:
                    self._follow(txn, changed)
            self._generation = meta.generation
            before = self._current
            if before is not None:
                self._current = self._made(before.segments, before.tables, changed)
            else:
                self._announce()  # nothing was handed out
            return True

    def view(self, segments: SegmentSet) -> ModelView | None:
        """Return the rows of these segments' chunks; microseconds if they are those of the last call.

        None once this reader is closed: another thread may have found that it is replaced.
        """
        with self._lock:
            if not self._is_open:
                return None
            current = self._current
            if current is None or current.segments is not segments:
                tables = {} if current is None else current.tables
                self._current = current = self._made(segments, tables, [])
            return current

    def _made(self, segments: SegmentSet, tables: dict[int, U32], changed: list[bytes] | None) -> ModelView:
        """Make a view; tables of segments are carried on, with what changed (None: anything)."""
        made: dict[int, U32] = {}
        for segment in segments.segments:
            table = tables.get(segment.id) if changed is not None else None
            if table is None:
                table = rows_of_segment(segment, self._known)
            elif changed:
                table = _updated(table, segment, self._known, changed)
            made[segment.id] = table
        view = ModelView(self._generation, self._pool, segments, made)
        self._used.add(view)
        self._announce()
        return view

    def _announce(self) -> None:
        self._lease.announce(min((view.generation for view in self._used), default=self._generation))

    def _changes(self, txn: Transaction, until: int) -> list[bytes] | None:
        """Return the contents that changed; None if the list has gaps."""
        changed: dict[bytes, None] = {}
        for generation in range(self._generation + 1, until + 1):
            value = txn.get("changes", u64_key(generation)) if self._generation >= 0 else None
            if value is None:
                return None
            changed.update(dict.fromkeys(unpack(Changed, value, f"changes {generation}").digests))
        return list(changed)

    def _follow(self, txn: Transaction, changed: Iterable[bytes]) -> None:
        for digest in changed:
            value = txn.get("vectors", digest)
            if value is None:
                self._known.pop(digest, None)
            else:
                self._known[digest] = _entry(value)


def rows_of_segment(segment: Segment, known: Known) -> U32:
    """Return the row of each chunk of a segment, NO_ROW where there is none: uint32 [n_chunks]."""
    table: U32 = np.full(segment.n_chunks, NO_ROW, np.uint32)
    _fill(table, segment, np.arange(segment.n_docs), known)
    return table


def _updated(table: U32, segment: Segment, known: Known, changed: list[bytes]) -> U32:
    """Return the table with what these contents have now."""
    heads = np.frombuffer(b"".join(digest[:8] for digest in changed), "<u8")
    ordinals = np.flatnonzero(np.isin(_heads(segment), heads))
    if not len(ordinals):
        return table
    table = table.copy()
    _fill(table, segment, ordinals, known)
    return table


def _heads(segment: Segment) -> U64:
    """Return the first half of each document's digest."""
    heads: U64 = np.ascontiguousarray(segment.digest[:, :8]).view("<u8")[:, 0]
    return heads


def _fill(table: U32, segment: Segment, ordinals: I64, known: Known) -> None:
    marks = chunk_marks(segment)[ordinals].tolist()
    first, end = segment.doc_chunk[ordinals].tolist(), segment.doc_chunk[ordinals + 1].tolist()
    digests = segment.digest[ordinals].tobytes()
    width = segment.digest.shape[1]
    for i, (low, high, mark) in enumerate(zip(first, end, marks, strict=True)):
        of_mark, rows = known.get(digests[i * width : (i + 1) * width], (None, _NO_ROWS))
        fits = of_mark == mark and len(rows) == high - low
        table[low:high] = rows if fits else NO_ROW


_NO_ROWS: U32 = np.empty(0, np.uint32)


def _entry(value: bytes) -> tuple[int, U32]:
    entry = unpack(Entry, value, "vectors")
    return entry.mark, from_bytes(entry.rows)


def _meta(txn: Transaction) -> Meta:
    value = txn.get("meta", META_KEY)
    if value is None:
        raise StoreCorrupt("the catalog of a model's vectors has no meta record")
    return unpack(Meta, value, "meta")
