"""The bookkeeping of one write transaction: paths, blobs and their reference counts.

A `Ledger` lives as long as its transaction. It keeps what it changed in memory and writes every record
once, in `finish`; what it learned (which blobs died, which came back to life) is for the writer, which
knows in which segments they are.
"""

from __future__ import annotations

import dataclasses

import msgspec

from config.errors import NoSuchRoot, StoreCorrupt
from indexer.records import Skipped, Stat
from indexer.store.catalog import (
    BlobRecord,
    Change,
    FileChanged,
    FileRecord,
    RootRecord,
    SkipRecord,
    pack,
    path_key,
    u32_key,
    unpack,
)
from indexer.store.env import Transaction

CHANGED_PATHS_MAX = 8192  # paths listed in one change; beyond it a reader reads the root again


@dataclasses.dataclass(slots=True)
class Turned:
    """Blobs whose last path went away, and dead ones that a path points to again."""

    died: list[int]
    revived: list[int]


class Ledger:
    """Changes of one root in one transaction."""

    def __init__(self, txn: Transaction, root_id: int) -> None:
        """Start for a root. Raises NoSuchRoot."""
        self._txn = txn
        value = txn.get("roots", u32_key(root_id))
        if value is None:
            raise NoSuchRoot(f"root {root_id} is not indexed (any more)")
        self.root = unpack(RootRecord, value, f"roots {root_id}")
        self._blobs: dict[int, BlobRecord] = {}
        self._alive_before: dict[int, bool] = {}
        self._changed: dict[bytes, FileChanged | None] = {}  # None: removed

    def add_blob(self, blob_id: int, digest: bytes, nbytes: int, shallow: bool = False) -> None:
        """Enter a new blob; paths are pointed at it afterwards."""
        self._blobs[blob_id] = BlobRecord(digest, 0, nbytes, shallow)
        self._alive_before[blob_id] = True
        self._txn.put("digests", digest, u32_key(blob_id))
        self._txn.delete("forgotten", digest)

    def add_dead_blob(self, blob_id: int, digest: bytes, nbytes: int) -> None:
        """Enter the shallow content of a document that another blob has already; no path will point at it."""
        self._blobs[blob_id] = BlobRecord(digest, 0, nbytes, shallow=True)
        self._alive_before[blob_id] = True

    def set_file(self, path: bytes, stat: Stat, digest: bytes, blob_id: int) -> None:
        """Point a path at a blob."""
        key, carried = path_key(self.root.id, path)
        before = self._file(key)
        blob = self._blob(blob_id)
        if before is not None and before.blob_id != blob_id:
            self._count(before.blob_id, -1)
        if before is None or before.blob_id != blob_id:
            self._count(blob_id, +1)
        if before is not None:
            self._tally(-1, self._blob(before.blob_id))
        self._tally(+1, blob)
        record = FileRecord(stat.size, stat.mtime_ns, stat.inode, blob_id, digest, carried)
        self._txn.put("files", key, pack(record))
        self._txn.delete("skipped", key)
        self._changed[path] = FileChanged(path, stat.size, stat.mtime_ns, blob_id)

    def remove_file(self, path: bytes) -> None:
        """Forget a path, indexed or skipped; an unknown one is no error."""
        key, _ = path_key(self.root.id, path)
        before = self._file(key)
        self._txn.delete("skipped", key)
        if before is None:
            return
        self._count(before.blob_id, -1)
        self._tally(-1, self._blob(before.blob_id))
        self._txn.delete("files", key)
        self._changed[path] = None

    def skip(self, skipped: Skipped) -> None:
        """Note that a path is not indexed, and why."""
        self.remove_file(skipped.path)
        key, carried = path_key(self.root.id, skipped.path)
        stat = skipped.stat or Stat(-1, 0, 0)
        record = SkipRecord(skipped.reason, skipped.detail, stat.size, stat.mtime_ns, stat.inode, carried)
        self._txn.put("skipped", key, pack(record))

    def finish(self) -> Turned:
        """Write the blobs and the root; return which blobs died and which were revived."""
        turned = Turned([], [])
        for blob_id, blob in self._blobs.items():
            self._txn.put("blobs", u32_key(blob_id), pack(blob))
            alive = self._alive_before[blob_id]
            if alive and not blob.refcount:
                turned.died.append(blob_id)
            elif not alive and blob.refcount:
                turned.revived.append(blob_id)
        self._txn.put("roots", u32_key(self.root.id), pack(self.root))
        return turned

    def change(self) -> Change:
        """Return what readers must know."""
        if len(self._changed) > CHANGED_PATHS_MAX:
            return Change(root_id=self.root.id, everything=True)
        return Change(
            root_id=self.root.id,
            files=[change for change in self._changed.values() if change is not None],
            removed=[path for path, change in self._changed.items() if change is None],
        )

    def nbytes(self, blob_id: int) -> int:
        """Return the content bytes of a blob that this ledger touched."""
        return self._blob(blob_id).nbytes

    def _file(self, key: bytes) -> FileRecord | None:
        value = self._txn.get("files", key)
        return None if value is None else unpack(FileRecord, value, f"files {key!r}")

    def _blob(self, blob_id: int) -> BlobRecord:
        blob = self._blobs.get(blob_id)
        if blob is None:
            value = self._txn.get("blobs", u32_key(blob_id))
            if value is None:
                raise StoreCorrupt(f"blob {blob_id} has paths but no record")
            blob = self._blobs[blob_id] = unpack(BlobRecord, value, f"blobs {blob_id}")
            self._alive_before[blob_id] = blob.refcount > 0
        return blob

    def _count(self, blob_id: int, step: int) -> None:
        blob = self._blob(blob_id)
        assert blob.refcount + step >= 0, (blob_id, blob.refcount, step)
        self._blobs[blob_id] = msgspec.structs.replace(blob, refcount=blob.refcount + step)

    def _tally(self, step: int, blob: BlobRecord) -> None:
        """Count a file with this content in or out of the root."""
        root = self.root
        self.root = msgspec.structs.replace(
            root,
            files=root.files + step,
            bytes=root.bytes + step * blob.nbytes,
            shallow=root.shallow + step * blob.shallow,
        )
