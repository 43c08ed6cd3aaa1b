"""csearch and ripgrep beside us: the text that the index holds, as files for them, and how they are asked.

What they search is a mirror: hard links to exactly the files that the index holds. So that all search the
same text, and they nothing less than we do,

- a file that is not UTF-8 is in the mirror as UTF-8, which is what the index holds of it;
- names that cindex passes over (.x, #x, ~x, x~) are changed;
- a file that cindex leaves out as a whole (more than 20,000 different trigrams, or a line of more than 2,000
  bytes) is in the mirror in parts that end at line ends. What is left, the long lines alone, csearch does
  not know by design: those are `beyond`.

csearch loses lines of some patterns of many characters ([^\\x00-\\x7F]{4} on Linux 6.1: 3 of 24,575, which
ripgrep finds); such a pattern ends a run with a difference, so text_queries.txt has none.
ripgrep reads \\w, \\d, \\s and \\b as Unicode; the patterns it gets say the ASCII sets that RE2 and Go mean.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Stopwatch, link_or_copy
from indexer.encoding import decode

PROGRAMS = {"csearch": ("codesearch", ("csearch", "cindex")), "rg": ("ripgrep", ("rg",))}  # Debian's package
PART_BYTES = 16_000  # fewer than the 20,000 different trigrams above which cindex leaves a file out
LONG_LINE_BYTES = 2_000  # cindex leaves out a file with a longer line

Line = tuple[str, int]  # path, number of the line


def require(peers: Iterable[str]) -> None:
    """Raise SystemExit with what to install if a peer is not here."""
    for peer in peers:
        if peer not in PROGRAMS:
            raise SystemExit(f"no peer {peer!r}; there are {', '.join(PROGRAMS)}")
        package, programs = PROGRAMS[peer]
        for name in programs:
            if shutil.which(name) is None:
                raise SystemExit(
                    f"{name} is not installed: `apt-get install {package}`, or leave {peer} out of --peers"
                )


class Mirror:
    """The indexed text as files for the peers: hard links where the file is the text, else the text.

    places        file in the mirror -> its path in the corpus, and the lines of that before its first
    beyond        lines that csearch cannot know
    source_bytes  of the corpus' files
    """

    def __init__(self, at: Path, corpus: Path, files: Sequence[str]) -> None:
        """Make it anew."""
        if at.exists():
            shutil.rmtree(at)
        self.at = at
        self.places: dict[str, tuple[str, int]] = {}
        self.beyond: set[Line] = set()
        self.source_bytes = self.transcoded = self.parts = 0
        for path in files:
            name = mirror_name(path)
            assert name not in self.places, (name, path)
            self.places[name] = (path, 0)
            raw = (corpus / path).read_bytes()
            decoded = decode(raw)
            assert decoded is not None, path
            (at / name).parent.mkdir(parents=True, exist_ok=True)
            if decoded[0] == raw:
                link_or_copy(corpus / path, at / name)
            else:
                (at / name).write_bytes(decoded[0])
                self.transcoded += 1
            self.source_bytes += len(raw)

    def split(self, name: str) -> None:
        """Put parts of whole lines in the place of a file; lines that are too long are alone."""
        path, _ = self.places.pop(name)
        lines = re.findall(rb"[^\n]*\n|[^\n]+", (self.at / name).read_bytes())
        (self.at / name).unlink()
        start = 0
        while start < len(lines):
            end, size = start + 1, len(lines[start])
            while end < len(lines) and max(size, len(lines[end])) <= LONG_LINE_BYTES < PART_BYTES - size:
                size += len(lines[end])
                end += 1
            part = f"{name}+{start}"
            assert part not in self.places
            (self.at / part).write_bytes(b"".join(lines[start:end]))
            self.places[part] = (path, start)
            self.parts += 1
            start = end

    def lines(self, output: bytes) -> list[Line]:
        """Return path and line of what a peer printed as PATH:LINE:TEXT.

        Where a pattern matches the empty text, csearch also prints a line behind the last one, without a line
        end, so that the next output follows at once. There is no such line in the file.
        """
        prefix = os.fsencode(self.at) + b"/"
        found: list[Line] = []
        for printed in output.split(b"\n")[:-1]:
            while True:
                name, number, text = printed.split(b":", 2)
                if not text.startswith(prefix):
                    break
                printed = text
            path, before = self.places[os.fsdecode(name.removeprefix(prefix))]
            found.append((path, before + int(number)))
        return found


def mirror_name(path: str) -> str:
    """Return a name that cindex does not pass over, and without the colon that ends it in outputs."""
    parts = []
    for part in path.split("/"):
        shown = part.replace(":", "+")
        shown = "+" + shown if shown[0] in ".#~" else shown
        parts.append(shown + "+" if shown[-1] == "~" else shown)
    return "/".join(parts)


def index_with_cindex(mirror: Mirror, index: Path) -> dict[str, Any]:
    """Index the mirror for csearch; returns time and size of the index it then searches."""
    os.environ["CSEARCHINDEX"] = str(index)
    command = ["cindex", "-reset", str(mirror.at)]
    seconds = run(command)[0] / 1000
    if missing := unknown_to_csearch(mirror):
        for name in missing:
            mirror.split(name)
        seconds = run(command)[0] / 1000
        for name in unknown_to_csearch(mirror):
            path, before = mirror.places[name]
            content = (mirror.at / name).read_bytes()
            assert content.count(b"\n", 0, -1) == 0, f"cindex leaves out {name} for an unknown reason"
            mirror.beyond.add((path, before + 1))
    return {
        "seconds": round(seconds, 2),
        "index_bytes": index.stat().st_size,
        "share_of_source": round(index.stat().st_size / mirror.source_bytes, 4),
        "files_in_parts": len(missing),
        "lines_left_out": len(mirror.beyond),
        "files_as_utf8": mirror.transcoded,
    }


def unknown_to_csearch(mirror: Mirror) -> list[str]:
    """Return the files with text that csearch never finds anything in."""
    prefix = f"{mirror.at}/"
    listed = os.fsdecode(run(["csearch", "-l", "^"])[1]).splitlines()
    known = {name.removeprefix(prefix) for name in listed}
    return [name for name in mirror.places if name not in known and (mirror.at / name).stat().st_size]


def peer_command(peer: str, pattern: str, at: Path) -> list[str]:
    """Return the command that prints every matching line of the mirror with path and number."""
    if peer == "csearch":
        return ["csearch", "-n", "--", pattern]
    shown = ["--line-number", "--with-filename", "--no-heading", "--color", "never"]
    return ["rg", "--no-config", "--no-ignore", "--hidden", *shown, "-e", for_ripgrep(pattern), str(at)]


def run(command: list[str]) -> tuple[float, bytes]:
    """Return milliseconds from start to exit, and the output; 0 and 1 (nothing found) are good ends."""
    with tempfile.TemporaryFile() as errors:
        watch = Stopwatch()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
            assert process.stdout is not None
            output = process.stdout.read()
            status = process.wait()
        taken = watch.ms
        errors.seek(0)
        said = errors.read(2000).decode("utf-8", "replace")
    if status not in (0, 1) or (said and command[0] != "cindex"):
        raise SystemExit(f"{' '.join(command)} ended with {status}: {said}")
    return taken, output


_SETS = {"w": "0-9A-Za-z_", "d": "0-9", "s": r"\t\n\x0c\r\x20"}


def for_ripgrep(pattern: str) -> str:
    """Return the pattern with RE2's meaning: ASCII sets and edges, and no escapes that ripgrep refuses."""
    out: list[str] = []
    inside = False
    for token in re.findall(r"\\.|\[:\^?\w+:\]|\[\^?\]?|.", pattern, re.DOTALL):
        name = token[1:]
        if token[0] == "\\" and name.lower() in _SETS:
            chars = _SETS[name.lower()]
            out.append(chars if inside and name.islower() else f"[{'' if name.islower() else '^'}{chars}]")
        elif token in (r"\b", r"\B"):
            out.append(f"(?-u:{token})")
        elif token[0] == "\\" and not name.isalnum() and name not in r"\.+*?()|[]{}^$#&-~":
            out.append(name)
        elif token[0] == "[" and not token.startswith("[:"):
            out.append("\\" + token if inside else token.replace("]", r"\]"))
            inside = True
        else:
            inside = inside and token != "]"
            out.append(token)
    return "".join(out)
