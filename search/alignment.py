"""How well a path fits what was typed: fzf's scoring, as rules over characters.

The scheme and its numbers are those of fzf (junegunn/fzf, src/algo/algo.go, FuzzyMatchV2 with --scheme=path):
a matched character earns 16 and a bonus for where it stands; a gap costs 3 and 1 more for each further
character. In a run of matched characters every one earns at least the bonus of the run's first; the bonus of
the first typed character counts twice.
"""

from __future__ import annotations

MATCH = 16
GAP_START, GAP_MORE = 3, 1
BOUNDARY = 8  # behind anything that is neither letter nor digit; such a character itself
BEHIND_SLASH = 9  # and at the start of a path
CAMEL = 7  # an upper-case letter behind a lower-case one, a digit behind no digit
CONSECUTIVE = 4  # least bonus within a run
FIRST_COUNTS = 2  # times for the first typed character

WHITE, NONWORD, DELIMITER, LOWER, UPPER, LETTER, DIGIT = range(7)


def char_class(char: str) -> int:
    """Return the class of a character; only "/" is a delimiter."""
    if char == "/":
        return DELIMITER
    if char.islower():
        return LOWER
    if char.isupper():
        return UPPER
    if char.isnumeric():
        return DIGIT
    if char.isalpha():
        return LETTER
    return WHITE if char.isspace() else NONWORD


def bonus(before: int, here: int) -> int:
    """Return what a match of a character of class `here` earns behind one of class `before`."""
    if here != WHITE and before in (WHITE, DELIMITER, NONWORD):
        return BEHIND_SLASH if before == DELIMITER else BOUNDARY
    if (before == LOWER and here == UPPER) or (before != DIGIT and here == DIGIT):
        return CAMEL
    return BOUNDARY if here in (WHITE, NONWORD, DELIMITER) else 0


BONUS = [[bonus(before, here) for here in range(7)] for before in range(7)]


def best_score(length: int) -> int:
    """Return the most that `length` characters can earn: in one run that starts behind a slash."""
    return length * (MATCH + BEHIND_SLASH) + BEHIND_SLASH * (FIRST_COUNTS - 1)


def run_score(bonuses: list[int]) -> int:
    """Return what matched characters that stand side by side earn; bonuses: of each by itself."""
    first = bonuses[0]
    score = MATCH + FIRST_COUNTS * first
    for one in bonuses[1:]:
        if one >= BOUNDARY and one > first:
            first = one
        score += MATCH + max(one, first, CONSECUTIVE)
    return score
