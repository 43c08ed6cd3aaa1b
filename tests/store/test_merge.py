from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.records import PreparedFile
from indexer.store import blocks, merge, segment_writer
from indexer.store.format import SECTIONS
from indexer.store.merge import MergeInput, MergePlan, packed, run_merge
from indexer.store.segment import Segment
from indexer.store.segment_writer import Doc, write_segment
from tests.support import prepared

TEXTS = [
    "def alpha(x):\n    return beta(x) + beta(1)\n",
    "class Gamma:\n    def alpha(self):\n        delta(alpha(1))\n\n\n# tail",
    "",
    "struct höhe { int größe; };\nbeta(höhe)\n",
    "x\n" * 300 + "def last(): pass\n" + "beta(alpha(1))\n" * 20,
    "\n\n\n",
    "def beta(): alpha(alpha(alpha(2)))\n",
]


def written(path: Path, segment_id: int, docs: list[Doc]) -> Segment:
    write_segment(path, segment_id, docs)
    return Segment.open(path)


def check_equal(merged: Segment, fresh: Segment) -> None:
    assert merged.verify() == []
    for name in SECTIONS:
        assert getattr(merged, name).tolist() == getattr(fresh, name).tolist(), name
    assert merged.table.counts == fresh.table.counts
    assert merged.languages == fresh.languages


def check_merge(folder: Path, files: list[list[tuple[PreparedFile, bool]]]) -> None:
    """A merge holds what a fresh write of the live documents holds."""
    blob, row, inputs, alive = 1, 0, [], []
    for i, segment_files in enumerate(files):
        docs: list[Doc] = []
        for file, lives in segment_files:
            n = len(file.parsed.chunks)
            docs.append((blob, file, np.arange(row, row + n, dtype=np.uint32)))
            alive += [docs[-1]] if lives else []
            blob, row = blob + 1, row + n
        written(folder / f"{i}.seg", i, docs)
        flags = np.array([lives for _, lives in segment_files], np.bool_)
        inputs.append(MergeInput(i, str(folder / f"{i}.seg"), packed(flags)))
    info = run_merge(MergePlan(99, str(folder / "out.seg"), inputs))
    if not alive:
        assert info is None
        return
    assert info is not None
    check_equal(Segment.open(folder / "out.seg"), written(folder / "fresh.seg", 99, alive))


@pytest.mark.parametrize("dead", [set(), {0}, {2, 4}, {0, 1, 2}, {3, 4, 5, 6}, set(range(6))])
def test_a_merge_equals_a_fresh_write_of_the_live_documents(tmp_path: Path, dead: set[int]) -> None:
    files = [(prepared(text, "c" if i % 3 else "rust"), i not in dead) for i, text in enumerate(TEXTS)]
    check_merge(tmp_path, [files[:3], files[3:4], files[4:]])


def test_a_merge_without_live_documents_writes_no_file(tmp_path: Path) -> None:
    check_merge(tmp_path, [[(prepared("a\n"), False)], [(prepared("b\n"), False)]])
    assert not (tmp_path / "out.seg").exists()


def test_small_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (merge, segment_writer):
        monkeypatch.setattr(module, "POSTINGS_BLOCK", 7)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 11)
    files = [(prepared(text), i != 3) for i, text in enumerate(TEXTS)]
    check_merge(tmp_path, [files[:2], files[2:]])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(TEXTS) | st.text("ab(_ \ndefclass", max_size=50), st.booleans()),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_random_merges_equal_fresh_writes(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[tuple[str, bool]]]
) -> None:
    files = [[(prepared(text), lives) for text, lives in segment] for segment in texts]
    check_merge(tmp_path_factory.mktemp("merge"), files)
