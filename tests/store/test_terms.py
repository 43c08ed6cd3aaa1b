from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.records import U8, PreparedFile, TermTable
from indexer.store import segment_writer
from indexer.store.check_segment import segment_problems
from indexer.store.format import SECTIONS
from indexer.store.merge import MergeInput, MergePlan, packed, run_merge
from indexer.store.segment import Segment
from indexer.store.segment_writer import write_segment
from indexer.store.terms import (
    COMMON_COUNTS,
    COUNTS_STEP,
    HEADS_STEP,
    RARE,
    CountWriter,
    Heads,
    Terms,
    directory,
    head_table,
)
from tests.support import prepared

TERM_SECTIONS = [name for name in SECTIONS if name.startswith("term_") and name != "term_data"]


@dataclass
class Made:
    """A table of terms and what went into it."""

    keys: list[int]
    heads: list[tuple[int, int]]  # postings, bytes
    counts: list[int]
    terms: Terms
    sections: dict[str, np.ndarray]


def table(keys: list[int], heads: list[tuple[int, int]], counts: list[int], piece: int = 1000) -> Made:
    """Make the sections, writing the counts in pieces."""
    columns = np.array(heads, np.int64).reshape(-1, 2)
    first, low = directory(np.array(keys, np.uint64))
    made = head_table(Heads(columns[:, 0], columns[:, 1]))
    parts: list[U8] = []
    writer = CountWriter(parts.append)
    for i in range(0, len(counts), piece):
        writer.add(np.array(counts[i : i + piece], np.uint8))
    rare, step = writer.finish()
    sections = {
        "first": first.astype(np.uint32),
        "low": low,
        "head": made.head,
        "kind": made.kind.reshape(-1),
        "rare": made.rare.astype(np.uint32).reshape(-1),
        "step": made.step.astype(np.uint32).reshape(-1),
        "tf": np.concatenate(parts),
        "tf_rare": rare,
        "tf_step": step.astype(np.uint32),
    }
    return Made(keys, heads, counts, Terms(**sections), sections)


def slow_sections(keys: list[int], heads: list[tuple[int, int]], counts: list[int]) -> dict[str, list]:
    """What format.py says of the sections, one item at a time."""
    n = len(keys)
    width = min(range(3), key=lambda b: 4 * (256**b + 1) + (5 - b) * n)
    edges = [edge << 8 * (5 - width) for edge in range(256**width + 1)]
    small = Counter((nbytes, count) for count, nbytes in heads if count < 256 and nbytes < 256)
    kinds = sorted(small, key=lambda head: (-small[head], head))[:255]
    number = {(count, nbytes): i for i, (nbytes, count) in enumerate(kinds)}
    places = [(0, 0, 0)]
    for head in heads:
        data, posting, rare = places[-1]
        places.append((data + head[1], posting + head[0], rare + (head not in number)))
    codes = [COMMON_COUNTS.index(count) if count in COMMON_COUNTS else 15 for count in counts]
    padded = [*codes, 0][: len(codes) + len(codes) % 2]
    return {
        "first": [sum(key < edge for key in keys) for edge in edges] if n < 1000 else [],
        "low": [byte for key in keys for byte in key.to_bytes(5, "big")[width:]],
        "head": [number.get(head, 255) for head in heads],
        "kind": [each for nbytes, count in kinds for each in (count, nbytes)],
        "rare": [each for head in heads if head not in number for each in head],
        "step": [each for place in [*places[:-1][::64], places[-1]] for each in place],
        "tf": [low | high << 4 for low, high in zip(padded[::2], padded[1::2], strict=True)],
        "tf_rare": [count for count in counts if count not in COMMON_COUNTS],
        "tf_step": [codes[:i].count(15) for i in range(0, len(counts) + 1, 512)],
    }


def check(made: Made, asked: list[int]) -> None:
    """The sections are those of the slow twin, and the terms numbered in `asked` read as they were put in."""
    expected = slow_sections(made.keys, made.heads, made.counts)
    for name, values in expected.items():
        if values or name != "first":
            assert made.sections[name].tolist() == values, name
    assert made.terms.keys().tolist() == made.keys
    assert made.terms.n_postings == len(made.counts)
    for at in asked:
        assert made.terms.find(made.keys[at] << 24 | at & 0xFFFFFF) == at
        assert made.terms.head(at) == made.heads[at]
        count = made.heads[at][0]
        before = sum(head[1] for head in made.heads[:at]), sum(head[0] for head in made.heads[:at])
        assert made.terms.place(at) == before
        assert made.terms.tf(before[1], before[1] + count).tolist() == made.counts[before[1] :][:count]
    for first, last in [(0, len(made.keys)), *zip(asked, sorted(asked), strict=True)]:
        part = made.terms.heads(first, last)
        rows = zip(part.counts.tolist(), part.length.tolist(), strict=True)
        assert list(rows) == made.heads[first : max(first, last)]


