"""What a record of macOS's FSEvents asks for. Pure; the stream itself is in watcher.py."""

from __future__ import annotations

# kFSEventStreamEventFlag... of FSEvents.h
_LOST = 0x1 | 0x2 | 0x4 | 0x8  # MustScanSubDirs, UserDropped, KernelDropped, EventIdsWrapped
_ROOT_CHANGED = 0x20
_MOUNTED = 0x40 | 0x80  # Mount, Unmount
_CAME_OR_WENT = 0x100 | 0x200 | 0x800  # ItemCreated, ItemRemoved, ItemRenamed
_IS_DIRECTORY = 0x20000


def fsevent_means(flags: int) -> str:
    """What one record asks for: "lost", "root", "tree", "path" or "" (nothing).

    Flags are unions over everything that happened to a path for a while, so only the widest meaning counts.
    """
    if flags & (_LOST | _MOUNTED):
        return "lost"
    if flags & _ROOT_CHANGED:
        return "root"
    if flags & _IS_DIRECTORY:
        return "tree" if flags & _CAME_OR_WENT else ""
    return "path"
