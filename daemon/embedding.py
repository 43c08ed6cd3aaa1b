"""What the transformer process does beside answering: give every content its vectors, step by step.

A step takes some contents that have none, newest saved first, embeds their chunks in batches of like length,
and publishes them together: a content has all of its vectors or none. What a step had not published when the
process died is done again. Contents that no segment holds any more lose their rows, but only while every
root is settled: an index that is being made anew will want them back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from indexer.embed.contract import Embedder
from indexer.records import F16, FLAG_SHALLOW, I64, U64, Bool
from indexer.store.model_vectors import ContentVectors, ModelVectors, chunk_marks
from indexer.store.segment import Segment
from indexer.store.snapshot import Reader, Snapshot

STEP_CHUNKS = 128  # embedded before they are published: seconds on a CPU
BATCH_CHUNKS = 32  # embedded at once; longer batches are no faster on a CPU
RATE_WINDOW_S = 60.0  # the rate is that of the last minute


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the vectors of a model are."""

    files_done: int  # indexed paths whose content has all its vectors
    files_total: int  # indexed paths whose content is parsed
    chunks_done: int  # of distinct contents
    chunks_total: int
    chunks_per_s: float  # of late; 0 while nothing was embedded
    eta_s: float  # at this rate; 0 where nothing is left or no rate is known


