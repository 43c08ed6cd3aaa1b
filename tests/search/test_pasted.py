"""What was pasted is recognised, taken apart and found; what people type is never taken for it."""

from __future__ import annotations

import ast
import builtins
import contextlib
import random
import re
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.questions import QUESTIONS
from config.errors import QuerySyntaxError
from search.fragments import fragments, parts, whole_line
from search.pasted import CHARS_MAX
from search.plan import make_pasted
from search.recognise import recognise
from search.trace import frames
from tests.search.corpus import Corpus

HERE = Path(__file__).resolve().parents[2]
SOURCES = {
    str(file.relative_to(HERE)): file.read_text("utf-8")
    for package in ("config", "indexer", "search", "daemon")
    for file in sorted((HERE / package).rglob("*.py"))
}

MESSAGES = (
    "TypeError: cannot unpack non-iterable NoneType object",
    "ValueError: invalid literal for int() with base 10: 'abc'",
    "config.errors.NoSuchRoot: there is no root 7 in the index",
    "Uncaught TypeError: Cannot read properties of undefined (reading 'foo')",
    'Exception in thread "main" java.lang.IllegalStateException: Already closed',
    "kernel BUG at mm/slub.c:4023!",
    "BUG: unable to handle page fault for address: ffffc90000a3f000",
    "[   12.345678] usb 1-1: device descriptor read/64, error -71",
    "EXT9-fs error (device sda1): ext9_find:1455: inode #2: comm ls: reading directory lblock 0",
    "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker/3:1:123]",
    "foo9e 0000:00:19.0 eth0: Detected Hang:",
    "RIP: 0010:foo_bar+0x12/0x340\nCall Trace:\n foo_new+0x3ab/0x1010",
    "panic: runtime error: index out of range [3] with length 3",
    "thread 'main' panicked at src/main.rs:10:5:\nindex out of bounds: the len is 3 but the index is 7",
    "error[E0382]: borrow of moved value: `x`",
    "fatal: not a git repository (or any of the parent directories): .git",
    "src/app.c:12:5: error: use of undeclared identifier 'x'",
    "app: main.c:33: run: Assertion `n > 0' failed.",
    "sqlite3.IntegrityError: NOT NULL constraint failed: users.email",
    "2026-11-28T12:00:01Z ERROR [main] connection to 10.0.0.1:5432 refused",
    "Nov 28 12:00:01 host prog[123]: cannot bind to port 80",
    "E1128 12:00:00.123456    1234 kubelet.go:123] Failed to start: timeout",
    'level=error msg="cannot open database" path=/var/x',
    "index 5 is out of bounds for axis 0 with size 3",
    "Unknown option 'foo' for command",
    "cannot open file '/etc/foo.conf': No such file or directory",
    "config.c: expected 3 arguments, got 5",
    'Traceback (most recent call last):\n  File "x/y.py", line 12, in run\n    go()\nKeyError: 3',
    "lang:py TypeError: cannot unpack non-iterable NoneType object",
)
SNIPPETS = (
    "for (int i = 0; i < n; i++) {",
    "return self._cache.get(key, None)",
    "def f(a, b):",
    "x = foo(bar, baz[0]);",
    "if err != nil {",
    "def f(a):\n    return a + 1",
    "if err != nil {\n\treturn nil, err\n}",
    "const a = require('a');\nmodule.exports = a",
    "struct list_head *pos;\n\nlist_for_each(pos, head)\n\tcount++;",
    "lang:py def f(a, b):",
)
TYPED = (
    *QUESTIONS,
    "retry wait",
    "retry_request",
    "HttpClient.send",
    "std::vector",
    "foo(bar)",
    "foo(a, b)",
    "x == y",
    "a / b",
    "() => x",
    "if (x)",
    "#include <a.h>",
    "TODO(me):",
    "http://host/x",
    "mm/slub.c",
    "KeyError",
    "TypeError handling",
    "error handling in the parser",
    "errors: how are they shown",
    "error: how is it shown",
    "TypeError: where is it raised",
    "ValueError: is it caught?",
    "how does x = foo(y) work",
    "what raises ValueError: invalid literal",
    "where is the warning about 2 unknown options printed",
    "code that retries 3 times after a failed request",
    "the panic handler",
    "panic handling",
    "fatal errors and exit codes",
    "warnings about deprecated options",
    "invalid http 404 response handling",
    "unexpected end of file",
    "select the first item of a list",
    "import os from path handling",
    "return value of the parser when empty",
    "class based views",
    "static files are served",
    "if the queue is full: what then",
    "for every file of a root: its language",
    "stack trace formatting",
    "log lines with a time",
    "parse the line 12 in a file",
    "lang:py path:src/ retry",
    'lang:go "exact phrase" retry',
    "sym:X (a OR b)",
    "kind:class Parser",
    'meaning:"where is the limit"',
    "/retry_(count|limit)\\b/ lang:go",
    "foo OR bar",
    "not found 404 OR 500 error",
    "how are messages\nwith several lines\nof plain words read",
    "a paragraph of prose that was copied,\nwith a comma at its line ends,\nand no code in it.",
)


