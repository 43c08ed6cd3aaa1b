"""Where a document is cut into pages. Pure.

Posting lists of trigrams name pages, not documents: a large file contains nearly every trigram somewhere, and
would be a candidate for nearly every query. A page is a run of whole lines of at most PAGE_BYTES, longer only
where one line is; most documents are one page. The candidates of the median of 61 patterns in Linux 6.1 are
47 MB with pages of 64 KiB, 21 with 16 KiB, 16 with 12 KiB; trigrams, contents and line tables take 45, 49 and
51 % of the source. No line crosses pages, so a query that matches within a line may ask
pages; whatever else is asked, asks documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.records import U32
from indexer.trigram import KEY_BITS, trigrams_of

PAGE_BYTES = 12 << 10
_SHARES = 127  # of a huge document: two neighbouring pages are larger than one of these, so 256 pages suffice


def page_starts(content: bytes) -> list[int]:
    """Return the offset of every page; the first is 0, also of an empty document."""
    n = len(content)
    size = max(PAGE_BYTES, n // _SHARES + 1)
    starts = [0]
    while n - starts[-1] > size:
        at = starts[-1]
        cut = content.rfind(b"\n", at, at + size) + 1 or content.find(b"\n", at + size) + 1
        if not cut or cut == n:
            break
        starts.append(cut)
    return starts


def paged_trigrams(content: bytes) -> U32:
    """Return the distinct trigrams of every page, sorted, with the page's number above their 24 bits."""
    return paged_trigrams_of([content])[0]


def paged_trigrams_of(contents: Sequence[bytes]) -> list[U32]:
    """Return the same for each of several contents."""
    pieces: list[bytes] = []
    counts: list[int] = []
    for content in contents:
        starts = page_starts(content)
        counts.append(len(starts))
        if len(starts) == 1:
            pieces.append(content)
        else:
            pieces += [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    keys = iter(trigrams_of(pieces))
    return [next(keys) if n == 1 else _numbered([next(keys) for _ in range(n)]) for n in counts]


def _numbered(pages: list[U32]) -> U32:
    return np.concatenate([keys | np.uint32(i << KEY_BITS) for i, keys in enumerate(pages)])
