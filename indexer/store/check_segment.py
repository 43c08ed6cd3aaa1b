"""Every invariant of one segment file, checked without trusting what wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from config.errors import StoreCorrupt
from indexer.pages import page_starts, paged_trigrams
from indexer.records import I64, KINDS, ROLES, U32
from indexer.store import postings
from indexer.store.check_terms import LISTS_BLOCK, list_problems, term_problems
from indexer.store.format import ENCODINGS, SEPARATOR
from indexer.store.segment import Segment
from indexer.store.segment_file import Array
from indexer.store.segment_writer import IS_EDGE, by_name
from indexer.trigram import KEY_BITS


def segment_problems(segment: Segment, deep: bool = False) -> list[str]:
    """Return what is wrong, in words; empty if all is well.

    deep  also compute the trigrams of every document again; about 100 MB/s
    """
    damaged = [f"section {name} does not match its checksum" for name in segment.verify()]
    checks = (
        _sizes,
        _documents,
        _names,
        _definitions,
        _references,
        _chunks,
        _trigram_lists,
        term_problems,
    )
    found = damaged or [problem for check in checks for problem in check(segment)]
    if deep and not found:
        found = list(_trigrams(segment))
    return [f"segment {segment.id:08x}: {problem}" for problem in found]


def _offsets(name: str, offsets: Array, n: int, end: int) -> Iterator[str]:
    values = offsets.astype(np.int64)
    if len(values) != n + 1:
        yield f"{name} has {len(values)} entries, not {n + 1}"
    elif values[-1] != end or (np.diff(values) < 0).any():
        yield f"{name} does not rise to {end}"


def _below(name: str, values: Array, limit: int, lowest: int = 0) -> Iterator[str]:
    numbers = values.astype(np.int64)
    if len(numbers) and (int(numbers.max()) >= limit or int(numbers.min()) < lowest):
        yield f"{name} has values outside {lowest}..{limit - 1}"


def _rising(name: str, keys: Array) -> Iterator[str]:
    if len(keys) > 1 and not (keys[1:] > keys[:-1]).all():  # type: ignore[operator]
        yield f"{name} is not strictly ascending"


def _sizes(segment: Segment) -> Iterator[str]:
    s = segment
    yield from _offsets("block_off", s.block_off, len(s.block_page) - 1, len(s.block_data))
    yield from _offsets("block_page", s.block_page, len(s.block_off) - 1, s.n_pages)
    yield from _offsets("doc_page", s.doc_page, s.n_docs, s.n_pages)
    yield from _offsets("line_off", s.line_off, s.n_pages, len(s.line_data))
    yield from _offsets("tri_off", s.tri_off, len(s.tri_key), len(s.tri_data))
    yield from _offsets("doc_def", s.doc_def, s.n_docs, s.n_defs)
    yield from _offsets("name_def_off", s.name_def_off, s.n_names, s.n_defs)
    yield from _offsets("name_ref", s.name_ref, s.n_names, s.n_refs)
    yield from _offsets("doc_edge", s.doc_edge, s.n_docs, len(s.edge_ref))
    yield from _offsets("doc_chunk", s.doc_chunk, s.n_docs, s.n_chunks)
    yield from _rising("tri_key", s.tri_key)


def _documents(segment: Segment) -> Iterator[str]:
    starts = segment.doc_start.astype(np.int64)
    if not np.array_equal(np.diff(starts), segment.doc_len.astype(np.int64) + len(SEPARATOR)):
        yield "doc_start and doc_len do not agree"
        return
    for ordinal in range(segment.n_docs):
        try:
            yield from _document(segment, ordinal)
        except StoreCorrupt as error:
            yield str(error)
    yield from _below("language", segment.language, len(segment.languages))
    yield from _below("encoding", segment.encoding, len(ENCODINGS))
    if len(np.unique(segment.doc_blob)) != segment.n_docs or (segment.doc_blob == 0).any():
        yield "doc_blob has a blob twice or none"


def _document(segment: Segment, ordinal: int) -> Iterator[str]:
    """Check separator, pages and line tables of a document."""
    first, last = segment.doc_page[ordinal : ordinal + 2].tolist()
    content = segment.doc_bytes(ordinal)
    block = segment.block_of(last - 1)
    end = int(segment.doc_start[ordinal + 1]) - segment.block_start(block)
    if segment.block(block)[end - len(SEPARATOR) : end] != SEPARATOR:
        yield f"document {ordinal} is not followed by the separator"
    if segment.page_start[first:last].tolist() != page_starts(content):
        yield f"the pages of document {ordinal} are not those of its content"
    newlines = np.flatnonzero(np.frombuffer(content, np.uint8) == 10)
    if not np.array_equal(segment.line_starts(ordinal)[1:], newlines + 1):
        yield f"the line table of document {ordinal} does not fit its content"
    if not np.array_equal(
        np.searchsorted(newlines, segment.page_start[first:last]), segment.page_line[first:last]
    ):
        yield f"page_line of document {ordinal} does not count its lines"


def _names(segment: Segment) -> Iterator[str]:
    names = bytes(segment.names)[1:-1].split(b"\n") if segment.n_names else []
    lengths = np.array([1, *(len(name) + 1 for name in names)], np.int64)
    if not np.array_equal(np.cumsum(lengths), segment.name_off):
        yield "name_off and name_data do not agree"
    if any(a >= b for a, b in pairwise(names)):
        yield "name_data is not strictly ascending"


def _definitions(segment: Segment) -> Iterator[str]:
    s = segment
    yield from _below("def_name", s.def_name, s.n_names)
    yield from _below("def_kind", s.def_kind, len(KINDS))
    yield from _below("def_parent", s.def_parent, s.n_defs, -1)
    if not np.array_equal(by_name(s.def_name), s.name_def):
        yield "name_def is not the definitions in order of name"
    length = s.doc_len[s.doc_of_def(np.arange(s.n_defs))]
    if (s.def_start > s.def_end).any() or (s.def_end > length).any() or (s.def_name_start >= length).any():
        yield "a definition reaches beyond its document"


def _references(segment: Segment) -> Iterator[str]:
    s = segment
    yield from _below("ref_doc", s.ref_doc, s.n_docs)
    yield from _below("ref_role", s.ref_role, len(ROLES))
    if not len(s.ref_start) or int(s.ref_doc.max()) >= s.n_docs:
        return
    if (s.ref_start >= s.doc_len[s.ref_doc]).any():
        yield "a reference lies beyond its document"
    place = s.ref_doc.astype(np.int64) << 32 | s.ref_start.astype(np.int64)
    falls = np.flatnonzero(place[1:] < place[:-1]) + 1
    if not np.isin(falls, s.name_ref).all():
        yield "the references of a name are not in order of (document, start)"
    edges = np.flatnonzero(IS_EDGE[np.minimum(s.ref_role, len(ROLES) - 1)])
    edges = edges[np.argsort(place[edges], kind="stable")]
    counts = np.bincount(s.ref_doc[edges].astype(np.int64), minlength=s.n_docs)
    if not np.array_equal(edges, s.edge_ref) or not np.array_equal(np.cumsum(counts), s.doc_edge[1:]):
        yield "edge_ref is not the edges in order of (document, start)"


def _chunks(segment: Segment) -> Iterator[str]:
    s = segment
    yield from _below("chunk_def", s.chunk_def, s.n_defs, -1)
    length = s.doc_len[s.doc_of_chunk(np.arange(s.n_chunks))]
    if (s.chunk_start > s.chunk_end).any() or (s.chunk_end > length).any():
        yield "a chunk reaches beyond its document"


def _trigram_lists(segment: Segment) -> Iterator[str]:
    try:
        for counts, values in trigram_lists(segment):
            yield from list_problems("tri_data", counts, values, segment.n_pages)
    except StoreCorrupt as error:
        yield f"tri_data: {error}"


def trigram_lists(segment: Segment) -> Iterator[tuple[I64, U32]]:
    """Yield counts and values of blocks of trigram lists."""
    for first in range(0, len(segment.tri_key), LISTS_BLOCK):
        last = min(first + LISTS_BLOCK, len(segment.tri_key))
        counts = segment.tri_count[first:last].astype(np.int64)
        length = np.diff(segment.tri_off[first : last + 1]).astype(np.int64)
        data = segment.tri_data[int(segment.tri_off[first]) : int(segment.tri_off[last])]
        yield counts, postings.decode_many(data, length, counts, segment.n_pages)


def _trigrams(segment: Segment) -> Iterator[str]:
    parts = []
    for ordinal in range(segment.n_docs):
        keys = paged_trigrams(segment.doc_bytes(ordinal)).astype(np.uint64)
        page = np.uint64(segment.doc_page[ordinal]) + (keys >> np.uint64(KEY_BITS))
        parts.append((keys & np.uint64((1 << KEY_BITS) - 1)) << np.uint64(16) | page)
    wanted = np.sort(np.concatenate(parts))
    blocks = list(trigram_lists(segment))
    counts = np.concatenate([np.empty(0, np.int64), *(counts for counts, _ in blocks)])
    values = np.concatenate([np.empty(0, np.uint32), *(values for _, values in blocks)])
    found = np.repeat(segment.tri_key, counts).astype(np.uint64) << np.uint64(16) | values.astype(np.uint64)
    if not np.array_equal(found, wanted):
        yield "the trigram lists do not hold the trigrams of the contents"
