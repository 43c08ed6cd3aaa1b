"""Read one file once: its bytes, digest, language and encoding, or the reason why it is not indexed.

A file is opened below its root without following a symbolic link in any component: between a scan and this
read somebody may have put a link there, and nothing outside the root is ever read. `Directories` keeps the
directories on the way open between the files of a job. A file that changes while it is read is read again;
`stat` is always taken before the bytes, so if they are torn after all, the next look at the file sees another
stat and reads it again.

Reading and judging Linux 6.1 costs 5 ns a byte, 0.6 of it for the digest: cheap searches for fixed strings
turn away nearly every file before an expression sees it. (SHA-256 cut short, because processors have
instructions for it: BLAKE2b took 1.4. Those without, made before 2020, need 2.)
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat as stat_module
from dataclasses import dataclass

from config.settings import Settings
from indexer.encoding import decode
from indexer.languages import HEAD_BYTES, language_of, lines_with
from indexer.records import DIGEST_BYTES, FLAG_GENERATED, FLAG_TRANSCODED, Skipped, SourceFile, Stat

# Why a file is not indexed, in the words of `searchd why` and `status`. The keys are stored.
REASONS: dict[str, str] = {
    "binary": "its bytes are not text",
    "too_large": "it is larger than index.file_bytes_max",
    "long_lines": "it has a line longer than index.line_chars_max (minified or data)",
    "secret": "it holds a private key",
    "language": "its language is not among index.languages",
    "not_regular": "it is a symbolic link or a special file",
    "unreadable": "it cannot be read",
    "vanished": "it is no longer there",
}

_READS_MAX = 3  # a file that still changes is being written to: its next event brings it here again
_HEAD_LINES = 40


@dataclass(frozen=True, slots=True)
class Limits:
    """Which files are too much; picklable, for workers."""

    file_bytes_max: int
    line_chars_max: int
    languages: frozenset[str]  # canonical names; empty means all

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings state; unknown languages raise UsageError."""
        from indexer.languages import resolve

        index = settings.index
        languages = frozenset(resolve(name) for name in index.languages)
        return cls(index.file_bytes_max, index.line_chars_max, languages)

    @property
    def mark(self) -> str:
        """The limits in words: a file that was judged by the same words need not be judged again."""
        languages = ",".join(sorted(self.languages)) or "all"
        return f"{self.file_bytes_max} bytes, {self.line_chars_max} characters, languages {languages}"


def read_source(root: bytes, path: bytes, limits: Limits) -> SourceFile | Skipped:
    """Return what the index needs of one file, or why it is skipped.

    root  absolute real path; path  relative to it
    """
    return read_source_stat(root, path, limits)[0]


def read_source_stat(
    root: bytes, path: bytes, limits: Limits, directories: Directories | None = None
) -> tuple[SourceFile | Skipped, Stat | None]:
    """As read_source, with the stat that belongs to the bytes; None where the next scan should try again.

    directories  of this root, kept open by the caller for many files
    """
    try:
        if directories is None:
            with Directories(root) as directories:
                raw, stat = _read(directories, path, limits.file_bytes_max)
        else:
            raw, stat = _read(directories, path, limits.file_bytes_max)
    except _Refused as refused:
        return Skipped(path, refused.reason, refused.detail, refused.stat), refused.stat
    result = examine(path, raw, limits)
    if isinstance(result, Skipped):
        result = Skipped(path, result.reason, result.detail, stat)
    return result, stat


