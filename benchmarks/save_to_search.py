"""How long from saving a file until a query finds the change?

    python -m benchmarks.save_to_search CORPUS [--edits 200] [--keep DIRECTORY] [--merging]

Copies CORPUS to a scratch directory (the sources are never written to), indexes it, then makes random
edits, one at a time: appends a comment with a unique word to a random file and polls the daemon until the
word is found in that file at that line by the index itself (hits read live from disk do not count). Every
answer is checked.

With --merging only edits count that were made while segments of the index were being merged: it is built
without merges of what waits for its tier to fill, then the daemon is started again and does all of them at
once."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.harness import Stopwatch, editable_files, indexed_copy, private_daemon, record, summary
from benchmarks.index_full import root_status
from daemon import client

GIVE_UP_MS = 30_000
BEGIN_MS = 20_000  # until a merge that is due has begun
NEVER_S = "100000000"


def main() -> int:
    """Edit, poll, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="directory with `tree` and its index; made if absent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--merging", action="store_true", help="while segments are merged")
    options = parser.parse_args()
    with indexed(options.corpus, options.keep, options.merging) as (connection, tree):
        files = root_status(connection, tree)["files"]
        candidates = editable_files(tree)
        chosen = random.Random(options.seed)
        times: list[float] = []
        for number in range(options.edits):
            ms = edit(connection, tree, chosen.choice(candidates), number)
            if options.merging and not is_merging(connection):
                break
            times.append(ms)
        connection.call("sync", {"path": str(tree)}, timeout=60)
    if not times:
        raise SystemExit("the merge was over before the first edit was found; index a larger corpus")
    record(
        f"save_to_search{'-merging' if options.merging else ''}-{options.corpus.name}",
        {"files": files, "save_to_found": summary(times)},
        {"ms": [round(ms, 2) for ms in times]},
    )
    return 0


@contextmanager
def indexed(corpus: Path, keep: Path | None, merging: bool) -> Iterator[tuple[client.Connection, Path]]:
    """Give a connection to a daemon and its copy of the corpus; merging: segments are being merged."""
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="einstein-bench-")))
        if merging:
            with private_daemon(folder, EINSTEIN_STORE_IDLE_MERGE_S=NEVER_S):
                indexed_copy(client.connect(start=False), corpus, folder)
        settings = {"EINSTEIN_STORE_IDLE_MERGE_S": "0"} if merging else {}
        stack.enter_context(private_daemon(folder, **settings))
        connection = client.connect(start=False)
        tree = indexed_copy(connection, corpus, folder)
        if merging and not becomes_merging(connection):
            raise SystemExit("nothing is left to merge; use another directory for --keep")
        yield connection, tree


def is_merging(connection: client.Connection) -> bool:
    """Whether segments are being merged now."""
    return bool(connection.call("status", {})["index"]["merging"])


def becomes_merging(connection: client.Connection) -> bool:
    """Wait a little for a merge."""
    watch = Stopwatch()
    while watch.ms < BEGIN_MS:
        if is_merging(connection):
            return True
        time.sleep(0.05)
    return False


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
