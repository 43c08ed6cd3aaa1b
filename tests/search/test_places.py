"""Places are found in sorted runs, many at once, as one by one."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import places
from search.places import definition_at, definitions_at, last_at_most
from tests.search.corpus import Corpus


@settings(max_examples=100, deadline=None)
@given(
    runs=st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=5).map(sorted), min_size=1, max_size=6),
    asked=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**32 - 1)), max_size=8),
    copied_max=st.sampled_from([0, 1 << 14]),
)
def test_last_at_most_is_a_bisection_of_each_run(
    runs: list[list[int]], asked: list[tuple[int, int]], copied_max: int
) -> None:
    values = np.array([value for run in runs for value in run], np.uint32)
    bounds = np.cumsum([0, *map(len, runs)])
    which = np.array([run % len(runs) for run, _ in asked], np.int64)
    keys = np.array([key for _, key in asked], np.int64)
    expected = [
        bounds[run] + bisect_right(runs[run], key) - 1
        for run, key in zip(which.tolist(), keys.tolist(), strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "RUNS_MAX", copied_max)
        found = last_at_most(values, bounds[which], bounds[which + 1], keys)
    assert found.tolist() == expected


NESTED = """import os

class Outer:
    field = 1

    def method(self):
        def inner():
            return os
        return inner

    class Within:
        pass

def last(): return 1
"""


def test_the_definition_around_one_place_is_the_one_around_many(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, {"a.py": NESTED, "b.txt": "no definitions\n", "c.py": NESTED + "x = 1\n"})
    corpus.save({"d.py": NESTED.replace("Outer", "Other")})
    snapshot = corpus.index.snapshot()
    assert len(snapshot.segments) > 1
    found = set()
    for doc in range(snapshot.n_docs):
        segment, ordinal = snapshot.locate_doc(doc)
        offsets = np.arange(int(segment.doc_len[ordinal]))
        many = definitions_at(snapshot, np.full(len(offsets), doc), offsets)
        assert [definition_at(segment, ordinal, offset) for offset in offsets.tolist()] == many.tolist()
        found.update(many.tolist())
    assert len(found) > 5 and -1 in found
