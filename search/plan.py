"""Query + statistics -> Plan: which files may answer, in what order the terms are tried, what ranks. Pure.

    filters     about the file alone; first, since they cost microseconds and everything later looks at less
    tree        terms that must hold, cheapest first; each is tried only in the documents the former left
    sources     retrievers whose lists are fused, within what filters and tree admit

A bare query has no tree: an identifier or a path asks symbols and texts, a sentence asks words and meaning,
and any word of it may be missing. Whatever is said with operators or fields is a tree, and holds exactly.
`meaning:` and `similar:` beside other terms rank what those admit; below OR or NOT their best RANKED_SET
chunks are the set.

`in:` and `kind:` belong to the terms of their group: `in:comment TODO` is a text in comments, `kind:class
Parser` a class of that name. A `kind:` with no term beside it is every definition of that kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from config.errors import NotYet, UsageError
from search.fields import PLACES
from search.lex import quote, slashed
from search.pasted import Pasted
from search.query import (
    And,
    Ast,
    Everything,
    Field,
    Meaning,
    Not,
    Or,
    Phrase,
    Query,
    Regex,
    Similar,
    Word,
    parse,
    setting,
)
from search.shape import Shape, shape

MODES = ("auto", "text", "symbol", "semantic", "hybrid")
RANKED_SET = 200  # chunks that a ranked term stands for below OR and NOT
SYMBOL_WORDS_MAX = 8  # words of a bare query that are looked up as names
MESSAGE_WORDS_MAX, SNIPPET_WORDS_MAX = 12, 6  # of what was pasted, that rank: the rarest
WORDS_ASKED = 128  # of what was pasted, whose rarity is asked for: 10 us each

FILTERS = frozenset({"lang", "path", "file", "root", "changed", "since"})  # fields about the file alone
_WORDS_OF_MODE: dict[str, Literal["text", "name"]] = {"text": "text", "symbol": "name"}
GRAPH = ("callers", "callees", "imports", "importedby")

Case = Literal["smart", "yes", "no"]


@dataclass(frozen=True, slots=True)
class Text:
    """A text that the content must have."""

    text: str
    regex: bool = False
    places: frozenset[str] = frozenset()  # of PLACES; empty: anywhere
    kinds: frozenset[str] = frozenset()  # of a definition around it; empty: anywhere

    def __str__(self) -> str:
        shown = slashed(self.text) if self.regex else quote(self.text)
        return f"text({shown}{_scoped(self.places, self.kinds)})"


@dataclass(frozen=True, slots=True)
class Names:
    """A name that is defined, or referred to."""

    text: str
    form: str = "bare"  # bare, quoted (exact) or regex
    role: Literal["def", "ref"] = "def"
    kinds: frozenset[str] = frozenset()

    def __str__(self) -> str:
        shown = slashed(self.text) if self.form == "regex" else quote(self.text)
        return f"{'symbol' if self.role == 'def' else 'ref'}({shown}{_scoped(frozenset(), self.kinds)})"


@dataclass(frozen=True, slots=True)
class OfKind:
    """Every definition of some kinds."""

    kinds: frozenset[str]

    def __str__(self) -> str:
        return f"kind({'|'.join(sorted(self.kinds))})"


@dataclass(frozen=True, slots=True)
class Hop:
    """What one hop in the graph of calls or imports reaches."""

    name: str  # of GRAPH
    text: str

    def __str__(self) -> str:
        return f"{self.name}({quote(self.text)})"


@dataclass(frozen=True, slots=True)
class FileTest:
    """A filter field."""

    field: Field

    def __str__(self) -> str:
        return str(self.field)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A term that has no yes or no, only better and worse."""

    term: Meaning | Similar

    def __str__(self) -> str:
        return str(self.term)


@dataclass(frozen=True, slots=True)
class Both:
    """All children hold. No children: always true."""

    children: tuple[Node, ...]

    def __str__(self) -> str:
        return " then ".join(map(_wrapped, self.children)) or "every file"


@dataclass(frozen=True, slots=True)
class Either:
    """Any child holds."""

    children: tuple[Node, ...]

    def __str__(self) -> str:
        return f"any({', '.join(map(str, self.children))})"


@dataclass(frozen=True, slots=True)
class Without:
    """The child does not hold."""

    child: Node

    def __str__(self) -> str:
        return f"not {_wrapped(self.child)}"


Node = Text | Names | OfKind | Hop | FileTest | Ranked | Both | Either | Without


SourceName = Literal["symbol", "text", "lexical", "semantic", "path", "message", "line", "place"]


