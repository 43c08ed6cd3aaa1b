"""Candidates of a question -> the order of the files that answer it. Pure.

A question ("how are routes matched") asks where to look: files are ranked, and each is shown by its best
places.

    strength of a file = sum over signals of weight * value

A value lies between 0 and 1, so that a weight says what a signal can do at most. The weights stand in
file_rank.toml; training/file_rank.py says what learned ones would give, benchmarks/quality.py --ablate what
each signal is worth, and `--explain` shows every summand.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from indexer.records import F32, Bool
from search.rank import Features, Ranking, spread

FILE = "file "  # in front of a signal's name in explanations: the file's, not the place's
WEIGHTS = Path(__file__).with_name("file_rank.toml")
# What is counted saturates: so many chunks as good as the best, directories.
CHUNKS_MAX = 8.0
DEPTH_MAX = 8.0
COSINE_RANGE = np.float32(0.5)  # a file so far behind the nearest one gets nothing for its meaning
# Of meaning, where a file has vectors of the second model too. With MiniLM 0.2 to 0.5 are alike, and 1 is
# worse than without it (benchmarks/transformer.py).
SECOND_SHARE = np.float32(0.3)


@dataclass(frozen=True, slots=True)
class AboutFiles:
    """What is known of the file of each candidate beside the question, as columns."""

    name_cover: F32  # 0..1: how much of its name is asked for
    path_asked: F32  # 0..1: share of the question's words that the path has
    named_so: Bool  # the question is one word, and the name
    depth: F32  # directories above
    cosine: F32  # of the question and the file as a whole, by meaning; -inf if unknown
    second_cosine: F32  # the same by the second model; -inf where not all of the file has its vectors
    defines_identifier: Bool  # it defines a name that the question spells as code does


class Files:
    """The files of the candidates, and how to sum up columns over them."""

    def __init__(self, features: Features, about: AboutFiles) -> None:
        """Number the files in order of slot."""
        self.about = about
        self._order = np.argsort(features.slot, kind="stable")
        ordered = features.slot[self._order]
        begins = np.ones(len(ordered), np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
        self._starts = np.flatnonzero(begins)
        self.first = self._order[self._starts]
        self.n = len(self.first)
        self.of = np.empty(len(ordered), np.int64)
        self.of[self._order] = np.cumsum(begins) - 1

    def best(self, column: F32) -> F32:
        """Return the greatest value of each file."""
        return self._reduced(np.maximum, column)

    def total(self, column: F32) -> F32:
        """Return the sum of each file's values."""
        return self._reduced(np.add, column)

    def second(self, column: F32) -> F32:
        """Return the second greatest value of each file, 0 where there is one candidate only."""
        order = np.lexsort((-column, self.of))
        at = self._starts + 1
        ends = np.append(self._starts[1:], len(order))
        at = np.minimum(at, len(order) - 1)
        return np.where(self._starts + 1 < ends, column[order[at]], np.float32(0))

    def _reduced(self, function: np.ufunc, column: F32) -> F32:
        if not self.n:
            return np.zeros(0, np.float32)
        reduced: F32 = function.reduceat(column[self._order].astype(np.float32), self._starts)
        return reduced


Signal = Callable[[Features, Files], F32]


def words(features: Features, files: Files) -> F32:
    """Chunks with the words of the question, each as good as it is beside the best of all."""
    return _saturated(files.total(relative(features, "lexical")), CHUNKS_MAX)


def words_and_meaning(features: Features, files: Files) -> F32:
    """The chunk that is best by words and meaning together, or by what was asked of the two."""
    asked = [relative(features, "lexical")] if "lexical" in features.found else []
    asked += [_meaning(features, files)] if "semantic" in features.found else []
    together = sum(asked, np.zeros(len(features.slot), np.float32))
    return files.best(together) / np.float32(max(1, len(asked)))


def meaning_again(features: Features, files: Files) -> F32:
    """The second best chunk by meaning: one may be chance."""
    return files.second(_meaning(features, files))


def meaning_of_file(_: Features, files: Files) -> F32:
    """How near the file as a whole is by meaning, beside the nearest file."""
    by_first = _beside_nearest(files.about.cosine[files.first])
    second = files.about.second_cosine[files.first]
    return _shared(by_first, _beside_nearest(second), np.isfinite(second))


def named(_: Features, files: Files) -> F32:
    """How much of the file's name is asked for."""
    return files.about.name_cover[files.first]


def path(_: Features, files: Files) -> F32:
    """Share of the question's words that the path has."""
    return files.about.path_asked[files.first]


def named_so(_: Features, files: Files) -> F32:
    """The question is one word, and the file's name."""
    return _flag(files.about.named_so[files.first])


def depth(_: Features, files: Files) -> F32:
    """Directories above the file: what matters lies further up."""
    return np.minimum(files.about.depth[files.first], DEPTH_MAX).astype(np.float32) / np.float32(DEPTH_MAX)


def defines(features: Features, files: Files) -> F32:
    """The file defines a word of the question."""
    return files.best(_flag(features.name_match >= 1))


def identifier(_: Features, files: Files) -> F32:
    """The file defines what the question spells as an identifier."""
    return _flag(files.about.defines_identifier[files.first])


