"""A file is read once, completely, never through a link, and judged for what it holds."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import load
from indexer import source
from indexer.encoding import decode, decode_live
from indexer.records import FLAG_GENERATED, FLAG_TRANSCODED, Skipped, SourceFile, Stat
from indexer.source import (
    REASONS,
    Directories,
    Limits,
    examine,
    is_generated,
    read_source,
    read_source_stat,
)
from tests.privileges import as_anybody

REPO = Path(__file__).parents[2]

LIMITS = Limits(file_bytes_max=10_000, line_chars_max=500, languages=frozenset())


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        (b"", (b"", "utf-8")),
        (b"a\r\nb", (b"a\r\nb", "utf-8")),
        ("é€😀".encode(), ("é€😀".encode(), "utf-8")),
        (b"\xef\xbb\xbfint x;", (b"int x;", "utf-8")),
        ("\ufeffint é;\n".encode("utf-16-le"), ("int é;\n".encode(), "utf-16-le")),
        ("\ufeffint 😀;\n".encode("utf-16-be"), ("int 😀;\n".encode(), "utf-16-be")),
        ("caf\xe9 // na\xefve\n".encode("latin-1"), ("café // naïve\n".encode(), "latin-1")),
        (b"a\0b", None),
        (b"\xff\xfea", None),
        (b"\xff\xfe\x00\xd8", None),
        (b"\xff\xfe\x00\x00a\x00\x00\x00", None),
        (b"\xff\xfea\x00\x00\x00", None),
        (bytes(range(1, 256)), None),
        (b"\x1b[31mred\x1b[0m", (b"\x1b[31mred\x1b[0m", "utf-8")),
    ],
)
def test_decode(raw: bytes, decoded: tuple[bytes, str] | None) -> None:
    assert decode(raw) == decoded
    assert decode_live(raw) == (None if decoded is None else decoded[0])


def read(root: Path, name: str, limits: Limits = LIMITS) -> SourceFile | Skipped:
    return read_source(os.fsencode(root), os.fsencode(name), limits)


def test_a_file_is_read_with_digest_language_and_stat(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    file = tmp_path / "d/a.py"
    file.write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    found, stat = read_source_stat(os.fsencode(tmp_path), b"d/a.py", LIMITS)
    assert isinstance(found, SourceFile)
    assert found.digest == hashlib.sha256(b"python/4\0" + file.read_bytes()).digest()[:16]
    assert (found.content, found.language, found.encoding) == (b"x = 1\r\n", "python", "utf-8")
    assert found.flags == FLAG_TRANSCODED
    on_disk = file.stat()
    assert stat == Stat(on_disk.st_size, on_disk.st_mtime_ns, on_disk.st_ino)


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("a.bin", b"\0\1", "binary"),
        ("a.c", b"x" * 10_001, "too_large"),
        ("a.js", b"x" * 501 + b"\n", "long_lines"),
        ("key", b"-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", "secret"),
        ("key", b"\n-----BEGIN RSA PRIVATE KEY-----\n", "secret"),
        ("key", b"-----BEGIN PRIVATE KEY-----\n", "secret"),
        ("key", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "secret"),
    ],
)
def test_what_is_no_source_is_skipped_with_its_stat(
    tmp_path: Path, name: str, raw: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    found = read(tmp_path, name)
    assert isinstance(found, Skipped)
    assert (found.path, found.reason) == (os.fsencode(name), reason)
    assert found.reason in REASONS
    assert found.stat is not None and found.stat.size == len(raw)


def test_lines_are_counted_in_characters(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("é" * 500 + "\n")
    assert isinstance(read(tmp_path, "a.txt"), SourceFile)


def test_links_and_special_files_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    outside = tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "a.c").write_text("int secret;")
    (root / "link.c").symlink_to(outside / "a.c")
    (root / "dir").symlink_to(outside)
    os.mkfifo(root / "pipe")
    (root / "sub").mkdir()
    for name in ("link.c", "dir/a.c", "pipe", "sub"):
        found = read(root, name)
        assert isinstance(found, Skipped), name
        assert found.reason == "not_regular", name
        assert found.stat is None


def contents(directories: Directories, root: Path, name: str) -> bytes | str:
    found, _stat = read_source_stat(os.fsencode(root), os.fsencode(name), LIMITS, directories)
    return found.content if isinstance(found, SourceFile) else found.reason


def test_directories_kept_open_give_what_opening_each_path_gives(tmp_path: Path) -> None:
    names = ["a.c", "d/a.c", "d/b.c", "d/e/f/a.c", "d/e/a.c", "g/e/a.c", "d/e/f/b.c", "a.c", "d/e"]
    for name in names[:-1]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"int {name};")
    names += ["d/missing.c", "missing/a.c", "d/a.c/x.c", "d/e/f/g/h.c"]
    with Directories(os.fsencode(tmp_path)) as directories:
        for name in [*names, *reversed(names), *sorted(names), "d/e/f/a.c"]:
            alone = read(tmp_path, name)
            expected = alone.content if isinstance(alone, SourceFile) else alone.reason
            assert contents(directories, tmp_path, name) == expected, name
        held = list(directories._fds)
        assert len(held) == len(set(held)) == 4
    for fd in held:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_link_in_place_of_an_open_directory_is_never_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "d/e").mkdir(parents=True)
    (outside / "e").mkdir(parents=True)
    for name in ("a.c", "b.c", "c.c"):
        (root / "d/e" / name).write_text("inside")
        (outside / "e" / name).write_text("outside")
    (outside / "e/new.c").write_text("outside")
    with Directories(os.fsencode(root)) as directories:
        assert contents(directories, root, "d/e/a.c") == b"inside"
        (root / "d").rename(root / "moved")
        (root / "d").symlink_to(outside)
        assert contents(directories, root, "d/e/b.c") == b"inside"  # of the directory that was there
        assert contents(directories, root, "d/e/new.c") == "not_regular"
        assert contents(directories, root, "d/e/c.c") == "not_regular"


def test_a_directory_that_was_replaced_is_opened_again(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/a.c").write_text("old")
    with Directories(os.fsencode(tmp_path)) as directories:
        assert contents(directories, tmp_path, "d/e/a.c") == b"old"
        (tmp_path / "d").rename(tmp_path / "gone")
        (tmp_path / "d/e").mkdir(parents=True)
        (tmp_path / "d/e/b.c").write_text("new")
        assert contents(directories, tmp_path, "d/e/b.c") == b"new"
        assert contents(directories, tmp_path, "d/e/a.c") == "vanished"


def test_a_missing_file_is_skipped(tmp_path: Path) -> None:
    for name in ("a.c", "d/e/a.c"):
        found = read(tmp_path, name)
        assert isinstance(found, Skipped)
        assert found.reason == "vanished"


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_what_may_not_be_read_is_skipped(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a.c").touch(mode=0o200)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.c").touch(mode=0o000)
    (tmp_path / "d").chmod(mode)
    script = f"""
