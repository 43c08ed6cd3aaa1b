"""The compiled loops do what a look at every byte does, in every library that runs on this processor."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.native import build, extract, library, postings, scan
from indexer.native.look import same_files
from indexer.native.scan import Left, Lines, Right, Row, Run
from indexer.words import WORD

ALPHABET = b"ab1_ .\n\x00\x7f\x80\xc3\xff"
LEFT: tuple[Left, ...] = ("", "^", "\\b")
RIGHT: tuple[Right, ...] = ("", "$", "\\b")


def test_the_library_is_of_these_sources() -> None:
    assert library.sources_digest() == build.sources_digest(), "compile again: make setup"


def made_text(source: random.Random, longest: int = 300) -> bytes:
    alphabet = source.choice((ALPHABET, b"ab", b"ab\n", b"a1 \n"))
    return bytes(source.choices(alphabet, k=source.randrange(longest)))


def made_sets(source: random.Random, n: int) -> list[frozenset[int]]:
    return [frozenset(source.sample(ALPHABET, source.randint(1, 4))) for _ in range(n)]


def word(byte: int) -> bool:
    return byte == 95 or chr(byte) in "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def is_edge(text: bytes, at: int, edge: Left | Right) -> bool:
    before, behind = text[at - 1] if at else None, text[at] if at < len(text) else None
    match edge:
        case "^":
            return before in (None, 10)
        case "$":
            return behind in (None, 10)
        case "\\b":
            return (before is not None and word(before)) != (behind is not None and word(behind))
    return True


def slow_places(
    text: bytes, sets: list[frozenset[int]], left: Left, right: Right, apart: bool, starts_line: bool
) -> list[int]:
    found = []
    before = b"\n" if starts_line else b""
    free = 0
    for at in range(-len(before), len(text) - len(sets) + 1):
        piece = text[at : at + len(sets)] if at >= 0 else before + text[: len(sets) - 1]
        if not all(byte in members for byte, members in zip(piece, sets, strict=True)):
            continue
        if at < 0:
            found.append(at)
        elif at >= free and is_edge(text, at, left) and is_edge(text, at + len(sets), right):
            found.append(at)
            free = at + len(sets) if apart else 0
    return found


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.usefixtures("each_library")
def test_rows_are_found_where_they_stand(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(seed)
    monkeypatch.setattr(scan, "_LEAST_ROOM", source.choice((33, 40, 1024)))  # room runs out: it goes on
    for _ in range(30):
        text = made_text(source)
        sets = made_sets(source, source.randint(1, 6))
        starts_line = source.random() < 0.2
        if starts_line:
            sets[0] = frozenset(b"\n")
        left, right = ("", "") if starts_line else (source.choice(LEFT), source.choice(RIGHT))
        apart = not starts_line and source.random() < 0.5
        order = source.sample(range(len(sets)), len(sets))
        n_probes = source.randint(1, min(len(sets), scan.PROBES_MAX))
        row = Row(sets, order, n_probes, left=left, right=right, apart=apart, starts_line=starts_line)
        if len(text) < len(sets) - 1 and starts_line:
            continue
        assert row.places(text).tolist() == slow_places(text, sets, left, right, apart, starts_line)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("each_library")
def test_packed_lists_come_back(seed: int) -> None:
    source = random.Random(seed)
    domain = source.choice((1, 9, 100, 65_536))
    lists = []
    for _ in range(30):
        count = source.randint(1, min(domain, source.choice((1, 10, 3_000))))
        lists.append(sorted(source.sample(range(domain), count)))
    counts = np.array([len(each) for each in lists])
    values = np.concatenate([np.array(each, np.uint32) for each in lists])
    data, lengths = postings.pack_lists(values, counts, domain)
    assert postings.unpack_lists(data, lengths, counts, domain).tolist() == values.tolist()
    some = np.unique(np.array(source.choices(range(domain), k=50)))
    for each, end, length in zip(lists, np.cumsum(lengths).tolist(), lengths.tolist(), strict=True):
        piece = data[end - length : end]
        flags = np.zeros(domain, np.bool_)
        postings.mark_list(piece, len(each), domain, flags)
        assert np.flatnonzero(flags).tolist() == each
        kept = postings.keep_listed(piece, len(each), domain, some)
        assert kept.tolist() == sorted(set(some.tolist()) & set(each))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("each_library")
def test_a_sampled_run_is_found_where_its_sequence_begins(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(seed)
    monkeypatch.setattr(scan, "_LEAST_ROOM", source.choice((1, 1024)))
    for _ in range(30):
        text = made_text(source)
        (one,) = made_sets(source, 1)
        length = source.randint(2, 12)
        row = Row([one] * length, range(length), 1, run=Run(0, length, length // 2))
        sequences = [(at, end) for at, end in sequences_of(text, one) if end - at >= length]
        assert row.places(text).tolist() == [at for at, _ in sequences]


def sequences_of(text: bytes, members: frozenset[int]) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(text):
        end = at
        while end < len(text) and text[end] in members:
            end += 1
        if end > at:
            yield at, end
        at = end + 1


def slow_lines(
    text: bytes, pieces: list[tuple[int, int, int]], matches: list[tuple[int, int]]
) -> list[tuple[Any, ...]]:
    """Return (piece, number, start, end, its matches) of each line."""
    found: list[tuple[Any, ...]] = []
    for i, (low, high, number) in enumerate(pieces):
        at = low
        for line in text[low:high].split(b"\n"):
            end = at + len(line)
            unfinished = end < high or at < high
            inside = [match for match in matches if at <= match[0] <= end and unfinished]
            if inside:
                found.append((i, number, at, end, inside))
            at, number = end + 1, number + 1
    return found


def listed(lines: Lines) -> list[tuple[Any, ...]]:
    matches = list(zip(lines.match_start.tolist(), lines.match_end.tolist(), strict=True))
    bounds = lines.matches.tolist()
    columns = (lines.piece, lines.number, lines.start, lines.end)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(*row, matches[bounds[i] : bounds[i + 1]]) for i, row in enumerate(rows)]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.usefixtures("each_library")
def test_lines_are_those_in_which_matches_start(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(20):
        text = made_text(source)
        cuts = sorted(
            source.sample(range(len(text) + 1), 2 * min((len(text) + 1) // 2, source.randint(0, 5)))
        )
        pieces = [(low, high, source.randrange(9)) for low, high in zip(cuts[::2], cuts[1::2], strict=True)]
        starts = sorted(source.choices(range(len(text) + 1), k=source.randrange(20)))
        matches = [(at, at + source.randrange(5)) for at in sorted(set(starts))]
        columns = np.array(pieces, np.int64).reshape(-1, 3).T
        start, end = np.array(matches, np.int64).reshape(-1, 2).T
        line = source.choice((columns[2], None))
        lines = scan.lines_of(text, (columns[0], columns[1]), line, start, end)
        expected = slow_lines(text, pieces, matches)
        if line is None:
            expected = [(row[0], 0, *row[2:]) for row in expected]
        assert listed(lines) == expected
        shown = b"".join(text[row[2] : row[3]] + b"\n" for row in expected)
        assert scan.joined(text, lines.start, lines.end).tobytes() == shown


def slow_trigrams(text: bytes) -> list[int]:
    """Return the distinct trigrams of the lines, and of lines of two bytes the one with their newline."""
    lines = text.split(b"\n")
    found = {line[i : i + 3] for line in lines for i in range(len(line) - 2)}
    found |= {line + b"\n" for line in lines if len(line) == 2}
    return sorted(int.from_bytes(three, "big") for three in found)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("each_library")
def test_trigrams_are_those_of_each_text(seed: int) -> None:
    source = random.Random(seed)
    texts = [made_text(source, source.choice((4, 300))) for _ in range(source.randrange(8))]
    found, ends = extract.distinct_trigrams(texts)
    starts = [0, *ends.tolist()]
    assert [found[a:b].tolist() for a, b in pairwise(starts)] == [slow_trigrams(text) for text in texts]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("each_library")
def test_words_are_counted_by_page(seed: int) -> None:
    source = random.Random(seed)
    names = [bytes(source.choices(b"abZ09_\xc3\xa9", k=source.randint(1, 40))) for _ in range(30)]
    pages = [
        b" ".join(source.choices(names, k=source.randrange(60))) + source.choice((b"", b"-", b" \n"))
        for _ in range(source.randint(1, 5))
    ]
    text = b"\n".join([*pages, bytes(extract.PADDING)])
    found = extract.distinct_words(text, np.cumsum([len(page) + 1 for page in pages]))
    keys: dict[bytes, int] = {}
    for page, (first, last) in zip(pages, pairwise([0, *found.end.tolist()]), strict=True):
        places = zip(found.begin[first:last].tolist(), found.length[first:last].tolist(), strict=True)
        words = [text[begin : begin + length] for begin, length in places]
        assert dict(zip(words, found.count[first:last].tolist(), strict=True)) == Counter(WORD.findall(page))
        for word, key in zip(words, found.key[first:last].tolist(), strict=True):
            assert keys.setdefault(word, key) == key  # one key for a word, wherever it stands
            if len(word) <= extract.PLAIN_BYTES:
                assert key == int.from_bytes(word, "little")
    assert found.n_words.tolist() == [len(WORD.findall(page)) for page in pages]
    assert len(set(keys.values())) == len(keys)


def test_files_are_the_same_with_their_size_and_time(tmp_path: Path) -> None:
    names = [b"a", b"dir/b", b"gr\xc3\xb6\xc3\x9fe"]
    (tmp_path / "dir").mkdir()
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
        os.utime(tmp_path / os.fsdecode(name), ns=(0, 1_700_000_000_123_456_789))
    (tmp_path / "link").symlink_to("a")
    paths = [*names, b"gone", b"link", b"dir/b", b"a"]
    size = np.array([1, 5, 7, 1, 1, 6, 1])
    mtime_ns = np.full(7, 1_700_000_000_123_456_789)
    mtime_ns[6] += 1
    found = same_files(os.fsencode(tmp_path), paths, size, mtime_ns)
    assert found.tolist() == [True, True, True, False, False, False, False]
    assert not same_files(os.fsencode(tmp_path / "none"), paths, size, mtime_ns).any()
