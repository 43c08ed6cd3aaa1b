"""A job's prepared files <-> one value with a few large arrays, on the way from a worker to the writer. Pure.

A prepared file has some twenty arrays, most of them short, and pickling one costs 3 us on each side: for
files of Linux 6.1 as text 7 ns a byte, more than their trigrams. Here each kind of array is one for all
files, which costs 4; on the other side the files get views of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.jobs import Outcome
from indexer.records import (
    I64,
    ChunkTable,
    FileChange,
    Parsed,
    PreparedFile,
    ReferenceTable,
    Skipped,
    SourceFile,
    Stat,
    SymbolTable,
    TermTable,
    TextSegment,
    Upsert,
)

_Array = npt.NDArray[Any]

# What the arrays of a file hold one entry for, and how to get them, in the order in which they are packed.
_KINDS: tuple[tuple[int, Callable[[PreparedFile], _Array]], ...] = (
    (0, lambda file: file.trigrams),
    (1, lambda file: file.parsed.symbols.kind),
    (1, lambda file: file.parsed.symbols.start),
    (1, lambda file: file.parsed.symbols.end),
    (1, lambda file: file.parsed.symbols.name_start),
    (1, lambda file: file.parsed.symbols.line),
    (1, lambda file: file.parsed.symbols.parent),
    (2, lambda file: file.parsed.references.name),
    (2, lambda file: file.parsed.references.start),
    (2, lambda file: file.parsed.references.role),
    (3, lambda file: file.parsed.chunks.start),
    (3, lambda file: file.parsed.chunks.end),
    (3, lambda file: file.parsed.chunks.line),
    (3, lambda file: file.parsed.chunks.symbol),
    (3, lambda file: file.terms.length),
    (3, lambda file: file.vectors),
    (4, lambda file: file.terms.hash),
    (4, lambda file: file.terms.chunk),
    (4, lambda file: file.terms.body),
    (4, lambda file: file.terms.name),
)


# An outcome without its prepared file. Of an upsert path, size, mtime, inode and digest: pickling a value
# costs some 5 us on each side, and an upsert is two.
_Plain = tuple[bytes, int, int, int, bytes] | Skipped | FileChange


@dataclass(frozen=True, slots=True)
class Packed:
    """Outcomes of a job; those with a prepared file have it in the tables, in the same order."""

    outcomes: list[_Plain]  # without the prepared files
    prepared: list[int]  # of which outcomes they are
    sources: list[tuple[bytes, str, str, int]]  # content, language, encoding, flags
    texts: list[tuple[list[bytes], list[bytes], tuple[str, ...]]]  # names, referenced names, problems
    ends: I64  # [n_files, 5] where the file's trigrams, symbols, references, chunks and terms end
    arrays: list[_Array]  # one for each of _KINDS


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker sends back for a job; see JobResult."""

    job_id: int
    packed: Packed
    text: TextSegment | None = None
    failed: str = ""


def pack(outcomes: Sequence[Outcome]) -> Packed:
    """Put the arrays of all files end to end."""
    bare: list[_Plain] = []
    prepared, files = [], []
    for i, outcome in enumerate(outcomes):
        if not isinstance(outcome, Upsert):
            bare.append(outcome)
            continue
        stat = outcome.stat
        bare.append((outcome.path, stat.size, stat.mtime_ns, stat.inode, outcome.digest))
        if outcome.prepared is not None:
            prepared.append(i)
            files.append(outcome.prepared)
    sources = [file.source for file in files]
    sizes = [
        (
            len(file.trigrams),
            len(file.parsed.symbols),
            len(file.parsed.references),
            len(file.parsed.chunks),
            len(file.terms.hash),
        )
        for file in files
    ]
    return Packed(
        bare,
        prepared,
        [(source.content, source.language, source.encoding, source.flags) for source in sources],
        [(each.symbols.name, each.references.names, each.problems) for each in [f.parsed for f in files]],
        np.cumsum(np.array(sizes, np.int64).reshape(-1, 5), axis=0),
        [np.concatenate([array(file) for file in files]) for _, array in _KINDS] if files else [],
    )


def unpack(packed: Packed) -> list[Outcome]:
    """Return the outcomes as they were; arrays are views."""
    outcomes: list[Outcome] = [
        Upsert(plain[0], Stat(*plain[1:4]), plain[4], None) if isinstance(plain, tuple) else plain
        for plain in packed.outcomes
    ]
    begin = [0] * 5
    files = zip(packed.prepared, packed.sources, packed.texts, packed.ends.tolist(), strict=True)
    for i, source, (names, referenced, problems), end in files:
        upsert = outcomes[i]
        assert isinstance(upsert, Upsert), upsert
        of = [
            array[begin[table] : end[table]] for (table, _), array in zip(_KINDS, packed.arrays, strict=True)
        ]
        prepared = PreparedFile(
            SourceFile(upsert.digest, *source),
            of[0],
            Parsed(
                SymbolTable(names, of[1], of[2], of[3], of[4], of[5], of[6]),
                ReferenceTable(referenced, of[7], of[8], of[9]),
                ChunkTable(of[10], of[11], of[12], of[13]),
                problems,
            ),
            TermTable(of[16], of[17], of[18], of[19], of[14]),
            of[15],
        )
        outcomes[i] = replace(upsert, prepared=prepared)
        begin = end
    return outcomes
