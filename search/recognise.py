"""Is a query something that was pasted: an error message, a stack trace, a piece of code? Pure.

The query language reads punctuation and looks for every word; in a message half of the words are values that
the source does not have, and in a piece of code all of the punctuation is meant. So both are recognised
before the language is read. A question of plain words is never taken for one of them: a message has a mark
that people do not write (a frame of a trace, the class of an exception before a colon, a level, a time), or
values beside words that only messages have; code is several lines of it, or one that is nothing else.
What is recognised by mistake is still searched by its words and its meaning.
"""

from __future__ import annotations

import re
from dataclasses import replace

from search.fields import ALIASES, FIELDS
from search.pasted import CHARS_MAX, Pasted
from search.pasted_code import snippet, why_code
from search.pasted_message import message, why_marked, why_traced, why_values

CHARS_OF_LINE = 400  # that are looked at: some patterns take time quadratic in them (0.3 s for 8,192)

_NAMES = "|".join(sorted((*FIELDS, *ALIASES), key=len, reverse=True))
_FILTER = re.compile(r"(?:-?(?:lang|language|l|path|file|f|root|repo|r|changed|since):[^\s:/\"][^\s\"]*\s+)+")
_SPOKEN = re.compile(rf'''(?:^|\s)(?:(?:OR|AND|NOT)\s|-?(?:{_NAMES}):(?!:|//)[^\s,;)]|~"|/\S+/(?:\s|$))|^"''')
_ASKS = re.compile(
    r"(?:how|what|where|which|who|whose|why|when|does|do|is|are|can|could|should|find|show|list|code|explain"
    r"|implement\w*|the|a|an)\b(?!\s*[=(:.])",
    re.IGNORECASE,
)


def recognise(text: str) -> Pasted | None:
    """Return what was pasted; None for everything else, which is read as a query."""
    if len(text) > CHARS_MAX or re.search("[\ud800-\udfff]", text):
        return None
    filters, body = _filters(text.strip())
    body = "\n".join(line[:CHARS_OF_LINE] for line in body.splitlines())
    found = _taken_apart(body, [line for line in body.split("\n") if line.strip()])
    return found and replace(found, filters=filters)


def _taken_apart(text: str, lines: list[str]) -> Pasted | None:
    single = len(lines) == 1
    if not lines or (single and _ASKS.match(text)):
        return None
    why = why_traced(text) or why_marked(lines[0])
    if not why and single and (_SPOKEN.search(text) or text.endswith("?")):
        return None
    code = "" if why else why_code(lines)
    if code:
        return snippet(text, code)
    why = why or next(filter(None, map(why_marked, lines[1:])), "") or (why_values(text) if single else "")
    return message(text, why) if why else None


def _filters(text: str) -> tuple[str, str]:
    """Cut the filters off that stand in front."""
    match = _FILTER.match(text)
    return (match[0].strip(), text[match.end() :]) if match else ("", text)
