"""Comments, strings and code: in which of them an offset lies, for `in:`. Pure.

A table says for each family of languages what opens a comment or a string and where it ends; one regular
expression made of it walks a file from its start. That is a lexer's view, not a parser's: what is
interpolated into a string counts as string, regular expression literals and here-documents as code. Files
with syntax the table does not know may be taken for the wrong thing from there to the end of the line or
string; no file is slow, since every rule also ends at the end of the text.

Documentation strings are strings, as they are to the language. Delimiters belong to what they enclose.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import numpy as np

from indexer.records import I64, U8, Bool

CODE, COMMENT, STRING = 0, 1, 2
PLACE_ID = {"code": CODE, "comment": COMMENT, "string": STRING}

# Rules: name -> pattern. "c" names are comments, "s" names are strings. Where a block can be nested, the rule
# matches its opening only and NESTED tells how it goes on.
_RULES: dict[str, bytes] = {
    "c_slashes": rb"//(?:\\\r?\n|[^\n])*",
    "c_stars": rb"/\*(?s:.*?)(?:\*/|\Z)",
    "c_nested_stars": rb"/\*",
    "c_hash": rb"#[^\n]*",
    "c_hash_word": rb"(?<![^\s;|&(){}`])#[^\n]*",  # in a shell `$#` and `a#b` are none
    "c_hash_space": rb"(?<![^\s])#[^\n]*",  # YAML
    "c_hash_php": rb"#(?!\[)[^\n]*",  # `#[` is an attribute
    "c_line_hash": rb"(?m:^)[ \t]*[#;!][^\n]*",
    "c_dashes": rb"--[^\n]*",
    "c_dashes_haskell": rb"--+(?![!#$%&*+./<=>?@\\^|~:])[^\n]*",
    "c_lua_block": rb"--\[(?P<lc>=*)\[(?s:.*?)(?:\](?P=lc)\]|\Z)",
    "c_nested_braces": rb"\{-",
    "c_nested_parens": rb"\(\*",
    "c_nested_lisp": rb"#\|",
    "c_semicolon": rb";[^\n]*",
    "c_percent": rb"(?<!\\)%[^\n]*",
    "c_quote_vim": rb'(?m:^)[ \t]*"[^\n]*',
    "c_bang": rb"![^\n]*",
    "c_markup": rb"<!--(?s:.*?)(?:-->|\Z)",
    "c_ruby_block": rb"(?m:^)=begin\b(?s:.*?)(?:(?m:^)=end\b[^\n]*|\Z)",
    "c_perl_pod": rb"(?m:^)=[a-z]\w*(?s:.*?)(?:(?m:^)=cut\b[^\n]*|\Z)",
    "c_powershell_block": rb"<#(?s:.*?)(?:#>|\Z)",
    "c_julia_block": rb"#=(?s:.*?)(?:=#|\Z)",
    "c_coffee_block": rb"###(?s:.*?)(?:###|\Z)",
    "s_double": rb'"(?:\\(?s:.)|[^"\\\n])*"?',
    "s_double_lines": rb'"(?:\\(?s:.)|[^"\\])*"?',
    "s_single": rb"'(?:\\(?s:.)|[^'\\\n])*'?",
    "s_single_lines": rb"'(?:\\(?s:.)|[^'\\])*'?",
    "s_single_raw": rb"'[^']*'?",  # shell and SQL: no escapes, over lines
    "s_single_yaml": rb"(?<![^\s\[{,:])'[^']*'?",  # not the apostrophe of plain text
    "s_double_yaml": rb'(?<![^\s\[{,:])"(?:\\(?s:.)|[^"\\])*"?',
    "s_char": rb"'(?:\\[^\n][^'\n]{0,8}|[^'\\\n])'",
    "s_backticks": rb"`(?:\\(?s:.)|[^`\\])*`?",
    "s_backticks_raw": rb"`[^`]*`?",
    "s_triple_double": rb'"""(?s:(?:\\.|[^\\])*?)(?:"""|\Z)',
    "s_triple_double_raw": rb'"""(?s:.*?)(?:"""|\Z)',
    "s_triple_single": rb"'''(?s:(?:\\.|[^\\])*?)(?:'''|\Z)",
    "s_cpp_raw": rb'\bR"(?P<cr>[^()\\\s]{0,16})\((?s:.*?)(?:\)(?P=cr)"|\Z)',
    "s_rust_raw": rb'\bb?r(?P<rr>\#*)"(?s:.*?)(?:"(?P=rr)(?!\#)|\Z)',
    "s_swift_raw": rb'(?P<sr>\#+)"(?s:.*?)(?:"(?P=sr)|\Z)',
    "s_verbatim": rb'[@$]{1,2}"(?:""|[^"])*"?',
    "s_lua_block": rb"\[(?P<ls>=*)\[(?s:.*?)(?:\](?P=ls)\]|\Z)",
    "s_zig_lines": rb"\\\\[^\n]*",
    "s_haskell": rb'"(?:\\\s+\\|\\[^\n]|[^"\\\n])*"?',
}

# Opening rule -> the two marks whose balance ends the comment.
NESTED: dict[str, tuple[bytes, bytes]] = {
    "c_nested_stars": (b"/*", b"*/"),
    "c_nested_braces": (b"{-", b"-}"),
    "c_nested_parens": (b"(*", b"*)"),
    "c_nested_lisp": (b"#|", b"|#"),
}

# Rules of a family, in order of precedence | its languages.
_FAMILIES = """
c_slashes c_stars s_double s_char | c objc opencl glsl devicetree linker-script yacc lex
c_slashes c_stars s_double s_char | coccinelle move solidity
c_slashes c_stars s_cpp_raw s_double s_char | cpp cuda-ptx
c_slashes c_stars s_double s_single | proto thrift capnp verilog jsonnet cue haxe
c_slashes c_stars s_triple_double s_double s_char | java
c_slashes c_stars s_triple_double_raw s_verbatim s_double s_char | csharp
c_slashes c_nested_stars s_triple_double_raw s_double s_char | kotlin scala
c_slashes c_nested_stars s_swift_raw s_triple_double s_double | swift
c_slashes c_nested_stars s_rust_raw s_double_lines s_char | rust odin vlang
c_slashes c_nested_stars s_triple_double s_triple_single s_double s_single | dart groovy
c_slashes c_stars s_backticks_raw s_double s_char | go gomod
c_slashes c_stars s_backticks s_double s_single | javascript typescript tsx d
c_markup c_slashes c_stars s_backticks s_double s_single | vue svelte astro
c_slashes s_zig_lines s_double s_char | zig
c_slashes c_stars c_hash_php s_double_lines s_single_lines | php
c_slashes c_stars c_hash s_double s_single | hcl
c_stars s_double s_single | css
c_slashes c_stars s_double | json
c_hash s_triple_double s_triple_single s_double s_single | python starlark-config meson gdscript
c_hash s_triple_double s_triple_single s_double s_single_raw | toml
c_hash s_triple_double s_double | graphql
c_julia_block c_hash s_triple_double s_double s_char | julia
c_hash s_triple_double s_triple_single s_double_lines s_single | elixir
c_ruby_block c_hash_word s_double_lines s_single_lines | ruby crystal
c_perl_pod c_hash_word s_double_lines s_single_lines | perl
c_hash_word s_double_lines s_single_raw | bash fish dockerfile tcl
c_hash s_double s_single | r awk sed nim po smalltalk nix
c_hash_word s_double | make cmake ninja kconfig autoconf
c_hash_space s_double_yaml s_single_yaml | yaml
c_coffee_block c_hash s_triple_double s_double_lines s_single_lines | coffeescript
c_powershell_block c_hash_word s_double_lines s_single_raw | powershell
c_line_hash s_double | ini gitignore
c_lua_block c_dashes s_lua_block s_double s_single | lua
c_dashes c_stars s_single_raw s_double | sql
c_dashes s_double | ada vhdl
c_nested_braces c_dashes_haskell s_haskell s_char | haskell elm purescript idris lean agda dhall
c_nested_parens s_double_lines s_char | ocaml coq mathematica
c_slashes c_nested_parens s_triple_double_raw s_double_lines s_char | fsharp
c_nested_lisp c_semicolon s_double_lines | clojure lisp elisp scheme
c_percent s_double | erlang prolog
c_percent | tex matlab
c_bang s_double s_single | fortran
c_quote_vim s_single | vim
c_slashes c_stars c_line_hash c_semicolon s_double | asm
c_semicolon s_double | llvm
c_markup | html xml markdown handlebars cshtml
"""
_RULES_OF: dict[str, tuple[str, ...]] = {
    language: tuple(line.split("|")[0].split())
    for line in _FAMILIES.strip().splitlines()
    for language in line.split("|")[1].split()
}


def is_known(language: str) -> bool:
    """True if comments and strings of the language are told apart; all of another's text counts as code."""
    return language in _RULES_OF


def spans(language: str, content: bytes | memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, COMMENT or STRING) in order, not overlapping; about 20 MB/s."""
    if language not in _RULES_OF:
        return
    pattern = _pattern(language)
    at = 0
    while (match := pattern.search(content, at)) is not None:
        rule = match.lastgroup
        assert rule is not None, match
        start, at = match.span()
        if rule in NESTED:
            at = _nested_end(content, at, rule)
        yield start, at, COMMENT if rule[0] == "c" else STRING


def places_of(language: str, content: bytes | memoryview, offsets: I64) -> U8:
    """Return CODE, COMMENT or STRING for each byte offset; offsets in any order."""
    out = np.zeros(len(offsets), np.uint8)
    if not len(offsets):
        return out
    found = list(spans(language, content[: int(offsets.max()) + 1]))
    if found:
        start, end, kind = (np.array(column) for column in zip(*found, strict=True))
        at = np.searchsorted(start, offsets, side="right") - 1
        inside = (at >= 0) & (offsets < end[at])
        out[inside] = kind[at[inside]]
    return out


def in_places(language: str, content: bytes | memoryview, offsets: I64, places: frozenset[str]) -> Bool:
    """Return which byte offsets lie in one of the places: "comment", "string", "code"."""
    wanted = np.zeros(3, np.bool_)
    wanted[[PLACE_ID[place] for place in places]] = True
    mask: Bool = wanted[places_of(language, content, offsets)]
    return mask


@functools.cache
def _pattern(language: str) -> re.Pattern[bytes]:
    rules = _RULES_OF[language]
    return re.compile(b"|".join(b"(?P<%s>%s)" % (rule.encode(), _RULES[rule]) for rule in rules))


@functools.cache
def _marks(rule: str) -> re.Pattern[bytes]:
    return re.compile(b"|".join(re.escape(mark) for mark in NESTED[rule]))


def _nested_end(content: bytes | memoryview, at: int, rule: str) -> int:
    depth = 1
    for mark in _marks(rule).finditer(content, at):
        depth += 1 if mark[0] == NESTED[rule][0] else -1
        if depth == 0:
            return mark.end()
    return len(content)
