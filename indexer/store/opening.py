"""From what lies on disk to the writer's picture of it: load, or make anew, and leave out what is damaged."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import numpy as np

from config.errors import StoreCorrupt, StoreVersion
from indexer.records import FLAG_SHALLOW, U32
from indexer.store import catalog, lease, recovery
from indexer.store.catalog import (
    BlobRecord,
    Change,
    FileRecord,
    Meta,
    RootRecord,
    SegmentRecord,
    pack,
    read_all,
    u32_key,
    unpack,
)
from indexer.store.draft import Draft, State, publishing
from indexer.store.env import Env, Transaction
from indexer.store.format import FORMAT_VERSION


def load(env: Env, store_dir: Path, fingerprint: str, changes_kept: int) -> tuple[State, list[str]]:
    """Return the state of the newest generation, and in words what had to be repaired.

    Raises StoreCorrupt if the catalog is damaged, StoreVersion, StoreFull.
    """
    state, problems = State(), []
    segments_dir = store_dir / "segments"
    with env.read() as txn:
        is_new = txn.get("meta", catalog.META_KEY) is None
    if is_new:
        _create(env, state, store_dir, fingerprint, changes_kept)
    else:
        damaged = _read(env, state, segments_dir)
        for segment_id, reason in damaged.items():
            problems.append(f"{reason}; its files are indexed anew")
            drop_segment(env, state, segments_dir, segment_id, changes_kept)
    if state.meta.fingerprint != fingerprint:
        problems.append("the embedding model changed; everything is indexed anew")
        wipe(env, state, fingerprint, changes_kept)
    orphans = recovery.remove_orphans(segments_dir, set(state.records))
    if orphans:
        problems.append(f"removed {len(orphans)} files of a batch that was not published")
    return state, problems


def drop_segment(env: Env, state: State, segments_dir: Path, segment_id: int, changes_kept: int) -> U32:
    """Forget a segment, its blobs and the paths that point at them; return the pool rows that became free.

    A segment that cannot be read does not say what it held: it held what no other segment holds.
    """
    others = [members for number, members in state.members.items() if number != segment_id]
    kept = np.concatenate([np.empty(0, np.uint32), *others])
    rows = np.empty(0, np.uint32)
    with contextlib.suppress(StoreCorrupt):
        rows = recovery.used_rows(recovery.open_segment(segments_dir, state.records[segment_id].info))
    with publishing(env, state, changes_kept) as draft:
        blobs = np.array([catalog.number_of(key) for key, _ in draft.txn.items("blobs")], np.uint32)
        lost = set(np.setdiff1d(blobs, kept).tolist())
        _drop_paths(draft.txn, lost)
        for blob in lost:
            drop_blob(draft.txn, blob)
        draft.remove_segment(segment_id)
        draft.freed_rows = rows
        draft.change = Change(everything=True, segments_removed=[segment_id])
    env.sync()
    return rows


def drop_blob(txn: Transaction, blob_id: int) -> None:
    """Remove the records of a blob that no path points at."""
    key = u32_key(blob_id)
    value = txn.get("blobs", key)
    if value is None:
        return
    digest = unpack(BlobRecord, value, f"blobs {blob_id}").digest
    txn.delete("blobs", key)
    if txn.get("digests", digest) == key:
        txn.delete("digests", digest)
        txn.delete("forgotten", digest)


def _drop_paths(txn: Transaction, blobs: set[int]) -> None:
    for _, root in list(read_all(txn, "roots", RootRecord)):
        files = list(catalog.read_paths(txn, "files", FileRecord, root.id))
        doomed = [(path, record) for path, record in files if record.blob_id in blobs]
        nbytes = shallow = 0
        for path, record in doomed:
            txn.delete("files", catalog.path_key(root.id, path)[0])
            value = txn.get("blobs", u32_key(record.blob_id))
            if value is not None:
                blob = unpack(BlobRecord, value, f"blobs {record.blob_id}")
                nbytes, shallow = nbytes + blob.nbytes, shallow + blob.shallow
        left = msgspec.structs.replace(
            root, files=root.files - len(doomed), bytes=root.bytes - nbytes, shallow=root.shallow - shallow
        )
        txn.put("roots", u32_key(root.id), pack(left))


def _read(env: Env, state: State, segments_dir: Path) -> dict[int, str]:
    """Fill the state from the catalog, checking every record; return the segments that cannot be opened."""
    with env.read() as txn:
        state.meta = catalog.read_meta(txn)
        if state.meta.format_version != FORMAT_VERSION:
            raise StoreVersion(f"the catalog has format version {state.meta.format_version}")
        catalog.check_sums(txn)
        state.records = dict(read_all(txn, "segments", SegmentRecord))
        state.freed = [catalog.number_of(key) for key, _ in txn.items("freed")]
        for generation, change in read_all(txn, "changes", Change):
            state.changes.append((generation, len(change.files) + len(change.removed)))
    damaged: dict[int, str] = {}
    for segment_id, record in state.records.items():
        try:
            segment = recovery.open_segment(segments_dir, record.info)
            state.members[segment_id] = np.sort(segment.doc_blob)
        except StoreCorrupt as error:
            damaged[segment_id] = str(error)
    return damaged


def _create(env: Env, state: State, store_dir: Path, fingerprint: str, changes_kept: int) -> None:
    """Make the first generation, from what is left of an index whose catalog was lost, if anything is."""
    saved = recovery.saved_roots(store_dir)
    # Readers may still look at generations of the lost catalog; ours begin above them.
    state.meta = Meta(generation=max(lease.generations(store_dir), default=0))
    with publishing(env, state, changes_kept) as draft:
        next_root = 1
        for root in saved.roots if saved is not None else ():
            draft.txn.put("roots", u32_key(root.id), pack(RootRecord(root.id, root.path, root.added_ns)))
            next_root = max(next_root, root.id + 1)
        draft.meta = msgspec.structs.replace(draft.meta, fingerprint=fingerprint, next_root=next_root)
        if saved is not None and saved.fingerprint == fingerprint:
            draft.meta = msgspec.structs.replace(draft.meta, pool=saved.pool)
            _adopt(draft, store_dir / "segments")
        draft.change = Change(everything=True)


def _adopt(draft: Draft, segments_dir: Path) -> None:
    """Enter segments that are still there; all their content is dead until a scan finds its paths."""
    for segment in recovery.adoptable(segments_dir):
        info = recovery.describe(segment)
        digests = [digest.tobytes() for digest in segment.digest]
        shallow = (segment.flags & FLAG_SHALLOW != 0).tolist()
        for blob, digest, nbytes, is_shallow in zip(
            segment.doc_blob.tolist(), digests, segment.doc_len.tolist(), shallow, strict=True
        ):
            draft.txn.put("blobs", u32_key(blob), pack(BlobRecord(digest, 0, nbytes, is_shallow)))
            if not is_shallow or draft.txn.get("digests", digest) is None:
                draft.txn.put("digests", digest, u32_key(blob))
        draft.add_segment(SegmentRecord(info, info.counts.docs, info.content_bytes), segment.doc_blob)
        rows, meta = recovery.used_rows(segment), draft.meta
        draft.meta = msgspec.structs.replace(
            meta,
            next_blob=max(meta.next_blob, int(segment.doc_blob.max()) + 1),
            next_segment=max(meta.next_segment, segment.id + 1),
            pool_rows=max(meta.pool_rows, int(rows.max()) + 1 if len(rows) else 0),
            bytes_added=meta.bytes_added + info.content_bytes,
            bytes_written=meta.bytes_written + info.file_bytes,
        )


def wipe(env: Env, state: State, fingerprint: str, changes_kept: int) -> None:
    """Forget all content; keep roots, skipped paths and quarantine."""
    with publishing(env, state, changes_kept) as draft:
        for table in ("files", "blobs", "digests", "segments", "forgotten", "freed"):
            draft.txn.clear(table)
        for _, root in list(read_all(draft.txn, "roots", RootRecord)):
            empty = msgspec.structs.replace(root, files=0, bytes=0, shallow=0, complete=False)
            draft.txn.put("roots", u32_key(root.id), pack(empty))
        for segment_id in state.records:
            draft.remove_segment(segment_id)
        draft.meta = msgspec.structs.replace(draft.meta, fingerprint=fingerprint, pool_rows=0)
        draft.change = Change(everything=True)
    state.freed = []
    env.sync()
