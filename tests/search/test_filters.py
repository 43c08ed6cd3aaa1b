"""Globs, patterns and times choose files; git says what changed; offsets become characters."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import UsageError
from search.changed import ChangedFiles, changed_files
from search.facts import DOCS, GENERATED, TEST, VENDORED, RootFacts, find_all, make_facts
from search.filters import Surroundings, field_mask, glob_mask, glob_regex, prefix_mask
from search.matcher import Case
from search.path_terms import PathTerms
from search.query import Field
from tests.search.corpus import Corpus

PATHS = (
    "README.md",
    "setup.py",
    "src/app.py",
    "src/app_test.go",
    "src/Util/HttpClient.java",
    "src/Util/HttpClientTest.java",
    "src/deep/er/app.pyx",
    "tests/conftest.py",
    "vendor/lib/x.c",
    "node_modules/a/index.min.js",
    "api/service_pb2.py",
    "docs/guide.rst",
    "odd name/a b.txt",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = Corpus(tmp_path_factory.mktemp("filters"), {path: f"{path}\n" for path in PATHS})
    yield made
    made.close()


@pytest.fixture(scope="module")
def facts(corpus: Corpus) -> RootFacts:
    return make_facts(corpus.index.snapshot(), corpus.root_id)


def chosen(facts: RootFacts, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> set[str]:
    return {facts.paths[slot].decode() for slot in np.flatnonzero(mask & facts.alive)}


def by_field(facts: RootFacts, field: Field, case: Case = "smart") -> set[str]:
    return chosen(facts, field_mask(field, facts, Surroundings(0.0, ChangedFiles(), 1), case))


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        (Field("path", "src/"), {p for p in PATHS if "src/" in p}),
        (Field("path", "httpclient"), {p for p in PATHS if "HttpClient" in p}),
        (Field("path", "HTTPClient"), set()),
        (Field("path", "src/**/*.py"), {"src/app.py"}),
        (Field("path", "src/**"), {p for p in PATHS if p.startswith("src/")}),
        (Field("path", r"^src/[^/]+\.py$", "regex"), {"src/app.py"}),
        (Field("path", "app$", "regex"), set()),
        (Field("path", "a b", "quoted"), {"odd name/a b.txt"}),
        (Field("path", r"\s", "regex"), {"odd name/a b.txt"}),
        (Field("file", "app"), {"src/app.py", "src/app_test.go", "src/deep/er/app.pyx"}),
        (Field("file", "*.py"), {p for p in PATHS if p.endswith(".py")}),
        (Field("file", "app.*"), {"src/app.py", "src/app_test.go", "src/deep/er/app.pyx"}),
        (Field("file", "src/app"), {"src/app.py", "src/app_test.go"}),
        (Field("file", "^a", "regex"), {p for p in PATHS if p.rpartition("/")[2].startswith("a")}),
        (Field("lang", "go"), {"src/app_test.go"}),
        (Field("lang", "haskell"), set()),
        (Field("root", "tree"), set(PATHS)),
        (Field("root", "TREE"), set()),
        (Field("since", "1970-01-02"), set(PATHS)),
    ],
)
def test_fields(facts: RootFacts, field: Field, wanted: set[str]) -> None:
    assert by_field(facts, field) == wanted
    assert by_field(facts, field) == wanted  # now from memory


def test_case_is_a_setting(facts: RootFacts) -> None:
    assert by_field(facts, Field("path", "HTTPClient"), "no") == {p for p in PATHS if "HttpClient" in p}
    assert by_field(facts, Field("path", "httpclient"), "yes") == set()


SYNTAX = st.lists(
    st.sampled_from(["a", "b", "p", "s", "/", "*", "**", "?", ".py", "src", "[a-s]", "{a,b}", "app"])
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=SYNTAX)
def test_globs_agree_with_pythons_own_translation(facts: RootFacts, pieces: list[str]) -> None:
    glob = "".join(pieces)
    if not glob.strip("/") or re.search(r"\*{3}|[^/]\*\*|\*\*[^/]", glob) or "//" in glob or "{" in glob:
        return
    body = glob.strip("/")
    parts = []
    for part in body.split("/"):
        translated = part.replace(".", r"\.").replace("?", "[^/]").replace("*", "[^/]*")
        parts.append("(?:.*/)?" if part == "**" else translated + "/")
    pattern = "".join(parts)
    pattern = pattern[: -len("(?:.*/)?")] + ".*" if body.split("/")[-1] == "**" else pattern[:-1]
    anchored = "/" in glob.rstrip("/")
    end = "/" if glob.endswith("/") else "(?:/|$)"
    oracle = re.compile(f"{'^' if anchored else '(?:^|/)'}{pattern}{end}")
    assert chosen(facts, glob_mask([glob], facts)) == {p for p in PATHS if oracle.search(p)}, glob_regex(glob)


@pytest.mark.parametrize(
    ("globs", "wanted"),
    [
        (["*.py"], {p for p in PATHS if p.endswith(".py")}),
        (["*.{py,go}", "!src"], {"setup.py", "tests/conftest.py", "api/service_pb2.py"}),
        (["!src"], {p for p in PATHS if not p.startswith("src/")}),
        (["src", "!*.java", "HttpClient.java"], {
            "src/app.py", "src/app_test.go", "src/deep/er/app.pyx", "src/Util/HttpClient.java"}),
        (["/*.md"], {"README.md"}),
        ([r"a\ b*"], {"odd name/a b.txt"}),
        (["[!a-r]*.py"], {"setup.py", "api/service_pb2.py"}),
    ],
)  # fmt: skip
def test_the_last_glob_that_matches_decides(facts: RootFacts, globs: list[str], wanted: set[str]) -> None:
    assert chosen(facts, glob_mask(globs, facts)) == wanted


def test_a_broken_glob_is_told(facts: RootFacts) -> None:
    with pytest.raises(UsageError, match="cannot read the glob"):
        glob_mask(["[z-a]x"], facts)


def test_a_prefix_is_a_directory_or_a_file(facts: RootFacts) -> None:
    assert chosen(facts, prefix_mask("src/Util", facts)) == {p for p in PATHS if p.startswith("src/Util/")}
    assert chosen(facts, prefix_mask("src/app.py", facts)) == {"src/app.py"}
    assert chosen(facts, prefix_mask("src/app", facts)) == set()
    assert chosen(facts, prefix_mask("", facts)) == set(PATHS)


def test_files_are_put_in_order_of_path_also_when_some_are_new(tmp_path: Path) -> None:
    made = Corpus(tmp_path, dict.fromkeys(PATHS[::2], "x\n"))
    facts = None
    for new in (PATHS[1::2], (), ("a", "src/z", "zz")):
        made.save(dict.fromkeys(new, "x\n"))
        snapshot = made.index.snapshot()
        facts = make_facts(snapshot, made.root_id, facts)
        slots = np.flatnonzero(facts.alive)
        paths = facts.paths[facts.in_path_order(slots[::-1])].tolist()
        assert paths == sorted(facts.paths[slots].tolist())
        owned = [sorted(np.flatnonzero(facts.doc == doc).tolist()) for doc in range(snapshot.n_docs)]
        some = [doc for doc in range(snapshot.n_docs) if doc % 3]
        assert facts.slots_of(np.array(some, np.int64)).tolist() == [s for doc in some for s in owned[doc]]
    made.close()


@pytest.mark.parametrize(
    ("path", "flags"),
    [
        ("README.md", DOCS),
        ("src/app.py", 0),
        ("src/app_test.go", TEST),
        ("src/Util/HttpClientTest.java", TEST),
        ("tests/conftest.py", TEST),
        ("vendor/lib/x.c", VENDORED),
        ("node_modules/a/index.min.js", VENDORED | GENERATED),
        ("api/service_pb2.py", GENERATED),
        ("docs/guide.rst", DOCS),
        ("odd name/a b.txt", DOCS),
    ],
)
def test_paths_tell_tests_generated_vendored_and_docs(facts: RootFacts, path: str, flags: int) -> None:
    assert facts.flags[facts.view.slot_of(path.encode())] == flags


@pytest.mark.parametrize(
    ("term", "shares"),
    [
        (b"http", {"src/Util/HttpClient.java": 1.0, "src/Util/HttpClientTest.java": 1.0}),
        (b"client", {"src/Util/HttpClient.java": 1.0, "src/Util/HttpClientTest.java": 1.0}),
        (b"util", {"src/Util/HttpClient.java": 0.5, "src/Util/HttpClientTest.java": 0.5}),
        (b"vice", {"api/service_pb2.py": 0.5}),
        (b"ice", {}),
        (b"x", {}),
    ],
)
def test_words_of_paths(facts: RootFacts, term: bytes, shares: dict[str, float]) -> None:
    [(slots, share)] = facts.path_matches([term])
    assert {facts.paths[s].decode(): v for s, v in zip(slots, share.tolist(), strict=True)} == shares


def test_facts_of_the_next_generation_equal_fresh_ones(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, {"a.py": "a\n", "tests/b.py": "b\n"})
    facts = make_facts(corpus.index.snapshot(), corpus.root_id)
    facts.path_matches([b"tests"])
    prefix_mask("tests", facts)
    for files, removes in (({"a.py": "new\n"}, []), ({"docs/c.md": "c\n"}, []), ({}, ["tests/b.py"])):
        corpus.save(files, removes)  # type: ignore[arg-type]
        snapshot = corpus.index.snapshot()
        facts, fresh = make_facts(snapshot, corpus.root_id, facts), make_facts(snapshot, corpus.root_id)
        for name in ("joined", "lowered", "languages", "n_docs", "generation"):
            assert getattr(facts, name) == getattr(fresh, name)
        for name in ("offsets", "alive", "doc", "language", "flags", "path_flags"):
            assert np.array_equal(getattr(facts, name), getattr(fresh, name)), name
        assert chosen(facts, prefix_mask("tests", facts)) == chosen(fresh, prefix_mask("tests", fresh))
    corpus.close()


@given(st.binary(max_size=30), st.binary(min_size=1, max_size=2))
def test_find_all_finds_what_a_loop_finds(text: bytes, needle: bytes) -> None:
    wanted = [m.start() for m in re.finditer(re.escape(needle), text)]
    assert find_all(text, needle).tolist() == wanted


# git


def git(root: Path, *arguments: str) -> None:
    name = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *name, *arguments], cwd=root, check=True, capture_output=True)


def test_changed_files_below_a_directory_of_the_work_tree(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("top.txt", "sub/kept.txt", "sub/edited.txt", "sub/deleted.txt", ".gitignore"):
        (tmp_path / name).write_text("*.log\n")
    git(tmp_path, "init", "-q")
    assert changed_files(str(tmp_path / "sub")) == {b"kept.txt", b"edited.txt", b"deleted.txt"}
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    (tmp_path / "sub/edited.txt").write_text("2\n")
    (tmp_path / "sub/deleted.txt").unlink()
    (tmp_path / "sub/new größe.txt").write_text("2\n")
    (tmp_path / "sub/ignored.log").write_text("2\n")
    (tmp_path / "top.txt").write_text("2\n")
    assert changed_files(str(tmp_path / "sub")) == {b"edited.txt", b"deleted.txt", "new größe.txt".encode()}


def test_no_program_of_the_repository_is_run(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    for name in ("core.fsmonitor", "diff.external", "core.pager"):
        git(tmp_path, "config", name, str(trap))
    (tmp_path / "a.txt").write_text("2\n")
    assert b"a.txt" in changed_files(str(tmp_path))
    assert not (tmp_path / "sprung").exists()


def test_the_answer_of_git_is_kept_for_a_second_of_one_generation(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    clock = [0.0]
    changed = ChangedFiles(lambda: clock[0])
    assert changed.get(str(tmp_path), 1) == frozenset()
    (tmp_path / "a").write_text("1")
    assert changed.get(str(tmp_path), 1) == frozenset()
    assert changed.get(str(tmp_path), 2) == {b"a"}
    (tmp_path / "b").write_text("1")
    clock[0] = 2.0
    assert changed.get(str(tmp_path), 2) == {b"a", b"b"}


def test_outside_of_git_there_is_no_changed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git work tree"):
        changed_files(str(tmp_path))


PATH_PARTS = st.sampled_from(
    [
        "src",
        "net",
        "ipv4",
        "getConfig",
        "HTTPServer",
        "config_test",
        "x86",
        "Über",
        "a",
        "README.md",
        "net2net",
    ]
)
TREES = st.lists(st.lists(PATH_PARTS, min_size=1, max_size=4).map("/".join), max_size=12, unique=True)
TERMS = st.sampled_from(
    [
        b"net",
        b"config",
        b"get",
        b"http",
        b"server",
        b"src",
        b"x86",
        b"86",
        b"test",
        b"conf",
        b"md",
        b"rver",
        b"\xc3",
    ]
)


@settings(max_examples=300, deadline=None)
@given(TREES, st.integers(0, 12), TERMS)
def test_terms_of_paths_are_what_every_occurrence_says(tree: list[str], known: int, term: bytes) -> None:
    paths = np.array([path.encode() for path in tree], object)
    found = PathTerms(paths[:known]).extended(paths)
    [(slots, share)] = found.matches([term])
    joined = b"\n" + b"".join(path + b"\n" for path in paths)
    lengths = np.array([len(path) + 1 for path in paths], np.int64)
    starts = 1 + np.cumsum(lengths) - lengths
    wanted: dict[int, float] = {}
    at = joined.lower().find(term)
    while at >= 0:
        slot = int(np.searchsorted(starts, at, side="right")) - 1
        name_start = int(starts[slot]) + paths[slot].rfind(b"/") + 1
        before, first, after = joined[at - 1 : at], joined[at : at + 1], joined[at + len(term) :][:1]
        letter = re.compile(rb"[A-Za-z\x80-\xff]")
        lower = re.compile(rb"[a-z\x80-\xff]")
        begins = not letter.match(before) or (bool(lower.match(before)) and not lower.match(first))
        ends = not letter.match(after) or not lower.match(after)
        value = (1 if at >= name_start else 0.5) * (1 if begins and ends else 0.5 if len(term) >= 4 else 0)
        wanted[slot] = max(wanted.get(slot, 0.0), value)
        at = joined.lower().find(term, at + len(term))
    assert dict(zip(slots.tolist(), share.tolist(), strict=True)) == {s: v for s, v in wanted.items() if v}
    assert found.n_all == len(paths)
