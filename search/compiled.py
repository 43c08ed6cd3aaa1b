"""Patterns as RE2 compiles them. The door of re2.

RE2 is the only matcher of patterns: it reads a memoryview without copying, lets go of the interpreter lock,
and its time is linear in the text, whatever the pattern.
"""

from __future__ import annotations

from typing import Any

import re2
from re2 import _re2

RE2_MEMORY_BYTES = 32 << 20  # RE2's own limit for one pattern's program and automata
UNANCHORED = _re2.RE2.Anchor.UNANCHORED


class BadPattern(Exception):
    """RE2 cannot read the pattern; the message is RE2's."""


def compile_pattern(pattern: bytes, *, fold: bool = False, lines: bool = False) -> Any:
    """Return the compiled pattern; ^ and $ match at lines, groups capture nothing. Raises BadPattern.

    fold   True: upper and lower case are the same
    lines  True: nothing matches a newline
    """
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = not fold
    options.never_nl = lines
    options.max_mem = RE2_MEMORY_BYTES
    try:
        return re2.compile(b"(?m)" + pattern, options)
    except re2.error as error:
        message = error.args[0] if error.args else error
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
        raise BadPattern(text.replace("(?m)", "", 1)) from None
