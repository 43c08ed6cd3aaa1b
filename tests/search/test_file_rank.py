"""Files are ranked by the sum of what each signal says, and each is shown by its best place first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.records import F32
from search.file_rank import FILE, SIGNALS, AboutFiles, Files, rank_files, shipped_weights, values
from search.rank import Asked, Features, Ranking, fuse
from tests.search.test_rank import MISSING, WEIGHTS, features, scores

ONLY = dict.fromkeys(SIGNALS, 0.0)


def about(n: int, **columns: object) -> AboutFiles:
    no, zero = np.zeros(n, np.bool_), np.zeros(n, np.float32)
    plain = AboutFiles(
        name_cover=zero,
        path_asked=zero,
        named_so=no,
        depth=zero,
        cosine=zero,
        second_cosine=np.full(n, -np.inf, np.float32),
        defines_identifier=no,
    )
    return replace(plain, **columns)  # type: ignore[arg-type]


def ranked(known: Features, beside: AboutFiles | None = None, **weights: float) -> Ranking:
    beside = beside or about(len(known.slot))
    return rank_files(known, beside, fuse(known, WEIGHTS), ONLY | weights)


def flags(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.array(values, np.bool_)


@pytest.mark.parametrize(
    ("signal", "columns"),
    [
        ("words", {"found": {"lexical": scores(1, 2)}}),
        ("words_and_meaning", {"found": {"lexical": scores(2, 1), "semantic": scores(MISSING, 5)}}),
        ("defines", {"name_match": scores(0.9, 1.0)}),
        ("whole_word", {"whole_word": flags(0, 1)}),
        ("test", {"is_test": flags(0, 1)}),
        ("documentation", {"is_docs": flags(0, 1)}),
        ("generated", {"is_generated": flags(0, 1)}),
        ("vendored", {"is_vendored": flags(0, 1)}),
    ],
)
def test_each_signal_of_candidates_moves_its_file(signal: str, columns: dict[str, object]) -> None:
    known = features(2, **columns)
    assert ranked(known, **{signal: 1.0}).order.tolist() == [1, 0]
    assert ranked(known, **{signal: -1.0}).order.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("signal", "column", "value"),
    [
        ("named", "name_cover", scores(0.4, 0.9)),
        ("path", "path_asked", scores(0.4, 0.9)),
        ("named_so", "named_so", flags(0, 1)),
        ("depth", "depth", scores(1, 3)),
        ("identifier", "defines_identifier", flags(0, 1)),
        ("meaning_of_file", "cosine", scores(-0.1, 0.2)),
    ],
)
def test_each_signal_of_files_moves_them(signal: str, column: str, value: object) -> None:
    beside = about(2, **{column: value})
    assert ranked(features(2), beside, **{signal: 1.0}).order.tolist() == [1, 0]
    assert ranked(features(2), beside, **{signal: -1.0}).order.tolist() == [0, 1]


def test_the_meaning_of_a_file_is_beside_the_nearest() -> None:
    def value(*cosines: float) -> list[float]:
        known = features(len(cosines))
        files = Files(known, about(len(cosines), cosine=scores(*cosines)))
        return values(known, files)["meaning_of_file"].tolist()

    assert value(0.6, 0.35, 0.1, -0.4, MISSING) == pytest.approx([1, 0.5, 0, 0, 0])
    assert value(MISSING, MISSING) == [0, 0]
    assert value() == []


def test_meaning_counts_the_second_chunk_of_a_file() -> None:
    known = features(4, slot=np.array([0, 1, 1, 0]), found={"semantic": scores(9, 8, 7, 1)})
    assert values(known, Files(known, about(4)))["meaning_again"].tolist() == pytest.approx([1 / 9, 7 / 9])
    assert ranked(known, meaning_again=1.0).order[0] == 1


def test_every_file_comes_once_before_any_comes_again() -> None:
    slots = np.array([0, 0, 0, 1, 2, 2])
    known = features(6, slot=slots, found={"lexical": scores(9, 8, 7, 6, 5, 4)})
    order = slots[ranked(known, words=1.0).order].tolist()
    assert sorted(order[:3]) == [0, 1, 2]
    assert sorted(order[3:5]) == [0, 2]
    assert order[5] == 0


def test_what_is_asked_for_is_not_demoted() -> None:
    known = features(2, is_test=flags(1, 0), is_docs=flags(1, 0), asked=Asked(tests=True, docs=True))
    found = values(known, Files(known, about(2)))
    assert not found["test"].any()
    assert not found["documentation"].any()


def test_nothing_is_ranked() -> None:
    ranking = ranked(features(0), words=1.0)
    assert len(ranking.order) == len(ranking.score) == 0


columns = st.lists(st.floats(0, 1, width=32), min_size=12, max_size=12)


@given(columns, columns, st.lists(st.integers(0, 4), min_size=12, max_size=12))
def test_values_lie_between_nothing_and_one_and_sum_up(
    lexical: list[float], cover: list[float], slot: list[int]
) -> None:
    known = features(12, slot=np.array(slot), found={"lexical": np.array(lexical, np.float32)})
    beside = about(12, name_cover=np.array(cover, np.float32), depth=np.arange(12, dtype=np.float32))
    found = values(known, Files(known, beside))
    assert all(((value >= 0) & (value <= 1)).all() for value in found.values())
    ranking = rank_files(known, beside, fuse(known, WEIGHTS), shipped_weights())
    total: F32 = np.sum([part for name, part in ranking.parts.items() if name.startswith(FILE)], axis=0)
    assert ranking.score == pytest.approx(np.exp(total - total.max()), rel=1e-4)
    strengths = total[ranking.order[: len(set(slot))]]
    assert (np.diff(strengths) <= 1e-5).all()


def test_the_weights_that_ship_are_those_of_the_signals() -> None:
    weights = shipped_weights()
    assert weights.keys() == SIGNALS.keys()
    assert all(weights.values())  # what is worth nothing is no signal
