"""Every match of a pattern, line by line: equal to ripgrep's and to a loop over the lines, also after edits.

The tree has what files have: DOS and missing line ends, empty lines and files, UTF-8 with and without a byte
order mark, UTF-16, Latin-1, long lines, one content under two paths, names in several scripts. What the index
skips (NUL bytes, too long a line) nobody is asked about: the files compared are those that the empty query
lists, and the test says which of them must be there.

Two twins. The scan takes each file's text, cuts it at "\\n" and asks RE2 about one line after the other: it
knows nothing of trigrams, stretches and segments. ripgrep reads the files by itself with another matcher.

Where the two languages differ, ripgrep gets the form that says what RE2 means, so a pattern here is a pair:

    RE2             ripgrep              because ripgrep's is Unicode
    \\w \\d \\s        the ASCII set        (\\s: RE2's has no vertical tab)
    \\W \\D \\S        its complement       (?-u:\\W) would match half a character
    \\b              (?-u:\\b)
    \\B              (?-u:\\B)            only beside an ASCII letter: else both match inside of a character

`.`, classes, \\pL and folding by (?i) are the same in both (the Kelvin sign is a k, the long s an s). Latin-1
is ripgrep's `-E latin1`, which is windows-1252: a file with bytes 80 to 9F has other characters there, so
only the scan knows it. And ripgrep passes over an empty match at the end of a file without a last line end
(`$` finds the line "x\\n", but not "x"), which for us ends a line like any other; so they are left out.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import re2

from config import paths
from config.errors import QuerySyntaxError, UsageError
from daemon import wire
from tests.end_to_end.home import PATIENCE_S, Home, grow, save, write

MakeRoot = Callable[[Mapping[str, str | bytes]], Path]
Match = tuple[str, int, int, int]  # path, line, column of the first byte, column behind the last

HAS_RIPGREP = shutil.which("rg") is not None
needs_ripgrep = pytest.mark.skipif(not HAS_RIPGREP, reason="ripgrep is not installed (Debian: ripgrep)")
LATIN_1 = ("odd/latin1.c", "odd/latin1.txt")
ONLY_SCANNED = ("odd/c1.txt",)
GENERATED = 1_000
GENERATED_AFTER_EDITS = 60
SEED = 6_1
PROCESSES = 4  # of ripgrep at a time

# ---- the tree ---------------------------------------------------------------------------------------

WORDS = [
    "alpha",
    "beta",
    "gamma",
    "delta_1",
    "alphaBeta",
    "ALPHA",
    "größe",
    "naïve",
    "Straße",
    "σίγμα",
    "kelvin",
    "KELVIN",
    "x",
    "xx",
    "42",
    "0x1f",
]
UNICODE = (
    "größe naïve café\n"
    "GRÖSSE STRASSE Straße STRAẞE\n"
    "σίγμας ΣΊΓΜΑ\n"
    "10 \u212a is kelvin, \u017f is long s\n"
    "漢字 かな 😀 e\u0301\n"
    "\u00a0nbsp\u2028separator\u0085next line\n"
    "tab\there\x0bvertical\x0cfeed\n"
)
C = """#include <stdio.h>

