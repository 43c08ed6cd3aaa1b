"""One function per request of a query process: values of the wire <-> values of the index and of a query.

`search` is answered here, from the newest generation; everything that only the writer knows or may do goes to
it. A query process keeps answering while the writer is away: from the last generation, and saying so.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Protocol

from config import cores, paths
from config.errors import DaemonUnavailable, DeadlineExceeded, NoSuchRoot, UsageError
from config.processes import memory_bytes
from config.settings import Settings
from daemon import wire
from daemon.child import children_path
from daemon.client import ONCE
from daemon.codec import builtins
from daemon.connection import Context
from daemon.contents import root_contents
from daemon.engines import Engines
from daemon.link import call_writer
from daemon.scan import shortened
from daemon.scanners import Scanners
from search.answer import OF_FILE_MAX, Answer, SearchRequest, Shown
from search.batch import PatternSpec
from search.duplicates import THRESHOLD, DuplicatesRequest
from search.file_finder import FileFinder, FilesAnswer, FilesRequest
from search.grep import GrepRequest, Sweep

if TYPE_CHECKING:
    from indexer.store.board import Board
    from indexer.store.snapshot import Snapshot

log = logging.getLogger("einstein.handlers")

# Methods that only the writer can answer: seconds to wait for its reply; None: as long as the client does.
FORWARDED: dict[str, float | None] = {
    "add": None,
    "remove": 60.0,
    "rebuild": None,
    "why": 30.0,
    "sync": None,
    "fsck": None,
    "config": 30.0,
    "log": 30.0,
}
WRITER_PATIENCE_S = 5.0  # for a writer that is being started
STATUS_TIMEOUT_S = 10.0
FILES_FIELDS = tuple(field.name for field in fields(FilesAnswer))
REPLY_SLACK_S = 1.0  # so that the writer's own message about a deadline arrives

Params = dict[str, Any]


class Snapshots(Protocol):
    """Gives the newest generation: store.snapshot.Reader."""

    def snapshot(self) -> Snapshot: ...


class Dispatcher:
    """Answers the requests of one query process. Any thread."""

    def __init__(
        self,
        settings: Settings,
        reader: Snapshots,
        engines: Engines,
        board: Board,
        *,
        writer_socket: str,
        scanners: Scanners | None = None,
        supervisor_pid: int = 0,
        facts: Params | None = None,
        counters: Callable[[], Params] = dict,
        transformer_report: Callable[[], Params] = dict,
    ) -> None:
        """facts: what `status` says of this process and never changes (model); counters: what does;
        transformer_report: what it says of the second model."""
        self._transformer_report = transformer_report
        self.counters = counters
        self._settings = settings
        self._reader = reader
        self._engines = engines
        self._files = FileFinder(reader, board)
        self._board = board
        self._writer_socket = writer_socket
        self._scanners = scanners or Scanners(1)
        self._supervisor_pid = supervisor_pid
        self._facts = facts or {}
        self._started = time.time()

    def __call__(self, request: wire.Request, context: Context) -> Any:
        """Return the result, or a generator of partial results with the final one as its value."""
        params = request.params
        if request.method == "search":
            return self._search(params, context)
        if request.method == "duplicates":
            return self._duplicates(params, context)
        if request.method == "grep":
            return self._grep(params, context)
        if request.method == "files":
            return self._find_files(params, context)
        if request.method in FORWARDED:
            return self._forward(request.method, params, context, FORWARDED[request.method])
        handler = {"status": self._status, "roots": self._roots, "shutdown": self._shutdown}[request.method]
        return handler(params, context)

    @staticmethod
    def is_slow(request: wire.Request) -> bool:
        """Whether the request may wait for something else than a processor."""
        return request.method not in ("search", "files", "duplicates") or bool(request.params.get("wait"))

    # Searching.

    def _search(self, params: Params, context: Context) -> Any:
        _check_ranges(params)
        root_id, root_path, prefix = self._locate(params["path"])
        request = SearchRequest(
            query=params["query"],
            root_id=root_id,
            path_prefix=prefix,
            mode=params.get("mode", "auto"),
            limit=params.get("limit", self._settings.query.limit),
            languages=tuple(params.get("types", ())),
            globs=tuple(params.get("globs", ())),
            context=params.get("context", 0),
            whole=params.get("whole", False),
            per_file=params.get("per_file", OF_FILE_MAX),
            explain=params.get("explain", False),
            deadline_ms=params.get("deadline_ms") or self._settings.query.deadline_ms,
            shown=self._shown(params, "snippet", "snippet_path", "snippet_line"),
        )
        if params.get("wait"):
            self._sync(root_id, context)
        if params.get("stream") and not request.shown and request.mode in ("auto", "hybrid"):
            return self._streamed(request, root_path, context)
        return self._answer(request, root_path, context)

    def _answer(self, request: SearchRequest, root_path: str, context: Context) -> Params:
        with self._engines.borrow() as engine:
            answer = engine.search(request, context)
        return self._result(answer, root_path)

    def _streamed(
        self, request: SearchRequest, root_path: str, context: Context
    ) -> Generator[Params, None, Params]:
        """What the text says first, as a partial result; then everything, ranked together."""
        try:
            partial = self._answer(replace(request, mode="text"), root_path, context)
        except UsageError:  # of this mode; the real one says what there is to say
            partial = {"hits": []}
        if partial["hits"]:
            yield partial
        return self._answer(request, root_path, context)

    def _duplicates(self, params: Params, context: Context) -> Params:
        _check_ranges(params)
        below = params.get("below", "")
        if below:
            _check_absolute(below)
            below = os.path.realpath(below)
            below += "/" * (os.path.isdir(below) and below != "/")  # noqa: PTH112
        request = DuplicatesRequest(
            shown=self._shown(params, "text", "path", "line") or Shown(),
            below=below,
            threshold=params.get("threshold", THRESHOLD),
            limit=params.get("limit", self._settings.query.limit),
            languages=tuple(params.get("types", ())),
            context=params.get("context", 0),
            deadline_ms=params.get("deadline_ms") or self._settings.query.deadline_ms,
        )
        if params.get("wait"):
            self._sync(None, context)
        with self._engines.borrow() as engine:
            answer = engine.duplicates(request, context)
        return self._with_standing(builtins(answer), "")

    def _shown(self, params: Params, text: str, path: str, line: str) -> Shown | None:
        """Return the code that a request shows under these names; None if it shows none."""
        if params.keys().isdisjoint((text, path, line)):
            return None
        at = params.get(path, "")
        if line in params and params[line] < 1:
            raise UsageError(f"{line} is {params[line]}; lines count from 1")
        if line in params and not at and not params.get(text):
            raise UsageError(f"{line} needs {path} or {text} beside it")
        if at and line not in params and not params.get(text):
            raise UsageError(f"{path} needs {line} beside it: the function around that line is meant")
        if text in params and not params[text].strip():
            raise UsageError(f"{text} is empty; send the code to compare with, or {path} and {line}")
        if not at:
            return Shown(params.get(text, ""), line=params.get(line, 0))
        _check_absolute(at)
        real = os.path.realpath(at)
        root_id, root = self._holding(real)
        inside = real[len(root) :].strip("/") if root else ""
        return Shown(params.get(text, ""), at, params.get(line, 0), root_id, inside)

    def _find_files(self, params: Params, context: Context) -> Params:
        _check_ranges(params, "fuzzy", wire.FILES_MODES)
        root_id, root_path, prefix = self._locate(params["path"])
        request = FilesRequest(
            query=params["query"],
            root_id=root_id,
            path_prefix=prefix,
            mode=params.get("mode", "fuzzy"),
            limit=params.get("limit", self._settings.query.limit),
            deadline_ms=params.get("deadline_ms") or self._settings.query.deadline_ms,
        )
        if params.get("wait"):
            self._sync(root_id, context)
        return self._result(self._files.find(request, context), root_path)

    def _result(self, answer: Answer | FilesAnswer, root_path: str) -> Params:
        if isinstance(answer, FilesAnswer):  # flat: what is in it may stay as it is
            return self._with_standing({name: getattr(answer, name) for name in FILES_FIELDS}, root_path)
        return self._with_standing(builtins(answer), root_path)

    def _with_standing(self, result: Params, root_path: str) -> Params:
        """Add the root, and what the writer's absence or a pause means for the answer."""
        result["root"] = root_path
        if not self._board.writer_alive():
            result["fresh"] = False
            _add_once(result, "the writer process is not running, so changes are not seen; it is restarted")
        elif reason := self._board.paused:
            _add_once(result, f"indexing is paused: {reason}")
        if lost := self._board.vectors_lost:
            _add_once(result, _lost_vectors(lost))
        return result

    def _grep(self, params: Params, context: Context) -> Generator[bytes, None, Params]:
        """Return the encoded files as they are found, and what there is to say of all of them."""
        _check_ranges(params)
        root_id, root_path, prefix = self._locate(params["path"])
        spec = PatternSpec(
            pattern=params["pattern"],
            case=params.get("case", "yes"),
            literal=params.get("literal", False),
            word=params.get("word", False),
            what=params.get("what", "lines"),
            every=params.get("all", False),
        )
        request = GrepRequest(
            spec=spec,
            root_id=root_id,
            path_prefix=prefix,
            query=params.get("query", ""),
            languages=tuple(params.get("types", ())),
            globs=tuple(params.get("globs", ())),
            deadline_ms=params.get("deadline_ms") or self._settings.query.grep_deadline_ms,
        )
        if params.get("wait"):
            self._sync(root_id, context)
        with self._engines.borrow() as engine:
            sweep = engine.grep(request, context)
        return self._swept(sweep, spec, params.get("limit", 0), root_path)

    def _swept(
        self, sweep: Sweep, spec: PatternSpec, limit: int, root_path: str
    ) -> Generator[bytes, None, Params]:
        files = lines = changed = gone = 0
        stops = list(sweep.stops)
        for scanned in self._scanners.read(sweep, spec, limit):
            changed += scanned.changed
            gone += scanned.gone
            reaches = bool(limit) and lines + scanned.lines >= limit
            shown = shortened(scanned, limit - lines) if reaches else scanned
            files += shown.n_files
            lines += shown.lines
            if shown.n_files:
                yield shown.files
            if reaches:
                stops.append(f"limit: stopped after {limit} lines")
                break
            if not scanned.complete:
                stops.append(f"budget: {sweep.budget.spent_ms():.0f} ms are over; files behind were not read")
                break
        standing = sweep.trusted(stops, changed, gone)
        result: Params = {
            "files": files,
            "lines": lines,
            "generation": sweep.snapshot.generation,
            "fresh": standing.fresh,
            "incomplete": standing.incomplete,
            "warnings": standing.warnings,
            "files_searched": sweep.files_searched,
            "candidates": len(sweep.found.slots),
            "ms": round(sweep.budget.spent_ms(), 3),
        }
        return self._with_standing(result, root_path)

    def _sync(self, root_id: int | None, context: Context) -> None:
        """Wait until everything saved before now is in a generation, of a root or of all (None).

        Raises DeadlineExceeded.
        """
        deadline_ms = self._settings.watch.sync_timeout_ms
        if context.deadline < math.inf:
            deadline_ms = max(1, int((context.deadline - time.monotonic()) * 1000))
        params = {"deadline_ms": deadline_ms} | ({} if root_id is None else {"root": root_id})
        timeout = deadline_ms / 1000 + REPLY_SLACK_S
        self._ask_writer("sync", params, context, timeout)

    def _locate(self, path: str) -> tuple[int, str, str]:
        """Return id and path of the innermost root that holds `path`, and the place of `path` within it."""
        _check_absolute(path)
        real = os.path.realpath(path)
        found_id, found = self._holding(real)
        if not found:
            error = NoSuchRoot(f"{path} lies in no indexed root; `searchd add DIRECTORY` adds one")
            error.__dict__["path"] = path
            raise error
        rest = real[len(found) :].strip("/")
        return found_id, found, rest + "/" if rest and os.path.isdir(real) else rest  # noqa: PTH112

    def _holding(self, real: str) -> tuple[int, str]:
        """Return id and path of the innermost root that holds a real path; -1 and "" if none does."""
        found_id, found = -1, ""
        for root_id, root in self._reader.snapshot().roots.items():
            inside = real == root.path or real.startswith(root.path.rstrip("/") + "/")
            if inside and len(root.path) > len(found):
                found_id, found = root_id, root.path
        return found_id, found

    # The writer's part.

    def _forward(self, method: str, params: Params, context: Context, timeout: float | None) -> Params:
        if context.deadline < math.inf:
            timeout = max(0.0, context.deadline - time.monotonic()) + REPLY_SLACK_S
        return self._ask_writer(method, params, context, timeout)

    def _ask_writer(self, method: str, params: Params, context: Context, timeout: float | None) -> Params:
        return call_writer(
            self._writer_socket,
            method,
            params,
            context,
            timeout=timeout,
            patience_s=WRITER_PATIENCE_S,
            again=0 if method in ONCE else 1,
        )

    def _roots(self, params: Params, context: Context) -> Params:
        try:
            return self._forward("roots", params, context, STATUS_TIMEOUT_S)
        except (DaemonUnavailable, DeadlineExceeded):
            roots = self._reader.snapshot().roots.values()
            return {"roots": [{"id": root.id, "path": root.path} for root in roots]}

    def _status(self, params: Params, context: Context) -> Params:
        warnings: list[str] = []
        try:
            status = call_writer(self._writer_socket, "status", params, context, timeout=STATUS_TIMEOUT_S)
        except (DaemonUnavailable, DeadlineExceeded) as error:
            warnings.append(f"the writer does not answer ({error}); queries see the last generation")
            status = self._status_without_writer()
        if self._board.paused:
            warnings.append(f"indexing is paused: {self._board.paused}")
        if self._board.vectors_lost:
            warnings.append(_lost_vectors(self._board.vectors_lost))
        snapshot = self._reader.snapshot()
        for root in status["roots"]:
            if root["id"] in snapshot.roots:
                root |= root_contents(snapshot, root["id"])
        status["processes"] = self._processes() + status.get("processes", [])
        beside = {"transformer": self._transformer_report(), "kernel": self._engines.kernel_report()}
        return {**status, **self._facts, **beside, "warnings": warnings}

    def _status_without_writer(self) -> Params:
        snapshot = self._reader.snapshot()
        roots = []
        for root in snapshot.roots.values():
            state = self._board.root_state(root.id)
            known = builtins(state) if state else {}
            roots.append({"id": root.id, "path": root.path, "files": root.n_files, **known})
        return {"roots": roots, "generation": snapshot.generation}

    def _processes(self) -> list[Params]:
        """The supervisor and the query processes; the writer reports itself and its workers."""
        processes: list[Params] = []
        if self._supervisor_pid:
            processes.append(_process("supervisor", self._supervisor_pid))
        own = _process("query", os.getpid()) | {
            "placement": cores.report(),
            "uptime_s": round(time.time() - self._started, 1),
            **self.counters(),
        }
        processes += [_process("scan", pid) for pid in self._scanners.pids]
        listed = False
        for pid, name in _children():
            if pid == os.getpid():
                processes.append(own | {"name": name})
                listed = True
            elif name != "writer":
                processes.append(_process(name, pid))
        return processes if listed else [*processes, own]

    def _shutdown(self, _params: Params, _context: Context) -> Params:
        if not self._supervisor_pid:
            raise UsageError("this process was started without a supervisor; end it as it was started")
        os.kill(self._supervisor_pid, signal.SIGTERM)
        return {"stopping": True}


