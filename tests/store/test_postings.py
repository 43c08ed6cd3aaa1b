from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import StoreCorrupt
from indexer.store import postings

DOMAINS = [1, 7, 8, 300, 4_000, 65_535, 65_536, 1 << 18]


def slow_encode(values: list[int], domain: int) -> bytes:
    """The forms as postings.py states them, one number and one bit at a time."""
    bitmap = bytearray((domain + 7) // 8)
    k = max(0, 5 * ((domain // len(values)).bit_length() - 1) // 8 - 1)
    bits: list[int] = []
    before = -1
    for value in values:
        bitmap[value // 8] |= 1 << value % 8
        number = value - before - 1 + 2**k
        digits = number.bit_length() - 1
        bits += [0] * (digits - k) + [1] + [number >> i & 1 for i in range(digits)]
        before = value
    codes = bytearray((len(bits) + 7) // 8)
    for at, bit in enumerate(bits):
        codes[at // 8] |= bit << at % 8
    return bytes(bitmap if 4 * len(bitmap) <= 5 * len(codes) else codes)


def array(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(data, np.uint8)


def check(lists: list[list[int]], domain: int) -> None:
    counts = np.array([len(one) for one in lists], np.int64)
    values = np.array([v for one in lists for v in one], np.uint32)
    data, length = postings.encode(values, counts, domain)
    ends = np.cumsum(length)
    pieces = [bytes(data[e - n : e]) for e, n in zip(ends, length, strict=True)]
    assert pieces == [slow_encode(one, domain) for one in lists]
    assert postings.decode_many(data, length, counts, domain).tolist() == values.tolist()
    some = np.arange(0, domain, max(1, domain // 50))
    for one, piece in zip(lists, map(array, pieces), strict=True):
        assert postings.decode(piece, len(one), domain).tolist() == one
        flags = np.zeros(domain, np.bool_)
        postings.mark(piece, len(one), domain, flags)
        assert np.flatnonzero(flags).tolist() == one
        assert postings.keep(piece, len(one), domain, some).tolist() == some[flags[some]].tolist()
        assert postings.keep(piece, len(one), domain, np.array(one)).tolist() == one


def test_the_example() -> None:
    data, length = postings.encode(np.array([3, 4, 600], np.uint32), np.array([3]), 1000)
    assert (data.tobytes().hex(" "), length.tolist()) == ("27 80 63 00", [4])


@pytest.mark.parametrize("domain", DOMAINS)
def test_edges_of_every_form_round_trip(domain: int) -> None:
    lists = [[0], [domain - 1], list(range(min(domain, 3000)))]
    lists.append([*range(domain // 8), domain - 1])  # its last number takes the longest code
    edges = [(3, 4, 600), (254, 255, 510), (65_534, 65_535)]
    lists += [sorted({v % domain for v in steps}) for steps in edges]
    lists += [list(range(0, domain, max(1, domain // n))) for n in (3, 40, 1000, 30_000)]
    check(lists, domain)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_lists_round_trip_and_equal_the_slow_twin(data: st.DataObject) -> None:
    domain = data.draw(st.sampled_from(DOMAINS))
    one = st.sets(st.integers(0, domain - 1), min_size=1, max_size=60).map(sorted)
    check(data.draw(st.lists(one, min_size=1, max_size=12)), domain)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(min_size=1, max_size=40), count=st.integers(0, 70_000), domain=st.sampled_from(DOMAINS))
def test_damaged_lists_are_told_or_give_numbers_below_the_domain(
    data: bytes, count: int, domain: int
) -> None:
    flags = np.zeros(domain, np.bool_)
    found = np.arange(0, domain, 3)
    for read in (
        lambda: postings.decode(array(data), count, domain),
        lambda: postings.keep(array(data), count, domain, found),
        lambda: postings.mark(array(data), count, domain, flags),
    ):
        try:
            numbers = read()
        except StoreCorrupt:
            continue
        assert numbers is None or not len(numbers) or int(numbers.max()) < domain


def test_no_lists_give_no_bytes() -> None:
    nothing = np.empty(0, np.int64)
    data, length = postings.encode(nothing.astype(np.uint32), nothing, 10)
    assert len(data) == len(length) == 0


def test_spans() -> None:
    assert postings.spans(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
