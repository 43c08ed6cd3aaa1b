"""A query is answered as a slow, obvious reading of the same files answers it; what is shown is on disk."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import Cancelled, DeadlineExceeded, NoSuchRoot, NotYet, QuerySyntaxError, UsageError
from indexer.store.board import RootState
from search import evaluate
from search.answer import SearchRequest
from search.budget import Budget
from search.hits import HitMaker
from search.query import And, Field, Not, Or, Phrase, Query, Regex, Word
from tests.search.corpus import Corpus

FILES: dict[str, str | bytes] = {
    "app/retry.py": (
        '"""Retries of requests."""\n\nLIMIT = 3\n\n\n'
        "def retry_request(request, limit=LIMIT):\n"
        "    # TODO give up earlier\n"
        "    for attempt in range(limit):\n"
        "        if send(request):\n"
        "            return attempt\n"
        '    raise TimeoutError("todo: say which")\n'
    ),
    "app/client.py": (
        "from app.retry import retry_request\n\n\n"
        "class HttpClient:\n"
        '    """Sends things."""\n\n'
        "    def send(self, request):\n"
        "        return retry_request(request)\n\n"
        "    def close(self):\n"
        "        self.open = False  # todo\n"
    ),
    "app/naïve.py": 'GREETING = "grüße, žluť"; größe = 1  # größe\n',
    "lib/backoff.go": (
        "package lib\n\n// Wait sleeps longer after every retry.\nfunc Wait(attempt int) int {\n"
        "\treturn 1 << attempt\n}\n"
    ),
    "lib/queue.js": "export class Queue {\n  send(item) {\n    return this.items.push(item);\n  }\n}\n",
    "tests/test_retry.py": (
        "from app.retry import retry_request\n\n\n"
        "def test_retry_request():\n"
        "    assert retry_request(object()) == 0\n"
    ),
    "docs/retry.md": "# Retry\n\nA request is sent again until the limit.\n",
    "data/long.txt": "x" * 3000 + " needle " + "y" * 3000 + "\n",
    "latin.txt": "caf\xe9 retry\n".encode("latin-1"),
    "empty.py": "",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    first = {path: text for path, text in FILES.items() if path.startswith("app/")}
    made = Corpus(tmp_path_factory.mktemp("engine"), first)
    made.save({path: text for path, text in FILES.items() if path not in first})
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Corpus]:
    made = Corpus(tmp_path, FILES)
    yield made
    made.close()


def text_of(path: str) -> str:
    raw = FILES[path]
    if isinstance(raw, str):
        return raw
    return raw.decode("latin-1")


# Text


def matching_lines(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> list[tuple[str, int]]:
    """Path and line of every match, by Python's own regular expressions."""
    return sorted(
        (path, number)
        for path in FILES
        for number, line in enumerate(text_of(path).split("\n"), 1)
        if re.search(pattern, line, flags)
    )


@pytest.mark.parametrize(
    ("query", "pattern", "flags"),
    [
        ('"retry_request"', "retry_request", re.IGNORECASE),
        ('"retry_request("', r"retry_request\(", re.IGNORECASE),
        ('"TODO"', "TODO", re.NOFLAG),
        ('"todo"', "todo", re.IGNORECASE),
        ('"todo" case:yes', "todo", re.NOFLAG),
        ('"TODO" case:no', "todo", re.IGNORECASE),
        (r"/def \w+\(/", r"def \w+\(", re.IGNORECASE),
        (r"/^class [A-Z]/", r"^class [A-Z]", re.NOFLAG),
        (r"/limit$/", r"limit$", re.IGNORECASE),
        ('"größe"', "größe", re.NOFLAG),
        ('"café"', "café", re.NOFLAG),
        ("/x/", "x", re.IGNORECASE),
        ('"nowhere at all"', "nowhere at all", re.NOFLAG),
    ],
)
def test_texts_are_found_on_the_lines_where_they_stand(
    corpus: Corpus, query: str, pattern: str, flags: re.RegexFlag
) -> None:
    assert corpus.lines(query) == matching_lines(pattern, flags)


