"""What the watcher has seen and nobody has taken yet: bounded, debounced, safe between threads.

Two lanes become due by themselves. *Paths and trees* are due `debounce_ms` after the last event (`settle_ms`
where every file was closed or moved into place), at the latest `debounce_max_ms` after the first. A *rescan*
(events were lost, rules changed, the timer) replaces all of them; it is due after the same debounce, but not
sooner than a gap after the last rescan: a checkout that floods the queue again and again is not answered by
one scan after the other. Single files do not wait for the gap.

`Pacer` is the thread that calls `wake` when something becomes due; it sleeps otherwise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from config.settings import Watch
from config.threads import Thread

RESCAN_GAP_S = 1.0


@dataclass(frozen=True, slots=True)
class Hints:
    """Where to look. Says nothing about what happened there: `scan.look` and `scan.scan` find that out."""

    paths: frozenset[bytes] = frozenset()  # relative to the root
    trees: frozenset[bytes] = frozenset()  # directories that came, went or moved
    rescan: bool = False  # look at everything; paths and trees are empty then
    reasons: tuple[str, ...] = ()  # of the rescan
    root_gone: bool = False  # the root is not there; a rescan follows when it is back
    seen_at: float = 0.0  # time.monotonic of the first event in here, 0 if there is none

    def __bool__(self) -> bool:
        return bool(self.paths or self.trees or self.rescan or self.root_gone)


NOTHING = Hints()


class Inbox:
    """Collects hints from any thread; one thread takes them."""

    def __init__(
        self,
        settings: Watch,
        clock: Callable[[], float] = time.monotonic,
        noticed: Callable[[], None] = lambda: None,
    ) -> None:
        """noticed: called with the lock held when the first hint comes in; must only set an event."""
        self._noticed = noticed
        self._debounce_s = settings.debounce_ms / 1000
        self._debounce_max_s = settings.debounce_max_ms / 1000
        self._settle_s = min(settings.settle_ms, settings.debounce_ms) / 1000
        self._paths_max = settings.pending_paths_max
        self._clock = clock
        self.changed = threading.Condition()  # notified when something may be due sooner
        self._paths: set[bytes] = set()
        self._trees: set[bytes] = set()
        self._unfinished: set[bytes] = set()  # of the paths, those that somebody may still be writing
        self._first_at = 0.0
        self._last_at = 0.0
        self._reasons: dict[str, None] = {}
        self._rescan_due_at = 0.0
        self._rescanned_at = float("-inf")
        self._made_at = clock()
        self._lost_at = 0.0
        self._root_gone = False
        self._announced = False  # `wake` was called for what is in here
        self._hurried = False
        self.events = 0
        self.rescans = 0
        self.last_event_ns = 0

    def note(self, path: bytes, finished: bool = False) -> None:
        """Remember a file to look at. finished: it was closed, moved or removed, so more is not expected."""
        with self.changed:
            if not finished:
                self._unfinished.add(path)
            elif path in self._unfinished:
                self._unfinished.discard(path)
                if not self._unfinished:
                    self.changed.notify()  # due sooner than it was
            self._add(self._paths, path)

    def note_tree(self, path: bytes) -> None:
        """Remember a directory below which everything is to be compared."""
        with self.changed:
            self._add(self._trees, path)

    def lose(self, reason: str, gap_s: float = RESCAN_GAP_S) -> None:
        """Ask for a rescan, `gap_s` after the last one at the earliest."""
        with self.changed:
            self._lose(reason, gap_s)

    def root_gone(self) -> None:
        """Forget everything: the root is no longer there."""
        with self.changed:
            self._clear()
            self._reasons.clear()
            self._root_gone = True
            self._announced = False
            self.changed.notify()

    def hurry(self) -> None:
        """Make everything in here due now."""
        with self.changed:
            self._hurried = self._announced = self._pending() > 0

    def take(self) -> Hints:
        """Return what is due and forget it; NOTHING if nothing is."""
        with self.changed:
            now = self._clock()
            if self._root_gone:
                self._root_gone = self._announced = self._hurried = False
                return Hints(root_gone=True)
            if self._reasons and (self._hurried or self._rescan_due_at <= now):
                hints = Hints(rescan=True, reasons=tuple(self._reasons), seen_at=self._oldest())
                self._reasons.clear()
                self._rescanned_at = now
                self.rescans += 1
            elif (self._paths or self._trees) and (self._announced or self._paths_due_at() <= now):
                hints = Hints(frozenset(self._paths), frozenset(self._trees), seen_at=self._first_at)
            else:
                return NOTHING
            self._clear()
            self._announced = self._hurried = False
            self.changed.notify()  # a rescan may still be waiting for its gap
            return hints

    def pending(self) -> int:
        """How many hints have not been taken; a rescan counts as one."""
        with self.changed:
            return self._pending()

    def since_rescan_s(self) -> float:
        """Seconds since a rescan was last taken, or since the start."""
        return self._clock() - max(self._rescanned_at, self._made_at)

    def due_in_s(self) -> float | None:
        """Seconds until something is to be announced; None: nothing is. Needs `changed` held."""
        if self._announced or not self._pending():
            return None
        if self._root_gone:
            return 0.0
        due = []
        if self._reasons:
            due.append(self._rescan_due_at)
        if self._paths or self._trees:
            due.append(self._paths_due_at())
        return max(0.0, min(due) - self._clock())

    def announce(self) -> bool:
        """Mark everything due as announced; whether there is any. Needs `changed` held."""
        if self.due_in_s() != 0.0:
            return False
        self._announced = True
        return True

    def _add(self, lane: set[bytes], path: bytes) -> None:
        """Needs `changed` held."""
        now = self._clock()
        self.events += 1
        self.last_event_ns = time.time_ns()
        self._last_at = now
        if not self._pending():
            self._noticed()
        empty = not (self._paths or self._trees)
        if empty:
            self._first_at = now
        lane.add(path)
        if len(self._paths) + len(self._trees) > self._paths_max:
            first_at = self._first_at
            self._clear()
            self._lose(f"more than {self._paths_max} changes at once", RESCAN_GAP_S)
            self._lost_at = min(self._lost_at, first_at)
        elif empty:
            self.changed.notify()

    def _lose(self, reason: str, gap_s: float) -> None:
        now = self._clock()
        due_at = max(now + self._debounce_s, self._rescanned_at + gap_s)
        if not self._pending():
            self._noticed()
        if not self._reasons:
            self._lost_at = now
            self._rescan_due_at = due_at
        else:
            self._rescan_due_at = min(self._rescan_due_at, due_at)
        self._reasons[reason] = None
        self.changed.notify()

    def _clear(self) -> None:
        self._paths.clear()
        self._unfinished.clear()
        self._trees.clear()

    def _pending(self) -> int:
        return (
            len(self._paths) + len(self._trees) + (1 if self._reasons else 0) + (1 if self._root_gone else 0)
        )

    def _paths_due_at(self) -> float:
        quiet_s = self._debounce_s if self._unfinished or self._trees else self._settle_s
        return min(self._last_at + quiet_s, self._first_at + self._debounce_max_s)

    def _oldest(self) -> float:
        return min(self._lost_at, self._first_at) if self._paths or self._trees else self._lost_at


class Pacer(Thread):
    """Calls `wake` when the inbox has something due, and `tick` at regular times."""

    def __init__(self, inbox: Inbox, wake: Callable[[], None], tick: Callable[[], float]) -> None:
        """tick: returns the seconds until it wants to be called again."""
        super().__init__(target=self._work, name="watch-pacer", daemon=True)
        self._inbox = inbox
        self._wake = wake
        self._tick = tick
        self._stopped = False
        self._tick_at = 0.0

    def _work(self) -> None:
        """Wait, announce, tick, until `stop`."""
        while True:
            with self._inbox.changed:
                if self._stopped:
                    return
                due_s = self._inbox.due_in_s()
                tick_s = self._tick_at - time.monotonic()
                wait_s = min(tick_s, tick_s if due_s is None else due_s)
                if wait_s > 0:
                    self._inbox.changed.wait(wait_s)
                announced = self._inbox.announce()
            if announced:
                self._wake()
            if time.monotonic() >= self._tick_at:
                self._tick_at = float("inf")
                next_s = self._tick()
                with self._inbox.changed:  # tick_soon may have been called meanwhile
                    self._tick_at = min(self._tick_at, time.monotonic() + next_s)

    def tick_soon(self) -> None:
        """Call `tick` now, from the thread."""
        with self._inbox.changed:
            self._tick_at = 0.0
            self._inbox.changed.notify()

    def stop(self) -> None:
        """End the thread and wait for it."""
        with self._inbox.changed:
            self._stopped = True
            self._inbox.changed.notify()
        if self is not threading.current_thread():
            self.join()
