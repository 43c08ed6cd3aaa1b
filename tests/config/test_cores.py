"""Placing a real process, in a process of its own, read back from the system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config import cores
from config.machine import cpu_list, detect
from config.threads import Thread, executor

SCRIPT = """
import json, os, sys, threading
from config import cores
from config.machine import detect

stop = threading.Event()
ready = threading.Event()
older = threading.Thread(target=lambda: (ready.set(), stop.wait()))
older.start()
ready.wait()
found = []
for role in sys.argv[1:]:
    placement = cores.place(role, detect())
    tids = [int(name) for name in os.listdir("/proc/self/task")]
    found.append({
        "report": cores.report(),
        "refused": placement.refused,
        "cpus": sorted(os.sched_getaffinity(0)),
        "policies": [os.sched_getscheduler(tid) for tid in tids],
        "all_cpus": [sorted(os.sched_getaffinity(tid)) for tid in tids],
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
    })
stop.set()
print(json.dumps(found))
"""


def placed(*roles: str) -> list[dict[str, Any]]:
    environ = {key: value for key, value in os.environ.items() if key != "EINSTEIN_CPUS"}
    command = [sys.executable, "-c", SCRIPT, *roles]
    home = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=home, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's scheduler")


@linux_only
def test_linux_places_every_thread_and_can_change_its_mind() -> None:
    here = detect()
    background, fast = placed("background", "fast")
    assert background["cpus"] == list(here.background)
    assert background["all_cpus"] == [list(here.background)] * 2
    assert background["policies"] == [os.SCHED_BATCH] * 2
    assert background["nice"] == max(cores.BACKGROUND_NICE, os.getpriority(os.PRIO_PROCESS, 0))
    assert background["refused"] == fast["refused"] == []
    assert background["report"] == {
        "role": "background",
        "asked": background["report"]["asked"],
        "refused": [],
        "cpus": background["report"]["cpus"],
        "policy": "batch",
        "nice": background["nice"],
        "io": "idle",
    }
    assert cpu_list(background["report"]["cpus"]) == here.background
    assert fast["cpus"] == list(here.allowed)  # although the process had been narrowed before
    assert fast["policies"] == [os.SCHED_BATCH] * 2


@linux_only
def test_linux_puts_a_merge_behind_the_indexing_of_saved_files() -> None:
    [merge] = placed("merge")
    assert merge["cpus"] == list(detect().background)
    assert merge["nice"] == 19 > cores.BACKGROUND_NICE
    assert merge["policies"] == [os.SCHED_IDLE] * 2
    assert merge["refused"] == []


@linux_only
def test_linux_query_processes_keep_their_priority() -> None:
    [query] = placed("query")
    assert query["cpus"] == list(detect().fast)
    assert query["policies"] == [os.SCHED_OTHER] * 2
    assert query["nice"] == os.getpriority(os.PRIO_PROCESS, 0)


ONE_THREAD = """
import json, os, threading
from config import cores
from config.machine import detect
cores.place("scan", detect())
found = {}
def placement(tid):
    nice = os.getpriority(os.PRIO_PROCESS, tid)
    return [os.sched_getscheduler(tid), sorted(os.sched_getaffinity(tid)), nice]
def work():
    refused = cores.step_back(detect())
    tid = threading.get_native_id()
    own = placement(tid)
    found.update(refused=refused, own=own)
thread = threading.Thread(target=work)
thread.start()
thread.join()
found["main"] = placement(0)
print(json.dumps(found))
"""


@linux_only
def test_linux_one_thread_can_step_back_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONE_THREAD],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    found = json.loads(done.stdout)
    here = detect()
    nice = max(cores.SCAN_NICE, os.getpriority(os.PRIO_PROCESS, 0))
    assert found["own"] == [os.SCHED_IDLE, list(here.background), cores.MERGE_NICE]
    assert found["main"] == [os.SCHED_OTHER, list(here.scanning), nice]
    assert found["refused"] == []


@pytest.mark.parametrize(
    ("role", "darwin_bg", "qos"),
    [
        ("background", 0x1000, 0x09),
        ("merge", 0x1000, 0x09),
        ("fast", 0, 0x11),
        ("query", 0, 0x19),
    ],
)
def test_macos_is_asked_for_qos_and_the_darwin_background_band(role: str, darwin_bg: int, qos: int) -> None:
    asked: list[tuple[int, ...]] = []

    def set_qos(qos: int, relative: int) -> int:
        asked.append((qos, relative))
        return 0

    placement = cores._place_darwin(role, set_qos, lambda *what: asked.append(what))
    assert asked == [(4, 0, darwin_bg), (qos, 0)]
    assert (placement.role, placement.cpus, placement.refused) == (role, (), ())


def test_what_macos_refuses_is_listed() -> None:
    def set_priority(*_what: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    placement = cores._place_darwin("background", lambda *_what: 1, set_priority)
    assert placement.refused == (
        "darwin background on: Operation not permitted",
        "qos background: Operation not permitted",
    )


def test_every_thread_asks_for_the_qos_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_thread_qos", None), ("_current", None), ("_refused_threads", [])):
        monkeypatch.setattr(cores, name, value)
    asked: list[tuple[str, int]] = []

    def set_qos(qos: int, _relative: int) -> int:
        name = threading.current_thread().name
        asked.append((name, qos))
        return 1 if name == "refused" else 0

    def work() -> None:
        asked.append(("work of " + threading.current_thread().name, 0))

    cores._current = cores._place_darwin("query", set_qos, lambda *_what: None)
    for name in ("lane", "refused"):
        thread = Thread(target=work, name=name)
        thread.start()
        thread.join()
    with executor("commit") as commits:
        for _ in range(2):
            commits.submit(work).result()
    assert asked == [
        ("MainThread", 0x19),
        ("lane", 0x19),
        ("work of lane", 0),
        ("refused", 0x19),
        ("work of refused", 0),
        ("commit_0", 0x19),  # once a thread, not once a task
        ("work of commit_0", 0),
        ("work of commit_0", 0),
    ]
    assert "qos of thread refused: Operation not permitted" in cores.report()["refused"]


def test_threads_are_left_alone_where_they_inherit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_thread_qos", lambda: pytest.fail("asked"))
    monkeypatch.setattr(cores, "_place_linux", lambda role, _machine: cores.Placement(role, (), (), ()))
    monkeypatch.setattr(cores, "_current", None)
    cores.place("query", replace(detect(), system="linux"))
    cores.place_thread()
