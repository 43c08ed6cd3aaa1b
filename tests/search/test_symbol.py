"""Names are found exactly, folded, by beginning, by humps and by parts; a plain list agrees."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import Cancelled
from search.budget import Budget
from search.compiled import compile_pattern
from search.facts import make_facts
from search.places import Places
from search.symbol import (
    dotted,
    find_definitions,
    find_references,
    hump_pattern,
    name_query,
)
from tests.search.corpus import Corpus

NAMES = (
    "getConfigFileName",
    "get_config_file_name",
    "getconfig",
    "GetConfig",
    "_getConfig",
    "config",
    "Config",
    "configure",
    "reconfigure",
    "gcfn",
    "http2_server",
    "HTTPServer",
    "größe",
)
FILES = {
    "one.py": "".join(f"def {name}():\n    return 1\n\n" for name in NAMES[:7]),
    "two.py": "".join(f"class {name}:\n    x = 1\n\n" for name in NAMES[7:]),
    "pkg/shapes.py": (
        "class Circle:\n    def area(self):\n        return 3\n\n"
        "    class Inner:\n        def area(self):\n            return helper()\n\n\n"
        "class Square:\n    def area(self):\n        return self.side ** 2\n"
    ),
    "pkg/helpers.py": (
        "def helper():\n    return helper2() + helper()\n\n\ndef helper2():\n    return HELPER()\n"
    ),
}
FOREVER = Budget(1e9)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = Corpus(tmp_path_factory.mktemp("symbols"), {"one.py": FILES["one.py"]})
    made.save({path: text for path, text in FILES.items() if path != "one.py"})  # a second segment
    yield made
    made.close()


def everything(corpus: Corpus) -> list[tuple[str, str]]:
    """Every definition as (path, dotted name), read straight from the segments."""
    snapshot = corpus.index.snapshot()
    view = snapshot.roots[corpus.root_id]
    found = []
    for slot, doc in enumerate(view.file_doc.tolist()):
        segment, ordinal = snapshot.locate_doc(doc)
        numbers = range(int(segment.doc_def[ordinal]), int(segment.doc_def[ordinal + 1]))
        found += [(view.paths[slot].decode(), dotted(segment, number)) for number in numbers]
    return found


def names_of(corpus: Corpus, places: Places) -> list[tuple[str, str]]:
    snapshot = corpus.index.snapshot()
    view = snapshot.roots[corpus.root_id]
    out = []
    for doc, definition in zip(places.doc.tolist(), places.definition.tolist(), strict=True):
        path = view.paths[int(view.doc_slots(np.array([doc]))[0])].decode()
        out.append((path, dotted(snapshot.locate_doc(doc)[0], definition)))
    return out


def find(corpus: Corpus, text: str, form: str = "bare", **options: object) -> list[tuple[str, str]]:
    snapshot = corpus.index.snapshot()
    facts = make_facts(snapshot, corpus.root_id)
    kinds = frozenset(options.pop("kinds", ()))  # type: ignore[call-overload]
    query = name_query(text, form, fold=bool(options.pop("fold", True)), kinds=kinds)
    mask = np.ones(snapshot.n_docs, np.bool_)
    return names_of(corpus, find_definitions(snapshot, query, mask, FOREVER, facts, whole=True))


def short(found: list[tuple[str, str]]) -> list[str]:
    return [name.rpartition(".")[2] for _, name in found]


@pytest.mark.parametrize(
    ("text", "first", "others"),
    [
        (
            "config",
            "config",
            {"Config", "configure", "reconfigure", "getConfigFileName", "GetConfig", "_getConfig"},
        ),
        ("Config", "Config", {"config", "configure"}),
        ("gCFN", "gcfn", {"getConfigFileName", "get_config_file_name"}),
        ("gCN", "getConfigFileName", {"get_config_file_name"}),
        ("gC", "GetConfig", {"_getConfig", "getConfigFileName", "gcfn"}),
        ("HS", "HTTPServer", {"http2_server"}),
        ("HTTPServer", "HTTPServer", set()),
        ("größe", "größe", set()),
    ],
)
def test_the_best_match_of_a_name_is_first(corpus: Corpus, text: str, first: str, others: set[str]) -> None:
    found = short(find(corpus, text))
    assert found[0] == first
    assert others <= set(found)


@pytest.mark.parametrize(
    ("text", "name", "matches"),
    [
        ("gCFN", "getConfigFileName", True),
        ("gCFN", "get_config_file_name", True),
        ("gCFN", "__getConfigFileName", True),
        ("geCoFi", "getConfigFileName", True),
        ("gFN", "getConfigFileName", True),
        ("GCFN", "getConfigFileName", True),
        ("gCFN", "getConfigName", False),
        ("gCFN", "forgetConfigFileName", False),
        ("gNC", "getConfigFileName", False),
        ("gCx", "getConfigFileName", False),
        ("h2S", "http2_server", False),
    ],
)
def test_humps(text: str, name: str, matches: bool) -> None:
    pattern = hump_pattern(text)
    assert pattern is not None
    found = compile_pattern(rf"\n(?:{pattern})".encode()).search(b"\n" + name.encode() + b"\n")
    assert (found is not None) is matches


@pytest.mark.parametrize("text", ["config", "g", "G", "", "a b", "a-bC", "größeX", "Ab.Cd"])
def test_what_has_no_two_humps_is_not_looked_for_by_humps(text: str) -> None:
    assert hump_pattern(text) is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_parts_of_names_are_found_as_a_list_finds_them(corpus: Corpus, data: st.DataObject) -> None:
    known = everything(corpus)
    name = data.draw(st.sampled_from([name for _, name in known])).rpartition(".")[2]
    start = data.draw(st.integers(0, len(name) - 1))
    part = name[start : data.draw(st.integers(start + 1, len(name)))]
    fold = data.draw(st.booleans())
    wanted = {
        (path, full)
        for path, full in known
        if (
            ascii_lower(part) in ascii_lower(full.rpartition(".")[2])
            if fold
            else part in full.rpartition(".")[2]
        )
    }
    found = set(find(corpus, part, fold=fold))
    by_humps = {(p, n) for p, n in found - wanted if hump_pattern(part)}
    assert found - by_humps == wanted
    assert set(find(corpus, part, "quoted", fold=False)) == {
        (path, full) for path, full in known if full.rpartition(".")[2] == part
    }


def ascii_lower(text: str) -> str:
    return text.encode().lower().decode()


@pytest.mark.parametrize(
    "pattern", ["^get", "e$", "^[A-Z]", "g.t", "[^_]config", r"\d", "^(?:config|area)$", r"\s"]
)
def test_patterns_match_whole_names_line_by_line(corpus: Corpus, pattern: str) -> None:
    wanted = {(p, n) for p, n in everything(corpus) if re.search(pattern, n.rpartition(".")[2])}
    assert set(find(corpus, pattern, "regex", fold=False)) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Circle.area", ["Circle.area", "Circle.Inner.area"]),
        ("Circle.Inner.area", ["Circle.Inner.area"]),
        ("Inner::area", ["Circle.Inner.area"]),
        ("Square->area", ["Square.area"]),
        ("circle.area()", ["Circle.area", "Circle.Inner.area"]),
        ("shapes.area", ["Circle.area", "Circle.Inner.area", "Square.area"]),
        ("pkg.shapes.Square.area", ["Square.area"]),
        ("Triangle.area", []),
    ],
)
def test_containers_are_definitions_files_or_directories(
    corpus: Corpus, text: str, wanted: list[str]
) -> None:
    assert sorted(name for _, name in find(corpus, text)) == sorted(wanted)


def test_kinds_choose_among_definitions(corpus: Corpus) -> None:
    assert set(short(find(corpus, "config", kinds={"class"}))) == {"configure", "reconfigure"}
    assert "configure" not in short(find(corpus, "config", kinds={"function"}))


def test_a_mask_of_documents_comes_before_the_limit(corpus: Corpus) -> None:
    snapshot = corpus.index.snapshot()
    mask = np.zeros(snapshot.n_docs, np.bool_)
    mask[snapshot.roots[corpus.root_id].file_doc[snapshot.roots[corpus.root_id].slot_of(b"two.py")]] = True
    found = find_definitions(snapshot, name_query("config"), mask, FOREVER)
    assert {path for path, _ in names_of(corpus, found)} == {"two.py"}


def references(corpus: Corpus, text: str, fold: bool) -> list[bytes]:
    snapshot = corpus.index.snapshot()
    found = find_references(
        snapshot, name_query(text, fold=fold), np.ones(snapshot.n_docs, np.bool_), FOREVER
    )
    out = []
    for doc, start, end in zip(found.doc.tolist(), found.start.tolist(), found.end.tolist(), strict=True):
        segment, ordinal = snapshot.locate_doc(doc)
        out.append(bytes(segment.doc_bytes(ordinal)[start:end]))
    return sorted(out)


def test_references_are_whole_names(corpus: Corpus) -> None:
    assert references(corpus, "helper", fold=False) == [b"helper", b"helper"]
    assert references(corpus, "helper", fold=True) == [b"HELPER", b"helper", b"helper"]
    assert references(corpus, "help", fold=True) == []


def test_a_cancelled_search_stops(corpus: Corpus) -> None:
    class Taken:
        def is_set(self) -> bool:
            return True

    snapshot = corpus.index.snapshot()
    with pytest.raises(Cancelled):
        find_definitions(snapshot, name_query("a"), np.ones(snapshot.n_docs, np.bool_), Budget(1000, Taken()))
