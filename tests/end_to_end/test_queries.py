"""Every kind of query of docs/QUERY.md, asked through the socket about a small tree in several languages."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.errors import NotYet, QuerySyntaxError, UsageError
from tests.end_to_end.home import Home, git, grow, write

TREE: dict[str, str] = {
    "src/app.py": '''"""Start of the program."""
import os
from lib.retry import retry_limit, RetryPolicy

# TODO: read the port from the environment
DEFAULT_PORT = 8080


def load_settings(path):
    """Read key = value lines of a configuration file into a dictionary."""
    settings = {}
    with open(path) as stream:
        for line in stream:
            key, _, value = line.partition("=")
            settings[key.strip()] = value.strip()
    return settings


def main():
    settings = load_settings("app.conf")
    policy = RetryPolicy(retry_limit)
    print("TODO list is empty", settings, policy)
''',
    "lib/retry.py": '''"""Waiting between attempts."""

retry_limit = 5


class RetryPolicy:
    """How long to wait before the next attempt, with exponential backoff."""

    def __init__(self, limit):
        self.limit = limit

    def next_delay(self, attempt):
        """Double the pause after each failed attempt until the limit of retries is reached."""
        if attempt > self.limit:
            raise RuntimeError("too many retries")
        return 0.1 * 2 ** attempt
''',
    "lib/__init__.py": "",
    "server/main.go": """package main

import "net/http"

// serve answers requests until the process ends.
func serve(port int) error {
\treturn http.ListenAndServe(":8080", nil)
}

type Handler struct {
\tName string
}

func (h *Handler) Handle(request string) string {
\treturn h.Name + request
}
""",
    "native/list.c": """#include <stdlib.h>
#include "list.h"

struct node { int value; struct node *next; };

/* Append a value at the end of a linked list. */
struct node *list_append(struct node *head, int value)
{
\tstruct node *fresh = malloc(sizeof *fresh);
\tfresh->value = value;
\tfresh->next = NULL;
\tif (!head)
\t\treturn fresh;
\tstruct node *at = head;
\twhile (at->next)
\t\tat = at->next;
\tat->next = fresh;
\treturn head;
}
""",
    "web/cart.ts": """export interface Item { price: number; amount: number }

export class ShoppingCart {
  private items: Item[] = [];
  addItem(item: Item): void { this.items.push(item); }
  totalPrice(): number {
    return this.items.reduce((sum, item) => sum + item.price * item.amount, 0);
  }
}
""",
    "core/src/cache.rs": """/// Least recently used entries leave the cache first.
pub struct LruCache { capacity: usize }

impl LruCache {
    pub fn evict_oldest(&mut self) -> Option<u32> { None }
}

