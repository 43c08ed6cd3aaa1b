"""`search --all`: every matching line in order of path, printed as it comes.

    src/http/retry.py:42:9:    def next_delay(self, attempt: int) -> float:

path, line, column (in bytes) and text, as editors read them. What there is to say of the whole goes
to standard error, so that the lines can be piped. Part of `search`, loaded only when it is asked for.
"""

from __future__ import annotations

import os

from config.errors import NoSuchRoot
from daemon import client, render, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

SENT = ("case", "literal", "word", "types", "globs", "limit", "deadline_ms", "wait", "what")
_SLACK_S = 5.0  # beyond the deadline of the request


def run(
    pattern: str,
    places: Sequence[str],
    options: Mapping[str, Any],
    style: render.Style,
    write: Callable[[int, str], None],
    add: Callable[[str], None],
) -> bool:
    """Ask about every place in turn and print what comes; True if anything was found.

    write  takes a file descriptor and text; add  makes a root of the tree around a place
    """
    params = {name: options[name] for name in SENT if name in options} | {"pattern": pattern}
    found = False
    for place in dict.fromkeys(places):
        asked = params | {"path": place}
        try:
            summary = _sweep(asked, options, style, write)
        except NoSuchRoot:
            add(place)
            summary = _sweep(asked, options, style, write)
        found = found or bool(summary["files"])
        if "json" in options:
            write(1, wire.dumps({"type": "summary", **summary}).decode("ascii") + "\n")
        else:
            write(2, _summary(summary, style))
    return found


def _sweep(
    params: dict[str, Any], options: Mapping[str, Any], style: render.Style, write: Callable[[int, str], None]
) -> dict[str, Any]:
    deadline_ms = params.get("deadline_ms")
    timeout = None if deadline_ms is None else deadline_ms / 1000 + _SLACK_S
    summary: dict[str, Any] = {}
    root = ""
    with client.connect() as connection:
        root = _root_of(connection, params["path"])
        for part in connection.stream("grep", params, timeout):
            if not isinstance(part.get("files"), list):
                summary = part
            elif "json" in options:
                lines = (wire.dumps({"type": "file", "root": root, **file}) for file in part["files"])
                write(1, "".join(line.decode("ascii") + "\n" for line in lines))
            else:
                write(1, "".join(_file(file, root, style) for file in part["files"]))
    return summary


def _root_of(connection: client.Connection, path: str) -> str:
    """The innermost root that holds a path; "" if none does (the request itself then says so)."""
    real = os.path.realpath(path)
    roots = [root["path"] for root in connection.call("roots")["roots"]]
    holding = [root for root in roots if real == root or real.startswith(root.rstrip("/") + "/")]
    return max(holding, key=len, default="")


def _file(file: Mapping[str, Any], root: str, style: render.Style) -> str:
    path = style.paint("path", render.clean(render.shown_path(root, file["path"], style.cwd)))
    if "count" in file:
        return f"{path}:{style.paint('line', str(file['count']))}\n"
    if "text" not in file:
        return f"{path}\n"
    texts = file["text"].split("\n")
    rows = zip(file["lines"], file["columns"], file["ends"], texts, strict=True)
    return "".join(
        f"{path}:{style.paint('line', str(line))}:{column}:{_marked(text, column - 1, end - 1, style)}\n"
        for line, column, end, text in rows
    )


def _marked(text: str, start: int, end: int, style: render.Style) -> str:
    """A line with its match in colour; start, end: bytes."""
    text = text.removesuffix("\r")
    if not style.color:
        return render.clean(text)
    raw = text.encode("utf-8")
    before, match, behind = (
        part.decode("utf-8", "replace") for part in (raw[:start], raw[start:end], raw[end:])
    )
    return render.clean(before) + style.paint("match", render.clean(match)) + render.clean(behind)


def _summary(summary: Mapping[str, Any], style: render.Style) -> str:
    files = f"{summary['files']:,} of {summary['files_searched']:,} files"
    return render.standing(f"{summary['lines']:,} lines in {files}, {summary['ms']:.0f} ms", summary, style)
