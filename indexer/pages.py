"""Where a document is cut into pages. Pure.

Posting lists of trigrams name pages, not documents: a large file contains nearly every trigram somewhere, and
would be a candidate for nearly every query. (Of the bytes that `PM_RESUME` made candidates in Linux 6.1, nine
tenths lay in files above 64 KiB.) A page is a run of whole lines of at most PAGE_BYTES, longer only where one
line is; most documents are one page. No line crosses pages, so a query that matches within a line may ask
pages; whatever else is asked, asks documents.
"""

from __future__ import annotations

import numpy as np

from indexer.records import U32
from indexer.trigram import KEY_BITS, trigrams

PAGE_BYTES = 1 << 16
_SHARES = 100  # of a huge document: two neighbouring pages are larger than one of these, so 256 pages suffice


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
    starts = page_starts(content)
    if len(starts) == 1:
        return trigrams(content)
    bounds = zip(starts, [*starts[1:], len(content)], strict=True)
    parts = [trigrams(content[a:b]) | np.uint32(i << KEY_BITS) for i, (a, b) in enumerate(bounds)]
    return np.concatenate(parts)
