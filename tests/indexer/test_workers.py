"""Real worker processes on real files: results, crashes, deadlines, memory."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import Settings, load
from indexer.embed.static import load_static_model
from indexer.jobs import Job, JobResult
from indexer.prepare import Preparer
from indexer.records import FLAG_UNPARSED, Batch, FileChange, PreparedFile, Skipped, Upsert
from indexer.source import Limits, read_source_stat
from indexer.store.lookup import Lookup
from indexer.store.writer import Writer
from indexer.workers import WorkerPool, run_job

PATIENCE_S = 60.0
PYTHON = b"class Greeter:\n    def greet(self, name):\n        return hello(name)\n"
# Some 0.5 s of parsing, and as much for words and vectors.
SLOW = b"".join(b"def f%d(a, b):\n    return [g(a, b) for x in h(%d)]\n\n" % (n, n) for n in range(30_000))


def settings_with(**changes: int) -> Settings:
    settings = load(environ={})
    return replace(settings, workers=replace(settings.workers, **changes))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "store"
    writer = Writer.open(directory, load(environ={}).store, None)
    yield directory
    writer.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(6):
        (root / f"m{number}.py").write_bytes(PYTHON + b"# %d\n" % number)
    (root / "data.bin").write_bytes(b"\0\1\2")
    return root


@pytest.fixture
def start(store: Path) -> Iterator[object]:
    pools: list[WorkerPool] = []

    def started(count: int, **changes: int) -> WorkerPool:
        pool = WorkerPool(settings_with(**changes), store)
        pools.append(pool)
        pool.resize(count, "background")
        return pool

    yield started
    for pool in pools:
        pool.stop()


def job_of(tree: Path, *paths: str, id: int = 1) -> Job:
    return Job(id, 1, os.fsencode(tree), tuple(os.fsencode(path) for path in paths))


def results_of(pool: WorkerPool, paths: int) -> list[JobResult]:
    """Poll until outcomes for that many paths came back."""
    results: list[JobResult] = []
    deadline = time.monotonic() + PATIENCE_S
    while sum(len(result.outcomes) for result in results) < paths:
        assert time.monotonic() < deadline, results
        results += pool.poll(1.0)
    return results


def outcomes_of(results: list[JobResult]) -> dict[bytes, object]:
    return {outcome.path: outcome for result in results for outcome in result.outcomes}


def wait_until_busy(pool: WorkerPool) -> int:
    """Wait until a worker is inside a file whose digest it has noted; its process id."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for worker in pool._workers:
            _job, position, _started, digest = worker.page.read()
            if position and digest.strip(b"\0"):
                return worker.process.pid
        pool.poll(0.005)
    raise AssertionError("no worker became busy")


def test_a_worker_gives_what_the_same_code_gives_in_this_process(start, tree: Path, store: Path) -> None:
    pool = start(2)
    names = [*(f"m{number}.py" for number in range(6)), "data.bin", "missing.py"]
    pool.submit(job_of(tree, *names))
    found = outcomes_of(results_of(pool, len(names)))
    settings = load(environ={})
    preparer = Preparer(load_static_model(), 5.0)
    lookup = Lookup(store)
    expected = run_job(
        job_of(tree, *names),
        lookup,
        preparer,
        lambda root, path: read_source_stat(root, path, Limits.of(settings)),
        lambda *_: None,
    )
    lookup.close()
    assert isinstance(found[b"data.bin"], Skipped)
    assert found[b"data.bin"].reason == "binary"
    assert found[b"missing.py"] == FileChange(b"missing.py", None)
    for outcome in expected:
        if isinstance(outcome, Upsert):
            ours, theirs = outcome.prepared, found[outcome.path].prepared
            assert isinstance(ours, PreparedFile)
            assert theirs.parsed.symbols.name == ours.parsed.symbols.name == [b"Greeter", b"greet"]
            assert (theirs.trigrams == ours.trigrams).all()
            assert (theirs.vectors == ours.vectors).all()
            assert (theirs.terms.hash == ours.terms.hash).all()


