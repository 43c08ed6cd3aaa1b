"""The definition around a line of a text that no parser has read. Pure.

An editor's unsaved buffer, or a file outside of every root: what is wanted is the function around the cursor.
Indentation says what stands in what in nearly all code that people write, so from the line one goes up to
lines that are indented less, until one of them looks like the head of a definition; its body is what is
indented more, with the line that closes it. Where nothing looks so, it is the paragraph around the line. An
indexed file has definitions that a parser found, and is not asked about here.
"""

from __future__ import annotations

import re

LINES_MAX = 1_000  # of a definition
HEAD_LINES = 6  # that name and parameters may take
PARAGRAPH_MAX = 40  # lines, where there is no definition

_CONTROL = (
    rb"if|else|elif|elsif|for|foreach|while|until|unless|switch|case|catch|try|do|with|when|match|loop|return"
)
_NO_HEAD = re.compile(rb"\s*(?:[})\]]+\s*)?(?:%s)\b" % _CONTROL)
_HEAD = re.compile(
    rb"\s*(?:(?:export|default|pub(?:\([a-z]+\))?|public|private|protected|static|async|final|abstract|inline"
    rb"|virtual|override|extern|unsafe|const|local)\s+)*"
    rb"(?:def|fn|func|function|fun|sub|proc|class|struct|trait|impl|interface|enum|module|macro_rules!)(?!\w)"
)
_CALLABLE = re.compile(rb"[^;=#]*[A-Za-z_\x80-\xff][\w\x80-\xff]*\s*\([^;]*$")  # int main(int argc,
_NAME_FIRST = re.compile(rb"\s*[A-Za-z_]\w*\s*\(")  # its type may stand in the line above
# What stands as far left as a head and yet in its body: braces, labels of C, lines of the preprocessor.
_INSIDE = re.compile(
    rb"\s*(?:[{(\[})\]].*|[A-Za-z_]\w*:|begin|#\s*(?:if|ifdef|ifndef|else|elif|endif|define|undef|pragma)\b.*)\s*$"
)
_CLOSES = re.compile(rb"\s*(?:[})\]]+[;,]*|end\w*;?|fi|done|esac)\s*$")


def block_around(content: bytes, line: int) -> tuple[int, int]:
    """Return the bytes [start, end) of the definition around a line, else of the paragraph.

    line  1-based, and one of the content's; a blank line between definitions stands for what is below it
    """
    starts = line_starts(content)
    lines = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    asked = line - 1
    head = _head_above(lines, asked)
    if head is None and not lines[asked].strip():
        below = range(asked, len(lines))
        asked = next((number for number in below if lines[number].strip()), asked)
        head = _head_above(lines, asked)
    if head is None:
        first, end = _paragraph(lines, asked)
    else:
        first, end = _first_of_head(lines, head), _end_of_body(lines, head)
    return starts[first], starts[end] if end < len(starts) else len(content)


def line_starts(content: bytes) -> list[int]:
    """Return where the lines of a content start; a last line without a newline counts, an empty one not."""
    starts = [0] if content else []
    at = content.find(b"\n") + 1
    while 0 < at < len(content):
        starts.append(at)
        at = content.find(b"\n", at) + 1
    return starts


def _head_above(lines: list[bytes], at: int) -> int | None:
    """Return the line of the innermost head whose body holds the line, or the line itself if it is one."""
    shown = next((number for number in range(at, -1, -1) if lines[number].strip()), at)
    limit = _indent(lines[shown]) + 1
    for number in range(at, max(-1, at - LINES_MAX), -1):
        line = lines[number]
        if not line.strip() or _INSIDE.match(line) or _CLOSES.match(line) or _indent(line) >= limit:
            continue
        if _is_head(lines, number) and _end_of_body(lines, number) > at:
            return number
        limit = _indent(line)
    return None


def _is_head(lines: list[bytes], at: int) -> bool:
    line = lines[at]
    if _NO_HEAD.match(line) or (line.rstrip().endswith(b";") and b"{" not in line):
        return False
    if _HEAD.match(line):
        return True
    return _CALLABLE.match(line.rstrip()) is not None and _has_brace(lines, at)


def _has_brace(lines: list[bytes], at: int) -> bool:
    """Whether what looks like a name and its parameters is followed by a body, and thus is no call."""
    before = b"".join(lines[at : at + HEAD_LINES]).partition(b"{")
    return bool(before[1]) and b";" not in before[0]


def _first_of_head(lines: list[bytes], at: int) -> int:
    """Return the first line of a head: where it begins with the name, what it returns may stand above."""
    if not at or not _NAME_FIRST.match(lines[at]):
        return at
    above = lines[at - 1]
    is_type = above.strip() and _indent(above) == _indent(lines[at]) and _TYPE.match(above)
    return at - 1 if is_type else at


_TYPE = re.compile(rb"[\w\s*&<>:]+$")


def _end_of_body(lines: list[bytes], head: int) -> int:
    """Return the line behind a definition: behind what is indented more, and the line that closes it."""
    indent = _indent(lines[head])
    end = head + 1
    for at in range(head + 1, min(len(lines), head + LINES_MAX)):
        line = lines[at]
        if not line.strip():
            continue
        closes = _CLOSES.match(line)
        own = _indent(line)
        if own < indent or (own == indent and not closes and not _INSIDE.match(line)):
            break
        end = at + 1
        if own == indent and closes:
            break
    return end


def _paragraph(lines: list[bytes], at: int) -> tuple[int, int]:
    """Return the run of lines without a blank one around a line, PARAGRAPH_MAX at most."""
    first, end = at, at + 1
    while first and end - first < PARAGRAPH_MAX // 2 and lines[first - 1].strip():
        first -= 1
    while end < len(lines) and end - first < PARAGRAPH_MAX and lines[end].strip():
        end += 1
    return first, end


def _indent(line: bytes) -> int:
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip())