from tests.indexer.test_source import LIMITS, read_source
for name in (b"a.c", b"d", b"d/a.c"):
    found = read_source({os.fsencode(tmp_path)!r}, name, LIMITS)
    print(found.reason, found.detail, found.stat, sep="|")
"""
    done = subprocess.run(
        [*as_anybody(), sys.executable, "-c", script], capture_output=True, encoding="utf-8", cwd=REPO
    )
    assert done.stdout.splitlines() == ["unreadable|Permission denied|None"] * 3, done.stderr


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.c"
    file.write_bytes(b"int before;\n")
    original = source._read_all
    writes = iter([b"int middle_;\n", b"int after__;\n"])

    def read_and_write(fd: int, size: int, bytes_max: int) -> bytes:
        raw = original(fd, size, bytes_max)
        for text in writes:
            file.write_bytes(text)
            break
        return raw

    monkeypatch.setattr(source, "_read_all", read_and_write)
    found, stat = read_source_stat(os.fsencode(tmp_path), b"a.c", LIMITS)
    assert isinstance(found, SourceFile)
    assert found.content == b"int after__;\n"
    assert stat is not None and stat.mtime_ns == file.stat().st_mtime_ns


def test_a_file_that_never_stands_still_keeps_an_older_stat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"1\n")
    original = source._read_all

    def read_and_append(fd: int, size: int, bytes_max: int) -> bytes:
        raw = original(fd, size, bytes_max)
        with file.open("ab") as log:
            log.write(b"more\n")
        return raw

    monkeypatch.setattr(source, "_read_all", read_and_append)
    found, stat = read_source_stat(os.fsencode(tmp_path), b"a.log", LIMITS)
    assert isinstance(found, SourceFile)
    assert stat is not None and stat.size < file.stat().st_size


@pytest.mark.parametrize(
    ("name", "text", "generated"),
    [
        ("a.go", "// Code generated by protoc-gen-go. DO NOT EDIT.\n", True),
        ("a.py", "# @generated by hand\n", True),
        ("a.c", "/* This file was automatically generated */\n", True),
        ("a.c", "\n" * 60 + "/* DO NOT EDIT */\n", False),
        ("a.c", "int generated;\n", False),
        ("Cargo.lock", "x\n", True),
        ("d/jquery.min.js", "x\n", True),
        ("a.js", ("x" * 400 + "\n") * 20, True),
        ("a.js", "let x = 1;\n" * 200, False),
        ("a_pb2.py", "x\n", True),
    ],
)
def test_generated_files_are_flagged(name: str, text: str, generated: bool) -> None:
    found = examine(name.encode(), text.encode(), LIMITS)
    assert isinstance(found, SourceFile)
    assert bool(found.flags & FLAG_GENERATED) == generated


GENERATED_NAME = re.compile(  # the slow twin
    rb"(?:^|/)(?:[^/]*(?:\.min\.(?:js|css|mjs)|\.bundle\.js|\.pb\.(?:go|cc|h)|_pb2(?:_grpc)?\.pyi?|\.g\.dart"
    rb"|\.designer\.cs|\.generated\.\w+)"
    rb"|package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lock|Cargo\.lock|poetry\.lock"
    rb"|uv\.lock|pdm\.lock|Pipfile\.lock|composer\.lock|Gemfile\.lock|go\.sum|flake\.lock|mix\.lock)$",
    re.IGNORECASE,
)
GENERATED_PARTS = re.split(
    " ",
    "a package-lock json npm-shrinkwrap yarn lock pnpm-lock yaml bun Cargo poetry uv pdm Pipfile composer"
    " Gemfile go sum flake mix min js css mjs bundle pb cc h _pb2 _pb2_grpc py pyi g dart"
    " designer cs Generated é x-",
)


@given(st.lists(st.sampled_from([*GENERATED_PARTS, ".", ".", "/"]), max_size=6).map("".join))
def test_generated_names_are_what_the_expression_finds(name: str) -> None:
    path = name.encode()
    assert is_generated(path, b"") == bool(GENERATED_NAME.search(path))


@given(st.lists(st.sampled_from(["x" * 7, "é" * 3, "", "y"]), max_size=12).map("\n".join), st.integers(1, 12))
def test_the_longest_line_is_found(text: str, limit: int) -> None:
    found = source._longest_line(text.encode(), limit)
    longest = max(map(len, text.split("\n")))
    assert found == longest if longest > limit else found <= limit


def test_languages_can_be_limited() -> None:
    only = Limits(10_000, 500, frozenset({"python"}))
    assert isinstance(examine(b"a.py", b"", only), SourceFile)
    skipped = examine(b"a.c", b"", only)
    assert isinstance(skipped, Skipped)
    assert (skipped.reason, skipped.detail) == ("language", "c")


def test_limits_come_from_the_settings() -> None:
    limits = Limits.of(load(flags={"index.languages": "py,rs"}, environ={}))
    assert limits.languages == {"python", "rust"}
    assert limits.file_bytes_max == 2 * 1024 * 1024
