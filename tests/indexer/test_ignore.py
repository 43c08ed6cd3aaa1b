"""What is ignored is what git ignores, plus secrets, settings and .einsteinignore."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings, load
from indexer.ignore import IgnoreRules
from indexer.records import Stat
from indexer.scan import scan

DEFAULTS = load(environ={})


def with_index(**values: object) -> Settings:
    return dataclasses.replace(DEFAULTS, index=dataclasses.replace(DEFAULTS.index, **values))  # type: ignore[arg-type]


def git(directory: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["git", "-C", str(directory), *arguments], input=stdin, capture_output=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def quiet_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/.config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("EINSTEIN_CACHE_DIR", str(tmp_path / "cache"))


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def walked(root: Path, settings: Settings = DEFAULTS) -> set[str]:
    rules = IgnoreRules(root, settings)
    found = {os.fsdecode(path) for path, _ in rules.walk()}
    for path in found:
        assert rules.is_ignored(os.fsencode(path), False) is None, path
    return found


def repository(root: Path, files: dict[str, str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q")
    return tree(root, files)


# ---- equal to git -----------------------------------------------------------------------------------

NAMES = [
    "a",
    "b",
    "ab",
    "abc",
    "a.o",
    "b.o",
    "x.c",
    "a b",
    "A",
    "a-b",
    "[a]",
    "a*",
    "é",
    "a ",
    "#a",
    "!a",
    "a\\b",
    "-",
]
PARTS = [
    *NAMES,
    "*",
    "**",
    "?",
    "*.o",
    "*.?",
    "[ab]",
    "[!a]",
    "[^a]b",
    "[a-c]*",
    "[[:alpha:]]",
    "[[:alpha:]-]",
    "[]a]",
    "[a",
    "[z-a]",
    "[[:bogus:]]",
    "[[:alpha]",
    "[a\\]]",
    "a**",
    "**b",
    "a**b",
    "\\*",
    "\\a",
    "\\#a",
    "\\!a",
    "a\\ ",
    "*a",
    "a*",
    "*a*",
    "*.o*",
    "[!/]",
    "?b",
    "***",
    "a[/]b",
    "[\\!a]",
    "**a*",
    "[a-]",
    "[--a]",
    "\\",
]


def random_pattern(chance: random.Random) -> str:
    text = "/".join(chance.choice(PARTS) for _ in range(chance.choice([1, 1, 1, 2, 2, 3])))
    prefix = chance.choice(["", "", "", "", "!", "!", "/", "!/", "**/", " "])
    suffix = chance.choice(["", "", "", "/", "/", " ", "  ", "\t", "/**", "/*", "\r", "//"])
    return prefix + text + suffix


def random_ignore_file(chance: random.Random) -> str:
    lines = [random_pattern(chance) for _ in range(chance.randint(1, 5))]
    if chance.random() < 0.2:
        lines.insert(0, chance.choice(["# comment", "", "*"]))
    return chance.choice(["", "", "", "\ufeff"]) + "\n".join(lines) + chance.choice(["", "\n", "\r\n"])


def random_tree(chance: random.Random, top: Path) -> None:
    """A work tree with nested ignore files, an exclude file and a global one."""
    git(top, "init", "-q")
    directories = [top]
    for _ in range(chance.randint(1, 7)):
        made = chance.choice(directories) / chance.choice(NAMES)
        if not made.exists() and len(made.relative_to(top).parts) < 5:
            made.mkdir()
            directories.append(made)
    for directory in directories:
        for _ in range(chance.randint(0, 4)):
            file = directory / chance.choice(NAMES)
            if not file.exists():
                file.write_text("x")
        if chance.random() < 0.4:
            (directory / ".gitignore").write_text(random_ignore_file(chance), newline="")
    if chance.random() < 0.3:
        (top / ".git/info/exclude").write_text(random_ignore_file(chance), newline="")
    if chance.random() < 0.3:
        excludes = Path(os.environ["HOME"]) / "ignored"
        excludes.parent.mkdir(exist_ok=True)
        excludes.write_text(random_ignore_file(chance), newline="")
        git(top, "config", "core.excludesFile", "~/ignored")
    if chance.random() < 0.2:
        git(top, "config", "core.ignorecase", "true")


def decisions_of_git(top: Path, paths: list[bytes]) -> dict[bytes, str | None]:
    """path -> "file:line" of the pattern that ignores it, or None."""
    answer = git(top, "check-ignore", "--no-index", "-v", "-n", "-z", "--stdin", stdin=b"\0".join(paths))
    fields = answer.split(b"\0")[:-1]
    found: dict[bytes, str | None] = {}
    for i in range(0, len(fields), 4):
        source, line, pattern, path = fields[i : i + 4]
        ignored = pattern != b"" and not pattern.startswith(b"!")
        found[path] = f"{os.fsdecode(source)}:{line.decode()}" if ignored else None
    return found


def check_tree(seed: int, top: Path) -> None:
    chance = random.Random(seed)
    top.mkdir()
    random_tree(chance, top)
    everything = sorted(
        (path for path in top.rglob("*") if ".git" not in path.relative_to(top).parts), key=os.fsencode
    )
    # A root somewhere inside the work tree obeys the same files.
    inside = [top, *(path for path in everything if path.is_dir())]
    root = chance.choice(inside) if chance.random() < 0.3 else top
    of_git = decisions_of_git(top, [os.fsencode(path.relative_to(top)) for path in everything])
    if root != top and of_git[os.fsencode(root.relative_to(top))] is not None:
        root = top  # what lies in an ignored directory is searched if that directory is the root
    rules = IgnoreRules(root, DEFAULTS)
    for path in everything:
        if root not in path.parents:
            continue
        mine = rules.is_ignored(os.fsencode(path.relative_to(root)), path.is_dir())
        theirs = of_git[os.fsencode(path.relative_to(top))]
        where = f"seed {seed}: {path.relative_to(root)}: git {theirs}, here {mine}"
        assert (mine is None) == (theirs is None), where
        if mine is not None and theirs is not None and root == top and ": " in mine:
            assert mine.startswith(f"{theirs}: "), where
    listed = git(root, "ls-files", "-o", "-z", "--exclude-standard").split(b"\0")[:-1]
    assert {path for path, _ in rules.walk()} == set(listed), f"seed {seed}"


def test_random_trees_are_decided_as_git_decides(tmp_path: Path) -> None:
    for seed in range(int(os.environ.get("EINSTEIN_TEST_TREES", "60"))):
        check_tree(seed, tmp_path / str(seed))


# ---- a walk that remembers the one before ------------------------------------------------------------


def random_change(chance: random.Random, top: Path) -> None:
    """One that may turn a verdict: of an ignore file, of git's settings, or of what stands under a name."""
    below = [path for path in top.rglob("*") if ".git" not in path.relative_to(top).parts]
    directory = chance.choice([top, *(path for path in below if path.is_dir())])
    name = chance.choice([*NAMES, "\udcff.o", "\udcc3"])
    kind = chance.choice(
        ["git", "git", "own", "exclude", "fold", "file", "directory", "gone", "rename", "repository"]
    )
    if kind in ("git", "own"):
        file = directory / {"git": ".gitignore", "own": ".einsteinignore"}[kind]
        if chance.random() < 0.2:
            file.unlink(missing_ok=True)
        else:
            file.write_text(random_ignore_file(chance), newline="")
    elif kind == "exclude":
        (top / ".git/info/exclude").write_text(random_ignore_file(chance), newline="")
    elif kind == "fold":
        git(top, "config", "core.ignorecase", chance.choice(["true", "false"]))
    elif kind == "repository" and chance.random() < 0.3:
        git(directory, "init", "-q")
    elif kind == "rename" and directory != top:
        other = directory.with_name(name)
        if not other.exists():
            directory.rename(other)
    elif kind in ("file", "directory", "gone"):
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if kind == "file":
            path.write_text("x")
        elif kind == "directory":
            path.mkdir()
            (path / chance.choice(NAMES)).write_text("x")


