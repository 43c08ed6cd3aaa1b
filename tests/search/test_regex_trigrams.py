"""Regular expressions become trigram queries that no matching text fails."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.trigram import trigrams
from search.compiled import BadPattern, compile_pattern
from search.folding import spellings
from search.matcher import Matcher
from search.regex_syntax import Chars, Unsupported, atoms, parse_regex
from search.regex_trigrams import ALL, KEYS_MAX, TrigramQuery, literal_query, trigram_query


def of(pattern: str, fold: bool = False) -> TrigramQuery:
    return trigram_query(parse_regex(pattern, fold).node)


def keys_of(text: str) -> frozenset[int]:
    return frozenset(trigrams(text.encode()).tolist())


@pytest.mark.parametrize(
    ("pattern", "query"),
    [
        ("abcd", "'abc' 'bcd'"),
        ("", "all"),
        ("abc|xyz", "'abc' | 'xyz'"),
        ("abc|x", "all"),
        ("abc.*xyz", "'abc' 'xyz'"),
        ("abc\nxyz", "'abc' 'xyz'"),
        ("a\nb", "all"),
        ("(abc)+", "'abc'"),
        ("(abc)*", "all"),
        ("(abc){2}", "'abc' 'bca' 'cab'"),
        ("a+bc", "'abc'"),
        ("ab?.c", "all"),
        ("xab?cd", "'xab' ('abc' 'bcd') | 'acd'"),
        ("[ab]cd", "'acd' | 'bcd'"),
        ("[A-Za-z0-9_]c[a-z]", "all"),
        (r"\babc\b", "'abc'"),
        ("^abc$", "'abc'"),
        (r"a\.b\.c", "'.b.' 'a.b' 'b.c'"),
        (r"\Qa.b\E", "'a.b'"),
        (r"\x61\x{62}\143", "'abc'"),
        ("é!", "'\\xc3\\xa9!'"),
        (r"\C\Cab", "all"),
        ("(?i:AB)c", "'ABc' | 'Abc' | 'aBc' | 'abc'"),
        ("(?P<name>abc)", "'abc'"),
        ("x{0}abc", "'abc'"),
        (r"\pLabc", "'abc'"),
        ("[[:^alpha:]]abc", "'abc'"),
    ],
)
def test_a_pattern_asks_for_these_trigrams(pattern: str, query: str) -> None:
    shown = str(of(pattern))
    if query.startswith("'xab'"):
        assert of(pattern).holds(keys_of("xabcd")) and of(pattern).holds(keys_of("xacd"))
        assert not of(pattern).holds(keys_of("xabd"))
    else:
        assert shown == query


@pytest.mark.parametrize("text", ["task", "TASK", "tasK", "ta\u017fk", "tas\u212a", "TA\u017f\u212a"])
def test_folded_letters_include_those_beyond_ascii(text: str) -> None:
    assert Matcher("task", "no").any(text.encode())
    assert of("task", fold=True).holds(keys_of(text))


@pytest.mark.parametrize("text", ["äöü", "ÄÖÜ", "äÖü"])
def test_folded_text_beyond_ascii_has_all_its_spellings(text: str) -> None:
    for query in (of("äöü", fold=True), literal_query("äöü", True)):
        assert query.holds(keys_of(text))
        assert not query.holds(keys_of("äöx"))
    assert not of("äöü").holds(keys_of("ÄÖÜ"))


@pytest.mark.parametrize("char", "kSsµößΣςǅйÅ\u212bⅷⓐ1中")
def test_spellings_are_what_re2_takes_for_the_same(char: str) -> None:
    same = compile_pattern(rf"\A\x{{{ord(char):x}}}\z".encode(), fold=True)
    # Every character that has another one in some case is in the first two planes.
    every = [code for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    assert spellings(ord(char)) == {code for code in every if same.search(chr(code))}


@pytest.mark.parametrize("pattern", ["ab", "^ab", "ab$", "(?:ab)+", r"\bab", "x?ab"])
def test_two_bytes_are_at_one_end_of_a_trigram(pattern: str) -> None:
    query = of(pattern)
    for text in ("ab", "ab\n", "x\nab\ny", "xab", "abx", "xaby", "xx\nab"):
        assert query.holds(keys_of(text)), text
    assert not query.holds(keys_of("a b ba xa\nb"))
    assert of("a") == of("[a-z][a-z]") == of(r"a\s") == ALL


def test_two_folded_letters() -> None:
    query = literal_query("ab", True)
    assert all(query.holds(keys_of(text)) for text in ("aB", "xAb", "AB\n"))
    assert not query.holds(keys_of("a.b ba"))
    assert literal_query("a", False) == literal_query("a\nb", False) == ALL


def test_three_sets_in_a_row_are_a_condition_where_strings_are_too_many() -> None:
    query = of(r"\d+\.\d+")
    assert query.holds(keys_of("v10.2")) and not query.holds(keys_of("1 . 2, a.b"))
    dates = of("[0-9]{4}-[0-9]{2}-[0-9]{2}")
    assert dates.holds(keys_of("on 2024-12-31.")) and not dates.holds(keys_of("12-b 1-2"))
    assert of("[0-9a-f]{8}") == ALL  # 4,096 spellings
    assert of(r"\d\s\d") == ALL  # it may hold a line end, and no trigram does
    assert of(r"\d\.$") == ALL


def test_a_long_pattern_stays_small() -> None:
    assert len(of("ask" * 2000, fold=True).all_keys()) <= KEYS_MAX
    assert len(of("|".join(f"word{i}" for i in range(2000))).all_keys()) <= KEYS_MAX


@pytest.mark.parametrize(
    "pattern",
    ["(", "a)", "[a", "*", r"\8", "(?z)a", "(?=a)", "[[:nope:]]", r"\p{L", "((" * 500, "[b-a]", "a\\"],
)
def test_what_is_not_understood_is_said(pattern: str) -> None:
    with pytest.raises(Unsupported):
        parse_regex(pattern, False)


@pytest.mark.parametrize(
    ("pattern", "newline", "nul"),
    [
        ("a.b", False, True),
        ("[^x]", True, True),
        (r"\s", True, False),
        (r"\w", False, False),
        ("(?s).", True, True),
    ],
)
def test_it_is_known_whether_a_match_can_leave_its_line(pattern: str, newline: bool, nul: bool) -> None:
    sets = [a for a in atoms(parse_regex(pattern, False).node) if isinstance(a, Chars)]
    assert any(s.newline for s in sets) == newline
    assert any(s.nul for s in sets) == nul


# A pattern together with a text that it matches.
LETTERS = "abksKS_é\u212a\u017f \n."


def _literal(char: str) -> tuple[str, str]:
    return ("\\" + char if char == "." else char), char


def _cat(parts: list[tuple[str, str]]) -> tuple[str, str]:
    return "".join(f"(?:{p})" if "|" in p else p for p, _ in parts), "".join(t for _, t in parts)


def _alt(parts: list[tuple[str, str]], pick: int) -> tuple[str, str]:
    return "|".join(p for p, _ in parts), parts[pick % len(parts)][1]


def _repeat(part: tuple[str, str], mark: tuple[str, int]) -> tuple[str, str]:
    return f"(?:{part[0]}){mark[0]}", part[1] * mark[1]


_runs = st.lists(st.sampled_from(LETTERS).map(_literal), min_size=3, max_size=6)
_atoms = st.one_of(
    st.sampled_from(LETTERS).map(_literal),
    _runs.map(_cat),
    _runs.map(_cat),
    st.sampled_from(
        [
            (".", "q"),
            (r"\w", "k"),
            (r"\s", "\n"),
            ("[ab]", "b"),
            ("[^ab]", "s"),
            ("[k-s]", "K"),
            (r"\b", ""),
            ("^", ""),
            (r"\d", "7"),
            ("[[:upper:]]", "K"),
            (r"\Qa.\E", "a."),
            (r"\x6b", "k"),
            ("$", ""),
            ("(?i)", ""),
            (r"\PL", "."),
        ]
    ),
)
_marks = st.sampled_from(
    [("*", 0), ("*", 3), ("+", 1), ("+?", 2), ("?", 0), ("?", 1), ("{2}", 2), ("{1,3}", 2), ("{4}", 4)]
)
_samples = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=5).map(_cat),
        st.builds(_alt, st.lists(inner, min_size=2, max_size=3), st.integers(0, 2)),
        st.builds(_repeat, inner, _marks),
    ),
    max_leaves=12,
)


def _recased(text: str, rng: random.Random) -> str:
    other = {"k": "kK\u212a", "s": "sS\u017f", "a": "aA", "b": "bB", "é": "éÉ"}
    return "".join(rng.choice(other.get(c.lower(), c)) for c in text)


@settings(max_examples=400, deadline=None)
@given(
    sample=_samples,
    fold=st.booleans(),
    before=st.text(LETTERS, max_size=3),
    after=st.text(LETTERS, max_size=3),
    rng=st.randoms(),
)
def test_every_text_that_re2_matches_has_the_trigrams(
    sample: tuple[str, str], fold: bool, before: str, after: str, rng: random.Random
) -> None:
    pattern, text = sample
    try:
        regexp = compile_pattern(pattern.encode(), fold=fold)
        query = of(pattern, fold)
    except (BadPattern, Unsupported):
        return
    for candidate in (text, before + text + after, before + _recased(text, rng) + after, before, after):
        if regexp.search(candidate.encode()) is not None:
            assert query.holds(keys_of(candidate)), (pattern, candidate, str(query))