def examine(path: bytes, raw: bytes, limits: Limits) -> SourceFile | Skipped:
    """Judge the bytes of a file; `stat` of a Skipped is left None. Touches no disk."""
    if _PRIVATE_KEY.match(raw):
        return Skipped(path, "secret", "begins with a private key block", None)
    decoded = decode(raw)
    if decoded is None:
        return Skipped(path, "binary", "", None)
    content, encoding = decoded
    longest = _longest_line(content, limits.line_chars_max)
    if longest > limits.line_chars_max:
        return Skipped(path, "long_lines", f"a line of {longest} characters", None)
    language = language_of(path, content[:HEAD_BYTES])
    if limits.languages and language not in limits.languages:
        return Skipped(path, "language", language, None)
    flags = FLAG_GENERATED if is_generated(path, content) else 0
    if len(content) != len(raw) or encoding != "utf-8":
        flags |= FLAG_TRANSCODED
    # What the name decides (language, generated or not) belongs to the content's identity: an empty
    # __init__.py and an empty .gitkeep are different blobs.
    digest = hashlib.sha256(f"{language}/{flags}\0".encode())
    digest.update(raw)
    return SourceFile(digest.digest()[:DIGEST_BYTES], content, language, encoding, flags)


# ---- generated and minified -------------------------------------------------------------------------

_GENERATED_NAMES = frozenset(
    b"package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock cargo.lock poetry.lock uv.lock"
    b" pdm.lock pipfile.lock composer.lock gemfile.lock go.sum flake.lock mix.lock".split()
)  # in lower case, like the ends below
_GENERATED_ENDS = tuple(
    b".min.js .min.css .min.mjs .bundle.js .pb.go .pb.cc .pb.h _pb2.py _pb2.pyi _pb2_grpc.py _pb2_grpc.pyi"
    b" .g.dart .designer.cs".split()
)
_GENERATED_EXTENSION = re.compile(rb"\.generated\.\w+$")
_GENERATED_TEXT = re.compile(  # of lower-case text
    rb"@generated\b|\bdo not (?:edit|modify|hand[- ]edit)\b|\bcode generated by\b|\bautomatically generated\b"
    rb"|\bauto-?generated (?:by|from|file)|\bfile (?:is|was|has been) (?:auto-?)?generated\b"
    rb"|\bgenerated by the protocol"
)
_GENERATED_SIGNS = (
    b"generated",
    b"do not",
)  # one is in all that the expression finds, which is within a line
_MINIFIED = frozenset({b"js", b"mjs", b"cjs", b"css"})
_MINIFIED_LINE_BYTES = 250  # mean length of a line; hand-written code has 25 to 45


def is_generated(path: bytes, content: bytes) -> bool:
    """Whether a file says in its first lines or by its name that a program wrote it, or is minified."""
    if _is_generated_name(path[path.rfind(b"/") + 1 :].lower()):
        return True
    if path[path.rfind(b".") + 1 :] in _MINIFIED:
        n_lines = content.count(b"\n") + 1
        if len(content) > _MINIFIED_LINE_BYTES * max(n_lines, 4):
            return True
    head = content[:HEAD_BYTES]
    lines = head.split(b"\n", _HEAD_LINES)
    if len(lines) > _HEAD_LINES:
        head = head[: len(head) - len(lines[-1])]
    head = head.lower()
    return any(_GENERATED_TEXT.search(line) for sign in _GENERATED_SIGNS for line in lines_with(sign, head))


def _is_generated_name(base: bytes) -> bool:
    return (
        base in _GENERATED_NAMES
        or base.endswith(_GENERATED_ENDS)
        or (b".generated." in base and _GENERATED_EXTENSION.search(base) is not None)
    )


# ---- judging ----------------------------------------------------------------------------------------

_PRIVATE_KEY = re.compile(
    rb"\s*(?:PuTTY-User-Key-File-\d|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)"
)


def _longest_line(content: bytes, limit: int) -> int:
    """Characters of the longest line; exact only if it is above the limit."""
    at = 0
    while at + limit < len(content):  # a line that begins here and is short enough ends within `limit` bytes
        newline = content.rfind(b"\n", at, at + limit + 1)
        if newline < 0:
            longest = max(content.split(b"\n"), key=len)
            return len(longest.decode("utf-8"))
        at = newline + 1
    return 0


# ---- reading ----------------------------------------------------------------------------------------

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not block


