"""An answer from the wire as text for people, or as JSON Lines for programs.

Nothing that comes out of a file, a path or a query reaches the terminal as it is: whatever is not printable
is replaced, so no escape sequence, no bell, no bidirectional trick of an indexed file is ever carried out.
The layout of one hit:

    src/http/retry.py:42  RetryPolicy.next_delay  method
      41 │     def next_delay(self, attempt: int) -> float:
      42 │         return min(self.base * 2**attempt, self.max_delay)

and the last line says how far the answer can be trusted:

    -- 3 answers in 812 files, 2.4 ms; generation 17, fresh

Part of `search`: imports nothing that costs. Values are dicts of the wire: search/answer.py, plus "root".
"""

from __future__ import annotations

import os

from daemon import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from config.errors import EinsteinError

_RESET = "\x1b[0m"
_COLORS = {
    "path": "\x1b[35m",
    "line": "\x1b[32m",
    "symbol": "\x1b[1;36m",
    "faint": "\x1b[2m",
    "match": "\x1b[1;31m",
    "warning": "\x1b[33m",
    "error": "\x1b[1;31m",
}
_TAB = "    "
_SIGNAL_DIGITS = 4


class Style:
    """How to print: with colours or not, and the directory that paths are shown relative to."""

    __slots__ = ("color", "cwd", "explain")

    def __init__(self, color: bool = False, cwd: str = "", explain: bool = False) -> None:
        self.color = color
        self.cwd = cwd
        self.explain = explain

    def paint(self, name: str, text: str) -> str:
        """`text`, which must be clean already, in a colour of _COLORS if colours are on."""
        return f"{_COLORS[name]}{text}{_RESET}" if self.color and text else text


