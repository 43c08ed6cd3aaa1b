"""One file's content -> everything the index keeps of it.

The same function serves the workers, the tests and the fresh build that incremental updates are compared
with. What it makes belongs to the content alone: no path, no clock, no root enters it. The vocabulary and
the word vectors of the static model grow as words are met, so one `Preparer` is kept per process.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from indexer import bags, parse
from indexer.embed.static import StaticModel
from indexer.pages import paged_trigrams
from indexer.records import FLAG_UNPARSED, Parsed, PreparedFile, SourceFile
from indexer.vocabulary import Vocabulary


class Preparer:
    """Turns source files into prepared files; keeps the process-local vocabulary between calls."""

    def __init__(self, model: StaticModel | None, deadline_s: float) -> None:
        """Use `model` for vectors (None: dim 0) and give the parser `deadline_s` seconds a file."""
        self._model = model
        self._deadline_s = deadline_s
        self._vocabulary = Vocabulary()

    def prepare(self, source: SourceFile) -> PreparedFile:
        """Parse, chunk, count and embed one file. Never raises for odd content: `parsed.problems` says it."""
        return self._finish(source, parse.parse(source, self._deadline_s))

    def prepare_unparsed(self, source: SourceFile, problem: str) -> PreparedFile:
        """Like `prepare` without the parser: line chunks, no symbols; for content that crashed it."""
        return self._finish(source, parse.unparsed(source, problem))

    def _finish(self, source: SourceFile, parsed: Parsed) -> PreparedFile:
        bag = bags.bag(source.content, parsed.chunks, parsed.symbols, self._vocabulary)
        if self._model is None:
            vectors = np.empty((len(parsed.chunks), 0), np.float16)
        else:
            vectors = self._model.embed_bag(bag, self._vocabulary)
        if parsed.problems and not len(parsed.symbols):
            source = replace(source, flags=source.flags | FLAG_UNPARSED)
        return PreparedFile(
            source=source,
            trigrams=paged_trigrams(source.content),
            parsed=parsed,
            terms=bags.term_table(bag, self._vocabulary),
            vectors=vectors,
        )
