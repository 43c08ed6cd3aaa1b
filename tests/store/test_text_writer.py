"""Segments that workers write against those made of prepared files; what the writer makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from config.errors import StoreFull
from indexer import bags
from indexer.pages import page_starts, paged_trigrams
from indexer.records import (
    FLAG_SHALLOW,
    Batch,
    ChunkTable,
    Parsed,
    PreparedFile,
    SourceFile,
    Stat,
    TextSegment,
    Upsert,
)
from indexer.store.check import fsck
from indexer.store.check_segment import segment_problems
from indexer.store.format import SECTIONS
from indexer.store.segment import Segment
from indexer.store.segment_writer import write_segment
from indexer.store.text_writer import TextWriter, finish_text
from indexer.vocabulary import Vocabulary
from tests.store.test_full_disk import file_size_limit
from tests.support import digest_of, prepared, small_index

PAGES = "".join(f"line {number} of a long_file with wordNumber{number % 700}\n" for number in range(4_000))
TEXTS = [
    "def alpha():\n    return beta_gamma(1)\n",
    "",
    "no newline at the end",
    PAGES,
    "Größe “maß” naïve\r\n\r\n" * 30,
    "x" * 300 + "\n" + "y " * 40,
    "\n",
    PAGES[100:],
    "alpha beta alpha\n" * 900,
]


def source(text: str, language: str = "python") -> SourceFile:
    return SourceFile(digest_of(text.encode()), text.encode(), language, "utf-8", 0)


def written(at: Path, texts: list[str], slices: int = 3) -> TextSegment:
    with TextWriter(at / "text-1") as writer:
        for first in range(0, len(texts), slices):
            writer.add([source(text) for text in texts[first : first + slices]])
        return writer.finish()


def shallow(text: str, vocabulary: Vocabulary) -> PreparedFile:
    """A shallow file made the slow way: its chunks are its pages."""
    content = text.encode()
    starts = page_starts(content) if content else []
    lines = [content.count(b"\n", 0, start) + 1 for start in starts]
    symbols, references = prepared("").parsed.symbols, prepared("").parsed.references
    chunks = ChunkTable(
        np.array(starts, np.uint32),
        np.array([*starts[1:], len(content)][: len(starts)], np.uint32),
        np.array(lines, np.uint32),
        np.full(len(starts), -1, np.int32),
    )
    terms = bags.term_table(bags.bag(content, chunks, symbols, vocabulary), vocabulary)
    return PreparedFile(
        SourceFile(digest_of(content), content, "python", "utf-8", FLAG_SHALLOW),
        paged_trigrams(content),
        Parsed(symbols, references, chunks),
        terms,
        np.empty((len(starts), 0), np.float16),
    )


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], [""], ["", "\n"], ["+-*\n"]])
def test_a_worker_writes_what_is_written_of_prepared_files(tmp_path: Path, texts: list[str]) -> None:
    info = finish_text(written(tmp_path, texts), tmp_path / "00000007.seg", 7, 40)
    vocabulary = Vocabulary()
    docs = [(40 + i, shallow(text, vocabulary), np.empty(0, np.uint32)) for i, text in enumerate(texts)]
    slow_info = write_segment(tmp_path / "slow.seg", 7, docs)
    fast, slow = Segment.open(tmp_path / "00000007.seg"), Segment.open(tmp_path / "slow.seg")
    assert segment_problems(fast, deep=True) == []
    assert (info.counts, info.content_bytes) == (slow_info.counts, slow_info.content_bytes)
    assert info.section_bytes == slow_info.section_bytes
    for name in SECTIONS:
        if hasattr(fast, name):
            assert np.array_equal(getattr(fast, name), getattr(slow, name)), name
    for i, (_, file, _) in enumerate(docs):
        for term, chunk, count in zip(file.terms.hash, file.terms.chunk, file.terms.body, strict=True):
            chunks, counts = fast.term_postings(int(term))
            assert counts[chunks == int(fast.doc_chunk[i]) + chunk].tolist() == [count]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["00000007.seg", "slow.seg"]


def test_an_unfinished_segment_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(MemoryError), TextWriter(tmp_path / "text-1") as writer:
        writer.add([source("alpha\n")])
        raise MemoryError
    assert list(tmp_path.iterdir()) == []


def test_no_room_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    with file_size_limit(2_000), pytest.raises(StoreFull):
        written(tmp_path, TEXTS)
    assert list(tmp_path.iterdir()) == []


def batch(texts: list[TextSegment], files: dict[str, str]) -> Batch:
    upserts = [
        Upsert(path.encode(), Stat(len(text), 1, 1), digest_of(text.encode()), None)
        for path, text in files.items()
    ]
    return Batch(1, upserts, texts=texts)


def test_the_writer_publishes_segments_of_workers(tmp_path: Path) -> None:
    with small_index(tmp_path, {"old.py": TEXTS[0]}) as index:
        segments = tmp_path / "store" / "segments"
        one = written(segments, TEXTS[:4])  # the first content is stored already
        (segments / "text-1.tmp").rename(segments / "other.tmp")
        two = written(segments, [TEXTS[2], TEXTS[8]])  # and the first of this one is in the other
        one = replace(one, path=str(segments / "other.tmp"))
        files = {f"{number}.py": TEXTS[number] for number in (0, 1, 2, 3, 8)}
        index.writer.apply(batch([one, two], files))
        snapshot = index.snapshot()
        view = snapshot.roots[1]
        for path, text in files.items():
            segment, ordinal = snapshot.locate_doc(int(view.file_doc[view.slot_of(path.encode())]))
            assert bytes(segment.doc_bytes(ordinal)) == text.encode()
        assert fsck(tmp_path / "store", quiet=True) == []
        dead = {number: record.dead_docs for number, record in index.writer._state.records.items()}
        assert list(dead.values()) == [0, 1, 1]


def test_a_segment_that_could_not_be_published_is_published_later(tmp_path: Path) -> None:
    with small_index(tmp_path, {"old.py": "x\n"}) as index:
        segments = tmp_path / "store" / "segments"
        generation, before = index.writer.generation, {path.name for path in segments.iterdir()}
        text = written(segments, TEXTS)
        files = {f"{number}.py": text for number, text in enumerate(TEXTS)}
        for limit in (text.end, 1 << 17):  # the rest of the segment does not fit; the catalog does not
            with file_size_limit(limit), pytest.raises(StoreFull):
                index.writer.apply(batch([text], files))
            assert index.writer.generation == generation
            assert {path.name for path in segments.iterdir()} == before | {Path(text.path).name}
        index.writer.apply(batch([text], files))
        assert index.snapshot().roots[1].n_files == len(files) + 1
        assert fsck(tmp_path / "store", quiet=True) == []
