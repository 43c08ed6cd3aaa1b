"""What every benchmark needs: a private daemon, honest statistics, and a record of the run.

A run is written to `benchmarks/runs/<date>-<machine>/<name>.json` with machine, commit, versions, every raw
number and the summary, so that a claim can name the run it comes from. Benchmarks check their results: a
fast wrong answer fails.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon.client import Connection

REPOSITORY = Path(__file__).resolve().parent.parent
RUNS = Path(__file__).resolve().parent / "runs"
LIBRARIES = ("numpy", "lmdb", "watchdog", "tree-sitter", "google-re2", "msgspec")


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample below which `share` (0..1) of the samples lie; nearest rank."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary(samples: Sequence[float], unit: str = "ms") -> dict[str, Any]:
    """Count, p50, p95, minimum and maximum."""
    return {
        "unit": unit,
        "n": len(samples),
        "p50": round(percentile(samples, 0.5), 3),
        "p95": round(percentile(samples, 0.95), 3),
        "min": round(min(samples), 3),
        "max": round(max(samples), 3),
    }


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        model = models[0] if models else model
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def commit() -> str:
    """The commit that was measured, with "+" if the working tree differs."""
    head = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True
    )
    dirty = subprocess.run(["git", "status", "--porcelain"], cwd=REPOSITORY, capture_output=True, text=True)
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def record(name: str, result: dict[str, Any], raw: dict[str, Any] | None = None) -> Path:
    """Write the run and print its summary."""
    about = machine()
    label = f"{about['system'].lower()}-{about['architecture']}-{about['cores']}cores"
    folder = RUNS / f"{datetime.date.today().isoformat()}-{label}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    document = {
        "name": name,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(
            ["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *map(_plain, sys.argv[1:])]
        ),
        "commit": commit(),
        "machine": about,
        "result": result,
        "raw": raw or {},
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    print(f"recorded in {path.relative_to(REPOSITORY)}")
    return path


def _plain(argument: str) -> str:
    """An argument without the directories of this machine."""
    return Path(argument).name if argument.startswith("/") else argument


@contextmanager
def private_daemon(keep: Path | None = None, **settings: str) -> Iterator[Path]:
    """Run a daemon on a cache directory of its own; gives the directory.

    `settings` are environment settings ("EINSTEIN_QUERY_PROCESSES" = "1"). With `keep` the directory is
    that one and stays, so that an index can be used by several benchmarks.
    """
    folder = keep or Path(tempfile.mkdtemp(prefix="einstein-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    mine = {
        "EINSTEIN_CACHE_DIR": str(folder / "cache"),
        "EINSTEIN_CONFIG_FILE": str(folder / "config.toml"),
        **settings,
    }
    before = {name: os.environ.get(name) for name in mine}
    os.environ.update(mine)
    try:
        subprocess.run([program("searchd"), "start"], check=True, stdout=subprocess.DEVNULL)
        yield folder
    finally:
        subprocess.run([program("searchd"), "stop"], check=False, stdout=subprocess.DEVNULL)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def indexed_copy(connection: Connection, corpus: Path, folder: Path) -> Path:
    """Return `folder`/tree, a copy of the corpus that may be edited, completely indexed."""
    tree = folder / "tree"
    if not tree.exists():
        shutil.copytree(corpus, tree, symlinks=True)
    connection.call("add", {"path": str(tree), "wait": True}, timeout=3600)
    return tree


def link_or_copy(file: Path, to: Path) -> None:
    """Make `to` a hard link, or a copy where the file system or its owner allows none."""
    try:
        to.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, to)


def editable_files(tree: Path) -> list[Path]:
    """Return the C sources of a tree, or its Python sources if it has none."""
    found = sorted(f for f in tree.rglob("*.[ch]") if f.is_file() and not f.is_symlink())
    return found or sorted(tree.rglob("*.py"))


def program(name: str) -> str:
    """The installed command beside this interpreter."""
    return str(Path(sys.executable).parent / name)


def process_tree(pid: int) -> list[int]:
    """A process and all its descendants (Linux)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it ended while we looked
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += children.get(current, [])
    return found


def memory_mb(pids: Sequence[int]) -> dict[str, float]:
    """Megabytes of all processes together: `pss` (shared pages counted once) and `private`."""
    total = {"pss": 0.0, "private": 0.0, "anonymous": 0.0}
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            key, _, rest = line.partition(":")
            if key == "Pss":
                total["pss"] += int(rest.split()[0]) / 1024
            elif key == "Pss_Anon":
                total["anonymous"] += int(rest.split()[0]) / 1024
            elif key.startswith("Private_"):
                total["private"] += int(rest.split()[0]) / 1024
    return {key: round(value, 1) for key, value in total.items()}


class MemoryPeak:
    """Keeps the largest memory of a process tree over the calls of `look`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.peak = {"pss": 0.0, "private": 0.0, "anonymous": 0.0}

    def look(self) -> None:
        now = memory_mb(process_tree(self._pid))
        self.peak = {key: max(value, now[key]) for key, value in self.peak.items()}


class Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self._start) * 1000
