"""Indexes of other format versions: where they are, which roots they had, when they may go.

The directory's name carries the version, so an index of another version is never opened. Its list of roots
is taken over, everything is indexed beside it, and only when every root is complete again it is removed:
until then the older program could still be started and would find its index as it was."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

_NAME = re.compile(r"store-v(\d+)")


def others(store_dir: Path) -> list[Path]:
    """The directories of other versions beside this one, newest version first."""
    found = []
    for path in store_dir.parent.glob("store-v*"):
        match = _NAME.fullmatch(path.name)
        if match and path != store_dir and path.is_dir():
            found.append((int(match[1]), path))
    return [path for _, path in sorted(found, reverse=True)]


def roots_of_others(store_dir: Path) -> list[str]:
    """The roots of the newest other version that has any; [] if there is none."""
    for path in others(store_dir):
        try:
            document = json.loads((path / "roots.json").read_text("utf-8"))
            roots = [str(root["path"]) for root in document["roots"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # that version kept its roots in another way, or is damaged
        if roots:
            return roots
    return []


def remove_others(store_dir: Path) -> list[str]:
    """Remove the indexes of other versions; returns their names."""
    removed = []
    for path in others(store_dir):
        shutil.rmtree(path)
        removed.append(path.name)
    return removed
