from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexer import grammar
from indexer.languages import LANGUAGES
from indexer.records import KINDS, ROLES

LATER = 60.0


def at(capture: grammar.Capture) -> set[tuple[int, int]]:
    return set(zip(capture.start, capture.end, strict=True))


def capture(language: str, content: bytes) -> dict[str, grammar.Capture]:
    return grammar.captures(language, content, time.monotonic() + LATER)


def test_every_parsed_language_is_a_known_language() -> None:
    assert set(LANGUAGES) >= grammar.PARSED_LANGUAGES
    assert len(grammar.PARSED_LANGUAGES) == 27


@pytest.mark.parametrize("language", sorted(grammar.PARSED_LANGUAGES))
def test_a_query_compiles_and_captures_only_what_tags_reads(language: str) -> None:
    query = grammar._grammar(language).query
    names = {query.capture_name(i) for i in range(query.capture_count)}
    known = {"local", "attach", "undef", "clause", "error"}
    known |= {f"{group}.{kind}" for group in ("def", "name") for kind in KINDS}
    known |= {f"ref.{role}" for role in ROLES} | {"member.read", "member.write"}
    assert {name for name in names if not name.startswith("_")} <= known
    kinds = {name[5:] for name in names if name.startswith("name.")}
    assert kinds == {name[4:] for name in names if name.startswith("def.")}


def test_an_empty_file_captures_nothing() -> None:
    assert capture("c", b"") == {}


def test_windows_find_what_one_run_over_the_file_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(
        b"int function_%d(int a)\n{\n\treturn other_%d(a);\n}\n\n" % (i, i) for i in range(300)
    )
    whole = {name: at(found) for name, found in capture("c", content).items()}
    monkeypatch.setattr(grammar, "_WINDOW_BYTES", 1000)
    assert {name: at(found) for name, found in capture("c", content).items()} == whole
    assert len(whole["name.function"]) == 300


def test_predicates_see_text_beyond_the_first_piece_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "_WORD_BYTES", 3)
    content = b"# x\n" * 50_000 + b"require 'json'\nunrelated 'yaml'\n"
    assert [content[a:b] for a, b in at(capture("ruby", content)["ref.import"])] == [b"json"]


@pytest.mark.parametrize("language", ["c", "html", "markdown"])
def test_a_passed_deadline_cuts_the_parser_off_and_the_next_file_is_read(language: str) -> None:
    with pytest.raises(grammar.Cut):
        grammar.captures(language, b"<div>(a * b)\n\n" * 20_000, time.monotonic() - 1)
    assert "error" not in capture(language, b"\n")


def test_a_quadratic_file_stops_near_its_deadline() -> None:
    begin = time.monotonic()
    with pytest.raises(grammar.Cut):
        grammar.captures("html", b"<div>" * 40_000, begin + 0.1)
    assert time.monotonic() - begin < 2


def yaml_keys(depth: int) -> bytes:
    return b"".join(b" " * i + b"k:\n" for i in range(depth))


def python_ifs(depth: int) -> bytes:
    return b"".join(b" " * i + b"if x:\n" for i in range(depth)) + b" " * depth + b"'end'\n"


@pytest.mark.parametrize(
    ("language", "content", "refused"),
    [
        ("yaml", yaml_keys(100), False),
        ("yaml", yaml_keys(300), True),
        ("yaml", b"- " * 300 + b"a\n", True),
        ("yaml", b"? " * 300 + b"a\n", True),
        ("yaml", b"a: |\n" + b" " * 400 + b"deep text\n", False),
        ("yaml", b"#" + b"-" * 500 + b"\n---\na: 1\n", False),
        ("python", python_ifs(200), False),
        ("python", python_ifs(600), True),
        ("python", python_ifs(600).replace(b" ", b"\t"), True),
        ("python", b"x = (\n" + b" " * 900 + b"1)\n", False),
        ("c", python_ifs(600), False),
        ("c", b"(" * 1_500 + b")" * 1_500, False),
        ("c", b"(" * 3_000, True),
        ("c", b")" * 9_000 + b"[" * 3_000, True),
        ("c", b"f(x);\n" * 9_000, False),
        ("c", b"", False),
    ],
)
def test_inputs_that_crash_or_choke_a_grammar_are_refused(
    language: str, content: bytes, refused: bool
) -> None:
    assert bool(grammar.refusal(language, content)) is refused


def test_what_is_just_not_refused_does_not_crash(tmp_path: Path) -> None:
    # In a process of its own: if a new wheel crashes earlier, this fails instead of ending the test run.
    for language, deepest in grammar._BLOCKS_MAX.items():
        make = yaml_keys if language == "yaml" else python_ifs
        (tmp_path / language).write_bytes(make(deepest - 2))
        assert grammar.refusal(language, make(deepest - 2)) == ""
    (tmp_path / "c").write_bytes(b"(" * grammar._BRACKETS_MAX)
    program = (
        "import sys, time; from pathlib import Path; from indexer import grammar\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    grammar.captures(path.name, path.read_bytes(), time.monotonic() + 60)\n"
        "    print(path.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["c", "python", "yaml"]), done.stderr