@pytest.mark.parametrize("text", MESSAGES)
def test_messages_are_recognised(text: str) -> None:
    found = recognise(text)
    assert found is not None and found.kind == "error message"
    assert found.why and (found.frames or found.fragments or found.words)


@pytest.mark.parametrize("text", SNIPPETS)
def test_code_is_recognised(text: str) -> None:
    found = recognise(text)
    assert found is not None and found.kind == "code snippet"
    assert found.why and all(line in text and line == line.strip() for line in found.lines)


@pytest.mark.parametrize("text", TYPED)
def test_what_people_type_is_not_taken_for_something_pasted(text: str) -> None:
    assert recognise(text) is None


def test_sentences_of_documentation_are_not_taken_for_something_pasted() -> None:
    """First lines of docstrings are sentences about code, by the hundred."""
    said = [
        docstring.partition("\n")[0].rstrip(".")
        for text in SOURCES.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)
        if (docstring := ast.get_docstring(node))
    ]
    assert len(said) > 1000
    assert [sentence for sentence in said if recognise(sentence)] == []


@pytest.mark.parametrize(
    ("message", "fixed"),
    [
        ("index 7 out of range for 'names'", ("out of range for",)),
        ("cannot open /etc/x.conf: no such file", ("cannot open", "no such file")),
        ("request took 3.5ms, limit is 2ms", ("request took", "limit is")),
        ("object <Foo at 0x7f3a> has no attribute `x'", ("has no attribute",)),
        ("wrote 17", ()),
        ("device descriptor read/64, error -71", ("device descriptor read",)),
        ("cannot read src/a.c here, it lies in x/y/z", ("cannot read", "here, it lies in")),
        ("unreachable 3", ("unreachable",)),
    ],
)
def test_the_fixed_part_of_a_message(message: str, fixed: tuple[str, ...]) -> None:
    assert fragments(message) == fixed


def test_functions_that_a_trace_names_are_places(own: Corpus) -> None:
    trace = "BUG: it broke\nRIP: 0010:make_pasted+0x12/0x340\nCall Trace:\n rank_files.cold+0x3ab/0x1010\n"
    found = recognise(trace)
    assert found is not None and found.functions == ("make_pasted", "rank_files")
    hits = own.search(trace, limit=2).hits
    assert [(hit.path, hit.symbol) for hit in hits] == [
        ("search/plan.py", "make_pasted"),
        ("search/file_rank.py", "rank_files"),
    ]


