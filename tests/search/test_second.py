"""The second model says something of files that have its vectors, and of no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.embed.memory import MemoryModel
from indexer.records import F32
from indexer.store.model_vectors import ContentVectors, ModelVectors, chunk_marks
from indexer.store.model_view import ModelReader, ModelView
from indexer.store.segments import SegmentSet
from search.answer import SearchRequest
from search.kernels.numpy_kernel import NumpyKernel
from search.second import SecondMeaning
from tests.search.corpus import Corpus

MODEL = MemoryModel(48)
SPELLED = ("retry", "queue", "request", "parse", "close", "limit", "path", "token")
QUESTION = "how does a request retry"


class Second:
    """A SecondModel over real vectors, of the files that `give` names."""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.vectors = ModelVectors.open(folder, dim=MODEL.dim, rows_max=1)
        self.reader = ModelReader.open(folder, dim=MODEL.dim)
        self.corpus = corpus
        self.expected = True
        self.in_time = True
        self.asked: list[str] = []

    def give(self, paths: set[str]) -> None:
        """Let exactly these files have vectors."""
        snapshot = self.corpus.index.snapshot()
        view = snapshot.roots[self.corpus.root_id]
        wanted: list[ContentVectors] = []
        for slot, path in enumerate(view.paths.tolist()):
            if path.decode() in paths:
                segment, ordinal = snapshot.locate_doc(int(view.file_doc[slot]))
                content = segment.doc_bytes(ordinal)
                chunks = slice(*segment.doc_chunk[ordinal : ordinal + 2].tolist())
                bounds = zip(segment.chunk_start[chunks], segment.chunk_end[chunks], strict=True)
                vectors = MODEL.embed_texts([content[int(a) : int(b)].decode() for a, b in bounds])
                mark = int(chunk_marks(segment)[ordinal])
                wanted.append(ContentVectors(segment.digest[ordinal].tobytes(), mark, vectors))
        self.vectors.remove(list(self.vectors.known))
        self.vectors.add(wanted)
        self.reader.refresh()

    def view(self, segments: SegmentSet) -> ModelView | None:
        """See SecondModel."""
        return self.reader.view(segments)

    def question(self, text: str) -> F32 | None:
        """See SecondModel."""
        self.asked.append(text)
        vector: F32 = MODEL.embed_texts([text])[0].astype(np.float32)
        return vector if self.in_time else None

    def close(self) -> None:
        """Close reader and writer."""
        self.reader.close()
        self.vectors.close()


def files() -> dict[str, str]:
    """Thirty files of random words, the longer ones of several chunks."""
    chance = np.random.default_rng(11)
    return {
        f"{'src' if n % 3 else 'lib'}/f{n}.txt": "\n".join(
            " ".join(chance.choice(SPELLED, size=8)) for _ in range(int(chance.integers(1, 120)))
        )
        for n in range(30)
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Corpus, Second]]:
    folder = tmp_path_factory.mktemp("second")
    corpus = Corpus(folder, files())
    second = Second(corpus, folder / "vectors")
    yield corpus, second
    second.close()
    corpus.close()


SOME = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SOME
@given(having=st.sets(st.sampled_from(sorted(files()))), within=st.sets(st.sampled_from(sorted(files()))))
def test_the_nearest_are_those_of_a_loop_over_all_chunks_that_have_vectors(
    made: tuple[Corpus, Second], having: set[str], within: set[str]
) -> None:
    corpus, second = made
    second.give(having)
    snapshot = corpus.index.snapshot()
    view = snapshot.roots[corpus.root_id]
    mask = np.zeros(snapshot.n_docs, np.bool_)
    scored: dict[int, float] = {}
    query = MODEL.embed_texts([QUESTION])[0].astype(np.float32)
    for slot, path in enumerate(view.paths.tolist()):
        doc = int(view.file_doc[slot])
        mask[doc] = path.decode() in within
        if not mask[doc] or path.decode() not in having:
            continue
        segment, ordinal = snapshot.locate_doc(doc)
        base = int(snapshot.chunk_base[snapshot.segments.index(segment)])
        for chunk in range(*segment.doc_chunk[ordinal : ordinal + 2].tolist()):
            text = segment.doc_bytes(ordinal)[int(segment.chunk_start[chunk]) : int(segment.chunk_end[chunk])]
            scored[base + chunk] = float(MODEL.embed_texts([text.decode()])[0].astype(np.float32) @ query)
    best = sorted((score for score in scored.values() if score != 0), reverse=True)[:7]
    chunks, scores = SecondMeaning(second, snapshot, NumpyKernel()).nearest(QUESTION, mask, 7)
    assert scores.tolist() == pytest.approx(best, abs=2e-3)
    assert [scored[chunk] for chunk in chunks.tolist()] == pytest.approx(best, abs=2e-3)


def test_a_file_without_vectors_is_judged_by_the_first_model_alone(made: tuple[Corpus, Second]) -> None:
    corpus, second = made
    having = {path for path in files() if path.startswith("src/")}
    second.give(having)
    alone = corpus.search(QUESTION, explain=True)
    both = corpus.make_engine(second=second).search(_request(corpus))
    assert {hit.path for hit in alone.hits} == {hit.path for hit in both.hits}
    before = {hit.path: hit.signals for hit in alone.hits}
    for hit in both.hits:
        same = hit.signals["file meaning_of_file"] == before[hit.path]["file meaning_of_file"]
        if hit.path not in having:
            assert same and hit.signals["transformer"] == 0
    assert any(
        hit.signals["file meaning_of_file"] != before[hit.path]["file meaning_of_file"] for hit in both.hits
    )
    assert any(hit.signals["transformer"] > 0 for hit in both.hits)
    (step,) = [step for step in both.explain.steps if step.name.startswith("transformer")]  # type: ignore[union-attr]
    assert step.candidates == len(having) and step.kept > 0 and not step.note


def test_without_a_vector_of_the_question_the_answer_is_that_of_the_first_model_and_says_so(
    made: tuple[Corpus, Second],
) -> None:
    corpus, second = made
    second.give(set(files()))
    second.asked.clear()
    second.in_time = False
    try:
        silent = corpus.make_engine(second=second).search(_request(corpus))
    finally:
        second.in_time = True
    alone = corpus.search(QUESTION)
    assert [(hit.path, hit.line) for hit in silent.hits] == [(hit.path, hit.line) for hit in alone.hits]
    assert [hit.score for hit in silent.hits] == [hit.score for hit in alone.hits]
    told = "the transformer model did not answer within 30 ms; the built-in one answers alone"
    assert told in silent.warnings and told not in alone.warnings
    assert second.asked == [QUESTION]  # once, for all that is made of it


def test_nothing_is_asked_where_nothing_is_meant(made: tuple[Corpus, Second]) -> None:
    corpus, second = made
    second.asked.clear()
    engine = corpus.make_engine(second=second)
    for query in ("retry", '"retry queue"', "lang:text retry"):
        answer = engine.search(_request(corpus, query))
        assert answer.hits and not [step for step in answer.explain.steps if "transformer" in step.name]  # type: ignore[union-attr]
    assert not second.asked


def test_it_is_part_of_ranked_terms_in_boolean_queries(made: tuple[Corpus, Second]) -> None:
    corpus, second = made
    second.give(set(files()))
    second.asked.clear()
    answer = corpus.make_engine(second=second).search(_request(corpus, f'path:src/ ~"{QUESTION}" OR zzz'))
    assert answer.hits and second.asked == [QUESTION]


def _request(corpus: Corpus, query: str = QUESTION) -> SearchRequest:
    return SearchRequest(query, corpus.root_id, limit=1000, explain=True)
