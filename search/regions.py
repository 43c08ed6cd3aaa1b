"""Comments, strings and code: where in a file an offset lies, for `in:`. Pure.

One regular expression per family of languages finds comments and strings from the start of the file to its
end; what lies between is code. That is how lexers see it, without nesting and interpolation: a few lines of
an odd file may be taken for the wrong thing, no file makes it slow. Languages without comments are all code.
"""

from __future__ import annotations

import re

import numpy as np

from indexer.records import I64, Bool

_STRING = rb'"(?:\\.|[^"\\\n])*"'
_APOSTROPHES = rb"'(?:\\.|[^'\\\n])*'"
_CHAR = rb"'(?:\\[^\n]{1,8}?|[^'\\\n])'"
_BACKTICKS = rb"`(?:\\.|[^`\\])*`"
_SLASHES = rb"//[^\n]*"
_STARS = rb"/\*(?s:.*?)(?:\*/|\Z)"
_HASH = rb"(?<![^\s;(,\[{])#[^\n]*"
_DASHES = rb"--[^\n]*"
_TRIPLE = rb'"""(?s:\\.|.)*?(?:"""|\Z)|' + rb"'''(?s:\\.|.)*?(?:'''|\Z)"
_MARKUP = rb"<!--(?s:.*?)(?:-->|\Z)"


def _pattern(comment: list[bytes], string: list[bytes], text_first: bytes = b"") -> re.Pattern[bytes]:
    parts = [rb"(?P<c>" + b"|".join(comment) + rb")"]
    strings = ([text_first] if text_first else []) + string
    if strings:
        parts.append(rb"(?P<s>" + b"|".join(strings) + rb")")
    return re.compile(b"|".join(parts))


_FAMILIES: dict[str, tuple[re.Pattern[bytes], tuple[str, ...]]] = {
    "c": (
        _pattern([_SLASHES, _STARS], [_STRING, _CHAR]),
        ("c", "cpp", "csharp", "java", "rust", "scala", "swift", "zig", "proto", "objc", "cuda", "kconfig"),
    ),
    "quoted c": (
        _pattern([_SLASHES, _STARS], [_STRING, _APOSTROPHES, _BACKTICKS]),
        ("javascript", "typescript", "tsx", "go", "dart", "vue", "svelte", "devicetree"),
    ),
    "kotlin": (_pattern([_SLASHES, _STARS], [_STRING, _CHAR], _TRIPLE), ("kotlin", "groovy")),
    "php": (_pattern([_SLASHES, _STARS, _HASH], [_STRING, _APOSTROPHES]), ("php", "terraform", "hcl")),
    "css": (_pattern([_STARS], [_STRING, _APOSTROPHES]), ("css", "scss", "less")),
    "python": (_pattern([rb"#[^\n]*"], [_STRING, _APOSTROPHES], _TRIPLE), ("python", "starlark", "julia")),
    "shell": (
        _pattern([_HASH], [_STRING, _APOSTROPHES]),
        (
            "bash",
            "ruby",
            "perl",
            "r",
            "yaml",
            "toml",
            "make",
            "cmake",
            "dockerfile",
            "elixir",
            "graphql",
            "nix",
        ),
    ),
    "lua": (_pattern([rb"--\[\[(?s:.*?)(?:\]\]|\Z)", _DASHES], [_STRING, _APOSTROPHES]), ("lua",)),
    "sql": (_pattern([_DASHES, _STARS], [_STRING, _APOSTROPHES]), ("sql",)),
    "haskell": (_pattern([rb"\{-(?s:.*?)(?:-\}|\Z)", _DASHES], [_STRING, _CHAR]), ("haskell", "elm")),
    "ocaml": (_pattern([rb"\(\*(?s:.*?)(?:\*\)|\Z)"], [_STRING, _CHAR]), ("ocaml",)),
    "lisp": (_pattern([rb";[^\n]*"], [_STRING]), ("clojure", "scheme", "elisp", "lisp")),
    "ini": (_pattern([rb"(?m:^)[ \t]*[;#][^\n]*"], [_STRING]), ("ini",)),
    "asm": (_pattern([_SLASHES, _STARS, _HASH, rb";[^\n]*"], [_STRING]), ("asm",)),
    "markup": (_pattern([_MARKUP], []), ("html", "xml", "markdown")),
    "json": (_pattern([_SLASHES, _STARS], [_STRING]), ("json",)),
    "tex": (_pattern([rb"(?<!\\)%[^\n]*"], []), ("tex", "erlang", "matlab")),
}
_OF_LANGUAGE = {name: pattern for pattern, names in _FAMILIES.values() for name in names}


def in_places(language: str, content: bytes | memoryview, offsets: I64, places: frozenset[str]) -> Bool:
    """Return which byte offsets lie in one of the places (comment, string, code)."""
    pattern = _OF_LANGUAGE.get(language)
    if pattern is None:
        return np.full(len(offsets), "code" in places)
    spans = [(m.start(), m.end(), m.lastgroup == "c") for m in pattern.finditer(content)]
    if not spans:
        return np.full(len(offsets), "code" in places)
    start, end, comment = (np.array(column) for column in zip(*spans, strict=True))
    at = np.searchsorted(start, offsets, side="right") - 1
    inside = (at >= 0) & (offsets < end[at])
    is_comment = inside & comment[at].astype(np.bool_)
    out = np.zeros(len(offsets), np.bool_)
    if "comment" in places:
        out |= is_comment
    if "string" in places:
        out |= inside & ~is_comment
    if "code" in places:
        out |= ~inside
    return out
