"""Small prepared files, segments and indexes for tests, made from texts without the parser.

Definitions are what follows `def`, `class` or `struct`; references are names before "(". Chunks are runs of
four lines. Vectors are unit length and depend only on the chunk's text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from config.settings import Store, load
from indexer import bags
from indexer.pages import paged_trigrams
from indexer.records import (
    DIGEST_BYTES,
    F16,
    FLAG_SHALLOW,
    KIND_ID,
    ROLE_ID,
    Batch,
    ChunkTable,
    Parsed,
    PreparedFile,
    ReferenceTable,
    SourceFile,
    Stat,
    SymbolTable,
    Upsert,
)
from indexer.store.lookup import Lookup
from indexer.store.merge import run_merge
from indexer.store.pool import SLAB_ROWS, Pool
from indexer.store.segment import Segment
from indexer.store.segment_writer import write_segment
from indexer.store.snapshot import Reader, Snapshot
from indexer.store.writer import Writer
from indexer.vocabulary import Vocabulary

DIM = 8
LINES_A_CHUNK = 4

_DEFINITION = re.compile(rb"^([ \t]*)(def|class|struct)[ \t]+([A-Za-z_]\w*)[^\n]*", re.MULTILINE)
_CALL = re.compile(rb"([A-Za-z_]\w*)\(")
_KINDS = {b"def": "function", b"class": "class", b"struct": "struct"}
_vocabulary = Vocabulary()


def digest_of(content: bytes) -> bytes:
    """The digest of a file's bytes."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def prepared(
    text: str | bytes, language: str = "python", dim: int = DIM, shallow: bool = False
) -> PreparedFile:
    """Everything the index keeps of one file; shallow: what it keeps while there is only its text."""
    content = text.encode() if isinstance(text, str) else text
    symbols = _symbols(b"" if shallow else content)
    chunks = _chunks(content, symbols)
    bag = bags.bag(content, chunks, symbols, _vocabulary)
    return PreparedFile(
        source=SourceFile(digest_of(content), content, language, "utf-8", FLAG_SHALLOW if shallow else 0),
        trigrams=paged_trigrams(content),
        parsed=Parsed(symbols, _references(b"" if shallow else content, symbols), chunks),
        terms=bags.term_table(bag, _vocabulary),
        vectors=_vectors(content, chunks, 0 if shallow else dim),
    )


def small_segment(
    path: Path, texts: list[str | bytes], language: str = "python", segment_id: int = 1
) -> Segment:
    """Write and open a segment; blob i + 1 is texts[i]; its chunks take the next pool rows."""
    docs, row = [], 0
    for i, text in enumerate(texts):
        file = prepared(text, language)
        n_chunks = len(file.parsed.chunks)
        docs.append((i + 1, file, np.arange(row, row + n_chunks, dtype=np.uint32)))
        row += n_chunks
    write_segment(path, segment_id, docs)
    return Segment.open(path)


