"""Train the static model on mined pairs: a question's vector shall be nearest to its own answer's.

    python -m training.train --data FILE --base FILE --out FILE [--epochs 3] [--device cuda] [...]

The loss is InfoNCE in both directions (van den Oord et al. 2018; in-batch negatives as in Karpukhin et al.
2020). A batch is made of a few sources with many pairs each, so that most negatives come from the same
repository: that is what has to be told apart where people search. Sums of token vectors are as in
indexer/embed/static.py; a token's vector and its weight are learned, beginning with those of the base.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from indexer.embed.static import StaticModel, load_static_model
from training.pairs import KINDS

WEIGHT_MIN = 0.02  # of a token's to begin with, beside the median
REST_MIN = 64  # pairs of a source that are left over are a group of their own from so many on


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how a model comes out, with the data."""

    epochs: int = 3
    batch: int = 4096
    sources: int = 2  # in a batch
    rate: float = 1.5e-3
    weight_rate: float = 1e-2
    temperature: float = 0.1
    damping: float = 0.5
    drop: float = 0.1  # share of an answer's tokens that are left out
    kinds: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0)  # share of the pairs of each kind
    seed: int = 7


class Data:
    """The pairs on the device."""

    def __init__(self, file: Path, device: str) -> None:
        """Load what training/dataset.py wrote."""
        found = np.load(file)
        self.tokens = found["tokens"].tobytes().decode().split("\n")
        self.query = torch.from_numpy(found["query"].astype(np.int32)).to(device)
        self.code = torch.from_numpy(found["code"].astype(np.int32)).to(device)
        self.count = torch.from_numpy(found["code_count"].astype(np.float32)).to(device)
        self.query_begin = torch.from_numpy(_begins(found["query_length"])).to(device)
        self.code_begin = torch.from_numpy(_begins(found["code_length"])).to(device)
        self.kind = found["kind"]
        self.source = found["source"]
        self.usable = (found["query_length"] > 0) & (found["code_length"] > 4)
        self.device = device


def _begins(length: Any) -> Any:
    return np.append(0, np.cumsum(length.astype(np.int64)))


class Model(nn.Module):
    """Token vectors and weights."""

    def __init__(self, start: Any, weight: Any, recipe: Recipe) -> None:
        """Begin with vectors [n, dim] of any length and weights [n]."""
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(torch.from_numpy(start), freeze=False)
        self.weight = nn.Parameter(torch.from_numpy(np.log(weight)))
        self.recipe = recipe

    def effective(self) -> Tensor:
        """Return the tokens' vectors, weights included."""
        return self.vectors.weight * torch.exp(self.weight)[:, None]

    def bags(self, token: Tensor, begin: Tensor, count: Tensor) -> Tensor:
        """Return the unit vectors of bags."""
        weight = torch.exp(self.weight[token]) * count**self.recipe.damping
        sums = nn.functional.embedding_bag(
            token, self.vectors.weight, begin, mode="sum", per_sample_weights=weight
        )
        return nn.functional.normalize(sums, dim=1)


