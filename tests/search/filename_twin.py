"""The slow, obvious twin of file-name search: one path after the other, a full table for each.

FuzzyMatchV2 after junegunn/fzf, src/algo/algo.go (read at commit 956562da), with --scheme=path: phases 2 and
3 written out cell by cell. The terms 'exact, ^prefix, suffix$ and !negated after src/pattern.go.
"""

from __future__ import annotations

import re

MATCH, GAP_START, GAP_EXTENSION = 16, -3, -1
BOUNDARY, DELIMITED, CAMEL, CONSECUTIVE = 8, 9, 7, 4


def class_of(char: str) -> str:
    if char == "/":
        return "delimiter"
    for name, test in (("lower", str.islower), ("upper", str.isupper), ("number", str.isnumeric)):
        if test(char):
            return name
    return "letter" if char.isalpha() else "white" if char.isspace() else "other"


def bonus_at(path: str, i: int) -> int:
    before = class_of(path[i - 1]) if i else "delimiter"
    here = class_of(path[i])
    if here != "white":
        if before == "delimiter":
            return DELIMITED
        if before in ("white", "other"):
            return BOUNDARY
    if (before == "lower" and here == "upper") or (before != "number" and here == "number"):
        return CAMEL
    return BOUNDARY if here in ("white", "other", "delimiter") else 0


def fold(char: str) -> str:
    return char.lower() if len(char.lower()) == 1 else char


def same(path: str, text: str, cased: bool) -> tuple[str, str]:
    return (path, text) if cased else ("".join(map(fold, path)), "".join(map(fold, text)))


def fuzzy(path: str, text: str, cased: bool) -> tuple[int, list[int]] | None:
    """Score and columns of the best alignment, None if the text is no subsequence of the path."""
    bonuses = [bonus_at(path, i) for i in range(len(path))]
    letters, pattern = same(path, text, cased)
    first: list[int] = []  # of each typed character, the earliest column
    at = -1
    for char in pattern:
        at = letters.find(char, at + 1)
        if at < 0:
            return None
        first.append(at)
    n = len(path)
    # By typed character and column: best score so far, length of the run that ends here, matched here.
    H = [[0] * n for _ in pattern]  # noqa: N806  fzf's names
    C = [[0] * n for _ in pattern]  # noqa: N806
    taken = [[False] * n for _ in pattern]
    for i, char in enumerate(pattern):
        in_gap = False
        for j in range(first[i], n):
            left = H[i][j - 1] if j > first[i] else 0
            s2 = left + (GAP_EXTENSION if in_gap else GAP_START)
            s1 = run = 0
            if letters[j] == char:
                if i == 0:
                    H[i][j], C[i][j], taken[i][j], in_gap = MATCH + 2 * bonuses[j], 1, True, False
                    continue
                s1 = H[i - 1][j - 1] + MATCH
                bonus = bonuses[j]
                run = C[i - 1][j - 1] + 1
                if run > 1:
                    of_run = bonuses[j - run + 1]
                    if bonus >= BOUNDARY and bonus > of_run:
                        run = 1
                    else:
                        bonus = max(bonus, CONSECUTIVE, of_run)
                if s1 + bonus < s2:
                    s1 += bonuses[j]
                    run = 0
                else:
                    s1 += bonus
                    taken[i][j] = True
            C[i][j] = run
            in_gap = s1 < s2 if i else True
            H[i][j] = max(s1, s2, 0)
    score = max(H[-1])
    column = H[-1].index(score)
    columns = []
    for i in range(len(pattern) - 1, -1, -1):
        while not taken[i][column]:
            column -= 1
        columns.append(column)
        column -= 1
    return score, columns[::-1]


def run_score(path: str, start: int, length: int) -> int:
    """fzf's calculateScore for characters side by side."""
    score, of_run = 0, 0
    for j in range(start, start + length):
        bonus = bonus_at(path, j)
        if j == start:
            of_run = bonus
            score += MATCH + 2 * bonus
            continue
        if bonus >= BOUNDARY and bonus > of_run:
            of_run = bonus
        score += MATCH + max(bonus, of_run, CONSECUTIVE)
    return score


def exact(path: str, text: str, cased: bool, kind: str) -> tuple[int, list[int]] | None:
    """The best of all places where the text stands; the first of equal ones."""
    letters, pattern = same(path, text, cased)
    starts = [i for i in range(len(path)) if letters.startswith(pattern, i)]
    if kind in ("prefix", "equal"):
        starts = [i for i in starts if i == 0]
    if kind in ("suffix", "equal"):
        starts = [i for i in starts if i + len(text) == len(path)]
    scored = [(-run_score(path, i, len(text)), i) for i in starts]
    if not scored:
        return None
    score, start = min(scored)
    return -score, list(range(start, start + len(text)))


def terms(query: str, mode: str) -> list[tuple[str, str, bool]]:
    """(text, kind, negated) of each part."""
    parts = [part.replace("\0", " ") for part in query.replace("\\ ", "\0").split(" ") if part]
    if mode == "substring":
        return [(part, "exact", False) for part in parts]
    found = []
    for part in parts:
        negated, rest = part.startswith("!"), part.removeprefix("!")
        kind = "exact" if negated else "fuzzy"
        if rest.endswith("$") and rest != "$":
            kind, rest = "suffix", rest[:-1]
        if rest.startswith("'"):
            kind, rest = "fuzzy" if negated else "exact", rest[1:]
        elif rest.startswith("^"):
            kind, rest = "equal" if kind == "suffix" else "prefix", rest[1:]
        if rest:
            found.append((rest, kind, negated))
    return found


def match(path: str, query: str, mode: str) -> tuple[int, set[int]] | None:
    """Score and columns of a path, None if it does not match."""
    total, columns = 0, set()
    for text, kind, negated in terms(query, mode):
        cased = text != text.lower()
        got = fuzzy(path, text, cased) if kind == "fuzzy" else exact(path, text, cased, kind)
        if negated:
            if got is not None:
                return None
            continue
        if got is None:
            return None
        total += got[0]
        columns.update(got[1])
    return total, columns


def ranges(columns: set[int]) -> tuple[tuple[int, int], ...]:
    starts = sorted(c for c in columns if c - 1 not in columns)
    ends = sorted(c + 1 for c in columns if c + 1 not in columns)
    return tuple(zip(starts, ends, strict=True))


Row = tuple[bytes, int, tuple[tuple[int, int], ...]]


def search(paths: list[bytes], query: str, mode: str) -> list[Row]:
    """All matching paths, best first: (path, score, ranges)."""
    found = []
    for raw in paths:
        path = raw.decode("utf-8", "surrogateescape")
        if mode == "regex":
            fold = "" if any(c.isupper() for c in query) else "(?i)"
            hit = re.search(fold + query, path)
            got = (0, set(range(*hit.span()))) if hit and path else None
        else:
            got = match(path, query, mode)
        if got is not None:
            found.append((-got[0], len(path), raw, ranges(got[1])))
    return [(raw, -score, marked) for score, _, raw, marked in sorted(found)]