def drawn(n: int, seed: int, kinds: int = 400, key_bits: int = 40) -> Made:
    """A table of n terms whose lists are mostly short and sometimes very long."""
    rng = np.random.default_rng(seed)
    keys = np.unique(rng.integers(0, 1 << key_bits, n)).tolist()
    pool = [(1, 2), (2, 4), (1, 4), (255, 255), (256, 255), (255, 256), (300, 70_000)]
    pool += [(int(c), int(b)) for c, b in rng.integers(1, 200, (kinds, 2))]
    weight = 1 / np.arange(1, len(pool) + 1)
    heads = [pool[i] for i in rng.choice(len(pool), len(keys), p=weight / weight.sum())]
    total = sum(head[0] for head in heads)
    common = rng.choice(COMMON_COUNTS, total)
    counts = np.where(rng.random(total) < 0.9, common, rng.integers(1, 256, total)).tolist()
    return table(keys, heads, counts, piece=int(rng.integers(1, 3 * COUNTS_STEP)))


@pytest.mark.parametrize("n", [0, 1, HEADS_STEP - 1, HEADS_STEP, HEADS_STEP + 1, 900, 3000])
def test_a_table_of_terms_is_that_of_the_slow_twin(n: int) -> None:
    made = drawn(n, seed=n)
    assert made.terms.low_bytes == (5 if n <= 900 else 4)
    edges = {i for i in (0, 1, 63, 64, 65, 127, 128, len(made.keys) - 1) if 0 <= i < len(made.keys)}
    check(made, [*edges, *range(0, len(made.keys), 37)])


def test_a_large_table_has_a_large_directory() -> None:
    keys = np.unique(np.random.default_rng(5).integers(0, 1 << 40, 300_000)).tolist()
    terms = table(keys, [(1, 2)] * len(keys), [1] * len(keys)).terms
    assert terms.low_bytes == 3
    assert terms.keys().tolist() == keys
    asked = range(0, len(keys), 97)
    assert [terms.find(keys[at] << 24) for at in asked] == list(asked)
    known = set(keys)
    missing = [key + 1 for key in keys[::89] if key + 1 not in known]
    assert {terms.find(key << 24) for key in missing} == {-1}


def test_keys_are_not_found_across_the_borders_of_others() -> None:
    """The bytes of a missing key stand in the table, but not where a key begins."""
    keys = [0x0101010101, 0x0101010102, 0x0201010101, 0x0202020202]
    terms = table(keys, [(1, 2)] * 4, [1] * 4).terms
    assert [terms.find(key << 24) for key in keys] == [0, 1, 2, 3]
    assert [terms.find(key << 24) for key in (0x0101010101 + 0x10000, 0x0101020201, 0x0102020202)] == [-1] * 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 255), max_size=1500), st.integers(1, 1100), st.data())
def test_counts_of_any_range_come_back(counts: list[int], piece: int, data: st.DataObject) -> None:
    made = table([], [], counts, piece)
    first = data.draw(st.integers(0, len(counts)))
    last = data.draw(st.integers(first, len(counts)))
    assert made.terms.tf(first, last).tolist() == counts[first:last]
    expected = slow_sections([], [], counts)
    for name in ("tf", "tf_rare", "tf_step"):
        assert made.sections[name].tolist() == expected[name]