@dataclass(frozen=True, slots=True)
class Source:
    """A retriever that gives candidates for the fusion."""

    name: SourceName
    words: tuple[str, ...]

    def __str__(self) -> str:
        if self.name in ("message", "line", "place"):  # each is looked for by itself
            return f"{self.name}({', '.join(map(quote, self.words))})"
        return f"{self.name}({quote(' '.join(self.words))})"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is answered."""

    query: Query
    shape: Shape
    filters: tuple[Node, ...]
    tree: Node
    ranked: tuple[Ranked, ...]  # rank what filters and tree admit
    sources: tuple[Source, ...]
    case: Case = "smart"
    types: str = ""  # "", file, symbol, line
    kinds: frozenset[str] = frozenset()  # of the definition a source's candidate stands in
    words: tuple[str, ...] = field(default=())  # what the ranking signals look for
    pasted: Pasted | None = None

    @property
    def is_question(self) -> bool:
        """Whether it is answered by chunks alone, not by places that are looked for."""
        asks = bool(self.ranked or self.sources) and self.pasted is None
        return asks and all(source.name != "text" for source in self.sources)

    @property
    def structural(self) -> bool:
        """Whether symbols, references or vectors are asked for, not text and words alone."""
        return (
            bool(self.ranked or self.kinds)
            or self.types == "symbol"
            or any(source.name in ("symbol", "semantic") for source in self.sources)
            or _is_structural(self.tree)
        )

    @property
    def meant(self) -> str:
        """What is searched by its meaning; empty if nothing is."""
        asked = [node.term.text for node in self.ranked if isinstance(node.term, Meaning)]
        asked += [" ".join(source.words) for source in self.sources if source.name == "semantic"]
        return " ".join(asked)

    def __str__(self) -> str:
        first = [str(node) for node in self.filters]
        if self.tree != Both(()):
            first.append(str(self.tree))
        lists = [str(node) for node in (*self.ranked, *self.sources)]
        if lists:
            first.append(f"fuse({', '.join(lists)})" if len(lists) > 1 else lists[0])
        return " then ".join(first) or "every file"


# Text -> about how many documents contain it; None if no trigram narrows it and all must be read.
Estimate = Callable[[Text], int | None]


def make(query: Query, mode: str = "auto", estimate: Estimate = lambda _: 1000, *, bare: bool = True) -> Plan:
    """Return the plan of a query. Raises NotYet, and UsageError for an unknown mode.

    bare  False: a query without operators is a tree too, whose words must all hold
    """
    if mode not in MODES:
        raise UsageError(f'there is no mode "{mode}"; it is one of {", ".join(MODES)}')
    kind_of = shape(query)
    top = query.children if isinstance(query, And) else (query,)
    top = tuple(term for term in top if not isinstance(term, Everything) and not _is_setting(term))
    scope, terms = _scope(top, _Scope(words=_WORDS_OF_MODE.get(mode, "")))
    filters = [term for term in terms if _is_filter(term)]
    rest = [term for term in terms if not _is_filter(term)]
    words = tuple(term.text for term in rest if isinstance(term, Word))
    sources = _sources(kind_of, mode, words, rest, scope) if bare else ()
    if sources:
        rest = (
            [term for term in rest if not isinstance(term, Word | Phrase)]
            if mode == "semantic"
            else [term for term in rest if not isinstance(term, Word)]
        )
    ranked = tuple(Ranked(term) for term in rest if isinstance(term, Meaning | Similar))
    nodes = [_lower(term, scope) for term in rest if not isinstance(term, Meaning | Similar)]
    if scope.kinds and not sources and not any(isinstance(node, Text | Names) for node in nodes):
        nodes.append(OfKind(scope.kinds))
    return Plan(
        query=query,
        shape=kind_of,
        filters=tuple(_ordered((_lower(term, _Scope()) for term in filters), estimate)),
        tree=_order(Both(tuple(nodes)), estimate),
        ranked=ranked,
        sources=sources,
        case=case_of(query),
        types=setting(query, "type", ""),
        kinds=scope.kinds if sources or ranked else frozenset(),
        words=_signal_words(terms),
    )


def make_pasted(pasted: Pasted, estimate: Estimate = lambda _: 1000) -> Plan:
    """Return the plan of what was pasted.

    The places that a trace names, the message or the lines as they are, the classes of exceptions; then words
    and meaning, as for a sentence. Words that stand nowhere are no words of the source, and of a long text
    the rarest say most.
    """
    filters = parse(pasted.filters)
    terms = filters.children if isinstance(filters, And) else (filters,)
    nodes = (_lower(term, _Scope()) for term in terms if not isinstance(term, Everything))
    message = pasted.kind == "error message"
    words = _rarest(pasted.words, MESSAGE_WORDS_MAX if message else SNIPPET_WORDS_MAX, estimate)
    sources = (
        Source("place", (*map(str, pasted.frames), *pasted.functions)),
        Source("message", pasted.fragments),
        Source("line", pasted.lines),
        Source("symbol", pasted.names),
        Source("lexical", words),
        Source("semantic", (pasted.text,) if pasted.text else ()),
    )
    return Plan(
        query=And((*terms, Phrase(pasted.text))) if pasted.filters else Phrase(pasted.text),
        shape="message" if message else "snippet",
        filters=tuple(_ordered(nodes, estimate)),
        tree=Both(()),
        ranked=(),
        sources=tuple(source for source in sources if source.words),
        words=words,
        pasted=pasted,
    )


def _rarest(words: tuple[str, ...], n: int, estimate: Estimate) -> tuple[str, ...]:
    """Return the n rarest words of some that stand anywhere, in their order."""
    known = {word: docs for word in words[:WORDS_ASKED] if (docs := _docs(word, estimate))}
    kept = set(sorted(known, key=lambda word: known[word])[:n])
    return tuple(word for word in known if word in kept)


def _docs(word: str, estimate: Estimate) -> float:
    docs = estimate(Text(word))
    return float("inf") if docs is None else docs


def case_of(query: Query) -> Case:
    """Return the case mode of a query."""
    value = setting(query, "case", "smart")
    return "yes" if value == "yes" else "no" if value == "no" else "smart"


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a group says about its terms."""

    places: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    words: Literal["", "text", "name"] = ""  # what a word is; "": a name beside `kind:`, else a text

    @property
    def names(self) -> bool:
        return self.words == "name" or (not self.words and bool(self.kinds) and not self.places)


