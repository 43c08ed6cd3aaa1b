"""How far an answer can be trusted: what was pending, what had changed, why there may be more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from indexer.store.board import RootState


class States(Protocol):
    """What the writer says of its roots; the notice board."""

    def root_state(self, root_id: int) -> RootState | None: ...
    def writer_alive(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Trust:
    """The part of an answer that says how much it is worth."""

    fresh: bool  # nothing was known to be pending, and all that is shown was as indexed
    incomplete: str  # "" or why there may be more
    warnings: tuple[str, ...]


def trust(
    board: States | None,
    state: RootState | None,
    stops: Iterable[str],
    changed: int,
    gone: int,
    notes: Iterable[str] = (),
    structural: bool = False,
) -> Trust:
    """Return what is to be said.

    state          of the root, taken from the board before the snapshot: what it calls settled is then in it
    stops          why steps ended early
    changed, gone  files that were looked at and were not as indexed
    structural     symbols, references or vectors were asked for, not text and words alone
    """
    incomplete = list(stops)
    warnings: list[str] = []
    alive = board is not None and board.writer_alive()
    if state is not None and state.phase in ("starting", "first_index"):
        of = f" of {state.files_total}" if state.files_total else ""
        incomplete.insert(0, f"first index: {state.files_done}{of} files")
    if state is not None and structural and state.structure_done < state.structure_total:
        incomplete.append(f"symbols and vectors: {state.structure_done} of {state.structure_total} files")
    if state is not None and state.phase == "missing":
        warnings.append("the root's directory is not there; the answer is from the index")
    if state is not None and not state.healthy:
        warnings.append("file events may have been lost; a scan will find what changed")
    if board is not None and not alive:
        warnings.append("the index is not being updated: its writer does not answer")
    if changed:
        warnings.append(f"{changed} of the files changed since they were indexed and were read live")
    if gone:
        warnings.append(f"{gone} of the files are gone, and so are their hits")
    settled = state is not None and state.settled and alive
    return Trust(settled and not changed and not gone, "; ".join(incomplete), (*warnings, *notes))
