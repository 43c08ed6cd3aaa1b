"""Do many clients get right answers in time while files change?

    python -m benchmarks.mixed_load CORPUS [--clients 16] [--seconds 60] [--changes 10] [--keep DIRECTORY]

Sixteen connections ask a mix of text, structural, semantic and boolean queries without pause for a minute
while ten files a second change in a scratch copy. No request may fail, and every text query must find its
file."""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    MemoryPeak,
    Stopwatch,
    editable_files,
    indexed_copy,
    private_daemon,
    record,
    summary,
)
from benchmarks.index_full import root_status
from config import paths
from daemon import client

MIX = [
    ("text", '"{name}"'),
    ("text", "/{name}/"),
    ("symbol", "sym:{name}"),
    ("hybrid", "{name}"),
    ("semantic", 'meaning:"allocate memory for a buffer"'),
    ("boolean", '"{name}" -path:nowhere ~"release a lock"'),
]


def main() -> int:
    """Run the load and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--changes", type=float, default=10, help="files changed a second")
    parser.add_argument("--keep", type=Path, help="directory with `tree` and its index; made if absent")
    options = parser.parse_args()
    with private_daemon(options.keep) as folder:
        connection = client.connect(start=False)
        tree = indexed_copy(connection, options.corpus, folder)
        names = definition_names(connection, tree)
        peak = MemoryPeak(int(paths.pid_path().read_text()))
        until = time.monotonic() + options.seconds
        samples: dict[str, list[float]] = {kind: [] for kind, _ in MIX}
        errors: list[str] = []
        threads = [
            threading.Thread(target=ask, args=(tree, names, until, seed, samples, errors))
            for seed in range(options.clients)
        ]
        for thread in threads:
            thread.start()
        changed = change(tree, until, options.changes, peak)
        for thread in threads:
            thread.join()
        connection.call("sync", {"path": str(tree)}, timeout=120)
        status = root_status(connection, tree)
    everything = [ms for times in samples.values() for ms in times]
    result = {
        "clients": options.clients,
        "seconds": options.seconds,
        "files_changed": changed,
        "errors": len(errors),
        "queries": len(everything),
        "queries_per_s": round(len(everything) / options.seconds, 1),
        "all": summary(everything),
        **{kind: summary(times) for kind, times in samples.items()},
        "memory_peak_mb": peak.peak,
        "files": status["files"],
    }
    record(f"mixed_load-{options.corpus.name}", result, {"errors": errors[:20]})
    return 1 if errors else 0


def definition_names(connection: client.Connection, tree: Path) -> list[str]:
    """Names that are defined somewhere."""
    found: set[str] = set()
    for word in ("init", "read", "get", "parse", "alloc", "test", "write"):
        answer = connection.call(
            "search", {"query": f"sym:{word}", "path": str(tree), "mode": "symbol", "limit": 200}
        )
        for hit in answer["hits"]:
            name = hit["symbol"].rpartition(".")[2]
            if len(name) > 6 and name.isidentifier():
                found.add(name)
    return sorted(found)


def ask(
    tree: Path,
    names: list[str],
    until: float,
    seed: int,
    samples: dict[str, list[float]],
    errors: list[str],
) -> None:
    """Ask without pause; note times and everything that is wrong."""
    chosen = random.Random(seed)
    connection = client.connect(start=False)
    while time.monotonic() < until:
        kind, query = chosen.choice(MIX)
        name = chosen.choice(names)
        text = query.format(name=name)
        watch = Stopwatch()
        try:
            answer = connection.call("search", {"query": text, "path": str(tree), "limit": 10}, timeout=30)
        except Exception as error:  # every failure is a finding here
            errors.append(f"{text}: {error!r}")
            return
        samples[kind].append(watch.ms)
        if not is_right(kind, answer["hits"], name, tree):
            errors.append(f"{text}: {answer['hits'][:1]}")


def is_right(kind: str, hits: list[dict[str, Any]], name: str, tree: Path) -> bool:
    """Whether there are hits and the best has the name: in what it shows, or (boolean) in its file."""
    if not hits or kind == "semantic":
        return bool(hits)
    if kind == "boolean":
        return name.lower().encode() in (tree / hits[0]["path"]).read_bytes().lower()
    seen = [hits[0]["symbol"], *(line["text"] for line in hits[0]["lines"])]
    return any(name.lower() in text.lower() for text in seen)


def change(tree: Path, until: float, per_second: float, peak: MemoryPeak) -> int:
    """Append a comment to random files at a steady rate; returns how many."""
    files = editable_files(tree)
    chosen = random.Random(99)
    count = 0
    start = time.monotonic()
    while (now := time.monotonic()) < until:
        due = start + count / per_second
        if due > now:
            time.sleep(min(due - now, until - now))  # the load's own rate
            continue
        file = chosen.choice(files)
        with file.open("ab") as stream:
            stream.write(b"\n" + (b"# " if file.suffix == ".py" else b"// ") + str(count).encode() + b"\n")
        count += 1
        if count % 50 == 0:
            peak.look()
    return count


if __name__ == "__main__":
    sys.exit(main())