def one_by_one(rules: IgnoreRules, top: Path) -> set[bytes]:
    """The files to index, asked for path by path; what lies in an ignored directory is not asked for."""
    found: set[bytes] = set()
    todo = [top]
    while todo:
        for path in todo.pop().iterdir():
            relative = os.fsencode(path.relative_to(top))
            if rules.is_ignored(relative, path.is_dir()) is None:
                if path.is_dir():
                    todo.append(path)
                else:
                    found.add(relative)
    return found


def check_changing_tree(seed: int, top: Path) -> int:
    """Compare after every change; returns how often the files to index became others."""
    chance = random.Random(seed)
    top.mkdir()
    random_tree(chance, top)
    settings = with_index(ignore=("*.?", "!a.o"), include_hidden=chance.random() < 0.5)
    remembering = IgnoreRules(top, settings)
    table: dict[bytes, Stat] = {}
    turns = 0
    for step in range(12):
        where = f"seed {seed}, step {step}"
        fresh = IgnoreRules(top, settings)
        expected = list(fresh.walk())
        if chance.random() < 0.3:
            assert list(remembering.dirs()) == list(fresh.dirs()), where
        before = set(table)
        for change in scan(remembering, table, {}):
            if change.stat is None:
                del table[change.path]
            else:
                table[change.path] = change.stat
        assert table == {path: Stat(s.st_size, s.st_mtime_ns, s.st_ino) for path, s in expected}, where
        assert list(remembering.walk()) == expected, where
        assert set(table) == one_by_one(fresh, top) == one_by_one(remembering, top), where
        turns += set(table) != before
        random_change(chance, top)
    return turns


