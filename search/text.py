"""The door of RE2."""

from __future__ import annotations

import re2


class BadPattern(Exception):
    """RE2 cannot read the pattern; the message is RE2's."""


def compile_pattern(pattern: bytes, *, fold: bool = False) -> re2._Regexp:
    """Return the compiled pattern. Raises BadPattern."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not fold
    try:
        return re2.compile(b"(?m)" + pattern, options)
    except re2.error as error:
        message = error.args[0] if error.args else error
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
        raise BadPattern(text.replace("(?m)", "", 1)) from None
