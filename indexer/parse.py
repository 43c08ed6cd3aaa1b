"""SourceFile -> chunks, definitions, references. Pure, except that it looks at the clock for its deadline.

A broken file is no error: what tree-sitter could not read is listed in `Parsed.problems`, and a file it
should not or cannot read at all gets chunks by lines. Inputs that are known to crash a grammar are turned
away before they reach it (grammar.refusal); unknown ones end the process, which is why this runs in
workers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from indexer import grammar, tags
from indexer.chunk import chunks, lines_of
from indexer.line_chunk import line_chunks
from indexer.records import ChunkTable, Parsed, ReferenceTable, SourceFile, SymbolTable


def parse(source: SourceFile, deadline_s: float) -> Parsed:
    """Find the definitions, references and chunks of one file.

    deadline_s  seconds the grammar may take; past it the file gets chunks by lines only

    Never raises for odd content, except MemoryError.
    """
    found = understood(source, deadline_s)
    return unparsed(source, found) if isinstance(found, str) else found


def understood(source: SourceFile, deadline_s: float) -> Parsed | str:
    """Like `parse`, or why the file gets chunks by lines only; "" if there is no grammar for the language."""
    deadline = time.monotonic() + deadline_s
    if source.language not in grammar.PARSED_LANGUAGES:
        return ""
    refusal = grammar.refusal(source.language, source.content)
    if refusal:
        return refusal
    try:
        found = grammar.captures(source.language, source.content, deadline)
    except grammar.Cut:
        return f"the parser needed more than {deadline_s:g} s"
    lines = lines_of(source.content)
    known = tags.definitions(source.content, lines, found)
    problems: tuple[str, ...] = ()
    errors = found.get("error")
    if errors is not None:
        line = int(lines.at(np.array([min(errors.start)]))[0]) + 1
        problems = (f"{len(errors.start)} passages not understood, the first at line {line}",)
    return Parsed(
        symbols=known.symbols,
        references=tags.references(source.content, found, known),
        chunks=chunks(lines, known.symbols, tags.attached(lines, found)),
        problems=problems,
    )


def unparsed(source: SourceFile, problem: str) -> Parsed:
    """Return chunks by lines and no symbols.

    problem  why; "" if there is just no grammar for the language
    """
    lines = lines_of(source.content)
    cut = chunks(lines, _NO_SYMBOLS, np.zeros(len(lines), np.bool_))
    return _unparsed(cut, problem)


def unparsed_files(contents: Sequence[bytes], problems: Sequence[str]) -> list[Parsed]:
    """What `unparsed` returns for each of several contents, in a third of the time."""
    return [_unparsed(cut, problem) for cut, problem in zip(line_chunks(contents), problems, strict=True)]


def _unparsed(cut: ChunkTable, problem: str) -> Parsed:
    return Parsed(_NO_SYMBOLS, _NO_REFERENCES, cut, (problem,) if problem else ())


# Shared by all files without any: a message with many of them then holds each of these arrays once.
_NONE = np.empty(0, np.uint32)
_NO_SYMBOLS = SymbolTable([], _NONE.astype(np.uint8), _NONE, _NONE, _NONE, _NONE, _NONE.astype(np.int32))
_NO_REFERENCES = ReferenceTable([], _NONE, _NONE, _NONE.astype(np.uint8))
