"""Lower-case words -> rows of a token table, by WordPiece. Pure.

The longest known token that begins the word is taken, then the longest "##" token that continues it, and so
on; if no token fits, the word has no rows (Wu et al. 2016, as in BERT). Words come from `indexer.words`,
already free of punctuation, so BERT's own splitting is not needed: these 60 lines stand for the library
`tokenizers` (10 MB).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

NUMBER_MAX = 4  # longer numbers are addresses, hashes and data: their digits mean nothing
WORD_MAX = 100  # BERT's own limit
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af]")


class WordPiece:
    """Splits single words; remembers those it has seen lately."""

    def __init__(self, tokens: Iterable[str]) -> None:
        """Number the tokens in the order given."""
        self._row = {token: row for row, token in enumerate(tokens)}
        self._longest = max(map(len, self._row), default=0)
        self.rows = lru_cache(maxsize=1 << 16)(self._rows)

    def _rows(self, word: bytes) -> tuple[int, ...]:
        """Return the rows of a lower-case word; none if it is unknown, a long number or too long."""
        if len(word) > WORD_MAX or (len(word) > NUMBER_MAX and word[:1].isdigit()):
            return ()
        text = word.decode("utf-8", "replace")
        if word.isascii():
            return self._split(text)
        found: list[int] = []
        for piece in _CJK.sub(r" \g<0> ", _without_accents(text)).split():
            found += self._split(piece)
        return tuple(found)

    def _split(self, word: str) -> tuple[int, ...]:
        whole = self._row.get(word)
        if whole is not None:
            return (whole,)
        found: list[int] = []
        start, prefix = 0, ""
        while start < len(word):
            for end in range(min(len(word), start + self._longest), start, -1):
                row = self._row.get(prefix + word[start:end])
                if row is not None:
                    break
            else:
                return ()
            found.append(row)
            start, prefix = end, "##"
        return tuple(found)


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
