"""The house stands: floors, doors and sizes, read from the sources with ast.

    4  daemon (service, handlers, server, supervisor)
    3  indexer pipeline parts       search          never the one from the other
    2  indexer.store, indexer.embed                 where the two meet
    1  indexer.records, indexer.trigram, indexer.native, ..., daemon.wire, daemon.client
    0  config                                       standard library only

Imports go down, or sideways without rings. A foreign library enters by one door.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
PACKAGES = ("config", "indexer", "search", "daemon")
LINES_MAX = 600

# Floor 1: what both sides need and what needs neither store nor threads.
GROUND = (
    "indexer.records",
    "indexer.trigram",
    "indexer.pages",
    "indexer.words",
    "indexer.vocabulary",
    "indexer.page_terms",
    "indexer.bags",
    "indexer.languages",
    "indexer.encoding",
    "indexer.native",
    "daemon.wire",
    "daemon.client",
)
MEETING = ("indexer.store", "indexer.embed")

# What `search` runs: it imports config, itself and the standard library.
CLIENT_STRIP = ("daemon.wire", "daemon.client", "daemon.render", "daemon.cli", "daemon.everything")

# Foreign library -> the modules (or packages, with a dot at the end) it may be imported in.
DOORS: dict[str, tuple[str, ...]] = {
    "watchdog": ("indexer.watcher",),
    "tree_sitter": ("indexer.grammar",),
    "lmdb": ("indexer.store.env",),
    "lz4": ("indexer.store.blocks",),
    "re2": ("search.compiled",),
    "mlx": ("search.kernels.mlx_kernel",),
    "msgspec": ("indexer.store.", "daemon."),
    "tokenizers": ("indexer.embed.",),
    "sentence_transformers": ("indexer.embed.transformer",),
    "torch": ("indexer.embed.transformer",),
    "rich": ("daemon.admin", "daemon.progress"),
    "numpy": ("indexer.", "search.", "daemon."),
    "hatchling": ("indexer.native.build",),
}


@dataclass(frozen=True, slots=True)
class Module:
    """A source file and what it imports."""

    name: str
    path: Path
    tree: ast.Module
    imports: frozenset[str]  # whole names; of `from a import b` both a and, if it is a module, a.b
    at_start: frozenset[str]  # those that run when the module is imported

    @property
    def floor(self) -> int:
        package = self.name.split(".")[0]
        if package == "config" or self.name in PACKAGES:  # a bare package is only its docstring
            return 0
        if _within(self.name, GROUND):
            return 1
        if _within(self.name, MEETING):
            return 2
        return 4 if package == "daemon" else 3


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def _module_name(path: Path) -> str:
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {_module_name(path): path for package in PACKAGES for path in sorted((HOME / package).rglob("*.py"))}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        whole = [f"{node.module}.{alias.name}" for alias in node.names]
        return [node.module, *[name for name in whole if name in PATHS]]
    return []


def _at_start(tree: ast.Module) -> set[str]:
    """Imports that run at import time: not those in functions or under TYPE_CHECKING."""
    found: set[str] = set()
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
            continue
        found.update(_imported(node))
        todo += ast.iter_child_nodes(node)
    return found


def _read(name: str, path: Path) -> Module:
    tree = ast.parse(path.read_text("utf-8"))
    every = frozenset(name for node in ast.walk(tree) for name in _imported(node))
    return Module(name, path, tree, every, frozenset(_at_start(tree)))


MODULES = {name: _read(name, path) for name, path in PATHS.items()}
EACH = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES.keys())


def _own(names: frozenset[str]) -> list[Module]:
    return [MODULES[name] for name in sorted(names) if name in MODULES]


def _foreign(names: frozenset[str]) -> set[str]:
    tops = {name.split(".")[0] for name in names}
    return tops - set(PACKAGES) - set(sys.stdlib_module_names)


@EACH
def test_imports_never_go_up_a_floor(module: Module) -> None:
    higher = [other.name for other in _own(module.imports) if other.floor > module.floor]
    assert not higher, f"{module.name} (floor {module.floor}) imports {higher}"


@EACH
def test_indexer_and_search_meet_only_below(module: Module) -> None:
    if module.floor != 3:
        return
    package = module.name.split(".")[0]
    across = [one.name for one in _own(module.imports) if one.floor == 3 and not one.name.startswith(package)]
    assert not across, f"{module.name} imports {across}"


@EACH
def test_config_is_standard_library_only(module: Module) -> None:
    if module.floor == 0:
        assert not _foreign(module.imports)


@EACH
def test_the_client_strip_stays_light(module: Module) -> None:
    if module.name not in CLIENT_STRIP:
        return
    assert not _foreign(module.imports)
    outside = [
        one.name
        for one in _own(module.imports)
        if one.floor > 0 and one.name not in CLIENT_STRIP and one.name not in PACKAGES
    ]
    assert not outside, f"{module.name} imports {outside}"


@EACH
def test_every_library_enters_by_its_door(module: Module) -> None:
    for library in _foreign(module.imports):
        name = "tree_sitter" if library.startswith("tree_sitter_") else library
        assert name in DOORS, f"{module.name} imports {library}, which has no door"
        doors = DOORS[name]
        allowed = any(
            module.name.startswith(door) if door.endswith(".") else module.name == door for door in doors
        )
        assert allowed, f"{module.name} imports {library}; its door is {', '.join(doors)}"


def test_every_library_is_declared() -> None:
    whole = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))
    project = whole["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    wanted = [*project["dependencies"], *extras, *whole["build-system"]["requires"]]
    declared = {line.split(">")[0].split("[")[0].strip().replace("-", "_") for line in wanted}
    packaged_as = {"re2": "google_re2"}
    used = {library for module in MODULES.values() for library in _foreign(module.imports)}
    assert {packaged_as.get(library, library) for library in used} <= declared


def test_every_grammar_wheel_is_declared_and_used() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    names = [line.split(">")[0] for line in project["dependencies"]]
    wheels = {name.replace("-", "_") for name in names if name.startswith("tree-sitter-")}
    texts = {
        node.value for node in ast.walk(MODULES["indexer.grammar"].tree) if isinstance(node, ast.Constant)
    }
    used = {text for text in texts if isinstance(text, str) and text.startswith("tree_sitter_")}
    assert used == wheels


def test_no_ring_of_imports() -> None:
    state: dict[str, int] = {}  # 1: on the way, 2: done

    def visit(name: str, way: tuple[str, ...]) -> None:
        if state.get(name) == 2:
            return
        assert state.get(name) != 1, f"ring: {' -> '.join((*way[way.index(name) :], name))}"
        state[name] = 1
        for other in _own(MODULES[name].imports):  # also those that run late, or for types only
            if other.name not in PACKAGES:  # a package's __init__ imports nothing
                visit(other.name, (*way, name))
        state[name] = 2

    for name in MODULES:
        visit(name, ())


@EACH
def test_every_module_says_what_it_is(module: Module) -> None:
    assert ast.get_docstring(module.tree), f"{module.path} has no docstring"


@EACH
def test_packages_are_only_a_docstring(module: Module) -> None:
    if module.path.name == "__init__.py":
        assert len(module.tree.body) == 1


@EACH
def test_no_module_hides_a_second_idea(module: Module) -> None:
    lines = module.path.read_text("utf-8").count("\n")
    assert lines <= LINES_MAX, f"{module.path} has {lines} lines"


@EACH
def test_imports_are_absolute(module: Module) -> None:
    relative = [
        node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


@EACH
def test_only_the_standard_way_of_starting_processes(module: Module) -> None:
    """fork() with threads, LMDB or MLX hangs or corrupts: always spawn, never multiprocessing's default."""
    calls = {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    }
    assert not calls & {"os.fork", "multiprocessing.Process", "multiprocessing.Pool", "os.forkpty"}


@EACH
def test_every_thread_starts_in_one_place(module: Module) -> None:
    """config.threads places a new thread as its process is placed; commands are not placed."""
    if module.name in ("config.threads", "daemon.progress"):
        return
    text = module.path.read_text("utf-8")
    assert not re.search(r"\bThreadPoolExecutor\(|\bthreading\.Thread\b|\bstart_new_thread\b", text)


@EACH
def test_settings_are_read_from_the_environment_in_one_place(module: Module) -> None:
    """Outside config a setting comes by `settings`; only names that are not settings may be looked up."""
    if module.floor == 0:
        return
    settings = tomllib.loads((HOME / "config/defaults.toml").read_text("utf-8"))
    names = {f"EINSTEIN_{group}_{key}".upper() for group, keys in settings.items() for key in keys}
    texts = {node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant)}
    assert not names & {text for text in texts if isinstance(text, str)}
