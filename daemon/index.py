"""What a query process keeps open: catalog, segments, pool, notice board, model and kernel."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from config import machine, paths
from config.errors import EinsteinError, StoreError
from config.settings import Settings
from config.threads import Thread
from daemon.engines import Engines
from daemon.handlers import Dispatcher
from daemon.late_kernel import LateKernel
from daemon.scanners import Scanners
from daemon.transformer import Transformer
from indexer.embed.static import SharedModel
from indexer.store.board import Board
from indexer.store.format import FORMAT_VERSION
from indexer.store.pool import Pool
from indexer.store.snapshot import Reader
from search.engine import Engine

REFRESH_S = 1.0  # between looks at the index without queries: keeps the lease, and the next query short
OPEN_WAIT_S = 30.0  # for the writer to make an index where there is none, or to mend one
OPEN_RETRY_S = 0.02

log = logging.getLogger("einstein.index")


class OpenIndex:
    """Everything a query process keeps open, and the dispatcher over it."""

    def __init__(self, settings: Settings, supervisor_pid: int = 0) -> None:
        """Open the index; waits for the writer to make one. Raises StoreError, ModelError."""
        store_dir = paths.store_dir(FORMAT_VERSION)
        self._catalog = store_dir / "catalog" / "data.mdb"
        self.reader, self.pool, self.embedder = _open(settings, store_dir)
        self._catalog_inode = _inode(self._catalog)
        self.board = Board.open(store_dir / "board.bin")
        self.kernel: LateKernel | None = None
        if self.embedder is not None:
            self.kernel = LateKernel(settings.query.kernel, self.embedder.dim)
        self._settings = settings
        self.transformer = Transformer(settings)
        self._stop = threading.Event()
        self.engines = Engines(self._make_engine, settings.query.threads, self._kernel_report)
        self.scanners = Scanners(settings.query.scan_processes or machine.detect().scan_processes())
        self.dispatcher = Dispatcher(
            settings,
            self.reader,
            self.engines,
            self.board,
            writer_socket=paths.writer_socket(),
            scanners=self.scanners,
            supervisor_pid=supervisor_pid,
            facts={"model": self._model_report()},
            transformer_report=self.transformer.report,
        )
        self._refresher = Thread(target=self._refresh, name="refresh", daemon=True)
        self._refresher.start()

    def close(self) -> None:
        """Let go of everything; LMDB wants its environments closed."""
        self._stop.set()
        self._refresher.join(REFRESH_S * 5)
        self.scanners.close()
        self.transformer.close()
        self.reader.close()
        if self.pool is not None:
            self.pool.close()

    def _make_engine(self) -> Engine:
        return Engine(
            self.reader,
            self._settings,
            pool=self.pool,
            embedder=self.embedder,
            kernel=self.kernel,
            board=self.board,
            elsewhere=self.scanners,
            second=self.transformer,
        )

    def _kernel_report(self) -> dict[str, Any]:
        if self.kernel is None:
            return {"name": "none"}
        chosen = self.kernel.chosen()
        return {"name": chosen.name, "notes": chosen.notes}

    def _model_report(self) -> dict[str, Any]:
        if self.embedder is None:
            return {"name": "none"}
        return {
            "name": self.embedder.name,
            "dim": self.embedder.dim,
            "fingerprint": self.embedder.fingerprint,
        }

    def _refresh(self) -> None:
        """Follow the newest generation, and end this process when the index is replaced by another one."""
        failed = False
        while not self._stop.wait(REFRESH_S):
            if self.embedder is not None and self.kernel is not None:  # after the first second of answers
                self.embedder.load()
                self.kernel.chosen()
            is_other = self.pool is not None and self.pool.found not in (self.pool.identity, "")
            if is_other or _inode(self._catalog) not in (self._catalog_inode, 0):
                log.warning("the index was replaced; starting again")
                os.kill(os.getpid(), signal.SIGTERM)
                return
            try:
                self.transformer.refresh(self.reader.snapshot().segment_set)
                failed = False
            except EinsteinError as error:
                if not failed:
                    log.error("cannot read the newest generation: %s", error)
                failed = True


def _open(settings: Settings, store_dir: Path) -> tuple[Reader, Pool | None, SharedModel | None]:
    deadline = time.monotonic() + OPEN_WAIT_S
    model = SharedModel() if settings.model.tier0 else None
    while True:
        try:
            return *_open_both(settings, store_dir, model), model
        except StoreError:
            if time.monotonic() > deadline:
                raise
        time.sleep(OPEN_RETRY_S)


def _open_both(settings: Settings, store_dir: Path, model: SharedModel | None) -> tuple[Reader, Pool | None]:
    """Open the index and the pool that it names. Raises StoreError also while the writer mends them."""
    with contextlib.ExitStack() as undo:
        reader = Reader.open(store_dir)
        undo.callback(reader.close)
        pool = None
        if model is not None:
            directory = paths.pool_dir(FORMAT_VERSION, model.fingerprint)
            pool = Pool.open(directory, dim=model.dim, rows_max=settings.pool.rows, writable=False)
            undo.callback(pool.close)
            if pool.identity != reader.pool:
                raise StoreError(f"{directory} is not the vector pool of this index; restart the daemon")
        undo.pop_all()
        return reader, pool


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
