"""The places that a stack trace or a compiler's message names: text -> frames. Pure.

Each language writes a frame in its own way; one pattern says each of them. A frame is innermost where the
failure is: Python writes that one last, all others first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FRAMES_MAX = 16  # innermost ones; deeper ones are the framework that called

_PATH = r"(?P<path>(?:[A-Za-z]:)?[^\s:()'\",<>|]*\w\.\w{1,8})"
_LINE = r"(?P<line>\d{1,7})"
# Ways to write a frame that nothing else is written in.
_STRICT = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        rf'^\s*File "(?P<path>[^"\n]+)", line {_LINE}',  # Python
        rf"^\s*at [^\s(]*?(?P<package>(?:\w+\.)*)[\w$]+\.[\w$<>]+\((?P<path>[\w$-]+\.\w+):{_LINE}\)",  # JVM
        rf"^\s*at (?:[^\n()]+ )?\(?(?:file://)?{_PATH}:{_LINE}(?::\d+)?\)?\s*$",  # JavaScript, Rust
        rf"^\s*at .+ in (?P<path>[^\n]+):line {_LINE}",  # C#
        rf"^\s+{_PATH}:{_LINE}(?: \+0x[0-9a-f]+)?\s*$",  # Go
        rf"\bpanicked at (?:'[^\n]*', )?{_PATH}:{_LINE}",  # Rust
        rf"^#\d+\s.*\bat {_PATH}:{_LINE}\s*$",  # gdb
        rf"^#\d+ {_PATH}\({_LINE}\)",  # PHP
        rf"\bin {_PATH} on line {_LINE}\b",  # PHP
        rf"^\s*(?:from )?{_PATH}:{_LINE}:in ['`]",  # Ruby
        rf"^{_PATH}:{_LINE}:(?:\d+:)? ?(?:fatal |internal )?(?:error|warning|note|undefined)\b",  # compilers
        rf"^\s*--> {_PATH}:{_LINE}:\d+\s*$",  # rustc
    )
)
# Ways that are a frame only where something else says that this is a message.
_LOOSE = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        rf"\bat {_PATH}:{_LINE}\b",  # the kernel
        rf"\bat {_PATH} line {_LINE}\b",  # Perl
        rf"\bfile {_PATH}, line {_LINE}\b",  # Swift, assert
        rf"^(?:\(\w+ [\w.-]+\) |\s+|[\w-]+: )?{_PATH}:{_LINE}:",  # Elixir, Lua, grep-like
        rf"\b{_PATH}:{_LINE}\]",  # glog
    )
)
_FUNCTION = re.compile(r"\b([A-Za-z_]\w*)(?:\.\w+)*\+0x[0-9a-f]+/0x[0-9a-f]+")  # the kernel
_PYTHON = re.compile(r'^\s*File "[^"\n]+", line \d+', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Frame:
    """A place that a trace names."""

    path: str  # as it was written, with slashes
    line: int  # 1-based

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Found:
    """The frames of a text."""

    frames: tuple[Frame, ...]  # innermost first, each place once
    lines: frozenset[int]  # numbers of the lines of the text that they stand on, from 0


def strict_frames(text: str) -> Found:
    """Return the frames that are written as only a trace writes them."""
    return _frames(text, _STRICT)


def frames(text: str) -> Found:
    """Return all frames of a text that is known to be a message."""
    return _frames(text, (*_STRICT, *_LOOSE))


def functions(text: str) -> tuple[str, ...]:
    """Return the functions that a trace names without a place, innermost first."""
    return tuple(dict.fromkeys(_FUNCTION.findall(text)))[:FRAMES_MAX]


def without_functions(line: str) -> str:
    """Return a line without them."""
    return _FUNCTION.sub("", line)


def _frames(text: str, patterns: tuple[re.Pattern[str], ...]) -> Found:
    found: dict[int, Frame] = {}  # by where the path stands
    lines: set[int] = set()
    for pattern in patterns:
        for match in pattern.finditer(text):
            path = match["path"].replace("\\", "/")
            package = match.groupdict().get("package")
            if package:
                path = package.replace(".", "/") + path
            found.setdefault(match.start("path"), Frame(path, int(match["line"])))
            lines.add(text.count("\n", 0, match.start("path")))
    order = sorted(found, reverse=_PYTHON.search(text) is not None)
    innermost = dict.fromkeys(found[at] for at in order)
    return Found(tuple(innermost)[:FRAMES_MAX], frozenset(lines))
