"""What may not be read or written: counted and told, and indexed as soon as it may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.home import Home, grow
from tests.privileges import as_anybody

FILES = {
    "open.py": "def open_word():\n    pass\n",
    "closed.py": "def closed_word():\n    pass\n",
    "shut/inside.py": "def inside_word():\n    pass\n",
    "shut/deep/below.py": "def below_word():\n    pass\n",
    "listed/inside.py": "def listed_word():\n    pass\n",
}


@pytest.fixture
def common(own_home: Home) -> Home:
    """A home whose daemon has no more rights than its user, and indexes FILES."""
    grow(own_home.at / "tree", FILES)
    return own_home


def start(home: Home) -> None:
    done = home.run("searchd", "start", through=as_anybody())
    assert done.returncode == 0, done.stderr


def close(root: Path) -> None:
    (root / "closed.py").chmod(0o000)
    (root / "shut").chmod(0o000)
    (root / "listed").chmod(0o600)  # may be listed, but nothing in it can be looked at


def test_what_may_not_be_read_is_counted_and_told_and_the_rest_is_indexed(common: Home) -> None:
    root = common.at / "tree"
    close(root)
    start(common)
    common.add(root)
    assert common.found("", root) == ["open.py"]
    assert common.status(root)["skipped"] == {"unreadable": 3}
    for name in ("closed.py", "shut", "shut/inside.py", "shut/deep/below.py", "listed", "listed/inside.py"):
        verdict = common.why(root / name)
        assert not verdict["indexed"], name
        assert (verdict["reason"], verdict["detail"]) == ("it cannot be read", "Permission denied"), name
    assert common.search("open_word", root)["fresh"]  # what is closed is not missed
    (root / "closed.py").chmod(0o600)
    common.sync(root)
    assert common.found("def:closed_word", root) == ["closed.py"]
    (root / "shut").chmod(0o700)
    common.sync(root)
    assert common.found("def:inside_word", root) == ["shut/inside.py"]
    assert common.found("def:below_word", root) == ["shut/deep/below.py"]
    (root / "listed").chmod(0o700)
    common.sync(root)
    assert common.found("def:listed_word", root) == ["listed/inside.py"]
    assert common.status(root)["skipped"] == {}
    assert common.fsck() == []


def test_what_is_closed_later_is_no_longer_found_and_comes_back(common: Home) -> None:
    root = common.at / "tree"
    start(common)
    common.add(root)
    assert set(common.found("", root)) == set(FILES)
    close(root)
    common.sync(root)
    assert common.found("", root) == ["open.py"]
    assert common.status(root)["skipped"] == {"unreadable": 3}
    for name in ("closed.py", "shut", "listed"):
        (root / name).chmod(0o700)
    (root / "shut/deep/below.py").write_text("def written_word():\n    pass\n")
    common.sync(root)
    assert set(common.found("", root)) == set(FILES)
    assert common.found("def:written_word", root) == ["shut/deep/below.py"]  # watched again
    assert common.status(root)["skipped"] == {}


def test_a_closed_directory_that_opens_while_no_daemon_runs(common: Home) -> None:
    root = common.at / "tree"
    close(root)
    start(common)
    common.add(root)
    common.stop()
    (root / "shut").chmod(0o700)
    start(common)
    common.sync(root)
    assert set(common.found("", root)) == {"open.py", "shut/inside.py", "shut/deep/below.py"}
    assert common.status(root)["skipped"] == {"unreadable": 2}


def test_a_cache_directory_that_cannot_be_made_is_told(own_home: Home) -> None:
    through = as_anybody()
    above = own_home.at / "closed"
    above.mkdir(mode=0o500)
    for command in (("searchd", "start"), ("search", "x", str(own_home.at))):
        done = own_home.run(*command, through=through, EINSTEIN_CACHE_DIR=str(above / "cache"))
        assert done.returncode == 2
        assert f"the directory {above}/cache cannot be made: Permission denied" in done.stderr
        assert "EINSTEIN_CACHE_DIR" in done.stderr and "Traceback" not in done.stderr


def test_a_file_of_the_cache_that_cannot_be_written_is_told(own_home: Home) -> None:
    through = as_anybody()
    own_home.cache.mkdir(mode=0o700)
    (own_home.cache / "daemon.lock").touch(mode=0o000)
    done = own_home.run("searchd", "start", through=through)
    assert done.returncode == 2
    assert f"{own_home.cache}/daemon.lock cannot be used: Permission denied" in done.stderr
