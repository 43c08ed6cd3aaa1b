"""Run by test_crash.py in a process that a fault point kills: one change of an existing index.

Usage: crash_child.py FOLDER edit|merge
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support import SmallIndex

OLD = {"a.py": "def alpha():\n    beta(1)\n", "b.py": "def beta(): pass\n", "c.py": "gamma(1)\n"}
NEW = {"a.py": "def alpha():\n    beta(2)\n\n\n\nbeta(3)\n", "d.py": "def delta(): alpha()\n"}


def edit(index: SmallIndex) -> None:
    """One batch: a file changed, one new, one gone."""
    index.apply(1, NEW, ["c.py"])


def merge(index: SmallIndex) -> None:
    """Edits leave dead documents; a merge removes them and frees their rows, which a batch takes again."""
    index.merge(any_dead=True)
    index.writer.reclaim()


if __name__ == "__main__":
    with SmallIndex(Path(sys.argv[1])) as opened:
        {"edit": edit, "merge": merge}[sys.argv[2]](opened)
