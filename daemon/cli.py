"""The `search` command: read the flags, ask, print. Nothing else: the daemon does the work.

Exit status: 0 something was found, 1 nothing was found, 2 an error. From start to exit with a warm daemon it
has 40 ms, a third of which is the interpreter's own start, so flags are read by hand (argparse alone is
10 ms) and a module is imported here only if every call needs it.
"""

from __future__ import annotations

import os
import sys

from config.errors import DeadlineExceeded, EinsteinError, NoSuchRoot, UsageError
from daemon import client, render, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FOUND, NOTHING, FAILED = 0, 1, 2
INTERRUPTED = 130  # what a shell reports for a command ended by SIGINT

# On first use we wait this long for the index; a large tree then answers from what there is.
FIRST_INDEX_MS = 3_000
CLIENT_SLACK_S = 5.0  # beyond the deadline of the request, before the daemon is taken for hung

USAGE = "usage: search [OPTION]... QUERY [PATH]..."

HELP = f"""{USAGE}

Search the indexed source tree that contains PATH, or the current directory. The daemon is
started if it is not running, and a tree that is not indexed yet is added.

  -n, --limit N       at most N answers
  -m, --mode MODE     {", ".join(wire.MODES)}
  -t, --type LANG     only files of this language; may be repeated
  -g, --glob GLOB     only paths that match; !GLOB excludes; may be repeated
  -C, --context N     N lines around each answer
  -W, --whole         all of what each answer stands for: the definition, 80 lines at most
      --per-file N    at most N answers of a file among the first ten to a question; 0: any number
  -a, --all           every line that matches QUERY, a regular expression, in order of path
  -c, --count         the same, but only the number of lines of each file
  -l, --files-with-matches   the same, but only the paths
  -i, -F, -w          with these: ignore case, plain text, whole words
  -s, --similar FILE:LINE    code like the definition around a line; QUERY, which may be
                      left out, narrows it. With - like the code on standard input
      --duplicates FILE:LINE   definitions that are nearly the one around a line, in all
                      roots or below PATH; there is no QUERY. With - as above
      --threshold X   of --duplicates: the least similarity, above 0 to 1; 0.7 if absent
      --files         search the names of files; QUERY as in fzf: abc 'exact ^start end$ !not
      --files-mode M  {", ".join(wire.FILES_MODES)}
      --wait          wait until everything saved before is indexed
      --deadline MS   milliseconds after which the answer comes back incomplete
      --explain       print the plan, every step and every ranking signal
      --json          JSON Lines: one object per answer, then a summary
      --color WHEN    auto, always, never; NO_COLOR is honoured
  -h, --help          this text
  -V, --version       the version

Query: words, "phrases", /regular expressions/, OR, NOT, ( ), and filters such as lang:py path:src/
file:test_ sym:Name def:Name ref:Name callers:Name callees:Name imports:module importedby:file
~"what it means" similar:file:line; see docs/QUERY.md.
A query that begins with - goes after --.

Exit status: 0 found, 1 nothing found, 2 error.
"""

