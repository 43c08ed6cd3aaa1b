"""What a query gives: Candidate -> Hit -> Answer. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field

OF_FILE_MAX = 2  # hits of one file among the first ones of a question


@dataclass(frozen=True, slots=True)
class Shown:
    """Code that a client shows instead of describing it: a text, a place, or both."""

    text: str = ""  # the code; with a line the whole file that it stands in
    path: str = ""  # of the file, as the client names it; "" if it has none
    line: int = 0  # 1-based; 0: the text itself is the code
    root_id: int = -1  # the root that holds the file, -1 if none does
    inside: str = ""  # its path in that root


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One question about one root."""

    query: str
    root_id: int
    path_prefix: str = ""  # only files below this directory of the root ("" or "a/b/")
    mode: str = "auto"  # auto, text, symbol, semantic, hybrid
    limit: int = 10
    languages: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()  # as ripgrep's -g: "!" excludes
    context: int = 0  # lines around each hit in the snippet
    whole: bool = False  # the snippet is all that a hit stands for, 80 lines of it at most
    per_file: int = OF_FILE_MAX  # hits of one file among the first ten of a question; 0: any number
    explain: bool = False
    deadline_ms: int = 5000
    shown: Shown | None = None  # the answers are code like this


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a snippet."""

    number: int  # 1-based
    text: str  # without line end, at most snippet_chars_max characters
    ranges: tuple[tuple[int, int], ...] = ()  # matched characters [start, end) of text
    is_match: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: a place in a file, best first."""

    path: str  # relative to the root; undecodable bytes as surrogate escapes
    line: int  # 1-based
    column: int  # 1-based, in characters
    start_line: int  # of what the hit stands for: the definition, a part of a long one, or the line
    end_line: int
    kind: str  # "file", "symbol" or "line": what the hit stands for
    symbol: str  # enclosing or matching definition, dotted ("Class.method"), "" at file level
    symbol_kind: str
    language: str
    score: float
    lines: tuple[Line, ...]
    signals: dict[str, float] = field(default_factory=dict)  # every ranking signal; filled for explain
    live: bool = False  # read from disk because the index was behind
    also: tuple[str, ...] = ()  # other paths with the same content, 100 at most


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of a plan, for --explain."""

    name: str
    candidates: int
    kept: int
    ms: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explain:
    """How the answer came about."""

    query: str  # the parsed query, printed
    plan: str
    steps: tuple[StepReport, ...]
    type: str = ""  # what the query was recognised as, and by what


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, and how far they can be trusted."""

    hits: tuple[Hit, ...]
    generation: int
    fresh: bool  # nothing was known to be pending and every hit was checked against the disk
    incomplete: str  # "" or why more may exist: "first index: 1200 of 5000 files", "budget: ..."
    warnings: tuple[str, ...]
    files_searched: int
    ms: float
    explain: Explain | None = None