def _check_ranges(params: Params, mode: str = "auto", modes: tuple[str, ...] = wire.MODES) -> None:
    """Raise UsageError for a value that is out of its range; mode: where none is given."""
    mode = params.get("mode", mode)
    if mode not in modes:
        raise UsageError(f"no mode {mode[:50]!r}; there are {', '.join(modes)}")
    case, what = params.get("case", "yes"), params.get("what", "lines")
    if case not in wire.CASES or what not in wire.WHATS:
        raise UsageError(f"case is one of {', '.join(wire.CASES)}, what one of {', '.join(wire.WHATS)}")
    exhaustive = "pattern" in params
    ranges = {
        "limit": (0, 2**53) if exhaustive else (1, wire.LIMIT_MAX),
        "context": (0, wire.CONTEXT_MAX),
        "per_file": (0, wire.LIMIT_MAX),
        "deadline_ms": (1, wire.DEADLINE_MS_MAX),
    }
    for name, (low, high) in ranges.items():
        if not low <= params.get(name, low) <= high:
            raise UsageError(f"{name} is {params[name]}; it goes from {low} to {high}")


def _check_absolute(path: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise UsageError(f"path must be absolute, not {path[:200]!r}")


def _add_once(result: Params, warning: str) -> None:
    if warning not in result["warnings"]:
        result["warnings"] = [*result["warnings"], warning]


def _lost_vectors(n: int) -> str:
    return f"{n} vectors were lost and are computed again; until then meaning is searched by words there"


def _process(name: str, pid: int) -> Params:
    return {"name": name, "pid": pid, "memory": memory_bytes(pid)}


def _children() -> list[tuple[int, str]]:
    """Return process id and name of each child of the supervisor."""
    try:
        lines = children_path(paths.pid_path()).read_text().splitlines()
    except OSError:
        return []
    split = [line.partition(" ") for line in lines]
    return [(int(pid), name) for pid, _, name in split if pid.isdigit()]