# Flag -> (name, kind): "flag" takes no value, "list" may be repeated.
_FLAGS: dict[str, tuple[str, str]] = {
    "-n": ("limit", "int"),
    "--limit": ("limit", "int"),
    "-m": ("mode", "str"),
    "--mode": ("mode", "str"),
    "-t": ("types", "list"),
    "--type": ("types", "list"),
    "-g": ("globs", "list"),
    "--glob": ("globs", "list"),
    "-C": ("context", "int"),
    "--context": ("context", "int"),
    "-W": ("whole", "flag"),
    "--whole": ("whole", "flag"),
    "--per-file": ("per_file", "int"),
    "-a": ("all", "flag"),
    "--all": ("all", "flag"),
    "-c": ("count", "flag"),
    "--count": ("count", "flag"),
    "-l": ("only_paths", "flag"),
    "--files-with-matches": ("only_paths", "flag"),
    "-i": ("ignore_case", "flag"),
    "--ignore-case": ("ignore_case", "flag"),
    "-F": ("literal", "flag"),
    "--fixed-strings": ("literal", "flag"),
    "-w": ("word", "flag"),
    "--word-regexp": ("word", "flag"),
    "-s": ("similar", "str"),
    "--similar": ("similar", "str"),
    "--duplicates": ("duplicates", "str"),
    "--threshold": ("threshold", "number"),
    "--files": ("files", "flag"),
    "--files-mode": ("files_mode", "str"),
    "--deadline": ("deadline_ms", "int"),
    "--wait": ("wait", "flag"),
    "--explain": ("explain", "flag"),
    "--json": ("json", "flag"),
    "--color": ("color", "str"),
    "--colour": ("color", "str"),
    "-h": ("help", "flag"),
    "--help": ("help", "flag"),
    "-V": ("version", "flag"),
    "--version": ("version", "flag"),
}
_BOUNDS = {
    "limit": (1, wire.LIMIT_MAX),
    "context": (0, wire.CONTEXT_MAX),
    "per_file": (0, wire.LIMIT_MAX),
    "deadline_ms": (1, wire.DEADLINE_MS_MAX),
}
_CHOICES = {"mode": wire.MODES, "files_mode": wire.FILES_MODES, "color": ("auto", "always", "never")}
_EXHAUSTIVE = ("all", "count", "only_paths", "ignore_case", "literal", "word")
_SENT = ("mode", "limit", "types", "globs", "context", "whole", "per_file", "explain", "deadline_ms", "wait")
_FILES_SENT = ("limit", "deadline_ms", "wait")
_DUPLICATES_SENT = ("limit", "types", "context", "deadline_ms", "wait", "threshold")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    query, style = "", render.Style(color=_color("auto", 2))
    try:
        options, words = parse(arguments)
        if "help" in options:
            return _print(HELP, FOUND)
        if "version" in options:
            return _print(f"search {_version()}\n", FOUND)
        _check_together(options)
        if "similar" in options and not words:
            words = [""]
        if not words and "duplicates" not in options:
            raise UsageError(f"no query given\n{USAGE}")
        if "duplicates" in options:
            result = duplicates([_absolute(path) for path in words], options)
        else:
            query = words[0]
            places = [_absolute(path) for path in words[1:] or ["."]]
            if not options.keys().isdisjoint(_EXHAUSTIVE):
                return _everything(query, places, options)
            ask = files if "files" in options or "files_mode" in options else search
            result = ask(query, places, options)
        style = render.Style(_color(options.get("color", "auto"), 1), os.getcwd(), "explain" in options)  # noqa: PTH109
        text = render.json_lines(result) if "json" in options else render.answer(result, style)
        return _print(text, FOUND if result.get("hits") or result.get("files") else NOTHING)
    except EinsteinError as error:
        style.color = _color("auto", 2)
        _write(2, render.failure(error, query, style))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def parse(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Options and words of a command line; flags may stand anywhere, "--" ends them. Raises UsageError."""
    options: dict[str, Any] = {}
    words: list[str] = []
    todo = list(arguments)
    while todo:
        argument = todo.pop(0)
        if argument == "--":
            words += todo
            break
        if argument == "-" or not argument.startswith("-"):
            words.append(argument)
            continue
        flag, value = _split(argument)
        name, kind = _known(flag)
        if kind == "flag":
            if value is not None and argument.startswith("--"):
                raise UsageError(f"{flag} takes no value")
            options[name] = True
            if value is not None:  # -Vh: several short flags in one
                todo.insert(0, "-" + value)
            continue
        if value is None:
            if not todo:
                raise UsageError(f"{flag} needs a value")
            value = todo.pop(0)
        if kind == "list":
            options.setdefault(name, []).append(value)
        else:
            options[name] = _value(flag, name, kind, value)
    return options, words


def search(query: str, places: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """Ask about every place; several answers are merged by score.

    places  absolute paths of directories or files
    Every hit carries the "root" it belongs to.
    """
    params = {name: options[name] for name in _SENT if name in options}
    if "similar" in options:
        from daemon.shown import shown

        params |= shown("--similar", options["similar"], ("snippet", "snippet_path", "snippet_line"))
    answers = [_ask(params | {"query": query, "path": place}) for place in dict.fromkeys(places)]
    for answer in answers:
        for hit in answer["hits"]:
            hit["root"] = answer.get("root", "")
    return answers[0] if len(answers) == 1 else _merged(answers, options.get("limit"))


def duplicates(places: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """Ask for what is nearly some code: below every place, everywhere if there is none."""
    from daemon.shown import shown

    params = {name: options[name] for name in _DUPLICATES_SENT if name in options}
    params |= shown("--duplicates", options["duplicates"], ("text", "path", "line"))
    if not places:
        return _ask(params, "duplicates", os.getcwd())  # noqa: PTH109
    answers = [_ask(params | {"below": place}, "duplicates", place) for place in dict.fromkeys(places)]
    if len(answers) == 1:
        return answers[0]
    merged = _merged(answers, options.get("limit"))
    return merged | {name: sum(each[name] for each in answers) for name in ("total", "compared")}


def files(query: str, places: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """Ask every place for files by name, as `search` does. Raises UsageError for other options."""
    for flag, (name, _) in _FLAGS.items():
        if name in options and name in _SENT and name not in _FILES_SENT:
            raise UsageError(f"{flag} does not go with --files")
    params = {name: options[name] for name in _FILES_SENT if name in options}
    if "files_mode" in options:
        params["mode"] = options["files_mode"]
    answers = [_ask(params | {"query": query, "path": place}, "files") for place in dict.fromkeys(places)]
    for answer in answers:
        for one in answer["files"]:
            one["root"] = answer.get("root", "")
    return answers[0] if len(answers) == 1 else _merged_files(answers, options.get("limit"))


def _ask(params: dict[str, Any], method: str = "search", place: str = "") -> dict[str, Any]:
    """One search; the tree of its place (`path` if it has none) is added if it is not indexed yet."""
    deadline_ms = params.get("deadline_ms")
    timeout = client.CALL_TIMEOUT_S if deadline_ms is None else deadline_ms / 1000 + CLIENT_SLACK_S
    try:
        return client.ask(method, params, timeout=timeout)
    except NoSuchRoot:
        _add(place or params["path"])
    return client.ask(method, params, timeout=timeout)


def _add(place: str) -> None:
    """Make a root of the tree around a place that no root contains."""
    root = root_of(place)
    try:  # noqa: SIM105  contextlib is 3 ms
        client.ask("add", {"path": root, "wait": True, "deadline_ms": FIRST_INDEX_MS})
    except DeadlineExceeded:
        pass  # a large tree; the answer says how far its index is


def _check_together(options: dict[str, Any]) -> None:
    """Raise UsageError for options that exclude each other."""
    kinds = ("similar", "duplicates", "files", "files_mode", *_EXHAUSTIVE)
    long = {name: flag for flag, (name, _) in _FLAGS.items()}
    chosen = [long[name] for name in kinds if name in options]
    if len(chosen) > 1 and ("similar" in options or "duplicates" in options):
        raise UsageError(f"{chosen[0]} does not go with {chosen[1]}")
    if "threshold" in options and "duplicates" not in options:
        raise UsageError("--threshold goes with --duplicates only")
    if "duplicates" in options:
        for flag, (name, _) in _FLAGS.items():
            if name in options and name in _SENT and name not in (*_DUPLICATES_SENT, "explain"):
                raise UsageError(f"{flag} does not go with --duplicates")


def _everything(pattern: str, places: Sequence[str], options: dict[str, Any]) -> int:
    """Print every line that matches."""
    from daemon import everything

    options["what"] = "count" if "count" in options else "files" if "only_paths" in options else "lines"
    if "ignore_case" in options:
        options["case"] = "no"
    style = render.Style(_color(options.get("color", "auto"), 1), os.getcwd())  # noqa: PTH109
    try:
        found = everything.run(pattern, places, options, style, _write, _add)
    except BrokenPipeError:  # a reader that left early (`| head`)
        return FOUND
    return FOUND if found else NOTHING


def root_of(place: str) -> str:
    """The directory to index for a place that no root contains: its repository, else the directory itself.

    Raises UsageError where that would be the home directory or a whole disk: nobody means that by a search.
    """
    directory = place if os.path.isdir(place) else os.path.dirname(place)  # noqa: PTH112, PTH120
    home = os.path.expanduser("~")  # noqa: PTH111
    at = directory
    while at not in ("/", home):  # a repository of dot files does not make the whole home a tree
        if os.path.exists(at + "/.git"):  # noqa: PTH110
            return at
        at = os.path.dirname(at)  # noqa: PTH120
    if os.path.realpath(directory) == os.path.realpath(home) or os.path.ismount(directory):
        mend = f"`searchd add {directory}` does it"
        raise UsageError(f"{directory} is not indexed, and too much to index by accident; {mend}")
    return directory


def _merged(answers: list[dict[str, Any]], limit: int | None) -> dict[str, Any]:
    """One answer out of several: best hits first, the worst of what they say about trust."""
    # One place may lie in another: each hit once.
    found = {(hit["root"], hit["path"], hit["line"]): hit for answer in answers for hit in answer["hits"]}
    hits = sorted(found.values(), key=lambda hit: -hit["score"])
    return {
        "hits": hits[:limit],
        "files_searched": sum(answer["files_searched"] for answer in answers),
        "explain": answers[0].get("explain"),
        **_merged_trust(answers),
    }


def _merged_files(answers: list[dict[str, Any]], limit: int | None) -> dict[str, Any]:
    """One answer out of several, as `_merged`. A file of two places counts once where it is shown."""
    every = [one for answer in answers for one in answer["files"]]
    found = {(one["root"], one["path"]): one for one in every}
    ordered = sorted(found.values(), key=lambda one: (-one["score"], len(one["path"]), one["path"]))
    total = sum(answer["total"] for answer in answers) - (len(every) - len(found))
    return {"files": ordered[:limit], "total": total, **_merged_trust(answers)}


def _merged_trust(answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "generation": max(answer["generation"] for answer in answers),
        "fresh": all(answer["fresh"] for answer in answers),
        "incomplete": "; ".join(dict.fromkeys(a["incomplete"] for a in answers if a["incomplete"])),
        "warnings": list(dict.fromkeys(warning for answer in answers for warning in answer["warnings"])),
        "ms": sum(answer["ms"] for answer in answers),
        "root": "",
    }


def _split(argument: str) -> tuple[str, str | None]:
    """ "--limit=5" and "-n5" into flag and value."""
    if argument.startswith("--"):
        flag, equals, value = argument.partition("=")
        return flag, value if equals else None
    return argument[:2], argument[2:] or None


def _known(flag: str) -> tuple[str, str]:
    if flag in _FLAGS:
        return _FLAGS[flag]
    import difflib

    near = difflib.get_close_matches(flag, _FLAGS, n=1)
    hint = f"did you mean {near[0]}?" if near else "a query that begins with - goes after --"
    raise UsageError(f"unknown option {flag}; {hint}")


def _value(flag: str, name: str, kind: str, value: str) -> str | int | float:
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UsageError(f"{flag} {value}: choose one of {', '.join(_CHOICES[name])}")
    if kind == "number":
        return _share(flag, value)
    if kind != "int":
        return value
    low, high = _BOUNDS[name]
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise UsageError(f"{flag} {value}: a number from {low} to {high} is needed")
    return int(value)


def _share(flag: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise UsageError(f"{flag} {value}: a number above 0 is needed, 1 at most")
    return share


def _absolute(path: str) -> str:
    absolute = os.path.abspath(path)  # noqa: PTH100
    if not os.path.exists(absolute):  # noqa: PTH110
        raise UsageError(f"no such file or directory: {path}; a query of several words needs quotes")
    return absolute


def _color(when: str, fd: int) -> bool:
    """Whether to colour what goes to `fd`: NO_COLOR (no-color.org) counts unless --color says otherwise."""
    if when != "auto":
        return when == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and os.isatty(fd)


def _version() -> str:
    from importlib import metadata

    return metadata.version("einstein-search")


def _print(text: str, status: int) -> int:
    """Print to standard output; a reader that left early (`| head`) is not an error."""
    try:  # noqa: SIM105
        _write(1, text)
    except BrokenPipeError:
        pass
    return status


def _write(fd: int, text: str) -> None:
    """Write all of `text` as UTF-8; straight to the descriptor, so no buffer is left to flush at exit."""
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    sys.exit(main())
