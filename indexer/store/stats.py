"""Figures of the index for `status`, from the catalog and the writer's picture of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from indexer.store import catalog
from indexer.store.catalog import RootRecord
from indexer.store.draft import State
from indexer.store.env import Transaction


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Figures for `status`."""

    generation: int
    roots: tuple[RootRecord, ...]
    blobs: int  # dead ones included
    dead_blobs: int
    segments: int
    chunks: int
    symbols: int
    references: int
    content_bytes: int
    dead_bytes: int
    file_bytes: int
    section_bytes: dict[str, int]
    write_amplification: float  # segment bytes ever written by bytes of content ever added
    skipped: int
    quarantined: int


def stats_of(txn: Transaction, state: State) -> StoreStats:
    """Return the figures; costs microseconds."""
    records = list(state.records.values())
    sections: Counter[str] = Counter()
    for record in records:
        sections.update(record.info.section_bytes)
    counts = [record.info.counts for record in records]
    meta = state.meta
    return StoreStats(
        generation=meta.generation,
        roots=tuple(record for _, record in catalog.read_all(txn, "roots", RootRecord)),
        blobs=sum(each.docs for each in counts),
        dead_blobs=sum(record.dead_docs for record in records),
        segments=len(records),
        chunks=sum(each.chunks for each in counts),
        symbols=sum(each.defs for each in counts),
        references=sum(each.refs for each in counts),
        content_bytes=sum(record.info.content_bytes for record in records),
        dead_bytes=sum(record.dead_bytes for record in records),
        file_bytes=sum(record.info.file_bytes for record in records),
        section_bytes=dict(sections),
        write_amplification=meta.bytes_written / meta.bytes_added if meta.bytes_added else 0.0,
        skipped=txn.count("skipped"),
        quarantined=txn.count("quarantine"),
    )
