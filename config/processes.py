"""Whether a process lives and how much memory it uses, without a library: /proc on Linux, `ps` elsewhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not; in a container its parent may never ask for it."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1]
    except OSError:
        return True
    return state != [b"Z"]


def memory_bytes(pid: int) -> dict[str, int]:
    """Bytes of memory of a process; {} once it has ended.

    `private` is what would be free if it ended, `resident` counts shared pages (mapped index files) too.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return _from_ps(pid)
    found = {"resident": 0, "private": 0}
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        if key == "Rss":
            found["resident"] += int(rest.split()[0]) * 1024
        elif key in ("Private_Clean", "Private_Dirty"):
            found["private"] += int(rest.split()[0]) * 1024
    return found


def _from_ps(pid: int) -> dict[str, int]:
    if Path("/proc/self").exists():
        return {}  # the process has ended, or is not ours
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return {"resident": int(done.stdout) * 1024} if done.stdout.strip() else {}
