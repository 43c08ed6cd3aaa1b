"""Answers file-name searches: tables of every root, kept beside the generations; hits looked up on disk.

A table takes a third of a second to make for the 78,600 paths of Linux, so a new generation makes none: paths
that came since are in a second, small table until they are many.
"""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from config.errors import NoSuchRoot
from indexer.records import Bool
from indexer.store.board import RootState
from indexer.store.root_view import Paths, RootView
from indexer.store.snapshot import Snapshot
from search.budget import Budget, Flag
from search.filenames import FoundName, below, find_names
from search.nametable import NameTable

MASKS_MAX = 64  # directories whose files are kept marked, per root
_TAIL_SHARE, _TAIL_MIN = 50, 500  # the second table may hold so small a part of the first, or so many paths


@dataclass(frozen=True, slots=True)
class FilesRequest:
    """One question about the file names of one root."""

    query: str
    root_id: int
    path_prefix: str = ""  # only files below this directory of the root ("" or "a/b/"), or this file
    mode: str = "fuzzy"  # fuzzy, substring, regex
    limit: int = 10
    deadline_ms: int = 5000


@dataclass(frozen=True, slots=True)
class FileHit:
    """A file, best first."""

    path: str  # relative to the root; undecodable bytes as surrogate escapes
    score: int
    ranges: tuple[tuple[int, int], ...]  # matched characters [start, end) of path


@dataclass(frozen=True, slots=True)
class FilesAnswer:
    """Files, and how far they can be trusted: as search.answer.Answer."""

    files: tuple[FileHit, ...]
    total: int  # files that match
    generation: int
    fresh: bool
    incomplete: str
    warnings: tuple[str, ...]
    ms: float


class Snapshots(Protocol):
    """Gives the newest generation."""

    def snapshot(self) -> Snapshot: ...


class States(Protocol):
    """What the writer says of its roots; the notice board."""

    def root_state(self, root_id: int) -> RootState | None: ...
    def writer_alive(self) -> bool: ...


@dataclass
class _Known:
    """The tables of a root for the first paths of its views, and marks for one generation."""

    paths: Paths
    tables: list[NameTable]
    generation: int = -1
    masks: dict[str, list[Bool | None]] = field(default_factory=dict)


class FileFinder:
    """Answers file-name searches from the newest generation. Any thread."""

    def __init__(self, reader: Snapshots, board: States | None = None) -> None:
        self._reader = reader
        self._board = board
        self._lock = threading.Lock()
        self._known: dict[int, _Known] = {}

    def find(self, request: FilesRequest, cancel: Flag | None = None) -> FilesAnswer:
        """Answer one question. Raises UsageError, NoSuchRoot, Cancelled."""
        budget = Budget(request.deadline_ms, cancel)
        # The board before the snapshot: what it calls settled is then surely in the snapshot.
        state = self._board.root_state(request.root_id) if self._board else None
        snapshot = self._reader.snapshot()
        view = snapshot.roots.get(request.root_id)
        if view is None:
            raise NoSuchRoot(f"there is no root {request.root_id} in the index; add its directory first")
        with self._lock:
            self._known = {i: known for i, known in self._known.items() if i in snapshot.roots}
            tables, masks = self._tables(view, snapshot.generation, request.path_prefix)
        budget.check()
        n, gone = request.limit, 0
        while True:
            found = find_names(request.query, request.mode, tables, masks, n)
            there = [one for one in found.files if _is_file(view, one)]
            gone = len(found.files) - len(there)
            if len(there) >= request.limit or len(found.files) < n or budget.over():
                break
            n += gone  # others move up
        fresh, incomplete, warnings = self._trust(state, gone)
        return FilesAnswer(
            files=tuple(
                FileHit(os.fsdecode(one.path), one.score, one.ranges) for one in there[: request.limit]
            ),
            total=found.total - gone,
            generation=snapshot.generation,
            fresh=fresh,
            incomplete=incomplete,
            warnings=warnings,
            ms=round(budget.spent_ms(), 3),
        )

    def _tables(
        self, view: RootView, generation: int, prefix: str
    ) -> tuple[list[NameTable], list[Bool | None]]:
        known = self._known.get(view.id)
        if known is None or not _extends(view, known.paths):
            known = _Known(view.paths, [NameTable(view.paths.tolist())])
        elif view.n > len(known.paths):
            first = known.tables[0]
            if view.n - first.n > max(_TAIL_MIN, first.n // _TAIL_SHARE):
                known = _Known(view.paths, [NameTable(view.paths.tolist())])
            else:
                known = _Known(view.paths, [first, NameTable(view.paths[first.n :].tolist(), first.n)])
        self._known[view.id] = known
        if known.generation != generation:
            known.generation, known.masks = generation, {}
        masks = known.masks.get(prefix)
        if masks is None:
            if len(known.masks) >= MASKS_MAX:
                known.masks.pop(next(iter(known.masks)))
            masks = known.masks[prefix] = [_mask(table, view, prefix) for table in known.tables]
        return known.tables, masks

    def _trust(self, state: RootState | None, gone: int) -> tuple[bool, str, tuple[str, ...]]:
        """Return (fresh, why the answer is incomplete, warnings), as the engine says it."""
        incomplete = ""
        warnings: list[str] = []
        alive = self._board is not None and self._board.writer_alive()
        if state is not None and state.phase in ("starting", "first_index"):
            of = f" of {state.files_total}" if state.files_total else ""
            incomplete = f"first index: {state.files_done}{of} files"
        if state is not None and state.phase == "missing":
            warnings.append("the root's directory is not there; the answer is from the index")
        if state is not None and not state.healthy:
            warnings.append("file events may have been lost; a scan will find what changed")
        if self._board is not None and not alive:
            warnings.append("the index is not being updated: its writer does not answer")
        if gone:
            warnings.append(f"{gone} of the files are gone, and so are their hits")
        return state is not None and state.settled and alive and not gone, incomplete, tuple(warnings)


def _extends(view: RootView, paths: Paths) -> bool:
    """True if these paths are the first of the view; only compaction gives slots other paths."""
    n = len(paths)
    if view.n < n:
        return False
    return view.paths.base is paths.base or bool(np.array_equal(view.paths[:n], paths))


def _mask(table: NameTable, view: RootView, prefix: str) -> Bool | None:
    """Return which rows are files of this generation below a directory; None: all are."""
    mask: Bool = view.file_doc[table.slots] >= 0
    if prefix.strip("/"):
        mask &= below(prefix.strip("/"), table)
    return None if mask.all() else mask


def _is_file(view: RootView, found: FoundName) -> bool:
    try:
        return stat.S_ISREG(os.lstat(os.fsencode(view.path) + b"/" + found.path).st_mode)
    except OSError:
        return False
