"""Several roots of one index: side by side, one in the other, worktrees of one repository; moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.errors import NoSuchRoot
from tests.end_to_end.home import Home, git, grow, home_at, write


@pytest.fixture(scope="module")
def quiet() -> Iterator[Home]:
    """A daemon whose blobs nobody else counts."""
    with home_at() as made:
        yield made


def contents(home: Home) -> int:
    """How many contents the index keeps that some path points at."""
    index = home.ask("status")["index"]
    return int(index["blobs"] - index["dead_blobs"])


def files(n: int, of: str) -> dict[str, str]:
    return {f"p{i % 5}/m{i}.py": f"def {of}_{i}():\n    return {i}\n" for i in range(n)}


def test_two_roots_know_nothing_of_each_other(quiet: Home) -> None:
    one = grow(quiet.at / "one", {"a.py": "shared_word = 1\nonly_one = 2\n"})
    two = grow(quiet.at / "two", {"a.py": "shared_word = 1\nonly_two = 2\n", "b.py": "shared_word = 3\n"})
    for root in (one, two):
        quiet.add(root)
    assert quiet.found("shared_word", one, mode="text") == ["a.py"]
    assert sorted(quiet.found("shared_word", two, mode="text")) == ["a.py", "b.py"]
    assert quiet.found("only_one", two, mode="text") == []
    (one / "a.py").unlink()
    quiet.sync(one)
    assert quiet.found("shared_word", one, mode="text") == []
    assert sorted(quiet.found("shared_word", two, mode="text")) == ["a.py", "b.py"]
    assert {each["path"] for each in quiet.ask("roots")["roots"]} >= {str(one), str(two)}
    for root in (one, two):
        quiet.ask("remove", path=str(root))
    with pytest.raises(NoSuchRoot):
        quiet.search("shared_word", one)
    assert quiet.fsck() == []


def test_the_same_contents_in_two_roots_are_kept_once(quiet: Home) -> None:
    one = grow(quiet.at / "first", files(20, "twice"))
    two = grow(quiet.at / "second", files(20, "twice"))
    before = contents(quiet)
    assert quiet.add(one)["bytes_done"] > 0
    assert contents(quiet) == before + 20
    assert quiet.add(two)["bytes_done"] == 0  # bytes that were parsed
    assert contents(quiet) == before + 20
    assert quiet.found('"def twice_7("', two) == ["p2/m7.py"]
    quiet.ask("remove", path=str(one))
    assert contents(quiet) == before + 20
    assert quiet.found('"def twice_7("', two) == ["p2/m7.py"]
    quiet.ask("remove", path=str(two))
    assert contents(quiet) == before
    assert quiet.fsck() == []


def test_two_worktrees_share_every_blob(quiet: Home) -> None:
    main = quiet.at / "repository"
    main.mkdir()
    git(main, "init", "-q")
    grow(main, files(20, "tree"))
    git(main, "add", ".")
    git(main, "commit", "-qm", "first")
    tree = quiet.at / "worktree"
    git(main, "worktree", "add", "-q", str(tree), "-b", "other")
    quiet.add(main)
    before = contents(quiet)
    assert quiet.add(tree)["bytes_done"] == 0
    assert contents(quiet) == before
    assert sorted(quiet.found("", tree)) == sorted(quiet.found("", main))
    write(tree / "p0/m0.py", "def only_in_the_worktree():\n    pass\n")
    quiet.sync(tree)
    assert contents(quiet) == before + 1
    assert quiet.found("def:only_in_the_worktree", tree) == ["p0/m0.py"]
    assert quiet.found("def:only_in_the_worktree", main) == []
    git(tree, "commit", "-qam", "second")
    git(main, "checkout", "-q", "--detach", "other")  # a switch to what is known: nothing is parsed
    quiet.sync(main)
    assert quiet.found("def:only_in_the_worktree", main) == ["p0/m0.py"]
    assert contents(quiet) == before  # both have the same again
    for root in (main, tree):
        quiet.ask("remove", path=str(root))


def test_a_moved_directory_is_not_parsed_again(quiet: Home) -> None:
    many = {f"old/{name}": text for name, text in files(300, "moved").items()}
    root = grow(quiet.at / "mover", many)
    quiet.add(root)
    before = contents(quiet)
    (root / "old").rename(root / "new")
    quiet.sync(root)
    assert sorted(quiet.found("", root)) == sorted(name.replace("old", "new") for name in many)
    assert contents(quiet) == before
    after = quiet.status(root)
    assert (after["files_done"], after["bytes_done"]) == (600, 0)  # gone here, come there, nothing parsed
    quiet.ask("remove", path=str(root))


def test_a_root_in_a_root(quiet: Home) -> None:
    """The innermost root that holds a path answers for it."""
    outer = grow(quiet.at / "outer", {"a.py": "nested_word = 1\n", "inner/b.py": "nested_word = 2\n"})
    inner = outer / "inner"
    quiet.add(inner)
    quiet.add(outer)
    assert quiet.search("nested_word", inner)["root"] == str(inner)
    assert quiet.found("nested_word", inner, mode="text") == ["b.py"]
    assert sorted(quiet.found("nested_word", outer, mode="text")) == ["a.py", "inner/b.py"]
    before = len(quiet.ask("roots")["roots"])
    quiet.add(outer / "inner")  # known
    quiet.ask("remove", path=str(inner))
    assert quiet.search("nested_word", inner)["root"] == str(outer)
    assert quiet.found("nested_word", inner, mode="text") == ["inner/b.py"]
    grow(outer, {"deep/c.py": "nested_word = 3\n"})
    quiet.sync(outer / "deep")
    assert quiet.found("nested_word", outer / "deep", mode="text") == ["deep/c.py"]
    quiet.add(outer / "deep")  # lies in a root already
    assert len(quiet.ask("roots")["roots"]) == before - 1
    quiet.ask("remove", path=str(outer))


def test_links_to_a_root_are_that_root(quiet: Home) -> None:
    root = grow(quiet.at / "real", {"a.py": "linked_word = 1\n"})
    link = quiet.at / "link"
    link.symlink_to(root)
    quiet.add(link)
    assert [each["path"] for each in quiet.ask("roots")["roots"]].count(str(root)) == 1
    assert quiet.found("linked_word", link, mode="text") == ["a.py"]
    quiet.ask("remove", path=str(link))
    assert str(root) not in [each["path"] for each in quiet.ask("roots")["roots"]]


def test_rebuild_makes_everything_anew(quiet: Home) -> None:
    root = grow(quiet.at / "again", files(10, "again"))
    quiet.add(root)
    generation = quiet.sync(root)
    quiet.ask("rebuild", path=str(root), wait=True)
    assert quiet.sync(root) > generation
    assert len(quiet.found("", root)) == 10
    assert quiet.found('"def again_7("', root) == ["p2/m7.py"]
    assert quiet.fsck() == []
    quiet.ask("remove", path=str(root))
