"""Pages are runs of whole lines, and their trigrams are those of their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import pages
from indexer.pages import page_starts, paged_trigrams
from indexer.trigram import KEY_BITS, trigrams

TEXTS = st.text("ab\n", max_size=300).map(str.encode) | st.binary(max_size=300)


@pytest.mark.parametrize("page_bytes", [1, 7, 40])
@given(content=TEXTS)
def test_pages_are_whole_lines(content: bytes, page_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_BYTES", page_bytes)
        starts = page_starts(content)
        keys = paged_trigrams(content).tolist()
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert all(content[start - 1] == 10 for start in starts[1:])
    found = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    for page in found:
        assert len(page) <= max(page_bytes, len(content) // 100 + 1) or page.count(b"\n", 0, -1) == 0
    expected = [key | i << KEY_BITS for i, page in enumerate(found) for key in trigrams(page).tolist()]
    assert keys == expected == sorted(set(expected))


def test_a_huge_document_has_few_pages() -> None:
    content = b"x\n" * (20 << 20)
    starts = page_starts(content)
    assert 50 < len(starts) < 1 << 32 - KEY_BITS
    assert page_starts(b"") == [0]
    assert page_starts(b"y" * 100_000) == [0]


def test_lines_as_long_as_pages() -> None:
    content = (b"z" * 70_000 + b"\n" + b"a\n") * 3 + b"end"
    assert page_starts(content) == [0, 70_001, 70_003, 140_004, 140_006, 210_007]
