"""Scan processes read what a query process would read itself, and survive being killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from config.errors import Cancelled, StoreError
from daemon import scanners
from daemon.scan import Scanned, shortened
from daemon.scanners import Scanners
from search import grep
from search.batch import PatternSpec
from search.budget import Budget
from search.far import PageMatches, Portion, find_here
from search.grep import GrepRequest, Sweep
from search.lines import LineFinder
from search.matcher import Matcher
from tests.search.corpus import Corpus

N_FILES = 60
SPEC = PatternSpec("needle")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    files = {f"d{i % 7}/f{i:03}.txt": f"line\nneedle {i}\n" * (1 + i % 4) for i in range(N_FILES)}
    made = Corpus(tmp_path_factory.mktemp("scanners"), files)
    yield made
    made.close()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scanners]:
    monkeypatch.setattr(grep, "BATCH_BYTES_MAX", 100)
    monkeypatch.setattr(grep, "ONE_BATCH_BYTES", 0)
    monkeypatch.setattr(grep, "FIRST_BATCH_BYTES", 100)
    made = Scanners(2)
    yield made
    made.close()


class Taken:
    """A request that its client takes back."""

    def __init__(self) -> None:
        self.back = False

    def is_set(self) -> bool:
        return self.back


def sweep_of(corpus: Corpus, spec: PatternSpec = SPEC, taken: Taken | None = None) -> Sweep:
    return corpus.engine.grep(GrepRequest(spec, corpus.root_id), taken)


def everything(parts: list[Scanned]) -> list[object]:
    return [file for part in parts for file in msgspec.json.decode(part.files)]


def test_processes_find_what_this_process_finds_in_the_same_order(
    corpus: Corpus, pool: Scanners, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = list(pool.read(sweep_of(corpus), SPEC, 0))
    assert pool.pids == []
    monkeypatch.setattr(scanners, "SMALL_BYTES", 0)
    there = list(pool.read(sweep_of(corpus), SPEC, 0))
    assert len(pool.pids) == 2
    assert len(there) > 10
    assert everything(there) == everything(here)
    assert len(everything(there)) == N_FILES
    assert sum(part.lines for part in there) == sum(1 + i % 4 for i in range(N_FILES))


def test_portions_of_a_ranked_search_are_searched_by_processes_in_order(corpus: Corpus) -> None:
    snapshot = corpus.index.snapshot()
    finder = LineFinder(Matcher("needle [0-9]*[05]$"))
    portions = [
        Portion(segment, base, np.arange(low, min(low + 7, segment.n_pages)))
        for segment, base in zip(snapshot.segments, snapshot.seg_base.tolist(), strict=False)
        for low in range(0, segment.n_pages, 7)
    ]
    pool = Scanners(2)
    assert not pool.ready  # it does not wait for the start of processes
    for killed in ((), (2, 9)):
        found = []
        for each in pool.find(finder.spec, iter(portions), snapshot.segments, Budget(1e9)):
            found.append(each)
            if len(found) in killed:
                for pid in pool.pids:
                    os.kill(pid, signal.SIGKILL)
        assert plain(found) == plain(list(find_here(finder, portions)))
    assert sum(matches.lines for _, matches in found) > N_FILES // 5
    assert not Scanners(1).ready
    pool.close()


def plain(found: Sequence[tuple[Portion, PageMatches]]) -> list[object]:
    columns = [
        (portion.pages.tolist(), matches.ordinals.tolist(), matches.start.tolist(), matches.end.tolist())
        for portion, matches in found
    ]
    return [*columns, *((m.lines, m.docs, m.nbytes, m.passages) for _, m in found)]


def test_a_killed_process_is_replaced_and_nothing_is_lost(
    corpus: Corpus, pool: Scanners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanners, "SMALL_BYTES", 0)
    found: list[Scanned] = []
    for part in pool.read(sweep_of(corpus), SPEC, 0):
        found.append(part)
        if len(found) in (3, 20):  # a batch is read twice at most
            for pid in pool.pids:
                os.kill(pid, signal.SIGKILL)
    assert len(everything(found)) == N_FILES


def test_a_search_taken_back_ends(corpus: Corpus, pool: Scanners, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanners, "SMALL_BYTES", 0)
    taken = Taken()
    reading = pool.read(sweep_of(corpus, taken=taken), SPEC, 0)
    next(reading)
    taken.back = True
    with pytest.raises(Cancelled):
        list(reading)
    assert len(everything(list(pool.read(sweep_of(corpus), SPEC, 0)))) == N_FILES


def test_what_goes_wrong_in_a_process_is_said(
    corpus: Corpus, pool: Scanners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanners, "SMALL_BYTES", 0)
    broken = tmp_path / "broken.seg"
    broken.write_bytes(b"no segment")
    sweep = sweep_of(corpus)
    for segment in sweep.snapshot.segments:
        monkeypatch.setattr(segment, "path", broken)
    with pytest.raises(StoreError, match=r"broken\.seg"):
        list(pool.read(sweep, SPEC, 0))


def test_ten_searches_get_their_turns(
    corpus: Corpus, pool: Scanners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanners, "SMALL_BYTES", 0)
    readings = [pool.read(sweep_of(corpus), SPEC, 0) for _ in range(10)]
    found: list[list[Scanned]] = [[] for _ in readings]
    for _ in range(3):  # none of them is read to its end before the others begin
        for parts, reading in zip(found, readings, strict=True):
            parts.append(next(reading))
    for parts, reading in zip(found, readings, strict=True):
        parts += reading
        assert len(everything(parts)) == N_FILES


def test_lines_beyond_the_limit_are_cut(corpus: Corpus, pool: Scanners) -> None:
    (first, *_rest) = pool.read(sweep_of(corpus), SPEC, 0)
    part = shortened(first, 1)
    assert (part.lines, part.n_files) == (1, 1)
    assert msgspec.json.decode(part.files)[0]["lines"] == [2]
    limited = list(pool.read(sweep_of(corpus), SPEC, 3))
    assert sum(part.lines for part in limited) >= 3
    assert len(limited) < 5


def test_a_deadline_in_the_past_reads_nothing(corpus: Corpus, pool: Scanners) -> None:
    sweep = corpus.engine.grep(GrepRequest(SPEC, corpus.root_id, deadline_ms=1))
    while sweep.budget.left_ms():
        time.sleep(0)
    parts = list(pool.read(sweep, SPEC, 0))
    assert parts
    assert not any(part.complete or part.n_files for part in parts)
