"""The truth: what lies below a root, compared with what the index holds.

Events are only hints; this finds everything they missed. It walks with `lstat` and asks no git: git's list
has secrets and what .einsteinignore names in it, and answers differently for tracked files that a pattern
matches. Measured on Linux as a git work tree (78,300 files, warm, CPU): walk, rules and comparison 0.37 s, as
much as `git ls-files -co --exclude-standard` with the stat calls; the first time 0.6 s. See ARCHITECTURE.md
and benchmarks/scan.py.

Two stats that are equal (size, mtime, inode) mean equal content, except right after a write: a second write
within the clock tick of the first leaves all three as they are. So a file whose mtime is younger than RACY_NS
is listed as changed, and so is every file that an event named; reading it and comparing digests costs little.
"""

from __future__ import annotations

import os
import stat as stat_module
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeVar

from indexer.ignore import IgnoreRules
from indexer.records import FileChange, Stat

RACY_NS = 2_000_000_000  # FAT and some network mounts keep mtime in steps of two seconds


class KnownFile(Protocol):
    """What the index remembers of a file; `Stat` and the records of the catalog are such."""

    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def inode(self) -> int: ...


F = TypeVar("F", bound=KnownFile)
V = TypeVar("V")
S = TypeVar("S", bound=KnownFile | None)  # of a skipped file; None: look again


def scan(
    rules: IgnoreRules,
    table: Mapping[bytes, F],
    skipped: Mapping[bytes, S],
    under_way: Collection[bytes] = (),
) -> list[FileChange]:
    """Return every difference between the whole root and the index, ordered by path.

    under_way  paths on their way into the index: as good as in it if they are gone, or ignored since

    Reads all ignore files anew. Raises OSError if the root cannot be listed: then nothing is known, and in
    particular nothing is gone.
    """
    now_ns = time.time_ns()  # before the walk: what is written during it is racy
    return compare(rules.walk(), table, skipped, now_ns, under_way)


def confirmed(rules: IgnoreRules, changes: Iterable[FileChange]) -> list[FileChange]:
    """Return a scan's changes, where what was gone as it passed by and is back is to be read again."""
    return [
        change if change.stat else FileChange(change.path, _back(rules, change.path)) for change in changes
    ]


def look(
    rules: IgnoreRules,
    hints: Iterable[bytes],
    trees: Iterable[bytes],
    table: Mapping[bytes, F],
    skipped: Mapping[bytes, S],
    under_way: Collection[bytes] = (),
) -> list[FileChange]:
    """Return the changes at hinted paths, ordered by path.

    hints      files (or whatever stands there now) to look at; always listed if they are to be indexed
    trees      directories that came, went or moved: everything below is compared
    under_way  as for `scan`

    Costs 10 us a hint; one pass over the table if there are trees.
    """
    changes: dict[bytes, FileChange] = {}
    roots = set(trees)
    for path in hints:
        stat = _stat_of(rules, path)
        if stat == _IS_DIRECTORY:
            roots.add(path)
        elif stat is not None:
            changes[path] = FileChange(path, stat)
        elif path in table or path in skipped or path in under_way:
            changes[path] = FileChange(path, None)
    if roots:
        now_ns = time.time_ns()
        for tree in outermost(roots):
            inside = _walk_tree(rules, tree)
            coming = below(dict.fromkeys(under_way), tree)
            for change in compare(inside, below(table, tree), below(skipped, tree), now_ns, coming):
                changes.setdefault(change.path, change)
    return [changes[path] for path in sorted(changes)]


# ---- pure -------------------------------------------------------------------------------------------


def compare(
    found: Iterable[tuple[bytes, os.stat_result]],
    table: Mapping[bytes, F],
    skipped: Mapping[bytes, S],
    now_ns: int,
    under_way: Collection[bytes] = (),
) -> list[FileChange]:
    """Return the files found that differ from the table, and the known ones that were not found."""
    changes: list[FileChange] = []
    rest: dict[bytes, KnownFile | None] = {**dict.fromkeys(under_way), **skipped, **table}  # not found so far
    take = rest.pop
    racy_after = now_ns - RACY_NS
    racy_before = now_ns + RACY_NS  # a clock that is wrong by hours must not make every scan read the file
    for path, stat in found:
        known = take(path, None)
        if (
            known is None
            or (mtime_ns := known.mtime_ns) != stat.st_mtime_ns
            or known.size != stat.st_size
            or known.inode != stat.st_ino
            or racy_after < mtime_ns < racy_before
        ):
            changes.append(FileChange(path, Stat(stat.st_size, stat.st_mtime_ns, stat.st_ino)))
    changes.extend(FileChange(path, None) for path in rest)
    changes.sort(key=_path_of)
    return changes


def outermost(trees: Iterable[bytes]) -> list[bytes]:
    """Return the directories that lie in none of the others, sorted; b"" is the root."""
    kept: list[bytes] = []
    for tree in sorted(trees, key=lambda tree: tree + b"/"):
        if not kept or not (kept[-1] == b"" or (tree + b"/").startswith(kept[-1] + b"/")):
            kept.append(tree)
    return kept


def below(table: Mapping[bytes, V], tree: bytes) -> dict[bytes, V]:
    """Return the part of a table at or below a directory."""
    if not tree:
        return dict(table)
    prefix = tree + b"/"
    return {path: value for path, value in table.items() if path.startswith(prefix) or path == tree}


def _path_of(change: FileChange) -> bytes:
    return change.path


# ---- disk -------------------------------------------------------------------------------------------

_IS_DIRECTORY = Stat(-1, -1, -1)


def _stat_of(rules: IgnoreRules, path: bytes) -> Stat | None:
    """The stat of a file to index, _IS_DIRECTORY, or None if nothing to index is there."""
    try:
        stat = os.lstat(rules.root + b"/" + path)
    except OSError:
        return None
    if stat_module.S_ISDIR(stat.st_mode):
        return _IS_DIRECTORY
    if not stat_module.S_ISREG(stat.st_mode) or rules.is_ignored(path, False) is not None:
        return None
    return Stat(stat.st_size, stat.st_mtime_ns, stat.st_ino)


def _back(rules: IgnoreRules, path: bytes) -> Stat | None:
    stat = _stat_of(rules, path)
    above = rules.root + b"/" + path.rpartition(b"/")[0]
    is_there = stat is not None and stat != _IS_DIRECTORY
    return stat if is_there and os.path.realpath(above) == above.rstrip(b"/") else None  # no pathlib: bytes


def _walk_tree(rules: IgnoreRules, tree: bytes) -> Iterable[tuple[bytes, os.stat_result]]:
    try:
        stat = os.lstat(rules.root + b"/" + tree if tree else rules.root)
    except OSError:
        return ()
    if stat_module.S_ISDIR(stat.st_mode):
        return rules.walk(tree)
    if stat_module.S_ISREG(stat.st_mode) and rules.is_ignored(tree, False) is None:
        return ((tree, stat),)  # a directory that became a file
    return ()
