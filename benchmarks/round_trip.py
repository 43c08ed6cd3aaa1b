"""How long do a ping and the `search` command take on a warm daemon?

    python -m benchmarks.round_trip CORPUS --query TEXT [--keep DIRECTORY]

Pings over one connection; then runs `search QUERY` as a whole process, start to exit, beside `python -c
pass` and `python -I -S -c pass` of the same interpreter in turn, so that what the interpreter costs is
visible."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Stopwatch, private_daemon, program, record, summary
from daemon import client

PINGS = 2000
RUNS = 50


def main() -> int:
    """Measure both and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--query", required=True)
    parser.add_argument("--expect", required=True, help="text that the answer must contain")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with private_daemon(options.keep):
        connection = client.connect(start=False)
        connection.call("add", {"path": str(options.corpus.resolve()), "wait": True}, timeout=3600)
        pings = [ping(connection) for _ in range(PINGS + 100)][100:]
        command = [program("search"), options.query, str(options.corpus)]
        rows: dict[str, list[float]] = {"search": [], "python -c pass": [], "python -I -S -c pass": []}
        for _ in range(RUNS + 3):
            rows["search"].append(run(command, options.expect))
            rows["python -c pass"].append(run([sys.executable, "-c", "pass"], ""))
            rows["python -I -S -c pass"].append(run([sys.executable, "-I", "-S", "-c", "pass"], ""))
        timed = {name: times[3:] for name, times in rows.items()}
    record(
        f"round_trip-{options.corpus.name}",
        {"ping": summary(pings), **{name: summary(times) for name, times in timed.items()}},
        {"ping_ms": pings[:200], **timed},
    )
    return 0


def ping(connection: client.Connection) -> float:
    """Milliseconds of one ping."""
    watch = Stopwatch()
    answer = connection.call("ping", {})
    assert answer["pid"] > 0, answer
    return watch.ms


def run(command: list[str], expect: str) -> float:
    """Milliseconds of one process, its output checked."""
    watch = Stopwatch()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken = watch.ms
    assert expect in done.stdout, done.stdout
    return taken


if __name__ == "__main__":
    sys.exit(main())
