"""Lists are fused by rank and score, signals reorder, and no file fills the answer alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import load
from indexer.records import F32, KIND_ID
from search.rank import SIGNALS, Asked, Features, contribution, fuse

WEIGHTS = load(environ={}).rank
MISSING = -np.inf


def features(n: int, **columns: object) -> Features:
    """n candidates in files of their own that say nothing, with some columns set."""
    no = np.zeros(n, np.bool_)
    zero = np.zeros(n, np.float32)
    plain = Features(
        found={"text": np.ones(n, np.float32)},
        slot=np.arange(n),
        twin=np.arange(n),
        name_match=zero,
        kind=np.full(n, -1),
        whole_word=no,
        exact_case=no,
        path_words=zero,
        coverage=zero,
        is_test=no,
        is_generated=no,
        is_vendored=no,
        is_docs=no,
        is_recent=no,
        asked=Asked(),
    )
    return replace(plain, **columns)  # type: ignore[arg-type]


def scores(*values: float) -> F32:
    return np.array(values, np.float32)


def test_the_first_of_a_list_gets_one_and_what_is_not_in_it_nothing() -> None:
    given = contribution(scores(2.0, MISSING, 4.0, 1.0), k=60)
    assert given[2] == 1.0
    assert given[1] == 0.0
    assert given[2] > given[0] > given[3] > 0


def test_equal_scores_share_a_rank() -> None:
    given = contribution(scores(3, 3, 1), k=60)
    assert given[0] == given[1] == 1.0


@given(st.lists(st.floats(0.01, 1000) | st.just(MISSING), max_size=30))
def test_contributions_keep_the_order_of_scores(values: list[float]) -> None:
    column = np.array(values, np.float32)
    given = contribution(column, 60)
    assert ((given >= 0) & (given <= 1)).all()
    for a in range(len(values)):
        for b in range(len(values)):
            if column[a] > column[b]:
                assert given[a] > given[b]


def test_what_two_retrievers_find_is_before_what_one_finds() -> None:
    both = features(3, found={"lexical": scores(1, 2, MISSING), "semantic": scores(2, MISSING, 2)})
    assert fuse(both, WEIGHTS).order[0] == 0


@pytest.mark.parametrize(
    ("signal", "column"),
    [
        ("definition", {"name_match": scores(0, 0.6)}),
        ("exact", {"name_match": scores(0.9, 1.0)}),
        ("kind", {"kind": np.array([KIND_ID["key"], KIND_ID["class"]])}),
        ("whole_word", {"whole_word": np.array([False, True])}),
        ("exact_case", {"exact_case": np.array([False, True])}),
        ("path", {"path_words": scores(1, 2)}),
        ("coverage", {"coverage": scores(0.2, 1)}),
        ("coherence", {"slot": np.array([0, 1, 1]), "found": {"text": scores(1, 1, 1)}}),
        ("recent", {"is_recent": np.array([False, True])}),
        ("tests", {"is_test": np.array([True, False])}),
        ("generated", {"is_generated": np.array([True, False])}),
        ("vendored", {"is_vendored": np.array([True, False])}),
        ("docs", {"is_docs": np.array([True, False])}),
    ],
)
def test_every_signal_lifts_the_second_above_the_first(signal: str, column: dict[str, object]) -> None:
    n = len(next(iter(column.values())) if signal != "coherence" else [0, 1, 2])  # type: ignore[arg-type]
    known = features(n, **column)
    factor = SIGNALS[signal](known, WEIGHTS)
    assert factor[1] > factor[0]
    ranking = fuse(known, WEIGHTS)
    assert ranking.order[0] == 1
    assert (ranking.parts[signal] == factor).all()


def test_every_signal_is_in_the_list_of_signals() -> None:
    assert set(fuse(features(1), WEIGHTS).parts) == {"text", *SIGNALS}


def test_the_score_is_the_sum_of_lists_times_the_product_of_factors() -> None:
    known = features(
        4,
        found={"text": scores(1, 2, 3, MISSING), "symbol": scores(MISSING, 1, 0.5, 1)},
        is_test=np.arange(4) > 1,
    )
    ranking = fuse(known, WEIGHTS)
    total = ranking.parts["text"] + ranking.parts["symbol"]
    for name in SIGNALS:
        total = total * ranking.parts[name]
    assert np.allclose(total, ranking.score)


def test_demotions_are_lifted_by_asking() -> None:
    known = features(2, is_test=np.array([True, False]), asked=Asked(tests=True))
    assert (SIGNALS["tests"](known, WEIGHTS) == 1).all()


def test_a_file_waits_after_three_hits_until_the_others_had_three() -> None:
    slots = np.array([0] * 7 + [1, 1, 2])
    known = features(10, slot=slots, found={"text": np.arange(10, 0, -1).astype(np.float32)})
    order = slots[fuse(known, replace(WEIGHTS, coherence_boost=0.0), per_file=3).order].tolist()
    assert order == [0, 0, 0, 1, 1, 2, 0, 0, 0, 0]


def test_copies_of_one_content_come_after_everything_else() -> None:
    known = features(4, twin=np.array([7, 7, 8, 7]), found={"text": scores(9, 8, 1, 7)})
    assert fuse(known, WEIGHTS).order.tolist() == [0, 2, 1, 3]


def test_no_candidates_are_no_trouble() -> None:
    assert len(fuse(features(0), WEIGHTS).order) == 0
