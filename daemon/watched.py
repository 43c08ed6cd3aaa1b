"""One watched root: its rules, its watcher, its scans, and what waits for them.

Events are hints and scans are the truth. A scan runs at the start, when the watcher says that it lost
something or that time is up, when the rules changed, and whenever somebody who must be sure asks for one. It
runs in a thread of its own, so that saved files are indexed meanwhile.

All methods are called by the service's thread, except `sync_watcher`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from config.settings import Settings
from indexer.ignore import IgnoreRules
from indexer.records import FileChange
from indexer.scan import confirmed, look, scan
from indexer.source import Limits
from indexer.store.lookup import Lookup
from indexer.watcher import Watcher


@dataclass(slots=True)
class Barrier:
    """Somebody who waits until everything saved before now is committed."""

    ticket: int  # 0: drawn when scan number `scan` has ended
    scan: int
    done: Future[None]
    whole: bool = False  # symbols and vectors too, where text came first


class WatchedRoot:
    """Watcher and scans of one root."""

    def __init__(
        self,
        root_id: int,
        path: bytes,
        settings: Settings,
        wake: Callable[[], None],
        scanner: Executor,
        complete: bool,
        judged_by: str,
    ) -> None:
        """Nothing is watched yet; `start` does.

        wake       called from any thread when there is something to take
        scanner    runs the scans, one at a time
        complete   whether every file of the root was in the index at least once, if only as text
        judged_by  the limits (source.Limits.mark) by which what the index has of it was judged
        """
        self.root_id = root_id
        self.path = path
        self.settings = settings
        self.barriers: list[Barrier] = []
        self.gone = False
        self.problem = ""  # why its project file counts for nothing
        self.last_scan: dict[str, Any] = {}
        self.last_scan_ns = 0  # wall clock
        self.scans_ended = 0
        self.first_ticket = 0  # drawn when the first scan ended; 0 until then
        self.complete = complete
        self.files = self.shallow = 0  # as the catalog last said: indexed, and of these with their text only
        self.listing: Future[list[FileChange]] | None = None  # of the shallow ones, for the second pass
        self.listed = (-1, -1)  # how many there were then, and how many scans had ended
        self.limits = Limits.of(settings)
        self.judged = judged_by == self.limits.mark  # no file needs to be read only because limits changed
        self.judging_ticket = 0  # drawn when the scan of everything ended that makes it so
        self.rules = IgnoreRules(path, settings)
        self._wake = wake
        self._scanner = scanner
        self._watcher = Watcher(path, self.rules, settings, wake, noticed=wake)
        self._due = ""
        self._everything = False
        self._running_everything = False
        self.scanned_everything = False  # whether the last scan listed what has not changed, too
        self._scan_number = 0  # of the scan under way, or the last one
        self._running: Future[list[FileChange]] | None = None
        self._scan_started = 0.0

    def start(self) -> None:
        """Watch and ask for the first scan. The watch comes first, so that nothing falls between them."""
        self._watcher.start()
        self.request_scan("start" if self.judged else "limits changed", everything=not self.judged)

    def stop(self) -> None:
        """Stop watching; whoever waits is let go."""
        self._watcher.stop()
        for barrier in self.barriers:
            barrier.done.cancel()
        self.barriers.clear()

    @property
    def scanning(self) -> bool:
        """Whether a scan is due or under way: the index may be behind without knowing where."""
        return (bool(self._due) and not self.gone) or self._running is not None

    @property
    def current_scan(self) -> int:
        """The number of the last scan that is due or under way."""
        return self._scan_number + 1 if self._due and not self.gone else self._scan_number

    @property
    def healthy(self) -> bool:
        """Whether every directory that should be is watched."""
        health = self._watcher.health()
        return health["backend"] not in ("", "polling") and not health["missing"]

    def pending(self) -> int:
        """Events that were seen and not yet taken."""
        return self._watcher.pending()

    def health(self) -> dict[str, Any]:
        """What the watcher says of itself."""
        return self._watcher.health()

    def take(self, lookup: Lookup, under_way: Collection[bytes]) -> list[FileChange]:
        """The changes that the watcher's hints lead to, since the last call."""
        hints = self._watcher.take()
        if hints.root_gone:
            self.gone = True
        if hints.rescan:
            self.gone = False
            self.request_scan(", ".join(hints.reasons))
        if not hints.paths and not hints.trees:
            return []
        known, skipped = lookup.files(self.root_id), lookup.skipped(self.root_id)
        return look(self.rules, hints.paths, hints.trees, known, skipped, under_way)

    def sync_watcher(self) -> bool:
        """Whether the watcher has seen everything saved before this call. Any thread; waits."""
        return self._watcher.sync(self.settings.watch.sync_timeout_ms / 1000)

    def request_scan(self, reason: str, everything: bool = False) -> int:
        """Ask for a scan that starts after now; returns its number. `everything`: all files have changed."""
        self._due = self._due or reason
        self._everything = self._everything or everything
        return self._scan_number + 1

    def start_scan(self, lookup: Lookup, under_way: Collection[bytes]) -> None:
        """Start a scan if one is due and none is running."""
        if not self._due or self._running is not None or self.gone:
            return
        reason, self._due = self._due, ""
        everything, self._everything = self._everything, False
        self._running_everything = everything
        self._scan_number += 1
        self._scan_started = time.monotonic()
        self.last_scan = {"reason": reason}
        coming = frozenset(under_way)
        self._running = self._scanner.submit(_scan, self.rules, lookup, self.root_id, everything, coming)
        self._running.add_done_callback(lambda _: self._wake())

    def ended_scan(self) -> list[FileChange] | None:
        """The changes that a scan found; None while none has ended. Raises what the scan raised (OSError)."""
        if self._running is None or not self._running.done():
            return None
        future, self._running = self._running, None
        self.scans_ended = self._scan_number
        self.scanned_everything = self._running_everything
        try:
            changes = confirmed(self.rules, future.result())
        except OSError:
            self._everything = self._everything or self._running_everything  # the next one's task now
            raise
        self.last_scan_ns = time.time_ns()
        self.last_scan |= {
            "ended": time.time(),
            "seconds": round(time.monotonic() - self._scan_started, 3),
            "changes": len(changes),
        }
        return changes


def _scan(
    rules: IgnoreRules, lookup: Lookup, root_id: int, everything: bool, under_way: frozenset[bytes]
) -> list[FileChange]:
    """Run in the scan thread."""
    files, skipped = lookup.all_files(root_id), lookup.all_skipped(root_id)
    if not everything:
        return scan(rules, files, skipped, under_way)
    found = scan(rules, {}, {})
    gone = (files.keys() | skipped.keys() | under_way) - {change.path for change in found}
    return found + [FileChange(path, None) for path in sorted(gone)]
