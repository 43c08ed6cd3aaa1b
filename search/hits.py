"""Ranked candidates -> hits as they stand on disk, best first, until there are enough.

Candidates are places of indexed content. Each becomes a line with its surroundings or, for a question, what
extent.py makes of its chunk; or is found again in a file that changed since, or is dropped so that the next
one takes its place. What stands under several paths is told once, with the other paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from indexer.records import I64, KINDS, Bool
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from search.answer import Hit, Line
from search.evaluate import matcher_of
from search.extent import WHOLE_LINES_MAX, ChunkAt, extent_of
from search.facts import RootFacts
from search.gather import Candidates
from search.lexical import query_terms
from search.live import Disk, find_name, nearest, same_line
from search.matcher import AnyOf
from search.plan import Both, Case, Either, Node, Plan, Text, Without
from search.rank import Ranking
from search.reading import Passage, Reading
from search.snippet import Span, column, line_span, lines_around, make_line
from search.symbol import dotted

ROWS_AT_ONCE = 64  # candidates that are looked at together, at most
LIVE_CONTEXT = 2  # lines shown below the line of a chunk whose file changed since
ALSO_MAX = 100  # other paths that are told of one hit


@dataclass(frozen=True, slots=True)
class Style:
    """How hits are shown."""

    context: int
    chars_max: int
    explain: bool
    whole: bool  # all lines that a hit stands for
    wanted: int  # hits


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
    is_copied: bool  # other paths have the same content
    score: float


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hit stands in the passage it is shown from; all offsets count from the passage's start."""

    passage: Passage
    start: int  # the match, or the best line
    end: int
    low: int  # all that the hit stands for
    high: int
    definition: int = -1  # around it
    lines: tuple[int, ...] = ()  # where the lines to show begin; empty: that of `start` with the context
    marks: tuple[Span, ...] = ()  # known already


