"""Token runs: what is left of code, and how much of it two pieces share."""

from __future__ import annotations

import random

import pytest

from search.shingles import RUN, runs, share, tokens

COPIED = b"""int sum(const int *values, int n)
{
    int total = 0;
    for (int i = 0; i < n; i++)
        total += values[i] * 2;
    return total;
}
"""
RENAMED = COPIED.replace(b"values", b"items").replace(b"total", b"all").replace(b"sum", b"add_up")


@pytest.mark.parametrize(
    ("language", "text", "exact", "shape"),
    [
        ("c", b"a->b(c, 10);", "a - > b ( c , 10 ) ;", "a - > a ( a , 0 ) ;"),
        ("c", b"/* why */ return x; // so", "return x ;", "return a ;"),
        ("python", b'x = "two words"  # why', 'x = " two words "', 'a = "'),
        ("python", b"def f(a):\n    return None", "def f ( a ) : return None", "def a ( a ) : return a"),
        ("", b"/* no comment */ x", "/ * no comment * / x", "/ * a a * / a"),
        ("c", b"", "", ""),
        ("c", "naïve = 1;".encode(), "naïve = 1 ;", "a = 0 ;"),
    ],
)
def test_tokens(language: str, text: bytes, exact: str, shape: str) -> None:
    found = tokens(language, text)
    assert b" ".join(found.exact).decode() == exact
    assert b" ".join(found.shape).decode() == shape


def test_a_copy_is_one_however_it_is_indented_and_commented() -> None:
    copy = b"/* taken from sum.c */\n" + COPIED.replace(b"    ", b"\t").replace(
        b"= 0;", b"= 0; /* none yet */"
    )
    assert share(tokens("c", COPIED).exact_runs, tokens("c", copy).exact_runs) == 1.0


def test_a_renamed_copy_has_the_same_shape_and_another_text() -> None:
    one, other = tokens("c", COPIED), tokens("c", RENAMED)
    assert share(one.shape_runs, other.shape_runs) == 1.0
    assert share(one.exact_runs, other.exact_runs) < 0.3


def test_share_is_what_counting_says() -> None:
    chance = random.Random(4)
    for _ in range(200):
        one, other = (tuple(chance.choices([b"a", b"b", b";"], k=chance.randrange(12))) for _ in range(2))
        sets = []
        for listed in (one, other):
            found = {listed[i : i + RUN] for i in range(len(listed) - RUN + 1)}
            sets.append(found or ({listed} if listed else set()))
        both = sets[0] | sets[1]
        wanted = len(sets[0] & sets[1]) / len(both) if both else 0.0
        assert share(runs(one), runs(other)) == share(runs(other), runs(one)) == pytest.approx(wanted)
