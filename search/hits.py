"""Ranked candidates -> hits as they stand on disk, best first, until there are enough.

Candidates are places of indexed content. Each becomes a line with its surroundings, or is found again in a
file that changed since, or is dropped so that the next one takes its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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
from search.matcher import AnyOf
from search.places import definition_at
from search.plan import Both, Case, Either, Node, Plan, Text, Without
from search.rank import Ranking
from search.reading import Reading
from search.snippet import Span, column, line_number, line_span, lines_around, make_line
from search.symbol import dotted

ROWS_AT_ONCE = 64  # candidates that are looked at together
CHUNK_CONTEXT = 2  # lines shown below the best line of a chunk, where the request asks for no context
DEFINITION_LINE = 0.6  # of a word of the query: what the line of a definition is worth, to show a chunk by


@dataclass(frozen=True, slots=True)
class Style:
    """How hits are shown."""

    context: int
    chars_max: int
    explain: bool


class _Row(NamedTuple):
    """One candidate, as plain numbers; made four times as fast as a frozen dataclass."""

    number: int  # in the table
    slot: int
    segment: int  # of the snapshot
    doc: int
    start: int
    end: int
    chunk: int
    definition: int
    around: int  # innermost definition around a place
    is_chunk: bool
    is_file: bool
    score: float


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
        around: I64,
        disk: Disk,
        style: Style,
        reading: Reading,
    ) -> None:
        """around: the innermost definition around each candidate, as gather.enclosing has it."""
        self._snapshot = snapshot
        self._facts = facts
        self._plan = plan
        self._table = candidates
        self._around = around
        self._disk = disk
        self._style = style
        self._texts = [matcher_of(*text) for text in _positive_texts(plan.tree, plan.case)]
        self._words = words_of(plan.words)
        self._reading = reading
        self._names: dict[tuple[int, int], tuple[str, str]] = {}  # segment, definition -> dotted name, kind

    def hits(self, ranking: Ranking) -> Iterator[Hit]:
        """Yield hits in order; a line is shown once."""
        shown: set[tuple[int, int]] = set()
        for low in range(0, len(ranking.order), ROWS_AT_ONCE):
            rows = list(self._rows(ranking, ranking.order[low : low + ROWS_AT_ONCE]))
            self._disk.look_at_all(row.slot for row in rows)
            for row in rows:
                hit = self._hit(row, ranking)
                if hit is None:
                    continue
                key = (row.slot, hit.line)
                if key not in shown:
                    shown.add(key)
                    yield hit

    def _rows(self, ranking: Ranking, rows: I64) -> Iterator[_Row]:
        """Return candidates as numbers: taken one by one out of an array, each is 0.1 us more."""
        table = self._table
        segment = np.searchsorted(self._snapshot.seg_base, table.doc[rows], side="right") - 1
        columns = (
            rows, table.slot[rows], segment, table.doc[rows], table.start[rows], table.end[rows],
            table.chunk[rows], table.definition[rows], self._around[rows], table.is_chunk[rows],
            table.is_file[rows], ranking.score[rows],
        )  # fmt: skip
        return map(_Row, *(column.tolist() for column in columns))

    def _hit(self, row: _Row, ranking: Ranking) -> Hit | None:
        current = self._disk.look(row.slot)
        if current.state == "gone":
            return None
        if current.state == "changed":
            return self._live_hit(row, ranking, current.content)
        if self._plain(row):
            return self._line(row, ranking)
        content = self._reading.content(row.doc)
        return self._show(row, ranking, content, self._indexed_place(row, content), False)

    def _plain(self, row: _Row) -> bool:
        """Whether a hit is one line of text, so that nothing around it need be read."""
        return not (self._style.context or row.is_chunk or row.is_file) and row.definition < 0

    def _live_hit(self, row: _Row, ranking: Ranking, content: bytes) -> Hit | None:
        """Return a hit in a file that has this content now, if it is still one."""
        indexed = self._reading.content(row.doc)
        place = self._live_place(row, indexed, content, self._indexed_place(row, indexed))
        return None if place is None else self._show(row, ranking, content, place, True)

    def _line(self, row: _Row, ranking: Ranking) -> Hit:
        """Return a plain hit from the page that it was found in: what `_show` makes of the whole content."""
        facts, style = self._facts, self._style
        passage = self._reading.passage(row.doc, row.start, row.end)
        content = passage.content
        start, end = row.start - passage.offset, row.end - passage.offset
        low, high = line_span(content, start)
        line = content[low:high]
        number = passage.line + content.count(b"\n", 0, low)
        marks = self._marks(line, start - low, end - low)
        shown = make_line(line, (0, high - low), number, marks, style.chars_max)
        symbol, kind = self._defined(row.segment, row.around) if row.around >= 0 else ("", "")
        return Hit(
            path=os.fsdecode(facts.paths[row.slot]),
            line=number,
            column=column(line, 0, start - low),
            end_line=number + (content.count(b"\n", start, end - 1) if end > high else 0),
            kind=self._plan.types or "line",
            symbol=symbol,
            symbol_kind=kind,
            language=facts.languages[facts.language[row.slot]],
            score=round(row.score, 6),
            lines=(shown,) if content else (),
            signals=_signals(ranking, row.number) if style.explain else {},
        )

    def _marks(self, line: bytes, start: int, end: int) -> list[Span]:
        """Return the spans to mark on one line, of which [start, end) is one; it may reach past its end."""
        spans = [span for text in self._texts for span in text.find(line, 100)]
        if self._words and not self._texts:
            spans += self._words.find(line)
        if (start, end) not in spans:
            spans.append((start, end))
        return [span for span in spans if span[1] > span[0]]

    def _show(self, row: _Row, ranking: Ranking, content: bytes, place: _Place, live: bool) -> Hit:
        facts, style = self._facts, self._style
        line = line_number(content, place.start)
        span = line_span(content, place.start)
        context = (style.context, style.context or (CHUNK_CONTEXT if row.is_chunk else 0))
        matches = [] if row.is_file else self._matches(content, place, span, context, row)
        symbol, kind = self._symbol(row, place, live)
        return Hit(
            path=os.fsdecode(facts.paths[row.slot] or b""),
            line=line,
            column=column(content, span[0], place.start),
            end_line=line + content.count(b"\n", place.start, place.last),
            kind=self._kind(row),
            symbol=symbol,
            symbol_kind=kind,
            language=facts.languages[facts.language[row.slot]],
            score=round(row.score, 6),
            lines=lines_around(content, place.start, line, matches, context, style.chars_max)
            if content
            else (),
            signals=_signals(ranking, row.number) if style.explain else {},
            live=live,
        )

    def _kind(self, row: _Row) -> str:
        if self._plan.types:
            return self._plan.types
        if row.is_file:
            return "file"
        return "symbol" if row.definition >= 0 else "line"

    def _segment(self, row: _Row) -> Segment:
        return self._snapshot.segments[row.segment]

    def _indexed_place(self, row: _Row, content: bytes) -> _Place:
        if row.is_chunk:
            best = self._best_line(self._segment(row), row.chunk, content, row.start, row.end)
            return _Place(best[0], best[1], max(best[0], row.end - 1))
        last = max(row.start, row.end - 1)
        if row.definition >= 0:
            last = max(last, int(self._segment(row).def_end[row.definition]) - 1)
        return _Place(row.start, row.end, last)

    def _best_line(self, segment: Segment, chunk: int, content: bytes, start: int, end: int) -> Span:
        """Return the line of a chunk with most of the query's words; else its definition, else its start."""
        definition = int(segment.chunk_def[self._snapshot.locate_chunk(chunk)[1]])
        lines: dict[int, set[bytes]] = {}
        for low, high in self._words.find(content, start, end) if self._words else ():
            lines.setdefault(line_span(content, low)[0], set()).add(content[low:high].lower())
        value: dict[int, float] = {line: len(found) for line, found in lines.items()}
        if definition >= 0 and start <= (named := int(segment.def_name_start[definition])) < end:
            line = line_span(content, named)[0]
            value[line] = value.get(line, 0) + DEFINITION_LINE
        if not value:
            first = end - len(content[start:end].lstrip())
            return (first, line_span(content, first)[1]) if first < end else (start, start)
        best = max(value, key=lambda line: (value[line], -line))
        high = line_span(content, best)[1]
        return high - len(content[best:high].lstrip()), high

    def _live_place(self, row: _Row, indexed: bytes, content: bytes, place: _Place) -> _Place | None:
        """Find a candidate again in the content that the file has now."""
        if not still_holds(self._plan.tree, content, self._plan.case):
            return None
        if row.is_file:
            return _Place(0, 0, 0)
        found: Span | None
        if row.definition >= 0:
            segment = self._segment(row)
            found = find_name(segment.name(int(segment.def_name[row.definition])), content, place.start)
        elif row.is_chunk:
            found = same_line(indexed[slice(*line_span(indexed, place.start))], content, place.start)
        else:
            # Of what was pasted, the line counts, not the words of it that stand nearest.
            found = None if self._plan.pasted else nearest(self._spans(content), place.start)
            if found is None and not self._texts:
                found = same_line(indexed[slice(*line_span(indexed, place.start))], content, place.start)
        return None if found is None else _Place(found[0], found[1], max(found[0], found[1] - 1))

    def _spans(self, content: bytes) -> list[Span]:
        """Return the matches of all positive texts; of the query's words where it is a bare query."""
        spans = [span for text in self._texts for span in text.find(content, 1000)]
        if not self._texts and self._words:
            spans += self._words.find(content)
        return spans

    def _matches(self, content: bytes, place: _Place, span: Span, context: Span, row: _Row) -> list[Span]:
        """Return the spans to mark on the lines shown."""
        low, high = span
        for _ in range(context[0]):
            low = line_span(content, max(0, low - 1))[0]
        for _ in range(context[1]):
            high = line_span(content, min(len(content), high + 1))[1]
        shown = content[low:high]
        spans = [] if row.is_chunk else [(place.start, place.end)]
        for text in self._texts:
            spans += [(a + low, b + low) for a, b in text.find(shown, 100)]
        if self._words and not self._texts:
            spans += [(a + low, b + low) for a, b in self._words.find(shown)]
        return [(a, b) for a, b in spans if b > a]

    def _symbol(self, row: _Row, place: _Place, live: bool) -> tuple[str, str]:
        """Return the dotted name and the kind of the definition that the hit is, or stands in."""
        definition = row.definition
        if definition < 0 and not live and not row.is_file:
            definition = row.around
            if row.is_chunk:
                ordinal = row.doc - int(self._snapshot.seg_base[row.segment])
                definition = definition_at(self._segment(row), ordinal, place.start)
        return self._defined(row.segment, definition) if definition >= 0 else ("", "")

    def _defined(self, number: int, definition: int) -> tuple[str, str]:
        """Return the dotted name and the kind of a definition."""
        known = self._names.get((number, definition))
        if known is None:
            segment = self._snapshot.segments[number]
            kind = KINDS[int(segment.def_kind[definition])]
            known = self._names[number, definition] = (dotted(segment, definition), kind)
        return known


def _signals(ranking: Ranking, number: int) -> dict[str, float]:
    return {name: round(float(values[number]), 6) for name, values in ranking.parts.items()}


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
def words_of(words: tuple[str, ...]) -> AnyOf | None:
    """Return what finds the words that a query means; None if there are none."""
    texts = {word for word in words if len(word) > 1}
    texts |= {
        term.text.decode("utf-8", "surrogateescape") for term in query_terms(words) if len(term.text) > 1
    }
    return AnyOf(texts) if texts else None


def _positive_texts(node: Node, case: Case) -> list[tuple[str, bool, Case]]:
    match node:
        case Text(text, regex):
            return [(text, regex, case)]
        case Both(children) | Either(children):
            return [text for child in children for text in _positive_texts(child, case)]
        case _:
            return []
