"""The `search` command: its flags, what it asks, its exit status; the other side is a small server."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import paths
from config.errors import DeadlineExceeded, NoSuchRoot, QuerySyntaxError, UsageError
from daemon import cli
from tests.daemon.small_server import Server

HOME = Path(__file__).parents[2]


def reply(*hits: dict[str, Any], root: str = "/r", **more: Any) -> dict[str, Any]:
    """The result of a search."""
    base = {"generation": 3, "fresh": True, "incomplete": "", "warnings": [], "files_searched": 9, "ms": 0.5}
    return {"hits": list(hits), "root": root, "explain": None} | base | more


def hit(path: str = "a.py", score: float = 1.0) -> dict[str, Any]:
    line = {"number": 1, "text": "found here", "ranges": [[0, 5]], "is_match": True}
    return {
        "path": path,
        "line": 1,
        "column": 1,
        "start_line": 1,
        "end_line": 1,
        "kind": "line",
        "symbol": "",
        "symbol_kind": "",
        "language": "python",
        "score": score,
        "lines": [line],
        "signals": {},
        "live": False,
        "also": [],
    }


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    short = tmp_path_factory.mktemp("s")
    monkeypatch.setenv("EINSTEIN_CACHE_DIR", str(short))
    monkeypatch.setenv("EINSTEIN_DAEMON_SOCKET_DIR", str(short))
    monkeypatch.setenv("EINSTEIN_CONFIG_FILE", str(short / "none"))
    paths.runtime_dir().mkdir(parents=True)
    running = Server(paths.query_socket(), lambda _method, _params: reply(hit()))
    yield running
    running.close()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file.py").write_text("x = 1\n")
    monkeypatch.chdir(tree)
    return tree


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    environ = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    environ |= {"PYTHONPATH": str(HOME)} | more.pop("environ", {})
    command = [sys.executable, "-m", "daemon.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False, **more)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ([], {}, []),
        (["q"], {}, ["q"]),
        (["-n", "5", "q", "p"], {"limit": 5}, ["q", "p"]),
        (["-n5", "q"], {"limit": 5}, ["q"]),
        (["--limit=5", "q"], {"limit": 5}, ["q"]),
        (["q", "--limit", "5"], {"limit": 5}, ["q"]),
        (["-t", "py", "-tgo", "--type=c", "q"], {"types": ["py", "go", "c"]}, ["q"]),
        (["-g", "!*.md", "-g*.py", "q"], {"globs": ["!*.md", "*.py"]}, ["q"]),
        (["-W", "--per-file", "0", "q"], {"whole": True, "per_file": 0}, ["q"]),
        (["-C2", "--mode", "text", "q"], {"context": 2, "mode": "text"}, ["q"]),
        (["--wait", "--explain", "--json", "q"], {"wait": True, "explain": True, "json": True}, ["q"]),
        (["--color=always", "q"], {"color": "always"}, ["q"]),
        (["-hV"], {"help": True, "version": True}, []),
        (["--", "-foo", "--bar"], {}, ["-foo", "--bar"]),
        (["-", "q"], {}, ["-", "q"]),
    ],
)
def test_flags(arguments: list[str], options: dict[str, Any], words: list[str]) -> None:
    assert cli.parse(arguments) == (options, words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limt", "5"], "unknown option --limt; did you mean --limit?"),
        (["-x"], "a query that begins with - goes after --"),
        (["-n"], "-n needs a value"),
        (["-n", "0"], "-n 0: a number from 1 to 10000 is needed"),
        (["-n", "ten"], "a number from 1 to 10000"),
        (["-n", "²"], "a number from 1 to 10000"),
        (["-C", "101"], "a number from 0 to 100"),
        (["--files-mode", "glob"], "choose one of fuzzy, substring, regex"),
        (["--mode", "txt"], "--mode txt: choose one of auto, text, symbol, semantic, hybrid"),
        (["--color", "no"], "choose one of auto, always, never"),
        (["--json=1"], "--json takes no value"),
    ],
)
def test_mistakes_in_flags_say_what_is_right(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        cli.parse(arguments)
    assert message in str(caught.value)


def test_what_is_asked(server: Server, tree: Path) -> None:
    options, words = cli.parse(
        [
            "-n3",
            "-tpy",
            "-g*.py",
            "-C1",
            "--mode=text",
            "--explain",
            "--wait",
            "--deadline=900",
            "--json",
            "q",
        ]
    )
    cli.search(words[0], [str(tree)], options)
    assert server.asked == [
        (
            "search",
            {
                "query": "q",
                "path": str(tree),
                "limit": 3,
                "types": ["py"],
                "globs": ["*.py"],
                "context": 1,
                "mode": "text",
                "explain": True,
                "wait": True,
                "deadline_ms": 900,
            },
        )
    ]


def test_found_prints_and_exits_0(server: Server, tree: Path) -> None:
    server.handler = lambda _method, _params: reply(hit("sub/file.py"), root=str(tree))
    done = run("found")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "sub/file.py:1\n  1 │ found here\n\n-- 1 answer in 9 files, 0.5 ms; generation 3, fresh\n"
    )
    assert server.asked == [("search", {"query": "found", "path": str(tree)})]


def named(path: str, score: int, *ranges: tuple[int, int]) -> dict[str, Any]:
    return {"path": path, "score": score, "ranges": [list(span) for span in ranges]}


def files_reply(*files: dict[str, Any], root: str = "/r", total: int = 0, **more: Any) -> dict[str, Any]:
    """The result of a file-name search."""
    base = {"generation": 3, "fresh": True, "incomplete": "", "warnings": [], "ms": 0.5}
    return {"files": list(files), "root": root, "total": total or len(files)} | base | more


def test_files_by_name(server: Server, tree: Path) -> None:
    server.handler = lambda _method, _params: files_reply(
        named("sub/file.py", 90, (0, 1), (4, 6)), root=str(tree), total=1234
    )
    done = run("--files", "sfi", "-n", "1", "--deadline=900", "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "sub/file.py\n-- 1 file of 1,234 that match, 0.5 ms; generation 3, fresh\n"
    asked = {"query": "sfi", "path": str(tree), "limit": 1, "deadline_ms": 900, "wait": True}
    assert server.asked == [("files", asked)]
    coloured = run("--files-mode=regex", "--color=always", "sfi").stdout.splitlines()[0]
    assert coloured == "\x1b[1;31ms\x1b[0mub/\x1b[1;31mfi\x1b[0mle.py"
    assert server.asked[1][1]["mode"] == "regex"


def test_ranges_move_with_the_path_that_is_shown(
    server: Server, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.handler = lambda _method, _params: files_reply(
        named("sub/file.py", 90, (0, 1), (3, 6)), root=str(tree)
    )
    monkeypatch.chdir(tree / "sub")
    assert run("--files", "--color=always", "sfi").stdout.startswith("\x1b[1;31mfi\x1b[0mle.py\n")
    monkeypatch.chdir("/")
    shown = run("--files", "--color=always", "sfi", str(tree)).stdout.splitlines()[0]
    prefix = str(tree)[1:] + "/"
    assert shown == f"{prefix}\x1b[1;31ms\x1b[0mub\x1b[1;31m/fi\x1b[0mle.py"


def test_no_file_exits_1_and_a_wrong_option_2(server: Server, tree: Path) -> None:
    server.handler = lambda _method, _params: files_reply(root=str(tree))
    done = run("--files", "nothing")
    assert (done.returncode, done.stdout) == (1, "-- no files, 0.5 ms; generation 3, fresh\n")
    done = run("--files", "-t", "py", "q")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "search: -t does not go with --files\n"
    assert len(server.asked) == 1


def test_files_as_json_lines(server: Server, tree: Path) -> None:
    server.handler = lambda _method, _params: files_reply(named("a", 5, (0, 1)), root=str(tree), total=7)
    lines = [json.loads(line) for line in run("--files", "--json", "a").stdout.splitlines()]
    assert lines[0] == {"type": "file", "path": "a", "score": 5, "ranges": [[0, 1]], "root": str(tree)}
    assert (lines[1]["type"], lines[1]["count"], lines[1]["total"]) == ("summary", 1, 7)


def test_files_of_several_places_are_merged(server: Server, tree: Path) -> None:
    def handler(_method: str, params: dict[str, Any]) -> dict[str, Any]:
        if params["path"].endswith("sub"):
            return files_reply(named("sub/b", 9), named("sub/long", 5), root="/one", total=4, fresh=False)
        return files_reply(named("sub/b", 9), named("z", 5), named("a", 5), root="/one", total=8)

    server.handler = handler
    merged = cli.files("q", [str(tree), str(tree / "sub")], {"limit": 3})
    assert [one["path"] for one in merged["files"]] == ["sub/b", "a", "z"]
    assert (merged["total"], merged["fresh"]) == (11, False)


def test_nothing_found_exits_1(server: Server, tree: Path) -> None:
    server.handler = lambda _method, _params: reply()
    done = run("missing", "sub")
    assert done.returncode == 1
    assert done.stdout.startswith("-- no answers")
    assert server.asked[0][1]["path"] == str(tree / "sub")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no query given"),
        (["--nope", "q"], "unknown option --nope"),
        (["q", "two words"], "no such file or directory: two words; a query of several words needs quotes"),
    ],
)
def test_mistakes_exit_2_without_asking(arguments: list[str], said: str, server: Server, tree: Path) -> None:
    assert tree.is_dir()
    done = run(*arguments)
    assert (done.returncode, done.stdout, server.asked) == (2, "", [])
    assert done.stderr.startswith("search: ")
    assert said in done.stderr


def test_errors_of_the_daemon_exit_2_and_point_at_the_column(server: Server, tree: Path) -> None:
    def fail(_method: str, _params: dict[str, Any]) -> dict[str, Any]:
        raise QuerySyntaxError("unknown field lnag", 4, "did you mean lang?")

    assert tree.is_dir()
    server.handler = fail
    done = run("foo lnag:py", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "search: unknown field lnag; did you mean lang?\n  foo lnag:py\n      ^\n"


def test_a_tree_that_is_not_indexed_is_added_as_its_repository(server: Server, tree: Path) -> None:
    (tree / ".git").mkdir()
    added: list[str] = []

    def handler(method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "add":
            added.append(params["path"])
            raise DeadlineExceeded("still indexing")
        if not added:
            raise NoSuchRoot("in no root")
        return reply(hit(), incomplete="first index: 1 of 5 files")

    server.handler = handler
    done = run("q", "sub/file.py")
    assert done.returncode == 0
    assert "-- incomplete: first index: 1 of 5 files" in done.stdout
    assert added == [str(tree)]
    assert [method for method, _ in server.asked] == ["search", "add", "search"]


@pytest.mark.parametrize("place", ["home", "/"])
def test_nobody_indexes_home_or_a_disk_by_accident(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()  # dot files under version control
    with pytest.raises(UsageError, match="`searchd add"):
        cli.root_of(str(tmp_path) if place == "home" else place)
    (tmp_path / "notes").mkdir()
    assert cli.root_of(str(tmp_path / "notes")) == str(tmp_path / "notes")


def test_several_places_are_merged_by_score(server: Server, tree: Path) -> None:
    def handler(_method: str, params: dict[str, Any]) -> dict[str, Any]:
        if params["path"].endswith("sub"):
            return reply(hit("b", 2.0), hit("c", 0.5), root="/two", fresh=False, warnings=["w"])
        return reply(hit("a", 1.0), root="/one", incomplete="x")

    server.handler = handler
    merged = cli.search("q", [str(tree), str(tree / "sub"), str(tree)], {})
    assert [(one["root"], one["path"]) for one in merged["hits"]] == [
        ("/two", "b"),
        ("/one", "a"),
        ("/two", "c"),
    ]
    assert (merged["fresh"], merged["incomplete"], merged["warnings"]) == (False, "x", ["w"])
    assert (merged["files_searched"], len(server.asked)) == (18, 2)


def test_json_lines(server: Server, tree: Path) -> None:
    assert tree.is_dir()
    done = run("--json", "q")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["hit", "summary"]
    assert lines[0]["root"] == "/r"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("terminal", "arguments", "environ", "coloured"),
    [
        (False, [], {}, False),
        (True, [], {"TERM": "xterm"}, True),
        (True, [], {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, [], {"TERM": "xterm", "NO_COLOR": ""}, True),
        (True, [], {"TERM": "dumb"}, False),
        (True, ["--color=never"], {"TERM": "xterm"}, False),
        (False, ["--color=always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colours_only_where_wanted(
    terminal: bool, arguments: list[str], environ: dict[str, str], coloured: bool, server: Server, tree: Path
) -> None:
    assert tree.is_dir()
    assert not server.asked
    command = [sys.executable, "-m", "daemon.cli", *arguments, "q"]
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    env |= {"PYTHONPATH": str(HOME)} | environ
    ours, theirs = pty.openpty() if terminal else os.pipe()[0:2]
    done = subprocess.run(command, stdout=theirs, env=env, check=False)
    text = os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    assert (b"\x1b[" in text) == coloured


def test_a_reader_that_leaves_early_is_not_an_error(server: Server, tree: Path) -> None:
    assert tree.is_dir()
    server.handler = lambda _method, _params: reply(*[hit(f"file{n}") for n in range(5000)])
    environ = os.environ | {"PYTHONPATH": str(HOME)}
    with subprocess.Popen(
        [sys.executable, "-m", "daemon.cli", "q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_help_and_version_need_no_daemon(tmp_path: Path) -> None:
    nowhere = {"EINSTEIN_CACHE_DIR": str(tmp_path)}
    shown = run("--help", environ=nowhere)
    assert shown.returncode == 0
    assert all(f"--{name}" in shown.stdout for name in ("limit", "mode", "type", "glob", "context", "wait"))


def test_the_command_imports_only_what_it_needs(server: Server, tree: Path) -> None:
    """The client strip: the product's config and daemon.client, render, wire; nothing heavy of Python's."""
    assert tree.is_dir()
    script = (
        "import os, sys; sys.path.insert(0, sys.argv.pop(1)); before = set(sys.modules)\n"
        "from daemon import cli\n"
        "assert cli.main(['q']) == 0\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(HOME)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    allowed = {"__future__", "_json", "_socket", "config", "config.errors", "config.paths", "daemon"}
    allowed |= {"daemon.cli", "daemon.client", "daemon.render", "daemon.wire", "math", "time"}
    assert loaded <= allowed
    assert len(server.asked) == 1
