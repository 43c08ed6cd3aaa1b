"""Ranked candidates -> hits as they stand on disk, best first, until there are enough.

Candidates are places of indexed content. Each becomes a line with its surroundings, or is found again in a
file that changed since, or is dropped so that the next one takes its place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from indexer.records import I64, KINDS
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from search.answer import Hit
from search.evaluate import matcher_of
from search.facts import RootFacts
from search.gather import Candidates
from search.lexical import query_terms
from search.live import Disk, find_name, nearest, same_line
from search.places import NONE, definitions_at
from search.plan import Both, Case, Either, Node, Plan, Text, Without
from search.rank import Ranking
from search.reading import Reading
from search.snippet import Span, column, line_number, line_span, lines_around
from search.symbol import dotted

ROWS_AT_ONCE = 64  # candidates that are looked at together
CHUNK_CONTEXT = 2  # lines shown below the best line of a chunk, where the request asks for no context


@dataclass(frozen=True, slots=True)
class Style:
    """How hits are shown."""

    context: int
    chars_max: int
    explain: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hit stands in the content it is shown from."""

    start: int
    end: int
    last: int  # offset of the last byte that the hit stands for


class HitMaker:
    """Makes the hits of one query."""

    def __init__(
        self,
        snapshot: Snapshot,
        facts: RootFacts,
        plan: Plan,
        candidates: Candidates,
        disk: Disk,
        style: Style,
        reading: Reading,
    ) -> None:
        self._snapshot = snapshot
        self._facts = facts
        self._plan = plan
        self._table = candidates
        self._disk = disk
        self._style = style
        self._texts = _positive_texts(plan.tree, plan.case)
        self._words = word_pattern(plan.words)
        self._reading = reading
        self._around: dict[int, int] = {}  # row -> innermost definition around it

    def hits(self, ranking: Ranking) -> Iterator[Hit]:
        """Yield hits in order; a line is shown once."""
        shown: set[tuple[int, int]] = set()
        for i, row in enumerate(ranking.order.tolist()):
            if i % ROWS_AT_ONCE == 0:
                self._look_around(ranking.order[i : i + ROWS_AT_ONCE])
            hit = self._hit(row, ranking)
            if hit is None:
                continue
            key = (int(self._table.slot[row]), hit.line)
            if key not in shown:
                shown.add(key)
                yield hit

    def _look_around(self, rows: I64) -> None:
        """Find the definitions around many candidates together: one by one it is 0.1 ms each."""
        table = self._table
        rows = rows[(table.definition[rows] < 0) & ~table.is_file[rows] & ~table.is_chunk[rows]]
        found = definitions_at(self._snapshot, table.doc[rows], table.start[rows])
        self._around = dict(zip(rows.tolist(), found.tolist(), strict=True))

    def _hit(self, row: int, ranking: Ranking) -> Hit | None:
        table = self._table
        slot, doc = int(table.slot[row]), int(table.doc[row])
        current = self._disk.look(slot)
        if current.state == "gone":
            return None
        segment, ordinal = self._snapshot.locate_doc(doc)
        indexed = self._reading.content(doc)
        place = self._indexed_place(row, segment, indexed)
        content, live = indexed, current.state == "changed"
        if live:
            content = current.content
            moved = self._live_place(row, segment, indexed, content, place)
            if moved is None:
                return None
            place = moved
        return self._show(row, ranking, segment, ordinal, doc, slot, content, place, live)

    def _show(
        self,
        row: int,
        ranking: Ranking,
        segment: Segment,
        ordinal: int,
        doc: int,
        slot: int,
        content: bytes,
        place: _Place,
        live: bool,
    ) -> Hit:
        table, style = self._table, self._style
        line = line_number(content, place.start)
        span = line_span(content, place.start)
        after = style.context or (CHUNK_CONTEXT if table.is_chunk[row] else 0)
        context = (style.context, after)
        matches = [] if table.is_file[row] else self._matches(content, place, span, context, row)
        symbol, kind = self._symbol(row, segment, doc, place, live)
        parts = ranking.parts if style.explain else {}
        return Hit(
            path=os.fsdecode(self._facts.paths[slot] or b""),
            line=line,
            column=column(content, span[0], place.start),
            end_line=line + content.count(b"\n", place.start, place.last),
            kind=self._kind(row),
            symbol=symbol,
            symbol_kind=kind,
            language=segment.language_name(ordinal),
            score=round(float(ranking.score[row]), 6),
            lines=lines_around(content, place.start, line, matches, context, style.chars_max)
            if content
            else (),
            signals={name: round(float(values[row]), 6) for name, values in parts.items()},
            live=live,
        )

    def _kind(self, row: int) -> str:
        if self._plan.types:
            return self._plan.types
        if self._table.is_file[row]:
            return "file"
        return "symbol" if self._table.definition[row] >= 0 else "line"

    def _indexed_place(self, row: int, segment: Segment, content: bytes) -> _Place:
        table = self._table
        start, end = int(table.start[row]), int(table.end[row])
        if table.is_chunk[row]:
            best = self._best_line(segment, int(table.chunk[row]), content, start, end)
            return _Place(best[0], best[1], max(best[0], end - 1))
        definition = int(table.definition[row])
        last = max(start, end - 1)
        if definition >= 0:
            last = max(last, int(segment.def_end[definition]) - 1)
        return _Place(start, end, last)

    def _best_line(self, segment: Segment, chunk: int, content: bytes, start: int, end: int) -> Span:
        """Return the line of a chunk with most of the query's words; else its definition, else its start."""
        definition = int(segment.chunk_def[self._snapshot.locate_chunk(chunk)[1]])
        named = int(segment.def_name_start[definition]) if definition >= 0 else NONE
        best: tuple[float, int, int] | None = None
        at = start
        while at < end:
            low, high = line_span(content, at)
            text = content[low:high]
            if text.strip():
                words = {m.group().lower() for m in self._words.finditer(text)} if self._words else set()
                value = len(words) + (0.6 if low <= named < high else 0.0)
                if best is None or value > best[0]:
                    first = low + len(text) - len(text.lstrip())
                    best = (value, first, high)
            at = high + 1
        return (start, start) if best is None else (best[1], best[2])

    def _live_place(
        self, row: int, segment: Segment, indexed: bytes, content: bytes, place: _Place
    ) -> _Place | None:
        """Find a candidate again in the content that the file has now."""
        if not still_holds(self._plan.tree, content, self._plan.case):
            return None
        table = self._table
        if table.is_file[row]:
            return _Place(0, 0, 0)
        found: Span | None
        definition = int(table.definition[row])
        if definition >= 0:
            found = find_name(segment.name(int(segment.def_name[definition])), content, place.start)
        elif table.is_chunk[row]:
            found = same_line(indexed[slice(*line_span(indexed, place.start))], content, place.start)
        else:
            found = nearest(self._spans(content), place.start)
            if found is None and not self._texts:
                found = same_line(indexed[slice(*line_span(indexed, place.start))], content, place.start)
        return None if found is None else _Place(found[0], found[1], max(found[0], found[1] - 1))

    def _spans(self, content: bytes) -> list[Span]:
        """Return the matches of all positive texts; of the query's words where it is a bare query."""
        spans = [span for text in self._texts for span in matcher_of(*text).find(content, 1000)]
        if not self._texts and self._words:
            spans += [match.span() for match in self._words.finditer(content)]
        return spans

    def _matches(self, content: bytes, place: _Place, span: Span, context: Span, row: int) -> list[Span]:
        """Return the spans to mark on the lines shown."""
        low, high = span
        for _ in range(context[0]):
            low = line_span(content, max(0, low - 1))[0]
        for _ in range(context[1]):
            high = line_span(content, min(len(content), high + 1))[1]
        shown = content[low:high]
        spans = [] if self._table.is_chunk[row] else [(place.start, place.end)]
        for text in self._texts:
            spans += [(a + low, b + low) for a, b in matcher_of(*text).find(shown, 100)]
        if self._words and not self._texts:
            spans += [(m.start() + low, m.end() + low) for m in self._words.finditer(shown)]
        return [(a, b) for a, b in spans if b > a]

    def _symbol(self, row: int, segment: Segment, doc: int, place: _Place, live: bool) -> tuple[str, str]:
        """Return the dotted name and the kind of the definition that the hit is, or stands in."""
        definition = int(self._table.definition[row])
        if definition < 0 and not live and not self._table.is_file[row]:
            known = self._around.get(row)
            if known is None:
                at = definitions_at(self._snapshot, np.array([doc]), np.array([place.start]))
                known = int(at[0])
            definition = known
        if definition < 0:
            return "", ""
        return dotted(segment, definition), KINDS[int(segment.def_kind[definition])]


