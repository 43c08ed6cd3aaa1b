"""Documents or pages of a segment, unpacked into one text. Pure array work over the mapped blocks.

Matchers are called once for many documents, so what lies between two candidates is cut out and the rest is
joined: a stretch holds what is wanted and nothing else. A document is followed by the separator, a page that
is not the last of its document by nothing: it ends with a newline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from indexer.records import I64, Bool
from indexer.store.format import SEPARATOR
from search.candidates import Contents, pages_of
from search.runs import firsts, lasts


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some pieces of a segment, one after the other, as one text: pages or documents."""

    pieces: I64  # pages, or ordinals of documents; ascending
    ordinals: I64  # the document of each
    content: bytes
    start: I64  # of each piece in `content`
    end: I64  # the separator not included
    offset: I64  # of each in its document
    whole: Bool  # whether each is all of its document

    def within(self, start: I64, end: I64) -> tuple[I64, I64, I64]:
        """Return piece, start and end of the matches that begin in one; the rest is no document's."""
        piece = np.searchsorted(self.start, start, side="right") - 1
        inside = start < self.end[piece]
        return piece[inside], start[inside], end[inside]


def page_stretches(segment: Contents, pages: I64, bytes_max: int) -> Iterator[Stretch]:
    """Yield pages (sorted) in order, about `bytes_max` bytes at a time."""
    if not len(pages):
        return
    last, ends = _ends_of_blocks(segment, pages)
    # A stretch ends with the block in which it passes a multiple of bytes_max.
    yield from _cut(segment, pages, last[lasts(ends // bytes_max)])


def doc_stretches(segment: Contents, ordinals: I64, bytes_max: int) -> Iterator[Stretch]:
    """Yield whole documents (sorted ordinals) in order, about `bytes_max` bytes at a time."""
    if not len(ordinals):
        return
    pages = pages_of(segment, ordinals)
    last, ends = _ends_of_blocks(segment, pages)
    # As above, and with the last page of a document.
    at = np.flatnonzero(_is_last(segment, pages[last]))
    for stretch in _cut(segment, pages, last[at[lasts(ends[at] // bytes_max)]]):
        if len(stretch.ordinals) == len(np.unique(stretch.ordinals)):
            yield replace(stretch, pieces=stretch.ordinals)
            continue
        begins = firsts(stretch.ordinals)
        docs = stretch.ordinals[begins]
        end = stretch.end[np.append(begins[1:], len(stretch.end)) - 1]
        whole = np.ones(len(docs), np.bool_)
        offset = np.zeros(len(docs), np.int64)
        yield Stretch(docs, docs, stretch.content, stretch.start[begins], end, offset, whole)


def _is_last(segment: Contents, pages: I64) -> Bool:
    """Return which pages are the last of their document."""
    last: Bool = segment.doc_page[segment.page_doc[pages] + 1] == pages + 1
    return last


def _ends_of_blocks(segment: Contents, pages: I64) -> tuple[I64, I64]:
    """Return the position of the last page of each block, and how many bytes there are up to it."""
    block = np.searchsorted(segment.block_page, pages, side="right")
    last = lasts(block)
    return last, np.cumsum(segment.page_at[pages + 1] - segment.page_at[pages])[last]


def _cut(segment: Contents, pages: I64, last: I64) -> Iterator[Stretch]:
    """Yield stretches that end with these positions."""
    low = 0
    for high in (last + 1).tolist():
        yield _stretch(segment, pages[low:high])
        low = high


def _stretch(segment: Contents, pages: I64) -> Stretch:
    spaced = segment.page_at[pages + 1] - segment.page_at[pages]
    after = np.cumsum(spaced)
    ordinals = segment.page_doc[pages]
    last = _is_last(segment, pages)
    return Stretch(
        pieces=pages,
        ordinals=ordinals,
        content=segment.unpack_pages(pages),
        start=after - spaced,
        end=after - np.where(last, len(SEPARATOR), 0),
        offset=segment.page_start[pages].astype(np.int64),
        whole=last & (segment.doc_page[ordinals] == pages),
    )


def stretch_of_text(content: bytes) -> Stretch:
    """Return a text that no segment holds as a stretch of one page."""
    zero, end = np.array([0], np.int64), np.array([len(content)], np.int64)
    return Stretch(zero, zero, content + SEPARATOR, zero, end, zero, np.ones(1, np.bool_))
