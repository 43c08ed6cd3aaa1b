"""fsck: every invariant of the index on disk, each in one sentence if it is broken.

Reads only; it may run beside the daemon. A merge that is published meanwhile takes files away, so a pass
that saw the generation change is made again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from config.errors import StoreCorrupt, StoreError
from indexer.records import FLAG_SHALLOW, U32
from indexer.store import catalog, recovery
from indexer.store.catalog import (
    BlobRecord,
    Change,
    FileRecord,
    Freed,
    Meta,
    Reason,
    RootRecord,
    SegmentRecord,
    SkipRecord,
    read_all,
    read_paths,
    unpack,
)
from indexer.store.check_segment import segment_problems
from indexer.store.disk import TEMPORARY
from indexer.store.env import Env, Transaction
from indexer.store.format import FORMAT_VERSION, segment_name
from indexer.store.segment import Segment

PASSES = 3


def fsck(store_dir: Path, deep: bool = False, quiet: bool = False) -> list[str]:
    """Return everything that is wrong with the index, in words; empty if all is well.

    deep   also compute trigrams again and compare
    quiet  no writer runs: then files that nobody names are problems too
    """
    try:
        env = Env.open(store_dir, writable=False)
    except FileNotFoundError:
        return [f"there is no index in {store_dir}"]
    except StoreError as error:
        return [str(error)]
    try:
        for _ in range(PASSES):
            check = _Check(store_dir, deep, quiet)
            with env.read() as txn:
                check.read(txn)
            check.run()
            with env.read() as txn:
                if check.broken or catalog.read_meta(txn).generation == check.meta.generation:
                    break
        return check.problems
    except StoreError as error:
        return [str(error)]
    finally:
        env.close()


class _Check:
    """The catalog, read once, and what was found."""

    def __init__(self, store_dir: Path, deep: bool, quiet: bool) -> None:
        self.problems: list[str] = []
        self.broken = False  # the catalog could not be read to its end
        self.meta = Meta()
        self._dir = store_dir
        self._deep = deep
        self._quiet = quiet
        self._roots: dict[int, RootRecord] = {}
        self._files: dict[int, list[tuple[bytes, FileRecord]]] = {}
        self._blobs: dict[int, BlobRecord] = {}
        self._digests: dict[bytes, int] = {}
        self._records: dict[int, SegmentRecord] = {}
        self._freed: dict[int, Freed] = {}
        self._changes: list[int] = []
        self._segments: dict[int, Segment] = {}

    def read(self, txn: Transaction) -> None:
        """Read and decode every record."""
        try:
            self.meta = catalog.read_meta(txn)
            self._roots = dict(read_all(txn, "roots", RootRecord))
            self._blobs = dict(read_all(txn, "blobs", BlobRecord))
            self._records = dict(read_all(txn, "segments", SegmentRecord))
            self._freed = dict(read_all(txn, "freed", Freed))
            self._changes = [generation for generation, _ in read_all(txn, "changes", Change)]
            self._digests = {digest: catalog.number_of(value) for digest, value in txn.items("digests")}
            for root_id in self._roots:
                self._files[root_id] = list(read_paths(txn, "files", FileRecord, root_id))
                list(read_paths(txn, "skipped", SkipRecord, root_id))
            for _, value in txn.items("quarantine"):
                unpack(Reason, value, "quarantine")
            n_files = txn.count("files")
        except StoreCorrupt as error:
            self.problems.append(str(error))
            self.broken = True
            return
        self._expect(
            n_files == sum(map(len, self._files.values())), "files has paths of roots that do not exist"
        )

    def run(self) -> None:
        """Compare the records with each other and with the segment files."""
        if self.broken:
            return
        self._check_meta()
        self._check_segments()
        self._check_blobs()
        self._check_files()
        self._check_rows()
        if self._quiet:
            self._check_orphans()

    def _expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def _check_meta(self) -> None:
        meta = self.meta
        self._expect(meta.format_version == FORMAT_VERSION, f"meta has format version {meta.format_version}")
        for name, following, used in (
            ("blob", meta.next_blob, self._blobs),
            ("segment", meta.next_segment, self._records),
            ("root", meta.next_root, self._roots),
        ):
            self._expect(following > max(used, default=0), f"the next {name} id {following} is in use")
        kept = self._changes
        whole = kept == list(range(meta.generation - len(kept) + 1, meta.generation + 1))
        self._expect(whole, "the list of changes has gaps or does not end with the generation")

    def _check_segments(self) -> None:
        for segment_id, record in self._records.items():
            try:
                segment = recovery.open_segment(self._dir / "segments", record.info)
            except StoreError as error:
                self.problems.append(str(error))
                continue
            self._segments[segment_id] = segment
            self.problems += segment_problems(segment, self._deep)
            self._expect(
                recovery.describe(segment) == record.info,
                f"the catalog describes segment {segment_id:08x} wrongly",
            )

    def _check_blobs(self) -> None:
        held: Counter[int] = Counter()
        for segment_id, segment in self._segments.items():
            blobs = segment.doc_blob.tolist()
            held.update(blobs)
            dead_docs = dead_bytes = 0
            for ordinal, blob_id in enumerate(blobs):
                blob = self._blobs.get(blob_id)
                if blob is None:
                    self.problems.append(f"blob {blob_id} of segment {segment_id:08x} has no record")
                    continue
                self._expect(
                    blob.digest == segment.digest[ordinal].tobytes(), f"blob {blob_id} has two digests"
                )
                self._expect(blob.nbytes == int(segment.doc_len[ordinal]), f"blob {blob_id} has two lengths")
                is_shallow = bool(segment.flags[ordinal] & FLAG_SHALLOW)
                self._expect(blob.shallow == is_shallow, f"blob {blob_id} is shallow in one place only")
                dead_docs += not blob.refcount
                dead_bytes += 0 if blob.refcount else blob.nbytes
            record = self._records[segment_id]
            self._expect(
                (record.dead_docs, record.dead_bytes) == (dead_docs, dead_bytes),
                f"segment {segment_id:08x} counts {record.dead_docs} dead documents, found {dead_docs}",
            )
        if len(self._segments) == len(self._records):
            for blob_id in self._blobs:
                self._expect(held[blob_id] == 1, f"blob {blob_id} is in {held[blob_id]} segments")
        for digest, blob_id in self._digests.items():
            blob = self._blobs.get(blob_id)
            self._expect(blob is not None and blob.digest == digest, f"a digest points at blob {blob_id}")

    def _check_files(self) -> None:
        counts: Counter[int] = Counter()
        for root_id, files in self._files.items():
            nbytes = shallow = 0
            for path, record in files:
                counts[record.blob_id] += 1
                blob = self._blobs.get(record.blob_id)
                if blob is None or blob.digest != record.digest:
                    self.problems.append(
                        f"{path!r} points at blob {record.blob_id}, which is not its content"
                    )
                    continue
                nbytes, shallow = nbytes + blob.nbytes, shallow + blob.shallow
            root = self._roots[root_id]
            self._expect(
                root.shallow == shallow,
                f"root {root_id} counts {root.shallow} shallow files, found {shallow}",
            )
            self._expect(
                (root.files, root.bytes) == (len(files), nbytes),
                f"root {root_id} counts {root.files} files, {root.bytes} bytes; found {len(files)}, {nbytes}",
            )
        for blob_id, blob in self._blobs.items():
            self._expect(
                blob.refcount == counts[blob_id],
                f"blob {blob_id} counts {blob.refcount} paths, found {counts[blob_id]}",
            )

    def _check_rows(self) -> None:
        used: defaultdict[str, list[U32]] = defaultdict(list)
        for segment in self._segments.values():
            used["chunks"].append(recovery.used_rows(segment))
        for record in self._freed.values():
            used["freed"].append(np.frombuffer(record.rows, "<u4"))
        chunks, freed = (
            np.concatenate([np.empty(0, np.uint32), *used[name]]) for name in ("chunks", "freed")
        )
        self._expect(len(np.unique(chunks)) == len(chunks), "two chunks have the same pool row")
        self._expect(not np.isin(freed, chunks).any(), "a freed pool row is in use")
        highest = int(chunks.max()) if len(chunks) else -1
        self._expect(highest < self.meta.pool_rows, f"pool row {highest} is beyond {self.meta.pool_rows}")

    def _check_orphans(self) -> None:
        names = {segment_name(segment_id) for segment_id in self._records}
        for path in sorted((self._dir / "segments").iterdir()):
            kind = "temporary file" if path.name.endswith(TEMPORARY) else "segment"
            self._expect(path.name in names, f"{kind} {path.name} belongs to no generation")
