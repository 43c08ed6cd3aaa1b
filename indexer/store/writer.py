"""The one writer of the index: batches in, generations out.

Order of a batch, which makes a crash leak space and never dangle: vectors into free pool rows and flushed;
the new segment written, flushed, renamed; then one catalog commit that points at them. What a crash leaves
behind (rows and files that no record names) is free again at the next start. If the disk or the pool is
full, rows and files are given back at once and the old generation stands.

A commit need not survive a power cut (metasync=False), except where something old is destroyed because of it:
before merged-away files are removed and their rows may be used again, the catalog is flushed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np

from config.errors import NoSuchRoot, StoreCorrupt, StoreError
from config.settings import Store as StoreSettings
from indexer.records import U32, Batch, PreparedFile, TextSegment, Upsert
from indexer.store import catalog, faults, lease, opening, pool_rows, recovery, tiers
from indexer.store.catalog import (
    BlobRecord,
    Change,
    FileRecord,
    Reason,
    RootRecord,
    SegmentRecord,
    SkipRecord,
    pack,
    u32_key,
    unpack,
)
from indexer.store.disk import TEMPORARY, remove
from indexer.store.draft import Draft, State, publishing
from indexer.store.env import Env, Transaction
from indexer.store.format import SegmentInfo, segment_name
from indexer.store.ledger import Ledger, Turned
from indexer.store.lost_vectors import Embed, LostVectors
from indexer.store.merge import MergeInput, MergePlan, packed
from indexer.store.merged import Merged
from indexer.store.pool_rows import RowPool
from indexer.store.segment import Segment
from indexer.store.segment_writer import Doc, cut, write_segment
from indexer.store.stats import StoreStats, stats_of
from indexer.store.stored import Stored

PINNED_MAX = 200_000
TEXTS_MAX = 64  # segments of a first pass that are left alone


def dispose(path: Path) -> None:
    """Remove a file now. One that stays is swept up at the next start."""
    with contextlib.suppress(OSError):
        remove(path)


class Writer:
    """Owns the catalog, the segment files and the pool's free list. Not thread-safe: one thread writes."""

    def __init__(self, store_dir: Path, env: Env, settings: StoreSettings, pool: RowPool | None) -> None:
        """Use `open`."""
        self._dir = store_dir
        self._segments_dir = store_dir / "segments"
        self._env = env
        self._settings = settings
        self._changes_kept = settings.changes_kept
        self._pool = pool
        self._state = State()
        self._pinned: set[int] = set()  # blobs that `known` promised and no batch has used yet
        self._plan: MergePlan | None = None
        self._revived: set[int] = set()  # since the plan was made
        self._died: set[int] = set()
        self._lost: LostVectors | None = None
        self.problems: list[str] = []  # what had to be repaired at start, in words
        # Removes a file that nothing names any more; half a gigabyte takes a tenth of a second.
        self.dispose: Callable[[Path], object] = dispose

    @classmethod
    def open(
        cls, store_dir: Path, settings: StoreSettings, pool: RowPool | None, fingerprint: str = ""
    ) -> Writer:
        """Open or create the index, repair what a crash or damage left.

        fingerprint  of the embedding model; if it differs from the stored one, all content is forgotten (its
                     pool rows mean nothing) and only the roots stay
        Raises StoreError, StoreFull; never StoreCorrupt: damage is moved aside and listed in `problems`.
        """
        store_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("segments", "readers"):
            (store_dir / name).mkdir(exist_ok=True, mode=0o700)
        try:
            return cls._opened(store_dir, settings, pool, fingerprint, [])
        except StoreCorrupt as error:
            moved = recovery.move_aside(store_dir)
            problem = f"{error}; the catalog was moved to {moved.name} and made anew"
            return cls._opened(store_dir, settings, pool, fingerprint, [problem])

    @classmethod
    def _opened(
        cls,
        store_dir: Path,
        settings: StoreSettings,
        pool: RowPool | None,
        fingerprint: str,
        problems: list[str],
    ) -> Writer:
        env = Env.open(store_dir, map_gib=settings.map_gib, writable=True)
        try:
            writer = cls(store_dir, env, settings, pool)
            writer.problems = problems
            writer._start(fingerprint)
        except BaseException:
            env.close()
            raise
        return writer

    def close(self) -> None:
        """Let go of the catalog."""
        self._env.close()

    @property
    def generation(self) -> int:
        """The newest published generation."""
        return self._state.meta.generation

    # Roots and tables

    def roots(self) -> list[RootRecord]:
        """Return the roots in order of their ids."""
        with self._env.read() as txn:
            return [record for _, record in catalog.read_all(txn, "roots", RootRecord)]

    def add_root(self, path: str, limits: str = "") -> int:
        """Return the id of the root at a real path, which is entered if it is new; see `mark_judged`."""
        for root in self.roots():
            if root.path == path:
                return root.id
        root_id = self._state.meta.next_root
        with self._publishing() as draft:
            draft.meta = msgspec.structs.replace(draft.meta, next_root=root_id + 1)
            draft.txn.put(
                "roots", u32_key(root_id), pack(RootRecord(root_id, path, time.time_ns(), limits=limits))
            )
        self._save_roots()
        return root_id

    def mark_complete(self, root_id: int) -> None:
        """Remember that the first index of a root is done; its absence is told with every answer."""
        self._mark(root_id, complete=True)

    def mark_judged(self, root_id: int, limits: str) -> None:
        """Remember by which limits all that is indexed and skipped of a root was judged."""
        self._mark(root_id, limits=limits)

    def _mark(self, root_id: int, **changes: object) -> None:
        """Change the record of a root, if it is still there, without a generation."""
        with self._env.write() as txn:
            key = u32_key(root_id)
            value = txn.get("roots", key)
            if value is not None:
                record = unpack(RootRecord, value, f"roots {root_id}")
                txn.put("roots", key, pack(msgspec.structs.replace(record, **changes)))

    def remove_root(self, root_id: int) -> int:
        """Forget a root and its paths; content that no other root has dies. Raises NoSuchRoot."""
        paths = [*self.file_table(root_id), *self.skip_table(root_id)]
        with self._publishing() as draft:
            ledger = Ledger(draft.txn, root_id)
            for path in paths:
                ledger.remove_file(path)
            turned = self._settle(draft, ledger)
            draft.txn.delete("roots", u32_key(root_id))
        self._note(turned)
        self._save_roots()
        return self.generation

    def file_table(self, root_id: int) -> dict[bytes, FileRecord]:
        """Return what is indexed of a root; 80,000 paths in about 0.15 s."""
        with self._env.read() as txn:
            return dict(catalog.read_paths(txn, "files", FileRecord, root_id))

    def skip_table(self, root_id: int) -> dict[bytes, SkipRecord]:
        """Return what is not indexed of a root, and why."""
        with self._env.read() as txn:
            return dict(catalog.read_paths(txn, "skipped", SkipRecord, root_id))

    # Content

    def known(self, digest: bytes, shallow: bool = False) -> bool:
        """Whether this content is stored, so that a path can be pointed at it without preparing it.

        shallow  it will do if only its text is

        A merge will not drop it before a batch that names it was applied.
        """
        with self._env.read() as txn:
            blob_id = catalog.known_blob(txn, digest, shallow)
        if blob_id is None:
            return False
        if len(self._pinned) >= PINNED_MAX:
            self._pinned.clear()  # asked for and never used; the worst is that a batch must be prepared again
        self._pinned.add(blob_id)
        return True

    def quarantined(self, digest: bytes) -> str | None:
        """Return why this content must not be parsed, or None."""
        with self._env.read() as txn:
            value = txn.get("quarantine", digest)
        return None if value is None else unpack(Reason, value, "quarantine").reason

    def quarantine(self, digest: bytes, reason: str) -> None:
        """Remember that this content crashed or stalled a parser."""
        with self._env.write() as txn:
            txn.put("quarantine", digest, pack(Reason(reason)))

    def forget(self, root_id: int, paths: Iterable[bytes] | None = None) -> int:
        """Have the content of paths (None: the whole root) prepared anew: `known` says no until it was.

        What is stored stays searchable meanwhile. Returns how many contents this concerns.
        """
        table = self.file_table(root_id)
        chosen = table.values() if paths is None else [table[path] for path in paths if path in table]
        digests = {record.digest for record in chosen}
        with self._env.write() as txn:
            for digest in digests:
                txn.put("forgotten", digest, b"")
                txn.delete("quarantine", digest)
        return len(digests)

    def apply(self, batch: Batch) -> int:
        """Publish a batch whole and return its generation; an empty one changes nothing.

        Raises NoSuchRoot, PoolFull, StoreFull, StoreError for an upsert whose content is neither stored nor
        brought along; then nothing has changed. `prepared` of content that is stored already is ignored,
        unless the store has only its text and this is all of it.
        """
        if not (batch.upserts or batch.removes or batch.skips):
            return self.generation
        stored = self._store(self._fresh(batch), batch.texts)
        try:
            self._publish(batch, stored)
        except BaseException:
            self._withdraw(stored)
            raise
        faults.point("after-commit")
        return self.generation

    def _fresh(self, batch: Batch) -> dict[bytes, PreparedFile]:
        """Return the content to store, by digest."""
        brought: dict[bytes, PreparedFile] = {}
        for upsert in batch.upserts:
            best = brought.get(upsert.digest)
            if upsert.prepared is not None and (best is None or best.is_shallow):
                brought[upsert.digest] = upsert.prepared
        fresh: dict[bytes, PreparedFile] = {}
        in_texts = {digest for text in batch.texts for digest in text.digests}
        with self._env.read() as txn:
            if txn.get("roots", u32_key(batch.root_id)) is None:
                raise NoSuchRoot(f"root {batch.root_id} is not indexed (any more)")
            for upsert in batch.upserts:
                if upsert.digest in fresh:
                    continue
                prepared = brought.get(upsert.digest)
                if prepared is not None:
                    assert prepared.source.digest == upsert.digest, upsert.path
                    if catalog.known_blob(txn, upsert.digest, prepared.is_shallow) is None:
                        fresh[upsert.digest] = prepared
                elif upsert.digest not in in_texts and txn.get("digests", upsert.digest) is None:
                    raise StoreError(f"the content of {upsert.path!r} is neither stored nor in the batch")
        return fresh

    def _store(self, fresh: dict[bytes, PreparedFile], texts: list[TextSegment]) -> Stored:
        """Write vectors and segments, and complete those that workers have written."""
        stored = Stored(self._state.meta, self._segments_dir)
        try:
            with self._env.read() as txn:
                for text in texts:
                    stored.add_text(text, lambda digest: catalog.known_blob(txn, digest, True) is not None)
            if not fresh:
                return stored
            assert not texts, "a batch with segments of workers brings no other contents"
            rows = self._write_vectors(list(fresh.values()), stored)
            faults.point("after-vectors")
            docs: list[Doc] = []
            for (digest, prepared), own in zip(fresh.items(), rows, strict=True):
                docs.append((stored.next_blob, prepared, own))
                stored.blobs[digest] = (stored.next_blob, len(prepared.source.content), prepared.is_shallow)
            for part in cut(docs, self._settings.segment_docs_max, self._settings.segment_bytes_max):
                number = stored.next_segment
                stored.members.append(np.array([blob for blob, _, _ in part], np.uint32))
                stored.segments.append(write_segment(stored.path(number), number, part))
            faults.point("after-segment")
        except BaseException:
            self._withdraw(stored)
            raise
        return stored

    def _write_vectors(self, files: list[PreparedFile], stored: Stored) -> list[U32]:
        """Return the rows of each file's chunks; none for files without vectors."""
        with_vectors = [len(file.parsed.chunks) if file.vectors.shape[1] else 0 for file in files]
        total = sum(with_vectors)
        if self._pool is None or not total:
            return [np.empty(0, np.uint32)] * len(files)
        if any(generation > self._state.reclaimed for generation in self._state.freed):
            self.reclaim()
        stored.rows = rows = self._pool.alloc(total)
        vectors = [file.vectors for file, n in zip(files, with_vectors, strict=True) if n]
        self._pool.write(rows, np.concatenate(vectors))
        self._pool.flush()
        return np.split(rows, np.cumsum(with_vectors)[:-1])

    def _withdraw(self, stored: Stored) -> None:
        """Take back what a failed batch wrote."""
        if self._pool is not None and len(stored.rows):
            self._pool.release(stored.rows)
        stored.remove()

    def _publish(self, batch: Batch, stored: Stored) -> None:
        rows_end = int(stored.rows.max()) + 1 if len(stored.rows) else 0
        with self._publishing() as draft:
            meta = draft.meta
            draft.meta = msgspec.structs.replace(
                meta,
                next_blob=stored.next_blob,
                next_segment=stored.next_segment,
                pool_rows=max(meta.pool_rows, rows_end),
                bytes_added=meta.bytes_added + stored.nbytes,
                bytes_written=meta.bytes_written + sum(info.file_bytes for info in stored.segments),
            )
            ledger = Ledger(draft.txn, batch.root_id)
            stored.enter(ledger)
            for path in batch.removes:
                ledger.remove_file(path)
            for skipped in batch.skips:
                ledger.skip(skipped)
            used = {self._point(draft.txn, ledger, upsert, stored) for upsert in batch.upserts}
            for info, members in zip(stored.segments, stored.members, strict=True):
                draft.add_segment(SegmentRecord(info), members)
            turned = self._settle(draft, ledger)
            change = ledger.change()
            draft.change = msgspec.structs.replace(
                change, segments_added=[info.id for info in stored.segments]
            )
        self._note(turned)
        self._pinned -= used

    def _point(self, txn: Transaction, ledger: Ledger, upsert: Upsert, stored: Stored) -> int:
        """Point a path at its content; return the blob."""
        if upsert.digest in stored.blobs:
            blob_id = stored.blobs[upsert.digest][0]
        else:
            value = txn.get("digests", upsert.digest)
            assert value is not None, upsert.path
            blob_id = catalog.number_of(value)
        ledger.set_file(upsert.path, upsert.stat, upsert.digest, blob_id)
        return blob_id

    def _settle(self, draft: Draft, ledger: Ledger) -> Turned:
        turned = ledger.finish()
        draft.settle(turned, {blob: ledger.nbytes(blob) for blob in (*turned.died, *turned.revived)})
        return turned

    def _note(self, turned: Turned) -> None:
        """Keep track of what changed under a merge in progress."""
        self._died.update(turned.died)
        self._revived.difference_update(turned.died)
        self._revived.update(turned.revived)
        self._died.difference_update(turned.revived)

    # Merging and space

    def plan_merge(self, any_dead: bool = False, texts: bool = True, idle: bool = False) -> MergePlan | None:
        """Return the merge that is most worth it, None if nothing is.

        any_dead  also rewrite segments with little dead content, to get pool rows back
        texts     False: segments that hold text only are left alone unless they are dead or too many, for
                  their documents are about to be replaced
        idle      nothing else is to be done: segments need not wait for others of their size

        Carry it out with merge.run_merge, best in another process; batches may be applied meanwhile. Then
        call `commit_merge`. There is one plan at a time: an earlier one that was not committed is abandoned.
        """
        self.abandon_merge()
        sizes = [
            tiers.Size(
                each.info.id,
                each.info.counts.docs,
                each.dead_docs,
                each.info.content_bytes,
                each.dead_bytes,
                each.info.pages,
            )
            for each in self._state.records.values()
        ]
        if not texts:
            sizes = self._without_texts(sizes)
        limits = self._settings
        chosen = tiers.choose(
            sizes, limits.merge_fanout, limits.segment_docs_max, limits.segment_bytes_max, any_dead, idle
        )
        if not chosen:
            return None
        self._died.clear()
        self._revived.clear()
        with self._env.read() as txn:
            inputs = [self._merge_input(txn, segment_id) for segment_id in chosen]
        number = self._state.meta.next_segment
        self._state.meta = msgspec.structs.replace(self._state.meta, next_segment=number + 1)
        self._plan = MergePlan(number, str(self._path(number)), inputs)
        return self._plan

    def _without_texts(self, sizes: list[tiers.Size]) -> list[tiers.Size]:
        counts = {number: record.info.counts for number, record in self._state.records.items()}
        kept = [s for s in sizes if not s.live_docs or counts[s.segment_id].defs or counts[s.segment_id].refs]
        return sizes if len(sizes) - len(kept) > TEXTS_MAX else kept

    def _merge_input(self, txn: Transaction, segment_id: int) -> MergeInput:
        segment = self._open(segment_id)
        if not self._state.records[segment_id].dead_docs:
            return MergeInput(segment_id, str(segment.path), packed(np.ones(segment.n_docs, np.bool_)))
        blobs = segment.doc_blob.tolist()
        live = [self._refcount(txn, blob) > 0 for blob in blobs]
        promised = [i for i, blob in enumerate(blobs) if blob in self._pinned and not live[i]]
        self._died.update(blobs[i] for i in promised)  # dead, but kept
        kept = np.array(live, np.bool_)
        kept[promised] = True
        return MergeInput(segment_id, str(segment.path), packed(kept))

    def _refcount(self, txn: Transaction, blob_id: int) -> int:
        value = txn.get("blobs", u32_key(blob_id))
        if value is None:
            raise StoreCorrupt(f"blob {blob_id} is in a segment but has no record")
        return unpack(BlobRecord, value, f"blobs {blob_id}").refcount

    def commit_merge(self, plan: MergePlan, result: SegmentInfo | None) -> int:
        """Publish the outcome of a merge and return the generation.

        If content that the merge left out came back to life meanwhile, or an input was dropped, the merge is
        abandoned and the generation stays.
        """
        inputs = [each.segment_id for each in plan.inputs]
        if plan != self._plan or not all(each in self._state.records for each in inputs):
            return self._remove_merged(plan)
        merged = Merged.of(plan, result, self._segments_dir)
        if set(merged.dropped.tolist()) & (self._revived | self._pinned):
            return self.abandon_merge()
        with self._publishing("merge-before-commit") as draft:
            for blob in merged.dropped.tolist():
                opening.drop_blob(draft.txn, blob)
            for segment_id in inputs:
                draft.remove_segment(segment_id)
            if result is not None:
                self._add_merged(draft, result, merged.kept)
            draft.freed_rows = merged.freed_rows
            draft.change = Change(
                segments_removed=inputs, segments_added=[] if result is None else [result.id]
            )
        self._plan = None
        self._env.sync()  # from here on old files and rows are destroyed
        faults.point("merge-after-commit")
        if self._pool is not None:
            self._pool.free(merged.freed_rows, self.generation)
        self._remove_files(inputs)
        return self.generation

    def _add_merged(self, draft: Draft, result: SegmentInfo, kept: U32) -> None:
        dead = sorted(self._died.intersection(kept.tolist()))
        dead_bytes = 0
        for blob in dead:
            value = draft.txn.get("blobs", u32_key(blob))
            assert value is not None, blob
            dead_bytes += unpack(BlobRecord, value, f"blobs {blob}").nbytes
        draft.add_segment(SegmentRecord(result, len(dead), dead_bytes), kept)
        written = draft.meta.bytes_written + result.file_bytes
        draft.meta = msgspec.structs.replace(draft.meta, bytes_written=written)

    def abandon_merge(self) -> int:
        """Give up the merge in progress, if any, remove its file, return the generation."""
        plan, self._plan = self._plan, None
        return self.generation if plan is None else self._remove_merged(plan)

    def _remove_merged(self, plan: MergePlan) -> int:
        path = Path(plan.path)
        with contextlib.suppress(OSError):
            remove(path)
            remove(path.with_name(path.name + TEMPORARY))
        return self.generation

    def drop_segment(self, segment_id: int) -> int:
        """Forget a damaged segment and every path that points into it; the next scan indexes them anew."""
        rows = opening.drop_segment(
            self._env, self._state, self._segments_dir, segment_id, self._changes_kept
        )
        if self._pool is not None:
            self._pool.free(rows, self.generation)
        self._remove_files([segment_id])
        return self.generation

    def reclaim(self, oldest_generation: int | None = None) -> int:
        """Make freed pool rows usable again that no reader looks at any more; return how many.

        oldest_generation  None: ask the leases of the readers
        """
        if oldest_generation is None:
            oldest_generation = lease.oldest_generation(self._dir)
        oldest = self.generation if oldest_generation is None else min(oldest_generation, self.generation)
        n = self._pool.reclaim(oldest) if self._pool is not None else 0
        self._state.reclaimed = max(self._state.reclaimed, oldest)
        faults.point("reclaimed")
        return n

    @property
    def is_whole(self) -> bool:
        """Whether `restore_vectors` has nothing to do."""
        return self._lost is None

    @property
    def vectors_lost(self) -> int:
        """How many vectors `restore_vectors` has still to compute."""
        return 0 if self._lost is None else len(self._lost)

    def restore_vectors(self, embed: Embed) -> bool:
        """Compute some of the vectors that the pool has lost; whether more are to come. Raises StoreFull."""
        lost, pool = self._lost, self._pool
        if lost is None or pool is None:
            return False
        for segment_id in self._state.records:
            if not lost.is_whole(segment_id) and lost.restore(self._open(segment_id), pool.write, embed):
                return True
        pool.flush()
        self._lost = None
        pool_rows.bind(pool, self._env, self._state, vectors_lost=False)
        self._save_roots()
        return False

    def stats(self) -> StoreStats:
        """Return the figures for `status`; costs microseconds."""
        with self._env.read() as txn:
            return stats_of(txn, self._state)

    # Helpers

    def _start(self, fingerprint: str) -> None:
        """Load the state, and tell the pool which rows are in use and which ones readers may still see."""
        self._env.reader_check()
        self._state, problems = opening.load(self._env, self._dir, fingerprint, self._changes_kept)
        self.problems += problems
        if self._pool is not None:
            self._lost, problems = pool_rows.enter(
                self._pool, self._env, self._state, self._dir, fingerprint, self._changes_kept
            )
            self.problems += problems
        self._save_roots()
        self.reclaim()

    def _publishing(self, fault: str = "before-commit") -> contextlib.AbstractContextManager[Draft]:
        return publishing(self._env, self._state, self._changes_kept, fault)

    def _path(self, segment_id: int) -> Path:
        return self._segments_dir / segment_name(segment_id)

    def _open(self, segment_id: int) -> Segment:
        return recovery.open_segment(self._segments_dir, self._state.records[segment_id].info)

    def _remove_files(self, segment_ids: Iterable[int]) -> None:
        for segment_id in segment_ids:
            self.dispose(self._path(segment_id))

    def _save_roots(self) -> None:
        """Keep the list of roots a second time; if that fails, the index itself is none the worse."""
        roots = [recovery.SavedRoot(root.id, root.path, root.added_ns) for root in self.roots()]
        try:
            meta = self._state.meta
            pool = "" if meta.vectors_lost else meta.pool
            recovery.save_roots(self._dir, meta.fingerprint, roots, pool)
        except (StoreError, OSError) as error:
            self.problems.append(f"the copy of the list of roots is out of date: {error}")