def test_known_content_is_not_prepared_again(tree: Path, tmp_path: Path) -> None:
    directory = tmp_path / "known"
    writer = Writer.open(directory, load(environ={}).store, None)
    pool = WorkerPool(settings_with(), directory)
    try:
        pool.resize(1, "background")
        root_id = writer.add_root(str(tree))
        pool.submit(job_of(tree, "m0.py"))
        (first,) = results_of(pool, 1)
        assert isinstance(first.outcomes[0], Upsert)
        assert first.outcomes[0].prepared is not None
        without_rows = replace(first.outcomes[0].prepared, vectors=first.outcomes[0].prepared.vectors[:, :0])
        writer.apply(Batch(root_id, [replace(first.outcomes[0], prepared=without_rows)]))
        (tree / "copy.py").write_bytes((tree / "m0.py").read_bytes())
        pool.submit(job_of(tree, "copy.py", id=2))
        (second,) = results_of(pool, 1)
        assert isinstance(second.outcomes[0], Upsert)
        assert second.outcomes[0].digest == first.outcomes[0].digest
        assert second.outcomes[0].prepared is None
    finally:
        pool.stop()
        writer.close()


def test_a_crash_costs_one_file(start, tree: Path) -> None:
    pool = start(1, file_deadline_ms=30_000)
    (tree / "slow.py").write_bytes(SLOW)
    pool.submit(job_of(tree, "m0.py", "slow.py", "m1.py"))
    os.kill(wait_until_busy_with(pool, 2), signal.SIGSEGV)
    results = results_of(pool, 3)
    (casualty,) = [each for result in results for each in result.casualties]
    assert casualty.path == b"slow.py"
    assert casualty.reason == "SIGSEGV"
    assert len(casualty.digest) == 16
    found = outcomes_of(results)
    crashed = found[b"slow.py"].prepared
    assert crashed.source.content == SLOW
    assert crashed.parsed.problems
    assert not len(crashed.parsed.symbols)
    assert found[b"m0.py"].prepared.parsed.symbols.name == [b"Greeter", b"greet"]
    assert found[b"m1.py"].prepared.parsed.symbols.name == [b"Greeter", b"greet"]


def wait_until_busy_with(pool: WorkerPool, wanted: int) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        pid = wait_until_busy(pool)
        for worker in pool._workers:
            _job, position, _started, digest = worker.page.read()
            if position == wanted and digest.strip(b"\0"):
                return pid
    raise AssertionError("the worker did not reach the file")


