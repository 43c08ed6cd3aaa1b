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
from indexer.store.blocks import BlockWriter, line_ends, line_starts, pack, unpack
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
        assert unpack(block, len(raw)) == raw
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
        sums, bounds = line_ends(tables, np.append(ends - nbytes, ends[-1]), np.arange(first, last))
        assert sums.tolist() == slow_line_starts(content)[1:]
        assert np.diff(bounds).tolist() == [page.count(b"\n") for page in cut_at(content, starts)]


def slow_pages(content: bytes) -> list[bytes]:
    """Return the pages as they are packed, the last with the separator."""
    return cut_at(content + SEPARATOR, page_starts(content))


def cut_at(content: bytes, starts: list[int]) -> list[bytes]:
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def test_the_worked_example() -> None:
    writer, _ = packed_blocks([b"ab\n\nc"])
    assert writer.line_tables()[0].tolist() == [3, 1]


@pytest.mark.parametrize(
    ("block", "nbytes"),
    [(b"", 4), (b"\xf0", 4), (pack(b"four"), 5), (pack(b"four"), 3), (pack(b"x" * 999)[:-3], 999)],
)
def test_damaged_blocks_are_told(block: bytes, nbytes: int) -> None:
    with pytest.raises(ValueError, match="a block"):
        unpack(block, nbytes)
