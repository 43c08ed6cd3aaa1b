"""Values of the wire as text for people."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.render import Style
from daemon.report import describe, duration, size

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.42, "0.42 s"),
        (9.96, "10 s"),
        (12.4, "12 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (86400 * 3 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_999, "1.0 MB"),
        (3_440_000, "3.4 MB"),
        (120_400_000_000, "120 GB"),
        (5e12, "5.0 TB"),
        (5e15, "5000 TB"),
    ],
)
def test_sizes(n_bytes: float, text: str) -> None:
    assert size(n_bytes) == text


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("index_bytes", 1_200_000_000, "index  1.2 GB"),
        ("bytes_done", 1_000_000, "bytes done  1.0 MB"),
        ("bytes_per_s", 2_500_000, "bytes per second  2.5 MB"),
        ("files_per_s", 812.5, "files per second  812.5"),
        ("last_scan_ns", int((NOW - 3) * 1e9), "last scan  3 s ago"),
        ("last_scan_ns", 0, "last scan  never"),
        ("ended", NOW - 65, "ended  1 min 5 s ago"),
        ("uptime_s", 65.2, "uptime  1 min 5 s"),
        ("eta_s", 0.0, "eta  0 s"),
        ("files", 78_500, "files  78,500"),
        ("pid", 78_500, "pid  78500"),
        ("load", 0.123456, "load  0.1235"),
        ("scanning", False, "scanning  no"),
        ("trouble", "bell \x07", "trouble  bell ␇"),
        ("skipped", {"too_large": 3, "binary": 2}, "skipped  too large 3, binary 2"),
        ("refused", ["a", "b"], "refused  a, b"),
    ],
)
def test_the_unit_in_a_key_decides(key: str, value: Any, line: str) -> None:
    assert describe({key: value}, Style(), NOW) == line + "\n"


def test_nothing_is_said_of_what_is_empty() -> None:
    assert (
        describe({"trouble": "", "skipped": {}, "refused": [], "eta": None, "n": 0}, Style())
        == "n        0\n"
    )


def test_tables_and_lists_of_tables_are_indented() -> None:
    status = {
        "roots": [{"id": 1, "path": "/a", "files": 2, "watcher": {"queue": {"waiting": 3}, "lost": 0}}],
        "generation": 4711,
        "processes": [{"name": "writer", "pid": 12345}, {"pid": 1}],
    }
    assert describe(status, Style()) == (
        "generation  4711\n"
        "root /a\n"
        "  id     1\n"
        "  files  2\n"
        "  watcher\n"
        "    queue  waiting 3\n"
        "    lost   0\n"
        "process writer\n"
        "  pid  12345\n"
        "process 2\n"
        "  pid  1\n"
    )
