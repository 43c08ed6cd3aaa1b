"""The compiled loops over pool rows and paths against one bit, one number and one word at a time."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from indexer.native import nearest
from indexer.native.inside import WordTable
from indexer.native.nearest import nearest_rows, score_rows, score_wholes

LOWER = re.compile(rb"[a-z\x80-\xff]")
LETTER = re.compile(rb"[A-Za-z\x80-\xff]")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.usefixtures("each_library")
def test_the_nearest_rows_are_those_of_least_weighted_distance(
    seed: int, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`wide`: with what only some processors have."""
    monkeypatch.setattr(nearest, "_WIDE", int(wide and nearest._WIDE))
    source = np.random.default_rng(seed)
    rows, width = int(source.integers(1, 3_000)), int(source.choice([8, 32, 40]))
    signs = source.integers(0, 256, (rows, width), dtype=np.uint8)
    if seed % 3 == 0:
        signs[:] = signs[source.integers(0, 5, rows)]  # many are equally far
    planes = source.integers(0, 256, (3, width), dtype=np.uint8)
    live = source.random(rows) < source.choice([0.02, 0.5, 1.0])
    live[0] = True
    bits = np.unpackbits(signs, axis=1).astype(np.int64)
    apart = [
        (np.unpackbits(plane)[None] != bits).sum(axis=1) << weight for weight, plane in enumerate(planes)
    ]
    distance = np.sum(apart, axis=0)
    alive = np.flatnonzero(live)
    for n in {1, len(alive) // 3, len(alive)} - {0}:
        right = alive[np.argsort(distance[alive], kind="stable")[:n]]
        assert nearest_rows(planes, signs, live, n).tolist() == sorted(right.tolist())


@pytest.mark.parametrize("dim", [1, 16, 50, 256])
@pytest.mark.usefixtures("each_library")
def test_rows_are_scored_as_they_are(dim: int) -> None:
    source = np.random.default_rng(dim)
    room = source.standard_normal((300, dim + 3)).astype(np.float16)
    vectors = room[:, :dim]  # rows need not follow each other
    vectors[:8] *= np.float16(1e-4)  # numbers below what is normal
    query = source.standard_normal(dim).astype(np.float32)
    rows = source.integers(0, 300, 40)
    right = vectors[rows].astype(np.float64) @ query.astype(np.float64)
    assert np.allclose(score_rows(query, vectors, rows), right, atol=1e-4)
    assert len(score_rows(query, vectors, rows[:0])) == 0


@pytest.mark.parametrize("dim", [1, 16, 50])
@pytest.mark.usefixtures("each_library")
def test_documents_are_scored_as_the_sum_of_their_rows(dim: int) -> None:
    source = np.random.default_rng(dim)
    vectors = source.standard_normal((90, dim)).astype(np.float16)
    vectors[7] = 0
    doc_chunk = np.array([0, 0, 1, 2, 5, 30, 80], np.uint32)
    chunk_row = source.permutation(90)[:80].astype(np.uint32)
    chunk_row[0], chunk_row[1] = 7, 0xFFFFFFFF  # a row of zeros, and none
    chunk_row[40:50] = 0xFFFFFFFF
    query = source.standard_normal(dim).astype(np.float32)
    docs = np.array([5, 0, 1, 2, 3, 4, 4])
    found = score_wholes(query, vectors, doc_chunk, chunk_row, docs, 16)
    for doc, cosine in zip(docs.tolist(), found.tolist(), strict=True):
        first, n = int(doc_chunk[doc]), int(doc_chunk[doc + 1] - doc_chunk[doc])
        taken = min(16, n)
        rows = [int(chunk_row[first + nth * n // taken]) for nth in range(taken)]
        total = np.sum(
            [vectors[row].astype(np.float64) for row in rows if row < 90] or [np.zeros(dim)], axis=0
        )
        length = np.linalg.norm(total)
        assert cosine == (pytest.approx(total @ query / length, abs=1e-4) if length else -np.inf)


def slow_words_with(words: list[bytes], term: bytes) -> dict[int, bool]:
    """Which words have a term, and whether it is a whole part of one."""
    found: dict[int, bool] = {}
    for number, word in enumerate(words):
        padded = b"\n" + word + b"\n"
        at = padded.lower().find(term)
        while at >= 0:
            before, first, after = padded[at - 1 : at], padded[at : at + 1], padded[at + len(term) :][:1]
            starts = not LETTER.match(before) or (LOWER.match(before) is not None and not LOWER.match(first))
            whole = starts and not (LETTER.match(after) and LOWER.match(after))
            if whole or len(term) >= 4:
                found[number] = found.get(number, False) or whole
            at = padded.lower().find(term, at + len(term))
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("each_library")
def test_terms_are_found_in_words(seed: int) -> None:
    source = random.Random(seed)
    pieces = (b"a", b"aa", b"net", b"Net", b"config", b"Config", b"X", b"86", b"\xc3\xa9", b"AAAA")
    n = source.choice((0, 1, 30, 2_500))  # more are found than there is room for at first
    words = list({b"".join(source.choices(pieces, k=source.randint(1, 6))) for _ in range(n)})
    terms = [b"a", b"aa", b"aaa", b"aaaa", b"net", b"config", b"86", b"x86", b"\xc3\xa9", b"netconfig"]
    word, whole, end = WordTable(words).with_terms(terms)
    begin = 0
    for term, last in zip(terms, end.tolist(), strict=True):
        found = list(zip(word[begin:last].tolist(), whole[begin:last].tolist(), strict=True))
        assert found == sorted(slow_words_with(words, term).items())
        begin = last
