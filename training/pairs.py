"""One file's content -> pairs of words and code that say the same: what a code model learns from. Pure.

A pair is a text as people ask (a comment, a name, a test's title, a commit's subject) and the code it is
about: a chunk as the index cuts it, without the text itself.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from indexer.records import KIND_ID, Parsed, SourceFile

KINDS = ("doc", "comment", "file", "path", "name", "title", "prose", "commit")


class Pair(NamedTuple):
    """A question and its answer."""

    kind: str  # one of KINDS
    query: bytes
    code: bytes


_NAMED_KINDS = "function method class struct enum trait interface type module macro property impl"
_NAMED = frozenset(KIND_ID[name] for name in _NAMED_KINDS.split())
_MARK = {
    "c": rb"(?://+!?|/\*+!?|\*+/?)",
    "hash": rb"#+[:!|]?",
    "dash": rb"(?:--+\s?[|^]?|\{-\s?\|?|--\[\[)",
    "mixed": rb"(?:#+|//+|/\*+|\*+/?)",
}
_FAMILY = {
    **dict.fromkeys(("python", "ruby", "bash", "elixir"), "hash"),
    **dict.fromkeys(("haskell", "lua", "sql"), "dash"),
    "php": "mixed",
}
_LINE = {family: re.compile(rb"^[ \t]*" + mark + rb"[ \t]?(.*)$") for family, mark in _MARK.items()}
_DOCSTRING = re.compile(rb'^[ \t]*(?:@\w+[ \t]+)?[rRuU]?(?:~[sS])?("""|\'\'\')', re.M)
_LONG_TEXT = re.compile(rb'[=(,\[{:+ \t](?:~\w|[rRbBuUfF]{0,2})("""|\'\'\')(?:(?!\1).)*$')
_NOT_PROSE = re.compile(
    rb"copyright|licen[cs]e|SPDX|all rights reserved|eslint|noqa|pylint|rubocop:|istanbul|@generated|"
    rb"do not edit|https?://\S+$|TODO|FIXME|XXX|nolint|swiftlint|coding[:=]|#region|#endregion|\bpragma\b",
    re.I,
)
_TITLE = re.compile(
    rb"""^[ \t]*(?:x?it|test|describe|context|specify|scenario|should|suite|feature|TEST_CASE|SECTION|"""
    rb"""t\.Run|property|@test|It|Describe|Context)[ (]+(?:\w+, *)?["'`]([^"'`\n]{12,160})["'`]""",
    re.M,
)
_TAG = re.compile(rb"<[^<>\n]{1,60}>|\{@\w+ ?|[{}`*_|]{1,3}(?=\W)|(?<=\W)[{}`*_|]{1,3}|\[|\]")
_FIELD = re.compile(
    rb"^\s*(?:@(?:param|return|throws|see|since|author|type|deprecated|template)\b|:param|:return|:raises|"
    rb"Args:|Returns:|Raises:|Parameters?\s*$|Example|Examples|# Example|##|>>>|---|===|\\\w|- param)",
    re.I,
)
_WORD = re.compile(rb"[A-Za-z]{2,}")
_SENTENCE = re.compile(rb"(?<=[.!?:])\s+(?=[A-Z])")
QUERY_WORDS_MAX = 32
COMMENT_LINES = 16  # of code that a comment between statements is about


def file_pairs(path: bytes, source: SourceFile, parsed: Parsed, chance: random.Random) -> Iterator[Pair]:
    """Yield what a file teaches; a test only what its tests are called."""
    if is_test(path):
        yield from _titles(source.content)
        return
    yield from _of_path(path, source.content, parsed, chance)
    yield from _comments(source, parsed, chance)
    yield from _names(parsed, source.content, chance)


def is_test(path: bytes) -> bool:
    """Whether a path is that of a test, an example or a benchmark."""
    return _TEST.search(path) is not None


_TEST = re.compile(
    rb"(?i)(?:^|[/_.-])(?:tests?|specs?|examples?|samples?|bench(?:mark)?s?|demos?|mocks?)(?:[/_.-]|$)|Tests?\.|Spec\."
)


def _of_path(path: bytes, content: bytes, parsed: Parsed, chance: random.Random) -> Iterator[Pair]:
    """Yield the words of a file's name, and of its directory's, with two of its chunks."""
    directory, _, name = path.rpartition(b"/")
    words = directory.rpartition(b"/")[2] + b" " + name.partition(b".")[0]
    n = len(parsed.chunks)
    for number in sorted(chance.sample(range(n), min(2, n))):
        a, b = span(parsed, number)
        yield Pair("path", words, content[a:b])


