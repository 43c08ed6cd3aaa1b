from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.trigram import pack, trigrams, trigrams_of, unpack


def slow_trigrams(content: bytes) -> list[int]:
    windows = {content[i : i + 3] for i in range(len(content) - 2)}
    short = {line + b"\n" for line in content.split(b"\n") if len(line) == 2}
    return sorted(pack(w) for w in short | {w for w in windows if b"\n" not in w})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"ab", [b"ab\n"]),
        (b"a\nabc\ncab\n", [b"abc", b"cab"]),
        (b"abc\nab\r\nxy\n\n\nz", [b"ab\r", b"abc", b"xy\n"]),
        (b"abc", [b"abc"]),
        (b"abcabc", [b"abc", b"bca", b"cab"]),
        (b"ab\ncd", [b"ab\n", b"cd\n"]),
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


FILES = st.lists(st.binary(max_size=20) | st.text("ab\n", max_size=40).map(str.encode), max_size=8)


@given(FILES)
def test_trigrams_of_many_files_are_those_of_each(contents: list[bytes]) -> None:
    found = trigrams_of(contents)
    assert [keys.dtype for keys in found] == [np.uint32] * len(contents)
    assert [keys.tolist() for keys in found] == [slow_trigrams(content) for content in contents]


def test_large_and_mapped_contents_have_the_trigrams_of_the_slow_twin() -> None:
    rng = np.random.default_rng(3)
    contents = [rng.integers(8, 8 + wide, n, np.uint8).tobytes() for wide, n in ((3, 5000), (248, 40_000))]
    found = trigrams_of([memoryview(content) for content in contents])
    assert [keys.tolist() for keys in found] == [slow_trigrams(content) for content in contents]
