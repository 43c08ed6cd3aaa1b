"""Words, embedding and similarity kernels on real source code, in this process, on one core.

    python -m benchmarks.vectors FOLDER...

Counts and embeds the files below the folders (C, Python, Java, ... as they come) in chunks of 25 lines; then
asks the kernels for the best 10 and 100 of 100,000 of those chunks, and of a million made from them with a
little noise, under masks of several widths. Recall is counted against the NumPy oracle.
"""

# ruff: noqa: E402  the number of threads is set before NumPy is loaded

from __future__ import annotations

import argparse
import os
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when NumPy is loaded
    os.environ[_name] = "1"

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import record, summary
from indexer.bags import bag, term_table
from indexer.embed.static import StaticModel, load_static_model
from indexer.records import F16, F32, ChunkTable, SymbolTable
from indexer.store.pool import pack_signs
from indexer.vocabulary import Vocabulary
from search.kernels.contract import Kernel
from search.kernels.numpy_kernel import NumpyKernel
from search.kernels.signs_kernel import SignsKernel

SUFFIXES = frozenset({".c", ".h", ".py", ".java", ".go", ".rs", ".ts", ".js", ".rb", ".cs"})
CHUNK_LINES = 25
BYTES_MAX = 80_000_000
NO_SYMBOLS = SymbolTable([], *(np.zeros(0, t) for t in (np.uint8, *[np.uint32] * 4, np.int32)))
QUERIES = (
    "allocate memory for a network packet",
    "retry with backoff when the device is busy",
    "parse a configuration file",
    "acquire a lock with interrupts disabled",
    "compute a checksum",
    "close the connection after a timeout",
    "read a line from the terminal",
    "sort a list by several keys",
    "check the permissions of a user",
    "decode base64 text",
    "walk a directory tree",
    "register a callback for an event",
    "convert a string to a number",
    "free unused pages under memory pressure",
    "format a date and time",
    "wait until a thread has finished",
)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    folders = parser.parse_args().folders
    files = sample(folders)
    model = load_static_model()
    vectors, words = count_and_embed(files, model)
    queries = model.embed_texts(QUERIES).astype(np.float32)
    vectors = vectors[vectors.any(axis=1)]
    result: dict[str, Any] = {"corpus": [folder.name for folder in folders], **words}
    result["load_model_ms"] = summary([clocked(load_static_model) for _ in range(5)])
    result["embed_query_ms"] = summary([clocked(lambda q=q: model.embed_texts([q])) for q in QUERIES * 20])
    for rows in (100_000, 1_000_000):
        result[f"top_k of {rows}"] = kernels(widened(vectors, rows), queries)
    record("vectors", result)


def sample(folders: list[Path]) -> list[bytes]:
    """Return files up to BYTES_MAX, in a random order that is the same every time."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES]
    files: list[bytes] = []
    size = 0
    for i in np.random.default_rng(1).permutation(len(paths)):
        content = paths[i].read_bytes()
        if content and len(content) <= 2 << 20:
            files.append(content)
            size += len(content)
        if size > BYTES_MAX:
            break
    return files


def count_and_embed(files: list[bytes], model: StaticModel) -> tuple[F16, dict[str, Any]]:
    """Return all vectors, and how fast words, terms and vectors were made: with every word new, and known."""
    size = sum(map(len, files))
    chunks = [chunk(content) for content in files]
    n_chunks = sum(map(len, chunks))
    vocabulary = Vocabulary(words_max=10_000_000)
    result: dict[str, Any] = {"files": len(files), "bytes": size, "chunks": n_chunks}
    for name in ("words new", "words known"):
        spent = [0.0, 0.0, 0.0]
        vectors = []
        for content, table in zip(files, chunks, strict=True):
            times = [time.thread_time()]
            counted = bag(content, table, NO_SYMBOLS, vocabulary)
            times.append(time.thread_time())
            term_table(counted, vocabulary)
            times.append(time.thread_time())
            vectors.append(model.embed_bag(counted, vocabulary))
            times.append(time.thread_time())
            spent = [total + b - a for total, a, b in zip(spent, times, times[1:], strict=False)]
        result[name] = {
            "words_mb_per_s": round(size / spent[0] / 1e6, 1),
            "terms_mb_per_s": round(size / spent[1] / 1e6, 1),
            "chunks_embedded_per_s": round(n_chunks / spent[2]),
        }
    result["distinct_words"] = len(vocabulary)
    return np.concatenate(vectors), result


def chunk(content: bytes) -> ChunkTable:
    """Return runs of CHUNK_LINES lines."""
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == 10) + 1
    start = np.append(0, ends[CHUNK_LINES - 1 :: CHUNK_LINES])
    start = start[start < len(content)].astype(np.uint32)
    end = np.append(start[1:], len(content)).astype(np.uint32)
    return ChunkTable(start, end, start, np.full(len(start), -1, np.int32))


def widened(vectors: F16, rows: int) -> F16:
    """Return `rows` vectors: some of those given, or all and noisy copies."""
    random = np.random.default_rng(2)
    if rows <= len(vectors):
        return vectors[random.permutation(len(vectors))[:rows]]
    made = np.empty((rows, vectors.shape[1]), np.float16)
    for at in range(0, rows, 50_000):
        some: F32 = vectors[random.integers(0, len(vectors), min(50_000, rows - at))].astype(np.float32)
        some += 0.03 * random.standard_normal(some.shape, np.float32)
        made[at : at + len(some)] = some / np.linalg.norm(some, axis=1, keepdims=True)
    return made


def kernels(vectors: F16, queries: F32) -> dict[str, Any]:
    """Return times and recall of the kernels for masks of several widths."""
    signs = pack_signs(vectors)
    oracle, fast = NumpyKernel(), SignsKernel()
    result: dict[str, Any] = {}
    for share in (1.0, 0.9, 0.1, 0.01):
        live = np.random.default_rng(3).random(len(vectors)) < share
        for k in (10, 100):
            spent: dict[str, list[float]] = {}
            found = 0
            for query in queries:
                best: dict[str, Any] = {}
                for kernel in (oracle, fast):
                    best[kernel.name] = asked(kernel, query, vectors, signs, live, k, spent)
                found += len(np.intersect1d(best["numpy"], best["signs"]))
            result[f"{share:.0%} live, k {k}"] = {
                "recall": round(found / (k * len(queries)), 4),
                **{name: summary(times) for name, times in spent.items()},
            }
    return result


def asked(
    kernel: Kernel, query: F32, vectors: F16, signs: Any, live: Any, k: int, spent: dict[str, list[float]]
) -> Any:
    """Ask once to warm up and three times (the oracle once) to measure; return the rows."""
    rows, _ = kernel.top_k(query, vectors, signs, live, k)
    for _ in range(1 if kernel.name == "numpy" else 3):
        start = time.perf_counter()
        kernel.top_k(query, vectors, signs, live, k)
        spent.setdefault(kernel.name, []).append((time.perf_counter() - start) * 1e3)
    return rows


def clocked(function: Any) -> float:
    """Return the milliseconds of one call."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    main()