def _scope(terms: Iterable[Query], outer: _Scope) -> tuple[_Scope, list[Query]]:
    """Take the qualifiers out of a group's terms."""
    places: set[str] = set()
    kinds: set[str] = set()
    rest: list[Query] = []
    for term in terms:
        allowed = _places_of(term)
        if allowed is not None:
            places = places & allowed if places and isinstance(term, Not) else places | allowed
        elif isinstance(term, Field) and term.name == "kind":
            kinds.add(term.value)
        elif not _is_setting(term):
            rest.append(term)
    return _Scope(frozenset(places) or outer.places, frozenset(kinds) or outer.kinds, outer.words), rest


def _places_of(term: Query) -> set[str] | None:
    """Return the places that a term made of `in:` fields allows; None for other terms."""
    if isinstance(term, Field) and term.name == "in":
        return {term.value}
    if isinstance(term, Not):
        inner = _places_of(term.child)
        return None if inner is None else set(PLACES) - inner
    if isinstance(term, Or):
        parts = [_places_of(child) for child in term.children]
        known = [part for part in parts if part is not None]
        return set().union(*known) if len(known) == len(parts) else None
    return None


def _sources(
    kind_of: Shape, mode: str, words: tuple[str, ...], rest: list[Query], scope: _Scope
) -> tuple[Source, ...]:
    """Return the retrievers of a bare query; none where its terms are a tree."""
    if mode == "semantic":
        said = tuple(term.text for term in rest if isinstance(term, Word | Phrase))
        return (Source("semantic", said),) if said else ()
    if not words or scope.places or mode in ("text", "symbol"):
        return ()
    names = Source("symbol", words[:SYMBOL_WORDS_MAX])
    text, lexical, semantic = Source("text", words), Source("lexical", words), Source("semantic", words)
    path = Source("path", words)
    if mode == "hybrid":
        return (names, text, lexical, semantic, path)
    positive = [term for term in rest if not isinstance(term, Not)]
    if len(positive) > len(words):  # words beside other terms: all are required
        return ()
    if kind_of == "sentence":
        return (lexical, semantic)
    if scope.kinds:
        return ()
    if kind_of in ("identifier", "path"):
        return (names, text, lexical, path)
    return (names, text, lexical, semantic) if kind_of == "code" else ()


