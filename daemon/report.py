"""Nested values of the wire (status, why, doctor) as indented text for people. Pure.

The shape is not spelled out twice: whatever a process reports is shown, and the unit in a key's name says
how: `index_bytes` becomes "index  1.2 GB", `last_scan_ns` "last scan  3 s ago".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from daemon.render import Style, clean

_INDENT = "  "
_INLINE_MAX = 8  # entries of a flat table that still fit on its line
_TITLES = ("path", "name", "role")  # the entry that names a block in a list of blocks
_NO_SEPARATORS = ("id", "pid", "process", "generation", "version")


def describe(table: Mapping[str, Any], style: Style, now: float | None = None) -> str:
    """The table as lines of text; ages are counted from `now` (seconds; None: the clock)."""
    return "".join(line + "\n" for line in _lines(table, style, time.time() if now is None else now, ""))


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for size, unit, small, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{whole} s"


def size(n_bytes: float) -> str:
    """812 B, 3.4 MB, 120 GB: decimal units, as disks are sold and `ls --si` counts."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if abs(n_bytes) < 999.5:
            break
        n_bytes, unit = n_bytes / 1000, larger
    return f"{n_bytes:.0f} {unit}" if unit == "B" or n_bytes >= 99.95 else f"{n_bytes:.1f} {unit}"


def _lines(table: Mapping[str, Any], style: Style, now: float, indent: str) -> list[str]:
    found: list[str] = []
    plain = {key: value for key, value in table.items() if _is_short(value)}
    labels = {key: _label(key) for key in plain}
    width = max(map(len, labels.values()), default=0)
    for key, value in plain.items():
        if value not in ({}, [], None, ""):
            found.append(f"{indent}{labels[key]:<{width}}  {clean(_text(key, value, now))}")
    for key, value in table.items():
        if key in plain:
            continue
        if isinstance(value, Mapping):
            found.append(indent + style.paint("symbol", _label(key)))
            found += _lines(value, style, now, indent + _INDENT)
        else:
            found += _blocks(key, value, style, now, indent)
    return found


def _blocks(key: str, values: list[Mapping[str, Any]], style: Style, now: float, indent: str) -> list[str]:
    """A list of tables: each one under its own title."""
    found: list[str] = []
    for number, value in enumerate(values, 1):
        title_key = next((name for name in _TITLES if value.get(name)), "")
        title = clean(str(value[title_key])) if title_key else str(number)
        found.append(f"{indent}{_one_of(_label(key))} {style.paint('symbol', title)}")
        rest = {name: entry for name, entry in value.items() if name != title_key}
        found += _lines(rest, style, now, indent + _INDENT)
    return found


def _is_short(value: Any) -> bool:
    """Whether the value goes on the line of its key."""
    if isinstance(value, Mapping):
        flat = all(not isinstance(entry, Mapping | list) for entry in value.values())
        return flat and len(value) <= _INLINE_MAX
    if isinstance(value, list):
        return all(not isinstance(entry, Mapping | list) for entry in value)
    return True


def _label(key: str) -> str:
    if key.endswith("_per_s"):
        return key.removesuffix("_per_s").replace("_", " ") + " per second"
    for unit in ("_bytes", "_ns", "_ms", "_s", "_mb"):
        key = key.removesuffix(unit)
    return key.replace("_", " ")


def _one_of(plural: str) -> str:
    """roots -> root, processes -> process."""
    return plural.removesuffix("es") if plural.endswith("sses") else plural.removesuffix("s")


def _text(key: str, value: Any, now: float) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_label(name)} {_text(name, entry, now)}" for name, entry in value.items())
    if isinstance(value, list):
        return ", ".join(_text("", entry, now) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, str):
        return value or "-"
    return _number(key, value, now)


def _number(key: str, value: int | float, now: float) -> str:
    if "bytes" in key.split("_"):
        return size(value)
    if key.endswith("_ns"):
        return f"{duration(max(0.0, now - value / 1e9))} ago" if value else "never"
    if key.endswith("_ms"):
        return f"{value:,.4g} ms" if value < 10_000 else duration(value / 1000)
    if key == "seconds" or (key.endswith("_s") and not key.endswith("_per_s")):
        return duration(value)
    if isinstance(value, float):
        is_time = value > 1e9  # a clock's seconds: no other fraction here comes near
        return f"{duration(max(0.0, now - value))} ago" if is_time else f"{value:,.4g}"
    return str(value) if key in _NO_SEPARATORS else f"{value:,}"
