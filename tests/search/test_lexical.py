"""BM25F over posting lists gives what the formula gives over plain lists of words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import load
from indexer.records import Bool
from indexer.store.snapshot import Snapshot
from indexer.words import terms, words
from search.budget import Budget
from search.facts import make_facts
from search.lexical import Scored, Term, TermLists, best_chunks, cover, query_terms
from tests.search.corpus import Corpus

WEIGHTS = load(environ={}).rank
FOREVER = Budget(1e9)
FILES = {
    "retry.py": "def retry_request(limit):\n    wait = limit\n    return retry(wait, limit)\n" * 3,
    "net/client.py": "class HttpClient:\n    def send(self, request):\n        return retry(request)\n",
    "net/retry_policy.py": "LIMIT = 3\nBACKOFF = 2\n\n\ndef next_wait(n):\n    return BACKOFF ** n\n",
    "other.py": "def unrelated(a, b):\n    return a + b\n" * 8,
    "wait.txt": "wait wait wait wait wait wait wait wait wait wait wait wait wait wait wait wait wait wait\n",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = Corpus(tmp_path_factory.mktemp("words"), {"retry.py": FILES["retry.py"]})
    made.save({path: text for path, text in FILES.items() if path != "retry.py"})
    yield made
    made.close()


def oracle(corpus: Corpus, query: tuple[Term, ...], paths: bool) -> dict[int, float]:
    """Score every chunk from its bytes, with the formula of the module's docstring."""
    snapshot = corpus.index.snapshot()
    facts = make_facts(snapshot, corpus.root_id)
    bodies, names, lengths, docs = [], [], [], []
    for segment, base in zip(snapshot.segments, snapshot.seg_base.tolist(), strict=False):
        for ordinal in range(segment.n_docs):
            content = bytes(segment.doc_bytes(ordinal))
            for chunk in range(int(segment.doc_chunk[ordinal]), int(segment.doc_chunk[ordinal + 1])):
                low, high = int(segment.chunk_start[chunk]), int(segment.chunk_end[chunk])
                said = words(content[low:high])
                bodies.append(Counter(term for word in said for term in terms(word)))
                defined = [
                    segment.name(int(segment.def_name[d]))
                    for d in range(int(segment.doc_def[ordinal]), int(segment.doc_def[ordinal + 1]))
                    if low <= int(segment.def_start[d]) < high
                ]
                names.append(Counter(t for name in defined for word in words(name) for t in terms(word)))
                lengths.append(len(said))
                docs.append(base + ordinal)
    n, mean = len(bodies), sum(lengths) / len(lengths)
    idf: list[float] = []
    limit: dict[int, float] = {}
    for term in query:
        df = sum(term.text in b or term.text in c for b, c in zip(bodies, names, strict=True))
        value = math.log1p((n - df + 0.5) / (df + 0.5)) if df else 0.0
        if term.weight < 1 and limit.get(term.word):
            value = min(value, limit[term.word])
        elif df:
            limit[term.word] = min(value, limit.get(term.word, value))
        idf.append(value)
    scores: dict[int, float] = {}
    for chunk in range(n):
        total = 0.0
        inside = False
        for term, value in zip(query, idf, strict=True):
            path = 0.0
            if paths:
                matched, share, _ = facts.path_documents([term.text])
                path = WEIGHTS.path_weight * max(
                    (
                        float(s)
                        for d, s in zip(matched.tolist(), share.tolist(), strict=True)
                        if d == docs[chunk]
                    ),
                    default=0.0,
                )
            body, name = min(15, bodies[chunk][term.text]), min(15, names[chunk][term.text])
            inside = inside or bool(body or name)
            frequency = body / (1 - WEIGHTS.bm25_b + WEIGHTS.bm25_b * lengths[chunk] / mean)
            frequency += WEIGHTS.name_weight * name + path
            strength = (value or (max(idf) or 1.0)) * term.weight
            total += strength * frequency / (WEIGHTS.bm25_k1 + frequency)
        first = chunk == 0 or docs[chunk] != docs[chunk - 1]
        alone = (
            paths
            and first
            and not any(
                bodies[c][t.text] or names[c][t.text]
                for c in range(n)
                if docs[c] == docs[chunk]
                for t in query
            )
        )
        if inside or (alone and total):
            scores[chunk] = total
    return scores


