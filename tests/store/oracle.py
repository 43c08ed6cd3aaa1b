"""An index compared with a dictionary: what every path holds, found by slow obvious ways."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from indexer.records import FLAG_SHALLOW, PreparedFile
from indexer.store.format import NO_ROW
from indexer.store.pool import Pool
from indexer.store.root_view import RootView
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from indexer.trigram import KEY_BITS
from tests.support import prepared

Model = dict[int, dict[str, str]]  # root -> path -> text


def check_snapshot(snapshot: Snapshot, model: Model, pool: Pool) -> None:
    """Everything the snapshot says of the model's files is what a fresh look at their texts says."""
    assert set(snapshot.roots) == set(model)
    for root_id, files in model.items():
        check_root(snapshot, snapshot.roots[root_id], files, pool)


def check_root(snapshot: Snapshot, view: RootView, files: dict[str, str], pool: Pool) -> None:
    living = {view.paths[slot]: slot for slot in range(view.n) if view.file_doc[slot] >= 0}
    assert {path.decode() for path in living} == set(files)
    assert view.n_files == len(files)
    data, offsets = view.paths_joined()
    assert [data[a : b - 1] for a, b in pairwise(offsets.tolist())] == view.paths.tolist()
    docs = sorted({int(view.file_doc[slot]) for slot in living.values()})
    assert np.flatnonzero(view.live_docs()).tolist() == docs
    rows: set[int] = set()
    for path, text in files.items():
        slot = view.slot_of(path.encode())
        assert slot == living[path.encode()]
        assert int(view.size[slot]) == len(text.encode())
        doc = int(view.file_doc[slot])
        assert slot in view.doc_slots(np.array([doc])).tolist()
        segment, ordinal = snapshot.locate_doc(doc)
        check_document(segment, ordinal, text)
        rows |= check_chunks(snapshot, segment, ordinal, text, pool)
    assert np.flatnonzero(view.live_rows(snapshot.pool_rows)).tolist() == sorted(rows)
    slots = view.doc_slots(np.array(docs, np.int64))
    assert sorted(slots.tolist()) == sorted(living.values())
    assert (np.diff(view.file_doc[slots]) >= 0).all()
    assert view.slot_of(b"no such path") == -1
    counts = view.counts()
    assert counts.files == len(files)
    assert len(set(files.values())) <= counts.blobs == len(docs)  # forgotten content may be stored twice


def file_of(segment: Segment, ordinal: int, text: str) -> PreparedFile:
    """What a document with this text should hold."""
    return prepared(text, shallow=bool(segment.flags[ordinal] & FLAG_SHALLOW))


def check_document(segment: Segment, ordinal: int, text: str) -> None:
    file = file_of(segment, ordinal, text)
    assert bytes(segment.doc_bytes(ordinal)) == text.encode()
    for key in file.trigrams.tolist():
        assert ordinal in segment.trigram_docs(key & (1 << KEY_BITS) - 1).tolist()
    first, last = int(segment.doc_def[ordinal]), int(segment.doc_def[ordinal + 1])
    assert [segment.name(i) for i in segment.def_name[first:last].tolist()] == file.parsed.symbols.name
    for name in file.parsed.references.names:
        docs, starts, _ = segment.refs_of_name(segment.names_exact(name))
        mine = starts[docs == ordinal].tolist()
        number = file.parsed.references.names.index(name)
        assert mine == file.parsed.references.start[file.parsed.references.name == number].tolist()


def check_chunks(snapshot: Snapshot, segment: Segment, ordinal: int, text: str, pool: Pool) -> set[int]:
    """Return the rows of the document; they hold its vectors."""
    file = file_of(segment, ordinal, text)
    first, last = int(segment.doc_chunk[ordinal]), int(segment.doc_chunk[ordinal + 1])
    for term, chunk in zip(file.terms.hash.tolist(), file.terms.chunk.tolist(), strict=True):
        assert first + chunk in segment.term_postings(term)[0].tolist()
    rows = segment.chunk_row[first:last]
    if file.is_shallow:
        assert (rows == NO_ROW).all()
        return set()
    assert np.array_equal(pool.vectors[rows], file.vectors)
    base = int(snapshot.chunk_base[snapshot.segments.index(segment)])
    chunks = snapshot.row_chunk(rows)
    assert chunks.tolist() == list(range(base + first, base + last))
    doc = int(snapshot.seg_base[snapshot.segments.index(segment)]) + ordinal
    assert set(snapshot.docs_of_chunks(chunks).tolist()) <= {doc}
    return set(rows.tolist())
