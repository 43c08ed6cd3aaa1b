"""How far the path of a file says what a question asks for. Pure.

A path is read as words: `src/http_client/RequestCancel.ts` is named request and cancel, in http and client. A
word of the question asks for one of them if it is the same, has the same stem (cancelled, cancelling), or one
is short for the other (auth for authentication, socket for websocket). A file that is named as the entry
of its directory (index, mod, __init__) carries the directory's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from indexer.native.path_names import name_paths
from indexer.records import F32, I64, Bool

_STEM_MIN = 3
_ENDINGS = (
    ("ies", "i"), ("y", "i"), ("ing", ""), ("ers", ""), ("ations", "at"), ("ation", "at"), ("ions", ""),
    ("ion", ""), ("ments", ""), ("ment", ""), ("ed", ""), ("es", ""), ("s", ""), ("er", ""), ("or", ""),
    ("e", ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """What some paths say about one question, as columns."""

    cover: F32  # 0..1: how much of the file's name is asked for
    asked: F32  # 0..1: share of the question's words that the path has
    alone: Bool  # the question is one word, and the file is named so
    depth: F32  # directories above


def named(words: Sequence[str], joined: bytes, begin: I64, end: I64) -> Named:
    """Return what the paths joined[begin[i]:end[i]] say; 0.3 us each.

    words  of the question, distinct, lower case: those that say something
    """
    encoded = [word.encode("utf-8", "surrogateescape") for word in words]
    stems = [stem_of(word).encode("utf-8", "surrogateescape") for word in words]
    cover, asked, depth = name_paths(encoded, stems, joined, begin, end)
    alone = np.zeros(len(begin), np.bool_)
    if len(words) == 1:
        places = zip(begin.tolist(), end.tolist(), strict=True)
        alone[:] = [_stem_of_file(joined[first:last]) == words[0] for first, last in places]
    return Named(cover, asked, alone, depth)


@lru_cache(maxsize=1 << 12)
def stem_of(word: str) -> str:
    """Return a word without its ending: cancelled, cancelling and cancel have one stem."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_MIN:
            return word[: -len(ending)] + instead
    return word


def _stem_of_file(path: bytes) -> str:
    """Return the name of a file before its first full stop, lower case."""
    return path.rpartition(b"/")[2].decode("utf-8", "replace").lstrip(".").partition(".")[0].lower()
