"""Mirrors are read with git alone: files, bytes, licences, changes; what a mirror lacks is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.repositories import MIT, PERMISSION, Repository, git
from training import mirror
from training.mirror import Blob, Mirror


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "mirrors", "somebody/our-ledger")


def forget(repository: Repository, blob: Blob) -> None:
    (repository.mirror.folder / "objects" / blob.oid[:2] / blob.oid[2:]).unlink()


def test_a_mirror_is_found_by_owner_and_name(repository: Repository, tmp_path: Path) -> None:
    found = Mirror.of(tmp_path / "mirrors", "somebody/our-ledger")
    assert found == repository.mirror
    assert Mirror.of(tmp_path / "mirrors", "somebody/no-ledger") is None


def test_files_are_the_regular_ones_of_a_revision(repository: Repository) -> None:
    (repository.tree / "link").symlink_to("a.py")
    text = "größe = 1\n".encode()
    first = repository.commit({"a.py": "old = 1\n", "folder/größe und \n.py": text, "run.sh": "echo\n"})
    (repository.tree / "run.sh").unlink()
    second = repository.commit({"a.py": "newer = 2\n"})
    paths = {blob.path for blob in repository.mirror.files(first)}
    assert paths == {b"a.py", "folder/größe und \n.py".encode(), b"run.sh"}
    assert {blob.path: blob.nbytes for blob in repository.mirror.files(second)} == {
        b"a.py": 10,
        "folder/größe und \n.py".encode(): len(text),
    }
    assert repository.mirror.revision() == second
    for blob in repository.mirror.files(second):
        assert f"{blob.number:016x}" == blob.oid[:16]


def test_contents_are_the_bytes_of_the_files_in_order(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "_AT_ONCE", 3)
    files: dict[str, str | bytes] = {f"f{i}": f"{i} missing\n{i} blob 7\n" * i for i in range(7)}
    files |= {"empty": b"", "binary": bytes(range(256)) * 3, "no line end": b"x"}
    blobs = repository.mirror.files(repository.commit(files))
    got = [(blob.path.decode(), content) for blob, content in repository.mirror.contents(blobs)]
    assert got == [
        (name, text if isinstance(text, bytes) else text.encode()) for name, text in sorted(files.items())
    ]
    assert list(repository.mirror.contents([])) == []


def test_a_file_that_the_mirror_lacks_is_left_out(repository: Repository) -> None:
    revision = repository.commit({"a": "1\n", "b": "2\n", "c": "3\n"})
    blobs = repository.mirror.files(revision)
    forget(repository, blobs[1])
    assert [blob.path for blob, _ in repository.mirror.contents(blobs)] == [b"a", b"c"]
    assert [blob.path for blob in repository.mirror.files(revision)] == [b"a", b"c"]


APACHE = "                 Apache License\n           Version 2.0, January 2004\n"
BSD = "Redistribution and use in source and binary forms, with or\nwithout modification, are permitted\n"
ISC = "Permission to use, copy, modify, {} distribute this software for any\npurpose with or without fee\n"
GPL = "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n"


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({"LICENSE": MIT}, "MIT"),
        ({"LICENCE.md": MIT}, "MIT"),
        ({"MIT-LICENSE": MIT}, "MIT"),
        ({"license.txt": "\n".join(f" * {line}" for line in MIT.split("\n"))}, "MIT"),
        ({"COPYING": "# " + PERMISSION.replace(" ", "\n# ")}, "MIT"),
        ({"LICENSE": APACHE}, "Apache-2.0"),
        ({"LICENSE-APACHE": APACHE, "LICENSE-MIT": MIT}, "Apache-2.0"),
        ({"LICENSE": APACHE + MIT}, "Apache-2.0"),
        ({"LICENSE": BSD}, "BSD"),
        ({"LICENSE": ISC.format("and/or")}, "ISC"),  # the licence as OSI and SPDX have it
        ({"LICENSE": ISC.format("and")}, "ISC"),  # as the ISC had it first
        ({"LICENSE": b"\xff" + MIT.encode()}, "MIT"),
        ({}, None),
        ({"LICENSE": ""}, None),
        ({"LICENSE": "All rights reserved.\n"}, None),
        ({"LICENSE": GPL}, None),
        ({"COPYING": GPL.replace("GENERAL", "AFFERO GENERAL")}, None),
        ({"COPYING.LESSER": GPL.replace("GENERAL", "LESSER GENERAL")}, None),
        ({"LICENSE": "Mozilla Public License Version 2.0\n"}, None),
        ({"LICENSE": GPL + MIT}, None),
        ({"LICENSE": MIT + "\nbut what lies in x is under the\n" + GPL}, None),
        ({"src/LICENSE": MIT}, None),  # of a part
        ({"LICENSES": MIT, "license_text": MIT}, None),
        ({"README": MIT}, None),
    ],
)
def test_only_permissive_licences_are_known(
    repository: Repository, files: dict[str, str | bytes], licence: str | None
) -> None:
    assert repository.mirror.licence(repository.commit({"a.py": "a = 1\n", **files})) == licence


def test_a_licence_is_that_of_the_revision(repository: Repository) -> None:
    old = repository.commit({"LICENSE": MIT})
    new = repository.commit({"LICENSE": GPL})
    assert (repository.mirror.licence(old), repository.mirror.licence(new)) == ("MIT", None)


@pytest.mark.parametrize("config", ["", "diff.noprefix", "diff.mnemonicPrefix", "color.ui=always"])
def test_changes_are_those_to_code_newest_first(repository: Repository, config: str) -> None:
    if config:
        key, _, value = config.partition("=")
        git(repository.mirror.folder, "config", key, value or "true")
    repository.commit({"a.py": "a = 1\n", "b.txt": "b\n"}, "Begin with a")
    repository.commit({"b.txt": "c\n"}, "Only words")
    repository.commit({"a.py": "a = 2\n", "b.txt": "d\n"}, "Raise a")
    head = repository.commit({"größe.go": "package a\n"}, "Add the größe")
    found = list(repository.mirror.changes(head, 10))
    assert [subject for subject, _ in found] == ["Add the größe", "Raise a", "Begin with a"]
    patch = found[1][1]
    assert b"diff --git a/a.py b/a.py\n" in patch
    assert b"\n-a = 1\n+a = 2\n" in patch
    assert b"b.txt" not in patch
    assert [subject for subject, _ in repository.mirror.changes(head, 1)] == ["Add the größe"]


def test_merges_are_no_changes(repository: Repository) -> None:
    first = repository.commit({"a.py": "a = 1\n"}, "Begin with a")
    second = repository.commit({"b.py": "b = 1\n"}, "Add b")
    bare = repository.mirror.folder
    tree = git(bare, "rev-parse", f"{second}^{{tree}}").strip()
    merge = git(bare, "commit-tree", tree, "-p", first, "-p", second, "-m", "Join them").strip()
    assert [subject for subject, _ in repository.mirror.changes(merge, 10)] == ["Add b", "Begin with a"]


def test_changes_end_where_the_mirror_lacks_a_file(repository: Repository) -> None:
    first = repository.commit({"a.py": "a = 1\n"}, "Begin with a")
    forget(repository, repository.mirror.files(first)[0])
    (repository.tree / "a.py").unlink()
    repository.commit({"b.py": "b = 1\n"}, "Put b in its place")
    head = repository.commit({"b.py": "b = 2\n"}, "Raise b")
    subjects = [subject for subject, _ in repository.mirror.changes(head, 10)]
    assert subjects[0] == "Raise b"
    assert "Begin with a" not in subjects
