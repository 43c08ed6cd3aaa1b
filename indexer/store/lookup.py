"""Questions to the catalog from beside the writer: single digests and paths, or all paths of a root.

Read only, one short transaction per question. A parse worker asks whether content is known, so that a moved
file, a second worktree or a branch switched back is not parsed again; the service asks for paths when it
looks at hints. The answer may be out of date when it is used: the writer checks again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from indexer.records import FileChange
from indexer.store.catalog import (
    BlobRecord,
    FileRecord,
    Reason,
    RootRecord,
    SkipRecord,
    known_blob,
    path_key,
    read_all,
    read_paths,
    u32_key,
    unpack,
)
from indexer.store.env import Env

R = TypeVar("R", bound=FileRecord | SkipRecord)


class Lookup:
    """An open catalog, for questions."""

    def __init__(self, store_dir: Path) -> None:
        """Raises FileNotFoundError if there is no catalog yet: the writer makes it first."""
        self._env = Env.open(store_dir, writable=False)

    def known(self, digest: bytes, shallow: bool = False) -> bool:
        """Whether the store has a blob of this content and it is not to be made anew."""
        with self._env.read() as txn:
            return known_blob(txn, digest, shallow) is not None

    def known_texts(self, digests: Iterable[bytes]) -> set[bytes]:
        """Which of these contents the store has, if only as text, and not to be made anew."""
        with self._env.read() as txn:
            return {digest for digest in digests if known_blob(txn, digest, shallow=True) is not None}

    def quarantined(self, digest: bytes) -> str | None:
        """Why this content is not parsed; None if it may be."""
        with self._env.read() as txn:
            value = txn.get("quarantine", digest)
        return None if value is None else unpack(Reason, value, "quarantine").reason

    def files(self, root_id: int) -> Mapping[bytes, FileRecord]:
        """What is indexed of a root; read when it is asked for."""
        return _Paths(self._env, "files", FileRecord, root_id)

    def skipped(self, root_id: int) -> Mapping[bytes, SkipRecord]:
        """What is not indexed of a root, and why; read when it is asked for."""
        return _Paths(self._env, "skipped", SkipRecord, root_id)

    def all_files(self, root_id: int) -> dict[bytes, FileRecord]:
        """What is indexed of a root, at one moment; 80,000 paths in about 0.15 s."""
        with self._env.read() as txn:
            return dict(read_paths(txn, "files", FileRecord, root_id))

    def all_skipped(self, root_id: int) -> dict[bytes, SkipRecord]:
        """What is not indexed of a root, at one moment."""
        with self._env.read() as txn:
            return dict(read_paths(txn, "skipped", SkipRecord, root_id))

    def root(self, root_id: int) -> RootRecord | None:
        """The record of a root; None if it is not indexed."""
        with self._env.read() as txn:
            value = txn.get("roots", u32_key(root_id))
        return None if value is None else unpack(RootRecord, value, f"roots {root_id}")

    def shallow_files(self, root_id: int) -> list[FileChange]:
        """The files of a root whose blobs are shallow, to be looked at again; 80,000 take about 0.3 s."""
        with self._env.read() as txn:
            blobs = {blob_id for blob_id, blob in read_all(txn, "blobs", BlobRecord) if blob.shallow}
            if not blobs:
                return []
            files = read_paths(txn, "files", FileRecord, root_id)
            return [FileChange(path, record.stat) for path, record in files if record.blob_id in blobs]

    def close(self) -> None:
        """Let go of the catalog."""
        self._env.close()


class _Paths(Mapping[bytes, R]):
    """One table of one root; each look-up is a transaction of its own."""

    def __init__(self, env: Env, table: str, kind: type[R], root_id: int) -> None:
        self._env = env
        self._table = table
        self._kind: type[R] = kind
        self._root_id = root_id

    def __getitem__(self, path: bytes) -> R:
        with self._env.read() as txn:
            value = txn.get(self._table, path_key(self._root_id, path)[0])
        if value is None:
            raise KeyError(path)
        return unpack(self._kind, value, f"{self._table} {path!r}")

    def __iter__(self) -> Iterator[bytes]:
        with self._env.read() as txn:
            return iter([path for path, _ in read_paths(txn, self._table, self._kind, self._root_id)])

    def __len__(self) -> int:
        return sum(1 for _ in self)
