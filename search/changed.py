"""Which files of a root differ from git's HEAD: the truth behind `changed:yes`.

Asks git itself, read only: no lock is taken (an editor's git must not fail because of a search), and no
program that the repository's own configuration names is run.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from config.errors import UsageError

FRESH_S = 1.0  # seconds an answer of git is used again
TIMEOUT_S = 5.0
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class ChangedFiles:
    """Answers of git per root and generation, kept for a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[int, float, frozenset[bytes]]] = {}

    def get(self, root: str, generation: int) -> frozenset[bytes]:
        """Return the changed and untracked paths below `root`, relative to it. Raises UsageError."""
        known = self._known.get(root)
        if known and known[0] == generation and self._clock() - known[1] < FRESH_S:
            return known[2]
        paths = changed_files(root)
        self._known[root] = (generation, self._clock(), paths)
        return paths


def changed_files(root: str) -> frozenset[bytes]:
    """Ask git what differs from HEAD (in the index or the work tree) and what is untracked below `root`."""
    if _git(root, "rev-parse", "--is-inside-work-tree").returncode:
        raise UsageError(f"changed: needs a git work tree, and {root} is in none")
    head = "HEAD" if not _git(root, "rev-parse", "-q", "--verify", "HEAD").returncode else _EMPTY_TREE
    listed = b""
    for command in (
        ("diff", "--name-only", "--no-ext-diff", "--no-renames", "--relative", "-z", head, "--"),
        ("ls-files", "--others", "--exclude-standard", "-z"),
    ):
        done = _git(root, *command)
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip()
            raise UsageError(f"changed: git cannot tell what changed in {root}: {reason}")
        listed += done.stdout
    return frozenset(path for path in listed.split(b"\0") if path)


def _git(root: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        return subprocess.run(
            [*_GIT, *arguments],
            cwd=root,
            env={**environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("changed: needs git, and there is no git program") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"changed: git did not answer within {TIMEOUT_S:.0f} s in {root}") from None
