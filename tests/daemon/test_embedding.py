"""Every content gets the vectors of the second model, newest first, once, and again when it changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from config.errors import PoolFull
from daemon.embedding import BATCH_CHUNKS, STEP_CHUNKS, Embedding, Progress, embedded
from indexer.embed.memory import MemoryModel
from indexer.records import F16
from indexer.store.model_vectors import ModelVectors
from tests.store.model_vectors_home import MODEL, Vectors


class Counting:
    """A model that remembers what it was asked, and that can fail."""

    name, fingerprint, dim = MODEL.name, MODEL.fingerprint, MODEL.dim

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed_texts(self, texts: Sequence[str]) -> F16:
        self.batches.append(list(texts))
        return MODEL.embed_texts(texts)

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


class Made:
    """An index, its vectors, and what fills them; each look at the clock is a second later."""

    def __init__(self, folder: Path) -> None:
        self.vectors = Vectors(folder)
        self.index = self.vectors.index
        self.model = Counting()
        self.settled = True
        self.now = 0.0
        self.embedding = self.anew()

    def anew(self) -> Embedding:
        """The work as a new process begins it."""
        return Embedding(
            self.index.reader, self.vectors.vectors, self.model, lambda: self.settled, self.clock
        )

    def clock(self) -> float:
        self.now += 1.0
        return self.now

    def all_steps(self) -> int:
        n = 0
        while done := self.embedding.step():
            n += done
        return n

    def check_whole(self) -> None:
        """Every chunk of the index has its vector."""
        reader = self.vectors.reader()
        assert self.vectors.check(reader) == self.index.snapshot().n_chunks
        reader.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    one = Made(tmp_path)
    one.index.add_root()
    yield one
    one.vectors.close()


def files(n: int, word: str = "alpha") -> dict[str, str | bytes]:
    return {f"{word}{i}.py": f"{word}({i})\n" * (1 + i % 9) for i in range(n)}


def test_all_contents_get_their_vectors_each_once(made: Made) -> None:
    made.index.apply(1, {**files(40), "twin.py": b"alpha(0)\n"})
    n_chunks = made.index.snapshot().n_chunks
    assert made.all_steps() == n_chunks == len(made.model.texts)
    made.check_whole()
    assert made.embedding.step() == 0
    assert made.anew().step() == 0  # a new process has nothing to do


def test_only_what_changed_is_embedded_again(made: Made) -> None:
    made.index.apply(1, files(10))
    made.all_steps()
    made.model.batches.clear()
    made.index.apply(1, {"alpha3.py": "omega(1)\n", "moved.py": files(10)["alpha5.py"]}, ["alpha5.py"])
    assert made.all_steps() == 1
    assert made.model.texts == ["omega(1)\n"]


def test_what_was_saved_last_comes_first_and_a_step_is_bounded(made: Made) -> None:
    made.index.apply(1, files(3 * STEP_CHUNKS))
    made.index.apply(1, {"newest.py": "newest()\n"})
    assert 0 < made.embedding.step() <= STEP_CHUNKS
    assert "newest()\n" in made.model.texts
    made.index.apply(1, {"later.py": "later()\n"})
    made.model.batches.clear()
    made.embedding.step()
    assert "later()\n" in made.model.texts
    assert made.all_steps()
    assert made.embedding.progress().files_done == 3 * STEP_CHUNKS + 2


def test_a_file_longer_than_a_step_is_a_step(made: Made) -> None:
    made.index.apply(1, {"long.py": "line()\n" * (8 * STEP_CHUNKS)})
    assert made.embedding.step() == 2 * STEP_CHUNKS
    made.check_whole()


def test_files_of_which_there_is_only_the_text_wait(made: Made) -> None:
    made.index.apply(1, files(3), shallow=True)
    assert made.embedding.step() == 0
    assert made.embedding.progress() == Progress(0, 0, 0, 0, 0.0, 0.0)
    made.index.apply(1, files(3))
    assert made.all_steps() == 3


def test_progress_counts_paths_and_says_when_it_ends(made: Made) -> None:
    made.index.apply(1, {**files(3), "twin.py": b"alpha(0)\n"})
    before = made.embedding.progress()
    assert (before.files_done, before.files_total) == (0, 4)
    assert (before.chunks_done, before.chunks_total, before.chunks_per_s, before.eta_s) == (0, 3, 0.0, 0.0)
    made.embedding.step()  # between two looks at the clock: a second
    after = made.embedding.progress()
    assert (after.files_done, after.chunks_done, after.chunks_per_s, after.eta_s) == (4, 3, 3.0, 0.0)
    made.index.apply(1, files(6, "beta"))
    assert made.embedding.progress().eta_s == 2.7  # eight chunks at three a second


def test_vectors_of_contents_that_are_gone_are_forgotten_once_all_is_settled(made: Made) -> None:
    made.index.apply(1, files(4))
    made.all_steps()
    made.index.apply(1, {}, ["alpha0.py", "alpha1.py"])
    assert made.embedding.tidy() == 0  # the segment holds them still: they may come back
    made.index.merge(any_dead=True)
    made.settled = False
    assert made.embedding.tidy() == 0
    made.settled = True
    assert made.embedding.tidy() == 2
    made.check_whole()


def test_a_failed_step_is_done_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.index.apply(1, files(4))

    def full(*_: object) -> None:
        raise PoolFull(1)

    with monkeypatch.context() as patch:
        patch.setattr(made.vectors.vectors, "add", full)
        with pytest.raises(PoolFull):
            made.embedding.step()
    assert made.embedding.progress().files_done == 0
    made.all_steps()
    made.check_whole()


def test_batches_are_of_like_length_and_give_each_text_its_own_vector() -> None:
    chance = np.random.default_rng(5)
    texts = [" ".join(chance.choice(["a", "bb", "ccc"], size=int(n))) for n in chance.integers(1, 60, 100)]
    model = Counting()
    vectors = embedded(model, texts)
    lengths = [len(text) for batch in model.batches for text in batch]
    assert lengths == sorted(lengths)
    assert [len(batch) for batch in model.batches] == [BATCH_CHUNKS] * 3 + [4]
    alone = np.concatenate([MODEL.embed_texts([text]) for text in texts])
    assert np.array_equal(vectors, alone)


def test_another_model_has_vectors_of_its_own(made: Made, tmp_path: Path) -> None:
    made.index.apply(1, files(4))
    made.all_steps()
    other = MemoryModel(40)
    vectors = ModelVectors.open(tmp_path / other.fingerprint, dim=other.dim, rows_max=1)
    embedding = Embedding(made.index.reader, vectors, other, lambda: True)
    assert embedding.step() == 4
    assert vectors.dim == 40 and vectors.n_rows == 4
    vectors.close()
    made.check_whole()
