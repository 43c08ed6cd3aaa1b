"""A retrieval benchmark as words: what vectors alone make of it. For evaluation, never for training."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.quality import scorer
from indexer.languages import language_of
from indexer.parse import parse
from indexer.records import F32, I64, SourceFile
from indexer.source import Limits, examine
from indexer.words import parts, words
from training.mine import NOT_CODE

LIMITS = Limits(2 << 20, 5_000, frozenset())
PARSE_S = 20.0
SOFTNESS = 0.1
Bag = Counter[bytes]
Embed = Callable[[list[Bag]], F32]


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository's chunks and questions."""

    name: str
    chunks: list[Bag]
    place: list[tuple[str, int, int]]  # path, first and last line of each chunk
    items: list[dict[str, Any]]


def repositories(benchmark: Path, checkouts: Path, split: str) -> Iterator[Repository]:
    """Cut the files of code of every repository as the index does."""
    wanted = json.loads((benchmark / "split.json").read_text())[split]
    for repo in json.loads((benchmark / "repos.json").read_text()):
        if repo["name"] in wanted:
            root = checkouts / repo["name"] / (repo.get("benchmark_root") or "")
            items = json.loads((benchmark / "annotations" / f"{repo['name']}.json").read_text())
            chunks: list[Bag] = []
            place: list[tuple[str, int, int]] = []
            for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
                _add(path, str(path.relative_to(root)), chunks, place)
            yield Repository(repo["name"], chunks, place, items)


def _add(path: Path, name: str, chunks: list[Bag], place: list[tuple[str, int, int]]) -> None:
    if language_of(name.encode(), b"") in NOT_CODE:
        return
    source = examine(name.encode(), path.read_bytes(), LIMITS)
    if not isinstance(source, SourceFile) or source.language in NOT_CODE:
        return
    table = parse(source, PARSE_S).chunks
    for start, end, line in zip(table.start.tolist(), table.end.tolist(), table.line.tolist(), strict=True):
        text = source.content[start:end]
        chunks.append(bag(text))
        place.append((name, line, line + text.count(b"\n", 0, -1)))


def bag(text: bytes) -> Bag:
    """Return how often each part of a word stands in a text."""
    return Counter(part for word in words(text) for part in parts(word))


def evaluate(score: ModuleType, repositories: list[Repository], embed: Embed) -> dict[str, dict[str, float]]:
    """Return NDCG@10 of files by their nearest chunk and by all chunks; of all questions and by category.

    By all chunks a file has SOFTNESS * log(sum of exp(cosine / SOFTNESS)): the nearest counts most.
    """
    found: dict[str, dict[str, list[float]]] = {"nearest chunk": {}, "all chunks": {}}
    for repository in repositories:
        paths = list(dict.fromkeys(path for path, _, _ in repository.place))
        number = {path: i for i, path in enumerate(paths)}
        of = np.array([number[path] for path, _, _ in repository.place])
        vectors = embed(repository.chunks)
        asked = embed([bag(item["query"].encode()) for item in repository.items])
        values: dict[tuple[str, str], list[float]] = {}
        for item, cosine in zip(repository.items, asked @ vectors.T, strict=True):
            nearest = np.full(len(paths), -np.inf)
            np.maximum.at(nearest, of, cosine)
            soft = np.bincount(of, np.exp(cosine / SOFTNESS), len(paths))
            for way, strength in (("nearest chunk", nearest), ("all chunks", soft)):
                value = _ndcg(score, repository, item, cosine, of, np.argsort(-strength, kind="stable")[:10])
                for category in ("all", score.category_of(item)):
                    values.setdefault((way, category), []).append(value)
        for (way, category), some in values.items():
            found[way].setdefault(category, []).append(float(np.mean(some)))
    return {
        way: {category: round(float(np.mean(means)), 4) for category, means in sorted(by_category.items())}
        for way, by_category in found.items()
    }


def _ndcg(
    score: ModuleType, repository: Repository, item: dict[str, Any], cosine: F32, of: I64, files: I64
) -> float:
    """Return the score of files in this order, each shown by its nearest chunk."""
    results = []
    for file in files.tolist():
        own = np.flatnonzero(of == file)
        path, first, last = repository.place[own[np.argmax(cosine[own])]]
        results.append({"path": path, "start_line": first, "end_line": last})
    targets = [score.as_target(entry) for entry in item.get("relevant", []) + item.get("secondary", [])]
    ranks = [score.first_rank(results, target, False) for target in targets]
    return float(score.ndcg(ranks, len(targets), 10))


__all__ = ["Bag", "Repository", "bag", "evaluate", "repositories", "scorer"]
