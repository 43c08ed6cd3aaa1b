"""How fast is text search, does it find all, and what does its index cost, beside csearch and ripgrep?

    python -m benchmarks.text --corpus DIR [--queries FILE] [--peers csearch,rg] [--scale 0.1,0.3,1]
                              [--json OUT] [--keep DIRECTORY] [--repeat N]

Every pattern of FILE (RE2, one a line) is asked of every engine, in turn, over the same text, and the sets of
(path, line) must be equal: a difference ends the run with 1. Times are warm, the median of N.

ours     a request `grep` over one kept connection: from sending it to the last byte of the final reply. The
         bytes are read as they come and parsed after the clock has stopped.
first50  a request `search`, mode text, limit 50, for the same pattern: the same clock.
peers    one process, from its start to its exit, with its output read through a pipe.

The peers search a mirror of exactly the text that the index holds; peers.py says how it is made and what
csearch cannot know by design. That is taken out of its comparison, and the table says how much it is.

The build is told by the moment from which on every file can be found (text_seconds) and by its end, both from
`add` on, with the corpus in the page cache for both builders.

With --scale the daemon also indexes parts of the corpus (files drawn by a hash of their path, so that each
part holds the smaller ones), each in a cache of its own, and the queries with few lines are asked there.
Last, one light query is asked while ten connections ask the ten slowest ones without pause."""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    MemoryPeak,
    Stopwatch,
    link_or_copy,
    percentile,
    private_daemon,
    record,
    summary,
)
from benchmarks.index_full import root_status
from benchmarks.peers import LONG_LINE_BYTES, Line, Mirror, index_with_cindex, peer_command, require, run
from config import paths
from daemon import client, wire

QUERIES = Path(__file__).with_name("text_queries.txt")
POLL_S = 0.25
AT_REST = {"EINSTEIN_STORE_IDLE_MERGE_S": "1"}  # what would be merged after 30 s is merged before measuring
REST_MS = 5_000.0
PATIENCE_S = 600.0
FIRST = 50  # hits of a ranked answer
FEW_LINES = 200  # a query with at most so many is selective
LISTED_MAX = 1_000  # files of one answer; the empty query lists so many and more
HEAVY = 10  # connections that ask without pause
LIGHT_SAMPLES = 100
LOAD_S_MAX = 120.0
RECV_BYTES = 1 << 20
HEAD_BYTES = 100  # of a message: enough to see whether it is a notification

TRIGRAM_SECTIONS = ("tri_",)
# Symbols, references, vectors.
OTHER_SECTIONS = ("name_", "doc_def", "def_", "ref_", "doc_edge", "edge_", "doc_chunk", "chunk_")


