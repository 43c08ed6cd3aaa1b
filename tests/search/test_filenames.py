"""File-name search: the fast way over arrays finds what its twin finds, in the same order."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import UsageError
from search import filenames, fuzzy, name_regex
from search.bound import at_most
from search.filenames import FoundNames, find_names, parse_terms
from search.fuzzy import Alignments, coded, fuzzy_rows
from search.nametable import NameTable
from tests.search import filename_twin as twin

TREE = [
    b"Makefile",
    b"README.md",
    b"drivers/net/Makefile",
    b"drivers/net/ethernet/intel/e1000/e1000_main.c",
    b"drivers/net/ethernet/intel/e1000e/netdev.c",
    b"drivers/video/fbdev/core/fbmem.c",
    b"fs/btrfs/extent_io.c",
    b"mm/slab.c",
    b"mm/slab_common.c",
    b"src/HttpClient.java",
    b"src/httpclient_test.go",
    b"docs/caf\xc3\xa9 menu.txt",
    b"docs/\xe6\x97\xa5\xe6\x9c\xac/\xe8\xaa\xad.md",
    b"odd/\xe9tage.c",
    b"odd/line\nend.c",
]


def find(query: str, mode: str = "fuzzy", limit: int = 100, paths: list[bytes] = TREE) -> FoundNames:
    return find_names(query, mode, [NameTable(paths)], [None], limit)


def rows(found: FoundNames) -> list[twin.Row]:
    return [(one.path, one.score, one.ranges) for one in found.files]


def check(paths: list[bytes], query: str, mode: str, limit: int) -> None:
    expected = twin.search(paths, query, mode)
    found = find(query, mode, limit, paths)
    assert rows(found) == expected[:limit], (query, mode, limit)
    assert found.total == len(expected)
    assert [paths[one.slot] for one in found.files] == [one.path for one in found.files]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("slab", b"mm/slab.c"),
        ("mmslab", b"mm/slab.c"),
        ("e1000main", b"drivers/net/ethernet/intel/e1000/e1000_main.c"),
        ("hc", b"src/HttpClient.java"),
        ("HC", b"src/HttpClient.java"),
        ("'fbmem", b"drivers/video/fbdev/core/fbmem.c"),
        ("^drivers netdev", b"drivers/net/ethernet/intel/e1000e/netdev.c"),
        ("make ^drivers", b"drivers/net/Makefile"),
        ("slab !common", b"mm/slab.c"),
        ("^Makefile$", b"Makefile"),
        ("cafémenu", b"docs/caf\xc3\xa9 menu.txt"),
        ("CAFÉ", b""),
        ("日読", b"docs/\xe6\x97\xa5\xe6\x9c\xac/\xe8\xaa\xad.md"),
        ("'é\\ m", b"docs/caf\xc3\xa9 menu.txt"),
        ("\udce9t", b"odd/\xe9tage.c"),
        ("\N{SNOWMAN}", b""),
    ],
)
def test_what_is_meant_comes_first(query: str, best: bytes) -> None:
    found = find(query)
    assert (found.files[0].path if found.files else b"") == best
    check(TREE, query, "fuzzy", 100)


def test_ranges_are_characters_of_the_path() -> None:
    (one,) = find("menu").files
    assert one.ranges == ((10, 14),)
    assert one.path.decode()[10:14] == "menu"
    assert find("slc").files[0].ranges == ((3, 5), (8, 9))


def test_an_empty_query_lists_the_shortest_paths_first() -> None:
    for mode in ("fuzzy", "substring"):
        found = find("  ", mode, limit=2)
        assert ([one.path for one in found.files], found.total) == ([b"Makefile", b"README.md"], len(TREE))


@pytest.mark.parametrize(
    "query", ["slab", "Make", "net e1", "/e1000/ main", "a.b", "日本", "^m", "!m", "x y z"]
)
def test_substrings(query: str) -> None:
    check(TREE, query, "substring", 100)


@pytest.mark.parametrize(
    "query", [r"slab.*\.c$", "^drivers/", "Make", "[0-9]+e/", "e1000(_main)?", "no such", "^"]
)
def test_regular_expressions(query: str) -> None:
    paths = [path for path in TREE if b"\n" not in path]
    check(paths, query, "regex", 100)


def test_mistakes_are_said() -> None:
    with pytest.raises(UsageError, match="regular expression"):
        find("(", "regex")
    with pytest.raises(UsageError, match="no mode 'glob'"):
        find("a", "glob")
    with pytest.raises(UsageError, match="1001 characters"):
        find("a" * 1001)


def test_terms_are_read_as_fzf_reads_them() -> None:
    shown = [(t.text, t.kind, t.negated) for t in parse_terms("a 'b ^c d$ ^e$ !f !'g !^h !i$ ! ' $", "fuzzy")]
    assert shown == [
        ("a", "fuzzy", False),
        ("b", "exact", False),
        ("c", "prefix", False),
        ("d", "suffix", False),
        ("e", "equal", False),
        ("f", "exact", True),
        ("g", "fuzzy", True),
        ("h", "prefix", True),
        ("i", "suffix", True),
        ("$", "fuzzy", False),
    ]


def random_paths(seed: int, n: int, alphabet: str) -> list[bytes]:
    """Paths that share directories and words, so that most queries have many matches and many ties."""
    chosen = random.Random(seed)
    words = ["".join(chosen.choices(alphabet, k=chosen.randint(1, 6))) for _ in range(40)]
    folders = ["/".join(chosen.choices(words, k=chosen.randint(0, 4))) for _ in range(n // 10 + 1)]
    made = {
        f"{chosen.choice(folders)}/{chosen.choice('_-.').join(chosen.choices(words, k=chosen.randint(1, 3)))}"
        for _ in range(n)
    }
    return [path.strip("/").encode() for path in sorted(made)]


@pytest.mark.parametrize("seed", range(6))
def test_the_best_of_many_paths_are_the_twins(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way of leaving rows out is taken, since few rows count as many here."""
    monkeypatch.setattr(filenames, "_FEW", 20)
    monkeypatch.setattr(filenames, "_BATCH", 16)
    monkeypatch.setattr(fuzzy, "_BY_TEXT", 100 if seed % 2 else 0)
    monkeypatch.setattr(fuzzy, "WHOLE", (0, 3, 100)[seed % 3])
    paths = random_paths(seed, 600, ("abc", "abAB1", "abcdefgh12_", "aé日bA", "ab", "abcdef")[seed])
    chosen = random.Random(seed + 100)
    letters = sorted(set("".join(path.decode() for path in paths)))
    for _ in range(25):
        text = "".join(chosen.choices(letters, k=chosen.randint(1, 6)))
        part = chosen.choice(["{}", "{}", "{} {}", "'{} {}", "^{}", "{}$ {}", "!{} {}"])
        query = part.format(text, chosen.choice(letters))
        for limit in (1, 10, 1000):
            check(paths, query, "fuzzy", limit)
        check(paths, query, "substring", 10)


