"""Meaning as a term of boolean queries: filters hold for every hit, and cost none that they admit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.budget import Budget
from search.facts import make_facts
from search.query import Meaning
from tests.search.corpus import Corpus

SPELLED = ("retry", "queue", "request", "parse", "close", "limit", "path", "token")
# A filter in the query language, and what it says of a file's path and text.
FILTERS: dict[str, Callable[[str, str], bool]] = {
    "lang:python": lambda path, _: path.endswith(".py"),
    "-lang:go": lambda path, _: not path.endswith(".go"),
    "path:src/": lambda path, _: "src/" in path,
    "file:a*": lambda path, _: path.rpartition("/")[2].startswith("a"),
    "retry": lambda _, text: "retry" in text,
    "NOT queue": lambda _, text: "queue" not in text,
    "(lang:go OR path:lib/)": lambda path, _: path.endswith(".go") or "lib/" in path,
    '"close limit"': lambda _, text: "close limit" in text,
}


def files() -> dict[str, str]:
    """Forty small files of random words in three languages and two folders."""
    chance = np.random.default_rng(3)
    made = {}
    for number in range(40):
        folder, suffix = chance.choice(["src", "lib", "src/deep"]), chance.choice(["py", "go", "txt"])
        text = " ".join(chance.choice(SPELLED, size=int(chance.integers(3, 30))))
        made[f"{folder}/{'ab'[number % 2]}{number}.{suffix}"] = f"{text}\n{number}\n"
    return made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = Corpus(tmp_path_factory.mktemp("meaning"), files())
    made.save({"src/later.py": "parse token retry close limit\n"})  # a second segment
    yield made
    made.close()


QUESTIONS = st.lists(st.sampled_from(SPELLED), min_size=1, max_size=4).map(" ".join)
CHOSEN = st.lists(st.sampled_from(sorted(FILTERS)), max_size=3, unique=True)
SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SOME
@given(question=QUESTIONS, chosen=CHOSEN)
def test_every_hit_satisfies_the_filters_and_none_is_lost(
    corpus: Corpus, question: str, chosen: list[str]
) -> None:
    found = corpus.paths(f'~"{question}" {" ".join(chosen)}')
    texts = {**files(), "src/later.py": "parse token retry close limit\n"}
    admitted = {path for path, text in texts.items() if all(FILTERS[each](path, text) for each in chosen)}
    assert set(found) <= admitted
    # The limit is larger than the tree: what is admitted is found, near or far.
    assert set(found) == admitted


@SOME
@given(question=QUESTIONS, chosen=CHOSEN, n=st.integers(1, 12))
def test_the_nearest_among_the_admitted_are_those_of_all_that_are_admitted(
    corpus: Corpus, question: str, chosen: list[str], n: int
) -> None:
    snapshot = corpus.index.snapshot()
    facts = make_facts(snapshot, corpus.root_id)
    ranked = corpus.engine._meanings.of(snapshot, facts, Budget(60_000, None))
    texts = {**files(), "src/later.py": "parse token retry close limit\n"}
    slots = np.zeros(len(facts.paths), np.bool_)
    for slot, path in enumerate(facts.paths.tolist()):
        name = path.decode()
        slots[slot] = all(FILTERS[each](name, texts[name]) for each in chosen)
    mask = facts.doc_mask(slots)
    everything, cosines = ranked.nearest(Meaning(question), facts.doc_mask(facts.alive), snapshot.n_chunks)
    docs = [_document(corpus, chunk) for chunk in everything.tolist()]
    wanted = [float(cosine) for cosine, doc in zip(cosines, docs, strict=True) if mask[doc]][:n]
    _, scores = ranked.nearest(Meaning(question), mask, n)
    assert scores.tolist() == pytest.approx(wanted, abs=1e-4)


def _document(corpus: Corpus, chunk: int) -> int:
    """Return the document of a chunk."""
    snapshot = corpus.index.snapshot()
    number = int(np.searchsorted(snapshot.chunk_base, chunk, side="right")) - 1
    local = chunk - int(snapshot.chunk_base[number])
    return int(snapshot.seg_base[number]) + int(snapshot.segments[number].doc_of_chunk([local])[0])
