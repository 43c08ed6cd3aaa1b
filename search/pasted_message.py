"""Error messages, lines of logs and stack traces: what marks them, and what they are made of. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from search.fragments import fragments, whole_line
from search.pasted import LINES_MAX, Pasted, distinct_words
from search.trace import Found, frames, functions, strict_frames, without_functions

NAMES_MAX = 4  # exceptions of a trace
WORDS_MIN = 3  # beside the values of a message that nothing else marks
FAILS_BY = 24  # characters within which a message with a single value says that something failed

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
    r"^(?:[\w./-]+: )?(?:fatal error|internal (?:compiler )?error|runtime error|fatal|panic|error|warning"
    r"|critical|aborted)"
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
    r"^(?:[\w-]+: )?(?:kernel BUG at |BUG: |Oops: |WARNING: (?:CPU|possible|suspicious)|Kernel panic - |RIP: "
    r"|general protection fault|Unable to handle kernel |INFO: (?:task|rcu)\w* |Call Trace:)"
    r"|\b[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b"  # a device on a bus
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
_ERROR = re.compile(r"\b(?:error|warning|failure)\b", re.IGNORECASE)
_QUOTED = re.compile(r'(?:^|\s)"')
# What asks all the same behind a mark.
_ASKS_ON = re.compile(
    r"\s*(?:(?:how|what|where|which|who|whose|why|when)\b|(?:is|are|does|do|can|could|should)\b.*\?$)"
)


def why_traced(text: str) -> str:
    """Say so if a text has frames that only a trace has."""
    found = strict_frames(text).frames or functions(text)
    return f"it names {found[0]} as a trace does" if found else ""


def why_marked(line: str) -> str:
    """Say what marks a line as one of a message or a log; empty if nothing does."""
    rest = _WHEN.sub("", line)
    if rest != line and re.search(r"[A-Za-z]{3}", rest):
        return "it begins with a time, as logs do"
    rest = rest.strip()
    raised, failed = _RAISED.match(rest), _FAILED.match(rest)
    if raised and not _ASKS_ON.match(rest, raised.end()):
        return f"the exception {_last(raised['name'])} is named before a colon"
    if _OF_KERNEL.search(rest):
        return "it begins as messages of the kernel do"
    if _HEAD.match(rest) and re.search(r"\w", rest):
        return "it begins as a trace does"
    if failed and not _ASKS_ON.match(rest, failed.end() - 1):
        return f'it begins with "{failed[0][:-1].strip()}"'
    if _ASSERTED.search(rest):
        return "an assertion failed"
    if _LOGGED.search(rest) and re.search(r"\b(?:level|lvl|ts)\b|time", rest):
        return "it has the fields of a log"
    return ""


def why_values(line: str) -> str:
    """Say so if a line has values, beside words of failure; a single one only where it begins with those."""
    values, states = _VALUE.findall(line), _STATES.search(line)
    fails = _FAILS.search(line) or (_ERROR.search(line) if len(values) > 1 and states else None)
    words = re.findall(r"[A-Za-z]{2,}", _VALUE.sub("", line))
    if fails is None or not values or len(words) < WORDS_MIN or _QUOTED.search(line):
        return ""
    quoted = not values[0][-1].isalnum()
    begins = fails.start() == 0 and fails.end() < FAILS_BY
    if len(values) > 1 or (begins and (quoted or states)):
        return f'it says "{fails[0]}" and has the value {values[0]}'
    return ""


def message(text: str, why: str) -> Pasted | None:
    """Take a message or a trace apart; None if it says nothing."""
    known, called = frames(text), functions(text)
    read = list(islice(_statements(text, known), LINES_MAX))
    names = tuple(dict.fromkeys(one.raised for one in read if one.raised))[:NAMES_MAX]
    fixed = tuple(dict.fromkeys(chain.from_iterable(one.fragments for one in read)))
    meant = " ".join(fixed) or " ".join(one.said for one in read)
    words = distinct_words((*names, meant))
    if not (known.frames or called or words):
        return None
    return Pasted(
        kind="error message",
        why=why,
        text=" ".join((*names, meant)).strip(),
        words=words,
        fragments=fixed,
        patterns=tuple(dict.fromkeys(filter(None, (whole_line(one.said) for one in read)))),
        frames=known.frames,
        functions=called,
        names=names,
    )


@dataclass(frozen=True, slots=True)
class _Statement:
    """What one line says."""

    raised: str  # class of an exception, "" if none is named
    said: str
    fragments: tuple[str, ...]  # of it, that the source says too


def _statements(text: str, known: Found) -> Iterator[_Statement]:
    for number, line in enumerate(text.splitlines()):
        rest = without_functions(_bare(line)).strip()
        raised = _RAISED.match(rest)
        name = _last(raised["name"]) if raised else ""
        rest = rest[raised.end() :] if raised else rest
        asserted, logged = _ASSERTED.search(rest), _LOGGED.search(rest)
        if asserted:
            said = asserted["fixed"] or asserted["bare"]
            yield _Statement(name, said, (said,))
        elif logged:
            yield _Statement(name, logged["fixed"], fragments(logged["fixed"]))
        elif name or _says(number, line, rest, known):
            yield _Statement(name, rest, fragments(rest))


def _says(number: int, line: str, rest: str, known: Found) -> bool:
    """Whether a line of a text is no head, no frame and no source line below one."""
    if not rest or _HEAD.match(rest) or (line[:1].isspace() and known.frames):
        return False
    return number not in known.lines or bool(re.search(r":\s+\S", rest) or why_marked(line))


def _bare(line: str) -> str:
    """Return a line without time, level and who says it."""
    line = _WHEN.sub("", line.strip())
    while (cut := _LEVEL.sub("", line)) != line:
        line = cut
    match = _FAILED.match(line)
    return line[match.end() - 1 :] if match else line


def _last(name: str) -> str:
    return re.split(r"\.|::|\\|/", name)[-1]
