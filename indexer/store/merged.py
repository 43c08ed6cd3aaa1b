"""The outcome of a merge, compared with its plan before it is published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.errors import StoreCorrupt
from indexer.records import U32
from indexer.store import recovery
from indexer.store.format import NO_ROW, SegmentInfo
from indexer.store.merge import MergePlan, unpacked
from indexer.store.segment import Segment


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge kept, what it left out, and the rows that become free."""

    kept: U32
    dropped: U32
    freed_rows: U32

    @classmethod
    def of(cls, plan: MergePlan, result: SegmentInfo | None, segments_dir: Path) -> Merged:
        """Compare plan and result. Raises StoreCorrupt if they do not agree."""
        empty = np.empty(0, np.uint32)
        kept, dropped, rows = [empty], [empty], [empty]
        for each in plan.inputs:
            segment = Segment.open(Path(each.path))
            live = unpacked(each.live, segment.n_docs)
            kept.append(segment.doc_blob[live])
            dropped.append(segment.doc_blob[~live])
            of_dead = segment.chunk_row[np.repeat(~live, np.diff(segment.doc_chunk))]
            rows.append(of_dead[of_dead != NO_ROW])
        planned = np.concatenate(kept)
        found = empty if result is None else recovery.open_segment(segments_dir, result).doc_blob
        if not np.array_equal(planned, found):
            raise StoreCorrupt(f"the merge into segment {plan.segment_id} does not hold what was planned")
        return cls(planned, np.concatenate(dropped), np.concatenate(rows))