def main() -> int:
    """Build, ask, compare, record; 1 if any engine finds other lines than the rest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--queries", type=Path, default=QUERIES)
    parser.add_argument("--peers", default="csearch,rg", help='"" for none')
    parser.add_argument("--scale", default="1", help="shares of the corpus, between commas")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="directory for the indexes; used again if they are there")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    peers = [name for name in options.peers.split(",") if name]
    require(peers)
    corpus = options.corpus.resolve()
    patterns = [line for line in options.queries.read_text("utf-8").splitlines() if line]
    shares = sorted({float(share) for share in options.scale.split(",")} - {1.0}, reverse=True)
    with ExitStack() as stack:
        scratch = (
            options.keep.resolve()
            if options.keep
            else Path(
                stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="einstein-text-", ignore_cleanup_errors=True)
                )
            )
        )
        with private_daemon(scratch / "full", **AT_REST) as folder:
            connection = client.connect(start=False)
            build = built(connection, corpus, folder / "build.json")
            files = indexed_files(connection, corpus)
            mirror = Mirror(folder / "mirror", corpus, files)
            build |= {"source_mb": round(mirror.source_bytes / 1e6, 1)}
            build["share_of_source"] = shares_of(build, mirror.source_bytes)
            if "csearch" in peers:
                build["cindex"] = index_with_cindex(mirror, folder / "csearchindex")
            queries = [measure(pattern, corpus, mirror, peers, options.repeat) for pattern in patterns]
            load = under_load(queries, corpus)
            scale = {"1": scale_figures(queries, ask_few(queries, corpus, options.repeat), len(files))}
        for share in shares:
            scale[f"{share:g}"] = at_scale(share, files, queries, corpus, scratch, options.repeat)
    growth = {
        name: round(scale["1"]["p50_ms"] / part["p50_ms"], 2)
        for name, part in scale.items()
        if "p50_ms" in part
    }
    print(table(queries, peers, mirror))
    about = summarize(queries, peers, build)
    wrong = [problem for query in queries for problem in query.problems]
    out = {
        "queries": [query.as_json() for query in queries],
        "build": build,
        "scale": {**scale, "growth_to_1": growth},
        "summary": about,
        "load": load,
    }
    if options.json:
        options.json.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", "utf-8")
    record(
        f"text-{corpus.name}",
        {"summary": about, "growth": growth, "load": load, "problems": wrong},
        {
            "queries": out["queries"],
            "samples": {query.pattern: query.samples for query in queries},
            "build": build,
            "scale": scale,
        },
    )
    for problem in wrong:
        print(f"WRONG  {problem}", file=sys.stderr)
    return 1 if wrong else 0


# ---- our side ---------------------------------------------------------------------------------------


class Wire:
    """A connection that takes replies as bytes, so that reading JSON is no part of the time."""

    def __init__(self) -> None:
        """Connect to the daemon of this environment."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(paths.query_socket())
        self._buffer = bytearray(RECV_BYTES)
        self._id = 0

    def ask(self, method: str, params: dict[str, Any], keep: bool = True) -> tuple[float, bytes]:
        """Return the milliseconds until the last byte of the final reply, and all bytes (or none)."""
        self._id += 1
        frame = wire.request(self._id, method, params)
        view, pieces, head = memoryview(self._buffer), [], b""
        watch = Stopwatch()
        self._socket.sendall(frame)
        while True:
            size = self._socket.recv_into(self._buffer)
            if not size:
                raise SystemExit("the daemon closed the connection; `searchd log` has the reason")
            if keep:
                pieces.append(bytes(view[:size]))
            ended = self._buffer[size - 1] == 10
            start = self._buffer.rfind(b"\n", 0, size - ended) + 1
            if start or not head:
                head = bytes(view[start : min(size, start + HEAD_BYTES)])
            else:
                head += bytes(view[: min(size, HEAD_BYTES)])
            if ended and b'"method":' not in head[:HEAD_BYTES]:
                return watch.ms, b"".join(pieces)
            if ended:
                head = b""

    def grep(self, pattern: str, root: Path, keep: bool = True) -> tuple[float, bytes]:
        """Ask for every line with a match."""
        params = {"pattern": pattern, "path": str(root), "deadline_ms": int(PATIENCE_S * 1000)}
        return self.ask("grep", params, keep)

    def first(self, pattern: str, root: Path) -> tuple[float, dict[str, Any]]:
        """Ask for the best hits."""
        params = {"query": ranked_query(pattern), "path": str(root), "mode": "text", "limit": FIRST}
        ms, reply = self.ask("search", params)
        return ms, final(reply, pattern)


def final(reply: bytes, pattern: str) -> dict[str, Any]:
    """Return the result of the final reply; SystemExit if it is an error."""
    message = json.loads(reply[reply.rfind(b"\n", 0, -1) + 1 :])
    if "error" in message:
        raise SystemExit(f"{pattern}: {message['error']['message']}")
    return dict(message["result"])


def our_lines(reply: bytes) -> list[Line]:
    """Return what the notifications before the final reply hold, in their order."""
    found: list[Line] = []
    for message in reply.split(b"\n")[:-2]:
        for file in json.loads(message)["params"]["files"]:
            found += [(file["path"], line) for line in file["lines"]]
    return found


def ranked_query(pattern: str) -> str:
    """Return the pattern in the query language; one without operators as a phrase."""
    if re.search(r"[\\^$.|?*+()\[\]{}\"]", pattern):
        return "/" + re.sub(r"\\.|/", lambda m: r"\/" if m[0] == "/" else m[0], pattern) + "/ case:yes"
    return f'"{pattern}" case:yes'


