"""Tokens are chosen and texts spread as slow obvious twins do it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.embed.wordpiece import WordPiece
from indexer.words import parts, words
from training import dataset
from training.dataset import PART_MAX, SOURCES_MIN, choose
from training.export import export
from training.mine import save
from training.pairs import KINDS, Pair

BASE = ["get", "con", "##fig", "a", "##b", "中"]


@st.composite
def texts_of_parts(draw: st.DrawFn) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
    """The rows of some parts, and texts of (part, count)."""
    rows = draw(st.lists(st.lists(st.integers(0, 2**16 - 1), max_size=4), min_size=1, max_size=6))
    part = st.tuples(st.integers(0, len(rows) - 1), st.integers(1, 255))
    return rows, draw(st.lists(st.lists(part, max_size=5), max_size=5))


@settings(max_examples=150, deadline=None)
@given(texts_of_parts(), st.booleans())
def test_texts_are_spread_as_one_token_after_the_other(
    given_: tuple[list[list[int]], list[list[tuple[int, int]]]], counted: bool
) -> None:
    rows, texts = given_
    flat = list(chain.from_iterable(texts))
    token, count, length = dataset._spread(
        np.array([part for part, _ in flat], np.uint32),
        np.array([n for _, n in flat], np.uint8) if counted else None,
        np.cumsum([len(text) for text in texts]).astype(np.int64),
        np.array(list(chain.from_iterable(rows)), np.uint16),
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
    )
    slow = [[(row, n if counted else 1) for part, n in text for row in rows[part]] for text in texts]
    assert list(zip(token.tolist(), count.tolist(), strict=True)) == list(chain.from_iterable(slow))
    assert length.tolist() == [len(text) for text in slow]
    assert [column.dtype.name for column in (token, count, length)] == ["uint16", "uint8", "uint16"]


PARTS = [
    "get",
    "con",
    "fig",
    "zip",
    "Zip2",
    "2zip",
    "größe",
    "a_b",
    "x" * PART_MAX,
    "x" * (PART_MAX + 1),
    "n",
]


def slow_choice(sources: list[set[str]], base: Sequence[str], n: int) -> list[str]:
    often = {part: sum(part in source for source in sources) for part in set().union(*sources)}
    good = [
        part
        for part, count in often.items()
        if count >= SOURCES_MIN
        and part not in base
        and part.isascii()
        and part.isalnum()
        and not part[0].isdigit()
        and len(part) <= PART_MAX
    ]
    good.sort(key=lambda part: (-often[part], part))
    return [*base, *good[: max(n - len(base), 0)]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.sampled_from(PARTS)), max_size=6), st.integers(0, 12))
def test_the_parts_that_most_sources_use_are_tokens(
    tmp_path_factory: pytest.TempPathFactory, sources: list[set[str]], n: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    files = []
    for number, source in enumerate(sources):
        files.append(folder / f"{number}.npz")
        np.savez(files[-1], parts=np.frombuffer("\n".join(sorted(source)).encode(), np.uint8))
    assert choose(files, BASE, n) == slow_choice(sources, BASE, n)


CODE = b"get config alpha beta gamma delta epsilon getConfig zeta eta get"
PAIRS = {
    "a+one": [(Pair("doc", b"get the config", CODE), 11), (Pair("name", b"abab", CODE), 12)],
    "b+two": [(Pair("commit", b"config of the \xe4\xb8\xad", CODE + b" theta iota"), 0)],
    "c+none": [],
    "d+three": [(Pair("title", b"the theta of it", CODE + b" theta " * 300), 2**64 - 1)],
}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name, some in PAIRS.items():
        save(folder / f"{name}.npz", some)
    np.save(folder / "excluded_blobs.npy", np.array([5, 13], np.uint64))
    return folder


def run_main(monkeypatch: pytest.MonkeyPatch, pairs: Path, tokens: int = 1000) -> Path:
    base, out = pairs.parent / "base", pairs.parent / "data.npz"
    export(base, "base", BASE, np.eye(len(BASE), dtype=np.float32), 0.5)
    options = ["--pairs", str(pairs), "--base", str(base), "--out", str(out), "--tokens", str(tokens)]
    monkeypatch.setattr(sys, "argv", ["dataset", *options])
    dataset.main()
    return out


def test_pairs_are_written_as_the_numbers_of_their_tokens(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = np.load(run_main(monkeypatch, pairs))
    tokens = data["tokens"].tobytes().decode().split("\n")
    assert tokens[: len(BASE)] == BASE
    in_all = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "config"}
    assert set(tokens[len(BASE) :]) == in_all | {"the"}  # "theta" is in two sources, "the" in three

    pieces = WordPiece(tokens)
    flat = [(pair, source) for source, name in enumerate(sorted(PAIRS)) for pair, _ in PAIRS[name]]
    assert data["kind"].tolist() == [KINDS.index(pair.kind) for pair, _ in flat]
    assert data["source"].tolist() == [source for _, source in flat]
    query = code = 0
    for i, (pair, _) in enumerate(flat):
        asked = [row for part in said(pair.query) for row in pieces.rows(part)]
        query, begin = query + int(data["query_length"][i]), query
        assert data["query"][begin:query].tolist() == asked
        counts: dict[bytes, int] = {}
        for part in said(pair.code):
            counts[part] = counts.get(part, 0) + 1
        answer = sorted((row, min(n, 255)) for part, n in counts.items() for row in pieces.rows(part))
        code, begin = code + int(data["code_length"][i]), code
        got = zip(data["code"][begin:code].tolist(), data["code_count"][begin:code].tolist(), strict=True)
        assert sorted(got) == answer
    assert (query, code) == (len(data["query"]), len(data["code"]))
    assert json.loads(capsys.readouterr().out) == {
        "pairs": len(flat),
        "sources": len(PAIRS),
        "tokens": len(tokens),
        "code_tokens": code,
        "query_tokens": query,
    }


def said(text: bytes) -> list[bytes]:
    return [part for word in words(text) for part in parts(word)]


@pytest.mark.parametrize("tokens", [0, len(BASE), len(BASE) + 2])
def test_there_are_no_more_tokens_than_asked_for_beside_the_base(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    data = np.load(run_main(monkeypatch, pairs, tokens))
    assert len(data["tokens"].tobytes().split(b"\n")) == max(tokens, len(BASE))


@pytest.mark.parametrize("blob", [11, 12, 2**64 - 1])
def test_pairs_of_excluded_files_stop_it(pairs: Path, monkeypatch: pytest.MonkeyPatch, blob: int) -> None:
    np.save(pairs / "excluded_blobs.npy", np.array([0, 5, blob], np.uint64))  # 0 is no file: a commit's
    with pytest.raises(SystemExit, match="1 mined files are of excluded repositories"):
        run_main(monkeypatch, pairs)
    assert not (pairs.parent / "data.npz").exists()
