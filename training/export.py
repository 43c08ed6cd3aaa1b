"""Make the file that ships of a trained model: int8 rows with a scale each.

    python -m training.export --model FILE [--out FILE] [--record FILE]
        [--benchmark FOLDER --repos CHECKOUTS]

With a benchmark the record also says what the vectors alone make of its questions, before and after rounding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.quality import scorer
from indexer.embed.static import MODEL_FILE, StaticModel, load_static_model, write_static_model
from indexer.records import F32
from training import bench

NAME = "static-code"
KIND = "static1"  # how a text's vector comes from the table; the layout of the file does not change it


def main() -> None:
    """Round, write, measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--benchmark", type=Path)
    parser.add_argument("--repos", type=Path)
    parser.add_argument("--split", default="dev")
    options = parser.parse_args()
    trained = np.load(options.model)
    tokens = trained["tokens"].tobytes().decode().split("\n")
    vectors = trained["vectors"]
    about: dict[str, Any] = json.loads(trained["about"].tobytes())
    fingerprint = export(options.out, NAME, tokens, vectors, about["recipe"]["damping"])
    model = load_static_model(options.out)
    record = {
        **about,
        "tokens": len(tokens),
        "file_bytes": options.out.stat().st_size,
        "fingerprint": fingerprint,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if options.benchmark:
        repositories = list(bench.repositories(options.benchmark, options.repos, options.split))
        score = scorer(options.benchmark)
        for name, table in (("as trained", vectors), ("int8", model.vectors_of_tokens())):
            record[f"ndcg10 of vectors alone, {name}"] = bench.evaluate(
                score, repositories, partial(embed, model, table, about["recipe"]["damping"])
            )
    print(json.dumps(record, indent=1))
    if options.record:
        options.record.write_text(json.dumps(record, indent=1) + "\n")


def export(path: Path, name: str, tokens: Sequence[str], vectors: npt.ArrayLike, damping: float) -> str:
    """Write vectors [n, dim], weights included, as int8 rows with a scale each; return the fingerprint."""
    vectors = np.asarray(vectors)
    scales = np.abs(vectors).max(axis=1) / 127
    scales[scales == 0] = 1
    rows = np.rint(vectors / scales[:, None]).astype(np.int8)
    content = rows.tobytes() + scales.tobytes() + "\n".join(tokens).encode() + f"{damping}".encode()
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    fingerprint = f"{KIND}-{vectors.shape[1]}-{digest}"
    write_static_model(
        path,
        name=name,
        fingerprint=fingerprint,
        rows=rows,
        scales=scales.astype(np.float32),
        tokens=tokens,
        damping=damping,
    )
    return fingerprint


def embed(model: StaticModel, table: F32, damping: float, bags: list[bench.Bag]) -> F32:
    """Return the unit vectors of bags, by the sum that indexer/embed/static.py says, one bag at a time."""
    vectors = np.zeros((len(bags), table.shape[1]), np.float32)
    for row, bag in enumerate(bags):
        count: dict[int, int] = {}
        for part, n in bag.items():
            for token in model.pieces.rows(part):
                count[token] = count.get(token, 0) + n
        if count:
            times = np.array(list(count.values()), np.float32) ** np.float32(damping)
            vectors[row] = times @ table[list(count)]
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: F32 = vectors / np.where(length == 0, np.float32(1), length)
    return unit


if __name__ == "__main__":
    main()
