"""Which segments to merge next. Pure.

Segments fall into tiers by the bytes that live in them: below 1 MiB, below `fanout` MiB, below fanout^2
MiB, ... When `fanout` segments stand in one tier they become one segment of a higher tier, so a byte is
rewritten once per tier: about log_fanout(index / 1 MiB) times in its life. A segment with more than 30 %
dead content is rewritten in any case.

Every query pays for every segment. So when nothing else is to be done, those that fit into one are merged
before their tier is full, if none of them is larger than five times the others together: what is rewritten
then grows by a fifth at least, so that a small change never rewrites a large segment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from indexer.store.format import PAGES_MAX

SMALLEST_TIER_BYTES = 1 << 20
DEAD_SHARE_MAX = 0.3
INPUTS_MAX = 64  # segments of one merge
LARGEST_SHARE = 5  # of what is merged early: the largest segment to the others together


@dataclass(frozen=True, slots=True)
class Size:
    """What the policy knows of a segment."""

    segment_id: int
    docs: int
    dead_docs: int
    nbytes: int
    dead_bytes: int
    pages: int

    @property
    def live_docs(self) -> int:
        """Documents that a merge keeps."""
        return self.docs - self.dead_docs

    @property
    def live_bytes(self) -> int:
        """Content that a merge keeps."""
        return self.nbytes - self.dead_bytes

    @property
    def is_stale(self) -> bool:
        """Whether too much of it is dead."""
        return self.dead_bytes > DEAD_SHARE_MAX * self.nbytes or self.dead_docs > DEAD_SHARE_MAX * self.docs


def choose(
    sizes: Sequence[Size],
    fanout: int,
    docs_max: int,
    bytes_max: int,
    any_dead: bool = False,
    idle: bool = False,
) -> list[int]:
    """Return the segments to merge into one, ascending; empty if nothing is worth it.

    any_dead  also rewrite segments with few dead documents: to get pool rows or disk space back
    idle      nothing else is to be done: also merge what would wait for its tier to fill
    """
    tiers: defaultdict[int, list[Size]] = defaultdict(list)
    for size in sizes:
        tiers[tier(size.live_bytes, fanout)].append(size)
    for level in sorted(tiers):
        if len(tiers[level]) >= fanout:
            fitting = _fitting(tiers[level], docs_max, bytes_max)
            if len(fitting) > 1:
                return sorted(fitting)
    stale = [size for size in sizes if size.is_stale or (any_dead and size.dead_docs)]
    return sorted(_fitting(stale, docs_max, bytes_max)) or (
        _early(sizes, docs_max, bytes_max) if idle else []
    )


def _early(sizes: Sequence[Size], docs_max: int, bytes_max: int) -> list[int]:
    """Return the most segments that may be merged before their tier is full; the smallest of several."""
    ordered = sorted(sizes, key=_by_size)
    possible = [
        _balanced(_fitting(ordered[i:], docs_max, bytes_max, skip=True), ordered) for i in range(len(ordered))
    ]
    return max(possible, key=len, default=[])


def _balanced(fitting: list[int], sizes: Sequence[Size]) -> list[int]:
    """Leave out the largest until none is too large for the others; sorted by size before, by id after."""
    nbytes = {size.segment_id: size.live_bytes for size in sizes}
    while len(fitting) > 1:
        if nbytes[fitting[-1]] <= LARGEST_SHARE * sum(nbytes[each] for each in fitting[:-1]):
            return sorted(fitting)
        fitting = fitting[:-1]
    return []


def tier(nbytes: int, fanout: int) -> int:
    """Return 0 for less than 1 MiB, 1 for less than `fanout` MiB, ..."""
    level, limit = 0, SMALLEST_TIER_BYTES
    while nbytes >= limit:
        level, limit = level + 1, limit * fanout
    return level


def _fitting(sizes: Sequence[Size], docs_max: int, bytes_max: int, skip: bool = False) -> list[int]:
    """Take the smallest first, within the limits of one segment; `skip`: leave out what does not fit."""
    chosen: list[int] = []
    docs = nbytes = pages = 0
    for size in sorted(sizes, key=_by_size)[:INPUTS_MAX]:
        more_docs, more_bytes, more_pages = (
            docs + size.live_docs,
            nbytes + size.live_bytes,
            pages + size.pages,
        )
        if more_docs > docs_max or more_pages > PAGES_MAX or (more_bytes > bytes_max and chosen):
            if skip:
                continue
            break
        docs, nbytes, pages = more_docs, more_bytes, more_pages
        chosen.append(size.segment_id)
    return chosen


def _by_size(size: Size) -> tuple[int, int]:
    return size.live_bytes, size.segment_id