def test_the_pattern_of_a_whole_line_has_the_short_pieces_too() -> None:
    pattern = whole_line("cannot read 'a.b' as 17 bytes")
    assert pattern is not None
    assert re.search(pattern, '    raise X(f"cannot read {name!r} as {size} bytes")')
    assert not re.search(pattern, '    raise X(f"cannot read {name!r}, {size} bytes")')
    assert whole_line("only one fragment 17") is None and whole_line("17 a 18 b") is None


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("runtime error: index out of range", ("runtime error", "index out of range")),
        ("cannot unpack non-iterable NoneType object", ("cannot unpack non-iterable",)),
        ("user bob may not read this", ("user bob may", "not read this")),
        ("two words", ()),
    ],
)
def test_the_parts_of_a_fragment(fragment: str, expected: tuple[str, ...]) -> None:
    assert parts(fragment) == expected


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('  File "a/b.py", line 3, in f\n    g()\n  File "c.py", line 9, in g\n    x',
         ["c.py:9", "a/b.py:3"]),
        ("\tat com.acme.Thing.run(Thing.java:42)\n\tat com.acme.Main.main(Main.java:7)",
         ["com/acme/Thing.java:42", "com/acme/Main.java:7"]),
        ("    at load (/srv/app/src/load.js:10:5)\n    at /srv/app/index.js:3:1",
         ["/srv/app/src/load.js:10", "/srv/app/index.js:3"]),
        ("   at Acme.Thing.Run(String x) in C:\\src\\Thing.cs:line 12", ["C:/src/Thing.cs:12"]),
        ("main.run(0x1)\n\t/go/src/app/main.go:31 +0x1d", ["/go/src/app/main.go:31"]),
        ("thread 'main' panicked at src/main.rs:10:5:\nboom", ["src/main.rs:10"]),
        ("#1  0x0804 in run (n=3) at src/run.c:77", ["src/run.c:77"]),
        ("PHP Fatal error: x in /www/a.php on line 8\n#0 /www/b.php(3): f()",
         ["/www/a.php:8", "/www/b.php:3"]),
        ("app.rb:12:in `run': boom (RuntimeError)\n\tfrom main.rb:3:in `<main>'", ["app.rb:12", "main.rb:3"]),
        ("src/a.c:12:5: error: bad", ["src/a.c:12"]),
        ("kernel BUG at mm/slub.c:4023!", ["mm/slub.c:4023"]),
        ("died at lib/x.pl line 4.", ["lib/x.pl:4"]),
    ],
)  # fmt: skip
def test_the_frames_of_a_trace_come_innermost_first(text: str, places: list[str]) -> None:
    assert [str(frame) for frame in frames(text).frames] == places


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        (
            "ValueError: cannot read 'x' of it",
            'fuse(message("cannot read"), symbol("ValueError"), lexical("ValueError cannot read"), '
            'semantic("ValueError cannot read"))',
        ),
        ("lang:go panic at x.go:3: boom", ""),
        (
            "lang:go kernel BUG at mm/slub.c:4023!",
            'lang:go then fuse(place("mm/slub.c:4023"), message("kernel BUG at"), lexical("kernel BUG at"), '
            'semantic("kernel BUG at"))',
        ),
        (
            "if err != nil {\n\treturn err\n}",
            'fuse(line("if err != nil {", "return err"), lexical("if err nil return"), '
            'semantic("if err != nil {\n\treturn err\n}"))',
        ),
    ],
)
def test_plans_of_what_was_pasted(text: str, plan: str) -> None:
    found = recognise(text)
    assert (str(make_pasted(found)) if found else "") == plan


def test_code_that_speaks_of_errors_is_code() -> None:
    yaml = "jobs:\n  check: [a, b]\n  run(x);\nerror: failed(x)\nwarning: y;\n"
    found = recognise(yaml)
    assert found is not None and found.kind == "code snippet"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """The product's own source."""
    corpus = Corpus(tmp_path_factory.mktemp("pasted"), SOURCES)
    yield corpus
    corpus.close()


