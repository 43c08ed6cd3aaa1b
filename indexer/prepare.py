"""Files' contents -> everything the index keeps of them.

The same functions serve the workers, the tests and the fresh build that incremental updates are compared
with. What they make of a file belongs to its content alone: no path, no clock, no root enters it, and nothing
of the files beside it. Only the parser takes one file at a time; words, trigrams and chunks by lines are made
of many at once, because most of what a small file costs is the calls. The vocabulary and the word vectors of
the static model grow as words are met, so one `Preparer` is kept per process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from indexer import bags, parse
from indexer.embed.static import StaticModel
from indexer.pages import paged_trigrams_of
from indexer.records import F16, FLAG_UNPARSED, Parsed, PreparedFile, SourceFile
from indexer.vocabulary import Vocabulary

# Of contents that are finished at once: larger arrays leave the cache, and bounds memory to some 100 MB.
BATCH_BYTES = 2 << 20


class Preparer:
    """Turns source files into prepared files; keeps the process-local vocabulary between calls."""

    def __init__(self, model: StaticModel | None, deadline_s: float) -> None:
        """Use `model` for vectors (None: dim 0) and give the parser `deadline_s` seconds a file."""
        self._model = model
        self._deadline_s = deadline_s
        self._vocabulary = Vocabulary()

    def prepare(self, source: SourceFile) -> PreparedFile:
        """Parse, chunk, count and embed one file. Never raises for odd content: `parsed.problems` says it."""
        return self.finish([source], [self.parse(source)])[0]

    def prepare_unparsed(self, source: SourceFile, problem: str) -> PreparedFile:
        """Like `prepare` without the parser: line chunks, no symbols; for content that crashed it."""
        return self.finish([source], [problem])[0]

    def parse(self, source: SourceFile) -> Parsed | str:
        """Do what may crash, hang or need too much memory; give the result to `finish`."""
        return parse.understood(source, self._deadline_s)

    def finish(self, sources: Sequence[SourceFile], parsed: Sequence[Parsed | str]) -> list[PreparedFile]:
        """Make the rest of all files.

        parsed  of each what `parse` returned, or why it was not parsed ("": for no reason to be mentioned)
        """
        files: list[PreparedFile] = []
        try:
            for a, b in _batches(sources):
                files += self._finish(sources[a:b], parsed[a:b])
        except MemoryError:
            self._vocabulary = Vocabulary()  # the old one may be in the middle of learning a word
            raise
        return files

    def _finish(self, sources: Sequence[SourceFile], found: Sequence[Parsed | str]) -> list[PreparedFile]:
        contents = [source.content for source in sources]
        parsed = _with_line_chunks(contents, found)
        chunks = [each.chunks for each in parsed]
        n_chunks = [len(table) for table in chunks]
        counted = bags.bag_of_files(contents, chunks, [each.symbols for each in parsed], self._vocabulary)
        terms = bags.term_tables(counted, n_chunks, self._vocabulary)
        vectors = self._vectors(counted, n_chunks)
        return [
            PreparedFile(_marked(source, each), keys, each, table, rows)
            for source, keys, each, table, rows in zip(
                sources, paged_trigrams_of(contents), parsed, terms, vectors, strict=True
            )
        ]

    def _vectors(self, counted: bags.WordBag, n_chunks: Sequence[int]) -> list[F16]:
        model = self._model
        if model is None:
            return [np.empty((n, 0), np.float16) for n in n_chunks]
        # File by file: the sums of a chunk depend in their last bit on the chunks in the same product.
        return [model.embed_bag(bag, self._vocabulary) for bag in bags.split_bag(counted, n_chunks)]


def _batches(sources: Sequence[SourceFile]) -> Iterator[tuple[int, int]]:
    begin = size = 0
    for i, source in enumerate(sources):
        if size and size + len(source.content) > BATCH_BYTES:
            yield begin, i
            begin, size = i, 0
        size += len(source.content)
    if begin < len(sources):
        yield begin, len(sources)


def _with_line_chunks(contents: Sequence[bytes], found: Sequence[Parsed | str]) -> list[Parsed]:
    """Give those that were not parsed chunks by lines."""
    problems = {i: each for i, each in enumerate(found) if isinstance(each, str)}
    cut = iter(parse.unparsed_files([contents[i] for i in problems], list(problems.values())))
    return [next(cut) if isinstance(each, str) else each for each in found]


def _marked(source: SourceFile, parsed: Parsed) -> SourceFile:
    if parsed.problems and not len(parsed.symbols):
        return replace(source, flags=source.flags | FLAG_UNPARSED)
    return source
