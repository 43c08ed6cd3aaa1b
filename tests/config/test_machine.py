"""Machines that the tests do not run on, from what their systems say."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from config.machine import (
    NUMPY_VARIABLE,
    Machine,
    Probe,
    array_variables,
    conditions,
    cpu_list,
    cpu_text,
    detect,
    probe,
)

DATA = Path(__file__).with_name("data")


def mac(name: str) -> Probe:
    table: dict[str, int] = {}
    for line in (DATA / f"{name}.sysctl").read_text().splitlines():
        key, _, value = line.partition(": ")
        if value.isdigit():
            table[key] = int(value)
    return Probe("darwin", sysctl=table.get)


def linux(name: str, root: Path, affinity: str = "") -> Probe:
    for line in (DATA / f"{name}.tree").read_text().splitlines():
        path, _, content = line.partition("\t")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content.replace("\\n", "\n"))
    return Probe("linux", root=root, affinity=cpu_list(affinity))


@pytest.mark.parametrize(
    ("name", "fast", "background", "decided_by", "query_processes", "workers"),
    [
        ("m4-pro", 8, 4, "perflevels", 4, 4),
        ("m1", 4, 4, "perflevels", 2, 4),
        ("mac-vm", 2, 1, "count", 1, 1),
        ("mac-intel", 2, 2, "count", 1, 2),
    ],
)
def test_macs(
    name: str, fast: int, background: int, decided_by: str, query_processes: int, workers: int
) -> None:
    found = detect(mac(name))
    assert (len(found.fast), len(found.background), found.decided_by) == (fast, background, decided_by)
    assert (found.query_processes(), found.workers()) == (query_processes, workers)
    assert found.hybrid == (decided_by != "count")
    assert found.gpu == ("" if name == "mac-intel" else "metal")
    assert found.workers_fast() == fast + background


@pytest.mark.parametrize(
    ("name", "affinity", "fast", "background", "decided_by"),
    [
        ("intel-hybrid", "0-19", "0-11", "12-19", "cpu_core/cpu_atom"),
        ("intel-hybrid", "8-15", "8-11", "12-15", "cpu_core/cpu_atom"),
        ("intel-hybrid", "0-3", "0-1", "2-3", "count"),  # bound to P-cores: one kind is left
        ("intel-hybrid", "", "0-11", "12-19", "cpu_core/cpu_atom"),
        ("big-little", "0-7", "4-7", "0-3", "cpu_capacity"),
        ("three-kinds", "0-7", "4-7", "0-3", "cpu_capacity"),
        ("server", "0-15", "0-3,8-11", "4-7,12-15", "count"),  # threads of one core stay together
        ("server", "5", "5", "5", "count"),
        ("server", "4,6", "4", "6", "count"),
        ("server", "0-2", "0-1", "2", "count"),
        ("container-v2", "0-63", "0-31", "32-63", "count"),
    ],
)
def test_linux_cores(
    name: str, affinity: str, fast: str, background: str, decided_by: str, tmp_path: Path
) -> None:
    found = detect(linux(name, tmp_path, affinity))
    assert (cpu_text(found.fast), cpu_text(found.background)) == (fast, background)
    assert found.decided_by == decided_by


def test_max_frequency_decides_where_there_is_no_capacity(tmp_path: Path) -> None:
    source = linux("big-little", tmp_path, "0-7")
    for file in tmp_path.rglob("cpu_capacity"):
        file.unlink()
    found = detect(source)
    assert (cpu_text(found.fast), found.decided_by) == ("4-7", "cpufreq/cpuinfo_max_freq")


@pytest.mark.parametrize(
    ("name", "cpus", "memory_gib", "query_processes", "workers_fast", "gpu"),
    [
        ("container-v2", 2.5, 4, 2, 2, ""),
        ("container-v1", 1.5, 2, 1, 1, ""),
        ("server", 16.0, 125, 4, 16, "cuda"),
        ("intel-hybrid", 20.0, 31, 6, 20, ""),
    ],
)
def test_linux_limits(
    name: str,
    cpus: float,
    memory_gib: int,
    query_processes: int,
    workers_fast: int,
    gpu: str,
    tmp_path: Path,
) -> None:
    found = detect(linux(name, tmp_path))
    assert (found.cpu_limit, found.memory_bytes >> 30, found.gpu) == (cpus, memory_gib, gpu)
    assert (found.query_processes(), found.workers_fast()) == (query_processes, workers_fast)


@pytest.mark.parametrize(
    ("name", "memory", "thermal", "on_battery"),
    [
        ("intel-hybrid", "normal", "moderate", True),
        ("big-little", "warning", "nominal", False),
        ("server", "warning", "", False),
        ("container-v2", "critical", "", False),
    ],
)
def test_linux_conditions(name: str, memory: str, thermal: str, on_battery: bool, tmp_path: Path) -> None:
    found = conditions(linux(name, tmp_path))
    assert (found.memory, found.thermal, found.on_battery) == (memory, thermal, on_battery)


@pytest.mark.parametrize(
    ("name", "memory"), [("m4-pro", "normal"), ("m1", "warning"), ("mac-vm", "critical")]
)
def test_mac_memory_pressure(name: str, memory: str) -> None:
    assert conditions(mac(name)).memory == memory


def test_an_empty_tree_is_one_cpu_and_nothing_known(tmp_path: Path) -> None:
    found = detect(Probe("linux", root=tmp_path))
    assert found == Machine("linux", (0,), (0,), False, "count", 1.0, 0, "")
    assert conditions(Probe("linux", root=tmp_path)).memory == ""


@pytest.mark.parametrize("text", ["", "0", "0-3", "0-3,8", "0,2,4-5", "10-12,14"])
def test_cpu_lists_print_as_they_were_read(text: str) -> None:
    assert cpu_text(cpu_list(text)) == text


def test_the_real_machine_is_probed() -> None:
    found = detect()
    assert found.fast
    assert found.background
    assert found.memory_bytes > 1 << 28


def test_children_of_a_placed_process_know_the_cpus_it_was_allowed() -> None:
    assert detect(probe({"EINSTEIN_CPUS": "0-3"})).allowed == (0, 1, 2, 3) or probe({}).system == "darwin"
    assert probe({"EINSTEIN_CPUS": "nonsense"}) == probe({}) or probe({}).system == "darwin"


CPUINFO = (
    "processor\t: 0\nvendor_id\t: {}\ncpu family\t: {}\nflags\t\t: fpu {}\n\nprocessor\t: 1\nflags\t: \n"
)


@pytest.mark.parametrize(
    ("vendor", "family", "flags", "without"),
    [
        ("AuthenticAMD", "25", "avx2 avx512f avx512_vbmi2", True),  # Zen 4
        ("AuthenticAMD", "25", "avx2", False),  # Zen 3
        ("AuthenticAMD", "26", "avx2 avx512f", False),  # Zen 5
        ("GenuineIntel", "6", "avx2 avx512f", False),
    ],
)
def test_numpy_does_without_avx512_where_that_is_slow(
    vendor: str, family: str, flags: str, without: bool, tmp_path: Path
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(CPUINFO.format(vendor, family, flags))
    found = array_variables(Probe("linux", root=tmp_path))
    assert ("X86_V4" in found.get(NUMPY_VARIABLE, "")) == without


def test_numpy_is_left_alone_on_other_systems(tmp_path: Path) -> None:
    assert array_variables(mac("m1")) == {}
    assert NUMPY_VARIABLE not in array_variables(Probe("linux", root=tmp_path))  # no /proc/cpuinfo


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back so readily")
def test_large_arrays_are_made_of_memory_that_the_process_has() -> None:
    code = (
        "import numpy, resource\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "numpy.ones(1 << 20, numpy.uint8); before = faults()\n"
        "for _ in range(50): numpy.ones(1 << 20, numpy.uint8)\n"
        "print(faults() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **array_variables()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 50  # 12,800 pages were filled


def test_a_numpy_that_is_told_so_does_without_avx512() -> None:
    code = (
        "import numpy._core._multiarray_umath as m;"
        "f = m.__cpu_features__; print(f.get('X86_V4'), f.get('AVX512_SKX'), f.get('AVX512_ICL'))"
    )
    without = "X86_V4 AVX512_ICL AVX512_SKX AVX512_CLX AVX512_CNL"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, NUMPY_VARIABLE: without},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "True" not in done.stdout
    assert not done.stderr
