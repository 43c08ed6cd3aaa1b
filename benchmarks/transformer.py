"""What the second model (tier 1) adds to the answers, and what it costs.

    python -m benchmarks.transformer --benchmark FOLDER --repos CHECKOUTS --model FOLDER [--keep FOLDER]
        [--chunks-max N]

Every repository of the split with at most N chunks is indexed by a private daemon and asked all of its
questions without the second model, then again once all of its vectors are there; see benchmarks/quality.py
for the folders. The budget for a question's vector is large here, so that every question gets it; how long
it took is printed. With --keep, indexes and vectors stay and are used again: vectors belong to contents, so
a second run only asks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.harness import private_daemon, record, summary
from benchmarks.quality import Question, figures, parser_of, questions_about, roots, scorer, targets_of
from daemon import client

BUDGET_MS = 10_000
HITS = 10
PATIENCE_S = 7_200.0  # for the vectors of one repository
POLL_S = 0.5


def main() -> None:
    """Index, ask twice, print, record."""
    parser = parser_of(__doc__)
    parser.add_argument("--model", required=True, help="a folder, or a name in the local cache")
    parser.add_argument("--keep", type=Path, help="where indexes and vectors stay")
    parser.add_argument("--chunks-max", type=int, default=2_000)
    arguments = parser.parse_args()
    score = scorer(arguments.benchmark)
    without: list[Question] = []
    with_it: list[Question] = []
    vector_ms: list[float] = []
    rates: dict[str, float] = {}
    chunks: dict[str, int] = {}
    for name, root in roots(arguments.benchmark, arguments.repos, arguments.split).items():
        items = questions_about(arguments.benchmark, name)
        keep = arguments.keep and arguments.keep / name
        n_chunks, answered = _without(keep, score, name, root, items, arguments.chunks_max)
        if not answered:
            continue
        chunks[name] = n_chunks
        without += answered
        rates[name], answered, ms = _with(keep, arguments.model, score, name, root, items)
        with_it += answered
        vector_ms += ms
        print(f"{name}: {n_chunks} chunks, {rates[name]:.1f}/s", flush=True)
    result = compared(score, without, with_it) | {
        "repositories": len(chunks),
        "chunks": sum(chunks.values()),
        "vector_of_a_question": summary(vector_ms),
        "chunks_per_s": {name: rate for name, rate in rates.items() if rate},
        "load": round(os.getloadavg()[0], 1),
    }
    record("transformer", result, {"chunks": chunks})


def compared(score: ModuleType, without: Sequence[Question], with_it: Sequence[Question]) -> dict[str, Any]:
    """Return NDCG@10 of both, and of how many questions it rose or fell."""
    before, after = ([_ndcg(score, question) for question in asked] for asked in (without, with_it))
    change = np.array(after) - np.array(before)
    repo = np.array([question.repo for question in without])
    by_repo = [float(change[repo == name].mean()) for name in np.unique(repo)]
    error = float(np.std(by_repo, ddof=1)) / len(by_repo) ** 0.5 if len(by_repo) > 1 else 0.0
    return {
        "ndcg10_tier0": figures(score, without, [_order(question) for question in without]),
        "ndcg10_both": figures(score, with_it, [_order(question) for question in with_it]),
        "difference": round(float(np.mean(by_repo)), 4),
        "standard_error_over_repositories": round(error, 4),
        "questions": len(change),
        "better": int((change > 1e-9).sum()),
        "worse": int((change < -1e-9).sum()),
    }


def _order(question: Question) -> Any:
    return -np.arange(len(question.results), dtype=np.float64)


def _ndcg(score: ModuleType, question: Question) -> float:
    ranks = [score.first_rank(question.results, target, False) for target in question.targets]
    return float(score.ndcg(ranks, len(question.targets), HITS))


def _without(
    keep: Path | None, score: ModuleType, name: str, root: Path, items: list[dict[str, Any]], chunks_max: int
) -> tuple[int, list[Question]]:
    """Ask the first model alone, unless there are too many chunks; gives their number too."""
    with private_daemon(keep, EINSTEIN_TRANSFORMER_MODEL=""), client.connect(start=False) as connection:
        connection.call("add", {"path": str(root), "wait": True}, timeout=3600)
        n_chunks = int(connection.call("status")["index"]["chunks"])
        asked = items if n_chunks <= chunks_max else []
        return n_chunks, [_asked(score, connection, name, root, item)[0] for item in asked]


def _with(
    keep: Path | None, model: str, score: ModuleType, name: str, root: Path, items: list[dict[str, Any]]
) -> tuple[float, list[Question], list[float]]:
    """Ask both models once all vectors are there; gives chunks per second, and each question's ms for its
    vector."""
    settings = {
        "EINSTEIN_TRANSFORMER_MODEL": model,
        "EINSTEIN_TRANSFORMER_QUERY_BUDGET_MS": str(BUDGET_MS),
    }
    with private_daemon(keep, **settings), client.connect(start=False) as connection:
        connection.call("add", {"path": str(root), "wait": True}, timeout=3600)
        rate = _wait_for_vectors(connection)
        _wait_for_view(connection, root, items[0]["query"] + " again")
        answered = [_asked(score, connection, name, root, item) for item in items]
    steps = [step for _, step in answered if step is not None]
    return rate, [question for question, _ in answered], [float(step["ms"]) for step in steps]


def _wait_for_vectors(connection: client.Connection) -> float:
    """Return the chunks per second once none is missing; 0 if none was."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        said = connection.call("status")["transformer"]
        if said["problem"] or time.monotonic() > deadline:
            raise SystemExit(f"the second model does not come: {said}")
        if said["running"] and 0 < said["chunks_total"] == said["chunks_done"]:
            return float(said["chunks_per_s"])
        time.sleep(POLL_S)


def _wait_for_view(connection: client.Connection, root: Path, text: str) -> None:
    """Wait until a query process has mapped the vectors."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        step = _transformer_step(_search(connection, root, text))
        if step is not None and step["kept"]:
            return
        if time.monotonic() > deadline:
            raise SystemExit("the second model does not join the answers")
        time.sleep(POLL_S)


def _asked(
    score: ModuleType, connection: client.Connection, name: str, root: Path, item: dict[str, Any]
) -> tuple[Question, dict[str, Any] | None]:
    """Return a question with its answer, and what the second model did."""
    found = _search(connection, root, item["query"])
    late = [warning for warning in found["warnings"] if warning.startswith("the transformer model")]
    if late:
        raise SystemExit(f"{name}: {late[0]}")
    hits = found["hits"]
    question = Question(
        repo=name,
        category=score.category_of(item),
        targets=targets_of(score, item),
        results=[
            {"path": hit["path"], "start_line": hit["line"], "end_line": max(hit["line"], hit["end_line"])}
            for hit in hits
        ],
        values=np.zeros((len(hits), 0)),
        answers=np.zeros(len(hits), np.bool_),
    )
    return question, _transformer_step(found)


def _search(connection: client.Connection, root: Path, text: str) -> dict[str, Any]:
    request = {"query": text, "path": str(root), "limit": HITS, "explain": True}
    return connection.call("search", request, timeout=60)


def _transformer_step(found: dict[str, Any]) -> dict[str, Any] | None:
    steps: list[dict[str, Any]] = found["explain"]["steps"]
    return next((step for step in steps if step["name"].startswith("transformer(")), None)


if __name__ == "__main__":
    main()
