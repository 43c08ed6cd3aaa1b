"""A retrieval benchmark of our own making, with a scorer of a few lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

SCORE = '''
import math

def category_of(item):
    return item.get("category", "easy")

def as_target(entry):
    return entry if isinstance(entry, str) else entry["path"]

def first_rank(results, target, whole):
    """The place of a target among results, from 1."""
    assert whole is False
    ranks = [i for i, result in enumerate(results, 1) if result["path"] == target]
    assert len(ranks) <= 1 and len(results) <= 10
    return ranks[0] if ranks else None

def ndcg(ranks, n_targets, k):
    """Of targets that are worth the same."""
    found = sum(1 / math.log2(1 + rank) for rank in ranks if rank is not None and rank <= k)
    return found / sum(1 / math.log2(2 + i) for i in range(min(n_targets, k)))
'''


def write_benchmark(
    folder: Path,
    repositories: Mapping[str, Mapping[str, str]],
    questions: Mapping[str, list[tuple[str, list[str]]]],
    roots: Mapping[str, str] | None = None,
) -> tuple[Path, Path]:
    """Write files of repositories, and (question, paths that answer it); return benchmark and checkouts."""
    benchmark, checkouts = folder / "benchmark", folder / "checkouts"
    (benchmark / "annotations").mkdir(parents=True)
    (benchmark / "score.py").write_text(SCORE)
    (benchmark / "split.json").write_text(json.dumps({"dev": list(questions), "test": []}))
    repos = [{"name": name, "benchmark_root": (roots or {}).get(name)} for name in repositories]
    (benchmark / "repos.json").write_text(json.dumps(repos))
    for name, asked in questions.items():
        items = [{"query": query, "relevant": paths} for query, paths in asked]
        (benchmark / "annotations" / f"{name}.json").write_text(json.dumps(items))
    for name, files in repositories.items():
        for path, text in files.items():
            file = checkouts / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return benchmark, checkouts