class HitMaker:
    """Makes the hits of one query."""

    def __init__(
        self,
        snapshot: Snapshot,
        facts: RootFacts,
        plan: Plan,
        slots: Bool,
        candidates: Candidates,
        around: I64,
        disk: Disk,
        style: Style,
        reading: Reading,
    ) -> None:
        """Make hits of `candidates`.

        slots   the files that the query admits: other paths of a hit's content are among them
        around  the innermost definition around each candidate, as gather.enclosing has it
        """
        self._snapshot = snapshot
        self._facts = facts
        self._plan = plan
        self._slots = slots
        self._table = candidates
        self._around = around
        self._disk = disk
        self._style = style
        self._texts = [matcher_of(*text) for text in _positive_texts(plan.tree, plan.case)]
        self._words = words_of(plan.words)
        self._reading = reading
        self._names: dict[tuple[int, int], tuple[str, str]] = {}  # segment, definition -> dotted name, kind

    def hits(self, ranking: Ranking) -> Iterator[Hit]:
        """Yield hits in order; a line of a content is told once, with all paths that have it."""
        shown: set[tuple[int, int]] = set()
        told: set[tuple[int, int]] = set()  # the same by document
        step = min(ROWS_AT_ONCE, self._style.wanted + 8)
        for low in range(0, len(ranking.order), step):
            rows = list(self._rows(ranking, ranking.order[low : low + step]))
            self._disk.look_at_all(row.slot for row in rows)
            for row in rows:
                hit = self._hit(row, ranking)
                if hit is None or (row.slot, hit.line) in shown:
                    continue
                shown.add((row.slot, hit.line))
                if row.is_copied and not hit.live and not row.is_file:
                    if (row.doc, hit.line) in told:
                        continue
                    if others := self._others(row):
                        told.add((row.doc, hit.line))
                        hit = replace(hit, also=others)
                yield hit

    def _others(self, row: _Row) -> tuple[str, ...]:
        """Return the other paths that have the content of a row, and have it still."""
        slots = self._facts.slots_of(np.array([row.doc])).tolist()
        admitted = [slot for slot in slots if slot != row.slot and self._slots[slot]]
        self._disk.look_at_all(admitted)
        same = [self._facts.paths[slot] for slot in admitted if self._disk.look(slot).state == "same"]
        return tuple(os.fsdecode(path) for path in sorted(same)[:ALSO_MAX])

    def _rows(self, ranking: Ranking, rows: I64) -> Iterator[_Row]:
        """Return candidates as numbers: taken one by one out of an array, each is 0.1 us more."""
        table = self._table
        segment = np.searchsorted(self._snapshot.seg_base, table.doc[rows], side="right") - 1
        columns = (
            rows, table.slot[rows], segment, table.doc[rows], table.start[rows], table.end[rows],
            table.chunk[rows], table.definition[rows], self._around[rows], table.is_chunk[rows],
            table.is_file[rows], self._facts.view.has_copies(table.doc[rows]), ranking.score[rows],
        )  # fmt: skip
        return map(_Row, *(column.tolist() for column in columns))

    def _hit(self, row: _Row, ranking: Ranking) -> Hit | None:
        current = self._disk.look(row.slot)
        if current.state == "gone":
            return None
        if current.state == "changed":
            place = self._live_place(row, current.content)
            return None if place is None else self._show(row, ranking, place, True)
        if self._plain(row):
            return self._line(row, ranking)
        return self._show(row, ranking, self._indexed_place(row), False)

    def _plain(self, row: _Row) -> bool:
        """Whether a hit is one line of text, so that nothing around it need be read."""
        return not (self._style.context or row.is_chunk or row.is_file) and row.definition < 0

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
            start_line=number,
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

    def _show(self, row: _Row, ranking: Ranking, place: _Place, live: bool) -> Hit:
        facts, style = self._facts, self._style
        content = place.passage.content
        line = place.passage.line + content.count(b"\n", 0, place.start)
        symbol, kind = self._symbol(row, place, live)
        return Hit(
            path=os.fsdecode(facts.paths[row.slot] or b""),
            line=line,
            column=column(content, line_span(content, place.start)[0], place.start),
            start_line=line - content.count(b"\n", place.low, place.start),
            end_line=line + content.count(b"\n", place.start, max(place.start, place.high - 1)),
            kind=self._kind(row),
            symbol=symbol,
            symbol_kind=kind,
            language=facts.languages[facts.language[row.slot]],
            score=round(row.score, 6),
            lines=self._lines(row, place, line) if content else (),
            signals=_signals(ranking, row.number) if style.explain else {},
            live=live,
        )

    def _lines(self, row: _Row, place: _Place, number: int) -> tuple[Line, ...]:
        """Return the lines that are shown: those of the place, or the one numbered so with its context."""
        style, content = self._style, place.passage.content
        if place.lines and not style.context:
            words = {line_span(content, low)[0] for low, _ in place.marks}
            words.add(line_span(content, place.start)[0])
            first = number - content.count(b"\n", 0, place.start)
            return tuple(
                make_line(
                    content,
                    line_span(content, at),
                    first + content.count(b"\n", 0, at),
                    place.marks,
                    style.chars_max,
                    at in words,
                )
                for at in place.lines
            )
        below = LIVE_CONTEXT if row.is_chunk else 0
        context = (style.context, style.context or below)
        matches = [] if row.is_file else self._matches(row, place, context)
        return lines_around(content, place.start, number, matches, context, style.chars_max)

    def _kind(self, row: _Row) -> str:
        if self._plan.types:
            return self._plan.types
        if row.is_file:
            return "file"
        return "symbol" if row.definition >= 0 else "line"

    def _segment(self, row: _Row) -> Segment:
        return self._snapshot.segments[row.segment]

    def _indexed_place(self, row: _Row) -> _Place:
        """Return where a candidate stands in the indexed content."""
        if row.is_chunk:
            return self._chunk_place(row)
        low, high = row.start, max(row.end, row.start + 1)
        if row.definition >= 0:
            segment = self._segment(row)
            low = min(low, int(segment.def_start[row.definition]))
            high = max(high, int(segment.def_end[row.definition]))
        place = self._place(row, low, high)
        if self._style.whole and row.definition >= 0:
            return replace(place, lines=_all_lines(place), marks=((place.start, place.end),))
        return place

    def _place(self, row: _Row, low: int, high: int) -> _Place:
        passage = self._passage(row, low, high)
        at = passage.offset
        return _Place(passage, row.start - at, row.end - at, low - at, high - at)

    def _passage(self, row: _Row, low: int, high: int) -> Passage:
        """Return what is needed to show [low, high) of a document: the whole where context is asked for."""
        if self._style.context or row.is_file:
            return Passage(self._reading.content(row.doc), 0, 1)
        return self._reading.passage(row.doc, low, high)

    def _chunk_place(self, row: _Row) -> _Place:
        segment = self._segment(row)
        shows = int(segment.chunk_def[self._snapshot.locate_chunk(row.chunk)[1]])
        ordinal = row.doc - int(self._snapshot.seg_base[row.segment])
        if self._style.context:  # then all of the document is at hand
            self._reading.content(row.doc)
        chunk = ChunkAt(segment, ordinal, row.doc, row.start, row.end, shows)
        extent = extent_of(chunk, self._reading, self._words.find if self._words else None)
        place = _Place(
            extent.passage,
            extent.start,
            extent.end,
            extent.low,
            extent.high,
            extent.definition,
            extent.lines,
            extent.words,
        )
        return replace(place, lines=_all_lines(place)) if self._style.whole else place

    def _live_place(self, row: _Row, content: bytes) -> _Place | None:
        """Find a candidate again in the content that the file has now; None if it is no hit any more."""
        if not still_holds(self._plan.tree, content, self._plan.case):
            return None
        passage = Passage(content, 0, 1)
        if row.is_file:
            return _Place(passage, 0, 0, 0, 0)
        indexed = self._indexed_place(row)
        near = indexed.start + indexed.passage.offset
        found: Span | None
        if row.definition >= 0:
            segment = self._segment(row)
            found = find_name(segment.name(int(segment.def_name[row.definition])), content, near)
        else:
            # Of what was pasted, the line counts, not the words of it that stand nearest.
            by_line = row.is_chunk or self._plan.pasted is not None
            found = None if by_line else nearest(self._spans(content), near)
            if found is None and (row.is_chunk or not self._texts):
                line = line_span(indexed.passage.content, indexed.start)
                found = same_line(indexed.passage.content[slice(*line)], content, near)
        return None if found is None else _Place(passage, *found, *found)

    def _spans(self, content: bytes) -> list[Span]:
        """Return the matches of all positive texts; of the query's words where it is a bare query."""
        spans = [span for text in self._texts for span in text.find(content, 1000)]
        if not self._texts and self._words:
            spans += self._words.find(content)
        return spans

    def _matches(self, row: _Row, place: _Place, context: Span) -> list[Span]:
        """Return the spans to mark on the line of a place and the lines around it."""
        content = place.passage.content
        low, high = line_span(content, place.start)
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
            definition = place.definition if row.is_chunk else row.around
        return self._defined(row.segment, definition) if definition >= 0 else ("", "")

    def _defined(self, number: int, definition: int) -> tuple[str, str]:
        """Return the dotted name and the kind of a definition."""
        known = self._names.get((number, definition))
        if known is None:
            segment = self._snapshot.segments[number]
            kind = KINDS[int(segment.def_kind[definition])]
            known = self._names[number, definition] = (dotted(segment, definition), kind)
        return known


def _all_lines(place: _Place) -> tuple[int, ...]:
    """Return where the lines begin that a place stands for, WHOLE_LINES_MAX at most."""
    content = place.passage.content
    lines = [line_span(content, place.low)[0]]
    while len(lines) < WHOLE_LINES_MAX:
        following = line_span(content, lines[-1])[1] + 1
        if following >= place.high:
            break
        lines.append(following)
    return tuple(lines)


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
