"""The values that travel between the stages of the index. Pure: no disk, no clock.

Bulk data travels as tables (structure of arrays): a large repository has tens of millions of references, and
one Python object each would cost more than parsing them. Every offset counts bytes of `PreparedFile.content`,
which is always UTF-8, whatever the file's encoding on disk is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F16 = npt.NDArray[np.float16]
F32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

DIGEST_BYTES = 16  # of the SHA-256 of what a file's name decides and its bytes on disk; see source.py

# Stored by position: append, never reorder.
KINDS: tuple[str, ...] = (
    "unknown",
    "function",
    "method",
    "class",
    "struct",
    "enum",
    "trait",
    "interface",
    "type",
    "constant",
    "variable",
    "field",
    "module",
    "macro",
    "property",
    "test",
    "heading",
    "key",
    "selector",
    "element",
    "table",
    "impl",
)
KIND_ID: dict[str, int] = {name: i for i, name in enumerate(KINDS)}

# Stored by position: append, never reorder.
ROLES: tuple[str, ...] = ("other", "call", "import", "inherit", "type", "write", "read")
ROLE_ID: dict[str, int] = {name: i for i, name in enumerate(ROLES)}

# Bits of PreparedFile.flags.
FLAG_GENERATED = 1  # says so in its first lines, or is minified
FLAG_UNPARSED = 2  # the parser could not be used (see problems): line chunks, no symbols
FLAG_TRANSCODED = 4  # the file on disk is not UTF-8; live reads must decode again
FLAG_SHALLOW = 8  # text came first: pages as chunks; symbols, references and vectors are still to be made


@dataclass(frozen=True, slots=True)
class Stat:
    """What a stat call says of a file; equal values mean the content is taken to be unchanged."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path to look at again. What really happened to it is decided by looking, never by the event."""

    path: bytes  # relative to the root, "/"-separated, as listed by the file system
    stat: Stat | None  # None: the file is gone (or now ignored)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not indexed, and the reason in one word (see source.REASONS)."""

    path: bytes
    reason: str
    detail: str
    stat: Stat | None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file, read once."""

    digest: bytes  # [16] of the bytes on disk, the language and the flags
    content: bytes  # UTF-8, "\\r\\n" kept, byte order mark removed
    language: str  # a name of languages.LANGUAGES; "text" if unknown
    encoding: str  # "utf-8", "utf-16-le", "utf-16-be", "latin-1"
    flags: int


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """Definitions of one file in order of `start`."""

    name: list[bytes]
    kind: U8  # index into KINDS
    start: U32  # the whole definition: [start, end)
    end: U32
    name_start: U32  # of the name itself
    line: U32  # 1-based, of name_start
    parent: I32  # index of the enclosing definition in this table, -1 at file level

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """References of one file by name, in order of `start`."""

    names: list[bytes]  # distinct
    name: U32  # index into names
    start: U32
    role: U8  # index into ROLES

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """Chunks of one file in order; together they cover every line once."""

    start: U32  # [start, end) at line starts
    end: U32
    line: U32  # 1-based, of start
    symbol: I32  # index into the file's SymbolTable of the definition the chunk shows, -1 if none

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the parser found in one file."""

    symbols: SymbolTable
    references: ReferenceTable
    chunks: ChunkTable
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TermTable:
    """Words of one file's chunks for BM25F: one entry per (chunk, term), ordered by chunk, then hash."""

    hash: U64  # words.term_hash of the term
    chunk: U32  # index into the file's ChunkTable
    body: U8  # occurrences in the chunk's body, at most 15
    name: U8  # occurrences in names of definitions that start in the chunk, at most 15
    length: U32  # [n_chunks] words in each chunk, all counted


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """Everything a worker makes of one file; all of it belongs to the content, nothing to the path."""

    source: SourceFile
    trigrams: U32  # distinct, sorted, of every page; see pages.py
    parsed: Parsed
    terms: TermTable
    vectors: F16  # [n_chunks, dim], unit length; dim 0 if no model is set

    @property
    def is_shallow(self) -> bool:
        """Whether only its text was prepared."""
        return bool(self.source.flags & FLAG_SHALLOW)


@dataclass(frozen=True, slots=True)
class Upsert:
    """A path that now has this content; `prepared` is None where the store or a text segment has it."""

    path: bytes
    stat: Stat
    digest: bytes
    prepared: PreparedFile | None


@dataclass(frozen=True, slots=True)
class TextSegment:
    """Shallow documents that a worker has written into a file; it lacks only what the writer decides.

    That is the number of the segment and of each document's blob.
    """

    path: str
    sections: dict[str, tuple[int, int, int]]  # where each stands: offset, bytes, crc32
    end: int  # bytes of the file so far
    n_chunks: int
    n_trigrams: int
    n_terms: int
    languages: list[str]
    digests: list[bytes]  # of the documents, each once
    nbytes: list[int]  # content of each


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes of one root that become visible together."""

    root_id: int
    upserts: list[Upsert] = field(default_factory=list)
    removes: list[bytes] = field(default_factory=list)
    skips: list[Skipped] = field(default_factory=list)
    texts: list[TextSegment] = field(default_factory=list)  # they hold contents of upserts
