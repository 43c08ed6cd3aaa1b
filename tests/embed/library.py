"""A model of the real library, made on the spot: a BERT of two layers with random weights."""

from __future__ import annotations

import warnings
from pathlib import Path

WORDS = ["def", "return", "the", "car", "automobile", "is", "where", "put", "away", "in", "of", "self"]


def tiny_model(folder: Path) -> Path:
    """Write a sentence-transformers model into `folder` and return it. Needs the extra `transformer`."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # modules have another place since version 6
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Pooling, Transformer

    plain, made = folder / "plain", folder / "model"
    plain.mkdir(parents=True)
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789_().,:'\"?=")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *WORDS]
    (plain / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(plain / "vocab.txt"))
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    body = Transformer(str(plain), max_seq_length=64)
    SentenceTransformer(modules=[body, Pooling(48, "mean")]).save(str(made))
    return made
