"""Put this process on the cores its work belongs to, and say what the system made of it.

    place("query")       fast cores, normal priority: somebody is waiting
    place("scan")        cores of queries, behind those that answer at once
    place("background")  background cores, and last in every queue: indexing must not be felt
    place("merge")       the same, behind the indexing of what was saved
    place("fast")        every core, still behind everything else: the first build of an index

Linux: affinity, SCHED_BATCH, nice and the I/O class, for every thread there is (all four belong to threads).
SCHED_IDLE is for merges alone: without privileges there is no way back from it, but a merge has a process of
its own, and whatever is woken for a saved file takes its core at once (from SCHED_BATCH, it waits for some
milliseconds at every step). The nice value of "fast" and "background" is the same because without privileges
it only ever grows.

macOS: there is no affinity; QoS decides. BACKGROUND runs on E-cores only, and PRIO_DARWIN_BG does the same
for the whole process, threads to come included, and throttles its disk reads; `nice` moves nothing to
E-cores.

Nothing here is worth failing for: what the system refuses is listed in the Placement and shown by
`searchd status`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from config.machine import CPUS_VARIABLE, Machine, cpu_text, detect

ROLES = ("query", "scan", "background", "merge", "fast")

BACKGROUND_NICE = 10
MERGE_NICE = 19
SCAN_NICE = 5  # a query that reads everything steps back for those that do not

# ioprio_set(2): class << 13 | level.
_IO_BEST_EFFORT, _IO_IDLE = 2 << 13, 3 << 13
_IO_LOWEST = 7
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_SYSCALLS = {"x86_64": (251, 252), "aarch64": (30, 31), "riscv64": (30, 31)}  # (set, get)

# sys/qos.h and sys/resource.h; os has the PRIO_DARWIN constants only since 3.12.
# BACKGROUND, UTILITY, USER_INITIATED
_QOS = {"background": 0x09, "merge": 0x09, "fast": 0x11, "scan": 0x19, "query": 0x19}
_QOS_NAMES = {
    0x09: "background",
    0x11: "utility",
    0x15: "default",
    0x19: "user-initiated",
    0x21: "user-interactive",
}
_PRIO_DARWIN_PROCESS, _PRIO_DARWIN_BG = 4, 0x1000


@dataclass(frozen=True, slots=True)
class Placement:
    """What was asked of the system for this process, and what it refused."""

    role: str
    cpus: tuple[int, ...]  # Linux: CPUs asked for; empty where cores cannot be named
    asked: tuple[str, ...]
    refused: tuple[str, ...]


_current: Placement | None = None
_thread_qos: Callable[[], int] | None = None  # macOS: places the calling thread; 0, or an error number
_refused_threads: list[str] = []


def place(role: str, machine: Machine | None = None) -> Placement:
    """Place this process, all of its threads included, for `role`; the last call counts.

    machine  what `config.machine.detect()` gave; probed if None
    """
    global _current, _thread_qos
    assert role in ROLES, f"{role!r} is none of {ROLES}"
    machine = detect() if machine is None else machine
    _thread_qos = None
    _current = _place_darwin(role) if machine.system == "darwin" else _place_linux(role, machine)
    return _current


def place_thread() -> None:
    """Place the calling thread as `place` placed the process; each thread's first step (config/threads.py).

    Does nothing where threads inherit it (Linux) or nothing was placed. Threads that run already stay as they
    are when the process is placed anew.
    """
    if _thread_qos is not None and (status := _thread_qos()):
        _refused_threads.append(f"qos of thread {threading.current_thread().name}: {os.strerror(status)}")


def step_back(machine: Machine | None = None) -> tuple[str, ...]:
    """Place the calling thread alone as "merge" places a process; gives what was refused.

    For work beside which another thread of the process answers somebody who waits. Without privileges there
    is no way back from it.
    """
    if sys.platform == "darwin":
        status = ctypes.CDLL(None).pthread_set_qos_class_self_np(_QOS["merge"], 0)
        return (f"qos: {os.strerror(status)}",) if status else ()
    steps = _steps_linux("merge", detect() if machine is None else machine)
    tid = threading.get_native_id()
    return tuple(f"{name}: {error}" for name, step in steps if (error := _refusal(step, [tid])))


def report() -> dict[str, Any]:
    """For status: what was asked ("role", "asked", "refused") and what the system says of us now."""
    found: dict[str, Any] = {"role": "", "asked": [], "refused": []}
    if _current is not None:
        refused = [*_current.refused, *_refused_threads]
        found = {"role": _current.role, "asked": list(_current.asked), "refused": refused}
    return found | (_report_darwin() if sys.platform == "darwin" else _report_linux())


# ---- Linux


def _cpus_linux(role: str, machine: Machine) -> tuple[int, ...]:
    return {
        "query": machine.fast,
        "scan": machine.scanning,
        "background": machine.background,
        "merge": machine.background,
        "fast": machine.allowed,
    }[role]


def _place_linux(role: str, machine: Machine) -> Placement:
    steps = _steps_linux(role, machine)
    refused = [f"{name}: {error}" for name, step in steps if (error := _refusal(step, _every_thread()))]
    return Placement(role, _cpus_linux(role, machine), tuple(name for name, _ in steps), tuple(refused))


def _steps_linux(role: str, machine: Machine) -> list[tuple[str, Callable[[int], None]]]:
    """What is asked for a thread, by the name of each step."""
    cpus = _cpus_linux(role, machine)
    os.environ.setdefault(CPUS_VARIABLE, cpu_text(machine.allowed))
    serves = role in ("query", "scan")
    policy, policy_name = (os.SCHED_OTHER, "other") if serves else (os.SCHED_BATCH, "batch")
    if role == "merge":
        policy, policy_name = os.SCHED_IDLE, "idle"
    nice = {"query": 0, "scan": SCAN_NICE, "merge": MERGE_NICE}.get(role, BACKGROUND_NICE)
    io = {"query": 0, "scan": 0, "fast": _IO_BEST_EFFORT | _IO_LOWEST}.get(role, _IO_IDLE)
    steps: list[tuple[str, Callable[[int], None]]] = [
        (f"cpus {cpu_text(cpus)}", lambda tid: os.sched_setaffinity(tid, cpus)),
        (f"policy {policy_name}", lambda tid: os.sched_setscheduler(tid, policy, os.sched_param(0))),
        (f"nice {nice}", lambda tid: os.setpriority(os.PRIO_PROCESS, tid, nice)),
        (f"io {_io_name(io)}", lambda tid: _ioprio_set(tid, io)),
    ]
    return steps


def _every_thread() -> list[int]:
    """Every thread of this process; later ones inherit."""
    return sorted(int(entry.name) for entry in Path("/proc/self/task").iterdir())


def _refusal(step: Callable[[int], None], tids: list[int]) -> str:
    """Apply to threads; gives the first refusal or ""."""
    refusal = ""
    for tid in tids:
        try:
            step(tid)
        except ProcessLookupError:  # the thread ended meanwhile
            continue
        except OSError as error:
            refusal = refusal or (error.strerror or str(error))
    return refusal


def _ioprio_set(tid: int, value: int) -> None:
    _ioprio(0, tid, value)


def _ioprio_get(tid: int) -> int:
    return _ioprio(1, tid)


def _ioprio(which: int, tid: int, *value: int) -> int:
    """glibc has no wrapper for these calls."""
    numbers = _IOPRIO_SYSCALLS.get(platform.machine())
    if numbers is None:
        raise OSError(0, f"system call number unknown on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(numbers[which], _IOPRIO_WHO_PROCESS, tid, *value)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _io_name(value: int) -> str:
    kind = {0: "default", 1: "realtime", 2: "best-effort", 3: "idle"}.get(value >> 13, str(value >> 13))
    return f"{kind} {value & 7}" if value >> 13 == 2 else kind


def _report_linux() -> dict[str, Any]:
    policies = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle"}
    policy = os.sched_getscheduler(0)
    try:
        io = _io_name(_ioprio_get(0))
    except OSError as error:
        io = f"unknown ({error.strerror})"
    return {
        "cpus": cpu_text(os.sched_getaffinity(0)),
        "policy": policies.get(policy, str(policy)),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "io": io,
    }


# ---- macOS


def _place_darwin(
    role: str,
    set_qos: Callable[[int, int], int] | None = None,
    set_priority: Callable[[int, int, int], None] = os.setpriority,
) -> Placement:
    """The two calls are parameters so that what is asked for can be tested elsewhere."""
    global _thread_qos
    set_qos = ctypes.CDLL(None).pthread_set_qos_class_self_np if set_qos is None else set_qos
    darwin_bg = _PRIO_DARWIN_BG if role in ("background", "merge") else 0
    asked = (f"darwin background {'on' if darwin_bg else 'off'}", f"qos {_QOS_NAMES[_QOS[role]]}")
    refused = []
    try:
        set_priority(_PRIO_DARWIN_PROCESS, 0, darwin_bg)
    except OSError as error:
        refused.append(f"{asked[0]}: {error.strerror}")
    _thread_qos = partial(set_qos, _QOS[role], 0)
    status = _thread_qos()
    if status != 0:  # EPERM: the thread left the QoS world by setting a scheduling policy
        refused.append(f"{asked[1]}: {os.strerror(status)}")
    return Placement(role, (), asked, tuple(refused))


def _report_darwin() -> dict[str, Any]:
    libc = ctypes.CDLL(None)
    qos = int(libc.qos_class_self())
    return {
        "qos": _QOS_NAMES.get(qos, hex(qos)),
        "darwin_background": bool(os.getpriority(_PRIO_DARWIN_PROCESS, 0)),
    }
