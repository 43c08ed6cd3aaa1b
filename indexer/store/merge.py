"""Several segments -> one with their live documents. Runs in a process of its own, reads only segment files.

The result holds what a fresh write of the live documents in the same order would hold. Nothing is parsed or
tokenised again: documents, chunks and definitions are renumbered, posting lists are decoded, filtered and
coded again in blocks of keys, names are united. Memory is bounded by the block sizes and the names (a
gigabyte of C has about a million), not by the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from indexer.records import I32, I64, U8, U32, U64, Bool
from indexer.store import faults, postings
from indexer.store.disk import disk_errors
from indexer.store.format import DOCS_MAX, Counts, SegmentInfo
from indexer.store.segment import Segment
from indexer.store.segment_file import Array, SegmentFile
from indexer.store.segment_writer import (
    POSTINGS_BLOCK,
    Edges,
    ListWriter,
    bases,
    by_name,
    put_contents,
    put_def_names,
    put_names,
    put_terms,
    put_trigrams,
)
from indexer.store.terms import KEY_BYTES, CountWriter

Keys = npt.NDArray[np.unsignedinteger]

_BUCKET_BITS = 16  # keys are cut into blocks at values of their highest bits


class MergeInput(msgspec.Struct, frozen=True):
    """A segment to merge, and which of its documents live: one bit each, lowest first."""

    segment_id: int
    path: str
    live: bytes


class MergePlan(msgspec.Struct, frozen=True):
    """Work for `run_merge`; it can be sent to another process."""

    segment_id: int  # of the result
    path: str
    inputs: list[MergeInput]


def run_merge(plan: MergePlan) -> SegmentInfo | None:
    """Carry out a plan; None if no document lives. The file is durable and complete when this returns.

    Raises StoreCorrupt for a damaged input, StoreFull.
    """
    with disk_errors("opening segments to merge"):
        opened = [Segment.open(Path(each.path)) for each in plan.inputs]
    inputs = [
        (segment, unpacked(each.live, segment.n_docs))
        for each, segment in zip(plan.inputs, opened, strict=True)
    ]
    info = merge_segments(inputs, Path(plan.path), plan.segment_id)
    faults.point("merge-written")
    return info


def packed(live: Bool) -> bytes:
    """Return the flags as MergeInput keeps them."""
    return np.packbits(live, bitorder="little").tobytes()


def unpacked(live: bytes, n_docs: int) -> Bool:
    """Return the flags of a MergeInput."""
    bits = np.unpackbits(np.frombuffer(live, np.uint8), count=n_docs, bitorder="little")
    flags: Bool = bits.view(np.bool_)
    return flags


@dataclass(frozen=True, slots=True)
class _Input:
    """One input with the new numbers of what lives in it, -1 for what does not."""

    segment: Segment
    live: Bool
    docs: I64
    chunks: I64
    defs: I64

    def live_defs(self) -> Bool:
        flags: Bool = self.defs >= 0
        return flags

    def live_chunks(self) -> Bool:
        flags: Bool = self.chunks >= 0
        return flags


def merge_segments(inputs: Sequence[tuple[Segment, Bool]], path: Path, segment_id: int) -> SegmentInfo | None:
    """Write the live documents of the inputs in order; None and no file if none lives. Raises StoreFull."""
    parts = _numbered(inputs)
    n_docs, n_chunks, n_defs = (sum(int((m >= 0).sum()) for m in maps) for maps in _maps(parts))
    if not n_docs:
        return None
    assert n_docs <= DOCS_MAX, n_docs
    with SegmentFile(path, segment_id) as out:
        languages, content_bytes, doc_page = _write_docs(out, parts)
        trigrams = _write_trigrams(out, parts, doc_page)
        terms = _write_terms(out, parts, n_chunks)
        n_names, n_refs = _write_symbols(out, parts)
        _write_chunks(out, parts)
        counts = Counts(n_docs, n_chunks, n_defs, n_refs, n_names, trigrams, terms)
        return out.finish(counts, languages, content_bytes)


def _numbered(inputs: Sequence[tuple[Segment, Bool]]) -> list[_Input]:
    parts = []
    n_docs = n_chunks = n_defs = 0
    for segment, live in inputs:
        assert len(live) == segment.n_docs, (len(live), segment.n_docs)
        chunk_live = np.repeat(live, np.diff(segment.doc_chunk))
        def_live = np.repeat(live, np.diff(segment.doc_def))
        maps = (_renumber(live, n_docs), _renumber(chunk_live, n_chunks), _renumber(def_live, n_defs))
        parts.append(_Input(segment, live, *maps))
        n_docs += int(live.sum())
        n_chunks += int(chunk_live.sum())
        n_defs += int(def_live.sum())
    return parts


def _renumber(live: Bool, base: int) -> I64:
    return np.where(live, np.cumsum(live) - 1 + base, -1)


def _maps(parts: list[_Input]) -> tuple[list[I64], list[I64], list[I64]]:
    return [p.docs for p in parts], [p.chunks for p in parts], [p.defs for p in parts]


def _put_live(out: SegmentFile, name: str, parts: list[_Input], live: list[Bool]) -> None:
    """Write the live items of a section as they are."""
    section = out.section(name, sum(int(flags.sum()) for flags in live))
    for part, flags in zip(parts, live, strict=True):
        section.write(getattr(part.segment, name)[flags])
    section.close()


# Documents


def _write_docs(out: SegmentFile, parts: list[_Input]) -> tuple[list[str], int, I64]:
    live = [part.live for part in parts]
    contents = (part.segment.doc_bytes(each) for part in parts for each in np.flatnonzero(part.live).tolist())
    lengths, doc_page = put_contents(out, contents)
    _put_live(out, "doc_blob", parts, live)
    out.put("digest", np.concatenate([part.segment.digest[part.live] for part in parts]))
    languages = _write_languages(out, parts)
    _put_live(out, "encoding", parts, live)
    _put_live(out, "flags", parts, live)
    return languages, int(lengths.sum()), doc_page


def _write_languages(out: SegmentFile, parts: list[_Input]) -> list[str]:
    used = {
        part.segment.languages[i]
        for part in parts
        for i in np.unique(part.segment.language[part.live]).tolist()
    }
    languages = sorted(used)
    number = {name: i for i, name in enumerate(languages)}
    section = out.section("language")
    for part in parts:
        table = np.array([number.get(name, 0) for name in part.segment.languages], np.uint8)
        section.write(table[part.segment.language[part.live]])
    section.close()
    return languages


# Posting lists


@dataclass(frozen=True, slots=True)
class _Postings:
    """The lists of some keys, and for terms the counts beside each posting."""

    keys: Array
    counts: I64
    values: U32
    tf: U8 | None = None


def _write_trigrams(out: SegmentFile, parts: list[_Input], doc_page: I64) -> int:
    pages = [_pages(part, doc_page) for part in parts]

    def fill(lists: ListWriter) -> None:
        tables = [(part.segment.tri_key, part.segment.tri_count.astype(np.int64)) for part in parts]
        for low, high in _key_blocks(tables, 24 - _BUCKET_BITS):
            merged = _united([_trigram_block(*each, low, high) for each in zip(parts, pages, strict=True)])
            if len(merged.keys):
                lists.add(merged.keys, merged.counts, merged.values)

    return put_trigrams(out, fill, int(doc_page[-1]))


def _write_terms(out: SegmentFile, parts: list[_Input], n_chunks: int) -> int:
    def fill(lists: ListWriter, counted: CountWriter) -> None:
        keys = [part.segment.terms.keys() for part in parts]
        counts = (part.segment.terms.heads(0, part.segment.terms.n).counts for part in parts)
        blocks = _key_blocks(zip(keys, counts, strict=True), 8 * KEY_BYTES - _BUCKET_BITS)
        for low, high in blocks:
            merged = _united([_term_block(*each, low, high) for each in zip(parts, keys, strict=True)])
            if len(merged.keys):
                lists.add(merged.keys, merged.counts, merged.values)
                assert merged.tf is not None
                counted.add(merged.tf)

    return put_terms(out, fill, n_chunks, sum(part.segment.terms.n_postings for part in parts))


def _key_blocks(tables: Iterable[tuple[Keys, I64]], shift: int) -> list[tuple[int, int | None]]:
    """Cut the keys into ranges [low, high) of about POSTINGS_BLOCK postings; high None is the end."""
    weight = np.zeros(1 << _BUCKET_BITS)
    for keys, counts in tables:
        buckets = (keys >> keys.dtype.type(shift)).astype(np.int64)
        weight += np.bincount(buckets, counts, 1 << _BUCKET_BITS)
    total = np.cumsum(weight)
    cuts = np.unique(np.searchsorted(total, np.arange(POSTINGS_BLOCK, total[-1], POSTINGS_BLOCK), "right"))
    edges: list[int] = [int(cut) << shift for cut in cuts if cut]
    return list(zip([0, *edges], [*edges, None], strict=True))


def _range(keys: Keys, low: int, high: int | None) -> tuple[int, int]:
    """Return the positions of the keys in [low, high)."""
    number = keys.dtype.type
    last = len(keys) if high is None else int(np.searchsorted(keys, number(high)))
    return int(np.searchsorted(keys, number(low))), last


def _trigram_block(part: _Input, pages: I64, low: int, high: int | None) -> _Postings:
    segment = part.segment
    first, last = _range(segment.tri_key, low, high)
    counts = segment.tri_count[first:last].astype(np.int64)
    length = np.diff(segment.tri_off[first : last + 1]).astype(np.int64)
    data = segment.tri_data[int(segment.tri_off[first]) : int(segment.tri_off[last])]
    values = postings.decode_many(data, length, counts, segment.n_pages)
    return _living(_Postings(segment.tri_key[first:last], counts, values), pages)


def _pages(part: _Input, doc_page: I64) -> I64:
    """Return the new number of each page of an input, -1 for a dead one."""
    segment = part.segment
    docs = part.docs[segment.page_doc]
    within = np.arange(segment.n_pages) - segment.doc_page[segment.page_doc].astype(np.int64)
    return np.where(docs >= 0, doc_page[docs] + within, -1)


def _term_block(part: _Input, keys: U64, low: int, high: int | None) -> _Postings:
    first, last = _range(keys, low, high)
    heads, values, tf = part.segment.term_lists(first, last)
    return _living(_Postings(keys[first:last], heads.counts, values, tf), part.chunks)


def _living(lists: _Postings, numbers: I64) -> _Postings:
    """Renumber the values and drop the dead ones; lists may become empty."""
    if not len(lists.keys):
        return lists
    values = numbers[lists.values]
    keep = values >= 0
    counts = np.add.reduceat(keep, np.cumsum(lists.counts) - lists.counts, dtype=np.int64)
    tf = None if lists.tf is None else lists.tf[keep]
    return _Postings(lists.keys, counts, values[keep].astype(np.uint32), tf)


def _united(parts: list[_Postings]) -> _Postings:
    """Join lists of the same key; the values of an earlier part are all below those of a later one."""
    keys = np.concatenate([part.keys for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    starts = np.cumsum(counts) - counts
    order = np.argsort(keys, kind="stable")
    order = order[counts[order] > 0]
    keys, counts = keys[order], counts[order]
    gather = postings.spans(starts[order], counts)
    values = np.concatenate([part.values for part in parts])[gather]
    tfs = [part.tf for part in parts if part.tf is not None]
    tf = np.concatenate(tfs)[gather] if tfs else None
    if not len(keys):
        return _Postings(keys, counts, values, tf)
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return _Postings(keys[first], np.add.reduceat(counts, first), values, tf)


# Names, definitions, references


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of one input that something living uses."""

    used: I64  # their numbers in the input
    new: I64  # their numbers in the result, ascending too
    refs: I64  # living references to each


