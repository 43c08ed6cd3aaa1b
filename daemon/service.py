"""The writer process: owns the watchers, the pipeline, the store and the merges; publishes generations.

`daemon.writer` is the process around it. One thread, the service thread, owns all state and runs
`Service.run`. Three others help it and hand their results back through futures and one wake-up pipe: the
commit thread (every call of `Writer`), the scan thread, and the threads of the control socket, which ask
for work by `Service.call`. Parsing happens in worker processes, merging in a child process.

What it publishes for the query processes: generations (in the catalog) and the notice board (how much is
pending, per root), so that a query never has to ask this process how fresh its answer is."""

# Paths are bytes or plain strings here, as the index has them.
# ruff: noqa: PTH112

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from config import paths
from config import settings as config_settings
from config.errors import EinsteinError, NoSuchRoot, PoolFull, StoreFull, UsageError
from config.machine import detect
from config.settings import Settings
from config.threads import executor
from daemon.merging import Merging
from daemon.watched import Barrier, WatchedRoot
from indexer.embed.contract import Embedder
from indexer.pipeline import RETRY_S, Commit, Pipeline
from indexer.records import Batch, FileChange
from indexer.source import Limits
from indexer.store import versions
from indexer.store.board import ROOTS_MAX, Board
from indexer.store.catalog import RootRecord
from indexer.store.lookup import Lookup
from indexer.store.pool import Pool
from indexer.store.stats import StoreStats
from indexer.store.writer import Writer, dispose
from indexer.workers import WorkerPool

_PROJECT_FILE = os.fsencode(paths.PROJECT_FILE)
TICK_S = 0.5  # the longest the service sleeps: timers, merges and readers are looked at this often
POOL_LOOK_S = 5.0  # between looks whether somebody has taken the vector pool away
FAST_FROM = 512  # paths of scans under way from which on every core parses
LOOK_AGAIN_S = 30.0  # between scans for files that the second pass could not read
SEVERAL_FROM = 64  # and from which on there is a worker for each background core

T = TypeVar("T")
log = logging.getLogger("einstein.service")


