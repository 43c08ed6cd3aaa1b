"""What a start finds after a crash or damage, and what can be saved of it.

Segments describe themselves, so a lost catalog costs no parsing: intact segments are adopted, and the next
scan only reads and digests the files to find out which path has which content. The list of roots cannot be
found again in segments; it is kept a second time in roots.json.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np

from config.errors import StoreCorrupt
from indexer.records import U32
from indexer.store.disk import flush_directory, remove, write_whole
from indexer.store.format import FORMAT_VERSION, NO_ROW, Counts, SegmentInfo, segment_name
from indexer.store.segment import Segment, content_bytes

_ROOTS = "roots.json"


class SavedRoot(msgspec.Struct, frozen=True):
    """A root as roots.json has it."""

    id: int
    path: str
    added_ns: int


class Saved(msgspec.Struct, frozen=True):
    """The content of roots.json."""

    format_version: int
    fingerprint: str
    roots: list[SavedRoot]
    pool: str = ""  # whose rows the segments name


def save_roots(store_dir: Path, fingerprint: str, roots: list[SavedRoot], pool: str = "") -> None:
    """Keep the list of roots beside the catalog."""
    data = msgspec.json.format(msgspec.json.encode(Saved(FORMAT_VERSION, fingerprint, roots, pool))) + b"\n"
    path = store_dir / _ROOTS
    if not path.exists() or path.read_bytes() != data:
        write_whole(path, data)


def saved_roots(store_dir: Path) -> Saved | None:
    """Return the saved list; None if there is none or it cannot be read."""
    try:
        saved = msgspec.json.decode((store_dir / _ROOTS).read_bytes(), type=Saved)
    except (OSError, msgspec.MsgspecError):
        return None
    return saved if saved.format_version == FORMAT_VERSION else None


def move_aside(store_dir: Path) -> Path:
    """Rename a damaged catalog, replacing the one moved aside before, and return its new place."""
    aside = store_dir / "catalog.damaged"
    shutil.rmtree(aside, ignore_errors=True)
    (store_dir / "catalog").rename(aside)
    flush_directory(store_dir)
    return aside


def remove_orphans(segments_dir: Path, known: set[int]) -> list[str]:
    """Remove files that no catalog record names; return their names."""
    names = {segment_name(segment_id) for segment_id in known}
    orphans = sorted(path for path in segments_dir.iterdir() if path.name not in names)
    for path in orphans:
        remove(path)
    return [path.name for path in orphans]


def open_segment(segments_dir: Path, info: SegmentInfo) -> Segment:
    """Open a segment that the catalog names. Raises StoreCorrupt also if it is missing or another one."""
    path = segments_dir / segment_name(info.id)
    try:
        segment = Segment.open(path)
    except FileNotFoundError as error:
        raise StoreCorrupt(f"{path.name} is missing") from error
    if segment.id != info.id or segment.table.counts != info.counts:
        raise StoreCorrupt(f"{path.name} is not the segment that the catalog names")
    return segment


def adoptable(segments_dir: Path) -> list[Segment]:
    """Return intact segments that can stand together, ascending.

    The newest is taken first: what has a blob or a pool row of a newer one was merged away and not yet
    removed.
    """
    chosen: list[Segment] = []
    blobs, rows = np.empty(0, np.uint32), np.empty(0, np.uint32)
    for path in sorted(segments_dir.glob("*.seg"), reverse=True):
        try:
            segment = Segment.open(path)
        except StoreCorrupt:
            continue
        own = used_rows(segment)
        if (
            segment_name(segment.id) != path.name
            or segment.verify()
            or np.isin(segment.doc_blob, blobs).any()
            or np.isin(own, rows).any()
        ):
            continue
        blobs, rows = np.concatenate([blobs, segment.doc_blob]), np.concatenate([rows, own])
        chosen.append(segment)
    return chosen[::-1]


def used_rows(segment: Segment) -> U32:
    """Return the pool rows of a segment's chunks."""
    rows: U32 = segment.chunk_row[segment.chunk_row != NO_ROW]
    return rows


def describe(segment: Segment) -> SegmentInfo:
    """Return what the catalog records of a segment, from the segment itself."""
    sizes = {name: place.nbytes for name, place in segment.table.sections.items()}
    counts: Counts = segment.table.counts
    return SegmentInfo(segment.id, counts, content_bytes(segment), segment.path.stat().st_size, sizes)
