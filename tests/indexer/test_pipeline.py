"""The path of a changed file, with scripted workers and a scripted clock."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import StoreFull
from config.settings import Settings, load
from indexer.jobs import Casualty, Job, JobResult, Outcome
from indexer.pipeline import URGENT_MAX, Commit, Pipeline, as_batch
from indexer.records import Batch, FileChange, Skipped, Stat, TextSegment, Upsert
from tests.support import digest_of, prepared

ROOT = 1
STAT = Stat(10, 1, 1)


class Workers:
    """Does a job when it is polled; files come from a dictionary."""

    def __init__(self, files: dict[bytes, str]) -> None:
        self.files = files
        self.jobs: list[Job] = []
        self.done: list[Job] = []
        self.room_max = 1
        self.count = 1
        self.failed = ""  # why text jobs fail
        self.casualties: tuple[Casualty, ...] = ()

    @property
    def room(self) -> int:
        return max(0, self.room_max - len(self.jobs))

    def submit(self, job: Job) -> None:
        self.jobs.insert(0, job) if job.urgent else self.jobs.append(job)

    def poll(self, _timeout_s: float, _wake_fd: int | None = None) -> list[JobResult]:
        jobs, self.jobs = self.jobs, []
        self.done += jobs
        return [self.do_text(job) if job.text_only else self.do(job) for job in jobs]

    def do(self, job: Job) -> JobResult:
        return JobResult(job, [self.look(path) for path in job.paths], self.casualties)

    def do_text(self, job: Job) -> JobResult:
        if self.failed:
            return JobResult(job, [], failed=self.failed)
        outcomes: list[Outcome] = []
        contents: dict[bytes, bytes] = {}
        for outcome in map(self.look, job.paths):
            if isinstance(outcome, Upsert) and outcome.prepared is not None:
                contents[outcome.digest] = outcome.prepared.source.content
                outcome = replace(outcome, prepared=None)
            outcomes.append(outcome)
        nbytes = [len(content) for content in contents.values()]
        text = TextSegment(f"text-{job.id}", {}, 0, 0, 0, 0, [], list(contents), nbytes)
        return JobResult(job, outcomes, text=text)

    def look(self, path: bytes) -> Outcome:
        text = self.files.get(path)
        if text is None:
            return FileChange(path, None)
        if text == "binary":
            return Skipped(path, "binary", "", STAT)
        return Upsert(path, STAT, digest_of(text.encode()), prepared(text))


class Bench:
    """A pipeline whose commits are done by hand."""

    def __init__(self, files: dict[bytes, str], settings: Settings | None = None) -> None:
        self.now = 100.0
        self.workers = Workers(files)
        self.batches: list[Batch] = []
        self.futures: list[Future[Commit]] = []
        self.quarantined: list[tuple[bytes, str]] = []
        self.pipeline = Pipeline(
            settings or load(environ={}),
            self.workers,  # type: ignore[arg-type]
            self.apply,
            lambda digest, reason: self.quarantined.append((digest, reason)),
            lambda: self.now,
        )
        self.pipeline.add_root(ROOT, b"/tree")

    def apply(self, batch: Batch) -> Future[Commit]:
        self.batches.append(batch)
        self.futures.append(Future())
        return self.futures[-1]

    def commit(self, again: frozenset[bytes] = frozenset()) -> tuple[int, ...]:
        self.futures[-1].set_result(Commit(len(self.batches), again))
        return self.pipeline.step(0)

    def paths(self, number: int) -> set[bytes]:
        batch = self.batches[number]
        paths = [each.path for each in batch.upserts] + [each.path for each in batch.skips]
        return {*paths, *batch.removes}


def changed(*paths: bytes) -> list[FileChange]:
    return [FileChange(path, STAT) for path in paths]


def test_a_saved_file_is_committed_at_once() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    assert bench.pipeline.pending(ROOT) == 1
    bench.pipeline.step(0)
    assert bench.paths(0) == {b"a.py"}
    assert bench.pipeline.pending(ROOT) == 1
    assert bench.commit() == (1,)
    assert bench.pipeline.pending(ROOT) == 0


def test_a_file_saved_again_while_it_is_under_way_is_looked_at_again() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    bench.workers.files[b"a.py"] = "def b(): pass\n"
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    bench.commit()
    bench.pipeline.step(0)
    assert len(bench.batches) == 2
    (upsert,) = bench.batches[1].upserts
    assert upsert.digest == digest_of(b"def b(): pass\n")
    bench.commit()
    assert bench.pipeline.pending(ROOT) == 0


def test_a_scan_during_a_build_does_not_make_anything_twice() -> None:
    files = {b"f%03d.py" % number: f"def f{number}(): pass\n" for number in range(200)}
    bench = Bench(files)
    bench.pipeline.scanned(ROOT, changed(*files))
    bench.pipeline.step(0)
    bench.pipeline.scanned(ROOT, changed(*files))  # nothing is committed yet, so it lists the same again
    while bench.pipeline.pending(ROOT):
        bench.now += 30
        bench.pipeline.step(0)
        if not bench.futures[-1].done():
            bench.commit()
    assert sum(len(batch.upserts) for batch in bench.batches) == len(files)


def test_a_scan_that_finds_another_stat_has_the_file_looked_at_again() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.scanned(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    bench.pipeline.scanned(ROOT, [FileChange(b"a.py", Stat(11, 2, 1))])
    bench.commit()
    bench.pipeline.step(0)
    assert bench.paths(1) == {b"a.py"}


def test_a_file_that_is_ignored_while_it_waits_is_removed() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.scanned(ROOT, changed(b"a.py"))
    bench.pipeline.scanned(ROOT, [FileChange(b"a.py", None)])
    bench.pipeline.step(0)
    bench.commit()
    bench.pipeline.step(0)
    assert bench.batches[1].removes == [b"a.py"]


def test_content_that_died_meanwhile_is_looked_at_again() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    bench.commit(again=frozenset([b"a.py"]))
    bench.pipeline.step(0)
    assert bench.paths(1) == {b"a.py"}


def test_a_ticket_is_finished_when_everything_before_it_is_committed() -> None:
    bench = Bench({b"a.py": "x = 1\n", b"b.py": "y = 1\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    ticket = bench.pipeline.ticket()
    bench.pipeline.step(0)
    bench.pipeline.hint(ROOT, changed(b"b.py"))  # later: not waited for
    assert not bench.pipeline.finished(ROOT, ticket)
    bench.commit()
    assert bench.pipeline.finished(ROOT, ticket)
    assert bench.pipeline.pending(ROOT) == 1


def test_a_scan_commits_in_growing_batches_and_counts_its_progress() -> None:
    files = {b"f%03d.py" % number: f"def f{number}(): pass\n" for number in range(200)}
    bench = Bench(files)
    bench.pipeline.scanned(ROOT, [*changed(*files), FileChange(b"gone.py", None)])
    bench.pipeline.step(0)
    assert bench.batches == []  # patience: more is to come
    bench.now += load(environ={}).index.batch_ms / 1000 + 0.1
    bench.pipeline.step(0)
    assert b"gone.py" in bench.batches[0].removes
    bench.commit()
    while bench.pipeline.pending(ROOT):
        bench.now += 30
        bench.pipeline.step(0)
        if not bench.futures[-1].done():
            bench.commit()
    assert set().union(*(bench.paths(i) for i in range(len(bench.batches)))) == {*files, b"gone.py"}
    progress = bench.pipeline.progress(ROOT)
    assert (progress.files_done, progress.files_total) == (201, 201)
    assert progress.bytes_done == sum(map(len, files.values()))


def test_many_hints_at_once_are_work_like_a_scans() -> None:
    files = {b"f%04d.py" % number: "x = 1\n" for number in range(URGENT_MAX + 1)}
    bench = Bench(files)
    bench.pipeline.hint(ROOT, changed(*files))
    assert bench.pipeline.bulk_left == URGENT_MAX + 1


def test_a_failed_commit_loses_nothing_and_is_tried_again() -> None:
    bench = Bench({b"a.py": "x = 1\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    bench.futures[-1].set_exception(StoreFull("no room"))
    with pytest.raises(StoreFull):
        bench.pipeline.step(0)
    bench.pipeline.step(0)
    assert len(bench.batches) == 1  # not at once
    bench.now += 10
    bench.pipeline.step(0)
    assert bench.paths(1) == {b"a.py"}
    assert bench.commit() == (2,)
    assert bench.pipeline.pending(ROOT) == 0


def test_what_a_removed_root_still_gets_is_dropped() -> None:
    bench = Bench({b"a.py": "x = 1\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    bench.pipeline.drop_root(ROOT)
    assert bench.commit() == ()
    assert not bench.pipeline.busy


def test_backpressure_holds_jobs_back_while_commits_lag() -> None:
    settings = load(environ={})
    settings = replace(settings, index=replace(settings.index, batch_bytes=65_536))
    files = {b"f%03d.py" % number: f"x = '{number:05d}{'y' * 4000}'\n" for number in range(200)}
    bench = Bench(files, settings)
    bench.pipeline.scanned(ROOT, [FileChange(path, Stat(4000, 1, 1)) for path in files])
    for _ in range(10):
        bench.pipeline.step(0)
    looked_at = len(bench.paths(0)) + sum(len(job.paths) for job in bench.workers.jobs)
    assert looked_at < len(files)
    while bench.pipeline.pending(ROOT):
        bench.pipeline.step(0)
        bench.now += 30
        if not bench.futures[-1].done():
            bench.commit()
    assert set().union(*(bench.paths(i) for i in range(len(bench.batches)))) == set(files)


def test_content_that_ended_a_worker_is_quarantined() -> None:
    bench = Bench({b"a.py": "x = 1\n"})
    bench.workers.casualties = (Casualty(b"a.py", b"d" * 16, "SIGSEGV"), Casualty(b"a.py", b"", "SIGSEGV"))
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    assert bench.quarantined == [(b"d" * 16, "SIGSEGV")]


def test_the_last_outcome_of_a_path_wins(tmp_path: Path) -> None:
    first, last = prepared("x = 1\n"), prepared("x = 2\n")
    batch = as_batch(
        ROOT,
        [
            Upsert(b"a.py", STAT, first.source.digest, first),
            Upsert(b"a.py", STAT, last.source.digest, last),
            Upsert(b"b.py", STAT, first.source.digest, first),
            FileChange(b"b.py", None),
            Skipped(b"c.bin", "binary", "", STAT),
        ],
    )
    assert [each.digest for each in batch.upserts] == [last.source.digest]
    assert batch.removes == [b"b.py"]
    assert [each.path for each in batch.skips] == [b"c.bin"]
    assert not list(tmp_path.iterdir())


def test_whoever_waits_for_the_second_save_waits_for_its_commit() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    bench.pipeline.hint(ROOT, changed(b"a.py"))  # saved again while the first is being committed
    ticket = bench.pipeline.ticket()
    bench.pipeline.hint(ROOT, changed(b"a.py"))  # and again, after somebody began to wait
    bench.commit()
    assert not bench.pipeline.finished(ROOT, ticket)
    bench.pipeline.step(0)
    bench.commit()
    assert bench.pipeline.finished(ROOT, ticket)


def test_content_that_died_meanwhile_keeps_whoever_waits() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    ticket = bench.pipeline.ticket()
    bench.pipeline.step(0)
    bench.commit(again=frozenset([b"a.py"]))
    assert not bench.pipeline.finished(ROOT, ticket)


def test_a_file_that_goes_or_is_ignored_while_under_way_is_removed_afterwards() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    assert set(bench.pipeline.under_way(ROOT)) == {b"a.py"}
    bench.pipeline.step(0)
    bench.pipeline.scanned(ROOT, [FileChange(b"a.py", None)])  # ignored: it still stands there
    bench.commit()
    bench.pipeline.step(0)
    assert bench.batches[1].removes == [b"a.py"] and not bench.batches[1].upserts
    bench.commit()
    assert bench.pipeline.pending(ROOT) == 0


def test_a_file_that_is_back_while_its_removal_is_committed_is_looked_at_again() -> None:
    bench = Bench({b"a.py": "def a(): pass\n"})
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    bench.pipeline.scanned(ROOT, [FileChange(b"a.py", None)])  # ignored
    bench.commit()
    bench.pipeline.step(0)
    assert bench.batches[1].removes == [b"a.py"]
    bench.pipeline.scanned(ROOT, changed(b"a.py"))  # and no longer, before the removal is committed
    bench.commit()
    bench.pipeline.step(0)
    assert bench.paths(2) == {b"a.py"} and bench.batches[2].upserts


# Text first


def text_first(n: int) -> Settings:
    settings = load(environ={})
    return replace(settings, index=replace(settings.index, text_first_files=n))


def indexed_as_text(files: dict[bytes, str]) -> Bench:
    """A bench after the first pass; nothing is under way."""
    bench = Bench(files, text_first(1))
    bench.pipeline.scanned(ROOT, changed(*files))
    bench.pipeline.step(0)
    bench.commit()
    assert bench.pipeline.pending(ROOT) == 0
    return bench


@pytest.mark.parametrize(
    ("n_files", "everything", "shallow"), [(2, False, False), (3, False, True), (3, True, False)]
)
def test_text_comes_first_where_a_scan_finds_many_files(
    n_files: int, everything: bool, shallow: bool
) -> None:
    files = {b"f%d.py" % number: f"def f{number}(): pass\n" for number in range(n_files)}
    bench = Bench(files, text_first(3))
    bench.pipeline.scanned(ROOT, changed(*files), everything)
    bench.pipeline.step(0)
    (batch,) = bench.batches
    assert bench.paths(0) == files.keys()
    assert [upsert.prepared is None for upsert in batch.upserts] == [shallow] * n_files
    digests = {upsert.digest for upsert in batch.upserts}
    assert [set(text.digests) for text in batch.texts] == ([digests] if shallow else [])


def test_a_file_saved_while_it_waits_for_its_text_is_prepared_whole_and_at_once() -> None:
    files = {b"f%d.py" % number: f"def f{number}(): pass\n" for number in range(4)}
    bench = Bench(files, text_first(1))
    bench.workers.room_max = 0
    bench.pipeline.scanned(ROOT, changed(*files))
    bench.pipeline.step(0)
    bench.pipeline.hint(ROOT, changed(b"f3.py"))
    bench.pipeline.hint(ROOT, changed(b"f3.py"))
    bench.pipeline.step(0)
    assert [job.paths for job in bench.workers.done] == [(b"f3.py",)]
    assert bench.paths(0) == {b"f3.py"}
    (upsert,) = bench.batches[0].upserts
    assert upsert.prepared is not None and not upsert.prepared.is_shallow
    bench.commit()
    bench.workers.room_max = 1
    bench.pipeline.step(0)
    bench.pipeline.step(0)
    assert bench.paths(1) == files.keys() - {b"f3.py"}  # not again
    bench.commit()
    assert (bench.pipeline.pending(ROOT), bench.pipeline.bulk_left) == (0, 0)


def test_the_second_pass_makes_the_rest_and_nothing_is_pending_meanwhile() -> None:
    bench = indexed_as_text({b"a.py": "def a(): pass\n", b"b.py": "def b(): pass\n"})
    bench.pipeline.deepen(ROOT, changed(b"a.py", b"b.py"))
    ticket = bench.pipeline.ticket()
    assert bench.pipeline.finished(ROOT, ticket) and bench.pipeline.pending(ROOT) == 0
    assert (bench.pipeline.bulk_left, bench.pipeline.busy) == (2, True)
    bench.pipeline.step(0)
    assert bench.paths(1) == {b"a.py", b"b.py"}
    assert not any(upsert.prepared.is_shallow for upsert in bench.batches[1].upserts if upsert.prepared)
    assert bench.pipeline.deepening(ROOT)
    bench.commit()
    assert not bench.pipeline.deepening(ROOT) and not bench.pipeline.busy


@pytest.mark.parametrize("moment", ["queued", "in a worker", "in a batch", "after a failed commit"])
def test_a_save_during_the_second_pass_comes_first_and_what_was_made_of_the_old_text_is_dropped(
    moment: str,
) -> None:
    files = {b"a.py": "def a(): pass\n", b"b.py": "def b(): pass\n"}
    bench = indexed_as_text(files)
    bench.workers.room_max = 0 if moment == "queued" else 1
    bench.pipeline.deepen(ROOT, changed(b"a.py", b"b.py"))
    old = []
    if moment == "in a worker":
        bench.pipeline._submit()
        old = bench.workers.poll(0)
    elif moment != "queued":
        bench.pipeline.step(0)
        assert bench.paths(1) == {b"a.py", b"b.py"}
    if moment == "after a failed commit":
        bench.futures[-1].set_exception(StoreFull("no room"))
        with pytest.raises(StoreFull):
            bench.pipeline.step(0)
    files[b"a.py"] = "def newer(): pass\n"
    bench.pipeline.hint(ROOT, changed(b"a.py"))
    for result in old:
        bench.pipeline._collect(result)
    bench.workers.room_max = 1
    bench.now += 10
    for _ in range(4):
        if bench.futures and not bench.futures[-1].done():
            bench.commit()
        bench.now += 30
        bench.pipeline.step(0)
    newest = digest_of(b"def newer(): pass\n")
    of_a = [
        upsert.digest for batch in bench.batches[1:] for upsert in batch.upserts if upsert.path == b"a.py"
    ]
    if moment == "in a batch":  # it was committed before
        assert of_a.pop(0) != newest
    elif moment == "after a failed commit":
        assert of_a.pop(0) != newest  # of the batch that failed
    assert of_a == [newest]
    assert b"b.py" in bench.paths(len(bench.batches) - 1) | bench.paths(1)
    assert not bench.pipeline.busy


def test_the_second_pass_removes_no_file() -> None:
    bench = indexed_as_text({b"a.py": "def a(): pass\n", b"b.py": "def b(): pass\n"})
    del bench.workers.files[b"a.py"]  # its directory may be back soon: the watcher and scans find out
    bench.pipeline.deepen(ROOT, changed(b"a.py", b"b.py"))
    bench.pipeline.step(0)
    assert bench.paths(1) == {b"b.py"}
    bench.commit()
    assert not bench.pipeline.busy


def test_what_is_left_of_an_earlier_round_is_not_mistaken_for_the_next() -> None:
    bench = indexed_as_text({b"a.py": "def a(): pass\n"})
    bench.pipeline.deepen(ROOT, changed(b"a.py"))
    bench.pipeline._submit()
    old = bench.workers.poll(0)
    bench.pipeline.scanned(ROOT, [FileChange(b"a.py", Stat(11, 2, 1))])  # very many, so text first again
    bench.workers.files[b"a.py"] = "def newer(): pass\n"
    bench.pipeline.step(0)
    bench.commit()
    bench.pipeline.deepen(ROOT, [FileChange(b"a.py", Stat(11, 2, 1))])
    for result in old:
        bench.pipeline._collect(result)
    bench.pipeline.step(0)
    (upsert,) = bench.batches[-1].upserts
    assert upsert.digest == digest_of(b"def newer(): pass\n")


def text_jobs(bench: Bench) -> list[Job]:
    return [job for job in bench.workers.done if job.text_only]


def test_text_jobs_are_small_at_first_and_at_the_end() -> None:
    megabyte = Stat(1 << 20, 1, 1)
    changes = [FileChange(b"f%04d.py" % number, megabyte) for number in range(1_000)]
    bench = Bench({change.path: "x" for change in changes}, text_first(1))
    bench.workers.count = 2
    bench.pipeline.scanned(ROOT, changes)
    while len(bench.workers.done) < 200 and bench.pipeline.scan_left(ROOT):
        bench.pipeline.step(0)
        if bench.futures and not bench.futures[-1].done():
            bench.commit()
    sizes = [len(job.paths) for job in text_jobs(bench)]
    assert sum(sizes) == len(changes)
    assert sizes[:4] == [4, 4, 4, 4] and sizes[-1] <= 4
    assert max(sizes) == 64 and len(sizes) < 50
    assert all(size <= max(4, sum(sizes[:at]) // 3 + 1) for at, size in enumerate(sizes))


@pytest.mark.parametrize("saved", [False, True])
def test_text_that_fails_as_a_whole_is_prepared_with_everything(saved: bool) -> None:
    files = {b"f%d.py" % number: f"def f{number}(): pass\n" for number in range(3)}
    bench = Bench(files, text_first(1))
    bench.workers.failed = "together"
    bench.pipeline.scanned(ROOT, changed(*files))
    bench.pipeline._submit()
    if saved:  # while a worker has it
        bench.pipeline.hint(ROOT, changed(b"f1.py"))
    bench.now += 30
    for _ in range(6):
        bench.pipeline.step(0)
        if bench.futures and not bench.futures[-1].done():
            bench.commit()
    committed = [upsert for batch in bench.batches for upsert in batch.upserts]
    assert {upsert.path for upsert in committed} == files.keys()
    assert all(upsert.prepared is not None for upsert in committed)
    assert len(committed) == 3 + saved
    assert (bench.pipeline.pending(ROOT), bench.pipeline.bulk_left, bench.pipeline.busy) == (0, 0, False)


def test_text_for_which_there_is_no_room_is_told_and_read_again_later() -> None:
    files = {b"f%d.py" % number: f"def f{number}(): pass\n" for number in range(3)}
    bench = Bench(files, text_first(1))
    bench.workers.failed = "full"
    bench.pipeline.scanned(ROOT, changed(*files))
    with pytest.raises(StoreFull):
        bench.pipeline.step(0)
    bench.workers.failed = ""
    bench.pipeline.step(0)
    assert not bench.batches and len(text_jobs(bench)) == 1  # not at once
    bench.now += 10
    bench.pipeline.step(0)
    bench.pipeline.step(0)
    assert bench.paths(0) == files.keys() and len(bench.batches[0].texts) == 1
    bench.commit()
    assert (bench.pipeline.pending(ROOT), bench.pipeline.bulk_left) == (0, 0)


def test_segments_of_a_failed_commit_are_committed_later_and_those_of_a_dropped_root_removed(
    tmp_path: Path,
) -> None:
    bench = Bench({b"a.py": "def a(): pass\n"}, text_first(1))
    bench.pipeline.scanned(ROOT, changed(b"a.py"))
    bench.pipeline.step(0)
    (text,) = bench.batches[0].texts
    bench.futures[-1].set_exception(StoreFull("no room"))
    with pytest.raises(StoreFull):
        bench.pipeline.step(0)
    bench.now += 10
    bench.pipeline.step(0)
    assert bench.batches[1].texts == [text]
    bench.futures[-1].set_exception(StoreFull("no room"))
    with pytest.raises(StoreFull):
        bench.pipeline.step(0)
    left = tmp_path / "text"
    left.touch()
    bench.pipeline._roots[ROOT].text.texts[:] = [replace(text, path=str(left))]
    bench.pipeline.drop_root(ROOT)
    assert not left.exists()
