"""Does what a program wrote find the line that writes it, and a piece of code its file?

    python -m benchmarks.pasted CORPUS [--share 0.12] [--examples 200] [--keep DIRECTORY]

Indexes a share of a corpus (see benchmarks/questions.py), makes examples of its own source and asks each
once: messages, from string literals with placeholders, with values of no program and marks as a log, a
compiler or an interpreter puts in front; and pieces of code of four to eight lines. An example is found where
the first hit is a line with the literal, or lies in the piece. What is copied elsewhere counts there too, for
nobody could tell which was meant.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Stopwatch, private_daemon, record, summary
from benchmarks.questions import part_of
from benchmarks.text import AT_REST, settle
from config.errors import UsageError
from daemon import client

SEED = 4
FILE_BYTES_MAX = 200_000
WORDS_MIN = 4  # of a literal, its placeholders left out
_PLACEHOLDER = r"%[-+ #0]*\d*(?:\.\d+)?[hlzjt]*[diuxXs]|\{[a-z_.]*\}"
_LITERAL = re.compile(
    rf'"((?:[^"\\\n%{{}}]|{_PLACEHOLDER})*(?:{_PLACEHOLDER})(?:[^"\\\n%{{}}]|{_PLACEHOLDER})*)(?:\\n)?"'
)
_MARKS = ("[   12.345678] ", "error: ", "ValueError: ", "2026-11-28T12:00:01Z ERROR ")
_VALUES = ("17", "0x7f3a", "'some value'", "/srv/some/place.txt", "2.5", "eth7")


@dataclass(frozen=True, slots=True)
class Example:
    """A text that was pasted, and what its first hit must show."""

    kind: str  # message or snippet
    text: str
    path: str
    line: int  # of the literal, or the first of the piece
    n_lines: int
    shown: str  # what stands on a line that is right


def main() -> int:
    """Measure and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--share", type=float, default=0.12)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="keep the index here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="einstein-bench-") as scratch:
        folder = options.keep or Path(scratch)
        tree = part_of(options.corpus.resolve(), options.share, folder / "tree")
        with private_daemon(folder, **AT_REST), client.connect(start=False) as connection:
            connection.call("add", {"path": str(tree), "wait": True}, timeout=3600)
            settle(connection)
            examples = examples_of(tree, options.examples)
            found, raw = {}, {}
            for kind in ("message", "snippet"):
                asked = [example for example in examples if example.kind == kind]
                found[kind], raw[kind] = measure(connection, tree, asked)
    record(f"pasted-{options.corpus.name}", found, raw)
    return 0


def examples_of(tree: Path, n: int) -> list[Example]:
    """Return n messages and n pieces of code, drawn from a tree."""
    rng = random.Random(SEED)
    files = sorted(file for file in tree.rglob("*") if file.is_file() and not file.is_symlink())
    rng.shuffle(files)
    messages: list[Example] = []
    snippets: list[Example] = []
    for file in files:
        if len(messages) >= n and len(snippets) >= n:
            break
        if file.suffix not in _CODE or file.stat().st_size > FILE_BYTES_MAX:
            continue
        lines = file.read_text("utf-8", "replace").split("\n")
        path = str(file.relative_to(tree))
        messages += list(_messages(path, lines, rng))[:2]
        snippets += _snippets(path, lines, rng)
    return messages[:n] + snippets[:n]


_CODE = frozenset(
    (
        *(".c", ".h", ".cc", ".cpp", ".go", ".rs", ".py", ".js", ".ts", ".java", ".rb", ".php", ".cs"),
        *(".swift", ".kt", ".scala", ".lua", ".ex"),
    )
)


def _messages(path: str, lines: Sequence[str], rng: random.Random) -> Iterator[Example]:
    for number, line in enumerate(lines, 1):
        literal = _LITERAL.search(line)
        if literal is None or line.count('"') != 2:
            continue
        fixed = re.split(_PLACEHOLDER, literal[1])
        if max(len(re.findall(r"[a-zA-Z]{2,}", part)) for part in fixed) < WORDS_MIN:
            continue
        said = re.sub(_PLACEHOLDER, lambda _: rng.choice(_VALUES), literal[1])
        yield Example("message", rng.choice(_MARKS) + said, path, number, 1, literal[1])


def _snippets(path: str, lines: Sequence[str], rng: random.Random) -> list[Example]:
    if len(lines) < 30:
        return []
    n = rng.randint(4, 8)
    first = rng.randrange(len(lines) - n)
    piece = lines[first : first + n]
    if sum(len(line.strip()) > 12 for line in piece) < 3 or not re.search(r"[;{}=]", "".join(piece)):
        return []
    return [Example("snippet", "\n".join(piece), path, first + 1, n, max(piece, key=len).strip())]


def measure(
    connection: client.Connection, tree: Path, examples: Sequence[Example]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the summary, and the time and the rank of each."""
    times: list[float] = []
    ranks: list[int] = []
    for example in examples:
        watch = Stopwatch()
        try:
            answer = connection.call("search", {"query": example.text, "path": str(tree), "limit": 10})
        except UsageError:  # read as a query, it is none
            answer = {"hits": []}
        times.append(watch.ms)
        ranks.append(rank(example, answer["hits"], tree))
    told = {
        "examples": len(examples),
        "first": round(sum(rank == 1 for rank in ranks) / max(1, len(ranks)), 4),
        "first_three": round(sum(0 < rank <= 3 for rank in ranks) / max(1, len(ranks)), 4),
        "client": summary(times),
    }
    return told, {"ranks": ranks, "client_ms": times}


def rank(example: Example, hits: Sequence[Mapping[str, Any]], tree: Path) -> int:
    """Return at which place the example was found, from 1 on; 0 if it was not."""
    for place, hit in enumerate(hits, 1):
        if hit["path"] == example.path and -1 <= hit["line"] - example.line < example.n_lines:
            return place
        lines = (tree / hit["path"]).read_text("utf-8", "replace").split("\n")
        if example.shown in "\n".join(lines[hit["line"] - 1 : hit["line"] + example.n_lines]):
            return place
    return 0


if __name__ == "__main__":
    sys.exit(main())
