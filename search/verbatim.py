"""Retrievers of what was pasted: fragments of a message, lines of code, places of a trace.

Fragments and lines are looked for as they are, the longest first, by the same posting lists as any text; what
a place is worth is the share of all that was pasted that stands around it, 0..1.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from indexer.records import F32, I64, Bool
from search.evaluate import Limits, Search, matcher_of, search_texts
from search.facts import RootFacts, find_all
from search.fragments import parts
from search.places import Places, join_places, make_places, no_places
from search.reading import Passage
from search.snippet import line_span
from search.symbol import find_definitions, name_query
from search.trace import Frame

SEARCHES_MAX = 12  # of one message: its fragments, and what they are made of
DOCS_MAX = 64  # documents with a fragment or line that are looked at
PER_DOC = 16  # places of one fragment or line in one document
DOCS_IN_ROW = 8  # documents with most of a snippet, in which its beginning is looked for
AROUND_BYTES = 400  # behind a fragment, in which the next ones of its message stand
AROUND_LINES = 4
FILES_OF_FRAME = 3  # files that a frame may mean, at most
OUTER = 0.9  # what a frame is worth beside the next inner one
WHOLE = 0.2  # of a place's worth: that all of a line of the message stands there in a row
IN_ROW = 0.2  # of a line's worth: that others follow it, not only that its file has them


def find_message(fragments: Sequence[str], patterns: Sequence[str], mask: Bool, search: Search) -> Places:
    """Return where a message may be written, by how much of it stands there.

    patterns  of lines with all of one line of the message: where they match, nothing is missing
    """
    whole = [_standing(pattern, mask, search, regex=True) for pattern in patterns]
    waiting = [(-len(fragment), fragment) for fragment in fragments]
    heapq.heapify(waiting)
    found: dict[str, Places] = {}
    while waiting and len(found) < SEARCHES_MAX and not search.budget.over():
        fragment = heapq.heappop(waiting)[1]
        if fragment in found:
            continue
        found[fragment] = places = _standing(fragment, mask, search)
        for part in () if len(places) else parts(fragment):
            heapq.heappush(waiting, (-len(part), part))
    known = [fragment for fragment, places in found.items() if len(places)]
    known += [fragment for _, fragment in waiting if fragment not in found]
    places = join_places([*whole, *found.values()])
    if not len(places):
        return places
    share = _shares(known, places, search, AROUND_BYTES, AROUND_LINES) / sum(map(len, fragments))
    nothing_missing = np.arange(len(places)) < sum(map(len, whole))
    score = (1 - WHOLE) * np.minimum(share, 1) + WHOLE * nothing_missing
    return make_places(places.doc, places.start, places.end, score=score)


def find_lines(lines: Sequence[str], n_lines: int, mask: Bool, search: Search) -> Places:
    """Return where lines of a snippet stand, by how much of it their file has, and how much in a row.

    n_lines  of the snippet: those that say something are looked for
    """
    share = np.zeros(search.facts.n_docs)
    found: list[Places] = []
    for line in lines:
        if search.budget.over():
            break
        places = _standing(line, mask, search)
        share[np.unique(places.doc)] += len(line)  # however often it stands there
        found.append(places)
    places, total = join_places(found), sum(map(len, lines))
    in_row = share[places.doc]
    if len(lines) > 1:
        in_row = np.zeros(len(places))
        docs = np.unique(places.doc)
        best = docs[np.argsort(-share[docs], kind="stable")[:DOCS_IN_ROW]]
        near = np.flatnonzero(np.isin(places.doc, best))
        in_row[near] = _shares(lines, places.where(near), search, AROUND_BYTES * n_lines, n_lines)
    score = ((1 - IN_ROW) * share[places.doc] + IN_ROW * in_row) / max(1, total)
    return make_places(places.doc, places.start, places.end, score=score)


def find_frames(frames: Sequence[Frame], slots: Bool, search: Search) -> Places:
    """Return the places that frames name in files of the root, innermost first."""
    docs: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    scores: list[float] = []
    for number, frame in enumerate(frames):
        for slot in files_of(frame.path, slots, search.facts):
            doc = int(search.facts.doc[slot])
            segment, ordinal = search.snapshot.locate_doc(doc)
            lines = segment.line_starts(ordinal)
            start = int(lines[frame.line - 1]) if 0 < frame.line <= len(lines) else -1
            if not 0 <= start < segment.doc_len[ordinal]:
                continue  # another file, or another state of this one
            docs.append(doc)
            starts.append(start)
            ends.append(_end_of_line(search.reading.passage(doc, start, start), start))
            scores.append(OUTER**number)
    return make_places(docs, starts, ends, score=scores)


def find_functions(names: Sequence[str], mask: Bool, search: Search) -> Places:
    """Return the definitions of functions that a trace names, innermost first."""
    found = [no_places()]
    for number, name in enumerate(names):
        if search.budget.over():
            break
        query = name_query(name, "quoted", fold=False)
        places = find_definitions(search.snapshot, query, mask, search.budget).where(slice(FILES_OF_FRAME))
        found.append(replace(places, score=np.full(len(places), OUTER**number, np.float32)))
    return join_places(found)


def files_of(path: str, slots: Bool, facts: RootFacts) -> I64:
    """Return the files that a path may mean which was written on another machine: at most FILES_OF_FRAME.

    Those with the longest end in common: all of the one path, all of the other, or two parts at least.
    """
    written = [part for part in path.encode("utf-8", "surrogateescape").split(b"/") if part not in _DOTS]
    if not written:
        return _NO_FILES
    names, offsets = facts.names_joined()
    wanted = b"\n" + written[-1]
    at = find_all(names, wanted)
    at = at[np.frombuffer(names, np.uint8)[at + len(wanted)] == _NEWLINE] + 1
    found = np.searchsorted(offsets[:-1], at).astype(np.int64)
    found = found[slots[found]]
    common = np.array([_common_end(facts.paths[slot], written) for slot in found.tolist()], np.int64)
    most = int(common.max(initial=0))
    return found[common == most][:FILES_OF_FRAME] if most else _NO_FILES


_NO_FILES: I64 = np.empty(0, np.int64)
_DOTS = (b"", b".", b"..")
_NEWLINE = 10


def _common_end(path: bytes, written: Sequence[bytes]) -> int:
    """Return how many parts two paths share at their ends; 0 if that says too little."""
    of_file, n = path.split(b"/"), 0
    for one, other in zip(reversed(of_file), reversed(written), strict=False):
        if one != other:
            break
        n += 1
    return n if n >= 2 or n in (len(of_file), len(written)) else 0


def _standing(text: str, mask: Bool, search: Search, *, regex: bool = False) -> Places:
    """Return where a text or pattern stands in the documents of a mask."""
    found = search_texts(matcher_of(text, regex, "smart"), mask, search, Limits(DOCS_MAX), PER_DOC)
    if found.reason:
        stopped = "some time" if found.reason == "time" else f"{found.docs} files"
        search.stop(f'budget: "{text}" stopped after {stopped}; more may contain it')
    return found.places


def _end_of_line(passage: Passage, start: int) -> int:
    return passage.offset + line_span(passage.content, start - passage.offset)[1]


def _shares(texts: Sequence[str], places: Places, search: Search, n_bytes: int, n_lines: int) -> F32:
    """Return how many characters of the texts stand around each place: on its line and on the next ones."""
    out = np.zeros(len(places), np.float32)
    for row, (doc, start) in enumerate(zip(places.doc.tolist(), places.start.tolist(), strict=True)):
        passage = search.reading.passage(doc, start, start)
        low = line_span(passage.content, start - passage.offset)[0]
        around = passage.content[low : low + n_bytes].decode("utf-8", "replace")
        around = "\n".join(around.split("\n")[:n_lines])
        folded = around.lower()
        out[row] = sum(len(text) for text in texts if text in (folded if text.islower() else around))
    return out
