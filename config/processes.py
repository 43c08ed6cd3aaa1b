"""How much memory a process uses, without a library: /proc on Linux, `ps` elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path


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
