"""What a file, a page of documentation and a commit teach, in several languages."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import pytest

from tests.training.repositories import parsed
from training.pairs import (
    CHANGED_FILES_MAX,
    CHANGED_LINES_MIN,
    KINDS,
    QUERY_WORDS_MAX,
    Pair,
    commit_pair,
    file_pairs,
    is_test,
    prose,
    prose_pairs,
)


@dataclass(frozen=True, slots=True)
class Example:
    """A file, the words of its comments, and where they are expected."""

    path: str
    text: str
    doc: str
    near: str  # a line of the code that the words are about
    name: str


EXAMPLES = [
    Example(
        "core/reader.py",
        '''import os
import sys

LIMIT = 3


def read_amounts(path):
    """Return every amount in the ledger, oldest first.

    path  of the ledger
    """
    with open(path) as file:
        return [int(line) for line in file if line.strip()]
''',
        "Return every amount in the ledger, oldest first.",
        "return [int(line) for line in file if line.strip()]",
        "read_amounts",
    ),
    Example(
        "core/ring.c",
        """#include <stddef.h>

static int count;

/*
 * Put one byte into the ring and wake whoever waits for it.
 */
int push_ring_byte(struct ring *ring, unsigned char byte)
{
    ring->data[ring->head] = byte;
    ring->head = (ring->head + 1) % ring->size;
    return wake_waiters(ring);
}
""",
        "Put one byte into the ring and wake whoever waits for it.",
        "return wake_waiters(ring);",
        "push_ring_byte",
    ),
    Example(
        "core/Ledger.java",
        """package core;

import java.util.List;

public class Ledger {
    private List<Integer> amounts;

    /**
     * Adds an {@code amount} and tells <b>every</b> listener about it.
     *
     * @param amount what is added
     */
    public void addAmount(int amount) {
        amounts.add(amount);
        for (Listener listener : listeners) listener.changed(this, amount);
    }
}
""",
        "Adds an amount and tells every listener about it.",
        "amounts.add(amount);",
        "addAmount",
    ),
    Example(
        "core/pool.go",
        """package core

import "sync"

var lock sync.Mutex

// Wait until one of the connections is free.
// The caller has to give it back.
func takeConnection(pool *Pool) *Connection {
\tlock.Lock()
\tdefer lock.Unlock()
\treturn pool.free.Pop(pool.patience, pool.fairness)
}
""",
        "Wait until one of the connections is free. The caller has to give it back.",
        "return pool.free.Pop(pool.patience, pool.fairness)",
        "takeConnection",
    ),
    Example(
        "core/tree.rs",
        """use std::rc::Rc;

pub struct Tree;

/// Turns the tree around its root until both sides are equally deep.
pub fn balance_tree(tree: &mut Tree) -> usize {
    let depth = tree.left_depth() - tree.right_depth();
    tree.rotate(depth);
    depth
}
""",
        "Turns the tree around its root until both sides are equally deep.",
        "tree.rotate(depth);",
        "balance_tree",
    ),
    Example(
        "core/mailer.rb",
        """require "socket"

LIMIT = 3

# Sends a letter to everybody who asked for one.
def deliver_letters(readers)
  readers.select(&:asked?).each do |reader|
    socket = TCPSocket.new(reader.host, 25)
    socket.write(letter_to(reader))
  end
end
""",
        "Sends a letter to everybody who asked for one.",
        "socket.write(letter_to(reader))",
        "deliver_letters",
    ),
    Example(
        "core/windows.lua",
        """local M = {}
M.count = 0
M.names = {}

-- Draw every window that has changed since the last frame.
function M.redraw_windows(windows)
  for _, window in ipairs(windows) do
    if window.changed then window:draw(window.left, window.top) end
  end
