"""Code like a snippet or a place, and near-duplicates in all roots, through the real daemon and command."""

from __future__ import annotations

import ast
import json
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from config.errors import UsageError
from tests.end_to_end.home import REPO, Home, grow, write

MakeRoot = Callable[[Mapping[str, str | bytes]], Path]

LOAD = '''def fetch_with_retries(session, url, attempts=5, base_delay=0.2):
    """Fetch a URL and try again after a growing delay."""
    last_error = None
    for attempt in range(attempts):
        try:
            response = session.get(url, timeout=10)
            response.raise_for_status()
            return response.json()
        except ConnectionError as error:
            last_error = error
            time.sleep(base_delay * 2**attempt)
    raise RuntimeError(f"no answer from {url}") from last_error
'''
HEADER = """def parse_header(line):
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()
"""
C_SUM = """static int sum_of(const int *values, size_t n)
{
	int total = 0;

	for (size_t i = 0; i < n; i++)
		if (values[i] > 0)
			total += values[i] * WEIGHT;
	return total;
}
"""


def renamed(text: str, suffix: str = "x") -> str:
    """Python code with other names for everything that it binds: parameters, variables, the function."""
    tree = ast.parse(text)
    bound = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} - {"self"}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for number, name in enumerate(sorted(bound - set(keyword.kwlist))):
        text = re.sub(rf"\b{name}\b", f"{suffix}{number}", text)
    return text


@pytest.fixture(scope="module")
def source(home: Home) -> Iterator[Path]:
    """Real code: packages of this repository, as a root."""
    root = home.at / "source"
    for package in ("search", "indexer"):
        grow(
            root, {str(path.relative_to(REPO)): path.read_bytes() for path in (REPO / package).rglob("*.py")}
        )
    home.add(root)
    yield root
    home.ask("remove", path=str(root))


def functions(path: Path) -> list[tuple[str, str]]:
    """Name and text of the longer functions of a Python file."""
    text = path.read_text()
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    lines = text.splitlines(keepends=True)
    return [
        (node.name, "".join(lines[node.lineno - 1 : node.end_lineno]))
        for node in found
        if node.col_offset == 0 and node.end_lineno and node.end_lineno - node.lineno >= 7
    ]


def test_a_function_with_other_names_is_found_first(home: Home, source: Path) -> None:
    asked, first = 0, []
    for path in sorted((source / "search").glob("*.py")):
        for name, text in functions(path)[:2]:
            answer = home.search("", source, snippet=renamed(text), limit=3)
            best = answer["hits"][0]
            first.append((best["path"], best["symbol"]) == (f"search/{path.name}", name))
            asked += 1
    assert asked > 40
    assert sum(first) >= 0.97 * asked, f"{sum(first)} of {asked}"


def test_vectors_and_words_both_rank(home: Home, source: Path) -> None:
    name, text = functions(source / "search" / "places.py")[0]
    answer = home.search("", source, snippet=text, limit=5, explain=True)
    assert answer["hits"][0]["symbol"] == name
    signals = answer["hits"][0]["signals"]
    assert signals["semantic"] > 0 and signals["lexical"] > 0
    assert signals["alike"] == 2.0  # a copy
    assert all(1 <= hit["signals"]["alike"] <= 2 for hit in answer["hits"])
    assert answer["explain"]["plan"].startswith("similar('def ")


def test_filters_words_and_kinds_narrow(home: Home, source: Path) -> None:
    text = functions(source / "search" / "places.py")[0][1]

    def read(hit: dict[str, Any]) -> str:
        return (source / hit["path"]).read_text()

    checks: dict[str, Callable[[dict[str, Any]], object]] = {
        "path:indexer/": lambda hit: hit["path"].startswith("indexer/"),
        "file:words.py": lambda hit: hit["path"] == "indexer/words.py",
        "-path:search/ lang:python": lambda hit: hit["path"].startswith("indexer/"),
        "frozenset": lambda hit: "frozenset" in read(hit),
        '"import numpy as np" OR re2': lambda hit: re.search(
            "import numpy|re2", (source / hit["path"]).read_text()
        ),
    }
    for query, holds in checks.items():
        hits = home.search(query, source, snippet=text, limit=20)["hits"]
        assert hits and all(map(holds, hits)), query
    assert home.search("lang:go", source, snippet=text)["hits"] == []
    assert {
        hit["path"] for hit in home.search("", source / "indexer" / "words.py", snippet=text)["hits"]
    } == {"indexer/words.py"}
    methods = home.search("kind:class", source, snippet=text, limit=10)["hits"]
    assert methods and all(hit["symbol"] for hit in methods)


