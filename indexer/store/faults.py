"""Named points where a test can end the process, so that a crash there can be looked at.

Set EINSTEIN_CRASH_AT to a name of POINTS, optionally with ":n" to pass n times first. The process then
kills itself with SIGKILL: no handler, no flush, no clean-up runs, as in a real crash. (This is the one
variable that is read outside the settings: it must work in any process, before and below them.)
"""

from __future__ import annotations

import os
import signal

VARIABLE = "EINSTEIN_CRASH_AT"

POINTS = (
    "after-vectors",  # rows are written and flushed, no segment yet
    "segment-written",  # the temporary segment file is complete, not renamed
    "after-segment",  # the segment file has its name, the catalog does not know it
    "before-commit",  # every record is in the transaction
    "after-commit",  # the generation is published, roots.json and freed rows are not yet
    "merge-written",  # a merged segment file has its name, the catalog does not know it
    "merge-before-commit",
    "merge-after-commit",  # the merged segment is published, the old files are still there
    "reclaimed",  # freed rows went back to the pool
    "model-vectors-written",  # vectors of a second model are written and flushed, nothing points at them
    "model-vectors-before-commit",
    "model-vectors-committed",  # published; freed rows are not yet remembered as such
)

_name, _, _passes = os.environ.get(VARIABLE, "").partition(":")
_left = int(_passes or 0)


def point(name: str) -> None:
    """Die here if a test asked for it."""
    global _left
    if name != _name:
        return
    assert name in POINTS, name
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    _left -= 1