def test_words_in_text_mode_are_texts_in_one_file(corpus: Corpus) -> None:
    found = set(corpus.paths("retry limit", mode="text"))
    assert found == {
        path for path in FILES if "retry" in text_of(path).lower() and "limit" in text_of(path).lower()
    }


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("in:comment todo", [("app/client.py", 11), ("app/retry.py", 7)]),
        ("in:string todo", [("app/retry.py", 11)]),
        ("in:code request", None),
        ("-in:code todo", [("app/client.py", 11), ("app/retry.py", 7), ("app/retry.py", 11)]),
        ("in:comment größe", [("app/naïve.py", 1)]),
        ("(in:comment todo) TimeoutError", [("app/retry.py", 7), ("app/retry.py", 11)]),
        ('kind:class "todo"', [("app/client.py", 11)]),
        ('kind:function "todo"', [("app/retry.py", 7), ("app/retry.py", 11)]),
    ],
)
def test_places_and_kinds_qualify_texts(
    corpus: Corpus, query: str, wanted: list[tuple[str, int]] | None
) -> None:
    found = corpus.lines(query)
    if wanted is None:
        assert ("app/retry.py", 1) not in found and ("app/retry.py", 6) in found
    else:
        assert found == wanted


# Boolean queries against a naive evaluator

WORDS = ("retry", "request", "class", "send", "limit", "wait", "TODO", "Queue", "größe", "zzz")
LANGUAGES = ("python", "go", "javascript", "markdown")


def leaves() -> st.SearchStrategy[Query]:
    return st.one_of(
        st.sampled_from(WORDS).map(Word),
        st.sampled_from(("retry_request", "def send", "x" * 40, "todo")).map(Phrase),
        st.sampled_from((r"retr\w+\(", "^class", "[0-9]", "todo|wait", "a")).map(Regex),
        st.sampled_from(LANGUAGES).map(lambda name: Field("lang", name)),
        st.sampled_from(("app/", "retry", "lib", ".py", "nowhere")).map(lambda part: Field("path", part)),
        st.sampled_from(("*.py", "queue.js", "test_.*")).map(lambda part: Field("file", part)),
    )


def trees() -> st.SearchStrategy[Query]:
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, min_size=2, max_size=3).map(lambda c: And(tuple(c))),
            st.lists(inner, min_size=2, max_size=3).map(lambda c: Or(tuple(c))),
        ),
        max_leaves=8,
    )


def folds(text: str) -> re.RegexFlag:
    return re.NOFLAG if any(c.isupper() for c in text) else re.IGNORECASE


LANGUAGE_OF = {".py": "python", ".go": "go", ".js": "javascript", ".md": "markdown"}


def admits(query: Query, path: str) -> bool:
    """Whether a file belongs to the answer, read off the query and the file."""
    match query:
        case And(children):
            return all(admits(child, path) for child in children)
        case Or(children):
            return any(admits(child, path) for child in children)
        case Not(child):
            return not admits(child, path)
        case Word(text) | Phrase(text):
            return re.search(re.escape(text), text_of(path), folds(text)) is not None
        case Regex(pattern):
            return any(re.search(pattern, line, folds(pattern)) for line in text_of(path).split("\n"))
        case Field("lang", value):
            return LANGUAGE_OF.get(Path(path).suffix) == value
        case Field("path", value):
            return value in path
        case Field("file", value):
            name = Path(path).name
            return name.endswith(".py") if value == "*.py" else re.search(value, name) is not None
    raise AssertionError(query)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees())
def test_boolean_queries_admit_what_a_naive_reading_admits(corpus: Corpus, tree: Query) -> None:
    wanted = {path for path in FILES if admits(tree, path)}
    assert set(corpus.paths(str(tree), mode="text")) == wanted


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees(), kind=st.sampled_from(["file", "line", "symbol"]))
def test_types_show_only_admitted_files(corpus: Corpus, tree: Query, kind: str) -> None:
    wanted = {path for path in FILES if admits(tree, path)}
    answer = corpus.search(
        f"type:{kind} {tree}" if not isinstance(tree, Or) else f"({tree}) type:{kind}", mode="text"
    )
    assert {hit.path for hit in answer.hits} <= wanted
    assert {hit.kind for hit in answer.hits} <= {kind}
    if kind == "file":
        assert sorted(hit.path for hit in answer.hits) == sorted(wanted)


