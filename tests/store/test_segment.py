from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import StoreCorrupt, StoreFull
from indexer import pages
from indexer.records import ROLE_ID, PreparedFile
from indexer.store import segment_file, segment_writer
from indexer.store.format import EDGE_ROLES, NO_ROW, SECTIONS, SEPARATOR
from indexer.store.segment import Segment
from indexer.store.segment_writer import write_segment
from indexer.trigram import pack
from tests.support import prepared

TEXTS = [
    b"def alpha(x):\n    return beta(x) + beta(1)\n",
    b"class Gamma:\n    def alpha(self):\n        delta(alpha(1))\n\n\n# tail",
    b"",
    "struct höhe { int größe; };\r\nbeta(höhe)\r\n".encode(),
    b"x\n" * 5000 + b"def last(): pass\n",
    b"\n\n\n",
]


def slow_trigram_docs(texts: list[bytes], key: bytes) -> list[int]:
    if key.endswith(b"\n"):  # a line of two bytes
        return [i for i, text in enumerate(texts) if key[:2] in text.split(b"\n")]
    return [i for i, text in enumerate(texts) if key in text]


def written(path: Path, files: list[PreparedFile]) -> Segment:
    docs, row = [], 100
    for i, file in enumerate(files):
        n = len(file.parsed.chunks)
        docs.append((10 + i, file, np.arange(row, row + n, dtype=np.uint32)))
        row += n
    info = write_segment(path, 7, docs)
    segment = Segment.open(path)
    assert info.id == segment.id == 7
    assert info.counts == segment.table.counts
    assert info.file_bytes == path.stat().st_size
    return segment


def check(segment: Segment, files: list[PreparedFile]) -> None:
    """Everything that was put in comes out, each part by a slow obvious way."""
    assert segment.verify() == []
    assert segment.n_docs == len(files)
    blocks = [segment.block(i) for i in range(len(segment.block_page) - 1)]
    assert b"".join(blocks) == b"".join(file.source.content + SEPARATOR for file in files)
    defs, refs, terms, chunk = [], [], {}, 0
    for ordinal, file in enumerate(files):
        content = file.source.content
        assert bytes(segment.doc_bytes(ordinal)) == content
        assert segment.digest[ordinal].tobytes() == file.source.digest
        assert segment.language_name(ordinal) == file.source.language
        assert int(segment.doc_chunk[ordinal]) == chunk
        assert int(segment.doc_def[ordinal]) == len(defs)
        base, symbols, table = len(defs), file.parsed.symbols, file.parsed.references
        for i, name in enumerate(symbols.name):
            parent = int(symbols.parent[i])
            defs.append(
                (
                    name.replace(b"\n", b" "),
                    ordinal,
                    int(symbols.start[i]),
                    parent + base if parent >= 0 else -1,
                )
            )
        named = [table.names[number].replace(b"\n", b" ") for number in table.name.tolist()]
        refs += zip(named, [ordinal] * len(named), table.start.tolist(), strict=True)
        for i in range(len(file.terms.hash)):
            counted = int(file.terms.body[i]) | int(file.terms.name[i]) << 4
            terms.setdefault(int(file.terms.hash[i]), []).append((chunk + int(file.terms.chunk[i]), counted))
        for i, symbol in enumerate(file.parsed.chunks.symbol.tolist()):
            assert int(segment.chunk_def[chunk + i]) == (symbol + base if symbol >= 0 else -1)
            assert int(segment.chunk_start[chunk + i]) == int(file.parsed.chunks.start[i])
        chunk += len(file.parsed.chunks)
    assert segment.n_chunks == chunk
    check_names(segment, defs, refs)
    check_edges(segment, files)
    assert {
        h: list(zip(*map(np.ndarray.tolist, segment.term_postings(h)), strict=True)) for h in terms
    } == terms
    assert {h: segment.terms.head(segment.terms.find(h))[0] for h in terms} == {
        h: len(found) for h, found in terms.items()
    }
    assert segment.terms.keys().tolist() == sorted(h >> 24 for h in terms)
    texts = [file.source.content for file in files]
    keys = sorted({int(k) for file in files for k in file.trigrams})
    assert segment.tri_key.tolist() == keys
    for key in keys:
        expected = slow_trigram_docs(texts, key.to_bytes(3, "big"))
        assert segment.trigram_docs(key).tolist() == expected
        assert segment.trigram_count(key) == len(expected)