def _write_symbols(out: SegmentFile, parts: list[_Input]) -> tuple[int, int]:
    """Return the number of names and of references."""
    names, tables = _united_names(parts)
    put_names(out, names)
    n_names = len(names)
    del names
    live = [part.live_defs() for part in parts]
    out.put("doc_def", bases(np.concatenate([np.diff(p.segment.doc_def)[p.live] for p in parts])))
    for name in ("def_kind", "def_start", "def_end", "def_name_start", "def_line"):
        _put_live(out, name, parts, live)
    parents = [_mapped(p.defs, p.segment.def_parent[each]) for p, each in zip(parts, live, strict=True)]
    out.put("def_parent", np.concatenate(parents))
    numbers = [
        table.new[np.searchsorted(table.used, part.segment.def_name[each])]
        for part, table, each in zip(parts, tables, live, strict=True)
    ]
    put_def_names(out, np.concatenate(numbers), n_names)
    return n_names, _write_refs(out, parts, tables, n_names)


def _mapped(numbers: I64, items: I32) -> I64:
    """Return the new number of each item; -1 stays -1."""
    return np.where(items < 0, -1, numbers[items]) if len(numbers) else items.astype(np.int64)


def _united_names(parts: list[_Input]) -> tuple[list[bytes], list[_Names]]:
    used, own, refs = [], [], []
    for part in parts:
        segment = part.segment
        counts = _living_refs(part)
        flags = counts > 0
        flags[segment.def_name[part.live_defs()]] = True
        used.append(np.flatnonzero(flags))
        refs.append(counts[used[-1]])
        own.append(list(compress(bytes(segment.names)[1:-1].split(b"\n"), flags.tolist())))
    names = sorted(set().union(*own))
    rank = dict(zip(names, range(len(names)), strict=True))
    new = [np.fromiter(map(rank.__getitem__, each), np.int64, len(each)) for each in own]
    return names, [_Names(*each) for each in zip(used, new, refs, strict=True)]