def _lower(term: Query, scope: _Scope) -> Node:
    match term:
        case Word(text):
            if scope.names:
                return Names(text, kinds=scope.kinds)
            return Text(text, places=scope.places, kinds=scope.kinds)
        case Phrase(text):
            return Text(text, places=scope.places, kinds=scope.kinds)
        case Regex(pattern):
            return Text(pattern, True, scope.places, scope.kinds)
        case Meaning() | Similar():
            return Ranked(term)
        case Not(child):
            return Without(_lower(child, _Scope(scope.places, words=scope.words)))
        case Or(children):
            return Either(tuple(_lower(child, scope) for child in children))
        case And(children):
            inner, rest = _scope(children, scope)
            nodes = [_lower(child, inner) for child in rest]
            if inner.kinds != scope.kinds and not any(isinstance(n, Text | Names) for n in nodes):
                nodes.append(OfKind(inner.kinds))
            return Both(tuple(nodes))
        case Ast():
            raise NotYet("ast: patterns are not in this version yet")
        case Everything():
            return Both(())
        case Field():
            return _lower_field(term, scope)


def _lower_field(term: Field, scope: _Scope) -> Node:
    if term.name in GRAPH:
        return Hop(term.name, term.value)
    if term.name in ("sym", "def"):
        return Names(term.value, term.form, kinds=scope.kinds)
    if term.name == "ref":
        return Names(term.value, term.form, "ref")
    if term.name == "kind":
        return OfKind(frozenset({term.value}))
    if term.name == "in" or _is_setting(term):
        return Both(())
    return FileTest(term)


def _is_setting(term: Query) -> bool:
    return isinstance(term, Field) and term.name in ("case", "type")


def _is_filter(term: Query) -> bool:
    if isinstance(term, Not):
        return _is_filter(term.child)
    if isinstance(term, And | Or):
        return all(_is_filter(child) for child in term.children)
    return isinstance(term, Field) and term.name in FILTERS


def _is_structural(node: Node) -> bool:
    match node:
        case Names() | OfKind() | Hop() | Ranked():
            return True
        case Text():
            return bool(node.kinds)
        case Both(children) | Either(children):
            return any(map(_is_structural, children))
        case Without(child):
            return _is_structural(child)
        case FileTest():
            return False


def _signal_words(terms: Iterable[Query]) -> tuple[str, ...]:
    """Return the words of all positive terms."""
    out: list[str] = []
    for term in terms:
        match term:
            case Word(text) | Phrase(text) | Meaning(text):
                out += text.split()
            case Field(name, value, form) if name in ("sym", "def", "ref", "callers") and form != "regex":
                out.append(value)
            case And(children) | Or(children):
                out += _signal_words(children)
            case _:
                pass
    return tuple(dict.fromkeys(out))


def _order(node: Node, estimate: Estimate) -> Node:
    """Put the children of every Both in order of cost."""
    match node:
        case Both(children):
            children = tuple(_ordered((_order(child, estimate) for child in children), estimate))
            return children[0] if len(children) == 1 else Both(children)
        case Either(children):
            return Either(tuple(_order(child, estimate) for child in children))
        case Without(child):
            return Without(_order(child, estimate))
        case _:
            return node


def _ordered(nodes: Iterable[Node], estimate: Estimate) -> list[Node]:
    listed = list(nodes)
    if len(listed) > 1:  # an estimate reads the tables of every segment
        listed.sort(key=lambda node: _cost(node, estimate))
    return listed


_FIELD_COST = {"root": 0.0, "lang": 1.0, "since": 2.0, "path": 3.0, "file": 4.0, "changed": 1e6}


def _cost(node: Node, estimate: Estimate) -> float:
    """Return about how many microseconds a node takes; only their order matters."""
    match node:
        case FileTest(test):
            return _FIELD_COST.get(test.name, 5.0)
        case Names(form="regex"):
            return 1e4
        case Names():
            return 100.0
        case Hop():
            return 500.0
        case OfKind():
            return 1e3
        case Text():
            docs = estimate(node)
            return 1e9 if docs is None else 200.0 + 10.0 * docs
        case Ranked():
            return 1e10
        case Without(child):
            # What excludes is tried on what is left.
            return _cost(child, estimate) + (0.5 if isinstance(child, FileTest) else 5e8)
        case Both(children):
            return min((_cost(child, estimate) for child in children), default=0.0)
        case Either(children):
            return sum(_cost(child, estimate) for child in children)


def _scoped(places: frozenset[str], kinds: frozenset[str]) -> str:
    said = [f"in {'|'.join(sorted(places))}"] * bool(places) + [f"kind {'|'.join(sorted(kinds))}"] * bool(
        kinds
    )
    return "".join(f", {part}" for part in said)


def _wrapped(node: Node) -> str:
    return f"({node})" if isinstance(node, Both) and len(node.children) > 1 else str(node)
