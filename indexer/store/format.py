"""The layout of the index on disk: prose first, then the constants.

    <store>/catalog/data.mdb      LMDB: what changes (see catalog.py)
    <store>/segments/0000002a.seg one immutable segment each; <name>.tmp while it is being written
    <store>/readers/*.lease       one for each reader: the oldest generation it still looks at
    <store>/roots.json            copy of the list of roots, for the day the catalog is damaged

All numbers are little-endian. A segment holds everything that belongs to the content of some blobs. In it a
blob is a *document*, known by its ordinal (its position, below 128,000). A segment file is a preamble,
sections, and a table of the sections:

    preamble  64 bytes: magic "EINSTSEG", u32 version, u32 segment id, u64 offset and u64 length of the table,
              u32 crc32 of the table, u32 crc32 of the preamble's bytes before it, zeros
    sections  each an array, at an offset that is a multiple of 64, padded with zeros
    table     MessagePack of `Table`: for each section offset, bytes, crc32; counts; names of languages

Sections (n documents, p pages, c chunks, d definitions, r references, w names, t trigrams, k terms):

    block_*        the documents' bytes, each followed by SEPARATOR (so no match of a line crosses documents),
                   packed as blocks.py has it: data; page u32 [b+1], the first page of each block; off u64
                   [b+1] into data
    doc_*          start u64 [n+1] in the unpacked bytes of all blocks, len u32, blob u32, page u32 [n+1]: the
                   first of the document's pages (indexer/pages.py)
    page_*         start u32 [p] in the document; line u32 [p]: lines of the document before the page
    line_*         the line tables of the pages (blocks.py): data; off u32 [p+1] into data
    digest, language, encoding, flags
                   of each document: 16 bytes, u8 (index into Table.languages), u8 (index into ENCODINGS), u16
    tri_*          key u32 [t] ascending, off u32 [t+1] into data, count u32 [t]; the lists of pages in
                   `tri_data` as postings.py has them, domain p
    term_*         the terms in order of their keys, the highest 40 bits of the hash (words.term_hash); the
                   lists of chunk numbers in `term_data` as chunk_lists.py has them, domain c. terms.py reads:
      first, low   how many terms stand before each value of the highest b bytes of the key, u32 [256^b + 1],
                   and the other 5 - b bytes of each key, highest first; b = 0, 1 or 2, what takes the
                   fewest bytes (at equal size the smaller)
      kind, head   the commonest pairs of postings (< 256) and bytes (< 256) of a list, at most 255, commonest
                   first, then by bytes, postings: u8 [., 2]; of each term the number of its pair, u8 [k], or
                   255
      rare         u32 [., 2]: postings and bytes of the terms whose head is 255, in order
      step         u32 [ceil(k / 64) + 1, 3]: before every 64th term, and in all: bytes in data, postings,
                   entries of rare
      tf           half a byte for every posting, the low half first: a code for its counts, those of
                   terms.COMMON_COUNTS (body count in the low, name count in the high 4 bits), or 15
      tf_rare      u8: the counts of the postings with code 15, in order
      tf_step      u32: how many of those stand before posting 0, 512, 1,024, ..., up to their number
    name_data      the distinct names of definitions and references, ascending bytewise, each followed by
                   "\\n", with one "\\n" in front: a substring search needs no boundary cases. name_off u32
                   [w+1]: the first byte of each; the last is the length of name_data
    doc_def        u32 [n+1]: definitions of each document, which stand in order of (document, start)
    def_*          name u32, kind u8, start u32, end u32, name_start u32, line u32, parent i32 (definition
                   number in the segment, -1 at file level)
    name_def       u32 [d]: definitions in order of (name, number), those of name i at name_def_off u32
                   [w+1]
    ref_*          references in order of (name, document, start): doc u32, start u32, role u8; those of
                   name i at name_ref u32 [w+1]
    doc_edge       u32 [n+1]: edges of each document, the references that join one place of a program to
                   another: calls, imports, inheritance, uses of types (EDGE_ROLES). edge_ref u32 [e]: the
                   numbers of these references, those of a document in order of place
    doc_chunk      u32 [n+1]: chunks of each document
    chunk_*        start u32, end u32, line u32, def i32 (definition number or -1), row u32 (row of the vector
                   pool or NO_ROW), words u16 (number of words, at most 65,535). The chunks of a shallow
                   document, of which there is only the text so far, are its pages

Offsets `start`, `end`, ... of definitions, references and chunks count from the start of the document.

Worked example: "ab\\n" and "abc" as the documents 0 and 1. One block holds "ab\\n\\n\\0\\nabc\\n\\0\\n":
block_page = 0, 2, block_off = 0, 13; doc_start = 0, 6, 12, doc_len = 3, 3; each is
one page: doc_page = 0, 1, 2, page_start = 0, 0, page_line = 0, 0; line_data = 3, line_off = 0, 1, 1.
The trigrams are "ab\\n", a line of two bytes (other windows with a newline are left out), and "abc":
tri_key = 0x61620a, 0x616263, tri_count = 1, 1, tri_data = 01 02 (bitmaps over two pages). The terms are
"abc" (hash b63ba14e19...) and "ab" (bd66757f61...), one in each chunk, once: term_first = 0, 2; term_low =
b6 3b a1 4e 19 bd 66 75 7f 61; term_kind = 1, 1 (one posting, one byte: a bitmap), term_head = 0, 0, term_rare
is empty, term_step = 0, 0, 0, 2, 2, 0; term_data = 02 01; term_tf = 00 (code 0: once in the body, and the
same), term_tf_rare is empty, term_tf_step = 0.

FORMAT_VERSION guards the directory (its name ends in the version) and every file in it. History:
    1  first layout
    2  contents in LZ4 blocks; line tables; trigrams by page
    3  pages of 12 KiB instead of 64; the lists of trigrams as codes
    4  segments of up to 128,000 documents and 262,144 pages instead of 32,000 and 65,535; edges by document
"""

