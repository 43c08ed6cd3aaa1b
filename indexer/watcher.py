"""Events of the operating system -> hints where to look. The door of watchdog.

Nothing here is trusted: an event only says "look at this path again", and every way in which events can get
lost ends in a rescan, never in silence. watchdog's event handlers hide exactly those losses (a full inotify
queue is a log line, FSEvents' drop flags are not looked at, failing watches are swallowed), so this module
stands one layer below them, on `InotifyFD` and on the raw FSEvents callback.

Linux: one inotify instance per root and one watch per directory that is not ignored, so node_modules costs
nothing. The kernel queues the events of one instance in order; that makes `sync` possible: a cookie file in
the cache directory, watched by the same instance, comes after everything saved before it. The source tree is
never written to. macOS: one recursive FSEvents stream, filtered by the ignore rules; two directories have
no common order there, so `sync` says no and the caller rescans. Network file systems, and systems without
inotify instances left: a rescan every POLL_S seconds.

A directory is watched before it is listed, and whoever takes its tree lists it later still: no gap. After
lost events all watches are set anew: a directory that was deleted and made again keeps no watch.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from config import cores, paths
from config.settings import Settings
from indexer.fsevents import fsevent_means
from indexer.ignore import IGNORE_NAMES, VERSION_CONTROL, IgnoreRules
from indexer.inbox import Hints, Inbox, Pacer
from indexer.mounts import NETWORK_FILE_SYSTEMS, directory_id, file_system_of
from indexer.watches import Unwatched, WatchTable

if sys.platform == "linux":
    from watchdog.observers.inotify_c import InotifyConstants as In
    from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

__all__ = ["Hints", "PollingWatcher", "Watcher"]

POLL_S = 10.0  # between scans where there are no events
DEGRADED_RESCAN_S = 20.0  # between scans while some directories have no watch: what is lost is found in 30 s
ROOT_CHECK_S = 5.0  # between looks whether the root is still the directory that is watched
ROOT_GONE_CHECK_S = 0.5
GIT_INDEX_GAP_S = 10.0  # git rewrites its index also when nothing changed; files report themselves anyway

_log = logging.getLogger(__name__)


class _Source(Protocol):
    """Where hints come from, one instance from start to stop; a new start takes a new instance."""

    name: str

    def start(self) -> None:
        """Set all watches. Raises OSError if the root cannot be watched."""

    def stop(self) -> None:
        """Release everything; no hint comes afterwards."""

    def reconcile(self) -> None:
        """Watch what the rules now want, and nothing else."""

    def sync(self, timeout_s: float) -> bool:
        """Wait until everything that happened before is in the inbox; False if that cannot be told."""

    def health(self) -> dict[str, int]:
        """Numbers for `status`."""


class Watcher:
    """Watches one root from `start` to `stop`; one service thread takes what it sees.

        watcher.start(); scan everything
        loop: wait for `wake`; hints = watcher.take(); scan.look or scan.scan

    Before `take` returns a rescan, the watches are as the rules want them: nothing that happens after the
    scan has begun goes unseen.
    """

    def __init__(
        self,
        root: bytes | str | os.PathLike[str],
        rules: IgnoreRules,
        settings: Settings,
        wake: Callable[[], None],
        cookie_dir: Path | None = None,
        noticed: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing is watched yet.

        root        absolute real path of a directory; the same as `rules.root`
        wake        called from threads of the watcher when `take` has something; must only set an event
        cookie_dir  private directory for `sync`; by default in the cache directory
        noticed     called like `wake`, but as soon as `pending` is no longer 0: the index is not fresh now
        """
        self.root = os.fsencode(root)
        self._rules = rules
        self._settings = settings
        self._wake = wake
        self._cookie_dir = cookie_dir
        self._inbox = Inbox(settings.watch, noticed=noticed)
        self._pacer: Pacer | None = None
        self._lock = threading.RLock()  # guards the three below
        self._source: _Source | None = None
        self._identity: tuple[int, int] | None = None  # device and inode of the root; None: it is gone
        self._stale: str = ""  # "", "rules" (watches to add and drop) or "lost" (all watches anew)

    def start(self) -> None:
        """Set all watches; returns when they are set. A root that is not there is waited for."""
        with self._lock:
            self._open_source()
            if self._identity is None:
                self._inbox.root_gone()
        self._pacer = Pacer(self._inbox, self._wake, self._tick)
        self._pacer.start()

    def stop(self) -> None:
        """Release all watches and end all threads."""
        if self._pacer is not None:
            self._pacer.stop()
            self._pacer = None
        with self._lock:
            self._close_source()

    def take(self) -> Hints:
        """Return what is due and forget it; an empty Hints (false) if nothing is. For one thread."""
        hints = self._inbox.take()
        if hints.rescan:
            with self._lock:
                self._refresh()
                if self._identity is None:
                    if self._pacer is not None:
                        self._pacer.tick_soon()  # to see it come back
                    return Hints(root_gone=True)
        return hints

    def pending(self) -> int:
        """How many changes were seen and not taken yet: an index without them is not fresh."""
        return self._inbox.pending()

    def sync(self, timeout_s: float) -> bool:
        """Wait until everything saved before this call can be taken; `take` then returns it without debounce.

        False if that cannot be guaranteed (no order between directories, root gone, no answer in time): the
        caller rescans. Never call it from `wake`.
        """
        with self._lock:
            source = self._source
        if source is None or not source.sync(timeout_s):
            return False
        self._inbox.hurry()
        if self._inbox.pending():
            self._wake()
        return True

    def health(self) -> dict[str, Any]:
        """What `status` shows.

        backend           "inotify", "fsevents" or "polling"; "" while the root is gone
        watches, wanted   directories that have a watch; that should have one
        missing           wanted - watches (limit reached, no permission)
        rescans           taken so far; events: hints so far; pending: not taken yet
        last_event_ns     time.time_ns of the last event, 0 if there was none
        """
        with self._lock:
            numbers = self._source.health() if self._source is not None else {}
            return {
                "backend": self._source.name if self._source is not None else "",
                "watches": numbers.get("watches", 0),
                "wanted": numbers.get("watches", 0) + numbers.get("missing", 0),
                "missing": numbers.get("missing", 0),
                "root_gone": self._identity is None,
                "events": self._inbox.events,
                "pending": self._inbox.pending(),
                "rescans": self._inbox.rescans,
                "last_event_ns": self._inbox.last_event_ns,
            }

    # ---- called by sources, from their threads ------------------------------------------------------

    def on_lost(self, reason: str) -> None:
        """Events went missing: rescan with fresh watches."""
        self._stale = "lost"
        self._inbox.lose(reason)

    def on_rules_changed(self) -> None:
        """An ignore file changed: rescan under the new rules."""
        self._rules.reload()
        self._stale = self._stale or "rules"
        self._inbox.lose("ignore rules changed")

    def on_git(self, name: bytes) -> None:
        """A file directly in git's directory changed."""
        if name == b"HEAD":
            self._inbox.lose("git switched to another commit")
        elif name == b"index":
            self._inbox.lose("git's index changed", GIT_INDEX_GAP_S)

    # ---- inside -------------------------------------------------------------------------------------

    def _make_source(self) -> _Source:
        if file_system_of(self.root) in NETWORK_FILE_SYSTEMS:
            return _Polling()
        if sys.platform == "linux":
            cookie_dir = paths.cache_dir() / "cookies" if self._cookie_dir is None else self._cookie_dir
            return _Inotify(self.root, self._rules, self._inbox, self, cookie_dir)
        elif sys.platform == "darwin":  # noqa: RET505  so mypy sees that only one of these can be
            return _FsEventsSource(self.root, self._rules, self._inbox, self)
        else:
            return _Polling()

    def _open_source(self) -> None:
        self._identity = directory_id(self.root)
        if self._identity is None:
            return
        source = self._make_source()
        try:
            source.start()
        except OSError as error:
            source.stop()
            self._identity = directory_id(self.root)
            if self._identity is None:
                return
            _log.warning("no file events for %s, scanning every %d s: %s", _show(self.root), POLL_S, error)
            source = _Polling()
        self._source = source

    def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.stop()

    def _refresh(self) -> None:
        stale, self._stale = self._stale, ""
        if stale == "lost":
            self._close_source()
            self._open_source()
        elif stale == "rules" and self._source is not None:
            self._source.reconcile()

    def _tick(self) -> float:
        """Look after the root and the timer; returns seconds until the next look."""
        identity = directory_id(self.root)
        with self._lock:
            before = self._identity
            if identity is None and before is not None:
                self._identity = None
                self._close_source()
                self._inbox.root_gone()
            elif identity is not None and identity != before:
                self._close_source()
                self._open_source()
                if self._identity is not None:
                    self._rules.reload()
                    self._inbox.lose("the root is back" if before is None else "the root was replaced", 0.0)
            if self._identity is None:
                return ROOT_GONE_CHECK_S
            period_s = self._rescan_period_s()
        if period_s and self._inbox.since_rescan_s() >= period_s:
            self._inbox.lose("timer")
        return min(ROOT_CHECK_S, period_s or ROOT_CHECK_S)

    def _rescan_period_s(self) -> float:
        period_s = float(self._settings.watch.rescan_s)
        if isinstance(self._source, _Polling):
            return min(POLL_S, period_s or POLL_S)
        if self._source is not None and self._source.health().get("missing", 0):
            return min(DEGRADED_RESCAN_S, period_s or DEGRADED_RESCAN_S)
        return period_s


