"""The second model as a query process sees it: its vectors, mapped, and the way to the process that has it.

Which model that is, the transformer process writes into its state file. `refresh`, once a second, follows
that file and the vectors, so that a query finds a view made before and pays for new segments only.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import lru_cache
from typing import Any

from config import paths
from config.errors import StoreError
from config.processes import is_alive
from config.settings import Settings
from daemon.child import transformer_wanted
from daemon.transformer_link import ask
from daemon.transformer_state import State, read_state, report
from indexer.records import F32
from indexer.store.model_view import ModelReader, ModelView
from indexer.store.segments import SegmentSet

QUESTIONS_KEPT = 1_000
LATE_MAX = 3  # questions in a row that were not answered in time; then none is asked
REST_S = 10.0  # for so long: a busy machine should not pay the budget with every question

log = logging.getLogger("einstein.transformer")


class TooLate(Exception):
    """There is no vector within the budget; an exception, so that it is not kept for the next time."""


class Transformer:
    """A SecondModel. Safe for several threads."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet; see `refresh`."""
        self._wanted = transformer_wanted(settings.transformer.model)
        self._budget_s = settings.transformer.query_budget_ms / 1000
        self._socket = paths.transformer_socket()
        self._lock = threading.Lock()  # of one refresh
        self._fingerprint = ""  # of the reader
        self._reader: ModelReader | None = None
        self._problem = ""
        self._n_late = 0
        self._rest_until = 0.0
        self._ask = lru_cache(maxsize=QUESTIONS_KEPT)(self._ask_process)

    @property
    def expected(self) -> bool:
        """Whether it should answer; see SecondModel."""
        return self._wanted and bool(self._fingerprint)

    def view(self, segments: SegmentSet) -> ModelView | None:
        """See SecondModel."""
        reader = self._reader
        return None if reader is None else reader.view(segments)

    def question(self, text: str) -> F32 | None:
        """See SecondModel."""
        try:
            return self._ask(self._fingerprint, text)
        except TooLate:
            return None

    def refresh(self, segments: SegmentSet) -> None:
        """Follow the transformer process, and make the view of these segments."""
        if not self._wanted:
            return
        with self._lock:
            state = read_state(paths.transformer_state())
            reader = self._reader
            if reader is not None and (state.fingerprint != self._fingerprint or reader.is_replaced):
                self._reader, self._fingerprint = None, ""
                reader.close()
            try:
                self._follow(state, segments)
                self._problem = ""
            except StoreError as error:
                if str(error) != self._problem:
                    log.info("no vectors of tier 1: %s", error)
                self._problem = str(error)

    def report(self) -> dict[str, Any]:
        """What `status` says of it."""
        if not self._wanted:
            return {"running": False, "problem": "not set, or the extra `transformer` is not installed"}
        return report(read_state(paths.transformer_state()))

    def close(self) -> None:
        """Let go of the vectors."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            self._reader, self._fingerprint = None, ""

    def _follow(self, state: State, segments: SegmentSet) -> None:
        if self._reader is None and state.fingerprint and is_alive(state.pid):
            self._reader = ModelReader.open(paths.transformer_dir() / state.fingerprint, dim=state.dim)
            self._fingerprint = state.fingerprint
        if self._reader is not None:
            self._reader.refresh()
            self._reader.view(segments)

    def _ask_process(self, fingerprint: str, text: str) -> F32:
        if time.monotonic() < self._rest_until:
            raise TooLate
        vector = ask(self._socket, fingerprint, text, self._budget_s)
        if vector is None:
            self._n_late += 1
            if self._n_late >= LATE_MAX:
                self._n_late, self._rest_until = 0, time.monotonic() + REST_S
            raise TooLate
        self._n_late = 0
        vector.setflags(write=False)
        return vector