def whole_word(features: Features, files: Files) -> F32:
    """A word of the question stands in it as it is."""
    return files.best(_flag(features.whole_word))


def traced(features: Features, files: Files) -> F32:
    """A trace that was pasted names it."""
    return files.best(_given(features, "place"))


def verbatim(features: Features, files: Files) -> F32:
    """How much of a message or of code that was pasted stands in it as it is."""
    return np.maximum(files.best(_given(features, "message")), files.best(_given(features, "line")))


def test(features: Features, files: Files) -> F32:
    """A test, and none is asked for."""
    return _flag(features.is_test[files.first] & (not features.asked.tests))


def documentation(features: Features, files: Files) -> F32:
    """Documentation, and none is asked for."""
    return _flag(features.is_docs[files.first] & (not features.asked.docs))


def generated(features: Features, files: Files) -> F32:
    """Generated or minified, and that is not asked for."""
    return _flag(features.is_generated[files.first] & (not features.asked.generated))


def vendored(features: Features, files: Files) -> F32:
    """Code of others, and that is not asked for."""
    return _flag(features.is_vendored[files.first] & (not features.asked.vendored))


SIGNALS: dict[str, Signal] = {
    "words": words,
    "words_and_meaning": words_and_meaning,
    "meaning_again": meaning_again,
    "meaning_of_file": meaning_of_file,
    "named": named,
    "path": path,
    "named_so": named_so,
    "depth": depth,
    "defines": defines,
    "identifier": identifier,
    "whole_word": whole_word,
    "traced": traced,
    "verbatim": verbatim,
    "test": test,
    "documentation": documentation,
    "generated": generated,
    "vendored": vendored,
}


@cache
def shipped_weights() -> dict[str, float]:
    """Return the weights that ship, one for each signal."""
    weights: dict[str, float] = tomllib.loads(WEIGHTS.read_text("utf-8"))["weights"]
    assert weights.keys() == SIGNALS.keys()
    return weights


def values(features: Features, files: Files) -> dict[str, F32]:
    """Return the value of every signal for every file."""
    return {name: signal(features, files) for name, signal in SIGNALS.items()}


def rank_files(features: Features, about: AboutFiles, within: Ranking, weights: dict[str, float]) -> Ranking:
    """Return the candidates in order: the best of each file, strongest files first, then their second best.

    within  the order of candidates by themselves: it decides which of a file's comes first

    The score is the strength beside that of the best file, 0..1; signals of files are named "file ..." among
    the parts.
    """
    files = Files(features, about)
    parts = {name: np.float32(weights[name]) * value for name, value in values(features, files).items()}
    strength: F32 = np.zeros(files.n, np.float32)
    for part in parts.values():
        strength = strength + part
    of_place = strength[files.of]
    order = within.order
    for retriever in ("line", "message", "place"):  # what was pasted, as it stands, is a file's best place
        if retriever in features.found:
            order = order[np.argsort(-_given(features, retriever)[order], kind="stable")]
    order = order[np.argsort(-of_place[order], kind="stable")]
    return Ranking(
        order=spread(order, features, 1),
        score=np.exp(of_place - strength.max(initial=-np.inf)).astype(np.float32),
        parts={**within.parts, **{f"{FILE}{name}": part[files.of] for name, part in parts.items()}},
    )


def relative(features: Features, retriever: str) -> F32:
    """Return a retriever's scores beside its best, 0..1; 0 where it found nothing."""
    found = features.found.get(retriever)
    if found is None:
        return np.zeros(len(features.slot), np.float32)
    score = np.where(np.isfinite(found), found, np.float32(0))
    best = score.max(initial=0.0)
    return np.maximum(score, 0) / best if best > 0 else np.zeros(len(score), np.float32)


def _given(features: Features, retriever: str) -> F32:
    """Return a retriever's scores, which lie between 0 and 1; 0 where it found nothing."""
    found = features.found.get(retriever)
    if found is None:
        return np.zeros(len(features.slot), np.float32)
    return np.where(np.isfinite(found), found, np.float32(0))


def _meaning(features: Features, files: Files) -> F32:
    """Return how near each candidate is by meaning, 0..1: by both models where its file has both.

    Each model's cosines are taken beside its own best, so that they are not compared with the other's.
    """
    first, second = relative(features, "semantic"), relative(features, "transformer")
    return _shared(first, second, np.isfinite(files.about.second_cosine))


def _shared(first: F32, second: F32, has_second: Bool) -> F32:
    mixed: F32 = np.where(has_second, first + SECOND_SHARE * (second - first), first).astype(np.float32)
    return mixed


def _beside_nearest(cosine: F32) -> F32:
    """Return 1 for the greatest cosine, and less the further others are behind; 0 where none is known."""
    nearest = cosine.max(initial=-np.inf)
    if not np.isfinite(nearest):
        return np.zeros(len(cosine), np.float32)
    value: F32 = np.clip(1 + (cosine - nearest) / COSINE_RANGE, 0, 1).astype(np.float32)
    return value


def _saturated(value: F32, most: float) -> F32:
    return np.minimum(np.log1p(value) / np.float32(np.log1p(most)), np.float32(1))


def _flag(where: Bool) -> F32:
    return where.astype(np.float32)
