"""Matches in a stretch -> the lines that they stand in. Pure."""

from __future__ import annotations

from indexer.native.scan import Lines, lines_of
from indexer.records import U32
from search.fixed import Spans
from search.stretch import Stretch


def matching_lines_of(page_line: U32, stretch: Stretch, spans: Spans) -> Lines:
    """Return the lines of the pages of a stretch in which `spans` begin; their numbers count from 1.

    page_line  newlines in its document before each page of the segment
    """
    start, end = spans
    bounds = stretch.start, stretch.end
    return lines_of(stretch.content, bounds, page_line[stretch.pieces] + 1, start, end)
