"""Blocks give back what was packed, and line tables say where lines start."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.store import blocks
from indexer.store.blocks import BlockWriter, line_starts, pack, unpack
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
    return writer, out


def slow_line_starts(content: bytes) -> list[int]:
    return [0, *(i + 1 for i, byte in enumerate(content) if byte == 10)]


@pytest.mark.parametrize("block_bytes", [1, 40, 1 << 14])
@given(contents=CONTENTS)
def test_documents_come_out_as_they_went_in(contents: list[bytes], block_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", block_bytes)
        writer, out = packed_blocks(contents)
    bounds, places = writer.block_doc.tolist(), writer.block_off.tolist()
    assert [len(block) for block in out] == np.diff(places).tolist()
    assert (bounds[0], bounds[-1], len(bounds)) == (0, len(contents), len(out) + 1)
    for block, first, last in zip(out, bounds[:-1], bounds[1:], strict=True):
        expected = b"".join(content + SEPARATOR for content in contents[first:last])
        assert unpack(block, len(expected)) == expected
    assert writer.doc_len.tolist() == [len(content) for content in contents]


@given(contents=CONTENTS)
def test_line_tables_equal_a_loop_over_the_bytes(contents: list[bytes]) -> None:
    writer, _ = packed_blocks(contents)
    tables, nbytes = writer.line_tables()
    ends = np.cumsum(nbytes)
    for content, end, n in zip(contents, ends.tolist(), nbytes.tolist(), strict=True):
        assert line_starts(tables[end - n : end]).tolist() == slow_line_starts(content)


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
