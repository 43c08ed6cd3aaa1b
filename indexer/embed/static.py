"""Tier 0: static vectors. A text's vector is the weighted sum of its tokens' vectors, at unit length.

The model is one file that is mapped, not read: the token table is shared by all processes and costs each of
them only the dictionary of its tokens. How it is made: training/distil.py.

It is a safetensors file (u64 length of a JSON header, the header, the tensors one behind the other), read
without that library, whose loader would copy it:

    scales   F32 [n_tokens]: a token's vector, weight included, is its row times its scale
    rows     I8 [n_tokens, dim]
    tokens   U8: UTF-8, one a line, "##" before those that continue a word
    __metadata__   format, name, damping, fingerprint; the header is padded so that tensors begin at a
             multiple of 64 bytes

A word (indexer.words) has the tokens of its parts. A chunk has the tokens of its words; a token that occurs
n times counts n ** damping, because the tenth `ptr` says less than the first. The sum is done as a product
of matrices, a block of chunks at a time: counts [chunks, tokens in the block] times their vectors [tokens
in the block, dim].
"""

from __future__ import annotations

import json
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from config.errors import ModelError
from indexer.bags import WordBag, bag_of_texts
from indexer.embed.contract import unit_rows
from indexer.embed.wordpiece import WordPiece
from indexer.records import F16, F32, U32
from indexer.vocabulary import Growing, Vocabulary
from indexer.words import parts, spread_ranges, words

FORMAT = 2
MODEL_FILE = Path(__file__).with_name("static-model.safetensors")
ALIGN = 64
LENGTH = struct.Struct("<Q")  # of the header
HEADER_BYTES_MAX = 1 << 16
BLOCK_CHUNKS = 64  # few enough that their distinct tokens, some 1500, stay in the cache as vectors
TEXTS_VOCABULARY = 20_000  # words kept between calls of embed_texts
QUERY_BYTES_MAX = 1_000  # of a single text whose words are looked at one by one


def load_static_model(path: Path = MODEL_FILE) -> StaticModel:
    """Map the model that comes with the package; about 20 ms. Raises ModelError."""
    header = _read_header(path)
    n, dim = header.n_tokens, header.dim
    try:
        data = np.memmap(path, np.uint8, "r")
        if len(data) != header.end:
            raise ModelError(f"{path} has {len(data)} bytes of {header.end}; install the package again")
        rows_at = header.nbytes + 4 * n
        tokens_at = rows_at + n * dim
        tokens = data[tokens_at:].tobytes().decode().split("\n")
        if len(tokens) != n:
            raise ModelError(f"{path} names {len(tokens)} tokens of {n}; install the package again")
        return StaticModel(
            name=header.name,
            fingerprint=header.fingerprint,
            rows=data[rows_at:tokens_at].view(np.int8).reshape(n, dim),
            scales=data[header.nbytes : rows_at].view(np.float32),
            tokens=tokens,
            damping=header.damping,
        )
    except (OSError, ValueError) as error:
        raise _no_model(path, error) from error


@dataclass(frozen=True, slots=True)
class _Header:
    """What stands before the tensors of a model file."""

    name: str
    fingerprint: str
    dim: int
    n_tokens: int
    damping: float
    nbytes: int  # of it, its length included
    end: int  # bytes of the file


def _read_header(path: Path) -> _Header:
    try:
        with path.open("rb") as file:
            (nbytes,) = LENGTH.unpack(file.read(LENGTH.size))
            if nbytes > HEADER_BYTES_MAX:
                raise ValueError(f"its header has {nbytes} bytes")
            said = json.loads(file.read(nbytes))
        about = said["__metadata__"]
        if about["format"] != str(FORMAT):
            raise ModelError(f"{path} has format {about['format']}, this version reads {FORMAT}")
        n_tokens, dim = said["rows"]["shape"]
        places = _places(int(n_tokens), int(dim))
        if any(said[name]["data_offsets"][:1] != [start] for name, start in places.items()):
            raise ValueError("its tensors lie elsewhere")
        return _Header(
            str(about["name"]),
            str(about["fingerprint"]),
            int(dim),
            int(n_tokens),
            float(about["damping"]),
            LENGTH.size + nbytes,
            LENGTH.size + nbytes + int(said["tokens"]["data_offsets"][1]),
        )
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise _no_model(path, error) from error


