"""Code like a piece of code: chunks that are near by vector, and chunks that share its rarest words.

Vectors find what does the same with other names, words what uses the same names for something else; each is
a list, and the fusion of all lists (`rank`) joins the two. A long piece is cut as indexed code is, and a
chunk is as near as it is to the nearest part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.line_chunk import line_chunks
from indexer.records import F32, I64, Bool
from indexer.store.pool import Pool
from indexer.store.snapshot import Snapshot
from indexer.words import term_hash, words
from indexer.words import terms as word_terms
from search import semantic
from search.example import Code
from search.facts import RootFacts
from search.kernels.contract import Kernel
from search.lexical import STOP_WORDS, Term
from search.places import chunk_places
from search.plan import Plan
from search.query import And, Everything, Query, Similar

TERMS_MAX = 32  # of a piece of code, the rarest ones: `return` and `i` are in every function
POSTINGS_MAX = 300_000  # of these together, from the fourth term on: 20 ns each
TERMS_MIN = 4
SHOWN_MAX = 12  # of them, that choose the line of a hit and are marked there
WORDS_MAX = 2_000  # distinct words that are looked up
PARTS_MAX = 16  # of a long piece, evenly spread


@dataclass(frozen=True, slots=True)
class Example(Similar):
    """A term of a query: code like this code. `path` and `line` say nothing, the code is here."""

    code: Code

    def __str__(self) -> str:
        n = max(1, len(self.code.content.splitlines()))
        return f"similar({self.code.title!r}, {n} line{'' if n == 1 else 's'})"


def joined(query: Query, code: Code) -> Query:
    """Return a query for code like `code` among what the query admits."""
    example = Example("", 0, code)
    if isinstance(query, Everything):
        return example
    return And((example, *query.children)) if isinstance(query, And) else And((example, query))


def is_by_example(plan: Plan) -> bool:
    """Whether likeness to code alone makes the order."""
    return bool(plan.ranked) and not plan.sources and all(isinstance(n.term, Similar) for n in plan.ranked)


def rarest_terms(snapshot: Snapshot, content: bytes) -> tuple[Term, ...]:
    """Return the terms of some code that the fewest chunks have, rarest first; 2 us a term to look up."""
    spelled = [word for word in dict.fromkeys(words(content)) if word.lower() not in STOP_WORDS]
    number: dict[bytes, int] = {}
    for which, word in enumerate(spelled[:WORDS_MAX]):
        for term in word_terms(word):
            number.setdefault(term, which)
    counted = sorted((n, term) for term in number if (n := n_chunks_of(snapshot, term)))
    postings = np.cumsum([n for n, _ in counted])
    few = max(TERMS_MIN, int(np.searchsorted(postings, POSTINGS_MAX, side="right")))
    return tuple(Term(term, 1.0, number[term]) for _, term in counted[: min(few, TERMS_MAX)])


def shared_words(terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Return the words by which a hit shows its line: those that the fewest chunks have."""
    return tuple(term.text.decode("utf-8", "surrogateescape") for term in terms[:SHOWN_MAX])


def n_chunks_of(snapshot: Snapshot, term: bytes) -> int:
    """Return in how many chunks a term stands."""
    key = term_hash(term)
    at = [(segment, segment.terms.find(key)) for segment in snapshot.segments]
    return sum(segment.terms.head(number)[0] for segment, number in at if number >= 0)


def nearest(
    snapshot: Snapshot, pool: Pool, kernel: Kernel, vectors: Sequence[F32], live: Bool, n: int
) -> tuple[I64, F32]:
    """Return the n live chunks nearest to any of some vectors: global numbers and cosines, best first."""
    found = [semantic.nearest(snapshot, pool, kernel, vector, live, n) for vector in vectors]
    if len(found) == 1:
        return found[0]
    chunk, which = np.unique(np.concatenate([chunks for chunks, _ in found]), return_inverse=True)
    score = np.full(len(chunk), -np.inf, np.float32)
    np.maximum.at(score, which, np.concatenate([scores for _, scores in found]))
    order = np.lexsort((chunk, -score))[:n]
    return chunk[order], score[order]


def with_others(
    snapshot: Snapshot, pool: Pool, vectors: Sequence[F32], found: tuple[I64, F32], chunks: I64
) -> tuple[I64, F32]:
    """Return a list of nearest chunks with other chunks behind it, each with its own cosine.

    What only words have found would lose to what both lists have, however near it is.
    """
    new = np.setdiff1d(chunks, found[0])
    row = semantic.rows_of(snapshot, new)
    new, row = new[row >= 0], row[row >= 0]
    rows = pool.vectors[row].astype(np.float32)
    score = np.max([rows @ vector for vector in vectors], axis=0, initial=-1.0)
    return np.concatenate((found[0], new)), np.concatenate((found[1], score.astype(np.float32)))


def vectors(embed: Callable[[str], F32], content: bytes) -> list[F32]:
    """Return the vectors of the parts of some code."""
    return [embed(part.decode("utf-8", "replace")) for part in parts(content)]


def parts(content: bytes) -> list[bytes]:
    """Return the chunks of some code, PARTS_MAX of them at most, evenly spread."""
    table = line_chunks([content])[0]
    cut = list(zip(table.start.tolist(), table.end.tolist(), strict=True))
    n = min(len(cut), PARTS_MAX)
    return [content[slice(*cut[i * len(cut) // n])] for i in range(n)]


def others(snapshot: Snapshot, facts: RootFacts, code: Code, chunks: I64) -> Bool:
    """Return which chunks (global numbers) are not where the code itself stands."""
    if code.slot < 0 or code.root_id != facts.view.id:
        return np.ones(len(chunks), np.bool_)
    doc, start, end = chunk_places(snapshot, chunks)
    away: Bool = (doc != facts.doc[code.slot]) | (end <= code.start) | (start >= code.end)
    return away