def terms_of(snapshot: Snapshot, chunk: int) -> set[bytes]:
    """The terms in the bytes of a chunk."""
    number = int(np.searchsorted(snapshot.chunk_base, chunk, "right")) - 1
    segment, local = snapshot.segments[number], chunk - int(snapshot.chunk_base[number])
    content = segment.doc_bytes(int(segment.doc_of_chunk([local])[0]))
    said = words(content[int(segment.chunk_start[local]) : int(segment.chunk_end[local])])
    return {term for word in said for term in terms(word)}


def run(
    corpus: Corpus, query: tuple[Term, ...], mask: Bool | None = None, n: int = 1000, paths: bool = True
) -> Scored:
    snapshot = corpus.index.snapshot()
    facts = make_facts(snapshot, corpus.root_id)
    everything = np.ones(snapshot.n_docs, np.bool_)
    return best_chunks(
        TermLists(snapshot, query),
        everything if mask is None else mask,
        n,
        WEIGHTS,
        FOREVER,
        facts.path_documents if paths else None,
    )


WORDS = st.lists(
    st.sampled_from(
        [
            "retry",
            "wait",
            "limit",
            "request",
            "client",
            "http",
            "backoff",
            "n",
            "a",
            "net",
            "policy",
            "unrelated",
            "missing",
        ]
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=WORDS, paths=st.booleans())
def test_scores_are_those_of_the_formula(corpus: Corpus, said: list[str], paths: bool) -> None:
    query = query_terms(said)
    wanted = oracle(corpus, query, paths)
    found = run(corpus, query, paths=paths)
    got = dict(zip(found.chunk.tolist(), found.score.tolist(), strict=True))
    assert set(got) == set(wanted)
    assert all(abs(got[chunk] - wanted[chunk]) < 1e-3 for chunk in got)
    assert found.score.tolist() == sorted(found.score.tolist(), reverse=True)


def test_a_mask_comes_before_the_limit(corpus: Corpus) -> None:
    snapshot = corpus.index.snapshot()
    view = snapshot.roots[corpus.root_id]
    mask = np.zeros(snapshot.n_docs, np.bool_)
    mask[view.file_doc[view.slot_of(b"net/client.py")]] = True
    found = run(corpus, query_terms(["retry"]), mask, n=1)
    assert snapshot.docs_of_chunks(found.chunk).tolist() == np.flatnonzero(mask).tolist()


def test_the_best_n_are_the_first_n_of_all(corpus: Corpus) -> None:
    query = query_terms(["retry", "wait"])
    everything = run(corpus, query)
    assert run(corpus, query, n=2).chunk.tolist() == everything.chunk[:2].tolist()


def test_any_word_may_be_missing(corpus: Corpus) -> None:
    assert len(run(corpus, query_terms(["retry", "nowhere"])).chunk) == len(
        run(corpus, query_terms(["retry"])).chunk
    )


def test_coverage_is_one_where_every_word_stands(corpus: Corpus) -> None:
    query = query_terms(["retry", "limit"])
    snapshot = corpus.index.snapshot()
    chunks = run(corpus, query).chunk
    ordered = np.sort(chunks)
    covered = dict(zip(ordered.tolist(), cover(TermLists(snapshot, query), ordered).tolist(), strict=True))
    assert covered[int(chunks[0])] == pytest.approx(1.0)
    for chunk, share in covered.items():
        said = terms_of(snapshot, chunk)
        if {b"retry", b"limit"} <= said:
            assert share == pytest.approx(1.0)
        elif said & {term.text for term in query}:
            assert 0 < share < 1
        else:
            assert share == 0  # found by its path
    assert {0.0 < share < 1 for share in covered.values()} == {True, False}


@pytest.mark.parametrize(
    ("said", "found", "absent"),
    [
        (
            ["how", "are", "retries", "limited"],
            [b"retries", b"retry", b"limited", b"limit"],
            [b"how", b"are"],
        ),
        (["the"], [b"the"], []),
        (["getConfig"], [b"get", b"config", b"getconfig"], []),
        (["classes"], [b"classes", b"class"], []),
        (["waiting"], [b"waiting", b"wait", b"waits"], []),
    ],
)
def test_query_terms(said: list[str], found: list[bytes], absent: list[bytes]) -> None:
    texts = [term.text for term in query_terms(said)]
    assert set(found) <= set(texts)
    assert not set(absent) & set(texts)
    assert len(texts) == len(set(texts))
