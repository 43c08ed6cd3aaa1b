"""The compiled loops over lists of terms against one posting at a time, and against damage."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest

from config.errors import StoreCorrupt
from indexer.native.terms import LIST, TERM, WORTH, Records, Scorer
from indexer.records import F32, I64, Bool
from indexer.store import chunk_lists
from indexer.store.terms import CountWriter, Heads, directory, head_table, low_bytes

NORM, NAME_WEIGHT, K1 = (0.25, 0.01), 4.0, 1.2
NO_PATHS = np.empty(0, np.int64), np.empty(0, np.float32)


@dataclass
class Made:
    """Some lists, and the scorer that reads them."""

    lists: dict[int, dict[int, int]]  # hash -> chunk -> counts
    words: list[int]  # of each chunk
    doc_chunk: list[int]
    sections: dict[str, np.ndarray]

    def scorer(self) -> Scorer:
        bounds = np.array(self.doc_chunk, np.uint32)
        docs = np.repeat(np.arange(len(bounds) - 1, dtype=np.uint32), np.diff(bounds))
        width = low_bytes(self.sections["first"])
        return Scorer(self.sections, width, np.array(self.words, np.uint16), docs, bounds)

    @property
    def n_docs(self) -> int:
        return len(self.doc_chunk) - 1


def made(source: random.Random, n_terms: int = 60, n_chunks: int = 3_000) -> Made:
    """Lists of one posting and of nearly every chunk; documents of no chunk and of many."""
    hashes = sorted({source.getrandbits(64) for _ in range(n_terms)})
    usual = [1, 1, 1, 2, 3, 15, 0x11, 0x22, 0x13]
    lists: dict[int, dict[int, int]] = {}
    for term in hashes:
        n = source.choice((1, 2, 20, n_chunks // 50, n_chunks // 5, n_chunks - 1))
        within = range(n_chunks) if source.random() < 0.8 else range(n_chunks // 2, n_chunks // 2 + 2 * n)
        chosen = sorted({chunk for chunk in source.sample(within, min(n, len(within))) if chunk < n_chunks})
        lists[term] = {
            c: source.choice(usual) if source.random() < 0.9 else source.randint(1, 255) for c in chosen
        }
    counts = np.array([len(each) for each in lists.values()], np.int64)
    chunks = np.array([chunk for each in lists.values() for chunk in each], np.uint32)
    data, length = chunk_lists.encode(chunks, counts, n_chunks)
    first, low = directory(np.array([term >> 24 for term in hashes], np.uint64))
    heads, parts = head_table(Heads(counts, length)), []
    writer = CountWriter(parts.append)
    writer.add(np.array([count for each in lists.values() for count in each.values()], np.uint8))
    rare, step = writer.finish()
    cuts = sorted(source.choices(range(n_chunks + 1), k=n_chunks // 8))
    sections = {
        "first": first.astype(np.uint32), "low": low, "head": heads.head, "kind": heads.kind.reshape(-1),
        "rare": heads.rare.astype(np.uint32).reshape(-1), "step": heads.step.astype(np.uint32).reshape(-1),
        "data": data, "tf": np.concatenate(parts), "tf_rare": rare, "tf_step": step.astype(np.uint32),
    }  # fmt: skip
    words = [source.choice((0, 5, 80, 300, 65_535)) for _ in range(n_chunks)]
    return Made(lists, words, [0, *cuts, n_chunks], sections)


@dataclass
class Asked:
    """A question to a scorer."""

    hashes: list[int]
    terms: Records
    docs: I64
    frequency: F32
    mask: Bool


def asked(source: random.Random, of: Made, found: Records, hashes: list[int]) -> Asked:
    terms = np.zeros(len(hashes), TERM)
    terms["found"] = found
    terms["strength"] = [source.choice((0.5, 2.0, 3.25)) for _ in hashes]
    terms["path_strength"] = [source.choice((1.0, 2.5)) for _ in hashes]
    named = [sorted(source.choices(range(of.n_docs), k=source.choice((0, 0, 3, 40)))) for _ in hashes]
    terms["named_end"] = np.cumsum([len(docs) for docs in named])
    docs = np.array([doc for docs in named for doc in docs], np.int64)
    frequency = np.array([source.choice((0.5, 1.0, 2.0)) for _ in docs], np.float32)
    share = source.choice((1.0, 0.7, 0.02))
    mask = np.array([source.random() < share for _ in range(of.n_docs)])
    return Asked(hashes, terms, docs, frequency, mask)


def slow_best(of: Made, question: Asked, n: int) -> list[tuple[float, int]]:
    """The formula of search/lexical.py, one posting at a time, in single precision."""
    one = np.float32
    k1, fixed, of_word = one(K1), one(NORM[0]), one(NORM[1])

    def saturated(value: np.float32) -> np.float32:
        return value / (k1 + value)

    docs = np.repeat(np.arange(of.n_docs), np.diff(of.doc_chunk))
    score: dict[int, np.float32] = {}
    of_path: dict[int, np.float32] = {}
    begin = 0
    for term, hash_ in zip(question.terms, question.hashes, strict=True):
        end = int(term["named_end"])
        path: dict[int, np.float32] = {}
        for doc, value in zip(question.docs[begin:end].tolist(), question.frequency[begin:end], strict=True):
            path[doc] = max(path.get(doc, one(0)), value)
        begin = end
        for chunk, counted in of.lists.get(hash_, {}).items():
            norm = fixed + of_word * one(of.words[chunk])
            frequency = one(counted & 15) / norm + one(NAME_WEIGHT) * one(counted >> 4)
            beside = path.get(int(docs[chunk]), one(0))
            gained = saturated(frequency + beside) - saturated(beside)
            score[chunk] = score.get(chunk, one(0)) + term["strength"] * gained
        for doc, value in path.items():
            of_path[doc] = of_path.get(doc, one(0)) + term["path_strength"] * saturated(value)
    for doc, value in of_path.items():
        chunks = range(of.doc_chunk[doc], of.doc_chunk[doc + 1])
        touched = [chunk for chunk in chunks if chunk in score]
        for chunk in touched:
            score[chunk] += value
        if chunks and not touched:
            score[chunks[0]] = value
    allowed = [(-float(value), chunk) for chunk, value in score.items() if question.mask[docs[chunk]]]
    return sorted(allowed)[:n]


def best(scorer: Scorer, question: Asked, n: int) -> list[tuple[float, int]]:
    chunks, scores = scorer.best(
        question.terms, question.docs, question.frequency, question.mask, n, NORM, NAME_WEIGHT, K1
    )
    return sorted(zip((-scores).tolist(), chunks.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("each_library")
def test_the_best_chunks_are_those_of_the_formula(seed: int) -> None:
    source = random.Random(seed)
    of = made(source, n_chunks=source.choice((63, 900, 3_000)))
    scorer = of.scorer()
    for _ in range(6):
        hashes = [*source.sample(sorted(of.lists), source.randint(1, 8)), source.getrandbits(64)]
        found = scorer.find(np.array(hashes, np.uint64))
        assert found["count"].tolist() == [len(of.lists.get(term, ())) for term in hashes]
        question = asked(source, of, found, hashes)
        n = source.choice((1, 10, 100, 5_000))
        assert best(scorer, question, n) == slow_best(of, question, n)


@pytest.mark.parametrize("cut_after", [0, 30_000])
@pytest.mark.usefixtures("each_library")
def test_more_chunks_than_are_scored_together_are_no_different(cut_after: int) -> None:
    """The first document may have more of them than fit."""
    source = random.Random(cut_after)
    of = made(source, n_terms=8, n_chunks=40_000)
    of.doc_chunk = [0, *(cut for cut in of.doc_chunk if cut > cut_after)]
    hashes = sorted(of.lists)
    scorer = of.scorer()
    for n in (20, 100_000):
        question = asked(source, of, scorer.find(np.array(hashes, np.uint64)), hashes)
        assert best(scorer, question, n) == slow_best(of, question, n)


def test_a_scorer_forgets_what_it_scored() -> None:
    source = random.Random(5)
    of = made(source)
    scorer = of.scorer()
    question = asked(source, of, scorer.find(np.array(sorted(of.lists)[:5], np.uint64)), sorted(of.lists)[:5])
    assert best(scorer, question, 50) == best(scorer, question, 50) == slow_best(of, question, 50)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("each_library")
def test_chunks_have_the_best_part_of_each_word(seed: int) -> None:
    source = random.Random(seed)
    of = made(source)
    scorer = of.scorer()
    hashes = [*source.sample(sorted(of.lists), 12), 77]
    parts = np.zeros(len(hashes), WORTH)
    parts["found"] = scorer.find(np.array(hashes, np.uint64))
    parts["word"] = [source.randrange(4) for _ in hashes]
    parts["worth"] = [source.choice((0.0, 0.5, 1.5, 2.0)) for _ in hashes]
    chunks = sorted(source.sample(range(len(of.words)), source.choice((0, 1, 30, 900))))
    seen = scorer.look_up(parts, 4, np.array(chunks, np.uint32))
    for word in range(4):
        for chunk, value in zip(chunks, seen[word].tolist(), strict=True):
            mine = zip(hashes, parts, strict=True)
            worth = [float(p["worth"]) for h, p in mine if p["word"] == word and chunk in of.lists.get(h, ())]
            assert value == max(worth, default=0.0)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.usefixtures("each_library")
def test_damage_is_found_or_harmless(seed: int) -> None:
    source = random.Random(seed)
    of = made(source, n_chunks=500)
    hashes = sorted(of.lists)
    for _ in range(20):
        name = source.choice(sorted(of.sections))
        hurt = of.sections[name].copy()
        raw = hurt.view(np.uint8)
        if len(raw):
            raw[source.sample(range(len(raw)), min(len(raw), source.choice((1, 3, 200))))] ^= source.randint(
                1, 255
            )
        damaged = Made(of.lists, of.words, of.doc_chunk, {**of.sections, name: hurt})
        try:
            scorer = damaged.scorer()
            found = scorer.find(np.array(hashes, np.uint64))
            question = asked(source, of, found, hashes)
            chunks = [chunk for _, chunk in best(scorer, question, 20)]
            parts = np.zeros(len(hashes), WORTH)
            parts["found"], parts["worth"] = found, 1
            assert scorer.look_up(parts, 1, np.arange(0, 500, 7, dtype=np.uint32)).max() <= 1
        except StoreCorrupt:
            continue
        assert all(0 <= chunk < 500 for chunk in chunks)
    sound = asked(source, of, of.scorer().find(np.array(hashes, np.uint64)), hashes)
    assert best(of.scorer(), sound, 20) == slow_best(of, sound, 20), "what damage left behind"


def test_sections_that_do_not_fit_together_are_refused() -> None:
    of = made(random.Random(1), n_terms=5, n_chunks=100)
    for name in ("low", "step", "tf", "tf_step"):
        cut = Made(of.lists, of.words, of.doc_chunk, {**of.sections, name: of.sections[name][:0]})
        with pytest.raises(StoreCorrupt):
            cut.scorer()
    with pytest.raises(StoreCorrupt):
        Made(of.lists, of.words[:-1], of.doc_chunk, of.sections).scorer()


def test_a_term_that_is_not_there_has_no_list() -> None:
    found = made(random.Random(2)).scorer().find(np.array([1], np.uint64))
    assert found.dtype == LIST
    assert found["count"].tolist() == [0]