def test_limit_and_context_hold(home: Home, source: Path) -> None:
    text = functions(source / "search" / "places.py")[0][1]
    hits = home.search("", source, snippet=text, limit=4, context=2)["hits"]
    assert len(hits) == 4
    assert all(len(hit["lines"]) >= 3 for hit in hits)
    one = home.search("", source, snippet=text, limit=1)["hits"]
    assert (one[0]["path"], one[0]["line"]) == (hits[0]["path"], hits[0]["line"])


def test_a_long_snippet_is_like_its_parts(home: Home, source: Path) -> None:
    whole = (source / "search" / "places.py").read_text()
    hits = home.search("", source, snippet=whole, limit=10)["hits"]
    assert "search/places.py" in [hit["path"] for hit in hits][:3]


def test_a_place_stands_for_the_definition_around_it_and_is_not_found_itself(
    home: Home, make_root: MakeRoot
) -> None:
    root = make_root({"a.py": f"import time\n\n\n{LOAD}\n\n{HEADER}", "b.py": renamed(LOAD), "c.py": HEADER})
    answer = home.search("", root, snippet_path=str(root / "a.py"), snippet_line=8)
    assert answer["hits"][0]["path"] == "b.py"
    assert not [hit for hit in answer["hits"] if hit["path"] == "a.py" and hit["line"] < 16]
    # The text of an unsaved buffer comes before what the index has: line 8 is another function there.
    unsaved = f"# new\n\n\n\n\n\n{HEADER}\n\n{LOAD}"
    answer = home.search("", root, snippet_path=str(root / "a.py"), snippet_line=8, snippet=unsaved)
    assert answer["hits"][0]["path"] == "c.py"
    # A file of no root is compared by the text that is sent, and only by that.
    outside = write(home.at / "outside" / "x.py", f"x = 1\n\n\n{renamed(LOAD, 'y')}")
    sent = {"snippet_path": str(outside), "snippet_line": 6}
    assert home.search("", root, **sent, snippet=outside.read_text())["hits"][0]["path"] in ("a.py", "b.py")
    with pytest.raises(UsageError, match="is not in the index; send its text"):
        home.search("", root, **sent)


def duplicates(home: Home, **params: Any) -> list[tuple[str, str, int]]:
    return [(hit["root"], hit["path"], hit["line"]) for hit in home.ask("duplicates", **params)["hits"]]


def test_near_duplicates_of_all_roots(home: Home, make_root: MakeRoot) -> None:
    changed = C_SUM.replace("WEIGHT", "2")
    one = make_root({"sum.c": f"#include <x.h>\n\n{C_SUM}", "other.c": "int main(void)\n{\n\treturn 0;\n}\n"})
    two = make_root(
        {
            "copy.c": f"/* taken over */\n{C_SUM}",
            "changed.c": changed,
            "renamed.c": re.sub(r"\b(values|total|n|i|sum_of)\b", r"my_\1", C_SUM),
            "python.py": LOAD,
        }
    )
    answer = home.ask("duplicates", path=str(one / "sum.c"), line=6)
    assert [(hit["root"], hit["path"], hit["line"]) for hit in answer["hits"]] == [
        (str(two), "copy.c", 2),
        (str(two), "renamed.c", 1),
        (str(two), "changed.c", 1),
    ]
    assert answer["hits"][0]["signals"] == {"exact": 1.0, "shape": 1.0}
    assert all(0.7 <= hit["similarity"] <= 1 for hit in answer["hits"])
    assert answer["fresh"] and not answer["incomplete"] and answer["threshold"] == 0.7
    # From a text, the place itself is a copy too.
    pasted = duplicates(home, text=C_SUM)
    assert pasted[:2] == [(str(one), "sum.c", 3), (str(two), "copy.c", 2)]
    assert duplicates(home, text=C_SUM, threshold=1) == [*pasted[:2], (str(two), "renamed.c", 1)]
    assert duplicates(home, text=C_SUM, below=str(one)) == pasted[:1]
    assert duplicates(home, text=C_SUM, below=str(two / "copy.c")) == pasted[1:2]
    assert duplicates(home, text=C_SUM, types=["py"]) == []
    assert duplicates(home, text=C_SUM, limit=1) == pasted[:1]


def test_a_hit_is_what_stands_on_the_disk(home: Home, make_root: MakeRoot) -> None:
    root = make_root({"moved.py": LOAD, "gone.py": LOAD, "else.py": LOAD, "stays.py": LOAD})
    write(root / "moved.py", f"import time\nimport json\n\n\n{LOAD}")
    write(root / "else.py", HEADER)
    (root / "gone.py").unlink()
    expected = [(str(root), "moved.py", 5), (str(root), "stays.py", 1)]
    assert duplicates(home, text=LOAD, below=str(root)) == expected  # live, or already indexed
    assert duplicates(home, text=LOAD, below=str(root), wait=True) == expected