def built(connection: client.Connection, corpus: Path, kept: Path) -> dict[str, Any]:
    """Index the corpus and return what it took; what it took then, if it is indexed already."""
    known = {root["path"] for root in connection.call("roots", {})["roots"]}
    if str(corpus) in known and kept.exists():
        connection.call("add", {"path": str(corpus), "wait": True}, timeout=PATIENCE_S)
        settle(connection)
        return {**json.loads(kept.read_text()), "of_an_earlier_run": True}
    for path in corpus.rglob("*"):  # both builds read from memory
        if path.is_file() and not path.is_symlink():
            path.read_bytes()
    peak = MemoryPeak(int(paths.pid_path().read_text()))
    timeline: list[tuple[float, int]] = []  # seconds, files that can be found
    watch = Stopwatch()
    connection.call("add", {"path": str(corpus)}, timeout=PATIENCE_S)
    for turn in count():
        if turn % 4 == 0:  # it walks all pages of all processes
            peak.look()
        status = root_status(connection, corpus)
        timeline.append((watch.ms / 1000, status["files"]))
        if status["phase"] == "ready" and not status["pending"] and not status["scanning"]:
            break
        time.sleep(POLL_S)  # the program under test is another process; this is the polling rate
    seconds = watch.ms / 1000
    settle(connection, peak)
    index = connection.call("status", {})["index"]
    sections: dict[str, int] = index["section_bytes"]
    trigram = sum(size for name, size in sections.items() if name.startswith(TRIGRAM_SECTIONS))
    text = sum(size for name, size in sections.items() if not name.startswith(OTHER_SECTIONS))
    stored = sum(f.stat().st_blocks * 512 for f in paths.cache_dir().rglob("*") if f.is_file())
    result = {
        "seconds": round(seconds, 2),
        "text_seconds": round(next(at for at, files in timeline if files == status["files"]), 2),
        "merged_after_s": round(watch.ms / 1000, 2),
        "memory_peak_mb": peak.peak,
        "files": status["files"],
        "skipped": status["skipped"],
        "content_bytes": index["content_bytes"],
        "trigram_bytes": trigram,
        "text_bytes": text,
        "all_sections_bytes": sum(sections.values()),
        "disk_bytes": stored,
        "section_bytes": sections,
    }
    kept.write_text(json.dumps(result))
    return result


def settle(connection: client.Connection, peak: MemoryPeak | None = None) -> None:
    """Wait until no merge comes any more: what follows is measured on an index at rest."""
    rests = Stopwatch()
    while rests.ms < REST_MS:
        if connection.call("status", {})["index"]["merging"]:
            rests = Stopwatch()
        if peak:
            peak.look()
        time.sleep(POLL_S)  # as above


def shares_of(build: dict[str, Any], source_bytes: int) -> dict[str, float]:
    """Return the parts of the index as shares of the source."""
    return {
        name: round(build[f"{name}_bytes"] / source_bytes, 4)
        for name in ("trigram", "text", "all_sections", "disk")
    }


def indexed_files(connection: client.Connection, root: Path) -> list[str]:
    """Return the paths of all indexed files, relative to the root.

    It is what the empty query finds, directory by directory where there are more than it lists.
    """
    found: set[str] = set()
    todo = [root]
    while todo:
        at = todo.pop()
        files = empty_query(connection, at, 1)["files_searched"]
        if files <= LISTED_MAX:
            found.update(hit["path"] for hit in empty_query(connection, at, files or 1)["hits"])
            continue
        todo += [at / entry.name for entry in os.scandir(at) if not entry.is_symlink()]
    expected = root_status(connection, root)["files"]
    if len(found) != expected:
        raise SystemExit(f"{len(found)} files are found, {expected} are indexed")
    return sorted(found, key=os.fsencode)


def empty_query(connection: client.Connection, at: Path, limit: int) -> dict[str, Any]:
    """Return the answer to the query that every file below a directory fulfils."""
    return connection.call("search", {"query": "", "path": str(at), "limit": limit})


# ---- measuring --------------------------------------------------------------------------------------


@dataclass
class Query:
    """One pattern and what every engine said to it."""

    pattern: str
    lines: list[Line] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)  # ours, first50, csearch, rg
    counts: dict[str, int] = field(default_factory=dict)  # of the peers
    beyond: int = 0  # lines that csearch cannot know
    first_incomplete: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def ms(self) -> float:
        """Our time."""
        return self.median("ours")

    def median(self, engine: str) -> float:
        """Milliseconds of an engine."""
        return statistics.median(self.samples[engine])

    def ratio(self, peer: str) -> float:
        """Our time as a share of a peer's."""
        return self.ms / self.median(peer)

    def as_json(self) -> dict[str, Any]:
        """What OUT has of it."""
        peers = {
            name: {"ms": round(self.median(name), 2), "count": count} for name, count in self.counts.items()
        }
        if self.beyond and "csearch" in peers:
            peers["csearch"]["lines_left_out"] = self.beyond
        return {
            "query": self.pattern,
            "count": len(self.lines),
            "ms": round(self.ms, 3),
            "first50_ms": round(self.median("first50"), 3),
            "peers": peers,
        }