PATHS = st.lists(st.text("aAbB1_/.é -", min_size=1, max_size=12), min_size=1, max_size=8, unique=True)


@settings(max_examples=300, deadline=None)
@given(PATHS, st.text("aAbB1_/.é", min_size=1, max_size=5), st.sampled_from(["fuzzy", "substring"]))
def test_small_trees(texts: list[str], query: str, mode: str) -> None:
    check([text.encode() for text in texts], query, mode, 100)


def test_characters_that_stand_often_in_a_path_are_all_seen() -> None:
    paths = [b"a" * n + b"/" + b"b" * (200 - n) for n in range(1, 200, 9)]
    paths += [b"c" * 300 + b"/x", b"ab" * 1000 + b"/x"]
    for query in ("ab", "aaabbb", "bbx", "ccx", "abababx", "/x"):
        check(paths, query, "fuzzy", 50)
        check(paths, query, "substring", 50)


def test_rows_outside_the_mask_are_neither_found_nor_counted() -> None:
    table = NameTable(TREE)
    mask = np.array([table.path(row).startswith(b"drivers/") for row in range(table.n)])
    below = [path for path in TREE if path.startswith(b"drivers/")]
    for query, mode in (
        ("e", "fuzzy"),
        ("net", "substring"),
        ("", "fuzzy"),
        (r"\.c$", "regex"),
        ("!net", "fuzzy"),
    ):
        found = find_names(query, mode, [table], [mask], 10)
        assert found.total == len(twin.search(below, query, mode))
        assert rows(found) == twin.search(below, query, mode)[:10]


def test_several_tables_answer_as_one() -> None:
    paths = random_paths(9, 300, "abcd")
    tables = [NameTable(paths[:200]), NameTable(paths[200:], 200)]
    for query, mode in (("ab", "fuzzy"), ("c", "substring"), ("a.*b$", "regex"), ("", "fuzzy")):
        found = find_names(query, mode, tables, [None, None], 20)
        assert rows(found) == twin.search(paths, query, mode)[:20]
        assert found.total == len(twin.search(paths, query, mode))
        assert [paths[one.slot] for one in found.files] == [one.path for one in found.files]


@pytest.mark.parametrize("seed", range(4))
def test_no_alignment_exceeds_its_bound(seed: int) -> None:
    """And the bound is of use: for most rows it is what they earn."""
    table = NameTable(random_paths(seed, 400, ("abc", "abAB1", "abcdefgh12_", "ab")[seed]))
    chosen = random.Random(seed)
    letters = sorted(table.folded)
    exact = total = 0
    for _ in range(60):
        term = coded("".join(chosen.choices(letters, k=chosen.randint(1, 6))), False, table)
        assert term is not None
        rows = fuzzy_rows(term, table, np.arange(table.n))
        scores = Alignments(term, table, rows).scores
        bounds = at_most(term, table, rows)
        assert (bounds >= scores).all()
        exact, total = exact + int((bounds == scores).sum()), total + len(rows)
    assert 2 * exact > total > 1000


PATTERNS = st.lists(
    st.sampled_from(["a", "b", "A", "/", "^", "$", ".", "a+", "b*", "(?:a|b)", "[ab]", "1?", r"\.", "ab"]),
    min_size=1,
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(PATHS, PATTERNS)
def test_random_patterns(texts: list[str], pattern: list[str]) -> None:
    check([text.encode() for text in texts], "".join(pattern), "regex", 100)


def test_patterns_over_many_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one and all in one go, as literals and by RE2."""
    paths = random_paths(3, 500, "abcd_")
    for one_by_one in (1, 10_000):
        monkeypatch.setattr(name_regex, "_ONE_BY_ONE", one_by_one)
        for pattern in (
            "ab",
            "^a",
            "b$",
            "a.*b",
            "[ab]c",
            "^[^/]*/b",
            "a{2}",
            "(?i)AB",
            "a|b",
            "",
            "^$",
            "dd?a",
        ):
            check(paths, pattern, "regex", 40)


def test_no_paths_at_all() -> None:
    for mode in filenames.MODES:
        assert find("a", mode, paths=[]) == FoundNames((), 0)
