"""The paths of one root in one generation. Immutable; a refresh copies what changed and shares the rest.

A path gets a *slot* when it is first seen and keeps it: if it is removed, its slot is dead (file_doc -1),
and if it comes back it lives again. So the list of paths and the dictionary over it only ever grow at the
end and are shared by all generations; each knows by its number of slots how much of them it may see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from indexer.records import I64, Bool
from indexer.store.catalog import FileChanged
from indexer.store.postings import spans
from indexer.store.segments import SegmentSet

TURNED_MAX = 2000  # documents; above it the mask of rows is made anew

Paths = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class RootCounts:
    """Figures of one root."""

    files: int
    blobs: int
    chunks: int
    symbols: int
    nbytes: int


class PathTable:
    """Paths by slot and slots by path; grows at the end only."""

    def __init__(self, paths: list[bytes]) -> None:
        """Give the paths the slots 0, 1, 2, ..."""
        self.n = len(paths)
        self.paths: Paths = np.empty(self.n + self.n // 8 + 16, object)
        self.paths[: self.n] = paths
        self.slots = dict(zip(paths, range(self.n), strict=True))
        self._joined: tuple[int, bytes, I64] = (-1, b"", np.empty(0, np.int64))

    def slot(self, path: bytes) -> int:
        """Return the slot of a path, a new one if it has none."""
        slot = self.slots.get(path)
        if slot is None:
            if self.n == len(self.paths):
                self.paths = np.concatenate([self.paths, np.empty(self.n // 4 + 16, object)])
            slot = self.n
            self.paths[slot] = path
            self.slots[path] = slot
            self.n += 1
        return slot

    def joined(self, n: int) -> tuple[bytes, I64]:
        """Return the first n paths as RootView.paths_joined has them; kept for the next call with this n."""
        if self._joined[0] != n:
            paths = self.paths[:n].tolist()
            offsets = np.ones(n + 1, np.int64)
            np.cumsum(np.fromiter(map(len, paths), np.int64, n) + 1, out=offsets[1:])
            offsets[1:] += 1
            data = b"\n" + b"\n".join(paths) + b"\n" if n else b"\n"
            self._joined = (n, data, offsets)
        return self._joined[1:]


class RootView:
    """What one generation knows of one root.

    paths     object [n] of bytes; also those of dead slots
    file_doc  int64 [n], global document, -1 for a dead slot
    size, mtime_ns  int64 [n], as stat said when the file was read
    """

    def __init__(
        self,
        root_id: int,
        path: str,
        table: PathTable,
        columns: tuple[I64, I64, I64],
        segments: SegmentSet,
        file_doc: I64 | None = None,
    ) -> None:
        """Bind columns (blob, size, mtime_ns) to the segments of a generation; blob -1 is a dead slot."""
        self.id = root_id
        self.path = path
        self._table = table
        self._blob, self.size, self.mtime_ns = columns
        self._segments = segments
        self.n = len(self._blob)
        self.paths: Paths = table.paths[: self.n]
        self.file_doc: I64 = segments.docs_of_blobs(self._blob) if file_doc is None else file_doc
        self._rows: tuple[Bool, Bool] | None = None  # living documents, their pool rows
        self._before: tuple[Bool, Bool] | None = None  # the same of an earlier generation

    @property
    def n_files(self) -> int:
        """Return the number of living slots."""
        return int(np.count_nonzero(self.file_doc >= 0))

    def slot_of(self, path: bytes) -> int:
        """Return the living slot of a path, -1 if it is not indexed."""
        slot = self._table.slots.get(path, -1)
        return slot if 0 <= slot < self.n and self.file_doc[slot] >= 0 else -1

    def paths_joined(self) -> tuple[bytes, I64]:
        """Return all paths, each followed by "\\n", one "\\n" in front, and where each starts: int64 [n+1].

        Path i is data[offsets[i] : offsets[i + 1] - 1]; dead slots are in it.
        """
        return self._table.joined(self.n)

    @cached_property
    def _slots(self) -> tuple[I64, I64, I64]:
        """First slot of each document (-1: none), then the further slots in order of document, and those."""
        first = np.full(self._segments.n_docs, -1, np.int64)
        living = np.flatnonzero(self.file_doc >= 0)
        docs = self.file_doc[living]
        first[docs[::-1]] = living[::-1]
        more = first[docs] != living
        order = np.argsort(docs[more], kind="stable")
        return first, docs[more][order], living[more][order]

    def doc_slots(self, docs: I64) -> I64:
        """Return the slots of documents, in the order of `docs`; a document may have none or several."""
        first, more_docs, more_slots = self._slots
        slots = first[docs]
        low, high = np.searchsorted(more_docs, docs, "left"), np.searchsorted(more_docs, docs, "right")
        several = np.flatnonzero(high > low)
        if len(several):
            more = spans(low[several], (high - low)[several])
            slots = np.insert(slots, np.repeat(several + 1, (high - low)[several]), more_slots[more])
        return slots[slots >= 0]

    def has_copies(self, docs: I64) -> Bool:
        """Return which documents have several slots."""
        more_docs = self._slots[1]
        if not len(more_docs):
            return np.zeros(len(docs), np.bool_)
        at = np.minimum(np.searchsorted(more_docs, docs), len(more_docs) - 1)
        copied: Bool = more_docs[at] == docs
        return copied

    @cached_property
    def _live_docs(self) -> Bool:
        live = np.zeros(self._segments.n_docs, np.bool_)
        live[self.file_doc[self.file_doc >= 0]] = True
        return live

    def live_docs(self) -> Bool:
        """Return which of all documents this root has; bool [n_docs]. Do not change it."""
        return self._live_docs

    @cached_property
    def _live_chunks(self) -> Bool:
        return self._segments.chunk_mask(self._live_docs)

    def live_chunks(self) -> Bool:
        """Return which of all chunks this root has; bool [n_chunks]. Do not change it."""
        return self._live_chunks

    def live_rows(self, n_rows: int) -> Bool:
        """Return which of the first n_rows pool rows this root has; bool [n_rows]. Do not change it."""
        cached = self._rows
        if cached is None or len(cached[1]) != n_rows:
            mask = self._rows_from(n_rows) if self._before is not None else None
            if mask is None:
                mask = self._segments.row_mask(self._live_docs, n_rows)
            cached = self._rows = (self._live_docs, mask)
            self._before = None
        return cached[1]

    def _rows_from(self, n_rows: int) -> Bool | None:
        """Return the mask from an earlier generation's, if few documents came to life or died since."""
        assert self._before is not None
        docs_before, rows_before = self._before
        docs = self._live_docs
        turned = np.flatnonzero(docs[: len(docs_before)] != docs_before)
        new = np.flatnonzero(docs[len(docs_before) :]) + len(docs_before)
        if len(turned) + len(new) > TURNED_MAX:
            return None
        mask = np.zeros(n_rows, np.bool_)
        mask[: len(rows_before)] = rows_before[:n_rows]
        self._segments.set_rows(mask, turned[docs_before[turned]], False)
        self._segments.set_rows(mask, turned[docs[turned]], True)
        self._segments.set_rows(mask, new, True)
        return mask

    def counts(self) -> RootCounts:
        """Return the figures of this root."""
        chunks = symbols = 0
        for segment, base in zip(self._segments.segments, self._segments.seg_base[:-1].tolist(), strict=True):
            live = self._live_docs[base : base + segment.n_docs]
            chunks += int(np.diff(segment.doc_chunk)[live].sum())
            symbols += int(np.diff(segment.doc_def)[live].sum())
        nbytes = int(self.size[self.file_doc >= 0].sum())
        return RootCounts(self.n_files, int(self._live_docs.sum()), chunks, symbols, nbytes)

    # Making the next one

    @classmethod
    def build(cls, root_id: int, path: str, files: Iterable[FileChanged], segments: SegmentSet) -> RootView:
        """Make a view from nothing."""
        rows = list(files)
        table = PathTable([row.path for row in rows])
        blob = np.fromiter((row.blob_id for row in rows), np.int64, len(rows))
        size = np.fromiter((row.size for row in rows), np.int64, len(rows))
        mtime_ns = np.fromiter((row.mtime_ns for row in rows), np.int64, len(rows))
        return cls(root_id, path, table, (blob, size, mtime_ns), segments)

    def moved(self, segments: SegmentSet) -> RootView:
        """Return the same paths over other segments."""
        if segments is self._segments:
            return self
        shared = segments.shared_with(self._segments)
        docs = self.file_doc
        gone = np.flatnonzero(docs >= segments.seg_base[shared])
        if len(gone):
            docs = docs.copy()
            docs[gone] = segments.docs_of_blobs(self._blob[gone])
        columns = (self._blob, self.size, self.mtime_ns)
        view = RootView(self.id, self.path, self._table, columns, segments, docs)
        if shared == len(self._segments.segments):
            view._before = self._rows or self._before
        return view

    def changed(self, changes: dict[bytes, FileChanged | None], segments: SegmentSet) -> RootView:
        """Return the view after some paths changed (None: removed)."""
        base = self.moved(segments)
        if not changes:
            return base
        slots = np.array([self._table.slot(path) for path in changes], np.int64)
        rows = [change or _GONE for change in changes.values()]
        n = self._table.n
        blobs = np.array([row.blob_id for row in rows], np.int64)
        columns = (
            _set(base._blob, n, slots, blobs),
            _set(base.size, n, slots, np.array([row.size for row in rows], np.int64)),
            _set(base.mtime_ns, n, slots, np.array([row.mtime_ns for row in rows], np.int64)),
        )
        file_doc = _set(base.file_doc, n, slots, segments.docs_of_blobs(blobs))
        view = RootView(self.id, self.path, self._table, columns, segments, file_doc)
        view._before = base._rows or base._before
        return view

    def compacted(self) -> RootView:
        """Return the view without dead slots if they are many, else itself."""
        if self.n < 1000 or 2 * self.n_files > self.n:
            return self
        living = self.file_doc >= 0
        columns = (self._blob[living], self.size[living], self.mtime_ns[living])
        table = PathTable(self.paths[living].tolist())
        return RootView(self.id, self.path, table, columns, self._segments, self.file_doc[living])


_GONE = FileChanged(b"", 0, 0, -1)


def _set(column: I64, n: int, slots: I64, values: I64) -> I64:
    """Return a copy with room for n slots and some of them set."""
    new = np.full(n, -1, np.int64)
    new[: len(column)] = column
    new[slots] = values
    return new
