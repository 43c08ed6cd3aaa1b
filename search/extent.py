"""What a hit of a question stands for, and which of its lines tell why. Pure.

A question is answered by chunks, which are cut for embedding. People and agents want the code around: the
whole innermost definition around the chunk's best line where it is not too long, else the chunk. Of it are
shown the line that names the definition, the best line, and those with most of the question's other words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from indexer.store.segment import Segment
from search.places import NONE, definition_at, parents
from search.reading import Passage, Reading
from search.snippet import Span, line_span

WHOLE_LINES_MIN = 3
WHOLE_LINES_MAX = 80  # a longer definition is shown by the chunk
WHOLE_BYTES_MAX = 8 << 10
TELLING_LINES = 3  # with words of the question, of one hit
SHOWN_LINES = 3  # of one hit at least, if it has so many
DEFINITION_LINE = 0.6  # of a word of the question: what the line of a definition is worth

Words = Callable[[bytes, int, int], Iterable[Span]]  # content, start, end -> words of the question, ascending


@dataclass(frozen=True, slots=True)
class Extent:
    """A hit's place in a passage; all offsets count from the passage's start."""

    passage: Passage
    start: int  # of the best line, from its first character on
    end: int
    low: int  # all that it stands for
    high: int
    definition: int  # around it, segment-wide; -1 if there is none
    lines: tuple[int, ...]  # where the lines to show begin, ascending
    words: tuple[Span, ...]  # words of the question in it


@dataclass(frozen=True, slots=True)
class ChunkAt:
    """A chunk in its document."""

    segment: Segment
    ordinal: int
    doc: int
    start: int
    end: int
    definition: int  # that it shows, -1 if none


def extent_of(chunk: ChunkAt, reading: Reading, words_in: Words | None) -> Extent:
    """Return what stands for a chunk; `words_in` finds words of the question."""
    passage = reading.passage(chunk.doc, chunk.start, chunk.end)
    content, low, high = passage.content, chunk.start - passage.offset, chunk.end - passage.offset
    found = tuple(words_in(content, low, high)) if words_in else ()
    by_line = _by_line(content, found)
    best = _best_line(content, by_line, (low, high), _name_at(chunk, passage))
    innermost = definition_at(chunk.segment, chunk.ordinal, passage.offset + best[0])
    definition, whole = _around(chunk, innermost, reading)
    if whole is not None:
        passage, begin, end = whole
        shift = passage.offset - (chunk.start - low)
        best = best[0] - shift, best[1] - shift
        found = tuple((a - shift, b - shift) for a, b in found)
        by_line = {line - shift: said for line, said in by_line.items()}
        low, high = begin, end
        first = line_span(passage.content, low)[0]
        by_line = {line: said for line, said in by_line.items() if first <= line < high}
    low, high = _trimmed(passage.content, low, high)
    named = _name_of(chunk.segment, definition, passage, low, high)
    lines = _lines(passage.content, by_line, line_span(passage.content, best[0])[0], named, (low, high))
    return Extent(passage, *best, low, high, definition, lines, found)


def _name_at(chunk: ChunkAt, passage: Passage) -> int:
    """Return where the name of the definition that a chunk shows stands in a passage, -1 if not in it."""
    if chunk.definition < 0:
        return NONE
    named = int(chunk.segment.def_name_start[chunk.definition])
    return named - passage.offset if chunk.start <= named < chunk.end else NONE


def _name_of(segment: Segment, definition: int, passage: Passage, low: int, high: int) -> int:
    """Return the start of the line that names a definition, -1 if it is not in [low, high)."""
    if definition < 0:
        return NONE
    named = int(segment.def_name_start[definition]) - passage.offset
    return line_span(passage.content, named)[0] if low <= named < high else NONE


def _by_line(content: bytes, found: Sequence[Span]) -> dict[int, set[bytes]]:
    """Return the distinct words of each line that has any, by where it begins."""
    lines: dict[int, set[bytes]] = {}
    end = -1
    start = 0
    for low, high in found:  # ascending
        if low >= end:
            start, end = line_span(content, low)
        lines.setdefault(start, set()).add(content[low:high].lower())
    return lines


def _best_line(content: bytes, by_line: dict[int, set[bytes]], within: Span, named: int) -> Span:
    """Return the line with most of the question's words; else the definition's, else the first."""
    value: dict[int, float] = {line: len(said) for line, said in by_line.items()}
    if named >= 0:
        line = line_span(content, named)[0]
        value[line] = value.get(line, 0) + DEFINITION_LINE
    start, end = within
    if not value:
        first = end - len(content[start:end].lstrip())
        return (first, line_span(content, first)[1]) if first < end else (start, start)
    best = max(value, key=lambda line: (value[line], -line))
    high = line_span(content, best)[1]
    return high - len(content[best:high].lstrip()), high


def _around(chunk: ChunkAt, innermost: int, reading: Reading) -> tuple[int, tuple[Passage, int, int] | None]:
    """Return the definition around a place, and where it stands in a passage if it is not too long.

    Those of a line or two, a field or a constant, say little by themselves: what is around them is taken.
    """
    for definition in parents(chunk.segment, innermost):
        low, high = int(chunk.segment.def_start[definition]), int(chunk.segment.def_end[definition])
        if high - low > WHOLE_BYTES_MAX:
            return definition, None
        if definition == chunk.definition:  # its comment may stand before it
            low, high = min(low, chunk.start), max(high, chunk.end)
        passage = reading.passage(chunk.doc, min(low, chunk.start), max(high, chunk.end))
        begin, end = low - passage.offset, high - passage.offset
        n_lines = passage.content.count(b"\n", begin, end - 1) + 1
        if n_lines >= WHOLE_LINES_MIN:
            return definition, (passage, begin, end) if n_lines <= WHOLE_LINES_MAX else None
    return innermost, None


def _trimmed(content: bytes, low: int, high: int) -> Span:
    """Leave out blank lines at both ends."""
    high = low + len(content[low:high].rstrip()) or high
    return high - len(content[low:high].lstrip()), high


def _lines(
    content: bytes, by_line: dict[int, set[bytes]], best: int, named: int, within: Span
) -> tuple[int, ...]:
    """Choose the lines to show: the name's, the best, and those with most words that none before has."""
    chosen = [best]
    said = set(by_line.get(best, ()))
    while len(chosen) < TELLING_LINES:
        line = max(by_line, key=lambda line: (len(by_line[line] - said), -line), default=best)
        if not by_line.get(line, set()) - said:
            break
        chosen.append(line)
        said |= by_line[line]
    if named >= 0:
        chosen.append(named)
    shown = set(chosen)
    following = best
    while len(shown) < SHOWN_LINES:
        following = line_span(content, following)[1] + 1
        if following >= within[1]:
            break
        shown.add(following)
    return tuple(sorted(shown))
