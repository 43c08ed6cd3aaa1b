"""A query becomes filters, a tree in order of cost, and the lists that are fused."""

from __future__ import annotations

import pytest

from config.errors import NotYet, UsageError
from search.plan import Names, Plan, Text, make
from search.query import parse


def plan(text: str, mode: str = "auto") -> Plan:
    return make(parse(text), mode, lambda term: None if len(term.text) < 3 else 10 * len(term.text))


@pytest.mark.parametrize(
    ("query", "printed"),
    [
        ("", "every file"),
        (
            "parse_config",
            'fuse(symbol("parse_config"), text("parse_config"), '
            'lexical("parse_config"), path("parse_config"))',
        ),
        (
            "src/app.py",
            'fuse(symbol("src/app.py"), text("src/app.py"), lexical("src/app.py"), path("src/app.py"))',
        ),
        ("retry with wait", 'fuse(lexical("retry with wait"), semantic("retry with wait"))'),
        (
            "fooBar baz()",
            'fuse(symbol("fooBar baz()"), text("fooBar baz()"), lexical("fooBar baz()"), '
            'semantic("fooBar baz()"))',
        ),
        ("lang:py retry wait", 'lang:python then fuse(lexical("retry wait"), semantic("retry wait"))'),
        ("retry wait -lang:go", 'not lang:go then fuse(lexical("retry wait"), semantic("retry wait"))'),
        ("retry wait -test", 'not text("test") then fuse(lexical("retry wait"), semantic("retry wait"))'),
        ('"a b"', 'text("a b")'),
        ("/a.b*/ foo", 'text("foo") then text(/a.b*/)'),
        ("a OR b", 'any(text("a"), text("b"))'),
        ("(foo OR bar) -baz qux", 'text("qux") then any(text("foo"), text("bar")) then not text("baz")'),
        ("sym:Foo text", 'symbol("Foo") then text("text")'),
        ("ref:foo", 'ref("foo")'),
        ("def:/^get/", "symbol(/^get/)"),
        ("changed:yes path:src lang:go", "lang:go then path:src then changed:yes"),
        ("lang:py OR lang:go", "any(lang:python, lang:go)"),
        ("lang:py OR foo", 'any(lang:python, text("foo"))'),
        ('~"how to retry"', '~"how to retry"'),
        ('lang:go ~"how to retry" foo', 'lang:go then text("foo") then ~"how to retry"'),
        ('~"a" OR foo', 'any(~"a", text("foo"))'),
        ('-~"a" foo "b c d"', 'text("foo") then text("b c d") then not ~"a"'),
        ("similar:a.py:3 lang:go", "lang:go then similar:a.py:3"),
        ("in:comment TODO", 'text("TODO", in comment)'),
        ("-in:comment TODO", 'text("TODO", in code|string)'),
        ("(in:comment OR in:string) TODO", 'text("TODO", in comment|string)'),
        ("(in:comment TODO) main", 'text("TODO", in comment) then text("main")'),
        ("in:comment (a OR b)", 'any(text("a", in comment), text("b", in comment))'),
        ("kind:class Parser", 'symbol("Parser", kind class)'),
        ("kind:class", "kind(class)"),
        ("kind:class lang:go", "lang:go then kind(class)"),
        ("kind:function /retry/", "text(/retry/, kind function)"),
        ("kind:class sym:Foo", 'symbol("Foo", kind class)'),
        ("-kind:class foo /x/", 'text("foo") then not kind(class) then text(/x/)'),
        (
            "type:file foo_bar",
            'fuse(symbol("foo_bar"), text("foo_bar"), lexical("foo_bar"), path("foo_bar"))',
        ),
    ],
)
def test_plan(query: str, printed: str) -> None:
    assert str(plan(query)) == printed


@pytest.mark.parametrize(
    ("mode", "query", "printed"),
    [
        ("text", "retry wait", 'text("wait") then text("retry")'),
        ("text", "foo_bar", 'text("foo_bar")'),
        ("text", "kind:class foo", 'text("foo", kind class)'),
        ("symbol", "foo", 'symbol("foo")'),
        ("symbol", "kind:class foo bar", 'symbol("foo", kind class) then symbol("bar", kind class)'),
        ("semantic", "foo_bar", 'semantic("foo_bar")'),
        ("semantic", 'lang:py "retry after" wait', 'lang:python then semantic("retry after wait")'),
        ("semantic", "retry -test", 'not text("test") then semantic("retry")'),
        (
            "hybrid",
            "retry",
            'fuse(symbol("retry"), text("retry"), lexical("retry"), semantic("retry"), path("retry"))',
        ),
    ],
)
def test_a_mode_decides_what_words_ask(mode: str, query: str, printed: str) -> None:
    assert str(plan(query, mode)) == printed


@pytest.mark.parametrize("query", ["ast:a", "foo OR -ast:a"])
def test_what_a_later_version_has_says_so(query: str) -> None:
    with pytest.raises(NotYet, match="not in this version yet"):
        plan(query)


def test_an_unknown_mode_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="auto, text, symbol"):
        plan("a", "fuzzy")


def test_what_no_trigram_narrows_is_read_last() -> None:
    tree = plan("ab foo OR xyz x", "text").tree
    assert str(tree) == 'any(text("foo") then text("ab"), text("xyz") then text("x"))'


def test_words_for_signals_are_those_of_positive_terms() -> None:
    assert plan('a "b c" -d (e OR sym:f) ~"g h" lang:py').words == ("a", "b", "c", "e", "f", "g", "h")


def test_settings_hold_for_the_whole_plan() -> None:
    made = plan("case:yes type:symbol foo")
    assert (made.case, made.types) == ("yes", "symbol")


def test_nodes_keep_their_qualifiers() -> None:
    assert plan("kind:class in:code a").tree == Text("a", False, frozenset({"code"}), frozenset({"class"}))
    assert plan("kind:class kind:enum a").tree == Names("a", kinds=frozenset({"class", "enum"}))
