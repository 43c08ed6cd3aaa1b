"""How long from saving a file until a query finds the change?

    python -m benchmarks.save_to_search CORPUS [--edits 200] [--keep DIRECTORY]

Copies CORPUS to a scratch directory (the sources are never written to), indexes it, then makes random
edits, one at a time: appends a comment with a unique word to a random file and polls the daemon until the
word is found in that file at that line by the index itself (hits read live from disk do not count). Every
answer is checked."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from benchmarks.harness import Stopwatch, editable_files, indexed_copy, private_daemon, record, summary
from benchmarks.index_full import root_status
from daemon import client

GIVE_UP_MS = 30_000


def main() -> int:
    """Edit, poll, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="directory with `tree` and its index; made if absent")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with private_daemon(options.keep) as folder:
        connection = client.connect(start=False)
        tree = indexed_copy(connection, options.corpus, folder)
        files = root_status(connection, tree)["files"]
        candidates = editable_files(tree)
        chosen = random.Random(options.seed)
        times = [edit(connection, tree, chosen.choice(candidates), number) for number in range(options.edits)]
        connection.call("sync", {"path": str(tree)}, timeout=60)
    record(
        f"save_to_search-{options.corpus.name}",
        {"files": files, "save_to_found": summary(times)},
        {"ms": [round(ms, 2) for ms in times]},
    )
    return 0


def edit(connection: client.Connection, tree: Path, file: Path, number: int) -> float:
    """Save one change and give the milliseconds until the index answers with it."""
    word = f"xq{number:05d}{time.time_ns():x}zw"
    comment = f"# {word}\n" if file.suffix == ".py" else f"/* {word} */\n"
    with file.open("ab") as stream:
        stream.write(b"\n" + comment.encode())
    watch = Stopwatch()
    line = file.read_bytes().count(b"\n")
    while watch.ms < GIVE_UP_MS:
        answer = connection.call("search", {"query": word, "path": str(tree), "mode": "text", "limit": 2})
        indexed = [hit for hit in answer["hits"] if not hit["live"]]
        if indexed:
            hit = indexed[0]
            assert (hit["path"], hit["line"]) == (str(file.relative_to(tree)), line), hit
            return watch.ms
    raise SystemExit(f"{file}: the change was not found within {GIVE_UP_MS} ms")


if __name__ == "__main__":
    sys.exit(main())
