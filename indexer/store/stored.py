"""A batch's new content on disk, not yet published: what is given out for it, and how to take it back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from indexer.records import U32, TextSegment
from indexer.store.catalog import Meta
from indexer.store.disk import remove
from indexer.store.format import SegmentInfo, segment_name
from indexer.store.ledger import Ledger
from indexer.store.text_writer import finish_text


@dataclass(slots=True)
class Stored:
    """New blobs and segments, numbered on from those of the published generation."""

    meta: Meta  # of that generation
    segments_dir: Path
    blobs: dict[bytes, tuple[int, int, bool]] = field(default_factory=dict)  # digest -> id, bytes, is shallow
    twice: list[tuple[int, bytes, int]] = field(default_factory=list)  # shallow ones that are stored already
    segments: list[SegmentInfo] = field(default_factory=list)
    members: list[U32] = field(default_factory=list)  # blob ids of each segment
    texts: list[TextSegment] = field(default_factory=list)  # of the first segments: as workers left them
    rows: U32 = field(default_factory=lambda: np.empty(0, np.uint32))

    @property
    def next_blob(self) -> int:
        """The id of the next new blob."""
        return self.meta.next_blob + len(self.blobs) + len(self.twice)

    @property
    def next_segment(self) -> int:
        """The number of the next new segment."""
        return self.meta.next_segment + len(self.segments)

    @property
    def nbytes(self) -> int:
        """Content bytes of all new documents."""
        once = sum(nbytes for _, nbytes, _ in self.blobs.values())
        return once + sum(nbytes for _, _, nbytes in self.twice)

    def path(self, segment_id: int) -> Path:
        """Where a segment lies."""
        return self.segments_dir / segment_name(segment_id)

    def add_text(self, text: TextSegment, known: Callable[[bytes], bool]) -> None:
        """Complete a worker's segment; a content that is known by now is dead in it."""
        number, first = self.next_segment, self.next_blob
        self.members.append(np.arange(first, first + len(text.digests), dtype=np.uint32))
        self.segments.append(finish_text(text, self.path(number), number, first))
        self.texts.append(text)
        for blob_id, (digest, nbytes) in enumerate(zip(text.digests, text.nbytes, strict=True), first):
            if digest in self.blobs or known(digest):
                self.twice.append((blob_id, digest, nbytes))
            else:
                self.blobs[digest] = (blob_id, nbytes, True)

    def enter(self, ledger: Ledger) -> None:
        """Enter all blobs."""
        for digest, (blob_id, nbytes, shallow) in self.blobs.items():
            ledger.add_blob(blob_id, digest, nbytes, shallow)
        for blob_id, digest, nbytes in self.twice:
            ledger.add_dead_blob(blob_id, digest, nbytes)

    def remove(self) -> None:
        """Remove the segments; those of workers are as they were, for the batch may be tried again."""
        first = self.meta.next_segment
        for number, text in enumerate(self.texts, first):
            with contextlib.suppress(OSError):
                self.path(number).rename(text.path)
        for number in range(first + len(self.texts), first + len(self.members)):
            with contextlib.suppress(OSError):
                remove(self.path(number))
