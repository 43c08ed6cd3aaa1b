"""What was pasted as a query: an error message, a stack trace or a piece of code. Pure.

The query language reads punctuation and looks for every word; in a message half of the words are values that
the source does not have, and in a piece of code all of the punctuation is meant. So both are recognised
before the language is read. A question of plain words is never taken for one of them: a message has a mark
that people do not write (a frame of a trace, the class of an exception before a colon, a level, a time), or
values beside words that only messages have; code is several lines of it, or one that is nothing else.
What is recognised by mistake is still searched by its words and its meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from search.fields import ALIASES, FIELDS
from search.fragments import fragments, whole_line
from search.trace import Frame, frames, strict_frames

Kind = Literal["error message", "code snippet"]

CHARS_MAX = 8192  # of a text that is looked at: as many as a query may have
CHARS_OF_LINE = 400  # that are looked at: some patterns take time quadratic in them (0.3 s for 8,192)
LINES_MAX = 8  # lines of a snippet, or of a trace's messages, that are looked for as they are
NAMES_MAX = 4  # exceptions of a trace
WORDS_MIN = 3  # beside the values of a message that nothing else marks
LINE_CHARS_MIN = 8  # of a line that is looked for as it is


@dataclass(frozen=True, slots=True)
class Pasted:
    """What was pasted, taken apart."""

    kind: Kind
    why: str  # what it was recognised by, for people
    filters: str  # fields that stood in front, in the query language
    text: str  # what its meaning is taken of
    fragments: tuple[str, ...] = ()  # of a message: what the source says too, in order
    patterns: tuple[
        str, ...
    ] = ()  # of lines of the source with all fragments of one line, where those are several
    frames: tuple[Frame, ...] = ()  # of a trace: innermost first
    names: tuple[str, ...] = ()  # classes of exceptions
    lines: tuple[str, ...] = ()  # of a snippet: lines without the white space around them
    words: tuple[str, ...] = ()  # what may be looked up as words


def recognise(text: str) -> Pasted | None:
    """Return what was pasted; None for everything else, which is read as a query."""
    if len(text) > CHARS_MAX or re.search("[\ud800-\udfff]", text):
        return None
    filters, body = _filters(text.strip())
    body = "\n".join(line[:CHARS_OF_LINE] for line in body.splitlines())
    if not body or _is_prose(body):
        return None
    why = _why_message(body)
    if why:
        found = _message(filters, body, why)
        return found if found.frames or found.words else None
    why = _why_code(body)
    return _snippet(filters, body, why) if why else None


_NAMES = "|".join(sorted((*FIELDS, *ALIASES), key=len, reverse=True))
_FILTER = re.compile(r"(?:-?(?:lang|language|l|path|file|f|root|repo|r|changed|since):[^\s:/\"][^\s\"]*\s+)+")
_SPOKEN = re.compile(rf'(?:^|\s)(?:(?:OR|AND|NOT)\s|-?(?:{_NAMES}):(?!:|//)[^\s,;)]|~"|/\S+/(?:\s|$))')
_QUOTED = re.compile(r'(?:^|\s)"')

_ASKS = re.compile(
    r"(?:how|what|where|which|who|whose|why|when|does|do|is|are|can|could|should|find|show|list|code|explain"
    r"|implement\w*|the|a|an)\b(?!\s*[=(:.])",
    re.IGNORECASE,
)
# What asks all the same behind a mark of messages.
_ASKS_ON = re.compile(
    r"\s*(?:(?:how|what|where|which|who|whose|why|when)\b|(?:is|are|does|do|can|could|should)\b.*\?$)"
)


def _filters(text: str) -> tuple[str, str]:
    """Cut the filters off that stand in front."""
    match = _FILTER.match(text)
    return (match[0].strip(), text[match.end() :]) if match else ("", text)


def _is_prose(text: str) -> bool:
    """Whether one line begins as a question or a request."""
    return "\n" not in text and _ASKS.match(text) is not None


# --- messages

_WHEN = re.compile(
    r"""^(?:
      \[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d)?[\d.,]*(?:Z|\s?[+-]\d\d:?\d\d)?\]?
    | \[\s*\d+\.\d{3,6}\]
    | <\d+>\[\s*\d+\.\d+\]
    | [A-Z][a-z]{2}\s{1,2}\d{1,2}\s\d\d:\d\d:\d\d\s\S+
    | [IWEF]\d{4}\s\d\d:\d\d:\d\d\.\d+\s+\d+\s[^\]\s]+\]
    | \[?\d\d:\d\d:\d\d[\d.,]*\]?(?=\s)
    )\s*""",
    re.VERBOSE,
)
_LEVEL = re.compile(
    r"^(?:\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|SEVERE|PANIC)\]?(?::|\s|$)\s*"
    r"|\[[^\]\n]*\]\s*|-+\s+|[\w.$/-]+\[\d+\]:\s*)"
)
_FAILED = re.compile(
    r"^(?:fatal error|internal (?:compiler )?error|runtime error|fatal|panic|error|warning|critical|aborted)"
    r"(?:\[\w+\])?:\s+\S",
    re.IGNORECASE,
)
_RAISED = re.compile(
    r"^(?:(?:Uncaught|Unhandled|Caused by:|Error:|fatal:|panic:)\s+|Exception in thread \"[^\"\n]*\"\s+"
    r"|\*\*\s+|\(|E\s+)*"
    r"(?P<name>(?:[A-Za-z_]\w*(?:\.|::|\\|/))*[A-Z]\w*(?:Error|Exception|Warning|Failure|Interrupt|Fault)"
    r"|(?:[a-z_]\w*\.)+[A-Z]\w*[a-z]\w*)"
    r"\)?(?:\s\[[^\]\n]+\])?:(?:\s+|$)",
)
_OF_KERNEL = re.compile(
    r"^(?:kernel BUG at |BUG: |Oops: |WARNING: (?:CPU|possible|suspicious)|Kernel panic - |RIP: "
    r"|general protection fault|Unable to handle kernel |INFO: (?:task|rcu)\w* |Call Trace:)"
)
_HEAD = re.compile(
    r"^\s*(?:Traceback \(most recent call last\):|goroutine \d+ \[|Call Trace:|stack backtrace:|Stack trace:"
    r"|During handling of the above|The above exception was|\.\.\. \d+ more|note: run with"
    r"|thread '[^']*' panicked|[\^~\s]+$)"
)
_ASSERTED = re.compile(
    r"\bAssertion [`'\"](?P<fixed>[^\n]+)['\"] failed|\bAssertion failed: \((?P<bare>[^\n]+)\),"
)
_LOGGED = re.compile(r'(?:\b(?:msg|message)=|"(?:msg|message)"\s*:\s*)"(?P<fixed>(?:[^"\\\n]|\\.)+)"')
_FAILS = re.compile(
    r"\b(?:cannot|can't|could not|couldn't|unable to|failed|invalid|unexpected|expected|missing|unknown"
    r"|undefined|undeclared|unresolved|unsupported|not found|no such|out of (?:range|bounds|memory)|denied"
    r"|refused|timed out|not permitted|aborted|exceeded|exceeds|overflow|mismatch|rejected|illegal"
    r"|corrupt(?:ed)?|too (?:many|few|large|small|long|short|big))\b",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"(?<![\w.'-])[-+]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)*)%?(?![\w'])|(?<!\w)'[^'\n]*'(?!\w)|`[^`'\n]+'|<[^<>\n]+>"
)
_STATES = re.compile(r":\s\S")
FAILS_BY = 24  # characters within which a message with a single value says that something failed


def _why_message(text: str) -> str:
    """Say what marks a text as a message; empty if nothing does."""
    found = strict_frames(text).frames
    if found:
        return f"it names {found[0]} as a trace does"
    lines = [line for line in text.splitlines() if line.strip()]
    for line in lines:
        rest = _WHEN.sub("", line)
        if rest != line and re.search(r"[A-Za-z]{3}", rest):
            return "it begins with a time, as logs do"
        rest = rest.strip()
        raised = _RAISED.match(rest)
        if raised and not _ASKS_ON.match(rest, raised.end()):
            return f"the exception {_last(raised['name'])} is named before a colon"
        if _OF_KERNEL.match(rest):
            return "it begins as messages of the kernel do"
        if _HEAD.match(rest) and re.search(r"\w", rest):
            return "it begins as a trace does"
        failed = _FAILED.match(rest)
        if failed and not _ASKS_ON.match(rest, failed.end() - 1):
            return f'it begins with "{failed[0][:-1].strip()}"'
        if _ASSERTED.search(rest) or (
            _LOGGED.search(rest) and re.search(r"\blevel\b|\blvl\b|\bts\b|time", rest)
        ):
            return "it is a failed assertion or a line of a log"
    return _why_values(text) if len(lines) == 1 else ""


def _why_values(text: str) -> str:
    """Say so if a line has values, beside words of failure; a single one only where it begins with those."""
    values, fails = _VALUE.findall(text), _FAILS.search(text)
    words = re.findall(r"[A-Za-z]{2,}", _VALUE.sub("", text))
    if fails is None or not values or len(words) < WORDS_MIN or text.endswith("?"):
        return ""
    if _SPOKEN.search(text) or _QUOTED.search(text) or _why_code(text):
        return ""
    quoted = not values[0][-1].isalnum()
    begins = fails.start() == 0 and fails.end() < FAILS_BY
    if len(values) > 1 or (begins and (quoted or _STATES.search(text))):
        return f'it says "{fails[0]}" and has the value {values[0]}'
    return ""


def _message(filters: str, text: str, why: str) -> Pasted:
    known = frames(text)
    names: dict[str, None] = {}
    fixed: dict[str, None] = {}
    patterns: dict[str, None] = {}
    said: list[str] = []
    for number, line in enumerate(text.splitlines()):
        bare = _bare(line)
        raised = _RAISED.match(bare)
        if raised:
            names[_last(raised["name"])] = None
            bare = bare[raised.end() :]
        for pattern in (_ASSERTED, _LOGGED):
            quoted = pattern.search(bare)
            if quoted:
                bare = ""
                whole = next(filter(None, quoted.groups()))
                said.append(whole)
                found = (whole,) if pattern is _ASSERTED else fragments(whole)
                fixed |= dict.fromkeys(found)
                patterns |= dict.fromkeys(filter(None, [whole_line(whole)]))
        stands_for_code = number in known.lines and not re.search(r":\s+\S", bare)
        if not bare or _HEAD.match(bare) or stands_for_code or (line[:1].isspace() and known.frames):
            continue
        said.append(bare)
        fixed |= dict.fromkeys(fragments(bare))
        patterns |= dict.fromkeys(filter(None, [whole_line(bare)]))
        if len(said) == LINES_MAX:
            break
    meant = " ".join(fixed) or " ".join(said)
    return Pasted(
        kind="error message",
        why=why,
        filters=filters,
        text=" ".join((*names, meant)).strip(),
        fragments=tuple(fixed),
        patterns=tuple(patterns),
        frames=known.frames,
        names=tuple(names)[:NAMES_MAX],
        words=_words((*names, meant)),
    )


def _bare(line: str) -> str:
    """Return a line without time, level and who says it."""
    line = _WHEN.sub("", line.strip())
    while (cut := _LEVEL.sub("", line)) != line:
        line = cut
    match = _FAILED.match(line)
    return line[match.end() - 1 :] if match else line


def _last(name: str) -> str:
    return re.split(r"\.|::|\\|/", name)[-1]


# --- code

_KEYWORD = (
    r"def|defp|defmodule|class|import|from\s+\S+\s+import|return|raise|throw|func|fn|let|const|var|val|public|private|protected"
    r"|static|struct|enum|impl|interface|namespace|package|template|typedef|async|await|export|for|while|if|elif"
    r"|else|switch|case|try|catch|except|with|use|using|unsafe|void|int|char|float|double|bool|unsigned|local"
    r"|function|end|begin|match|type|module|require|include"
)
_CODE_LINE = re.compile(
    rf"""
      (?:[;{{]|[}}\]],?)\s*(?:(?://|/\*|\#).*)?$
    | ^\s*[)}}\]]+[,;]?\s*$
    | ^\s*(?:{_KEYWORD})\b.*[(\[{{=:<"';)]
    | ^\s*(?:return|break|continue|pass|else:?|end|try:?|fi|done)\s*$
    | \)\s+do\s*$
    | ^\s*(?://|/\*|\*/|\*\s|\#\s)
    | ^\s*(?:\#\s*(?:include|define|if|ifdef|ifndef|endif|pragma)\b|@\w+|</?\w+[^<>]*>)
    | \w\([^()]*\)\s*[,:;{{)]*\s*$
    | ^\s*[\w.\[\]"'*&$@>-]+(?:\s*:\s*[\w.\[\], |]+)?\s*(?:[-+*/|&^%:]|<<|>>)?=\s*\S
    | \s(?:->|=>|==|!=|&&|\|\||<-)\s
    | \w->\w|\w::\w
    """,
    re.VERBOSE,
)
_CODE_ALONE = re.compile(
    rf"""
      \w.*[;{{]\s*$
    | ^(?:{_KEYWORD})\b.*\(.*\).*:\s*$
    | ^(?:if|elif|while|for|with|except)\b.*\W.*:\s*$
    | ^(?:def|func|fn|function|public|private|protected|static|const|let|var|return|raise|throw)\s.*[(=].*\S
    | ^[\w.\[\]"'*&$@>-]+(?:\s*:\s*[\w.\[\], |]+)?\s(?:[-+*/|&^%:]|<<|>>)?=\s.*[(\[{{"'.]
    """,
    re.VERBOSE,
)
_LITERAL = re.compile(r"\"[^\"\n]*\"|(?<!\w)'[^'\n]*'|(?://|#).*")
_ARTICLE = re.compile(
    r"(?:^|\s)(?:the|a|an|that|of|are|was|were|be|to|then|this|these|its|which)(?:\s|[,;.]\s|$)", re.I
)
TOKENS_MIN = 3  # of a single line of code: shorter ones are names, calls, terms of the query language


def _why_code(text: str) -> str:
    """Say what marks a text as code; empty if nothing does."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        code = [_CODE_LINE.search(line) is not None for line in lines]
        n_code = sum(code) and sum(of or line[:1].isspace() for of, line in zip(code, lines, strict=True))
        return (
            f"{n_code} of its {len(lines)} lines are code" if n_code > 1 and 2 * n_code >= len(lines) else ""
        )
    bare = _LITERAL.sub("", text)
    if text.endswith("?") or text.startswith('"'):
        return ""
    alone = _CODE_ALONE.search(text) is not None and not _SPOKEN.search(text) and not _ARTICLE.search(bare)
    return "its punctuation is that of code" if alone and len(text.split()) >= TOKENS_MIN else ""


def _snippet(filters: str, text: str, why: str) -> Pasted:
    lines = dict.fromkeys(line.strip() for line in text.splitlines())
    telling = [line for line in lines if len(line) >= LINE_CHARS_MIN and re.search(r"[A-Za-z]{3}", line)]
    longest = set(sorted(telling, key=len, reverse=True)[:LINES_MAX])
    return Pasted(
        kind="code snippet",
        why=why,
        filters=filters,
        text=text,
        lines=tuple(line for line in telling if line in longest),
        words=_words((text,)),
    )


def _words(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the distinct words of some texts, in order."""
    return tuple(dict.fromkeys(word for text in texts for word in re.findall(r"[^\W\d]\w+", text)))