/* alpha: the first letter */
static int alpha(int x, const char *name)
{
\tif (x == 42 || !name)
\t\treturn -1;
\tprintf("%s: %d\\n", name, x);\x20\x20
\treturn alphaBeta(x + 1)[0]->next;
}
"""


def tree() -> dict[str, str | bytes]:
    """Files by path: odd ones by hand, and small ones of a few words in many combinations."""
    chosen = random.Random(SEED)
    files: dict[str, str | bytes] = {
        "a.c": C,
        "a/b.c": C,  # the same content once more
        "a-b.c": C.replace("alpha", "gamma"),
        "B.c": C.upper(),
        "crlf.c": C.replace("\n", "\r\n"),
        "mixed ends.txt": "alpha\r\nbeta\ngamma\r\n\r\n\ndelta_1\r",
        "no end.txt": "alpha\nbeta x",
        "one.txt": "x",
        "empty.txt": "",
        "empty.c": "",
        "newline.txt": "\n",
        "newlines.txt": "\n\n\nalpha\n\n",
        "unicode.txt": UNICODE,
        "größe/naïve café.txt": UNICODE * 2,
        ".hidden": "alpha in a dot file\n",
        "odd/mark.txt": b"\xef\xbb\xbf" + UNICODE.encode(),
        "odd/utf16le.txt": b"\xff\xfe" + UNICODE.encode("utf-16-le"),
        "odd/utf16be.c": b"\xfe\xff" + C.replace("\n", "\r\n").encode("utf-16-be"),
        "odd/latin1.txt": "größe naïve café\nalpha x\xa0y ÄÖÜ\n".encode("latin-1"),
        "odd/latin1.c": (C + "// größe").encode("latin-1"),
        "odd/c1.txt": b"alpha \x85 \x93quoted\x94 caf\xe9\n\x80x\n",
        "odd/nul.txt": b"alpha\nbeta\0gamma\n",
        "odd/long.txt": b"alpha\n" + b"alpha beta " * 9_091 + b"\nomega\n",  # 100 kB in one line
        "odd/quite long.txt": b"alpha\n" + b"x gamma42 " * 490 + b"\nomega",
    }
    for number in range(60):
        lines = [
            chosen.choice(["", " ", "\t", "  "])
            + chosen.choice([" ", "", ", ", "_", "->"]).join(chosen.choices(WORDS, k=chosen.randrange(5)))
            for _ in range(chosen.randrange(1, 16))
        ]
        text = "\n".join(lines) + chosen.choice(["\n", "\n", ""])
        files[f"src/{chosen.choice('abc')}/{number:02}.{chosen.choice(['c', 'py', 'txt'])}"] = text
    return files


@pytest.fixture(scope="module")
def root(home: Home) -> Iterator[Path]:
    """The tree, indexed."""
    made = grow(home.at / "grep", tree())
    home.add(made)
    yield made
    home.ask("remove", path=str(made))


def indexed(home: Home, root: Path) -> list[str]:
    """The paths that the index has, as the empty query lists them."""
    return sorted(home.found("", root), key=os.fsencode)


# ---- asking -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a `grep` sent: the entries of all its notifications, and the final result."""

    files: list[dict[str, Any]]
    result: dict[str, Any]

    def matches(self) -> list[Match]:
        """The matches in the order in which they came."""
        found: list[Match] = []
        for file in self.files:
            counts = file.get("counts", [1] * len(file["lines"]))
            assert len(counts) == len(file["lines"]), file
            numbers = [line for line, n in zip(file["lines"], counts, strict=True) for _ in range(n)]
            spans = zip(numbers, file["columns"], file["ends"], strict=True)
            found += [(file["path"], *span) for span in spans]
        return found

    def texts(self) -> dict[tuple[str, int], str]:
        """The line of each path and number."""
        return {
            (file["path"], number): text
            for file in self.files
            for number, text in zip(file["lines"], file["text"].split("\n"), strict=True)
        }


