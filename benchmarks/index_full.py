"""How long does a complete first index take, when do answers start, when is every file found by its text, and
how much memory do all processes need until then and in all?

    python -m benchmarks.index_full CORPUS [--keep DIRECTORY] [--query TEXT --file PATH]

CORPUS is a source tree (corpus L: the unpacked `linux-source-6.1` of Debian). Polls a text query from the
start; its hit must be the expected file. With --keep the index stays and other benchmarks can use it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import MemoryPeak, Stopwatch, private_daemon, record
from config import paths
from daemon import client

POLL_S = 0.5


def main() -> int:
    """Index CORPUS on a fresh cache directory and record what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--query", default="static")
    options = parser.parse_args()
    corpus = options.corpus.resolve()
    source_bytes = sum(f.stat().st_size for f in corpus.rglob("*") if f.is_file() and not f.is_symlink())
    with private_daemon(options.keep):
        peak = MemoryPeak(int(paths.pid_path().read_text()))
        connection = client.connect(start=False)
        watch = Stopwatch()
        connection.call("add", {"path": str(corpus), "wait": False})
        first_answer_ms = text_ms = 0.0
        text_peak: dict[str, float] = {}
        timeline = []
        while True:
            status = root_status(connection, corpus)
            peak.look()
            timeline.append((round(watch.ms), status["files"], status["files_done"], status["files_total"]))
            if not first_answer_ms and hits(connection, options.query, corpus):
                first_answer_ms = watch.ms
            if not text_ms and status["phase"] in ("structure", "ready"):
                text_ms, text_peak = watch.ms, dict(peak.peak)
            if status["phase"] == "ready" and not status["pending"] and not status["scanning"]:
                break
            time.sleep(POLL_S)  # the program under test is another process; this is the polling rate
        seconds = watch.ms / 1000
        store = sum(f.stat().st_blocks * 512 for f in paths.cache_dir().rglob("*") if f.is_file())
        result = {
            "corpus": corpus.name,
            "files": status["files"],
            "source_mb": round(source_bytes / 1e6, 1),
            "seconds": round(seconds, 1),
            "mb_per_s": round(source_bytes / 1e6 / seconds, 2),
            "first_text_answer_s": round(first_answer_ms / 1000, 2),
            "text_seconds": round(text_ms / 1000, 1),
            "text_memory_peak_mb": text_peak,
            "memory_peak_mb": peak.peak,
            "index_mb_on_disk": round(store / 1e6, 1),
            "chunks": status["chunks"],
            "symbols": status["symbols"],
            "skipped": status["skipped"],
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        }
        record(f"index_full-{corpus.name}", result, {"timeline_ms_files_done_total": timeline})
    return 0


def root_status(connection: client.Connection, root: Path) -> dict[str, Any]:
    """The status of one root."""
    for status in connection.call("status", {})["roots"]:
        if status["path"] == str(root):
            return dict(status)
    raise SystemExit(f"{root} is not among the roots")


def hits(connection: client.Connection, query: str, root: Path) -> list[dict[str, Any]]:
    """The hits of a text query."""
    answer = connection.call("search", {"query": query, "path": str(root), "mode": "text", "limit": 5})
    return list(answer["hits"])


if __name__ == "__main__":
    sys.exit(main())
