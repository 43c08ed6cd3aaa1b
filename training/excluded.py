"""What no model may be trained on: repositories that measure retrieval, their forks, copies and releases.

`excluded.txt` names them. A source is refused for its name; a file is refused for its content, where it is
the same bytes as any version of a file of an excluded repository whose git mirror is at hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from indexer.records import U64, Bool
from training.mirror import Mirror

EXCLUDED = Path(__file__).with_name("excluded.txt")
# A file below such a directory is somebody else's: what it is a copy of, its name does not say.
COPIES = frozenset(
    {"vendor", "vendored", "third_party", "thirdparty", "3rdparty", "third-party", "node_modules", "deps"}
    | {"bower_components", "external", "extern", "externals", "site-packages", "testdata", "fixtures"}
    | {"_vendor", "pods", "carthage"}
    | {"snapshots", "dist", "build"}
)


def excluded_names() -> list[str]:
    """Return owner/name of every excluded repository."""
    lines = EXCLUDED.read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def refuse_names(sources: Iterable[str]) -> None:
    """Stop where a source is, or by its name may be a fork or a release of, an excluded repository."""
    by_name = {name.rpartition("/")[2].lower(): name for name in excluded_names()}
    refused = [(source, by_name.get(source.rpartition("/")[2].lower())) for source in sources]
    problems = [f"{source} (excluded: {name})" for source, name in refused if name]
    if problems:
        raise SystemExit("not to be trained on: " + ", ".join(problems) + "; take them out of the sources")


def is_copied(path: bytes) -> bool:
    """Whether a path lies below a directory of other people's files, or one named as an excluded project."""
    directories = [part.decode("utf-8", "replace").lower() for part in path.split(b"/")[:-1]]
    return any(part in COPIES or part in _PROJECTS for part in directories)


# "rack" or "express" may be anybody's directory: only what nobody else's is called.
_PROJECTS = frozenset(
    name.rpartition("/")[2].lower() for name in excluded_names() if len(name.rpartition("/")[2]) >= 8
)


def excluded_blobs(mirrors: Path) -> tuple[U64, list[str]]:
    """Return the first eight bytes of the git ids of every file, in every version, of the excluded mirrors.

    Also which excluded repositories have no mirror: of them only the name is checked.
    """
    found: list[U64] = []
    absent: list[str] = []
    for name in excluded_names():
        mirror = Mirror.of(mirrors, name)
        if mirror is None:
            absent.append(name)
        else:
            found.append(mirror.all_blobs())
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint64), absent


def among(blobs: U64, excluded: U64) -> Bool:
    """Return which blobs are excluded; `excluded` is in order (17 million are too many for a set)."""
    if not len(excluded):
        return np.zeros(len(blobs), np.bool_)
    at = np.minimum(np.searchsorted(excluded, blobs), len(excluded) - 1)
    same: Bool = excluded[at] == blobs
    return same


def refuse_blobs(blobs: U64, excluded: U64) -> None:
    """Stop where mined files are the same bytes as files of excluded repositories; `excluded` is in order."""
    same = blobs[among(blobs, excluded)]
    if len(same):
        raise SystemExit(
            f"{len(same)} mined files are of excluded repositories, as git blob {same[0]:016x}...; mine again"
        )