def check_names(
    segment: Segment, defs: list[tuple[bytes, int, int, int]], refs: list[tuple[bytes, int, int]]
) -> None:
    names = sorted({name for name, *_ in defs} | {name for name, *_ in refs})
    assert [segment.name(i) for i in range(segment.n_names)] == names
    assert bytes(segment.names) == b"\n" + b"".join(name + b"\n" for name in names)
    assert segment.def_parent.tolist() == [parent for *_, parent in defs]
    assert segment.doc_of_def(np.arange(len(defs))).tolist() == [ordinal for _, ordinal, _, _ in defs]
    for i, name in enumerate(names):
        assert segment.names_exact(name) == i
        assert segment.defs_of_name(i).tolist() == [j for j, d in enumerate(defs) if d[0] == name]
        docs, starts, _ = segment.refs_of_name(i)
        found = [(name, *pair) for pair in zip(docs.tolist(), starts.tolist(), strict=True)]
        assert found == sorted(ref for ref in refs if ref[0] == name)
        prefix = name[: max(1, len(name) // 2)]
        assert list(segment.names_prefix(prefix)) == [j for j, n in enumerate(names) if n.startswith(prefix)]
    assert segment.names_exact(b"no such name") == -1


def check_edges(segment: Segment, files: list[PreparedFile]) -> None:
    edges = {ROLE_ID[role] for role in EDGE_ROLES}
    for ordinal, file in enumerate(files):
        table = file.parsed.references
        rows = zip(table.start.tolist(), table.name.tolist(), table.role.tolist(), strict=True)
        wanted = [
            (start, table.names[name].replace(b"\n", b" "), role)
            for start, name, role in rows
            if role in edges
        ]
        size = len(file.source.content)
        for low, high in ((0, size), (size // 3, size // 2)):
            refs = segment.edges_of(ordinal, low, high)
            names = map(segment.name, segment.name_of_ref(refs).tolist())
            found = zip(segment.ref_start[refs].tolist(), names, segment.ref_role[refs].tolist(), strict=True)
            assert list(found) == sorted(row for row in wanted if low <= row[0] < high)


def test_a_segment_gives_back_what_was_written(tmp_path: Path) -> None:
    files = [prepared(text, "c" if i % 2 else "python") for i, text in enumerate(TEXTS)]
    segment = written(tmp_path / "a.seg", files)
    check(segment, files)
    assert segment.trigram_docs(pack(b"zzz")).tolist() == []
    assert segment.terms.find(1) == -1
    segment.close()


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(
        st.text("ab(_ \ndefclassß", max_size=60).map(str.encode) | st.sampled_from(TEXTS), min_size=1
    )
)
def test_random_segments_give_back_what_was_written(
    texts: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = [prepared(text) for text in texts]
    path = tmp_path_factory.getbasetemp() / "random.seg"
    check(written(path, files), files)


def test_lines_equal_a_count_of_the_bytes(tmp_path: Path) -> None:
    segment = written(tmp_path / "a.seg", [prepared(text) for text in TEXTS])
    for ordinal, text in enumerate(TEXTS):
        for offset in {0, 1, len(text) // 2, 4095, 4096, 4097, 8193, len(text) - 1, len(text)}:
            if not 0 <= offset <= len(text):
                continue
            assert segment.line_of(ordinal, offset) == text.count(b"\n", 0, offset) + 1


def test_chunks_without_vectors_have_no_row(tmp_path: Path) -> None:
    write_segment(tmp_path / "a.seg", 1, [(1, prepared("a\n" * 9), np.empty(0, np.uint32))])
    segment = Segment.open(tmp_path / "a.seg")
    assert segment.chunk_row.tolist() == [NO_ROW] * 3
    assert segment.doc_of_chunk([0, 2]).tolist() == [0, 0]


def cut(data: bytes) -> bytes:
    return data[:-1]


def flip_head(data: bytes) -> bytes:
    return b"X" + data[1:]


def flip_version(data: bytes) -> bytes:
    return data[:8] + b"\x09" + data[9:]


def flip_table(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


@pytest.mark.parametrize(
    "damage", [cut, flip_head, flip_version, flip_table, lambda _: b"", lambda _: b"\0" * 64]
)
def test_a_damaged_segment_is_not_opened(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.seg"
    written(path, [prepared(text) for text in TEXTS])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreCorrupt):
        Segment.open(path)


def test_verify_names_every_damaged_section(tmp_path: Path) -> None:
    path = tmp_path / "a.seg"
    segment = written(path, [prepared(text) for text in TEXTS])
    for name in SECTIONS:
        place = segment.table.sections[name]
        data = bytearray(path.read_bytes())
        data[place.offset] ^= 0x40
        damaged = tmp_path / f"{name}.seg"
        damaged.write_bytes(data)
        assert Segment.open(damaged).verify() == [name]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(segment_file.os, "pwrite", full)
    with pytest.raises(StoreFull):
        written(tmp_path / "a.seg", [prepared("a\n")])
    assert list(tmp_path.iterdir()) == []


@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=20))
def test_documents_are_cut_into_segments_within_their_limits(lengths: list[int]) -> None:
    docs = [(i, prepared("ab\n" * n), np.empty(0, np.uint32)) for i, n in enumerate(lengths)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_BYTES", 12)
        patch.setattr(segment_writer, "PAGES_MAX", 17)
        own = [len(pages.page_starts(doc[1].source.content)) for doc in docs]
        parts = list(segment_writer.cut(docs, 5, 150))
    assert [doc for part in parts for doc in part] == docs
    totals = [
        (len(part), sum(3 * lengths[i] for i, *_ in part), sum(own[i] for i, *_ in part)) for part in parts
    ]
    for part, (n_docs, nbytes, n_pages) in zip(parts, totals, strict=True):
        assert len(part) == 1 or (n_docs <= 5 and nbytes <= 150 and n_pages <= 17)
    for (n_docs, nbytes, n_pages), following in zip(totals, parts[1:], strict=False):
        i = following[0][0]
        assert n_docs == 5 or nbytes + 3 * lengths[i] > 150 or n_pages + own[i] > 17
