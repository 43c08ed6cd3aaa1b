"""Mined pairs -> tokens: chooses the model's tokens and writes all pairs as their numbers.

    python -m training.dataset --pairs FOLDER --base FILE --out FILE [--tokens 58000]

Tokens are those of the base (training/distil.py; WordPiece's, with what continues a word) and then the parts
of words that most sources use: what one source alone uses is no language. Pairs whose files are excluded stop
it.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.embed.static import load_static_model
from indexer.embed.wordpiece import WordPiece
from indexer.records import I64, U8, U16, U32
from training.excluded import refuse_blobs

SOURCES_MIN = 3
PART_MAX = 24  # bytes; longer ones are data
TOKENS = 58_000


def main() -> None:
    """Choose, count, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    options = parser.parse_args()
    files = sorted(options.pairs.glob("*+*.npz"))
    excluded = np.load(options.pairs / "excluded_blobs.npy")
    tokens = choose(files, load_static_model(options.base).tokens, options.tokens)
    pieces = WordPiece(tokens)
    columns: dict[str, list[npt.NDArray[np.generic]]] = {}
    for number, file in enumerate(files):
        mined = np.load(file)
        refuse_blobs(mined["blob"][mined["blob"] > 0], excluded)
        rows, row_end = _rows(mined["parts"].tobytes().split(b"\n"), pieces)
        query, _, query_length = _spread(mined["query"], None, mined["query_end"], rows, row_end)
        code, count, code_length = _spread(
            mined["code"], mined["code_count"], mined["code_end"], rows, row_end
        )
        n = len(mined["kind"])
        for name, column in (
            ("query", query),
            ("query_length", query_length),
            ("code", code),
            ("code_count", count),
            ("code_length", code_length),
            ("kind", mined["kind"]),
            ("source", np.full(n, number, np.uint16)),
        ):
            columns.setdefault(name, []).append(column)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    np.savez(options.out, tokens=np.frombuffer("\n".join(tokens).encode(), np.uint8), **whole)
    print(
        json.dumps(
            {
                "pairs": len(whole["kind"]),
                "sources": len(files),
                "tokens": len(tokens),
                "code_tokens": len(whole["code"]),
                "query_tokens": len(whole["query"]),
            }
        )
    )


def choose(files: list[Path], base: Sequence[str], n: int) -> list[str]:
    """Return the tokens: those of the base, then the parts that most sources use."""
    sources = Counter[bytes]()
    for file in files:
        sources.update(
            part for part in np.load(file)["parts"].tobytes().split(b"\n") if len(part) <= PART_MAX
        )
    known = set(base)
    found = list(base)
    for part, count in sorted(sources.items(), key=lambda entry: (-entry[1], entry[0])):
        if count < SOURCES_MIN or len(found) >= n:
            break
        word = part.decode("utf-8", "replace")
        if word not in known and word.isascii() and word.isalnum() and not word[0].isdigit():
            known.add(word)
            found.append(word)
    return found


def _rows(parts: list[bytes], pieces: WordPiece) -> tuple[U16, I64]:
    rows: list[int] = []
    ends = [0]
    for part in parts:
        rows += pieces.rows(part)
        ends.append(len(rows))
    return np.array(rows, np.uint16), np.array(ends, np.int64)


def _spread(part: U32, count: U8 | None, end: I64, rows: U16, row_end: I64) -> tuple[U16, U8, U16]:
    """Return the tokens of texts given as parts, how often each stands there, and how many each text has."""
    begin, length = row_end[part], row_end[part + 1] - row_end[part]
    at = np.repeat(begin - (np.cumsum(length) - length), length) + np.arange(int(length.sum()))
    token = rows[at]
    total = np.append(0, np.cumsum(length))
    per_text = np.diff(total[np.append(0, end)])
    counts = np.ones(len(part), np.uint8) if count is None else count
    return token, np.repeat(counts, length), per_text.astype(np.uint16)


if __name__ == "__main__":
    main()