end
""",
        "Draw every window that has changed since the last frame.",
        "if window.changed then window:draw(window.left, window.top) end",
        "redraw_windows",
    ),
    Example(
        "core/sessions.ex",
        '''defmodule Core.Sessions do
  use GenServer
  import Enum
  require Logger

  @doc """
  Returns the session of a user who is online now.
  """
  def session_of_user(user) do
    Registry.lookup(__MODULE__, user) |> List.first() |> elem(1) |> Map.get(:session)
  end
end
''',
        "Returns the session of a user who is online now.",
        "Registry.lookup(__MODULE__, user)",
        "session_of_user",
    ),
]
EACH = pytest.mark.parametrize("example", EXAMPLES, ids=[example.path for example in EXAMPLES])


def pairs_of(path: str, text: str, seed: int = 1) -> list[Pair]:
    source, found = parsed(path, text)
    return list(file_pairs(path.encode(), source, found, random.Random(seed)))


def of_kind(pairs: list[Pair], kind: str) -> list[Pair]:
    return [pair for pair in pairs if pair.kind == kind]


@EACH
def test_a_comment_before_a_definition_asks_for_it(example: Example) -> None:
    (pair,) = of_kind(pairs_of(example.path, example.text), "doc")
    assert pair.query == example.doc.encode()
    assert example.near.encode() in pair.code
    assert example.name.encode() in pair.code


@EACH
def test_an_answer_has_not_the_comment_that_asks_for_it(example: Example) -> None:
    (pair,) = of_kind(pairs_of(example.path, example.text), "doc")
    words = example.doc.split()
    assert re.search(r"\W+".join(map(re.escape, words[-3:])), example.text)
    assert not re.search(r"\W+".join(map(re.escape, words[-3:])), pair.code.decode())


@EACH
def test_a_name_asks_for_its_definition_which_is_shown_without_it(example: Example) -> None:
    answers = [pair for pair in pairs_of(example.path, example.text) if example.name.encode() in pair.query]
    (named,) = of_kind(answers, "name")
    assert not re.search(rb"\b" + example.name.encode() + rb"\b", named.code)
    assert example.near.encode() in named.code


@EACH
def test_a_files_name_and_directory_ask_for_its_code(example: Example) -> None:
    found = of_kind(pairs_of(example.path, example.text), "path")
    stem = example.path.removeprefix("core/").split(".")[0]
    assert {pair.query for pair in found} == {f"core {stem}".encode()}
    assert 1 <= len(found) <= 2
    assert all(pair.code in example.text.encode() for pair in found)


@EACH
def test_the_same_chance_gives_the_same_pairs_of_known_kinds(example: Example) -> None:
    found = pairs_of(example.path, example.text)
    assert found == pairs_of(example.path, example.text)
    assert {pair.kind for pair in found} <= set(KINDS)


def test_a_files_first_words_ask_for_any_of_its_chunks() -> None:
    functions = "".join(
        f"def amount_of_part_{i}(ledger):\n    total = 0\n"
        + "".join(f"    total += ledger.entry({i}, {j})\n" for j in range(20))
        + "    return total\n\n\n"
        for i in range(6)
    )
    pairs = pairs_of("core/parts.py", f'"""Adds up the parts of a ledger."""\n\n\n{functions}')
    told = of_kind(pairs, "file")
    assert [pair.query for pair in told] == [b"Adds up the parts of a ledger."] * 2
    assert told[0].code != told[1].code
    assert not any(b"Adds up" in pair.code for pair in told)


def test_a_comment_between_statements_asks_for_what_follows() -> None:
    lines = [f"    value_{i} = step({i})" for i in range(30)]
    lines[5:5] = ["    # From here on the values are the ones that count."]
    pairs = pairs_of("core/steps.py", "import os\n\n\n\ndef run_steps():\n" + "\n".join(lines) + "\n")
    (pair,) = of_kind(pairs, "comment")
    assert pair.query == b"From here on the values are the ones that count."
    assert pair.code.decode().splitlines() == lines[6:22]


def test_a_docstring_that_never_ends_ends_with_the_file() -> None:
    pairs_of("core/open.py", 'import os\n\n\n\ndef read():\n    """Return all that is left of it')
    pairs_of("core/open.py", '"""')


SQL = '''"""Words of this module are told here, before all others."""

QUERY = """
select everything from the table
where it is old
"""


def first_of_all(argument):
    """Return the first thing that is there.

    Nobody knows it.
    """
    return argument + 1


def second_of_all(argument):
    """Return the second thing that is there."""
    return argument + 2
'''


