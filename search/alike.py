"""The best chunks like some code -> the definitions in them that are like it, and an order by how much.

A chunk of short functions is near to code that is like one of them; which one, and whether it is a copy, is
said by the runs of tokens (`shingles`) that both have. Only the first places are looked at: reading and
cutting up a definition takes a tenth of a millisecond.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from indexer.records import F32, I64
from indexer.store.snapshot import Snapshot
from search.copies import Units, units_of_chunks
from search.example import Code
from search.gather import Candidates
from search.rank import Ranking
from search.reading import Reading
from search.shingles import Tokens, share, tokens

LOOKED_AT = 24  # places of an answer, at least; as many as are asked for, up to LOOKED_AT_MAX
LOOKED_AT_MAX = 100
LENGTH_RATIO = 4  # a definition that is like the code is at most so many times as long, or as short
SHOWN_MIN = 0.1  # likeness from which on a definition is shown instead of its chunk
EXACT_SHARE = 0.1  # of the likeness is for names: of several that look the same the copy comes first
SIGNAL = "alike"


def sharpened(
    snapshot: Snapshot, reading: Reading, table: Candidates, ranking: Ranking, code: Code, limit: int
) -> tuple[Candidates, Ranking]:
    """Return the candidates, the first ones moved to the definitions that are like the code, and their order.

    The score of each of these is multiplied by 1 + likeness, which is 1 for a copy, 0.9 for a renamed one.
    """
    n = min(LOOKED_AT_MAX, max(LOOKED_AT, limit))
    factor = np.ones(len(table), np.float32)
    start, end = table.start.copy(), table.end.copy()
    definition, is_chunk = table.definition.copy(), table.is_chunk.copy()
    own = tokens(code.language, code.content)
    first = ranking.order[:n]
    chunks = first[table.is_chunk[first]]
    listed = _units(snapshot, table.chunk[chunks], len(code.content))
    for row, units in zip(chunks.tolist(), listed, strict=True):
        best, like = _best(snapshot, reading, units, own, int(table.doc[row]))
        factor[row] += np.float32(like)
        if like >= SHOWN_MIN and int(units.definition[best]) >= 0:
            definition[row] = units.definition[best]
            is_chunk[row] = False
            start[row], end[row] = _name(snapshot, units, best)
    score: F32 = ranking.score * factor
    again = np.argsort(-score[first], kind="stable")
    order = np.concatenate((first[again], ranking.order[n:]))
    moved = replace(table, start=start, end=end, definition=definition, is_chunk=is_chunk)
    return moved, Ranking(order, score, ranking.parts | {SIGNAL: factor})


def _units(snapshot: Snapshot, chunks: I64, length: int) -> list[Units]:
    """Return for each chunk the definitions in it, or around it, that are about as long as the code."""
    out: list[Units | None] = [None] * len(chunks)
    owner = np.searchsorted(snapshot.chunk_base, chunks, side="right") - 1
    for number in np.unique(owner).tolist():
        at = np.flatnonzero(owner == number)
        local = chunks[at] - int(snapshot.chunk_base[number])
        units = units_of_chunks(snapshot.segments[number], number, np.unique(local))
        own = units.end - units.start
        units = units.where((own * LENGTH_RATIO >= length) & (own <= length * LENGTH_RATIO))
        for position, chunk in zip(at.tolist(), local.tolist(), strict=True):
            out[position] = units.where((units.first <= chunk) & (chunk < units.last))
    return [units for units in out if units is not None]


def _best(snapshot: Snapshot, reading: Reading, units: Units, own: Tokens, doc: int) -> tuple[int, float]:
    """Return which unit shares most with the code, and how much; 0 where there is none."""
    best, most = -1, 0.0
    if not len(units):
        return best, most
    content = reading.content(doc)
    segment, ordinal = snapshot.locate_doc(doc)
    language = segment.language_name(ordinal)
    for i, (start, end) in enumerate(zip(units.start.tolist(), units.end.tolist(), strict=True)):
        other = tokens(language, content[start:end])
        exact = share(own.exact_runs, other.exact_runs)
        like = EXACT_SHARE * exact + (1 - EXACT_SHARE) * max(exact, share(own.shape_runs, other.shape_runs))
        if like > most:
            best, most = i, like
    return best, most


def _name(snapshot: Snapshot, units: Units, at: int) -> tuple[int, int]:
    """Return the bytes [start, end) of the name of a unit that is a definition."""
    segment = snapshot.segments[units.number]
    definition = int(units.definition[at])
    start, name = int(segment.def_name_start[definition]), int(segment.def_name[definition])
    return start, start + int(segment.name_off[name + 1]) - int(segment.name_off[name]) - 1
