"""`kill -9` of every process, at rest and at work: the service recovers and nothing indexed is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import DaemonUnavailable
from config.processes import is_alive
from tests.end_to_end.home import Home, grow, save, until, write

SERVED_WITHIN_S = 2.0  # of the next start, after kill -9 of anything
N_FILES = 60

MakeHome = Callable[..., Home]


def tree_of(at: Path, n_files: int = N_FILES) -> Path:
    """A tree of small files; file i defines `function_i`."""
    files = {f"d{i % 7}/f{i}.py": f"def function_{i}(argument):\n    return {i}\n" for i in range(n_files)}
    return grow(at, files)


@pytest.fixture
def indexed(own_home: Home) -> tuple[Home, Path]:
    """A running daemon of the test's own, and an indexed root."""
    root = tree_of(own_home.at / "tree")
    own_home.start()
    own_home.add(root)
    return own_home, root


def assert_served_in_time(home: Home, root: Path, query: str, path: str, end: Callable[[], None]) -> None:
    """End the daemon and start it; the best of three times counts, since the machine may be busy."""
    times: list[float] = []
    while not times or (min(times) > SERVED_WITHIN_S and len(times) < 3):
        end()
        times.append(seconds_until_served(home, root, query, path))
    assert min(times) <= SERVED_WITHIN_S, times


def seconds_until_served(home: Home, root: Path, query: str, path: str) -> float:
    """Start the daemon; seconds until it gives the right answer."""
    starting = threading.Thread(target=home.start)
    started = time.monotonic()
    starting.start()
    until(lambda: home.found(query, root) == [path], "the answer of before")
    seconds = time.monotonic() - started
    starting.join()
    return seconds


def test_a_query_process_is_killed(indexed: tuple[Home, Path]) -> None:
    home, root = indexed
    (before,) = home.kill("query")
    started = time.monotonic()
    assert home.found("def:function_7", root)[0] == "d0/f7.py"  # waits in the socket's queue
    assert time.monotonic() - started <= SERVED_WITHIN_S
    (after,) = home.pids("query")
    assert after != before
    assert home.fsck() == []


def test_the_writer_is_killed(indexed: tuple[Home, Path]) -> None:
    """Queries do not notice, except that the answer says so; what is saved meanwhile is found afterwards."""
    home, root = indexed
    (before,) = home.kill("writer")
    answer = home.search("def:function_7", root)
    assert answer["hits"][0]["path"] == "d0/f7.py"
    write(root / "d0/f7.py", "def meanwhile():\n    pass\n")
    (root / "d1/f1.py").unlink()
    started = time.monotonic()
    until(lambda: home.pids("writer") not in ([], [before]), "another writer")
    home.sync(root)
    assert time.monotonic() - started <= SERVED_WITHIN_S
    assert home.found("def:meanwhile", root) == ["d0/f7.py"]
    assert home.found("def:function_7", root, mode="text", globs=["d0/f7.py"]) == []
    assert "d1/f1.py" not in home.found("", root)
    assert home.fsck() == []


def test_a_worker_is_killed(indexed: tuple[Home, Path]) -> None:
    home, root = indexed
    for i in range(3):
        home.kill("worker")
        save(root / "d0/f7.py", f"def after_kill_{i}():\n    pass\n")
        home.sync(root)
        assert home.found(f"def:after_kill_{i}", root)[0] == "d0/f7.py"
    assert home.ask("status")["index"]["quarantined"] == 0
    assert home.fsck() == []


def test_the_supervisor_is_killed(indexed: tuple[Home, Path]) -> None:
    home, root = indexed
    generation = home.ask("status")["generation"]
    children = home.children()

    def end() -> None:
        running = home.children().values()
        home.kill("supervisor")
        # They end by themselves; until then the old ones may still answer.
        until(lambda: not any(map(is_alive, running)), "the processes without a supervisor have ended")

    assert_served_in_time(home, root, '"def function_7("', "d0/f7.py", end)
    assert home.ask("status")["generation"] >= generation
    assert len(home.found("", root)) == N_FILES
    assert home.fsck() == []
    assert not set(children.values()) & set(home.children().values())


