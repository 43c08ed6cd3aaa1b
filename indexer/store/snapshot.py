"""The read side: one consistent view of one generation, and how to get the newest.

A `Reader` holds the newest snapshot and brings it up to date from the catalog's list of changes, so that a
saved file costs a copy of four columns and not a load of 80,000 records. Snapshots are immutable: a query
keeps the one it started with, whatever is published meanwhile. The reader's lease tells the writer which
generations are still looked at.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.errors import StoreCorrupt, StoreError, StoreVersion
from indexer.records import I64, U16
from indexer.store import catalog
from indexer.store.catalog import Change, FileChanged, FileRecord, Meta, RootRecord, u64_key, unpack
from indexer.store.env import Env, Transaction
from indexer.store.format import FORMAT_VERSION, segment_name
from indexer.store.lease import Lease
from indexer.store.root_view import RootView
from indexer.store.segment import Segment
from indexer.store.segments import SegmentSet

RETRIES = 8  # a segment may be merged away between reading the catalog and opening it


class Snapshot:
    """One generation, complete.

    segments    in order of their ids
    seg_base    int64 [segments + 1]: global document = seg_base[s] + ordinal
    chunk_base  int64 [segments + 1]: global chunk = chunk_base[s] + chunk of the segment
    pool_rows   no chunk refers to a pool row from here on
    """

    def __init__(self, meta: Meta, segments: SegmentSet, roots: dict[int, RootView]) -> None:
        """Made by Reader."""
        self.generation = meta.generation
        self.fingerprint = meta.fingerprint
        self.pool_rows = meta.pool_rows
        self.roots = roots
        self.segments = segments.segments
        self.seg_base = segments.seg_base
        self.chunk_base = segments.chunk_base
        self.n_docs = segments.n_docs
        self.n_chunks = segments.n_chunks
        self.segment_set = segments

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the names of all languages that occur."""
        return self.segment_set.languages

    @property
    def doc_language(self) -> U16:
        """Return for each global document an index into `languages`."""
        return self.segment_set.doc_language

    def locate_doc(self, doc: int) -> tuple[Segment, int]:
        """Return the segment and ordinal of a global document."""
        at = int(np.searchsorted(self.seg_base, doc, "right")) - 1
        return self.segments[at], doc - int(self.seg_base[at])

    def locate_chunk(self, chunk: int) -> tuple[Segment, int]:
        """Return the segment of a global chunk and its number there."""
        at = int(np.searchsorted(self.chunk_base, chunk, "right")) - 1
        return self.segments[at], chunk - int(self.chunk_base[at])

    def docs_of_chunks(self, chunks: I64) -> I64:
        """Return the global document of each global chunk."""
        docs = np.empty(len(chunks), np.int64)
        owner = np.searchsorted(self.chunk_base, chunks, "right") - 1
        for at in np.unique(owner).tolist():
            mine = owner == at
            local = chunks[mine] - self.chunk_base[at]
            docs[mine] = self.segments[at].doc_of_chunk(local).astype(np.int64) + self.seg_base[at]
        return docs

    def row_chunk(self, rows: Sequence[int] | I64) -> I64:
        """Return the global chunk of each pool row, -1 for a row that no chunk has."""
        asked = np.asarray(rows, np.int64)
        table = self.segment_set.row_chunk
        known = asked < len(table)
        found = np.full(len(asked), -1, np.int64)
        found[known] = table[asked[known]]
        return found


@dataclass(frozen=True, slots=True)
class _News:
    """What the catalog says since a generation."""

    meta: Meta
    roots: list[RootRecord]
    segment_ids: list[int]
    changes: dict[int, dict[bytes, FileChanged | None]]  # root -> path -> state
    tables: dict[int, list[FileChanged]]  # roots that were read whole


