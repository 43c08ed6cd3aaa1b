"""How long does it take to find a file by its name while it is being typed?

    python -m benchmarks.filenames --corpus DIRECTORY [--keep DIRECTORY] [--limit 50] [--rounds 5]

Every query is typed key by key, each key one request: over the socket of a private daemon that indexed the
paths of the corpus (a tree of empty files: contents play no part), and once more without a daemon, over the
same paths. Each answer is compared between the two, and a sample of them with the slow twin of the tests,
which goes through all paths one by one."""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Stopwatch, private_daemon, record, summary
from benchmarks.round_trip import ping
from config.errors import EinsteinError
from daemon import client
from search.filenames import find_names
from search.nametable import NameTable
from tests.search import filename_twin as twin

TYPED: dict[str, list[str]] = {
    "fuzzy": [
        "drivers/net/e1000",
        "kmalloc",
        "makefile",
        "slab.c",
        "mmslab",
        "schedcore",
        "btrfsinode",
        "ext4/inode",
        "e1000main",
        "drvnetintel",
        "x86kvm",
        "Kconfig",
        "README",
        "tcp_ipv4",
        "usbcore",
        "net core dev",
        "^fs ext4 .c$",
        "'printk !test",
        "sound/soc intel",
        "arm64 boot dts qcom",
        "amdgpu_vm",
        "i915gem",
        "nvmepci",
        "bpfverif",
        "Documentation/admin",
        "mlx5enmain",
        "rcutree",
        "futex",
        "iomap",
        "virtionet",
        "rivers",
        "zram",
    ],
    "substring": [
        "drivers/net/ethernet",
        "kmalloc",
        "Makefile",
        "slab",
        "sched/core",
        "btrfs/inode",
        "ext4",
        "e1000_main",
        "intel",
        "x86/kvm",
        "Kconfig",
        "README",
        "tcp_ipv4",
        "usb/core",
        "net core dev",
        ".dts",
        "printk",
        "include linux",
        "sound/soc intel",
        "qcom dts",
        "amdgpu_vm",
        "i915/gem",
        "nvme pci",
        "verifier",
        "admin-guide",
        "mlx5/core/en",
        "rcu tree",
        "futex",
        "selftests/bpf",
        "rivers",
        "_test.c",
        "zram",
    ],
    "regex": [
        r"^drivers/net/.*\.c$",
        r"kmalloc",
        r"Makefile$",
        r"slab[._]",
        r"sched/(core|fair)\.c",
        r"btrfs/.*inode",
        r"ext[234]/",
        r"e1000[e_]",
        r"intel/.*main\.[ch]$",
        r"x86/kvm/\w+\.c",
        r"Kconfig\.\w+",
        r"README",
        r"tcp_(ipv4|input)",
        r"^net/core/dev",
        r"\.dtsi?$",
        r"printk.*\.h",
        r"^include/linux/[a-c]\w*\.h",
        r"soc/intel/[a-z]+/",
        r"qcom.*8974",
        r"amdgpu_v[mc]",
        r"i915/gem/i915_\w+",
        r"nvme.*pci",
        r"verifier\.c$",
        r"^Documentation/admin-guide/[^/]+\.rst",
        r"mlx5.*en_",
        r"rcu/tree",
        r"futex",
        r"bpf/progs/test_\w+",
        r"[0-9]{4}-.*\.yaml$",
        r"zram",
    ],
}
SAMPLE = 12  # answers of each mode that are compared with the twin


