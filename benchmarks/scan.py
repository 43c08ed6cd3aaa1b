"""What does a re-scan cost beside git's own look at the same work tree?

    python -m benchmarks.scan [--corpus DIRECTORY ...] [--repeat 9]

CPU time (user and system, with children), for the machine may be busy; warm; every round asks each side once,
in turn, so that a slow minute hits all of them.

again      a scan of files that the index knows: walk, stat calls, rules, comparison
catalog    the same, with the reading of what the index knows before it
first      the same, with nothing remembered from a walk before: new rules
ls-files   `git ls-files -s`, and a stat call for each: what was added or is untracked stays unseen
others     `git ls-files -co --exclude-standard`, and a stat call for each: the list that a scan would need
status     `git status --porcelain`
bare       directories and stat calls alone, by the shortest loop in Python, no rules

Checked: a scan lists nothing as changed, and everything if nothing is known; git's list and ours differ only
in files that a rule keeps out, asked one by one (secrets, and tracked files that a pattern matches). Without
--corpus the tree is a generated one as of a small web project: 600 files and 20,000 more in node_modules.
A corpus that is no git work tree is compared with `bare` alone."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import record, summary
from config.settings import load
from indexer.ignore import IgnoreRules, repository_of
from indexer.scan import scan
from indexer.store.catalog import FileRecord, pack, path_key
from indexer.store.env import Env
from indexer.store.lookup import Lookup

ROOT_ID = 1
AGE_NS = 10**10  # the files of a generated tree are older, so that none is read again for its youth


def main() -> int:
    """Measure, check and record every corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, nargs="*", default=[])
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="einstein-bench-") as folder:
        os.environ["EINSTEIN_CACHE_DIR"] = f"{folder}/cache"
        corpora = options.corpus or [web_project(Path(folder) / "web-project")]
        wrong = [
            measured(corpus, Path(folder) / f"store-{number}", options.repeat)
            for number, corpus in enumerate(corpora)
        ]
    return 1 if any(wrong) else 0


def measured(corpus: Path, store: Path, repeat: int) -> list[str]:
    """Measure one corpus; return what is wrong."""
    root = os.fsencode(corpus.resolve())
    settings = load(environ={})
    rules = IgnoreRules(root, settings)
    is_git = repository_of(root) is not None
    known, lookup = catalog_of(rules, store)
    sides: dict[str, Callable[[], object]] = {
        "again": lambda: scan(rules, known, {}),
        "catalog": lambda: scan(rules, lookup.all_files(ROOT_ID), lookup.all_skipped(ROOT_ID)),
        "first": lambda: scan(IgnoreRules(root, settings), known, {}),
        "bare": lambda: bare(root),
    }
    if is_git:
        sides["ls-files"] = lambda: git_files(root, "-s")
        sides["others"] = lambda: git_files(root, "-co", "--exclude-standard")
        sides["status"] = lambda: git(root, "status", "--porcelain")
    if is_git:
        git(root, "status", "--porcelain")  # it reads files again whose links were counted anew
    wrong = differences(rules, known, git_files(root, "-co", "--exclude-standard") if is_git else bare(root))
    for what, answer in {name: sides[name]() for name in ("again", "catalog", "first")}.items():
        if answer:
            wrong.append(f"{what}: a scan of an unchanged tree lists changes: {answer!r:.200}")
    if len(scan(rules, {}, {})) != len(known):
        wrong.append("a scan with nothing known does not list every file")
    raw: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeat):
        for name, side in sides.items():
            before = cpu_ms()
            side()
            raw[name].append(round(cpu_ms() - before, 1))
    lookup.close()
    table(corpus.name, len(known), raw)
    result: dict[str, Any] = {"files": len(known), "git": is_git, "wrong": len(wrong)}
    result |= {name: summary(times, "ms CPU") for name, times in raw.items()}
    record(f"scan-{corpus.name}{'-git' if is_git else ''}", result, {**raw, "wrong": wrong[:20]})
    print(*wrong[:20], sep="\n")
    return wrong