class Service:
    """State of the writer process."""

    def __init__(
        self,
        settings: Settings,
        store_dir: Path,
        model: Embedder,
        pool_dir: Path,
        in_use: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the store (raises StoreError) and start nothing yet.

        in_use  called while there is indexing to do: the daemon is not idle then
        """
        self._in_use = in_use
        self.settings = settings
        self.store_dir = store_dir
        self.model = model
        self.started = time.time()
        self._machine = detect()
        self._commands: queue.SimpleQueue[tuple[Callable[[], object], Future[object]]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self.commits = executor("commit")
        self._scans = executor("scan")
        self._disposals = executor("dispose")
        self._pool = Pool.open(pool_dir, dim=self.model.dim, rows_max=settings.pool.rows, writable=True)
        self.writer = self.commits.submit(
            Writer.open,
            store_dir,
            settings.store,
            self._pool,
            model.fingerprint if settings.model.tier0 else "",
        ).result()
        self.writer.dispose = lambda path: self._disposals.submit(dispose, path)
        for problem in self.writer.problems:
            log.warning("repaired at start: %s", problem)
        self.lookup = Lookup(store_dir)
        self.board = Board.create(store_dir / "board.bin")
        self.workers = WorkerPool(settings, store_dir)
        self.pipeline = Pipeline(settings, self.workers, self._apply, self._quarantine)
        self.merging = Merging(self.writer, self.commits, self.wake)
        self.roots: dict[int, WatchedRoot] = {}
        self.trouble: Exception | None = None  # what stops indexing
        self._stopping = False
        self._restoring: Future[bool] | None = None
        self._committed_at = time.monotonic()
        self._restore_at = 0.0  # after a failure: not before
        self._pool_look_at = 0.0
        self._look_again_at = 0.0
        self._has_others = bool(versions.others(store_dir))

    @property
    def generation(self) -> int:
        """The newest published generation."""
        return self.writer.generation

    # -- from any thread

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run `function` in the service thread; gives a future of its result."""
        future: Future[T] = Future()
        self._commands.put((function, future))  # type: ignore[arg-type]  # Future is invariant
        self.wake()
        return future

    def wake(self) -> None:
        """End the service thread's sleep."""
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            return  # the pipe is full of wake-ups: it will wake

    def stop(self) -> None:
        """Make `run` return after what is being committed."""
        self._stopping = True
        self.wake()

    # -- the service thread

    def run(self) -> None:
        """Serve until `stop`."""
        for root in self.commits.submit(self.writer.roots).result():
            self._watch(root)
        self._adopt_roots()
        self._resize()
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._close()

    def _turn(self) -> None:
        self._run_commands()
        for root in self.roots.values():
            self._advance(root)
            self._deepen(root)
        self._publish()
        self._release_barriers()
        try:
            published = self.pipeline.step(self._sleep_s(), self._wake_read)
        except EinsteinError as error:
            self.trouble = error
            log.error("cannot commit: %s", error)
            if isinstance(error, PoolFull):
                self.merging.make_room()
            published = ()
        self._drain_wakes()
        if self.pipeline.busy:
            self._in_use()
        if published:
            self.trouble = None
            self.merging.note_commit()
            self._committed_at = time.monotonic()
        self.merging.step(self._texts_settled(), self._is_idle())
        self._restore_vectors()
        self._look_at_pool()
        self._release_barriers()
        self._retire_others()
        self._resize()

    def _restore_vectors(self) -> None:
        """Have vectors that the pool has lost computed again, a step at a time in the commit thread."""
        if self._restoring is not None and self._restoring.done():
            error = self._restoring.exception()
            if error is not None:
                self.trouble = error if isinstance(error, Exception) else None
                log.error("cannot compute lost vectors: %s", error)
                self._restore_at = time.monotonic() + RETRY_S
            else:
                if self._restore_at:
                    self.trouble, self._restore_at = None, 0.0
                if not self._restoring.result():
                    log.info("all lost vectors are computed again")
            self._restoring = None
        if self._restoring is None and not self.writer.is_whole and time.monotonic() >= self._restore_at:
            self._in_use()
            self._restoring = self.commits.submit(self.writer.restore_vectors, self.model.embed_texts)
            self._restoring.add_done_callback(lambda _: self.wake())

    def _look_at_pool(self) -> None:
        """End this process, to be started again, when the vector pool is no longer there."""
        now = time.monotonic()
        if now < self._pool_look_at:
            return
        self._pool_look_at = now + POOL_LOOK_S
        if self._pool.found != self._pool.identity:
            log.error("the vector pool in %s was deleted or replaced; starting again", self._pool.directory)
            self._stopping = True

    def _adopt_roots(self) -> None:
        """Take over the roots of an index of another format version, if this one has none yet."""
        if self.roots:
            return
        for path in filter(os.path.isdir, versions.roots_of_others(self.store_dir)):
            try:
                self.add_root(path)
            except EinsteinError as error:
                log.warning("%s is no longer indexed: %s", path, error)
            else:
                log.info("%s was in an index of another format version; it is indexed anew", path)

    def _retire_others(self) -> None:
        """Remove indexes of other format versions once this one is complete."""
        whole = all(root.complete and not root.shallow for root in self.roots.values())
        if self._has_others and self.roots and whole:
            self._has_others = False
            self.commits.submit(self._remove_others)

    def _remove_others(self) -> None:
        """In the commit thread."""
        try:
            for name in versions.remove_others(self.store_dir):
                log.info("removed %s: everything is indexed in %s", name, self.store_dir.name)
        except OSError as error:
            log.error("cannot remove the index of another version: %s", error)

    def _sleep_s(self) -> float:
        return 0.0 if not self._commands.empty() or self._stopping else TICK_S

    def _drain_wakes(self) -> None:
        try:
            while os.read(self._wake_read, 4096):
                pass
        except BlockingIOError:
            return

    def _run_commands(self) -> None:
        while True:
            try:
                function, future = self._commands.get_nowait()
            except queue.Empty:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except Exception as error:  # whoever asked gets it
                future.set_exception(error)

    def _advance(self, root: WatchedRoot) -> None:
        """Take what the root's watcher and scans have found."""
        try:
            hinted = root.take(self.lookup, self.pipeline.under_way(root.root_id))
            root.start_scan(self.lookup, self.pipeline.under_way(root.root_id))
            changes = root.ended_scan()
        except OSError as error:
            self.trouble = error
            log.error("scan of %s failed: %s", os.fsdecode(root.path), error)
            return
        if hinted:
            self.pipeline.hint(root.root_id, hinted)
        if changes is not None:
            self._take_scan(root, changes)
        if _names_project_file(hinted) or _names_project_file(changes or []):
            self._reload(root)

    def _take_scan(self, root: WatchedRoot, changes: list[FileChange]) -> None:
        self.pipeline.scanned(root.root_id, changes, root.scanned_everything)
        root.first_ticket = root.first_ticket or self.pipeline.ticket()
        if not root.judged:  # the first scan was of everything
            root.judging_ticket = root.judging_ticket or self.pipeline.ticket()
        for barrier in root.barriers:
            if not barrier.ticket and root.scans_ended >= barrier.scan:
                barrier.ticket = self.pipeline.ticket()

    def _deepen(self, root: WatchedRoot) -> None:
        """Where text came first, go on with symbols and vectors once all text is there."""
        if root.listing is not None:
            if root.listing.done():
                future, root.listing = root.listing, None
                self.pipeline.deepen(root.root_id, future.result())
            return
        ready = root.scans_ended and root.shallow and not root.gone
        if not ready or self.pipeline.deepening(root.root_id) or self.pipeline.scan_left(root.root_id):
            return
        now = (root.shallow, root.scans_ended)
        if root.listed == now:  # the last round achieved nothing: what it wanted to read is not there
            if not root.scanning and time.monotonic() >= self._look_again_at:
                self._look_again_at = time.monotonic() + LOOK_AGAIN_S
                root.request_scan("files that could not be read")
            return
        root.listed = now
        root.listing = self._scans.submit(self.lookup.shallow_files, root.root_id)
        root.listing.add_done_callback(lambda _: self.wake())

    def _is_idle(self) -> bool:
        """Whether nothing has changed for a while, and nothing is being indexed."""
        if self.pipeline.busy or not self._texts_settled():
            return False
        return time.monotonic() - self._committed_at >= self.settings.store.idle_merge_s

    def _texts_settled(self) -> bool:
        """Whether segments that hold text only will stay for long."""
        return not any(
            (root.shallow and not root.gone) or self.pipeline.texts_left(root.root_id)
            for root in self.roots.values()
        )

    def _apply(self, batch: Batch) -> Future[Commit]:
        future = self.commits.submit(self._commit, batch)
        future.add_done_callback(lambda _: self.wake())
        return future

    def _quarantine(self, digest: bytes, reason: str) -> None:
        log.warning("content %s ended a parser (%s); it is indexed as text only", digest.hex(), reason)
        self.commits.submit(self.writer.quarantine, digest, reason)

    def _commit(self, batch: Batch) -> Commit:
        """Apply a batch; in the commit thread. What a worker found known may have died since: not applied."""
        brought = {digest for text in batch.texts for digest in text.digests}
        lost = {
            each.path
            for each in batch.upserts
            if each.prepared is None
            and each.digest not in brought
            and not self.writer.known(each.digest, shallow=True)
        }
        batch.upserts[:] = [each for each in batch.upserts if each.path not in lost]
        return Commit(self.writer.apply(batch), frozenset(lost))

    def _publish(self) -> None:
        for root in self.roots.values():
            progress = self.pipeline.progress(root.root_id)
            self._count(root)
            self.board.set_root(
                root.root_id,
                pending=self.pipeline.pending(root.root_id) + root.pending(),
                scanning=root.scanning,
                files_done=progress.files_done,
                files_total=progress.files_total,
                healthy=root.healthy,
                last_scan_ns=root.last_scan_ns,
                phase=self.phase(root),
                structure_done=root.files - root.shallow,
                structure_total=root.files,
            )
            self._note_judged(root)
        self.board.set_paused("disk full" if isinstance(self.trouble, StoreFull) else "")
        self.board.set_vectors_lost(self.writer.vectors_lost)
        self.board.beat()

    def _count(self, root: WatchedRoot) -> None:
        record = self.lookup.root(root.root_id)
        if record is not None:
            root.files, root.shallow = record.files, record.shallow

    def _note_judged(self, root: WatchedRoot) -> None:
        """Remember the limits of a root once every file was judged by them."""
        if root.judging_ticket and self.pipeline.finished(root.root_id, root.judging_ticket):
            root.judged, root.judging_ticket = True, 0
            self.commits.submit(self.writer.mark_judged, root.root_id, root.limits.mark)

    def phase(self, root: WatchedRoot) -> str:
        """How far a root is: "missing", "first_index", "structure" or "ready".

        From "structure" on every file was in the index once, if only as text; "ready" are symbols and vectors
        too.
        """
        if root.gone:
            return "missing"
        if not root.complete and root.scans_ended:
            root.complete = self.pipeline.finished(root.root_id, root.first_ticket)
            if root.complete:
                self._count(root)
                self.commits.submit(self.writer.mark_complete, root.root_id)
        if not root.complete:
            return "first_index"
        return "structure" if root.shallow else "ready"

    def _release_barriers(self) -> None:
        for root in self.roots.values():
            for barrier in list(root.barriers):
                # Of a directory that is not there, there is nothing to wait for.
                if root.gone or self._is_reached(root, barrier):
                    root.barriers.remove(barrier)
                    if barrier.done.set_running_or_notify_cancel():
                        barrier.done.set_result(None)

    def _is_reached(self, root: WatchedRoot, barrier: Barrier) -> bool:
        if not barrier.ticket or not self.pipeline.finished(root.root_id, barrier.ticket):
            return False
        if barrier.whole:
            self._count(root)
        return not (barrier.whole and root.shallow)

    def _resize(self) -> None:
        """Every core for a first build, the background cores for much work, one worker for a saved file."""
        count, left = self.settings.workers.count, self.pipeline.bulk_left
        if left >= FAST_FROM:
            self.workers.resize(count or self._machine.workers_fast(), "fast")
        elif left >= SEVERAL_FROM:
            self.workers.resize(count or self._machine.workers(), "background")
        else:
            self.workers.resize(1, "background")

    def _watch(self, record: RootRecord) -> None:
        path = os.fsencode(record.path)
        settings, problem = self._settings_or_default(record.path)
        if problem:
            log.error("%s; it counts for nothing until it is mended", problem)
        root = WatchedRoot(record.id, path, settings, self.wake, self._scans, record.complete, record.limits)
        if record.limits and not root.judged:
            log.info("%s: other limits than before (now %s)", record.path, root.limits.mark)
        root.problem = problem
        self.roots[record.id] = root
        self._count(root)
        self.pipeline.add_root(record.id, path, root.limits.languages)
        root.start()

    def _settings_or_default(self, path: str) -> tuple[Settings, str]:
        """A root's settings, and what is wrong with its project file: then it has the user's settings."""
        try:
            return _settings_of(path), ""
        except EinsteinError as error:  # broken since it was added: the other roots must not suffer
            return self.settings, str(error)

    def _reload(self, root: WatchedRoot) -> None:
        """Begin anew with a root whose project file says something else now; who waits goes on waiting."""
        path = os.fsdecode(root.path)
        if self._settings_or_default(path) == (root.settings, root.problem):
            return
        log.info("%s: the project file has changed", path)
        waiting, root.barriers = root.barriers, []
        root.stop()
        judged_by = root.limits.mark if root.judged else ""
        self._watch(RootRecord(root.root_id, path, 0, complete=root.complete, limits=judged_by))
        begun = self.roots[root.root_id]
        number = begun.request_scan("project file")
        begun.barriers = [Barrier(0, number, barrier.done, barrier.whole) for barrier in waiting]

    def _close(self) -> None:
        for root in self.roots.values():
            root.stop()
        self.workers.stop()
        self.merging.stop()
        self.lookup.close()
        self.commits.submit(self.writer.close).result()
        self.commits.shutdown()
        self._scans.shutdown()
        self._disposals.shutdown()

    # -- requests; each runs in the service thread

    @property
    def pool_bytes(self) -> int:
        """Bytes of disk that the vectors take."""
        return self._pool.disk_bytes

    def store_stats(self) -> StoreStats:
        """The store's figures; waits for the commit under way, so not in the service thread."""
        return self.commits.submit(self.writer.stats).result()

    def add_root(self, path: str) -> int:
        """Start indexing the directory; returns the id of the root that holds it (maybe one that existed)."""
        real = os.path.realpath(path)
        if not os.path.isdir(real):
            raise NoSuchRoot(f"{path} is not a directory; give an existing directory")
        existing = self.root_of(real)
        if existing is not None:
            return existing.root_id
        cache = os.path.realpath(paths.cache_dir())
        if os.path.commonpath([real, cache]) == cache:
            raise NoSuchRoot(f"{path} lies in the index's own directory {cache}; choose another directory")
        if len(self.roots) >= ROOTS_MAX:
            raise UsageError(f"{ROOTS_MAX} roots are indexed already; `searchd remove ROOT` makes room")
        limits = Limits.of(_settings_of(real)).mark  # a bad project file is told now, not after a scan
        root_id = self.commits.submit(self.writer.add_root, real, limits).result()
        self._watch(RootRecord(root_id, real, time.time_ns(), limits=limits))
        return root_id

    def remove_root(self, path: str) -> int:
        """Forget a root and everything only it pointed at."""
        root = self._exact_root(path)
        root.stop()
        del self.roots[root.root_id]
        self.pipeline.drop_root(root.root_id)
        self.board.drop_root(root.root_id)
        self.commits.submit(self.writer.remove_root, root.root_id).result()
        return root.root_id

    def rebuild(self, path: str) -> int:
        """Make everything of a root anew beside what is there; each batch replaces its part when complete."""
        root = self._exact_root(path)
        self.commits.submit(self.writer.forget, root.root_id).result()
        root.request_scan("rebuild", everything=True)
        return root.root_id

    def barrier(self, root_id: int, need_scan: bool, whole: bool = False) -> Future[None]:
        """A future that is done when everything saved before now is committed.

        whole  also symbols and vectors of files whose text came first
        """
        root = self.root(root_id)
        hinted = root.take(self.lookup, self.pipeline.under_way(root_id))
        if hinted:
            self.pipeline.hint(root_id, hinted)
        if _names_project_file(hinted):
            self._reload(root)
            root = self.root(root_id)
        if need_scan:
            number = root.request_scan("asked for")
        else:
            number = root.current_scan if root.scanning else 0
        ticket = 0 if number else self.pipeline.ticket()
        barrier = Barrier(ticket, number, Future(), whole)
        root.barriers.append(barrier)
        return barrier.done

    def root(self, root_id: int) -> WatchedRoot:
        """The root with this id. Raises NoSuchRoot."""
        if root_id not in self.roots:
            raise NoSuchRoot(f"there is no root {root_id}; it may have been removed meanwhile")
        return self.roots[root_id]

    def root_of(self, path: str) -> WatchedRoot | None:
        """The innermost root that contains the real path."""
        found = None
        for root in self.roots.values():
            base = os.fsdecode(root.path)
            if (path == base or path.startswith(base.rstrip("/") + "/")) and (
                found is None or len(base) > len(found.path)
            ):
                found = root
        return found

    def _exact_root(self, path: str) -> WatchedRoot:
        real = os.path.realpath(path)
        for root in self.roots.values():
            if os.fsdecode(root.path) == real:
                return root
        known = ", ".join(os.fsdecode(root.path) for root in self.roots.values()) or "none"
        raise NoSuchRoot(f"{path} is not an indexed root; roots are: {known}")


def _names_project_file(changes: list[FileChange]) -> bool:
    return any(change.path == _PROJECT_FILE for change in changes)


def _settings_of(root: str) -> Settings:
    """The settings of a root, its project file included. Raises ConfigError, UsageError."""
    settings = config_settings.load(project_root=root)
    Limits.of(settings)
    return settings