def _line_at(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _symbols(content: bytes) -> SymbolTable:
    """Definitions by regular expression; a deeper one below a shallower one is its child."""
    found = list(_DEFINITION.finditer(content))
    parents: list[int] = []
    open_defs: list[tuple[int, int]] = []
    for i, match in enumerate(found):
        depth = len(match[1])
        open_defs = [(d, j) for d, j in open_defs if d < depth]
        parents.append(open_defs[-1][1] if open_defs else -1)
        open_defs.append((depth, i))
    return SymbolTable(
        name=[match[3] for match in found],
        kind=np.array([KIND_ID[_KINDS[match[2]]] for match in found], np.uint8),
        start=np.array([match.start(2) for match in found], np.uint32),
        end=np.array([match.end() for match in found], np.uint32),
        name_start=np.array([match.start(3) for match in found], np.uint32),
        line=np.array([_line_at(content, match.start(3)) for match in found], np.uint32),
        parent=np.array(parents, np.int32),
    )


def _references(content: bytes, symbols: SymbolTable) -> ReferenceTable:
    defined = set(symbols.name_start.tolist())
    found = [match for match in _CALL.finditer(content) if match.start() not in defined]
    names = list(dict.fromkeys(match[1] for match in found))
    return ReferenceTable(
        names=names,
        name=np.array([names.index(match[1]) for match in found], np.uint32),
        start=np.array([match.start() for match in found], np.uint32),
        role=np.full(len(found), ROLE_ID["call"], np.uint8),
    )


def _chunks(content: bytes, symbols: SymbolTable) -> ChunkTable:
    lines = (
        content.splitlines(keepends=True)
        if b"\r" not in content
        else re.findall(rb"[^\n]*\n|[^\n]+", content)
    )
    starts = np.concatenate(([0], np.cumsum([len(line) for line in lines]))).astype(np.uint32)
    first = starts[:-1:LINES_A_CHUNK]
    symbol = [int(np.searchsorted(symbols.start, start, "right")) - 1 for start in first]
    return ChunkTable(
        start=first,
        end=np.append(first[1:], starts[-1]).astype(np.uint32)[: len(first)],
        line=np.arange(len(first), dtype=np.uint32) * LINES_A_CHUNK + 1,
        symbol=np.array(symbol, np.int32),
    )


def _vectors(content: bytes, chunks: ChunkTable, dim: int) -> F16:
    ends = zip(chunks.start.tolist(), chunks.end.tolist(), strict=True)
    return vectors_of([content[start:end] for start, end in ends], dim)


def vectors_of(texts: Sequence[bytes], dim: int = DIM) -> F16:
    """The vectors of chunks with these texts."""
    rows = np.zeros((len(texts), dim), np.float32)
    for i, text in enumerate(texts):
        rows[i] = np.random.default_rng(zlib.crc32(text)).normal(size=dim)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length == 0, 1, length)).astype(np.float16)


class SmallIndex:
    """A real index of small texts in a temporary directory: writer, pool and reader in this process."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        """Open or create the index in `folder`."""
        self.folder = folder
        self.pool = Pool.open(folder / "pool", dim=DIM, rows_max=SLAB_ROWS, writable=True)
        self.writer = Writer.open(folder / "store", store or load(environ={}).store, self.pool, "test model")
        self.reader = Reader.open(folder / "store")
        self._clock = 0

    def add_root(self, path: str = "/root") -> int:
        """Enter a root."""
        return self.writer.add_root(path)

    def apply(
        self,
        root_id: int,
        upserts: Mapping[str, str | bytes] | None = None,
        removes: Sequence[str] = (),
        language: str = "python",
        shallow: bool = False,
    ) -> int:
        """Give paths these contents, remove others, as one batch; known content is not prepared again.

        shallow  prepare their text only
        """
        items = []
        for path, text in (upserts or {}).items():
            content = text.encode() if isinstance(text, str) else text
            self._clock += 1
            stat = Stat(len(content), self._clock, self._clock)
            known = self.writer.known(digest_of(content), shallow)
            file = None if known else prepared(content, language, shallow=shallow)
            items.append(Upsert(path.encode(), stat, digest_of(content), file))
        return self.writer.apply(Batch(root_id, items, [path.encode() for path in removes]))

    def shallow_paths(self, root_id: int) -> list[str]:
        """The paths of which there is only the text."""
        lookup = Lookup(self.folder / "store")
        try:
            return [change.path.decode() for change in lookup.shallow_files(root_id)]
        finally:
            lookup.close()

    def merge(self, any_dead: bool = False) -> bool:
        """Carry out one merge; False if none is worth it."""
        plan = self.writer.plan_merge(any_dead)
        if plan is None:
            return False
        self.writer.commit_merge(plan, run_merge(plan))
        return True

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""
        return self.reader.snapshot()

    def close(self) -> None:
        """Close everything."""
        self.reader.close()
        self.writer.close()
        self.pool.close()

    def __enter__(self) -> SmallIndex:
        """Be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self.close()


def small_index(folder: Path, files: Mapping[str, str | bytes], language: str = "python") -> SmallIndex:
    """An index with one root (id 1, path "/root") that holds these files."""
    index = SmallIndex(folder)
    index.apply(index.add_root(), files, language=language)
    return index
