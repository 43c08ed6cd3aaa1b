"""What the hits of a question stand for, compared with the files themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.answer import Hit
from search.extent import WHOLE_LINES_MAX
from tests.search.corpus import Corpus

LONG = "def long_walk(graph):\n" + "".join(f"    step_{i} = graph.advance({i})\n" for i in range(300))
FILES: dict[str, str | bytes] = {
    f"pkg/{name}.py": (
        f'"""About {name}."""\n\nimport os\n\n\n'
        + "".join(
            f"def {verb}_{name}(first, second):\n"
            f'    """Explain how a {name} is {verb}ed."""\n'
            f"    value = first + second\n"
            f"    for each in range(value):\n"
            f"        os.{verb}(each)\n"
            f"    return value\n\n\n"
            for verb in ("open", "clos", "lock", "watch")
        )
        + f"class {name.title()}:\n    def kept(self):\n        return {i}\n"
    )
    for i, name in enumerate(("socket", "window", "folder", "market", "valve", "bottle", "account"))
}
FILES |= {"pkg/graph.py": LONG, "docs/notes.md": "# Notes\n\nHow a socket is opened and closed.\n"}
FILES |= {"copies/socket.py": FILES["pkg/socket.py"]}
QUESTIONS = (
    "how is a socket opened and closed",
    "where do we watch the folder",
    "which functions lock an account",
    "how does the graph advance each step",
    "what explains how a bottle is opened",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = Corpus(tmp_path_factory.mktemp("extent"), FILES)
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Corpus]:
    made = Corpus(tmp_path, FILES)
    yield made
    made.close()


def lines_of(hit: Hit) -> list[str]:
    text = FILES[hit.path]
    assert isinstance(text, str)
    return text.split("\n")


@pytest.mark.parametrize("question", QUESTIONS)
def test_lines_are_those_of_the_file_and_lie_within_the_hit(corpus: Corpus, question: str) -> None:
    for hit in corpus.search(question, limit=10).hits:
        assert hit.start_line <= hit.line <= hit.end_line
        numbers = [line.number for line in hit.lines]
        assert numbers == sorted(set(numbers)) and hit.line in numbers
        assert hit.start_line <= numbers[0] and numbers[-1] <= hit.end_line
        assert [line.text for line in hit.lines] == [lines_of(hit)[number - 1] for number in numbers]
        assert next(line for line in hit.lines if line.number == hit.line).is_match
        assert any(line.ranges for line in hit.lines) or not set(question.split()) & set(
            " ".join(lines_of(hit)).split()
        )


@pytest.mark.parametrize("question", QUESTIONS)
def test_whole_hits_show_all_lines(corpus: Corpus, question: str) -> None:
    for hit in corpus.search(question, limit=10, whole=True).hits:
        shown = min(hit.end_line - hit.start_line + 1, WHOLE_LINES_MAX)
        assert [line.number for line in hit.lines] == list(range(hit.start_line, hit.start_line + shown))
        assert [line.text for line in hit.lines] == lines_of(hit)[hit.start_line - 1 :][:shown]


def test_a_definition_is_shown_from_its_first_line_to_its_last(corpus: Corpus) -> None:
    hit = corpus.search("how is the valve locked", limit=1).hits[0]
    text = lines_of(hit)
    assert (hit.path, hit.symbol) == ("pkg/valve.py", "lock_valve")
    assert text[hit.start_line - 1].startswith("def ")
    assert any("return value" in line for line in text[hit.start_line - 1 : hit.end_line])
    assert any(line.text.startswith("def lock_valve") for line in hit.lines)


def test_a_whole_symbol_shows_its_name_among_all_lines(corpus: Corpus) -> None:
    hit = corpus.search("def:kept path:market", whole=True).hits[0]
    assert [line.number for line in hit.lines] == list(range(hit.start_line, hit.end_line + 1))
    (named,) = [line for line in hit.lines if line.is_match]
    assert [named.text[a:b] for a, b in named.ranges] == ["kept"]


def test_a_long_definition_is_shown_by_a_part_of_it(corpus: Corpus) -> None:
    hits = [hit for hit in corpus.search(QUESTIONS[3], limit=10).hits if hit.path == "pkg/graph.py"]
    assert hits
    assert all(hit.symbol == "long_walk" and hit.end_line - hit.start_line < 299 for hit in hits)


@pytest.mark.parametrize("question", QUESTIONS)
def test_two_hits_of_a_file_unless_more_are_asked_for(corpus: Corpus, question: str) -> None:
    first = Counter(hit.path for hit in corpus.search(question, limit=10).hits)
    assert max(first.values()) <= 2
    more = Counter(hit.path for hit in corpus.search(question, limit=10, path_prefix="pkg/socket.py").hits)
    assert set(more) == {"pkg/socket.py"}
    every = corpus.search(question, limit=100, per_file=0).hits
    assert len({(hit.path, hit.line) for hit in every}) == len(every)


@pytest.mark.parametrize("question", QUESTIONS)
def test_hits_of_one_file_do_not_touch(corpus: Corpus, question: str) -> None:
    hits = corpus.search(question, limit=50).hits
    for i, one in enumerate(hits):
        for other in hits[:i]:
            if one.path == other.path and one.start_line <= other.end_line + 1:
                together = max(one.end_line, other.end_line) - min(one.start_line, other.start_line) + 1
                assert one.end_line + 1 < other.start_line or together > WHOLE_LINES_MAX


def test_a_content_is_told_once_with_all_its_paths(own: Corpus) -> None:
    for query in (QUESTIONS[0], "sym:open_socket", '"os.watch"', "open_socket"):
        hits = own.search(query, limit=50).hits
        told = [hit for hit in hits if hit.path in ("pkg/socket.py", "copies/socket.py")]
        assert told and len({hit.line for hit in told}) == len(told)
        assert all({hit.path, *hit.also} == {"pkg/socket.py", "copies/socket.py"} for hit in told)
    one = own.search("sym:open_socket", path_prefix="copies/").hits[0]
    assert (one.path, one.also) == ("copies/socket.py", ())
    assert {hit.path for hit in own.search("file:socket").hits} == {"pkg/socket.py", "copies/socket.py"}


def test_a_copy_that_changed_is_told_by_itself(own: Corpus) -> None:
    text = FILES["pkg/socket.py"]
    assert isinstance(text, str)
    (own.root / "copies/socket.py").write_text("# new\n" + text)
    found = own.search("sym:open_socket").hits
    assert sorted((hit.path, hit.live, hit.also) for hit in found) == [
        ("copies/socket.py", True, ()),
        ("pkg/socket.py", False, ()),
    ]
    (own.root / "copies/socket.py").unlink()
    (alone,) = own.search("sym:open_socket").hits
    assert (alone.path, alone.also) == ("pkg/socket.py", ())