class Reader:
    """Gives the newest snapshot; one for each process. Safe for several threads."""

    def __init__(self, store_dir: Path, env: Env) -> None:
        """Use `open`."""
        self._dir = store_dir
        self._segments_dir = store_dir / "segments"
        self._env = env
        self._lease = Lease(store_dir)
        self._lock = threading.Lock()
        self._current: Snapshot | None = None
        self._used: weakref.WeakSet[Snapshot] = weakref.WeakSet()

    @classmethod
    def open(cls, store_dir: Path) -> Reader:
        """Open an index for reading. Raises StoreError if there is none yet, StoreVersion, StoreCorrupt."""
        try:
            env = Env.open(store_dir, writable=False)
        except FileNotFoundError as error:
            raise StoreError(f"there is no index in {store_dir} yet") from error
        return cls(store_dir, env)

    @property
    def pool(self) -> str:
        """Identity of the vector pool that the index names now."""
        with self._env.read() as txn:
            return self._meta(txn).pool

    def close(self) -> None:
        """Let go; snapshots that someone still holds stay readable."""
        self._current = None
        self._lease.close()
        self._env.close()

    def snapshot(self) -> Snapshot:
        """Return the newest generation; microseconds if nothing changed.

        Call it now and then also without queries (a second apart is plenty): it renews the lease, without
        which the writer cannot use freed pool rows again.
        """
        with self._lock:
            if self._env.is_replaced:
                self._reopen()
            for attempt in range(RETRIES):
                with self._env.read() as txn:
                    meta = self._meta(txn)
                    if self._current is not None and self._current.generation == meta.generation:
                        break
                    news = self._news(txn, meta, self._current)
                try:
                    self._current = self._made(news, self._current)
                except FileNotFoundError as error:
                    if attempt == RETRIES - 1:
                        name = Path(str(error.filename)).name
                        raise StoreCorrupt(f"{name} is in the catalog but not on disk") from error
                    continue
                self._used.add(self._current)
                break
            assert self._current is not None
            self._renew(self._current)
            return self._current

    def _reopen(self) -> None:
        """Go over to a catalog that was made anew; generations of the old one mean nothing in it."""
        env = Env.open(self._dir, writable=False)
        self._env.close()
        self._env, self._current = env, None

    def _renew(self, current: Snapshot) -> None:
        if self._lease.generation != current.generation:
            self._lease.announce(min(snapshot.generation for snapshot in self._used))

    def _meta(self, txn: Transaction) -> Meta:
        meta = catalog.read_meta(txn)
        if meta.format_version != FORMAT_VERSION:
            raise StoreVersion(f"the index has format version {meta.format_version}, not {FORMAT_VERSION}")
        return meta

    def _news(self, txn: Transaction, meta: Meta, current: Snapshot | None) -> _News:
        roots = [record for _, record in catalog.read_all(txn, "roots", RootRecord)]
        segment_ids = [catalog.number_of(key) for key, _ in txn.items("segments")]
        changes = None if current is None else self._changes(txn, current.generation, meta.generation)
        listed: dict[int, dict[bytes, FileChanged | None]] = {}
        tables: dict[int, list[FileChanged]] = {}
        for root in roots:
            known = changes is not None and current is not None and root.id in current.roots
            paths = (changes or {}).get(root.id, {}) if known else None
            if paths is not None:
                listed[root.id] = paths
            else:
                tables[root.id] = [
                    FileChanged(path, record.size, record.mtime_ns, record.blob_id)
                    for path, record in catalog.read_paths(txn, "files", FileRecord, root.id)
                ]
        return _News(meta, roots, segment_ids, listed, tables)

    def _changes(
        self, txn: Transaction, since: int, until: int
    ) -> dict[int, dict[bytes, FileChanged | None] | None] | None:
        """Return the changed paths by root (None: read the root again); None if the list has gaps."""
        merged: dict[int, dict[bytes, FileChanged | None] | None] = {}
        for generation in range(since + 1, until + 1):
            value = txn.get("changes", u64_key(generation))
            if value is None:
                return None
            change = unpack(Change, value, f"changes {generation}")
            if change.everything and not change.root_id:
                return None
            if change.everything:
                merged[change.root_id] = None
            paths = merged.setdefault(change.root_id, {})
            if paths is not None:
                paths.update((file.path, file) for file in change.files)
                paths.update(dict.fromkeys(change.removed))
        return merged

    def _made(self, news: _News, current: Snapshot | None) -> Snapshot:
        """Make the snapshot. Raises FileNotFoundError if a segment was merged away meanwhile."""
        before = None if current is None else current.segment_set
        segments = self._segment_set(news.segment_ids, before)
        roots: dict[int, RootView] = {}
        for root in news.roots:
            table = news.tables.get(root.id)
            if table is not None:
                roots[root.id] = RootView.build(root.id, root.path, table, segments)
            else:
                assert current is not None
                view = current.roots[root.id].changed(news.changes[root.id], segments)
                roots[root.id] = view.compacted()
        return Snapshot(news.meta, segments, roots)

    def _segment_set(self, ids: list[int], before: SegmentSet | None) -> SegmentSet:
        opened = {segment.id: segment for segment in before.segments} if before else {}
        if before is not None and ids == list(opened):
            return before
        segments = tuple(
            opened.get(number) or Segment.open(self._segments_dir / segment_name(number)) for number in ids
        )
        return SegmentSet(segments, before)