def measure(pattern: str, corpus: Path, mirror: Mirror, peers: Sequence[str], repeat: int) -> Query:
    """Ask every engine once to warm up and to compare, then in turn for the time."""
    query = Query(pattern)
    connection = Wire()
    ask_once(query, connection, corpus)
    hits = connection.first(pattern, corpus)[1]
    query.first_incomplete = hits["incomplete"]
    if (bool(hits["hits"]) != bool(query.lines) and not hits["incomplete"]) or len(hits["hits"]) > FIRST:
        query.problems.append(f"{pattern}: {len(hits['hits'])} ranked hits of {len(query.lines)} lines")
    query.beyond = len(mirror.beyond.intersection(query.lines))
    for peer in peers:
        lines = mirror.lines(run(peer_command(peer, pattern, mirror.at))[1])
        query.counts[peer] = len(lines)
        ours = Counter(query.lines)
        if peer == "csearch":
            ours -= Counter(mirror.beyond)
        if (theirs := Counter(lines)) != ours:
            query.problems.append(difference(pattern, peer, ours, theirs))
    timed: dict[str, list[float]] = {name: [] for name in ("ours", "first50", *peers)}
    for _ in range(repeat):
        ms, reply = connection.grep(pattern, corpus)
        if final(reply, pattern)["lines"] != len(query.lines):
            query.problems.append(f"{pattern}: another count when asked again")
        timed["ours"].append(ms)
        timed["first50"].append(connection.first(pattern, corpus)[0])
        for peer in peers:
            timed[peer].append(run(peer_command(peer, pattern, mirror.at))[0])
    query.samples = timed
    print(f"{query.ms:10.1f} ms {len(query.lines):8} lines  {pattern}", file=sys.stderr)
    return query


def ask_once(query: Query, connection: Wire, root: Path) -> None:
    """Take our lines; what is wrong with the reply by itself is a problem."""
    reply = connection.grep(query.pattern, root)[1]
    result = final(reply, query.pattern)
    query.lines = our_lines(reply)
    if result["incomplete"]:
        query.problems.append(f"{query.pattern}: incomplete: {result['incomplete']}")
    if result["lines"] != len(query.lines):
        query.problems.append(f"{query.pattern}: says {result['lines']} lines, sends {len(query.lines)}")
    if query.lines != sorted(query.lines, key=lambda line: (os.fsencode(line[0]), line[1])):
        query.problems.append(f"{query.pattern}: not in order of path and line")


def difference(pattern: str, peer: str, ours: Counter[Line], theirs: Counter[Line]) -> str:
    """Say how many lines only one has, with an example of each."""
    more, less = ours - theirs, theirs - ours
    examples = [f"{path}:{line}" for side in (more, less) for path, line in sorted(side)[:1]]
    sides = f"{more.total()} lines only ours, {less.total()} only {peer}'s"
    return f"{pattern}: {sides}, as {' and '.join(examples)}"


def few(queries: Iterable[Query]) -> list[Query]:
    """Return the selective queries: those that find something, but little."""
    return [query for query in queries if 0 < len(query.lines) <= FEW_LINES]


def at_scale(
    share: float, files: Sequence[str], queries: Sequence[Query], corpus: Path, scratch: Path, repeat: int
) -> dict[str, Any]:
    """Index a share of the files by themselves and ask the selective queries there."""
    drawn = {path for path in files if zlib.crc32(os.fsencode(path)) < share * 2**32}
    with private_daemon(scratch / f"scale-{share:g}", **AT_REST) as folder:
        tree = folder / "tree"
        for path in drawn:
            if not (tree / path).exists():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(corpus / path, tree / path)
        admin = client.connect(start=False)
        admin.call("add", {"path": str(tree), "wait": True}, timeout=3600)
        settle(admin)
        indexed = root_status(admin, tree)["files"]
        times = ask_few(queries, tree, repeat, drawn)
    return scale_figures(queries, times, indexed)


def ask_few(
    queries: Sequence[Query], tree: Path, repeat: int, drawn: Container[str] | None = None
) -> list[float]:
    """Ask the selective queries of a tree, which has all files or those drawn; returns the medians."""
    connection = Wire()
    times = []
    for query in few(queries):
        part = Query(query.pattern)
        ask_once(part, connection, tree)
        if part.lines != [line for line in query.lines if drawn is None or line[0] in drawn]:
            part.problems.append(f"{query.pattern}: other lines in {tree.name}")
        query.problems += part.problems
        times.append(statistics.median(connection.grep(query.pattern, tree)[0] for _ in range(repeat)))
    return times


def scale_figures(queries: Sequence[Query], times: Sequence[float], files: int) -> dict[str, Any]:
    """Return what is told of one scale."""
    if not times:  # no query finds 1 to FEW_LINES lines: nothing can be said of scale
        return {"files": files, "queries": 0}
    each = {query.pattern: round(ms, 3) for query, ms in zip(few(queries), times, strict=True)}
    return {
        "files": files,
        "queries": len(times),
        "p50_ms": round(statistics.median(times), 3),
        "p95_ms": round(percentile(times, 0.95), 3),
        "each_ms": each,
    }


