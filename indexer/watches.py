"""Which directory has which inotify watch. Knows no library: adding and removing are functions it is given.

inotify names a watch by number and remembers the inode, not the path: a directory that is moved keeps its
watch under the old path. So a directory that went is forgotten with everything below it, and one that came is
watched anew; if the two cross, the later path owns the watch.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable


class WatchTable:
    """Watches of the directories of one root, and a few special ones. Safe between threads."""

    def __init__(
        self, add: Callable[[bytes, int, bool], int | None], drop: Callable[[int, int], None]
    ) -> None:
        """Start empty.

        add   (path, id, special) -> number of the watch, None if it cannot be had; the path of an ordinary
              watch is relative to the root, that of a special one absolute
        drop  (watch, id) removes what add with that id set
        """
        self._add = add
        self._drop = drop
        self._lock = threading.RLock()
        self._ids = itertools.count()
        self._path_of: dict[int, tuple[bytes, int]] = {}  # watch -> directory, id
        self._watch_of: dict[bytes, int] = {}
        self._special: dict[int, tuple[str, int]] = {}  # watch -> kind, id

    def __len__(self) -> int:
        return len(self._watch_of)

    def __contains__(self, path: object) -> bool:
        return path in self._watch_of

    def path_of(self, watch: int) -> bytes | None:
        """The directory of an ordinary watch."""
        known = self._path_of.get(watch)
        return None if known is None else known[0]

    def kind_of(self, watch: int) -> str:
        """The kind of a special watch, "" for any other."""
        known = self._special.get(watch)
        return "" if known is None else known[0]

    def watch(self, path: bytes) -> bool:
        """Have a directory watched; whether it is."""
        with self._lock:
            if path in self._watch_of:
                return True
            id_ = next(self._ids)
            watch = self._add(path, id_, False)
            if watch is None:
                return False
            before = self._path_of.get(watch)
            if before is not None:
                # Moved here, and the event of its going is still to come.
                self._drop(watch, before[1])
                if self._watch_of.get(before[0]) == watch:
                    del self._watch_of[before[0]]
            self._path_of[watch] = (path, id_)
            self._watch_of[path] = watch
            return True

    def watch_special(self, directory: bytes, kind: str) -> None:
        """Have a directory outside the ordinary ones watched if it exists."""
        with self._lock:
            id_ = next(self._ids)
            watch = self._add(directory, id_, True)
            if watch is not None:
                self._special[watch] = (kind, id_)

    def forget(self, path: bytes) -> bool:
        """Drop the watches of a directory that is no longer there and of all below; whether it had one."""
        with self._lock:
            if path not in self._watch_of:
                return False  # then nothing below has one either
            prefix = path + b"/"
            for known in [known for known in self._watch_of if known.startswith(prefix)]:
                self._unwatch(known)
            self._unwatch(path)
            return True

    def drop_where(self, unwanted: Callable[[bytes], bool]) -> None:
        """Drop the watches of directories that are no longer wanted."""
        with self._lock:
            for path in [path for path in self._watch_of if unwanted(path)]:
                self._unwatch(path)

    def drop_special(self, keep: str) -> None:
        """Drop the special watches of every kind but one."""
        with self._lock:
            for watch, (kind, id_) in list(self._special.items()):
                if kind != keep:
                    del self._special[watch]
                    self._drop(watch, id_)

    def removed(self, watch: int) -> tuple[bytes | None, str]:
        """The kernel removed a watch: forget it; its path or None, and its special kind or ""."""
        with self._lock:
            path, _ = self._path_of.pop(watch, (None, 0))
            if path is not None and self._watch_of.get(path) == watch:
                del self._watch_of[path]
            kind, _ = self._special.pop(watch, ("", 0))
            return path, kind

    def _unwatch(self, path: bytes) -> None:
        watch = self._watch_of.pop(path)
        owner, id_ = self._path_of.get(watch, (None, 0))
        if owner == path:
            del self._path_of[watch]
            self._drop(watch, id_)


class Unwatched:
    """Directories of one root whose events do not come: `missing`, and those that may not be read.

    In a directory that may not be read nothing is indexed, so nothing is missed either; the directory above
    tells when that changes.
    """

    def __init__(self, root: bytes) -> None:
        """root: absolute path; all others are relative to it."""
        self.missing: set[bytes] = set()
        self._closed: set[bytes] = set()
        self._root = root

    def note(self, path: bytes, is_watched: bool) -> None:
        """Enter a directory that was to be watched."""
        self.missing.discard(path)
        self._closed.discard(path)
        if os.path.isdir(self._root + b"/" + path):  # noqa: PTH112  bytes
            if not self._may_read(path):
                self._closed.add(path)
            elif not is_watched:
                self.missing.add(path)

    def has_turned(self, path: bytes) -> bool:
        """Whether a directory may be read now and could not when it was noted, or the other way round."""
        return (path in self._closed) == self._may_read(path)

    def forget(self, path: bytes, below: bool) -> None:
        """Forget a directory, and everything below it if it had a watch."""
        self._closed.discard(path)
        if below:
            prefix = path + b"/"
            self.drop_where(lambda known: known.startswith(prefix))

    def drop_where(self, unwanted: Callable[[bytes], bool]) -> None:
        """Forget the directories that are no longer wanted."""
        self.missing = {path for path in list(self.missing) if not unwanted(path)}
        self._closed = {path for path in list(self._closed) if not unwanted(path)}

    def _may_read(self, path: bytes) -> bool:
        return os.access(self._root + b"/" + path, os.R_OK | os.X_OK)
