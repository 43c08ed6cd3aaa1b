"""Why a file is indexed or not: the rule, the limit or the failure that decides. Changes nothing."""

# Paths are bytes or plain strings here, as the index has them.
# ruff: noqa: PTH112, PTH118

from __future__ import annotations

import os
from typing import Any

from indexer.ignore import IgnoreRules
from indexer.records import Skipped, SourceFile, Stat
from indexer.source import REASONS, Limits, read_source_stat


def why(
    root: bytes,
    path: bytes,
    rules: IgnoreRules,
    limits: Limits,
    indexed: Stat | None,
    quarantined: str | None,
) -> dict[str, Any]:
    """Return `indexed` (bool), `reason` (a sentence) and `detail` for a path of a root.

    indexed      what the index has of the file; None if it has nothing
    quarantined  why the parser is not used for its content, None if it is
    """
    if not _exists(os.path.join(root, path)):
        return _verdict(
            indexed is not None, "the file does not exist", "the index has not noticed yet" if indexed else ""
        )
    rule = _ignoring_rule(root, path, rules)
    if rule:
        return _verdict(False, "ignored", rule)
    found, stat = read_source_stat(root, path, limits)
    if isinstance(found, Skipped):
        return _verdict(False, REASONS[found.reason], found.detail)
    assert stat is not None, path
    return _indexable(found, stat, indexed, quarantined)


def _exists(path: bytes) -> bool:
    """Whether something is there; a directory on the way that may not be entered leaves that open."""
    try:
        os.lstat(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _ignoring_rule(root: bytes, path: bytes, rules: IgnoreRules) -> str | None:
    """The first rule that ignores the path or a directory above it."""
    parts = path.split(b"/")
    for depth in range(1, len(parts)):
        rule = rules.is_ignored(b"/".join(parts[:depth]), True)
        if rule:
            return rule
    return rules.is_ignored(path, os.path.isdir(os.path.join(root, path)))


def _indexable(
    source: SourceFile, stat: Stat, indexed: Stat | None, quarantined: str | None
) -> dict[str, Any]:
    about = f"{source.language}, {source.encoding}, {len(source.content)} bytes"
    if indexed is None:
        return _verdict(False, "not indexed yet", f"{about}; `searchd status` shows what is pending")
    if (indexed.size, indexed.mtime_ns) != (stat.size, stat.mtime_ns):
        return _verdict(True, "indexed, but changed since", f"{about}; the change is pending")
    if quarantined:
        return _verdict(
            True, "indexed as text only", f"{about}; its content made a parser fail: {quarantined}"
        )
    return _verdict(True, "indexed", about)


def _verdict(indexed: bool, reason: str, detail: str) -> dict[str, Any]:
    return {"indexed": indexed, "reason": reason, "detail": detail}
