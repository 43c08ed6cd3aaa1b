"""How long until every file of a corpus is found by its text, beside cindex in turn?

    python -m benchmarks.text_build CORPUS [--rounds 5]

In each round a daemon with an empty cache is given the corpus (corpus L: the unpacked `linux-source-6.1` of
Debian), and the clock runs from `add` until all files can be found; then cindex indexes a mirror of exactly
that text. Everything lies in the page cache. Nothing else is looked at meanwhile: reading how much memory
all processes have, as benchmarks.text does, takes time of the two cores that are measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Stopwatch, private_daemon, record, summary
from benchmarks.index_full import root_status
from benchmarks.peers import Mirror, require, run
from benchmarks.text import indexed_files
from daemon import client

POLL_S = 0.1


def main() -> int:
    """Measure and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    require(["csearch"])
    corpus = options.corpus.resolve()
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="einstein-bench-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        with private_daemon(scratch / "first"), client.connect(start=False) as connection:
            seconds_to_text(connection, corpus, 0)
            files = indexed_files(connection, corpus)
            mirror = Mirror(scratch / "mirror", corpus, files)
        os.environ["CSEARCHINDEX"] = str(scratch / "csearchindex")
        for number in range(options.rounds):
            with private_daemon(scratch / f"{number}"), client.connect(start=False) as connection:
                ours.append(seconds_to_text(connection, corpus, len(files)))
            theirs.append(run(["cindex", "-reset", str(mirror.at)])[0] / 1000)
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    told = {
        "files": len(files),
        "einstein": summary(ours, "s"),
        "cindex": summary(theirs, "s"),
        "ratio": {"median": round(statistics.median(ratios), 3), "min": round(min(ratios), 3),
                  "max": round(max(ratios), 3)},
    }  # fmt: skip
    record(f"text_build-{corpus.name}", told, {"einstein_s": ours, "cindex_s": theirs})
    return 0


def seconds_to_text(connection: client.Connection, corpus: Path, files: int) -> float:
    """Return after how many seconds so many files can be found; 0: all that there are to be."""
    watch = Stopwatch()
    connection.call("add", {"path": str(corpus)}, timeout=600)
    found = -1
    while True:
        status = root_status(connection, corpus)
        done = status["files"] == files if files else status["files"] == found and not status["scanning"]
        if status["files"] and done:
            return watch.ms / 1000
        found = status["files"]
        time.sleep(POLL_S if files else 20 * POLL_S)  # the polling rate: the daemon is another process


if __name__ == "__main__":
    sys.exit(main())
