"""Regular expression -> a boolean query over trigrams that every match satisfies. Pure.

After Russ Cox, "Regular Expression Matching with a Trigram Index" (2012) and his codesearch/index/regexp.go:
for each part of the pattern we keep the exact strings it can match while they are few, else the strings its
matches can begin and end with, and the trigram query known so far. Concatenation crosses the ends of one part
with the beginnings of the next.

Differences: strings are UTF-8 bytes, as the index is; case folding becomes alternatives (with the Kelvin sign
and the long s, which RE2 folds to k and s); a trigram that holds a newline is no constraint, since the index
has none. Whatever is not understood, or would grow too large, is no constraint: wrong is never an option.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod
from typing import Literal

from search.folding import spellings
from search.regex_syntax import Alt, Cat, Chars, Edge, Node, Repeat, atoms
from search.windows import NEWLINE, Window, windows

EXACT_MAX = 7  # exact strings kept; codesearch's value
SET_MAX = 20  # beginnings or ends kept; codesearch's value
CROSS_MAX = 512  # strings in a product before it is cut short
CLASS_KEYS_MAX = 256  # trigrams of three sets in a row: reading their lists takes 2 ms of 50,000 pages
CLASSES_MAX = 8  # of them in a query
PAIRS_MAX = 4  # spellings of two bytes in a row; each is one of 511 trigrams
KEYS_MAX = 3000  # trigrams in a query; further constraints are dropped
PARTS_MAX = 200  # characters of a pasted line; what follows is verified only
UNROLL_MAX = 3  # copies of a counted repetition; three single characters make a trigram


@dataclass(frozen=True, slots=True)
class TrigramQuery:
    """A condition on the set of trigrams of a document.

    "all" holds always, "none" never; "and", "or" join the keys (b0 << 16 | b1 << 8 | b2) and the parts.
    """

    op: Literal["all", "none", "and", "or"]
    keys: frozenset[int] = frozenset()
    parts: tuple[TrigramQuery, ...] = ()

    def holds(self, trigrams: frozenset[int]) -> bool:
        """True if a document with these trigrams may match."""
        if self.op in ("all", "none"):
            return self.op == "all"
        test = all if self.op == "and" else any
        return test(key in trigrams for key in self.keys) if not self.parts else self._holds_parts(trigrams)

    def _holds_parts(self, trigrams: frozenset[int]) -> bool:
        found = [key in trigrams for key in self.keys] + [part.holds(trigrams) for part in self.parts]
        return all(found) if self.op == "and" else any(found)

    def all_keys(self) -> frozenset[int]:
        """Return every key of the query."""
        return self.keys.union(*(part.all_keys() for part in self.parts))

    def __str__(self) -> str:
        if self.op in ("all", "none"):
            return self.op
        items = sorted(repr(key.to_bytes(3, "big"))[1:] for key in self.keys) + [f"({p})" for p in self.parts]
        return (" " if self.op == "and" else " | ").join(items)


ALL = TrigramQuery("all")
NONE = TrigramQuery("none")


def trigram_query(node: Node) -> TrigramQuery:
    """Return the condition that the trigrams of every text with a match of `node` fulfil."""
    info = _analyze(node)
    if info.exact is not None:
        query = _and(info.match, _of_strings(info.exact))
    else:
        query = _and(info.match, _and(_of_strings(info.prefix), _of_strings(info.suffix)))
    if query.op == "none" or any(atom.newline for atom in atoms(node) if isinstance(atom, Chars)):
        return query  # windows take no match to hold a line end
    found = windows(node)
    query = _and(query, _of_threes(found))
    return _of_pairs(found) if query.op == "all" else query


def _of_pairs(found: Iterable[Window]) -> TrigramQuery:
    """Return what two sets of bytes in a row say, where nothing longer is known: the rarest of a few pairs.

    A line that holds two bytes has them at the start or at the end of a trigram; if it is no longer than they
    are, of the one that it makes with its line end (indexer/trigram.py).
    """
    pairs = [
        pair
        for window in found
        if not window.beyond
        for pair in itertools.pairwise(window.sets)
        if not any(NEWLINE in each for each in pair) and prod(map(len, pair)) <= PAIRS_MAX
    ]
    return _pair_query(*min(pairs, key=_spellings)) if pairs else ALL


def _pair_query(first: Collection[int], second: Collection[int]) -> TrigramQuery:
    """Return the condition that a line has a byte of one set and then a byte of another."""
    if len(first) * len(second) > PAIRS_MAX:
        return ALL
    pairs = [a << 8 | b for a, b in itertools.product(first, second)]
    before = (other << 16 | pair for pair in pairs for other in range(256) if other != NEWLINE)
    behind = (pair << 8 | other for pair in pairs for other in range(256))
    return TrigramQuery("or", frozenset(itertools.chain(before, behind)))


def _spellings(sets: Iterable[frozenset[int]]) -> tuple[int, list[list[int]]]:
    """Return how many strings some sets make; and what orders those that make equally many."""
    return prod(map(len, sets)), [sorted(each) for each in sets]


def _of_threes(found: Iterable[Window]) -> TrigramQuery:
    r"""Return what three sets of bytes in a row say, for what has too many strings to be followed.

    `\d+\.\d+` has a digit, a full stop and a digit: one of a hundred trigrams.
    """
    threes = {
        three
        for window in found
        if not window.beyond
        for three in zip(window.sets, window.sets[1:], window.sets[2:], strict=False)
        if not any(NEWLINE in each for each in three) and 1 < prod(map(len, three)) <= CLASS_KEYS_MAX
    }
    return conjunction(
        TrigramQuery("or", frozenset(a << 16 | b << 8 | c for a, b, c in itertools.product(*three)))
        for three in sorted(threes, key=_spellings)[:CLASSES_MAX]
    )


def literal_query(text: str, fold: bool) -> TrigramQuery:
    """Return the same for plain text: one "or" of spellings per window of three bytes.

    fold  ASCII letters match both cases, and nothing beyond ASCII; others match what RE2 takes for the same
    """
    possible: list[tuple[int, ...]] = []  # values of each byte; none: unknown
    for char in text[:PARTS_MAX]:
        if char == "\n":
            possible.append(())
        elif fold and char.isascii() and char.isalpha():
            possible.append((ord(char.upper()), ord(char.lower())))
        else:
            possible += _bytes_of(char, fold)
    threes = dict.fromkeys(zip(possible, possible[1:], possible[2:], strict=False))
    if len(possible) == 2 and all(possible):
        return _pair_query(*possible)
    return conjunction(
        TrigramQuery("or", frozenset(a << 16 | b << 8 | c for a, b, c in itertools.product(*three)))
        for three in threes
        if all(three)
    )


def _bytes_of(char: str, fold: bool) -> list[tuple[int, ...]]:
    """Return the values that each byte of a character can have; unknown where spellings differ in length."""
    codes = spellings(ord(char)) if fold and not char.isascii() else (ord(char),)
    encoded = sorted(chr(code).encode() for code in codes)
    if len({len(each) for each in encoded}) > 1:
        return [()]
    return [tuple(sorted(set(column))) for column in zip(*encoded, strict=True)]


def conjunction(queries: Iterable[TrigramQuery]) -> TrigramQuery:
    """Return the query that holds where all of `queries` hold."""
    whole = ALL
    for query in queries:
        whole = _and(whole, query)
    return whole


@dataclass(slots=True)
class _Info:
    """What is known of the strings that a part of the pattern matches."""

    exact: frozenset[bytes] | None  # all of them, or None
    prefix: frozenset[bytes]  # each begins with one of these (not kept while exact is)
    suffix: frozenset[bytes]
    can_be_empty: bool
    match: TrigramQuery


_EMPTY = frozenset((b"",))


def _analyze(node: Node) -> _Info:
    if isinstance(node, Chars):
        if node.codes is None:
            return _Info(None, _EMPTY, _EMPTY, False, ALL)
        return _simplified(_exactly(frozenset(chr(code).encode() for code in node.codes)))
    if isinstance(node, Edge):
        return _exactly(_EMPTY)
    if isinstance(node, Repeat):
        return _analyze_repeat(node)
    if isinstance(node, Alt):
        infos = [_analyze(part) for part in node.parts]
        whole = infos[0]
        for info in infos[1:]:
            whole = _alternate(whole, info)
        return whole
    assert isinstance(node, Cat), node
    whole = _exactly(_EMPTY)
    for part in node.parts[:PARTS_MAX]:
        whole = _concat(whole, _analyze(part))
    return whole if len(node.parts) <= PARTS_MAX else _concat(whole, _anything())


def _analyze_repeat(node: Repeat) -> _Info:
    if node.most == 0:
        return _exactly(_EMPTY)
    if node.least == 0:
        return _alternate(_analyze(node.part), _exactly(_EMPTY)) if node.most == 1 else _anything()
    part = _analyze(node.part)
    whole = part
    for _ in range(min(node.least, UNROLL_MAX) - 1):
        whole = _concat(whole, part)
    if node.least == node.most and node.least <= UNROLL_MAX:
        return whole
    return _concat(_concat(whole, _anything()), part)  # the first copies, then some, and the last is a copy


def _anything() -> _Info:
    return _Info(None, _EMPTY, _EMPTY, True, ALL)


def _exactly(strings: frozenset[bytes]) -> _Info:
    if not strings:  # an empty class matches nothing
        return _Info(None, _EMPTY, _EMPTY, False, NONE)
    return _Info(strings, _EMPTY, _EMPTY, b"" in strings, ALL)


def _concat(x: _Info, y: _Info) -> _Info:
    match = _and(x.match, y.match)
    if x.exact is not None and y.exact is not None:
        return _simplified(
            _Info(_cross(x.exact, y.exact), _EMPTY, _EMPTY, x.can_be_empty and y.can_be_empty, match)
        )
    if x.exact is not None:
        prefix = _cross(x.exact, y.prefix)
    else:
        prefix = x.prefix | y.prefix if x.can_be_empty else x.prefix
    if y.exact is not None:
        suffix = _cross(x.suffix, y.exact)
    else:
        suffix = y.suffix | x.suffix if y.can_be_empty else y.suffix
    if x.exact is None and y.exact is None:
        # Within x and y nothing more is known, but across the seam there is.
        seam = _cross(x.suffix, y.prefix)
        match = _and(match, _of_strings(seam))
    return _simplified(_Info(None, prefix, suffix, x.can_be_empty and y.can_be_empty, match))


def _alternate(x: _Info, y: _Info) -> _Info:
    can_be_empty = x.can_be_empty or y.can_be_empty
    if x.exact is not None and y.exact is not None:
        return _simplified(_Info(x.exact | y.exact, _EMPTY, _EMPTY, can_be_empty, _or(x.match, y.match)))
    match = _or(_match_of(x), _match_of(y))
    prefix = (x.exact if x.exact is not None else x.prefix) | (y.exact if y.exact is not None else y.prefix)
    suffix = (x.exact if x.exact is not None else x.suffix) | (y.exact if y.exact is not None else y.suffix)
    return _simplified(_Info(None, prefix, suffix, can_be_empty, match))


def _match_of(info: _Info) -> TrigramQuery:
    return info.match if info.exact is None else _and(info.match, _of_strings(info.exact))


def _simplified(info: _Info) -> _Info:
    """Turn large sets into trigrams, and shorten what is kept."""
    exact, prefix, suffix, match = info.exact, info.prefix, info.suffix, info.match
    if exact is not None:
        if len(exact) <= EXACT_MAX and min(map(len, exact)) < 4:
            return info
        match = _and(match, _of_strings(exact))
        prefix, suffix = exact, exact
    match, prefix = _shortened(match, prefix, True)
    match, suffix = _shortened(match, suffix, False)
    return _Info(None, prefix, suffix, info.can_be_empty, match)


def _shortened(
    match: TrigramQuery, strings: frozenset[bytes], front: bool
) -> tuple[TrigramQuery, frozenset[bytes]]:
    match = _and(match, _of_strings(strings))
    keep = 2
    while True:
        strings = frozenset(s[:keep] if front else s[len(s) - min(keep, len(s)) :] for s in strings)
        if len(strings) <= SET_MAX:
            break
        keep -= 1
    return match, _EMPTY if b"" in strings else strings


def _cross(x: frozenset[bytes], y: frozenset[bytes]) -> frozenset[bytes]:
    """Return every string of x followed by every one of y; too many count as unknown (the empty string)."""
    if len(x) * len(y) > CROSS_MAX:
        return _EMPTY
    return frozenset(a + b for a in x for b in y)


def _of_strings(strings: frozenset[bytes]) -> TrigramQuery:
    """Return the query of a text that holds at least one of the strings."""
    query = NONE
    for string in sorted(strings):
        keys = frozenset(
            string[i] << 16 | string[i + 1] << 8 | string[i + 2]
            for i in range(len(string) - 2)
            if b"\n" not in string[i : i + 3]
        )
        if not keys:
            return ALL
        query = _or(query, TrigramQuery("and", keys))
    return query if strings else ALL


def _and(x: TrigramQuery, y: TrigramQuery) -> TrigramQuery:
    return _join("and", x, y)


def _or(x: TrigramQuery, y: TrigramQuery) -> TrigramQuery:
    return _join("or", x, y)


def _join(op: Literal["and", "or"], x: TrigramQuery, y: TrigramQuery) -> TrigramQuery:
    neutral, absorbing = ("all", "none") if op == "and" else ("none", "all")
    if x.op == absorbing or y.op == neutral or x == y:
        return x
    if y.op == absorbing or x.op == neutral:
        return y
    if op == "and" and len(x.all_keys()) + len(y.all_keys()) > KEYS_MAX:
        return x
    if op == "or" and len(x.all_keys()) + len(y.all_keys()) > KEYS_MAX:
        return ALL
    keys: set[int] = set()
    parts: list[TrigramQuery] = []
    for query in (x, y):
        if query.op == op or (len(query.keys) == 1 and not query.parts):
            keys |= query.keys
            parts += [part for part in query.parts if part not in parts]
        elif query not in parts:
            parts.append(query)
    return TrigramQuery(op, frozenset(keys), tuple(parts))