def test_a_walk_that_remembers_is_equal_to_a_fresh_one_after_any_changes(tmp_path: Path) -> None:
    trees = int(os.environ.get("EINSTEIN_TEST_TREES", "60")) // 4
    turns = sum(check_changing_tree(seed, tmp_path / str(seed)) for seed in range(trees))
    assert turns > trees, "the changes change too little to prove anything"


def test_a_walk_decides_only_what_the_one_before_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(
        tmp_path / "r",
        {".gitignore": "*.o\n", "a.c": "", "a.o": "", "d/b.c": "", "d/e/.gitignore": "x\n", "d/e/x": ""},
    )
    asked: list[bytes] = []
    decide = IgnoreRules._decide

    def counted(self: IgnoreRules, node: Any, path: bytes, name: bytes, is_dir: bool) -> str | None:
        asked.append(path)
        return decide(self, node, path, name, is_dir)

    monkeypatch.setattr(IgnoreRules, "_decide", counted)
    rules = IgnoreRules(root, DEFAULTS)
    once = list(rules.walk())
    assert len(asked) == len(set(asked)) == 9  # .git, d and d/e too
    asked.clear()
    assert list(rules.walk()) == once
    assert asked == []
    (root / "d/c.c").write_text("")
    assert [path for path, _ in rules.walk()] == [
        b".gitignore",
        b"a.c",
        b"d/b.c",
        b"d/c.c",
        b"d/e/.gitignore",
    ]
    assert sorted(asked) == [b"d/b.c", b"d/c.c", b"d/e"]
    asked.clear()
    (root / "d/e/.gitignore").write_text("y\n")
    assert b"d/e/x" in {path for path, _ in rules.walk()}
    assert sorted(asked) == [b"d/e/.gitignore", b"d/e/x"]


# ---- what git does not decide -----------------------------------------------------------------------


