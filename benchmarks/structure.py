"""How long do questions about structure take, through the socket?

    python -m benchmarks.structure [--corpus DIR] [--json OUT] [--keep DIRECTORY]

Indexes the corpus (the standard library of this Python if none is given; corpus L: the unpacked
`linux-source-6.1` of Debian), draws C and Python files by a hash of their path, and from each a name that is
called and a module that is imported there, and asks every field about them for 50 hits: the very first answer
is not counted. The names come from the files' text, not from the index, so an answer that is empty, or shows
a line without the name, ends the run with 1. OUT is {"rows": [{"what", "figure", "target", "met"}]}, a row
for each figure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Stopwatch, percentile, private_daemon, record, summary
from benchmarks.text import AT_REST, settle
from daemon import client

LIMIT = 50
DRAWN = 150  # files
CALL = re.compile(r"^[\t ].*?\b([a-z_][a-z0-9_]{4,})\(", re.MULTILINE)
IMPORT = re.compile(r"^(?:#include <([\w/.-]+)>|(?:from|import) ([\w.]+)(?: import .*)?)$", re.MULTILINE)
NO_NAMES = frozenset(("while", "sizeof", "switch", "return", "defined", "typeof", "__attribute__"))


@dataclass(frozen=True)
class Drawn:
    """What is asked about one file."""

    path: str
    name: str
    module: str


@dataclass(frozen=True)
class Question:
    """A field, what it is asked for, and what its figures must not exceed."""

    field: str
    value: Callable[[Drawn], str]
    p50_ms: float
    p95_ms: float | None = None
    empty: bool = False  # an answer may be: what is called need not be defined in the tree


QUESTIONS = (
    Question("sym", lambda drawn: drawn.name, 2, 10, empty=True),
    Question("def", lambda drawn: drawn.name, 2, 10, empty=True),
    Question("ref", lambda drawn: drawn.name, 2, 10),
    Question("callers", lambda drawn: drawn.name, 5),
    Question("callees", lambda drawn: drawn.name, 5, empty=True),
    Question("imports", lambda drawn: drawn.module, 5),
    Question("importedby", lambda drawn: drawn.path, 5, empty=True),
)


def main() -> int:
    """Measure and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="directory for the index; used again if it is there")
    options = parser.parse_args()
    corpus = options.corpus.resolve()
    drawn = draw(corpus)
    with (
        tempfile.TemporaryDirectory(prefix="einstein-bench-") as scratch,
        private_daemon(options.keep or Path(scratch), **AT_REST),
        client.connect(start=False) as connection,
    ):
        connection.call("add", {"path": str(corpus), "wait": True}, timeout=3600)
        settle(connection)
        times = {question.field: ask_all(connection, corpus, question, drawn) for question in QUESTIONS}
    rows = [row for question in QUESTIONS for row in rows_of(question, times[question.field])]
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    told = {"rows": rows, "times": {field: summary(each) for field, each in times.items()}}
    record(f"structure-{corpus.name}", told, {"files": len(drawn), "ms": times})
    return 0


def draw(corpus: Path) -> list[Drawn]:
    """Return files with a call and an include, in the order of a hash of their paths."""
    files = sorted(
        (file for file in corpus.rglob("*.*") if file.suffix in (".c", ".py") and file.is_file()),
        key=lambda file: hashlib.sha256(str(file.relative_to(corpus)).encode()).digest(),
    )
    found: list[Drawn] = []
    for file in files:
        text = file.read_text("utf-8", "replace")
        calls = [name for name in CALL.findall(text) if name not in NO_NAMES]
        modules = [include or module for include, module in IMPORT.findall(text)]
        if calls and modules:
            found.append(
                Drawn(str(file.relative_to(corpus)), calls[len(calls) // 2], modules[len(modules) // 2])
            )
        if len(found) == DRAWN:
            break
    return found


def ask_all(
    connection: client.Connection, corpus: Path, question: Question, drawn: list[Drawn]
) -> list[float]:
    """Return the milliseconds of each answer; the very first is not counted."""
    times: list[float] = []
    for each in (drawn[0], *drawn):
        value = question.value(each)
        asked = {"query": f"{question.field}:{value}", "path": str(corpus), "limit": LIMIT}
        watch = Stopwatch()
        answer = connection.call("search", asked, timeout=60)
        times.append(watch.ms)
        check(question, value, answer)
    return times[1:]


def check(question: Question, value: str, answer: dict[str, Any]) -> None:
    """Fail if an answer is not what was asked for."""
    hits = answer["hits"]
    if answer["incomplete"] or (not hits and not question.empty):
        raise SystemExit(f"{question.field}:{value}: {len(hits)} hits, incomplete: {answer['incomplete']}")
    if question.field in ("ref", "callers", "imports"):
        wanted = re.split(r"[/.]", value)[-1].lower()  # a name in small letters is found in any case
        for hit in hits:
            if not any(wanted in line["text"].lower() for line in hit["lines"]):
                raise SystemExit(f"{question.field}:{value}: {hit['path']}:{hit['line']} does not have it")


def rows_of(question: Question, times: list[float]) -> list[dict[str, Any]]:
    """Return the rows of a question's figures."""
    rows = []
    for name, share, target in (("p50", 0.5, question.p50_ms), ("p95", 0.95, question.p95_ms)):
        if target is not None:
            figure = round(percentile(times, share), 3)
            what = f"{question.field}: {name}, {LIMIT} hits, ms"
            rows.append({"what": what, "figure": figure, "target": target, "met": figure <= target})
    return rows


if __name__ == "__main__":
    sys.exit(main())
