from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.store import postings
from indexer.store.postings import BITMAP, GAP8, RAW

DOMAINS = [1, 7, 8, 300, 4_000, 65_535, 65_536]


def slow_encode(values: list[int], domain: int) -> tuple[int, bytes]:
    """The forms as postings.py states them, one number at a time."""
    bitmap = bytearray((domain + 7) // 8)
    raw, gap8 = bytearray(), bytearray()
    before = 0
    for value in values:
        bitmap[value // 8] |= 1 << value % 8
        raw += value.to_bytes(2, "little")
        gap8 += b"\xff" * ((value - before) // 255) + bytes([(value - before) % 255])
        before = value
    forms = [(BITMAP, bitmap), (RAW, raw), (GAP8, gap8)]
    best = min(forms, key=lambda form: len(form[1]))
    return best[0], bytes(best[1])


def check(lists: list[list[int]], domain: int) -> None:
    counts = np.array([len(one) for one in lists], np.int64)
    values = np.array([v for one in lists for v in one], np.uint32)
    data, length = postings.encode(values, counts, domain)
    codec = postings.narrow_codec(counts, length, domain)
    ends = np.cumsum(length)
    pieces = [bytes(data[e - n : e]) for e, n in zip(ends, length, strict=True)]
    assert list(zip(codec.tolist(), pieces, strict=True)) == [slow_encode(one, domain) for one in lists]
    for one, piece, form in zip(lists, pieces, codec.tolist(), strict=True):
        assert postings.decode(memoryview(piece), len(one), form, domain).tolist() == one
        assert postings.codec_of(len(one), len(piece), domain) == form
        flags = postings.flags(memoryview(piece), len(one), domain)
        assert np.flatnonzero(flags).tolist() == one
    assert postings.decode_many(data, length, counts, codec, domain).tolist() == values.tolist()


@pytest.mark.parametrize("domain", DOMAINS)
def test_edges_of_every_form_round_trip(domain: int) -> None:
    lists = [[0], [domain - 1], list(range(min(domain, 3000)))]
    edges = [(3, 4, 600), (254, 255, 510), (65_534, 65_535)]
    lists += [sorted({v % domain for v in steps}) for steps in edges]
    lists.append(list(range(0, domain, max(1, domain // 40))))
    check(lists, domain)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_lists_round_trip_and_equal_the_slow_twin(data: st.DataObject) -> None:
    domain = data.draw(st.sampled_from(DOMAINS))
    one = st.sets(st.integers(0, domain - 1), min_size=1, max_size=60).map(sorted)
    check(data.draw(st.lists(one, min_size=1, max_size=12)), domain)


def test_no_lists_give_no_bytes() -> None:
    nothing = np.empty(0, np.int64)
    data, length = postings.encode(nothing.astype(np.uint32), nothing, 10)
    assert len(data) == len(length) == 0


def test_spans() -> None:
    assert postings.spans(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