def test_everything_is_killed(indexed: tuple[Home, Path]) -> None:
    home, root = indexed
    write(root / "d0/f7.py", "def last_words():\n    pass\n")
    generation = home.sync(root)

    def end() -> None:
        for pid in [*home.pids("supervisor"), *home.pids("worker"), *home.children().values()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        write(root / "d0/f14.py", "def while_all_were_dead():\n    pass\n")

    assert_served_in_time(home, root, '"def last_words("', "d0/f7.py", end)
    home.sync(root)
    assert home.ask("status")["generation"] >= generation
    assert home.found("def:while_all_were_dead", root) == ["d0/f14.py"]
    assert len(home.found("", root)) == N_FILES
    assert home.fsck() == []


def test_killed_in_the_middle_of_a_first_index(make_home: MakeHome) -> None:
    """Small batches, so that some are committed; the writer is killed again and again."""
    home = make_home({"INDEX_BATCH_MS": "20", "DAEMON_RESTART_BACKOFF_MS": "10"})
    root = tree_of(home.at / "tree", 600)
    home.add(root, wait=False)
    seen = [0]
    for _ in range(3):
        seen.append(len(home.found("", root)))
        assert seen[-1] >= seen[-2]  # what was committed stays
        home.kill("writer")
        until(lambda: seen[-1] == 600 or len(home.found("", root)) > seen[-1], "progress")
    if workers := until(lambda: home.pids("worker"), "a worker"):
        os.kill(workers[0], signal.SIGKILL)
    home.sync(root)
    assert len(home.found("", root)) == 600
    assert home.found('"def function_599("', root) == ["d4/f599.py"]
    assert home.fsck() == []


@pytest.mark.parametrize("point", ["after-vectors", "after-segment", "before-commit", "after-commit"])
def test_the_writer_dies_at_every_step_of_a_commit(own_home: Home, point: str) -> None:
    home = own_home
    root = tree_of(home.at / "tree", 5)
    home.start()
    home.add(root)
    home.stop()
    home.env["EINSTEIN_CRASH_AT"] = point
    home.start()
    write(root / "new.py", "def crash_test():\n    pass\n")
    until(lambda: "writer (process" in home.log() and "killed by signal 9" in home.log(), "the writer died")
    assert home.found('"def function_3("', root) == ["d3/f3.py"]
    home.stop()
    del home.env["EINSTEIN_CRASH_AT"]
    home.start()
    home.sync(root)
    assert home.found("def:crash_test", root) == ["new.py"]
    assert len(home.found("", root)) == 6
    assert home.fsck() == []


@pytest.mark.parametrize("point", ["merge-written", "merge-before-commit", "merge-after-commit"])
def test_a_merge_dies_at_every_step(make_home: MakeHome, point: str) -> None:
    """The merging child or the writer dies; what it had written is swept up, and merging works afterwards."""
    home = make_home({"STORE_MERGE_FANOUT": "2", "DAEMON_RESTART_BACKOFF_MS": "10"}, start=False)
    home.env["EINSTEIN_CRASH_AT"] = point
    root = tree_of(home.at / "tree", 5)

    def synced() -> int:
        try:
            return home.sync(root)
        except DaemonUnavailable:  # the writer dies in each of its lives, and is started again
            return 0

    home.start()
    home.add(root)
    for i in range(6):
        write(root / f"new{i}.py", f"def saved_{i}():\n    pass\n")
        until(synced, "a writer that commits")
    died = ("merge failed", "killed by signal 9")
    until(lambda: any(how in home.log() for how in died), "a merge died")
    assert home.found('"def saved_5("', root) == ["new5.py"]
    home.stop()
    del home.env["EINSTEIN_CRASH_AT"]
    home.start()
    until(lambda: home.ask("status")["index"]["merges"], "a merge")
    home.sync(root)
    assert len(home.found("", root)) == 11
    assert home.found('"def saved_5("', root) == ["new5.py"]
    assert home.fsck() == []


def test_restart_serves_the_last_generation(indexed: tuple[Home, Path]) -> None:
    home, root = indexed
    generation = home.sync(root)

    def end() -> None:
        home.stop()
        assert home.pid == 0
        with pytest.raises(DaemonUnavailable):
            home.search("x", root)

    assert_served_in_time(home, root, '"def function_7("', "d0/f7.py", end)
    home.sync(root)
    assert home.ask("status")["generation"] >= generation
    assert home.status(root)["phase"] == "ready"  # not a first index again


def test_queries_during_kills_never_fail(indexed: tuple[Home, Path]) -> None:
    """A client that asks all the time sees answers only, whatever dies below it."""
    home, root = indexed
    for kind in ("query", "writer", "query", "worker", "writer"):
        until(lambda kind=kind: home.pids(kind), f"a {kind}")
        home.kill(kind)
        for _ in range(3):
            assert home.search('"def function_7("', root)["hits"][0]["path"] == "d0/f7.py"
    until(lambda: home.fsck() == [], "a clean index")
