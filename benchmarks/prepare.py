"""What a worker spends on each byte of a source tree, step by step, on one core.

    python -m benchmarks.prepare FOLDER [--every N] [--parse]

Goes through every Nth directory in jobs as the pipeline cuts them. Without --parse a file gets chunks by
lines and what text search needs; with it also definitions, references and vectors.
"""

# ruff: noqa: E402  what NumPy reads when it is loaded is set before

from __future__ import annotations

import argparse
import os
import time

from config.machine import array_variables

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
for _name, _value in array_variables().items():
    os.environ.setdefault(_name, _value)

import pickle
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import record
from config.settings import load
from indexer import bags, parse
from indexer.embed.static import load_static_model
from indexer.jobs import Outcome
from indexer.packing import pack, unpack
from indexer.pipeline import JOB_BYTES_MAX, JOB_FILES_MAX
from indexer.prepare import Preparer
from indexer.records import Parsed, Skipped, SourceFile, Stat, Upsert
from indexer.source import Directories, Limits, read_source_stat
from indexer.trigram import trigrams_of
from indexer.vocabulary import Vocabulary


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--parse", action="store_true")
    given = parser.parse_args()
    root = os.fsencode(given.folder.resolve())
    limits = Limits.of(load(environ={}))
    clock = Clock()
    single = Vocabulary()
    preparer = Preparer(load_static_model() if given.parse else None, 5.0)
    n_files = n_bytes = n_terms = 0
    for paths in jobs(root, given.every):
        clock.start()
        sources = read(root, paths, limits)
        clock.stop("read and judge")
        contents = [source.content for source in sources]
        n_files, n_bytes = n_files + len(sources), n_bytes + sum(map(len, contents))
        found: list[Parsed | str] = [""] * len(sources)
        if given.parse:
            clock.start()
            found = [preparer.parse(source) for source in sources]
            clock.stop("parse")
        steps(contents, single, clock)
        clock.start()
        files = preparer.finish(sources, found)
        clock.stop("all but reading and parsing")
        n_terms += sum(len(file.terms.hash) for file in files)
        outcomes: list[Outcome] = [Upsert(b"", Stat(0, 0, 0), file.source.digest, file) for file in files]
        clock.start()
        message = pickle.dumps(pack(outcomes))
        clock.stop("pack")
        clock.start()
        unpack(pickle.loads(message))
        clock.stop("unpack")
    result: dict[str, Any] = {"corpus": given.folder.name, "every": given.every, "parse": given.parse}
    result |= {"files": n_files, "bytes": n_bytes, "terms": n_terms}
    result["ns_per_byte"] = {step: round(spent / n_bytes, 2) for step, spent in clock.spent.items()}
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    record("prepare", result)


class Clock:
    """CPU nanoseconds by step."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}
        self._from = 0

    def start(self) -> None:
        """Begin a step."""
        self._from = time.process_time_ns()

    def stop(self, step: str) -> None:
        """End it."""
        self.spent[step] = self.spent.get(step, 0) + time.process_time_ns() - self._from


def jobs(root: bytes, every: int) -> Iterator[list[bytes]]:
    """Cut every Nth directory into jobs."""
    paths: list[bytes] = []
    size = 0
    for i, (directory, below, names) in enumerate(os.walk(root)):
        below.sort()
        for name in sorted(names) if i % every == 0 else ():
            path = directory + b"/" + name
            if os.path.islink(path):  # noqa: PTH114  pathlib has no bytes
                continue
            paths.append(path[len(root) + 1 :])
            size += os.stat(path).st_size  # noqa: PTH116
            if len(paths) == JOB_FILES_MAX or size >= JOB_BYTES_MAX:
                yield paths
                paths, size = [], 0
    if paths:
        yield paths


def read(root: bytes, paths: list[bytes], limits: Limits) -> list[SourceFile]:
    """Read a job's files."""
    with Directories(root) as directories:
        found = [read_source_stat(root, path, limits, directories)[0] for path in paths]
    return [each for each in found if not isinstance(each, Skipped)]


def steps(contents: list[bytes], vocabulary: Vocabulary, clock: Clock) -> None:
    """The steps of a file without a grammar, each by itself."""
    clock.start()
    trigrams_of(contents)
    clock.stop("trigrams")
    clock.start()
    parsed = parse.unparsed_files(contents, [""] * len(contents))
    clock.stop("chunks by lines")
    clock.start()
    chunks = [each.chunks for each in parsed]
    counted = bags.bag_of_files(contents, chunks, [each.symbols for each in parsed], vocabulary)
    clock.stop("words")
    clock.start()
    bags.term_tables(counted, [len(table) for table in chunks], vocabulary)
    clock.stop("terms")


if __name__ == "__main__":
    main()