def test_the_commands(home: Home, make_root: MakeRoot) -> None:
    root = make_root(
        {"a.py": f"import time\n\n\n{LOAD}\n\n{HEADER}", "lib/b.py": LOAD, "lib/c.py": renamed(LOAD)}
    )
    by_place = home.run("search", "--duplicates", "a.py:9", ".", cwd=root)
    assert by_place.returncode == 0, by_place.stderr
    assert re.match(r"lib/b\.py:1  fetch_with_retries  function  100% alike\n", by_place.stdout)
    assert "lib/c.py:1" in by_place.stdout and "2 answers in 3 files" in by_place.stdout
    pasted = home.run("search", "--duplicates", "-", "--threshold", "1", "--json", ".", cwd=root, given=LOAD)
    hits = [json.loads(line) for line in pasted.stdout.splitlines()]
    assert [hit["path"] for hit in hits[:-1]] == ["a.py", "lib/b.py", "lib/c.py"]
    assert hits[-1]["type"] == "summary" and hits[-1]["total"] == 3
    similar = home.run("search", "--similar", "a.py:9", "path:lib/", "-n", "1", cwd=root)
    assert re.match(r"lib/b\.py:1  fetch_with_retries  function\n", similar.stdout), similar.stderr
    snippet = home.run("search", "-s", "-", "-n", "1", cwd=root / "lib", given=renamed(LOAD, "z"))
    assert re.match(r"[bc]\.py:1 ", snippet.stdout), snippet.stderr
    nothing = home.run("search", "--duplicates", "-", ".", cwd=root, given=C_SUM)
    assert nothing.returncode == 1 and "no answers in 3 files" in nothing.stdout


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (("--similar", "a.py"), None, "--similar a.py: FILE:LINE is needed"),
        (("--similar", "a.py:0"), None, "lines count from 1"),
        (("--similar", "none.py:3"), None, "none.py: No such file"),
        (("--similar", "a.py:99"), None, "a.py has 3 lines, so there is no line 99"),
        (("--duplicates", "a.py:99"), None, "a.py has 3 lines, so there is no line 99"),
        (("--duplicates", "data.bin:1"), None, "data.bin holds a NUL byte, so it is binary"),
        (("--duplicates", "empty.py:1"), None, "empty.py: the file is empty"),
        (("--similar", ".:1"), None, "Is a directory"),
        (("--similar", "-"), "", "standard input is empty"),
        (("--similar", "-"), " \n ", "standard input is empty"),
        (("--similar", "-"), ";;;\n{}\n", "there is no code in the text"),
        (("--similar", "-"), "a\0b", "binary"),
        (
            ("--similar", "-"),
            "x = 1\n" * 20_000,
            "the text has 120000 bytes, and 65536 are the most; send one function",
        ),
        (
            ("--duplicates", "-"),
            "x = 1\n" * 200_000,
            "more than 1048576 bytes; give one function, or FILE:LINE",
        ),
        (("--duplicates", "-"), "x = 1\n", "3 tokens"),
        (("--duplicates", "-", "--threshold", "2"), "x", "a number above 0 is needed, 1 at most"),
        (("--duplicates", "-", "-c"), "x", "--duplicates does not go with --count"),
        (("--duplicates", "-", "-m", "text"), "x", "-m does not go with --duplicates"),
        (("--similar", "-", "--files"), "x", "--similar does not go with --files"),
        (("--threshold", "1", "x"), None, "--threshold goes with --duplicates only"),
        (("--similar", "-", "lang:pyton"), "x = 1", "did you mean 'python'?"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_to_do(
    home: Home, wrong: Path, arguments: tuple[str, ...], given: str | None, message: str
) -> None:
    done = home.run("search", *arguments, cwd=wrong, given=given)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not done.stdout


@pytest.fixture(scope="module")
def wrong(home: Home) -> Iterator[Path]:
    root = grow(home.at / "wrong", {"a.py": HEADER, "empty.py": "", "data.bin": b"\0\1\2\n"})
    home.add(root)
    yield root
    home.ask("remove", path=str(root))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "nothing to compare with"),
        ({"text": ""}, "text is empty"),
        ({"line": 3}, "line needs path or text"),
        ({"path": "/tmp/a.py"}, "path needs line"),
        ({"path": "a.py", "line": 1}, "must be absolute"),
        ({"text": LOAD, "line": 0}, "lines count from 1"),
        ({"text": LOAD, "below": "here"}, "must be absolute"),
        ({"text": LOAD, "threshold": 3}, "the threshold is 3"),
        ({"text": LOAD, "threshold": "much"}, "threshold is not of type number"),
        ({"text": LOAD, "types": ["pyton"]}, "did you mean"),
    ],
)
def test_wrong_requests(home: Home, source: Path, params: dict[str, Any], message: str) -> None:
    assert source.exists()
    with pytest.raises(Exception, match=message):
        home.ask("duplicates", params)
