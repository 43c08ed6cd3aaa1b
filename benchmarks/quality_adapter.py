"""Answers the questions of a retrieval benchmark about one folder, through the real daemon and its socket.

    python -m benchmarks.quality_adapter ROOT [--set KEY=VALUE ...]

One JSON line in, {"query": "...", "top_k": 10}, one out, {"results": [{"path", "start_line", "end_line"}]},
best first; paths are relative to ROOT. A line with "warmup": true is a question like any other. The daemon is
a private one on an empty cache, so the first answer waits until the folder is indexed completely.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import private_daemon
from daemon import client


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument(
        "--set", action="append", default=[], help="a setting of the daemon, as rank.rrf_k=20"
    )
    arguments = parser.parse_args()
    root = str(arguments.root.resolve(strict=True))
    settings = dict(setting.split("=", 1) for setting in arguments.set)
    environ = {f"EINSTEIN_{key.upper().replace('.', '_')}": value for key, value in settings.items()}
    with private_daemon(**environ), client.connect(start=False) as connection:
        connection.call("add", {"path": root, "wait": True}, timeout=3600)
        for line in sys.stdin:
            question = json.loads(line)
            print(json.dumps({"results": answer(connection, root, question)}), flush=True)


def answer(connection: client.Connection, root: str, question: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the daemon finds, best first."""
    asked = {"query": question["query"], "path": root, "limit": question["top_k"]}
    found = connection.call("search", asked, timeout=60)
    if found["incomplete"] and not found["incomplete"].startswith("budget"):
        raise SystemExit(f"the index is not complete: {found['incomplete']}")
    return [
        {"path": hit["path"], "start_line": hit["start_line"], "end_line": hit["end_line"]}
        for hit in found["hits"]
    ]


if __name__ == "__main__":
    main()
