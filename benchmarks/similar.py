"""How long does similar code take, how long near-duplicates, and are they found when names were changed?

    python -m benchmarks.similar CORPUS [--functions 100] [--suffix .c] [--keep DIRECTORY]

Indexes a corpus (corpus L: the unpacked `linux-source-6.1` of Debian), draws functions of it by a hash of
their path and line, and asks for each: `search` with the function as a snippet; `duplicates` of its place;
`duplicates` of its text, which must find the function itself. Then the same with a share of all its names
replaced, those of called functions and of types included: how often is the function found, how often first.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Stopwatch, private_daemon, record, summary
from benchmarks.text import AT_REST, settle
from daemon import client
from search.block import block_around, line_starts
from search.shingles import KEYWORDS

LINES = (8, 60)  # of a function that is drawn
SHARES = (0.25, 0.5, 0.75)  # of its names that are replaced
LIMIT = 10
WARM = 5
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Function:
    """A function of the corpus."""

    path: Path
    line: int  # in its middle
    first: int
    last: int
    text: str

    def holds(self, hit: dict[str, Any], root: str) -> bool:
        """Whether a hit is in these lines of this file."""
        return Path(root, hit["path"]) == self.path and self.first <= hit["line"] <= self.last


def main() -> int:
    """Measure and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--functions", type=int, default=100)
    parser.add_argument("--suffix", default=".c")
    parser.add_argument("--keep", type=Path, help="keep the index in this folder")
    options = parser.parse_args()
    corpus = options.corpus.resolve()
    with tempfile.TemporaryDirectory(prefix="einstein-bench-") as scratch:
        folder = options.keep or Path(scratch)
        with private_daemon(folder, **AT_REST), client.connect(start=False) as connection:
            connection.call("add", {"path": str(corpus), "wait": True}, timeout=3600)
            settle(connection)
            drawn = functions(corpus, options.suffix, options.functions + WARM)
            result, raw = measure(connection, corpus, drawn)
    record(f"similar-{corpus.name}", result, raw)
    return 0


def functions(corpus: Path, suffix: str, n: int) -> list[Function]:
    """Draw n functions of different files."""
    paths = [path for path in corpus.rglob(f"*{suffix}") if path.is_file() and not path.is_symlink()]
    paths.sort(key=lambda path: _drawn(str(path.relative_to(corpus))))
    found: list[Function] = []
    for path in paths:
        if (one := function_of(path)) is not None:
            found.append(one)
        if len(found) == n:
            return found
    raise SystemExit(f"{corpus} has {len(found)} functions in *{suffix}, fewer than {n}")


def function_of(path: Path) -> Function | None:
    """Draw a function of a file; None if the line that is drawn is in none."""
    content = path.read_bytes()
    if not content.strip() or b"\0" in content:
        return None
    line = 1 + _drawn(path.name) % len(line_starts(content))
    start, end = block_around(content, line)
    n = content.count(b"\n", start, end)
    block = content[start:end]
    if (
        not LINES[0] <= n <= LINES[1]
        or not block.rstrip().endswith(b"}")
        or b"(" not in block.partition(b"{")[0]
    ):
        return None
    first = content.count(b"\n", 0, start) + 1
    return Function(path, line, first, first + n, block.decode("utf-8", "replace"))


def measure(
    connection: client.Connection, corpus: Path, drawn: list[Function]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the summary and the single times."""
    times: dict[str, list[float]] = {"similar": [], "duplicates of a place": [], "duplicates of a text": []}
    first = within = copies = 0
    for number, one in enumerate(drawn):
        took, similar = _timed(connection, "search", _like(one.text, corpus))
        places = [one.holds(hit, similar["root"]) for hit in similar["hits"]]
        at_place, _ = _timed(
            connection, "duplicates", {"path": str(one.path), "line": one.line, "limit": LIMIT}
        )
        of_text, pasted = _timed(connection, "duplicates", {"text": one.text, "limit": 100})
        own = [hit for hit in pasted["hits"] if one.holds(hit, hit["root"])]
        if not own or own[0]["signals"]["exact"] < 1 or pasted["incomplete"]:
            raise SystemExit(f"{one.path}:{one.line} is not found as its own copy: {pasted['incomplete']}")
        if number < WARM:
            continue
        for name, ms in zip(times, (took, at_place, of_text), strict=True):
            times[name].append(ms)
        first += places[0]
        within += any(places)
        copies += len(own) < pasted["total"]
    kept = drawn[WARM:]
    result: dict[str, Any] = {
        "chunks": connection.call("status", {})["index"]["chunks"],
        "functions": len(kept),
        **{name: summary(listed) for name, listed in times.items()},
        "similar: itself first": round(first / len(kept), 3),
        "similar: itself in ten": round(within / len(kept), 3),
        "with a duplicate": copies,
        "renamed": {f"{share:.0%}": renamed(connection, corpus, kept, share) for share in SHARES},
    }
    return result, {name: [round(ms, 3) for ms in listed] for name, listed in times.items()}


def renamed(
    connection: client.Connection, corpus: Path, drawn: list[Function], share: float
) -> dict[str, float]:
    """Return how many functions are found by a copy of which a share of all names is replaced."""
    first = found = 0
    for one in drawn:
        text = with_other_names(one.text, share)
        similar = connection.call("search", _like(text, corpus))
        copies = connection.call("duplicates", {"text": text, "limit": 100})
        first += bool(similar["hits"]) and one.holds(similar["hits"][0], similar["root"])
        found += any(one.holds(hit, hit["root"]) for hit in copies["hits"])
    return {"similar: first": round(first / len(drawn), 3), "duplicates: found": round(found / len(drawn), 3)}


def with_other_names(text: str, share: float) -> str:
    """Return the text with a share of its names replaced, everywhere, drawn by their hash."""
    names = sorted({name for name in _NAME.findall(text) if name.encode() not in KEYWORDS}, key=_drawn)
    other = {name: f"name{number}" for number, name in enumerate(names[: round(share * len(names))])}
    return _NAME.sub(lambda match: other.get(match[0], match[0]), text)


def _like(text: str, corpus: Path) -> dict[str, Any]:
    return {"query": "", "path": str(corpus), "snippet": text, "limit": LIMIT}


def _timed(
    connection: client.Connection, method: str, params: dict[str, Any]
) -> tuple[float, dict[str, Any]]:
    watch = Stopwatch()
    answer = connection.call(method, params)
    return watch.ms, answer


def _drawn(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:6], "big")


if __name__ == "__main__":
    sys.exit(main())
