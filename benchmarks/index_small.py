"""How long does the index of a small repository take, beside semble on the same folders?

    python -m benchmarks.index_small --benchmark FOLDER --repos CHECKOUTS --semble PYTHON

FOLDER and CHECKOUTS as in benchmarks/quality.py; PYTHON is the interpreter of an environment with semble. In
turn, each repository is indexed by both: by a running daemon with an empty cache, from `add` until text,
symbols, references, words and vectors of all files answer; by semble in one process that has imported
everything, without the time to load its model. That model is made here, of random numbers in the published
shape (62,500 tokens of 256 numbers): for its time, not for its answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Stopwatch, private_daemon, record
from benchmarks.quality import parser_of, roots
from daemon import client
from indexer.embed.static import load_static_model

TOKENS = 62_500
ROUNDS = 3
# Runs in the environment of semble; one folder a line in, one JSON line out.
PEER = """
import json, sys, time
from semble import SembleIndex
from semble.index.dense import load_model
load_model(sys.argv[1])
for line in sys.stdin:
    began = time.perf_counter()
    index = SembleIndex.from_path(line.rstrip("\\n"), model_path=sys.argv[1])
    took = time.perf_counter() - began
    print(json.dumps({"ms": took * 1000, "chunks": len(index.chunks)}), flush=True)
"""
MODEL = """
import json, sys
import numpy as np
from model2vec import StaticModel
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
tokens = json.load(sys.stdin)
tokenizer = Tokenizer(WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
vectors = np.random.default_rng(1).standard_normal((len(tokens), 256)).astype(np.float32)
StaticModel(vectors, tokenizer).save_pretrained(sys.argv[1])
"""


def main() -> None:
    """Index every repository by both and record."""
    parser = parser_of(__doc__)
    parser.add_argument("--semble", required=True)
    options = parser.parse_args()
    folders = roots(options.benchmark, options.repos, options.split)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in folders}
    with tempfile.TemporaryDirectory(prefix="einstein-bench-") as scratch:
        model = Path(scratch) / "model"
        tokens = json.dumps(vocabulary())
        subprocess.run([options.semble, "-c", MODEL, str(model)], input=tokens, text=True, check=True)
        for number in range(ROUNDS):
            home = Path(scratch) / f"home-{number}"  # its cache lies there
            home.mkdir()
            with subprocess.Popen(
                [options.semble, "-c", PEER, str(model)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={"HOME": str(home), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
            ) as peer:
                for name, root in folders.items():
                    rows[name].append({"einstein": by_daemon(root), "semble": by_peer(peer, root)})
                assert peer.stdin is not None
                peer.stdin.close()
    best = {
        name: {who: min(row[who]["ms"] for row in found) for who in ("einstein", "semble")}
        for name, found in rows.items()
    }
    result = {
        "repositories": len(rows),
        "rounds": ROUNDS,
        "mean_ms": {
            who: round(sum(found[who] for found in best.values()) / len(best), 1)
            for who in ("einstein", "semble")
        },
        "slower_than_semble": sorted(
            name for name, found in best.items() if found["einstein"] > found["semble"]
        ),
    }
    record("index_small", result, {"ms": best, "rounds": rows})


def vocabulary() -> list[str]:
    """Return the tokens of a model of the published size: ours, and what fills it up."""
    known = ["[UNK]", *load_static_model().tokens]
    return known + [f"[unused{i}]" for i in range(TOKENS - len(known))]


def by_daemon(root: Path) -> dict[str, Any]:
    """Index a folder on an empty cache, in a running daemon."""
    with private_daemon(), client.connect(start=False) as connection:
        watch = Stopwatch()
        connection.call("add", {"path": str(root), "wait": True}, timeout=3600)
        took = watch.ms
        index = connection.call("status", {})["index"]
    if not index["chunks"] or not index["vector_bytes"]:
        sys.exit(f"{root}: nothing was indexed")
    return {"ms": took, "chunks": index["chunks"]}


def by_peer(peer: subprocess.Popen[str], root: Path) -> dict[str, Any]:
    """Index a folder with semble."""
    assert peer.stdin is not None and peer.stdout is not None
    peer.stdin.write(f"{root}\n")
    peer.stdin.flush()
    told: dict[str, Any] = json.loads(peer.stdout.readline())
    if not told["chunks"]:
        sys.exit(f"{root}: semble indexed nothing")
    return told


if __name__ == "__main__":
    main()
