"""Every invariant of a segment's table of terms (terms.py), checked without trusting what wrote it.

First that it can be read at all; then it is read whole and made again: what is not the same is wrong. So a
merge, a fresh write and a repair cannot differ in a byte without being found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from indexer.records import I64, U8, U32
from indexer.store import chunk_lists
from indexer.store.segment import Segment
from indexer.store.segment_file import Array
from indexer.store.terms import (
    COUNTS_STEP,
    DIRECTORY_BYTES,
    HEADS_STEP,
    RARE,
    RARE_COUNT,
    CountWriter,
    directory,
    head_table,
    low_bytes,
)

LISTS_BLOCK = 1 << 16  # posting lists looked at together


def term_problems(segment: Segment) -> Iterator[str]:
    """Yield what is wrong with the terms, in words; a step that finds something is the last one."""
    for step in (_directory, _heads, _counts, _table, _lists):
        wrong = list(_readable(step, segment))
        yield from wrong
        if wrong:
            return


def list_problems(name: str, counts: I64, values: U32, domain: int) -> Iterator[str]:
    """Yield what is wrong with some posting lists that stand one after the other."""
    if len(values) != int(counts.sum()):
        yield f"{name} holds {len(values)} postings where {int(counts.sum())} are counted"
        return
    if len(values) and int(values.max()) >= domain:
        yield f"{name} has values outside 0..{domain - 1}"
    inner = np.ones(len(values), np.bool_)
    inner[np.cumsum(counts) - counts] = False
    if (values[1:] <= values[:-1])[inner[1:]].any():
        yield f"{name} has a list that is not ascending"


def _readable(step: Callable[[Segment], Iterator[str]], segment: Segment) -> Iterator[str]:
    try:
        yield from step(segment)
    except (ValueError, IndexError) as error:  # sizes that do not fit each other reach NumPy
        yield f"the table of terms cannot be read: {error}"


def _directory(segment: Segment) -> Iterator[str]:
    first, n = segment.term_first, segment.table.counts.terms
    if len(first) - 1 not in [1 << 8 * each for each in DIRECTORY_BYTES]:
        yield f"term_first has {len(first)} entries"
    elif first[0] or int(first[-1]) != n or (first[1:] < first[:-1]).any():
        yield f"term_first does not rise from 0 to {n}"
    elif len(segment.term_low) != n * low_bytes(first):
        yield f"term_low has {len(segment.term_low)} bytes for {n} keys"


def _heads(segment: Segment) -> Iterator[str]:
    head, kind, rare = segment.term_head, segment.term_kind, segment.term_rare
    n, own = segment.table.counts.terms, int(np.count_nonzero(head == RARE))
    if len(kind) % 2 or len(kind) > 2 * RARE:
        yield f"term_kind has {len(kind)} entries, not two for each of {RARE} heads at most"
    if len(head) != n or (head[head != RARE] >= len(kind) // 2).any():
        yield f"term_head does not hold {n} numbers of {len(kind) // 2} heads"
    if len(rare) != 2 * own:
        yield f"term_rare has {len(rare)} entries for {own} heads"
    n_steps = (n + HEADS_STEP - 1) // HEADS_STEP + 1
    if len(segment.term_step) != 3 * n_steps or segment.term_step[:3].any():
        yield f"term_step does not hold {n_steps} places from 0 on"


def _counts(segment: Segment) -> Iterator[str]:
    packed, n = segment.term_tf, segment.terms.n_postings
    if len(packed) != (n + 1) // 2:
        yield f"term_tf has {len(packed)} bytes for {n} postings"
    rare = sum(int(np.count_nonzero(codes == RARE_COUNT)) for codes in (packed & 15, packed >> 4))
    if len(segment.term_tf_rare) != rare:
        yield f"term_tf_rare has {len(segment.term_tf_rare)} counts for {rare} postings"
    if len(segment.term_tf_step) != n // COUNTS_STEP + 1:
        yield f"term_tf_step has {len(segment.term_tf_step)} entries for {n} postings"


def _table(segment: Segment) -> Iterator[str]:
    s = segment
    keys, heads = s.terms.keys(), s.terms.heads(0, s.terms.n)
    if not (keys[1:] > keys[:-1]).all():
        yield "the keys of the terms are not strictly ascending"
        return
    first, low = directory(keys)
    yield from _same("term_first", s.term_first, first)
    yield from _same("term_low", s.term_low, low)
    if (heads.counts < 1).any() or (heads.counts > s.n_chunks).any():
        yield "a list has an impossible number of postings"
        return
    table = head_table(heads)
    yield from _same("term_head", s.term_head, table.head)
    yield from _same("term_kind", s.term_kind, table.kind)
    yield from _same("term_rare", s.term_rare, table.rare)
    yield from _same("term_step", s.term_step, table.step)
    if int(heads.length.sum()) != len(s.term_data):
        yield f"the lists of terms end at {int(heads.length.sum())}, term_data at {len(s.term_data)}"


def _lists(segment: Segment) -> Iterator[str]:
    packed: list[U8] = []
    counted = CountWriter(packed.append)
    for first in range(0, segment.terms.n, LISTS_BLOCK):
        last = min(first + LISTS_BLOCK, segment.terms.n)
        heads, values, counts = segment.term_lists(first, last)
        wrong = list(list_problems("term_data", heads.counts, values, segment.n_chunks))
        yield from wrong
        if wrong:
            return
        data, length = chunk_lists.encode(values, heads.counts, segment.n_chunks)
        (start, _), (end, _) = segment.terms.place(first), segment.terms.place(last)
        yield from _same("term_data", segment.term_data[start:end], data)
        yield from _same("the length of a list in term_data", heads.length, length)
        if not counts.all():
            yield "term_tf has a posting without an occurrence"
            return
        counted.add(counts)
    rare, step = counted.finish()
    yield from _same("term_tf", segment.term_tf, np.concatenate(packed))
    yield from _same("term_tf_rare", segment.term_tf_rare, rare)
    yield from _same("term_tf_step", segment.term_tf_step, step)


def _same(name: str, found: Array, made: Array) -> Iterator[str]:
    if not np.array_equal(found, made.reshape(-1)):
        yield f"{name} is not what would be made of what it says"
