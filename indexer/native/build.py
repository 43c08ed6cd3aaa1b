"""Compiles the C sources beside this file: what `pip install` does, and `make setup` after a change.

    python indexer/native/build.py

The compiler is $CC or the system's `cc`; where there is none, or CC is set to nothing, the package ziglang is
one (it is needed for building only). On x86 there is a second library for processors with AVX2; library.py
takes the one that fits.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).parent
ZIG = "ziglang==0.17.1"
# -ffp-contract=off: sums come out the same on every processor, and as NumPy has them.
_FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=off", "-shared", "-fPIC", "-s", "-Wall", "-Wextra")
_BASE = "kernels.so"
_LEVELS = {  # of x86: the library of each, for zig and for others (older than gcc 11, which knows no levels)
    _BASE: ("-march=x86_64_v2", "-march=x86-64 -mssse3 -msse4.2 -mpopcnt"),
    "kernels-v3.so": ("-march=x86_64_v3", "-march=x86-64 -mavx2 -mbmi -mbmi2 -mfma -mlzcnt -mpopcnt"),
}


class NativeHook(BuildHookInterface[Any]):
    """Called by hatchling."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for a compiler if there is none."""
        return [] if _system_compiler() else [ZIG]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, and have the libraries packed: the wheel is one for this platform."""
        built = build()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"] += [f"/indexer/native/{path.name}" for path in built]


def build(into: Path = HERE) -> list[Path]:
    """Compile the libraries and return them. Raises RuntimeError with what the compiler said."""
    system = _system_compiler()
    compiler = shlex.split(system) if system else [sys.executable, "-m", "ziglang", "cc"]
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return [_compile(into / _BASE, compiler)]
    return [
        _compile(into / name, [*compiler, *flags[bool(system)].split()]) for name, flags in _LEVELS.items()
    ]


def _compile(library: Path, compiler: list[str]) -> Path:
    sources = sorted(str(path) for path in HERE.glob("*.c"))
    unfinished = library.with_suffix(".tmp")
    define = f'-DEINSTEIN_SOURCES="{sources_digest()}"'
    command = [*compiler, *_FLAGS, define, "-o", str(unfinished), *sources]
    with tempfile.TemporaryDirectory() as scratch:
        # zig would leave hundreds of megabytes in the home directory.
        environ = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": scratch, "ZIG_LOCAL_CACHE_DIR": scratch}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        advice = f"With CC= set to nothing, {ZIG} is the compiler: install that first."
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr}\n{advice}")
    unfinished.replace(library)  # a process that has the old one mapped keeps it
    return library


def _system_compiler() -> str | None:
    return os.environ.get("CC", shutil.which("cc"))


def sources_digest() -> str:
    """Return a digest of all C sources; a library says of which it was made."""
    digest = hashlib.sha256()
    for path in sorted(HERE.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(*build(), sep="\n")
