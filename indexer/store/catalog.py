"""What the catalog records, and how: keys, values, checksums.

    table       key                            value
    meta        "meta"                         Meta
    roots       root id u32                    RootRecord
    files       root id u32, path              FileRecord
    skipped     root id u32, path              SkipRecord
    blobs       blob id u32                    BlobRecord
    digests     digest                         blob id u32
    segments    segment id u32                 SegmentRecord
    quarantine  digest                         Reason: content that crashed a parser
    forgotten   digest                         nothing: to be prepared anew although it is stored
    freed       generation u64                 Freed: pool rows that readers before it may still look at
    changes     generation u64                 Change: what it did, so that a reader can follow step by step

Numbers in keys are big-endian, so that they sort. A path too long for a key is replaced by "/" and its hash
(no path starts with "/"), and the record carries the path. A value is the crc32 of the rest, then
MessagePack.

Which segment holds a blob is not recorded here: the segment says it itself (doc_blob). So publishing a
merge of 60,000 documents writes a handful of records.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from typing import TypeVar

import msgspec

from config.errors import StoreCorrupt
from indexer.records import Stat
from indexer.store.env import KEY_BYTES_MAX, Transaction
from indexer.store.format import FORMAT_VERSION, SegmentInfo

_CRC = struct.Struct("<I")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")

META_KEY = b"meta"


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """One record about the whole index."""

    format_version: int = FORMAT_VERSION
    generation: int = 0
    next_blob: int = 1
    next_segment: int = 1
    next_root: int = 1
    fingerprint: str = ""  # of the embedding model whose rows the segments name
    pool: str = ""  # identity of the pool that those rows are in
    vectors_lost: bool = False  # not all rows of it have their vectors: they are being computed again
    pool_rows: int = 0  # no chunk refers to a row from here on
    bytes_added: int = 0  # content that was ever stored, and
    bytes_written: int = 0  # segment files ever written for it: the write amplification


class RootRecord(msgspec.Struct, frozen=True):
    """A source tree."""

    id: int
    path: str
    added_ns: int
    files: int = 0
    bytes: int = 0
    complete: bool = False  # every file was in the index at least once, if only as text
    limits: str = ""  # by which its files were judged (source.Limits.mark); others: judge them anew
    shallow: int = 0  # of `files`, those with a shallow blob


class FileRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A path of a root: what stat said when it was read, and its content."""

    size: int
    mtime_ns: int
    inode: int
    blob_id: int
    digest: bytes
    path: bytes = b""  # only if the key holds a hash

    @property
    def stat(self) -> Stat:
        """What stat said."""
        return Stat(self.size, self.mtime_ns, self.inode)


class SkipRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A path of a root that is not indexed, and why."""

    reason: str
    detail: str
    size: int
    mtime_ns: int
    inode: int
    path: bytes = b""

    @property
    def stat(self) -> Stat | None:
        """What stat said; None if it could not be asked."""
        return None if self.size < 0 else Stat(self.size, self.mtime_ns, self.inode)


class BlobRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A content, and how many paths have it; at 0 it is dead and stays until a merge leaves it out.

    A shallow one has its text only. Another blob with all of the same content takes its place in `digests`,
    and its paths one by one.
    """

    digest: bytes
    refcount: int
    nbytes: int
    shallow: bool = False


class SegmentRecord(msgspec.Struct, frozen=True, array_like=True):
    """A live segment and how much of it is dead."""

    info: SegmentInfo
    dead_docs: int = 0
    dead_bytes: int = 0


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """Why a content is not parsed."""

    reason: str


class Freed(msgspec.Struct, frozen=True, array_like=True):
    """Pool rows, u32 little-endian."""

    rows: bytes