class PollingWatcher(Watcher):
    """A watcher that uses no events at all; for file systems that have none."""

    def _make_source(self) -> _Source:
        return _Polling()


class _Polling:
    """No events: the timer rescans."""

    name = "polling"

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def reconcile(self) -> None:
        pass

    def sync(self, timeout_s: float) -> bool:  # noqa: ARG002
        return False

    def health(self) -> dict[str, int]:
        return {}


# ---- Linux ------------------------------------------------------------------------------------------

if sys.platform == "linux":
    # Opened and closed-without-writing are left out: they would bring our own reads back.
    _CHANGES = In.IN_MODIFY | In.IN_ATTRIB | In.IN_CLOSE_WRITE | In.IN_CREATE | In.IN_DELETE | In.IN_MOVE
    _DIRECTORY_MASK = _CHANGES | In.IN_DELETE_SELF | In.IN_MOVE_SELF | In.IN_ONLYDIR | In.IN_DONT_FOLLOW
    _DIRECTORY_MASK |= In.IN_EXCL_UNLINK
    _FINISHED = In.IN_CLOSE_WRITE | In.IN_MOVE | In.IN_DELETE
    _SPECIAL_MASK = In.IN_CREATE | In.IN_CLOSE_WRITE | In.IN_MOVE | In.IN_DELETE | In.IN_ONLYDIR
    _CAME = In.IN_CREATE | In.IN_MOVED_TO
    _WENT = In.IN_DELETE | In.IN_MOVED_FROM
    _SELF_GONE = In.IN_DELETE_SELF | In.IN_MOVE_SELF

    class _Inotify:
        """One inotify instance; its thread calls `on_event` for every event, in the kernel's order."""

        name = "inotify"

        def __init__(
            self, root: bytes, rules: IgnoreRules, inbox: Inbox, watcher: Watcher, cookie_dir: Path
        ) -> None:
            self._root = root
            self._rules = rules
            self._inbox = inbox
            self._watcher = watcher
            self._cookie_dir = cookie_dir
            self._fd: InotifyFD | None = None
            self._closed = False
            self._table = WatchTable(self._add, self._drop)  # special kinds: "cookie", "git", "info", "above"
            self._unwatched = Unwatched(root)
            self._cookie_numbers = itertools.count()
            self._cookies: dict[bytes, threading.Event] = {}

        def start(self) -> None:
            self._fd = InotifyFD()
            self._fd.start()
            self._watch(b"")
            if b"" not in self._table:
                raise OSError(errno.ENOENT, "the root cannot be watched")
            for path in self._rules.dirs():
                self._watch(path)
            for left in paths.ensure_private_dir(self._cookie_dir).iterdir():  # by a process that was killed
                if not left.name.startswith(f"{os.getpid()}-"):
                    left.unlink(missing_ok=True)
            self._table.watch_special(os.fsencode(self._cookie_dir), "cookie")
            self._watch_repository()

        def stop(self) -> None:
            self._closed = True
            for seen in list(self._cookies.values()):
                seen.set()
            if self._fd is not None:
                self._fd.stop()
                if self._fd is not threading.current_thread():
                    self._fd.join()

        def reconcile(self) -> None:
            for path in self._rules.dirs():
                self._watch(path)
            # By the rules and not by the list above: a directory may have come since it was made.
            self._table.drop_where(self._is_unwanted)
            self._unwatched.drop_where(self._is_unwanted)
            self._table.drop_special(keep="cookie")
            self._watch_repository()

        def sync(self, timeout_s: float) -> bool:
            name = f"{os.getpid()}-{id(self)}-{next(self._cookie_numbers)}".encode()
            seen = self._cookies[name] = threading.Event()
            file = self._cookie_dir / os.fsdecode(name)
            try:
                if self._closed:
                    return False
                file.touch(mode=0o600, exist_ok=False)
                return seen.wait(timeout_s) and not self._closed
            except OSError:
                return False
            finally:
                del self._cookies[name]
                with contextlib.suppress(OSError):
                    file.unlink()

        def health(self) -> dict[str, int]:
            return {"watches": len(self._table), "missing": len(self._unwatched.missing)}

        # ---- called by watchdog, in the thread of the instance --------------------------------------

        def on_event(self, event: InotifyEvent) -> None:
            if self._closed:
                return
            try:
                self._handle(event.wd, event.mask, event.name)
            except Exception as error:  # the thread must live: without it all events are lost in silence
                _log.exception("a file event could not be handled")
                self._watcher.on_lost(f"an event could not be handled: {error!r}")

        def on_watch_deleted(self, wd: int) -> None:
            if self._closed:
                return
            path, kind = self._table.removed(wd)
            if path == b"":
                self._watcher.on_lost("the root's watch is gone")
            elif kind == "cookie":
                self._watcher.on_lost("the cookie directory is gone")

        def on_queue_overflow(self) -> None:
            if self._closed:
                return
            self._watcher.on_lost("the kernel's event queue overflowed")
            for seen in list(self._cookies.values()):  # whatever was saved before is found by the rescan
                seen.set()

        def _handle(self, watch: int, mask: int, name: bytes) -> None:
            path = self._table.path_of(watch)
            if path is None:
                self._handle_special(self._table.kind_of(watch), name)
                return
            if not name:
                if path == b"" and mask & _SELF_GONE:
                    self._watcher.on_lost("the root moved or went away")
                elif mask & In.IN_UNMOUNT:
                    self._watcher.on_lost("a file system was unmounted")
                return
            full = path + b"/" + name if path else name
            if name in IGNORE_NAMES or name == b".git":
                self._watcher.on_rules_changed()
            if mask & In.IN_ISDIR:
                self._handle_directory(full, mask)
            elif self._rules.is_ignored(full, False) is None:
                self._inbox.note(full, bool(mask & _FINISHED))

        def _handle_directory(self, path: bytes, mask: int) -> None:
            if mask & _WENT:
                self._forget(path)
                if path.rpartition(b"/")[2] not in VERSION_CONTROL:
                    self._inbox.note_tree(path)
            elif mask & _CAME or (mask & In.IN_ATTRIB and self._is_news(path)):
                if self._rules.is_ignored(path, True) is not None:
                    return
                self._forget(path)
                for below in self._rules.dirs(path):
                    self._watch(below)
                self._inbox.note_tree(path)

        def _handle_special(self, kind: str, name: bytes) -> None:
            if kind == "cookie":
                seen = self._cookies.get(name)
                if seen is not None:
                    seen.set()
            elif kind == "git":
                self._watcher.on_git(name)
            elif (kind == "info" and name == b"exclude") or (kind == "above" and name in IGNORE_NAMES):
                self._watcher.on_rules_changed()

        # ---- watches --------------------------------------------------------------------------------

        def _watch(self, path: bytes) -> None:
            """Watch a directory; a failure is counted, not raised."""
            self._unwatched.note(path, self._table.watch(path))

        def _forget(self, path: bytes) -> None:
            self._unwatched.forget(path, below=self._table.forget(path))

        def _is_news(self, path: bytes) -> bool:
            """Whether a directory whose attributes changed may be read only since now, or no longer."""
            return path not in self._table or self._unwatched.has_turned(path)

        def _is_unwanted(self, path: bytes) -> bool:
            return self._rules.is_ignored(path, True) is not None

        def _watch_repository(self) -> None:
            repository = self._rules.repository
            if repository is None:
                return
            self._table.watch_special(repository.git_dir, "git")
            self._table.watch_special(repository.common_dir + b"/info", "info")
            above = self._root
            while len(above) > len(repository.top):
                above = above.rpartition(b"/")[0]
                self._table.watch_special(above, "above")

        def _add(self, path: bytes, id_: int, special: bool) -> int | None:
            if self._closed:
                return None
            directory = path if special or not path else self._root + b"/" + path
            mask = _SPECIAL_MASK if special else _DIRECTORY_MASK
            fd: Any = self._fd  # its types want NewTypes that it does not export
            try:
                watch = int(fd.add_callback(directory or self._root, mask, self, id_))
            except OSError:
                return None
            if watch >= 0:
                return watch
            self._drop(watch, id_)  # EACCES comes back as watch -1
            return None

        def _drop(self, watch: int, id_: int) -> None:
            fd: Any = self._fd
            with contextlib.suppress(OSError):
                fd.remove_callbacks([(watch, id_)])


