"""SourceFile -> chunks, definitions, references. Pure, except that it looks at the clock for its deadline.

A broken file is no error: what tree-sitter could not read is listed in `Parsed.problems`, and a file it
should not or cannot read at all gets chunks by lines. Inputs that are known to crash a grammar are turned
away before they reach it (grammar.refusal); unknown ones end the process, which is why this runs in
workers.
"""

from __future__ import annotations

import time

import numpy as np

from indexer import grammar, tags
from indexer.chunk import chunks, lines_of
from indexer.records import Parsed, ReferenceTable, SourceFile, SymbolTable


def parse(source: SourceFile, deadline_s: float) -> Parsed:
    """Find the definitions, references and chunks of one file.

    deadline_s  seconds the grammar may take; past it the file gets chunks by lines only

    Never raises for odd content, except MemoryError.
    """
    deadline = time.monotonic() + deadline_s
    if source.language not in grammar.PARSED_LANGUAGES:
        return unparsed(source, "")
    refusal = grammar.refusal(source.language, source.content)
    if refusal:
        return unparsed(source, refusal)
    try:
        found = grammar.captures(source.language, source.content, deadline)
    except grammar.Cut:
        return unparsed(source, f"the parser needed more than {deadline_s:g} s")
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
    symbols = _no_symbols()
    return Parsed(
        symbols=symbols,
        references=_no_references(),
        chunks=chunks(lines, symbols, np.zeros(len(lines), np.bool_)),
        problems=(problem,) if problem else (),
    )


def _no_symbols() -> SymbolTable:
    none = np.empty(0, np.uint32)
    return SymbolTable([], none.astype(np.uint8), none, none, none, none, none.astype(np.int32))


def _no_references() -> ReferenceTable:
    none = np.empty(0, np.uint32)
    return ReferenceTable([], none, none, none.astype(np.uint8))