def table(name: str, n_files: int, raw: dict[str, list[float]]) -> None:
    """Print median and range of every side."""
    print(f"{name}, {n_files} files; ms CPU")
    for side, times in raw.items():
        print(f"  {side:<9}{statistics.median(times):>8.0f}   {min(times):.0f}-{max(times):.0f}")


def cpu_ms() -> float:
    """What this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) * 1000


def catalog_of(rules: IgnoreRules, store: Path) -> tuple[dict[bytes, FileRecord], Lookup]:
    """The files of a tree as the index knows them, in memory and in a catalog of their own."""
    found = {
        path: FileRecord(stat.st_size, stat.st_mtime_ns, stat.st_ino, number, bytes(16))
        for number, (path, stat) in enumerate(rules.walk())
    }
    env = Env.open(store, writable=True)
    with env.write() as txn:
        for path, one in found.items():
            txn.put("files", path_key(ROOT_ID, path)[0], pack(one))
    lookup = Lookup(store)
    env.close()
    return found, lookup


def git(root: bytes, *arguments: str) -> bytes:
    """What git prints."""
    return subprocess.run(
        ["git", "-C", os.fsdecode(root), *arguments], check=True, capture_output=True
    ).stdout


def git_files(root: bytes, *options: str) -> dict[bytes, os.stat_result]:
    """The files that git lists and that are there."""
    found = {}
    prefix = root + b"/"
    for line in git(root, "ls-files", "-z", *options).split(b"\0")[:-1]:
        path = line.rpartition(b"\t")[2]
        try:
            found[path] = os.lstat(prefix + path)
        except FileNotFoundError:  # deleted, and not yet from git's index
            continue
    return found


def bare(root: bytes) -> dict[bytes, os.stat_result]:
    """Everything below a directory that is no directory, but for .git."""
    found = {}
    todo = [b""]
    while todo:
        prefix = todo.pop()
        with os.scandir(root + b"/" + prefix) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    found[prefix + entry.name] = entry.stat(follow_symlinks=False)
                elif entry.name != b".git":
                    todo.append(prefix + entry.name + b"/")
    return found


def differences(
    rules: IgnoreRules, known: dict[bytes, FileRecord], others: dict[bytes, os.stat_result]
) -> list[str]:
    """What only one side has, and no rule explains."""
    wrong = [f"only ours: {path!r}" for path in known.keys() - others.keys()]
    for path in others.keys() - known.keys():
        parts = path.split(b"/")
        above = (b"/".join(parts[:depth]) for depth in range(1, len(parts)))
        ignored = rules.is_ignored(path, False) or any(rules.is_ignored(one, True) for one in above)
        if not ignored and not os.path.islink(rules.root + b"/" + path):  # noqa: PTH114
            wrong.append(f"only theirs: {path!r}")
    return wrong


def web_project(top: Path) -> Path:
    """A git work tree: 600 files of its own, 20,000 in node_modules, some build output, some logs."""
    files = [f"packages/p{i % 12}/src/view{i % 7}/part{i}.{'tsx' if i % 3 else 'css'}" for i in range(590)]
    files += ["README.md", "package.json", "tsconfig.json", ".eslintrc.json", "server.log", ".env"]
    files += [f"packages/p{i}/dist/bundle.js" for i in range(4)]
    files += [f"node_modules/m{i % 400}/lib/{'esm/' if i % 2 else ''}f{i}.js" for i in range(20_000)]
    then = os.stat(top.parent).st_mtime_ns - AGE_NS  # noqa: PTH116
    for name in files:
        file = top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        os.utime(file, ns=(then, then))
    (top / ".gitignore").write_text(
        "node_modules/\ndist/\n*.log\n.env*\n!.env.example\n/coverage\n**/*.map\n"
    )
    os.utime(top / ".gitignore", ns=(then, then))
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        git(os.fsencode(top), "-c", "user.name=n", "-c", "user.email=e", *arguments)
    return top


if __name__ == "__main__":
    sys.exit(main())
