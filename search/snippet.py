"""Lines of an answer: cut out of the content, with the matched characters. Pure.

Offsets come in bytes, for that is what is searched, and leave as characters, for that is what is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from search.answer import Line

CUT = "…"
Content = bytes | memoryview
Span = tuple[int, int]


def line_span(content: bytes, offset: int) -> Span:
    """Return the bytes [start, end) of the line around an offset, its line end not included."""
    start = content.rfind(b"\n", 0, offset) + 1
    end = content.find(b"\n", offset)
    return start, len(content) if end < 0 else end


def line_number(content: bytes, offset: int) -> int:
    """Return the 1-based number of the line around an offset."""
    return content.count(b"\n", 0, offset) + 1


def column(content: bytes, start: int, offset: int) -> int:
    """Return the 1-based column, in characters, of an offset in the line that starts at `start`."""
    before = content[start:offset]
    return (len(before) if before.isascii() else len(_text(before))) + 1


def lines_around(
    content: bytes,
    offset: int,
    number: int,
    matches: Iterable[Span],
    context: tuple[int, int],
    chars_max: int,
) -> tuple[Line, ...]:
    """Return the line at `offset`, whose number is `number`, with the lines around it.

    matches  byte spans in the content; each is shown on every line that it touches
    context  how many lines before, how many after
    """
    start, end = line_span(content, offset)
    spans = [(start, end)]
    for _ in range(context[0]):
        if spans[0][0] == 0:
            break
        spans.insert(0, line_span(content, spans[0][0] - 1))
    before = len(spans) - 1
    for _ in range(context[1]):
        following = spans[-1][1] + 1
        if following >= len(content):
            break
        spans.append(line_span(content, following))
    found = sorted(matches)
    return tuple(
        make_line(content, span, number - before + i, found, chars_max, i == before)
        for i, span in enumerate(spans)
    )


def make_line(
    content: bytes, span: Span, number: int, matches: Iterable[Span], chars_max: int, is_match: bool = True
) -> Line:
    """Return one line with the matches on it; a long line is cut around its first match."""
    start, end = span
    if end > start and content[end - 1] == 13:
        end -= 1
    inside = [(max(a, start), min(b, end)) for a, b in matches if a < end and b > start]
    if (
        end - start <= chars_max and (raw := content[start:end]).isascii()
    ):  # bytes are characters, none is cut
        return Line(number, raw.decode("ascii"), _shifted(inside, start), is_match)
    low = start
    if end - start > 4 * chars_max:  # do not decode megabytes for a line that is cut anyway
        first = inside[0][0] if inside else start
        low = _character_start(content, max(start, first - 4 * chars_max))
        end = min(end, low + 16 * chars_max)
    text = _text(content[low:end])
    ranges = [
        (len(_text(content[low:a])), len(_text(content[low:b]))) for a, b in _merged(inside) if low <= a < end
    ]
    text, ranges = clip(text, ranges, chars_max, cut_before=low > start)
    return Line(number, text, tuple(ranges), is_match)


def clip(
    text: str, ranges: list[Span], chars_max: int, *, cut_before: bool = False
) -> tuple[str, list[Span]]:
    """Cut a text to `chars_max` characters around its first range, marking the cuts."""
    if len(text) <= chars_max and not cut_before:
        return text, ranges
    first = ranges[0][0] if ranges else 0
    start = max(0, min(first - chars_max // 4, len(text) - chars_max + 1))
    head = CUT if start or cut_before else ""
    room = chars_max - len(head)
    tail = CUT if start + room < len(text) else ""
    room -= len(tail)
    kept = text[start : start + room]
    shift = len(head) - start
    high = len(head) + len(kept)
    moved = [(max(a + shift, len(head)), min(b + shift, high)) for a, b in ranges]
    return head + kept + tail, [(a, b) for a, b in moved if a < b]


def _shifted(spans: list[Span], start: int) -> tuple[Span, ...]:
    """Return joined spans, counted from `start` on."""
    merged = _merged(spans) if len(spans) > 1 else spans
    return tuple([(a - start, b - start) for a, b in merged] if start else merged)


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap or touch."""
    out: list[Span] = []
    for a, b in sorted(spans):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        else:
            out.append((a, b))
    return out


def _character_start(content: bytes, at: int) -> int:
    while at > 0 and content[at] & 0xC0 == 0x80:
        at -= 1
    return at


def _text(data: Content) -> str:
    return str(data, "utf-8", "replace")
