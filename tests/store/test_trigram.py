from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.trigram import pack, trigrams, unpack


def slow_trigrams(content: bytes) -> list[int]:
    windows = {content[i : i + 3] for i in range(len(content) - 2)}
    return sorted(pack(w) for w in windows if b"\n" not in w)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"ab", []),
        (b"abc", [b"abc"]),
        (b"abcabc", [b"abc", b"bca", b"cab"]),
        (b"ab\ncd", []),
        (b"\nabc\n", [b"abc"]),
        (b"\xff\xfe\x00\x01", [b"\xfe\x00\x01", b"\xff\xfe\x00"]),
    ],
)
def test_trigrams_are_distinct_sorted_and_stay_within_a_line(content: bytes, expected: list[bytes]) -> None:
    assert [unpack(int(k)) for k in trigrams(content)] == expected


@given(st.binary(max_size=300) | st.text("ab\n", max_size=60).map(str.encode))
def test_trigrams_equal_the_slow_twin(content: bytes) -> None:
    keys = trigrams(content)
    assert keys.dtype == np.uint32
    assert keys.tolist() == slow_trigrams(content)
