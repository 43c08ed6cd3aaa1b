"""Code like a piece of code: its rarest words, its vectors, its place; over a real index, against loops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from config.errors import UsageError
from indexer.words import terms, words
from search.alike import SIGNAL
from search.answer import Shown
from search.example import Code, code_of
from search.facts import make_facts
from search.kernels.numpy_kernel import NumpyKernel
from search.lexical import STOP_WORDS
from search.semantic import live_rows
from search.similar import (
    PARTS_MAX,
    TERMS_MAX,
    TERMS_MIN,
    nearest,
    others,
    parts,
    rarest_terms,
    with_others,
)
from tests.search.corpus import Corpus

READ = """def read_pages(source, count):
    pages = []
    for number in range(count):
        page = source.read_page(number)
        if page is None:
            break
        pages.append(page)
    return pages
"""
RENAMED = READ.replace("page", "block").replace("source", "device").replace("number", "index")
OTHER = """def close_all(handles):
    for handle in handles:
        handle.close()
    handles.clear()
    return len(handles)
"""
SMALL = 'LIMIT = 3\n\n\ndef size_of(x):\n    """Say it."""\n    total = 0\n    return total\n'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    filler = {f"lib/f{i}.py": f"def filler_{i}(a):\n    return a + {i}\n" * 3 for i in range(30)}
    files = {"src/read.py": READ, "src/renamed.py": RENAMED, "src/other.py": OTHER, "src/small.py": SMALL}
    made = Corpus(tmp_path_factory.mktemp("similar"), filler | files)
    made.save({"src/later.py": f"# later\n\n{READ}\n\n{OTHER}"})  # a second segment
    yield made
    made.close()


def resolved(corpus: Corpus, shown: Shown) -> Code:
    snapshot = corpus.index.snapshot()
    return code_of(shown, snapshot, lambda root_id: make_facts(snapshot, root_id), 1 << 20)


def at(corpus: Corpus, path: str, line: int, text: str = "") -> Shown:
    return Shown(text, f"/x/{path}", line, corpus.root_id, path)


def test_the_rarest_terms_are_those_that_the_fewest_chunks_have(corpus: Corpus) -> None:
    snapshot = corpus.index.snapshot()
    texts = []
    for segment in snapshot.segments:
        bounds = zip(segment.chunk_start.tolist(), segment.chunk_end.tolist(), strict=True)
        owner = segment.doc_of_chunk(np.arange(segment.n_chunks)).tolist()
        texts += [segment.doc_bytes(doc)[a:b] for doc, (a, b) in zip(owner, bounds, strict=True)]
    having = [{term for word in words(text) for term in terms(word)} for text in texts]
    code = (READ + OTHER).encode()
    spelled = {word for word in words(code) if word.lower() not in STOP_WORDS}
    counts = {
        term: n for word in spelled for term in terms(word) if (n := sum(term in each for each in having))
    }
    found = rarest_terms(snapshot, code)
    assert TERMS_MIN < len(found) <= TERMS_MAX
    assert [counts[term.text] for term in found] == sorted(counts.values())[: len(found)]


def test_the_nearest_to_several_vectors_are_nearest_to_any(corpus: Corpus) -> None:
    snapshot, pool = corpus.index.snapshot(), corpus.index.pool
    vectors = [row.astype(np.float32) for row in corpus.model.embed_texts([READ, OTHER, "filler 7"])]
    live = live_rows(snapshot, np.ones(snapshot.n_docs, np.bool_))
    best: dict[int, float] = {}
    for chunk in range(snapshot.n_chunks):
        segment, number = snapshot.locate_chunk(chunk)
        row = pool.vectors[int(segment.chunk_row[number])].astype(np.float32)
        best[chunk] = max(float(row @ vector) for vector in vectors)
    for n in (1, 5, 1000):
        chunks, scores = nearest(snapshot, pool, NumpyKernel(), vectors, live, n)
        assert scores.tolist() == pytest.approx(sorted(best.values(), reverse=True)[:n], abs=1e-3)
        assert [best[chunk] for chunk in chunks.tolist()] == pytest.approx(scores.tolist(), abs=1e-3)
    few = nearest(snapshot, pool, NumpyKernel(), vectors, live, 2)
    chunks, scores = with_others(snapshot, pool, vectors, few, np.arange(snapshot.n_chunks))
    assert chunks[:2].tolist() == few[0].tolist() and sorted(chunks.tolist()) == sorted(best)
    assert [best[chunk] for chunk in chunks.tolist()] == pytest.approx(scores.tolist(), abs=1e-3)


def test_a_long_piece_has_parts_from_all_of_it() -> None:
    content = b"".join(b"line %d of it = %d\n" % (i, i) for i in range(20_000))
    cut = parts(content)
    assert len(cut) == PARTS_MAX and content.startswith(cut[0])
    places = [content.index(part) for part in cut]
    assert places == sorted(places) and places[-1] > 0.9 * len(content)
    assert parts(READ.encode()) == [READ.encode()]


def test_the_code_itself_is_no_answer_and_what_overlaps_it_neither(corpus: Corpus) -> None:
    snapshot = corpus.index.snapshot()
    facts = make_facts(snapshot, corpus.root_id)
    code = resolved(corpus, at(corpus, "src/later.py", 5))
    assert code.content.decode() == READ.rstrip("\n")
    every = np.arange(snapshot.n_chunks)
    away = others(snapshot, facts, code, every)
    doc = int(facts.doc[code.slot])
    for chunk in every.tolist():
        segment, number = snapshot.locate_chunk(chunk)
        start, end = int(segment.chunk_start[number]), int(segment.chunk_end[number])
        is_own = (
            snapshot.docs_of_chunks(np.array([chunk]))[0] == doc and start < code.end and end > code.start
        )
        assert away[chunk] == (not is_own)


def test_like_a_function_are_its_copies_then_renamed_ones(corpus: Corpus) -> None:
    answer = corpus.search("", shown=at(corpus, "src/read.py", 4), explain=True, limit=5)
    assert [(hit.path, hit.symbol) for hit in answer.hits[:2]] == [
        ("src/later.py", "read_pages"),
        ("src/renamed.py", "read_blocks"),
    ]
    assert {"semantic", "lexical", "coverage", SIGNAL} <= set(answer.hits[0].signals)
    assert all(hit.signals[SIGNAL] <= 2 for hit in answer.hits)
    assert answer.hits[0].signals[SIGNAL] == pytest.approx(2)
    assert answer.hits[1].signals[SIGNAL] == pytest.approx(1.9, abs=0.05)


def test_the_field_ranks_by_words_too(corpus: Corpus) -> None:
    answer = corpus.search("similar:src/other.py:2", explain=True, limit=3)
    assert answer.hits[0].path == "src/later.py" and answer.hits[0].symbol == "close_all"
    assert answer.hits[0].signals["lexical"] > 0 and answer.hits[0].signals["semantic"] > 0
    without_model = corpus.make_engine(pool=None, embedder=None, kernel=None)
    corpus.engine, engine = without_model, corpus.engine
    by_words = corpus.search("similar:src/other.py:2", limit=3)
    corpus.engine = engine
    assert by_words.hits[0].path == "src/later.py"
    assert any("there is no model" in warning for warning in by_words.warnings)


@pytest.mark.parametrize(
    ("path", "line", "text", "expected"),
    [
        ("src/read.py", 4, "", READ.rstrip("\n")),
        ("src/small.py", 6, "", SMALL.partition("\n\n\n")[2].rstrip("\n")),  # a variable of one line in it
        ("src/small.py", 1, "", SMALL),  # at file level: its chunk
        ("src/small.py", 2, f"# changed\n{READ}", READ),  # an unsaved text
        ("new.py", 3, f"{OTHER}\n", OTHER),  # in no index
    ],
)
def test_the_code_around_a_line(corpus: Corpus, path: str, line: int, text: str, expected: str) -> None:
    code = resolved(corpus, at(corpus, path, line, text))
    assert code.content.decode() == expected
    assert code.language == "python"


def test_a_changed_file_is_read_as_it_is_now(corpus: Corpus) -> None:
    place = corpus.root / "src" / "changed.py"
    corpus.save({"src/changed.py": READ})
    place.write_text(f"import os\n\n\n{OTHER}")
    assert resolved(corpus, at(corpus, "src/changed.py", 6)).content.decode() == OTHER
    place.unlink()
    with pytest.raises(UsageError, match="no longer there"):
        resolved(corpus, at(corpus, "src/changed.py", 6))
