"""Grammars and their queries: the only door of tree-sitter.

A file goes in, byte ranges by capture name come out; no node leaves this module, because a node keeps its
whole tree alive and a tree costs tens of times its source. Grammars are separate wheels that are imported
when a file of their language is first met (the SQL one alone is 13 MB), and each query is compiled once a
process.

What a query may capture (queries/<language>.scm):

    @def.KIND    a whole definition; KIND is one of records.KINDS
    @name.KIND   the name in it; it belongs to the innermost @def.KIND around it
    @ref.ROLE    a reference; ROLE is one of records.ROLES. The most telling role of a place wins (parse.py)
    @member.read, @member.write   the same for what follows a dot, which no local variable can be
    @local       where a parameter or local variable is declared: no definition, and reads and writes of that
                 name in the same function are no references. Without this rule two thirds of all references
                 of C code are `i`, `ret` and `dev`.
    @undef       what starts here is no definition, whatever another pattern says (extern int x;)
    @clause      a definition that is one with its neighbour of the same name (equations of Haskell)
    @attach      comments, decorators, attributes: lines that belong to the definition below them

What tree-sitter does badly, and what is done about it here:

- It crashes the process on some inputs: `refusal` turns the known ones away, the rest is why workers can die.
- It can run for minutes: parsing stops at the deadline through `progress_callback`, which works only together
  with a read callable. The same callback of `QueryCursor.captures` is kept by a pointer into a dead stack
  frame (py-tree-sitter 0.26.1) and crashes the process, so a query runs over windows of the file, with a look
  at the clock between them.
- A Python-side walk of the tree costs 1 µs a node and step; `captures` costs 0.2 µs a captured node.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files

import numpy as np
from tree_sitter import Language, Parser, Query, QueryCursor, Tree

# language -> (module of the wheel, function that returns the grammar)
_WHEELS: dict[str, tuple[str, str]] = {
    "bash": ("tree_sitter_bash", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "css": ("tree_sitter_css", "language"),
    "elixir": ("tree_sitter_elixir", "language"),
    "go": ("tree_sitter_go", "language"),
    "haskell": ("tree_sitter_haskell", "language"),
    "html": ("tree_sitter_html", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "json": ("tree_sitter_json", "language"),
    "kotlin": ("tree_sitter_kotlin", "language"),
    "lua": ("tree_sitter_lua", "language"),
    "markdown": ("tree_sitter_markdown", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "python": ("tree_sitter_python", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "scala": ("tree_sitter_scala", "language"),
    "sql": ("tree_sitter_sql", "language"),
    "swift": ("tree_sitter_swift", "language"),
    "toml": ("tree_sitter_toml", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "yaml": ("tree_sitter_yaml", "language"),
    "zig": ("tree_sitter_zig", "language"),
}
PARSED_LANGUAGES = frozenset(_WHEELS)

# Query files of a language, joined: a dialect adds to what it extends.
_QUERY_FILES: dict[str, tuple[str, ...]] = {
    "c": ("c", "c89"),
    "cpp": ("c", "cpp"),
    "typescript": ("ecmascript", "typescript"),
    "javascript": ("ecmascript", "jsx", "javascript"),
    "tsx": ("ecmascript", "typescript", "jsx"),
}

# How deep in the tree a match may begin: what is below is data, not structure, and is not even walked.
_DEPTH_MAX = {"json": 4, "markdown": 8, "toml": 2, "yaml": 7}

_READ_BYTES = 65_536  # handed to the parser at a time; 64 KiB is as fast as the whole file
_WORD_BYTES = 256  # the same, when a predicate of a query asks for the text of a node: 4x faster queries
_WINDOW_BYTES = 65_536  # of the file per query run: about 5 ms between two looks at the clock
# Matches that wait to be completed, or for an earlier one to be: to keep them in order costs time in the
# square of their number. Ours need a handful, unless a pattern captures a node long before it knows whether
# it matches: capture the whole definition apart from what it depends on (see markdown.scm).
_MATCH_LIMIT = 4_096


class Cut(Exception):
    """The deadline passed before the file was read."""


# Inputs that must not reach a grammar. The scanners of Python and YAML save one entry for every open block in
# a buffer of 1,024 bytes and write past its end: SIGSEGV at 511 nested blocks of Python and at 254 of YAML
# (wheels 0.25.0 and 0.7.2; tree-sitter-python#350, tree-sitter-yaml#48). Half of that is deeper than any file
# written by a person. The other 25 grammars survived 6,000 levels of every nesting we could think of.
_BLOCKS_MAX = {"python": 250, "yaml": 120}
# Open brackets cost memory (2 MB of them 0.8 GB) and make queries quadratic (100,000 "(": 6 s).
_BRACKETS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Capture:
    """Ranges of one capture name in no particular order; a range may come twice."""

    start: list[int]
    end: list[int]


def captures(language: str, content: bytes, deadline: float) -> dict[str, Capture]:
    """Parse `content` and return what the query of its language captures.

    What was not understood, or was too tangled to match, is captured as "error".

    language  one of PARSED_LANGUAGES
    deadline  on time.monotonic()

    Raises Cut past the deadline. A crash of the grammar ends the process; ask `refusal` first.
    """
    grammar = _grammar(language)
    tree = grammar.parse(_readable(language, content), deadline)
    root = tree.root_node
    cursor = QueryCursor(grammar.query, match_limit=_MATCH_LIMIT)
    if language in _DEPTH_MAX:
        cursor.set_max_start_depth(_DEPTH_MAX[language])
    found: dict[str, Capture] = {}
    for start in range(0, max(1, len(content)), _WINDOW_BYTES):
        if start and time.monotonic() > deadline:
            raise Cut
        if len(content) > _WINDOW_BYTES:
            cursor.set_byte_range(start, start + _WINDOW_BYTES)
        for name, nodes in cursor.captures(root).items():
            into = found.get(name)
            if into is None:
                into = found[name] = Capture([], [])
            into.start.extend([node.start_byte for node in nodes])
            into.end.extend([node.end_byte for node in nodes])
        if cursor.did_exceed_match_limit:  # patterns were dropped: definitions may be missing here
            lost = found.setdefault("error", Capture([], []))
            lost.start.append(start)
            lost.end.append(min(start + _WINDOW_BYTES, len(content)))
    return found


def refusal(language: str, content: bytes) -> str:
    """Say why the grammar of `language` must not see `content`; "" if it may."""
    depth = _bracket_depth(content)
    if depth > _BRACKETS_MAX:
        return f"{depth} brackets are open at once; the parser is given at most {_BRACKETS_MAX}"
    blocks_max = _BLOCKS_MAX.get(language)
    if blocks_max is not None:
        blocks = _block_depth(language, content)
        if blocks > blocks_max:
            return f"blocks are nested {blocks} deep; the {language} parser crashes on deep nesting"
    return ""


_BRACKET_STEP = np.zeros(256, np.int8)
_BRACKET_STEP[list(b"([{")] = 1
_BRACKET_STEP[list(b")]}")] = -1


def _bracket_depth(content: bytes) -> int:
    """An estimate: brackets in strings and comments count, so only large numbers mean anything."""
    opening = content.count(b"(") + content.count(b"[") + content.count(b"{")
    if opening <= _BRACKETS_MAX:
        return opening
    steps = _BRACKET_STEP[np.frombuffer(content, np.uint8)]
    depth = np.cumsum(steps[steps != 0], dtype=np.int32)
    # Seen from the lowest point so far, or closing brackets at the start would hide open ones.
    return int((depth - np.minimum.accumulate(np.minimum(depth, 0))).max())


# What stands before the text of a line; in YAML also the marks that open a block each.
_INDENT = {
    "python": re.compile(rb"(?:^|(?<=[\n\r]))[ \t\f]+"),
    "yaml": re.compile(rb"(?:^|(?<=[\n\r]))[ \t]*(?:[-?:][ \t]+)*"),
}
# Every open block stands in a column of its own, so without such a run there are no more blocks than that.
# (YAML lets a list share the column of its key: twice as many, still fewer than crash.)
_DEEP = {
    "python": re.compile(rb"[ \t\f]{%d}" % _BLOCKS_MAX["python"]),
    "yaml": re.compile(rb"[ \t?:-]{%d}" % _BLOCKS_MAX["yaml"]),
}


def _block_depth(language: str, content: bytes) -> int:
    """Return how deep blocks nest by indentation; 0 if it is certain that the maximum is not reached."""
    if _DEEP[language].search(content) is None:
        return 0
    deepest = 0
    columns = [0]  # of the blocks that are open
    for match in _INDENT[language].finditer(content):
        if content[match.end() : match.end() + 1] in (b"\n", b"\r", b"#"):
            continue
        column, opened = 0, []
        for byte in match[0]:
            if byte in b"-?:":
                opened.append(column)
            column += 8 - column % 8 if byte == 0x09 else 1
        for stop in (*opened, column):
            while columns and columns[-1] >= stop:
                columns.pop()
            columns.append(stop)
        deepest = max(deepest, len(columns))
    return deepest


# `class EXPORT Name : Base {` without the macro's definition reads as a function, its members as nonsense.
_EXPORTED = re.compile(
    rb"\b(?:class|struct|union)[ \t]+"
    rb"([A-Z][A-Z0-9_]{2,}(?:\([^()\n]*\))?(?:\s*\[\[[^\]\n]*\]\])?)"
    rb"(?=\s+[A-Za-z_]\w*(?:\s+final)?\s*[:{])"
)


def _readable(language: str, content: bytes) -> bytes:
    """Blank out what only a preprocessor could resolve; every offset stays what it is."""
    if language != "cpp":
        return content
    places = [match.span(1) for match in _EXPORTED.finditer(content)]
    if not places:
        return content
    text = bytearray(content)
    for start, end in places:
        text[start:end] = b" " * (end - start)
    return bytes(text)


def query_text(language: str) -> str:
    """The query of `language`, as its files in indexer/queries say it, plus the capture of errors."""
    folder = files("indexer") / "queries"
    parts = [(folder / f"{name}.scm").read_text("utf-8") for name in _QUERY_FILES.get(language, (language,))]
    return "\n".join([*parts, "(ERROR) @error\n"])


class _Grammar:
    """One language of this process: its parser, which is not for use by two threads, and its query."""

    def __init__(self, language: str) -> None:
        module, function = _WHEELS[language]
        loaded = Language(getattr(import_module(module), function)())
        self._parser = Parser(loaded)
        self.query = Query(loaded, query_text(language))

    def parse(self, content: bytes, deadline: float) -> Tree:
        size = _READ_BYTES

        def read(offset: int, _point: object) -> bytes:
            return content[offset : offset + size]

        def late(_offset: int, _has_error: bool) -> bool:
            return time.monotonic() > deadline

        try:
            tree = self._parser.parse(read, progress_callback=late)
            size = _WORD_BYTES
            return tree
        except ValueError as error:  # "Parsing failed": the callback said stop
            self._parser.reset()
            raise Cut from error


@cache
def _grammar(language: str) -> _Grammar:
    return _Grammar(language)
