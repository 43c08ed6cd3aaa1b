"""Tier 1: a sentence-transformers model. The door of sentence_transformers and torch (extra `transformer`).

Nothing is fetched: the model is a local folder, or a name that is in the user's cache of the Hugging Face hub
already. Importing torch takes seconds and 300 MB, so it happens when the model is loaded and not before, and
only in the transformer process.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from config.errors import ModelError
from indexer.embed.contract import unit_rows
from indexer.records import F16

BATCH = 32  # texts at a time, sorted by length by the library


def load_transformer(name_or_path: str, device: str | None = None) -> TransformerModel:
    """Load a model by folder or by name, for one thread.

    device  None lets the library choose: CUDA, MPS, or else the CPU
    Raises ModelError.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ModelError(f"{error}; install einstein-search[transformer]") from error
    torch.set_num_threads(1)  # of a batch: questions are answered beside it
    try:
        model = SentenceTransformer(name_or_path, device=device, local_files_only=True)
        if str(model.device) == "cpu" and _has_bfloat16(torch):
            half = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
            return TransformerModel(name_or_path, model, "-bf16", half)
        return TransformerModel(name_or_path, model)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the model {name_or_path!r} cannot be loaded from this machine: {error}; nothing is downloaded:"
            " set transformer.model to a folder, or fetch it into the cache of the Hugging Face hub"
        ) from error


class TransformerModel:
    """An Embedder that runs a network: some ten chunks a second on one core. Not thread-safe: its tokenizer
    is not."""

    def __init__(
        self, name: str, model: Any, precision: str = "", within: Callable[[], Any] = nullcontext
    ) -> None:
        """Wrap a loaded SentenceTransformer.

        precision  part of the fingerprint: vectors of two precisions are never compared
        within     context in which it is run
        """
        dim = _dim(model)
        if not dim:
            raise ModelError(f"the model {name!r} does not say how long its vectors are")
        self.name = name
        self.dim = int(dim)
        self._model = model
        self._within = within
        self.fingerprint = f"transformer-{self.dim}-{_digest(model)}{precision}"

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """Return unit rows [n, dim]."""
        if not texts:
            return np.zeros((0, self.dim), np.float16)
        with self._within():
            rows = self._model.encode(
                list(texts), batch_size=BATCH, convert_to_numpy=True, show_progress_bar=False
            )
        return unit_rows(np.asarray(rows, np.float32))


def _has_bfloat16(torch: Any) -> bool:
    """Whether this processor multiplies bfloat16 in hardware.

    Then a batch is 2.3 times as fast and a question takes 8 ms instead of 18 (MiniLM, Zen 4); its vectors
    have a cosine of 0.9999 with those of float32. Without, it would be slower.
    """
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(asked()) if asked is not None else False


def _dim(model: Any) -> int | None:
    """Return the length of its vectors; the method has another name since version 6."""
    ask = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    found: int | None = ask()
    return found


def _digest(model: Any) -> str:
    """Return a hash of the weights, in order of their names."""
    found = hashlib.blake2b(digest_size=8)
    for name, weight in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(weight.detach().cpu().float().numpy()).tobytes())
    return found.hexdigest()
