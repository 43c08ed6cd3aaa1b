"""What every child of the supervisor does: end with it, say when it is ready, say that it is in use.

A child talks to the supervisor through one inherited pipe, one byte per message: nothing to parse and nothing
that blocks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from config.threads import Thread

REPORT_FD = "EINSTEIN_REPORT_FD"  # write end: the bytes below
LIFE_FD = "EINSTEIN_LIFE_FD"  # read end of a pipe that nobody writes; it ends with the supervisor
SUPERVISOR_PID = "EINSTEIN_SUPERVISOR_PID"

# "module:function" that gives an Embedder, instead of a model of the extra `transformer`; for tests alone.
ENCODER = "EINSTEIN_TEST_ENCODER"

TRANSFORMERS = "sentence_transformers"  # the library of the extra `transformer`
NOTHING_TO_DO = 3  # exit status: not to be started again before the settings change

READY = b"r"
ACTIVE = b"a"
_ACTIVE_EVERY_S = 1.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


def transformer_wanted(model: str) -> bool:
    """Whether a second model is set and its extra installed; to look for it imports nothing."""
    return bool(model) and (ENCODER in os.environ or find_spec(TRANSFORMERS) is not None)


def children_path(pid_path: Path) -> Path:
    """The supervisor's list of its children, beside its pid file: lines of "pid name"."""
    return pid_path.with_suffix(".children")


class Supervised:
    """This process as a child of a supervisor; does nothing where there is none (started by hand, tests)."""

    def __init__(self) -> None:
        self.supervisor_pid = int(os.environ.get(SUPERVISOR_PID, "0"))
        self._report_fd = int(os.environ.get(REPORT_FD, "-1"))
        self._life_fd = int(os.environ.get(LIFE_FD, "-1"))
        self._active_at = 0.0
        for fd in (self._report_fd, self._life_fd):
            if fd >= 0:
                os.set_inheritable(fd, False)  # parse workers must not keep them open
        if self._report_fd >= 0:
            os.set_blocking(self._report_fd, False)
        if self.supervisor_pid:
            self._end_with_supervisor()

    def ready(self) -> None:
        """Say that this process serves now."""
        self._report(READY)

    def active(self) -> None:
        """Say that somebody uses the daemon: puts off the idle exit. Cheap enough for every request."""
        now = time.monotonic()
        if now - self._active_at >= _ACTIVE_EVERY_S:
            self._active_at = now
            self._report(ACTIVE)

    def _report(self, message: bytes) -> None:
        if self._report_fd >= 0:
            with contextlib.suppress(OSError):  # full: it is told often enough; broken: we are about to end
                os.write(self._report_fd, message)

    def _end_with_supervisor(self) -> None:
        """Arrange for SIGTERM when the supervisor dies, however it dies.

        Linux tells the child by itself. The pipe works everywhere, but needs this interpreter to run a
        thread, so it stands second.
        """
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
            if os.getppid() != self.supervisor_pid:  # it died before the call
                os.kill(os.getpid(), signal.SIGTERM)
        elif self._life_fd >= 0:
            Thread(target=self._watch, name="supervisor watch", daemon=True).start()

    def _watch(self) -> None:
        while os.read(self._life_fd, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
