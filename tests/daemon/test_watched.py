"""One watched root: what its scans owe each other."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, cast

import pytest

from config.settings import load
from daemon.watched import WatchedRoot
from indexer.records import Stat
from indexer.store.lookup import Lookup


class AtOnce(Executor):
    """Runs everything in the calling thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except OSError as error:
            future.set_exception(error)
        return future


class Known:
    """An index that has one file, as it is on disk."""

    def __init__(self, file: Path) -> None:
        os.utime(file, (1_700_000_000, 1_700_000_000))  # long ago: a young file is always read
        found = file.stat()
        self._files = {file.name.encode(): Stat(found.st_size, found.st_mtime_ns, found.st_ino)}

    def all_files(self, _root_id: int) -> dict[bytes, Stat]:
        return dict(self._files)

    def all_skipped(self, _root_id: int) -> dict[bytes, Stat]:
        return {}


def test_a_scan_of_everything_that_fails_leaves_its_task_to_the_next(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.py").write_text("x = 1\n")
    lookup = cast(Lookup, Known(root / "a.py"))
    settings = load(environ={})
    watched = WatchedRoot(1, bytes(root), settings, lambda: None, AtOnce(), True, "other limits")
    assert not watched.judged
    watched.request_scan("limits changed", everything=True)
    root.rename(tmp_path / "away")
    watched.start_scan(lookup, ())
    with pytest.raises(FileNotFoundError):
        watched.ended_scan()
    (tmp_path / "away").rename(root)
    watched.request_scan("timer")
    watched.start_scan(lookup, ())
    changes = watched.ended_scan()
    assert changes is not None
    assert [change.path for change in changes] == [b"a.py"]
    watched.request_scan("timer")
    watched.start_scan(lookup, ())
    assert watched.ended_scan() == []
