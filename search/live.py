"""Hits against the disk: an answer never shows a line that is not there.

Before a hit is shown, its file is looked at. Size and time as indexed: the content is the indexed one.
Otherwise the file is read as it is now, what made it a hit is looked for again in the new content, and the
hit moves there or is dropped.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from indexer.encoding import decode_live
from indexer.native.look import same_files
from search.facts import RootFacts

_PRIVATE_KEY = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class Current:
    """A file as it is on disk: as indexed, changed (then with its content), or gone."""

    state: str  # "same", "changed" or "gone"
    content: bytes = b""


class Disk:
    """Looks at the files of one root, at most once each."""

    def __init__(self, facts: RootFacts, file_bytes_max: int) -> None:
        self._facts = facts
        self._root = os.fsencode(facts.view.path)
        self._file_bytes_max = file_bytes_max
        self._seen: dict[int, Current] = {}

    def look(self, slot: int) -> Current:
        """Return what became of a file since it was indexed."""
        known = self._seen.get(slot)
        if known is None:
            known = self._seen[slot] = self._look(slot)
        return known

    def look_at_all(self, slots: Iterable[int]) -> None:
        """Look at several files that will be asked for: those that are as indexed cost a third."""
        new = [slot for slot in dict.fromkeys(slots) if slot not in self._seen and self._facts.paths[slot]]
        view = self._facts.view
        paths = [self._facts.paths[slot] for slot in new]
        same = same_files(self._root, paths, view.size[new], view.mtime_ns[new])
        self._seen.update((slot, _SAME) for slot, is_same in zip(new, same.tolist(), strict=True) if is_same)

    def count(self, state: str) -> int:
        """Return how many of the files looked at were in this state."""
        return sum(current.state == state for current in self._seen.values())

    def _look(self, slot: int) -> Current:
        path = self._facts.paths[slot]
        if path is None:
            return Current("gone")
        view = self._facts.view
        return look_at(self._root, path, int(view.size[slot]), int(view.mtime_ns[slot]), self._file_bytes_max)


def look_at(root: bytes, path: bytes, size: int, mtime_ns: int, bytes_max: int) -> Current:
    """Return what became of a file that had this size and time when it was indexed.

    bytes_max  of a file that is still read
    """
    try:
        found = os.lstat(root + b"/" + path)
    except OSError:
        return Current("gone")
    if found.st_size == size and found.st_mtime_ns == mtime_ns:
        return _SAME
    if not stat_module.S_ISREG(found.st_mode) or found.st_size > bytes_max:
        return Current("gone")
    raw = _read_below(root, path, bytes_max)
    content = None if raw is None or _is_secret(raw) else decode_live(raw)
    return Current("gone") if content is None else Current("changed", content)


_SAME = Current("same")


def nearest(spans: Sequence[tuple[int, int]], offset: int) -> tuple[int, int] | None:
    """Return the span that starts nearest to an offset."""
    return min(spans, key=lambda span: abs(span[0] - offset), default=None)


def same_line(old_line: bytes, content: bytes, offset: int) -> tuple[int, int] | None:
    """Return where a line with this text stands in the content, nearest to `offset`; None if nowhere."""
    wanted = old_line.strip()
    if not wanted:
        return None
    found: list[tuple[int, int]] = []
    at = content.find(wanted)
    while at >= 0 and len(found) < 1000:
        line_start = content.rfind(b"\n", 0, at) + 1
        line_end = content.find(b"\n", at)
        line_end = len(content) if line_end < 0 else line_end
        if content[line_start:line_end].strip() == wanted:
            found.append((at, at + len(wanted)))
        at = content.find(wanted, at + len(wanted))
    return nearest(found, offset)


def find_name(name: bytes, content: bytes, offset: int) -> tuple[int, int] | None:
    """Return where a name stands as a whole word in the content, nearest to `offset`."""
    found: list[tuple[int, int]] = []
    at = content.find(name)
    while at >= 0 and len(found) < 1000:
        end = at + len(name)
        if not _is_word(content[at - 1 : at]) and not _is_word(content[end : end + 1]):
            found.append((at, end))
        at = content.find(name, end)
    return nearest(found, offset)


def _is_word(byte: bytes) -> bool:
    return byte.isalnum() or byte == b"_"


def _is_secret(raw: bytes) -> bool:
    head = raw[:200].lstrip()
    return head.startswith(_PRIVATE_KEY) and b"PRIVATE KEY" in head.split(b"\n", 1)[0]


def _read_below(root: bytes, path: bytes, bytes_max: int) -> bytes | None:
    """Read a file below the root without following a link in any component; None if that is not possible."""
    *directories, name = path.split(b"/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = -1
    try:
        opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for directory in directories:
            inner = os.open(directory, flags | os.O_DIRECTORY, dir_fd=opened)
            os.close(opened)
            opened = inner
        inner = os.open(name, flags | os.O_NONBLOCK, dir_fd=opened)
        os.close(opened)
        opened = inner
        if not stat_module.S_ISREG(os.fstat(opened).st_mode):
            return None
        with os.fdopen(opened, "rb") as file:
            opened = -1
            raw = file.read(bytes_max + 1)
        return raw if len(raw) <= bytes_max else None
    except OSError:
        return None
    finally:
        if opened >= 0:
            os.close(opened)
