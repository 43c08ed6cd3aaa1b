"""Blocks give back what was packed, and line tables say where lines start."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import pages
from indexer.pages import page_starts
from indexer.store import blocks
from indexer.store.blocks import BlockWriter, Parts, line_starts, pack, unpack_parts
from indexer.store.format import SEPARATOR

CONTENTS = st.lists(
    st.binary(max_size=600) | st.text("ab\n", max_size=40).map(str.encode) | st.just(b"x" * 255 + b"\n"),
    max_size=12,
)


def packed_blocks(contents: list[bytes]) -> tuple[BlockWriter, list[bytes]]:
    out: list[bytes] = []
    writer = BlockWriter(out.append)
    writer.add(contents)
    writer.finish()
    data, offsets = b"".join(out), writer.block_off.tolist()
    assert offsets[-1] == len(data)
    return writer, [data[a:b] for a, b in pairwise(offsets)]


def slow_line_starts(content: bytes) -> list[int]:
    return [0, *(i + 1 for i, byte in enumerate(content) if byte == 10)]


@pytest.mark.parametrize("page_bytes", [9, 1 << 16])
@pytest.mark.parametrize("block_bytes", [1, 40, 1 << 14])
@given(contents=CONTENTS)
def test_documents_come_out_as_they_went_in(contents: list[bytes], block_bytes: int, page_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", block_bytes)
        patch.setattr(blocks, "WRITE_BYTES", 4 * block_bytes)
        patch.setattr(blocks, "LINES_BYTES", 3 * block_bytes)
        patch.setattr(pages, "PAGE_BYTES", page_bytes)
        writer, out = packed_blocks(contents)
        expected = [page for content in contents for page in slow_pages(content)]
    bounds = writer.block_page.tolist()
    assert (bounds[0], bounds[-1], len(bounds)) == (0, len(expected), len(out) + 1)
    for block, first, last in zip(out, bounds[:-1], bounds[1:], strict=True):
        raw = b"".join(expected[first:last])
        assert unpacked(block, len(raw)) == raw
    assert writer.doc_len.tolist() == [len(content) for content in contents]
    assert len(writer.doc_page) == len(contents) + 1
    assert (writer.doc_page[-1], len(writer.page_start)) == (len(expected), len(expected))
    tables, nbytes = writer.line_tables()
    ends = np.cumsum(nbytes)
    lines = writer.page_line.tolist()
    for i, content in enumerate(contents):
        first, last = writer.doc_page[i : i + 2].tolist()
        low, high = int(ends[first] - nbytes[first]), int(ends[last - 1])
        assert line_starts(tables[low:high]).tolist() == slow_line_starts(content)
        starts = writer.page_start[first:last].tolist()
        assert lines[first:last] == [content.count(b"\n", 0, start) for start in starts]


def slow_pages(content: bytes) -> list[bytes]:
    """Return the pages as they are packed, the last with the separator."""
    return cut_at(content + SEPARATOR, page_starts(content))


def cut_at(content: bytes, starts: list[int]) -> list[bytes]:
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def test_the_worked_example() -> None:
    writer, _ = packed_blocks([b"ab\n\nc"])
    assert writer.line_tables()[0].tolist() == [3, 1]


def unpacked(block: bytes, nbytes: int) -> bytes:
    return unpack_parts(np.frombuffer(block, np.uint8), parts([(0, len(block), nbytes, 0, nbytes)]))


def parts(rows: list[tuple[int, int, int, int, int]]) -> Parts:
    """rows: where the block lies, its size, where the part begins in it, its length."""
    return Parts(*np.array(rows, np.int64).reshape(-1, 5).T)


@given(contents=st.lists(st.binary(max_size=300), max_size=6), data=st.data())
def test_any_parts_are_joined(contents: list[bytes], data: st.DataObject) -> None:
    packed = [pack(content) for content in contents]
    ends = np.cumsum([0, *map(len, packed)]).tolist()
    rows: list[tuple[int, int, int, int, int]] = []
    expected: list[bytes] = []
    for i, content in enumerate(contents):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
        bounds = [0, *cuts, len(content)]
        wanted = [pair for pair in pairwise(bounds) if data.draw(st.booleans())]
        rows += [(ends[i], ends[i + 1], len(content), low, high - low) for low, high in wanted]
        expected += [content[low:high] for low, high in wanted]
    assert unpack_parts(np.frombuffer(b"".join(packed), np.uint8), parts(rows)) == b"".join(expected)


@pytest.mark.parametrize(
    ("block", "nbytes"),
    [(b"", 4), (b"\xf0", 4), (pack(b"four"), 5), (pack(b"four"), 3), (pack(b"x" * 999)[:-3], 999)],
)
def test_damaged_blocks_are_told(block: bytes, nbytes: int) -> None:
    with pytest.raises(ValueError, match="the block at 0 does not hold"):
        unpacked(block, nbytes)


FOUR = pack(b"four")


@pytest.mark.parametrize(
    "row",
    [
        (0, len(FOUR) + 1, 4, 0, 4), (-1, len(FOUR), 4, 0, 4), (2, 1, 4, 0, 4),  # the block
        (0, len(FOUR), 4, 3, 2), (0, len(FOUR), 4, -1, 2), (0, len(FOUR), 4, 2, -1),  # the part
    ],
)  # fmt: skip
def test_nothing_outside_is_read(row: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not hold"):
        unpack_parts(np.frombuffer(FOUR, np.uint8), parts([row]))