def grep(home: Home, path: Path, pattern: str, **params: Any) -> Answer:
    """Ask on a connection of its own and check what holds of every answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(paths.query_socket(home.env))
        sock.sendall(wire.request(7, "grep", {"pattern": pattern, "path": str(path), **params}))
        files: list[dict[str, Any]] = []
        for frame in sock.makefile("rb"):
            message = json.loads(frame)
            if "error" in message:
                raise wire.read_error(message["error"])
            if "result" in message:
                assert message["id"] == 7
                break
            assert message["method"] == "matches" and message["params"]["id"] == 7
            files += message["params"]["files"]
    answer = Answer(files, message["result"])
    names = [os.fsencode(file["path"]) for file in files]
    assert names == sorted(names), "not in the order of paths"
    if params.get("what", "lines") == "lines":
        places = [(os.fsencode(file["path"]), line) for file in files for line in file["lines"]]
        assert all(a < b for a, b in pairwise(places)), "not in the order of lines, or twice the same"
        assert answer.result["lines"] == len(places)
    assert answer.result["files"] == len(set(names))
    assert answer.result["incomplete"] == "" or "limit" in params
    assert answer.result["fresh"] is True
    return answer


# ---- the twins --------------------------------------------------------------------------------------


def lines_of(raw: bytes) -> list[bytes]:
    """The lines of a file as UTF-8, without their "\\n"; none after the last line end."""
    lines = _text_of(raw).encode().split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _text_of(raw: bytes) -> str:
    if raw.startswith(b"\xff\xfe"):
        return raw[2:].decode("utf-16-le")
    if raw.startswith(b"\xfe\xff"):
        return raw[2:].decode("utf-16-be")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


Lines = list[tuple[str, int, bytes]]  # path, number, line


def all_lines(root: Path, files: Sequence[str]) -> Lines:
    """Every line of every file, in order."""
    return [
        (path, number, line)
        for path in files
        for number, line in enumerate(lines_of((root / path).read_bytes()), 1)
    ]


def compiled_by_re2(pattern: str, fold: bool = False) -> Any:
    """The pattern for one line without its end, so ^ and $ are the ends of what it is asked about."""
    options = re2.Options()
    options.case_sensitive = not fold
    return re2.compile(pattern.encode(), options)


def scan(lines: Lines, pattern: str, *, fold: bool = False, every: bool = False) -> list[Match]:
    """The first match of each line, or all of them, found by asking about one line after the other."""
    compiled = compiled_by_re2(pattern, fold)
    found: list[Match] = []
    for path, number, line in lines:
        matches = compiled.finditer(line) if every else filter(None, [compiled.search(line)])
        found += [(path, number, match.start() + 1, match.end() + 1) for match in matches]
    return found


class Ripgrep:
    """ripgrep on the same files, or on those that one process can read."""

    def __init__(self, root: Path, files: Sequence[str], latin_1: bool = True) -> None:
        """Sort the files by how they must be read."""
        self._root = root
        self._calls: list[tuple[list[str], list[str]]] = [
            ([path for path in files if path not in (*LATIN_1, *ONLY_SCANNED)], [])
        ]
        if latin_1:
            self._calls.append(([path for path in files if path in LATIN_1], ["-E", "latin1"]))
        self._files = {path for some, _ in self._calls for path in some}
        self._open_ends: set[Match] = set()  # places behind last lines that no line end follows
        for path in files:
            if lines := lines_of((root / path).read_bytes()):
                end = len(lines[-1]) + 1
                if not _text_of((root / path).read_bytes()).endswith("\n"):
                    self._open_ends.add((path, len(lines), end, end))

    def knows(self, matches: Sequence[Match]) -> list[Match]:
        """The matches without those that ripgrep does not see."""
        return [m for m in matches if m[0] in self._files and m not in self._open_ends]

    def matches(self, pattern: str, *flags: str, every: bool = False) -> list[Match]:
        """The first match of each line, or all of them."""
        found: list[Match] = []
        for files, encoding in self._calls:
            if files:
                found += self._run(files, pattern, [*encoding, *flags], every)
        return sorted(found, key=lambda match: (os.fsencode(match[0]), match[1:]))

    def _run(self, files: Sequence[str], pattern: str, flags: list[str], every: bool) -> list[Match]:
        command = ["rg", "--json", "--no-config", "--no-ignore", "--threads=1", *flags, "-e", pattern, "--"]
        done = subprocess.run([*command, *files], cwd=self._root, capture_output=True, check=False)
        assert done.returncode in (0, 1) and not done.stderr, (pattern, done.stderr)
        found: list[Match] = []
        for message in map(json.loads, done.stdout.splitlines()):
            if message["type"] == "match":
                data = message["data"]
                spans = data["submatches"] if every else data["submatches"][:1]
                path, number = data["path"]["text"], data["line_number"]
                found += [(path, number, span["start"] + 1, span["end"] + 1) for span in spans]
        return found


# ---- patterns ---------------------------------------------------------------------------------------

Pair = tuple[str, str]  # for RE2, for ripgrep

SETS: dict[str, str] = {
    r"\w": "[0-9A-Za-z_]",
    r"\W": "[^0-9A-Za-z_]",
    r"\d": "[0-9]",
    r"\D": "[^0-9]",
    r"\s": r"[\t\n\x0c\r ]",
    r"\S": r"[^\t\n\x0c\r ]",
    r"\b": r"(?-u:\b)",
    r"\B": r"(?-u:\B)",
}


def for_ripgrep(pattern: str) -> str:
    """The pattern as ripgrep must be told; SETS stand outside of brackets."""
    return re.sub(r"\\.", lambda escape: SETS.get(escape[0], escape[0]), pattern)


TABLE = [
    "alpha",
    "alphaBeta",
    "omega",
    "x",
    "xx",
    "42",
    "->",
    r"\(",
    "größe",
    "naïve café",
    "漢字",
    "😀",
    "\u2028",
    "\u0085",
    "nowhere to be found",
    "nowhere|alpha",
    "alpha|beta|gamma",
    "alpha, ?beta",
    "gr(ö|oe)(ß|ss)e",
    "[ab]l?pha",
    "[^a-z]+",
    "[^a-z ]{3}",
    "[äöü]",
    "[[:upper:]]{4,}",
    r"\pL+",
    r"\p{Greek}{2}",
    r"\p{Lu}\p{Ll}",
    r"\w+",
    r"\w+_\d",
    r"\W+",
    r"\s",
    r"\s+$",
    r"^\s*$",
    r"\S+\s\S+",
    r"\d\D\d?",
    r"\balpha\b",
    r"\bx\b",
    r"\b42",
    r"\Blpha",
    r"alpha\B",
    r"gr\b",
    "^alpha",
    "^x",
    "beta$",
    r"\r$",
    r"x\r?$",
    ";$",
    "^$",
    "^",
    "$",
    "",
    ".",
    "^.$",
    "^..$",
    "^.{5}$",
    ".*",
    "x*",
    "(alpha)?",
    "alpha.*beta",
    "alpha.*?a",
    "(alpha|beta) x*",
    "return.*;",
    r"static\s+int",
    r'#include\s*[<"]',
    "(?i)alpha",
    "(?i)ALPHABETA",
    "(?i)kelvin",
    "(?i)k",
    "(?i)s",
    "(?i)GRÖSSE",
    "(?i)straße",
    "(?i)σίγμα",
    "(?i)[^a-z]",
    "(?i)[k-s]{2}",
    r"(?i)\bbeta\b",
    r"(?i)\w+",
    "(?i:A)lpha",
    "(?s)alpha.beta",
    r"alpha\nbeta",
    r"alpha[\n ]beta",
    "a{2,3}|x{2}",
    "(a|al|alp)(pha|ha)?",
    r"\x{df}",
    r"[^\x00-\x7f]",
    r"\t\t",
    r"\x0b|\x0c",
]


def generate(lines: Lines, count: int, seed: int) -> list[Pair]:
    """Patterns of literals from the lines, classes, alternations, options, repetitions, anchors and edges."""
    chosen = random.Random(seed)
    texts = sorted({line.decode() for _, _, line in lines if line})
    return [_pattern(chosen, texts) for _ in range(count)]


CLASSES = [
    "[a-z]",
    "[A-Z]",
    "[0-9]",
    "[0-9a-fx]",
    "[a-zß-ü]",
    "[α-ω]",
    "[^a-z]",
    "[^ ]",
    "[^x_]",
    "[^ä-ü]",
    "[aeiou]",
    "[A-Za-z_]",
    "[->(]",
    "[[:alpha:]]",
    "[[:upper:]]",
    "[[:digit:]]",
    "[[:space:]]",
    "[[:punct:]]",
    "[^[:alnum:]]",
    "[[:alpha:]_]",
]
PROPERTIES = [r"\pL", r"\p{Lu}", r"\p{Ll}", r"\pN", r"\PL", r"\p{Greek}"]
REPEATS = ["?", "*", "+", "??", "*?", "+?", "{2}", "{1,3}", "{2,}", "{0,2}"]


def _pattern(chosen: random.Random, texts: list[str]) -> Pair:
    pattern = "".join(_piece(chosen, texts, 2) for _ in range(chosen.choice([1, 1, 2, 2, 3, 4])))
    if chosen.random() < 0.1:
        pattern = rf"\b{pattern}"
    if chosen.random() < 0.1:
        pattern = rf"{pattern}\b"
    if chosen.random() < 0.12:  # outside of the edges: ripgrep 13 finds nothing for "\b^(?:x|.*?e)"
        pattern = "^" + chosen.choice(["", r"\s*"]) + pattern
    if chosen.random() < 0.12:
        pattern += "$"
    if chosen.random() < 0.1:
        pattern = f"{pattern}|{_piece(chosen, texts, 1)}"
    if chosen.random() < 0.2:
        pattern = "(?i)" + pattern
    return pattern, for_ripgrep(pattern)


def _piece(chosen: random.Random, texts: list[str], depth: int) -> str:
    kind = chosen.random()
    if kind < 0.45 or (kind > 0.75 and not depth):
        return _literal(chosen, texts)
    if kind < 0.75:
        atom = chosen.choice([chosen.choice(CLASSES), chosen.choice(list(SETS)[:6]), ".", "."])
        if chosen.random() < 0.1:
            atom = chosen.choice(PROPERTIES)
        return atom + (chosen.choice(REPEATS) if chosen.random() < 0.5 else "")
    parts = [
        "".join(_piece(chosen, texts, depth - 1) for _ in range(chosen.choice([1, 1, 2])))
        for _ in range(chosen.choice([1, 2, 2, 3]))
    ]
    if chosen.random() < 0.1:
        parts.append("")
    group = f"{chosen.choice(['(?:', '(', '(?i:'])}{'|'.join(parts)})"
    if chosen.random() < 0.6 or compiled_by_re2(group).search(b""):
        return group  # a repeated option of nothing ends the loop of one, but not of the other
    return group + chosen.choice(REPEATS)


def _literal(chosen: random.Random, texts: list[str]) -> str:
    """A piece of a line, sometimes with other letters in it."""
    text = chosen.choice(texts)
    start = chosen.randrange(len(text))
    piece = text[start : start + chosen.choice([1, 2, 3, 3, 4, 5, 8])]
    if chosen.random() < 0.1:
        piece = piece.swapcase()
    if chosen.random() < 0.1:
        piece += chosen.choice("qzxa_1")
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", piece)


# ---- tests ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(home: Home, root: Path) -> list[str]:
    """What is compared: all of the tree that the index has."""
    return indexed(home, root)


@pytest.fixture(scope="module")
def rg(root: Path, files: list[str]) -> Ripgrep:
    return Ripgrep(root, files)


@pytest.fixture(scope="module")
def lines(root: Path, files: list[str]) -> Lines:
    return all_lines(root, files)


def test_only_what_is_no_text_or_has_long_lines_is_not_compared(
    home: Home, root: Path, files: list[str]
) -> None:
    skipped = set(tree()) - set(files)
    assert "odd/nul.txt" in skipped and skipped <= {"odd/nul.txt", "odd/long.txt"}
    assert all(not home.why(root / path)["indexed"] for path in skipped)


@pytest.mark.parametrize("pattern", TABLE)
def test_a_pattern_finds_what_a_scan_finds(home: Home, root: Path, lines: Lines, pattern: str) -> None:
    answer = grep(home, root, pattern)
    found = answer.matches()
    assert found == scan(lines, pattern)
    line_of = {(path, number): line.decode() for path, number, line in lines}
    assert answer.texts() == {match[:2]: line_of[match[:2]] for match in found}


@needs_ripgrep
@pytest.mark.parametrize("pattern", [p for p in TABLE if r"\n" not in p])  # which ripgrep refuses
def test_a_pattern_finds_what_ripgrep_finds(home: Home, root: Path, rg: Ripgrep, pattern: str) -> None:
    assert rg.knows(grep(home, root, pattern).matches()) == rg.matches(for_ripgrep(pattern))


@dataclass(frozen=True)
class Asked:
    """A pattern, what ripgrep is told for it, and what `grep` found."""

    pattern: str
    for_ripgrep: str
    found: list[Match]


@pytest.fixture(scope="module")
def generated(home: Home, root: Path, lines: Lines) -> list[Asked]:
    return ask_generated(home, root, lines, GENERATED)


def ask_generated(home: Home, root: Path, lines: Lines, count: int) -> list[Asked]:
    """Ask generated patterns; some find nothing, but most do, else little would be compared."""
    pairs = generate(lines, count, SEED)
    asked = [Asked(*pair, grep(home, root, pair[0]).matches()) for pair in pairs]
    assert 0.4 * count < sum(bool(each.found) for each in asked) < count
    return asked


def test_generated_patterns_find_what_a_scan_finds(generated: list[Asked], lines: Lines) -> None:
    compare_with_scan(generated, lines)


@needs_ripgrep
def test_generated_patterns_find_what_ripgrep_finds(
    generated: list[Asked], root: Path, files: list[str]
) -> None:
    compare_with_ripgrep(generated, root, files)


def compare_with_scan(asked: Sequence[Asked], lines: Lines) -> None:
    for each in asked:
        assert each.found == scan(lines, each.pattern), each.pattern


def compare_with_ripgrep(asked: Sequence[Asked], root: Path, files: Sequence[str]) -> None:
    rg = Ripgrep(root, files, latin_1=False)  # which the table is for: half as many processes
    with ThreadPoolExecutor(PROCESSES) as pool:
        theirs = pool.map(lambda each: rg.matches(each.for_ripgrep), asked)
        for each, expected in zip(asked, theirs, strict=True):
            assert rg.knows(each.found) == expected, (each.pattern, each.for_ripgrep)


def test_answers_stay_right_after_edits(home: Home, make_root: MakeRoot) -> None:
    root = make_root(tree())
    check_after_edit(home, root, "as made")
    write(root / "a.c", C.replace("alpha", "omega"))  # one of two paths with this content
    (root / "one.txt").unlink()
    write(root / "src/new/file.c", "alpha beta new\r\nx")
    check_after_edit(home, root, "changed, removed, made")
    save(root / "crlf.c", C)  # the line ends
    save(root / "unicode.txt", b"\xff\xfe" + UNICODE.encode("utf-16-le"))  # the encoding
    (root / "a/b.c").rename(root / "größe/b.c")
    write(root / "newline.txt", "")
    write(root / "empty.txt", "\nalpha")
    with (root / "no end.txt").open("ab") as stream:
        stream.write(b"tail alpha\nand x")
    check_after_edit(home, root, "another encoding, moved, emptied, filled, longer")
    write(root / "odd/nul.txt", "alpha without\n")
    write(root / "odd/mark.txt", b"alpha\0")
    shutil.rmtree(root / "src/a")
    check_after_edit(home, root, "text and no text, a directory less")


def check_after_edit(home: Home, root: Path, edit: str) -> None:
    """Compare the table and some generated patterns, with everything indexed that was saved."""
    home.sync(root)
    files = indexed(home, root)
    on_disk = {str(f.relative_to(root)) for f in root.rglob("*") if f.is_file()}
    assert set(files) <= on_disk and len(on_disk) - len(files) <= 2, edit
    lines = all_lines(root, files)
    for pattern in TABLE:
        assert grep(home, root, pattern).matches() == scan(lines, pattern), (edit, pattern)
    asked = ask_generated(home, root, lines, GENERATED_AFTER_EDITS)
    compare_with_scan(asked, lines)
    if HAS_RIPGREP:
        compare_with_ripgrep(asked, root, files)


def test_to_wait_is_to_see_what_was_just_saved(home: Home, make_root: MakeRoot) -> None:
    root = make_root({"a.txt": "alpha\n"})
    for number in range(3):
        write(root / "a.txt", f"alpha\nomega{number}\n")
        assert grep(home, root, "omega.", wait=True).matches() == [("a.txt", 2, 1, 7)]
        assert grep(home, root, f"omega{number}").texts() == {("a.txt", 2): f"omega{number}"}


EVERY = [
    "alpha",
    "x",
    "a",
    r"\b\w",
    r"\w+",
    "[^a-z]",
    "(?i)s+",
    "alpha|beta|,",
    "gr.",
    "äöü|ö",
    r"\s",
    "xx",
    ".",
]


@pytest.mark.parametrize("pattern", EVERY)
def test_every_match_of_a_line_is_told_where_it_is_asked_for(
    home: Home, root: Path, rg: Ripgrep, lines: Lines, pattern: str
) -> None:
    answer = grep(home, root, pattern, all=True)
    found = answer.matches()
    assert found == scan(lines, pattern, every=True)
    assert len(found) > answer.result["lines"] > 0
    if HAS_RIPGREP:
        assert rg.knows(found) == rg.matches(for_ripgrep(pattern), every=True)


@pytest.mark.parametrize("pattern", ["alpha", "x", "^$", r"\w+ \w+", "(?i)kelvin", "nowhere at all"])
def test_counts_and_names_come_without_lines(home: Home, root: Path, lines: Lines, pattern: str) -> None:
    expected: dict[str, int] = {}
    for path, *_ in scan(lines, pattern):
        expected[path] = expected.get(path, 0) + 1
    counts = grep(home, root, pattern, what="count")
    assert counts.files == [{"path": path, "count": count} for path, count in expected.items()]
    assert counts.result["lines"] == sum(expected.values())
    names = grep(home, root, pattern, what="files")
    assert names.files == [{"path": path} for path in expected]


@pytest.mark.parametrize(
    ("pattern", "case", "fold"),
    [
        ("alpha", "yes", False),
        ("alpha", "no", True),
        ("ALPHA", "no", True),
        ("alpha", "smart", True),
        ("Alpha", "smart", False),
        ("alphaBeta", "smart", False),
        (r"\Slph\w", "smart", True),  # an escape is no upper-case letter
        ("größe|kelvin", "no", True),
        ("größe|kelvin", "smart", True),
        ("[a-f]+", "no", True),
    ],
)
def test_case_is_kept_folded_or_judged_by_the_pattern(
    home: Home, root: Path, rg: Ripgrep, lines: Lines, pattern: str, case: str, fold: bool
) -> None:
    found = grep(home, root, pattern, case=case).matches()
    assert found == scan(lines, pattern, fold=fold)
    if HAS_RIPGREP and "\\" not in pattern:  # the ASCII sets have upper-case letters
        flag = {"yes": "--case-sensitive", "no": "--ignore-case", "smart": "--smart-case"}[case]
        assert rg.knows(found) == rg.matches(for_ripgrep(pattern), flag)


@pytest.mark.parametrize("text", ["printf(", "[0]->", "x + 1", ".", "%s: %d\\n", "|", "größe", "a.c", "$"])
def test_literal_text_is_no_pattern(home: Home, root: Path, rg: Ripgrep, lines: Lines, text: str) -> None:
    found = grep(home, root, text, literal=True).matches()
    assert found == scan(lines, re.sub(r"[^\w\s]", r"\\\g<0>", text))
    if HAS_RIPGREP:
        assert rg.knows(found) == rg.matches(text, "--fixed-strings")


@pytest.mark.parametrize("pattern", ["alpha", "x", "alpha|alphaBeta", "x+", r"[a-z]+_\d", "42", "int|return"])
def test_words_have_edges(home: Home, root: Path, lines: Lines, pattern: str) -> None:
    found = grep(home, root, pattern, word=True).matches()
    assert found == scan(lines, rf"\b(?:{pattern})\b")
    assert found != scan(lines, pattern)


def test_a_literal_word_without_case(home: Home, root: Path, lines: Lines) -> None:
    found = grep(home, root, "ALPHA", literal=True, word=True, case="no").matches()
    assert found == scan(lines, r"(?i)\balpha\b") != []


@pytest.mark.parametrize("limit", [1, 2, 7, 50, 100_000])
def test_a_limit_gives_the_first_lines(home: Home, root: Path, lines: Lines, limit: int) -> None:
    expected = scan(lines, "a|x")
    assert grep(home, root, "a|x", limit=limit).matches() == expected[:limit]
    assert len(expected) > 50


def test_the_place_of_the_question_narrows(home: Home, root: Path, lines: Lines) -> None:
    everything = scan(lines, "alpha")
    for place in ("src", "src/b", "odd", "a", "a.c", "größe", "odd/utf16be.c"):
        inside = [m for m in everything if m[0] == place or m[0].startswith(place + "/")]
        assert inside or place in ("größe",)
        assert grep(home, root / place, "alpha").matches() == inside, place


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"types": ["c"]}, r".*\.c"),
        ({"types": ["python"]}, r".*\.py"),
        ({"globs": ["*.txt"]}, r".*\.txt"),
        ({"globs": ["!*.txt"]}, r".*\.(c|py)|\.hidden"),
        ({"globs": ["src/**", "!*.c"]}, r"src/.*\.(py|txt)"),
        ({"query": "path:src/"}, "src/.*"),
        ({"query": "lang:c -path:src/"}, r"(?!src/).*\.c"),
        ({"query": "path:src/", "types": ["c"], "globs": ["!src/a/**"]}, r"src/[^a].*\.c"),
    ],
)
def test_filters_choose_the_files(
    home: Home, root: Path, lines: Lines, params: dict[str, Any], wanted: str
) -> None:
    expected = [match for match in scan(lines, "a|x") if re.fullmatch(wanted, match[0])]
    assert expected
    assert grep(home, root, "a|x", **params).matches() == expected


def test_a_term_of_text_in_the_filter_is_about_the_file(home: Home, root: Path, lines: Lines) -> None:
    having = {path for path, *_ in scan(lines, "gamma")}
    expected = [match for match in scan(lines, "alpha") if match[0] in having]
    assert grep(home, root, "alpha", query='"gamma" case:yes').matches() == expected != []


@pytest.mark.parametrize("pattern", ["a(", "[", "(?=x)", r"\1", "x{2000}", "\\"])
def test_a_bad_pattern_is_refused_and_nothing_is_searched(home: Home, root: Path, pattern: str) -> None:
    with pytest.raises((QuerySyntaxError, UsageError)):
        grep(home, root, pattern)
    assert grep(home, root, "alpha").matches()


@pytest.mark.parametrize("params", [{"case": "maybe"}, {"what": "lies"}, {"limit": -1}, {"deadline_ms": 0}])
def test_a_bad_value_is_refused(home: Home, root: Path, params: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        grep(home, root, "alpha", **params)
