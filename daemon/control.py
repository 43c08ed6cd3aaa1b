"""The requests that the writer answers, on its own socket. Query processes forward them.

Each runs in a thread of the control server and reaches the service's state only through `Service.call`, so
there is still one owner. Long waits (the first index, a sync) block that thread alone.
"""

# Paths are bytes or plain strings here, as the index has them.
# ruff: noqa: PTH100, PTH118, PTH119, PTH120

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from config import paths
from config import settings as config_settings
from config.errors import Cancelled, DeadlineExceeded, NoSuchRoot
from daemon.connection import Context
from daemon.status import processes, root_status, service_status
from daemon.wire import Request
from indexer.source import Limits
from indexer.store.check import fsck
from indexer.why import why

if TYPE_CHECKING:
    from daemon.service import Service

ADD_DEADLINE_MS = 3_600_000  # of `add` and `rebuild` with wait: a first index of something large
SYNC_DEADLINE_MS = 60_000
LOG_LINES = 100
LOG_TAIL_BYTES = 1 << 20
POLL_S = 0.1  # how often a wait looks whether its client has gone

Params = dict[str, Any]
T = TypeVar("T")


class Control:
    """Answers one request at a time per thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._methods: dict[str, Callable[[Params, Context], Params]] = {
            "add": self._add,
            "remove": self._remove,
            "rebuild": self._rebuild,
            "roots": self._roots,
            "status": self._status,
            "why": self._why,
            "sync": self._sync,
            "fsck": self._fsck,
            "log": self._log,
            "config": self._config,
        }

    def dispatch(self, request: Request, context: Context) -> Params:
        """Answer one request; raises EinsteinError."""
        return self._methods[request.method](request.params, context)

    @staticmethod
    def is_slow(request: Request) -> bool:
        """Whether the request may wait for long."""
        return request.method in ("add", "remove", "rebuild", "sync", "fsck", "why")

    def _add(self, params: Params, context: Context) -> Params:
        root_id = self._call(lambda: self._service.add_root(params["path"]))
        if params.get("wait"):
            deadline_ms = params.get("deadline_ms", ADD_DEADLINE_MS)
            self._wait(root_id, False, context, deadline_ms, whole=True)
        return self._root_status(root_id)

    def _remove(self, params: Params, _context: Context) -> Params:
        return {"removed": self._call(lambda: self._service.remove_root(params["path"]))}

    def _rebuild(self, params: Params, context: Context) -> Params:
        root_id = self._call(lambda: self._service.rebuild(params["path"]))
        if params.get("wait"):
            deadline_ms = params.get("deadline_ms", ADD_DEADLINE_MS)
            self._wait(root_id, False, context, deadline_ms, whole=True)
        return self._root_status(root_id)

    def _roots(self, _params: Params, _context: Context) -> Params:
        def roots() -> Params:
            listed = [{"id": r.root_id, "path": os.fsdecode(r.path)} for r in self._service.roots.values()]
            return {"roots": listed}

        return self._call(roots)

    def _status(self, _params: Params, _context: Context) -> Params:
        stats = self._service.store_stats()
        status = self._call(lambda: service_status(self._service, stats))
        return {**status, "processes": processes(self._service)}

    def _root_status(self, root_id: int) -> Params:
        stats = self._service.store_stats()
        return self._call(lambda: root_status(self._service, root_id, stats))

    def _why(self, params: Params, _context: Context) -> Params:
        path = os.path.abspath(params["path"])
        # The directory's real path, but the file's own name: a link is judged as the link it is.
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        root = self._call(lambda: self._service.root_of(real))
        if root is None:
            raise NoSuchRoot(f"{path} lies in no indexed root; `searchd add DIRECTORY` adds one")
        relative = os.fsencode(os.path.relpath(real, os.fsdecode(root.path)))
        service = self._service
        record = service.lookup.files(root.root_id).get(relative)
        reason = service.lookup.quarantined(record.digest) if record else None
        verdict = why(
            root.path, relative, root.rules, Limits.of(root.settings), record.stat if record else None, reason
        )
        return {"path": os.fsdecode(relative), "root": os.fsdecode(root.path), **verdict}

    def _sync(self, params: Params, context: Context) -> Params:
        if "root" in params:
            root_id = int(params["root"])
        elif "path" in params:
            found = self._call(lambda: self._service.root_of(os.path.realpath(params["path"])))
            if found is None:
                raise NoSuchRoot(f"{params['path']} lies in no indexed root")
            root_id = found.root_id
        else:
            ids = self._call(lambda: list(self._service.roots))
            for each in ids:
                self._sync({**params, "root": each}, context)
            return {"generation": self._service.generation}
        root = self._call(lambda: self._service.root(root_id))
        seen = root.sync_watcher()
        self._wait(root_id, not seen, context, params.get("deadline_ms", SYNC_DEADLINE_MS))
        return {"generation": self._service.generation}

    def _fsck(self, _params: Params, _context: Context) -> Params:
        problems = fsck(self._service.store_dir)
        return {"problems": problems, "ok": not problems}

    @staticmethod
    def _log(params: Params, _context: Context) -> Params:
        lines = int(params.get("lines", LOG_LINES))
        try:
            with paths.log_path().open("rb") as stream:
                stream.seek(0, os.SEEK_END)
                stream.seek(max(0, stream.tell() - LOG_TAIL_BYTES))
                tail = stream.read().decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            tail = []
        return {"path": str(paths.log_path()), "lines": tail[-lines:]}

    @staticmethod
    def _config(_params: Params, _context: Context) -> Params:
        items = config_settings.load().items()
        return {"settings": [{"key": key, "value": value, "origin": origin} for key, value, origin in items]}

    def _wait(
        self, root_id: int, need_scan: bool, context: Context, deadline_ms: int, whole: bool = False
    ) -> None:
        """Wait until everything saved before now is committed; whole: not only as text."""
        barrier = self._call(lambda: self._service.barrier(root_id, need_scan, whole))
        left = deadline_ms / 1000
        while left > 0:
            try:
                barrier.result(min(POLL_S, left))
                return
            except concurrent.futures.TimeoutError:
                left -= POLL_S
            except concurrent.futures.CancelledError:
                raise NoSuchRoot("the root was removed meanwhile") from None
            if context.is_set():
                raise Cancelled("the client took the request back")
        raise DeadlineExceeded(
            f"not everything was indexed within {deadline_ms} ms; `searchd status` shows how far it is"
        )

    def _call(self, function: Callable[[], T]) -> T:
        return self._service.call(function).result()
