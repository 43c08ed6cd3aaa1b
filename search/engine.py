"""The single path of a query: text in, ranked and checked hits out.

    parse -> plan -> scope -> filters and tree -> retrievers -> fusion -> hits checked on disk

Every step has a budget and says what it did; a query that runs out of time answers with what it has and says
so. An engine may be shared by threads: what it keeps between queries is replaced whole, never changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from config.errors import DeadlineExceeded, NoSuchRoot, QuerySyntaxError, UsageError
from config.settings import Settings
from indexer.embed.contract import Embedder
from indexer.languages import resolve
from indexer.records import F32, I64, Bool
from indexer.store.pool import Pool
from indexer.store.snapshot import Reader, Snapshot
from indexer.words import terms as word_terms
from indexer.words import words
from search.alike import sharpened
from search.answer import Answer, Explain, Hit, SearchRequest, Shown
from search.batch import line_pattern
from search.budget import Budget, Flag
from search.changed import ChangedFiles
from search.compiled import BadPattern
from search.duplicates import Duplicates, DuplicatesAnswer, DuplicatesRequest
from search.evaluate import Search, admitted, estimate_docs
from search.example import Code, code_of
from search.facts import RootFacts, make_facts
from search.far import Elsewhere
from search.file_rank import rank_files, shipped_weights
from search.filters import Surroundings, glob_mask, language_mask, prefix_mask
from search.gather import (
    Candidates,
    about_files,
    at_definitions,
    at_files,
    chunk_coverage,
    enclosing,
    features,
    gather,
)
from search.grep import GrepRequest, Sweep, candidates
from search.hits import HitMaker, Style
from search.kernels.contract import Kernel
from search.live import Disk
from search.meaning import Meanings
from search.pasted import Pasted
from search.plan import Plan, Text, case_of, make, make_pasted
from search.query import And, Field, Query, parse, terms
from search.rank import PER_FILE, Asked, fuse
from search.recognise import recognise
from search.results import FIRST, Results
from search.retrieve import DOCS_MAX, Lists, retrieve
from search.second import SecondModel
from search.shape import WHY
from search.similar import is_by_example, joined, shared_words
from search.trust import States, trust

GRACE_MS = 50.0  # past the deadline, for showing what was found within it
FILES_MAX = (
    2_000  # files of a query that only filters, listed at least; twice what is asked for, if that is more
)


class Engine:
    """Answers queries from the newest generation."""

    def __init__(
        self,
        reader: Reader,
        settings: Settings,
        *,
        pool: Pool | None = None,
        embedder: Embedder | None = None,
        kernel: Kernel | None = None,
        board: States | None = None,
        now: Callable[[], float] = time.time,
        elsewhere: Elsewhere | None = None,
        second: SecondModel | None = None,
    ) -> None:
        """Without pool, embedder or kernel there is no meaning: words alone answer, and a warning says so."""
        self._reader = reader
        self._settings = settings
        self._board = board
        self._now = now
        self._elsewhere = elsewhere
        self._changed = ChangedFiles()
        self._facts: dict[int, RootFacts] = {}
        self._meanings = Meanings(pool, embedder, kernel, settings.rank, second)

    def search(self, request: SearchRequest, cancel: Flag | None = None) -> Answer:
        """Answer one question.

        Raises QuerySyntaxError, NotYet and other UsageErrors for the question, NoSuchRoot, Cancelled, and
        DeadlineExceeded where the time ran out before anything was found.
        """
        budget = Budget(request.deadline_ms, cancel)
        asked = _read(request)
        # The board before the snapshot: what it calls settled is then surely in the snapshot.
        state = self._board.root_state(request.root_id) if self._board else None
        snapshot = self._reader.snapshot()
        facts = self._root_facts(snapshot, request.root_id)
        code = self._code(request.shown, snapshot) if request.shown else None
        plan = _plan(asked, request, snapshot, code)
        ranked = self._meanings.of(snapshot, facts, budget, request.path_prefix)
        search = Search(
            snapshot=snapshot,
            facts=facts,
            budget=budget,
            around=Surroundings(self._now(), self._changed, snapshot.generation),
            ranked=ranked,
            case=plan.case,
            per_doc=max(10, min(request.limit, 10_000)),
            lines_max=request.limit,
            text_budget_ms=self._settings.query.text_budget_ms,
            elsewhere=self._elsewhere,
        )
        scope = _scope(request, facts)
        slots = admitted(plan, scope, search, _docs_max(plan, request))
        lists = retrieve(plan, slots, search, self._settings.rank, request.limit)
        table = _candidates(plan, slots, lists, search, request.limit)
        disk = Disk(facts, self._settings.index.file_bytes_max)
        hits = self._hits(plan, slots, table, search, request, disk)
        if not hits and budget.over():
            raise DeadlineExceeded(f"nothing was found within {request.deadline_ms} ms; narrow the query")
        notes = ["there is no model, so meaning was searched by words alone"] if ranked.unranked else []
        if ranked.second.silent:
            budget_ms = self._settings.transformer.query_budget_ms
            notes.append(
                f"the transformer model did not answer within {budget_ms} ms; the built-in one answers alone"
            )
        live = disk.count("changed"), disk.count("gone")
        standing = trust(self._board, state, search.stops, *live, notes, structural=plan.structural)
        return Answer(
            hits=tuple(hits),
            generation=snapshot.generation,
            fresh=standing.fresh,
            incomplete=standing.incomplete,
            warnings=standing.warnings,
            files_searched=int(np.count_nonzero(scope)),
            ms=round(budget.spent_ms(), 3),
            explain=_explained(plan, search) if request.explain else None,
        )

    def duplicates(self, request: DuplicatesRequest, cancel: Flag | None = None) -> DuplicatesAnswer:
        """Find what is nearly some code, in all roots. Raises UsageErrors and Cancelled."""
        budget = Budget(request.deadline_ms, cancel)
        board = self._board
        # The board before the snapshot, as in `search`.
        states = {i: board.root_state(i) for i in self._reader.snapshot().roots} if board else {}
        snapshot = self._reader.snapshot()
        facts_of = partial(self._root_facts, snapshot)
        found = Duplicates(request, snapshot, facts_of, self._meanings, self._settings, budget)
        return found.answer(board, states)

    def grep(self, request: GrepRequest, cancel: Flag | None = None) -> Sweep:
        """Find the candidate files of an exhaustive search.

        Raises QuerySyntaxError for pattern or filter, other UsageErrors, NoSuchRoot, Cancelled.
        """
        budget = Budget(request.deadline_ms, cancel)
        spec = request.spec
        try:
            pattern = line_pattern(spec)
        except BadPattern as error:
            hint = "patterns are RE2's; `literal` searches for plain text"
            raise QuerySyntaxError(f"not a regular expression: {error}", 0, hint) from None
        state = self._board.root_state(request.root_id) if self._board else None
        snapshot = self._reader.snapshot()
        facts = self._root_facts(snapshot, request.root_id)
        scope = _scope(request, facts)
        slots, stops, structural = scope, [], False
        if request.query:
            query = parse(request.query)
            plan = make(query, "text", bare=False)
            if plan.ranked:
                raise UsageError("meaning and similar: rank, so they cannot filter an exhaustive search")
            search = Search(
                snapshot=snapshot,
                facts=facts,
                budget=budget,
                around=Surroundings(self._now(), self._changed, snapshot.generation),
                ranked=self._meanings.of(snapshot, facts, budget, request.path_prefix),
                case=plan.case,
                per_doc=1,
                text_budget_ms=request.deadline_ms,
            )
            slots = admitted(plan, scope, search, None)
            stops, structural = search.stops, plan.structural
        found = candidates(snapshot, facts, pattern, slots)
        return Sweep(
            snapshot=snapshot,
            facts=facts,
            found=found,
            pattern=pattern,
            budget=budget,
            file_bytes_max=self._settings.index.file_bytes_max,
            files_searched=int(np.count_nonzero(scope)),
            trusted=partial(trust, self._board, state, structural=structural),
            stops=stops,
        )

    def _root_facts(self, snapshot: Snapshot, root_id: int) -> RootFacts:
        if root_id not in snapshot.roots:
            raise NoSuchRoot(f"there is no root {root_id} in the index; add its directory first")
        known = self._facts.get(root_id)
        if known is not None and known.generation == snapshot.generation:
            return known
        facts = make_facts(snapshot, root_id, known)
        self._facts = {i: f for i, f in self._facts.items() if i in snapshot.roots} | {root_id: facts}
        return facts

    def _code(self, shown: Shown, snapshot: Snapshot) -> Code:
        facts_of = partial(self._root_facts, snapshot)
        return code_of(shown, snapshot, facts_of, self._settings.index.file_bytes_max)

    def _hits(
        self, plan: Plan, slots: Bool, table: Candidates, search: Search, request: SearchRequest, disk: Disk
    ) -> list[Hit]:
        start = search.budget.spent_ms()
        around = enclosing(search.snapshot, table)
        asks = bool(plan.sources or plan.ranked)
        known = features(
            search.snapshot,
            search.facts,
            table,
            around,
            plan.words,
            search.terms_of(plan.words),
            _asked(plan, request),
            self._now(),
            search.reading,
            together=asks or not isinstance(plan.tree, Text),
        )
        if is_by_example(plan):
            shared = search.ranked.terms_of(plan.ranked[0].term)
            known = replace(known, coverage=chunk_coverage(search.snapshot, table, shared))
        ranking = fuse(known, self._settings.rank, PER_FILE)
        if asks and not is_by_example(plan):
            cosines = partial(search.ranked.as_wholes, plan.meant)
            second = partial(search.ranked.second.as_wholes, plan.meant)
            about = about_files(search.snapshot, search.facts, table, plan.words, cosines, second)
            ranking = rank_files(known, about, ranking, shipped_weights())
        if is_by_example(plan):
            code = search.ranked.code_of(plan.ranked[0].term)
            table, ranking = sharpened(search.snapshot, search.reading, table, ranking, code, request.limit)
            plan = replace(plan, words=shared_words(shared.query))
        search.step("rank", start, len(table), len(table))
        start = search.budget.spent_ms()
        style = Style(
            context=request.context,
            chars_max=self._settings.query.snippet_chars_max,
            explain=request.explain,
            whole=request.whole,
            wanted=request.limit,
        )
        snapshot, facts, reading = search.snapshot, search.facts, search.reading
        maker = HitMaker(snapshot, facts, plan, slots, table, around, disk, style, reading)
        results = Results(request.limit, _per_file(plan, slots, request), joins=plan.is_question)
        for hit in maker.hits(ranking):
            results.add(hit)
            if results.full:
                break
            if search.budget.late_ms() > GRACE_MS:
                search.stop("budget: the deadline passed while hits were checked on disk")
                break
        hits = results.hits()
        search.step("hits", start, len(table), len(hits))
        return hits


def _read(request: SearchRequest) -> Query | Pasted:
    """Return what was asked; what was pasted is recognised where no mode is chosen and no code is shown.

    Raises QuerySyntaxError.
    """
    plain = request.mode == "auto" and request.shown is None
    return (recognise(request.query) if plain else None) or parse(request.query)


def _plan(asked: Query | Pasted, request: SearchRequest, snapshot: Snapshot, code: Code | None) -> Plan:
    if isinstance(asked, Pasted):
        return make_pasted(asked, lambda text: estimate_docs(snapshot, text, "smart"))
    case = case_of(asked)
    query = asked if code is None else joined(asked, code)
    estimate = partial(estimate_docs, snapshot, case=case)
    return make(query, request.mode, estimate, bare=code is None)


def _explained(plan: Plan, search: Search) -> Explain:
    kind = f"{plan.pasted.kind}: {plan.pasted.why}" if plan.pasted else f"{plan.shape}: {WHY[plan.shape]}"
    return Explain(str(plan.query), str(plan), tuple(search.steps), kind)


def _per_file(plan: Plan, slots: Bool, request: SearchRequest) -> int:
    """Return how many hits of a file may be among the first ones of an answer; 0: any number.

    Who asks about few files wants to see more of each.
    """
    few = request.per_file * int(np.count_nonzero(slots)) < FIRST
    return 0 if few or not plan.is_question else request.per_file


def _scope(request: SearchRequest | GrepRequest, facts: RootFacts) -> Bool:
    """Return the files that the request itself admits."""
    slots: Bool = facts.alive  # itself where nothing is left out: steps know it, and what belongs to it
    if request.path_prefix:
        slots = slots & prefix_mask(request.path_prefix, facts)
    if request.languages:
        slots = slots & language_mask([resolve(name) for name in request.languages], facts)
    if request.globs:
        slots = slots & glob_mask(request.globs, facts)
    return slots


def _docs_max(plan: Plan, request: SearchRequest) -> int | None:
    """Return after how many files the last text may stop; what ranks after it needs all of them."""
    return None if plan.ranked or plan.sources else max(DOCS_MAX, request.limit)


def _candidates(plan: Plan, slots: Bool, lists: Lists, search: Search, limit: int) -> Candidates:
    start = search.budget.spent_ms()
    table = gather(search.snapshot, search.facts, slots, lists.places, lists.chunks, lists.files)
    if not plan.sources and not plan.ranked:
        # Files that nothing but a filter or a NOT admits stand for themselves.
        silent = slots.copy()
        silent[table.slot] = False
        if silent.any():
            files = [("file", *_listed(silent, plan, search.facts, max(FILES_MAX, 2 * limit)))]
            table = gather(search.snapshot, search.facts, slots, lists.places, lists.chunks, files)
    n = len(table)
    if plan.types == "symbol":
        table = at_definitions(search.snapshot, table)
    elif plan.types == "file":
        table = at_files(table)
    elif plan.types == "line":
        table = table.where(np.flatnonzero(~table.is_file))
    search.step("gather", start, n, len(table))
    return table


def _listed(slots: Bool, plan: Plan, facts: RootFacts, n: int) -> tuple[I64, F32]:
    """Return the first n files as they are listed: by time where the query is about time, else by path."""
    numbers = np.flatnonzero(slots)
    by_time = any(isinstance(t, Field) and t.name in ("since", "changed") for t in terms(plan.query))
    if by_time:
        numbers = numbers[np.argsort(-facts.view.mtime_ns[numbers], kind="stable")]
    else:
        numbers = numbers[np.argsort(facts.paths[numbers])]
    numbers = numbers[:n]
    # Hundredths of a point: the order stands, but whatever a term found comes first.
    return numbers, np.linspace(1e-2, 1e-3, max(1, len(numbers)), dtype=np.float32)[: len(numbers)]


def _asked(plan: Plan, request: SearchRequest) -> Asked:
    """Return which demotions the query lifts by naming what is demoted; by showing code it lifts all."""
    if is_by_example(plan):
        return Asked(tests=True, generated=True, vendored=True, docs=True)
    top = plan.query.children if isinstance(plan.query, And) else (plan.query,)
    texts = [term.value for term in top if isinstance(term, Field) and term.name in ("path", "file", "lang")]
    texts += [*plan.words, *request.languages, request.path_prefix]
    texts += [glob for glob in request.globs if not glob.startswith("!")]
    said = {
        part for text in texts for word in words(text.encode("utf-8", "replace")) for part in word_terms(word)
    }
    return Asked(
        tests=bool(said & _TESTS),
        generated=bool(said & _GENERATED),
        vendored=bool(said & _VENDORED),
        docs=bool(said & _DOCS),
    )


_TESTS = frozenset(
    b"test tests testing tested spec specs unittest fixture fixtures mock mocks conftest".split()
)
_GENERATED = frozenset(b"generated min pb2 pb lock".split())
_VENDORED = frozenset(b"vendor vendored third external extern node".split())
_DOCS = frozenset(b"doc docs documentation readme changelog example examples sample markdown rst".split())