def raised() -> list[tuple[str, int, int, str, str]]:
    """Return path, first and last line, class and message of all errors raised with a format string."""
    rng = random.Random(4)
    found = []
    for path, text in SOURCES.items():
        for node in ast.walk(ast.parse(text)):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
                continue
            name, said = node.exc.func, node.exc.args[0]
            if isinstance(name, ast.Name) and isinstance(said, ast.JoinedStr):
                values = ("17", "0x7f3a", "'some value'", "/srv/some/place.txt", "2.5")
                message = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else rng.choice(values)
                    for part in said.values
                )
                qualified = name.id if hasattr(builtins, name.id) else f"config.errors.{name.id}"
                found.append((path, said.lineno, said.end_lineno or said.lineno, qualified, message))
    return found


def says(path: str, line: int, fixed: tuple[str, ...]) -> bool:
    """Whether a line and the next two say all of a message: several places may write the same."""
    text = "\n".join(SOURCES[path].split("\n")[line - 1 : line + 2])
    return all(fragment in text for fragment in fixed)


def test_a_message_with_other_values_finds_the_line_that_writes_it(own: Corpus) -> None:
    """Of all messages of the product with enough fixed text, with values of no program."""
    asked = [case for case in raised() if any(len(f.split()) > 2 for f in fragments(case[4]))]
    assert len(asked) > 30
    missed = []
    for path, first, last, name, message in asked:
        (hit,) = own.search(f"{name}: {message}", limit=1).hits
        if (hit.path != path or not first <= hit.line <= last) and not says(
            hit.path, hit.line, fragments(message)
        ):
            missed.append((path, first, message, hit.path, hit.line))
    assert len(missed) <= len(asked) // 20, missed


def test_a_piece_of_a_file_finds_the_file_and_the_lines(own: Corpus) -> None:
    rng = random.Random(5)
    asked = missed = 0
    for path in rng.sample(sorted(SOURCES), 60):
        lines = SOURCES[path].split("\n")
        if len(lines) < 20:
            continue
        first, n = rng.randrange(len(lines) - 10), rng.randint(4, 9)
        text = "\n".join(lines[first : first + n])
        found = recognise(text)
        if found is None or found.kind != "code snippet" or len(found.lines) < 3:
            continue
        asked += 1
        hit = own.search(text, limit=1).hits[0]
        missed += hit.path != path or not first < hit.line <= first + n
    assert asked > 20 and missed <= asked // 20, (asked, missed)


def test_the_places_of_a_trace_come_first_innermost_first(own: Corpus) -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/home/me/einstein/search/engine.py", line 40, in search\n    plan = make(query)\n'
        '  File "/home/me/einstein/search/plan.py", line 60, in make\n    shape(query)\n'
        '  File "/usr/lib/python3/nowhere.py", line 3, in shape\n    boom()\n'
        "RuntimeError: no text of ours"
    )
    hits = own.search(trace, limit=2).hits
    assert [(hit.path, hit.line) for hit in hits] == [("search/plan.py", 60), ("search/engine.py", 40)]


def naive_fragments(path: str, fixed: str) -> bool:
    """The slow twin: the text stands in the file as it is."""
    return fixed in SOURCES[path] or (fixed.islower() and fixed in SOURCES[path].lower())


def test_all_files_with_the_longest_fragment_are_found(own: Corpus) -> None:
    for fixed in ("more may contain it", "is not an indexed root", "needs a value"):
        answer = own.search(f"SomeError: 3 {fixed} 17 {fixed}", explain=True)
        with_it = {path for path in SOURCES if naive_fragments(path, fixed)}
        found = {hit.path for hit in answer.hits if hit.signals.get("message", 0) > 0}
        assert with_it and found == with_it


def test_lines_with_all_of_a_message_come_first(own: Corpus) -> None:
    """The slow twin looks at every line of every file."""
    asked = [case for case in raised() if len(fragments(case[4])) > 1]
    assert len(asked) > 20
    for *_, message in asked:
        pattern = whole_line(message)
        assert pattern is not None
        fold = re.NOFLAG if any(c.isupper() for c in pattern) else re.IGNORECASE
        naive = {path for path, text in SOURCES.items() if re.search(pattern, text, fold)}
        hits = own.search(f"ValueError: {message}", explain=True, limit=20).hits
        found = [hit.path for hit in hits if hit.signals.get("message", 0) > 0]
        assert not naive or found[0] in naive, message
        assert naive <= set(found), message


