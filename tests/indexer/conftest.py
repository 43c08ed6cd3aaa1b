"""Every library that was compiled and runs on this processor."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.native import build, extract, inside, library, nearest, path_names, postings, scan, terms

BUILT = sorted(build.HERE.glob("kernels*.so"))
FUNCTIONS = [
    (scan, ("find_window", "find_lines", "join_lines")),
    (extract, ("find_trigrams", "find_words")),
    (postings, ("unpack_lists", "mark_list", "keep_listed", "packed_lengths", "pack_lists")),
    (terms, ("find_lists", "best_chunks", "look_up_terms")),
    (nearest, ("nearest_rows", "score_rows", "score_wholes")),
    (inside, ("find_inside",)),
    (path_names, ("name_paths",)),
]


@pytest.fixture(params=BUILT, ids=[path.name for path in BUILT])
def each_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test runs once with each library."""
    path: Path = request.param
    if path.name != "kernels.so" and library.library()._name != str(path):
        pytest.skip("this processor has no AVX2")
    loaded = ctypes.CDLL(str(path))
    for module, names in FUNCTIONS:
        for name in names:
            known = getattr(module, f"_{name}")
            found = loaded[known.__name__]
            found.restype, found.argtypes = known.restype, known.argtypes
            monkeypatch.setattr(module, f"_{name}", found)
    yield
