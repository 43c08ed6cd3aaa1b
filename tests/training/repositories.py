"""Small git mirrors for tests of training: bare directories, filled from texts, without a network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from indexer.parse import parse
from indexer.records import Parsed, SourceFile
from indexer.source import examine
from training.mine import LIMITS
from training.mirror import Mirror

PERMISSION = "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this software"
MIT = f"The MIT License (MIT)\n\nCopyright (c) somebody\n\n{PERMISSION}\n"

_WHO = {"NAME": "Somebody", "EMAIL": "somebody@localhost", "DATE": "2020-01-02T03:04:05Z"}
_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _WHO.items()},
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a bare directory; return what it printed."""
    command = ["git", f"--git-dir={folder}", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(command, env=_ENVIRONMENT, capture_output=True, check=True, text=True).stdout


class Repository:
    """A mirror in the making, and the work tree it is filled from."""

    def __init__(self, mirrors: Path, name: str) -> None:
        """Make owner+name/repo, without a commit."""
        self.mirror = Mirror(name, mirrors / name.replace("/", "+") / "repo")
        self.mirror.folder.mkdir(parents=True)
        self.tree = mirrors.parent / "trees" / name
        self.tree.mkdir(parents=True)
        git(self.mirror.folder, "init", "--quiet", "--bare", "--initial-branch=main")

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files into the work tree."""
        for path, text in files.items():
            file = self.tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, files: Mapping[str, str | bytes], subject: str = "Begin") -> str:
        """Commit all of the work tree, with these files written; return the revision."""
        self.write(files)
        work = (f"--work-tree={self.tree}",)
        git(self.mirror.folder, *work, "add", "--all", "--force", ".")
        git(self.mirror.folder, *work, "commit", "--quiet", "--no-verify", f"--message={subject}")
        return self.mirror.revision()


def parsed(path: str, text: str) -> tuple[SourceFile, Parsed]:
    """Read and parse a text as mining does."""
    source = examine(path.encode(), text.encode(), LIMITS)
    assert isinstance(source, SourceFile), source
    return source, parse(source, 5.0)
