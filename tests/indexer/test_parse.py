from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import grammar, parse
from indexer.records import KINDS, ROLES, Parsed, SourceFile
from tests.indexer.samples.regenerate import describe

SAMPLES = Path(__file__).parent / "samples"
LANGUAGES = sorted(grammar.PARSED_LANGUAGES)


def source(language: str, content: bytes) -> SourceFile:
    return SourceFile(bytes(16), content, language, "utf-8", 0)


def parsed(language: str, content: bytes) -> Parsed:
    return parse.parse(source(language, content), deadline_s=30)


def sample(language: str) -> bytes:
    return (SAMPLES / f"{language}.source").read_bytes()


def definitions(result: Parsed) -> list[tuple[str, str]]:
    symbols = result.symbols
    return [(KINDS[kind], name.decode()) for kind, name in zip(symbols.kind, symbols.name, strict=True)]


def references(result: Parsed, *roles: str) -> list[str]:
    table = result.references
    return [
        table.names[name].decode()
        for name, role in zip(table.name, table.role, strict=True)
        if not roles or ROLES[role] in roles
    ]


def check(content: bytes, result: Parsed) -> None:
    """Every invariant of the tables that other parts rely on."""
    symbols, refs, chunks = result.symbols, result.references, result.chunks
    n = len(symbols)
    assert all(len(column) == n for column in (symbols.kind, symbols.start, symbols.end, symbols.parent))
    for i in range(n):
        start, end, at = int(symbols.start[i]), int(symbols.end[i]), int(symbols.name_start[i])
        name, parent = symbols.name[i], int(symbols.parent[i])
        assert start <= at < end <= len(content)
        assert name and b"\n" not in name and b"\r" not in name and content[at:].startswith(name)
        name.decode()
        assert symbols.line[i] == content.count(b"\n", 0, at) + 1
        assert -1 <= parent < i
        assert parent < 0 or (symbols.start[parent] <= start and end <= symbols.end[parent])
    assert (np.diff(symbols.start.astype(np.int64)) >= 0).all()
    assert (np.diff(refs.start.astype(np.int64)) > 0).all()
    assert len(set(refs.names)) == len(refs.names)
    assert sorted(set(refs.name.tolist())) == list(range(len(refs.names)))
    for name_id, start in zip(refs.name.tolist(), refs.start.tolist(), strict=True):
        assert content[start:].startswith(refs.names[name_id])
    assert not set(refs.start.tolist()) & set(symbols.name_start.tolist())
    edges = [0, *chunks.end.tolist()]
    assert chunks.start.tolist() == edges[:-1] and edges[-1] == len(content)
    assert all(at == 0 or content[at - 1] == 0x0A for at in chunks.start.tolist())
    assert all(-1 <= symbol < n for symbol in chunks.symbol.tolist())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sample_gives_its_definitions_and_references(language: str) -> None:
    content = sample(language)
    assert describe(language, content) == (SAMPLES / f"{language}.expected").read_text("utf-8")
    check(content, parsed(language, content))


def test_there_is_no_sample_without_a_language() -> None:
    assert {path.stem for path in SAMPLES.glob("*.source")} == grammar.PARSED_LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_broken_files_give_whole_tables(language: str) -> None:
    content, dice = sample(language), random.Random(language)
    for _ in range(12):
        broken = bytearray(content)
        a, b = sorted(dice.sample(range(len(content)), 2))
        del broken[a : min(b, a + 40)]
        broken[a:a] = dice.choice([b"{", b")", b"'", b'"', b"\r\n", b"/*", b"\0", b"end", "é".encode()])
        text = bytes(broken).decode("utf-8", "replace").encode()
        check(text, parsed(language, text))
        check(text[:a], parsed(language, text[:a].decode("utf-8", "ignore").encode()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_file_has_nothing(language: str) -> None:
    result = parsed(language, b"")
    assert (len(result.symbols), len(result.references), len(result.chunks)) == (0, 0, 0)
    assert result.problems == ()


# Derandomised: an input that crashes a grammar would end the whole test run, not fail one test.
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LANGUAGES), st.text(max_size=300))
def test_any_text_gives_whole_tables(language: str, text: str) -> None:
    content = text.encode("utf-8", "ignore")
    check(content, parsed(language, content))


def test_a_language_without_grammar_gets_chunks_by_lines() -> None:
    content = b"some text\n\nmore of it\n" * 100
    result = parsed("text", content)
    assert (len(result.symbols), len(result.references), result.problems) == (0, 0, ())
    assert len(result.chunks) > 1
    check(content, result)
    assert parse.unparsed(source("c", content), "crashed").problems == ("crashed",)


def test_what_the_parser_did_not_understand_is_a_problem() -> None:
    result = parsed("c", b"int f(void)\n{\n}\n\n@@@ ) (;\nint g(void) { return 1; }\n")
    assert definitions(result) == [("function", "f"), ("function", "g")]
    assert len(result.problems) == 1 and "at line 5" in result.problems[0]


