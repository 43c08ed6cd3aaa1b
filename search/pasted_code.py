"""Pieces of code: what marks them, and which of their lines say something. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from search.pasted import LINES_MAX, Pasted, distinct_words

TOKENS_MIN = 3  # of a single line of code: shorter ones are names, calls, terms of the query language
LINE_CHARS_MIN = 8  # of a line that is looked for as it is

_KEYWORD = (
    r"def|defp|defmodule|class|import|from\s+\S+\s+import|return|raise|throw|func|fn|let|const|var|val|public|private"
    r"|protected|static|struct|enum|impl|interface|namespace|package|template|typedef|async|await|export|for|while|if|elif"
    r"|else|switch|case|try|catch|except|with|use|using|unsafe|void|int|char|float|double|bool|unsigned|local"
    r"|function|end|begin|match|type|module|require|include"
)
_CODE_LINE = re.compile(
    rf"""
      (?:[;{{]|[}}\]],?)\s*(?:(?://|/\*|\#).*)?$
    | ^\s*[)}}\]]+[,;]?\s*$
    | ^\s*(?:{_KEYWORD})\b.*[(\[{{=:<"';)]
    | ^\s*(?:return|break|continue|pass|else:?|end|try:?|fi|done)\s*$
    | \)\s+do\s*$
    | ^\s*(?://|/\*|\*/|\*\s|\#\s)
    | ^\s*(?:\#\s*(?:include|define|if|ifdef|ifndef|endif|pragma)\b|@\w+|</?\w+[^<>]*>)
    | \w\([^()]*\)\s*[,:;{{)]*\s*$
    | ^\s*[\w.\[\]"'*&$@>-]+(?:\s*:\s*[\w.\[\], |]+)?\s*(?:[-+*/|&^%:]|<<|>>)?=\s*\S
    | \s(?:->|=>|==|!=|&&|\|\||<-)\s
    | \w->\w|\w::\w
    """,
    re.VERBOSE,
)
_CODE_ALONE = re.compile(
    rf"""
      \w.*[;{{]\s*$
    | ^(?:{_KEYWORD})\b.*\(.*\).*:\s*$
    | ^(?:if|elif|while|for|with|except)\b.*\W.*:\s*$
    | ^(?:def|func|fn|function|public|private|protected|static|const|let|var|return|raise|throw)\s.*[(=].*\S
    | ^[\w.\[\]"'*&$@>-]+(?:\s*:\s*[\w.\[\], |]+)?\s(?:[-+*/|&^%:]|<<|>>)?=\s.*[(\[{{"'.]
    """,
    re.VERBOSE,
)
_LITERAL = re.compile(r"\"[^\"\n]*\"|(?<!\w)'[^'\n]*'|(?://|#).*")
_ARTICLE = re.compile(
    r"(?:^|\s)(?:the|a|an|that|of|are|was|were|be|to|then|this|these|its|which)(?:\s|[,;.]\s|$)", re.I
)


def why_code(lines: Sequence[str]) -> str:
    """Say what marks lines, none of which is blank, as code; empty if nothing does."""
    if len(lines) > 1:
        code = [_CODE_LINE.search(line) is not None for line in lines]
        n_code = sum(code) and sum(of or line[:1].isspace() for of, line in zip(code, lines, strict=True))
        most = n_code > 1 and 2 * n_code >= len(lines)
        return f"{n_code} of its {len(lines)} lines are code" if most else ""
    line = lines[0]
    alone = _CODE_ALONE.search(line) is not None and not _ARTICLE.search(_LITERAL.sub("", line))
    return "its punctuation is that of code" if alone and len(line.split()) >= TOKENS_MIN else ""


def snippet(text: str, why: str) -> Pasted:
    """Take a piece of code apart."""
    lines = dict.fromkeys(line.strip() for line in text.split("\n"))
    telling = [line for line in lines if len(line) >= LINE_CHARS_MIN and re.search(r"[A-Za-z]{3}", line)]
    longest = set(sorted(telling, key=len, reverse=True)[:LINES_MAX])
    return Pasted(
        kind="code snippet",
        why=why,
        text=text,
        words=distinct_words((text,)),
        lines=tuple(line for line in telling if line in longest),
    )