# Symbols, words, meaning, paths


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("retry_request", ("app/retry.py", "symbol", "retry_request")),
        ("HttpClient.send", ("app/client.py", "symbol", "HttpClient.send")),
        ("HttpClient", ("app/client.py", "symbol", "HttpClient")),
        ("HC", ("app/client.py", "symbol", "HttpClient")),
        ("sym:Queue", ("lib/queue.js", "symbol", "Queue")),
        ("kind:class que", ("lib/queue.js", "symbol", "Queue")),
        ("def:/^retry/", ("app/retry.py", "symbol", "retry_request")),
        ("backoff.go", ("lib/backoff.go", "file", "")),
        ("app/client.py", ("app/client.py", "file", "")),
        ("test_retry", ("tests/test_retry.py", "symbol", "test_retry_request")),
    ],
)
def test_the_first_hit_of_a_name(corpus: Corpus, query: str, first: tuple[str, str, str]) -> None:
    hit = corpus.search(query, limit=5).hits[0]
    assert (hit.path, hit.kind, hit.symbol) == first


def test_references_are_found_by_name(corpus: Corpus) -> None:
    assert ("app/client.py", 8) in corpus.lines("ref:retry_request")
    assert ("app/retry.py", 6) not in corpus.lines("ref:retry_request")


def test_symbol_mode_finds_only_definitions(corpus: Corpus) -> None:
    answer = corpus.search("send", mode="symbol")
    assert sorted(hit.symbol for hit in answer.hits) == ["HttpClient.send", "Queue.send"]


def test_all_definitions_of_a_kind(corpus: Corpus) -> None:
    assert sorted(hit.symbol for hit in corpus.search("kind:class").hits) == ["HttpClient", "Queue"]


def test_a_sentence_may_miss_words_and_puts_the_file_with_most_of_them_first(corpus: Corpus) -> None:
    paths = corpus.paths("how is a request sent again until the limit")
    assert paths[0] == "docs/retry.md"
    assert "app/retry.py" in paths


def test_meaning_finds_the_chunk_that_shares_its_words(corpus: Corpus) -> None:
    answer = corpus.search("Wait sleeps longer after every retry", mode="semantic")
    assert answer.hits[0].path == "lib/backoff.go"


def test_meaning_ranks_what_the_other_terms_admit(corpus: Corpus) -> None:
    assert corpus.paths('~"Wait sleeps longer after every retry" lang:python "class"') == ["app/client.py"]


def test_meaning_below_or_is_a_set(corpus: Corpus) -> None:
    assert {"lib/backoff.go", "lib/queue.js"} <= set(corpus.paths('~"Wait sleeps longer" OR "push(item)"'))


def test_similar_code_leaves_the_code_itself_out(corpus: Corpus) -> None:
    answer = corpus.search("similar:app/retry.py:8")
    assert answer.hits
    assert all((hit.path, hit.line) != ("app/retry.py", 8) for hit in answer.hits)
    below = corpus.search("similar:retry.py:8", path_prefix="app/")
    assert [(hit.path, hit.line) for hit in below.hits] == [
        (hit.path, hit.line) for hit in answer.hits if hit.path.startswith("app/")
    ]
    with pytest.raises(UsageError, match=r"no file nowhere\.py"):
        corpus.search("similar:nowhere.py:1")
    with pytest.raises(UsageError, match="has 11 lines"):
        corpus.search("similar:app/retry.py:99")


def test_without_a_model_words_answer_and_a_warning_says_so(corpus: Corpus) -> None:
    engine = corpus.make_engine(embedder=None)
    answer = engine.search(SearchRequest("a request sent again", corpus.root_id))
    assert answer.hits[0].path == "docs/retry.md"
    assert any("no model" in warning for warning in answer.warnings)


def test_the_empty_query_lists_every_file(corpus: Corpus) -> None:
    assert sorted(corpus.paths("")) == sorted(FILES)
    assert {hit.kind for hit in corpus.search("").hits} == {"file"}


# What a request admits


