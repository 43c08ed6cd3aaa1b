"""The query language: text -> Query, and Query -> text. Pure. docs/QUERY.md is its manual.

    query := and ("OR" and)*
    and   := not (["AND"] not)*
    not   := ("-" | "NOT") not | "(" query ")" | term

`parse(str(query)) == query` for every tree that `parse` gives. Groups are kept as written (an And in an And):
`in:` qualifies the text terms of its own group, so joining groups would change the meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from config.errors import QuerySyntaxError
from search.compiled import BadPattern, compile_pattern
from search.fields import FIELDS, BadValue, path_form, path_regex
from search.lex import NOT_NEGATABLE, Form, Token, grouped, is_bare_value, is_bare_word, lex, quote, slashed

QUERY_CHARS_MAX = 8192  # a pasted function, not a pasted file
DEPTH_MAX = 40  # nested groups and NOTs; bounds recursion
TERMS_MAX = 256


@dataclass(frozen=True, slots=True)
class Everything:
    """The empty query: every file."""

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Word:
    """A word: a substring of the contents, and what symbol and word search look for."""

    text: str

    def __str__(self) -> str:
        return self.text if is_bare_word(self.text) else f"content:{self.text}"


@dataclass(frozen=True, slots=True)
class Phrase:
    """An exact run of characters of the contents."""

    text: str

    def __str__(self) -> str:
        return quote(self.text)


@dataclass(frozen=True, slots=True)
class Regex:
    """An RE2 pattern, matched against the contents."""

    pattern: str

    def __str__(self) -> str:
        return slashed(self.pattern)


@dataclass(frozen=True, slots=True)
class Field:
    """A field with its canonical name and value."""

    name: str
    value: str
    form: Form = "bare"  # "quoted" and "regex" only for path, file, sym, def, ref

    def __str__(self) -> str:
        if self.form == "regex":
            return f"{self.name}:{slashed(self.value)}"
        bare = self.form == "bare" and (FIELDS[self.name].forms or is_bare_value(self.name, self.value))
        return f"{self.name}:{self.value if bare else quote(self.value)}"


@dataclass(frozen=True, slots=True)
class Meaning:
    """Code that means this."""

    text: str

    def __str__(self) -> str:
        return f"~{quote(self.text)}"


@dataclass(frozen=True, slots=True)
class Ast:
    """A syntax pattern with metavariables."""

    pattern: str

    def __str__(self) -> str:
        return f"ast:{quote(self.pattern)}"


@dataclass(frozen=True, slots=True)
class Similar:
    """Code like the code at this place."""

    path: str
    line: int  # 1-based

    def __str__(self) -> str:
        value = f"{self.path}:{self.line}"
        return f"similar:{value if is_bare_value('similar', value) else quote(value)}"


@dataclass(frozen=True, slots=True)
class Not:
    """What the child does not find."""

    child: Query

    def __str__(self) -> str:
        inner = str(self.child)
        if isinstance(self.child, And | Or):
            return f"-{grouped(inner)}"
        return f"-{inner}" if _can_follow_minus(inner) else f"NOT {inner}"


@dataclass(frozen=True, slots=True)
class And:
    """What all children find; at least two."""

    children: tuple[Query, ...]

    def __str__(self) -> str:
        return " ".join(grouped(str(c)) if isinstance(c, And | Or) else str(c) for c in self.children)


@dataclass(frozen=True, slots=True)
class Or:
    """What any child finds; at least two."""

    children: tuple[Query, ...]

    def __str__(self) -> str:
        return " OR ".join(grouped(str(c)) if isinstance(c, Or) else str(c) for c in self.children)


Query = And | Or | Not | Word | Phrase | Regex | Field | Meaning | Ast | Similar | Everything


def parse(text: str) -> Query:
    """Return the tree of a query.

    Field names and values come out in their canonical spelling (`l:py` is Field("lang", "python")). The empty
    text is Everything(). Raises QuerySyntaxError, and nothing else, with the column of the mistake.
    """
    if len(text) > QUERY_CHARS_MAX:
        raise QuerySyntaxError(f"the query is longer than {QUERY_CHARS_MAX} characters", QUERY_CHARS_MAX)
    lost = re.search("[\ud800-\udc7f\udd00-\udfff]", text)
    if lost:
        raise QuerySyntaxError("this is half of a character (a lone surrogate)", lost.start())
    tokens = lex(text)
    if len(tokens) > TERMS_MAX:
        raise QuerySyntaxError(f"the query has more than {TERMS_MAX} terms", tokens[TERMS_MAX].column)
    if not tokens:
        return Everything()
    return _Parser(tokens).whole()


def terms(query: Query) -> Iterator[Query]:
    """Yield the leaves of the tree, left to right."""
    if isinstance(query, And | Or):
        for child in query.children:
            yield from terms(child)
    elif isinstance(query, Not):
        yield from terms(query.child)
    else:
        yield query


def setting(query: Query, name: Literal["case", "type"], default: str) -> str:
    """Return the value of a field that holds for the whole query (the last one given), or `default`."""
    found = [leaf.value for leaf in terms(query) if isinstance(leaf, Field) and leaf.name == name]
    return found[-1] if found else default


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def whole(self) -> Query:
        query = self._or(0, top=True)
        assert self._at == len(self._tokens), (self._at, len(self._tokens))
        return query

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _or(self, depth: int, *, top: bool) -> Query:
        top = top and not any(t.kind == "OR" for t in self._level())
        children = [self._and(depth, top=top)]
        while (token := self._peek()) and token.kind == "OR":
            self._at += 1
            children.append(self._and(depth, top=top, after=token))
        return children[0] if len(children) == 1 else Or(tuple(children))

    def _level(self) -> Iterator[Token]:
        """Yield the rest of the tokens of this group, those of inner groups left out."""
        depth = 0
        for token in self._tokens[self._at :]:
            depth -= token.kind == ")"
            if depth < 0:
                return
            if depth == 0:
                yield token
            depth += token.kind == "("

    def _and(self, depth: int, *, top: bool, after: Token | None = None) -> Query:
        children = [self._not(depth, top=top, after=after)]
        while (token := self._peek()) and token.kind not in ("OR", ")"):
            operator = None
            if token.kind == "AND":
                operator = token
                self._at += 1
            children.append(self._not(depth, top=top, after=operator))
        return children[0] if len(children) == 1 else And(tuple(children))

    def _not(self, depth: int, *, top: bool, after: Token | None) -> Query:
        token = self._peek()
        if token is None or token.kind in ("AND", "OR", ")"):
            raise _missing_term(token, after)
        if depth > DEPTH_MAX:
            raise QuerySyntaxError(f"more than {DEPTH_MAX} groups and NOTs in each other", token.column)
        self._at += 1
        if token.kind in ("-", "NOT"):
            return Not(self._not(depth + 1, top=False, after=token))
        if token.kind == "(":
            return self._group(token, depth)
        return _leaf(token, top)

    def _group(self, opened: Token, depth: int) -> Query:
        inner = self._peek()
        if inner is not None and inner.kind == ")":
            raise QuerySyntaxError(
                "this group is empty", opened.column, 'to search for the text, quote it: "( )"'
            )
        if inner is None:
            raise _unclosed(opened)
        query = self._or(depth + 1, top=False)
        if self._peek() is None:
            raise _unclosed(opened)
        self._at += 1
        return query


def _unclosed(opened: Token) -> QuerySyntaxError:
    return QuerySyntaxError(
        "this group is never closed", opened.column, 'add a ")"; to search for a parenthesis, quote it: "("'
    )


def _missing_term(token: Token | None, after: Token | None) -> QuerySyntaxError:
    """Say what is missing at `token` (None: the end), which follows the operator `after` (None: none)."""
    if after is not None:
        name = after.text
        return QuerySyntaxError(
            f'"{name}" needs a term after it', after.column, f'to search for the text, quote it: "{name}"'
        )
    assert token is not None and token.kind in ("AND", "OR"), token
    return QuerySyntaxError(
        f'"{token.text}" needs a term before it',
        token.column,
        f'to search for the text, quote it: "{token.text}"',
    )


def _leaf(token: Token, top: bool) -> Query:
    if token.kind == "word":
        return Word(token.text)
    if token.kind == "phrase":
        if not token.text:
            raise QuerySyntaxError("the phrase is empty", token.column, "put something between the quotes")
        return Phrase(token.text)
    if token.kind == "regex":
        _check_pattern(token.text, token.column)
        return Regex(token.text)
    assert token.kind in ("field", "meaning"), token
    return _field(token, top)


def _field(token: Token, top: bool) -> Query:
    spec = FIELDS[token.name]
    if spec.whole and not top:
        raise QuerySyntaxError(
            f'"{token.name}:" holds for the whole query',
            token.column,
            f"write it outside of every group, OR and NOT, as in (a OR b) {spec.example}",
        )
    try:
        value = token.text if token.form == "regex" else spec.check(token.text)
    except BadValue as error:
        raise QuerySyntaxError(error.message, token.value_column + error.at, error.hint) from None
    if token.form == "regex":
        _check_pattern(value, token.value_column)
    if token.name in ("path", "file") and token.form == "bare" and path_form(value) != "text":
        _check_pattern(path_regex(value, "bare"), token.value_column, quote(value))
    return _node(token.name, value, token.form if spec.forms else "bare")


def _node(name: str, value: str, form: Form) -> Query:
    if name == "content" and form == "regex":
        return Regex(value)
    if name == "content":
        return Phrase(value) if form == "quoted" else Word(value)
    if name == "meaning":
        return Meaning(value)
    if name == "ast":
        return Ast(value)
    if name == "similar":
        path, _, line = value.rpartition(":")
        return Similar(path, int(line))
    return Field(name, value, form)


def _check_pattern(pattern: str, column: int, plain: str = "") -> None:
    try:
        compile_pattern(pattern.encode("utf-8", "surrogateescape"))
    except BadPattern as error:
        hint = f"patterns are RE2's; to search for the plain text, quote it: {plain or quote(pattern)}"
        raise QuerySyntaxError(f"not a regular expression: {error}", column, hint) from None


def _can_follow_minus(text: str) -> bool:
    return bool(text) and text[0] not in NOT_NEGATABLE