@pytest.mark.parametrize(
    ("language", "content", "problem"),
    [
        (
            "python",
            b"".join(b" " * i + b"if x:\n" for i in range(600)) + b" " * 600 + b"'s'\n",
            "nested 601 deep",
        ),
        ("yaml", b"".join(b" " * i + b"k:\n" for i in range(300)), "nested 300 deep"),
        ("c", b"(" * 100_000, "100000 brackets"),
        ("html", b"<div>\n" * 40_000, "needed more than 0.2 s"),
    ],
)
def test_a_file_the_parser_cannot_take_gets_chunks_by_lines(
    language: str, content: bytes, problem: str
) -> None:
    begin = time.monotonic()
    result = parse.parse(source(language, content), deadline_s=0.2)
    assert time.monotonic() - begin < 3
    assert problem in result.problems[0]
    assert len(result.symbols) == 0
    check(content, result)


def test_definitions_come_once_and_the_most_telling_kind_wins() -> None:
    result = parsed("javascript", b"const a = function b() {};\nclass C { m = () => {}; f = 1 }\n")
    assert definitions(result) == [
        ("function", "a"), ("function", "b"), ("class", "C"), ("method", "m"), ("field", "f"),
    ]  # fmt: skip


def test_reads_and_writes_of_local_names_are_no_references() -> None:
    content = b"limit = 1\ndef f(a, limit2):\n    b = a + limit\n    b.a = g(b)\n    return a(limit2)\n"
    result = parsed("python", content)
    assert references(result) == ["limit", "a", "g", "a"]
    assert references(result, "write") == ["a"]  # the attribute, which only looks like the parameter
    assert references(result, "call") == ["g", "a"]
    assert references(parsed("python", content + b"print(a)\n"))[-2:] == ["print", "a"]


def test_local_variables_are_no_definitions() -> None:
    content = (
        b"int global = 1;\nint f(int p)\n{\n\tint local = p;\n\tstruct s { int x; } q;\n\treturn local;\n}\n"
    )
    assert definitions(parsed("c", content)) == [
        ("variable", "global"), ("function", "f"), ("struct", "s"), ("field", "x"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"char **f(void) { }", [("function", "f")]),
        (b"int (*f(int a))(int) { }", [("function", "f")]),
        (b"static int __init f(void) { }", [("function", "f")]),
        (b"typedef int (*cb_t)(int a), other_t;", [("type", "cb_t"), ("type", "other_t")]),
        (b"enum { A, B = 2 };", [("constant", "A"), ("constant", "B")]),
        (b"extern int e; int f(int); struct t;", []),
        (b"int a, *b = 0, c[2][3], (*d)(int);", [("variable", name) for name in "abcd"]),
        (b"static DEFINE_MUTEX(m);", [("variable", "m")]),
        (b"DEFINE_MUTEX(m);", [("variable", "m")]),
        (b"SYSCALL_DEFINE1(exit, int, code) { }", [("function", "exit")]),
        (b"#define M(x) \\\n\tx", [("macro", "M")]),
    ],
)
def test_definitions_of_c(line: bytes, found: list[tuple[str, str]]) -> None:
    assert definitions(parsed("c", line + b"\n")) == found


@pytest.mark.parametrize("macro", [b"API", b"API_X(1)", b"API [[nodiscard]]"])
def test_a_class_behind_an_export_macro_is_a_class(macro: bytes) -> None:
    content = b"class " + macro + b" Name final : public Base {\n int f() { return 1; }\n};\n"
    result = parsed("cpp", content)
    assert definitions(result) == [("class", "Name"), ("method", "f")]
    assert references(result, "inherit") == ["Base"]
    check(content, result)


def test_equations_of_one_function_are_one_definition() -> None:
    content = b"f :: Int -> Int\nf 0 = 1\nf n = n * f (n - 1)\n\ng x = x\n\nf' y = y\n"
    result = parsed("haskell", content)
    assert definitions(result) == [("function", "f"), ("function", "g"), ("function", "f'")]
    assert content[result.symbols.start[0] : result.symbols.end[0]].startswith(b"f 0 = 1\nf n")


@pytest.mark.parametrize(
    ("language", "content"),
    [
        ("json", b'{"a": {"b": {"c": 1}, "d": [{"e": 1}]}}'),
        ("yaml", b"a:\n  b:\n    c: 1\n  d:\n  - e: 1\n"),
        ("toml", b"[a]\nb = { c = 1 }\nd = [{ e = 1 }]\n"),
    ],
)
def test_only_keys_of_the_first_two_levels_are_definitions(language: str, content: bytes) -> None:
    assert definitions(parsed(language, content)) == [("key", "a"), ("key", "b"), ("key", "d")]


def test_names_are_one_line_and_bounded() -> None:
    content = b"# " + b"word " * 200 + b"\n\nTwo\nlines\n====\n"
    names = parsed("markdown", content).symbols.name
    assert len(names[0]) <= 256
    assert names[1] == b"Two"


def test_a_file_of_many_windows_has_each_reference_once() -> None:
    content = b"int f(void)\n{\n\treturn g() + LIMIT;\n}\n" * 8_000
    result = parsed("c", content)
    assert len(result.symbols) == 8_000
    assert np.bincount(result.references.name).tolist() == [8_000, 8_000]
    assert result.references.names == [b"g", b"LIMIT"]
