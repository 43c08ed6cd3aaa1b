"""A trained model is rounded, written and read back; the benchmark sees the model that ships."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.embed.static import load_static_model
from indexer.records import F32
from tests.training.toy_benchmark import write_benchmark
from training import export as module
from training.bench import bag
from training.export import embed, export

TOKENS = ["get", "con", "##fig", "größe", "64", "nothing", "alpha", "beta"]
DIM = 16
DAMPING = 0.5


def vectors(seed: int = 3) -> F32:
    random = np.random.default_rng(seed)
    table = random.normal(size=(len(TOKENS), DIM)) * random.gamma(1.0, 3.0, (len(TOKENS), 1))
    table[TOKENS.index("nothing")] = 0
    return table.astype(np.float32)


def test_a_written_model_has_the_vectors_within_half_a_step(tmp_path: Path) -> None:
    table = vectors()
    fingerprint = export(tmp_path / "m", "ours", TOKENS, table, DAMPING)
    model = load_static_model(tmp_path / "m")
    assert (model.name, model.fingerprint, model.dim) == ("ours", fingerprint, DIM)
    assert list(model.tokens) == TOKENS
    read = model.vectors_of_tokens()
    step = np.abs(table).max(axis=1, keepdims=True) / 127
    assert (np.abs(read - table) <= step * 0.5001).all()
    assert not read[TOKENS.index("nothing")].any()
    largest = np.abs(table).argmax(axis=1)  # has no error but that of float32
    rows = np.arange(len(TOKENS))
    assert np.allclose(read[rows, largest], table[rows, largest], rtol=1e-6)


def test_what_was_written_is_written_again_without_a_change(tmp_path: Path) -> None:
    export(tmp_path / "one", "ours", TOKENS, vectors(), DAMPING)
    once = load_static_model(tmp_path / "one").vectors_of_tokens()
    export(tmp_path / "two", "ours", TOKENS, once, DAMPING)
    assert np.allclose(load_static_model(tmp_path / "two").vectors_of_tokens(), once, rtol=1e-6)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    def fingerprint(tokens: list[str], table: F32, name: str = "ours") -> str:
        return export(tmp_path / "m", name, tokens, table, DAMPING)

    first = fingerprint(TOKENS, vectors())
    assert first == fingerprint(TOKENS, vectors(), "another name")
    assert first.startswith("static1-16-")
    scaled, turned, renamed = vectors() * np.float32(2), vectors(), [*TOKENS[:-1], "gamma"]
    turned[0] = -turned[0]
    others = [
        fingerprint(TOKENS, scaled),
        fingerprint(TOKENS, turned),
        fingerprint(renamed, vectors()),
        fingerprint(TOKENS[::-1], vectors()),
        fingerprint(TOKENS, vectors()[:, :8]),
    ]
    assert len({first, *others}) == 6


TEXTS = ["getConfig get get", "config größe 64 64 64", "", "+- unknown", "alpha beta " * 40, "nothing"]


@pytest.mark.parametrize("damping", [0.5, 1.0])
def test_bags_have_the_vectors_of_the_model_that_ships(tmp_path: Path, damping: float) -> None:
    export(tmp_path / "m", "ours", TOKENS, vectors(), damping)
    model = load_static_model(tmp_path / "m")
    found = embed(model, model.vectors_of_tokens(), damping, [bag(text.encode()) for text in TEXTS])
    assert np.allclose(found, model.embed_texts(TEXTS).astype(np.float32), atol=2e-3)
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 1, 0, 0, 1, 0], atol=1e-6)
    assert embed(model, model.vectors_of_tokens(), damping, []).shape == (0, DIM)


def run_main(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> dict[str, Any]:
    about = {"recipe": {"damping": DAMPING, "dim": DIM}, "losses": [2.5, 1.25]}
    np.savez(
        folder / "trained.npz",
        tokens=np.frombuffer("\n".join(TOKENS).encode(), np.uint8),
        vectors=vectors(),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
    )
    files = ["--model", str(folder / "trained.npz"), "--out", str(folder / "m")]
    record = ["--record", str(folder / "record.json")]
    monkeypatch.setattr(sys, "argv", ["export", *files, *record, *options])
    module.main()
    said: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return said


def test_a_record_says_how_the_model_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_main(monkeypatch, tmp_path)
    assert json.loads(capsys.readouterr().out) == record
    assert record["losses"] == [2.5, 1.25]
    assert (record["tokens"], record["file_bytes"]) == (len(TOKENS), (tmp_path / "m").stat().st_size)
    assert record["fingerprint"] == load_static_model(tmp_path / "m").fingerprint
    assert not any("ndcg10" in key for key in record)


def test_a_record_says_what_rounding_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark, checkouts = write_benchmark(
        tmp_path, {"one": {"a.py": "alpha = get(1)\n", "b.py": "beta = 64\n"}}, {"one": [("alpha", ["a.py"])]}
    )
    record = run_main(monkeypatch, tmp_path, "--benchmark", str(benchmark), "--repos", str(checkouts))
    for table in ("as trained", "int8"):
        ways = record[f"ndcg10 of vectors alone, {table}"]
        assert ways == {way: {"all": 1.0, "easy": 1.0} for way in ("nearest chunk", "all chunks")}