def _offsets(lines: list[bytes]) -> list[int]:
    at, found = 0, []
    for line in lines:
        found.append(at)
        at += len(line) + 1
    return found


def _comments(source: SourceFile, parsed: Parsed, chance: random.Random) -> Iterator[Pair]:
    content = source.content
    lines = content.split(b"\n")
    offset = _offsets(lines)
    symbols = parsed.symbols
    starts = [int(at) for at, kind in zip(symbols.start, symbols.kind, strict=True) if int(kind) in _NAMED]
    for first, end, text, is_docstring in _blocks(source.language, lines):
        query = prose(text)
        if query is None:
            continue
        a, b = offset[first], offset[end] if end < len(offset) else len(content)
        if first <= 3:
            yield from _of_file(parsed, content, query, (a, b), chance)
            if not is_docstring:
                continue
        about = a - 1 if is_docstring else b
        if about >= len(content) or about < 0:
            continue
        near = is_docstring or _starts_within(starts, b, offset[min(end + 3, len(offset) - 1)])
        if near:
            chunk = _chunk_at(parsed, about)
            if chunk is not None:
                yield Pair("doc", query, _without(content, chunk, (a, b)))
        elif not is_docstring:
            until = min(end + COMMENT_LINES, len(offset) - 1)
            yield Pair("comment", query, content[b : offset[until]])


def _starts_within(starts: list[int], a: int, b: int) -> bool:
    at = bisect_left(starts, a)
    return at < len(starts) and starts[at] <= b


def _blocks(language: str, lines: list[bytes]) -> Iterator[tuple[int, int, bytes, bool]]:
    """Yield runs of comment lines and docstrings: first line, line behind, text, whether a docstring."""
    mark = _LINE[_FAMILY.get(language, "c")]
    docstrings = language in ("python", "elixir")
    i, n = 0, len(lines)
    while i < n:
        line = lines[i]
        if docstrings and (opened := _DOCSTRING.match(line)):
            quote = opened[1]
            j, text = i, [line[opened.end() :]]
            if quote not in text[0]:
                j += 1
                while j < n and quote not in lines[j]:
                    text.append(lines[j])
                    j += 1
            yield i, j + 1, b"\n".join(text).split(quote)[0], True
            i = j + 1
            continue
        found = mark.match(line)
        if not found:
            i += 1
            if docstrings and (begun := _LONG_TEXT.search(line)) and line.count(begun[1]) % 2:
                while i < n and begun[1] not in lines[i]:
                    i += 1
                i += 1  # what ends a text that is no docstring begins none
            continue
        j, text = i, []
        while j < n and (found := mark.match(lines[j])):
            text.append(found[1])
            j += 1
        yield i, j, b"\n".join(text), False
        i = j


def _of_file(
    parsed: Parsed, content: bytes, query: bytes, hole: tuple[int, int], chance: random.Random
) -> Iterator[Pair]:
    """Yield the file's first words with two of its chunks: what they say is true of all of it."""
    n = len(parsed.chunks)
    for number in sorted(chance.sample(range(n), min(2, n))):
        yield Pair("file", query, _without(content, span(parsed, number), hole))


def _names(parsed: Parsed, content: bytes, chance: random.Random) -> Iterator[Pair]:
    symbols = parsed.symbols
    for i, name in enumerate(symbols.name):
        start, end = int(symbols.start[i]), int(symbols.end[i])
        if int(symbols.kind[i]) not in _NAMED or end - start < 120 or len(name) < 7:
            continue
        chunk = _chunk_at(parsed, start)
        if chunk is None:
            continue
        words = name
        parent = int(symbols.parent[i])
        if parent >= 0 and chance.random() < 0.3:
            words = symbols.name[parent] + b" " + name
        body = re.sub(rb"\b" + re.escape(name) + rb"\b", b" ", content[chunk[0] : chunk[1]])
        yield Pair("name", words, body)


def _titles(content: bytes) -> Iterator[Pair]:
    for found in _TITLE.finditer(content):
        if len(_WORD.findall(found[1])) >= 3:
            end = found.end()
            for _ in range(20):
                end = content.find(b"\n", end + 1)
                if end < 0:
                    end = len(content)
                    break
            yield Pair("title", found[1], content[found.end() : end])