@pytest.mark.parametrize(
    "begin",
    [
        'QUERY = """',
        'QUERY = ask(r"""',
        'QUERY = (x == \'"""\')',
        'QUERY = """all of it """',
        'QUERY = ("""a""", """',
    ],
)
def test_a_text_that_is_no_docstring_hides_none(begin: str) -> None:
    text = SQL.replace('QUERY = """', begin)
    if begin.count('"""') % 2 == 0 or "'" in begin:
        text = text.replace('\nselect everything from the table\nwhere it is old\n"""\n', "\n")
    queries = [pair.query for pair in of_kind(pairs_of("core/query.py", text), "doc")]
    assert b"Return the first thing that is there." in queries
    assert b"Return the second thing that is there." in queries
    assert not any(b"select" in query or b"argument" in query for query in queries)


@pytest.mark.parametrize(
    ("path", "text", "title", "within", "after"),
    [
        (
            "spec/ledger_spec.rb",
            'describe Ledger do\n  it "keeps the order of all amounts" do\n    ledger = Ledger.new([1, 2])\n'
            '    expect(ledger.amounts).to eq([1, 2])\n  end\n  it "works" do\n  end\nend\n',
            "keeps the order of all amounts",
            "expect(ledger.amounts).to eq([1, 2])",
            "describe Ledger",
        ),
        (
            "src/queue.test.js",
            'const Queue = require("./queue")\n\ntest("an empty queue gives nothing back", () => {\n'
            "  const queue = new Queue()\n  expect(queue.shift()).toBe(undefined)\n})\n",
            "an empty queue gives nothing back",
            "expect(queue.shift()).toBe(undefined)",
            "require",
        ),
        (
            "core/pool_test.go",
            'package core\n\nfunc TestPool(t *testing.T) {\n\tt.Run("waits for a free connection", func(t '
            "*testing.T) {\n\t\ttakeConnection(pool)\n\t})\n}\n",
            "waits for a free connection",
            "takeConnection(pool)",
            "package core",
        ),
    ],
)
def test_a_test_teaches_only_what_its_tests_are_called(
    path: str, text: str, title: str, within: str, after: str
) -> None:
    (pair,) = pairs_of(path, text)
    assert (pair.kind, pair.query) == ("title", title.encode())
    assert within.encode() in pair.code
    assert title.encode() not in pair.code
    assert after.encode() not in pair.code


def test_a_test_shows_twenty_lines() -> None:
    lines = [f"  step({i})" for i in range(40)]
    (pair,) = pairs_of("spec/steps_spec.rb", "\n".join(['it "takes very many steps" do', *lines]) + "\n")
    assert pair.code.decode().splitlines() == [" do", *lines[:19]]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("tests/a.py", True),
        ("a/test/B.java", True),
        ("core/LedgerTest.java", True),
        ("src/LedgerSpec.scala", True),
        ("pool_test.go", True),
        ("test_pool.py", True),
        ("queue.spec.ts", True),
        ("examples/hello.rs", True),
        ("benches/x.rs", False),
        ("benchmarks/x.py", True),
        ("core/latest/x.py", False),
        ("core/specification.py", False),
    ],
)
def test_paths_of_tests(path: str, said: bool) -> None:
    assert is_test(path.encode()) == said


@pytest.mark.parametrize(
    ("comment", "query"),
    [
        ("Return the first of all.\nMore of it.\n\nOther words.", "Return the first of all. More of it."),
        ("Return the first of all amounts that are known here by name. More.", None),
        ("Return the first amount.\n@param ledger where it is", "Return the first amount."),
        ("\n\nReturn the first amount.", "Return the first amount."),
        ("Return the <em>first</em> {@link Amount} of all.", "Return the first Amount of all."),
        ("Too short this.", ""),
        ("x = y(z); foo(bar) + 1", ""),
        ("TODO make this a lot better than now", ""),
        ("Copyright by all of us who wrote it", ""),
        ("See the licence for what you may do", ""),
        ("@param name what it is called by others", ""),
        ("", ""),
        ("word " * 50, ("word " * QUERY_WORDS_MAX).strip()),
    ],
)
def test_prose_is_the_first_sentences_of_a_comment(comment: str, query: str | None) -> None:
    found = prose(comment.encode())
    if query is None:  # twelve words are enough: the second sentence is left
        query = comment.removesuffix(" More.")
    assert found == (query.encode() or None)


PAGE = b"""# Ring buffers

Bytes are put at the end by `ring_push()` and nobody waits for them.

Whoever takes bytes uses `Ring::ring_take` and `core/ring_drop`, but never `ring_push` before them.

Nothing is known here about `other_thing` and its many friends.

Copyright of `ring_push` is ours and nobody may take it away.

ring_push is mentioned without marks in this paragraph of words.
"""
DEFINED = {b"ring_push": b"int push;", b"ring_take": b"int take;", b"ring_drop": b"int drop;"}


