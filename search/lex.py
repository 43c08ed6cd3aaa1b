"""Query text -> tokens. Pure.

The language is the one of Zoekt and GitHub, with one aim added: code pasted into the search box means what it
says. So punctuation is special only where it cannot be code: a quote, a slash or a parenthesis at the *start*
of a term, a known field name before a colon, a minus before something that can be searched for. Everything
else (`std::vector`, `a->b`, `foo(bar)`, `--flag`, `http://host`) is one word, up to the next white space.

Columns are 0-based characters of the query text and always name a character that exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from config.errors import QuerySyntaxError
from search.fields import ALIASES, FIELDS, near_field

TokenKind = Literal["word", "phrase", "regex", "field", "meaning", "(", ")", "-", "NOT", "AND", "OR"]
Form = Literal["bare", "quoted", "regex"]

# A minus before one of these is code (`->`, `--flag`, `-=`), not a negation.
NOT_NEGATABLE = frozenset("->=<,;:)]}+*%&|!?'")
OPERATORS: tuple[TokenKind, ...] = ("NOT", "AND", "OR")
_FIELD = re.compile(r"([a-z]+):(?!:|//)")
_INNER_FIELD = re.compile(rf"\s-?(?:{'|'.join((*FIELDS, *ALIASES))}):(?!:|//)\S")


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a query."""

    kind: TokenKind
    text: str  # of a field: its value
    column: int  # where the token starts
    name: str = ""  # canonical field name
    form: Form = "bare"  # how a field's value is written
    value_column: int = 0  # where a field's value starts


def lex(text: str) -> list[Token]:
    """Return the tokens of `text`. Raises QuerySyntaxError for an unclosed quote or a misspelt field."""
    tokens: list[Token] = []
    depth = 0
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _next(text, at, depth)
        depth += (token.kind == "(") - (token.kind == ")")
        tokens.append(token)
    return tokens


def quote(text: str) -> str:
    """Return `text` as a quoted phrase that reads back as `text`."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def slashed(pattern: str) -> str:
    """Return `pattern` between slashes, so that it reads back as `pattern`."""
    escaped = re.sub(r"\\.|/", lambda m: "\\/" if m[0] == "/" else m[0], pattern, flags=re.DOTALL)
    return f"/{escaped}/"


def is_bare_word(text: str) -> bool:
    """True if `text` outside of every group reads as this one word."""
    try:
        tokens = lex(text)
    except QuerySyntaxError:
        return False
    return len(tokens) == 1 and tokens[0].kind == "word" and tokens[0].text == text


def is_bare_value(name: str, text: str) -> bool:
    """True if `text` can stand after `name:` without quotes, also inside a group, and mean itself."""
    if not text or text.startswith(('"', ":", "//")) or any(c.isspace() for c in text):
        return False
    if text.endswith("/"):  # behind a word like `/tmp` it would read as the end of a regular expression
        return False
    return _run(f"{text})", 0, 1) == len(text) and not (FIELDS[name].regex and _regex(text, 0))


def grouped(text: str) -> str:
    """Return a printed query as a group. A word like `foo(` would take the group's end as its own."""
    last = text.rsplit(maxsplit=1)[-1] if text.split() else ""
    return f"({text} )" if last.count("(") > last.count(")") else f"({text})"


def _next(text: str, at: int, depth: int) -> tuple[Token, int]:
    char = text[at]
    if char == "(" and not text.startswith("()", at):
        return Token("(", "(", at), at + 1
    if char == ")":
        if depth == 0:
            raise QuerySyntaxError('")" closes no group', at, 'quote it to search for the text: ")"')
        return Token(")", ")", at), at + 1
    if char == "-" and at + 1 < len(text) and not (text[at + 1].isspace() or text[at + 1] in NOT_NEGATABLE):
        return Token("-", "-", at), at + 1
    if char == '"':
        value, end = _quoted(text, at)
        return Token("phrase", value, at), end
    if text.startswith('~"', at):
        value, end = _quoted(text, at + 1)
        return Token("meaning", value, at, "meaning", "quoted", at + 1), end
    regex = _regex(text, at)
    if regex:
        return Token("regex", regex[0], at), regex[1]
    field = _field(text, at, depth)
    if field:
        return field
    end = _run(text, at, depth)
    word = text[at:end]
    for operator in OPERATORS:
        if word == operator:
            return Token(operator, word, at), end
    return Token("word", word, at), end


def _field(text: str, at: int, depth: int) -> tuple[Token, int] | None:
    match = _FIELD.match(text, at)
    if match is None:
        return None
    name, value_at = match[1], match.end()
    end = _run(text, value_at, depth)
    known = ALIASES.get(name, name)
    if known not in FIELDS:
        near = near_field(name) if end > value_at else None
        if near is None:
            return None
        whole = text[at:end]
        raise QuerySyntaxError(
            f'there is no field "{name}:"',
            at,
            f"did you mean {near}: instead? to search for the text, write {quote(whole)}",
        )
    if end == value_at:
        example = FIELDS[known].example
        hint = f'write it right after the colon, as in {example}; to search for the text, quote it: "{name}:"'
        raise QuerySyntaxError(f'"{name}:" needs a value', at, hint)
    if text[value_at] == '"':
        value, end = _quoted(text, value_at)
        return Token("field", value, at, known, "quoted", value_at), end
    regex = _regex(text, value_at) if FIELDS[known].regex else None
    if regex:
        return Token("field", regex[0], at, known, "regex", value_at), regex[1]
    return Token("field", text[value_at:end], at, known, "bare", value_at), end


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Read the phrase whose opening quote is at `at`. Only \\" and \\\\ are escapes, as on GitHub."""
    out: list[str] = []
    i = at + 1
    while i < len(text):
        if text[i] == '"':
            return "".join(out), i + 1
        if text[i] == "\\" and text[i + 1 : i + 2] in ('"', "\\"):
            i += 1
        out.append(text[i])
        i += 1
    raise QuerySyntaxError("this quote is never closed", at, 'add a " at the end; inside a phrase write \\"')


def _regex(text: str, at: int) -> tuple[str, int] | None:
    """Read /pattern/ at `at`, or None if this is a path, a comment or a division.

    It is a pattern if the first slash not behind a backslash ends the term: `/usr/lib` and `/api/v1/` are
    words. The pattern does not begin with white space or `*` (`a / b`, `/* comment */`), and holds no further
    field (`/tmp path:src/` is a word and a field).
    """
    if text[at] != "/" or at + 1 >= len(text) or text[at + 1] in "/*)" or text[at + 1].isspace():
        return None
    out: list[str] = []
    i = at + 1
    while i < len(text):
        if text[i] == "/":
            ends = i + 1 == len(text) or text[i + 1].isspace() or text[i + 1] == ")"
            return ("".join(out), i + 1) if ends and not _INNER_FIELD.search(text, at, i) else None
        if text[i] == "\\" and i + 1 < len(text):
            if text[i + 1] != "/":
                out.append("\\")
            i += 1
        out.append(text[i])
        i += 1
    return None


def _run(text: str, at: int, depth: int) -> int:
    """Return the end of the word at `at`: white space, or a ")" that closes a group of the query."""
    open_parens = 0
    i = at
    while i < len(text) and not text[i].isspace():
        if text[i] == "(":
            open_parens += 1
        elif text[i] == ")":
            if open_parens == 0 and depth > 0:
                break
            open_parens = max(0, open_parens - 1)
        i += 1
    return i
