"""The query language is read as its manual says, and printed so that it reads back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.errors import QuerySyntaxError
from indexer.languages import LANGUAGES
from indexer.records import KINDS
from search.fields import FIELDS, SINCE_SECONDS, path_form, path_regex, since_start
from search.lex import is_bare_word
from search.matcher import Matcher
from search.query import (
    DEPTH_MAX,
    QUERY_CHARS_MAX,
    TERMS_MAX,
    And,
    Ast,
    Everything,
    Field,
    Meaning,
    Not,
    Or,
    Phrase,
    Query,
    Regex,
    Similar,
    Word,
    parse,
    setting,
    terms,
)
from search.shape import shape


def words(*texts: str) -> Query:
    return And(tuple(Word(t) for t in texts)) if len(texts) > 1 else Word(texts[0])


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", Everything()),
        ("  \t\n ", Everything()),
        ("retry", Word("retry")),
        ("retry wait", words("retry", "wait")),
        ("retry AND wait", words("retry", "wait")),
        ("a OR b c", Or((Word("a"), words("b", "c")))),
        ("(a OR b) c", And((Or((Word("a"), Word("b"))), Word("c")))),
        ("((a))", Word("a")),
        ("(a b) c", And((words("a", "b"), Word("c")))),
        ("-a", Not(Word("a"))),
        ("NOT a b", And((Not(Word("a")), Word("b")))),
        ("NOT -a", Not(Not(Word("a")))),
        ("-(a OR b)", Not(Or((Word("a"), Word("b"))))),
        ("a and b or not c", words("a", "and", "b", "or", "not", "c")),
        ('"two words"', Phrase("two words")),
        (r'"say \"hi\" \\ \n"', Phrase('say "hi" \\ \\n')),
        ('"a""b"', And((Phrase("a"), Phrase("b")))),
        ("/re+x/", Regex("re+x")),
        (r"/a b\/c\d/", Regex(r"a b/c\d")),
        ("(/a/)", Regex("a")),
        ("/tmp path:src/", And((Word("/tmp"), Field("path", "src/")))),
        ('~"what it does"', Meaning("what it does")),
        ('meaning:"what it does"', Meaning("what it does")),
        ("meaning:retry", Meaning("retry")),
        ('ast:"retry($F, max=$N)"', Ast("retry($F, max=$N)")),
        ("ast:retry($F)", Ast("retry($F)")),
        ("similar:src/a.py:120", Similar("src/a.py", 120)),
        ('similar:"my dir/a.py:7"', Similar("my dir/a.py", 7)),
        ("content:lang:py", Word("lang:py")),
        ('content:"lang:py"', Phrase("lang:py")),
        ("content:/a.b/", Regex("a.b")),
    ],
)
def test_a_query_is_read(text: str, tree: Query) -> None:
    assert parse(text) == tree
    assert parse(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("lang:py", Field("lang", "python")),
        ("l:py", Field("lang", "python")),
        ("language:C++", Field("lang", "cpp")),
        ('lang:"c"', Field("lang", "c")),
        ("path:src/", Field("path", "src/")),
        ('path:"a b"', Field("path", "a b", "quoted")),
        ("path:/^src/", Field("path", "^src", "regex")),
        ("path:/usr/lib", Field("path", "/usr/lib")),
        ("file:test_.*", Field("file", "test_.*")),
        ("f:*.py", Field("file", "*.py")),
        ("root:linux", Field("root", "linux")),
        ("repo:linux", Field("root", "linux")),
        ("case:yes", Field("case", "yes")),
        ("case:auto", Field("case", "smart")),
        ("kind:function", Field("kind", "function")),
        ("kind:Func", Field("kind", "function")),
        ("in:comment", Field("in", "comment")),
        ("in:strings", Field("in", "string")),
        ("sym:Parser", Field("sym", "Parser")),
        ("symbol:Parser.parse", Field("sym", "Parser.parse")),
        ("sym:std::vector", Field("sym", "std::vector")),
        ('sym:"operator =="', Field("sym", "operator ==", "quoted")),
        ("def:/^get/", Field("def", "^get", "regex")),
        ("ref:main", Field("ref", "main")),
        ("callers:f", Field("callers", "f")),
        ("callees:f", Field("callees", "f")),
        ("imports:os.path", Field("imports", "os.path")),
        ("importedby:/x/", Field("importedby", "/x/")),
        ("sym:/*a/", Field("sym", "/*a/")),
        ("changed:yes", Field("changed", "yes")),
        ("changed:True", Field("changed", "yes")),
        ("since:2h", Field("since", "2h")),
        ("since:02H", Field("since", "2h")),
        ("since:2026-11-01", Field("since", "2026-11-01")),
        ("type:symbol", Field("type", "symbol")),
        ("type:path", Field("type", "file")),
    ],
)
def test_a_field_is_read_into_its_canonical_form(text: str, field: Field) -> None:
    assert parse(text) == field
    assert parse(str(field)) == field


@pytest.mark.parametrize(
    "code",
    [
        "foo(bar)",
        "foo()",
        "()",
        "foo(",
        "foo)",
        "f(g(x))",
        "a->b",
        "->next",
        "--flag",
        "-=",
        "-",
        "std::vector",
        "::global",
        "http://x",
        "https://x/y?z=1",
        "file://x",
        "base:64",
        "math:pi",
        "find:x",
        "foo:",
        "Type:",
        "TODO(me):",
        "#include",
        "<a.h>",
        "==",
        "/usr/lib",
        "/usr/lib/",
        "/api/v1/users",
        "/",
        "//",
        "/*",
        "*/",
        "a/b",
        "x[0]",
        'a"b',
        "it's",
        "~Foo",
        "$VAR",
        "@app.route",
        "foo.*bar",
        "C:\\dir",
        "größe",
        "a|b",
        "&&",
        "!x",
        "sym",
        "=>",
    ],
)
def test_code_is_one_word(code: str) -> None:
    assert parse(code) == Word(code)
    assert str(Word(code)) == code


@pytest.mark.parametrize(
    ("code", "tree"),
    [
        ("x == y", words("x", "==", "y")),
        ("#include <a.h>", words("#include", "<a.h>")),
        ('#include "a.h"', And((Word("#include"), Phrase("a.h")))),
        ("int main(void) {", words("int", "main(void)", "{")),
        ("foo(a, b)", words("foo(a,", "b)")),
        ("a / b / c", words("a", "/", "b", "/", "c")),
        ("// see here", words("//", "see", "here")),
        ("/* a comment */", words("/*", "a", "comment", "*/")),
        ("x - y", words("x", "-", "y")),
        ("if (x) return", And((Word("if"), Word("x"), Word("return")))),
        ("() => x", words("()", "=>", "x")),
        ("(foo(bar) baz)", words("foo(bar)", "baz")),
        ("(foo(bar))", Word("foo(bar)")),
        ("std::map<int> m", words("std::map<int>", "m")),
    ],
)
def test_pasted_code_means_its_words(code: str, tree: Query) -> None:
    assert parse(code) == tree
    assert parse(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ('foo "bar', 4, "never closed"),
        ("foo (bar", 4, "never closed"),
        ("(", 0, "never closed"),
        ("(a))", 3, "closes no group"),
        ("foo ) bar", 4, "closes no group"),
        ("foo ( )", 4, "empty"),
        ('foo ""', 4, "empty"),
        ("OR b", 0, "before it"),
        ("AND b", 0, "before it"),
        ("a OR", 2, "after it"),
        ("a OR OR b", 2, "after it"),
        ("a AND", 2, "after it"),
        ("a NOT", 2, "after it"),
        ("(a OR) b", 3, "after it"),
        ("-(", 1, "never closed"),
        ("a (OR b)", 3, "before it"),
        ("langg:py", 0, "did you mean lang:"),
        ("paht:src", 0, "did you mean path:"),
        ("foo typ:file", 4, "did you mean type:"),
        ("import:os", 0, "did you mean imports:"),
        ("lang:pythn", 5, "python"),
        ("lang:", 0, "needs a value"),
        ("type: string", 0, "needs a value"),
        ("type:string", 5, "file, symbol, line"),
        ("kind:functio", 5, "did you mean function"),
        ("case:maybe", 5, "yes, no, smart"),
        ("in:docs", 3, "comment, string, code"),
        ("changed:perhaps", 8, "yes, no"),
        ("since:2y", 6, "2h"),
        ("since:2026-13-01", 6, "no day"),
        ("since:99999999w", 6, "hundred years"),
        ("similar:a.py", 8, "similar:src/app.py:120"),
        ("similar:a.py:0", 8, "similar:src/app.py:120"),
        ('meaning:""', 8, "empty"),
        ('~""', 1, "empty"),
        ("/a(/", 0, "missing )"),
        ("x /[b-a]/", 2, "invalid character class range"),
        ("path:/a(/", 5, "missing )"),
        ("file:(a", 5, "missing )"),
        ("a OR case:yes", 5, "whole query"),
        ("(type:file a)", 1, "whole query"),
        ("-case:yes", 1, "whole query"),
        ("a" * (QUERY_CHARS_MAX + 1), QUERY_CHARS_MAX, "longer than"),
        ("a " * (TERMS_MAX + 1), 2 * TERMS_MAX, "terms"),
        ("(" * (DEPTH_MAX + 2) + "a" + ")" * (DEPTH_MAX + 2), DEPTH_MAX + 1, "in each other"),
        ("\ud800", 0, "surrogate"),
    ],
)
def test_a_mistake_has_its_column_and_a_hint(text: str, column: int, says: str) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse(text)
    assert caught.value.column == column
    assert says in str(caught.value)


def test_the_hint_quotes_what_was_meant_as_text() -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse('langg:"a b"')
    assert "langg:" in caught.value.hint
    with pytest.raises(QuerySyntaxError) as caught:
        parse("files:x")
    assert caught.value.hint.endswith('"files:x"')
    assert parse('"files:x"') == Phrase("files:x")


# Trees that parse can give.
_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
_codeish = st.text("ab(){}[]/\\\"'-:=<>.*~#$, \n_é", min_size=1, max_size=8)


def _is_free(text: str) -> bool:
    """No word that means something else in a group, or before a slash further on."""
    return is_bare_word(text) and not re.search("[()]", text) and text[0] != "/"


_word = st.one_of(_text, _codeish).filter(_is_free).map(Word)
_filled = st.one_of(_text, _codeish).filter(lambda t: bool(t.strip()))
_pattern = st.sampled_from(["a", "a/b", "/\\\\", "a b", r"[/]\d+", "(?i)x|y", "é", "\\\\"])
_bare_path = st.sampled_from(
    ["src/", "*.py", "test_.*", "a(b)c", "x:y", "c++", "/usr/lib", "#x", "-x", "{a,b}.c"]
)
_named = st.sampled_from(["path", "file", "sym", "def", "ref"])
_field = st.one_of(
    st.builds(Field, st.just("lang"), st.sampled_from(sorted(LANGUAGES))),
    st.builds(Field, st.just("kind"), st.sampled_from(KINDS[1:])),
    st.builds(Field, st.just("in"), st.sampled_from(["comment", "string", "code"])),
    st.builds(Field, st.just("changed"), st.sampled_from(["yes", "no"])),
    st.builds(
        Field, st.just("since"), st.builds("{}{}".format, st.integers(1, 99), st.sampled_from("smhdw"))
    ),
    st.builds(Field, st.sampled_from(["root", "callers", "callees", "imports", "importedby"]), _filled),
    st.builds(Field, _named, _bare_path),
    st.builds(Field, _named, _filled, st.just("quoted")),
    st.builds(Field, _named, _pattern, st.just("regex")),
)
_leaf = st.one_of(
    _word,
    _text.map(Phrase),
    _codeish.map(Phrase),
    _pattern.map(Regex),
    _filled.map(Meaning),
    _filled.map(Ast),
    st.builds(Similar, _filled, st.integers(1, 10**6)),
    _field,
)


def _joined(inner: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(inner.map(Not), several.map(And), several.map(Or))


_trees = st.recursive(_leaf, _joined, max_leaves=12)


@settings(max_examples=400, deadline=None)
@given(tree=_trees)
def test_a_printed_tree_reads_back(tree: Query) -> None:
    assert parse(str(tree)) == tree, str(tree)


_queryish = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "(",
                ")",
                "-",
                "NOT ",
                "AND ",
                "OR ",
                '"',
                "/",
                "~",
                ":",
                " ",
                "\\",
                "*",
                "lang:",
                "path:",
                "sym:",
            ]
        )
        | st.sampled_from(
            [
                "case:yes",
                "type:",
                "similar:",
                "since:",
                "kind:",
                "content:",
                "in:",
                "files:",
                "a",
                "b c",
                "::",
            ]
        ),
        st.text(max_size=3),
    ),
    max_size=14,
).map("".join)


@settings(max_examples=800, deadline=None)
@given(text=st.one_of(_queryish, st.text(max_size=30)))
@example("a) (b c")
@example("content:a) OR b")
@example("content:( x")
@example("(content:a() b")
@example("-(a foo( )")
@example('/0 root:"a/"')
@example("/0 path:src/")
@example("x (a sym:foo( ) OR b")
def test_any_text_gives_a_tree_or_a_mistake_within_it(text: str) -> None:
    try:
        tree = parse(text)
    except QuerySyntaxError as error:
        assert 0 <= error.column < len(text)
        assert str(error)
        return
    assert parse(str(tree)) == tree, (text, str(tree))
    assert shape(tree)
    for leaf in terms(tree):
        if isinstance(leaf, Regex):
            Matcher(leaf.pattern)


def test_settings_of_the_whole_query_are_found() -> None:
    tree = parse("case:yes foo type:file")
    assert setting(tree, "case", "smart") == "yes"
    assert setting(tree, "type", "line") == "file"
    assert setting(parse("foo"), "case", "smart") == "smart"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("lang:py", "empty"),
        ("-foo", "empty"),
        ("parse_config", "identifier"),
        ("lang:go parseConfig -path:test", "identifier"),
        ("std::vector", "identifier"),
        ("os.path.join", "identifier"),
        ("run()", "identifier"),
        ("src/app.py", "path"),
        ("README.md", "path"),
        ("a/b/", "path"),
        ("/fo+/", "regex"),
        ('"foo bar"', "phrase"),
        ("x == y", "code"),
        ("foo(a, b)", "code"),
        ("for (i = 0; i < n; i++)", "code"),
        ("getUser setUser", "code"),
        ("where are retries limited?", "sentence"),
        ("retry wait", "sentence"),
        ("how does parse_config work", "sentence"),
        ("a OR b", "boolean"),
        ("sym:Foo", "boolean"),
        ('~"x" foo', "boolean"),
        ('foo "bar baz"', "boolean"),
    ],
)
def test_a_query_has_a_shape(text: str, expected: str) -> None:
    assert shape(text) == expected


@pytest.mark.parametrize(
    ("value", "form", "hits", "misses"),
    [
        ("*.py", "glob", ["a.py", "x/a.py"], ["a.pyc", "a.py/x"]),
        ("src/*.c", "glob", ["src/a.c", "x/src/a.c"], ["src/x/a.c"]),
        ("/src/*.c", "glob", ["src/a.c"], ["x/src/a.c"]),
        ("src/**/a?.c", "glob", ["src/ab.c", "src/x/y/ab.c"], ["src/a.c"]),
        ("[!a]*.{c,h}", "glob", ["b.c", "x/b.h"], ["a.c", "b.cc"]),
        ("test_.*", "regex", ["test_a", "x/test_"], ["atest"]),
        ("(a|b)\\.c$", "regex", ["a.c", "xb.c"], ["a.cc"]),
        ("^src/", "regex", ["src/x"], ["x/src/x"]),
        ("src/", "text", ["src/a", "x/src/a"], ["srcs"]),
        ("c++", "text", ["libstdc++/x"], ["ccc"]),
        ("$lib/", "text", ["a/$lib/x"], ["lib/x"]),
        ("a.c", "text", ["a.c"], ["abc"]),
    ],
)
def test_a_bare_path_is_a_glob_a_pattern_or_text(
    value: str, form: str, hits: list[str], misses: list[str]
) -> None:
    assert path_form(value) == form
    matcher = Matcher(path_regex(value, "bare"))
    assert [p for p in hits + misses if matcher.any(p.encode())] == hits


def test_a_quoted_path_is_text() -> None:
    matcher = Matcher(path_regex("a*(b", "quoted"))
    assert matcher.any(b"x/a*(b.c") and not matcher.any(b"x/ab.c")


def test_since_counts_back_from_now() -> None:
    assert since_start("2h", 10_000.0) == 10_000.0 - 7200
    assert since_start("3d", 1e6) == 1e6 - 3 * SINCE_SECONDS["d"]
    assert since_start("2026-11-02", 0.0) - since_start("2026-11-01", 0.0) == SINCE_SECONDS["d"]


MANUAL = Path(__file__).parents[2] / "docs" / "QUERY.md"


def _rows(heading: str) -> list[list[str]]:
    section = MANUAL.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section.splitlines()
        if line[:1] == "|"
    ]
    return rows[2:]


def test_the_manual_shows_the_errors_as_they_are() -> None:
    rows = _rows("Errors")
    assert len(rows) > 20
    for query, column, message in rows:
        with pytest.raises(QuerySyntaxError) as caught:
            parse(query.strip("`"))
        assert (caught.value.column, str(caught.value)[: len(message)]) == (int(column), message), query


def test_the_manuals_examples_are_read() -> None:
    examples = [example for row in _rows("Fields") for example in re.findall("`([^`]+)`", row[2])]
    examples += [line[4:].split("   ")[0] for line in MANUAL.read_text().splitlines() if line[:4] == "    "]
    assert len(examples) > 30
    for text in examples:
        assert parse(str(parse(text))) == parse(text)
    fields = {name for row in _rows("Fields") for name in re.findall("`([a-z]+):`", row[0])}
    assert fields == set(FIELDS)


def test_the_manual_tells_what_is_one_word() -> None:
    for query, reading in _rows("Code in a query"):
        for code in re.findall("`([^`]+)`", query):
            if reading.startswith("one word"):
                assert parse(code) == Word(code)
            elif reading.startswith("words"):
                assert all(isinstance(leaf, Word) for leaf in terms(parse(code)))