def gather(values: Tensor, begin: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the elements of some rows end to end, where each row begins, and the place of every element."""
    first, last = begin[rows], begin[rows + 1]
    length = last - first
    start = torch.cumsum(length, 0) - length
    place = torch.repeat_interleave(first - start, length) + torch.arange(
        int(length.sum()), device=values.device
    )
    return values[place], start, place


def batches(data: Data, recipe: Recipe, chance: np.random.Generator) -> Iterator[Any]:
    """Yield the pairs of an epoch, a few sources at a time."""
    share = np.array(recipe.kinds)[data.kind] * data.usable
    taken = np.flatnonzero(chance.random(len(share)) < share)
    taken = chance.permutation(taken)
    group = recipe.batch // recipe.sources
    groups = []
    for source in np.unique(data.source[taken]):
        mine = taken[data.source[taken] == source]
        groups += [mine[at : at + group] for at in range(0, len(mine) - min(group // 2, REST_MIN), group)]
    order = chance.permutation(len(groups))
    for at in range(0, len(order) - recipe.sources // 2, recipe.sources):
        yield np.concatenate([groups[i] for i in order[at : at + recipe.sources]])


def train(data: Data, model: Model, recipe: Recipe, said: Any = print) -> list[float]:
    """Train in place; return the mean loss of every epoch."""
    chance = np.random.default_rng(recipe.seed)
    torch.manual_seed(recipe.seed)
    optimizer = torch.optim.Adam(
        [
            {"params": [model.vectors.weight], "lr": recipe.rate},
            {"params": [model.weight], "lr": recipe.weight_rate},
        ]
    )
    n = sum(1 for _ in batches(data, recipe, np.random.default_rng(0)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        [recipe.rate, recipe.weight_rate],
        total_steps=n * recipe.epochs + recipe.epochs * 4,
        pct_start=0.1,
    )
    losses = []
    for epoch in range(recipe.epochs):
        began, total, steps = time.time(), 0.0, 0
        for rows in batches(data, recipe, chance):
            loss = _loss(data, model, torch.from_numpy(rows).to(data.device), recipe)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
            steps += 1
        losses.append(round(float(total) / steps, 4))
        said(f"epoch {epoch}: loss {losses[-1]}, {steps} steps, {time.time() - began:.1f} s")
    return losses


def _loss(data: Data, model: Model, rows: Tensor, recipe: Recipe) -> Tensor:
    query, query_begin, _ = gather(data.query, data.query_begin, rows)
    code, code_begin, place = gather(data.code, data.code_begin, rows)
    count = data.count[place]
    if recipe.drop:
        count = count * (torch.rand_like(count) >= recipe.drop)
    asked = model.bags(query, query_begin, torch.ones_like(query, dtype=torch.float32))
    found = model.bags(code, code_begin, count)
    likeness = asked @ found.T / recipe.temperature
    # Pairs with one question are no negatives of each other: what a file says is said of all its chunks.
    key = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    length = torch.diff(torch.cat([query_begin, torch.tensor([len(query)], device=rows.device)]))
    row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), length)
    key.index_add_(0, row, (query.long() * 2654435761 + 97) ** 2 % 1000003)
    same = (key[:, None] == key[None, :]) & ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    likeness = likeness.masked_fill(same, -1e4)
    target = torch.arange(len(rows), device=rows.device)
    return (
        nn.functional.cross_entropy(likeness, target) + nn.functional.cross_entropy(likeness.T, target)
    ) / 2


def parser_of() -> argparse.ArgumentParser:
    """Return what reads a recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--base", type=Path, required=True, help="the model to begin with, see training/distil.py"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, value in asdict(Recipe()).items():
        if name != "kinds":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument(
        "--kinds", default=",".join(map(str, Recipe().kinds)), help="shares of " + ", ".join(KINDS)
    )
    return parser


def start_of(base: StaticModel, tokens: list[str]) -> tuple[Any, Any]:
    """Return vectors to begin with, float32 [n, dim] at unit length, and weights [n].

    A token that the base lacks begins as the sum of the pieces which the base has for it.
    """
    table = base.vectors_of_tokens()
    n_base = len(base.tokens)
    if list(base.tokens) != tokens[:n_base]:
        raise SystemExit("the data were made for another base; run training.dataset again")
    pieces = [list(base.pieces.rows(token.encode())) for token in tokens[n_base:]]
    vectors = np.concatenate([table, *(table[rows].sum(axis=0, keepdims=True) for rows in pieces)])
    length = np.linalg.norm(vectors, axis=1)
    typical = float(np.median(length[length > 0]))
    empty = length == 0
    vectors[empty] = np.random.default_rng(1).normal(size=(int(empty.sum()), table.shape[1])) / 16
    length[empty] = typical
    weight = np.clip(length / typical, WEIGHT_MIN, None)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), weight.astype(
        np.float32
    )


def main() -> None:
    """Train and write vectors and weights."""
    options = parser_of().parse_args()
    said = {name: getattr(options, name) for name in asdict(Recipe()) if name != "kinds"}
    recipe = Recipe(**said, kinds=tuple(map(float, options.kinds.split(","))))
    data = Data(options.data, options.device)
    began = time.time()
    model = Model(*start_of(load_static_model(options.base), data.tokens), recipe).to(options.device)
    losses = train(data, model, recipe)
    about = {
        "recipe": asdict(recipe),
        "losses": losses,
        "pairs": len(data.kind),
        "seconds": round(time.time() - began),
        "device": options.device,
        "torch": torch.__version__,
    }
    np.savez(
        options.out,
        tokens=np.frombuffer("\n".join(data.tokens).encode(), np.uint8),
        vectors=model.effective().detach().cpu().numpy(),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
    )


if __name__ == "__main__":
    main()
