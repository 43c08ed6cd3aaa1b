"""Which segments to merge next. Pure.

Segments fall into tiers by the bytes that live in them: below 1 MiB, below `fanout` MiB, below fanout^2
MiB, ... When `fanout` segments stand in one tier they become one segment of a higher tier, so a byte is
rewritten once per tier: about log_fanout(index / 1 MiB) times in its life. A segment with more than 30 %
dead content is rewritten in any case.

Every query pays for every segment. So when nothing else is to be done, as many of the smallest as fit into
one are merged before their tier is full, if none of them is larger than twice the others together: what is
rewritten then grows by half at least, so that a small change never rewrites a large segment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

SMALLEST_TIER_BYTES = 1 << 20
DEAD_SHARE_MAX = 0.3
INPUTS_MAX = 64  # segments of one merge
LARGEST_SHARE = 2  # of what is merged early: the largest segment to the others together


@dataclass(frozen=True, slots=True)
class Size:
    """What the policy knows of a segment."""

    segment_id: int
    docs: int
    dead_docs: int
    nbytes: int
    dead_bytes: int

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
    """Return the smallest segments, as many as fit and may be merged before their tier is full."""
    fitting = _fitting(sizes, docs_max, bytes_max)
    nbytes = {size.segment_id: size.live_bytes for size in sizes}
    while len(fitting) > 1:
        largest = nbytes[fitting[-1]]
        if largest <= LARGEST_SHARE * sum(nbytes[each] for each in fitting[:-1]):
            return sorted(fitting)
        fitting.pop()
    return []


def tier(nbytes: int, fanout: int) -> int:
    """Return 0 for less than 1 MiB, 1 for less than `fanout` MiB, ..."""
    level, limit = 0, SMALLEST_TIER_BYTES
    while nbytes >= limit:
        level, limit = level + 1, limit * fanout
    return level


def _fitting(sizes: Sequence[Size], docs_max: int, bytes_max: int) -> list[int]:
    """Take the smallest first while the result stays within its limits."""
    chosen: list[int] = []
    docs = nbytes = 0
    for size in sorted(sizes, key=lambda each: (each.live_bytes, each.segment_id))[:INPUTS_MAX]:
        docs, nbytes = docs + size.live_docs, nbytes + size.live_bytes
        if docs > docs_max or (nbytes > bytes_max and chosen):
            break
        chosen.append(size.segment_id)
    return chosen
