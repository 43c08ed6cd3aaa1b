"""An immutable segment, mapped and read in place.

Every section of format.py is an attribute: a read-only NumPy array over the mapping, so opening costs the
same for a kilobyte and a gigabyte, and all processes share one copy in memory. `open` checks the preamble,
the table and the bounds; the sections themselves are checked by `verify` (fsck), for reading a gigabyte at
every start would break the promise of two seconds.
"""

from __future__ import annotations

import mmap
import os
import zlib
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from config.errors import StoreCorrupt
from indexer.native.terms import Scorer
from indexer.native.unpack import Parts
from indexer.records import DIGEST_BYTES, I32, I64, U8, U16, U32, U64
from indexer.store import chunk_lists, postings
from indexer.store.blocks import line_starts, unpack_parts
from indexer.store.format import (
    ALIGN,
    FORMAT_VERSION,
    MAGIC,
    PREAMBLE,
    PREAMBLE_BYTES,
    SECTIONS,
    Place,
    Table,
)
from indexer.store.terms import Heads, Terms

BLOCKS_KEPT = 8  # unpacked blocks of one segment that a process keeps
MANY_CHUNKS = 1_000  # whose documents are looked up in a table of all chunks
_table_decoder = msgspec.msgpack.Decoder(Table)


class Segment:
    """One open segment. Numbers of documents, chunks, definitions, names count within the segment."""

    id: int
    n_docs: int
    n_pages: int
    n_chunks: int
    n_defs: int
    n_refs: int
    n_names: int
    languages: tuple[str, ...]

    block_data: U8
    block_page: U32
    block_off: U64
    line_data: U8
    line_off: U32
    page_start: U32
    page_line: U32
    doc_start: U64
    doc_len: U32
    doc_blob: U32
    doc_page: U32
    digest: U8  # [n_docs, 16]
    language: U8  # index into languages
    encoding: U8  # index into ENCODINGS
    flags: U16
    tri_key: U32
    tri_off: U32
    tri_count: U32
    tri_data: U8
    term_first: U32
    term_low: U8
    term_head: U8
    term_kind: U8
    term_rare: U32
    term_step: U32
    term_tf: U8
    term_tf_rare: U8
    term_tf_step: U32
    term_data: U8
    name_data: U8
    name_off: U32
    doc_def: U32
    def_name: U32
    def_kind: U8
    def_start: U32
    def_end: U32
    def_name_start: U32
    def_line: U32
    def_parent: I32
    name_def_off: U32
    name_def: U32
    name_ref: U32
    ref_doc: U32
    ref_start: U32
    ref_role: U8
    doc_edge: U32
    edge_ref: U32
    doc_chunk: U32
    chunk_start: U32
    chunk_end: U32
    chunk_line: U32
    chunk_def: I32
    chunk_row: U32
    chunk_words: U16

    def __init__(self, path: Path, segment_id: int, table: Table, mapping: mmap.mmap) -> None:
        """Bind the sections to the mapping; use `open`."""
        self.path = path
        self.id = segment_id
        self.table = table
        counts = table.counts
        self.n_docs, self.n_chunks = counts.docs, counts.chunks
        self.n_defs, self.n_refs, self.n_names = counts.defs, counts.refs, counts.names
        self.languages = tuple(table.languages)
        self._mapping = mapping
        for name, kind in SECTIONS.items():
            setattr(self, name, _array(mapping, table.sections[name], kind))
        self.digest = self.digest.reshape(-1, DIGEST_BYTES)
        place = table.sections["block_data"]
        self._packed = np.frombuffer(mapping, np.uint8, place.nbytes, place.offset)
        self._unpacked: dict[int, bytes] = {}
        self.n_pages = len(self.page_start)
        place = table.sections["name_data"]
        self.names = memoryview(mapping)[place.offset : place.offset + place.nbytes]

    @classmethod
    def open(cls, path: Path) -> Segment:
        """Map a segment file. Raises FileNotFoundError, StoreCorrupt."""
        fd = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(fd).st_size
            if size < PREAMBLE_BYTES:
                raise StoreCorrupt(f"{path.name}: {size} bytes are less than a preamble")
            mapping = mmap.mmap(fd, size, access=mmap.ACCESS_READ)
        finally:
            os.close(fd)
        segment_id, table = _read_table(path, mapping, size)
        return cls(path, segment_id, table, mapping)

    # Contents and lines

    def doc_bytes(self, ordinal: int) -> bytes:
        """Return the content of a document."""
        first, last = self.doc_page[ordinal : ordinal + 2].tolist()
        nbytes = int(self.doc_len[ordinal])
        if last - first > 1:  # each page is a block
            return self.unpack_pages(np.arange(first, last))[:nbytes]
        block = self.block_of(first)
        start = int(self.doc_start[ordinal]) - self.block_start(block)
        return self.block(block)[start : start + nbytes]

    @cached_property
    def page_doc(self) -> I64:
        """The document of each page; int64 [n_pages]. Raises StoreCorrupt."""
        bounds: I64 = self.doc_page.astype(np.int64)
        counts: I64 = bounds[1:] - bounds[:-1]
        if len(counts) != self.n_docs or (counts < 1).any() or int(counts.sum()) != self.n_pages:
            raise StoreCorrupt(f"{self.path.name}: documents and pages do not agree")
        return np.repeat(np.arange(self.n_docs), counts)

    @cached_property
    def page_at(self) -> I64:
        """Where each page begins in the unpacked bytes of all blocks, and where they end; [n_pages + 1]."""
        starts = self.doc_start.astype(np.int64)
        return np.append(starts[self.page_doc] + self.page_start, starts[-1])

    def block_of(self, page: int) -> int:
        """Return the block that holds a page."""
        return int(np.searchsorted(self.block_page, page, side="right")) - 1

    def block_start(self, block: int) -> int:
        """Return where a block begins in the unpacked bytes of all blocks, as doc_start has it."""
        return int(self.page_at[self.block_page[block]])

    def block(self, block: int) -> bytes:
        """Return a block's bytes: its documents, each with a separator. Raises StoreCorrupt."""
        known = self._unpacked.get(block)
        if known is None:
            known = self.unpack_pages(np.arange(*self.block_page[block : block + 2].tolist()))
            if len(self._unpacked) >= BLOCKS_KEPT:
                self._unpacked = {}  # replaced whole: threads share a segment
            self._unpacked[block] = known
        return known

    def unpack_pages(self, pages: I64) -> bytes:
        """Return what some pages (sorted) hold, one behind the other: each as page_at has it, with its
        separator. Raises StoreCorrupt."""
        block = np.searchsorted(self.block_page, pages, side="right") - 1
        starts = self.page_at[self.block_page[block]]
        begins = self.page_at[pages]
        parts = Parts(
            low=self.block_off[block].astype(np.int64),
            high=self.block_off[block + 1].astype(np.int64),
            size=self.page_at[self.block_page[block + 1]] - starts,
            begin=begins - starts,
            length=self.page_at[pages + 1] - begins,
        )
        try:
            return unpack_parts(self._packed, parts)
        except ValueError as error:
            raise StoreCorrupt(f"{self.path.name}: {error}") from error

    def language_name(self, ordinal: int) -> str:
        """Return the language of a document."""
        return self.languages[int(self.language[ordinal])]

    def line_starts(self, ordinal: int) -> U32:
        """Return where each line of a document starts; after a last newline, the document's end too."""
        first, end = self.line_off[self.doc_page[ordinal : ordinal + 2]].tolist()
        return line_starts(self.line_data[first:end])

    def line_of(self, ordinal: int, offset: int) -> int:
        """Return the 1-based line of a byte offset in a document."""
        return int(np.searchsorted(self.line_starts(ordinal), offset, side="right"))

    # Trigrams and terms

    def trigram_pages(self, key: int) -> U32:
        """Return the sorted numbers of the pages that contain a trigram."""
        at = _find(self.tri_key, np.uint32(key))
        if at < 0:
            return np.empty(0, np.uint32)
        data, count = (
            self.tri_data[int(self.tri_off[at]) : int(self.tri_off[at + 1])],
            int(self.tri_count[at]),
        )
        return postings.decode(data, count, self.n_pages)

    def trigram_docs(self, key: int) -> I64:
        """Return the sorted ordinals of the documents that contain a trigram."""
        docs = self.page_doc[self.trigram_pages(key)]
        return docs if self.n_pages == self.n_docs else docs[np.diff(docs, prepend=-1) != 0]

    def trigram_count(self, key: int) -> int:
        """Return in how many pages a trigram occurs."""
        at = _find(self.tri_key, np.uint32(key))
        return int(self.tri_count[at]) if at >= 0 else 0

    @cached_property
    def terms(self) -> Terms:
        """The table of terms."""
        return Terms(
            self.term_first,
            self.term_low,
            self.term_head,
            self.term_kind,
            self.term_rare,
            self.term_step,
            self.term_tf,
            self.term_tf_rare,
            self.term_tf_step,
        )

    @cached_property
    def scorer(self) -> Scorer:
        """The same, read by compiled loops. Raises StoreCorrupt."""
        names = [name for name in SECTIONS if name.startswith("term_")]
        sections = {name.removeprefix("term_"): getattr(self, name) for name in names}
        return Scorer(sections, self.terms.low_bytes, self.chunk_words, self.chunk_doc, self.doc_chunk)

    def term_postings(self, term_hash: int) -> tuple[U32, U8]:
        """Return the sorted chunks that contain a term, and for each its counts (see format.py, term_tf)."""
        at = self.terms.find(term_hash)
        if at < 0:
            return np.empty(0, np.uint32), np.empty(0, np.uint8)
        chunks, first = self._term_list(at)
        return chunks, self.terms.tf(first, first + len(chunks))

    def term_lists(self, first: int, last: int) -> tuple[Heads, U32, U8]:
        """Return the lists of the terms [first, last): heads, chunks, and the counts of each posting."""
        heads = self.terms.heads(first, last)
        (start, posting), (end, last_posting) = self.terms.place(first), self.terms.place(last)
        data = self.term_data[start:end]
        values = chunk_lists.decode_many(data, heads.length, heads.counts, self.n_chunks)
        return heads, values, self.terms.tf(posting, last_posting)

    def _term_list(self, at: int) -> tuple[U32, int]:
        """Return the chunks of a term and the number of the first posting."""
        count, nbytes = self.terms.head(at)
        start, first = self.terms.place(at)
        return chunk_lists.decode(self.term_data[start : start + nbytes], count, self.n_chunks), first

    # Names, definitions, references

    def name(self, index: int) -> bytes:
        """Return a name by its number."""
        return bytes(self.names[int(self.name_off[index]) : int(self.name_off[index + 1]) - 1])

    def names_exact(self, name: bytes) -> int:
        """Return the number of a name, -1 if no definition or reference has it."""
        at = self._first_not_below(name)
        return at if at < self.n_names and self.name(at) == name else -1

    def names_prefix(self, prefix: bytes) -> range:
        """Return the numbers of the names that start with `prefix`."""
        first = self._first_not_below(prefix)
        low, high = first, self.n_names
        while low < high:
            middle = (low + high) // 2
            if self.name(middle).startswith(prefix):
                low = middle + 1
            else:
                high = middle
        return range(first, low)

    def _first_not_below(self, name: bytes) -> int:
        low, high = 0, self.n_names
        while low < high:
            middle = (low + high) // 2
            if self.name(middle) < name:
                low = middle + 1
            else:
                high = middle
        return low

    def defs_of_name(self, index: int) -> U32:
        """Return the definitions that carry a name."""
        return self.name_def[self.name_def_off[index] : self.name_def_off[index + 1]]

    def edges_of(self, ordinal: int, start: int, end: int) -> U32:
        """Return the numbers of the edges in [start, end) of a document, in order of place."""
        low, high = self.doc_edge[ordinal : ordinal + 2].tolist()
        refs = self.edge_ref[low:high]
        first, last = self.ref_start[refs].searchsorted(np.array([start, end], np.uint32))
        return refs[first:last]

    def name_of_ref(self, refs: U32) -> I64:
        """Return the number of the name of each reference."""
        return np.searchsorted(self.name_ref, refs, side="right") - 1

    def refs_of_name(self, index: int) -> tuple[U32, U32, U8]:
        """Return ordinals, offsets and roles of the references to a name, in order of (ordinal, offset)."""
        part = slice(int(self.name_ref[index]), int(self.name_ref[index + 1]))
        return self.ref_doc[part], self.ref_start[part], self.ref_role[part]

    def doc_of_chunk(self, chunks: npt.ArrayLike) -> U32:
        """Return the ordinal of each chunk's document."""
        asked = np.asarray(chunks)
        return self.chunk_doc[asked] if asked.size > MANY_CHUNKS else _owner(self.doc_chunk, asked)

    @cached_property
    def chunk_doc(self) -> U32:
        """The ordinal of each chunk's document; 4 bytes a chunk, for whoever asks for many at once."""
        return np.repeat(np.arange(self.n_docs, dtype=np.uint32), np.diff(self.doc_chunk))

    def doc_of_def(self, defs: npt.ArrayLike) -> U32:
        """Return the ordinal of each definition's document."""
        return _owner(self.doc_def, defs)

    # Care

    def verify(self) -> list[str]:
        """Return the sections whose checksum does not match."""
        data = memoryview(self._mapping)
        return [
            name
            for name, place in self.table.sections.items()
            if zlib.crc32(data[place.offset : place.offset + place.nbytes]) != place.crc
        ]

    def close(self) -> None:
        """Let go of the mapping; it ends with the last array that someone still holds."""
        for name in SECTIONS:
            delattr(self, name)
        self.__dict__.pop("page_doc", None)
        self.__dict__.pop("page_at", None)
        self.__dict__.pop("terms", None)
        self.__dict__.pop("scorer", None)
        del self._unpacked, self._packed, self.names, self._mapping