from __future__ import annotations

import struct

import msgspec

FORMAT_VERSION = 4

MAGIC = b"EINSTSEG"
PREAMBLE = struct.Struct("<8sIIQQII")  # the last field is the crc32 of the bytes before it
PREAMBLE_BYTES = 64
ALIGN = 64

SEPARATOR = b"\n\0\n"
NO_ROW = 0xFFFFFFFF
NO_BLOB = 0  # blob ids start at 1
DOCS_MAX = 128_000  # of a segment
PAGES_MAX = 262_144  # of a segment

ENCODINGS: tuple[str, ...] = ("utf-8", "utf-16-le", "utf-16-be", "latin-1")  # append, never reorder

EDGE_ROLES: tuple[str, ...] = ("call", "import", "inherit", "type")  # of references

# Section -> NumPy type of its array.
SECTIONS: dict[str, str] = {
    "block_data": "u1",
    "block_page": "<u4",
    "block_off": "<u8",
    "line_data": "u1",
    "line_off": "<u4",
    "page_start": "<u4",
    "page_line": "<u4",
    "doc_start": "<u8",
    "doc_len": "<u4",
    "doc_blob": "<u4",
    "doc_page": "<u4",
    "digest": "u1",
    "language": "u1",
    "encoding": "u1",
    "flags": "<u2",
    "tri_key": "<u4",
    "tri_off": "<u4",
    "tri_count": "<u4",
    "tri_data": "u1",
    "term_first": "<u4",
    "term_low": "u1",
    "term_head": "u1",
    "term_kind": "u1",
    "term_rare": "<u4",
    "term_step": "<u4",
    "term_tf": "u1",
    "term_tf_rare": "u1",
    "term_tf_step": "<u4",
    "term_data": "u1",
    "name_data": "u1",
    "name_off": "<u4",
    "doc_def": "<u4",
    "def_name": "<u4",
    "def_kind": "u1",
    "def_start": "<u4",
    "def_end": "<u4",
    "def_name_start": "<u4",
    "def_line": "<u4",
    "def_parent": "<i4",
    "name_def_off": "<u4",
    "name_def": "<u4",
    "name_ref": "<u4",
    "ref_doc": "<u4",
    "ref_start": "<u4",
    "ref_role": "u1",
    "doc_edge": "<u4",
    "edge_ref": "<u4",
    "doc_chunk": "<u4",
    "chunk_start": "<u4",
    "chunk_end": "<u4",
    "chunk_line": "<u4",
    "chunk_def": "<i4",
    "chunk_row": "<u4",
    "chunk_words": "<u2",
}


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a section stands, and its checksum."""

    offset: int
    nbytes: int
    crc: int


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """How much a segment holds."""

    docs: int
    chunks: int
    defs: int
    refs: int
    names: int
    trigrams: int
    terms: int


class Table(msgspec.Struct, frozen=True):
    """The end of a segment file."""

    sections: dict[str, Place]
    counts: Counts
    languages: list[str]


class SegmentInfo(msgspec.Struct, frozen=True):
    """What the catalog knows of a segment without opening it."""

    id: int
    counts: Counts
    content_bytes: int  # of all documents, separators not counted
    file_bytes: int
    section_bytes: dict[str, int]

    @property
    def pages(self) -> int:
        """Pages of all documents."""
        return self.section_bytes["page_start"] // 4


def segment_name(segment_id: int) -> str:
    """Return the file name of a segment."""
    return f"{segment_id:08x}.seg"
