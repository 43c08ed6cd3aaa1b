"""Text comes first in a large first index, symbols and vectors afterwards; answers say how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon import client
from tests.end_to_end.home import Home, grow, until, write
from tests.end_to_end.test_freshness import frozen

MakeHome = Callable[..., Home]

N_FILES = 400
# Segments of a few files, and many batches of the second pass.
SETTINGS = {
    "INDEX_TEXT_FIRST_FILES": "100",
    "INDEX_BATCH_BYTES": "65536",
    "INDEX_BATCH_MS": "20",
    "WORKERS_COUNT": "1",
    "DAEMON_RESTART_BACKOFF_MS": "10",
}


def tree_of(at: Path) -> Path:
    """A tree in which file i defines `function_i` and every tenth is a copy of file 0."""
    text = "def function_{0}(argument):\n    return called_{0}(argument)\n" * 60
    names = [0 if i % 10 == 0 else i for i in range(N_FILES)]
    return grow(at, {f"d{i % 7}/f{i}.py": text.format(n) for i, n in enumerate(names)})


def grep(home: Home, pattern: str, root: Path) -> tuple[list[str], dict[str, Any]]:
    """The paths with a match, and the final reply."""
    params = {"pattern": pattern, "path": str(root), "what": "files"}
    with client.connect(start=False, environ=home.env) as connection:
        *parts, result = connection.stream("grep", params)
    return [file["path"] for part in parts for file in part["files"]], result


def wait_for_text(home: Home, root: Path) -> None:
    """Return as soon as all text is there and symbols are not; the query process says it, however busy."""
    until(
        lambda: home.search("def:nothing", root)["incomplete"].startswith("symbols and vectors: "),
        "the second pass",
    )


@contextmanager
def adding(home: Home, root: Path) -> Iterator[list[dict[str, Any]]]:
    """Wait for `add` beside the block; its answer is in the list afterwards."""
    home.add(root, wait=False)
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(home.add(root)))
    thread.start()
    yield answers
    thread.join()


def test_text_is_complete_before_symbols_are_and_says_so(make_home: MakeHome) -> None:
    home = make_home(SETTINGS)
    root = tree_of(home.at / "tree")
    with adding(home, root) as answers:
        wait_for_text(home, root)
        with frozen(home.pids("writer")):
            found, result = grep(home, r"function_\d+", root)
            assert len(found) == N_FILES and result["incomplete"] == "" and result["fresh"]
            answer = home.search("function_399", root, mode="text")
            assert answer["hits"][0]["path"] == "d0/f399.py"
            assert answer["incomplete"] == "" and answer["fresh"]
            for query in ("def:function_399", "function_399", "kind:function", '~"call a function"'):
                said = home.search(query, root)["incomplete"]
                assert said.startswith("symbols and vectors: "), query
                assert said.endswith(f" of {N_FILES} files"), query
            assert not answers  # whoever waits for everything still waits
    assert (answers[0]["phase"], answers[0]["structure_done"]) == ("ready", N_FILES)
    answer = home.search("def:function_399", root)
    assert answer["incomplete"] == "" and answer["hits"][0]["path"] == "d0/f399.py"
    assert len(home.found("def:function_0", root)) == N_FILES // 10  # every copy
    assert home.fsck() == []


def test_a_file_saved_between_the_passes_has_its_symbols_at_once(make_home: MakeHome) -> None:
    home = make_home(SETTINGS)
    root = tree_of(home.at / "tree")
    home.add(root, wait=False)
    wait_for_text(home, root)
    status = home.status(root)
    whole = status["structure_done"] == status["structure_total"]
    assert status["phase"] == ("ready" if whole else "structure") and status["pending"] == 0
    assert status["structure_total"] == status["files"] == N_FILES
    write(root / "d0/f399.py", "def saved_meanwhile():\n    pass\n")
    home.sync(root)  # does not wait for the second pass
    assert home.found("def:saved_meanwhile", root) == ["d0/f399.py"]
    home.add(root)
    assert home.found("def:saved_meanwhile", root) == ["d0/f399.py"]
    assert home.found("def:function_399", root) == []
    assert home.fsck() == []


@pytest.mark.parametrize("kind", ["writer", "worker", "supervisor"])
def test_killed_between_the_passes(make_home: MakeHome, kind: str) -> None:
    home = make_home(SETTINGS)
    root = tree_of(home.at / "tree")
    home.add(root, wait=False)
    wait_for_text(home, root)
    home.kill(kind)
    if kind == "supervisor":
        until(lambda: not home.pid, "the end")
        home.start()
    assert len(grep(home, r"function_\d+", root)[0]) == N_FILES
    home.add(root)
    assert home.status(root)["phase"] == "ready"
    assert home.found("def:function_398", root) == ["d6/f398.py"]
    assert len(home.found("ref:called_0", root)) == N_FILES // 10
    assert home.fsck() == []


def test_stopped_between_the_passes_it_goes_on_at_the_next_start(make_home: MakeHome) -> None:
    home = make_home(SETTINGS)
    root = tree_of(home.at / "tree")
    home.add(root, wait=False)
    wait_for_text(home, root)
    home.stop()
    home.start()
    until(lambda: home.status(root)["phase"] == "ready", "the second pass")
    assert home.found("def:function_397", root) == ["d5/f397.py"]
    assert home.fsck() == []
