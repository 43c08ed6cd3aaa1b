"""A stretch holds the wanted documents or pages and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer import pages
from indexer.pages import page_starts
from indexer.store import blocks
from indexer.store.format import SEPARATOR
from search.candidates import pages_of
from search.stretch import doc_stretches, page_stretches
from tests.support import small_segment

TEXTS = [f"document {i}\n" * (1 + i % 5) + "end" * (i % 2) for i in range(40)]
WANTED = [range(40), [0], [39], [3, 4, 5, 20, 22, 39], range(0, 40, 2), []]


@pytest.mark.parametrize("page_bytes", [20, 1 << 16])
@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 14])
@pytest.mark.parametrize("bytes_max", [1, 90, 1 << 20])
@pytest.mark.parametrize("wanted", WANTED)
def test_stretches_are_what_was_asked_for_in_order(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    page_bytes: int,
    block_bytes: int,
    bytes_max: int,
    wanted: list[int],
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(pages, "PAGE_BYTES", page_bytes)
    segment = small_segment(tmp_path / "a.seg", list(TEXTS))
    ordinals = np.array(wanted, np.int64)
    seen: list[int] = []
    for stretch in doc_stretches(segment, ordinals, bytes_max):
        seen += stretch.ordinals.tolist()
        texts = [TEXTS[i].encode() for i in stretch.ordinals.tolist()]
        assert stretch.content == b"".join(text + SEPARATOR for text in texts)
        bounds = zip(stretch.start.tolist(), stretch.end.tolist(), strict=True)
        assert [stretch.content[a:b] for a, b in bounds] == texts
    assert seen == list(wanted)
    expected = [(i, page) for i in wanted for page in slow_pages(TEXTS[i].encode())]
    found: list[tuple[int, bytes]] = []
    # Every second page of the documents as well: what is left out must not be read.
    for every in (1, 2):
        found = []
        for stretch in page_stretches(segment, pages_of(segment, ordinals)[::every], bytes_max):
            bounds = zip(stretch.start.tolist(), stretch.end.tolist(), strict=True)
            contents = [stretch.content[a:b] for a, b in bounds]
            found += zip(stretch.ordinals.tolist(), contents, strict=True)
            assert len(stretch.content.replace(SEPARATOR, b"")) == sum(map(len, contents))
        assert found == expected[::every]
    segment.close()


def slow_pages(content: bytes) -> list[bytes]:
    starts = page_starts(content)
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
