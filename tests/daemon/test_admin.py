"""The `searchd` command, against a small server and against no daemon at all."""

from __future__ import annotations

import fcntl
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import paths
from config.errors import NoSuchRoot
from daemon import admin, client, doctor, progress
from tests.daemon.small_server import Server


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    short = tmp_path_factory.mktemp("s")
    for name, value in {
        "EINSTEIN_CACHE_DIR": short / "cache",
        "EINSTEIN_DAEMON_SOCKET_DIR": short,
        "EINSTEIN_CONFIG_FILE": short / "config.toml",
    }.items():
        monkeypatch.setenv(name, str(value))
    return short


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    paths.ensure_private_dir(paths.runtime_dir())
    running = Server(paths.query_socket(), lambda _method, _params: {})
    assert home.exists()
    yield running
    running.close()


@pytest.fixture
def lock(home: Path) -> Iterator[int]:
    """What a running supervisor holds; gives its process id."""
    assert home.exists()
    paths.ensure_private_dir(paths.cache_dir())
    paths.pid_path().write_text("4711")
    with paths.lock_path().open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield 4711


def root(path: str, **more: Any) -> dict[str, Any]:
    base = {"id": 1, "path": path, "phase": "ready", "files": 1234, "chunks": 5000, "symbols": 900}
    return base | {"files_done": 10, "files_total": 1234, "bytes_done": 1000} | more


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["status"], 1, "not running"),
        (["status", "--json"], 1, '{"running": false}'),
        (["stop"], 0, "not running"),
        (["log"], 2, "there is no log yet"),
        (["fsck"], 2, "there is no index yet"),
        (["add", "/no/such"], 2, "/no/such is not a directory"),
        (["rebuild", "/no/such"], 2, "is not a directory"),
    ],
)
def test_without_a_daemon(
    arguments: list[str], status: int, said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home.exists()
    assert admin.main(arguments) == status
    out, err = capsys.readouterr()
    assert said in (err if status == 2 else out)
    assert (out == "") == (status == 2)


def test_an_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        admin.main(["strat"])
    assert caught.value.code == 2
    assert "invalid choice: 'strat'" in capsys.readouterr().err


def test_start_says_that_it_runs(
    lock: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(admin, "is_alive", lambda pid: pid == lock)
    assert admin.main(["start"]) == 0
    assert capsys.readouterr().out == f"already running (process {lock})\n"


def test_start_waits_as_long_as_the_settings_say(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config.toml").write_text("[daemon]\nstart_timeout_ms = 1234\n")
    waited: list[float] = []
    monkeypatch.setattr(client, "start_daemon", lambda wait_s, _environ: waited.append(wait_s) or True)
    assert admin.main(["restart"]) == 0
    assert waited == [1.234]
    assert capsys.readouterr().out.startswith("started")


def test_status_as_text_and_as_json(server: Server, lock: int, capsys: pytest.CaptureFixture[str]) -> None:
    server.handler = lambda _method, _params: {"generation": 12345, "roots": [root("/a\x1b")]}
    assert admin.main(["status"]) == 0
    out = capsys.readouterr().out
    assert f"process     {lock}\ngeneration  12345\nroot /a␛\n" in out
    assert re.search(r"^  files  +1,234$", out, re.MULTILINE)
    assert admin.main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["running"], found["generation"], found["roots"][0]["files"]) == (True, 12345, 1234)


def test_add_and_rebuild_without_waiting(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.handler = lambda _method, params: root(params["path"])
    assert admin.main(["add", str(tmp_path)]) == 0
    assert admin.main(["rebuild", str(tmp_path)]) == 0
    assert server.asked == [("add", {"path": str(tmp_path)}), ("rebuild", {"path": str(tmp_path)})]
    counts = "(1,234 files, 5,000 chunks, 900 symbols)"
    assert (
        capsys.readouterr().out == f"{tmp_path}: being indexed {counts}\n{tmp_path}: being rebuilt {counts}\n"
    )


def test_add_wait_shows_progress_until_it_is_done(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    def handler(method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "status":
            n_looks = len([method for method, _ in server.asked if method == "status"])
            if n_looks > 4:
                looked.set()
            of_text = root(str(tmp_path.resolve())) | {"phase": "first_index"}
            whole = of_text | {"phase": "structure", "structure_done": 7, "structure_total": 1233}
            return {"roots": [of_text if n_looks < 3 else whole]}
        assert params == {"path": str(tmp_path), "wait": True}
        assert looked.wait(30)
        return root(params["path"])

    server.handler = handler
    monkeypatch.setattr(progress, "POLL_S", 0.001)
    monkeypatch.setattr(progress, "PLAIN_PROGRESS_S", 0.0)
    assert admin.main(["add", str(tmp_path), "--wait"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}: indexed (1,234 files, 5,000 chunks, 900 symbols)\n"
    assert "indexing: 10 of 1,234 files" in err
    assert "symbols and vectors: 7 of 1,233 files" in err.rpartition("indexing")[2]


def test_the_bar_of_a_terminal_ends_with_the_work(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.handler = lambda method, _params: (
        {"roots": [root(str(tmp_path))]} if method == "status" else root("x")
    )
    waiting = progress._Waiting("add", str(tmp_path))
    waiting.start()
    progress._bar(waiting, str(tmp_path))
    assert waiting.result["path"] == "x"
    assert capsys.readouterr().out == ""


def test_a_failed_add_is_an_error(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def handler(method: str, _params: dict[str, Any]) -> dict[str, Any]:
        if method == "status":
            return {"roots": []}
        raise NoSuchRoot("it lies in the index's own directory")

    server.handler = handler
    assert admin.main(["add", "--wait", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("searchd: it lies in the index's own directory\n")


def test_rates_come_from_a_window_and_the_end_is_estimated() -> None:
    shown = progress.Progress(window_s=10.0)
    assert str(shown) == "0 of 0 files"
    shown.update(100.0, 0, 1000, 0)
    assert (shown.rates(), shown.left_s(), str(shown)) == ((0.0, 0.0), None, "0 of 1,000 files")
    for second in range(1, 21):  # 1 file/s for ten seconds, then 40
        done = second if second <= 10 else 10 + (second - 10) * 40
        shown.update(100.0 + second, done, 1000, done * 1_000_000)
    assert shown.rates() == (40.0, 40_000_000.0)
    assert shown.left_s() == (1000 - 410) / 40
    assert str(shown) == "410 of 1,000 files, 40 files/s, 40.0 MB/s, 15 s left"
    shown.update(121.0, 100, 990, 0, "symbols and vectors")
    shown.update(123.0, 110, 990, 0, "symbols and vectors")
    assert str(shown) == "110 of 990 files, 5 files/s, 2 min 56 s left"


def test_roots_and_remove(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.handler = lambda method, _params: {"roots": [{"id": 1, "path": "/a"}]} if method == "roots" else {}
    assert admin.main(["roots"]) == 0
    assert admin.main(["remove", "/gone/already/"]) == 0
    assert capsys.readouterr().out == "/a\n/gone/already: removed\n"
    server.handler = lambda _method, _params: {"roots": []}
    assert admin.main(["roots"]) == 1


@pytest.mark.parametrize(("indexed", "status", "word"), [(True, 0, "indexed"), (False, 1, "not indexed")])
def test_why(
    indexed: bool, status: int, word: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = {
        "indexed": indexed,
        "reason": "ignored",
        "detail": ".gitignore:3: *.o",
        "root": "/a",
        "path": "x.o",
    }
    server.handler = lambda _method, _params: verdict
    assert admin.main(["why", "/a/./x.o"]) == status
    assert server.asked == [("why", {"path": "/a/x.o"})]
    out = capsys.readouterr().out
    assert out == f"/a/./x.o: {word}\nreason  ignored\ndetail  .gitignore:3: *.o\nroot    /a\n"


@pytest.mark.parametrize(("problems", "status"), [([], 0), (["segment 3: checksum"], 1)])
def test_fsck_through_the_daemon(
    problems: list[str], status: int, server: Server, lock: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock
    server.handler = lambda _method, _params: {"problems": problems}
    assert admin.main(["fsck"]) == status
    assert ("no problem found" in capsys.readouterr().out) == (not problems)


def test_log_shows_its_end_cleaned(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert home.exists()
    paths.log_path().parent.mkdir(parents=True)
    paths.log_path().write_bytes(b"one\ntwo \x1b[2J\nthree \xff\n")
    assert admin.main(["log", "-n", "2"]) == 0
    assert capsys.readouterr().out == "two ␛[2J\nthree \ufffd\n"
    assert admin.main(["log", "-n", "0"]) == 0
    assert capsys.readouterr().out == ""


def test_config_shows_origins(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config.toml").write_text("[watch]\ndebounce_ms = 61\n")
    (tmp_path / ".einstein.toml").write_text('[index]\nignore = ["*.log"]\n')
    monkeypatch.setenv("EINSTEIN_QUERY_LIMIT", "12")
    assert admin.main(["config", "--show-origin", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"debounce_ms = 61  # {home}/config.toml" in lines
    assert "limit = 12  # $EINSTEIN_QUERY_LIMIT" in lines
    assert f'ignore = ["*.log"]  # {tmp_path}/.einstein.toml' in lines
    assert "rows = 4194304  # default" in lines
    assert admin.main(["config"]) == 0
    (home / "config.toml").write_text(capsys.readouterr().out)  # what it prints can be a settings file
    assert admin.main(["config"]) == 0
    (home / "config.toml").write_text("[watch]\ndebounce = 61\n")
    assert admin.main(["config"]) == 2
    assert "did you mean watch.debounce_ms?" in capsys.readouterr().err


def test_doctor_finds_nothing_here(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert home.exists()
    admin.main(["doctor"])
    out = capsys.readouterr().out
    for name in ("python", "settings", "cache directory", "socket path", "libraries", "machine", "daemon"):
        assert re.search(rf"^ok    {name} ", out, re.MULTILINE), out


def test_doctor_names_what_is_wrong_and_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths.cache_dir().mkdir()
    paths.cache_dir().chmod(0o755)
    (home / "config.toml").write_text("[wach]\n")
    monkeypatch.setenv("EINSTEIN_DAEMON_SOCKET_DIR", "/" + "x" * 100)
    found = {check.name: check for check in doctor.examine()}
    assert not found["settings"].ok
    assert "did you mean watch?" in found["settings"].detail
    assert "chmod 700" in found["cache directory"].detail
    assert "EINSTEIN_DAEMON_SOCKET_DIR" in found["socket"].detail
    assert found["python"].ok


def test_doctor_notices_a_daemon_that_does_not_answer(lock: int) -> None:
    found = {check.name: check for check in doctor.examine()}
    assert lock
    assert not found["daemon"].ok
