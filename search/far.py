"""What a ranked search has still to read where it has read much: portions, searched here or elsewhere.

The first megabytes are read as few pages at a time as will probably do (text.py). Where FAR_BYTES are not
enough the text is rare, and the rest is cut into portions of one size. They are searched in any order and
taken in theirs until there is enough, so it makes no difference where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from indexer.records import I64
from search.budget import Budget
from search.candidates import Contents
from search.lines import LineFinder, LineSpec
from search.matcher import Matcher
from search.rank import PER_FILE
from search.reading import Passage, passages_of
from search.runs import firsts, is_first
from search.stretch import page_stretches

FAR_BYTES = 3 << 20  # 2 ms
PORTION_BYTES = 3 << 20  # of one portion: 2 ms


@dataclass(frozen=True, slots=True)
class Portion:
    """Some pages of a segment, ascending."""

    segment: Contents
    base: int  # first document of the segment
    pages: I64


@dataclass(frozen=True, slots=True)
class PageMatches:
    """What a portion holds; picklable."""

    ordinals: I64  # the document of each match
    start: I64  # in its document
    end: I64
    lines: int  # that they stand in, PER_FILE of a document at most
    passages: list[tuple[int, Passage]]  # pages with matches, each with the ordinal of its document
    docs: int  # documents that were read
    nbytes: int


class Elsewhere(Protocol):
    """Searches portions in other processes."""

    def find(
        self, spec: LineSpec, portions: Iterable[Portion], segments: Sequence[Contents], budget: Budget
    ) -> Iterator[tuple[Portion, PageMatches]]:
        """Yield every portion, each of one of these segments, with its matches, in order."""
        ...

    @property
    def ready(self) -> bool:
        """Whether that is faster than here."""
        ...


def find_here(finder: LineFinder, portions: Iterable[Portion]) -> Iterator[tuple[Portion, PageMatches]]:
    """Do what is otherwise done elsewhere."""
    for portion in portions:
        yield portion, matches_in(portion.segment, portion.pages, finder)


@lru_cache(maxsize=256)
def finder_of(spec: LineSpec) -> LineFinder:
    """Return the finder that said so of itself."""
    return LineFinder(Matcher(spec.pattern, spec.case, lines=spec.lines))


def matches_in(segment: Contents, pages: I64, finder: LineFinder) -> PageMatches:
    """Search some pages (ascending)."""
    (stretch,) = page_stretches(segment, pages, 1 << 62)
    piece, start, end = stretch.within(*finder.find(stretch, True))
    ordinals = stretch.ordinals[piece]
    origin = stretch.start[piece] - stretch.offset[piece]
    return PageMatches(
        ordinals=ordinals,
        start=start - origin,
        end=end - origin,
        lines=count_lines(stretch.content, ordinals, start),
        passages=passages_of(segment, stretch, piece[firsts(piece)]),
        docs=int(np.count_nonzero(is_first(stretch.ordinals))),
        nbytes=int((stretch.end - stretch.start).sum()),
    )


def count_lines(content: bytes, doc: I64, start: I64) -> int:
    """Return how many lines the first matches of each document stand in, at most PER_FILE of a document.

    doc, start  of each match, in order; `start` counts in `content`
    """
    lines = 0
    last, of_doc, before = -1, 0, 0
    for number, at in zip(doc.tolist(), start.tolist(), strict=True):
        if number != last:
            last, of_doc = number, 1
        elif of_doc < PER_FILE and content.find(b"\n", before, at) >= 0:
            of_doc += 1
        else:
            continue
        lines, before = lines + 1, at
    return lines
