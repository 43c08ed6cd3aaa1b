"""What this machine has and how it is doing: cores of both kinds, memory, GPU; pressure, heat, battery.

Everything is a pure function of a `Probe`: a directory tree that stands for / on Linux, a table of sysctl
values on macOS, so that machines nobody here owns are tested from recordings. Only `probe()` looks at the
real machine.

"Fast" cores answer queries, "background" cores index. Where the hardware has two kinds (Apple P and E, Intel
Core and Atom, Arm big and LITTLE) that decides. Where all cores are equal, they are split by count, hardware
threads of one core staying together: query latency suffers more from a busy sibling than from one core less.

What counts is what this process may use: the affinity it was started with (os.cpu_count ignores it) and the
cgroup's CPU quota, which no affinity shows.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Placing a process narrows its affinity and children inherit it, so the first of our processes writes down
# here what it was allowed, for those it starts.
CPUS_VARIABLE = "EINSTEIN_CPUS"

# Two kinds of cores differ by at least this factor: turbo bins of equal cores differ by a few per cent, real
# steps (Zen 5 to Zen 5c, big to LITTLE) by 30 % and more.
KIND_RATIO = 1.2


# AMD's Zen 4 compresses AVX-512 vectors into memory by microcode, and NumPy's sort does so with every vector.
# On an EPYC 9004, ns an element of 13,000: uint32 20 with AVX-512, 3.3 with AVX2; uint64 28 and 6.6. So NumPy
# is told to do without: 2.4 names the group X86_V4, those before it AVX512_SKX; a name that it does not know
# only warns, and Python ignores that warning.
NUMPY_VARIABLE = "NPY_DISABLE_CPU_FEATURES"
_WITHOUT_AVX512 = "X86_V4 AVX512_ICL AVX512_SKX AVX512_CLX AVX512_CNL"

# glibc gives every array of a megabyte back to the system and gets fresh, zeroed pages for the next: a fifth
# of the time of a search that unpacks a megabyte at a time (40,000 page faults; 450 ms became 350). So it
# keeps up to 64 MB that are free, and takes arrays of up to 32 MB (its limit) from there. Other C libraries
# ignore this.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "67108864"}


@dataclass(frozen=True, slots=True)
class Probe:
    """Where to look: the real machine or a recording of one."""

    system: str  # "linux" or "darwin"
    root: Path = Path("/")  # Linux: stands for /
    affinity: tuple[int, ...] = ()  # Linux: CPUs this process may use
    sysctl: Callable[[str], int | None] = field(default=lambda _name: None)  # macOS

    def read(self, path: str) -> str | None:
        """The stripped text of a file below the root, None if it cannot be read."""
        try:
            return (self.root / path).read_text("utf-8", "replace").strip()
        except OSError:
            return None

    def read_int(self, path: str) -> int | None:
        """The same as a number; None also for "max" and the like."""
        return _int(self.read(path))


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use."""

    system: str
    fast: tuple[int, ...]  # CPU numbers; on macOS only their count means something
    background: tuple[int, ...]  # shares CPUs with `fast` only if there is a single one
    hybrid: bool  # two kinds of cores; False: `fast` and `background` are halves of equal ones
    decided_by: str  # what told them apart: "cpu_core/cpu_atom", "cpu_capacity", ..., "count"
    cpu_limit: float  # CPUs' worth of time the cgroup grants; at most the number of CPUs
    memory_bytes: int  # physical, or the cgroup's limit; 0 if unknown
    gpu: str  # "metal", "cuda" or ""

    @property
    def allowed(self) -> tuple[int, ...]:
        """All CPUs this process may use."""
        return tuple(sorted({*self.fast, *self.background}))

    def query_processes(self) -> int:
        """How many query processes by default: half the fast cores, within the quota, at least one."""
        return max(1, min(len(self.fast) // 2, math.floor(self.cpu_limit)))

    @property
    def scanning(self) -> tuple[int, ...]:
        """CPUs that read many files for one query: the fast ones; all where they are equal."""
        return self.fast if self.hybrid else self.allowed

    def scan_processes(self) -> int:
        """How many scan processes a query process may start: one for each CPU they use, within the quota."""
        return max(1, min(len(self.scanning), math.floor(self.cpu_limit)))

    def workers(self) -> int:
        """How many parse workers by default: one for each background core, within the quota, at least one."""
        return max(1, min(len(self.background), math.floor(self.cpu_limit)))

    def workers_fast(self) -> int:
        """How many parse workers for the first build of an index: every core, within the quota."""
        return max(1, min(len(self.allowed), math.floor(self.cpu_limit)))


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the machine is doing right now; each value is "" or 0 where the system does not say."""

    memory: str  # "normal", "warning", "critical"
    thermal: str  # "nominal", "moderate", "heavy"
    on_battery: bool
    load: float  # runnable processes of the last minute per CPU


def probe(environ: Mapping[str, str] | None = None) -> Probe:
    """The real machine."""
    if sys.platform == "darwin":
        return Probe("darwin", sysctl=_darwin_sysctl)
    environ = os.environ if environ is None else environ
    return Probe("linux", affinity=_inherited_cpus(environ) or tuple(sorted(os.sched_getaffinity(0))))


def detect(source: Probe | None = None) -> Machine:
    """What the probed machine has; the real one, looked at once per process, if `source` is None."""
    if source is None:
        return _detect_here()
    return _darwin(source) if source.system == "darwin" else _linux(source)


machine = detect  # reads better where only this function is imported


@functools.cache
def _detect_here() -> Machine:
    return detect(probe())


def conditions(source: Probe | None = None) -> Conditions:
    """How the probed machine is doing. Costs some file reads; call it about once a second at most."""
    source = probe() if source is None else source
    load = os.getloadavg()[0] / max(1, os.cpu_count() or 1)
    if source.system == "darwin":
        return Conditions(_darwin_memory(source), _darwin_thermal(), _darwin_on_battery(), load)
    return Conditions(_linux_memory(source), _linux_thermal(source), _linux_on_battery(source), load)


def array_variables(source: Probe | None = None) -> dict[str, str]:
    """What the environment of a process must hold from its start for work on arrays to be fast here."""
    source = probe() if source is None else source
    if source.system != "linux":
        return {}
    return _KEEP_MEMORY | ({NUMPY_VARIABLE: _WITHOUT_AVX512} if _sorts_slowly(source) else {})


def _sorts_slowly(source: Probe) -> bool:
    """Whether NumPy's sorts with AVX-512 are slower than those without."""
    said: dict[str, str] = {}
    for line in (source.read("proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if not key.strip():
            break  # the first processor
        said[key.strip()] = value.strip()
    zen = said.get("vendor_id") == "AuthenticAMD" and said.get("cpu family") == "25"
    return zen and "avx512f" in said.get("flags", "").split()


def cpu_list(text: str) -> tuple[int, ...]:
    """The kernel's list notation: "0-3,8" -> (0, 1, 2, 3, 8)."""
    cpus: set[int] = set()
    for part in text.replace("\n", "").split(","):
        first, _, last = part.strip().partition("-")
        if first:
            cpus.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(cpus))


def cpu_text(cpus: Iterable[int]) -> str:
    """The other way round: (0, 1, 2, 3, 8) -> "0-3,8"."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


# ---- Linux


def _linux(source: Probe) -> Machine:
    allowed = source.affinity or cpu_list(source.read("sys/devices/system/cpu/online") or "0")
    fast, background, decided_by = _linux_kinds(source, allowed)
    hybrid = bool(fast and background)
    if not hybrid:
        decided_by = "count"
        fast, background = _halves(_by_physical_core(source, allowed))
    limit = min([float(len(allowed)), *_cgroup_cpus(source)])
    memory = [value for value in (_memory_total(source), *_cgroup_memory(source)) if value]
    gpu = "cuda" if _has_nvidia(source) else ""
    return Machine("linux", fast, background, hybrid, decided_by, limit, min(memory, default=0), gpu)


def _linux_kinds(source: Probe, allowed: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Fast and background CPUs by what the kernel says; both are non-empty only if it tells two kinds."""
    core = source.read("sys/devices/cpu_core/cpus")
    atom = source.read("sys/devices/cpu_atom/cpus")
    if core and atom:
        fast = tuple(cpu for cpu in cpu_list(core) if cpu in allowed)
        return fast, tuple(cpu for cpu in cpu_list(atom) if cpu in allowed), "cpu_core/cpu_atom"
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq", "acpi_cppc/highest_perf"):
        strength = {cpu: source.read_int(f"sys/devices/system/cpu/cpu{cpu}/{name}") for cpu in allowed}
        known = {cpu: value for cpu, value in strength.items() if value}
        if len(known) != len(allowed):
            continue
        border = _widest_gap(known.values())
        if border:
            fast = tuple(cpu for cpu in allowed if known[cpu] > border)
            return fast, tuple(cpu for cpu in allowed if known[cpu] <= border), name
    return (), (), ""


def _widest_gap(values: Iterable[int]) -> int:
    """The largest value of the weaker kind, below the widest relative gap; 0 if no gap is a KIND_RATIO."""
    steps = sorted(set(values))
    gaps = [(high / low, low) for low, high in itertools.pairwise(steps)]
    ratio, border = max(gaps, default=(0.0, 0))
    return border if ratio >= KIND_RATIO else 0


def _by_physical_core(source: Probe, allowed: tuple[int, ...]) -> tuple[int, ...]:
    """The CPUs, hardware threads of one core side by side."""

    def key(cpu: int) -> tuple[int, int]:
        siblings = source.read(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        return (min(cpu_list(siblings)) if siblings else cpu, cpu)

    return tuple(sorted(allowed, key=key))


def _halves(cpus: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Query CPUs (the larger half) and background CPUs; a single CPU is both."""
    middle = (len(cpus) + 1) // 2
    return tuple(sorted(cpus[:middle])), tuple(sorted(cpus[middle:] or cpus))


def _cgroup_dirs(source: Probe, controller: str) -> list[str]:
    """The directories of this process's cgroup, leaf first, v2 and v1; limits hold at every level.

    Inside a container the path in /proc/self/cgroup may be the host's and not exist here: the walk up ends
    at the mount, which then is the container's own group.
    """
    found: list[str] = []
    for line in (source.read("proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount = "sys/fs/cgroup"
        elif controller in controllers.split(","):
            mount = f"sys/fs/cgroup/{controller}"
        else:
            continue
        parts = [part for part in path.split("/") if part and part != ".."]
        found += ["/".join([mount, *parts[:n]]) for n in range(len(parts), -1, -1)]
    return found


def _cgroup_cpus(source: Probe) -> list[float]:
    """The quotas in force, in CPUs."""
    limits: list[float] = []
    for directory in _cgroup_dirs(source, "cpu"):
        quota_and_period = (source.read(f"{directory}/cpu.max") or "").split()
        if len(quota_and_period) != 2:
            quota_and_period = [
                source.read(f"{directory}/cpu.cfs_quota_us") or "",
                source.read(f"{directory}/cpu.cfs_period_us") or "",
            ]
        quota, period = map(_int, quota_and_period)
        if quota and period and quota > 0:
            limits.append(quota / period)
    return limits


def _cgroup_memory(source: Probe) -> list[int]:
    """The memory limits in force, in bytes."""
    found = []
    for directory in _cgroup_dirs(source, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            value = source.read_int(f"{directory}/{name}")
            if value and value < 1 << 60:  # v1 says "no limit" as the largest multiple of a page
                found.append(value)
    return found


def _meminfo(source: Probe) -> dict[str, int]:
    """Lines of /proc/meminfo in bytes."""
    table = {}
    for line in (source.read("proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        value = _int(rest.split()[0]) if rest.split() else None
        if value is not None:
            table[name] = value * 1024
    return table


def _memory_total(source: Probe) -> int:
    return _meminfo(source).get("MemTotal", 0)


def _has_nvidia(source: Probe) -> bool:
    return (source.root / "dev/nvidiactl").exists() or (source.root / "proc/driver/nvidia/version").exists()


def _linux_memory(source: Probe) -> str:
    """By pressure stall information (per cent of the last 10 s spent waiting) and by what is left."""
    stalls: dict[str, float] = {}
    for line in (source.read("proc/pressure/memory") or "").splitlines():
        kind, *rest = line.split()
        for item in rest:
            name, _, value = item.partition("=")
            if name == "avg10":
                stalls[kind] = float(value)
    table = _meminfo(source)
    total = table.get("MemTotal", 0)
    free = table.get("MemAvailable", total) / total if total else 1.0
    if stalls.get("full", 0.0) >= 10.0 or free < 0.02:
        return "critical"
    if stalls.get("some", 0.0) >= 10.0 or free < 0.06:
        return "warning"
    return "normal" if table or stalls else ""


def _linux_thermal(source: Probe) -> str:
    """The worst thermal zone against its own trip points; "" where there are none (virtual machines)."""
    levels = {"passive": 1, "hot": 2, "critical": 2}
    worst, seen = 0, False
    for zone in sorted((source.root / "sys/class/thermal").glob("thermal_zone*")):
        here = f"sys/class/thermal/{zone.name}"
        heat = source.read_int(f"{here}/temp")
        if heat is None:
            continue
        for trip in range(12):
            kind = source.read(f"{here}/trip_point_{trip}_type")
            limit = source.read_int(f"{here}/trip_point_{trip}_temp")
            if kind not in levels or not limit or limit <= 0:
                continue
            seen = True
            if heat >= limit:
                worst = max(worst, levels[kind])
    return ("nominal", "moderate", "heavy")[worst] if seen else ""


def _linux_on_battery(source: Probe) -> bool:
    """A battery of the machine itself (not of a mouse) is being emptied and no mains is connected."""
    discharging = False
    for supply in sorted((source.root / "sys/class/power_supply").glob("*")):
        here = f"sys/class/power_supply/{supply.name}"
        kind = source.read(f"{here}/type")
        if kind in ("Mains", "USB") and source.read(f"{here}/online") == "1":
            return False
        if kind == "Battery" and source.read(f"{here}/scope") != "Device":
            discharging |= source.read(f"{here}/status") == "Discharging"
    return discharging


def _inherited_cpus(environ: Mapping[str, str]) -> tuple[int, ...]:
    try:
        return cpu_list(environ.get(CPUS_VARIABLE, ""))
    except ValueError:
        return ()


def _int(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        return None


# ---- macOS


def _darwin(source: Probe) -> Machine:
    """perflevel0 is the fastest kind, the last level the slowest; virtual machines have a single level."""
    levels = source.sysctl("hw.nperflevels") or 0
    counts = [source.sysctl(f"hw.perflevel{level}.physicalcpu") or 0 for level in range(levels)]
    total = sum(counts) or source.sysctl("hw.physicalcpu") or 1
    hybrid = len(counts) > 1 and counts[-1] > 0 and sum(counts[:-1]) > 0
    if hybrid:
        fast, background = tuple(range(total - counts[-1])), tuple(range(total - counts[-1], total))
    else:
        fast, background = _halves(tuple(range(total)))
    gpu = "metal" if source.sysctl("hw.optional.arm64") else ""
    decided_by = "perflevels" if hybrid else "count"
    memory = source.sysctl("hw.memsize") or 0
    return Machine("darwin", fast, background, hybrid, decided_by, float(total), memory, gpu)


def _darwin_memory(source: Probe) -> str:
    """The kernel says 1, 2 or 4 here (xnu kern_memorystatus_notify.c), not 0 to 3."""
    level = source.sysctl("kern.memorystatus_vm_pressure_level") or 0
    return {1: "normal", 2: "warning", 4: "critical"}.get(level, "")


def _darwin_sysctl(name: str) -> int | None:
    import ctypes

    value, size = ctypes.c_uint64(0), ctypes.c_size_t(8)
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
        != 0
    ):
        return None
    return value.value  # little-endian, so a 4 byte answer reads right


def _darwin_thermal() -> str:
    """OSThermalNotification.h: 0 nominal, 1 moderate, 2 heavy, 3 trapping, 4 sleeping."""
    import ctypes

    try:
        libc = ctypes.CDLL(None)
        token, level = ctypes.c_int(0), ctypes.c_uint64(0)
        if libc.notify_register_check(b"com.apple.system.thermalpressurelevel", ctypes.byref(token)) != 0:
            return ""
        status = libc.notify_get_state(token, ctypes.byref(level))
        libc.notify_cancel(token)
    except (OSError, AttributeError):
        return ""
    return "" if status != 0 else ("nominal", "moderate", "heavy")[min(level.value, 2)]


def _darwin_on_battery() -> bool:
    """IOPSGetTimeRemainingEstimate gives -2 on mains, -1 or seconds on battery (IOPowerSources.h)."""
    import ctypes

    try:
        iokit = ctypes.CDLL("/System/Library/Frameworks/IOKit.framework/IOKit")
        iokit.IOPSGetTimeRemainingEstimate.restype = ctypes.c_double
        return bool(iokit.IOPSGetTimeRemainingEstimate() > -1.5)
    except (OSError, AttributeError):
        return False
