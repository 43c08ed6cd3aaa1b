"""Languages are recognised by name, first line and content."""

from __future__ import annotations

import pytest

from config.errors import UsageError
from indexer.languages import LANGUAGES, language_of, resolve


@pytest.mark.parametrize(
    ("path", "head", "language"),
    [
        (b"a/b.py", b"", "python"),
        (b"b.PY", b"", "python"),
        (b"x.tsx", b"", "tsx"),
        (b"x.ts", b"export const a = 1", "typescript"),
        (b"de.ts", b'<?xml version="1.0"?>\n<!DOCTYPE TS>', "xml"),
        (b"x.d.ts", b"", "typescript"),
        (b"Makefile", b"", "make"),
        (b"Makefile.gcc", b"", "make"),
        (b"config.h.in", b"#undef X\n", "c"),
        (b"Dockerfile.dev", b"", "dockerfile"),
        (b"CMakeLists.txt", b"", "cmake"),
        (b"notes.txt", b"", "text"),
        (b"a.h", b"int f(void);\n", "c"),
        (b"a.h", b'#ifdef __cplusplus\nextern "C" {\nnamespace x {}\n#endif\nint f(void);\n', "c"),
        (b"a.h", b"/* the operator (see above)\n class of things */\nint f(void);\n", "c"),
        (b"a.h", b"#include <vector>\n", "cpp"),
        (b"a.h", b"#include <stdio.h>\n", "c"),
        (b"a.h", b"template <class T>\nstruct S {};\n", "cpp"),
        (b"a.h", b"class Foo : public Bar {\n};\n", "cpp"),
        (b"a.h", b"// -*- C++ -*-\n", "cpp"),
        (b"a.h", b"#import <Foundation/Foundation.h>\n@interface A : NSObject\n@end\n", "objc"),
        (b"a.m", b"@implementation A\n@end\n", "objc"),
        (b"a.m", b"% solve\nfunction y = f(x)\n", "matlab"),
        (b"a.pl", b"use strict;\n", "perl"),
        (b"a.pl", b":- module(a, []).\nparent(x, y).\n", "prolog"),
        (b"a.C", b"", "cpp"),
        (b"a.R", b"", "r"),
        (b"a.S", b"", "asm"),
        (b"run", b"#!/usr/bin/env python3.11\n", "python"),
        (b"run", b"#!/usr/bin/env -S FOO=1 node --x\n", "javascript"),
        (b"run", b"#!/bin/bash -e\r\n", "bash"),
        (b"run", b"#!\n", "text"),
        (b"x", b"# vim: set ft=ruby :\n", "ruby"),
        (b"x", b"# vim: ts=4 filetype=sh\n", "bash"),
        (b"x", b"/* -*- mode: C++; tab-width: 4 -*- */\n", "cpp"),
        (b"x", b"<!DOCTYPE html>\n", "html"),
        (b"x", b"", "text"),
        (b"a/.gitignore", b"", "gitignore"),
        (b"\xff\xfe.zig", b"\xff", "zig"),
    ],
)
def test_language_of(path: bytes, head: bytes, language: str) -> None:
    assert language_of(path, head) == language


def test_every_language_recognises_its_own_names() -> None:
    for language in LANGUAGES.values():
        for filename in language.filenames:
            assert language_of(filename.encode(), b"") == language.name, filename
        for alias in (language.name, *language.aliases):
            assert resolve(alias) in LANGUAGES


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("py", "python"),
        ("C++", "cpp"),
        (" Rust ", "rust"),
        (".rs", "rust"),
        ("c#", "csharp"),
        ("sh", "bash"),
        ("tsx", "tsx"),
        ("golang", "go"),
        ("h", "c"),
        ("text", "text"),
    ],
)
def test_resolve(said: str, language: str) -> None:
    assert resolve(said) == language


def test_an_unknown_language_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'python'"):
        resolve("pyhton")
