"""What may not be trained on is refused by name, directory and content. Names are read, not written here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.records import U64
from tests.training.repositories import MIT, Repository, git
from training.excluded import (
    COPIES,
    excluded_blobs,
    excluded_names,
    is_copied,
    refuse_blobs,
    refuse_names,
)

FIRST = excluded_names()[0]
BASES = [name.rpartition("/")[2] for name in excluded_names()]


def test_every_name_is_an_owner_and_a_repository_and_stands_there_once() -> None:
    names = excluded_names()
    assert all(name.count("/") == 1 and all(name.split("/")) and name == name.strip() for name in names)
    assert len(set(map(str.lower, names))) == len(names)
    assert not any(name.startswith("#") for name in names)


@pytest.mark.parametrize(
    "source",
    [FIRST, f"somebody/{BASES[0]}", f"somebody/{BASES[0].upper()}", f"somebody/{BASES[-1]}", BASES[1]],
    ids=["itself", "fork", "fork in other letters", "fork of the last", "release"],
)
def test_an_excluded_repository_and_its_forks_are_refused(source: str) -> None:
    with pytest.raises(SystemExit, match="not to be trained on") as refused:
        refuse_names(["somebody/our-ledger", source])
    assert f"{source} (excluded: " in str(refused.value)
    assert "our-ledger" not in str(refused.value)


def test_every_excluded_repository_is_refused_and_all_that_are_are_named() -> None:
    for name in excluded_names():
        with pytest.raises(SystemExit):
            refuse_names([name])
    with pytest.raises(SystemExit) as refused:
        refuse_names(excluded_names())
    assert all(f"{name} (excluded: " in str(refused.value) for name in excluded_names())


def test_other_names_pass() -> None:
    refuse_names([])
    refuse_names(["somebody/our-ledger", f"{BASES[0]}/our-ledger", f"somebody/{BASES[0]}-of-another-kind"])


@pytest.mark.parametrize(
    ("path", "copied"),
    [
        ("main.c", False),
        ("src/vendor.c", False),  # a file, not a directory
        ("vendor", False),
        ("vendor/zlib/adler.c", True),
        ("src/Third_Party/x/y.go", True),
        ("web/node_modules/x/index.js", True),
        ("src/vendors/x.c", False),
        ("\udcff/deps/x.c", True),  # bytes that are no UTF-8
    ],
)
def test_directories_of_copies(path: str, copied: bool) -> None:
    assert is_copied(path.encode("utf-8", "surrogateescape")) == copied


def test_a_directory_named_as_an_excluded_project_holds_copies_if_nobody_else_calls_one_so() -> None:
    for base in BASES:
        telling = len(base) >= 8 or base.lower() in COPIES
        assert is_copied(f"src/{base}/x.c".encode()) == telling, base
        assert is_copied(f"src/{base.upper()}/x.c".encode()) == telling, base
        assert not is_copied(f"src/{base}".encode()), base


def test_all_versions_of_the_files_of_an_excluded_mirror_are_known(tmp_path: Path) -> None:
    mirrors = tmp_path / "mirrors"
    repository = Repository(mirrors, FIRST)
    first = repository.commit({"a.py": "old = 1\n", "LICENSE": MIT})
    second = repository.commit({"a.py": "new = 2\n"})
    other = Repository(mirrors, "somebody/our-ledger")
    own = other.mirror.files(other.commit({"b.py": "own = 3\n"}))

    excluded, absent = excluded_blobs(mirrors)
    assert absent == excluded_names()[1:]
    known = set(excluded.tolist())
    for revision in (first, second):
        assert {blob.number for blob in repository.mirror.files(revision)} <= known
    assert not {blob.number for blob in own} & known
    assert np.array_equal(excluded, np.unique(excluded))
    listed = git(repository.mirror.folder, "rev-list", "--objects", "--all").split("\n")[:-1]
    assert known == {int(line[:16], 16) for line in listed}


def test_without_mirrors_only_names_are_checked(tmp_path: Path) -> None:
    excluded, absent = excluded_blobs(tmp_path)
    assert (len(excluded), absent) == (0, excluded_names())
    assert excluded.dtype == np.uint64


def numbers(*values: int) -> U64:
    return np.array(values, np.uint64)


LARGE = 2**64 - 1


@pytest.mark.parametrize(
    ("blobs", "excluded", "same"),
    [
        (numbers(), numbers(), 0),
        (numbers(1, 2), numbers(), 0),
        (numbers(), numbers(1, 2), 0),
        (numbers(1, 5, LARGE), numbers(2, 4, 6), 0),
        (numbers(2, 5), numbers(2, 4, 6), 1),
        (numbers(LARGE, 6, 3), numbers(2, 6, LARGE), 2),
    ],
)
def test_mined_files_with_the_bytes_of_excluded_ones_are_refused(
    blobs: U64, excluded: U64, same: int
) -> None:
    assert len(set(blobs.tolist()) & set(excluded.tolist())) == same
    if not same:
        refuse_blobs(blobs, excluded)
        return
    with pytest.raises(SystemExit, match=f"^{same} mined files"):
        refuse_blobs(blobs, excluded)