class FileChanged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A path's new state."""

    path: bytes
    size: int
    mtime_ns: int
    blob_id: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one generation changed."""

    root_id: int = 0
    files: list[FileChanged] = []
    removed: list[bytes] = []
    segments_added: list[int] = []
    segments_removed: list[int] = []
    everything: bool = False  # too much to list: read it all again


Record = TypeVar("Record", bound=msgspec.Struct)

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[object]] = {}


def pack(record: msgspec.Struct) -> bytes:
    """Return a record with its checksum."""
    body = _encoder.encode(record)
    return _CRC.pack(zlib.crc32(body)) + body


def unpack(kind: type[Record], value: bytes, what: str) -> Record:
    """Return the record. Raises StoreCorrupt, naming `what`, if the checksum or the shape is wrong."""
    body = memoryview(value)[4:]
    if len(value) < 4 or zlib.crc32(body) != _CRC.unpack_from(value)[0]:
        raise StoreCorrupt(f"catalog record {what} does not match its checksum")
    try:
        return _decoder(kind).decode(body)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"catalog record {what} cannot be read: {error}") from error


def _decoder(kind: type[Record]) -> msgspec.msgpack.Decoder[Record]:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    return decoder  # type: ignore[return-value]


def u32_key(number: int) -> bytes:
    """Return the key of an id."""
    return _U32.pack(number)


def u64_key(number: int) -> bytes:
    """Return the key of a generation."""
    return _U64.pack(number)


def number_of(key: bytes) -> int:
    """Return the id or generation of a key."""
    return int.from_bytes(key, "big")


def path_key(root_id: int, path: bytes) -> tuple[bytes, bytes]:
    """Return the key of a path and what its record must carry as `path`."""
    if len(path) + _U32.size <= KEY_BYTES_MAX:
        return _U32.pack(root_id) + path, b""
    return _U32.pack(root_id) + b"/" + blake2b(path, digest_size=32).digest(), path


def read_meta(txn: Transaction) -> Meta:
    """Return the record about the whole index. Raises StoreCorrupt."""
    value = txn.get("meta", META_KEY)
    if value is None:
        raise StoreCorrupt("the catalog has no meta record")
    return unpack(Meta, value, "meta")


def read_all(txn: Transaction, table: str, kind: type[Record]) -> Iterator[tuple[int, Record]]:
    """Yield the records of a table whose keys are numbers."""
    for key, value in txn.items(table):
        yield number_of(key), unpack(kind, value, f"{table} {number_of(key)}")


def read_paths(
    txn: Transaction, table: str, kind: type[Record], root_id: int
) -> Iterator[tuple[bytes, Record]]:
    """Yield the paths of a root and their records, in order of the keys.

    80,000 records take about 0.12 s; the loop is written out because it is the start-up time of a reader.
    """
    decode, crc32, crc_of = _decoder(kind).decode, zlib.crc32, _CRC.unpack_from
    for key, value in txn.items(table, _U32.pack(root_id)):
        body = value[4:]
        if crc32(body) != crc_of(value)[0]:
            raise StoreCorrupt(f"catalog record {table} {key!r} does not match its checksum")
        record = decode(body)
        yield (key[4:] if key[4:5] != b"/" else record.path), record  # type: ignore[attr-defined]


def known_blob(txn: Transaction, digest: bytes, shallow: bool = False) -> int | None:
    """Return the blob with this content; None if there is none or it is to be prepared anew.

    shallow  one that has only the text will do
    """
    key = txn.get("digests", digest)
    if key is None or txn.get("forgotten", digest) is not None:
        return None
    if not shallow:
        value = txn.get("blobs", key)
        if value is None:
            raise StoreCorrupt(f"a digest points at blob {number_of(key)}, which has no record")
        if unpack(BlobRecord, value, f"blobs {number_of(key)}").shallow:
            return None
    return number_of(key)


def check_sums(txn: Transaction) -> None:
    """Check every record of the large tables; 80,000 paths take about 0.1 s. Raises StoreCorrupt."""
    crc32, crc_of = zlib.crc32, _CRC.unpack_from
    for table in ("roots", "files", "skipped", "blobs"):
        for key, value in txn.items(table):
            if len(value) < _CRC.size or crc32(value[4:]) != crc_of(value)[0]:
                raise StoreCorrupt(f"catalog record {table} {key!r} does not match its checksum")
