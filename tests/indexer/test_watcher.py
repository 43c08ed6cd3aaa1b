"""Every change is hinted at, and every lost event leads to a rescan. Real directories, real events."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings, load
from indexer import watcher as watcher_module
from indexer.fsevents import fsevent_means
from indexer.ignore import IgnoreRules
from indexer.inbox import Inbox, Pacer
from indexer.mounts import file_system_of
from indexer.records import Stat
from indexer.scan import look, scan
from indexer.watcher import PollingWatcher, Watcher, route_fsevent

DEADLINE_S = 10.0
DEFAULTS = load(environ={})

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify")


def with_watch(**values: int) -> Settings:
    return dataclasses.replace(DEFAULTS, watch=dataclasses.replace(DEFAULTS.watch, **values))


class Seen:
    """A service thread in small: waits for wakes and keeps a table of the root up to date."""

    def __init__(self, root: Path, settings: Settings, make: type[Watcher], cookies: Path) -> None:
        self.root = root
        self.wakes = threading.Event()
        self.rules = IgnoreRules(root, settings)
        self.watcher = make(root, self.rules, settings, self.wakes.set, cookies)
        self.watcher.start()
        self.paths: set[str] = set()
        self.trees: set[str] = set()
        self.reasons: list[str] = []
        self.gone = False
        self.table: dict[bytes, Stat] = {}
        self._apply(rescan=True)

    def _apply(
        self, rescan: bool, paths: frozenset[bytes] = frozenset(), trees: frozenset[bytes] = frozenset()
    ):
        found = scan(self.rules, self.table, {}) if rescan else look(self.rules, paths, trees, self.table, {})
        for change in found:
            if change.stat is None:
                del self.table[change.path]
            else:
                self.table[change.path] = change.stat

    def step(self) -> None:
        hints = self.watcher.take()
        self.paths |= {os.fsdecode(path) for path in hints.paths}
        self.trees |= {os.fsdecode(path) for path in hints.trees}
        self.reasons += hints.reasons
        if hints.root_gone:
            self.gone = True
            self.table.clear()
        elif hints:
            try:
                self._apply(hints.rescan, hints.paths, hints.trees)
            except FileNotFoundError:  # gone again; the watcher will say so
                self.table.clear()

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not what():
            left = deadline - time.monotonic()
            assert left > 0, (self.paths, self.trees, self.reasons, self.gone, self.watcher.health())
            self.wakes.wait(left)
            self.wakes.clear()
            self.step()

    def settle(self) -> None:
        """Take everything that was saved before; the table then equals the disk."""
        assert self.watcher.sync(DEADLINE_S)
        while self.watcher.pending():
            self.watcher.sync(DEADLINE_S)
            self.step()

    def files(self) -> set[str]:
        return {os.fsdecode(path) for path in self.table}

    def check(self) -> None:
        """The table equals what a fresh scan finds."""
        self.settle()
        fresh = {change.path: change.stat for change in scan(IgnoreRules(self.root, DEFAULTS), {}, {})}
        assert self.table == fresh


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("EINSTEIN_CACHE_DIR", str(tmp_path / "cache"))
    made = tmp_path / "root"
    (made / "d/e").mkdir(parents=True)
    (made / "a.c").write_text("a")
    (made / "d/e/b.c").write_text("b")
    return made.resolve()


@pytest.fixture
def start(root: Path, tmp_path: Path) -> Iterator[Callable[..., Seen]]:
    started: list[Seen] = []

    def make(settings: Settings = DEFAULTS, kind: type[Watcher] = Watcher) -> Seen:
        started.append(Seen(root, settings, kind, tmp_path / "cookies"))
        return started[-1]

    yield make
    for seen in started:
        seen.watcher.stop()


Start = Callable[..., Seen]


@linux
def test_a_file_that_is_still_open_is_hinted_after_the_debounce(root: Path, start: Start) -> None:
    seen = start()
    with (root / "d/e/b.c").open("w") as stream:
        before = time.monotonic()
        stream.write("bb")
        stream.flush()
        seen.until(lambda: "d/e/b.c" in seen.paths)
        assert time.monotonic() - before >= 0.04


@linux
def test_a_saved_file_is_hinted_when_it_is_closed(root: Path, start: Start) -> None:
    seen = start(with_watch(debounce_ms=60_000, debounce_max_ms=60_000))
    (root / "d/e/b.c").write_text("bb")
    seen.until(lambda: "d/e/b.c" in seen.paths)
    assert not seen.trees and not seen.reasons
    assert seen.watcher.pending() == 0
    assert not seen.watcher.take()


def test_an_atomic_save_hints_the_final_name(root: Path, start: Start) -> None:
    seen = start()
    (root / "a.c.tmp").write_text("new")
    (root / "a.c.tmp").rename(root / "a.c")
    seen.until(lambda: "a.c" in seen.paths)
    assert seen.files() == {"a.c", "d/e/b.c"}
    assert seen.table[b"a.c"].size == 3


def test_our_own_reads_are_no_events(root: Path, start: Start) -> None:
    seen = start()
    for _ in range(3):
        (root / "a.c").read_bytes()
        list(root.rglob("*"))
    (root / "x.c").write_text("x")
    seen.until(lambda: "x.c" in seen.paths)
    assert seen.paths == {"x.c"}


@linux
def test_sync_brings_everything_saved_before(root: Path, start: Start) -> None:
    seen = start(with_watch(debounce_ms=60_000, debounce_max_ms=60_000))
    for i in range(30):
        (root / f"d/f{i}.c").write_text(str(i))
        assert seen.watcher.sync(DEADLINE_S)
        seen.step()
        assert f"d/f{i}.c" in seen.files()
    assert not list((root / "d").glob("*cookie*"))


@linux
def test_files_in_directories_made_this_moment_are_not_missed(root: Path, start: Start) -> None:
    seen = start()
    for i in range(20):
        deep = root / f"n{i}/x/y"
        deep.mkdir(parents=True)
        (deep / "f.c").write_text("x")
        (root / f"n{i}/g.c").write_text("x")
    seen.check()
    (root / "n3/x/y/f.c").write_text("later")
    seen.settle()
    assert "n3/x/y/f.c" in seen.paths


@linux
def test_moved_directories_are_followed(root: Path, tmp_path: Path, start: Start) -> None:
    seen = start()
    (root / "d").rename(root / "moved")
    seen.check()
    assert seen.files() == {"a.c", "moved/e/b.c"}
    (root / "moved/e/b.c").write_text("under the new name")
    seen.settle()
    assert "moved/e/b.c" in seen.paths
    assert seen.watcher.health()["watches"] == 3

    (root / "moved").rename(tmp_path / "outside")
    seen.check()
    assert seen.files() == {"a.c"}
    assert seen.watcher.health()["watches"] == 1
    seen.paths.clear()
    (tmp_path / "outside/e/b.c").write_text("not ours any more")
    seen.settle()
    assert not seen.paths

    (tmp_path / "outside").rename(root / "back")
    seen.check()
    assert seen.files() == {"a.c", "back/e/b.c"}


@linux
def test_a_directory_moved_into_one_made_this_moment(root: Path, start: Start) -> None:
    seen = start()
    for i in range(20):
        (root / f"new{i}").mkdir()
        source = root / "d/e" if i == 0 else root / f"new{i - 1}/e"
        source.rename(root / f"new{i}/e")
    seen.check()
    (root / "new19/e/b.c").write_text("still watched")
    seen.settle()
    assert "new19/e/b.c" in seen.paths


@linux
def test_random_changes_leave_the_table_equal_to_a_fresh_scan(root: Path, start: Start) -> None:
    import random

    chance = random.Random(7)
    seen = start()
    for round_ in range(60):
        directories = [root, *(p for p in root.rglob("*") if p.is_dir())]
        files = [p for p in root.rglob("*") if p.is_file()]
        match chance.randrange(8):
            case 0 | 1:
                (chance.choice(directories) / f"f{chance.randrange(9)}.c").write_text(str(round_))
            case 2:
                (chance.choice(directories) / f"dir{chance.randrange(5)}").mkdir(exist_ok=True)
            case 3 if files:
                chance.choice(files).unlink()
            case 4 if files:
                chance.choice(files).rename(chance.choice(directories) / f"m{round_}.c")
            case 5 if len(directories) > 4:
                shutil.rmtree(chance.choice(directories[1:]))
            case _:
                source, target = chance.choice(directories), chance.choice(directories)
                if source != root and source not in [target, *target.parents]:
                    source.rename(target / f"r{round_}")
        if round_ % 4 == 0:
            seen.check()
    seen.check()
    assert seen.watcher.health()["watches"] == 1 + sum(p.is_dir() for p in root.rglob("*"))


@linux
def test_only_wanted_directories_are_watched(root: Path, start: Start) -> None:
    for name in ("node_modules/a/b", ".hg/store", "keep"):
        (root / name).mkdir(parents=True)
    (root / ".einsteinignore").write_text("node_modules/\n")
    seen = start()
    assert seen.watcher.health()["watches"] == 4
    (root / "node_modules/a/b/x.js").write_text("x")
    (root / "node_modules/new").mkdir()
    (root / ".hg/store/x").write_text("x")
    (root / "x.pem").write_text("x")
    (root / "keep/x.c").write_text("x")
    seen.settle()
    assert seen.paths == {"keep/x.c"}
    assert not seen.trees


@linux
def test_changed_ignore_files_rescan_and_move_the_watches(root: Path, start: Start) -> None:
    seen = start()
    (root / ".einsteinignore").write_text("d/\n")
    seen.until(lambda: "ignore rules changed" in seen.reasons)
    assert seen.files() == {"a.c", ".einsteinignore"}
    assert seen.watcher.health()["watches"] == 1
    (root / ".einsteinignore").unlink()
    seen.until(lambda: seen.files() == {"a.c", "d/e/b.c"})
    assert seen.watcher.health()["watches"] == 3
    (root / "d/e/b.c").write_text("watched again")
    seen.settle()
    assert "d/e/b.c" in seen.paths


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run(["git", "-C", str(directory), *identity, *arguments], check=True, capture_output=True)


@linux
def test_a_branch_switch_rescans(root: Path, start: Start) -> None:
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    git(root, "checkout", "-q", "-b", "other")
    (root / "o.c").write_text("other")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "two")
    seen = start()
    assert "o.c" in seen.files()
    git(root, "checkout", "-q", "main")
    seen.until(lambda: "git switched to another commit" in seen.reasons)
    seen.check()
    assert "o.c" not in seen.files()


@linux
def test_git_init_and_exclude_change_the_rules(root: Path, start: Start) -> None:
    (root / ".gitignore").write_text("*.c\n")
    seen = start()
    assert "a.c" in seen.files()
    git(root, "init", "-q")
    seen.until(lambda: seen.files() == {".gitignore"})
    (root / "x.h").write_text("x")
    seen.until(lambda: "x.h" in seen.files())
    (root / ".git/info/exclude").write_text("*.h\n")
    seen.until(lambda: seen.files() == {".gitignore"})


def test_a_root_that_goes_and_comes_back(root: Path, start: Start) -> None:
    seen = start()
    shutil.rmtree(root)
    seen.until(lambda: seen.gone)
    assert seen.watcher.health()["root_gone"]
    assert not seen.watcher.sync(0.1)
    (root / "new").mkdir(parents=True)
    (root / "new/n.c").write_text("n")
    seen.until(lambda: seen.files() == {"new/n.c"})
    (root / "new/n.c").write_text("watched")
    seen.paths.clear()
    seen.until(lambda: "new/n.c" in seen.paths)


def test_a_root_that_is_moved_away_is_gone(root: Path, tmp_path: Path, start: Start) -> None:
    seen = start()
    root.rename(tmp_path / "elsewhere")
    seen.until(lambda: seen.gone)
    (tmp_path / "elsewhere").rename(root)
    seen.gone = False
    seen.until(lambda: seen.files() == {"a.c", "d/e/b.c"})


def test_a_root_missing_at_the_start_is_waited_for(root: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    wakes = threading.Event()
    watching = Watcher(late, IgnoreRules(late, DEFAULTS), DEFAULTS, wakes.set, tmp_path / "cookies")
    watching.start()
    try:
        assert wakes.wait(DEADLINE_S)
        assert watching.take().root_gone
        wakes.clear()
        root.rename(late)
        assert wakes.wait(DEADLINE_S)
        hints = watching.take()
        assert hints.rescan and hints.reasons == ("the root is back",)
    finally:
        watching.stop()


def test_too_many_changes_become_one_rescan(root: Path, start: Start) -> None:
    seen = start(with_watch(pending_paths_max=50))
    for i in range(200):
        (root / f"f{i}.c").write_text("x")
    seen.until(lambda: len(seen.files()) == 202)
    assert "more than 50 changes at once" in seen.reasons


@linux
def test_a_real_queue_overflow_rescans(root: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = start()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 50_000:
        pytest.skip("the queue of this machine is too long to fill in a test")
    blocked, go = threading.Event(), threading.Event()
    source: Any = seen.watcher._source
    handle = source._handle

    def block(*arguments: Any) -> None:
        blocked.set()
        assert go.wait(DEADLINE_S)
        handle(*arguments)

    monkeypatch.setattr(source, "_handle", block)
    (root / "first.c").write_text("x")
    assert blocked.wait(DEADLINE_S)
    (root / "unseen").mkdir()
    for i in range(limit // 2 + 2_000):  # two names in turn, or the kernel would join equal events
        os.utime(root / ("a.c" if i % 2 else "d"))
        os.utime(root / ("d/e" if i % 2 else "first.c"))
    (root / "late").mkdir()
    (root / "late/lost.c").write_text("x")
    go.set()
    seen.until(lambda: "late/lost.c" in seen.files())
    assert "the kernel's event queue overflowed" in seen.reasons
    assert seen.watcher._source is not source
    (root / "late/lost.c").write_text("the directory that nobody saw is watched now")
    seen.settle()
    assert "late/lost.c" in seen.paths


@linux
def test_an_error_in_an_event_is_not_the_end(
    root: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = start()

    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(seen.watcher._source, "_handle", fail)
    (root / "x.c").write_text("x")
    seen.until(lambda: "x.c" in seen.files())
    assert any("could not be handled" in reason for reason in seen.reasons)
    (root / "y.c").write_text("y")
    seen.until(lambda: "y.c" in seen.paths)


@linux
def test_directories_without_a_watch_are_counted_and_rescanned_sooner(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchdog.observers.inotify_c import InotifyFD

    add: Any = InotifyFD.add_callback

    def refuse(self: Any, path: bytes, *rest: Any) -> Any:
        if path.endswith(b"/e"):
            raise OSError(28, "inotify watch limit reached")
        return add(self, path, *rest)

    monkeypatch.setattr(InotifyFD, "add_callback", refuse)
    seen = start()
    health = seen.watcher.health()
    assert (health["watches"], health["wanted"], health["missing"]) == (2, 3, 1)
    assert seen.watcher._rescan_period_s() == watcher_module.DEGRADED_RESCAN_S


@linux
def test_without_inotify_the_timer_scans(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> int:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr("watchdog.observers.inotify_c.InotifyFD._create_inotify_fd", staticmethod(refuse))
    seen = start()
    assert seen.watcher.health()["backend"] == "polling"
    assert not seen.watcher.sync(0.1)
    assert "no file events" in caplog.text


def test_polling_finds_changes(root: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "POLL_S", 0.05)
    seen = start(kind=PollingWatcher)
    (root / "x.c").write_text("x")
    seen.until(lambda: "x.c" in seen.files())
    assert seen.reasons and set(seen.reasons) == {"timer"}


def test_the_timer_rescans(start: Start) -> None:
    seen = start(with_watch(rescan_s=1))
    seen.until(lambda: "timer" in seen.reasons)


def test_stop_ends_all_threads(start: Start) -> None:
    before = threading.active_count()
    seen = start()
    assert threading.active_count() > before
    seen.watcher.stop()
    assert threading.active_count() == before
    seen.watcher.stop()


# ---- the inbox, with a scripted clock ---------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(clock: Clock) -> Inbox:
    return Inbox(DEFAULTS.watch, clock)


def test_paths_wait_for_quiet_but_not_for_ever(inbox: Inbox, clock: Clock) -> None:
    inbox.note(b"a")
    assert not inbox.take() and inbox.pending() == 1
    for _ in range(3):
        clock.now += 0.04
        inbox.note(b"b")
        assert not inbox.take()
    clock.now += 0.031  # 151 ms after the first, 31 ms after the last
    hints = inbox.take()
    assert hints.paths == {b"a", b"b"} and hints.seen_at == 100.0
    assert inbox.pending() == 0 and not inbox.take()


def test_a_rescan_replaces_paths_and_keeps_its_distance(inbox: Inbox, clock: Clock) -> None:
    inbox.note(b"a")
    inbox.lose("first")
    inbox.lose("second")
    clock.now += 0.06
    hints = inbox.take()
    assert hints.rescan and hints.reasons == ("first", "second") and not hints.paths
    inbox.lose("third")
    inbox.note(b"b")
    clock.now += 0.06
    assert inbox.take().paths == {b"b"}  # a single file does not wait for the gap
    assert not inbox.take()
    clock.now += 1.0
    assert inbox.take().reasons == ("third",)


def test_hurry_makes_everything_due(inbox: Inbox) -> None:
    inbox.hurry()
    inbox.note(b"a")
    assert not inbox.take()
    inbox.hurry()
    assert inbox.take().paths == {b"a"}
    inbox.lose("x", 1e9)
    inbox.hurry()
    assert inbox.take().rescan


def test_more_paths_than_allowed_become_a_rescan(clock: Clock) -> None:
    inbox = Inbox(with_watch(pending_paths_max=2).watch, clock)
    for name in (b"a", b"b", b"c"):
        inbox.note(name)
    clock.now += 1
    assert inbox.take().reasons == ("more than 2 changes at once",)


def test_a_lost_root_forgets_the_rest(inbox: Inbox) -> None:
    inbox.note(b"a")
    inbox.lose("x")
    inbox.root_gone()
    hints = inbox.take()
    assert hints.root_gone and not hints.paths and not hints.rescan
    assert not inbox.take()


def test_the_pacer_wakes_once_for_what_is_due() -> None:
    inbox = Inbox(DEFAULTS.watch)
    wakes = threading.Semaphore(0)
    pacer = Pacer(inbox, wakes.release, lambda: 60.0)
    pacer.start()
    try:
        inbox.note(b"a")
        assert wakes.acquire(timeout=DEADLINE_S)
        inbox.note(b"b")
        assert inbox.take().paths == {b"a", b"b"}
        inbox.note(b"c")
        assert wakes.acquire(timeout=DEADLINE_S)
        assert not wakes.acquire(blocking=False)
    finally:
        pacer.stop()


# ---- macOS, without macOS ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "meaning"),
    [
        (0x1, "lost"),
        (0x2 | 0x1, "lost"),
        (0x4, "lost"),
        (0x8, "lost"),
        (0x20, "root"),
        (0x100 | 0x1000 | 0x10000, "path"),
        (0x200 | 0x10000, "path"),
        (0x800 | 0x20000, "tree"),
        (0x100 | 0x20000, "tree"),
        (0x400 | 0x20000, ""),
    ],
)
def test_fsevent_means(flags: int, meaning: str) -> None:
    assert fsevent_means(flags) == meaning


def test_fsevents_records_are_routed(root: Path, tmp_path: Path) -> None:
    (root / ".einsteinignore").write_text("out/\n")
    rules = IgnoreRules(root, DEFAULTS)
    watching = Watcher(root, rules, DEFAULTS, lambda: None, tmp_path / "cookies")
    file, directory = 0x1000 | 0x10000, 0x800 | 0x20000
    for path, flags in [
        (b"a.c", file), (b"d", directory), (b"out", directory), (b"out/x.c", file), (b"x.pem", file),
        (b".git/objects/ab", file), (b"", file), (b"d/e", 0x400 | 0x20000),
    ]:  # fmt: skip
        route_fsevent(path, flags, rules, watching._inbox, watching)
    watching._inbox.hurry()
    hints = watching._inbox.take()
    assert (hints.paths, hints.trees, hints.rescan) == ({b"a.c"}, {b"d"}, False)
    for path, flags, reason in [
        (b".git/HEAD", file, "git switched to another commit"),
        (b".einsteinignore", file, "ignore rules changed"),
        (b"d", 0x1, "FSEvents dropped events"),
        (b"", 0x20, "the root moved or went away"),
    ]:
        route_fsevent(path, flags, rules, watching._inbox, watching)
        watching._inbox.hurry()
        assert watching._inbox.take().reasons == (reason,)


def test_file_system_of(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "30 22 0:40 / /home/me/my\\040files rw shared:1 - fuse.sshfs me@x: rw\n"
        "31 22 0:41 / /home/me/net rw - nfs4 server:/x rw\n"
        "garbage\n"
    )
    assert file_system_of(b"/home/me/src", str(mounts)) == "ext4"
    assert file_system_of(b"/home/me/my files/src", str(mounts)) == "fuse.sshfs"
    assert file_system_of(b"/home/me/net", str(mounts)) == "nfs4"
    assert file_system_of(b"/home/me/network", str(mounts)) == "ext4"
    assert file_system_of(b"/x", str(tmp_path / "none")) == ""
