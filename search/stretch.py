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
from indexer.store.blocks import line_tables
from indexer.store.format import SEPARATOR
from search.candidates import Contents, pages_of


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


def page_stretches(segment: Contents, pages: I64, bytes_max: int) -> Iterator[Stretch]:
    """Yield pages (sorted) in order, about `bytes_max` bytes at a time."""
    if not len(pages):
        return
    block = np.searchsorted(segment.block_page, pages, side="right") - 1
    first = np.flatnonzero(np.diff(block, prepend=-1))
    last = np.append(first[1:], len(pages)) - 1
    ends = np.cumsum(segment.page_at[pages + 1] - segment.page_at[pages])
    # A stretch ends with the block in which it passes a multiple of bytes_max.
    yield from _cut(segment, pages, block, first, last, np.diff(ends[last] // bytes_max, append=-1) != 0)


def doc_stretches(segment: Contents, ordinals: I64, bytes_max: int) -> Iterator[Stretch]:
    """Yield whole documents (sorted ordinals) in order, about `bytes_max` bytes at a time."""
    if not len(ordinals):
        return
    pages = pages_of(segment, ordinals)
    block = np.searchsorted(segment.block_page, pages, side="right") - 1
    first = np.flatnonzero(np.diff(block, prepend=-1))
    last = np.append(first[1:], len(pages)) - 1
    ends = np.cumsum(segment.page_at[pages + 1] - segment.page_at[pages])
    share = ends // bytes_max
    # As above, and with the last page of a document.
    whole = _is_last(segment, pages[last])
    shares = share[last]
    cuts = np.zeros(len(last), np.bool_)
    at = np.flatnonzero(whole)
    cuts[at] = np.diff(shares[at], append=-1) != 0
    for stretch in _cut(segment, pages, block, first, last, cuts):
        if len(stretch.ordinals) == len(np.unique(stretch.ordinals)):
            yield replace(stretch, pieces=stretch.ordinals)
            continue
        begins = np.flatnonzero(np.diff(stretch.ordinals, prepend=-1))
        docs = stretch.ordinals[begins]
        end = stretch.end[np.append(begins[1:], len(stretch.end)) - 1]
        whole = np.ones(len(docs), np.bool_)
        offset = np.zeros(len(docs), np.int64)
        yield Stretch(docs, docs, stretch.content, stretch.start[begins], end, offset, whole)


def _is_last(segment: Contents, pages: I64) -> Bool:
    """Return which pages are the last of their document."""
    last: Bool = segment.doc_page[segment.page_doc[pages] + 1] == pages + 1
    return last


def _cut(segment: Contents, pages: I64, block: I64, first: I64, last: I64, cuts: Bool) -> Iterator[Stretch]:
    """Yield stretches that end where `cuts` says; first, last: positions of the pages of each block."""
    low = 0
    for high in (np.flatnonzero(cuts) + 1).tolist():
        begin, end = int(first[low]), int(last[high - 1]) + 1
        yield _stretch(segment, pages[begin:end], block[first[low:high]], first[low:high] - begin)
        low = high


def _stretch(segment: Contents, pages: I64, blocks: I64, firsts: I64) -> Stretch:
    page_at = segment.page_at
    begins = page_at[pages]
    spaced = page_at[pages + 1] - begins
    lasts = np.append(firsts[1:], len(pages))
    of_block = segment.block_page[blocks].astype(np.int64)
    whole = (segment.block_page[blocks + 1] - of_block == lasts - firsts).tolist()
    parts: list[bytes] = []
    cuts = (begins - np.repeat(page_at[of_block], lasts - firsts)).tolist()
    lengths = spaced.tolist()
    bounds = zip(segment.unpack(blocks), whole, firsts.tolist(), lasts.tolist(), strict=True)
    for content, is_whole, low, high in bounds:
        if is_whole:
            parts.append(content)
        else:
            parts += [content[cuts[i] : cuts[i] + lengths[i]] for i in range(low, high)]
    after = np.cumsum(spaced)
    ordinals = segment.page_doc[pages]
    last = _is_last(segment, pages)
    return Stretch(
        pieces=pages,
        ordinals=ordinals,
        content=parts[0] if len(parts) == 1 else b"".join(parts),
        start=after - spaced,
        end=after - np.where(last, len(SEPARATOR), 0),
        offset=segment.page_start[pages].astype(np.int64),
        whole=last & (segment.doc_page[ordinals] == pages),
    )


class OneText:
    """Stands for a segment with one document of one page, as far as lines are concerned."""

    def __init__(self, content: bytes) -> None:
        """Make the line table of `content`."""
        self.line_data, nbytes, _ = line_tables(content + SEPARATOR, np.array([len(content)], np.int64))
        self.line_off = np.array([0, int(nbytes[0])], np.uint32)
        self.page_line = np.zeros(1, np.uint32)


def stretch_of_text(content: bytes) -> tuple[OneText, Stretch]:
    """Return a text that no segment holds as a stretch, and what stands for its segment."""
    zero, end = np.array([0], np.int64), np.array([len(content)], np.int64)
    return OneText(content), Stretch(zero, zero, content + SEPARATOR, zero, end, zero, np.ones(1, np.bool_))
