"""What was pasted as a query, taken apart. Pure values; `recognise` makes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from search.trace import Frame

Kind = Literal["error message", "code snippet"]

LINES_MAX = 8  # lines of a snippet, or of a trace's messages, that are looked for as they are
CHARS_MAX = 8192  # of a text that is looked at: as many as a query may have


@dataclass(frozen=True, slots=True)
class Pasted:
    """An error message, a stack trace or a piece of code."""

    kind: Kind
    why: str  # what it was recognised by, for people
    text: str  # what its meaning is taken of
    words: tuple[str, ...]  # that may be looked up, in order
    filters: str = ""  # fields that stood in front, in the query language
    fragments: tuple[str, ...] = ()  # of a message: what the source says too, in order
    patterns: tuple[str, ...] = ()  # of source lines that have all fragments of one of its lines
    frames: tuple[Frame, ...] = ()  # of a trace: innermost first
    functions: tuple[str, ...] = ()  # that a trace names without a place: innermost first
    names: tuple[str, ...] = ()  # classes of exceptions
    lines: tuple[str, ...] = ()  # of a snippet: without the white space around them


def distinct_words(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the words of some texts, each once, in order."""
    return tuple(dict.fromkeys(word for text in texts for word in re.findall(r"[^\W\d]\w+", text)))