@pytest.mark.parametrize(
    ("request_", "admitted"),
    [
        ({"path_prefix": "app"}, lambda p: p.startswith("app/")),
        ({"path_prefix": "app/"}, lambda p: p.startswith("app/")),
        ({"path_prefix": "app/retry.py"}, lambda p: p == "app/retry.py"),
        ({"path_prefix": "ap"}, lambda _: False),
        ({"languages": ("py",)}, lambda p: p.endswith(".py")),
        ({"languages": ("go", "javascript")}, lambda p: p.startswith("lib/")),
        ({"globs": ("*.py",)}, lambda p: p.endswith(".py")),
        ({"globs": ("!*.py",)}, lambda p: not p.endswith(".py")),
        ({"globs": ("*.py", "!test_*")}, lambda p: p.endswith(".py") and "test_" not in p),
        ({"globs": ("app/**",)}, lambda p: p.startswith("app/")),
        ({"globs": ("tests/",)}, lambda p: p.startswith("tests/")),
        ({"globs": ("/*.txt",)}, lambda p: p == "latin.txt"),
        ({"globs": ("*.{go,js}",)}, lambda p: p.startswith("lib/")),
        ({"globs": ("l*/[a-c]*",)}, lambda p: p == "lib/backoff.go"),
    ],
)
def test_the_scope_of_a_request(
    corpus: Corpus, request_: dict[str, object], admitted: Callable[[str], bool]
) -> None:
    assert sorted(corpus.paths("", **request_)) == sorted(filter(admitted, FILES))


def test_filters_apply_before_the_best_are_chosen(corpus: Corpus) -> None:
    for mode in ("auto", "text", "symbol", "hybrid", "semantic"):
        answer = corpus.search("retry_request", mode=mode, limit=1, globs=("tests/**",))
        assert [hit.path for hit in answer.hits] == ["tests/test_retry.py"], mode


def test_root_filters_by_the_path_of_the_root(corpus: Corpus) -> None:
    assert corpus.paths("root:tree") and not corpus.paths("root:elsewhere")


def test_since_compares_times_of_change(own: Corpus) -> None:
    old = time.time() - 7200
    os.utime(own.root / "app/retry.py", (old, old))
    own.save({"app/retry.py": FILES["app/retry.py"]})
    os.utime(own.root / "app/retry.py", (old, old))
    own.index.apply(own.root_id, {})
    paths = set(own.paths("since:1h"))
    assert "app/client.py" in paths


def git(root: Path, *arguments: str) -> None:
    name = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *name, *arguments], cwd=root, check=True, capture_output=True)


def test_changed_means_different_from_head_or_untracked(own: Corpus) -> None:
    with pytest.raises(UsageError, match="git work tree"):
        own.search("changed:yes")
    git(own.root, "init", "-q")
    git(own.root, "add", ".")
    git(own.root, "reset", "-q", "--", "lib/queue.js")
    git(own.root, "commit", "-q", "-m", "first")
    own.save({"app/client.py": "class HttpClient:\n    pass\n"})
    own.engine = own.make_engine()
    assert sorted(own.paths("changed:yes")) == ["app/client.py", "lib/queue.js"]
    assert sorted(own.paths("changed:yes class", mode="text")) == ["app/client.py", "lib/queue.js"]
    assert "app/client.py" not in own.paths("changed:no")


# What a hit shows


def test_ranges_and_columns_count_characters(corpus: Corpus) -> None:
    hit = corpus.search('"žluť"').hits[0]
    line = hit.lines[0]
    assert [line.text[a:b] for a, b in line.ranges] == ["žluť"]
    assert hit.column == text_of("app/naïve.py").index("žluť") + 1


def test_context_lines_stand_around_the_match(corpus: Corpus) -> None:
    hit = corpus.search('"attempt in range"', context=2).hits[0]
    assert [line.number for line in hit.lines] == [6, 7, 8, 9, 10]
    assert [line.is_match for line in hit.lines] == [False, False, True, False, False]
    assert [line.text for line in hit.lines] == text_of("app/retry.py").split("\n")[5:10]


def test_long_lines_are_cut_around_the_match(corpus: Corpus) -> None:
    line = corpus.search('"needle"').hits[0].lines[0]
    assert len(line.text) <= corpus.settings.query.snippet_chars_max
    assert [line.text[a:b] for a, b in line.ranges] == ["needle"]
    assert line.text.startswith("…") and line.text.endswith("…")


def test_symbols_are_dotted_and_end_where_the_definition_ends(corpus: Corpus) -> None:
    hit = corpus.search("sym:close").hits[0]
    assert (hit.symbol, hit.symbol_kind, hit.line, hit.end_line) == ("HttpClient.close", "method", 10, 11)
    inside = corpus.search('"self.open"').hits[0]
    assert (inside.symbol, inside.kind) == ("HttpClient.close", "line")


