"""A scan lists exactly what differs between the disk and the table."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from config.settings import load
from indexer.ignore import IgnoreRules
from indexer.records import FileChange, Stat
from indexer.scan import RACY_NS, below, compare, confirmed, look, outermost, scan

SETTINGS = load(environ={})
OLD = time.time_ns() - 3_600_000_000_000


def put(root: Path, name: str, text: str = "x", mtime_ns: int = OLD) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def apply(table: dict[bytes, Stat], changes: list[FileChange]) -> None:
    for change in changes:
        if change.stat is None:
            del table[change.path]
        else:
            table[change.path] = change.stat


def listed(changes: list[FileChange]) -> list[str]:
    return [("-" if change.stat is None else "+") + os.fsdecode(change.path) for change in changes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.c", "d/b.c", "d/e/c.c"):
        put(tmp_path / "root", name)
    return tmp_path / "root"


def test_a_scan_lists_new_changed_and_gone_files(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    table: dict[bytes, Stat] = {}
    first = scan(rules, table, {})
    assert listed(first) == ["+a.c", "+d/b.c", "+d/e/c.c"]
    apply(table, first)
    assert scan(rules, table, {}) == []
    put(root, "a.c", "longer")
    put(root, "n.c")
    (root / "d/b.c").unlink()
    assert listed(scan(rules, table, {})) == ["+a.c", "-d/b.c", "+n.c"]


def test_an_equal_size_and_mtime_with_another_inode_is_a_change(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    table: dict[bytes, Stat] = {}
    apply(table, scan(rules, table, {}))
    put(root, "other", "y")
    (root / "other").rename(root / "a.c")
    assert listed(scan(rules, table, {})) == ["+a.c"]


def test_a_fresh_file_is_read_again(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    put(root, "fresh.c", mtime_ns=time.time_ns())
    put(root, "future.c", mtime_ns=time.time_ns() + 3_600_000_000_000)
    table: dict[bytes, Stat] = {}
    apply(table, scan(rules, table, {}))
    assert listed(scan(rules, table, {})) == ["+fresh.c"]


def test_skipped_files_are_not_listed_until_they_change(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    everything: dict[bytes, Stat] = {}
    apply(everything, scan(rules, everything, {}))
    skipped: dict[bytes, Stat | None] = {b"a.c": everything.pop(b"a.c"), b"gone.c": None, b"d/b.c": None}
    del everything[b"d/b.c"]
    assert listed(scan(rules, everything, skipped)) == ["+d/b.c", "-gone.c"]


def test_files_that_became_ignored_are_gone(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    table: dict[bytes, Stat] = {}
    apply(table, scan(rules, table, {}))
    put(root, ".einsteinignore", "e/\n")
    assert listed(scan(rules, table, {})) == ["+.einsteinignore", "-d/e/c.c"]
    assert listed(look(rules, [b"d/e/c.c"], [], table, {})) == ["-d/e/c.c"]


def test_a_root_that_cannot_be_listed_is_an_error_and_not_empty(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    table: dict[bytes, Stat] = {}
    apply(table, scan(rules, table, {}))
    shutil.rmtree(root)
    with pytest.raises(OSError):
        scan(rules, table, {})


def test_a_hinted_file_is_always_looked_at(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    table: dict[bytes, Stat] = {}
    apply(table, scan(rules, table, {}))
    (root / "link").symlink_to("a.c")
    (root / "d/b.c").unlink()
    hints = [b"a.c", b"d/b.c", b"never/was", b"link", b".git/x", b"x.pem"]
    put(root, "x.pem")
    assert listed(look(rules, hints, [], table, {})) == ["+a.c", "-d/b.c"]


def test_a_tree_that_moved_is_compared_on_both_sides(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    table: dict[bytes, Stat] = {}
    apply(table, scan(rules, table, {}))
    (root / "d").rename(root / "f")
    assert listed(look(rules, [], [b"d", b"f", b"f/e"], table, {})) == [
        "-d/b.c",
        "-d/e/c.c",
        "+f/b.c",
        "+f/e/c.c",
    ]


def test_a_hint_may_turn_out_to_be_a_directory_and_a_tree_a_file(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    table: dict[bytes, Stat] = {}
    assert listed(look(rules, [b"d"], [b"a.c"], table, {})) == ["+a.c", "+d/b.c", "+d/e/c.c"]
    apply(table, scan(rules, table, {}))
    shutil.rmtree(root / "d")
    put(root, "d")
    assert listed(look(rules, [b"d"], [b"d"], table, {})) == ["+d", "-d/b.c", "-d/e/c.c"]


def test_outermost() -> None:
    assert outermost([b"a/b", b"a", b"a-b", b"ab/c", b"a/b/c"]) == [b"a-b", b"a", b"ab/c"]
    assert outermost([b"x", b""]) == [b""]


def test_below() -> None:
    table = {b"a": 1, b"a/b": 2, b"ab": 3, b"a/c/d": 4}
    assert below(table, b"a") == {b"a": 1, b"a/b": 2, b"a/c/d": 4}
    assert below(table, b"") == table


def test_compare_equals_a_slow_twin() -> None:
    chance = random.Random(1)
    now_ns = 10 * RACY_NS
    for _ in range(300):
        names = [b"f%d" % i for i in range(8)]
        times = (1, 2, now_ns - RACY_NS // 2)

        def some() -> dict[bytes, Stat]:
            return {
                name: Stat(chance.randint(1, 2), chance.choice(times), chance.randint(1, 2))  # noqa: B023
                for name in names  # noqa: B023
                if chance.random() < 0.6
            }

        disk, known = some(), some()
        skipped: dict[bytes, Stat | None] = {
            name: known.pop(name) for name in list(known) if chance.random() < 0.3
        }
        found = [
            (name, os.stat_result((0, s.inode, 0, 0, 0, 0, s.size, 0, 0, 0), {"st_mtime_ns": s.mtime_ns}))
            for name, s in disk.items()
        ]
        expected = []
        for name in names:
            before = known.get(name, skipped.get(name))
            stat = disk.get(name)
            if stat is None:
                if before is not None:
                    expected.append(FileChange(name, None))
            elif before != stat or stat.mtime_ns > now_ns - RACY_NS:
                expected.append(FileChange(name, stat))
        assert compare(found, known, skipped, now_ns) == expected


def test_what_is_under_way_is_known_already(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    known = {path: Stat(1, OLD, 0) for path in (b"a.c",)}
    under_way = {b"d/b.c", b"d/gone.c", b"gone.c"}
    (root / "d/e/c.c").unlink()
    (root / "a.c").unlink()
    assert listed(scan(rules, known, {}, under_way)) == ["-a.c", "+d/b.c", "-d/gone.c", "-gone.c"]
    assert listed(look(rules, [b"gone.c", b"never.c"], [b"d"], known, {}, under_way)) == [
        "+d/b.c",
        "-d/gone.c",
        "-gone.c",
    ]


def test_what_is_back_when_a_scan_ends_is_not_gone(root: Path) -> None:
    rules = IgnoreRules(root, SETTINGS)
    put(root, "linked/a.c")
    changes = [FileChange(path, None) for path in (b"a.c", b"d", b"d/b.c", b"linked/a.c", b"n.c")]
    (root / "linked").rename(root.parent / "outside")
    (root / "linked").symlink_to(root.parent / "outside")
    assert listed(confirmed(rules, changes)) == ["+a.c", "-d", "+d/b.c", "-linked/a.c", "-n.c"]
    found = [FileChange(b"new.c", Stat(1, 2, 3))]
    assert confirmed(rules, found) == found