def _living_refs(part: _Input) -> I64:
    """Return for each name of an input how many of its references are in living documents."""
    segment = part.segment
    if part.live.all():
        return np.diff(segment.name_ref).astype(np.int64)
    before = np.zeros(segment.n_refs + 1, np.uint32)
    np.cumsum(part.live[segment.ref_doc], out=before[1:])
    return np.diff(before[segment.name_ref]).astype(np.int64)


def _write_refs(out: SegmentFile, parts: list[_Input], tables: list[_Names], n_names: int) -> int:
    counts = np.zeros(n_names, np.int64)
    for table in tables:
        counts[table.new] += table.refs
    total = bases(counts)
    out.put("name_ref", total)
    docs, starts, roles = (out.section(name, int(total[-1])) for name in ("ref_doc", "ref_start", "ref_role"))
    cuts = np.searchsorted(total, np.arange(POSTINGS_BLOCK, total[-1], POSTINGS_BLOCK))
    edges = np.unique(np.concatenate(([0], cuts, [n_names]))).tolist()
    graph = Edges()
    for low, high in pairwise(edges):
        blocks = [_ref_block(p, t, low, high) for p, t in zip(parts, tables, strict=True)]
        order = by_name(np.concatenate([names for names, *_ in blocks]) - low)
        doc, start, role = (np.concatenate([block[i] for block in blocks])[order] for i in (1, 2, 3))
        docs.write(doc)
        starts.write(start)
        roles.write(role)
        graph.add(doc, start, role)
    for section in (docs, starts, roles):
        section.close()
    graph.put(out, sum(int(part.live.sum()) for part in parts))
    return int(total[-1])


