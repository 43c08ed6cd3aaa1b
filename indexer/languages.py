"""Which language a file is written in: by name, then first line, then, where a name is shared, by content.

Pure and cheap: one or two dictionary look-ups decide almost every file. Regular expressions run only for the
few extensions that several languages share (`.h`, `.m`, `.pl`, ...), and then over the first 4 KiB. A user's
`lang:` filter is read by `resolve`, which also knows the common short names.

A new language is one line of `_TABLE`. Names are stored in the index: a name is never reused for another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from config.errors import UsageError

HEAD_BYTES = 32_768  # a C++ header may begin with 5 kB of licence and comments


@dataclass(frozen=True, slots=True)
class Language:
    """A language and the ways to recognise it; all lower case except `filenames`."""

    name: str
    extensions: tuple[str, ...]  # without the dot
    filenames: tuple[str, ...] = ()  # whole base names, case matters
    interpreters: tuple[str, ...] = ()  # of a "#!" line, without version digits
    aliases: tuple[str, ...] = ()  # what people also write after "lang:"; modelines use these too


# name | extensions | file names | interpreters | aliases
_TABLE = """
python | py pyi pyw pyx pxd pxi gyp gypi wsgi bzl star | SConstruct SConscript wscript BUILD WORKSPACE Snakefile BUILD.bazel WORKSPACE.bazel Tiltfile | python pypy ipython uv | py python3 cython starlark bazel
javascript | js mjs cjs jsx es6 jsm | Jakefile | node nodejs deno bun | js jsx node ecmascript
typescript | ts mts cts | | ts-node tsx | ts
tsx | tsx | | | typescriptreact
go | go | | | golang
rust | rs | | rust-script | rs
java | java | | |
c | c idc | | tcc | h
cpp | cc cpp cxx c++ hh hpp hxx h++ ipp inl tcc tpp cppm ixx cu cuh ino | | | c++ cc cxx hpp cuda
csharp | cs csx cake | | dotnet-script | cs c# c-sharp
ruby | rb rake gemspec ru podspec rbi jbuilder thor | Rakefile Gemfile Guardfile Vagrantfile Podfile Brewfile Capfile Fastfile Dangerfile Appraisals .irbrc .pryrc | ruby jruby macruby rake | rb
php | php php3 php4 php5 phtml phps | | php |
kotlin | kt kts ktm | | kotlin | kt
swift | swift | | swift |
scala | scala sc sbt | | scala amm |
lua | lua rockspec luau | .luacheckrc | lua luajit | luau
bash | sh bash zsh ksh bats ebuild eclass command | .bashrc .bash_profile .bash_aliases .bash_logout .profile .zshrc .zshenv .zprofile .zlogin .kshrc PKGBUILD APKBUILD bashrc zshrc | sh bash zsh ksh dash ash mksh | sh shell zsh ksh shell-script
haskell | hs hs-boot hsc lhs | | runhaskell runghc stack | hs
elixir | ex exs eex heex leex | mix.lock | elixir iex | ex
zig | zig zon | | |
html | html htm xhtml shtml | | | htm xhtml
css | css scss less sass pcss | | | scss less sass
sql | sql ddl dml pgsql plsql psql mysql | | | postgres mysql
yaml | yaml yml | .clang-format .clang-tidy .clangd .gemrc CITATION.cff | | yml
toml | toml | Cargo.lock poetry.lock uv.lock pdm.lock Pipfile Gopkg.lock | |
json | json jsonl ndjson json5 jsonc geojson topojson webmanifest ipynb avsc har map code-workspace | .babelrc .eslintrc .jshintrc .prettierrc .swcrc .arcconfig composer.lock Pipfile.lock flake.lock deno.lock | | jsonc json5 jsonl
markdown | md markdown mkd mkdn mdown mdx qmd rmd | | | md mdx
perl | pl pm t pod psgi al ph | cpanfile Makefile.PL Build.PL | perl | pl perl5
r | r | .Rprofile | rscript |
julia | jl | | julia | jl
dart | dart | | dart |
ocaml | ml mli mll mly | dune dune-project .ocamlinit | ocaml ocamlrun | ml
fsharp | fs fsi fsx fsscript | | fsharpi | f# fs
erlang | erl hrl escript | rebar.config | escript | erl
clojure | clj cljs cljc edn bb | | bb clojure | clj
lisp | lisp lsp cl asd | | sbcl clisp ecl | common-lisp cl
elisp | el | .emacs _emacs | emacs | emacs-lisp
scheme | scm ss sld rkt | | guile racket chicken scheme | racket guile
objc | m mm | | | objective-c objectivec
matlab | matlab | | octave | octave
mathematica | nb wl wls | | wolframscript | wolfram
vue | vue | | |
svelte | svelte | | |
astro | astro | | |
proto | proto textproto pbtxt | | | protobuf
thrift | thrift | | |
graphql | graphql gql graphqls | | | gql
capnp | capnp | | |
xml | xml xsd xsl xslt svg plist xib storyboard csproj vbproj fsproj vcxproj props targets resx wsdl rss atom xaml iml dtd rng ui qrc nuspec pom | | | svg
ini | ini cfg conf cnf properties editorconfig desktop service socket timer mount reg inf | .editorconfig .gitconfig .gitmodules .flake8 .pylintrc .coveragerc .npmrc .hgrc | | cfg conf properties
make | mk mak make | Makefile makefile GNUmakefile BSDmakefile Kbuild Makefile.am Makefile.in Justfile justfile | make | makefile mk
cmake | cmake | CMakeLists.txt | |
meson | | meson.build meson_options.txt meson.options | |
ninja | ninja | | |
autoconf | ac m4 am | configure.in aclocal.m4 | | m4
dockerfile | dockerfile containerfile | Dockerfile Containerfile | | docker
hcl | hcl tf tfvars nomad | | | terraform tf
nix | nix | | nix-shell |
groovy | groovy gvy gradle | Jenkinsfile | groovy | gradle
fortran | f f77 f90 f95 f03 f08 for ftn fpp | | | f90
cobol | cob cbl cpy cobol | | |
pascal | pas pp lpr dpr dpk lfm | | instantfpc | delphi
ada | adb ads ada gpr | | |
d | d di | | rdmd dmd |
nim | nim nims nimble | | nim |
crystal | cr | | crystal |
vlang | vsh | | v |
odin | odin | | |
asm | s asm nasm inc a51 | | | assembly assembler nasm
llvm | ll mir | | |
cuda-ptx | ptx | | | ptx
opencl | opencl ocl | | |
glsl | glsl vert frag geom comp tesc tese glslf glslv hlsl fx fxh wgsl metal | | | hlsl wgsl metal shader
verilog | v vh sv svh | | | systemverilog
vhdl | vhd vhdl | | |
devicetree | dts dtsi dtso its | | | dts
kconfig | kconfig | Kconfig Config.in | |
linker-script | lds ld x | | | lds
coccinelle | cocci | | | cocci
awk | awk gawk | | awk gawk mawk nawk |
sed | sed | | sed |
tcl | tcl tk itcl | | tclsh wish expect |
fish | fish | | fish |
powershell | ps1 psm1 psd1 | | pwsh powershell | ps1 pwsh
batch | bat cmd | | | bat cmd
vim | vim vimrc | .vimrc _vimrc .gvimrc .exrc | vim nvim | viml vimscript
solidity | sol | | | sol
move | move | | |
cairo | cairo | | |
elm | elm | | |
purescript | purs | | | purs
idris | idr | | |
lean | lean | | |
coq | coq | | | rocq
agda | agda | | |
prolog | pro prolog plt | | swipl |
smalltalk | st | | gst |
forth | fth 4th forth | | gforth |
apl | apl dyalog | | |
haml | haml | | |
pug | pug jade | | | jade
handlebars | hbs handlebars mustache | | | hbs mustache
jinja | j2 jinja jinja2 | | | jinja2
erb | erb ejs | | | ejs
twig | twig liquid | | | liquid
cshtml | cshtml razor | | | razor
coffeescript | coffee litcoffee | Cakefile | coffee | coffee
haxe | hx | | |
gdscript | gd gdshader | | | godot
starlark-config | bazelrc | .bazelrc | |
jsonnet | jsonnet libsonnet | | | libsonnet
cue | cue | | |
dhall | dhall | | |
rego | rego | | |
rst | rst rest | | | restructuredtext
asciidoc | adoc asciidoc asc | | | adoc
org | org | | |
tex | tex sty cls bib ltx dtx ins bst | | | latex bibtex
typst | typ | | |
roff | man mdoc roff tmac | | | man troff
texinfo | texi texinfo | | |
csv | csv tsv psv | | | tsv
diff | diff patch | | | patch
gitignore | gitignore dockerignore npmignore einsteinignore gitattributes | .gitignore .dockerignore .npmignore .einsteinignore .gitattributes .ignore .eslintignore .prettierignore .gcloudignore CODEOWNERS | | ignore
po | po pot | | | gettext
yacc | y yy yacc | | | bison
lex | l ll2 lex flex | | | flex
swig | i swg | | |
gomod | | go.mod go.sum go.work go.work.sum | |
log | log | | |
text | txt text | LICENSE COPYING README AUTHORS NOTICE INSTALL NEWS CHANGELOG ChangeLog MAINTAINERS CREDITS TODO THANKS VERSION | | txt plain plaintext
"""  # noqa: E501  (one language, one line)


def _parse_table() -> dict[str, Language]:
    found: dict[str, Language] = {}
    for line in _TABLE.strip().splitlines():
        name, *columns = (column.strip() for column in line.split("|"))
        extensions, filenames, interpreters, aliases = (tuple(column.split()) for column in columns)
        assert name not in found, name
        found[name] = Language(name, extensions, filenames, interpreters, aliases)
    return found


LANGUAGES: dict[str, Language] = _parse_table()


def _index(attribute: Callable[[Language], tuple[str, ...]]) -> dict[bytes, str]:
    # The first language of the table that claims a spelling gets it; sharers are told apart by content.
    found: dict[bytes, str] = {}
    for language in LANGUAGES.values():
        for spelling in attribute(language):
            found.setdefault(spelling.encode(), language.name)
    return found


_BY_EXTENSION = _index(lambda language: language.extensions)
_BY_FILENAME = _index(lambda language: language.filenames)
_BY_INTERPRETER = _index(lambda language: language.interpreters)
_BY_ALIAS = {
    a: n for a, n in _index(lambda language: language.aliases).items() if a.decode() not in LANGUAGES
}

# Base names whose first part decides: "Dockerfile.dev", "Kconfig.debug", "Makefile.gcc", "LICENSE.MIT".
_BY_PREFIX = {
    b"Dockerfile": "dockerfile",
    b"Containerfile": "dockerfile",
    b"Makefile": "make",
    b"Kbuild": "make",
    b"Kconfig": "kconfig",
    b"Jenkinsfile": "groovy",
}


def language_of(path: bytes, head: bytes) -> str:
    """Return the canonical name of the language of a file; "text" if nothing tells.

    path  relative or absolute; only the base name counts
    head  the first bytes of the file as UTF-8 (more than HEAD_BYTES is not looked at); may be empty
    """
    base = path[path.rfind(b"/") + 1 :]
    name = _BY_FILENAME.get(base)
    if name is not None:
        return name
    dot = base.rfind(b".")
    if dot >= 0:
        extension = base[dot + 1 :]
        decide = _SHARED.get(extension) or _SHARED.get(extension.lower())
        if decide is not None:
            return decide(head[:HEAD_BYTES])
        name = _BY_EXTENSION.get(extension) or _BY_EXTENSION.get(extension.lower())
        if name is not None:
            return name
        name = _BY_PREFIX.get(base[: base.find(b".")])
        if name is not None:
            return name
        if extension == b"in" and dot > 0:  # a template: "config.h.in" is what "config.h" would be
            return language_of(base[:dot], head)
    return _of_head(head[:HEAD_BYTES])


def resolve(name_or_alias: str) -> str:
    """Return the canonical name for what a user wrote after `lang:`; an extension works as well.

    Raises UsageError that names the nearest known language.
    """
    wanted = name_or_alias.strip().lower().removeprefix(".")
    if wanted in LANGUAGES:
        return wanted
    key = wanted.encode("utf-8", "surrogateescape")
    name = _BY_ALIAS.get(key) or _BY_EXTENSION.get(key)
    if name is not None:
        return name
    import difflib  # costs 5 ms and is wanted only for a mistake

    known = [*LANGUAGES, *(alias.decode() for alias in _BY_ALIAS)]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"unknown language {name_or_alias!r}{hint}")


# ---- first line and modelines -----------------------------------------------------------------------

_SHEBANG = re.compile(rb"#![ \t]*(\S+)(?:[ \t]+(.*))?")
_MODELINE = re.compile(
    rb"-\*-(?:.*?mode[ \t]*:)?[ \t]*([\w+#.-]+?)[ \t]*(?:;.*?)?-\*-"  # Emacs
    rb"|(?:^|[ \t])(?:vi|vim|ex)(?:[<=>]?\d+)?:.*?\b(?:ft|filetype|syntax)=(\w+)",  # Vim
    re.IGNORECASE | re.MULTILINE,
)
_MODELINE_SIGNS = (b"-*-", b"ft=", b"filetype=", b"syntax=")
_XML = re.compile(rb"\s*<\?xml\b")
_HTML = re.compile(rb"\s*<(?:!doctype[ \t]+html|html)\b", re.IGNORECASE)
_PHP = re.compile(rb"\s*<\?php\b")


def _of_head(head: bytes) -> str:
    """The language that a file without a telling name states in its first lines."""
    if head.startswith(b"#!"):
        name = _of_shebang(head)
        if name is not None:
            return name
    name = _of_modeline(head)
    if name is not None:
        return name
    if head[:64].lstrip()[:1] == b"<":
        for pattern, name in ((_XML, "xml"), (_HTML, "html"), (_PHP, "php")):
            if pattern.match(head):
                return name
    return "text"


def _of_shebang(head: bytes) -> str | None:
    match = _SHEBANG.match(head.split(b"\n", 1)[0].rstrip(b"\r"))
    if match is None:
        return None
    program = match[1].rsplit(b"/", 1)[-1]
    if program == b"env":
        words = [word for word in (match[2] or b"").split() if not word.startswith(b"-") and b"=" not in word]
        if not words:
            return None
        program = words[0].rsplit(b"/", 1)[-1]
    program = program.lower()
    return _BY_INTERPRETER.get(program) or _BY_INTERPRETER.get(program.rstrip(b"0123456789.-"))


def _of_modeline(head: bytes) -> str | None:
    if not any(sign in head for sign in _MODELINE_SIGNS):  # 10 times as fast as the expression
        return None
    match = _MODELINE.search(head)
    if match is None:
        return None
    said = (match[1] or match[2]).lower()
    return said.decode() if said.isascii() and said.decode() in LANGUAGES else _BY_ALIAS.get(said)


# ---- extensions that several languages share --------------------------------------------------------

_COMMENT = re.compile(rb"/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)
_OBJC_SIGN = re.compile(
    rb"^[ \t]*(?:@(?:interface|implementation|protocol|class|import|end)\b|#[ \t]*import\b)", re.MULTILINE
)
_OBJC_WORD = re.compile(rb"@(?:interface|implementation|protocol|class|end)")  # quick: few bytes are "@"
_CPP_SIGN = re.compile(
    rb"^[ \t]*(?:class[ \t]+\w+[^;]*$|namespace\b|template[ \t]*<|using[ \t]+\w)"
    rb"|^[ \t]*(?:public|private|protected)[ \t]*:"
    rb"|\bstd::|\b(?:constexpr|noexcept|static_cast|reinterpret_cast)\b"
    rb"|\boperator[ \t]*[=+*<>\[(-]|\benum[ \t]+class\b",
    re.MULTILINE,
)
_CPP_WORDS = (b"class", b"namespace", b"template", b"using", b"public", b"private", b"protected", b"std::",
              b"constexpr", b"noexcept", b"_cast", b"operator")  # fmt: skip
_CPP_INCLUDE = re.compile(rb"#[ \t]*include[ \t]*<[a-z_]+>")  # the standard headers of C++ have no ".h"
_ANGLED = re.compile(rb"<[a-z_]+>")
_C_GUARD = re.compile(rb"#[ \t]*ifdef[ \t]+__cplusplus.*?#[ \t]*(?:endif|else)", re.DOTALL)


def _of_h(head: bytes) -> str:
    said = _of_modeline(head)
    if said in ("c", "cpp", "objc"):
        return said
    if (b"import" in head or _OBJC_WORD.search(head)) and _OBJC_SIGN.search(head):
        return "objc"
    # A C header for C++ users has its C++ inside "#ifdef __cplusplus": that says nothing.
    if b"__cplusplus" in head:
        head = _C_GUARD.sub(b"", head)
    if _ANGLED.search(head) and _CPP_INCLUDE.search(head):  # the first is ten times as fast and mostly enough
        return "cpp"
    # The words alone decide most headers, ten times as fast as the expression; others have them in comments.
    if not any(word in head for word in _CPP_WORDS):
        return "c"
    head = _COMMENT.sub(b"", head)
    if not any(word in head for word in _CPP_WORDS):
        return "c"
    # Every alternative of the expression has one of the words, and matches within its line if at all.
    says = any(_CPP_SIGN.search(line) for word in _CPP_WORDS for line in lines_with(word, head))
    return "cpp" if says else "c"


def lines_with(text: bytes, head: bytes) -> Iterator[bytes]:
    """Yield the lines with this text."""
    at = head.find(text)
    while at >= 0:
        end = head.find(b"\n", at)
        end = end if end >= 0 else len(head)
        yield head[head.rfind(b"\n", 0, at) + 1 : end]
        at = head.find(text, end)


_OBJC_BODY = re.compile(
    rb"^[ \t]*(?:@(?:interface|implementation|protocol|class|import|property|end)\b"
    rb"|#[ \t]*(?:import|include)\b)"
    rb"|\[\w+ \w+[:\]]|//",
    re.MULTILINE,
)
_MATHEMATICA = re.compile(rb"\(\*|^\w+\[.*_\][ \t]*:?=", re.MULTILINE)
_MATLAB = re.compile(rb"^[ \t]*(?:%|function\b|classdef\b|end\b)", re.MULTILINE)


def _of_m(head: bytes) -> str:
    if _OBJC_BODY.search(head):
        return "objc"
    if _MATLAB.search(head):
        return "matlab"
    return "mathematica" if _MATHEMATICA.search(head) else "objc"


def _of_ts(head: bytes) -> str:
    # Qt Linguist keeps its translations in .ts too.
    return "xml" if _XML.match(head) or b"<!DOCTYPE TS>" in head else "typescript"


_PROLOG = re.compile(rb"^:-|^[a-z]\w*\([^)]*\)[ \t]*(?::-|\.[ \t]*$)", re.MULTILINE)
_PERL = re.compile(rb"^\s*(?:use|package|my|our|sub)\b|^=\w+|[$@%]\w", re.MULTILINE)


def _of_pl(head: bytes) -> str:
    if head.startswith(b"#!"):
        return _of_shebang(head) or "perl"
    return "prolog" if _PROLOG.search(head) and not _PERL.search(head) else "perl"


def _of_t(head: bytes) -> str:
    if head.startswith(b"#!"):
        return _of_shebang(head) or "perl"
    return "perl" if _PERL.search(head) else "text"


_COQ = re.compile(rb"^[ \t]*(?:Require|Theorem|Lemma|Definition|Inductive|Proof|From)\b", re.MULTILINE)
_VLANG = re.compile(rb"^[ \t]*(?:pub[ \t]+)?fn[ \t]+|^import[ \t]+\w|^module[ \t]+\w+[ \t]*$", re.MULTILINE)
_VERILOG = re.compile(rb"\b(?:endmodule|always|assign|wire|reg|posedge|input|output)\b|`\w+")


def _of_v(head: bytes) -> str:
    if _VERILOG.search(head):
        return "verilog"
    if _COQ.search(head):
        return "coq"
    return "vlang" if _VLANG.search(head) else "verilog"


_FSHARP = re.compile(rb"^[ \t]*(?:module|namespace|let|open|type)\b", re.MULTILINE)


def _of_fs(head: bytes) -> str:
    return "fsharp" if not head or _FSHARP.search(head) else "glsl"


_CLS_TEX = re.compile(
    rb"\\(?:NeedsTeXFormat|ProvidesClass|documentclass|newcommand|def)\b|^[ \t]*%", re.MULTILINE
)


def _of_cls(head: bytes) -> str:
    return "tex" if _CLS_TEX.search(head) else "java"  # Apex classes read as Java


_INC_PHP = re.compile(rb"<\?php")
_INC_C = re.compile(rb"^[ \t]*(?:#[ \t]*(?:include|define|if|ifdef|ifndef)\b|static\b|/\*|//)", re.MULTILINE)
_INC_ASM = re.compile(rb"^[ \t]*(?:[.%](?:macro|section|globl|text|equ|set)\b|;|\w+:[ \t]*$)", re.MULTILINE)


def _of_inc(head: bytes) -> str:
    if _INC_PHP.search(head):
        return "php"
    if _INC_C.search(head):
        return _of_h(head)
    return "asm" if _INC_ASM.search(head) else "text"


def _of_pp(head: bytes) -> str:
    return "pascal" if re.search(rb"(?i)^\s*(?:unit|program|library)\s+\w+\s*;", head) else "text"  # Puppet


def _of_d(head: bytes) -> str:
    if re.search(rb"^[ \t]*(?:module|import)[ \t]+[\w.]+[^;]*;", head, re.MULTILINE) or not head:
        return "d"
    # Compilers write their dependency files under this name.
    return "make" if re.search(rb"^\S+:[ \t]", head, re.MULTILINE) else "text"


_SHARED: dict[bytes, Callable[[bytes], str]] = {
    b"h": _of_h,
    b"m": _of_m,
    b"ts": _of_ts,
    b"pl": _of_pl,
    b"t": _of_t,
    b"v": _of_v,
    b"fs": _of_fs,
    b"cls": _of_cls,
    b"inc": _of_inc,
    b"pp": _of_pp,
    b"d": _of_d,
    b"C": lambda head: "cpp",  # noqa: ARG005
    b"H": lambda head: "cpp",  # noqa: ARG005
    b"R": lambda head: "r",  # noqa: ARG005
}
