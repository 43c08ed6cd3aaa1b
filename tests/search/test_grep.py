"""Exhaustive search: every line, in order of path, as it is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.errors import QuerySyntaxError, UsageError
from search import grep
from search.batch import BatchResult, PatternSpec, cut, read_batch
from search.grep import GrepRequest
from tests.search.corpus import Corpus

FILES = {
    "b.py": "import os\n\ndef retry(n):\n    return n  # retry twice, retry\n",
    "a/z.c": "int retry;\r\nint other;\r\nretry",
    "a/b.py": "nothing\n",
    "copy/b.py": "import os\n\ndef retry(n):\n    return n  # retry twice, retry\n",
    "a.py": "Retry = 1\n",
}


class Always:
    """A clock that says the same at every look."""

    def __init__(self, over: bool) -> None:
        self._over = over

    def over(self) -> bool:
        return self._over


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = Corpus(tmp_path, FILES)
    yield made
    made.close()


def swept(corpus: Corpus, pattern: str, over: bool = False, **request: Any) -> BatchResult:
    """Return what all batches of a search show together."""
    fields = {
        name: request.pop(name) for name in ("what", "every", "word", "literal", "case") if name in request
    }
    spec = PatternSpec(pattern, **fields)
    sweep = corpus.engine.grep(GrepRequest(spec, corpus.root_id, **request))
    whole = BatchResult([])
    for batch in sweep.batches():
        result = read_batch(batch, sweep.pattern, spec, sweep.segments.__getitem__, Always(over))
        whole.files += result.files
        whole.lines += result.lines
        whole.changed += result.changed
        whole.gone += result.gone
        whole.complete &= result.complete
    return whole


def places(result: BatchResult) -> list[tuple[str, int, int, int]]:
    return [
        (file["path"], *place)
        for file in result.files
        for place in zip(_lines(file), file["columns"], file["ends"], strict=True)
    ]


def _lines(file: dict[str, Any]) -> list[int]:
    """Return the line of every match."""
    counts = file.get("counts", [1] * len(file["lines"]))
    return [line for line, count in zip(file["lines"], counts, strict=True) for _ in range(count)]


PLACES = [
    ("a/z.c", 1, 5, 10),
    ("a/z.c", 3, 1, 6),
    ("b.py", 3, 5, 10),
    ("b.py", 4, 17, 22),
    ("copy/b.py", 3, 5, 10),
    ("copy/b.py", 4, 17, 22),
]


@pytest.mark.parametrize("batch_bytes", [1, 60, 1 << 20])
def test_every_line_in_order_of_path(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, batch_bytes: int
) -> None:
    monkeypatch.setattr(grep, "BATCH_BYTES_MAX", batch_bytes)
    monkeypatch.setattr(grep, "ONE_BATCH_BYTES", 0)
    monkeypatch.setattr(grep, "FIRST_BATCH_BYTES", batch_bytes)
    monkeypatch.setattr(grep, "BATCH_BYTES_MIN", batch_bytes)
    found = swept(corpus, "retry")
    assert places(found) == PLACES
    assert (found.lines, found.changed, found.gone, found.complete) == (6, 0, 0, True)
    assert found.files[0]["text"] == "int retry;\r\nretry"


def test_every_match_of_a_line(corpus: Corpus) -> None:
    file = swept(corpus, "retry", every=True).files[1]
    assert (file["lines"], file["counts"]) == ([3, 4], [1, 2])
    assert (file["columns"], file["ends"]) == ([5, 17, 30], [10, 22, 35])


def test_counts_and_files(corpus: Corpus) -> None:
    assert swept(corpus, "retry", what="count").files == [
        {"path": "a/z.c", "count": 2},
        {"path": "b.py", "count": 2},
        {"path": "copy/b.py", "count": 2},
    ]
    assert [file["path"] for file in swept(corpus, "(?i)retry", what="files").files] == [
        "a.py", "a/z.c", "b.py", "copy/b.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "paths"),
    [
        ({"path_prefix": "a/"}, ["a/z.c"]),
        ({"languages": ("python",)}, ["b.py", "copy/b.py"]),
        ({"globs": ("!copy/*",)}, ["a/z.c", "b.py"]),
        ({"query": "lang:c"}, ["a/z.c"]),
        ({"query": "twice -path:copy"}, ["b.py"]),
        ({"query": "import twice"}, ["b.py", "copy/b.py"]),
        ({"query": "other OR path:copy"}, ["a/z.c", "copy/b.py"]),
    ],
)
def test_filters(corpus: Corpus, request_: dict[str, Any], paths: list[str]) -> None:
    assert [file["path"] for file in swept(corpus, "retry", **request_).files] == paths


def test_a_file_that_changed_is_read_live_and_one_that_is_gone_is_not_shown(corpus: Corpus) -> None:
    corpus.write({"b.py": "now\nretry here\n"})
    (corpus.root / "copy/b.py").unlink()
    corpus.write({"a/z.c": "nothing left\n"})
    found = swept(corpus, "retry")
    assert places(found) == [("b.py", 2, 1, 6)]
    assert (found.changed, found.gone, found.lines) == (2, 1, 1)


def test_time_that_is_up_is_said(corpus: Corpus) -> None:
    found = swept(corpus, "retry", over=True)
    assert (found.files, found.complete) == ([], False)


@pytest.mark.parametrize("lines", range(1, 6))
@pytest.mark.parametrize("every", [False, True])
def test_a_cut_result_is_the_beginning_of_the_whole(corpus: Corpus, lines: int, every: bool) -> None:
    whole = swept(corpus, "retry", every=every)
    part = cut(whole, lines)
    assert part.lines == lines
    assert places(part) == places(whole)[: sum(len(file["columns"]) for file in part.files)]
    texts = "\n".join(file["text"] for file in whole.files).split("\n")
    assert "\n".join(file["text"] for file in part.files).split("\n") == texts[:lines]
    counted = cut(swept(corpus, "retry", what="count"), lines)
    assert sum(file["count"] for file in counted.files) == lines


def test_what_cannot_be_asked_is_said(corpus: Corpus) -> None:
    with pytest.raises(QuerySyntaxError, match="not a regular expression"):
        swept(corpus, "(")
    with pytest.raises(QuerySyntaxError):
        swept(corpus, "retry", query="(unclosed")
    with pytest.raises(UsageError, match="cannot filter"):
        swept(corpus, "retry", query='~"trying again" path:a')