def _array(mapping: mmap.mmap, place: Place, kind: str) -> npt.NDArray[np.generic]:
    dtype = np.dtype(kind)
    return np.frombuffer(mapping, dtype, place.nbytes // dtype.itemsize, place.offset)


def _find(keys: npt.NDArray[np.generic], key: np.generic) -> int:
    at = int(np.searchsorted(keys, key))
    return at if at < len(keys) and keys[at] == key else -1


def _owner(bounds: U32, items: npt.ArrayLike) -> U32:
    """Return i with bounds[i] <= item < bounds[i+1]."""
    asked = np.asarray(items).astype(np.uint32, copy=False)
    return (np.searchsorted(bounds, asked, side="right") - 1).astype(np.uint32)


def _read_table(path: Path, mapping: mmap.mmap, size: int) -> tuple[int, Table]:
    """Check preamble and table; return the id and the table."""
    head = mapping[: PREAMBLE.size]
    magic, version, segment_id, offset, length, table_crc, head_crc = PREAMBLE.unpack(head)
    if magic != MAGIC or zlib.crc32(head[:-4]) != head_crc:
        raise StoreCorrupt(f"{path.name}: the preamble is damaged")
    if version != FORMAT_VERSION:
        raise StoreCorrupt(f"{path.name}: format version {version} in an index of version {FORMAT_VERSION}")
    data = mapping[offset : offset + length]
    if offset + length != size or zlib.crc32(data) != table_crc:
        raise StoreCorrupt(f"{path.name}: the table of sections is damaged or the file was cut off")
    try:
        table = _table_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"{path.name}: the table of sections cannot be read: {error}") from error
    _check_places(path, table, offset)
    return segment_id, table


def _check_places(path: Path, table: Table, end: int) -> None:
    for name, kind in SECTIONS.items():
        place = table.sections.get(name)
        if place is None:
            raise StoreCorrupt(f"{path.name}: section {name} is missing")
        if (
            place.offset % ALIGN
            or place.offset + place.nbytes > end
            or place.nbytes % np.dtype(kind).itemsize
        ):
            raise StoreCorrupt(f"{path.name}: section {name} lies outside the file")
    expected = table.sections["doc_len"].nbytes // 4
    if expected != table.counts.docs:
        raise StoreCorrupt(f"{path.name}: {expected} documents, {table.counts.docs} announced")


def content_bytes(segment: Segment) -> int:
    """Return the bytes of all documents, separators not counted."""
    return int(segment.doc_len.sum(dtype=np.int64))
