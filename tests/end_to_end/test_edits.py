"""Edits of every sort, as people, editors and git make them; asked right after `sync`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from config.errors import NoSuchRoot
from tests.end_to_end.home import Home, git, grow, save, until, write

MakeRoot = Callable[[Mapping[str, str | bytes]], Path]


def text_of(name: str) -> str:
    """A small Python file that only the word `name` finds."""
    return f"def {name}():\n    return 1\n"


@pytest.fixture
def root(make_root: MakeRoot) -> Path:
    return make_root(
        {"a.py": text_of("alpha"), "sub/b.py": text_of("beta"), "sub/deep/c.py": text_of("gamma")}
    )


def every_file(home: Home, root: Path) -> set[str]:
    """The paths that are indexed."""
    home.sync(root)
    return set(home.found("", root))


def found(home: Home, root: Path, word: str) -> list[str]:
    """Files with the word, with everything saved before; nothing may be read live."""
    home.sync(root)
    answer = home.search(word, root, mode="text")
    assert not any(hit["live"] for hit in answer["hits"])
    return sorted({hit["path"] for hit in answer["hits"]})


def test_create_and_modify(home: Home, root: Path) -> None:
    write(root / "new.py", text_of("delta"))
    assert found(home, root, "delta") == ["new.py"]
    write(root / "new.py", text_of("epsilon"))
    assert found(home, root, "delta") == []
    assert found(home, root, "epsilon") == ["new.py"]
    with (root / "new.py").open("a") as stream:
        stream.write("# zeta\n")
    assert found(home, root, "zeta") == ["new.py"]
    write(root / "far/away/from/here.py", text_of("remote"))
    assert found(home, root, "remote") == ["far/away/from/here.py"]


def test_atomic_save(home: Home, root: Path) -> None:
    for i in range(5):
        save(root / "a.py", text_of(f"version{i}"))
        assert found(home, root, f"version{i}") == ["a.py"]
        assert found(home, root, f"version{i - 1}") == []
    assert every_file(home, root) == {"a.py", "sub/b.py", "sub/deep/c.py"}


def test_same_size_and_same_time_stamp(home: Home, root: Path) -> None:
    """An edit that neither changes the size nor, on purpose, the modification time."""
    before = (root / "a.py").stat()
    write(root / "a.py", text_of("ahpla"))
    os.utime(root / "a.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found(home, root, "ahpla") == ["a.py"]
    assert found(home, root, "alpha") == []


def test_delete(home: Home, root: Path) -> None:
    (root / "sub/b.py").unlink()
    assert found(home, root, "beta") == []
    assert every_file(home, root) == {"a.py", "sub/deep/c.py"}
    write(root / "sub/b.py", text_of("beta"))
    assert found(home, root, "beta") == ["sub/b.py"]


def test_empty_file(home: Home, root: Path) -> None:
    write(root / "a.py", "")
    assert found(home, root, "alpha") == []
    assert "a.py" in every_file(home, root)


def test_rename(home: Home, root: Path) -> None:
    (root / "a.py").rename(root / "sub/renamed.py")
    assert found(home, root, "alpha") == ["sub/renamed.py"]
    (root / "sub/b.py").rename(root / "sub/renamed.py")  # over another one
    assert found(home, root, "alpha") == []
    assert found(home, root, "beta") == ["sub/renamed.py"]


def test_two_files_change_places(home: Home, root: Path) -> None:
    (root / "a.py").rename(root / "t")
    (root / "sub/b.py").rename(root / "a.py")
    (root / "t").rename(root / "sub/b.py")
    assert found(home, root, "alpha") == ["sub/b.py"]
    assert found(home, root, "beta") == ["a.py"]


def test_a_directory_moves_within(home: Home, root: Path) -> None:
    before = home.ask("status")["index"]
    (root / "sub").rename(root / "moved")
    assert found(home, root, "gamma") == ["moved/deep/c.py"]
    assert every_file(home, root) == {"a.py", "moved/b.py", "moved/deep/c.py"}
    write(root / "moved/deep/c.py", text_of("theta"))  # the moved directory is watched
    assert found(home, root, "theta") == ["moved/deep/c.py"]
    after = home.ask("status")["index"]
    assert after["blobs"] - after["dead_blobs"] <= before["blobs"] - before["dead_blobs"] + 1


def test_a_directory_moves_out_and_in(home: Home, root: Path) -> None:
    outside = home.at / "outside"
    (root / "sub").rename(outside)
    assert every_file(home, root) == {"a.py"}
    write(outside / "b.py", text_of("iota"))  # nobody looks there
    assert found(home, root, "iota") == []
    outside.rename(root / "back")
    assert every_file(home, root) == {"a.py", "back/b.py", "back/deep/c.py"}
    assert found(home, root, "iota") == ["back/b.py"]
    save(root / "back/deep/c.py", text_of("kappa"))
    assert found(home, root, "kappa") == ["back/deep/c.py"]


def test_a_directory_is_removed_and_made_again(home: Home, root: Path) -> None:
    for path in (root / "sub/deep/c.py", root / "sub/b.py"):
        path.unlink()
    (root / "sub/deep").rmdir()
    (root / "sub").rmdir()
    write(root / "sub/b.py", text_of("lambda_"))
    assert found(home, root, "lambda_") == ["sub/b.py"]
    assert every_file(home, root) == {"a.py", "sub/b.py"}


def test_a_file_becomes_a_directory_and_back(home: Home, root: Path) -> None:
    (root / "a.py").unlink()
    write(root / "a.py/inner.py", text_of("mu"))
    assert found(home, root, "mu") == ["a.py/inner.py"]
    (root / "a.py/inner.py").unlink()
    (root / "a.py").rmdir()
    write(root / "a.py", text_of("nu"))
    assert found(home, root, "nu") == ["a.py"]
    assert every_file(home, root) == {"a.py", "sub/b.py", "sub/deep/c.py"}


@pytest.mark.parametrize("name", [".gitignore", ".einsteinignore"])
def test_ignored_files_leave_and_come_back(home: Home, root: Path, name: str) -> None:
    if name == ".gitignore":
        git(root, "init", "-q")
    write(root / name, "b.py\n/sub/deep/\n")
    assert found(home, root, "gamma") == []
    assert every_file(home, root) == {"a.py", name}
    assert name in home.why(root / "sub/b.py")["detail"]
    write(root / "sub/deep/more.py", text_of("xi"))
    assert found(home, root, "xi") == []
    write(root / name, "*.txt\n")
    assert found(home, root, "gamma") == ["sub/deep/c.py"]
    assert found(home, root, "xi") == ["sub/deep/more.py"]
    (root / name).unlink()
    assert every_file(home, root) == {"a.py", "sub/b.py", "sub/deep/c.py", "sub/deep/more.py"}


def test_an_ignore_file_holds_below_its_directory(home: Home, root: Path) -> None:
    git(root, "init", "-q")
    write(root / "sub/.gitignore", "*.py\n!c.py\n")
    assert every_file(home, root) == {"a.py", "sub/.gitignore", "sub/deep/c.py"}


@pytest.mark.parametrize("name", [".env", ".env.local", "id_rsa", "server.pem", "sub/.npmrc"])
def test_secrets_are_never_indexed(home: Home, root: Path, name: str) -> None:
    grow(root, {name: "password=xyzzy\n", ".gitignore": f"!{name}\n!*\n", ".einsteinignore": "!*\n"})
    assert found(home, root, "xyzzy") == []
    assert name not in every_file(home, root)
    assert home.found("xyzzy", root / name) == []
    assert not home.why(root / name)["indexed"] and "secret" in str(home.why(root / name))


def test_what_cannot_be_indexed_is_counted_and_explained(home: Home, root: Path) -> None:
    write(root / "a.bin", b"\x7fELF\0\0\1\2" * 100)
    write(root / "big.c", b"int quite_big;\n" * 200_000)
    write(root / "min.js", b"var long_line=1;" * 1_000)
    (root / "link.py").symlink_to("a.py")
    (root / "dangling.py").symlink_to("nowhere.py")
    (root / "inside").symlink_to("sub")
    os.mkfifo(root / "pipe.py")
    home.sync(root)
    assert (
        home.status(root)["skipped"] | {"binary": 1, "too_large": 1, "long_lines": 1}
        == home.status(root)["skipped"]
    )
    for name, reason in {
        "a.bin": "not text",
        "big.c": "larger",
        "min.js": "line",
        "link.py": "link",
        "dangling.py": "link",
        "inside": "link",
        "pipe.py": "special",
    }.items():
        verdict = home.why(root / name)
        assert not verdict["indexed"] and reason in f"{verdict['reason']} {verdict['detail']}", (
            name,
            verdict,
        )
    assert home.found("quite_big OR long_line", root, mode="text") == []
    assert every_file(home, root) == {"a.py", "sub/b.py", "sub/deep/c.py"}
    write(root / "big.c", "int quite_big;\n")  # and back
    write(root / "a.bin", "text now\n")
    (root / "link.py").unlink()
    write(root / "link.py", text_of("omicron"))
    assert found(home, root, "quite_big") == ["big.c"]
    assert found(home, root, "omicron") == ["link.py"]
    assert "binary" not in home.status(root)["skipped"]
    assert home.why(root / "big.c")["indexed"]


def test_a_socket_in_the_tree_is_no_file(home: Home, root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "s.py"))
        assert "s.py" not in every_file(home, root)
        assert not home.why(root / "s.py")["indexed"]


def test_encodings(home: Home, root: Path) -> None:
    write(root / "utf16.py", "# naïve größe\nx = 'wide_word'\n".encode("utf-16"))
    write(root / "latin1.py", "# größenwahn\ny = 'narrow_word'\n".encode("latin-1"))
    write(root / "dos.py", b"first = 1\r\nsecond_dos = 2\r\n")
    assert found(home, root, "größe") == ["latin1.py", "utf16.py"]
    hits = home.search("wide_word OR narrow_word", root, mode="text")["hits"]
    assert sorted((hit["path"], hit["line"], hit["column"]) for hit in hits) == [
        ("latin1.py", 2, 6),
        ("utf16.py", 2, 6),
    ]
    (hit,) = home.search("second_dos", root, mode="text")["hits"]
    assert (hit["line"], hit["lines"][0]["text"]) == (2, "second_dos = 2")


def test_names_that_are_no_text(home: Home, root: Path) -> None:
    name = b"caf\xe9\n\x1b[31m.py"
    with open(os.fsencode(root) + b"/" + name, "w") as stream:  # noqa: PTH123  bytes are no pathlib path
        stream.write(text_of("strange"))
    assert found(home, root, "strange") == [os.fsdecode(name)]


def test_a_branch_is_switched(home: Home) -> None:
    root = home.at / "repository"
    root.mkdir()
    git(root, "init", "-q")
    grow(
        root,
        {"common.py": text_of("common"), "only_main.py": text_of("mainland"), "both.py": text_of("old_way")},
    )
    git(root, "add", ".")
    git(root, "commit", "-qm", "main")
    git(root, "checkout", "-qb", "other")
    (root / "only_main.py").unlink()
    grow(root, {"only_other/x.py": text_of("otherworld"), "both.py": text_of("new_way")})
    git(root, "add", "-A")
    git(root, "commit", "-qm", "other")
    home.add(root)
    assert every_file(home, root) == {"common.py", "both.py", "only_other/x.py"}
    git(root, "checkout", "-q", "main")
    assert every_file(home, root) == {"common.py", "both.py", "only_main.py"}
    assert found(home, root, "old_way") == ["both.py"]
    blobs = home.ask("status")["index"]
    git(root, "checkout", "-q", "other")
    assert found(home, root, "new_way") == ["both.py"]
    git(root, "checkout", "-q", "main")
    assert found(home, root, "old_way") == ["both.py"]
    assert found(home, root, "otherworld") == []
    assert home.ask("status")["index"]["segments"] <= blobs["segments"] + 2
    home.ask("remove", path=str(root))


def test_segments_are_merged_when_nothing_changes(make_home: Callable[..., Home]) -> None:
    home = make_home({"STORE_IDLE_MERGE_S": "0"})
    root = grow(home.at / "tree", {f"{i}.py": text_of(f"name_{i}") for i in range(4)})
    home.add(root)
    for i in range(4):
        write(root / f"{i}.py", text_of(f"other_{i}"))
        assert found(home, root, f"other_{i}") == [f"{i}.py"]
    until(lambda: home.ask("status")["index"]["segments"] == 1, "all is in one segment")
    assert every_file(home, root) == {f"{i}.py" for i in range(4)}


def test_a_root_is_deleted_and_made_again(home: Home, root: Path) -> None:
    away = root.with_name("away")
    root.rename(away)
    until(lambda: home.status(root)["phase"] == "missing", "the root is missed")
    answer = home.search("alpha", home.at / root.name)
    assert answer["hits"] == [] and not answer["fresh"] and answer["warnings"]
    assert not home.why(root / "a.py")["indexed"] or "not exist" in home.why(root / "a.py")["reason"]
    away.rename(root)
    write(root / "a.py", text_of("reborn"))
    until(lambda: home.status(root)["phase"] == "ready", "the root is found again")
    assert found(home, root, "reborn") == ["a.py"]
    assert every_file(home, root) == {"a.py", "sub/b.py", "sub/deep/c.py"}
    write(root / "sub/b.py", text_of("rewatched"))
    assert found(home, root, "rewatched") == ["sub/b.py"]


def test_a_thousand_files_at_once(home: Home, root: Path) -> None:
    for i in range(1200):
        write(root / f"many/{i % 30}/f{i}.txt", f"number_{i}_of_many\n")
    assert found(home, root, "number_1199_of_many") == ["many/29/f1199.txt"]
    assert len(every_file(home, root)) == 1203
    (root / "many").rename(root / "few")
    assert found(home, root, "number_7_of_many") == ["few/7/f7.txt"]
    assert len(every_file(home, root)) == 1203


def test_a_path_outside_of_every_root(home: Home) -> None:
    with pytest.raises(NoSuchRoot):
        home.search("x", home.at)
    with pytest.raises(NoSuchRoot):
        home.sync(home.at)
    with pytest.raises(NoSuchRoot):
        home.why(home.at / "x")
