"""`make demo`: the product on real input, with every answer checked.

Starts a daemon on a private cache directory, indexes the standard library of this Python, asks one text, one
structural, one semantic and one boolean query that joins the three, then edits a file in a scratch copy and
measures the time from save to found. Ends with status 0 only if every answer was right.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from benchmarks.harness import Stopwatch, private_daemon, program

# (what, query, expected path, what the line must contain)
QUESTIONS = [
    ("text", '"def urlsplit("', "urllib/parse.py", "def urlsplit("),
    ("structure", "def:JSONDecoder kind:class", "json/decoder.py", "class JSONDecoder"),
    ("meaning", 'meaning:"parse a json document into python objects" lang:py', "json/", ""),
    (
        "text AND structure AND meaning",
        'raise def:loads meaning:"deserialize a json document" lang:python -path:test',
        "json/__init__.py",
        "def loads",
    ),
]
FOUND_WITHIN_S = 10.0


def main() -> int:
    """Run the demonstration; the number of wrong answers is the exit status."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    wrong = 0
    with private_daemon(EINSTEIN_INDEX_IGNORE="site-packages/**") as folder:
        print(f"\n== index {stdlib}", flush=True)
        watch = Stopwatch()
        subprocess.run([program("searchd"), "add", str(stdlib), "--wait"], check=True)
        print(f"indexed in {watch.ms / 1000:.1f} s")
        for what, query, path, line in QUESTIONS:
            wrong += not ask(what, query, stdlib, path, line)
        wrong += not edit(stdlib / "json", folder / "scratch" / "json")
        subprocess.run([program("searchd"), "status"], check=True)
    print("\nevery answer was right" if not wrong else f"\n{wrong} wrong answers")
    return min(wrong, 100)


def ask(what: str, query: str, root: Path, path: str, line: str) -> bool:
    """Print the answer of one query as a user sees it and check the best hit."""
    print(f"\n== {what}: search {query!r}", flush=True)
    subprocess.run([program("search"), query, str(root), "-n", "3", "--color", "always"], check=False)
    hits = hits_of(query, root)
    right = any(hit["path"].startswith(path) and line in text_of(hit) for hit in hits[:3])
    print("right" if right else f"WRONG: expected {path} with {line!r} among the first three")
    return right


def edit(source: Path, scratch: Path) -> bool:
    """Edit a file of a scratch copy and wait until the edit is found."""
    print(f"\n== edit a file in {scratch}", flush=True)
    shutil.copytree(source, scratch, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([program("searchd"), "add", str(scratch), "--wait"], check=True)
    file = scratch / "decoder.py"
    word = f"quasi_inverse_{os.getpid()}"
    with file.open("a") as stream:
        stream.write(f"\n\ndef {word}(document):\n    return None\n")
    watch = Stopwatch()
    while watch.ms < FOUND_WITHIN_S * 1000:
        hits = hits_of(f"def:{word}", scratch)
        if hits:
            print(f"found {hits[0]['path']}:{hits[0]['line']} {watch.ms:.0f} ms after it was saved")
            return bool(hits[0]["path"] == "decoder.py")
    print(f"WRONG: not found within {FOUND_WITHIN_S} s")
    return False


def hits_of(query: str, root: Path) -> list[dict[str, Any]]:
    """The hits of a query, read from `search --json`."""
    done = subprocess.run(
        [program("search"), query, str(root), "--json", "-n", "10"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 2:
        print(done.stderr, file=sys.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in lines if line.get("type", "hit") == "hit" and "path" in line]


def text_of(hit: dict[str, Any]) -> str:
    """The lines of a hit."""
    return "\n".join(line["text"] for line in hit["lines"])


if __name__ == "__main__":
    sys.exit(main())