def clean(text: str) -> str:
    """`text` without anything a terminal would act on; an ordinary line comes back as it is."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _visible(char) for char in text])


def answer(result: Mapping[str, Any], style: Style) -> str:
    """The whole answer: hits or files, the plan if it was asked for, and the line about freshness."""
    if "files" in result:
        return "".join(file(one, style) for one in result["files"]) + freshness(result, style)
    parts = [hit(one, style) for one in result["hits"]]
    if style.explain and result.get("explain"):
        parts.append(explain(result["explain"], style))
    parts.append(freshness(result, style))
    return "\n".join(parts)


def hit(one: Mapping[str, Any], style: Style) -> str:
    """One hit: where, in what, and its lines."""
    place = style.paint("path", clean(shown_path(one.get("root", ""), one["path"], style.cwd)))
    if one["kind"] != "file":
        place += ":" + style.paint("line", str(one["line"]))
    about = [style.paint("symbol", clean(one["symbol"])), style.paint("faint", clean(one["symbol_kind"]))]
    if "similarity" in one:
        about.append(style.paint("faint", f"{one['similarity']:.0%} alike"))
    if one.get("live"):
        about.append(style.paint("faint", "(read live)"))
    text = "  ".join([place, *filter(None, about)]) + "\n"
    width = max((len(str(line["number"])) for line in one["lines"]), default=0)
    before = 0
    for line in one["lines"]:
        if before and line["number"] > before + 1:
            text += "  " + style.paint("faint", " " * width + " ⋮") + "\n"
        before = line["number"]
        number = f"{line['number']:>{width}}"
        number = style.paint("line" if line.get("is_match") else "faint", number)
        text += f"  {number} {style.paint('faint', '│')} {_marked(line, style)}".rstrip() + "\n"
    if one.get("also"):
        others = ", ".join(clean(shown_path(one.get("root", ""), path, style.cwd)) for path in one["also"])
        text += "  " + style.paint("faint", f"also in {others}") + "\n"
    if style.explain:
        score = f"  score {_number(one['score'])}{_signals(one.get('signals') or {})}"
        text += style.paint("faint", score) + "\n"
    return text


def file(one: Mapping[str, Any], style: Style) -> str:
    """The path of a file, as `hit` shows it, with what matched in colour."""
    text = shown_path(one.get("root", ""), one["path"], style.cwd)
    before = len(text) - len(one["path"])  # what is shown in front of the path, or (negative) left out of it
    ranges = [[max(0, start + before), end + before] for start, end in one["ranges"]]
    return _marked({"text": text, "ranges": [r for r in ranges if r[0] < r[1]]}, style) + "\n"


def freshness(result: Mapping[str, Any], style: Style) -> str:
    """How many, how long, and how far the answer can be trusted."""
    if "files" in result:
        count = len(result["files"])
        found = f"{count or 'no'} file{'' if count == 1 else 's'}"
        found += f" of {result['total']:,} that match" if result["total"] > count else ""
    else:
        count = len(result["hits"])
        of = f" of {result['total']:,}" if result.get("total", 0) > count else ""
        found = f"{count or 'no'} answer{'' if count == 1 else 's'}{of} in {result['files_searched']:,} files"
    return standing(f"{found}, {_number(result['ms'])} ms", result, style)


def standing(found: str, result: Mapping[str, Any], style: Style) -> str:
    """What was found and how long it took, then how far that can be trusted."""
    fresh = "fresh" if result["fresh"] else "not fresh: changes are still being indexed"
    line = f"-- {found}; generation {result['generation']}, {fresh}"
    text = style.paint("faint" if result["fresh"] else "warning", line) + "\n"
    if result["incomplete"]:
        text += style.paint("warning", f"-- incomplete: {clean(result['incomplete'])}") + "\n"
    for warning in result["warnings"]:
        text += style.paint("warning", f"-- warning: {clean(warning)}") + "\n"
    return text


def explain(plan: Mapping[str, Any], style: Style) -> str:
    """The query as it was read, the plan, and every step with its candidates and time."""
    rows = [("step", "candidates", "kept", "ms", "")]
    for step in plan["steps"]:
        numbers = f"{step['candidates']:,}", f"{step['kept']:,}", f"{step['ms']:.2f}"
        rows.append((clean(step["name"]), *numbers, clean(step["note"])))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    text = f"{style.paint('symbol', 'query')} {clean(plan['query'])}\n"
    text += f"{style.paint('symbol', 'type')}  {clean(plan['type'])}\n"
    text += f"{style.paint('symbol', 'plan')}  {clean(plan['plan'])}\n"
    for name, *counts, note in rows:
        cells = [cell.rjust(width) for cell, width in zip(counts, widths[1:], strict=True)]
        text += "  ".join(["", name.ljust(widths[0]), *cells, note]).rstrip() + "\n"
    return text


def json_lines(result: Mapping[str, Any]) -> str:
    """One object per hit or file ({"type": "hit", ...}), then {"type": "summary", ...}: the rest."""
    name = "files" if "files" in result else "hits"
    objects: list[dict[str, Any]] = [{"type": name[:-1], **one} for one in result[name]]
    rest = {key: value for key, value in result.items() if key not in (name, "text")}
    objects.append({"type": "summary", "count": len(result[name]), **rest})
    return "".join(wire.dumps(one).decode("ascii") + "\n" for one in objects)


def failure(error: EinsteinError, query: str, style: Style, program: str = "search") -> str:
    """An error for people; a mistake in the query is pointed at."""
    text = f"{program}: {style.paint('error', clean(str(error)))}\n"
    column = getattr(error, "column", None)
    if error.code == "query_syntax" and isinstance(column, int) and query:
        before = clean(query[:column])
        text += f"  {clean(query)}\n  {' ' * len(before)}{style.paint('error', '^')}\n"
    return text


def shown_path(root: str, path: str, cwd: str) -> str:
    """The path of a hit as one would type it: relative to `cwd` if it lies below, else absolute."""
    whole = os.path.join(root, path)  # noqa: PTH118  pathlib stays out of `search`
    below = cwd.rstrip("/") + "/"
    return whole[len(below) :] if cwd and whole.startswith(below) else whole


def _marked(line: Mapping[str, Any], style: Style) -> str:
    """The text of a line with its matched ranges in colour; ranges count characters before cleaning."""
    text: str = line["text"]
    if not style.color:
        return clean(text)
    marked, at = "", 0
    for start, end in _disjoint(line.get("ranges") or (), len(text)):
        marked += clean(text[at:start]) + style.paint("match", clean(text[start:end]))
        at = end
    return marked + clean(text[at:])


def _disjoint(ranges: Iterable[Iterable[int]], length: int) -> list[tuple[int, int]]:
    """The ranges in order, inside the text, without overlaps."""
    found: list[tuple[int, int]] = []
    for start, end in sorted((start, end) for start, end in ranges):
        start = max(start, found[-1][1] if found else 0)
        end = min(end, length)
        if start < end:
            found.append((start, end))
    return found


def _visible(char: str) -> str:
    """What stands for a character that is not printed."""
    code = ord(char)
    if char == "\t":
        return _TAB
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures: U+001B becomes U+241B
    if code == 0x7F:
        return "\u2421"
    if 0xDC80 <= code <= 0xDCFF:  # an undecodable byte of a path
        return f"\\x{code - 0xDC00:02x}"
    if char.isspace() and code not in (0x85, 0x2028, 0x2029):
        return " "
    return "\ufffd"


def _number(value: float) -> str:
    """Three significant digits where they matter: 0.034, 2.41, 17.2, 1234."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _signals(signals: Mapping[str, float]) -> str:
    if not signals:
        return ""
    return ": " + ", ".join(
        f"{clean(name)} {round(value, _SIGNAL_DIGITS):g}" for name, value in signals.items()
    )
