"""Read one file once: its bytes, digest, language and encoding, or the reason why it is not indexed.

A file is opened below its root without following a symbolic link in any component: between a scan and this
read somebody may have put a link there, and nothing outside the root is ever read. A file that changes while
it is read is read again; `stat` is always taken before the bytes, so if they are torn after all, the next
look at the file sees another stat and reads it again.
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
from indexer.languages import HEAD_BYTES, language_of
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


def read_source_stat(root: bytes, path: bytes, limits: Limits) -> tuple[SourceFile | Skipped, Stat | None]:
    """As read_source, with the stat that belongs to the bytes; None where the next scan should try again."""
    try:
        raw, stat = _read(root, path, limits.file_bytes_max)
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
    person = f"{language[:12]}/{flags}".encode()
    digest = hashlib.blake2b(raw, digest_size=DIGEST_BYTES, person=person).digest()
    return SourceFile(digest, content, language, encoding, flags)


# ---- generated and minified -------------------------------------------------------------------------

_GENERATED_NAME = re.compile(
    rb"(?:^|/)(?:[^/]*(?:\.min\.(?:js|css|mjs)|\.bundle\.js|\.pb\.(?:go|cc|h)|_pb2(?:_grpc)?\.pyi?|\.g\.dart"
    rb"|\.designer\.cs|\.generated\.\w+)"
    rb"|package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lock|Cargo\.lock|poetry\.lock"
    rb"|uv\.lock|pdm\.lock|Pipfile\.lock|composer\.lock|Gemfile\.lock|go\.sum|flake\.lock|mix\.lock)$",
    re.IGNORECASE,
)
_GENERATED_TEXT = re.compile(  # of lower-case text
    rb"@generated\b|\bdo not (?:edit|modify|hand[- ]edit)\b|\bcode generated by\b|\bautomatically generated\b"
    rb"|\bauto-?generated (?:by|from|file)|\bfile (?:is|was|has been) (?:auto-?)?generated\b"
    rb"|\bgenerated by the protocol"
)
_MINIFIED = frozenset({b"js", b"mjs", b"cjs", b"css"})
_MINIFIED_LINE_BYTES = 250  # mean length of a line; hand-written code has 25 to 45


def is_generated(path: bytes, content: bytes) -> bool:
    """Whether a file says in its first lines or by its name that a program wrote it, or is minified."""
    if _GENERATED_NAME.search(path):
        return True
    if path[path.rfind(b".") + 1 :] in _MINIFIED:
        lines = content.count(b"\n") + 1
        if len(content) > _MINIFIED_LINE_BYTES * max(lines, 4):
            return True
    head = content[:HEAD_BYTES].lower()
    if b"generated" not in head and b"do not" not in head:  # 20 times as fast as the expression
        return False
    match = _GENERATED_TEXT.search(head)
    return match is not None and head.count(b"\n", 0, match.start()) < _HEAD_LINES


# ---- judging ----------------------------------------------------------------------------------------

_PRIVATE_KEY = re.compile(
    rb"\s*(?:PuTTY-User-Key-File-\d|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)"
)


def _longest_line(content: bytes, limit: int) -> int:
    """Characters of the longest line; exact only if it is above the limit."""
    if len(content) <= limit:
        return 0
    longest = max(content.split(b"\n"), key=len)
    return len(longest) if len(longest) <= limit else len(longest.decode("utf-8"))


# ---- reading ----------------------------------------------------------------------------------------

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not block


class _Refused(Exception):
    def __init__(self, reason: str, detail: str = "", stat: Stat | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.stat = stat


def _read(root: bytes, path: bytes, bytes_max: int) -> tuple[bytes, Stat]:
    fd = _open(root, path)
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


def _open(root: bytes, path: bytes) -> int:
    """Open a file component by component, so that no link on the way leads out of the root."""
    *directories, name = path.split(b"/")
    try:
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for directory in directories:
                below = os.open(directory, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            return os.open(name, _FILE, dir_fd=at)
        finally:
            os.close(at)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise _Refused("vanished") from error
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK):
            raise _Refused("not_regular", os.strerror(error.errno)) from error
        raise _Refused("unreadable", os.strerror(error.errno or 0)) from error