def test_paragraphs_ask_for_the_code_of_the_names_they_mention() -> None:
    seen: dict[bytes, set[bytes]] = {}
    for seed in range(40):
        found = list(prose_pairs(PAGE, DEFINED, random.Random(seed)))
        assert [pair.code for pair in found] == [b"int push;", b"int take;", b"int drop;"]
        assert {pair.kind for pair in found} == {"prose"}
        for pair in found:
            seen.setdefault(pair.code, set()).add(pair.query)
    plain = b"Bytes are put at the end by ring_push() and nobody waits for them."
    hidden = plain.replace(b"ring_push", b" ")
    heading = b"Ring buffers "
    assert seen[b"int push;"] == {plain, hidden, heading + plain, heading + hidden}


def test_a_page_that_mentions_nothing_known_asks_nothing() -> None:
    assert list(prose_pairs(PAGE, {}, random.Random(1))) == []
    assert list(prose_pairs(b"", DEFINED, random.Random(1))) == []


def hunk(header: str, *lines: str) -> str:
    return f"@@ -1,3 +1,4 @@{header}\n" + "\n".join(lines) + "\n"


def patch(path: str, *hunks: str) -> tuple[bytes, bytes]:
    start = f"a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n"
    return path.encode(), (start + "".join(hunks)).encode()


SMALL = hunk(" int small(void)", " before", "+one", "+two", "-gone", "+three")
LARGE = hunk(" int large(void)", " kept", *[f"+new {i}" for i in range(5)], "-gone", " end")
SUBJECT = "Keep the last byte of a full ring"


def test_a_commit_asks_for_its_largest_change_as_it_is_afterwards() -> None:
    pair = commit_pair(SUBJECT, [patch("core/a.c", SMALL), patch("core/b.c", SMALL, LARGE)])
    assert pair is not None
    assert (pair.kind, pair.query) == ("commit", SUBJECT.encode())
    assert pair.code.decode().split("\n") == [
        " int large(void)",
        "kept",
        *[f"new {i}" for i in range(5)],
        "end",
    ]


def test_a_change_to_a_test_counts_only_where_nothing_else_changed() -> None:
    code, test = patch("core/a.c", SMALL), patch("tests/a.c", LARGE)
    both, alone = commit_pair(SUBJECT, [test, code]), commit_pair(SUBJECT, [test])
    assert both is not None and b"one" in both.code
    assert alone is not None and b"new 0" in alone.code


def test_a_long_change_is_cut() -> None:
    pair = commit_pair(SUBJECT, [patch("a.c", hunk("", *[f"+new {i}" for i in range(300)]))])
    assert pair is not None
    assert pair.code.decode().split("\n") == ["", *[f"new {i}" for i in range(80)]]


@pytest.mark.parametrize(
    ("subject", "query"),
    [
        ("fix(ring): keep the last byte of it (#12)", "keep the last byte of it"),
        ("[core] Keep the last byte of it", "Keep the last byte of it"),
        ("RING-12: keep the last byte of it", "keep the last byte of it"),
        ("Keep the last byte of it #12.", "Keep the last byte of it"),
        ("Keep the größe of every last byte", "Keep the größe of every last byte"),
        ("Keep it all", None),
        ("word " * 40, None),
        ("Bump the number of bytes to four", None),
        ("Merge the branch of all the bytes", None),
        ("Fix a typo in the words of bytes", None),
    ],
)
def test_subjects(subject: str, query: str | None) -> None:
    pair = commit_pair(subject, [patch("a.c", LARGE)])
    assert (pair and pair.query.decode()) == query


def test_small_and_wide_changes_teach_nothing() -> None:
    assert commit_pair(SUBJECT, []) is None
    few = hunk("", *["+new"] * (CHANGED_LINES_MIN - 1))
    assert commit_pair(SUBJECT, [patch("a.c", few, few)]) is None
    wide = [patch(f"a{i}.c", LARGE) for i in range(CHANGED_FILES_MAX + 1)]
    assert commit_pair(SUBJECT, wide) is None
    assert commit_pair(SUBJECT, wide[1:]) is not None
