"""The fields of the query language: their names, and the values each takes. Pure.

A value is checked, and brought to its one canonical spelling, while the query is read: a mistake is reported
with its column before anything is searched.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from config.errors import UsageError
from indexer.languages import resolve
from indexer.records import KINDS

CASES = ("yes", "no", "smart")
PLACES = ("comment", "string", "code")
TYPES = ("file", "symbol", "line")
SINCE_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SINCE_DAYS_MAX = 36500

_KIND_ALIASES = {
    "func": "function",
    "fn": "function",
    "def": "function",
    "cls": "class",
    "const": "constant",
    "var": "variable",
    "mod": "module",
    "namespace": "module",
    "package": "module",
    "typedef": "type",
    "prop": "property",
    "define": "macro",
    "attribute": "field",
    "member": "field",
}
_BOOLS = {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"}
# "+", "$" and "^" count only where a pattern would have them: `libstdc++` and `$lib/x` are plain text.
_REGEX_MARKS = re.compile(r"[.\])][*+?{]|[\\|()]|^\^|\$$")
_GLOB_MARKS = re.compile(r"[*?\[{]")


class BadValue(Exception):
    """A field's value cannot be used; `at` is the offset in the value."""

    def __init__(self, message: str, hint: str = "", at: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What is known of one field."""

    check: Callable[[str], str]  # value -> canonical value, or BadValue
    example: str
    regex: bool = False  # /…/ as a value is a regular expression
    forms: bool = False  # bare and "quoted" mean different things
    whole: bool = False  # holds for the whole query, so it cannot stand in a group, an OR or a NOT


def since_start(value: str, now: float) -> float:
    """Return the start (seconds since the epoch) of what `since:value` asks for.

    value  canonical: "2h", "90m", "3d", "1w" or a date "2026-11-01" (midnight, local time)
    """
    if value[-1] in SINCE_SECONDS:
        return now - int(value[:-1]) * SINCE_SECONDS[value[-1]]
    return datetime.datetime.fromisoformat(value).timestamp()


def path_regex(value: str, form: str) -> str:
    """Return the RE2 pattern that a `path:` or `file:` value means.

    A quoted value is plain text; a bare one is a glob (`*.py`, `src/**/x?.c`), a regular expression
    (`test_.*`, `(a|b)$`) or plain text, by the characters in it. A glob covers the whole name or path; the
    others may match anywhere in it. "/" at a glob's start anchors it to the root.
    """
    if form == "regex":
        return value
    if form == "quoted":
        return _escape(value)
    kind = path_form(value)
    if kind == "regex":
        return value
    return _glob_regex(value) if kind == "glob" else _escape(value)


def path_form(value: str) -> str:
    """Return "regex", "glob" or "text": how a bare `path:` or `file:` value is read."""
    if value.startswith("*") or "**" in value or "/*" in value or re.search(r"(^|[^.\\)])\*\.", value):
        return "glob"
    if _REGEX_MARKS.search(value):
        return "regex"
    return "glob" if _GLOB_MARKS.search(value) else "text"


def near_field(name: str) -> str | None:
    """Return the field that `name` is a likely slip for, or None.

    Only one letter too many, one missing or two swapped: a wrong letter would turn `base:` into `case:` and
    `math:` into `path:`, which people search for.
    """
    if len(name) < 3:
        return None
    for known in sorted({*FIELDS, *ALIASES}):
        if len(known) >= 4 and (_one_more(name, known) or _one_more(known, name) or _swapped(name, known)):
            return known
    return None


def _one_more(longer: str, shorter: str) -> bool:
    return len(longer) == len(shorter) + 1 and any(
        longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer))
    )


def _swapped(a: str, b: str) -> bool:
    if len(a) != len(b) or a == b:
        return False
    return any(a[:i] + a[i + 1] + a[i] + a[i + 2 :] == b for i in range(len(a) - 1))


def _escape(text: str) -> str:
    return re.sub(
        r"[^A-Za-z0-9_\-/\x80-\U0010ffff]", lambda m: "\\" + m[0] if m[0] not in "\n\0" else m[0], text
    )


def _glob_regex(glob: str) -> str:
    """Return the RE2 pattern of a glob; `*` and `?` stop at "/", `**` does not."""
    out: list[str] = ["^" if glob.startswith("/") else "(?:^|/)"]
    body = glob[1:] if glob.startswith("/") else glob
    i, braces = 0, 0
    while i < len(body):
        char = body[i]
        if body.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
            continue
        if body.startswith("**", i):
            out.append(".*")
            i += 2
            continue
        end = body.find("]", i + 2) if char == "[" else -1
        if end > 0:
            inner = body[i + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[" + (f"^/\\n{inner[1:]}" if inner[:1] in ("!", "^") else inner) + "]")
            i = end + 1
            continue
        if char == "{" and "}" in body[i:]:
            braces += 1
            out.append("(?:")
        elif char == "}" and braces:
            braces -= 1
            out.append(")")
        elif char == "," and braces:
            out.append("|")
        else:
            out.append({"*": r"[^/\n]*", "?": r"[^/\n]"}.get(char) or _escape(char))
        i += 1
    out.append(")" * braces + ("" if body.endswith("/") else "$"))
    return "".join(out)


def _nearest(value: str, known: Iterable[str]) -> str:
    close = get_close_matches(value, list(known), 1)
    return f"did you mean {close[0]}? " if close else ""


def _one_of(what: str, known: tuple[str, ...], aliases: dict[str, str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        folded = value.lower()
        folded = aliases.get(folded, folded)
        if folded not in known:
            hint = f"{_nearest(folded, (*known, *aliases))}it is one of {', '.join(known)}"
            raise BadValue(f'"{value}" is no {what}', hint)
        return folded

    return check


def _check_lang(value: str) -> str:
    try:
        return resolve(value)
    except UsageError as error:
        raise BadValue(str(error)) from None


def _check_since(value: str) -> str:
    hint = "give a number and a unit, as in 30m, 2h, 3d or 1w, or a date, as in 2026-11-01"
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", value.lower())
    if match:
        if int(match[1]) * SINCE_SECONDS[match[2]] > SINCE_DAYS_MAX * 86400:
            raise BadValue(f'"{value}" is more than a hundred years', hint)
        return f"{int(match[1])}{match[2]}"
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            date = datetime.date.fromisoformat(value)
        except ValueError:
            raise BadValue(f'there is no day "{value}"', hint) from None
        if date.year >= 1971:
            return value
    raise BadValue(f'"{value}" is no time span', hint)


def _check_similar(value: str) -> str:
    path, colon, line = value.rpartition(":")
    if not colon or not path or not re.fullmatch(r"0*[1-9][0-9]{0,8}", line):
        raise BadValue(
            "similar: needs a path and a line", "as in similar:src/app.py:120 (lines count from 1)"
        )
    return f"{path}:{int(line)}"


def _check_text(value: str) -> str:
    if not value.strip():
        raise BadValue("the value is empty", "put something between the quotes")
    return value


FIELDS: dict[str, FieldSpec] = {
    "lang": FieldSpec(_check_lang, "lang:python"),
    "path": FieldSpec(_check_text, "path:src/", regex=True, forms=True),
    "file": FieldSpec(_check_text, "file:test_.*", regex=True, forms=True),
    "root": FieldSpec(_check_text, "root:linux"),
    "case": FieldSpec(_one_of("case mode", CASES, {"auto": "smart"}), "case:yes", whole=True),
    "kind": FieldSpec(_one_of("kind of symbol", KINDS[1:], _KIND_ALIASES), "kind:function"),
    "in": FieldSpec(_one_of("place", PLACES, {"comments": "comment", "strings": "string"}), "in:comment"),
    "sym": FieldSpec(_check_text, "sym:Parser", regex=True, forms=True),
    "def": FieldSpec(_check_text, "def:Parser", regex=True, forms=True),
    "ref": FieldSpec(_check_text, "ref:Parser", regex=True, forms=True),
    "callers": FieldSpec(_check_text, "callers:parse"),
    "callees": FieldSpec(_check_text, "callees:parse"),
    "imports": FieldSpec(_check_text, "imports:os"),
    "importedby": FieldSpec(_check_text, "importedby:app.main"),
    "meaning": FieldSpec(_check_text, 'meaning:"where are retries limited"'),
    "ast": FieldSpec(_check_text, 'ast:"retry($F)"'),
    "similar": FieldSpec(_check_similar, "similar:src/app.py:120"),
    "changed": FieldSpec(_one_of("yes or no", ("yes", "no"), _BOOLS), "changed:yes"),
    "since": FieldSpec(_check_since, "since:2h"),
    "type": FieldSpec(
        _one_of("type of result", TYPES, {"path": "file", "sym": "symbol"}), "type:file", whole=True
    ),
    "content": FieldSpec(_check_text, "content:lang:", regex=True, forms=True),
}

# Spellings of Zoekt and GitHub.
ALIASES: dict[str, str] = {
    "f": "file",
    "l": "lang",
    "language": "lang",
    "r": "root",
    "repo": "root",
    "symbol": "sym",
}
