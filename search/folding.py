"""Which characters are the same to RE2 when case is ignored.

RE2 is asked, for its tables may be of another version of Unicode than Python's, and a spelling left out would
be a match not found.
"""

from __future__ import annotations

from functools import cache, lru_cache

from search.compiled import compile_pattern

# What RE2 folds to ASCII letters: Kelvin sign and long s.
BEYOND_ASCII = {0x212A: "k", 0x17F: "s"}

# Characters with another case are in the first two planes; behind them are Chinese and private ones.
_PLANES_END = 0x20000
# All classes that hold characters with another case: letters, iota below, Roman numerals, letters in circles.
_CASED = rb"[\p{Lu}\p{Ll}\p{Lt}\p{Mn}\p{Nl}\p{So}]+"
_SURROGATES = range(0xD800, 0xE000)


@lru_cache(maxsize=4096)
def spellings(code: int) -> frozenset[int]:
    """Return the characters that a character matches when case is ignored, itself included."""
    if code < 128:
        both = {ord(chr(code).lower()), ord(chr(code).upper())}
        return frozenset(both | {beyond for beyond, letter in BEYOND_ASCII.items() if ord(letter) in both})
    same = compile_pattern(rb"\x{%x}" % code, fold=True)
    found = same.findall(_cased())
    return frozenset(ord(match.decode()) for match in found) | {code}


@cache
def _cased() -> bytes:
    """Return all characters that may have another case."""
    every = "".join(chr(code) for code in range(_PLANES_END) if code not in _SURROGATES).encode()
    return b"".join(compile_pattern(_CASED).findall(every))
