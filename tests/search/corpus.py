"""A tree of real files with a real index and an engine over it, for tests of queries.

Vectors come from a model that counts words, so what is near to what can be said in advance.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from config.settings import Settings, load
from indexer.encoding import decode
from indexer.languages import HEAD_BYTES, language_of
from indexer.prepare import Preparer
from indexer.records import F16, Batch, PreparedFile, SourceFile, Stat, Upsert
from search.answer import Answer, SearchRequest
from search.engine import Engine
from search.kernels.numpy_kernel import NumpyKernel
from tests.support import DIM, SmallIndex, digest_of

SETTINGS = load(environ={})


class WordCounter:
    """An embedder: every word adds its own direction; texts that share words are near."""

    name = "word counter"
    fingerprint = "test model"
    dim = DIM

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """Return unit rows [n, DIM]."""
        rows = np.zeros((len(texts), DIM), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"[a-z]+", text.lower()):
                row += np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIM)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(length == 0, 1, length)).astype(np.float16)


class Corpus:
    """Files below `root`, indexed by `save` and asked by `search`."""

    def __init__(self, folder: Path, files: Mapping[str, str | bytes], settings: Settings = SETTINGS) -> None:
        """Write and index the files."""
        self.root = folder / "tree"
        self.root.mkdir(parents=True)
        self.index = SmallIndex(folder / "index")
        self.root_id = self.index.add_root(str(self.root))
        self.model = WordCounter()
        self.settings = settings
        self._preparer = Preparer(None, 5.0)
        self.save(files)
        self.engine = self.make_engine()

    def make_engine(self, **changes: object) -> Engine:
        """Return an engine over the index."""
        parts: dict[str, object] = {"pool": self.index.pool, "embedder": self.model, "kernel": NumpyKernel()}
        return Engine(self.index.reader, self.settings, **(parts | changes))  # type: ignore[arg-type]

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files without telling the index."""
        for path, text in files.items():
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode() if isinstance(text, str) else text)

    def save(self, files: Mapping[str, str | bytes], removes: Sequence[str] = ()) -> int:
        """Write files and index them in one batch."""
        self.write(files)
        upserts = []
        for path in files:
            found = (self.root / path).stat()
            raw = (self.root / path).read_bytes()
            known = self.index.writer.known(digest_of(raw))
            prepared = None if known else self.prepared(path, raw)
            upserts.append(
                Upsert(
                    path.encode(),
                    Stat(found.st_size, found.st_mtime_ns, found.st_ino),
                    digest_of(raw),
                    prepared,
                )
            )
        for path in removes:
            (self.root / path).unlink()
        return self.index.writer.apply(Batch(self.root_id, upserts, [path.encode() for path in removes]))

    def prepared(self, path: str, raw: bytes) -> PreparedFile:
        """Return what the index keeps of a file, with vectors of the test's model."""
        decoded = decode(raw)
        assert decoded is not None
        content, encoding = decoded
        language = language_of(path.encode(), content[:HEAD_BYTES])
        file = self._preparer.prepare(SourceFile(digest_of(raw), content, language, encoding, 0))
        chunks = file.parsed.chunks
        texts = [
            content[a:b].decode("utf-8", "replace")
            for a, b in zip(chunks.start.tolist(), chunks.end.tolist(), strict=True)
        ]
        return dataclasses.replace(file, vectors=self.model.embed_texts(texts))

    def search(self, query: str, **request: object) -> Answer:
        """Ask the engine; `limit` is 1000 unless given."""
        fields = {"limit": 1000} | request
        return self.engine.search(SearchRequest(query, self.root_id, **fields))  # type: ignore[arg-type]

    def paths(self, query: str, **request: object) -> list[str]:
        """Return the paths of the hits, each once, best first."""
        return list(dict.fromkeys(hit.path for hit in self.search(query, **request).hits))

    def lines(self, query: str, **request: object) -> list[tuple[str, int]]:
        """Return path and line of the hits in order of path."""
        return sorted((hit.path, hit.line) for hit in self.search(query, **request).hits)

    def close(self) -> None:
        """Close the index."""
        self.index.close()