def test_explain_shows_plan_steps_and_signals(corpus: Corpus) -> None:
    answer = corpus.search("lang:py retry_request", explain=True, limit=3)
    assert answer.explain is not None
    assert answer.explain.query == "lang:python retry_request"
    assert answer.explain.plan.startswith("lang:python then fuse(symbol(")
    names = [step.name for step in answer.explain.steps]
    assert names[0] == "lang:python" and names[-1] == "hits"
    assert {"symbol", "text", "definition", "exact", "tests", "file words"} <= set(answer.hits[0].signals)
    assert corpus.search("retry_request").hits[0].signals == {}


def test_one_file_does_not_fill_the_answer(own: Corpus) -> None:
    own.save({"many.py": "retry_request()\n" * 40, "few.py": "retry_request()\n"})
    first = [hit.path for hit in own.search('"retry_request"', limit=8).hits]
    assert first.count("many.py") <= 3
    assert len(own.search('"retry_request"').hits) >= 41


def test_a_second_path_of_the_same_content_is_a_hit_of_its_own(own: Corpus) -> None:
    own.save({"copy/retry.py": FILES["app/retry.py"]})
    (hit,) = own.search('"TimeoutError"').hits
    assert {hit.path, *hit.also} == {"app/retry.py", "copy/retry.py"}
    assert own.paths('"TimeoutError" path:copy') == ["copy/retry.py"]


def test_removed_files_are_not_found(own: Corpus) -> None:
    own.save({}, removes=["app/retry.py"])
    assert "app/retry.py" not in own.paths("retry")
    assert "app/retry.py" not in own.paths("")


# Against the disk


def test_a_changed_file_is_read_live(own: Corpus) -> None:
    own.write({"app/retry.py": "\n\n# moved\ndef retry_request(request):\n    return 'todo later'\n"})
    for query in ("sym:retry_request", '"def retry_request"', "retry_request"):
        hit = next(hit for hit in own.search(query).hits if hit.path == "app/retry.py")
        assert (hit.line, hit.live) == (4, True), query
        assert hit.lines[0].text == "def retry_request(request):"
    answer = own.search('"TimeoutError"')
    assert not answer.hits
    assert not answer.fresh
    assert any("read live" in warning for warning in answer.warnings)


def test_a_tree_is_tried_again_on_a_changed_file(own: Corpus) -> None:
    own.write({"app/client.py": "def send(request):\n    return retry_request(request)\n"})
    assert "app/client.py" not in own.paths('"retry_request" "class"')
    assert "app/client.py" in own.paths('"retry_request" "def send"')
    own.write({"app/client.py": "def send(request):\n    return retry_request(request)  # zzz\n"})
    assert "app/client.py" not in own.paths('"retry_request" -"zzz"')


def test_a_file_that_is_gone_gives_its_place_to_the_next(own: Corpus) -> None:
    first, *_ = own.search("retry_request", limit=1).hits
    (own.root / first.path).unlink()
    answer = own.search("retry_request", limit=1)
    assert answer.hits and answer.hits[0].path != first.path
    assert any("gone" in warning for warning in answer.warnings)


@pytest.mark.parametrize(
    "replacement",
    [
        b"\0\1\2 retry_request",
        b"-----BEGIN RSA PRIVATE KEY-----\nretry_request\n",
        b"retry_request" * 200_000,
    ],
    ids=["binary", "secret", "too large"],
)
def test_what_would_not_be_indexed_is_not_read_live(own: Corpus, replacement: bytes) -> None:
    own.write({"app/retry.py": replacement})
    assert "app/retry.py" not in own.paths('"retry_request"')