pub trait Evict { fn evict(&mut self); }
""",
    "docs/guide.md": "# Guide\n\nSet retry_limit before main.\n\n## Linked lists\n\nSee list_append.\n",
    "conf/app.toml": '[server]\nport = 8080\nname = "naïve café"\n',
    "tests/test_retry.py": "from lib.retry import RetryPolicy\n\n\ndef test_next_delay():\n"
    "    assert RetryPolicy(3).next_delay(1) == 0.2\n",
}

PY, GO, C, TS, RS = "lib/retry.py", "server/main.go", "native/list.c", "web/cart.ts", "core/src/cache.rs"
APP, GUIDE, CONF, TEST = "src/app.py", "docs/guide.md", "conf/app.toml", "tests/test_retry.py"


@pytest.fixture(scope="module")
def tree(home: Home) -> Iterator[Path]:
    """The tree above as a git repository, with one file changed since the commit and one old one."""
    root = home.at / "many-tongues"
    root.mkdir()
    git(root, "init", "-q")
    grow(root, TREE)
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    write(root / CONF, TREE[CONF] + "debug = true\n")
    old = time.time() - 90 * 86_400
    os.utime(root / C, (old, old))
    home.add(root)
    yield root
    home.ask("remove", path=str(root))


WHICH_FILES: dict[str, set[str]] = {
    # words, anywhere in the text; all of them
    "retry_limit": {APP, PY, GUIDE},
    "next_del": {PY, TEST},
    "8080": {APP, GO, CONF},
    "retry_limit main": {APP, GUIDE},
    "retry_limit AND main": {APP, GUIDE},
    "h.Name": {GO},
    "fresh->next": {C},
    # phrases
    '"at->next = fresh"': {C},
    '"naïve café"': {CONF},
    '"class RetryPolicy:\n    \\""': {PY},
    '"no such phrase in here"': set(),
    # regular expressions
    r"/retry_(limit|count)\b/": {APP, PY, GUIDE},
    r"/^def \w+\(/": {APP, TEST},
    r"/malloc\(sizeof \*\w+\)/": {C},
    r"/\d{4}$/": {APP, CONF},
    r"/list\.h/": {C},
    "/NULL.*head/": set(),
    "/(?s)NULL;.*if/": {C},
    # OR, NOT, groups
    "malloc OR ListenAndServe": {C, GO},
    "retry_limit -path:docs/": {APP, PY},
    "retry_limit NOT DEFAULT_PORT": {PY, GUIDE},
    "(malloc OR retry_limit) -lang:python": {C, GUIDE},
    "-(lang:python OR lang:go OR lang:c OR lang:md OR lang:toml OR lang:typescript)": {RS},
    # case
    "todo": {APP},
    "Todo": set(),
    "Todo case:no": {APP},
    "TODO case:yes": {APP},
    "retrypolicy case:yes": set(),
    "NULL": {C},
    # files
    "lang:go": {GO},
    "l:ts": {TS},
    "lang:py retry": {APP, PY, TEST},
    "path:lib/": {PY, "lib/__init__.py"},
    "path:src": {APP, RS},
    "path:/^src/": {APP},
    "path:**/*.rs": {RS},
    "path:src/*.py": {APP},
    "file:test_.*": {TEST},
    "file:*.toml": {CONF},
    "f:list.c": {C},
    "root:many-tongues file:*.go": {GO},
    "root:elsewhere file:*.go": set(),
    "lang:go lang:python type:file": set(),
    # places in the text
    "in:comment TODO": {APP},
    "in:string TODO": {APP},
    "in:code TODO": set(),
    'in:comment "linked list"': {C},
    # symbols
    "sym:RetryPolicy": {PY},
    "def:load_settings": {APP},
    "def:evict_oldest": {RS},
    "def:totalPrice": {TS},
    "def:tP": {TS},
    "def:list_append": {C},
    "def:/^next_/": {PY},
    'def:"next"': {C},
    "symbol:Handler kind:struct": {GO},
    "kind:trait": {RS},
    "kind:interface": {TS},
    "kind:heading": {GUIDE},
    "kind:method def:Handle": {GO},
    "ref:load_settings": {APP},
    "ref:RetryPolicy": {APP, TEST},
    "ref:malloc": {C},
    "ref:nobody_calls_this": set(),
    # git and time
    "changed:yes": {CONF},
    "changed:no lang:go": {GO},
    "since:1d lang:c": set(),
    "since:52w lang:c": {C},
    "since:1h file:app.toml": {CONF},
    "content:lang:py": set(),
    "content:/list\\.h/": {C},
    # joins of text, structure and meaning: each part narrows
    'lang:python kind:method ~"how long to wait until the next attempt" -path:tests/ /next_\\w+/': {PY},
    '~"append to a linked list" malloc': {C},
    "(def:list_append OR def:evict_oldest) -malloc": {RS},
    "def:RetryPolicy backoff": {PY},
    'ref:malloc meaning:"linked list"': {C},
    '~"read a configuration file" lang:rust def:main': set(),
}


@pytest.mark.parametrize("query", WHICH_FILES)
def test_a_query_finds_exactly_these_files(home: Home, tree: Path, query: str) -> None:
    answer = home.search(query, tree, mode="text")
    assert {hit["path"] for hit in answer["hits"]} == WHICH_FILES[query]
    assert not answer["incomplete"] and not answer["warnings"]


@pytest.mark.parametrize("query", ["retry_limit", "retry limit", "malloc", "next_delay"])
def test_a_bare_query_finds_at_least_the_text(home: Home, tree: Path, query: str) -> None:
    """It asks words, names and meaning too, so there may be more, but the text is not lost."""
    text, fused = home.found(query, tree, mode="text"), home.found(query, tree)
    assert text and set(text) <= set(fused)


def test_the_empty_query_is_every_file(home: Home, tree: Path) -> None:
    assert set(home.found("", tree)) == set(TREE)


@pytest.mark.parametrize(
    ("meaning", "best"),
    [
        ("read settings from a configuration file", APP),
        ("append an element to a linked list", C),
        ("total price of the shopping cart", TS),
        ("exponential backoff between attempts", PY),
        ("remove the least recently used entry", RS),
    ],
)
def test_meaning_ranks_the_right_file_first(home: Home, tree: Path, meaning: str, best: str) -> None:
    assert home.found(f'~"{meaning}"', tree)[0] == best
    assert home.found(f'meaning:"{meaning}"', tree)[0] == best


def test_similar_code(home: Home, tree: Path) -> None:
    twin = write(tree / "native/twin.c", TREE[C].replace("list_append", "list_push"))
    home.sync(tree)
    assert home.found("similar:native/list.c:9", tree)[0] == "native/twin.c"
    twin.unlink()
    home.sync(tree)
    with pytest.raises(UsageError):
        home.search("similar:native/missing.c:9", tree)


def test_what_is_not_there_yet_says_so(home: Home, tree: Path) -> None:
    with pytest.raises(NotYet, match="in this version yet"):
        home.search('ast:"f($X)"', tree)


def test_one_hop_in_the_graph_follows_a_save(home: Home, tree: Path) -> None:
    caller = write(
        tree / "graph/caller.py", "from graph.called import target\n\n\ndef origin():\n    target()\n"
    )
    write(tree / "graph/called.py", "def target():\n    return 1\n")
    home.sync(tree)
    assert [hit["symbol"] for hit in home.search("callers:target", tree)["hits"]] == ["origin"]
    assert [hit["symbol"] for hit in home.search("callees:origin", tree)["hits"]] == ["target"]
    assert home.found("imports:graph.called", tree) == ["graph/caller.py"]
    assert home.found("importedby:graph/caller.py", tree) == ["graph/called.py"]
    assert home.found('callers:target meaning:"the origin of a call"', tree) == ["graph/caller.py"]
    write(caller, "def origin():\n    return 2\n")
    home.sync(tree)
    assert home.found("callers:target OR callees:origin OR imports:graph.called", tree) == []
    assert home.found("importedby:graph/caller.py", tree) == []


@pytest.mark.parametrize(
    ("query", "column"),
    [("foo /a(/", 4), ('x "y', 2), ("lang:pythn a", 5), ("kind:functio", 5), ("a OR case:yes", 5)],
)
def test_a_wrong_query_names_the_column(home: Home, tree: Path, query: str, column: int) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        home.search(query, tree)
    assert caught.value.column == column


def test_where_and_what_a_hit_is(home: Home, tree: Path) -> None:
    hit = home.search("def:next_delay", tree)["hits"][0]
    assert (hit["path"], hit["line"], hit["column"]) == (PY, 12, 9)
    assert (hit["symbol"], hit["symbol_kind"], hit["kind"]) == ("RetryPolicy.next_delay", "method", "symbol")
    (line,) = [line for line in hit["lines"] if line["number"] == 12]
    assert [line["text"][a:b] for a, b in line["ranges"]] == ["next_delay"]

    (hit,) = home.search("café", tree)["hits"]
    line = hit["lines"][0]
    assert (hit["line"], hit["column"]) == (3, line["text"].index("café") + 1)  # characters, not bytes
    assert [line["text"][a:b] for a, b in line["ranges"]] == ["café"]


@pytest.mark.parametrize("kind", ["file", "symbol", "line"])
def test_what_comes_back_is_chosen_by_type(home: Home, tree: Path, kind: str) -> None:
    hits = home.search(f"retry_limit type:{kind}", tree)["hits"]
    assert hits and {hit["kind"] for hit in hits} == {kind}


def test_a_path_narrows_what_is_searched(home: Home, tree: Path) -> None:
    assert home.found("retry", tree / "lib") == [PY]
    assert home.found("retry", tree / "lib" / "retry.py") == [PY]
    assert home.found("retry", tree / "native") == []


def test_filters_apply_before_the_best_are_chosen(home: Home, tree: Path) -> None:
    """The worst match of a meaning is found when the filter leaves nothing else."""
    meaning = '~"append an element to a linked list"'
    assert home.found(f"{meaning} lang:rust", tree, limit=1) == [RS]
    assert home.found(meaning, tree, limit=1, types=["rust"]) == [RS]
    assert home.found(meaning, tree, limit=1, globs=["web/**"]) == [TS]
    assert home.found(meaning, tree / "server", limit=1) == [GO]


def test_types_and_globs_of_a_request(home: Home, tree: Path) -> None:
    assert set(home.found("retry_limit", tree, types=["py", "md"], mode="text")) == {APP, PY, GUIDE}
    assert set(home.found("retry_limit", tree, types=["md"], mode="text")) == {GUIDE}
    assert set(home.found("retry_limit", tree, globs=["*.py"], mode="text")) == {APP, PY}
    assert set(home.found("retry_limit", tree, globs=["!*.py"], mode="text")) == {GUIDE}
    with pytest.raises(UsageError, match="pythn"):
        home.search("retry", tree, types=["pythn"])


@pytest.mark.parametrize("mode", ["auto", "text", "symbol", "semantic", "hybrid"])
def test_modes(home: Home, tree: Path, mode: str) -> None:
    assert PY in home.found("RetryPolicy", tree, mode=mode)


def test_explain_shows_plan_steps_and_signals(home: Home, tree: Path) -> None:
    answer = home.search('lang:python def:next_delay ~"wait"', tree, explain=True)
    explain: dict[str, Any] = answer["explain"]
    assert explain["plan"] and explain["steps"]
    assert all(step["ms"] >= 0 for step in explain["steps"])
    assert answer["hits"][0]["signals"]


def test_lines_around_a_hit(home: Home, tree: Path) -> None:
    (hit,) = home.search("sizeof", tree, context=2)["hits"]
    numbers = [line["number"] for line in hit["lines"]]
    assert numbers == list(range(hit["line"] - 2, hit["line"] + 3))


def test_partial_answers_come_before_the_whole(home: Home, tree: Path) -> None:
    from daemon import client

    with client.connect(start=False, environ=home.env) as connection:
        params = {"query": "retry", "path": str(tree), "stream": True}
        *partial, whole = connection.stream("search", params)
    assert partial and partial[0]["hits"]
    assert {hit["path"] for hit in partial[0]["hits"]} <= {hit["path"] for hit in whole["hits"]}
