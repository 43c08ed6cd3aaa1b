"""Vectors of a second model belong to contents, survive crashes, and never change under a reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.store.faults import VARIABLE
from indexer.store.format import NO_ROW
from indexer.store.model_vectors import ContentVectors, chunk_marks
from tests.store.model_vectors_home import MODEL, Vectors
from tests.support import small_segment

HOUSE = Path(__file__).resolve().parents[2]
OLD = {"a.py": "def alpha():\n    beta(1)\n" * 5, "b.py": "def beta(): pass\n", "c.py": "gamma(1)\n" * 9}
NEW = {"a.py": "def alpha():\n    beta(2)\n" * 7, "d.py": "def delta(): alpha()\n"}


def filled(folder: Path) -> Vectors:
    """An index of OLD with all its vectors."""
    made = Vectors(folder)
    made.index.apply(made.index.add_root(), OLD)
    made.embed_missing()
    return made


def test_every_chunk_has_the_vector_of_its_text(tmp_path: Path) -> None:
    with filled(tmp_path) as made:
        reader = made.reader()
        assert made.check(reader) == made.index.snapshot().n_chunks == made.vectors.n_rows
        made.index.apply(1, NEW)
        assert made.check(reader) < made.index.snapshot().n_chunks  # what is new has none yet
        made.embed_missing()
        assert made.check(reader) == made.index.snapshot().n_chunks
        reader.close()


def test_moved_content_keeps_its_vectors_and_a_merge_changes_none(tmp_path: Path) -> None:
    with filled(tmp_path) as made:
        reader = made.reader()
        made.index.apply(1, {"moved.py": OLD["a.py"]}, ["a.py"])
        assert not made.missing()
        made.index.apply(1, NEW, ["c.py"])
        assert made.index.merge(any_dead=True)
        made.embed_missing()
        assert made.check(reader) == made.index.snapshot().n_chunks
        reader.close()


def test_content_that_is_cut_otherwise_does_not_get_the_old_vectors(tmp_path: Path) -> None:
    with filled(tmp_path) as made:
        (segment,) = made.index.snapshot().segments
        digest, mark = segment.digest[0].tobytes(), int(chunk_marks(segment)[0])
        n_chunks = int(segment.doc_chunk[1])
        made.vectors.add([ContentVectors(digest, mark ^ 1, np.zeros((n_chunks, MODEL.dim), np.float16))])
        reader = made.reader()
        view = reader.view(made.index.snapshot().segment_set)
        assert view is not None and (view.chunk_row[:n_chunks] == NO_ROW).all()
        assert not view.complete_docs[0] and view.complete_docs[1:].all()
        made.embed_missing()
        assert made.check(reader) == made.index.snapshot().n_chunks
        reader.close()


def test_a_mark_says_where_chunks_begin_and_end_and_to_which_document_they_belong(tmp_path: Path) -> None:
    texts: list[str | bytes] = ["x\n" * 9, "x\n" * 9, "xx\n" * 9, "x\n" * 8, "", "x\n"]
    one, two, wider, shorter, empty, single = chunk_marks(small_segment(tmp_path / "s.seg", texts)).tolist()
    assert one == two and empty == 0
    assert len({one, wider, shorter, empty, single}) == 5


def test_rows_of_contents_that_are_gone_are_used_again_but_not_under_a_reader(tmp_path: Path) -> None:
    with filled(tmp_path) as made:
        reader = made.reader()
        before = made.index.snapshot()
        view = reader.view(before.segment_set)
        assert view is not None
        had = view.vectors[view.chunk_row].copy()
        made.index.apply(1, NEW, ["c.py"])
        assert made.index.merge(any_dead=True)
        assert made.remove_gone() == 2  # the old a.py and c.py
        for i in range(30):
            made.index.apply(1, {f"{i}.py": f"epsilon({i})\n"})
            made.embed_missing()
        assert np.array_equal(view.vectors[view.chunk_row], had)
        freed = made.vectors.reclaim()
        assert freed == 0
        del view
        made.check(reader)
        made.check(reader)  # the view before went with the first one
        assert made.vectors.reclaim() > 0
        reader.close()


def test_damaged_or_lost_files_cost_the_vectors_and_nothing_else(tmp_path: Path) -> None:
    with filled(tmp_path) as made:
        reader = made.reader()
        made.vectors.close()
        next((tmp_path / "vectors" / "pool").glob("*.vectors")).unlink()
        again = Vectors.__new__(Vectors)
        again.__dict__ |= {**made.__dict__}
        again.vectors = type(made.vectors).open(tmp_path / "vectors", dim=MODEL.dim, rows_max=1)
        assert not again.vectors.known and reader.is_replaced
        reader.close()
        again.embed_missing()
        reader = again.reader()
        assert again.check(reader) == again.index.snapshot().n_chunks
        made.vectors = again.vectors
        reader.close()


def test_a_damaged_catalog_is_made_anew(tmp_path: Path) -> None:
    filled(tmp_path).close()
    catalog = tmp_path / "vectors" / "catalog" / "data.mdb"
    catalog.write_bytes(os.urandom(len(catalog.read_bytes())))
    with Vectors(tmp_path) as made:
        assert not made.vectors.known
        made.embed_missing()
        reader = made.reader()
        assert made.check(reader) == made.index.snapshot().n_chunks
        reader.close()


@pytest.mark.parametrize("what", ["add", "remove"])
@pytest.mark.parametrize(
    ("point", "published"),
    [
        ("model-vectors-written", False),
        ("model-vectors-before-commit", False),
        ("model-vectors-committed", True),
    ],
)
def test_a_step_is_published_whole_or_not_at_all(
    tmp_path: Path, point: str, published: bool, what: str
) -> None:
    if what == "remove" and point == "model-vectors-written":
        return  # it writes none
    with filled(tmp_path) as made:
        made.index.apply(1, NEW, ["c.py"])
        made.index.merge(any_dead=True)
        known = set(made.vectors.known)
        n_gone = len(known) - 1
        missing = {content.digest for content in made.missing()}
    environment = {**os.environ, VARIABLE: point, "PYTHONPATH": str(HOUSE)}
    command = [sys.executable, "-m", "tests.store.model_vectors_child", str(tmp_path), what]
    done = subprocess.run(command, cwd=HOUSE, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Vectors(tmp_path) as again:
        now = set(again.vectors.known)
        if what == "add":
            assert now == (known | missing if published else known)
        else:
            assert len(now) == (len(known) - n_gone if published else len(known))
        reader = again.reader()
        again.check(reader)
        again.embed_missing()
        again.remove_gone()
        assert again.check(reader) == again.index.snapshot().n_chunks == again.vectors.n_rows
        reader.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["save", "remove", "embed one", "embed", "merge", "tidy", "look"]),
        st.sampled_from("abcd"),
        st.integers(0, 5),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_reader_that_followed_sees_what_a_new_one_sees(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    with Vectors(tmp_path_factory.mktemp("vectors")) as made:
        root = made.index.add_root()
        files: set[str] = set()
        follower = made.reader()
        for what, name, n in steps:
            if what == "save":
                made.index.apply(root, {name: f"{name}({n})\n" * (1 + 3 * n)})
                files.add(name)
            elif what == "remove" and name in files:
                made.index.apply(root, removes=[name])
                files.remove(name)
            elif what == "embed one":
                made.embed_missing(1)
            elif what == "embed":
                made.embed_missing()
            elif what == "merge":
                made.index.merge(any_dead=True)
            elif what == "tidy":
                made.remove_gone()
            elif what == "look":
                made.check(follower)
        made.check(follower)
        fresh = made.reader()
        made.check(fresh)
        segments = made.index.snapshot().segment_set
        one, two = follower.view(segments), fresh.view(segments)
        assert one is not None and two is not None
        assert np.array_equal(one.chunk_row, two.chunk_row)
        assert np.array_equal(one.complete_docs, two.complete_docs)
        fresh.close()
        follower.close()
