from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import chunk
from indexer.parse import parse
from indexer.records import ChunkTable, SourceFile, SymbolTable


def table(*definitions: tuple[int, int, int]) -> SymbolTable:
    """(start, end, parent) of each definition."""
    start, end, parent = np.array(definitions, np.int64).reshape(-1, 3).T
    return SymbolTable(
        name=[b"n"] * len(start),
        kind=np.ones(len(start), np.uint8),
        start=start.astype(np.uint32),
        end=end.astype(np.uint32),
        name_start=start.astype(np.uint32),
        line=np.ones(len(start), np.uint32),
        parent=parent.astype(np.int32),
    )


def cut(content: bytes, *definitions: tuple[int, int, int]) -> ChunkTable:
    lines = chunk.lines_of(content)
    return chunk.chunks(lines, table(*definitions), np.zeros(len(lines), np.bool_))


def python(content: bytes) -> ChunkTable:
    return parse(SourceFile(bytes(16), content, "python", "utf-8", 0), 30).chunks


def line_starts(content: bytes) -> list[int]:
    """The slow twin of lines_of."""
    starts, at = [], 0
    for line in content.split(b"\n"):
        starts.append(at)
        at += len(line) + 1
    return starts[:-1] if content.endswith(b"\n") or not content else starts


def check_cover(content: bytes, chunks: ChunkTable) -> None:
    starts = line_starts(content)
    assert not starts or chunks.start[0] == 0
    assert chunks.start[1:].tolist() == chunks.end[:-1].tolist()
    assert (chunks.end[-1] if len(chunks) else 0) == len(content)
    assert set(chunks.start.tolist()) <= set(starts)
    assert chunks.line.tolist() == [starts.index(start) + 1 for start in chunks.start.tolist()]
    for start, end in zip(chunks.start.tolist(), chunks.end.tolist(), strict=True):
        n_lines = sum(start <= at < end for at in starts)
        assert 1 <= n_lines <= chunk.MAX_LINES
        assert end - start <= chunk.MAX_BYTES or n_lines == 1


@given(st.lists(st.sampled_from([b"\n", b" ", b"x", b"\r\n", b"\t{\n", "é\u2028".encode()])).map(b"".join))
def test_lines_are_what_splitting_at_newlines_gives(content: bytes) -> None:
    lines = chunk.lines_of(content)
    starts = line_starts(content)
    assert lines.start.tolist() == [*starts, len(content)]
    for i, start in enumerate(starts):
        line = content[start : lines.start[i + 1]]
        blank = not line.strip()
        expected = lines.start[i + 1] if blank else start + len(line) - len(line.lstrip())
        assert lines.first[i] == expected


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 30)), max_size=8),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 400)), max_size=12),
)
def test_chunks_cover_every_line_once(runs: list[tuple[int, int]], ranges: list[tuple[int, int]]) -> None:
    content = b"".join((b"x" * width + b"\n") * count for width, count in runs)
    inside = sorted((a % (len(content) or 1), min(a + n, len(content))) for a, n in ranges)
    definitions = [(a, b, -1) for a, b in inside if a < b]
    check_cover(content, cut(content, *definitions))


@pytest.mark.parametrize("content", [b"", b"\n", b"x", b"\n\n\n", b"a\r\nb", b"x" * 50_000, b"\0\xff\n" * 3])
def test_odd_files_are_covered(content: bytes) -> None:
    check_cover(content, cut(content))


def function(name: str, n_lines: int) -> str:
    return f"def {name}():\n" + "    do_something(1, 2)\n" * (n_lines - 1)


def shown(chunks: ChunkTable) -> list[tuple[int, int]]:
    return list(zip(chunks.line.tolist(), chunks.symbol.tolist(), strict=True))


def test_functions_of_a_screen_are_a_chunk_each() -> None:
    content = "\n\n".join(function(name, 35) for name in "abc").encode()
    assert shown(python(content)) == [(1, 0), (38, 1), (75, 2)]


def test_a_function_up_to_the_maximum_stays_whole() -> None:
    content = "\n\n".join(function(name, 70) for name in "ab").encode()
    assert shown(python(content)) == [(1, 0), (73, 1)]


def test_a_long_function_is_split_at_blank_lines() -> None:
    body = "\n".join("    step(1)\n" * 24 for _ in range(6))
    content = f"def long():\n{body}".encode()
    chunks = python(content)
    lines = content.split(b"\n")
    assert len(chunks) >= 3
    assert all(symbol == 0 for symbol in chunks.symbol.tolist())
    assert all(lines[line - 2] == b"" for line in chunks.line.tolist()[1:])


def test_short_neighbours_are_joined() -> None:
    content = "\n\n".join(function(f"f{i}", 5) for i in range(12)).encode()
    chunks = python(content)
    assert 2 <= len(chunks) <= 3
    assert all(content[start:].startswith(b"def ") for start in chunks.start.tolist())


def test_a_long_class_is_split_between_its_methods() -> None:
    methods = "\n".join(function(f"m{i}", 30).replace("\n", "\n    ").rstrip(" ") for i in range(4))
    content = ("class A:\n    " + methods.replace("\ndef", "\n    def")).encode()
    chunks = python(content)
    assert len(chunks) == 4
    assert [content[start:].lstrip()[:6] for start in chunks.start.tolist()[1:]] == [
        b"def m1",
        b"def m2",
        b"def m3",
    ]
    assert chunks.symbol.tolist() == [1, 2, 3, 4]


def test_comments_and_decorators_stay_with_the_definition_below() -> None:
    first, second = function("a", 38), function("b", 30)
    content = f"{first}\n# About b.\n# More.\n@decorate(\n    1\n)\n{second}".encode()
    chunks = python(content)
    assert content[chunks.start[1] :].startswith(b"# About b.")


def test_a_list_of_constants_shows_none_of_them() -> None:
    content = "".join(f"NAME_{i} = {i}\n" for i in range(30)).encode()
    assert python(content).symbol.tolist() == [-1]