def test_a_link_in_place_of_a_file_or_directory_is_not_followed(own: Corpus, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("retry.py", "client.py", "naïve.py"):
        (outside / name).write_text("retry_request outside of the root\n")
    (own.root / "app/client.py").unlink()
    (own.root / "app/client.py").symlink_to(outside / "client.py")
    assert "app/client.py" not in own.paths('"retry_request"')
    (own.root / "app").rename(own.root / "moved")
    (own.root / "app").symlink_to(outside)
    assert not any(path.startswith("app/") for path in own.paths('"retry_request"'))


EDITS = st.lists(
    st.sampled_from(["retry", "request", "\n", "wait()", "größe", " ", "def f():\n"]), max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edit=EDITS)
def test_no_line_is_shown_that_is_not_on_disk(
    tmp_path_factory: pytest.TempPathFactory, edit: list[str]
) -> None:
    made = Corpus(
        tmp_path_factory.mktemp("live"), {"a.py": "def retry(request):\n    wait()\n", "b.py": "retry\n"}
    )
    try:
        made.write({"a.py": "".join(edit)})
        for query in ('"retry"', "retry", "request wait", "sym:retry", "/w.it/", 'retry -"größe"', ""):
            for hit in made.search(query).hits:
                on_disk = (made.root / hit.path).read_text().split("\n")
                assert all(on_disk[line.number - 1] == line.text for line in hit.lines), (query, hit)
    finally:
        made.close()


# Trust, time, mistakes


class Board:
    """A notice board that says one thing."""

    def __init__(self, alive: bool = True, **changes: object) -> None:
        fields: dict[str, object] = {
            "pending": 0,
            "scanning": False,
            "files_done": 10,
            "files_total": 10,
            "healthy": True,
            "last_scan_ns": 1,
            "phase": "ready",
        }
        self.state = RootState(**(fields | changes))  # type: ignore[arg-type]
        self.alive = alive

    def root_state(self, _root_id: int) -> RootState:
        return self.state

    def writer_alive(self) -> bool:
        return self.alive


@pytest.mark.parametrize(
    ("board", "fresh", "incomplete", "warning"),
    [
        (Board(), True, "", ""),
        (Board(pending=2), False, "", ""),
        (Board(scanning=True), False, "", ""),
        (Board(phase="first_index", files_done=3), False, "first index: 3 of 10 files", ""),
        (Board(phase="first_index", files_done=3, files_total=0), False, "first index: 3 files", ""),
        (
            Board(phase="structure", structure_done=3, structure_total=9),
            True,
            "symbols and vectors: 3 of 9 files",
            "",
        ),
        (Board(healthy=False), False, "", "events may have been lost"),
        (Board(phase="missing"), False, "", "directory is not there"),
        (Board(alive=False), False, "", "writer does not answer"),
    ],
)
def test_an_answer_says_how_far_it_can_be_trusted(
    corpus: Corpus, board: Board, fresh: bool, incomplete: str, warning: str
) -> None:
    answer = corpus.make_engine(board=board).search(SearchRequest("retry", corpus.root_id))
    assert (answer.fresh, answer.incomplete) == (fresh, incomplete)
    assert answer.generation == corpus.index.snapshot().generation
    assert not warning or any(warning in said for said in answer.warnings)


@pytest.mark.parametrize(
    ("query", "mode", "structural"),
    [
        ("retry", "text", False),
        ('"retry"', "auto", False),
        ("/re.ry/ path:src in:comment", "auto", False),
        ("lang:python", "auto", False),
        ("retry", "auto", True),
        ("def:retry", "auto", True),
        ("ref:retry OR /x/", "auto", True),
        ("-def:retry", "auto", True),
        ("kind:class", "auto", True),
        ("retry kind:class", "text", True),
        ("type:symbol retry", "text", True),
        ('~"retry"', "auto", True),
        ("where is it retried", "auto", True),
    ],
)
def test_an_answer_of_text_alone_lacks_nothing_while_symbols_and_vectors_are_made(
    corpus: Corpus, query: str, mode: str, structural: bool
) -> None:
    board = Board(phase="structure", structure_done=3, structure_total=9)
    answer = corpus.make_engine(board=board).search(SearchRequest(query, corpus.root_id, mode=mode))
    assert answer.incomplete == ("symbols and vectors: 3 of 9 files" if structural else "")


class Flag:
    """A cancel flag that is set after some looks at it."""

    def __init__(self, after: int) -> None:
        self.left = after

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize(
    "query", ["retry_request", "retry a request", '"retry" OR "send"', "kind:class", '~"retry"']
)
def test_a_cancelled_query_ends_at_once(corpus: Corpus, query: str) -> None:
    looks = 0
    while looks < 200:
        try:
            corpus.engine.search(SearchRequest(query, corpus.root_id), Flag(looks))
            break
        except Cancelled:
            looks += 1
    assert 0 < looks < 200


def test_a_query_out_of_time_is_an_error_if_nothing_was_found(corpus: Corpus) -> None:
    with pytest.raises(DeadlineExceeded, match="within 0 ms"):
        corpus.search("retry_request", deadline_ms=0)


def test_the_number_of_files_that_a_text_is_ranked_in_has_a_bound(own: Corpus) -> None:
    answer = own.search('"retry"', limit=2)
    assert answer.incomplete == ""
    own.save({f"more/f{i}.py": f"retry {i}\n" for i in range(300)})
    answer = own.search('"retry"', limit=2)
    assert len(answer.hits) == 2
    assert answer.incomplete.startswith("budget: stopped after 64 files")


def test_a_query_out_of_time_answers_with_what_it_has(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    class Slow(Budget):
        """Every look at the clock takes a second."""

        def __init__(self, ms: float, _cancel: object = None, _clock: object = None) -> None:
            super().__init__(ms, None, self.tick)

        @staticmethod
        def tick() -> float:
            clock[0] += 1.0
            return clock[0]

    monkeypatch.setattr("search.engine.Budget", Slow)
    monkeypatch.setattr("search.engine.GRACE_MS", 1e9)
    kinds = set()
    for seconds in (1, 5, 10, 20, 40, 80, 1000, 100_000):
        try:
            answer = corpus.search("retry_request", deadline_ms=seconds * 1000)
        except DeadlineExceeded:
            kinds.add("nothing")
            continue
        assert answer.hits
        kinds.add("part" if answer.incomplete.startswith("budget: ") else "all")
    assert {"nothing", "part"} <= kinds


@pytest.mark.parametrize(
    ("query", "error"),
    [('"open', QuerySyntaxError), ("ast:x", NotYet), ("/(/", QuerySyntaxError)],
)
def test_mistakes_are_told(corpus: Corpus, query: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        corpus.search(query)


def test_an_unknown_root_is_told(corpus: Corpus) -> None:
    with pytest.raises(NoSuchRoot):
        corpus.engine.search(SearchRequest("x", 99))


def test_an_engine_holds_no_old_snapshot(own: Corpus) -> None:
    own.search("retry")
    old = own.index.snapshot().generation
    own.save({"new.py": "retry\n"})
    assert own.search("retry").generation == old + 1
    assert min(s.generation for s in own.index.reader._used) == old + 1


def test_a_pattern_over_lines_is_tried_line_by_line_and_then_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, str | bytes] = {f"src/{i:03}.c": f"int a{i};\nstruct  thing x{i};\n" for i in range(100)}
    corpus = Corpus(tmp_path, files | {"src/over.c": "struct\n  thing over;\nstruct\n other\n"})
    try:
        for many in (0, 1000):
            monkeypatch.setattr(evaluate, "MANY", many)
            answer = corpus.search(r"/struct\s+thing/", mode="text", limit=20)
            assert len(answer.hits) == 20
            assert "stopped after 64 files" in answer.incomplete
            assert {(hit.line, hit.lines[0].text[:13]) for hit in answer.hits} == {(2, "struct  thing")}
            # What no single line has is found, too.
            assert corpus.lines(r"/struct\s+other/", mode="text") == [("src/over.c", 3)]
            whole = corpus.search(r"/struct\s+thing/", mode="text", limit=1000)
            assert len(whole.hits) == 101
            assert not whole.incomplete
    finally:
        corpus.close()


@pytest.mark.parametrize(
    "query",
    [
        "retry",
        '"todo"',
        r"/\bself\b/ case:yes",
        r"/gr\S+e/",
        "/needle/",
        r"/limit\s+=/",
        r"/t\(\)?:\n/",
        "retry -todo",
        "a OR b",
    ],
)
@pytest.mark.parametrize("explain", [False, True])
def test_a_plain_line_is_shown_as_from_the_whole_content(
    corpus: Corpus, query: str, explain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = corpus.search(query, mode="text", explain=explain).hits
    monkeypatch.setattr(HitMaker, "_plain", lambda _self, _row: False)
    assert corpus.search(query, mode="text", explain=explain).hits == fast
    assert fast
