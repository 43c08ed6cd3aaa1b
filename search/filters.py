"""Filters: which files of the root a query may look at, as one mask by slot.

A filter is about the file, not its content (`lang:`, `path:`, `file:`, `root:`, `changed:`, `since:`, globs).
They are cheap, so they come before everything else, and nothing outside of them is ever read or ranked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from config.errors import UsageError
from indexer.records import Bool
from search.changed import ChangedFiles
from search.compiled import BadPattern
from search.facts import RootFacts, find_all
from search.fields import path_form, path_regex, since_start
from search.matcher import Case, Matcher, matching_lines
from search.query import Field


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What filters need besides the files: the time, git, the generation."""

    now: float  # seconds since the epoch
    changed: ChangedFiles
    generation: int


def field_mask(field: Field, facts: RootFacts, around: Surroundings, case: Case) -> Bool:
    """Return which files a filter field admits (bool, by slot). It may be shared: do not write to it."""
    return _BY_NAME[field.name](field, facts, around, case)


def prefix_mask(prefix: str, facts: RootFacts) -> Bool:
    """Return the files below a directory of the root, or the file of that path."""
    path = os.fsencode(prefix).strip(b"/")
    if not path:
        return facts.alive
    key = ("prefix", prefix, "")
    known = facts.masks.get(key)
    if known is not None:
        return known
    mask = _at(facts, find_all(facts.joined, b"\n" + path + b"/") + 1)
    return facts.keep(key, mask | _at(facts, find_all(facts.joined, b"\n" + path + b"\n") + 1))


def language_mask(names: Iterable[str], facts: RootFacts) -> Bool:
    """Return the files in any of these languages (canonical names)."""
    numbers = [facts.languages.index(name) for name in names if name in facts.languages]
    return np.isin(facts.language, numbers) if numbers else np.zeros(len(facts.alive), np.bool_)


def glob_mask(globs: Iterable[str], facts: RootFacts) -> Bool:
    """Return the files that globs admit, as ripgrep's -g: the last one that matches decides, "!" excludes.

    Where no glob is positive, everything not excluded is admitted. Raises UsageError for a broken glob.
    """
    listed = list(globs)
    mask = facts.alive.copy()
    if any(not glob.startswith("!") for glob in listed):
        mask[:] = False
    for glob in listed:
        wanted = not glob.startswith("!")
        try:
            mask[_pattern_mask(glob_regex(glob.removeprefix("!")), facts, "yes", True)] = wanted
        except BadPattern as error:
            raise UsageError(f'cannot read the glob "{glob}": {error}') from None
    return mask


def glob_regex(glob: str) -> str:
    """Return the RE2 pattern of a gitignore-style glob; a directory stands for everything below it.

    Without a "/" (other than a last one) it names a file or directory anywhere, else it starts at the root.
    """
    body = glob.removeprefix("/")
    anchored = "/" in glob.rstrip("/")
    out = ["^" if anchored else "(?:^|/)"]
    i, braces = 0, 0
    body = body.rstrip("/") if body.endswith("/") else body
    while i < len(body):
        char = body[i]
        end = body.find("]", i + 2) if char == "[" else -1
        if body.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 2
        elif body.startswith("**", i):
            out.append(".*")
            i += 1
        elif char in "*?":
            out.append(r"[^/\n]*" if char == "*" else r"[^/\n]")
        elif end > 0:
            inner = body[i + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[" + (r"^\n" + inner[1:] if inner[0] in "!^" else inner) + "]")
            i = end
        elif char == "{" and "}" in body[i:]:
            braces += 1
            out.append("(?:")
        elif char in "}," and braces:
            braces -= char == "}"
            out.append(")" if char == "}" else "|")
        elif char == "\\" and i + 1 < len(body):
            i += 1
            out.append(re.escape(body[i]))
        else:
            out.append(re.escape(char))
        i += 1
    return "".join(out) + ")" * braces + ("/" if glob.endswith("/") else "(?:/|$)")


def _lang(field: Field, facts: RootFacts, _around: Surroundings, _case: Case) -> Bool:
    return language_mask([field.value], facts)


def _path(field: Field, facts: RootFacts, _around: Surroundings, case: Case) -> Bool:
    value = field.value
    plain = field.form == "quoted" or (field.form == "bare" and path_form(value) == "text")
    whole = field.name == "path" or "/" in value
    if plain and whole and value.isascii() and "\n" not in value:
        return _plain_mask(value, facts, case == "no" or (case == "smart" and value == value.lower()))
    # A glob's classes say [^/]; that no line end is meant either lets all paths be searched in one go.
    pattern = path_regex(value, field.form)
    if not plain and field.form == "bare":
        pattern = pattern.replace("[^/]", "[^/\\n]")
    return _pattern_mask(pattern, facts, case, whole)


def _plain_mask(value: str, facts: RootFacts, fold: bool) -> Bool:
    key = ("plain", value, str(fold))
    known = facts.masks.get(key)
    if known is not None:
        return known
    needle = value.encode()
    found = find_all(facts.lowered, needle.lower()) if fold else find_all(facts.joined, needle)
    return facts.keep(key, _at(facts, found))


def _pattern_mask(pattern: str, facts: RootFacts, case: Case, whole: bool) -> Bool:
    """Return the files whose path (or name, if not `whole`) a pattern matches. Raises BadPattern."""
    key = ("path" if whole else "name", pattern, case)
    known = facts.masks.get(key)
    if known is not None:
        return known
    lines, offsets = (facts.joined, facts.offsets) if whole else facts.names_joined()
    return facts.keep(key, matching_lines(Matcher(pattern, case), lines, offsets))


def _root(field: Field, facts: RootFacts, _around: Surroundings, case: Case) -> Bool:
    path = facts.view.path
    value = field.value
    fold = case == "no" or (case == "smart" and not any(c.isupper() for c in value))
    inside = value.lower() in path.lower() if fold else value in path
    return facts.alive if inside else np.zeros(len(facts.alive), np.bool_)


def _changed(field: Field, facts: RootFacts, around: Surroundings, _case: Case) -> Bool:
    listed = around.changed.get(facts.view.path, around.generation)
    mask = np.zeros(len(facts.alive), np.bool_)
    for path in listed:
        slot = facts.view.slot_of(path)
        if slot >= 0:
            mask[slot] = True
    return mask & facts.alive if field.value == "yes" else facts.alive & ~mask


def _since(field: Field, facts: RootFacts, around: Surroundings, _case: Case) -> Bool:
    start = int(since_start(field.value, around.now) * 1e9)
    return facts.alive & (np.asarray(facts.view.mtime_ns) >= start)


_BY_NAME: dict[str, Callable[[Field, RootFacts, Surroundings, Case], Bool]] = {
    "lang": _lang,
    "path": _path,
    "file": _path,
    "root": _root,
    "changed": _changed,
    "since": _since,
}


def _at(facts: RootFacts, positions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Bool:
    mask = np.zeros(len(facts.alive), np.bool_)
    slots = facts.slots_at(positions)
    mask[slots[(slots >= 0) & (slots < len(mask))]] = True
    return mask
