"""The notice board: a small mapped file in which the writer says how far each root is.

A query has to know whether files are pending, and must not ask the writer for it: the writer may be busy, at
background priority or dead. So the writer stores numbers into a shared mapping and every query loads them.

Layout, all little words of 8 bytes (u64, native order, aligned):

    0..15     head: magic, version, writer pid, heartbeat (ns, wall clock), pause reason
    16..      64 slots of 16 words, one per root: root id + 1 (0 = free), then the fields of `_FIELDS`

Each word is stored and loaded whole (an aligned 8 byte copy); several words are not read as one unit. The
writer therefore raises `pending` before it starts on a change and lowers it after the commit that shows it:
a reader that sees 0 has a generation to open in which nothing known was missing.

The file is created once, with its blocks allocated, and neither grows nor shrinks nor is replaced, so that a
mapping stays good when the writer restarts, and a full disk cannot turn a store into SIGBUS.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

from config.errors import StoreCorrupt, StoreError, StoreFull

MAGIC = int.from_bytes(b"EinBoard", "little")
BOARD_VERSION = 1
ROOTS_MAX = 64
HEARTBEAT_STALE_NS = 10_000_000_000  # a writer silent for this long is taken for dead

# Stored by position: append, never reorder.
PHASES = ("starting", "first_index", "ready", "missing", "structure")
PAUSE_REASONS = ("", "battery", "load", "memory", "heat", "request", "disk full")

_HEAD_WORDS = 16
_SLOT_WORDS = 16
_FIELDS = (
    "pending",
    "scanning",
    "files_done",
    "files_total",
    "healthy",
    "last_scan_ns",
    "phase",
    "structure_done",
    "structure_total",
)
_WORDS = _HEAD_WORDS + ROOTS_MAX * _SLOT_WORDS
BOARD_BYTES = _WORDS * 8
_PID, _BEAT, _PAUSE, _VECTORS_LOST = 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class RootState:
    """What the writer last said of one root."""

    pending: int  # paths known to have changed and not yet in a published generation
    scanning: bool
    files_done: int  # of the first index or the running scan
    files_total: int  # 0 while not known
    healthy: bool  # the watcher has every directory and lost no event since the last scan
    last_scan_ns: int  # wall clock at the end of the last complete scan, 0 if there was none
    phase: str  # one of PHASES; "structure": all text is there, symbols and vectors are being made
    structure_done: int = 0  # indexed files that have their symbols and vectors
    structure_total: int = 0  # indexed files

    @property
    def complete(self) -> bool:
        """Whether every file was in the index at least once, if only as text."""
        return self.phase in ("ready", "structure")

    @property
    def settled(self) -> bool:
        """Whether nothing is known to be missing from the newest generation."""
        return self.complete and self.healthy and not self.pending and not self.scanning


class Board:
    """One mapping of the board. Made by `create` in the writer, by `open` everywhere else."""

    def __init__(self, mapping: mmap.mmap) -> None:
        self._mapping = mapping
        self._words = memoryview(mapping).cast("Q")
        self._slots: dict[int, int] = {}  # root id -> word of its slot, verified at every use

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Board:
        """Map the board for the writer and wipe what an earlier one said. Raises StoreError."""
        board = cls(_map(Path(path), writable=True))
        for word in range(_WORDS - 1, 1, -1):
            board._words[word] = 0
        board._words[1] = BOARD_VERSION
        board._words[0] = MAGIC
        board._words[_PID] = os.getpid()
        board.beat()
        return board

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Board:
        """Map the board for reading; an empty one is made if no writer has run yet. Raises StoreError."""
        board = cls(_map(Path(path), writable=False))
        magic, version = board._words[0], board._words[1]
        if magic not in (0, MAGIC) or version not in (0, BOARD_VERSION):
            board.close()
            raise StoreCorrupt(f"{path} is not a notice board of version {BOARD_VERSION}; delete it")
        return board

    def close(self) -> None:
        """Unmap; later use raises ValueError."""
        self._words.release()
        self._mapping.close()

    # Writer side.

    def beat(self, now_ns: int = 0) -> None:
        """Say that the writer lives; once a second is often enough."""
        self._words[_BEAT] = now_ns or time.time_ns()

    def set_paused(self, reason: str) -> None:
        """Say why background work rests; "" when it does not."""
        self._words[_PAUSE] = PAUSE_REASONS.index(reason)

    def set_vectors_lost(self, n: int) -> None:
        """Say how many vectors are being computed again; 0 in an index whose pool is intact."""
        self._words[_VECTORS_LOST] = n

    def set_root(
        self,
        root_id: int,
        *,
        pending: int | None = None,
        scanning: bool | None = None,
        files_done: int | None = None,
        files_total: int | None = None,
        healthy: bool | None = None,
        last_scan_ns: int | None = None,
        phase: str | None = None,
        structure_done: int | None = None,
        structure_total: int | None = None,
    ) -> None:
        """Store the fields that are given; a new root takes a slot. Raises StoreError if none is free."""
        slot = self._slot(root_id) or self._claim(root_id)
        values = (
            pending,
            scanning,
            files_done,
            files_total,
            healthy,
            last_scan_ns,
            None if phase is None else PHASES.index(phase),
            structure_done,
            structure_total,
        )
        for word, value in enumerate(values, slot + 1):
            if value is not None:
                self._words[word] = int(value)

    def drop_root(self, root_id: int) -> None:
        """Free the slot of a root that is no longer indexed."""
        if slot := self._slot(root_id):
            self._words[slot] = 0
            self._slots.pop(root_id, None)

    # Reader side.

    @property
    def writer_pid(self) -> int:
        """Process id of the last writer, 0 if there was none."""
        return self._words[_PID]

    @property
    def heartbeat_ns(self) -> int:
        """Wall clock of the writer's last sign of life, 0 if there was none."""
        return self._words[_BEAT]

    @property
    def paused(self) -> str:
        """Why background work rests, "" if it does not."""
        code = self._words[_PAUSE]
        return PAUSE_REASONS[code] if code < len(PAUSE_REASONS) else "unknown"

    @property
    def vectors_lost(self) -> int:
        """How many vectors are being computed again."""
        return self._words[_VECTORS_LOST]

    def writer_alive(self, now_ns: int = 0) -> bool:
        """Whether the writer's process exists and gave a sign of life within HEARTBEAT_STALE_NS."""
        if (now_ns or time.time_ns()) - self._words[_BEAT] >= HEARTBEAT_STALE_NS:
            return False
        try:
            os.kill(self._words[_PID], 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return False  # the id is somebody else's now
        return True

    def root_state(self, root_id: int) -> RootState | None:
        """What the writer last said of this root; None if it said nothing since it started."""
        slot = self._slot(root_id)
        if not slot:
            return None
        words = self._words[slot + 1 : slot + 1 + len(_FIELDS)].tolist()
        pending, scanning, done, total, healthy, last_scan_ns, phase, structured, of = words
        if self._words[slot] != root_id + 1:
            return None
        name = PHASES[phase] if phase < len(PHASES) else PHASES[0]
        return RootState(
            pending, bool(scanning), done, total, bool(healthy), last_scan_ns, name, structured, of
        )

    def _slot(self, root_id: int) -> int:
        """First word of the root's slot, 0 if it has none."""
        slot = self._slots.get(root_id, 0)
        if slot and self._words[slot] == root_id + 1:
            return slot
        for slot in range(_HEAD_WORDS, _WORDS, _SLOT_WORDS):
            if self._words[slot] == root_id + 1:
                self._slots[root_id] = slot
                return slot
        return 0

    def _claim(self, root_id: int) -> int:
        for slot in range(_HEAD_WORDS, _WORDS, _SLOT_WORDS):
            if self._words[slot] == 0:
                for word in range(slot + 1, slot + _SLOT_WORDS):
                    self._words[word] = 0
                self._words[slot] = root_id + 1
                self._slots[root_id] = slot
                return slot
        raise StoreError(f"all {ROOTS_MAX} root slots are in use; remove a root")


def _map(path: Path, *, writable: bool) -> mmap.mmap:
    """Map BOARD_BYTES of the file, allocating what it lacks."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot open the notice board {path}: {error.strerror}") from None
    try:
        size = os.fstat(fd).st_size
        if size < BOARD_BYTES:
            os.pwrite(fd, bytes(BOARD_BYTES - size), size)
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        return mmap.mmap(fd, BOARD_BYTES, access=access)
    except OSError as error:
        raise StoreFull(f"no room for the notice board {path}: {error.strerror}") from None
    finally:
        os.close(fd)
