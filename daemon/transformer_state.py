"""What the transformer process says of itself, in a small file: its model, and how far it has come."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from config.processes import is_alive


@dataclass(frozen=True, slots=True)
class State:
    """The file's content; empty where nothing was ever said."""

    pid: int = 0
    model: str = ""  # as it is set
    fingerprint: str = ""
    dim: int = 0
    files_done: int = 0  # indexed paths whose content has all its vectors
    files_total: int = 0
    chunks_done: int = 0
    chunks_total: int = 0
    chunks_per_s: float = 0.0
    eta_s: float = 0.0
    vector_bytes: int = 0
    paused: str = ""  # why it rests
    problem: str = ""  # what stops it


def read_state(path: Path) -> State:
    """Return what was said last."""
    try:
        return State(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # none yet, or of another version
        return State()


def write_state(path: Path, state: State) -> None:
    """Replace the file; readers see the old one or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(state)))
    fresh.replace(path)


def report(state: State) -> dict[str, Any]:
    """Return the state as `status` shows it."""
    known = asdict(state)
    del known["pid"]
    return {"running": is_alive(state.pid), **known}
