"""What a query looks like, so that mode auto can choose its retrievers. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Literal

from indexer.languages import LANGUAGES
from search.query import And, Everything, Field, Not, Phrase, Query, Regex, Word, parse

Shape = Literal[
    "empty", "identifier", "path", "regex", "phrase", "code", "sentence", "boolean", "message", "snippet"
]

# What each is recognised by, for people; of what was pasted search.pasted says it.
WHY: dict[Shape, str] = {
    "empty": "filters at most",
    "identifier": "one word, spelled as a name",
    "path": "one word, spelled as a path or file name",
    "regex": "regular expressions",
    "phrase": "quoted phrases",
    "code": "words with punctuation or names among them",
    "sentence": "plain words",
    "boolean": "operators or fields say what is wanted",
    "message": "a pasted message",
    "snippet": "pasted code",
}
_ASKS = frozenset(("sym", "def", "ref", "callers", "callees", "imports", "importedby"))
_IDENTIFIER = re.compile(r"[\w$@]+((\.|::|->|#)[\w$~]+)*(\(\))?")
_PATH = re.compile(r"[\w.@~+-]*(/[\w.@+-]+)+/?|[\w+-]+(\.[\w+-]+)*\.[a-zA-Z]\w{0,7}")
_FILE_ENDS = frozenset(
    extension.rpartition(".")[2] for language in LANGUAGES.values() for extension in language.extensions
)
_PLAIN = re.compile(r"[^\W\d_]+(['’-][^\W\d_]+)*[?!.,;:]?")
_FUNCTION_WORDS = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "find", "for", "from", "get"),
        *("how", "if", "in", "into", "is", "it", "its", "not", "of", "on", "or", "show", "that", "the"),
        *("their", "there", "these", "this", "to", "was", "we", "what", "when", "where", "which", "who"),
        *("why", "with", "would", "you"),
    )
)


def shape(query: Query | str) -> Shape:
    """Return what a query looks like.

    Filters (`lang:`, `path:`, ...) and NOTs are looked past: `lang:go parse_config` is an identifier. "code"
    is words with punctuation or identifiers among them; "boolean" is everything that says itself what it
    wants: OR, groups, `sym:`, `~""`, or several kinds of terms. "empty" has filters at most.
    """
    tree = parse(query) if isinstance(query, str) else query
    asked = [term for term in _conjuncts(tree) if not _is_filter(term)]
    if not asked:
        return "empty"
    if all(isinstance(t, Word) for t in asked):
        return _shape_of_words([t.text for t in asked if isinstance(t, Word)])
    if all(isinstance(t, Regex) for t in asked):
        return "regex"
    return "phrase" if all(isinstance(t, Phrase) for t in asked) else "boolean"


def _conjuncts(tree: Query) -> Iterator[Query]:
    """Yield what must hold together; groups of only that are looked into, for pasted code has parentheses."""
    if isinstance(tree, And):
        for child in tree.children:
            yield from _conjuncts(child)
    else:
        yield tree


def _is_filter(term: Query) -> bool:
    return isinstance(term, Not | Everything) or (isinstance(term, Field) and term.name not in _ASKS)


def _shape_of_words(words: list[str]) -> Shape:
    if len(words) == 1:
        return _shape_of_word(words[0])
    plain = [bool(_PLAIN.fullmatch(word)) and not _has_hump(word) for word in words]
    spoken = any(word.lower().strip("?!.,;:") in _FUNCTION_WORDS for word in words)
    return "sentence" if all(plain) or (spoken and 2 * sum(plain) > len(words)) else "code"


def _shape_of_word(word: str) -> Shape:
    if _PATH.fullmatch(word) and ("/" in word or word.rpartition(".")[2].lower() in _FILE_ENDS):
        return "path"
    return "identifier" if _IDENTIFIER.fullmatch(word) else "code"


def _has_hump(word: str) -> bool:
    return any(a.islower() and b.isupper() for a, b in itertools.pairwise(word))