class Embedding:
    """Fills the vectors of one model. Not thread-safe."""

    def __init__(
        self,
        reader: Reader,
        vectors: ModelVectors,
        model: Embedder,
        settled: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """settled: whether nothing is known to be missing from the newest generation, of any root."""
        self._reader = reader
        self._vectors = vectors
        self._model = model
        self._settled = settled
        self._clock = clock
        self._work: _Work | None = None
        self._tidied = -1  # the generation
        self._rate = _Rate()

    def step(self) -> int:
        """Embed some chunks; returns how many, 0 if nothing is missing. Raises StoreError, PoolFull."""
        began = self._clock()
        taken = self._newest().take(STEP_CHUNKS)
        if not taken:
            return 0
        texts = [text for content in taken for text in content.texts()]
        try:
            vectors = embedded(self._model, texts)
            ends = np.cumsum([content.n_chunks for content in taken]).tolist()
            self._vectors.add(
                [
                    ContentVectors(content.digest, content.mark, vectors[end - content.n_chunks : end])
                    for content, end in zip(taken, ends, strict=True)
                ]
            )
        except BaseException:
            self._work = None  # they are still missing
            raise
        self._rate.add(len(texts), self._clock() - began)
        return len(texts)

    def progress(self) -> Progress:
        """How far it is."""
        work = self._newest()
        done = work.chunks_total - work.chunks_left
        rate = self._rate.per_s
        return Progress(
            files_done=work.files_total - work.files_left,
            files_total=work.files_total,
            chunks_done=done,
            chunks_total=work.chunks_total,
            chunks_per_s=round(rate, 1),
            eta_s=round(work.chunks_left / rate, 1) if rate else 0.0,
        )

    def tidy(self) -> int:
        """Forget the vectors of contents that are gone; returns of how many. Raises StoreFull."""
        work = self._newest()
        if work.generation == self._tidied or not self._settled():
            return 0
        self._tidied = work.generation
        return self._vectors.remove([digest for digest in self._vectors.known if digest not in work.held])

    def _newest(self) -> _Work:
        snapshot = self._reader.snapshot()
        if self._work is None or self._work.generation != snapshot.generation:
            self._work = _Work(snapshot, self._vectors.known)
        return self._work


def embedded(model: Embedder, texts: list[str]) -> F16:
    """Return the vectors of texts: float16 [n, dim]. Batches are of like length, so little is padding."""
    vectors = np.zeros((len(texts), model.dim), np.float16)
    order = np.argsort([len(text) for text in texts], kind="stable")
    for start in range(0, len(order), BATCH_CHUNKS):
        batch = order[start : start + BATCH_CHUNKS]
        vectors[batch] = model.embed_texts([texts[i] for i in batch.tolist()])
    return vectors


@dataclass(frozen=True, slots=True)
class _Content:
    """A document whose chunks have no vectors yet."""

    segment: Segment
    ordinal: int
    digest: bytes
    mark: int

    @property
    def n_chunks(self) -> int:
        low, high = self.segment.doc_chunk[self.ordinal : self.ordinal + 2].tolist()
        return int(high - low)

    def texts(self) -> list[str]:
        """What the chunks say, in order."""
        segment = self.segment
        content = segment.doc_bytes(self.ordinal)
        chunks = slice(*segment.doc_chunk[self.ordinal : self.ordinal + 2].tolist())
        bounds = zip(segment.chunk_start[chunks].tolist(), segment.chunk_end[chunks].tolist(), strict=True)
        return [content[start:end].decode("utf-8", "replace") for start, end in bounds]


class _Work:
    """What one generation holds, and what of it is missing."""

    def __init__(self, snapshot: Snapshot, known: dict[bytes, int]) -> None:
        self.generation = snapshot.generation
        self._snapshot = snapshot
        paths, newest = _paths_of_documents(snapshot)
        self._paths = paths
        self._digests: list[bytes] = []
        marks: list[U64] = [np.empty(0, np.uint64)]
        deep: list[Bool] = [np.empty(0, np.bool_)]
        counts: list[I64] = [np.empty(0, np.int64)]
        for segment in snapshot.segments:
            self._digests += [digest.tobytes() for digest in segment.digest]
            marks.append(chunk_marks(segment))
            deep.append((segment.flags & FLAG_SHALLOW) == 0)
            bounds = segment.doc_chunk.astype(np.int64)
            counts.append(bounds[1:] - bounds[:-1])
        self.held = set(self._digests)  # contents of all segments, dead ones too
        self._marks = np.concatenate(marks).tolist()
        self._counts: I64 = np.concatenate(counts)
        wanted = np.flatnonzero(np.concatenate(deep) & (paths > 0))
        self.files_total = int(paths[wanted].sum())
        self.chunks_total = int(self._counts[wanted].sum())
        missing = [doc for doc in wanted.tolist() if known.get(self._digests[doc]) != self._marks[doc]]
        missing.sort(key=lambda doc: -int(newest[doc]))
        self._missing = deque(missing)
        self.chunks_left = int(self._counts[missing].sum())
        self.files_left = int(paths[missing].sum())

    def take(self, n_chunks: int) -> list[_Content]:
        """Return the next contents, of so many chunks or, if it is a long one, a single content."""
        taken: list[_Content] = []
        digests: set[bytes] = set()
        n = 0
        while self._missing and (not taken or n + int(self._counts[self._missing[0]]) <= n_chunks):
            doc = self._missing.popleft()
            n += int(self._counts[doc])
            self.chunks_left -= int(self._counts[doc])
            self.files_left -= int(self._paths[doc])
            digest = self._digests[doc]
            if digest not in digests:
                digests.add(digest)
                segment, ordinal = self._snapshot.locate_doc(doc)
                taken.append(_Content(segment, ordinal, digest, self._marks[doc]))
        return taken


def _paths_of_documents(snapshot: Snapshot) -> tuple[I64, I64]:
    """Return how many paths each document has, in all roots, and when the newest of them was saved."""
    paths, newest = np.zeros(snapshot.n_docs, np.int64), np.zeros(snapshot.n_docs, np.int64)
    for view in snapshot.roots.values():
        alive = view.file_doc >= 0
        np.add.at(paths, view.file_doc[alive], 1)
        np.maximum.at(newest, view.file_doc[alive], view.mtime_ns[alive])
    return paths, newest


class _Rate:
    """Chunks over the time spent on them, of the last minute of work."""

    def __init__(self) -> None:
        self._spent: deque[tuple[int, float]] = deque()  # chunks, seconds

    @property
    def per_s(self) -> float:
        seconds = sum(taken for _, taken in self._spent)
        return sum(n for n, _ in self._spent) / seconds if seconds > 0 else 0.0

    def add(self, n: int, seconds: float) -> None:
        self._spent.append((n, seconds))
        while sum(taken for _, taken in self._spent) > RATE_WINDOW_S and len(self._spent) > 1:
            self._spent.popleft()
