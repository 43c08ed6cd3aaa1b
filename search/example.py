"""The code that a question shows instead of describing it: a pasted snippet, or the definition around a line.

A line of an indexed file stands for the definition that the parser found around it. Where the client sends
the file's text and that is not what the index has (an unsaved buffer, a file outside of every root), and
where the file changed since, the definition is looked for in the text (`block`). Nothing outside of the roots
is read here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from config.errors import UsageError
from indexer.languages import language_of
from indexer.records import KIND_ID
from indexer.store.segment import Segment
from indexer.store.snapshot import Snapshot
from search.answer import Shown
from search.block import block_around, line_starts
from search.facts import RootFacts
from search.live import Disk
from search.places import definition_at
from search.shingles import is_word, tokens

SNIPPET_BYTES_MAX = 64 * 1024  # of pasted code; a whole file may be as large as an indexed one

# Definitions that are parts of another one: a line in them stands for what is around them.
_PARTS = frozenset(KIND_ID[name] for name in ("constant", "variable", "field", "property", "key", "element"))


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of code, and where it stands."""

    content: bytes
    language: str  # "" if nothing says it
    root_id: int = -1
    slot: int = -1  # of the file in its root, -1 if it is not indexed
    start: int = 0  # in that file
    end: int = 0

    @property
    def title(self) -> str:
        """The first line that says something, for people."""
        lines = (line.strip() for line in self.content.splitlines())
        first = next((line for line in lines if any(map(is_word, tokens("", line).exact))), b"")
        return first.decode("utf-8", "replace")[:60]

    def is_at(self, root_id: int, slot: int, start: int, end: int) -> bool:
        """Whether a place is, or overlaps, where the code itself stands."""
        return (self.root_id, self.slot) == (root_id, slot) and start < self.end and end > self.start


def code_of(
    shown: Shown, snapshot: Snapshot, facts_of: Callable[[int], RootFacts], file_bytes_max: int
) -> Code:
    """Return the code that is meant. Raises UsageError that says what to send instead."""
    content = _checked(shown, file_bytes_max)
    name = shown.path or "the text"
    facts = facts_of(shown.root_id) if shown.root_id >= 0 and shown.inside else None
    slot = -1 if facts is None else facts.view.slot_of(shown.inside.encode("utf-8", "surrogateescape"))
    if not shown.line:
        if content is None:
            raise UsageError(
                "there is nothing to compare with: send a text, or the path and line of a definition"
            )
        return _with_words(Code(content, _language(shown.path, content)), name)
    if facts is None or slot < 0:
        if content is None:
            raise UsageError(f"{name} is not in the index; send its text too, or `searchd add` its directory")
        return _in_text(content, shown, Code(content, _language(shown.path, content)), name)
    doc = int(facts.doc[slot])
    segment, ordinal = snapshot.locate_doc(doc)
    language = segment.language_name(ordinal)
    indexed = segment.doc_bytes(ordinal)
    if content is None:
        current = Disk(facts, file_bytes_max).look(slot)
        if current.state == "gone":
            raise UsageError(f"{name} is no longer there")
        content = current.content if current.state == "changed" else indexed
    code = Code(content, language, shown.root_id, slot)
    if content != indexed:
        return _in_text(content, shown, code, name)
    start, end = _in_index(segment, ordinal, content, _line(content, shown, name))
    return _with_words(Code(content[start:end], language, shown.root_id, slot, start, end), name)


def _checked(shown: Shown, file_bytes_max: int) -> bytes | None:
    """Return the text that was sent as bytes; None if there is none."""
    if not shown.text:
        return None
    content = shown.text.encode("utf-8", "replace")
    limit = file_bytes_max if shown.line else SNIPPET_BYTES_MAX
    if len(content) > limit:
        mend = (
            "only smaller files are compared" if shown.line else "send one function, or the file and a line"
        )
        raise UsageError(f"the text has {len(content)} bytes, and {limit} are the most; {mend}")
    if b"\0" in content:
        raise UsageError("the text holds a NUL byte, so it is binary; send source code")
    return content


def _in_text(content: bytes, shown: Shown, code: Code, name: str) -> Code:
    start, end = block_around(content, _line(content, shown, name))
    found = Code(content[start:end], code.language, code.root_id, code.slot, start, end)
    return _with_words(found, name)


def _line(content: bytes, shown: Shown, name: str) -> int:
    n = len(line_starts(content))
    if not 1 <= shown.line <= n:
        raise UsageError(f"{name} has {n} line{'' if n == 1 else 's'}, so there is no line {shown.line}")
    return shown.line


def _with_words(code: Code, name: str) -> Code:
    if not any(map(is_word, tokens(code.language, code.content).exact)):
        raise UsageError(f"there is no code in {name} to compare with; send a function or a few lines of one")
    return code


def _language(path: str, content: bytes) -> str:
    if not path:
        return ""
    found = language_of(path.encode("utf-8", "surrogateescape"), content)
    return "" if found == "text" else found


def _in_index(segment: Segment, ordinal: int, content: bytes, line: int) -> tuple[int, int]:
    """Return the bytes of the definition around a line of an indexed file; of its chunk where none is."""
    at = int(segment.line_starts(ordinal)[line - 1])
    end = content.find(b"\n", at)
    shown = content[at : end if end >= 0 else len(content)]
    offset = at + len(shown) - len(shown.lstrip())
    definition = definition_at(segment, ordinal, offset)
    while definition >= 0 and _is_part(segment, definition, content):
        definition = int(segment.def_parent[definition])
    if definition >= 0:
        return int(segment.def_start[definition]), int(segment.def_end[definition])
    low, high = int(segment.doc_chunk[ordinal]), int(segment.doc_chunk[ordinal + 1])
    if low == high:
        return block_around(content, line)
    chunk = low + int(segment.chunk_start[low:high].searchsorted(np.uint32(at), side="right")) - 1
    return int(segment.chunk_start[chunk]), int(segment.chunk_end[chunk])


def _is_part(segment: Segment, definition: int, content: bytes) -> bool:
    """Whether a definition is a variable, a field or the like, of one line."""
    start, end = int(segment.def_start[definition]), int(segment.def_end[definition])
    return int(segment.def_kind[definition]) in _PARTS and b"\n" not in content[start:end].strip()