# ---- macOS ------------------------------------------------------------------------------------------


def route_fsevent(path: bytes, flags: int, rules: IgnoreRules, inbox: Inbox, watcher: Watcher) -> None:
    """Put one FSEvents record where it belongs; path: relative to the root, b"" is the root itself."""
    meaning = fsevent_means(flags)
    name = path.rpartition(b"/")[2]
    if meaning == "lost":
        watcher.on_lost("FSEvents dropped events")
    elif meaning == "root":
        watcher.on_lost("the root moved or went away")
    elif path.startswith(b".git/"):
        if path == b".git/info/exclude":
            watcher.on_rules_changed()
        else:
            watcher.on_git(path.removeprefix(b".git/"))
    elif path and meaning:
        if name in IGNORE_NAMES or name == b".git":
            watcher.on_rules_changed()
        if rules.is_ignored(path, meaning == "tree") is None:
            (inbox.note_tree if meaning == "tree" else inbox.note)(path)


if sys.platform == "darwin":
    from watchdog.observers.api import EventQueue, ObservedWatch
    from watchdog.observers.fsevents import FSEventsEmitter

    class _FsEvents(FSEventsEmitter):
        """One recursive stream; takes the records before watchdog drops their loss flags."""

        def __init__(self, root: bytes, rules: IgnoreRules, inbox: Inbox, watcher: Watcher) -> None:
            super().__init__(EventQueue(), ObservedWatch(os.fsdecode(root), recursive=True))
            self._prefix = root.rstrip(b"/") + b"/"
            self._rules = rules
            self._inbox = inbox
            self._watcher = watcher

        def run(self) -> None:
            cores.place_thread()
            super().run()

        def events_callback(
            self,
            paths: list[bytes],
            inodes: list[int],  # noqa: ARG002
            flags: list[int],
            ids: list[int],  # noqa: ARG002
        ) -> None:
            for path, flag in zip(paths, flags, strict=False):
                try:
                    below = os.fsencode(path)
                    below = below[len(self._prefix) :] if below.startswith(self._prefix) else b""
                    route_fsevent(below, flag, self._rules, self._inbox, self._watcher)
                except Exception as error:
                    _log.exception("a file event could not be handled")
                    self._watcher.on_lost(f"an event could not be handled: {error!r}")

    class _FsEventsSource:
        """The stream as a source; a stream cannot be started twice, so each start makes one."""

        name = "fsevents"

        def __init__(self, root: bytes, rules: IgnoreRules, inbox: Inbox, watcher: Watcher) -> None:
            self._stream = _FsEvents(root, rules, inbox, watcher)

        def start(self) -> None:
            self._stream.start()

        def stop(self) -> None:
            self._stream.stop()
            with contextlib.suppress(RuntimeError):  # never started
                self._stream.join()

        def reconcile(self) -> None:
            pass

        def sync(self, timeout_s: float) -> bool:  # noqa: ARG002
            return False

        def health(self) -> dict[str, int]:
            return {"watches": 1}


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
