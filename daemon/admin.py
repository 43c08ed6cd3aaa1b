"""The `searchd` command: start and stop the daemon, say what is indexed, look into it.

Only a client of the socket, except for what must work without a daemon (start, stop, log, config, doctor, and
fsck of an index that nobody has open). Exit status: 0 all well, 1 a "no" (not running, not indexed, problems
found), 2 an error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from config import paths, settings
from config.errors import DaemonUnavailable, EinsteinError, UsageError
from config.processes import is_alive
from daemon import client, report
from daemon.progress import follow
from daemon.render import Style, clean, failure

YES, NO, FAILED = 0, 1, 2
LOG_TAIL_BYTES = 1 << 20

Options = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    options = _parser().parse_args(arguments)
    style = Style(color=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    try:
        status: int = options.run(options, style)
        sys.stdout.flush()
        return status
    except EinsteinError as error:
        print(failure(error, "", style, "searchd"), end="", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the flush at exit has somewhere to go
        return YES
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="searchd", description="The code search daemon and its administration."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Options, Style], int], about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(run=run)
        return made

    started = command("start", start, "start the daemon if it is not running")
    command("stop", stop, "let it finish what it is doing and end")
    restarted = command("restart", restart, "stop it, then start it")
    shown = command("status", status, "what is indexed, and how the processes do")
    shown.add_argument("--json", action="store_true", help="as one JSON object")
    for name, run, about in (
        ("add", add, "index a directory"),
        ("rebuild", rebuild, "make the index of a root anew"),
    ):
        made = command(name, run, about)
        made.add_argument("root", metavar="ROOT")
        made.add_argument("--wait", action="store_true", help="until all of it is indexed, with progress")
    command("remove", remove, "forget a root").add_argument("root", metavar="ROOT")
    command("roots", roots, "list the roots")
    why_ = command("why", why, "whether a file is indexed, and the rule that decides")
    why_.add_argument("file", metavar="FILE")
    command("doctor", doctor, "check everything that can keep the daemon from working")
    command("fsck", fsck, "check every invariant of the index")
    log_ = command("log", log, "the end of the log")
    log_.add_argument("-n", "--lines", type=int, default=100, metavar="N")
    config_ = command("config", config, "the settings in force")
    config_.add_argument("--show-origin", action="store_true", help="and where each value comes from")
    config_.add_argument("root", metavar="ROOT", nargs="?", help="with the project file of this root")
    for made in (started, restarted, config_):
        made.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, above all files"
        )
    return parser


def start(options: Options, _style: Style) -> int:
    """`searchd start`"""
    flags = _flags(options.set)
    found = settings.load(flags=flags)
    if is_alive(pid := client.running_pid()):  # if not, its writer still holds the lock, for a moment
        if flags:
            raise UsageError(
                f"process {pid} runs with other settings; `searchd restart --set ...` replaces it"
            )
        print(f"already running (process {pid})")
        return YES
    environ = os.environ | {settings.variable(key): value for key, value in flags.items()}
    wait_s = found.daemon.start_timeout_ms / 1000
    said = "started" if client.start_daemon(wait_s, environ) else "already running"
    print(f"{said} (process {client.running_pid()})")
    return YES


def stop(_options: Options, _style: Style) -> int:
    """`searchd stop`"""
    print("stopped" if client.stop_daemon() else "not running")
    return YES


def restart(options: Options, style: Style) -> int:
    """`searchd restart`"""
    settings.load(flags=_flags(options.set))  # a mistake is told before anything stops
    client.stop_daemon()
    return start(options, style)


def status(options: Options, style: Style) -> int:
    """`searchd status`"""
    try:
        found = client.ask("status", start=False)
    except DaemonUnavailable:
        if options.json:
            print(json.dumps({"running": False}))
        else:
            print("not running; `searchd start` or the first search starts it")
        return NO
    if options.json:
        print(json.dumps({"running": True, **found}))
    else:
        found.get("index", {}).pop("section_bytes", None)  # forty lines that --json has
        print(report.describe({"process": client.running_pid(), **found}, style), end="")
    return YES


def add(options: Options, style: Style) -> int:
    """`searchd add`"""
    root = _directory(options.root)
    found = follow("add", root, style) if options.wait else client.ask("add", {"path": root})
    _print_root(found, "indexed" if options.wait else "being indexed")
    return YES


def rebuild(options: Options, style: Style) -> int:
    """`searchd rebuild`"""
    root = _directory(options.root)
    found = follow("rebuild", root, style) if options.wait else client.ask("rebuild", {"path": root})
    _print_root(found, "rebuilt" if options.wait else "being rebuilt")
    return YES


def remove(options: Options, _style: Style) -> int:
    """`searchd remove`; the directory itself may be gone already."""
    root = _absolute(options.root)
    client.ask("remove", {"path": root})
    print(f"{clean(root)}: removed")
    return YES


def roots(_options: Options, _style: Style) -> int:
    """`searchd roots`"""
    found = client.ask("roots")["roots"]
    for root in found:
        print(clean(root["path"]))
    return YES if found else NO


def why(options: Options, style: Style) -> int:
    """`searchd why`"""
    found = client.ask("why", {"path": _absolute(options.file)})
    verdict = style.paint("line", "indexed") if found["indexed"] else style.paint("warning", "not indexed")
    print(f"{clean(options.file)}: {verdict}")
    rest = {key: value for key, value in found.items() if key not in ("indexed", "path")}
    print(report.describe(rest, style), end="")
    return YES if found["indexed"] else NO


def doctor(_options: Options, style: Style) -> int:
    """`searchd doctor`"""
    from daemon.doctor import examine

    checks = [asdict(check) for check in examine()]
    width = max(len(check["name"]) for check in checks)
    for check in checks:
        mark = style.paint("line", "ok  ") if check["ok"] else style.paint("error", "FAIL")
        print(f"{mark}  {check['name']:<{width}}  {clean(check['detail'])}")
    return YES if all(check["ok"] for check in checks) else NO


def fsck(_options: Options, style: Style) -> int:
    """`searchd fsck`: through the daemon if it runs, since it has the index open."""
    if client.running_pid():
        problems = list(client.ask("fsck", timeout=None)["problems"])
    else:
        problems = _fsck_here()
    for problem in problems:
        print(style.paint("error", clean(str(problem))))
    print(
        "no problem found" if not problems else f"{len(problems)} problems; `searchd rebuild ROOT` mends them"
    )
    return NO if problems else YES


def log(options: Options, _style: Style) -> int:
    """`searchd log`"""
    path = paths.log_path()
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        raise UsageError(f"there is no log yet at {path}; `searchd start` starts the daemon") from None
    for line in lines[-options.lines :] if options.lines > 0 else []:
        print(clean(line))
    return YES


def config(options: Options, style: Style) -> int:
    """`searchd config`: as TOML, so that it can be copied into a settings file."""
    root = None if options.root is None else _directory(options.root)
    found = settings.load(root, _flags(options.set))
    group = ""
    for key, value, origin in found.items():
        if key.split(".")[0] != group:
            group = key.split(".")[0]
            print(f"[{group}]")
        shown = json.dumps(value, ensure_ascii=False)
        line = f"{key.split('.')[1]} = {clean(shown)}"
        print(line + (style.paint("faint", f"  # {clean(origin)}") if options.show_origin else ""))
    return YES


def _flags(pairs: list[str]) -> dict[str, str]:
    """Read `--set KEY=VALUE`. Raises UsageError."""
    flags = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE, for example watch.debounce_ms=80, not {pair!r}")
        flags[key] = value
    return flags


def _directory(path: str) -> str:
    absolute = _absolute(path)
    if not os.path.isdir(absolute):  # noqa: PTH112
        raise UsageError(f"{path} is not a directory")
    return absolute


def _absolute(path: str) -> str:
    """Links are left as they are: the daemon decides, and `why` is asked about the link itself."""
    return os.path.abspath(path)  # noqa: PTH100


def _fsck_here() -> list[str]:
    """Check the index of a daemon that does not run."""
    from indexer.store.format import FORMAT_VERSION

    store = paths.store_dir(FORMAT_VERSION)
    if not store.exists():
        raise UsageError(f"there is no index yet at {store}")
    from indexer.store.check import fsck as check_store

    return [str(problem) for problem in check_store(store)]


def _print_root(found: dict[str, Any], done: str) -> None:
    counts = [f"{found[name]:,} {name}" for name in ("files", "chunks", "symbols") if name in found]
    print(f"{clean(str(found.get('path', '')))}: {done}" + (f" ({', '.join(counts)})" if counts else ""))


if __name__ == "__main__":
    sys.exit(main())
