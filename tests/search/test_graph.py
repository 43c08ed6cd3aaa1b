"""Callers, callees and imports by name, compared with what Python's own parser says of real modules."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.module_paths import module_of_file, module_of_import, named
from tests.search.corpus import Corpus

HOME = Path(__file__).parents[2]
SOURCES = {
    str(path.relative_to(HOME)): path.read_text("utf-8")
    for folder in ("search", "config")
    for path in sorted((HOME / folder).rglob("*.py"))
}
TREES = {path: ast.parse(text) for path, text in SOURCES.items()}
OTHERS: dict[str, str | bytes] = {
    "web/app.ts": "import { send } from './net/client';\nimport x from 'react';\nsend(1);\n",
    "web/net/client.ts": "export function send(x) { return open(x); }\nfunction open(y) { return y; }\n",
    "web/net/other.ts": "import { send } from './client';\nfunction open(z) { send(z); return 2; }\n",
    "c/main.c": '#include <linux/slab.h>\n#include "own.h"\nint main(void) { return own_call(slab()); }\n',
    "c/own.h": "int own_call(int);\n",
    "c/own.c": '#include "own.h"\nint own_call(int x) { return x; }\n',
    "c/include/linux/slab.h": "int slab(void);\n",
    "rs/src/lib.rs": "pub fn run() { helper(); }\nfn helper() {}\n",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    files: dict[str, str | bytes] = {**SOURCES, **OTHERS}
    made = Corpus(tmp_path_factory.mktemp("graph"), files)
    yield made
    made.close()


def called_name(function: ast.expr) -> tuple[str, int] | None:
    """The name that the function of a call has, and its line."""
    match function:
        case ast.Name(name):
            return name, function.lineno
        case ast.Attribute(_, name):
            return name, function.end_lineno or 0
    return None


def calls_below(node: ast.AST) -> set[tuple[str, int]]:
    """What is called in a tree; a decorator is called too."""
    functions = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.ClassDef):
            functions += each.decorator_list
    return {found for function in functions if (found := called_name(function)) is not None}


def definitions() -> dict[str, set[tuple[str, int]]]:
    """Path and line of everything callable, by name."""
    found: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for path, tree in TREES.items():
        for each in ast.walk(tree):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[each.name].add((path, each.lineno))
    return found


def test_callers_are_the_calls_that_the_parser_sees(corpus: Corpus) -> None:
    wanted: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for path, tree in TREES.items():
        for name, line in calls_below(tree):
            wanted[name].add((path, line))
    names = sorted(wanted)
    assert len(names) > 300
    for name in names[::3]:
        found = corpus.search(f"callers:{name} lang:python case:yes").hits
        assert {(hit.path, hit.line) for hit in found} == wanted[name], name


def test_a_caller_is_told_by_the_definition_around_the_call(corpus: Corpus) -> None:
    (hit,) = corpus.search("callers:find_callees").hits
    assert (hit.path, hit.symbol, hit.symbol_kind) == ("search/evaluate.py", "_hop", "function")
    (caller,) = corpus.search("callers:find_callees type:symbol").hits
    assert (caller.symbol, caller.kind) == ("_hop", "symbol")


def test_callees_are_the_definitions_of_what_is_called(corpus: Corpus) -> None:
    known = definitions()
    compared = 0
    for path, tree in TREES.items():
        for each in tree.body:
            if not isinstance(each, ast.FunctionDef) or len(known[each.name]) > 1:
                continue
            wanted: set[tuple[str, int]] = set()
            for name, _ in calls_below(each):
                own = {place for place in known[name] if place[0] == path}
                wanted |= own or known[name]
            found = corpus.search(f"callees:{each.name} lang:python case:yes").hits
            assert {(hit.path, hit.line) for hit in found} == wanted, each.name
            assert all(hit.kind == "symbol" for hit in found)
            compared += bool(wanted)
    assert compared > 100


def test_callees_of_the_same_file_are_meant(corpus: Corpus) -> None:
    found = corpus.search("callees:send").hits
    assert [(hit.path, hit.symbol) for hit in found] == [("web/net/client.ts", "open")]
    assert not corpus.search("callees:send path:other").hits
    assert [hit.symbol for hit in corpus.search("callees:main").hits] == ["own_call"]
    assert [hit.symbol for hit in corpus.search("callees:run path:rs/").hits] == ["helper"]


def test_importers_are_the_files_whose_parser_sees_the_import(corpus: Corpus) -> None:
    wanted: dict[str, set[str]] = defaultdict(set)
    for path, tree in TREES.items():
        for each in ast.walk(tree):
            if isinstance(each, ast.ImportFrom) and each.module:
                wanted[each.module].add(path)
            elif isinstance(each, ast.Import):
                for name in each.names:
                    wanted[name.name].add(path)
    modules = [module for module in sorted(wanted) if "." in module]
    assert len(modules) > 30
    for module in modules:
        assert set(corpus.paths(f"imports:{module}")) == wanted[module], module
        path = module.replace(".", "/") + ".py"
        if path in SOURCES:
            assert set(corpus.paths(f"imports:{path}")) == wanted[module], path


def test_imported_files_are_those_that_the_parser_names(corpus: Corpus) -> None:
    compared = 0
    for path, tree in TREES.items():
        wanted = set()
        for each in ast.walk(tree):
            if isinstance(each, ast.ImportFrom) and each.module:
                names = [f"{each.module}.{name.name}" for name in each.names]
                candidates = [each.module, *names]
                files = (
                    f"{module.replace('.', '/')}{end}"
                    for module in candidates
                    for end in (".py", "/__init__.py")
                )
                wanted |= {file for file in files if file in SOURCES}
        found = {hit.path for hit in corpus.search(f"importedby:{path}").hits}
        assert wanted <= found, path
        compared += len(wanted)
    assert compared > 200


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("imports:client", {"web/app.ts", "web/net/other.ts"}),
        ("imports:net/client.ts", {"web/app.ts"}),
        ("imports:react", {"web/app.ts"}),
        ("imports:slab.h", {"c/main.c"}),
        ("imports:linux/slab.h", {"c/main.c"}),
        ("imports:own.h", {"c/main.c", "c/own.c"}),
        ("importedby:web/app.ts", {"web/net/client.ts"}),
        ("importedby:c/main.c", {"c/include/linux/slab.h", "c/own.h", "c/own.c"}),
        ("importedby:c/main.c -path:include", {"c/own.h", "c/own.c"}),
        ("-imports:own.h path:c/ lang:c", {"c/own.h", "c/include/linux/slab.h"}),
        ("imports:nothing.like.it", set()),
    ],
)
def test_modules_of_other_languages(corpus: Corpus, query: str, paths: set[str]) -> None:
    assert set(corpus.paths(query)) == paths


def test_a_new_file_is_a_module_at_once(tmp_path: Path) -> None:
    own = Corpus(tmp_path, {"a.py": "import late\n", "b/c.py": "from b import d\n"})
    assert own.paths("importedby:a.py") == []
    own.save({"late.py": "x = 1\n", "b/d.py": "y = 2\n"})
    assert own.paths("importedby:a.py") == ["late.py"]
    assert own.paths("importedby:b.c") == ["b/d.py"]
    own.close()


@pytest.mark.parametrize(
    ("text", "module"),
    [
        (b"app.retry", b"app/retry"),
        (b"app::retry::Policy", b"app/retry/Policy"),
        (b"crate::net", b"net"),
        (b"./net/client.js", b"net/client"),
        (b"../client", b"client"),
        (b"linux/slab.h", b"linux/slab"),
        (b"slab.h", b"slab"),
        (b"flask.json", b"flask/json"),
        (b".retry", b"retry"),
        (b"App\\Http\\Kernel", b"App/Http/Kernel"),
        (b"@scope/pkg", b"@scope/pkg"),
        (b"@/views/home.vue", b"views/home"),
        (b"..", b""),
    ],
)
def test_an_import_as_a_path(text: bytes, module: bytes) -> None:
    assert module_of_import(text) == module


def test_a_file_as_a_path() -> None:
    assert module_of_file(b"app/retry.py") == b"app/retry"
    assert module_of_file(b"app/__init__.py") == b"app"
    assert module_of_file(b"setup.py") == b"setup"
    assert module_of_file(b"web/index.ts") == b"web"
    assert named("flask.json") == (b"flask/json", b"flask")
    assert named("app/retry.py") == (b"app/retry",)
