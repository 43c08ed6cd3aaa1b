"""Documents of a segment, unpacked into one text. Pure array work over the mapped blocks.

Matchers are called once for many documents, so what lies between two candidates is cut out and the rest is
joined: a stretch holds the wanted documents and nothing else, each followed by the separator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from indexer.records import I64
from indexer.store.blocks import line_tables
from indexer.store.format import SEPARATOR
from search.candidates import Contents


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some documents of a segment as one text."""

    ordinals: I64  # ascending
    content: bytes
    start: I64  # of each document in `content`
    end: I64


def stretches(segment: Contents, ordinals: I64, bytes_max: int) -> Iterator[Stretch]:
    """Yield the documents (sorted ordinals) in order, about `bytes_max` bytes at a time."""
    if not len(ordinals):
        return
    block = np.searchsorted(segment.block_doc, ordinals, side="right") - 1
    first = np.flatnonzero(np.diff(block, prepend=-1))
    spaced = segment.doc_len[ordinals].astype(np.int64) + len(SEPARATOR)
    ends = np.cumsum(spaced)
    # A stretch ends with the block in which it passes a multiple of bytes_max.
    last = np.concatenate((first[1:], [len(ordinals)])) - 1
    passed = np.flatnonzero(np.diff(ends[last] // bytes_max, append=-1))
    low = 0
    for high in (passed + 1).tolist():
        groups = slice(low, high)
        begin, end = int(first[low]), int(last[high - 1]) + 1
        yield _stretch(
            segment, ordinals[begin:end], block[first[groups]], first[groups] - begin, spaced[begin:end]
        )
        low = high


def stretch_of(segment: Contents, ordinals: I64) -> Stretch:
    """Return all of the documents (sorted ordinals, at least one) as one stretch."""
    (stretch,) = stretches(segment, ordinals, 1 << 62)
    return stretch


def _stretch(segment: Contents, ordinals: I64, blocks: I64, firsts: I64, spaced: I64) -> Stretch:
    docs_of = segment.block_doc[blocks].astype(np.int64), segment.block_doc[blocks + 1].astype(np.int64)
    lasts = np.concatenate((firsts[1:], [len(ordinals)]))
    whole = (docs_of[1] - docs_of[0] == lasts - firsts).tolist()
    at = segment.doc_start[docs_of[0]].astype(np.int64)
    begins = segment.doc_start[ordinals].astype(np.int64)
    parts: list[bytes] = []
    bounds = zip(blocks.tolist(), firsts.tolist(), lasts.tolist(), whole, at.tolist(), strict=True)
    for block, low, high, is_whole, block_start in bounds:
        content = segment.unpack(block)
        if is_whole:
            parts.append(content)
            continue
        cuts = (begins[low:high] - block_start).tolist()
        lengths = spaced[low:high].tolist()
        parts += [content[cut : cut + length] for cut, length in zip(cuts, lengths, strict=True)]
    after = np.cumsum(spaced)
    return Stretch(
        ordinals=ordinals,
        content=parts[0] if len(parts) == 1 else b"".join(parts),
        start=after - spaced,
        end=after - len(SEPARATOR),
    )


class OneText:
    """Stands for a segment with one document, as far as lines are concerned."""

    def __init__(self, content: bytes) -> None:
        """Make the line table of `content`."""
        self.line_data, nbytes = line_tables(content + SEPARATOR, np.array([len(content)], np.int64))
        self.line_off = np.array([0, int(nbytes[0])], np.uint32)


def stretch_of_text(content: bytes) -> tuple[OneText, Stretch]:
    """Return a text that no segment holds as a stretch, and what stands for its segment."""
    whole = np.array([0], np.int64), np.array([len(content)], np.int64)
    return OneText(content), Stretch(np.array([0], np.int64), content + SEPARATOR, *whole)