def _places(n_tokens: int, dim: int) -> dict[str, int]:
    """Return where each tensor begins behind the header."""
    return {"scales": 0, "rows": 4 * n_tokens, "tokens": (4 + dim) * n_tokens}


def _no_model(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is not a static model: {error}; install the package again")


class SharedModel:
    """An Embedder that several threads use, one at a time, and that is loaded when it is first needed.

    To know a model costs reading one line of its file; to load it, 40 ms that a start need not wait for.
    """

    def __init__(self, path: Path = MODEL_FILE) -> None:
        """Read what the model is. Raises ModelError."""
        header = _read_header(path)
        self.name = header.name
        self.fingerprint = header.fingerprint
        self.dim = header.dim
        self._path = path
        self._lock = threading.Lock()
        self._model: StaticModel | None = None

    def load(self) -> StaticModel:
        """Load the model unless it is; for a moment without requests. Raises ModelError."""
        with self._lock:
            return self._loaded()

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """See Embedder."""
        with self._lock:
            return self._loaded().embed_texts(texts)

    def _loaded(self) -> StaticModel:
        if self._model is None:
            self._model = load_static_model(self._path)
        return self._model


class StaticModel:
    """An Embedder without a network. Not thread-safe; one per process."""

    def __init__(
        self,
        *,
        name: str,
        fingerprint: str,
        rows: np.ndarray[tuple[int, ...], np.dtype[np.int8]],
        scales: F32,
        tokens: Sequence[str],
        damping: float,
    ) -> None:
        """Take the tables as they are, without a copy."""
        self.name = name
        self.fingerprint = fingerprint
        self.dim = int(rows.shape[1])
        self.tokens = tokens
        self.pieces = WordPiece(tokens)
        self._rows = np.asarray(rows)
        self._scales = np.asarray(scales)
        self._damping = damping
        self._position = np.zeros(len(rows), np.uint32)
        self._known = _WordTokens()

    @cached_property
    def _texts(self) -> Vocabulary:
        return Vocabulary(TEXTS_VOCABULARY)

    def vectors_of_tokens(self) -> F32:
        """Return the tokens' vectors, weights included: float32 [n_tokens, dim]. For training."""
        return self._rows.astype(np.float32) * self._scales[:, None]

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """Return unit rows [n, dim]; a zero row for a text without a known word. 0.06 ms for a query."""
        if len(texts) == 1 and len(texts[0]) <= QUERY_BYTES_MAX:
            return self._embed_query(texts[0].encode("utf-8", "replace"))
        vocabulary = self._texts
        counted = bag_of_texts([text.encode("utf-8", "replace") for text in texts], vocabulary)
        return self._embed(counted, vocabulary, self._texts_known)

    def _embed_query(self, text: bytes) -> F16:
        """Return the same of one short text: few words cost less than the arrays for many."""
        times = Counter(row for word in words(text) for part in parts(word) for row in self.pieces.rows(part))
        distinct = sorted(times)
        counts = np.array([[times[row] for row in distinct]], np.float64)
        counts = np.power(counts, self._damping, out=counts, where=counts > 1)
        weights = counts.astype(np.float32) * self._scales[distinct]
        return unit_rows(weights @ self._rows[distinct].astype(np.float32))

    @cached_property
    def _texts_known(self) -> _WordTokens:
        return _WordTokens()

    def embed_bag(self, bag: WordBag, vocabulary: Vocabulary) -> F16:
        """Return what `embed_texts` returns for the chunks of a counted file. `bag` is of the present
        epoch."""
        return self._embed(bag, vocabulary, self._known)

    def _embed(self, bag: WordBag, vocabulary: Vocabulary, known: _WordTokens) -> F16:
        assert bag.epoch == vocabulary.epoch, (bag.epoch, vocabulary.epoch)
        known.follow(vocabulary, self.pieces)
        n_chunks = len(bag.length)
        vectors = np.zeros((n_chunks, self.dim), np.float16)
        ends = np.searchsorted(bag.chunk, np.arange(0, n_chunks + BLOCK_CHUNKS, BLOCK_CHUNKS)).tolist()
        for block, (a, b) in enumerate(pairwise(ends)):
            first = block * BLOCK_CHUNKS
            n = min(BLOCK_CHUNKS, n_chunks - first)
            if a < b:
                chunk = bag.chunk[a:b] - np.uint32(first)
                vectors[first : first + n] = self._block(chunk, bag.word[a:b], bag.count[a:b], n, known)
        return vectors

    def _block(self, chunk: U32, word: U32, count: U32, n_chunks: int, known: _WordTokens) -> F16:
        at, spread = spread_ranges(known.offset.array, word)
        token = known.token.array[at]
        if not len(token):
            return np.zeros((n_chunks, self.dim), np.float16)
        self._position[token] = 1
        distinct = np.flatnonzero(self._position)
        self._position[distinct] = np.arange(len(distinct), dtype=np.uint32)
        cell = np.repeat(chunk.astype(np.int64) * len(distinct), spread) + self._position[token]
        self._position[distinct] = 0
        counts = np.bincount(cell, np.repeat(count, spread), n_chunks * len(distinct))
        counts = np.power(counts, self._damping, out=counts, where=counts > 1)
        weights = counts.reshape(n_chunks, -1).astype(np.float32) * self._scales[distinct]
        return unit_rows(weights @ self._rows[distinct].astype(np.float32))


class _WordTokens:
    """The tokens of a vocabulary's words: word w has token[offset[w]:offset[w + 1]]."""

    def __init__(self) -> None:
        self._of: Vocabulary | None = None
        self._epoch = 0

    def follow(self, vocabulary: Vocabulary, pieces: WordPiece) -> None:
        """Add the words that are new since the last call; start over in a new epoch."""
        if self._of is not vocabulary or self._epoch != vocabulary.epoch:
            self._of, self._epoch = vocabulary, vocabulary.epoch
            self._start()
        part_offset, part = vocabulary.part_lists
        n = len(self.offset.array) - 1
        if n == len(vocabulary):
            return
        self._split(vocabulary.parts, pieces)
        # Tokens of parts, end to end, are the tokens of words: only where a word ends has to be found.
        at, length = spread_ranges(self._part_ends.array, part[part_offset[n] :])
        ends = np.cumsum(length, dtype=np.uint32)
        ends = np.append(np.uint32(0), ends)[part_offset[n + 1 :] - part_offset[n]]
        self.offset.extend(ends + self.offset.array[-1])
        self.token.extend(self._part_token.array[at])

    def _start(self) -> None:
        self.offset, self.token = Growing[np.uint32](np.uint32), Growing[np.uint32](np.uint32)
        self.offset.extend([0])
        self._part_ends = Growing[np.uint32](np.uint32)
        self._part_ends.extend([0])
        self._part_token = Growing[np.uint32](np.uint32)

    def _split(self, parts: Sequence[bytes], pieces: WordPiece) -> None:
        tokens: list[int] = []
        ends: list[int] = []
        end = len(self._part_token.array)
        for part in parts[len(self._part_ends.array) - 1 :]:
            tokens += pieces.rows(part)
            ends.append(end + len(tokens))
        self._part_ends.extend(ends)
        self._part_token.extend(tokens)


def write_static_model(
    path: Path,
    *,
    name: str,
    fingerprint: str,
    rows: np.ndarray[tuple[int, ...], np.dtype[np.int8]],
    scales: F32,
    tokens: Sequence[str],
    damping: float,
) -> None:
    """Write a model file; see the top of this module."""
    parts = {
        "scales": ("F32", list(scales.shape), scales.astype("<f4").tobytes()),
        "rows": ("I8", list(rows.shape), rows.tobytes()),
        "tokens": ("U8", [], "\n".join(tokens).encode()),
    }
    about = {"format": FORMAT, "name": name, "damping": damping, "fingerprint": fingerprint}
    said: dict[str, object] = {"__metadata__": {key: str(value) for key, value in about.items()}}
    start = 0
    for part, (dtype, shape, data) in parts.items():
        end = start + len(data)
        said[part] = {"dtype": dtype, "shape": shape or [len(data)], "data_offsets": [start, end]}
        start = end
    header = json.dumps(said).encode()
    header += b" " * (-(LENGTH.size + len(header)) % ALIGN)
    path.write_bytes(LENGTH.pack(len(header)) + header + b"".join(data for _, _, data in parts.values()))