def prose(text: bytes) -> bytes | None:
    """Return the first sentences of a comment; None if it is no prose: code, a licence, a note to oneself."""
    kept: list[bytes] = []
    for line in text.split(b"\n"):
        stripped = line.strip()
        if _FIELD.match(stripped) or (kept and not stripped):
            break
        if stripped:
            kept.append(stripped)
    flat = _TAG.sub(b" ", b" ".join(kept))
    flat = b" ".join(flat.split())
    if _NOT_PROSE.search(flat):
        return None
    taken: list[bytes] = []
    for sentence in _SENTENCE.split(flat)[:2]:
        taken += sentence.split()
        if len(taken) >= 12:
            break
    taken = taken[:QUERY_WORDS_MAX]
    query = b" ".join(taken)
    plain = sum(1 for word in taken if word.strip(b".,:;()'\"!?").isalpha())
    if plain < 4 or plain < 0.6 * len(taken):
        return None
    return query


def _chunk_at(parsed: Parsed, at: int) -> tuple[int, int] | None:
    number = int(parsed.chunks.start.searchsorted(at, side="right")) - 1
    return span(parsed, number) if number >= 0 else None


def span(parsed: Parsed, number: int) -> tuple[int, int]:
    """Return where a chunk begins and ends."""
    return int(parsed.chunks.start[number]), int(parsed.chunks.end[number])


def _without(content: bytes, chunk: tuple[int, int], hole: tuple[int, int]) -> bytes:
    a, b = max(chunk[0], hole[0]), min(chunk[1], hole[1])
    if a >= b:
        return content[chunk[0] : chunk[1]]
    return content[chunk[0] : a] + b"\n" + content[b : chunk[1]]


_MENTION = re.compile(rb"`+([A-Za-z_][\w.:#/-]{3,60}?)(?:\(\))?`+")


def prose_pairs(text: bytes, defined: dict[bytes, bytes], chance: random.Random) -> Iterator[Pair]:
    """Yield paragraphs of documentation with the code of a name they mention.

    defined  names that one definition has, and its chunk
    """
    heading = b""
    for paragraph in re.split(rb"\n\s*\n", text):
        if paragraph.startswith(b"#"):
            heading = paragraph.split(b"\n")[0].strip(b"# ")
        names = [re.split(rb"[.:#/]+", found[1])[-1] for found in _MENTION.finditer(paragraph)]
        known = [name for name in dict.fromkeys(names) if name in defined]
        query = prose(paragraph)
        if not known or query is None:
            continue
        for name in known[:2]:
            asked = heading + b" " + query if chance.random() < 0.5 else query
            if chance.random() < 0.7:
                asked = re.sub(rb"\b" + re.escape(name) + rb"\b", b" ", asked)
            yield Pair("prose", asked, defined[name])


_NOISE = re.compile(
    rb"bump|merge|release|changelog|version|typo|revert|lint|format|wip|dependabot|upgrade|update dep|"
    rb"translation|readme|copyright|^ci\b|^v?\d",
    re.I,
)
_PREFIX = re.compile(rb"^(?:\[[^\]]*\]|\w+(?:\([^)]*\))?!?:|#\d+:?|[A-Z]+-\d+:?)\s*|\s*\(?#\d+\)?\.?$")
CHANGED_LINES_MIN = 3
CHANGED_FILES_MAX = 6


def commit_pair(subject: str, files: list[tuple[bytes, bytes]]) -> Pair | None:
    """Return a commit's subject with the largest change it made to code, as the code is afterwards.

    files  path and patch of each changed file of code
    """
    said = subject.encode()
    if _NOISE.search(said) or not files or len(files) > CHANGED_FILES_MAX:
        return None
    said = _PREFIX.sub(b"", said)
    if not 4 <= len(_WORD.findall(said)) <= QUERY_WORDS_MAX:
        return None
    best: bytes = b""
    most = CHANGED_LINES_MIN - 1
    for _, patch in [file for file in files if not is_test(file[0])] or files:
        for hunk in patch.split(b"\n@@ ")[1:]:
            where, _, body = hunk.partition(b"\n")
            lines = body.split(b"\n")
            added = sum(line.startswith(b"+") for line in lines)
            if added > most:
                most = added
                kept = [line[1:] for line in lines if line[:1] in (b"+", b" ")]
                best = where.rpartition(b"@@")[2] + b"\n" + b"\n".join(kept[:80])
    return Pair("commit", said, best) if best else None
