"""File-name search over a real index: what came, went and moved since is neither missed nor shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.errors import Cancelled, NoSuchRoot
from search import file_finder
from search.file_finder import FileFinder, FilesAnswer, FilesRequest
from tests.search import filename_twin as twin
from tests.search.corpus import Corpus

FILES = {
    "src/retry.py": "a",
    "src/retry_test.py": "b",
    "src/http/client.py": "c",
    "docs/retry.md": "d",
    "Makefile": "e",
}


class Desk:
    """A finder over an index."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.finder = FileFinder(corpus.index.reader)

    def find(self, query: str, **more: Any) -> FilesAnswer:
        return self.finder.find(FilesRequest(query, self.corpus.root_id, **({"limit": 100} | more)))

    def paths(self, query: str, **more: Any) -> list[str]:
        return [one.path for one in self.find(query, **more).files]

    def check(self, *queries: str) -> None:
        """As the twin says of the files that are there."""
        root = self.corpus.root
        there = [str(p.relative_to(root)).encode() for p in root.rglob("*") if p.is_file()]
        for query in queries:
            answer = self.find(query)
            expected = twin.search(there, query, "fuzzy")
            assert [(one.path.encode(), one.score, one.ranges) for one in answer.files] == expected
            assert answer.total == len(expected)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    corpus = Corpus(tmp_path, FILES)
    yield Desk(corpus)
    corpus.close()


def test_files_are_found_by_name(desk: Desk) -> None:
    desk.check("retry", "srcpy", "", "make", "!retry", "nothing")
    assert desk.find("retry", limit=1).total == 3


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("src/", ["src/retry.py", "src/retry_test.py"]),
        ("src", ["src/retry.py", "src/retry_test.py"]),
        ("src/retry.py", ["src/retry.py"]),
        ("src/ret", []),
        ("SRC/", []),
        ("no/where", []),
    ],
)
def test_only_what_lies_below_the_prefix(desk: Desk, prefix: str, found: list[str]) -> None:
    assert desk.paths("retry", path_prefix=prefix) == found
    assert desk.find("retry", path_prefix=prefix).total == len(found)


def test_every_generation_answers_for_itself(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """New paths go into a second table until they are many; removed ones are gone; both may come again."""
    monkeypatch.setattr(file_finder, "_TAIL_MIN", 4)
    queries = ("retry", "new", "py", "", "srcretry")
    desk.check(*queries)
    made: list[int] = []
    for i in range(12):
        desk.corpus.save(
            {f"new/retry{i}.py": "x", "src/retry.py": f"{i}"}, [f"new/retry{i - 3}.py"] if i > 3 else []
        )
        desk.check(*queries)
        made.append(len(desk.finder._known[desk.corpus.root_id].tables))
    assert set(made) == {1, 2}
    desk.corpus.save({"new/retry1.py": "again"}, ["src/retry.py"])
    desk.check(*queries)


def test_a_table_serves_generations_without_new_paths(desk: Desk) -> None:
    desk.find("a")
    tables = desk.finder._known[desk.corpus.root_id].tables
    desk.corpus.save({"src/retry.py": "changed"})
    assert desk.find("retry").generation > 1
    assert desk.finder._known[desk.corpus.root_id].tables is tables


def test_a_file_that_is_gone_is_not_shown_and_another_moves_up(desk: Desk) -> None:
    (desk.corpus.root / "docs" / "retry.md").unlink()
    answer = desk.find("retry", limit=2)
    assert [one.path for one in answer.files] == ["src/retry.py", "src/retry_test.py"]
    assert answer.total == 2
    assert answer.warnings == ("1 of the files are gone, and so are their hits",)
    assert not answer.fresh


def test_how_far_an_answer_is_trusted(desk: Desk) -> None:
    state = SimpleNamespace(phase="ready", settled=True, healthy=True, files_done=2, files_total=9)
    board = SimpleNamespace(root_state=lambda _id: state, writer_alive=lambda: True)
    desk.finder = FileFinder(desk.corpus.index.reader, board)  # type: ignore[arg-type]
    assert (desk.find("a").fresh, desk.find("a").incomplete, desk.find("a").warnings) == (True, "", ())
    state.phase, state.settled, state.healthy = "first_index", False, False
    answer = desk.find("a")
    assert (answer.fresh, answer.incomplete) == (False, "first index: 2 of 9 files")
    assert "events may have been lost" in answer.warnings[0]
    board.writer_alive = lambda: False
    assert "writer does not answer" in desk.find("a").warnings[1]


def test_a_root_that_is_not_there_and_a_query_taken_back(desk: Desk) -> None:
    with pytest.raises(NoSuchRoot):
        desk.finder.find(FilesRequest("a", 99))
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        desk.finder.find(FilesRequest("a", desk.corpus.root_id), cancelled)
