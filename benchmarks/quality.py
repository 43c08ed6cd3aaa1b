"""How good are the answers to a retrieval benchmark's questions, and what is each signal worth?

    python -m benchmarks.quality --benchmark FOLDER --repos CHECKOUTS [--split dev] [--ablate] [--words-alone]

FOLDER holds the benchmark: score.py (its scorer), repos.json, split.json and annotations/; CHECKOUTS its
repositories, one folder each. The scorer asks quality_adapter.py, which answers through the real daemon. The
run is recorded, and the ranks of every question are written to benchmarks/quality_ranks.tsv, so that a change
of the ranking is a diff.

--ablate asks every question once more with `explain`, which tells the value of every signal for every file
that was considered, and prints what NDCG@10 loses when one signal says nothing. --words-alone asks a daemon
without a model: what words say by themselves (BM25F of a file's best chunk), and with all rules. What vectors
alone say, training/export.py tells.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness import private_daemon, record
from daemon import client
from search.file_rank import FILE, SIGNALS, shipped_weights

RANKS = Path(__file__).with_name("quality_ranks.tsv")
HITS_MAX = 400  # more than a question has candidates
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the files that were considered for it, in the order of the answer."""

    repo: str
    category: str
    targets: list[Any]
    results: list[dict[str, Any]]  # the best place of each file
    values: F64  # [files, signals]
    answers: npt.NDArray[np.bool_]  # which files answer