def test_a_file_that_changed_shows_the_line_where_it_is_now(tmp_path: Path) -> None:
    text = "def read(size):\n    check(size)\n    raise ValueError(f'cannot read {size} bytes of it')\n"
    corpus = Corpus(tmp_path, {"a.py": text, "b.py": "def check(size):\n    return size\n"})
    corpus.write({"a.py": "# cannot be read\n" * 5 + text})
    trace = 'Traceback:\n  File "/x/a.py", line 2, in read\n    check(size)\n'
    for pasted, line in (
        ("ValueError: cannot read 7 bytes of it", 8),
        ("def read(size):\n    check(size)", 6),
        (trace, 7),
    ):
        hit = corpus.search(pasted, limit=1).hits[0]
        assert (hit.path, hit.line, hit.live) == ("a.py", line, True)
    corpus.close()


def test_explain_says_what_was_recognised(own: Corpus) -> None:
    told = {
        "TypeError: bad value 3 of it": "error message: the exception TypeError is named before a colon",
        "if err != nil {": "code snippet: its punctuation is that of code",
        "where are retries limited": "sentence: plain words",
        "make_pasted": "identifier: one word, spelled as a name",
        "search/plan.py": "path: one word, spelled as a path or file name",
    }
    for query, said in told.items():
        explain = own.search(query, explain=True, limit=1).explain
        assert explain is not None and explain.type == said


def test_filters_in_front_bind(own: Corpus) -> None:
    message = "QuerySyntaxError: the query has more than 300 terms"
    assert own.paths(message)[0] == "search/query.py"
    assert all(path.startswith("daemon/") for path in own.paths(f"path:daemon/ {message}"))
    assert not [path for path in own.paths(f"-path:query {message}") if "query" in path]


@pytest.mark.parametrize(
    "junk", ["\ud800: TypeError: x y z", "TypeError: " + "x" * 9000, "{" * 50, ";\n;\n;", ":\n:\n"]
)
def test_odd_texts_are_answered_or_refused_as_queries(own: Corpus, junk: str) -> None:
    with contextlib.suppress(QuerySyntaxError):
        own.search(junk, limit=3)


@pytest.mark.parametrize(
    "unit", ["a", "a.", "at a.", "1", "x = ", "'", "(", "a.b:1 ", "\t", 'msg="\\a', "aError:", "a\n"]
)
def test_no_text_takes_long_to_look_at(unit: str) -> None:
    text = (unit * CHARS_MAX)[:CHARS_MAX]
    took = min(timeit.repeat(lambda: recognise(text), number=1, repeat=3))
    assert took < 0.2, took  # 8 to 30 ms; without a bound on lines up to a second


PIECES = st.sampled_from(
    (
        *(
            "ValueError: ",
            "panic: ",
            "[   1.000001] ",
            "a.py:3: ",
            'File "search/plan.py", line 3, in f',
            "\n",
        ),
        *("no such name", "no such name: ", "needs a value", "NoneType", "17", "'x'", "foo(a, b);", "\n    "),
        *("{", "x = 1", "\0", "é"),
    )
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_whatever_is_pasted_is_answered_or_refused(own: Corpus, text: str) -> None:
    with contextlib.suppress(QuerySyntaxError):
        answer = own.search(text, limit=5)
        assert all(hit.path in SOURCES and hit.line >= 1 for hit in answer.hits)


def test_modes_that_are_chosen_read_the_language(own: Corpus) -> None:
    explain = own.search("if err != nil {", mode="text", explain=True, limit=1).explain
    assert explain is not None and not re.search("line|message", explain.plan)
