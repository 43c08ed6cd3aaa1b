"""What the daemon ought to answer, found by listing a directory and reading every file: slow and obvious.

Shares no code with the product. Ignore files are read only as far as the tests write them: names, `*.ext`,
`directory/`, `/anchored`, `dir/name` and `!` before any of them.
"""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = {".py": "python", ".c": "c", ".js": "javascript", ".rs": "rust", ".go": "go"}
DEFINITIONS = {
    "python": rb"^\s*(?:def|class) (\w+)",
    "c": rb"^int (\w+)\(",
    "javascript": rb"^function (\w+)\(",
    "rust": rb"^fn (\w+)\(",
    "go": rb"^func (\w+)\(",
}
LINE_CHARS_MAX = 5_000


@dataclass(frozen=True)
class File:
    """A file that is to be found."""

    path: str
    content: bytes

    @property
    def language(self) -> str:
        """The language its name says; "" for the others."""
        return LANGUAGES.get(Path(self.path).suffix, "")

    def lines_with(self, pattern: re.Pattern[bytes]) -> set[int]:
        """The numbers of the lines in which a match begins."""
        return {self.content.count(b"\n", 0, match.start()) + 1 for match in self.matches(pattern)}

    def matches(self, pattern: re.Pattern[bytes]) -> list[re.Match[bytes]]:
        """All matches; after the last line end there is no line."""
        end = len(self.content) if self.content[-1:] in (b"", b"\n") else -1
        return [match for match in pattern.finditer(self.content) if match.start() != end]

    def defines(self, name: str) -> bool:
        """Whether a definition has this name, upper and lower case being the same."""
        pattern = DEFINITIONS.get(self.language)
        names = re.findall(pattern, self.content, re.MULTILINE) if pattern else []
        return name.lower().encode() in {each.lower() for each in names}


@dataclass(frozen=True)
class Expression:
    """A query: `text` is what is asked, the rest says which files it is true of."""

    text: str
    kind: str  # text, path, lang, def, and, or, not
    pattern: re.Pattern[bytes] | None = None
    value: str = ""
    parts: tuple[Expression, ...] = ()

    def holds(self, file: File) -> bool:
        """Whether the file answers."""
        if self.kind == "text":
            assert self.pattern is not None
            return bool(file.matches(self.pattern))
        if self.kind == "path":
            return self.value in file.path
        if self.kind == "name":
            return fnmatch.fnmatchcase(file.path.rpartition("/")[2], self.value)
        if self.kind == "lang":
            return file.language == self.value
        if self.kind == "def":
            return file.defines(self.value)
        held = [part.holds(file) for part in self.parts]
        return {"and": all(held), "or": any(held), "not": not all(held)}[self.kind]


def word(text: str) -> Expression:
    """A word: anywhere, and in any case unless it has an upper-case letter."""
    return Expression(text, "text", _literal(text))


def phrase(text: str) -> Expression:
    """Exactly these characters; the case as for words."""
    return Expression(f'"{text}"', "text", _literal(text))


def regex(pattern: str) -> Expression:
    """A pattern without upper-case escapes, which Python and RE2 read alike."""
    flags = re.MULTILINE | (0 if any(c.isupper() for c in pattern) else re.IGNORECASE)
    return Expression(f"/{pattern}/", "text", re.compile(pattern.encode(), flags))


def in_path(text: str) -> Expression:
    """Text in the path, which is lower case."""
    return Expression(f"path:{text}", "path", value=text)


def named(glob: str) -> Expression:
    """A glob of the file's name."""
    return Expression(f"file:{glob}", "name", value=glob)


def in_language(name: str) -> Expression:
    """Files of a language."""
    return Expression(f"lang:{name}", "lang", value=name)


def defining(name: str) -> Expression:
    """Files that define exactly this name, in any case."""
    return Expression(f'def:"{name}"', "def", value=name)


def every(*parts: Expression) -> Expression:
    """All of them."""
    return Expression(f"({' '.join(part.text for part in parts)})", "and", parts=parts)


def some(*parts: Expression) -> Expression:
    """Any of them."""
    return Expression(f"({' OR '.join(part.text for part in parts)})", "or", parts=parts)


def without(part: Expression) -> Expression:
    """Files of which it is not true."""
    text = f"({part.text})" if part.kind == "not" else part.text  # "--" is a word
    return Expression(f"-{text}", "not", parts=(part,))


def _literal(text: str) -> re.Pattern[bytes]:
    flags = 0 if any(c.isupper() for c in text) else re.IGNORECASE  # of bytes: ASCII letters only
    return re.compile(re.escape(text.encode()), flags)


# ---- the directory ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tree:
    """What lies below a root."""

    files: list[File]  # that are indexed
    skipped: int  # files that are looked at and not indexed


def tree(root: Path) -> Tree:
    """List the root, read everything that no rule ignores."""
    is_repository = (root / ".git").exists()
    files: list[File] = []
    skipped = 0
    for path in sorted(_below(root, "", [], [], is_repository)):
        content = text_of((root / path).read_bytes())
        if content is None:
            skipped += 1
        else:
            files.append(File(path, content))
    return Tree(files, skipped)


def text_of(raw: bytes) -> bytes | None:
    """The bytes as UTF-8 text; None if they are none, or have too long a line."""
    if raw[:2] == b"\xff\xfe":
        if len(raw) % 2:
            return None
        raw = raw[2:].decode("utf-16-le").encode()
    if b"\0" in raw or max(map(len, raw.split(b"\n"))) > LINE_CHARS_MAX:
        return None
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1").encode()
    return raw


Rules = list[
    tuple[str, list[str]]
]  # directory ("" or with a slash at the end) and its patterns; deepest first


def _below(root: Path, at: str, own: Rules, git: Rules, is_repository: bool) -> list[str]:
    own = [(at, _patterns(root / at / ".einsteinignore")), *own]
    if at and (root / at / ".git").exists():  # a repository inside: its own rules only
        git, is_repository = [], True
    if is_repository:
        git = [(at, _patterns(root / at / ".gitignore")), *git]
    found: list[str] = []
    for entry in os.scandir(root / at):
        path = at + entry.name
        is_directory = entry.is_dir(follow_symlinks=False)
        if entry.name in (".git", ".env") or _is_ignored(path, is_directory, own, git):
            continue
        if is_directory:
            found += _below(root, path + "/", own, git, is_repository)
        elif entry.is_file(follow_symlinks=False):
            found.append(path)
    return found


def _patterns(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.is_file() else []


def _is_ignored(path: str, is_directory: bool, own: Rules, git: Rules) -> bool:
    for directory, patterns in [*own, *git]:
        for pattern in reversed(patterns):
            if _matches(pattern.removeprefix("!"), path[len(directory) :], is_directory):
                return not pattern.startswith("!")
    return False


def _matches(pattern: str, path: str, is_directory: bool) -> bool:
    if pattern.endswith("/") and not is_directory:
        return False
    pattern = pattern.rstrip("/")
    if "/" in pattern:
        return path == pattern.lstrip("/")
    return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)
