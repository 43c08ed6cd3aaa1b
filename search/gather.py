"""What the retrievers found -> one table of candidates with the features that ranking looks at.

A candidate is a place in a file: what two retrievers found at the same offset is one candidate. Retrievers of
chunks (words, meaning) lift every candidate in the chunk; a chunk with no candidate becomes one itself.
Content that stands under several paths of the root gives a candidate for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from indexer.records import F32, I64, Bool
from indexer.store.snapshot import Snapshot
from search import facts as flags
from search.facts import RootFacts
from search.file_rank import AboutFiles
from search.lexical import TermLists, cover, query_terms
from search.path_names import named
from search.places import (
    NONE,
    Places,
    by_segment,
    chunk_places,
    chunks_at,
    definitions_at,
    definitions_of_chunks,
    distinct,
)
from search.rank import Asked, Features
from search.reading import Reading
from search.symbol import EXACT, FOLDED, PREFIX

RECENT_NS = 86_400 * 10**9
PATH_NAMED = 0.7  # score of a path from which on the file was named, not only hinted at
NAMES_MAX = 1_000  # candidates whose definition's name is compared with the query's words
_OFFSET_BITS = 32
_MISSING = np.float32(-np.inf)


@dataclass(frozen=True, slots=True)
class ChunkList:
    """Chunks that one retriever found."""

    chunk: I64
    score: F32


@dataclass(frozen=True, slots=True)
class Candidates:
    """n candidates as columns."""

    slot: I64
    doc: I64
    start: I64  # byte offset of the match; of the chunk where `is_chunk`
    end: I64
    chunk: I64  # global, -1 for none, or of a place where nobody asked for chunks
    definition: I64  # segment-wide number of the definition that the place names, -1 if it is none
    is_chunk: Bool
    is_file: Bool  # stands for the file, not for a place in it
    found: dict[str, F32]

    def __len__(self) -> int:
        return len(self.slot)

    def where(self, keep: I64 | Bool) -> Candidates:
        """Return the candidates that `keep` selects."""
        found = {name: score[keep] for name, score in self.found.items()}
        return Candidates(
            self.slot[keep],
            self.doc[keep],
            self.start[keep],
            self.end[keep],
            self.chunk[keep],
            self.definition[keep],
            self.is_chunk[keep],
            self.is_file[keep],
            found,
        )


def gather(
    snapshot: Snapshot,
    facts: RootFacts,
    slots: Bool,
    places: Iterable[tuple[str, Places]],
    chunks: Iterable[tuple[str, ChunkList]],
    files: Iterable[tuple[str, I64, F32]] = (),
) -> Candidates:
    """Join lists of places, of chunks and of files (slots) into candidates within `slots`."""
    joined = _join_places(list(places))
    listed = list(chunks)
    if listed:
        chunk_of = chunks_at(snapshot, joined.doc, joined.start)
        joined = _with_chunks(snapshot, replace(joined, chunk=chunk_of), listed)
    return _with_files(_on_slots(joined, facts, slots), list(files), facts)


def enclosing(snapshot: Snapshot, candidates: Candidates) -> I64:
    """Return the innermost definition around each place (segment-wide number); -1 for chunks and files."""
    out = np.full(len(candidates), NONE, np.int64)
    rows = np.flatnonzero(~candidates.is_chunk & ~candidates.is_file)
    out[rows] = definitions_at(snapshot, candidates.doc[rows], candidates.start[rows])
    return out


def features(
    snapshot: Snapshot,
    facts: RootFacts,
    candidates: Candidates,
    around: I64,
    words: tuple[str, ...],
    terms: TermLists,
    asked: Asked,
    now: float,
    reading: Reading,
    together: bool,
) -> Features:
    """Return what ranking looks at.

    around    the definition around each candidate, as `enclosing` has it
    terms     of the words
    together  candidates differ in how many of the words stand around them
    """
    definition = _named_definition(snapshot, candidates, around)
    flag = facts.flags[candidates.slot]
    match, kind = _names(snapshot, candidates, definition, words)
    whole, exact = _edges(reading, candidates, words)
    covered = np.zeros(len(candidates), np.float32)
    if len(words) > 1 and together:
        covered = chunk_coverage(snapshot, candidates, terms)
    recent = facts.view.mtime_ns[candidates.slot] > now * 1e9 - RECENT_NS
    return Features(
        found=candidates.found,
        slot=candidates.slot,
        twin=(candidates.doc << _OFFSET_BITS) | candidates.start,
        name_match=match,
        kind=kind,
        whole_word=whole,
        exact_case=exact,
        path_words=_path_words(facts, candidates.slot, [t.text for t in terms.query if t.weight == 1.0]),
        coverage=covered,
        is_test=(flag & flags.TEST) != 0,
        is_generated=(flag & flags.GENERATED) != 0,
        is_vendored=(flag & flags.VENDORED) != 0,
        is_docs=(flag & flags.DOCS) != 0,
        is_recent=recent,
        asked=asked,
    )


def about_files(
    snapshot: Snapshot,
    facts: RootFacts,
    candidates: Candidates,
    words: tuple[str, ...],
    cosines: Callable[[I64], F32],
    second_cosines: Callable[[I64], F32],
) -> AboutFiles:
    """Return what is known of the files of the candidates beside the question.

    cosines         the question and some documents as a whole, by meaning; -inf if unknown
    second_cosines  the same by the second model
    """
    docs = distinct(candidates.doc)
    plain = [
        term.text.decode("utf-8", "surrogateescape") for term in query_terms(words) if term.weight == 1.0
    ]
    offsets = facts.offsets
    says = named(plain, facts.joined, offsets[candidates.slot], offsets[candidates.slot + 1] - 1)
    return AboutFiles(
        name_cover=says.cover,
        path_asked=says.asked,
        named_so=says.alone,
        depth=says.depth,
        cosine=cosines(docs)[docs.searchsorted(candidates.doc)],
        second_cosine=second_cosines(docs)[docs.searchsorted(candidates.doc)],
        defines_identifier=np.isin(candidates.doc, _defining_documents(snapshot, words)),
    )


def _defining_documents(snapshot: Snapshot, words: tuple[str, ...]) -> I64:
    """Return the documents that define a name which the question spells as code does."""
    found = [np.empty(0, np.int64)]
    for name in sorted({part for word in words for part in _identifiers(word, len(words) == 1)}):
        encoded = name.encode("utf-8", "surrogateescape")
        for segment, base in zip(snapshot.segments, snapshot.seg_base.tolist(), strict=False):
            at = segment.names_exact(encoded)
            if at >= 0:
                found.append(segment.doc_of_def(segment.defs_of_name(at)).astype(np.int64) + base)
    return np.unique(np.concatenate(found))


def _identifiers(word: str, alone: bool) -> list[str]:
    """Return the parts of a word that are spelled as names in code are; all of a question of one word."""
    parts = re.split(r"\.|::|->|#|/", word.strip(".,:;()?!'\"`"))
    return [part for part in parts if len(part) > 2 and (alone or _LOOKS_LIKE_CODE.search(part))]


_LOOKS_LIKE_CODE = re.compile(r"[a-z][A-Z]|_|^[A-Z]")


def at_definitions(snapshot: Snapshot, candidates: Candidates) -> Candidates:
    """Move every candidate to the definition that it names or stands in; drop the others, and doubles."""
    around = definitions_at(snapshot, candidates.doc, candidates.start)
    chunks = np.flatnonzero(candidates.is_chunk)
    around[chunks] = definitions_of_chunks(snapshot, candidates.chunk[chunks])
    definition = np.where(candidates.definition >= 0, candidates.definition, around)
    kept = candidates.where(np.flatnonzero((definition >= 0) & ~candidates.is_file))
    definition = definition[(definition >= 0) & ~candidates.is_file]
    start, end = kept.start.copy(), kept.end.copy()
    for segment, _, positions, _ordinals in by_segment(snapshot, kept.doc):
        defs = definition[positions]
        start[positions] = segment.def_name_start[defs]
        name = segment.def_name[defs].astype(np.int64)
        end[positions] = start[positions] + segment.name_off[name + 1] - segment.name_off[name] - 1
    moved = replace(
        kept,
        start=start,
        end=end,
        definition=definition,
        is_chunk=np.zeros(len(kept), np.bool_),
    )
    return _best_of(moved, (moved.slot << _OFFSET_BITS) | moved.start)


def at_files(candidates: Candidates) -> Candidates:
    """Keep one candidate of every file, with the best each retriever has for it."""
    return _best_of(candidates, candidates.slot)


def path_scores(facts: RootFacts, words: tuple[str, ...], slots: Bool) -> tuple[I64, F32]:
    """Return the files whose path is, ends with, or contains what was typed: (slots, scores 0..1).

    Dots are tried as slashes too: `http.client` is typed for http/client.py.
    """
    best = np.zeros(len(slots), np.float32)
    for word in words:
        typed = word.encode("utf-8", "surrogateescape").lower().strip(b"/").removeprefix(b"./")
        for spelled in {typed, typed.replace(b".", b"/")}:
            if len(spelled) < 2 or b"\n" in spelled:
                continue
            found = flags.find_all(facts.lowered, spelled)
            np.maximum.at(best, facts.slots_at(found), _path_score(facts.lowered, found, len(spelled)))
    best[~slots] = 0
    named = np.flatnonzero(best)
    return named, best[named]


def _path_score(paths: bytes, found: I64, length: int) -> F32:
    """Score occurrences by what stands around them: the whole path, its end, a whole name, anything."""
    around = np.frombuffer(paths, np.uint8)
    before, after = around[found - 1], around[found + length]
    starts = (before == _NEWLINE) | (before == _SLASH)
    score = np.where(starts & (after == _DOT), np.float32(0.7), np.float32(0.3))
    score[starts & (after == _NEWLINE)] = 0.9
    score[(before == _NEWLINE) & (after == _NEWLINE)] = 1.0
    return score


_NEWLINE, _SLASH, _DOT = b"\n/."


def _join_places(lists: list[tuple[str, Places]]) -> Candidates:
    """Make one row of every distinct (document, offset)."""
    if not any(len(part) for _, part in lists):
        return _no_candidates([name for name, _ in lists])
    doc = np.concatenate([np.empty(0, np.int64), *(p.doc for _, p in lists)])
    start = np.concatenate([np.empty(0, np.int64), *(p.start for _, p in lists)])
    key, first, which = np.unique((doc << _OFFSET_BITS) | start, return_index=True, return_inverse=True)
    n = len(key)
    end = np.zeros(n, np.int64)
    definition = np.full(n, NONE, np.int64)
    np.maximum.at(end, which, np.concatenate([np.empty(0, np.int64), *(p.end for _, p in lists)]))
    np.maximum.at(
        definition, which, np.concatenate([np.empty(0, np.int64), *(p.definition for _, p in lists)])
    )
    found: dict[str, F32] = {}
    at = 0
    for name, part in lists:
        score = found.setdefault(name, np.full(n, _MISSING, np.float32))
        np.maximum.at(score, which[at : at + len(part)], part.score)
        at += len(part)
    none = np.zeros(n, np.bool_)
    return Candidates(
        np.full(n, NONE, np.int64), doc[first], start[first], end, np.full(n, NONE, np.int64), definition,
        none, none.copy(), found,
    )  # fmt: skip


def _no_candidates(names: list[str]) -> Candidates:
    none, no = np.empty(0, np.int64), np.empty(0, np.bool_)
    found = {name: np.empty(0, np.float32) for name in names}
    return Candidates(none, none, none, none, none, none, no, no, found)


def _with_chunks(snapshot: Snapshot, table: Candidates, lists: list[tuple[str, ChunkList]]) -> Candidates:
    """Give candidates what their chunk scored, and add the chunks that have no candidate."""
    if not lists:
        return table
    listed = distinct(np.concatenate([part.chunk for _, part in lists]))
    alone = np.setdiff1d(listed, table.chunk) if len(table) else listed
    doc, start, end = chunk_places(snapshot, alone)
    n, added = len(table), len(alone)
    chunk = np.concatenate((table.chunk, alone))
    found = {
        name: np.concatenate((score, np.full(added, _MISSING, np.float32)))
        for name, score in table.found.items()
    }
    for name, part in lists:
        if not len(part.chunk):
            continue
        order = np.argsort(part.chunk)
        ordered = part.chunk[order]
        at = np.minimum(np.searchsorted(ordered, chunk), len(ordered) - 1)
        score = np.where(ordered[at] == chunk, part.score[order][at], _MISSING).astype(np.float32)
        found[name] = np.maximum(found[name], score) if name in found else score
    return Candidates(
        np.full(n + added, NONE, np.int64),
        np.concatenate((table.doc, doc)),
        np.concatenate((table.start, start)),
        np.concatenate((table.end, end)),
        chunk,
        np.concatenate((table.definition, np.full(added, NONE, np.int64))),
        np.concatenate((table.is_chunk, np.ones(added, np.bool_))),
        np.concatenate((table.is_file, np.zeros(added, np.bool_))),
        found,
    )


def _on_slots(table: Candidates, facts: RootFacts, slots: Bool) -> Candidates:
    """Repeat every candidate for each admitted path of its document."""
    docs = distinct(table.doc)
    owned = facts.slots_of(docs)
    if len(owned) == len(docs) and bool(slots[owned].all()) and np.array_equal(facts.doc[owned], docs):
        return replace(table, slot=owned[docs.searchsorted(table.doc)])
    owned = owned[slots[owned]]
    of_doc = facts.doc[owned]
    low = np.searchsorted(of_doc, table.doc, side="left")
    count = np.searchsorted(of_doc, table.doc, side="right") - low
    row = np.repeat(np.arange(len(table)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    out = table.where(row)
    return replace(out, slot=owned[low[row] + nth])


def _with_files(table: Candidates, lists: list[tuple[str, I64, F32]], facts: RootFacts) -> Candidates:
    """Add candidates that stand for whole files."""
    for name, slots, score in lists:
        n, added = len(table), len(slots)
        missing = np.full(added, _MISSING, np.float32)
        found = {known: np.concatenate((old, missing)) for known, old in table.found.items()}
        own = np.concatenate((np.full(n, _MISSING, np.float32), score.astype(np.float32)))
        found[name] = np.maximum(found[name], own) if name in found else own
        zero, none = np.zeros(added, np.int64), np.full(added, NONE, np.int64)
        yes, no = np.ones(added, np.bool_), np.zeros(added, np.bool_)
        table = Candidates(
            np.concatenate((table.slot, slots)),
            np.concatenate((table.doc, facts.doc[slots])),
            np.concatenate((table.start, zero)),
            np.concatenate((table.end, zero)),
            np.concatenate((table.chunk, none)),
            np.concatenate((table.definition, none)),
            np.concatenate((table.is_chunk, no)),
            np.concatenate((table.is_file, yes)),
            found,
        )
    return table


def _best_of(table: Candidates, key: I64) -> Candidates:
    """Keep the first candidate of every key, with the best score each retriever gave to any of them."""
    keys, first, which = np.unique(key, return_index=True, return_inverse=True)
    found: dict[str, F32] = {}
    total = np.zeros(len(table), np.float32)
    for name, score in table.found.items():
        best = np.full(len(keys), _MISSING, np.float32)
        np.maximum.at(best, which, score)
        found[name] = best
        total += np.where(np.isfinite(score), 1 + score, 0)
    # The place shown is the one that most retrievers like best; files themselves only where nothing else is.
    total = np.where(table.is_file, -1, total)
    order = np.lexsort((table.start, -total, which))
    first = order[np.searchsorted(which[order], np.arange(len(keys)))]
    return replace(table.where(first), found=found)


def _named_definition(snapshot: Snapshot, table: Candidates, around: I64) -> I64:
    """Return the definition whose name begins at each candidate, -1 for none."""
    out = table.definition.copy()
    inside = np.flatnonzero((out < 0) & (around >= 0))
    for segment, _, positions, _ordinals in by_segment(snapshot, table.doc[inside]):
        rows = inside[positions]
        named = segment.def_name_start[around[rows]] == table.start[rows]
        out[rows[named]] = around[rows[named]]
    return out


def _names(snapshot: Snapshot, table: Candidates, definition: I64, words: tuple[str, ...]) -> tuple[F32, I64]:
    """Return how well each candidate defines one of the words, and its kind (-1: no definition)."""
    match = np.zeros(len(table), np.float32)
    kind = np.full(len(table), NONE, np.int64)
    defined = np.flatnonzero(definition >= 0)
    # Of a question all candidates may be chunks, of which nothing is compared with its words.
    exact = {_last_part(word).encode("utf-8", "surrogateescape") for word in words if len(defined)}
    folded = {word.lower() for word in exact}
    for segment, _, positions, _ordinals in by_segment(snapshot, table.doc[defined]):
        at = defined[positions]
        defs = definition[at]
        kind[at] = segment.def_kind[defs]
        if not words:
            continue
        for row, name_number in zip(at[:NAMES_MAX].tolist(), segment.def_name[defs].tolist(), strict=False):
            match[row] = _name_match(segment.name(name_number), exact, folded)
    symbol = table.found.get("symbol")
    if symbol is not None:
        # A container that does not fit has halved the score; the name alone must not make up for it.
        match = np.where(np.isfinite(symbol), np.clip(symbol, 0, 1), match)
    path = table.found.get("path")
    if path is not None:  # a file is the definition of its name
        match = np.where(table.is_file & (path >= PATH_NAMED), np.where(path >= 0.9, 1, path), match)
    return match.astype(np.float32), kind


def _name_match(name: bytes, exact: set[bytes], folded: set[bytes]) -> float:
    if name in exact:
        return EXACT
    lower = name.lower()
    if lower in folded:
        return FOLDED
    return PREFIX / 2 if any(len(word) > 2 and lower.startswith(word) for word in folded) else 0.0


def chunk_coverage(snapshot: Snapshot, table: Candidates, terms: TermLists) -> F32:
    """Return the share of the words in the chunk of each candidate."""
    chunk = table.chunk.copy()
    places = np.flatnonzero((chunk < 0) & ~table.is_file)
    chunk[places] = chunks_at(snapshot, table.doc[places], table.start[places])
    covered = np.zeros(len(table), np.float32)
    has = chunk >= 0
    asked = distinct(chunk[has])
    covered[has] = cover(terms, asked)[asked.searchsorted(chunk[has])]
    return covered


def _edges(reading: Reading, table: Candidates, words: tuple[str, ...]) -> tuple[Bool, Bool]:
    """Return which candidates are whole words, and which are spelled as one of the query's words."""
    whole = np.zeros(len(table), np.bool_)
    exact = np.zeros(len(table), np.bool_)
    rows = np.flatnonzero(~table.is_chunk & ~table.is_file & (table.end > table.start))
    if not len(rows):
        return whole, exact
    spelled = {word.encode("utf-8", "surrogateescape") for word in words}
    spelled |= {_last_part(word).encode("utf-8", "surrogateescape") for word in words}
    around = bytearray()  # of each candidate: the byte before it, its first, its last, the byte behind it
    spells: list[bool] = []
    passage, of, low, high = None, -1, 0, -1  # of the candidate before: most have the same one
    places = zip(table.doc[rows].tolist(), table.start[rows].tolist(), table.end[rows].tolist(), strict=True)
    for doc, start, end in places:
        if passage is None or doc != of or not low <= start or end > high:
            passage, of = reading.passage(doc, start, end), doc
            content, low = passage.content, passage.offset
            high = low + len(content)
        start, end = start - low, end - low
        around += content[start - 1 : start + 1] if start else b"\n" + content[:1]
        around += content[end - 1 : end + 1] if end < len(content) else content[end - 1 : end] + b"\n"
        if spelled:
            spells.append(content[start:end] in spelled)
    is_word = _IS_WORD[np.frombuffer(around, np.uint8).reshape(-1, 4)]
    whole[rows] = ~(is_word[:, 0] & is_word[:, 1]) & ~(is_word[:, 2] & is_word[:, 3])
    exact[rows] = spells or False
    return whole, exact


_IS_WORD = np.zeros(256, np.bool_)
_IS_WORD[[*range(48, 58), *range(65, 91), 95, *range(97, 123), *range(128, 256)]] = True


def _path_words(facts: RootFacts, slots: I64, terms: list[bytes]) -> F32:
    """Return how many of the terms stand in the path of each slot; one of a directory counts half."""
    total = np.zeros(len(slots), np.float32)
    for having, share in facts.path_matches(terms[:12]):
        if len(having):
            at = np.minimum(np.searchsorted(having, slots), len(having) - 1)
            total += np.where(having[at] == slots, share[at], 0)
    return total


def _last_part(word: str) -> str:
    return word.removesuffix("()").replace("::", ".").replace("->", ".").rpartition(".")[2] or word
