"""Fixtures of the tests against a real daemon."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.end_to_end.home import Home, grow, home_at

_numbers = count(1)


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """A daemon that all tests share, except those that harm it."""
    with home_at() as made:
        yield made
        made.stop()
        log = made.log()
        assert "Traceback" not in log and " ERROR " not in log, log


@pytest.fixture
def own_home() -> Iterator[Home]:
    """A home of the test's own; its daemon does not run yet."""
    with home_at(start=False) as made:
        yield made


@pytest.fixture
def make_home() -> Iterator[Callable[..., Home]]:
    """Makes homes with settings of their own: `make_home({"WATCH_RESCAN_S": "0"}, start=False)`."""
    with ExitStack() as stack:

        def make(settings: Mapping[str, str] | None = None, start: bool = True) -> Home:
            made: AbstractContextManager[Home] = home_at(settings, start)
            return stack.enter_context(made)

        yield make


@pytest.fixture
def make_root(home: Home) -> Iterator[Callable[[Mapping[str, str | bytes]], Path]]:
    """Makes indexed directories of the shared daemon: `make_root({"a.py": "..."})`; removed afterwards."""
    made: list[Path] = []

    def make(files: Mapping[str, str | bytes]) -> Path:
        root = grow(home.at / f"tree{next(_numbers)}", files)
        root.mkdir(exist_ok=True)
        made.append(root)
        home.add(root)
        return root

    yield make
    for root in made:
        known = {each["path"] for each in home.ask("roots")["roots"]}
        if str(root) in known:
            home.ask("remove", path=str(root))
        shutil.rmtree(root, ignore_errors=True)