def main() -> int:
    """Type, check and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="directory with the index; made if absent")
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5, help="times each key is asked; the median counts")
    options = parser.parse_args()
    with private_daemon(options.keep) as folder:
        corpus = named_copy(options.corpus, folder / "names")
        connection = client.connect(start=False)
        connection.call("add", {"path": str(corpus), "wait": True}, timeout=3600)
        everything = connection.call("files", {"query": "", "path": str(corpus), "limit": 10_000})
        load_before = round(os.getloadavg()[0], 1)
        pings = summary([ping(connection) for _ in range(500)])
        paths = listed(connection, corpus, everything["total"])
        watch = Stopwatch()
        table = NameTable(paths)
        built_ms = watch.ms
        result: dict[str, Any] = {
            "files": len(paths),
            "limit": options.limit,
            "table_ms": round(built_ms, 1),
            "ping": pings,
        }
        raw: dict[str, Any] = {}
        failed: list[str] = []
        for mode, queries in TYPED.items():
            rows = [
                row
                for query in queries
                for n in range(1, len(query) + 1)
                if (row := ask(connection, corpus, table, mode, query[:n], options)) is not None
            ]
            raw[mode] = [list(row.values())[:-1] for row in rows]
            raw["columns"] = list(rows[0])[:-1]
            failed += [f"{mode} {row['query']!r}: {row['wrong']}" for row in rows if row["wrong"]]
            failed += compared_with_twin(paths, table, mode, rows, options.limit)
            result[mode] = {
                "queries": len(queries),
                "keys": len(rows),
                "round_trip": summary([row["ms"] for row in rows]),
                "in_daemon": summary([row["inside_ms"] for row in rows]),
                "in_daemon_first_time": summary([row["first_ms"] for row in rows]),
                "without_daemon": summary([row["alone_ms"] for row in rows]),
            }
    result["load_average"] = [load_before, round(os.getloadavg()[0], 1)]
    result["wrong"] = len(failed)
    record(f"filenames-{options.corpus.resolve().name}", result, {**raw, "wrong": failed[:20]})
    print(*failed[:20], sep="\n")
    return 1 if failed else 0


def named_copy(corpus: Path, tree: Path) -> Path:
    """Return a tree with the files of the corpus, all empty."""
    if not tree.exists():
        for folder, folders, names in os.walk(corpus):
            folders[:] = [name for name in folders if name != ".git"]
            place = tree / Path(folder).relative_to(corpus)
            place.mkdir(parents=True)
            for name in names:
                if not (Path(folder) / name).is_symlink():
                    (place / name).touch()
    return tree.resolve()


def listed(connection: client.Connection, corpus: Path, total: int) -> list[bytes]:
    """All indexed paths, top directory by top directory, since one answer has at most 10,000."""
    found: set[str] = set()
    todo = [corpus]
    while todo:
        place = todo.pop()
        answer = connection.call("files", {"query": "", "path": str(place), "limit": 10_000})
        if answer["total"] <= 10_000:
            found.update(one["path"] for one in answer["files"])
            continue
        entries = [entry for entry in place.iterdir() if not entry.is_symlink()]
        todo += [entry for entry in entries if entry.is_dir() or entry.is_file()]
    assert len(found) == total, (len(found), total)
    return [os.fsencode(path) for path in sorted(found)]


def ask(
    connection: client.Connection,
    corpus: Path,
    table: NameTable,
    mode: str,
    query: str,
    options: argparse.Namespace,
) -> dict[str, Any] | None:
    """Ask both ways; None for a pattern that cannot be read as it stands."""
    params = {"query": query, "path": str(corpus), "mode": mode, "limit": options.limit}
    times, inside, alone = [], [], []
    for _ in range(options.rounds):
        watch = Stopwatch()
        try:
            answer = connection.call("files", params, timeout=60)
        except EinsteinError as error:
            if mode == "regex" and error.code == "usage":
                return None
            raise
        times.append(watch.ms)
        inside.append(answer["ms"])
    for _ in range(options.rounds):
        watch = Stopwatch()
        found = find_names(query, mode, [table], [None], options.limit)
        alone.append(watch.ms)
    shown = [(os.fsencode(one["path"]), one["score"], one["ranges"]) for one in answer["files"]]
    expected = [(one.path, one.score, [list(span) for span in one.ranges]) for one in found.files]
    same = shown == expected and answer["total"] == found.total
    return {
        "query": query,
        "total": answer["total"],
        "ms": round(float(np.median(times)), 3),
        "first_ms": round(inside[0], 3),
        "inside_ms": round(float(np.median(inside)), 3),
        "alone_ms": round(float(np.median(alone)), 3),
        "wrong": "" if same else "the daemon and the table differ",
    }


def compared_with_twin(
    paths: list[bytes], table: NameTable, mode: str, rows: list[dict[str, Any]], limit: int
) -> list[str]:
    """What differs from the twin, of a sample of queries that match not too many paths (it is slow)."""
    chosen = random.Random(7).sample([row for row in rows if len(row["query"]) > 2], SAMPLE)
    wrong = []
    for row in chosen:
        expected = twin.search(paths, row["query"], mode)
        found = find_names(row["query"], mode, [table], [None], limit)
        if [(one.path, one.score, one.ranges) for one in found.files] != expected[:limit]:
            wrong.append(f"{mode} {row['query']!r}: other files than the twin's")
        if found.total != len(expected):
            wrong.append(f"{mode} {row['query']!r}: {found.total} files, the twin {len(expected)}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
