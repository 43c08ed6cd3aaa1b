"""What tests write: small files in several languages, odd ones, ignore files."""

from __future__ import annotations

from pathlib import Path, PurePath

from hypothesis import strategies as st

WORDS = ["alpha", "beta", "gamma", "Alpha", "alphaBeta", "delta_1"]
PIECES = {
    ".py": [
        "def {0}({1}):\n    return {1}\n",
        "class {0}:\n    def {1}(self):\n        return {0}\n",
        "# {0} {1}\n",
        "{0}({1})\n",
    ],
    ".c": ["int {0}(int {1})\n{{\n\treturn {1};\n}}\n", "/* {0} {1} */\n"],
    ".js": ["function {0}({1}) {{\n  return {1}();\n}}\n", "// größe {0} {1}\n"],
    ".rs": ["fn {0}() {{\n    {1}();\n}}\n", "// {0}\n\n"],
    ".go": ["func {0}() {{\n\t{1}()\n}}\n", "// {0} {1}\n"],
    ".txt": ["{0} {1}\n", "größe {0}\r\n", "\n"],
}
ODD = [
    b"",
    b"alpha",
    b"\n\n",
    b"alpha\0beta\n",
    "\ufeffalpha größe beta\n".encode("utf-16-le"),
    "alpha größe beta\n".encode("latin-1"),
    b"alpha " * 1000,
    b"alpha\rbeta\r\ngamma",
]
DIRECTORIES = ["", "src/", "src/deep/", "lib/", "mit leer/"]
PATTERNS = [
    "*.txt",
    "*.py",
    "src/",
    "deep/",
    "/a.py",
    "a.*",
    "!*.txt",
    "!a.py",
    "src/deep",
    "/lib/",
    "!/lib/",
    "# alpha",
]

words = st.sampled_from(WORDS)
directories = st.sampled_from(DIRECTORIES)
names = st.sampled_from([f"{stem}{suffix}" for stem in ("a", "b", "größe") for suffix in PIECES])
places = st.builds("".join, st.tuples(directories, names))


def text_for(path: str, size: int) -> st.SearchStrategy[str]:
    """Whole definitions, calls and comments in the language of the name."""
    pieces = st.sampled_from(PIECES[PurePath(path).suffix])
    return st.lists(st.builds(str.format, pieces, words, words), max_size=size).map("".join)


def made(directory: Path) -> bool:
    """Make a directory; no where a file stands."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    return True
