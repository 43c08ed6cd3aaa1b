"""Whatever is done to the files and to the processes, answers are those of a re-scan of the directory.

One daemon serves all examples; each example has roots of its own. No timer rescans, so what an event or a
restart misses stays wrong and is seen. `EINSTEIN_TEST_EXAMPLES=200` looks harder and at new sequences.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, event, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from config.errors import DaemonUnavailable
from tests.end_to_end import oracle
from tests.end_to_end.home import Home, git, home_at, until
from tests.end_to_end.oracle import Expression
from tests.end_to_end.texts import (
    DIRECTORIES,
    ODD,
    PATTERNS,
    PIECES,
    WORDS,
    directories,
    made,
    places,
    text_for,
    words,
)

EXAMPLES = int(os.environ.get("EINSTEIN_TEST_EXAMPLES", "0"))
SETTINGS = {
    "WATCH_RESCAN_S": "0",
    "WATCH_DEBOUNCE_MS": "1",  # so that a file is under way when it changes again
    "WATCH_DEBOUNCE_MAX_MS": "2",
    "STORE_MERGE_FANOUT": "2",
    "STORE_CHANGES_KEPT": "3",
    "WORKERS_COUNT": "1",
    "DAEMON_RESTART_BACKOFF_MS": "1",
}
KILLS_MAX = 2  # of one example: each costs a second

# ---- what is asked ----------------------------------------------------------------------------------

texts = st.one_of(
    st.builds(oracle.word, st.sampled_from([*WORDS, "lph", "größe", "zeta", "a"])),
    st.builds(
        oracle.phrase, st.sampled_from(["alpha beta", "return beta", "def alpha(", "größe Alpha", ") {"])
    ),
    st.builds(
        oracle.regex,
        st.sampled_from(
            [r"al(ph|x)a\b", r"^def \w+\(", r"[A-Z]lpha", r"beta|gamma", r"a.*a$", "^$", "ta_?1"]
        ),
    ),
)
tests = st.one_of(
    st.builds(oracle.in_path, st.sampled_from(["src/", "lib", "a.py", "deep/b", "größe"])),
    st.builds(oracle.named, st.sampled_from(["*.py", "a.*", "?.c"])),
    st.builds(oracle.in_language, st.sampled_from(["python", "c", "rust"])),
    st.builds(oracle.defining, words),
)
expressions = st.recursive(
    texts | tests,
    lambda inner: st.one_of(
        st.builds(oracle.every, inner, inner),
        st.builds(oracle.some, inner, inner),
        st.builds(oracle.without, inner),
    ),
    max_leaves=5,
)


class Machine(RuleBasedStateMachine):
    """A home, its roots, and everything that can happen to them."""

    stack: ClassVar[ExitStack] = ExitStack()
    home: ClassVar[Home | None] = None
    numbers: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        if Machine.home is None:
            Machine.home = Machine.stack.enter_context(home_at(SETTINGS))
        self.daemon = Machine.home
        Machine.numbers += 1
        self.at = self.daemon.at / f"example{Machine.numbers}"
        self.at.mkdir()
        self.roots: list[Path] = []
        self.repositories: list[Path] = []
        self.branches = 1
        self.kills = 0

    @initialize(is_repository=st.booleans())
    def first_root(self, is_repository: bool) -> None:
        self.add_root("one", is_repository)

    def add_root(self, name: str, is_repository: bool) -> None:
        root = self.at / name
        root.mkdir()
        if is_repository:
            git(root, "init", "-q")
            git(root, "commit", "-q", "--allow-empty", "-m", "start")
            self.repositories.append(root)
        self.index(root)

    def index(self, root: Path) -> None:
        self.roots.append(root)
        self.ask("add", path=str(root))

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A request, also to a daemon that has to start again first."""

        def answer() -> dict[str, Any]:
            if not self.daemon.pid:
                self.daemon.start()
            return self.daemon.ask(method, params)

        result: dict[str, Any] = retried(answer)
        return result

    def root(self, data: st.DataObject) -> Path:
        return data.draw(st.sampled_from(self.roots), label="root")

    def some_file(self, data: st.DataObject, root: Path) -> Path | None:
        files = sorted(path for path in root.rglob("*") if _is_plain(path))
        return data.draw(st.sampled_from(files), label="file") if files else None

    def some_directory(self, data: st.DataObject, root: Path) -> Path | None:
        found = [root / name for name in DIRECTORIES[1:] if (root / name).is_dir()]
        return data.draw(st.sampled_from(found), label="directory") if found else None

    # ---- files

    @rule(data=st.data(), files=st.lists(places, min_size=1, max_size=6, unique=True), atomic=st.booleans())
    def write(self, data: st.DataObject, files: list[str], atomic: bool) -> None:
        root = self.root(data)
        for place in files:
            text = data.draw(text_for(place, 4)).encode()
            target = root / place
            if target.is_dir() or not made(target.parent):
                continue
            if atomic:
                partial = target.with_name(f".{target.name}.tmp")
                partial.write_bytes(text)
                partial.replace(target)
            else:
                target.write_bytes(text)

    @rule(data=st.data(), content=st.sampled_from(ODD), directory=directories)
    def write_something_odd(self, data: st.DataObject, content: bytes, directory: str) -> None:
        target = self.root(data) / directory / data.draw(st.sampled_from(["odd.txt", "b.txt", ".env"]))
        if made(target.parent):
            target.write_bytes(content)

    @rule(data=st.data())
    def append(self, data: st.DataObject) -> None:
        path = self.some_file(data, self.root(data))
        if path is None or path.suffix not in PIECES or path.name.startswith("odd"):
            return
        glue = b"" if path.read_bytes()[-1:] in (b"", b"\n") else b"\n"
        with path.open("ab") as stream:
            stream.write(glue + data.draw(text_for(path.name, 2)).encode())

    @rule(data=st.data(), times=st.integers(2, 5))
    def save_again_and_again(self, data: st.DataObject, times: int) -> None:
        target = self.root(data) / "a.py"
        for _ in range(times):
            if data.draw(st.booleans()):
                target.write_text(data.draw(text_for("a.py", 2)))
            else:
                target.unlink(missing_ok=True)

    @rule(data=st.data(), to=directories, as_text=st.booleans())
    def rename(self, data: st.DataObject, to: str, as_text: bool) -> None:
        root = self.root(data)
        path = self.some_file(data, root)
        if path is None or path.name in (".gitignore", ".einsteinignore"):
            return
        target = root / to / f"{data.draw(st.sampled_from('abc'))}{'.txt' if as_text else path.suffix}"
        if made(target.parent):
            path.rename(target)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        path = self.some_file(data, self.root(data))
        if path is not None:
            path.unlink()

    @rule(data=st.data(), to=directories)
    def copy(self, data: st.DataObject, to: str) -> None:
        path = self.some_file(data, self.root(data))
        target = self.root(data) / to
        if path is not None and made(target) and not (target / path.name).exists():
            shutil.copy2(path, target / path.name)

    # ---- directories

    @rule(data=st.data(), to=directories, outside=st.booleans())
    def move_directory(self, data: st.DataObject, to: str, outside: bool) -> None:
        source = self.some_directory(data, self.root(data))
        target = (self.at if outside else self.root(data)) / to / "moved"
        if source is None or target.exists() or target.is_relative_to(source) or not made(target.parent):
            return
        source.rename(target)

    @rule(data=st.data(), to=st.sampled_from(DIRECTORIES[1:]))
    def move_directory_in(self, data: st.DataObject, to: str) -> None:
        target = self.root(data) / to
        found = sorted(self.at.glob("**/moved"))
        if found and not target.exists() and not target.is_relative_to(found[0]) and made(target.parent):
            found[0].rename(target)

    @rule(data=st.data())
    def delete_directory(self, data: st.DataObject) -> None:
        directory = self.some_directory(data, self.root(data))
        if directory is not None:
            shutil.rmtree(directory)

    @rule(data=st.data())
    def a_directory_becomes_a_file(self, data: st.DataObject) -> None:
        directory = self.some_directory(data, self.root(data))
        if directory is not None:
            shutil.rmtree(directory)
            directory.write_text("alpha\n")

    @rule(data=st.data(), again=st.booleans())
    def replace_the_root(self, data: st.DataObject, again: bool) -> None:
        root = self.root(data)
        if root in self.repositories or (root / ".git").exists():
            return
        away = self.at / "away"
        root.rename(away)
        if again:
            shutil.copytree(away, root, symlinks=True)
            shutil.rmtree(away)
        else:
            away.rename(root)

    @rule(data=st.data(), to_directory=st.booleans())
    def link(self, data: st.DataObject, to_directory: bool) -> None:
        root = self.root(data)
        target = self.some_directory(data, root) if to_directory else self.some_file(data, root)
        link = root / ("linked" if to_directory else "link.py")
        if target is not None and not link.is_symlink():
            link.symlink_to(target)
        elif link.is_symlink():
            link.unlink()

    # ---- rules

    @rule(
        data=st.data(),
        name=st.sampled_from([".gitignore", ".einsteinignore"]),
        directory=directories,
        patterns=st.lists(st.sampled_from(PATTERNS), max_size=3),
    )
    def ignore(self, data: st.DataObject, name: str, directory: str, patterns: list[str]) -> None:
        target = self.root(data) / directory / name
        if target.is_dir() or not made(target.parent):
            return
        if patterns:
            target.write_text("".join(f"{pattern}\n" for pattern in patterns))
        else:
            target.unlink(missing_ok=True)

    # ---- git

    @rule(data=st.data(), directory=st.sampled_from(DIRECTORIES[1:]))
    def a_repository_inside(self, data: st.DataObject, directory: str) -> None:
        root = self.root(data)
        inner = root / directory
        if root in self.repositories or not inner.is_dir():
            return
        if (inner / ".git").exists():
            shutil.rmtree(inner / ".git")
        else:
            git(inner, "init", "-q")

    @precondition(lambda self: self.repositories)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        root = data.draw(st.sampled_from(self.repositories))
        if len(list(root.rglob(".git"))) > 1:
            return  # git refuses a repository inside that has no commit
        git(root, "add", "-A")
        git(root, "commit", "-q", "--allow-empty", "-m", "more")

    @precondition(lambda self: self.repositories)
    @rule(data=st.data(), new=st.booleans())
    def switch_branch(self, data: st.DataObject, new: bool) -> None:
        root = data.draw(st.sampled_from(self.repositories))
        if new:
            self.branches += 1
            git(root, "checkout", "-q", "-f", "-b", f"b{self.branches}")
        else:
            taken = git(root, "worktree", "list").replace("[", "]").split("]")[1::2]
            free = [b for b in git(root, "branch", "--format=%(refname:short)").split() if b not in taken]
            if free:
                git(root, "checkout", "-q", "-f", data.draw(st.sampled_from(free)))

    @precondition(lambda self: self.repositories and len(self.roots) < 3)
    @rule(data=st.data())
    def add_worktree(self, data: st.DataObject) -> None:
        root = data.draw(st.sampled_from(self.repositories))
        self.branches += 1
        at = self.at / f"tree{self.branches}"
        git(root, "worktree", "add", "-q", "-b", f"b{self.branches}", str(at))
        self.repositories.append(at)
        self.index(at)

    @precondition(lambda self: len(self.roots) < 2)
    @rule()
    def add_another_root(self) -> None:
        self.add_root(f"other{len(self.roots)}", False)

    # ---- processes

    @precondition(lambda self: self.kills < KILLS_MAX)
    @rule(kind=st.sampled_from(["writer", "query", "worker", "supervisor"]))
    def kill(self, kind: str) -> None:
        self.kills += 1
        self.ask("ping")
        for pid in retried(lambda: self.daemon.pids(kind)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @precondition(lambda self: self.kills < KILLS_MAX)
    @rule()
    def restart(self) -> None:
        self.kills += 1
        self.daemon.stop()

    @rule(data=st.data())
    def rebuild(self, data: st.DataObject) -> None:
        self.ask("rebuild", path=str(self.root(data)))

    @precondition(lambda self: len(self.roots) > 1)
    @rule()
    def remove_and_add_again(self) -> None:
        root = self.roots[-1]
        self.ask("remove", path=str(root))
        self.ask("add", path=str(root))

    # ---- what must be true

    @rule(data=st.data(), expression=expressions)
    def ask_all(self, data: st.DataObject, expression: Expression) -> None:
        self.check(self.root(data), expression)

    @rule(data=st.data(), text=texts)
    def ask_lines(self, data: st.DataObject, text: Expression) -> None:
        self.check(self.root(data), text)

    def check(self, root: Path, expression: Expression) -> None:
        """Everything saved is answered for, and nothing else."""
        self.ask("sync", path=str(root))
        wanted = oracle.tree(root)
        status = next(each for each in self.ask("status")["roots"] if each["path"] == str(root))
        answer = self.ask("search", path=str(root), query=expression.text, mode="text", limit=10_000)
        try:
            compare(wanted, expression, answer, status)
            # A scan that the daemon makes of its own accord may be under way; it ends.
            until(lambda: self.ask("search", path=str(root), query="alpha")["fresh"], "the index is settled")
        except AssertionError:
            note(f"{root}: {expression.text}\nfiles: {[file.path for file in wanted.files]}")
            note(f"status: {status}\nlog: {self.daemon.log()[-2000:]}")
            raise

    def teardown(self) -> None:
        if sys.exc_info()[0] is not None or Machine.home is None:
            close()  # the next example starts from nothing
            return
        try:
            for root in self.roots:
                self.check(root, oracle.word("alpha"))
            fsck = self.ask("fsck")
            assert fsck["ok"], fsck["problems"]
            for root in self.roots:
                self.ask("remove", path=str(root))
        except BaseException:
            close()
            raise
        shutil.rmtree(self.at)


def compare(
    wanted: oracle.Tree, expression: Expression, answer: dict[str, Any], status: dict[str, Any]
) -> None:
    """The answer is the oracle's, and says that it is all of it."""
    holding = {file.path: file for file in wanted.files if expression.holds(file)}
    found = {hit["path"] for hit in answer["hits"]}
    assert found == set(holding), (sorted(found - set(holding)), sorted(set(holding) - found))
    assert status["files"] == len(wanted.files)
    assert sum(status["skipped"].values()) == wanted.skipped, status["skipped"]
    assert answer["files_searched"] == len(wanted.files)
    if expression.kind == "text":
        assert expression.pattern is not None
        lines = {(hit["path"], hit["line"]) for hit in answer["hits"]}
        assert lines == {(path, n) for path, f in holding.items() for n in f.lines_with(expression.pattern)}
    assert not any(hit["live"] for hit in answer["hits"])
    assert not answer["incomplete"], answer["incomplete"]
    event(f"hits: {min(len(holding), 3)}")


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and ".git" not in path.parts


def retried(ask: Callable[[], dict[str, Any]] | Callable[[], list[int]]) -> Any:
    """What is asked of a daemon of which a process was killed just now."""

    def answer() -> Any:
        try:
            return [ask()]
        except DaemonUnavailable:
            return []

    return until(answer, "the daemon answers again")[0]


def close() -> None:
    """End the daemon of the examples."""
    Machine.home = None
    Machine.stack.close()


def teardown_module() -> None:
    """End what the last example left."""
    close()


TestModel = Machine.TestCase
TestModel.settings = settings(
    max_examples=EXAMPLES or 20,
    stateful_step_count=30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # no two runs take the same time, so nothing can be shrunk
    report_multiple_bugs=False,
    print_blob=bool(EXAMPLES),
)
