"""Line chunks of many files against those of chunk.py, file by file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.line_chunk import line_chunks
from indexer.parse import unparsed
from indexer.records import ChunkTable, SourceFile


def slow(content: bytes) -> ChunkTable:
    return unparsed(SourceFile(bytes(16), content, "text", "utf-8", 0), "").chunks


def check(contents: list[bytes]) -> None:
    found = line_chunks(contents)
    assert len(found) == len(contents)
    for chunks, content in zip(found, contents, strict=True):
        expected = slow(content)
        for name in ("start", "end", "line", "symbol"):
            ours, theirs = getattr(chunks, name), getattr(expected, name)
            assert ours.tolist() == theirs.tolist(), (name, content)
            assert ours.dtype == theirs.dtype


RUN = st.tuples(
    st.sampled_from([b"\n", b"x = 1;\n", b"    y = 2;\n", b" \t \n", b"\r\n", b"a\r\n", b"\tb \n", b"}\n"])
    | st.integers(1, 60).map(lambda n: b"z" * n + b"\n")
    | st.sampled_from([b"w" * 1499 + b"\n", b"v" * 4001 + b"\n", b"u" * 700 + b"\n"]),
    st.integers(1, 45),
)
CONTENT = st.tuples(st.lists(RUN, max_size=12), st.sampled_from([b"", b"end", b"\n", b"  "])).map(
    lambda parts: b"".join(line * n for line, n in parts[0]) + parts[1]
)


@settings(deadline=None)
@given(st.lists(CONTENT, max_size=5))
def test_files_cut_together_have_the_chunks_of_each(contents: list[bytes]) -> None:
    check(contents)


@pytest.mark.parametrize("seed", range(4))
def test_long_files_are_cut_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = [
        b"",
        b"  ",
        b"{",
        b"    call(a, b);",
        b"int x;",
        b"#define A_LONG_NAME  0x12",
        b"\tif (x)",
        b"y" * 90,
    ]
    shares = rng.dirichlet(np.full(len(lines), 0.5), 3)
    check([b"\n".join(lines[i] for i in rng.choice(len(lines), 4000, p=share)) for share in shares])


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"x", b"\n\n\n", b"a\r\nb", b"x" * 50_000, b"\0\xff\n" * 300]
)
def test_odd_files_are_cut_alike(content: bytes) -> None:
    check([content])
    check([b"", content, b"", content, b"int x;\n"])


def test_no_file_has_no_chunks() -> None:
    assert line_chunks([]) == []
