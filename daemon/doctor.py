"""`searchd doctor`: everything outside the index that can keep it from working, each with what to do.

Checks look and never change anything. They run in the command itself, so they also work where the daemon
does not start.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config import machine, paths, settings
from config.errors import EinsteinError
from daemon import client

INOTIFY_WATCHES_MIN = 65_536  # one per directory, shared by all programs of the user
DISK_FREE_BYTES_MIN = 2 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str  # what was found, and what to do if it is not ok


def examine() -> list[Check]:
    """Every check, in an order in which the first failure explains later ones."""
    found: list[Check] = []
    for check in (_python, _settings, _directories, _socket, _libraries, _disk, _inotify, _machine, _daemon):
        try:
            found += check()
        except EinsteinError as error:
            found.append(Check(check.__name__.removeprefix("_"), False, str(error)))
        except OSError as error:
            found.append(
                Check(check.__name__.removeprefix("_"), False, f"{error.filename}: {error.strerror}")
            )
    return found


def _python() -> Iterator[Check]:
    version = platform.python_version()
    yield Check(
        "python", sys.version_info >= (3, 11), f"{version} at {sys.executable}; 3.11 or newer is needed"
    )


def _settings() -> Iterator[Check]:
    changed = [f"{key} from {origin}" for key, _, origin in settings.load().items() if origin != "default"]
    yield Check("settings", True, ", ".join(changed) or "all at their defaults")


def _directories() -> Iterator[Check]:
    for name, path in (("cache directory", paths.cache_dir()), ("socket directory", paths.runtime_dir())):
        if not path.exists():
            yield Check(name, True, f"{path}, not made yet")
            continue
        found = path.stat()
        private = found.st_uid == os.getuid() and not found.st_mode & 0o077
        detail = f"{path}" if private else f"{path} can be entered by others; run `chmod 700 {path}`"
        yield Check(name, private and os.access(path, os.W_OK), detail)


def _socket() -> Iterator[Check]:
    path = paths.query_socket()
    room = paths.SOCKET_PATH_BYTES_MAX - len(os.fsencode(path))
    yield Check("socket path", True, f"{path}, {room} bytes below the limit")


def _libraries() -> Iterator[Check]:
    """Import the ones with native code: a wheel for another system fails here, not in the middle of work."""
    missing = []
    for name in ("numpy", "lmdb", "watchdog", "tree_sitter", "re2", "msgspec"):
        try:
            __import__(name)
        except ImportError as error:
            missing.append(f"{name}: {error}")
    yield Check("libraries", not missing, "; ".join(missing) or "all can be imported")


def _disk() -> Iterator[Check]:
    at = paths.cache_dir()
    while not at.exists():
        at = at.parent
    free = shutil.disk_usage(at).free
    detail = f"{free / 1e9:.1f} GB free at {at}; an index takes about twice its source, vectors included"
    yield Check("disk", free >= DISK_FREE_BYTES_MIN, detail)


def _inotify() -> Iterator[Check]:
    limit = Path("/proc/sys/fs/inotify/max_user_watches")
    if not limit.exists():
        return
    watches = int(limit.read_text())
    mend = (
        ""
        if watches >= INOTIFY_WATCHES_MIN
        else "; raise it with `sysctl fs.inotify.max_user_watches=524288`"
    )
    detail = f"{watches:,} directories can be watched by all programs together{mend}"
    yield Check("inotify", watches >= INOTIFY_WATCHES_MIN, detail)


def _machine() -> Iterator[Check]:
    here = machine.detect()
    kinds = f"told apart by {here.decided_by}" if here.hybrid else "of one kind"
    detail = (
        f"{len(here.fast)} fast and {len(here.background)} background cores, {kinds};"
        f" {here.memory_bytes / 1e9:.1f} GB of memory; GPU: {here.gpu or 'none'}"
    )
    yield Check("machine", True, detail)
    now = machine.conditions()
    calm = now.memory != "critical" and now.thermal != "heavy"
    said = [
        f"memory {now.memory or 'unknown'}",
        f"thermal {now.thermal or 'unknown'}",
        f"load {now.load:.2f} per CPU",
    ]
    if now.on_battery:
        said.append("on battery")
    yield Check("conditions", calm, ", ".join(said))


def _daemon() -> Iterator[Check]:
    pid = client.running_pid()
    if not pid:
        yield Check("daemon", True, "not running; `searchd start` or the first search starts it")
        return
    client.ask("ping", start=False, timeout=5.0)
    yield Check("daemon", True, f"process {pid} answers")
