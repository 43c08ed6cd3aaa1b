"""How long does a question take in the daemon, its embedding included?

    python -m benchmarks.questions CORPUS [--shares 0.12,1] [--limit 10] [--keep DIRECTORY]

Indexes shares of a corpus (files drawn by a hash of their path; corpus L: the unpacked `linux-source-6.1` of
Debian, 0.12 of it has some 100,000 chunks) and asks each QUESTIONS once: no question twice, because vectors
and words of a question are remembered. Tells the client's clock and, of the daemon's own, each step. Every
answer must be complete, have as many hits as were asked for, and come from both words and meaning.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.harness import Stopwatch, link_or_copy, private_daemon, record, summary
from benchmarks.text import AT_REST, settle
from daemon import client

DOES = (
    "how does the kernel",
    "where do we",
    "code that can",
    "when do drivers",
    "what has to",
    "which functions",
)
WHAT = (
    "allocate memory for a packet", "wake up a sleeping task", "parse mount options", "map pages for DMA",
    "retry after a timeout", "register an interrupt handler", "verify a checksum", "free unused buffers",
    "check the permissions of a user", "read a block from disk", "schedule deferred work", "lock an inode",
    "reset the network card", "handle a page fault", "encrypt a block of data", "count references",
    "suspend a device", "walk a list under a lock", "copy data to user space", "measure the temperature",
    "decode a frame of video", "probe a device on a bus", "balance load between processors", "trace an event",
    "write back dirty pages", "resolve a symbol", "set up a timer", "queue a request", "send a signal",
    "limit the rate of messages", "log an error once", "convert a time to ticks", "open a socket",
    "update firmware", "scan for wireless networks", "compress a page",
)  # fmt: skip
QUESTIONS = tuple(f"{does} {what}" for does, what in product(DOES, WHAT))
WARM = 16


def main() -> int:
    """Measure every share and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--shares", default="0.12,1")
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="keep the indexes here, one folder a share")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="einstein-bench-") as scratch:
        for share in map(float, options.shares.split(",")):
            folder = (options.keep or Path(scratch)) / f"share-{share:g}"
            tree = part_of(options.corpus.resolve(), share, folder / "tree")
            with private_daemon(folder, **AT_REST), client.connect(start=False) as connection:
                connection.call("add", {"path": str(tree), "wait": True}, timeout=3600)
                settle(connection)
                result[f"{share:g}"], raw[f"{share:g}"] = measure(connection, tree, options.limit)
    record(f"questions-{options.corpus.name}", result, raw)
    return 0


def part_of(corpus: Path, share: float, tree: Path) -> Path:
    """Return a folder with a share of the corpus' files, the corpus itself for 1."""
    if share >= 1:
        return corpus
    if not tree.exists():
        for file in sorted(corpus.rglob("*")):
            name = str(file.relative_to(corpus))
            drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") < share * 2**32
            if drawn and file.is_file() and not file.is_symlink():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(file, tree / name)
    return tree


def measure(connection: client.Connection, tree: Path, limit: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the summary and the single times of all questions."""
    at_client: list[float] = []
    in_daemon: list[float] = []
    steps: dict[str, list[float]] = defaultdict(list)
    for number, question in enumerate(QUESTIONS):
        asked = {"query": question, "path": str(tree), "limit": limit}
        watch = Stopwatch()
        answer = connection.call("search", asked)
        took = watch.ms
        # `explain` is asked of every eighth only, and again: it costs time itself.
        explained = connection.call("search", {**asked, "explain": True}) if number % 8 == 0 else None
        check(question, answer, explained, limit)
        if number < WARM:
            continue
        at_client.append(took)
        in_daemon.append(answer["ms"])
        for step in explained["explain"]["steps"] if explained else ():
            steps[step["name"].partition("(")[0]].append(step["ms"])
    status = connection.call("status", {})
    told = {
        "files": sum(root["files"] for root in status["roots"]),
        "chunks": status["index"]["chunks"],
        "client": summary(at_client),
        "daemon": summary(in_daemon),
        "steps, asked again": {name: summary(times) for name, times in steps.items()},
    }
    return told, {"client_ms": at_client, "daemon_ms": in_daemon}


def check(question: str, answer: Any, explained: Any, limit: int) -> None:
    """Fail if an answer is not what was asked for."""
    if answer["incomplete"] or len(answer["hits"]) != limit:
        raise SystemExit(f"{question}: {len(answer['hits'])} hits, incomplete: {answer['incomplete']}")
    if explained is None:
        return
    found = {step["name"].partition("(")[0]: step["kept"] for step in explained["explain"]["steps"]}
    places = [(hit["path"], hit["line"]) for hit in answer["hits"]]
    if not found.get("lexical") or not found.get("semantic"):
        raise SystemExit(f"{question}: words and meaning were not both searched: {found}")
    if places != [(hit["path"], hit["line"]) for hit in explained["hits"]]:
        raise SystemExit(f"{question}: another answer when asked again")


if __name__ == "__main__":
    sys.exit(main())