def wait_until_finishing(pool: WorkerPool, n_paths: int) -> int:
    """Wait until a worker is past its last file, where all are finished together; its process id."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for worker in pool._workers:
            if worker.page.read()[1] == n_paths + 1:
                return worker.process.pid
    raise AssertionError("the worker did not finish the files")


def test_a_death_while_files_are_finished_together_costs_none(start, tree: Path) -> None:
    pool = start(1, file_deadline_ms=30_000)
    (tree / "slow.py").write_bytes(SLOW)
    pool.submit(job_of(tree, "m0.py", "slow.py", "m1.py"))
    os.kill(wait_until_finishing(pool, 3), signal.SIGSEGV)
    results = results_of(pool, 3)
    assert [result.job.alone for result in results] == [True]
    assert not [each for result in results for each in result.casualties]
    found = outcomes_of(results)
    assert found[b"m0.py"].prepared.parsed.symbols.name == [b"Greeter", b"greet"]
    assert len(found[b"slow.py"].prepared.parsed.symbols) == 30_000


class Forgetful(Preparer):
    """Has too little memory for several files at once, and for one of them even alone."""

    def finish(self, sources, parsed):
        if len(sources) > 1 or (b"# 1" in sources[0].content and not isinstance(parsed[0], str)):
            raise MemoryError
        return super().finish(sources, parsed)


@pytest.mark.parametrize("alone", [False, True])
def test_files_that_need_too_much_memory_together_are_finished_one_by_one(
    alone: bool, tree: Path, store: Path
) -> None:
    notes: list[tuple[int, int, bytes]] = []
    lookup = Lookup(store)
    job = replace(job_of(tree, "m0.py", "data.bin", "m1.py", "m2.py"), alone=alone)
    limits = Limits.of(load(environ={}))
    outcomes = run_job(
        job,
        lookup,
        Forgetful(None, 5.0),
        lambda root, path: read_source_stat(root, path, limits),
        lambda *note: notes.append(note),
    )
    lookup.close()
    assert [outcome.path for outcome in outcomes] == list(job.paths)
    m0, data, m1, m2 = outcomes
    assert isinstance(data, Skipped)
    assert m0.prepared.parsed.symbols.name == m2.prepared.parsed.symbols.name == [b"Greeter", b"greet"]
    assert m1.prepared.parsed.problems == ("memory limit",)
    assert [position for _, position, digest in notes if not digest] == [1, 2, 3, 4] + [5] * (not alone)
    assert notes[-1] == (job.id, 4, m2.digest)


def test_one_kill_from_outside_is_forgiven(start, tree: Path) -> None:
    pool = start(1, file_deadline_ms=30_000)
    (tree / "slow.py").write_bytes(SLOW)
    pool.submit(job_of(tree, "slow.py", "m1.py"))
    os.kill(wait_until_busy_with(pool, 1), signal.SIGKILL)
    results = results_of(pool, 2)
    assert not [each for result in results for each in result.casualties]
    assert outcomes_of(results)[b"m1.py"].prepared.parsed.symbols.name == [b"Greeter", b"greet"]


def test_a_worker_that_hangs_is_killed_and_its_file_set_aside(start, tree: Path) -> None:
    pool = start(1, file_deadline_ms=200)  # killed after 1.4 s
    (tree / "slow.py").write_bytes(SLOW)
    pool.submit(job_of(tree, "slow.py", "m1.py"))
    os.kill(wait_until_busy_with(pool, 1), signal.SIGSTOP)
    results = results_of(pool, 2)
    assert [each.reason for result in results for each in result.casualties] == ["deadline"]
    assert outcomes_of(results)[b"slow.py"].prepared.parsed.problems


def test_a_slow_parse_stops_by_itself_at_the_deadline(start, tree: Path) -> None:
    pool = start(1, file_deadline_ms=50)
    (tree / "slow.py").write_bytes(SLOW)
    pool.submit(job_of(tree, "slow.py"))
    results = results_of(pool, 1)
    assert not results[0].casualties
    prepared = outcomes_of(results)[b"slow.py"].prepared
    assert "needed more than" in prepared.parsed.problems[0]


def test_urgent_jobs_go_first(start, tree: Path) -> None:
    pool = start(1, queue_jobs=8)
    for number in range(5):
        pool.submit(job_of(tree, f"m{number}.py", id=number + 1))
    pool.submit(replace(job_of(tree, "m5.py", id=9), urgent=True))
    order = [result.job.id for result in results_of(pool, 6)]
    assert order.index(9) < order.index(5)


def test_idle_workers_leave_when_fewer_are_wanted(start, tree: Path) -> None:
    pool = start(2)
    pool.submit(job_of(tree, "m0.py"))
    results_of(pool, 1)
    pool.resize(1, "background")
    assert len(pool.pids) == 1
    pool.submit(job_of(tree, "m1.py", id=2))
    assert len(results_of(pool, 1)) == 1


def test_content_without_parser_says_so(tree: Path) -> None:
    preparer = Preparer(None, 5.0)
    source, _stat = read_source_stat(os.fsencode(tree), b"m0.py", Limits.of(load(environ={})))
    assert not isinstance(source, Skipped)
    prepared = preparer.prepare_unparsed(source, "because")
    assert prepared.parsed.problems == ("because",)
    assert prepared.source.flags & FLAG_UNPARSED
    assert prepared.source.digest == source.digest
    assert prepared.vectors.shape == (len(prepared.parsed.chunks), 0)
    assert not preparer.prepare(source).source.flags & FLAG_UNPARSED


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited on Linux only")
def test_a_file_that_needs_too_much_memory_is_set_aside(start, tree: Path) -> None:
    pool = start(1, file_deadline_ms=30_000, memory_mb=64)
    (tree / "large.py").write_bytes(SLOW)
    pool.submit(job_of(tree, "m0.py", "large.py", "m1.py"))
    found = outcomes_of(results_of(pool, 3))
    large = found[b"large.py"]
    if isinstance(large, Skipped):  # even words and vectors needed too much
        assert large.reason == "crash"
    else:
        assert large.prepared.parsed.problems
        assert not len(large.prepared.parsed.symbols)
    assert found[b"m0.py"].prepared.parsed.symbols.name == [b"Greeter", b"greet"]
    assert found[b"m1.py"].prepared.parsed.symbols.name == [b"Greeter", b"greet"]


def large_tree(tree: Path) -> tuple[str, ...]:
    """Files of some seconds of text."""
    for number in range(40):
        (tree / f"large{number}.py").write_bytes(SLOW.replace(b"g(a", b"g%d(a" % number))
    return tuple(f"large{number}.py" for number in range(40))


def test_a_text_job_comes_back_as_a_segment(start, tree: Path, store: Path) -> None:
    pool = start(1)
    pool.submit(replace(job_of(tree, "m0.py", "data.bin", "m1.py"), text_only=True))
    (result,) = results_of(pool, 3)
    assert [type(outcome) for outcome in result.outcomes] == [Upsert, Skipped, Upsert]
    assert result.text is not None and not result.failed
    assert result.text.digests == [result.outcomes[0].digest, result.outcomes[2].digest]
    assert [Path(result.text.path)] == list((store / "segments").iterdir())


def test_a_saved_file_does_not_wait_for_a_text_job(start, tree: Path) -> None:
    pool = start(1, file_deadline_ms=30_000)
    pool.submit(replace(job_of(tree, *large_tree(tree)), text_only=True))
    wait_until_finishing(pool, 40)
    pool.submit(replace(job_of(tree, "m0.py", id=2), urgent=True))
    results = results_of(pool, 41)
    assert [result.job.id for result in results] == [2, 1]
    assert results[1].text is not None and len(results[1].text.digests) == 40


def test_a_death_in_a_text_job_leaves_its_files_to_be_prepared_otherwise(
    start, tree: Path, store: Path
) -> None:
    pool = start(1, file_deadline_ms=30_000)
    pool.submit(replace(job_of(tree, *large_tree(tree)), text_only=True))
    os.kill(wait_until_finishing(pool, 40), signal.SIGSEGV)
    results: list[JobResult] = []
    while not results:
        results = pool.poll(1.0)
    assert [(result.failed, result.outcomes, result.text) for result in results] == [("together", [], None)]
    assert list((store / "segments").iterdir()) == []
    pool.submit(job_of(tree, "m0.py", id=2))
    assert len(results_of(pool, 1)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited on Linux only")
def test_a_text_job_that_needs_too_much_memory_fails_as_a_whole(start, tree: Path, store: Path) -> None:
    pool = start(1, file_deadline_ms=30_000, memory_mb=48)
    pool.submit(replace(job_of(tree, *large_tree(tree)), text_only=True))
    results: list[JobResult] = []
    while not results:
        results = pool.poll(1.0)
    assert [result.failed for result in results] == ["together"]
    assert list((store / "segments").iterdir()) == []
