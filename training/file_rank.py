"""Learns what each signal of a file is worth: search/file_rank.toml.

    python -m training.file_rank --benchmark FOLDER --repos CHECKOUTS [--record FILE] [--write]

FOLDER and CHECKOUTS are those of benchmarks/quality.py, which asks the questions. The weights maximise the
likelihood of the files that answer (softmax over the files of a question, L2 penalty towards the weights
that ship, Adam; no randomness). What counts is the figure from repositories that the weights were not learned
from: FOLDS groups, each ranked by what the others say. Weights are worth replacing when the cross-validated
figure is above the one of those that ship.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality import F64, Question, asked, figures, parser_of, scorer
from search.file_rank import SIGNALS, WEIGHTS, shipped_weights

FOLDS = 8
STEPS = 300
RATE = 0.03
PENALTIES = (1e-3, 1e-2, 1e-1)


def main() -> None:
    """Ask, learn, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--record", type=Path)
    parser.add_argument(
        "--write", action="store_true", help="replace the weights that ship by the fitted ones"
    )
    arguments = parser.parse_args()
    score = scorer(arguments.benchmark)
    questions = list(asked(score, arguments.benchmark, arguments.repos, arguments.split))
    shipped = np.array([shipped_weights()[name] for name in SIGNALS])
    crossed = {
        penalty: figures(score, questions, cross_validated(questions, shipped, penalty))
        for penalty in PENALTIES
    }
    best = max(PENALTIES, key=lambda penalty: crossed[penalty]["all"])
    fitted = fit(questions, shipped, best)
    found = {
        "questions": len(questions),
        "shipped": figures(score, questions, [question.values @ shipped for question in questions]),
        "cross_validated": crossed,
        "penalty": best,
        "fitted": figures(score, questions, [question.values @ fitted for question in questions]),
        "weights": {name: round(float(weight), 2) for name, weight in zip(SIGNALS, fitted, strict=True)},
    }
    print(json.dumps(found, indent=1))
    if arguments.record:
        arguments.record.write_text(json.dumps(found, indent=1) + "\n")
    if arguments.write:
        write(dict(zip(SIGNALS, fitted.tolist(), strict=True)))


def fit(questions: Sequence[Question], start: F64, penalty: float) -> F64:
    """Return the weights, [signals], beginning at `start` and held there by the penalty."""
    usable = [question for question in questions if question.answers.any()]
    shares = [question.answers / question.answers.sum() for question in usable]
    weights = start.copy()
    mean, square = np.zeros((2, len(start)))
    for step in range(1, STEPS + 1):
        slope = penalty * (weights - start)
        for question, share in zip(usable, shares, strict=True):
            strength = question.values @ weights
            chance = np.exp(strength - strength.max())
            slope += question.values.T @ (chance / chance.sum() - share) / len(usable)
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        weights -= RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return weights


def cross_validated(questions: Sequence[Question], start: F64, penalty: float) -> list[F64]:
    """Return the strengths of each question's files by weights learned from other repositories."""
    repos = sorted({question.repo for question in questions})
    fold = {repo: i % FOLDS for i, repo in enumerate(repos)}
    weights = [
        fit([question for question in questions if fold[question.repo] != i], start, penalty)
        for i in range(FOLDS)
    ]
    return [question.values @ weights[fold[question.repo]] for question in questions]


def write(weights: dict[str, float]) -> None:
    """Replace the weights that ship."""
    head = WEIGHTS.read_text("utf-8").partition("[weights]\n")[0]
    lines = [f"{name} = {weight:.2f}" for name, weight in weights.items()]
    WEIGHTS.write_text(head + "[weights]\n" + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
