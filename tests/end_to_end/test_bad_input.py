"""What ends in a clear error with nothing lost: wrong requests and directories, full disks, old indexes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from config import paths
from config.errors import NoSuchRoot, ProtocolError, QuerySyntaxError, SocketPathTooLong, UsageError
from daemon import client, wire
from indexer.store.board import ROOTS_MAX
from indexer.store.format import FORMAT_VERSION
from tests.end_to_end.home import PATIENCE_S, REPO, Home, grow, home_at, save, until, write

MakeRoot = Callable[[Mapping[str, str | bytes]], Path]


@contextlib.contextmanager
def connected(home: Home) -> Iterator[socket.socket]:
    """A bare connection to the query socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(paths.query_socket(home.env))
        yield sock


def replies(sock: socket.socket) -> Iterator[dict[str, Any]]:
    """What the daemon says until it closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):  # it closed before it had read all
        while piece := sock.recv(65_536):
            data += piece
            *lines, data = data.split(b"\n")
            yield from map(json.loads, lines)


def test_a_root_that_is_not_there(home: Home) -> None:
    write(home.at / "file.py", "x = 1\n")
    for path in (home.at / "nowhere", home.at / "file.py"):
        with pytest.raises(NoSuchRoot, match="not a directory"):
            home.add(path)
    with pytest.raises(NoSuchRoot, match="own directory"):
        home.add(home.cache)
    with pytest.raises(NoSuchRoot, match="no indexed root"):
        home.search("x", home.at / "nowhere")
    with pytest.raises(NoSuchRoot):
        home.ask("remove", path=str(home.at / "nowhere"))
    with pytest.raises(NoSuchRoot):
        home.ask("rebuild", path=str(home.at / "nowhere"))
    with pytest.raises(UsageError, match="absolute"):
        home.search("x", "relative/path")


def test_a_root_is_deleted_while_somebody_waits(home: Home, make_root: MakeRoot) -> None:
    root = make_root({"a.py": "deleted_root_word = 1\n"})
    shutil.rmtree(root)
    home.sync(root)  # there is nothing to wait for
    until(lambda: home.status(root)["phase"] == "missing", "the root is missed")
    home.sync(root)
    answer = home.search("deleted_root_word", root, wait=True)
    assert answer["hits"] == [] and not answer["fresh"]
    assert any("not there" in warning for warning in answer["warnings"])
    home.ask("remove", path=str(root))
    with pytest.raises(NoSuchRoot):
        home.search("deleted_root_word", root)


@pytest.mark.parametrize(
    ("query", "column", "says"),
    [
        ("good /(bad/", 5, "regular expression"),
        (r"/(?<=a)b/", 0, "regular expression"),
        ("lang:klingon", 5, "klingon"),
        ("x (y", 2, "never closed"),
        ("a" * 9000, None, "8192"),
        ("(" * 50 + "x" + ")" * 50, None, "40"),
    ],
)
def test_a_query_that_cannot_be_read(
    home: Home, make_root: MakeRoot, query: str, column: int | None, says: str
) -> None:
    root = make_root({"a.py": "x = 1\n"})
    with pytest.raises(QuerySyntaxError, match=says) as caught:
        home.search(query, root)
    if column is not None:
        assert caught.value.column == column


@pytest.mark.parametrize(
    "params",
    [
        {"types": ["klingon"]},
        {"mode": "magic"},
        {"limit": 0},
        {"context": -1},
        {"deadline_ms": 0},
        {"limit": 10**9},
    ],
)
def test_parameters_out_of_range(home: Home, make_root: MakeRoot, params: dict[str, Any]) -> None:
    root = make_root({"a.py": "x = 1\n"})
    with pytest.raises(UsageError):
        home.ask("search", {"query": "x", "path": str(root), **params})


@pytest.mark.parametrize(
    "params",
    [{}, {"query": 7, "path": "/"}, {"query": "x", "path": "/", "limits": 3}, {"query": "x", "path": None}],
)
def test_parameters_of_a_wrong_type(home: Home, params: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        home.ask("search", params)


def test_garbage_on_the_socket(home: Home) -> None:
    """Each line gets an error, and the daemon lives."""
    with connected(home) as sock:
        sock.sendall(
            b'\xff\xfe\x00\x01 no json\n{"jsonrpc": "2.0"}\n[1, 2]\n"text"\n{}\n\n' + b"{" * 10_000 + b"\n"
        )
        sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        found = replies(sock)
        errors = [next(found) for _ in range(6)]
        assert all(each["error"]["data"]["code"] == "protocol" for each in errors)
        assert "result" in next(found)


def test_a_connection_that_ends_in_the_middle(home: Home) -> None:
    for piece in (b"", b'{"jsonrpc"', b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n'):
        with connected(home) as sock:
            sock.sendall(piece)
    assert home.ask("ping")["pid"]


def test_an_oversized_request(home: Home) -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        home.ask("search", {"query": "x" * wire.FRAME_BYTES_MAX, "path": "/"})
    with connected(home) as sock:

        def send() -> None:
            with contextlib.suppress(OSError):  # the daemon closes before it has read all
                sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "search", "params": {"query": "')
                sock.sendall(b"x" * (wire.FRAME_BYTES_MAX + 65_536))

        sending = threading.Thread(target=send)
        sending.start()
        (reply,) = replies(sock)
        sending.join()
    assert reply["error"]["data"]["code"] == "protocol"
    assert home.ask("ping")["pid"]


def test_a_bad_project_file_is_told_when_its_root_is_added(home: Home) -> None:
    root = grow(home.at / "bad-project", {".einstein.toml": "[index]\nignroe = ['*.c']\n", "a.py": "x = 1\n"})
    with pytest.raises(Exception, match="ignore"):
        home.add(root)
    assert str(root) not in [each["path"] for each in home.ask("roots")["roots"]]
    write(root / ".einstein.toml", "[index]\nignore = ['*.c']\n")
    write(root / "b.c", "int x;\n")
    home.add(root)
    assert set(home.found("", root)) == {".einstein.toml", "a.py"}
    home.ask("remove", path=str(root))


def test_a_socket_path_that_is_too_long(own_home: Home) -> None:
    own_home.env["EINSTEIN_DAEMON_SOCKET_DIR"] = str(own_home.at / ("long" * 30))
    with pytest.raises(SocketPathTooLong, match="EINSTEIN_DAEMON_SOCKET_DIR"):
        client.connect(environ=own_home.env)
    for command in (["searchd", "start"], ["search", "x", str(own_home.at)]):
        done = own_home.run(*command)
        assert done.returncode == 2 and "EINSTEIN_DAEMON_SOCKET_DIR" in done.stderr
    del own_home.env["EINSTEIN_DAEMON_SOCKET_DIR"]


def test_a_bad_setting_keeps_the_daemon_from_starting_and_says_so(own_home: Home) -> None:
    own_home.env["EINSTEIN_WATCH_DEBOUNCE"] = "5"
    done = own_home.run("searchd", "start")
    assert done.returncode == 2 and "EINSTEIN_WATCH_DEBOUNCE_MS" in done.stderr
    del own_home.env["EINSTEIN_WATCH_DEBOUNCE"]


def test_an_unknown_language_keeps_the_daemon_from_starting_and_says_so(own_home: Home) -> None:
    done = own_home.run("searchd", "start", EINSTEIN_INDEX_LANGUAGES="go,pyhton")
    assert done.returncode == 2
    assert "unknown language 'pyhton'; did you mean 'python'?" in done.stderr


def test_two_daemons_started_at_once(own_home: Home) -> None:
    """One wins, the other says so; nobody fails."""
    command = [sys.executable, "-m", "daemon.admin", "start"]
    env = own_home.env | {"PYTHONPATH": str(REPO)}
    both = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [each.communicate(timeout=PATIENCE_S) for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sorted(out.split(" (")[0] for out, _ in said) == ["already running", "started"]
    assert own_home.ask("ping")["pid"]
    done = subprocess.run(
        [sys.executable, "-m", "daemon.supervisor"],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2 and f"already running (process {own_home.pid})" in done.stderr


def test_an_index_of_another_format_version(own_home: Home) -> None:
    """Its roots are indexed beside it; it goes when the new one is complete. Roots that are gone are not."""
    root = grow(own_home.at / "tree", {"a.py": "def adopted():\n    pass\n"})
    old = paths.store_dir(FORMAT_VERSION - 1, own_home.env)
    listed = {
        "format_version": 0,
        "roots": [{"id": 3, "path": str(root)}, {"id": 4, "path": "/no/such/root"}],
    }
    grow(
        old,
        {"roots.json": json.dumps(listed), "catalog/data.mdb": b"of another time", "segments/1.seg": b"\0"},
    )
    own_home.start()
    until(lambda: own_home.found("def:adopted", root) == ["a.py"], "the root of the other index")
    assert [each["path"] for each in own_home.ask("roots")["roots"]] == [str(root)]
    until(lambda: not old.exists(), "the other index is removed")
    assert own_home.found("def:adopted", root) == ["a.py"]
    assert own_home.fsck() == []
    own_home.stop()
    own_home.start()
    assert own_home.found("def:adopted", root) == ["a.py"]


def test_a_damaged_catalog_is_mended_from_its_segments(own_home: Home) -> None:
    root = grow(own_home.at / "tree", {"a.py": "def mended():\n    pass\n", "b.py": "y = 2\n"})
    own_home.start()
    own_home.add(root)
    own_home.stop()
    (catalog,) = paths.store_dir(FORMAT_VERSION, own_home.env).glob("catalog/data.mdb")
    catalog.write_bytes(b"\xde\xad" * 8192)
    own_home.start()
    until(lambda: own_home.found("def:mended", root) == ["a.py"], "the index is back")
    own_home.sync(root)
    assert set(own_home.found("", root)) == {"a.py", "b.py"}
    assert own_home.fsck() == []


@contextlib.contextmanager
def small_disk(at: Path, mib: int) -> Iterator[Path]:
    """A file system of a given size at `at`."""
    at.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "none", str(at)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small file system")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def test_a_full_disk(tmp_path: Path) -> None:
    """Old answers stay, the state says why nothing is indexed, and it goes on when there is room again."""
    with small_disk(tmp_path / "disk", 96) as disk, home_at(start=False) as home:
        home.env["EINSTEIN_CACHE_DIR"] = str(disk)
        home.cache = disk
        root = grow(home.at / "tree", {"a.py": "def before_it_was_full():\n    pass\n"})
        home.start()
        home.add(root)
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as stream:
            while True:
                stream.write(bytes(1 << 16))
                stream.flush()
        for i in range(20):
            save(
                root / f"big{i}.py",
                f"def while_full_{i}():\n    '''{os.urandom(30_000).hex()}'''\n".replace("00", "\n"),
            )
        answer = until(
            lambda: (found := home.search("def:before_it_was_full", root))["warnings"] and found, "a warning"
        )
        assert answer["hits"][0]["path"] == "a.py"
        assert any("disk full" in warning for warning in answer["warnings"]) and not answer["fresh"]
        assert "room" in home.ask("status")["trouble"]
        filler.unlink()
        until(lambda: home.found("def:while_full_19", root) == ["big19.py"], "indexing went on")
        home.sync(root)
        assert len(home.found("", root)) == 21
        assert home.ask("status")["trouble"] == ""
        assert home.fsck() == []
        home.stop()


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk, home_at(start=False) as home:
        home.env["EINSTEIN_CACHE_DIR"] = str(disk)
        home.cache = disk
        root = grow(home.at / "tree", {"a.py": "x = 1\n"})
        done = home.run("search", "x", str(root))
        assert done.returncode == 1
        assert "first index: 0 of 1 files" in done.stdout and "disk full" in done.stdout


def test_more_roots_than_there_is_room_for(own_home: Home) -> None:
    own_home.start()
    for number in range(ROOTS_MAX):
        own_home.add(grow(own_home.at / f"t{number}", {"a.txt": "word\n"}), wait=False)
    with pytest.raises(UsageError, match=f"{ROOTS_MAX} roots are indexed already"):
        own_home.add(grow(own_home.at / "more", {"a.txt": "word\n"}))
    own_home.sync(own_home.at / "t63")
    assert own_home.found("word", own_home.at / "t63") == ["a.txt"]