def main() -> None:
    """Ask, print, record."""
    parser = parser_of(__doc__)
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--words-alone", action="store_true")
    arguments = parser.parse_args()
    scored = run_scorer(arguments.benchmark, arguments.repos, arguments.split)
    result: dict[str, Any] = {"summary": scored["summary"], "failures": scored["failures"]}
    raw: dict[str, Any] = {"repos": scored["repos"]}
    if arguments.ablate:
        result["ablation"] = ablation(arguments.benchmark, arguments.repos, arguments.split)
    if arguments.words_alone:
        result["words_alone"] = words_alone(arguments.benchmark, arguments.repos, arguments.split)
    write_ranks(scored["queries"])
    record(f"quality-{arguments.split}", result, raw)
    sys.exit(1 if scored["failures"] else 0)


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return what reads where benchmark and repositories are, and which split is asked."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", type=Path, required=True)
    parser.add_argument("--repos", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    return parser


def run_scorer(benchmark: Path, checkouts: Path, split: str) -> dict[str, Any]:
    """Run the benchmark's own scorer over the adapter and return what it wrote; its tables are printed."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "result.json"
        adapter = f"{sys.executable} -m benchmarks.quality_adapter {{root}}"
        command = [sys.executable, str(benchmark / "score.py"), "--repos", str(checkouts), "--split", split]
        subprocess.run([*command, "--adapter", adapter, "--details", "--out", str(out)], check=False)
        if not out.exists():
            raise SystemExit("the scorer ended without a result; what it said stands above")
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def write_ranks(queries: dict[str, list[dict[str, Any]]]) -> None:
    """Write at which rank each target of each question was found."""
    lines = ["repository\tcategory\tranks\tNDCG@10\tquestion"]
    for repo, rows in sorted(queries.items()):
        for row in rows:
            ranks = " ".join("-" if rank is None else str(rank) for rank in row["ranks"])
            lines.append(f"{repo}\t{row['category']}\t{ranks}\t{row['ndcg10']:.3f}\t{row['query']}")
    RANKS.write_text("\n".join(lines) + "\n", "utf-8")


def ablation(benchmark: Path, checkouts: Path, split: str) -> dict[str, Any]:
    """Return NDCG@10 by the weights that ship, and what it loses without each signal."""
    score = scorer(benchmark)
    questions = list(asked(score, benchmark, checkouts, split))
    weights = np.array([shipped_weights()[name] for name in SIGNALS])
    whole = figures(score, questions, [question.values @ weights for question in questions])
    lost = {}
    for i, name in enumerate(SIGNALS):
        silent = np.where(np.arange(len(weights)) == i, 0, weights)
        without = figures(score, questions, [question.values @ silent for question in questions])
        lost[name] = {category: round(whole[category] - value, 4) for category, value in without.items()}
    return {"ndcg10": whole, "lost_without": lost}


def words_alone(benchmark: Path, checkouts: Path, split: str) -> dict[str, Any]:
    """Return NDCG@10 by words without vectors: by the best chunk of each file, and by all signals."""
    score = scorer(benchmark)
    questions = list(asked(score, benchmark, checkouts, split, EINSTEIN_MODEL_TIER0=""))
    weights = np.array([shipped_weights()[name] for name in SIGNALS])
    best = list(SIGNALS).index("words_and_meaning")  # there is no meaning here
    return {
        "no_rules": figures(score, questions, [question.values[:, best] for question in questions]),
        "with_rules": figures(score, questions, [question.values @ weights for question in questions]),
    }


def scorer(benchmark: Path) -> ModuleType:
    """Return the benchmark's own scorer as a module."""
    spec = importlib.util.spec_from_file_location("score", benchmark / "score.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def roots(benchmark: Path, checkouts: Path, split: str) -> dict[str, Path]:
    """Return the folder that is searched of every repository of a split, by name."""
    wanted = json.loads((benchmark / "split.json").read_text())[split]
    return {
        repo["name"]: (checkouts / repo["name"] / (repo.get("benchmark_root") or "")).resolve(strict=True)
        for repo in json.loads((benchmark / "repos.json").read_text())
        if repo["name"] in wanted
    }


def questions_about(benchmark: Path, name: str) -> list[dict[str, Any]]:
    """Return the questions about a repository."""
    found: list[dict[str, Any]] = json.loads((benchmark / "annotations" / f"{name}.json").read_text())
    return found


def targets_of(score: ModuleType, item: dict[str, Any]) -> list[Any]:
    """Return what answers a question."""
    return [score.as_target(entry) for entry in item.get("relevant", []) + item.get("secondary", [])]


def asked(
    score: ModuleType, benchmark: Path, checkouts: Path, split: str, **settings: str
) -> Iterable[Question]:
    """Yield what a daemon with these settings considers for each question of a split."""
    for name, root in roots(benchmark, checkouts, split).items():
        with private_daemon(**settings), client.connect(start=False) as connection:
            connection.call("add", {"path": str(root), "wait": True}, timeout=3600)
            for item in questions_about(benchmark, name):
                yield _considered(score, connection, root, name, item)


def _considered(
    score: ModuleType, connection: client.Connection, root: Path, repo: str, item: dict[str, Any]
) -> Question:
    request = {"query": item["query"], "path": str(root), "limit": HITS_MAX, "explain": True}
    first: dict[str, dict[str, Any]] = {}
    for hit in connection.call("search", request, timeout=60)["hits"]:
        first.setdefault(hit["path"], hit)
    hits = list(first.values())
    weights = shipped_weights()
    targets = targets_of(score, item)
    values = [[hit["signals"][f"{FILE}{name}"] / weights[name] for name in SIGNALS] for hit in hits]
    answers = [any(score.same_path(hit["path"], path) for path, *_ in targets) for hit in hits]
    return Question(
        repo=repo,
        category=score.category_of(item),
        targets=targets,
        results=[
            {"path": hit["path"], "start_line": hit["start_line"], "end_line": hit["end_line"]}
            for hit in hits
        ],
        values=np.array(values, np.float64).reshape(-1, len(SIGNALS)),
        answers=np.array(answers, np.bool_),
    )


def figures(score: ModuleType, questions: Sequence[Question], strengths: Sequence[F64]) -> dict[str, float]:
    """Return NDCG@10 of the files in order of strength, all and by category: means over repositories."""
    sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for question, strength in zip(questions, strengths, strict=True):
        results = [question.results[i] for i in np.argsort(-strength, kind="stable")[:10].tolist()]
        ranks = [score.first_rank(results, target, False) for target in question.targets]
        value = score.ndcg(ranks, len(question.targets), 10)
        sums["all"][question.repo].append(value)
        sums[question.category][question.repo].append(value)
    return {
        name: round(float(np.mean([np.mean(values) for values in by_repo.values()])), 4)
        for name, by_repo in sorted(sums.items())
    }


if __name__ == "__main__":
    main()
