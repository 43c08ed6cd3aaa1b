"""LMDB: environments, transactions, error names. The door of LMDB.

One environment per process and file, however often it is asked for: LMDB's file locks break when a process
opens the same file twice. Choices, with their reasons:

    map_size huge, never resized   resizing closes every open read transaction of the process
    metasync=False                 0.16 instead of 0.32 ms a commit; a power cut may undo the last commit
                                   whole, which `sync` prevents where something depends on it (see writer.py)
    never writemap                 a full disk would be SIGBUS, a stray pointer a damaged file
    lib_version given              py-lmdb 3 carries two engines with different formats; 0.9 is the one whose
                                   readers and writers were measured
    reads are short                a reader that stays open keeps old pages from being used again
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from config.errors import StoreCorrupt, StoreError, StoreFull

TABLES = (
    "meta",
    "roots",
    "files",
    "skipped",
    "blobs",
    "digests",
    "segments",
    "quarantine",
    "forgotten",
    "freed",
    "changes",
)
KEY_BYTES_MAX = 500  # LMDB 0.9 takes 511

_ENGINE = 0  # LMDB 0.9
_READERS_MAX = 1024
_CORRUPT = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
    lmdb.PanicError,
    lmdb.BadDbiError,
)

Key = tuple[Path, int]  # of a directory and the inode of its file: a damaged one is moved and made anew

_opened: dict[Key, tuple[lmdb.Environment, int, bool]] = {}


class Transaction:
    """Reads and, if writable, writes of one transaction. Values are copies and outlive it."""

    def __init__(self, txn: Any, tables: dict[str, Any]) -> None:
        """Wrap a transaction; use Env.read and Env.write."""
        self._txn = txn
        self._tables = tables

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return a value or None."""
        value: bytes | None = self._txn.get(key, db=self._tables[table])
        return value

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Store a value."""
        self._txn.put(key, value, db=self._tables[table])

    def delete(self, table: str, key: bytes) -> bool:
        """Remove a key; False if it was absent."""
        return bool(self._txn.delete(key, db=self._tables[table]))

    def count(self, table: str) -> int:
        """Return the number of keys."""
        return int(self._txn.stat(self._tables[table])["entries"])

    def items(self, table: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield keys with the prefix and their values, ascending. Do not write to the table meanwhile."""
        cursor = self._txn.cursor(self._tables[table])
        if not (cursor.set_range(prefix) if prefix else cursor.first()):
            return
        if not prefix:
            yield from cursor.iternext()
            return
        for key, value in cursor.iternext():
            if not key.startswith(prefix):
                return
            yield key, value

    def clear(self, table: str) -> None:
        """Remove every key."""
        self._txn.drop(self._tables[table], delete=False)


class Env:
    """An open catalog file. Closing the last Env of a path closes the file."""

    def __init__(self, key: Key, environment: lmdb.Environment, tables: dict[str, Any]) -> None:
        """Use `open`."""
        self._key = key
        self._environment = environment
        self._tables = tables

    @classmethod
    def open(
        cls, store_dir: Path, *, map_gib: int = 64, writable: bool, tables: tuple[str, ...] = TABLES
    ) -> Env:
        """Open a store's catalog; a writer creates it. Raises FileNotFoundError, StoreCorrupt, StoreFull."""
        directory = store_dir / "catalog"
        if writable:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not (directory / "data.mdb").exists():
            raise FileNotFoundError(directory / "data.mdb")
        path = directory.resolve()
        with _translated(f"opening the catalog {directory}"):
            environment, key = _shared(path, map_gib, writable, len(tables))
            try:
                opened = _open_tables(environment, writable, tables)
            except BaseException:
                _release(key)
                raise
        return cls(key, environment, opened)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent view of the newest commit. Keep it under a second."""
        with _translated("reading the catalog"), self._environment.begin(buffers=False) as txn:
            yield Transaction(txn, self._tables)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is committed when the block ends and undone when it raises."""
        with _translated("writing the catalog"), self._environment.begin(write=True) as txn:
            yield Transaction(txn, self._tables)

    def sync(self) -> None:
        """Make the last commit survive a power cut for certain."""
        with _translated("flushing the catalog"):
            self._environment.sync(True)

    def reader_check(self) -> int:
        """Forget read transactions of processes that died; return how many there were."""
        with _translated("checking readers of the catalog"):
            return int(self._environment.reader_check())

    @property
    def is_replaced(self) -> bool:
        """Whether the file under this path is another one by now: the catalog was damaged and made anew."""
        return _inode(self._key[0]) != self._key[1]

    def close(self) -> None:
        """Let go; the environment closes with its last user in this process."""
        _release(self._key)


def _inode(path: Path) -> int:
    try:
        return (path / "data.mdb").stat().st_ino
    except FileNotFoundError:
        return 0


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (lmdb.MapFullError, lmdb.TxnFullError) as error:
        raise StoreFull(f"the catalog is full ({error}); raise store.map_gib") from error
    except lmdb.DiskError as error:
        raise StoreFull(f"no room while {doing}: {error}; free disk space") from error
    except _CORRUPT as error:
        raise StoreCorrupt(f"the catalog is damaged: {doing}: {error}") from error
    except lmdb.Error as error:
        if "No space left" in str(error) or "File too large" in str(error) or "quota" in str(error):
            raise StoreFull(f"no room while {doing}: {error}; free disk space") from error
        raise StoreError(f"{doing}: {error}") from error


def _shared(path: Path, map_gib: int, writable: bool, n_tables: int) -> tuple[lmdb.Environment, Key]:
    key = (path, _inode(path))
    known = _opened.get(key)
    if known is not None:
        environment, users, can_write = known
        if writable and not can_write:
            raise StoreError(f"this process reads {path} already; open the writer first")
        _opened[key] = (environment, users + 1, can_write)
        return environment, key
    options: dict[str, Any] = {"lib_version": _ENGINE} if not key[1] else {}
    environment = lmdb.open(
        str(path),
        map_size=map_gib << 30,
        readonly=not writable,
        metasync=False,
        max_readers=_READERS_MAX,
        max_dbs=n_tables,
        mode=0o600,
        **options,
    )
    key = (path, _inode(path))
    _opened[key] = (environment, 1, writable)
    return environment, key


def _release(key: Key) -> None:
    known = _opened.get(key)
    if known is None:
        return
    environment, users, can_write = known
    if users > 1:
        _opened[key] = (environment, users - 1, can_write)
    else:
        del _opened[key]
        environment.close()


def _open_tables(environment: lmdb.Environment, writable: bool, tables: tuple[str, ...]) -> dict[str, Any]:
    try:
        return {name: environment.open_db(name.encode(), create=writable) for name in tables}
    except (lmdb.NotFoundError, lmdb.ReadonlyError) as error:
        raise StoreCorrupt(f"the catalog lacks a table: {error}") from error