def under_load(queries: Sequence[Query], corpus: Path) -> dict[str, Any]:
    """Ask a light query alone, and while others ask heavy ones without pause."""
    ordered = sorted(few(queries), key=lambda query: query.ms)
    light = ordered[len(ordered) // 2] if ordered else queries[0]
    heavy = sorted(queries, key=lambda query: -query.ms)[:HEAVY]
    connection = Wire()
    alone = [connection.grep(light.pattern, corpus)[0] for _ in range(LIGHT_SAMPLES)]
    over = threading.Event()
    answers: Counter[str] = Counter()
    failed: list[str] = []

    def press(pattern: str) -> None:
        own = Wire()
        try:
            while not over.is_set():
                own.grep(pattern, corpus, keep=False)
                answers[pattern] += 1
        except (OSError, SystemExit) as error:
            failed.append(f"{pattern}: {error}")

    threads = [threading.Thread(target=press, args=(query.pattern,)) for query in heavy]
    for thread in threads:
        thread.start()
    loaded: list[float] = []
    until = time.monotonic() + LOAD_S_MAX
    while time.monotonic() < until and (len(loaded) < LIGHT_SAMPLES or not answers):
        ms, reply = connection.grep(light.pattern, corpus)
        if len(our_lines(reply)) != len(light.lines):
            light.problems.append(f"{light.pattern}: another count under load")
        loaded.append(ms)
    over.set()
    for thread in threads:
        thread.join()
    light.problems += failed
    return {
        "light": light.pattern,
        "heavy": [query.pattern for query in heavy],
        "heavy_answers": answers.total(),
        "alone": summary(alone),
        "loaded": summary(loaded),
    }


# ---- telling ----------------------------------------------------------------------------------------


def summarize(queries: Sequence[Query], peers: Sequence[str], build: dict[str, Any]) -> dict[str, Any]:
    """Return the figures over all queries."""
    first = [query.median("first50") for query in queries]
    result: dict[str, Any] = {
        "queries": len(queries),
        "ours": summary([query.ms for query in queries]),
        "first50": summary(first),
        "first50_incomplete": sum(bool(query.first_incomplete) for query in queries),
        "build": {
            key: build[key] for key in ("text_seconds", "seconds", "memory_peak_mb", "share_of_source")
        },
    }
    if "cindex" in build:
        result["build"]["cindex"] = build["cindex"]
        result["build"]["text_to_cindex"] = round(build["text_seconds"] / build["cindex"]["seconds"], 2)
    for peer in peers:
        worst = max(queries, key=lambda query: query.ratio(peer))
        result[peer] = {
            "ms": summary([query.median(peer) for query in queries]),
            "median_ratio": round(statistics.median(query.ratio(peer) for query in queries), 4),
            "worst_ratio": round(worst.ratio(peer), 3),
            "worst_query": worst.pattern,
        }
    if peers:
        result["slower_than_the_faster_peer"] = [
            query.pattern for query in queries if max(query.ratio(peer) for peer in peers) > 1
        ]
    return result


def table(queries: Sequence[Query], peers: Sequence[str], mirror: Mirror) -> str:
    """Return all queries with counts and times of every engine."""
    head = f"{'query':42} {'lines':>8} {'ms':>9} {'first50':>9}"
    head += "".join(f" | {peer:>8} {'ms':>9} {'ratio':>6}" for peer in peers)
    rows = [head, "-" * len(head)]
    for query in queries:
        name = query.pattern if len(query.pattern) <= 42 else query.pattern[:41] + "…"
        mark = "*" if query.first_incomplete else " "
        row = f"{name:42} {len(query.lines):8} {query.ms:9.2f} {query.median('first50'):8.2f}{mark}"
        for peer in peers:
            note = f"{query.counts[peer]}+{query.beyond}" if peer == "csearch" and query.beyond else ""
            row += f" | {note or query.counts[peer]:>8} {query.median(peer):9.2f} {query.ratio(peer):6.3f}"
        rows.append(row + ("  WRONG" if query.problems else ""))
    rows.append("* the ranked answer says that it is incomplete: it stopped looking at its limits")
    if mirror.beyond:
        rows.append(
            f"+n: csearch leaves out lines of more than {LONG_LINE_BYTES} bytes by design "
            f"({len(mirror.beyond)} in this corpus); n of them match"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
