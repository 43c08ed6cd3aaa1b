from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.store import chunk_lists

DOMAINS = [1, 2, 8, 255, 256, 257, 1000, 65_536, 65_537, 300_000, 1 << 24, (1 << 24) + 1]


def slow_encode(values: list[int], domain: int) -> bytes:
    """The forms as chunk_lists.py states them, one number at a time."""
    gaps = bytearray()
    width = next(n for n in range(1, 5) if domain - 1 < 256**n)
    gaps += values[0].to_bytes(width, "little")
    for before, value in pairwise(values):
        distance = value - before
        while distance >= 128:
            step = min(distance // 128, 128)
            gaps.append(127 + step)
            distance -= 128 * step
        gaps.append(distance)
    if len(gaps) < (domain + 7) // 8:
        return bytes(gaps)
    bitmap = bytearray((domain + 7) // 8)
    for value in values:
        bitmap[value // 8] |= 1 << value % 8
    return bytes(bitmap)


def check(lists: list[list[int]], domain: int) -> None:
    counts = np.array([len(one) for one in lists], np.int64)
    values = np.array([value for one in lists for value in one], np.uint32)
    data, length = chunk_lists.encode(values, counts, domain)
    ends = np.cumsum(length)
    pieces = [data[end - n : end] for end, n in zip(ends, length, strict=True)]
    assert [bytes(piece) for piece in pieces] == [slow_encode(one, domain) for one in lists]
    for one, piece in zip(lists, pieces, strict=True):
        assert chunk_lists.decode(piece, len(one), domain).tolist() == one
    assert chunk_lists.decode_many(data, length, counts, domain).tolist() == values.tolist()


def test_the_example() -> None:
    data, length = chunk_lists.encode(np.array([3, 4, 600], np.uint32), np.array([3]), 1000)
    assert (data.tolist(), length.tolist()) == ([3, 0, 1, 131, 84], [5])


@pytest.mark.parametrize("domain", DOMAINS)
def test_edges_of_every_form_round_trip(domain: int) -> None:
    lists = [[0], [domain - 1], list(range(min(domain, 3000)))]
    for step in (127, 128, 129, 255, 16_383, 16_384, 16_385, 16_511, 16_512, 2 * 16_384 + 127, 1 << 23):
        lists += [
            sorted({v % domain for v in (5, 5 + step)}),
            sorted({v % domain for v in (0, step, 2 * step)}),
        ]
    lists.append(list(range(0, domain, max(1, domain // 40))))
    check(lists, domain)
    check(lists[2:3] * 2, domain)
    check(lists[:2], domain)


def test_running_sums_beyond_32_bits_do_no_harm() -> None:
    """Many lists are decoded in one sum: 600 times 16 million is more than 2^32."""
    check([[1, (1 << 24) - 1 - i] for i in range(600)], 1 << 24)


def test_no_lists_give_no_bytes() -> None:
    nothing = np.empty(0, np.int64)
    data, length = chunk_lists.encode(nothing.astype(np.uint32), nothing, 9)
    assert len(data) == len(length) == len(chunk_lists.decode_many(data, length, nothing, 9)) == 0


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_lists_round_trip_and_equal_the_slow_twin(data: st.DataObject) -> None:
    domain = data.draw(st.sampled_from(DOMAINS))
    spread = data.draw(st.sampled_from([1, 3, 100, 200, 20_000, domain]))
    numbers = st.integers(0, min(domain - 1, 400 * spread)).map(lambda v: v // spread * spread)
    lists = data.draw(st.lists(st.sets(numbers, min_size=1, max_size=400), min_size=1, max_size=6))
    check([sorted(one) for one in lists], domain)
