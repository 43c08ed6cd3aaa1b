"""Where things live, and that they are private."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config import paths, settings
from config.errors import ConfigError, SocketPathTooLong


def test_two_cache_directories_are_two_daemons(tmp_path: Path) -> None:
    base = {"HOME": str(tmp_path), "EINSTEIN_DAEMON_SOCKET_DIR": "/s"}
    one = paths.query_socket(base | {"EINSTEIN_CACHE_DIR": "/a"})
    two = paths.query_socket(base | {"EINSTEIN_CACHE_DIR": "/b"})
    assert one != two
    assert one.startswith("/s/einstein/")
    assert paths.writer_socket(base | {"EINSTEIN_CACHE_DIR": "/a"}) == one.replace("q.sock", "w.sock")


def test_a_link_to_the_cache_directory_is_the_same_daemon(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = {
        paths.query_socket({"EINSTEIN_CACHE_DIR": str(tmp_path / name), "EINSTEIN_DAEMON_SOCKET_DIR": "/s"})
        for name in ("real", "link")
    }
    assert len(found) == 1


def test_everything_lies_in_the_cache_directory(tmp_path: Path) -> None:
    environ = {"EINSTEIN_CACHE_DIR": str(tmp_path)}
    assert paths.cache_dir(environ) == tmp_path
    for path in (
        paths.store_dir(1, environ),
        paths.pool_dir(1, "static-1", environ),
        paths.lock_path(environ),
        paths.pid_path(environ),
        paths.log_path(environ),
        paths.runtime_dir(environ),
    ):
        assert path.is_relative_to(tmp_path)


def test_indexes_of_two_format_versions_share_no_pool(tmp_path: Path) -> None:
    environ = {"EINSTEIN_CACHE_DIR": str(tmp_path)}
    for version in (1, 2):
        pool = paths.pool_dir(version, "static-1", environ)
        assert pool.is_relative_to(paths.store_dir(version, environ))  # and is removed with it


def test_the_runtime_directory_of_the_session_is_used_where_there_is_one(tmp_path: Path) -> None:
    environ = {"EINSTEIN_CACHE_DIR": "/c", "HOME": "/nowhere", "XDG_RUNTIME_DIR": str(tmp_path)}
    if sys.platform != "darwin":
        assert paths.runtime_dir(environ).is_relative_to(tmp_path / "einstein")
    environ["XDG_RUNTIME_DIR"] = "/gone"
    assert paths.runtime_dir(environ).is_relative_to("/c/run")


def test_the_users_file_may_move_the_socket(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    environ = {"EINSTEIN_CONFIG_FILE": str(file), "EINSTEIN_CACHE_DIR": str(tmp_path)}
    file.write_text('[daemon]\nsocket_dir = "/from/file"\n')
    assert paths.query_socket(environ).startswith("/from/file/einstein/")
    environ["EINSTEIN_DAEMON_SOCKET_DIR"] = "/from/environ"
    assert paths.query_socket(environ).startswith("/from/environ/einstein/")


@pytest.mark.parametrize(
    ("text", "says"),
    [("[daemon\nsocket_dir", "not valid TOML"), ("[daemon]\nsocket_dir = 7\n", "is not of type str")],
)
def test_a_users_file_that_names_no_socket_directory_is_an_error(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    environ = {"EINSTEIN_CONFIG_FILE": str(file), "EINSTEIN_CACHE_DIR": str(tmp_path)}
    for read in (paths.query_socket, lambda environ: settings.load(environ=environ)):
        with pytest.raises(ConfigError, match=says):
            read(environ)


def test_a_users_file_that_only_mentions_the_socket_directory_moves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    environ = {"EINSTEIN_CONFIG_FILE": str(file), "EINSTEIN_CACHE_DIR": str(tmp_path)}
    before = paths.query_socket(environ)
    for text in ("# socket_dir\n", 'daemon = "socket_dir"\n', "[index]\nignore = ['socket_dir']\n"):
        file.write_text(text)
        assert paths.query_socket(environ) == before


def test_a_socket_path_that_is_too_long_says_what_to_do() -> None:
    with pytest.raises(SocketPathTooLong, match="set EINSTEIN_DAEMON_SOCKET_DIR"):
        paths.query_socket({"EINSTEIN_CACHE_DIR": "/c", "EINSTEIN_DAEMON_SOCKET_DIR": "/" + "x" * 90})


def test_directories_are_made_private_and_narrowed(tmp_path: Path) -> None:
    made = paths.ensure_private_dir(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    made.chmod(0o755)
    paths.ensure_private_dir(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_shared_and_foreign_directories_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    with pytest.raises(ConfigError, match="shared with other users"):
        paths.ensure_private_dir(tmp_path / "shared")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ConfigError, match="belongs to user"):
        paths.ensure_private_dir(tmp_path)


def test_the_way_to_the_socket_imports_nothing_heavy(tmp_path: Path) -> None:
    script = "import sys; from config import paths; paths.query_socket(); print(*sys.modules)"
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {script}"],
        capture_output=True,
        text=True,
        env=environ,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert not {"pathlib", "typing", "tomllib", "re", "dataclasses", "subprocess"} & set(done.stdout.split())
