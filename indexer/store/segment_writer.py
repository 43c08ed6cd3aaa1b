"""Prepared files -> one segment file.

All postings of a batch are sorted at once as packed 64-bit numbers; no Python loop runs over postings,
chunks, definitions or references. The only loops are over files, over distinct names of a file (a
dictionary gives each a number) and over blocks that bound memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from indexer.pages import page_starts
from indexer.records import I64, ROLES, U8, U32, U64, PreparedFile, SourceFile
from indexer.store import chunk_lists, postings
from indexer.store.blocks import BlockWriter
from indexer.store.format import (
    DOCS_MAX,
    EDGE_ROLES,
    ENCODINGS,
    NO_ROW,
    PAGES_MAX,
    SEPARATOR,
    Counts,
    SegmentInfo,
)
from indexer.store.segment_file import Array, Section, SegmentFile
from indexer.store.terms import KEY_SHIFT, CountWriter, Heads, directory, head_table
from indexer.trigram import KEY_BITS

Doc = tuple[int, PreparedFile, U32]  # blob id, content, pool row of each chunk (NO_ROW: none)

# Values, counts of the lists, domain -> the lists one after the other, bytes of each.
Encoder = Callable[[U32, I64, int], tuple[U8, I64]]

POSTINGS_BLOCK = 1 << 22  # postings encoded at a time: about 200 MB of working memory


def write_segment(path: Path, segment_id: int, docs: Sequence[Doc]) -> SegmentInfo:
    """Write the documents in order. Raises StoreFull and leaves nothing behind if there is no room."""
    assert 0 < len(docs) <= DOCS_MAX, len(docs)
    files = [prepared for _, prepared, _ in docs]
    languages = sorted({file.source.language for file in files})
    with SegmentFile(path, segment_id) as out:
        content_bytes, doc_page = _write_docs(out, docs, languages)
        trigrams = _write_trigrams(out, files, doc_page)
        chunk_base = bases([len(file.parsed.chunks) for file in files])
        terms = _write_terms(out, files, chunk_base)
        names = _write_symbols(out, files)
        _write_chunks(out, docs, chunk_base)
        n_defs = sum(len(file.parsed.symbols) for file in files)
        n_refs = sum(len(file.parsed.references) for file in files)
        counts = Counts(len(docs), int(chunk_base[-1]), n_defs, n_refs, names, trigrams, terms)
        return out.finish(counts, languages, content_bytes)


def cut(docs: Sequence[Doc], docs_max: int, bytes_max: int) -> Iterator[list[Doc]]:
    """Cut documents into those of several segments, each within these limits and PAGES_MAX."""
    part: list[Doc] = []
    nbytes = pages = 0
    for doc in docs:
        content = doc[1].source.content
        own = len(page_starts(content))
        full = len(part) >= docs_max or nbytes + len(content) > bytes_max or pages + own > PAGES_MAX
        if part and full:
            yield part
            part, nbytes, pages = [], 0, 0
        part.append(doc)
        nbytes += len(content)
        pages += own
    yield part


class ListWriter:
    """Writes posting lists in ascending order of keys, block by block; the small tables stay in memory."""

    def __init__(self, data: Section, domain: int, encode: Encoder) -> None:
        """Append lists of numbers below `domain` to `data`, encoded by `encode`."""
        self._data = data
        self._domain = domain
        self._encode = encode
        self._keys: list[Array] = []
        self._counts: list[I64] = []
        self._lengths: list[I64] = []

    def add(self, keys: Array, counts: I64, values: U32) -> None:
        """Encode the lists of some keys; all keys are above the ones before."""
        data, length = self._encode(values, counts, self._domain)
        self._data.write(data)
        self._keys.append(keys)
        self._counts.append(counts)
        self._lengths.append(length)

    def finish(self) -> tuple[Array, I64, I64]:
        """Close the data; return keys, counts, and bytes of each list."""
        self._data.close()
        if not self._keys:
            empty = np.empty(0, np.int64)
            return empty, empty, empty
        lengths = np.concatenate(self._lengths)
        assert lengths.sum() < 1 << 32, int(lengths.sum())
        return np.concatenate(self._keys), np.concatenate(self._counts), lengths


def put_trigrams(out: SegmentFile, fill: Callable[[ListWriter], None], n_pages: int) -> int:
    """Write the trigram sections; `fill` adds the lists. Returns the number of trigrams."""
    assert n_pages <= PAGES_MAX, n_pages
    lists = ListWriter(out.section("tri_data"), n_pages, postings.encode)
    fill(lists)
    keys, counts, lengths = lists.finish()
    out.put("tri_key", keys)
    out.put("tri_count", counts)
    out.put("tri_off", bases(lengths))
    return len(keys)


def put_terms(
    out: SegmentFile, fill: Callable[[ListWriter, CountWriter], None], n_chunks: int, n_postings: int
) -> int:
    """Write the term sections; `fill` adds the lists and, in the same order, the counts of each posting.

    n_postings  at most so many come
    """
    packed = out.section("term_tf", n_postings // 2 + 1)
    counted = CountWriter(packed.write)
    lists = ListWriter(out.section("term_data"), n_chunks, chunk_lists.encode)
    fill(lists, counted)
    rare, step = counted.finish()
    packed.close()
    keys, counts, lengths = lists.finish()
    out.put("term_tf_rare", rare)
    out.put("term_tf_step", step)
    first, low = directory(keys.astype(np.uint64))
    out.put("term_first", first)
    out.put("term_low", low)
    heads = head_table(Heads(counts, lengths))
    out.put("term_head", heads.head)
    out.put("term_kind", heads.kind)
    out.put("term_rare", heads.rare)
    out.put("term_step", heads.step)
    return len(keys)


def bases(counts: Sequence[int] | Array) -> I64:
    """Return the running sum with a zero in front."""
    bases = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=bases[1:])
    return bases


def _joined(parts: list[Array], dtype: str) -> Array:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def put_contents(out: SegmentFile, contents: Iterable[bytes]) -> tuple[I64, I64]:
    """Write blocks, pages and line tables of documents. Returns length and first page of each."""
    section = out.section("block_data")
    blocks = BlockWriter(section.write)
    blocks.add(contents)
    blocks.finish()
    section.close()
    put_block_tables(out, blocks)
    return blocks.doc_len, blocks.doc_page


def put_block_tables(out: SegmentFile, blocks: BlockWriter) -> None:
    """Write where the finished blocks, pages, lines and documents are."""
    out.put("block_page", blocks.block_page)
    out.put("block_off", blocks.block_off)
    tables, nbytes = blocks.line_tables()
    out.put("line_data", tables)
    offsets = bases(nbytes)
    assert offsets[-1] < 1 << 32, int(offsets[-1])
    out.put("line_off", offsets)
    out.put("page_start", blocks.page_start)
    out.put("page_line", blocks.page_line)
    out.put("doc_page", blocks.doc_page)
    lengths = blocks.doc_len
    out.put("doc_start", bases(lengths + len(SEPARATOR)))
    out.put("doc_len", lengths)


def _write_docs(out: SegmentFile, docs: Sequence[Doc], languages: list[str]) -> tuple[int, I64]:
    sources = [prepared.source for _, prepared, _ in docs]
    lengths, doc_page = put_contents(out, [source.content for source in sources])
    out.put("doc_blob", np.array([blob for blob, _, _ in docs], np.uint32))
    put_sources(out, sources, languages)
    return int(lengths.sum()), doc_page


def put_sources(out: SegmentFile, sources: Sequence[SourceFile], languages: list[str]) -> None:
    """Write what is known of each document beside its content."""
    language = {name: i for i, name in enumerate(languages)}
    out.put("digest", b"".join(source.digest for source in sources))
    out.put("language", np.array([language[source.language] for source in sources], np.uint8))
    out.put("encoding", np.array([ENCODINGS.index(source.encoding) for source in sources], np.uint8))
    out.put("flags", np.array([source.flags for source in sources], np.uint16))


def _write_trigrams(out: SegmentFile, files: list[PreparedFile], doc_page: I64) -> int:
    own = np.concatenate([file.trigrams for file in files])
    packed = np.empty(len(own), "<u8")
    halves = packed.view("<u4").reshape(-1, 2)  # the lower one first
    np.bitwise_and(own, np.uint32((1 << KEY_BITS) - 1), out=halves[:, 1])
    pages = np.repeat(doc_page[:-1].astype(np.uint32), [len(file.trigrams) for file in files])
    np.add(own >> np.uint32(KEY_BITS), pages, out=halves[:, 0])
    packed.sort()

    def fill(lists: ListWriter) -> None:
        keys = halves[:, 1]
        for first, last, counts in _list_blocks(keys):
            starts = np.cumsum(counts) - counts
            lists.add(keys[first:last][starts], counts, halves[first:last, 0])

    return put_trigrams(out, fill, int(doc_page[-1]))


def _list_blocks(keys: Array) -> Iterator[tuple[int, int, I64]]:
    """Cut sorted keys into blocks of whole lists: [first, last) and the length of each list."""
    if not len(keys):
        return
    starts = np.concatenate(([0], np.flatnonzero(keys[1:] != keys[:-1]) + 1, [len(keys)]))
    counts = np.diff(starts)
    cuts = np.searchsorted(starts, np.arange(POSTINGS_BLOCK, len(keys), POSTINGS_BLOCK), side="left")
    bounds = np.unique(np.concatenate(([0], cuts, [len(counts)])))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield int(starts[low]), int(starts[high]), counts[low:high]


def _write_terms(out: SegmentFile, files: list[PreparedFile], chunk_base: I64) -> int:
    tables = [file.terms for file in files]
    hashes: U64 = np.concatenate([table.hash for table in tables])
    chunks: U32 = np.concatenate(
        [table.chunk + np.uint32(base) for table, base in zip(tables, chunk_base[:-1], strict=True)]
    )
    tf: U8 = np.concatenate([table.body | table.name << np.uint8(4) for table in tables])
    keys, order = _by_key(hashes)

    def fill(lists: ListWriter, counted: CountWriter) -> None:
        for first, last, counts in _list_blocks(keys):
            starts = np.cumsum(counts) - counts
            values, of_values = chunks[order[first:last]], tf[order[first:last]]
            # Two terms of one chunk with the same key: the one with the smaller hash stays.
            twice = np.flatnonzero(values[1:] == values[:-1]) + 1
            twice = twice[keys[first + twice] == keys[first + twice - 1]]
            if len(twice):
                counts = counts - np.bincount(np.searchsorted(starts, twice, "right") - 1, None, len(counts))
                values, of_values = np.delete(values, twice), np.delete(of_values, twice)
            lists.add(keys[first + starts], counts, values)
            counted.add(of_values)

    return put_terms(out, fill, int(chunk_base[-1]), len(hashes))


def _by_key(hashes: U64) -> tuple[U64, I64]:
    """Return the ascending keys of the terms, and the order that sorts them and keeps equal ones in place.

    Key and position are sorted as one number, which is ten times faster than a stable argsort.
    """
    shift = np.uint64(KEY_SHIFT)
    if len(hashes) >> KEY_SHIFT:
        keys = hashes >> shift
        order = np.argsort(keys, kind="stable")
        return keys[order], order
    packed = hashes >> shift << shift
    packed |= np.arange(len(hashes), dtype=np.uint64)
    packed.sort()
    order = (packed & np.uint64((1 << KEY_SHIFT) - 1)).astype(np.int64)
    packed >>= shift
    return packed, order


def _write_symbols(out: SegmentFile, files: list[PreparedFile]) -> int:
    numbers: defaultdict[bytes, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    defs: list[Array] = []
    refs: list[Array] = []
    for file in files:
        symbols, references = file.parsed.symbols, file.parsed.references
        if len(symbols):
            defs.append(_numbered(numbers, symbols.name))
        if len(references):
            refs.append(_numbered(numbers, references.names)[references.name])
    def_number, ref_number = _joined(defs, "<i8"), _joined(refs, "<i8")
    used = np.zeros(len(numbers), np.bool_)
    used[def_number] = True
    used[ref_number] = True
    names = sorted(name for name, number in numbers.items() if used[number])
    rank = np.zeros(len(numbers), np.uint32)
    rank[np.fromiter(map(numbers.__getitem__, names), np.int64, len(names))] = np.arange(len(names))
    put_names(out, names)
    _write_defs(out, files, rank[def_number], len(names))
    _write_refs(out, files, rank[ref_number], len(names))
    return len(names)


def _numbered(numbers: defaultdict[bytes, int], names: list[bytes]) -> Array:
    # A name is a line of name_data; no language has newlines in names, but a selector or a heading may.
    if b"\n" in b"".join(names):
        names = [name.replace(b"\n", b" ") for name in names]
    return np.fromiter(map(numbers.__getitem__, names), np.int64, len(names))


def put_names(out: SegmentFile, names: list[bytes]) -> None:
    """Write the sorted distinct names."""
    lengths = np.fromiter(map(len, names), np.int64, len(names))
    out.put("name_data", b"\n" + b"".join(name + b"\n" for name in names))
    out.put("name_off", bases(lengths + 1) + 1)


def _write_defs(out: SegmentFile, files: list[PreparedFile], names: Array, n_names: int) -> None:
    def_base = bases([len(file.parsed.symbols) for file in files])
    tables = [file.parsed.symbols for file in files if len(file.parsed.symbols)]
    parent = _joined([table.parent for table in tables], "<i4").astype(np.int64)
    out.put("doc_def", def_base)
    out.put("def_kind", _joined([table.kind for table in tables], "u1"))
    out.put("def_start", _joined([table.start for table in tables], "<u4"))
    out.put("def_end", _joined([table.end for table in tables], "<u4"))
    out.put("def_name_start", _joined([table.name_start for table in tables], "<u4"))
    out.put("def_line", _joined([table.line for table in tables], "<u4"))
    out.put("def_parent", np.where(parent < 0, -1, parent + np.repeat(def_base[:-1], np.diff(def_base))))
    put_def_names(out, names, n_names)


def put_def_names(out: SegmentFile, names: Array, n_names: int) -> None:
    """Write the name of every definition and the definitions of every name."""
    out.put("def_name", names)
    out.put("name_def", by_name(names))
    out.put("name_def_off", bases(np.bincount(names.astype(np.int64), minlength=n_names)))


def by_name(names: Array) -> I64:
    """Return the order that sorts by name and keeps equal names in place."""
    packed = names.astype(np.uint64) << np.uint64(32) | np.arange(len(names), dtype=np.uint64)
    packed.sort()
    order: I64 = (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return order


def _write_refs(out: SegmentFile, files: list[PreparedFile], names: Array, n_names: int) -> None:
    order = by_name(names)
    n_refs = [len(file.parsed.references) for file in files]
    docs = np.repeat(np.arange(len(files), dtype=np.uint32), n_refs)
    tables = [file.parsed.references for file, n in zip(files, n_refs, strict=True) if n]
    out.put("name_ref", bases(np.bincount(names.astype(np.int64), minlength=n_names)))
    start = _joined([table.start for table in tables], "<u4")[order]
    role = _joined([table.role for table in tables], "u1")[order]
    out.put("ref_doc", docs[order])
    out.put("ref_start", start)
    out.put("ref_role", role)
    edges = Edges()
    edges.add(docs[order], start, role)
    edges.put(out, len(files))


class Edges:
    """Collects which references are edges, in order of name, and writes them in order of document."""

    def __init__(self) -> None:
        self._n_refs = 0
        self._refs: list[U32] = []
        self._places: list[U64] = []  # document, offset

    def add(self, docs: Array, start: Array, role: Array) -> None:
        """Take the next references."""
        edges = np.flatnonzero(IS_EDGE[role])
        self._refs.append((edges + self._n_refs).astype(np.uint32))
        self._places.append(docs[edges].astype(np.uint64) << np.uint64(32) | start[edges].astype(np.uint64))
        self._n_refs += len(role)

    def put(self, out: SegmentFile, n_docs: int) -> None:
        """Write the sections."""
        places = np.concatenate([*self._places, np.empty(0, np.uint64)])
        refs = np.concatenate([*self._refs, np.empty(0, np.uint32)])
        docs = (places >> np.uint64(32)).astype(np.int64)
        out.put("doc_edge", bases(np.bincount(docs, minlength=n_docs)))
        out.put("edge_ref", refs[np.argsort(places, kind="stable")])


IS_EDGE = np.isin(ROLES, EDGE_ROLES)  # by role


def _write_chunks(out: SegmentFile, docs: Sequence[Doc], chunk_base: I64) -> None:
    tables = [prepared.parsed.chunks for _, prepared, _ in docs]
    def_base = bases([len(prepared.parsed.symbols) for _, prepared, _ in docs])
    symbol = np.concatenate([table.symbol for table in tables]).astype(np.int64)
    words = np.concatenate([prepared.terms.length for _, prepared, _ in docs])
    rows = np.full(int(chunk_base[-1]), NO_ROW, np.uint32)
    for (_, _, own), base, end in zip(docs, chunk_base[:-1].tolist(), chunk_base[1:].tolist(), strict=True):
        if len(own):
            rows[base:end] = own
    out.put("doc_chunk", chunk_base)
    out.put("chunk_start", np.concatenate([table.start for table in tables]))
    out.put("chunk_end", np.concatenate([table.end for table in tables]))
    out.put("chunk_line", np.concatenate([table.line for table in tables]))
    out.put("chunk_def", np.where(symbol < 0, -1, symbol + np.repeat(def_base[:-1], np.diff(chunk_base))))
    out.put("chunk_row", rows)
    out.put("chunk_words", np.minimum(words, 65_535))
