"""The optional tier: with a stand-in for the library's model, and with the library where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.errors import ModelError
from indexer.embed.transformer import TransformerModel, load_transformer
from tests.embed.library import tiny_model

INSTALLED = find_spec("sentence_transformers") is not None


class Weight:
    """What is asked of a tensor."""

    def __init__(self, values: list[float]) -> None:
        self._values = np.array(values, np.float32)

    def detach(self) -> Weight:
        return self

    cpu = float = detach

    def numpy(self) -> Any:
        return self._values


class StandIn:
    """What is asked of a SentenceTransformer."""

    def __init__(self, weights: list[float]) -> None:
        self._weights = weights

    def get_sentence_embedding_dimension(self) -> int:
        return 4

    def state_dict(self) -> dict[str, Weight]:
        return {"w": Weight(self._weights)}

    def encode(self, texts: list[str], **_: object) -> Any:
        return np.array([[len(text), 1, 0, 0] for text in texts], np.float32)


def test_vectors_are_unit_rows_and_the_fingerprint_follows_the_weights() -> None:
    model = TransformerModel("small", StandIn([1, 2]))
    vectors = model.embed_texts(["a", "bcd"]).astype(np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    assert model.embed_texts([]).shape == (0, 4)
    assert model.fingerprint == TransformerModel("other", StandIn([1, 2])).fingerprint
    assert model.fingerprint != TransformerModel("small", StandIn([1, 3])).fingerprint


def test_another_precision_is_another_fingerprint_and_the_model_runs_within_it() -> None:
    entered: list[str] = []

    @contextmanager
    def half() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    plain = TransformerModel("small", StandIn([1, 2]))
    halved = TransformerModel("small", StandIn([1, 2]), "-bf16", half)
    assert halved.fingerprint == plain.fingerprint + "-bf16"
    halved.embed_texts(["a"])
    assert entered == ["in", "out"]


@pytest.mark.skipif(INSTALLED, reason="sentence_transformers is installed")
def test_without_the_extra_the_message_says_what_to_install() -> None:
    with pytest.raises(ModelError, match=r"einstein-search\[transformer\]"):
        load_transformer("any")


@pytest.mark.skipif(not INSTALLED, reason="needs the extra `transformer`")
def test_a_folder_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        load_transformer(str(tmp_path / "none"))


def test_the_library_gives_unit_vectors_and_loads_the_same_model_again(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `transformer` is not installed")
    folder = str(tiny_model(tmp_path))
    model = load_transformer(folder, "cpu")
    texts = ["where is the car", "def return", "where is the automobile put away"]
    vectors = model.embed_texts(texts).astype(np.float32)
    assert vectors.shape == (3, model.dim) == (3, 48)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    again = load_transformer(folder, "cpu")
    assert again.fingerprint == model.fingerprint
    alone = np.concatenate([again.embed_texts([text]) for text in texts]).astype(np.float32)
    assert (np.einsum("ij,ij->i", alone, vectors) > 0.999).all()  # a batch is padded, and that says nothing
