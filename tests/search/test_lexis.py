"""Comments and strings are found in the common languages."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.languages import LANGUAGES
from search.lexis import _RULES_OF, COMMENT, in_places, is_known, places_of, spans

# «comment», ‹string›
MARKED = [
    ("c", "int a; «// one \\\n still»\nchar *s = ‹\"// no\"›; «/* two\n lines */» f(‹'\"'›); x = a / b;"),
    ("c", 'puts(‹"a \\" /* b"›); «/* never closed'),
    ("c", "puts(‹\"open›\nint x; «/* c */»"),
    ("cpp", 'auto s = ‹R"x(// no )" )x"›; «// yes»\nauto t = u8‹"a"›;'),
    ("java", 'String s = ‹"""\n a "quoted" // no\n"""›; «/** doc */»'),
    ("csharp", 'var p = ‹@"C:\\"›; «// x»\nvar q = ‹"""a " b"""›;'),
    ("kotlin", 'val s = ‹"""a "b" c"""› «/* a /* nested */ still */» val c = ‹\'x\'›'),
    ("scala", 'val s = ‹"x"› «// y»'),
    ("swift", 'let s = ‹#"a "quoted" b"#› «/* a /* b */ c */» let t = ‹"x"›'),
    ("rust", "fn f<'a>(x: &'a str) { ‹'\"'›; ‹r#\"a \"q\" // b\"#›; «/* /* */ */» b‹'x'›}"),
    ("go", "s := ‹`a\n// no`› «// yes»\nr := ‹'\\''›"),
    ("javascript", "const a = ‹`x ${\n1} // no`›; «// it's»\nlet b = ‹'// no'›;"),
    ("typescript", "let b: string = ‹\"x\"›; «/* c */»"),
    ("tsx", "let b = ‹\"x\"›; «/* c */»"),
    ("dart", "var a = ‹'''x\n'''›; «/// doc»\n"),
    ("zig", "const s = \n  ‹\\\\ a \" // b›\n; «// c»"),
    ("php", "$a = ‹'it\\'s'›; «# c»\n#[Attr]\n«// d»"),
    ("css", "a { content: ‹\"x\"› } «/* c */»"),
    ("json", '{‹"a"›: ‹"// no"›}'),
    ("python", 'x = ‹"#no"› «# yes \'»\ndef f():\n    ‹"""doc\n # no"""›\n    return f‹\'a\'›'),
    ("python", "s = ‹'''it's'''› + ‹'\\''› «# c»"),
    ("toml", "a = ‹'C:\\'› «# c»\nb = ‹\"\"\"x\n#\"\"\"›"),
    ("graphql", '‹"""doc # no"""›\ntype A «# yes»'),
    ("julia", 'x = ‹"a"› «#= b\n=#» «# c»'),
    ("elixir", '@doc ‹"""\n# no\n"""›\n«# yes»'),
    ("ruby", 'a = ‹"x #{y}"› «# c»\n«=begin\nall\n=end»\nb = ‹\'z\'›'),
    ("perl", "my $n = $#a; «# c»\n«=pod\nx\n=cut»\n$x = ‹'y'›;"),
    ("bash", "echo ‹\"a # b\"› $# ‹'it'› a#b «# c»"),
    ("make", "all: x «# c»\n\techo ‹\"a\"›"),
    ("yaml", "a: it's fine «# c»\nb: ‹\"x # y\"›\nc: x#y"),
    ("ini", "«; c»\na = b ; d\n«# e»"),
    ("lua", "x = ‹[[a -- b]]› «--[==[ c\n]] ]==]» «-- d»\n"),
    ("sql", "select ‹'it'›‹'s -- no'› «-- yes»\n«/* c */»"),
    ("haskell", 'f = g --> h «-- c»\n«{- a {- b -} c -}» s = ‹"x"› where x\' = 1'),
    ("ocaml", 'let s = ‹"x"› «(* a (* b *) c *)» let c = ‹\'x\'›'),
    ("clojure", '(def s ‹"a ; b"›) «; c»'),
    ("erlang", 'f() -> ‹"%"›. «% c»'),
    ("tex", "100\\% «% c»"),
    ("vim", "«\" c»\nlet s = ‹'x'›"),
    ("asm", "«# c»\n mov %eax, 1 «; d»\n«/* e */» «// f»"),
    ("html", "<a href=\"x\"> it's «<!-- c\n -->» </a>"),
    ("markdown", "it's \"so\" «<!-- c -->»"),
    ("devicetree", "compatible = ‹\"a,b\"›; «/* c */»"),
    ("kconfig", "«# c»\nconfig A\n\tbool ‹\"x\"›"),
    ("powershell", "$a = ‹'x'› «<# b\n #>» «# c»"),
    ("fortran", "x = ‹'a'› «! c»"),
    ("vue", "<a/> «<!-- c -->» let x = ‹'y'› «// z»"),
    ("text", "it's // all # code -- here"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "marked"), MARKED)
def test_comments_and_strings_are_told_from_code(language: str, marked: str) -> None:
    plain, expected = "", []
    for char in marked:
        if char in "«‹":
            expected.append([len(plain), -1, 1 if char == "«" else 2])
        elif char in "»›":
            expected[-1][1] = len(plain)
        else:
            plain += char
    if expected and expected[-1][1] < 0:
        expected[-1][1] = len(plain)
    assert [list(span) for span in spans(language, plain.encode())] == expected


def test_every_language_of_the_table_exists() -> None:
    assert {name for name in _RULES_OF if name not in LANGUAGES} == set()


def test_offsets_are_put_in_their_places() -> None:
    text = b'a = "b"  # c\nd'
    offsets = np.array([13, 0, 4, 5, 6, 7, 9, 11, 12], np.int64)
    assert places_of("python", text, offsets).tolist() == [0, 0, 2, 2, 2, 0, 1, 1, 0]
    assert in_places("python", text, offsets, frozenset(("comment",))).sum() == 2
    assert in_places("python", text, offsets, frozenset(("code", "string"))).sum() == 7
    assert in_places("text", text, offsets, frozenset(("code",))).all()
    assert not is_known("text")
    assert len(places_of("python", text, np.array([], np.int64))) == 0


@settings(max_examples=150, deadline=None)
@given(text=st.text("\"'`/*#-\\\n a{}[]()=<!rR@%;", max_size=60), language=st.sampled_from(sorted(_RULES_OF)))
def test_any_text_gives_spans_in_order(text: str, language: str) -> None:
    at = 0
    for start, end, kind in spans(language, memoryview(text.encode())):
        assert at <= start < end <= len(text)
        assert kind in (1, 2)
        at = end


@pytest.mark.parametrize(
    "piece",
    [b'"', b"'", b"/*", b"`", b'"""', b"(*", b"{-", b"--[[", b"#", b"\\", b'R"(', b'r#"', b"=begin\n"],
)
def test_no_text_makes_it_slow(piece: bytes) -> None:
    for language in _RULES_OF:
        start = time.process_time()
        for _ in spans(language, piece * 4000):
            pass
        assert time.process_time() - start < 2, language


def test_comments_of_a_memoryview() -> None:
    assert list(spans("c", memoryview(b"/* a /* b */ c"))) == [(0, 12, COMMENT)]