def test_gitignore_means_nothing_outside_a_work_tree(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", {".gitignore": "/*\n", "a.c": "", "d/b.c": ""})
    assert walked(root) == {".gitignore", "a.c", "d/b.c"}
    git(root, "init", "-q")
    assert walked(root) == set()


def test_parent_ignore_files_hold_up_to_the_top_of_the_work_tree(tmp_path: Path) -> None:
    outer = tree(tmp_path / "outer", {".gitignore": "*.x\n"})
    top = repository(outer / "top", {".gitignore": "*.o\n/p/q/secret\n", "p/.gitignore": "*.a\n/q/u/*.c\n"})
    root = tree(top / "p/q", {"a.o": "", "b.a": "", "c.x": "", "secret": "", "u/d.c": "", "u/e.h": ""})
    assert walked(root) == {"c.x", "u/e.h"}
    assert IgnoreRules(root, DEFAULTS).is_ignored(b"a.o", False) == "../../.gitignore:1: *.o"
    assert IgnoreRules(root, DEFAULTS).is_ignored(b"u/d.c", False) == "../.gitignore:2: /q/u/*.c"


def test_a_repository_inside_starts_afresh(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", {".gitignore": "*.o\n", ".einsteinignore": "*.tmp\n"})
    inner = repository(root / "sub/inner", {"a.o": "", "b.tmp": "", "c.a": "", ".gitignore": "*.a\n"})
    (inner / ".git/info/exclude").write_text("d\n")
    tree(inner, {"d": "", "e": ""})
    assert walked(root) == {
        ".gitignore",
        ".einsteinignore",
        "sub/inner/.gitignore",
        "sub/inner/a.o",
        "sub/inner/e",
    }


def test_a_linked_worktree_uses_the_common_exclude_file(tmp_path: Path) -> None:
    main = repository(tmp_path / "main", {"a.txt": "a"})
    git(main, "add", ".")
    git(main, "-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "m")
    git(main, "worktree", "add", "-q", str(tmp_path / "other"))
    (main / ".git/info/exclude").write_text("*.log\n")
    other = tree(tmp_path / "other", {"b.log": ""})
    assert walked(other) == {"a.txt"}
    repository_found = IgnoreRules(other, DEFAULTS).repository
    assert repository_found is not None
    assert Path(os.fsdecode(repository_found.git_dir), "HEAD").exists()
    assert repository_found.common_dir == os.fsencode(main / ".git")


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.local",
        ".ENV",
        "prod.env",
        "server.pem",
        "x.Key",
        "id_rsa",
        "id_ed25519.pub",
        ".netrc",
        ".npmrc",
        "a.kdbx",
        "a.p12",
        ".aws/credentials",
        "home/.aws/credentials",
        ".ssh/config",
        "terraform.tfstate",
        ".docker/config.json",
        ".git/config",
        "sub/.git/HEAD",
        ".hg/x",
        "client_secret_1.json",
    ],
)
def test_nothing_brings_a_secret_back(tmp_path: Path, name: str) -> None:
    root = tree(
        tmp_path / "r",
        {name: "secret", ".einsteinignore": f"!{name}\n!*\n", ".gitignore": f"!{name}\n", "a.c": ""},
    )
    assert walked(root, with_index(ignore=("!*",))) == {".einsteinignore", ".gitignore", "a.c"}
    assert IgnoreRules(root, DEFAULTS).is_ignored(name.encode(), False) is not None


def test_einsteinignore_hides_and_brings_back(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "r",
        {
            ".gitignore": "vendor/\n*.log\n",
            ".einsteinignore": "!vendor/\n/big.json\n",
            "vendor/a.c": "",
            "x.log": "",
            "big.json": "",
            "d/big.json": "",
            "d/.einsteinignore": "*.h\n",
            "d/a.h": "",
            "e/a.h": "",
        },
    )
    found = walked(root) - {".gitignore", ".einsteinignore", "d/.einsteinignore"}
    assert found == {"vendor/a.c", "d/big.json", "e/a.h"}


def test_settings_only_narrow(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "r", {".gitignore": "*.log\n", "a.log": "", "b.min.js": "", "c.js": "", ".d.js": ""}
    )
    assert walked(root, with_index(ignore=("*.min.js", "!*.log"))) == {".gitignore", "c.js", ".d.js"}
    assert walked(root, with_index(include_hidden=False)) == {"b.min.js", "c.js"}


def test_links_and_special_files_are_not_walked(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", {"a.c": "", "d/b.c": ""})
    tree(tmp_path / "outside", {"x.c": ""})
    (root / "link.c").symlink_to("a.c")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    assert walked(root) == {"a.c", "d/b.c"}
    assert set(IgnoreRules(root, DEFAULTS).dirs()) == {b"", b"d"}


def test_the_cache_of_this_program_is_never_walked(tmp_path: Path) -> None:
    tree(tmp_path, {"cache/store/x": "", "r/a.c": ""})
    assert walked(tmp_path) == {"r/a.c"}


def test_names_need_not_be_text(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", {})
    for name in (b"\xff\xfe.c", b"\xff.o", b"new\nline.c"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(b"")
    Path(root / ".gitignore").write_bytes(b"\xff.o\n")
    assert {path for path, _ in IgnoreRules(root, DEFAULTS).walk()} == {
        b"\xff\xfe.c",
        b"new\nline.c",
        b".gitignore",
    }


def test_a_changed_ignore_file_counts_after_reload_or_a_walk(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", {"a.o": "", "d/b.o": ""})
    rules = IgnoreRules(root, DEFAULTS)
    assert rules.is_ignored(b"d/b.o", False) is None
    (root / ".gitignore").write_text("*.o\n")
    rules.reload()
    assert rules.is_ignored(b"d/b.o", False) == ".gitignore:1: *.o"
    (root / ".gitignore").write_text("")
    assert {path for path, _ in rules.walk()} == {b"a.o", b"d/b.o", b".gitignore"}
    assert rules.is_ignored(b"d/b.o", False) is None


def test_a_walk_sees_rules_that_changed_above_a_directory_that_did_not(tmp_path: Path) -> None:
    outer = tree(tmp_path / "outer", {"top/d/a.o": "", "top/d/b.C": "", "top/d/c.x": ""})
    top = outer / "top"
    git(top, "init", "-q")
    rules = IgnoreRules(top, DEFAULTS)
    assert {path for path, _ in rules.walk()} == {b"d/a.o", b"d/b.C", b"d/c.x"}
    (top / ".git/info/exclude").write_text("*.o\n")
    assert {path for path, _ in rules.walk()} == {b"d/b.C", b"d/c.x"}
    (top / ".git/info/exclude").write_text("*.c\n")
    assert {path for path, _ in rules.walk()} == {b"d/a.o", b"d/b.C", b"d/c.x"}
    git(top, "config", "core.ignorecase", "true")
    assert {path for path, _ in rules.walk()} == {b"d/a.o", b"d/c.x"}
    shutil.rmtree(top / ".git")
    git(outer, "init", "-q")
    (outer / ".gitignore").write_text("/top/*/c.x\n")
    assert {path for path, _ in rules.walk()} == {b"d/a.o", b"d/b.C"}
    (outer / ".gitignore").write_text("")
    (outer / ".einsteinignore").write_text("*.o\n")  # above the root: not ours
    assert {path for path, _ in rules.walk()} == {b"d/a.o", b"d/b.C", b"d/c.x"}


def test_a_walk_sees_that_its_work_tree_begins_higher_up(tmp_path: Path) -> None:
    top = tree(tmp_path / "outer/top", {"d/a.o": "", ".gitignore": ""})
    (top.parent / ".gitignore").write_text("top/d/**\n")
    git(top, "init", "-q")
    rules = IgnoreRules(top, DEFAULTS)
    (top / ".git/info/exclude").write_text(
        "top/d/**\n"
    )  # the same pattern, and nothing there that it matches
    assert [path for path, _ in rules.walk()] == [b".gitignore", b"d/a.o"]
    shutil.rmtree(top / ".git")
    git(top.parent, "init", "-q")
    assert [path for path, _ in rules.walk()] == [b".gitignore"]


def test_a_walk_below_a_directory_obeys_what_is_above(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "r", {".gitignore": "*.o\nout/\n", "d/e/b.o": "", "d/e/b.c": "", "out/x/a.c": ""}
    )
    rules = IgnoreRules(root, DEFAULTS)
    assert [path for path, _ in rules.walk(b"d")] == [b"d/e/b.c"]
    assert list(rules.dirs(b"d")) == [b"d", b"d/e"]
    assert list(rules.walk(b"out/x")) == []
    assert list(rules.walk(b"gone")) == []


def test_a_root_that_is_gone_is_an_error(tmp_path: Path) -> None:
    rules = IgnoreRules(tmp_path / "gone", DEFAULTS)
    with pytest.raises(FileNotFoundError):
        list(rules.walk())


def n_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def test_an_ignore_file_is_read_whole_up_to_its_limit_and_a_directory_is_none(tmp_path: Path) -> None:
    many = "".join(f"no{i}\n" for i in range(5000))  # 38 kB
    root = repository(tmp_path / "r", {".gitignore": f"{many}a.c\n", "a.c": "", "b.c": "", "no4999": ""})
    (root / ".einsteinignore").mkdir()
    opened = n_open_files()
    assert walked(root) == {".gitignore", "b.c"}
    assert n_open_files() == opened
    (root / ".gitignore").write_text(f"{' ' * 4 * 1024 * 1024}\na.c\n")
    assert walked(root) == {".gitignore", "a.c", "b.c", "no4999"}
