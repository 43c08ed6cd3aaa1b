"""Contents of files -> a segment of shallow documents, written by a parse worker.

A first index puts the text of everything into segments before anything else. Whatever a segment has in order
of its keys is made here in the worker: it takes contents slice by slice, packs them at once, and collects
trigrams and terms as numbers that sort by key and page. At the end those of all slices are merged, and
nothing but the file's name goes to the writer, which adds the numbers it alone gives out (`finish_text`).
Preparing the same files one by one and sending them to the writer cost twice as much, half of it there.

The words of a shallow document are counted by page, not by chunks of forty lines: its chunks are its pages.
They are replaced by the real ones in the second pass, and until then a word finds the page, in which the
best line is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from indexer.native.extract import distinct_trigrams
from indexer.page_terms import COUNT_BITS, PAGE_SHIFT, TERM_SHIFT, page_terms
from indexer.pages import page_starts
from indexer.records import FLAG_SHALLOW, I64, U32, U64, SourceFile, TextSegment
from indexer.store.blocks import BlockWriter
from indexer.store.format import DOCS_MAX, NO_ROW, Counts, SegmentInfo
from indexer.store.segment_file import SegmentFile
from indexer.store.segment_writer import (
    ListWriter,
    bases,
    put_block_tables,
    put_names,
    put_sources,
    put_terms,
    put_trigrams,
)
from indexer.store.terms import CountWriter
from indexer.words import COUNT_MAX

_TRIGRAM_BYTES = 1 << 18  # of pages whose trigrams are made at once; 2 MB at once cost 0.7 ns a byte more
_BLOCK = 1 << 17  # postings that are sorted and encoded at a time: what is made of them stays in the cache
_SAMPLES = 64  # of each block, to find out where it ends
_PAGE_BITS = np.uint64(16)
_PAGE_MASK = np.uint64((1 << 16) - 1)
_PAGES_MAX = 1 << 16  # of one file of the first pass, 64 MB: an entry has 16 bits for the page
_COUNT_MASK = np.uint64((1 << COUNT_BITS) - 1)


class TextWriter:
    """Writes one segment; a context, which removes the file unless it was finished."""

    def __init__(self, path: Path) -> None:
        """Write beside `path`, which is no segment's name. Raises StoreFull, StoreError, as all does here."""
        self._file = SegmentFile(path, 0)
        self._docs: list[SourceFile] = []  # without their contents
        self._trigrams: list[_Trigrams] = []
        self._terms: list[U64] = []  # of each slice: entries of page_terms, sorted
        self._words: list[I64] = []  # of each chunk
        self._n_chunks = 0

    def __enter__(self) -> TextWriter:
        """Begin the file."""
        self._file.__enter__()
        self._contents = self._file.section("block_data")
        self._blocks = BlockWriter(self._contents.write)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the file if it was not finished."""
        self._file.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._docs)

    def add(self, sources: Sequence[SourceFile]) -> None:
        """Append documents in order. Needs some 30 times the memory of their contents while it runs."""
        pages: list[bytes] = []
        numbers: list[int] = []  # of each page in the segment
        at = self._blocks.n_pages
        for source in sources:
            content = source.content
            starts = page_starts(content)
            if len(starts) > 1:
                ends = [*starts[1:], len(content)]
                pages += [content[a:b] for a, b in zip(starts, ends, strict=True)]
                numbers += range(at, at + len(starts))
            elif content:
                pages.append(content)
                numbers.append(at)
            at += len(starts)
            flags = source.flags | FLAG_SHALLOW
            self._docs.append(SourceFile(source.digest, b"", source.language, source.encoding, flags))
        self._blocks.add(source.content for source in sources)
        if not pages:
            return
        self._trigrams += _trigrams_of(pages, numbers)
        entries, n_words = page_terms(pages, self._n_chunks)
        entries.sort()
        self._terms.append(_added_up(entries))
        self._words.append(n_words)
        self._n_chunks += len(pages)

    def finish(self) -> TextSegment:
        """Write what is left, and close the file for the writer to take it over."""
        out, docs, blocks = self._file, self._docs, self._blocks
        assert 0 < len(docs) <= DOCS_MAX, len(docs)
        assert blocks.n_pages <= _PAGES_MAX, blocks.n_pages
        blocks.finish()
        self._contents.close()
        put_block_tables(out, blocks)
        n_trigrams = _put_trigrams(out, self._trigrams, blocks.n_pages)
        n_terms = _put_terms(out, self._terms, self._n_chunks)
        languages = sorted({doc.language for doc in docs})
        put_sources(out, docs, languages)
        _put_no_symbols(out, len(docs))
        self._put_chunks()
        path, sections, end = out.suspend()
        digests, nbytes = [doc.digest for doc in docs], blocks.doc_len.tolist()
        return TextSegment(
            path, sections, end, self._n_chunks, n_trigrams, n_terms, languages, digests, nbytes
        )

    def _put_chunks(self) -> None:
        """Every page is a chunk, but an empty document has none."""
        out, blocks = self._file, self._blocks
        n_pages = np.diff(blocks.doc_page)
        n_chunks = np.where(blocks.doc_len > 0, n_pages, 0)
        of_chunk = np.repeat(blocks.doc_len > 0, n_pages)
        end = np.append(blocks.page_start[1:], 0)
        end[blocks.doc_page[1:] - 1] = blocks.doc_len
        out.put("doc_chunk", bases(n_chunks))
        out.put("chunk_start", blocks.page_start[of_chunk])
        out.put("chunk_end", end[of_chunk])
        out.put("chunk_line", blocks.page_line[of_chunk] + 1)
        out.put("chunk_def", np.full(self._n_chunks, -1, np.int32))
        out.put("chunk_row", np.full(self._n_chunks, NO_ROW, np.uint32))
        out.put("chunk_words", np.minimum(np.concatenate([*self._words, _NONE]), 65_535))


@dataclass(frozen=True, slots=True)
class _Trigrams:
    """The trigrams of at most 256 pages: key, then which of these pages, in 32 bits, sorted."""

    postings: U32
    numbers: U64  # of the pages in the segment

    def between(self, first: int, last: int) -> U64:
        """Return some of them as key, then number of the page."""
        narrow = self.postings[first:last]
        wide = narrow.astype(np.uint64)
        wide >>= np.uint64(8)
        wide <<= _PAGE_BITS
        wide |= self.numbers.take(narrow & np.uint32(255))
        return wide


def _trigrams_of(pages: Sequence[bytes], numbers: Sequence[int]) -> Iterator[_Trigrams]:
    """Yield the trigrams of pages with these numbers."""
    for first in range(0, len(pages), 256):
        some = pages[first : first + 256]
        parts: list[U32] = []
        for a, b in _batches(some):
            keys, ends = distinct_trigrams(some[a:b])
            part = keys << np.uint32(8)
            part |= np.repeat(np.arange(a, b, dtype=np.uint32), np.diff(ends, prepend=0))
            parts.append(part)
        postings = np.concatenate(parts)
        postings.sort()
        yield _Trigrams(postings, np.array(numbers[first : first + 256], np.uint64))


def _batches(pages: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    first = size = 0
    for i, page in enumerate(pages):
        size += len(page)
        if size >= _TRIGRAM_BYTES:
            yield first, i + 1
            first, size = i + 1, 0
    if first < len(pages):
        yield first, len(pages)


def _added_up(entries: U64) -> U64:
    """Return sorted entries with those of the same term and page in one, whose count is their sum."""
    postings = entries >> PAGE_SHIFT
    first = _run_starts(postings)
    if not len(first):
        return entries
    counts = np.add.reduceat((entries & _COUNT_MASK).astype(np.uint8), first, dtype=np.uint32)
    added = postings[first] << PAGE_SHIFT
    added |= np.minimum(counts, COUNT_MAX).astype(np.uint64)
    return added


def _put_trigrams(out: SegmentFile, parts: Sequence[_Trigrams], n_pages: int) -> int:
    def fill(lists: ListWriter) -> None:
        for cuts in _blocks([part.postings for part in parts], 8):
            postings = np.concatenate([part.between(a, b) for part, (a, b) in zip(parts, cuts, strict=True)])
            postings.sort()
            keys = (postings >> _PAGE_BITS).astype(np.uint32)
            first = _run_starts(keys)
            pages = (postings & _PAGE_MASK).astype(np.uint32)
            lists.add(keys[first], np.diff(first, append=len(keys)), pages)

    return put_trigrams(out, fill, n_pages)


def _put_terms(out: SegmentFile, parts: Sequence[U64], n_chunks: int) -> int:
    def fill(lists: ListWriter, counted: CountWriter) -> None:
        for cuts in _blocks(parts, int(TERM_SHIFT)):
            entries = np.concatenate([part[a:b] for part, (a, b) in zip(parts, cuts, strict=True)])
            entries.sort()
            keys = entries >> TERM_SHIFT
            first = _run_starts(keys)
            chunks = (entries >> PAGE_SHIFT & _PAGE_MASK).astype(np.uint32)
            lists.add(keys[first], np.diff(first, append=len(keys)), chunks)
            counted.add((entries & _COUNT_MASK).astype(np.uint8))

    return put_terms(out, fill, n_chunks, sum(map(len, parts)))


def _blocks(parts: Sequence[U64] | Sequence[U32], key_shift: int) -> Iterator[list[tuple[int, int]]]:
    """Cut sorted parts so that a block has all numbers of its keys; yield where it is in each part.

    Sorted all at once, and encoded as one, they would leave the cache: 5 ns a byte of content more.
    """
    if not parts:
        return
    kind = parts[0].dtype.type
    step = max(1, _BLOCK // _SAMPLES)
    sample = np.sort(np.concatenate([part[step // 2 :: step] for part in parts]))
    edges = np.unique(sample[_SAMPLES::_SAMPLES] >> kind(key_shift) << kind(key_shift))
    bounds = [[0, *np.searchsorted(part, edges).tolist(), len(part)] for part in parts]
    for i in range(len(edges) + 1):
        cuts = [(bound[i], bound[i + 1]) for bound in bounds]
        if any(a < b for a, b in cuts):
            yield cuts


def _run_starts(ordered: U64 | U32) -> I64:
    """Return where another value begins."""
    new = np.empty(len(ordered), np.bool_)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return np.flatnonzero(new)


def _put_no_symbols(out: SegmentFile, n_docs: int) -> None:
    """Write the sections of definitions and references as they are without any."""
    put_names(out, [])
    for name in ("doc_def", "doc_edge"):
        out.put(name, np.zeros(n_docs + 1, np.uint32))
    for name in ("name_def_off", "name_ref"):
        out.put(name, np.zeros(1, np.uint32))
    for name in _SYMBOL_SECTIONS:
        out.put(name, b"")


_SYMBOL_SECTIONS = (
    *("def_name", "def_kind", "def_start", "def_end", "def_name_start", "def_line", "def_parent", "name_def"),
    *("ref_doc", "ref_start", "ref_role", "edge_ref"),
)
_NONE: I64 = np.zeros(0, np.int64)


def finish_text(text: TextSegment, path: Path, segment_id: int, first_blob: int) -> SegmentInfo:
    """Give a worker's segment its number and name; its documents are the blobs from `first_blob` on.

    Raises StoreFull, StoreError, and leaves the worker's file as it was.
    """
    n_docs = len(text.digests)
    with SegmentFile.resumed(path, segment_id, text) as out:
        out.put("doc_blob", np.arange(first_blob, first_blob + n_docs, dtype=np.uint32))
        counts = Counts(n_docs, text.n_chunks, 0, 0, 0, text.n_trigrams, text.n_terms)
        return out.finish(counts, text.languages, sum(text.nbytes))