def still_holds(node: Node, content: bytes, case: Case) -> bool:
    """True unless the texts of a tree rule the content out; what only the index knows is taken to hold."""
    match node:
        case Text(text, regex):
            return matcher_of(text, regex, case).any(content)
        case Both(children):
            return all(still_holds(child, content, case) for child in children)
        case Either(children):
            return any(still_holds(child, content, case) for child in children)
        case Without(Text(text, regex, places, kinds)) if not places and not kinds:
            return not matcher_of(text, regex, case).any(content)
        case _:
            return True


@lru_cache(maxsize=256)
def word_pattern(words: tuple[str, ...]) -> re.Pattern[bytes] | None:
    """Return a pattern of the words that a query means, longest first; None if there are none."""
    texts = {word.encode("utf-8", "surrogateescape") for word in words if len(word) > 1}
    texts |= {term.text for term in query_terms(words) if len(term.text) > 1}
    if not texts:
        return None
    ordered = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile(b"|".join(map(re.escape, ordered)), re.IGNORECASE)


def _positive_texts(node: Node, case: Case) -> list[tuple[str, bool, Case]]:
    match node:
        case Text(text, regex):
            return [(text, regex, case)]
        case Both(children) | Either(children):
            return [text for child in children for text in _positive_texts(child, case)]
        case _:
            return []
