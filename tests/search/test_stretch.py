"""A stretch holds the wanted documents and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.store import blocks
from indexer.store.format import SEPARATOR
from search.stretch import stretch_of, stretches
from tests.support import small_segment

TEXTS = [f"document {i}\n" * (1 + i % 5) for i in range(40)]


@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 14])
@pytest.mark.parametrize("bytes_max", [1, 90, 1 << 20])
@pytest.mark.parametrize("wanted", [range(40), [0], [39], [3, 4, 5, 20, 22, 39], range(0, 40, 2), []])
def test_stretches_are_the_documents_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, bytes_max: int, wanted: list[int]
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    segment = small_segment(tmp_path / "a.seg", TEXTS)
    ordinals = np.array(wanted, np.int64)
    seen: list[int] = []
    for stretch in stretches(segment, ordinals, bytes_max):
        seen += stretch.ordinals.tolist()
        texts = [TEXTS[i].encode() for i in stretch.ordinals.tolist()]
        assert stretch.content == b"".join(text + SEPARATOR for text in texts)
        bounds = zip(stretch.start.tolist(), stretch.end.tolist(), strict=True)
        assert [stretch.content[a:b] for a, b in bounds] == texts
    assert seen == list(wanted)
    if seen:
        assert stretch_of(segment, ordinals).ordinals.tolist() == seen
    segment.close()
