"""What a worker spends on each byte of a source tree, step by step, on one core.

    python -m benchmarks.prepare FOLDER [--every N] [--parse | --text]

Goes through every Nth directory in jobs as the pipeline cuts them. With --text it writes segments of text, as
the first pass over a large tree does. Without, a file gets chunks by lines and what text search needs; with
--parse also definitions, references and vectors.
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
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import record
from config.settings import load
from indexer import bags, parse
from indexer.embed.static import load_static_model
from indexer.jobs import Outcome
from indexer.packing import pack, unpack
from indexer.pipeline import JOB_BYTES_MAX, JOB_FILES_MAX, TEXT_JOB_BYTES_MAX, TEXT_JOB_FILES_MAX
from indexer.prepare import Preparer
from indexer.records import Parsed, Skipped, SourceFile, Stat, Upsert
from indexer.source import Directories, Limits, read_source_stat
from indexer.store.text_writer import TextWriter, finish_text
from indexer.trigram import trigrams_of
from indexer.vocabulary import Vocabulary

SLICE_FILES = 160  # some 2 MB of Linux 6.1; workers cut slices by their bytes


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--parse", action="store_true")
    parser.add_argument("--text", action="store_true")
    given = parser.parse_args()
    root = os.fsencode(given.folder.resolve())
    clock = Clock()
    counts = (
        text_first(root, given.every, clock) if given.text else whole(root, given.every, given.parse, clock)
    )
    result: dict[str, Any] = {"corpus": given.folder.name, "every": given.every}
    result |= {"parse": given.parse, "text": given.text, **counts}
    result["ns_per_byte"] = {step: round(spent / counts["bytes"], 2) for step, spent in clock.spent.items()}
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    record("prepare-text" if given.text else "prepare", result)


def whole(root: bytes, every: int, with_parser: bool, clock: Clock) -> dict[str, int]:
    """All that the second pass makes, or a saved file; what it makes of a file without a grammar."""
    limits = Limits.of(load(environ={}))
    single = Vocabulary()
    preparer = Preparer(load_static_model() if with_parser else None, 5.0)
    n_files = n_bytes = n_terms = 0
    for paths in jobs(root, every, JOB_FILES_MAX, JOB_BYTES_MAX):
        clock.start()
        sources = read(root, paths, limits)
        clock.stop("read and judge")
        contents = [source.content for source in sources]
        n_files, n_bytes = n_files + len(sources), n_bytes + sum(map(len, contents))
        found: list[Parsed | str] = [""] * len(sources)
        if with_parser:
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
    return {"files": n_files, "bytes": n_bytes, "terms": n_terms}


def text_first(root: bytes, every: int, clock: Clock) -> dict[str, int]:
    """The first pass: segments of text."""
    limits = Limits.of(load(environ={}))
    n_files = n_bytes = n_terms = 0
    with tempfile.TemporaryDirectory() as folder:
        for paths in jobs(root, every, TEXT_JOB_FILES_MAX, TEXT_JOB_BYTES_MAX):
            with TextWriter(Path(folder) / "text") as writer:
                for some in slices(root, paths, limits, clock):
                    n_files, n_bytes = n_files + len(some), n_bytes + sum(len(one.content) for one in some)
                    clock.start()
                    writer.add(some)
                    clock.stop("add to a segment")
                clock.start()
                text = writer.finish()
                clock.stop("finish a segment")
            clock.start()
            n_terms += finish_text(text, Path(folder) / "segment", 1, 1).counts.terms
            clock.stop("give it a number")
    return {"files": n_files, "bytes": n_bytes, "terms": n_terms}


def slices(root: bytes, paths: list[bytes], limits: Limits, clock: Clock) -> Iterator[list[SourceFile]]:
    """Read a job's files slice by slice."""
    for at in range(0, len(paths), SLICE_FILES):
        clock.start()
        sources = read(root, paths[at : at + SLICE_FILES], limits)
        clock.stop("read and judge")
        yield sources


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


def jobs(root: bytes, every: int, files_max: int, bytes_max: int) -> Iterator[list[bytes]]:
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
            if len(paths) == files_max or size >= bytes_max:
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
