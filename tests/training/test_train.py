"""Training adds up and orders as it says, and learns a language of a few words. Where there is torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from indexer.embed.static import load_static_model  # noqa: E402
from training.export import export  # noqa: E402
from training.train import Data, Model, Recipe, batches, gather, parser_of, start_of, train  # noqa: E402

BASE = ["ab", "a", "##b", "##c", "zero"]
TABLE = np.array([[3, 4, 0], [1, 0, 0], [0, 2, 0], [0, 0, 5], [0, 0, 0]], np.float32)
N = 40
RECIPE = Recipe(epochs=40, batch=16, sources=2, rate=0.05, weight_rate=0.01, drop=0.0, kinds=(1.0,) * 8)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Pair i asks with token i % 8 and is answered with tokens that are 8 higher; two sources, two kinds."""
    number = np.arange(N)
    query_length = 1 + number % 2
    answer = np.stack([8 + number % 8] * 3 + [16 + number % 5] * 2, 1)
    np.savez(
        tmp_path / "data.npz",
        tokens=np.frombuffer("\n".join(f"t{i}" for i in range(24)).encode(), np.uint8),
        query=np.repeat(number % 8, query_length).astype(np.uint16),
        query_length=query_length.astype(np.uint16),
        code=answer.reshape(-1).astype(np.uint16),
        code_count=np.ones(answer.size, np.uint8),
        code_length=np.full(N, 5, np.uint16),
        kind=(number % 2).astype(np.uint8),
        source=(number // 20).astype(np.uint16),
    )
    return Data(tmp_path / "data.npz", "cpu")


def test_rows_are_gathered_end_to_end() -> None:
    values, begin = torch.arange(10) * 10, torch.tensor([0, 3, 3, 7, 10])
    got, start, place = gather(values, begin, torch.tensor([2, 1, 0, 2]))
    assert got.tolist() == [30, 40, 50, 60, 0, 10, 20, 30, 40, 50, 60]
    assert start.tolist() == [0, 4, 4, 7]
    assert (values[place] == got).all()


def test_a_bag_is_the_sum_of_its_weighted_tokens_at_unit_length() -> None:
    random = np.random.default_rng(1)
    start, weight = random.normal(size=(6, 4)).astype(np.float32), np.arange(1, 7, dtype=np.float32)
    model = Model(start, weight, replace(RECIPE, damping=0.5))
    token, count = torch.tensor([0, 5, 2, 2]), torch.tensor([1.0, 4.0, 9.0, 1.0])
    found = model.bags(token, torch.tensor([0, 2]), count).detach().numpy()
    table = start * weight[:, None]
    assert np.allclose(model.effective().detach().numpy(), table, rtol=1e-5)
    for row, total in zip(found, (table[0] + 2 * table[5], 4 * table[2]), strict=True):
        assert np.allclose(row, total / np.linalg.norm(total), atol=1e-5)


def test_a_batch_is_made_of_few_sources_and_an_epoch_has_each_pair_once(data: Data) -> None:
    found = list(batches(data, RECIPE, np.random.default_rng(1)))
    taken = np.concatenate(found)
    assert len(set(taken.tolist())) == len(taken)
    assert all(len(rows) <= RECIPE.batch for rows in found)
    assert len(taken) == 2 * 16  # of each source two groups of eight; four pairs are left over
    for rows in found:
        for group in np.split(rows, range(8, len(rows), 8)):
            assert len(set(data.source[group].tolist())) == 1


def test_kinds_that_have_no_share_and_pairs_without_words_are_not_taken(data: Data) -> None:
    data.usable[:4] = False
    recipe = replace(RECIPE, batch=4, kinds=(1.0, 0.0, *(1.0,) * 6))
    taken = np.concatenate(list(batches(data, recipe, np.random.default_rng(1))))
    assert not data.kind[taken].any()
    assert taken.min() >= 4
    assert len(taken) == 16  # of eighteen; the ninth group of two had no other beside it


def test_training_learns_and_the_same_seed_learns_the_same(data: Data) -> None:
    def learned() -> tuple[list[float], list[float]]:
        random = np.random.default_rng(2)
        start = random.normal(size=(24, 4)).astype(np.float32)
        model = Model(start, np.ones(24, np.float32), RECIPE)
        losses = train(data, model, RECIPE, said=lambda _: None)
        return losses, model.effective().detach().numpy().reshape(-1).tolist()

    losses, table = learned()
    assert len(losses) == RECIPE.epochs
    assert losses[-1] < losses[0] / 2
    assert (losses, table) == learned()


def test_training_begins_with_the_base_and_new_tokens_with_their_pieces(tmp_path: Path) -> None:
    export(tmp_path / "base", "base", BASE, TABLE, 0.5)
    base = load_static_model(tmp_path / "base")
    vectors, weight = start_of(base, [*BASE, "abc", "xyz"])
    assert vectors.dtype == weight.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    whole = vectors * weight[:, None]
    typical = np.median([5, 1, 2, 5, np.sqrt(50)])
    assert np.allclose(whole[:4] * typical, TABLE[:4], atol=0.05)
    assert np.allclose(whole[5] * typical, TABLE[0] + TABLE[3], atol=0.05)  # "ab" and "##c"
    assert np.allclose(weight[[4, 6]], 1)  # of what nothing is known
    with pytest.raises(SystemExit, match="another base"):
        start_of(base, [*BASE[::-1], "abc"])


def test_every_part_of_the_recipe_can_be_asked_for() -> None:
    files = ["--data", "d", "--base", "b", "--out", "o"]
    options = parser_of().parse_args([*files, "--batch", "64", "--rate", "0.5", "--weight-rate", "0.25"])
    assert (options.batch, options.rate, options.weight_rate) == (64, 0.5, 0.25)
    assert tuple(map(float, options.kinds.split(","))) == Recipe().kinds
