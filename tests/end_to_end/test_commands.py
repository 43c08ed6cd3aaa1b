"""`search` and `searchd` as a user runs them: exit status, output for people and for programs."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path

import pytest

from tests.end_to_end.home import Home, grow, home_at, until, write

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


@pytest.fixture(scope="module")
def tree(home: Home) -> Path:
    root = grow(
        home.at / "commands",
        {
            "app.py": "import os\n\n\ndef read_port(path):\n    # first\n    port = 80\n    return port\n",
            "lib.c": "int port;\nint open_port(void) { return port; }\n",
            "evil.txt": b"port \x1b[31mred\x1b]0;title\x07 \x9b2J end\n" + b"some plain lines of text\n" * 40,
            "sub/deep.py": "deep_port = 1\n",
        },
    )
    home.add(root)
    return root


def test_exit_status(home: Home, tree: Path) -> None:
    assert home.run("search", "read_port", cwd=tree).returncode == 0
    assert home.run("search", "-m", "text", "no_such_word_anywhere", cwd=tree).returncode == 1
    for bad in (["(x"], ["-n", "0", "x"], ["x", "nowhere"], [], ["--nonsense", "x"], ["-t", "klingon", "x"]):
        done = home.run("search", *bad, cwd=tree)
        assert done.returncode == 2 and done.stderr and not done.stdout, bad
        assert "Traceback" not in done.stderr
    assert home.run("search", "--help").returncode == 0


def test_an_error_points_at_the_column(home: Home, tree: Path) -> None:
    said = home.run("search", "port lang:klingon", cwd=tree).stderr
    query, caret = said.splitlines()[1:3]
    assert query.index("klingon") == caret.index("^")


def test_output_for_people(home: Home, tree: Path) -> None:
    done = home.run("search", "read_port", cwd=tree)
    assert "app.py:4" in done.stdout and "def read_port(path):" in done.stdout
    assert "\x1b" not in done.stdout  # no terminal
    assert re.search(r"-- \d+ answers? in \d+ files", done.stdout)


def test_colours(home: Home, tree: Path) -> None:
    assert "\x1b[" in home.run("search", "--color", "always", "read_port", cwd=tree).stdout
    assert "\x1b" not in home.run("search", "--color", "never", "read_port", cwd=tree).stdout
    assert "\x1b" not in home.run("search", "--color", "auto", "read_port", cwd=tree, NO_COLOR="1").stdout


def test_json_lines(home: Home, tree: Path) -> None:
    done = home.run("search", "--json", "-m", "text", "port", cwd=tree)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 3
    assert {line["path"] for line in lines[:-1]} == {"app.py", "lib.c", "evil.txt", "sub/deep.py"}
    assert all(line["line"] >= 1 and line["lines"] for line in lines[:-1])
    assert "hits" in lines[-1] or "generation" in lines[-1]
    done = home.run("search", "--json", "-m", "text", "no_such_word", cwd=tree)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 1


def test_every_matching_line(home: Home, tree: Path) -> None:
    done = home.run("search", "--all", r"\bport\b|_port", "--wait", cwd=tree)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "app.py:4:9:def read_port(path):",
        "app.py:6:5:    port = 80",
        "app.py:7:12:    return port",
    ]
    assert [line.split(":")[0] for line in lines[3:]] == ["evil.txt", "lib.c", "lib.c", "sub/deep.py"]
    assert not CONTROL.search(done.stdout.replace("\n", ""))
    assert re.search(r"-- 7 lines in 4 of 4 files", done.stderr)
    assert home.run("search", "-c", "port", "sub", "lib.c", cwd=tree).stdout == "sub/deep.py:1\nlib.c:2\n"
    assert home.run("search", "-lw", "port", "-t", "c", cwd=tree).stdout == "lib.c\n"
    assert home.run("search", "-aiF", "PATH):", cwd=tree).stdout == "app.py:4:15:def read_port(path):\n"
    marked = home.run("search", "-a", "80", "--color", "always", cwd=tree).stdout
    assert "\x1b[1;31m80\x1b[0m" in marked
    nothing = home.run("search", "-a", "no such line", cwd=tree)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    broken = home.run("search", "-a", "(", cwd=tree)
    assert (broken.returncode, broken.stdout) == (2, "") and "not a regular expression" in broken.stderr
    told = [
        json.loads(line) for line in home.run("search", "-a", "80", "--json", cwd=tree).stdout.splitlines()
    ]
    assert [(one["type"], one.get("lines")) for one in told] == [("file", [6]), ("summary", 1)]


@pytest.mark.parametrize("flags", [[], ["--json"], ["--explain"], ["--color", "always"], ["-C", "3"]])
def test_control_characters_of_files_are_never_printed(home: Home, tree: Path, flags: list[str]) -> None:
    done = home.run("search", *flags, "-m", "text", "file:evil.txt end", cwd=tree)
    assert done.returncode == 0 and "red" in done.stdout
    shown = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout) if "always" in flags else done.stdout
    assert not CONTROL.search(shown) and "\x1b[31mred" not in done.stdout


def test_names_with_control_characters(home: Home, tree: Path) -> None:
    strange = write(tree / "na\x1b[31mme\n.py", "strange_name = 1\n")
    home.sync(tree)
    done = home.run("search", "-m", "text", "strange_name", cwd=tree)
    assert done.returncode == 0 and not CONTROL.search(done.stdout)
    done = home.run("searchd", "why", str(strange))
    assert done.returncode == 0 and not CONTROL.search(done.stdout)
    strange.unlink()


def paths_of(home: Home, tree: Path, *arguments: str) -> set[str]:
    done = home.run("search", "--json", "-m", "text", *arguments, cwd=tree)
    return {line["path"] for line in map(json.loads, done.stdout.splitlines()) if "path" in line}


def test_filters_of_the_command(home: Home, tree: Path) -> None:
    assert paths_of(home, tree, "-t", "py", "port") == {"app.py", "sub/deep.py"}
    assert paths_of(home, tree, "-t", "py", "-t", "c", "port") == {"app.py", "lib.c", "sub/deep.py"}
    assert paths_of(home, tree, "-g", "*.c", "port") == {"lib.c"}
    assert paths_of(home, tree, "-g", "!*.py", "-g", "!*.txt", "port") == {"lib.c"}
    assert paths_of(home, tree, "port", "sub") == {"sub/deep.py"}
    assert paths_of(home, tree, "port", "sub", "lib.c") == {"sub/deep.py", "lib.c"}
    assert len(paths_of(home, tree, "-n", "1", "port")) == 1


def test_context(home: Home, tree: Path) -> None:
    done = home.run("search", "-C", "1", "-m", "text", "80", "app.py", cwd=tree)
    assert "# first" in done.stdout and "return port" in done.stdout and "import os" not in done.stdout


@pytest.mark.parametrize("mode", ["auto", "text", "symbol", "semantic", "hybrid"])
def test_modes_of_the_command(home: Home, tree: Path, mode: str) -> None:
    done = home.run("search", "--mode", mode, "read_port", cwd=tree)
    assert done.returncode == 0 and "app.py" in done.stdout


def test_explain(home: Home, tree: Path) -> None:
    done = home.run("search", "--explain", 'lang:py def:read_port ~"a number"', cwd=tree)
    assert done.returncode == 0
    for said in ("plan", "rank", "ms"):
        assert said in done.stdout


def test_wait(home: Home, tree: Path) -> None:
    write(tree / "later.py", "saved_before_the_call = 1\n")
    done = home.run("search", "--wait", "-m", "text", "saved_before_the_call", cwd=tree)
    assert done.returncode == 0 and "later.py" in done.stdout


def test_a_search_starts_the_daemon_and_adds_the_repository() -> None:
    with home_at(start=False) as home:
        root = grow(
            home.at / "project", {"src/a.py": "def first_use():\n    pass\n", ".git/HEAD": "ref: x\n"}
        )
        done = home.run("search", "def:first_use", cwd=root / "src")
        assert done.returncode == 0 and "a.py:1" in done.stdout, done
        assert home.run("searchd", "roots").stdout.splitlines() == [str(root)]
        done = home.run("searchd", "restart")
        assert done.returncode == 0 and done.stdout.startswith("started")
        assert home.run("search", "def:first_use", cwd=root).returncode == 0


def test_administration() -> None:
    """A life of `searchd`, from start to stop."""
    with home_at(start=False) as home:
        root = grow(home.at / "tree", {"a.py": "x = 1\n", "b.bin": b"\0\1\2\3"})
        assert home.run("searchd", "status").returncode == 1
        assert json.loads(home.run("searchd", "status", "--json").stdout) == {"running": False}
        assert home.run("searchd", "stop").stdout == "not running\n"
        done = home.run("searchd", "start")
        assert done.returncode == 0 and done.stdout == f"started (process {home.pid})\n"
        assert home.run("searchd", "start").stdout == f"already running (process {home.pid})\n"
        assert home.run("searchd", "roots").returncode == 1  # none

        done = home.run("searchd", "add", str(root), "--wait")
        assert done.returncode == 0 and "1 files" in done.stdout, done
        assert home.run("searchd", "add", str(root / "nowhere")).returncode == 2
        assert home.run("searchd", "roots").stdout == f"{root}\n"

        status = json.loads(home.run("searchd", "status", "--json").stdout)
        assert status["running"] and status["generation"] > 0
        (found,) = status["roots"]
        assert (found["path"], found["phase"], found["files"]) == (str(root), "ready", 1)
        assert found["skipped"] == {"binary": 1} and found["last_scan"] and found["watcher"]["backend"]
        assert {"supervisor", "query 1", "writer", "worker"} <= {each["name"] for each in status["processes"]}
        assert all(each["memory"]["resident"] > 0 for each in status["processes"])
        assert status["index"]["blobs"] == 1 and status["model"]["name"] and status["kernel"]["name"]
        text = home.run("searchd", "status").stdout
        for said in ("generation", "placement", "kernel", "model", "watcher", str(root), "binary"):
            assert said in text, said

        done = home.run("searchd", "why", str(root / "a.py"))
        assert done.returncode == 0 and "indexed" in done.stdout
        done = home.run("searchd", "why", str(root / "b.bin"))
        assert done.returncode == 1 and "not text" in done.stdout
        assert home.run("searchd", "why", "/").returncode == 2

        done = home.run("searchd", "rebuild", str(root), "--wait")
        assert done.returncode == 0 and "rebuilt" in done.stdout
        assert home.run("searchd", "fsck").stdout == "no problem found\n"
        assert home.run("searchd", "doctor").returncode in (0, 1)
        done = home.run("searchd", "log", "-n", "5")
        assert done.returncode == 0 and 1 <= len(done.stdout.splitlines()) <= 5

        done = home.run("searchd", "config")
        assert tomllib.loads(done.stdout)["watch"]["debounce_ms"] == 50
        origin = home.run("searchd", "config", "--show-origin", EINSTEIN_WATCH_DEBOUNCE_MS="70").stdout
        assert re.search(r"debounce_ms = 70 +# .*EINSTEIN_WATCH_DEBOUNCE_MS", origin)
        assert re.search(r"debounce_max_ms = 150 +# .*default", origin)

        assert home.run("searchd", "remove", str(root)).returncode == 0
        assert home.run("searchd", "remove", str(root)).returncode == 2
        assert home.run("searchd", "roots").stdout == ""
        assert home.run("searchd", "stop").stdout == "stopped\n"
        assert home.pid == 0
        assert home.run("searchd", "fsck").stdout == "no problem found\n"  # without a daemon


def test_idle_exit() -> None:
    with home_at({"DAEMON_IDLE_EXIT_S": "1"}) as home:
        assert home.pid
        until(lambda: home.pid == 0, "the daemon ended by itself")
        root = grow(home.at / "tree", {"a.py": "awake = 1\n"})
        assert home.run("search", "awake", str(root)).returncode == 0  # and is started again
        assert home.pid and home.pid != os.getpid()


def test_settings_on_the_command_line_are_above_all_others(own_home: Home) -> None:
    shown = own_home.run("searchd", "config", "--show-origin", "--set", "query.limit=3").stdout
    assert "limit = 3  # flag" in shown
    wrong = own_home.run("searchd", "start", "--set", "query.limt=3")
    assert wrong.returncode == 2 and "did you mean query.limit?" in wrong.stderr
    assert own_home.run("searchd", "start", "--set", "query.limit").returncode == 2
    assert own_home.run("searchd", "start", "--set", "query.limit=3").returncode == 0
    root = grow(own_home.at / "tree", {f"f{i}.py": f"alpha = {i}\n" for i in range(6)})
    own_home.add(root)
    assert len(own_home.ask("search", {"query": "alpha", "path": str(root)})["hits"]) == 3
    assert "restart --set" in own_home.run("searchd", "start", "--set", "query.limit=4").stderr
    assert own_home.run("searchd", "restart", "--set", "query.limit=4").returncode == 0
    assert len(own_home.ask("search", {"query": "alpha", "path": str(root)})["hits"]) == 4