def _ref_block(part: _Input, table: _Names, low: int, high: int) -> tuple[I64, I64, U32, U8]:
    """Return new name, new ordinal, offset and role of the living references to names in [low, high)."""
    segment = part.segment
    first, last = np.searchsorted(table.new, [low, high]).tolist()
    used = table.used[first:last]
    begin = segment.name_ref[used].astype(np.int64)
    all_counts = segment.name_ref[used + 1].astype(np.int64) - begin
    at = postings.spans(begin, all_counts)
    docs = part.docs[segment.ref_doc[at]]
    keep = docs >= 0
    at = at[keep]
    names = np.repeat(table.new[first:last], all_counts)[keep]
    return names, docs[keep], segment.ref_start[at], segment.ref_role[at]


# Chunks


def _write_chunks(out: SegmentFile, parts: list[_Input]) -> None:
    live = [part.live_chunks() for part in parts]
    out.put("doc_chunk", bases(np.concatenate([np.diff(p.segment.doc_chunk)[p.live] for p in parts])))
    for name in ("chunk_start", "chunk_end", "chunk_line", "chunk_row", "chunk_words"):
        _put_live(out, name, parts, live)
    owners = [_mapped(p.defs, p.segment.chunk_def[each]) for p, each in zip(parts, live, strict=True)]
    out.put("chunk_def", np.concatenate(owners))