def test_more_heads_than_a_byte_counts_are_kept_by_themselves() -> None:
    heads = [(1 + i % 20, 1 + i // 20) for i in range(400)] * 2 + [(30, 30)] * 5
    made = table(list(range(len(heads))), heads, [1] * sum(head[0] for head in heads))
    assert int((made.sections["head"] == RARE).sum()) == 2 * 400 + 5 - 2 * 254 - 5
    check(made, list(range(0, len(heads), 11)))


# Terms with the same key


def with_terms(text: str, entries: list[tuple[int, int, int]]) -> PreparedFile:
    """A prepared file whose words are these: hash, chunk, occurrences; by chunk, then hash."""
    file = prepared(text)
    assert entries == sorted(entries, key=lambda each: (each[1], each[0]))
    hashes, chunks, body = zip(*entries, strict=True)
    n = len(entries)
    return replace(
        file,
        terms=TermTable(
            np.array(hashes, np.uint64), np.array(chunks, np.uint32), np.array(body, np.uint8),
            np.zeros(n, np.uint8), file.terms.length,
        ),
    )  # fmt: skip


KEY, OTHER = 0xABCDEF0123 << 24, 0x00000000FF << 24
FILES = [
    with_terms("a\n" * 12, [(KEY | 1, 0, 3), (KEY | 7, 0, 5), (KEY | 7, 1, 6), (OTHER, 2, 1)]),
    with_terms("b\n" * 8, [(OTHER, 0, 2), (OTHER | 1, 0, 9), (OTHER | 2, 0, 8), (KEY, 1, 7), (KEY | 2, 1, 4)])
]  # fmt: skip


def check_shared(segment: Segment) -> None:
    """The two keys hold every chunk once, with the counts of the smallest hash."""
    assert segment.terms.keys().tolist() == [OTHER >> 24, KEY >> 24]
    for low in (0, 1, 0xFFFFFF):
        chunks, counts = segment.term_postings(KEY | low)
        assert (chunks.tolist(), counts.tolist()) == ([0, 1, 4], [3, 6, 7])
        chunks, counts = segment.term_postings(OTHER | low)
        assert (chunks.tolist(), counts.tolist()) == ([2, 3], [1, 2])
    assert segment_problems(segment) == []


@pytest.mark.parametrize("block", [1, 4, 1 << 22])
def test_terms_with_the_same_key_share_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(segment_writer, "POSTINGS_BLOCK", block)
    no_rows = np.empty(0, np.uint32)
    docs = [(i + 1, file, no_rows) for i, file in enumerate(FILES)]
    write_segment(tmp_path / "fresh.seg", 1, docs)
    check_shared(Segment.open(tmp_path / "fresh.seg"))
    inputs = []
    for i, doc in enumerate(docs):
        write_segment(tmp_path / f"{i}.seg", i, [doc])
        inputs.append(MergeInput(i, str(tmp_path / f"{i}.seg"), packed(np.ones(1, np.bool_))))
    run_merge(MergePlan(1, str(tmp_path / "merged.seg"), inputs))
    check_shared(Segment.open(tmp_path / "merged.seg"))


# Damage


def large_segment(folder: Path) -> Segment:
    """A segment in which no section of the terms is empty, with several steps of each kind."""
    texts = [f"def f{i}(a{i % 7}):\n    return g{i * i}(f{i // 2}) + x\n\n" for i in range(300)]
    files = [prepared("".join(texts[:200])), prepared("".join(texts[150:])), prepared("x x x\n" * 1300)]
    files += [prepared("gg gg\nclass gg: pass\nclass gg: pass\nclass gg: pass\nclass gg: pass\n")]
    write_segment(
        folder / "a.seg", 1, [(i + 1, file, np.empty(0, np.uint32)) for i, file in enumerate(files)]
    )
    return Segment.open(folder / "a.seg")


def changed(segment: Segment, name: str, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The problems of a segment that holds other values, with checksums that match them."""
    with monkeypatch.context() as patch:
        patch.setattr(segment, name, values)
        patch.setattr(segment, "verify", list)
        segment.__dict__.pop("terms", None)
        found = segment_problems(segment)
    segment.__dict__.pop("terms", None)
    return found


def test_check_finds_a_wrong_entry_anywhere_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = large_segment(tmp_path)
    assert segment_problems(segment) == []
    for name in TERM_SECTIONS:
        values = getattr(segment, name)
        assert len(values), name
        assert changed(segment, name, values[:-1], monkeypatch), name
        assert changed(segment, name, np.append(values, values[-1:]), monkeypatch), name
        if name in ("term_low", "term_tf", "term_tf_rare"):
            continue  # another key or count may be as good
        for at in range(0, len(values), max(1, len(values) // 60)):
            wrong = values.copy()
            wrong[at] ^= 1
            assert changed(segment, name, wrong, monkeypatch), (name, at)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("term_low", 0, 0xFF),  # above the next key
        ("term_kind", 1, 0),  # a list of no bytes
        ("term_kind", 0, 0),  # a list of nothing
        ("term_tf", 0, 0xFF),  # two counts that are not in tf_rare
        ("term_tf_rare", 0, 0),  # a posting without an occurrence
        ("term_tf_rare", 0, 1),  # a count that has a code
    ],
)
def test_check_finds_values_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: int, value: int
) -> None:
    segment = large_segment(tmp_path)
    wrong = getattr(segment, name).copy()
    wrong[at] = value
    assert changed(segment, name, wrong, monkeypatch)
