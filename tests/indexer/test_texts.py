"""A job whose text comes first, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from config.errors import StoreFull
from config.settings import load
from indexer import texts
from indexer.jobs import Job, Outcome
from indexer.records import FLAG_SHALLOW, FileChange, Skipped, TextSegment, Upsert
from indexer.source import Limits, read_source_stat
from indexer.store.segment import Segment
from indexer.store.text_writer import finish_text
from indexer.texts import run_text_job
from tests.store.test_full_disk import file_size_limit

CONTENTS = {
    "a.py": b"def alpha(): pass\n",
    "b.py": b"def beta(): pass\n" * 3_000,
    "c.py": b"def gamma(): pass\n" * 3_000,
    "copy.py": b"def alpha(): pass\n",
    "data.bin": b"\0\1",
}
PATHS = (*CONTENTS, "missing.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    for name, content in CONTENTS.items():
        (root / name).write_bytes(content)
    return root


def run(
    tree: Path,
    known: Callable[[Sequence[bytes]], set[bytes]] = lambda _: set(),
    notes: list[int] | None = None,
    pause: Callable[[], None] = lambda: None,
) -> tuple[list[Outcome], TextSegment | None]:
    limits = Limits.of(load(environ={}))
    job = Job(1, 1, os.fsencode(tree), tuple(map(os.fsencode, PATHS)), text_only=True)

    def note(_job: int, position: int, _digest: bytes) -> None:
        if notes is not None:
            notes.append(position)

    return run_text_job(
        job, tree.parent / "text", known, lambda root, path: read_source_stat(root, path, limits), note, pause
    )


def test_every_path_has_an_outcome_and_every_content_is_in_the_segment_once(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "SLICE_BYTES", 50_000)
    notes: list[int] = []
    pauses: list[int] = []
    outcomes, text = run(tree, notes=notes, pause=lambda: pauses.append(len(notes)))
    assert [outcome.path for outcome in outcomes] == [os.fsencode(path) for path in PATHS]
    assert isinstance(outcomes[4], Skipped) and outcomes[4].reason == "binary"
    assert outcomes[5] == FileChange(b"missing.py", None)
    assert notes == [1, 2, 7, 3, 7, 4, 5, 6, 7] and pauses == [3, 5]
    digests = [outcome.digest for outcome in outcomes if isinstance(outcome, Upsert)]
    assert text is not None and digests == [*text.digests, text.digests[0]]
    finish_text(text, tree.parent / "1.seg", 1, 1)
    segment = Segment.open(tree.parent / "1.seg")
    assert [bytes(segment.doc_bytes(i)) for i in range(3)] == [CONTENTS[name] for name in PATHS[:3]]
    assert segment.flags.tolist() == [FLAG_SHALLOW] * 3


def test_where_all_is_known_there_is_no_segment(tree: Path) -> None:
    outcomes, text = run(tree, known=set)
    assert text is None and len(outcomes) == len(PATHS)
    assert [path.name for path in tree.parent.iterdir()] == ["tree"]


def test_where_there_is_no_room_nothing_is_left(tree: Path) -> None:
    with file_size_limit(1_000), pytest.raises(StoreFull):
        run(tree)
    assert [path.name for path in tree.parent.iterdir()] == ["tree"]