class _Refused(Exception):
    def __init__(self, reason: str, detail: str = "", stat: Stat | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.stat = stat


class Directories:
    """The directories from a root to the file that was opened last, open; close it after the last file.

    Each was opened from the one above it as a directory and no link, so what is read lies in a directory that
    was below the root when it was opened here. If it is replaced while it is open, a link in its place is not
    seen, let alone followed: files come from the directory that was there before, or are missing in it, and
    then the way is opened once more from the root. What was read from there has the stat of that file, so the
    next look at the path sees another one. Keep it for one job, some tenths of a second.
    """

    def __init__(self, root: bytes) -> None:
        """Open nothing yet. root  absolute real path"""
        self._root = root
        self._names: list[bytes] = []
        self._fds: list[int] = []  # of the root and of each name
        self._path: bytes | None = None

    def __enter__(self) -> Directories:
        """Be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all."""
        self.close()

    def close(self) -> None:
        """Close all; they are opened again when needed."""
        self._keep(0)

    def open(self, path: bytes) -> int:
        """Open a regular file below the root for reading; `path` is relative to it."""
        parent, _, name = path.rpartition(b"/")
        held = bool(self._fds)
        try:
            return os.open(name, _FILE, dir_fd=self._descend(parent))
        except OSError as error:
            self.close()
            if not held or error.errno in (errno.EACCES, errno.EPERM):
                raise
        return os.open(name, _FILE, dir_fd=self._descend(parent))

    def _descend(self, path: bytes) -> int:
        if path == self._path:
            return self._fds[-1]
        names = path.split(b"/") if path else []
        same = 0
        while same < min(len(names), len(self._names)) and names[same] == self._names[same]:
            same += 1
        self._keep(same + 1)
        if not self._fds:
            self._fds.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for name in names[same:]:
            self._fds.append(os.open(name, _DIRECTORY, dir_fd=self._fds[-1]))
            self._names.append(name)
        self._path = path
        return self._fds[-1]

    def _keep(self, count: int) -> None:
        """Close all but the first `count`."""
        self._path = None
        for fd in self._fds[count:]:
            os.close(fd)
        del self._fds[count:], self._names[max(0, count - 1) :]


def _read(directories: Directories, path: bytes, bytes_max: int) -> tuple[bytes, Stat]:
    fd = _open(directories, path)
    try:
        for _ in range(_READS_MAX):
            before = os.fstat(fd)
            stat = Stat(before.st_size, before.st_mtime_ns, before.st_ino)
            if stat_module.S_ISDIR(before.st_mode):
                os.stat(b".", dir_fd=fd)  # a directory may be readable and yet closed
            if not stat_module.S_ISREG(before.st_mode):
                raise _Refused("not_regular")
            if before.st_size > bytes_max:
                raise _Refused("too_large", f"{before.st_size} bytes", stat)
            raw = _read_all(fd, before.st_size, bytes_max)
            after = os.fstat(fd)
            if len(raw) == after.st_size == before.st_size and after.st_mtime_ns == before.st_mtime_ns:
                break
            if after.st_size > bytes_max:
                raise _Refused("too_large", f"{after.st_size} bytes")
        return raw, stat
    except OSError as error:
        raise _Refused("unreadable", os.strerror(error.errno or 0)) from error
    finally:
        os.close(fd)


def _read_all(fd: int, size: int, bytes_max: int) -> bytes:
    raw = os.pread(fd, size + 1, 0)
    if len(raw) == size:
        return raw
    parts = [raw]  # shorter than promised (a signal, a pseudo file) or growing
    total = len(raw)
    while total <= bytes_max and (part := os.pread(fd, bytes_max + 1 - total, total)):
        parts.append(part)
        total += len(part)
    return b"".join(parts)


def _open(directories: Directories, path: bytes) -> int:
    try:
        return directories.open(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise _Refused("vanished") from error
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK):
            raise _Refused("not_regular", os.strerror(error.errno)) from error
        raise _Refused("unreadable", os.strerror(error.errno or 0)) from error
