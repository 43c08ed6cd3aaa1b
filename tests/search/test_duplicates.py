"""Near-duplicates over a real index, against comparing every unit with every other."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from config.errors import NoSuchRoot, UsageError
from indexer.records import Batch, Stat, Upsert
from search import copies
from search.answer import Shown
from search.copies import charges, lacking_at_most, needed, sharing, units_of_chunks
from search.duplicates import DuplicatesAnswer, DuplicatesRequest, whole_words
from search.shingles import TOKENS_MIN, share, tokens
from tests.search.corpus import Corpus
from tests.support import digest_of

NAMES = [
    f"{verb}_{noun}" for verb in ("read", "send", "open", "walk") for noun in ("page", "queue", "node", "row")
]
VARIABLES = ["count", "total", "index", "value", "first", "other", "buffer", "left"]
LINES: list[Callable[[random.Random], str]] = [
    lambda c: f"{c.choice(VARIABLES)} = {c.choice(VARIABLES)} + {c.randrange(9)}",
    lambda c: f"{c.choice(NAMES)}({c.choice(VARIABLES)}, {c.choice(VARIABLES)})",
    lambda c: f"if {c.choice(VARIABLES)} > {c.choice(VARIABLES)}: {c.choice(VARIABLES)} -= 1",
    lambda c: f'print("{c.choice(NAMES)}", {c.choice(VARIABLES)})  # {c.choice(NAMES)}',
    lambda c: f"{c.choice(VARIABLES)} = {c.choice(NAMES)}_{c.randrange(80)}.of({c.choice(VARIABLES)})",
    lambda c: f"{c.choice(VARIABLES)}.append(({c.choice(VARIABLES)}, {c.randrange(99)}))",
]


def function(chance: random.Random, number: int) -> list[str]:
    """A function of random statements, of words that are everywhere and of some that are rare."""
    body = [f"    {chance.choice(LINES)(chance)}" for _ in range(chance.randrange(2, 14))]
    return [f"def {chance.choice(NAMES)}_{number % 7}({chance.choice(VARIABLES)}):", *body, ""]


def edited(chance: random.Random, lines: list[str]) -> list[str]:
    """A copy with some lines changed, dropped or added, or with other names."""
    out = []
    for line in lines:
        if line.startswith("    ") and chance.random() < 0.12:
            continue
        out.append(line)
        if line.startswith("    ") and chance.random() < 0.1:
            out.append(f"    {chance.choice(LINES)(chance)}")
    if chance.random() < 0.4:
        spelled = sorted({name for line in out for name in re.findall(r"[a-z]+_[a-z]+_[0-9]+", line)})
        old, new = chance.choice([*spelled, *VARIABLES]), f"other_{chance.randrange(1000)}"
        out = [re.sub(rf"\b{old}\b", new, line) for line in out]
    return out


def corpus_files(seed: int) -> dict[str, str]:
    """Files of functions, most of them copies of others with edits."""
    chance = random.Random(seed)
    known: list[list[str]] = []
    files: dict[str, str] = {}
    for number in range(24):
        lines: list[str] = []
        for _ in range(chance.randrange(1, 9)):
            if known and chance.random() < 0.6:
                made = edited(chance, chance.choice(known))
            else:
                made = function(chance, len(known))
            known.append(made)
            lines += made
        if chance.random() < 0.3:
            lines += [chance.choice(LINES)(chance) for _ in range(chance.randrange(5, 60))]
        files[f"m{number}.{chance.choice(['py', 'py', 'txt'])}"] = "\n".join(lines) + "\n"
    return files


class Roots(Corpus):
    """A corpus with a second root."""

    def __init__(self, folder: Path, files: dict[str, str], more: dict[str, str]) -> None:
        super().__init__(folder, files)
        self.second = folder / "second"
        self.second.mkdir()
        self.second_id = self.index.add_root(str(self.second))
        upserts = []
        for path, text in more.items():
            (self.second / path).write_text(text)
            found, raw = (self.second / path).stat(), text.encode()
            prepared = None if self.index.writer.known(digest_of(raw)) else self.prepared(path, raw)
            stat = Stat(found.st_size, found.st_mtime_ns, found.st_ino)
            upserts.append(Upsert(path.encode(), stat, digest_of(raw), prepared))
        self.index.writer.apply(Batch(self.second_id, upserts, []))

    def duplicates(self, shown: Shown, **request: object) -> DuplicatesAnswer:
        """Ask for everything that is like some code."""
        fields = {"limit": 10_000, "deadline_ms": 60_000} | request
        return self.engine.duplicates(DuplicatesRequest(shown, **fields))  # type: ignore[arg-type]

    def at(self, path: str, line: int, text: str = "") -> Shown:
        """A place in the first root."""
        return Shown(text, str(self.root / path), line, self.root_id, path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roots]:
    first, second = corpus_files(1), corpus_files(2)
    second |= {f"copy_of_{name}": text for name, text in list(first.items())[:4]}
    made = Roots(tmp_path_factory.mktemp("duplicates"), first, second)
    yield made
    made.close()


@dataclass(frozen=True)
class Unit:
    """What is compared."""

    root: str
    path: str
    line: int
    last: int  # line
    language: str
    text: bytes

    def overlaps(self, root: str, path: str, first: int, last: int) -> bool:
        """Whether these lines are some of its own."""
        return (root, path) == (self.root, self.path) and first <= self.last and last >= self.line


def every_unit(corpus: Roots) -> Iterator[Unit]:
    """All definitions, and all chunks that show none."""
    snapshot = corpus.index.snapshot()
    for view in snapshot.roots.values():
        for slot, path in enumerate(view.paths.tolist()):
            segment, ordinal = snapshot.locate_doc(int(view.file_doc[slot]))
            content = segment.doc_bytes(ordinal)
            spans = {
                (int(segment.def_start[d]), int(segment.def_end[d]))
                for d in range(int(segment.doc_def[ordinal]), int(segment.doc_def[ordinal + 1]))
            }
            spans |= {
                (int(segment.chunk_start[c]), int(segment.chunk_end[c]))
                for c in range(int(segment.doc_chunk[ordinal]), int(segment.doc_chunk[ordinal + 1]))
                if segment.chunk_def[c] < 0
            }
            for start, end in sorted(spans):
                if end - start >= TOKENS_MIN:
                    lines = [content.count(b"\n", 0, at) + 1 for at in (start, end - 1)]
                    text = whole_words(content, start, end)
                    yield Unit(view.path, path.decode(), *lines, segment.language_name(ordinal), text)


def shown_lines(answer: DuplicatesAnswer) -> set[tuple[str, str, int]]:
    return {(hit.root, hit.path, hit.line) for hit in answer.hits}


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9, 1.0])
def test_nothing_as_alike_as_the_threshold_is_missed(corpus: Roots, threshold: float) -> None:
    units = list(every_unit(corpus))
    asked = n_wanted = 0
    for one in units:
        code = tokens(one.language, one.text)
        if one.root != str(corpus.root) or len(code) < TOKENS_MIN or not one.text.startswith(b"def"):
            continue
        answer = corpus.duplicates(corpus.at(one.path, one.line), threshold=threshold)
        assert not answer.incomplete
        hits = [(hit.root, hit.path, hit.start_line, hit.end_line, hit.similarity) for hit in answer.hits]
        for unit in units:
            exact = share(code.exact_runs, tokens(unit.language, unit.text).exact_runs)
            if exact < threshold or unit.overlaps(one.root, one.path, one.line, one.last):
                continue
            # It is found, or something that overlaps it and is at least as much alike.
            assert any(unit.overlaps(*place) and similarity >= exact - 1e-4 for *place, similarity in hits), (
                unit
            )
            n_wanted += 1
        for hit in answer.hits:  # nothing else comes but what has the shape
            assert hit.similarity == max(hit.signals["exact"], hit.signals["shape"]) >= threshold - 1e-4
        asked += 1
    assert asked > 30 and n_wanted > 20


def test_the_posting_lists_alone_miss_nothing(corpus: Roots) -> None:
    """The first pass without what is near by vectors: every unit with the share is a candidate."""
    snapshot = corpus.index.snapshot()
    units = list(every_unit(corpus))
    everywhere = np.ones(snapshot.n_docs, np.bool_)
    narrowed = 0
    for one in units[::3]:
        code = tokens(one.language, one.text)
        if len(code) < TOKENS_MIN:
            continue
        for threshold in (0.4, 0.8):
            candidates = set()
            for part in sharing(snapshot, everywhere, code.exact_runs, threshold):
                base = int(snapshot.seg_base[part.number])
                columns = (part.ordinal + base, part.start, part.end)
                for doc, start, end in zip(*(c.tolist() for c in columns), strict=True):
                    segment, ordinal = snapshot.locate_doc(doc)
                    candidates.add(whole_words(segment.doc_bytes(ordinal), start, end))
            for unit in units:
                if share(code.exact_runs, tokens(unit.language, unit.text).exact_runs) >= threshold:
                    assert unit.text in candidates
            narrowed += len(candidates) < len({unit.text for unit in units})
    assert narrowed > 20  # and it is no list of everything


def test_a_unit_may_lack_so_many_runs_and_no_more() -> None:
    code = tokens("python", "\n".join(function(random.Random(3), 1)).encode()).exact_runs
    for threshold in (0.1, 0.5, 0.7, 1.0):
        slack = lacking_at_most(code, threshold)
        assert (len(code) - slack) / len(code) >= threshold - 1e-9
        assert (len(code) - slack - 1) / len(code) < threshold


def test_every_run_is_charged_once_and_the_rarest_words_come_first(corpus: Roots) -> None:
    snapshot = corpus.index.snapshot()
    code = tokens("python", "\n".join(function(random.Random(5), 2)).encode()).exact_runs
    words = charges(snapshot, code)
    assert sum(word.n_runs for word in words) == len(code)  # each has a word
    assert [word.n_chunks for word in words] == sorted(word.n_chunks for word in words)
    few = needed(words, 3)
    assert few is not None and sum(word.n_runs for word in words[:few]) > 3
    assert needed(words, len(code)) is None


def test_the_units_of_a_chunk_are_those_that_touch_it(corpus: Roots) -> None:
    snapshot = corpus.index.snapshot()
    for number, segment in enumerate(snapshot.segments):
        for chunk in range(segment.n_chunks):
            units = units_of_chunks(segment, number, np.array([chunk]))
            ordinal = int(segment.doc_of_chunk([chunk])[0])
            low, high = int(segment.chunk_start[chunk]), int(segment.chunk_end[chunk])
            wanted = {
                (int(segment.def_start[d]), int(segment.def_end[d]))
                for d in range(int(segment.doc_def[ordinal]), int(segment.doc_def[ordinal + 1]))
                if segment.def_start[d] < high and segment.def_end[d] > low
            }
            if segment.chunk_def[chunk] < 0:
                wanted.add((low, high))
            found = set(zip(units.start.tolist(), units.end.tolist(), strict=True))
            assert found == {(a, b) for a, b in wanted if b - a >= TOKENS_MIN}
            for first, last, start, end in zip(units.first, units.last, units.start, units.end, strict=True):
                assert segment.chunk_start[first] <= start < segment.chunk_end[first]
                assert segment.chunk_start[last - 1] < end <= segment.chunk_end[last - 1]


def test_copies_of_a_file_are_hits_of_their_own_and_exact_ones_come_first(corpus: Roots) -> None:
    path = next(path for path in corpus_files(1) if path.endswith(".py"))
    answer = corpus.duplicates(corpus.at(path, 2), threshold=0.3)
    exact = [hit.signals["exact"] == 1 for hit in answer.hits]
    assert exact == sorted(exact, reverse=True) and exact[0]
    assert (str(corpus.second), f"copy_of_{path}") in {(hit.root, hit.path) for hit in answer.hits}
    rest = [hit.similarity for hit, same in zip(answer.hits, exact, strict=True) if not same]
    assert rest == sorted(rest, reverse=True)
    assert answer.total == len(answer.hits)
    few = corpus.duplicates(corpus.at(path, 2), threshold=0.3, limit=1)
    assert few.hits == answer.hits[:1] and few.total == answer.total


def test_only_below_a_place_and_in_a_language(corpus: Roots) -> None:
    path = next(path for path in corpus_files(1) if path.endswith(".py"))
    everything = shown_lines(corpus.duplicates(corpus.at(path, 2), threshold=0.2))
    below = shown_lines(corpus.duplicates(corpus.at(path, 2), threshold=0.2, below=f"{corpus.second}/"))
    assert below == {place for place in everything if place[0] == str(corpus.second)} != everything
    texts = shown_lines(corpus.duplicates(corpus.at(path, 2), threshold=0.2, languages=("text",)))
    assert texts == {place for place in everything if place[1].endswith(".txt")}
    whole = shown_lines(corpus.duplicates(corpus.at(path, 2), threshold=0.2, below=f"{corpus.root.parent}/"))
    assert whole == everything
    with pytest.raises(NoSuchRoot, match="no indexed root in /nowhere/"):
        corpus.duplicates(corpus.at(path, 2), below="/nowhere/")


def test_a_pasted_function_is_found_where_it_stands(corpus: Roots) -> None:
    for path, text in corpus_files(1).items():
        if not path.endswith(".py"):
            continue
        pasted = Shown(text.partition("\n\n")[0])
        if len(tokens("", pasted.text.encode())) < TOKENS_MIN:
            continue
        hits = corpus.duplicates(pasted).hits
        assert (str(corpus.root), path, 1, 1.0) in {
            (h.root, h.path, h.line, h.signals["exact"]) for h in hits
        }


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (Shown(), "nothing to compare with"),
        (Shown("x = 1"), "this code has 3 tokens"),
        (Shown("  ;;; {} "), "no code"),
        (Shown("int a\0b;"), "binary"),
        (Shown("x = 1\n" * 20_000), "120000 bytes"),
        (Shown("a\nb\n", "/tmp/a.py", 3), "/tmp/a.py has 2 lines, so there is no line 3"),
        (Shown("", "/tmp/a.py", 3), "/tmp/a.py is not in the index; send its text"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_to_do(
    corpus: Roots, shown: Shown, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        corpus.duplicates(shown)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, float("nan")])
def test_a_threshold_lies_between_0_and_1(corpus: Roots, threshold: float) -> None:
    with pytest.raises(UsageError, match="the threshold is"):
        corpus.duplicates(corpus.at("m0.py", 1), threshold=threshold)


def test_portions_of_chunks_give_the_same_candidates(corpus: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = corpus.index.snapshot()
    everywhere = np.ones(snapshot.n_docs, np.bool_)
    code = tokens("python", next(text for text in corpus_files(1).values()).encode()).exact_runs

    def candidates() -> set[tuple[int, int, int, int]]:
        parts = list(sharing(snapshot, everywhere, code, 0.3))
        columns = [(part.number, part.ordinal, part.start, part.end) for part in parts]
        return {
            (n, *place) for n, *each in columns for place in zip(*(c.tolist() for c in each), strict=True)
        }

    at_once = candidates()
    monkeypatch.setattr(copies, "CHUNKS_AT_ONCE", 3)
    assert candidates() == at_once and at_once
    assert list(sharing(snapshot, everywhere, code, 0.3, over=lambda: True)) == []


def test_an_answer_that_ran_out_of_time_says_so(corpus: Roots) -> None:
    path = next(path for path in corpus_files(1) if path.endswith(".py"))
    assert "budget: the deadline passed" in corpus.duplicates(corpus.at(path, 2), deadline_ms=1).incomplete
