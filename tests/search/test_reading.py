"""What a query has unpacked is shown as the document has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.pages import PAGE_BYTES
from search.reading import Reading
from search.stretch import page_stretches
from tests.search.corpus import Corpus

LINE = "line %05d of a long text\n"


@pytest.mark.parametrize("noted", [False, True])
def test_a_passage_holds_the_lines_asked_for(tmp_path: Path, noted: bool) -> None:
    lines = [LINE % i for i in range(3 * PAGE_BYTES // len(LINE % 0))]
    corpus = Corpus(tmp_path, {"long.txt": "".join(lines), "short.txt": "one\ntwo\n"})
    snapshot = corpus.index.reader.snapshot()
    (segment,) = snapshot.segments
    reading = Reading(snapshot)
    if noted:
        pages = np.arange(segment.n_pages)[1::2]
        for stretch in page_stretches(segment, pages, 1 << 30):
            reading.note(0, segment, stretch, np.arange(len(stretch.pieces)))
    for doc in range(segment.n_docs):
        content = segment.doc_bytes(doc)
        size = len(content)
        for start, end in [(0, 1), (size // 2, min(size, size // 2 + 30)), (0, size), (size - 1, size)]:
            passage = reading.passage(doc, start, end)
            low = passage.offset
            assert content[low : low + len(passage.content)] == passage.content
            assert low <= start and end <= low + len(passage.content)
            assert not low or content[low - 1 : low] == b"\n"
            assert passage.line == content.count(b"\n", 0, low) + 1
        assert reading.content(doc) == content
    corpus.close()
