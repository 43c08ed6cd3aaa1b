"""A retrieval benchmark as words: what vectors alone make of it. For evaluation, never for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.quality import F64, Question, figures, questions_about, roots, targets_of
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
    for name, root in roots(benchmark, checkouts, split).items():
        chunks: list[Bag] = []
        place: list[tuple[str, int, int]] = []
        for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
            _add(path, str(path.relative_to(root)), chunks, place)
        yield Repository(name, chunks, place, questions_about(benchmark, name))


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
    questions: list[Question] = []
    strengths: dict[str, list[F64]] = {"nearest chunk": [], "all chunks": []}
    for repository in repositories:
        paths = list(dict.fromkeys(path for path, _, _ in repository.place))
        number = {path: i for i, path in enumerate(paths)}
        of = np.array([number[path] for path, _, _ in repository.place])
        vectors = embed(repository.chunks)
        asked = embed([bag(item["query"].encode()) for item in repository.items])
        for item, cosine in zip(repository.items, asked @ vectors.T, strict=True):
            order = np.lexsort((-cosine, of))
            nearest = order[np.searchsorted(of[order], np.arange(len(paths)))]  # chunk of each file
            questions.append(_question(score, repository, item, nearest))
            strengths["nearest chunk"].append(cosine[nearest].astype(np.float64))
            soft = np.bincount(of, np.exp(cosine / SOFTNESS), len(paths)).astype(np.float64)
            strengths["all chunks"].append(soft)
    return {way: figures(score, questions, found) for way, found in strengths.items()}


def _question(score: ModuleType, repository: Repository, item: dict[str, Any], chunks: I64) -> Question:
    """Return a question whose files are shown by these chunks; no signal says anything of them."""
    places = [repository.place[chunk] for chunk in chunks.tolist()]
    return Question(
        repo=repository.name,
        category=score.category_of(item),
        targets=targets_of(score, item),
        results=[{"path": path, "start_line": first, "end_line": last} for path, first, last in places],
        values=np.zeros((len(places), 0)),
        answers=np.zeros(len(places), np.bool_),
    )
