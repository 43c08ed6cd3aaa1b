"""Git mirrors: the files of a revision, and what commits changed. Bare directories, read with git alone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.records import U64

_LICENCE_FILE = re.compile(r"^(mit-)?(licen[cs]e|copying|unlicense)([-.][^/]*)?$", re.I)
# A licence's own words, in the order in which they are looked for. Only permissive ones.
_LICENCES = (
    ("Apache-2.0", r"Apache License\s+Version 2\.0"),
    ("MIT", r"Permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("BSD", r"Redistribution and use in source and binary forms, with or without"),
    ("ISC", r"Permission to use, copy, modify, and( or)? distribute this software for any purpose"),
    ("BSL-1.0", r"Boost Software License - Version 1\.0"),
    ("Zlib", r"This software is provided 'as-is', without any express or implied"),
)
_COPYLEFT = re.compile(
    r"GNU (AFFERO |LESSER |LIBRARY )?GENERAL PUBLIC LICENSE\s+Version|Mozilla Public License", re.I
)
_AT_ONCE = 256
_SUFFIXES = (
    "py js mjs jsx ts tsx go java kt php rb rs scala swift c h cc cpp hpp cs ex exs hs lua sh bash zig"
)
_CODE = tuple(f"*.{suffix}" for suffix in _SUFFIXES.split())


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a revision."""

    path: bytes
    oid: str
    nbytes: int

    @property
    def number(self) -> int:
        """The first eight bytes of its id, as Mirror.all_blobs gives them."""
        return int(self.oid[:16], 16)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A bare git directory."""

    name: str  # owner/name
    folder: Path

    @classmethod
    def of(cls, mirrors: Path, name: str) -> Mirror | None:
        """Return the mirror of owner/name in a folder that holds owner+name/repo; None if it is not there."""
        folder = mirrors / name.replace("/", "+") / "repo"
        return cls(name, folder) if folder.is_dir() else None

    def git(self, *arguments: str, given: bytes | None = None) -> bytes:
        """Run git and return what it printed."""
        command = ["git", f"--git-dir={self.folder}", *arguments]
        return subprocess.run(command, input=given, capture_output=True, check=True).stdout

    def revision(self) -> str:
        """Return the commit that the mirror stands at."""
        return self.git("rev-parse", "HEAD").decode().strip()

    def files(self, revision: str) -> list[Blob]:
        """Return the regular files of a revision."""
        found = []
        for entry in self.git("ls-tree", "-r", "-l", "-z", revision).split(b"\0")[:-1]:
            about, _, path = entry.partition(b"\t")
            mode, kind, oid, size = about.split()
            if kind == b"blob" and mode != b"120000" and size.isdigit():  # a mirror may lack large files
                found.append(Blob(path, oid.decode(), int(size)))
        return found

    def contents(self, blobs: Sequence[Blob]) -> Iterator[tuple[Blob, bytes]]:
        """Yield the files' bytes, a few hundred files at a time; one that the mirror lacks is left out."""
        for begin in range(0, len(blobs), _AT_ONCE):
            some = blobs[begin : begin + _AT_ONCE]
            told = self.git("cat-file", "--batch", given=b"".join(b.oid.encode() + b"\n" for b in some))
            at = 0
            for blob in some:
                end = told.index(b"\n", at)
                header = told[at:end].split()
                at = end + 1
                if len(header) == 3:  # not "... missing"
                    size = int(header[2])
                    yield blob, told[at : at + size]
                    at += size + 1

    def all_blobs(self) -> U64:
        """Return the first eight bytes of the id of all that it holds, every version of every file."""
        listed = self.git(
            "cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--unordered"
        ).split()
        return np.array([int(oid[:16], 16) for oid in listed], np.uint64)

    def licence(self, revision: str) -> str | None:
        """Return the permissive licence that the revision's licence file states; None for any other."""
        texts = [
            self.git("cat-file", "blob", blob.oid).decode("utf-8", "replace")
            for blob in self.files(revision)
            if _LICENCE_FILE.match(blob.path.decode("utf-8", "replace"))
        ]
        for text in texts:
            flat = re.sub(r"[\s*#;/]+", " ", text)
            for name, words in _LICENCES:
                if re.search(words, flat, re.I):
                    return None if _COPYLEFT.search(flat[:2000]) else name
        return None

    def changes(self, revision: str, n: int) -> Iterator[tuple[str, bytes]]:
        """Yield subject and patch of the last `n` commits to files of code that are no merges.

        A mirror may lack a large file: what git printed before it met that is all there is.
        """
        form = "%x01%H%x02%s"
        wanted = (
            "--no-merges",
            "--no-renames",
            "--no-color",
            "--no-ext-diff",
            "--full-index",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            "-U6",
            f"--format={form}",
            "-p",
        )
        command = ["git", f"--git-dir={self.folder}", "log", revision, f"-{n}", *wanted, "--", *_CODE]
        out = subprocess.run(command, capture_output=True, check=False).stdout
        for entry in out.split(b"\x01")[1:]:
            head, _, patch = entry.partition(b"\n")
            subject = head.partition(b"\x02")[2]
            if subject:
                yield subject.decode("utf-8", "replace"), patch
