"""The project's .einstein.toml: it narrows what is indexed, and a broken one harms no other root."""

from __future__ import annotations

import os

from tests.end_to_end.home import Home, grow, write


def test_only_the_languages_that_a_project_names_are_indexed(home: Home) -> None:
    files = {
        ".einstein.toml": '[index]\nlanguages = ["py", "go"]\n',
        "a.py": "alpha = 1\n",
        "b.go": "func alpha() {}\n",
        "c.c": "int alpha;\n",
    }
    narrow = grow(home.at / "narrow", files)
    wide = grow(home.at / "wide", {"c.c": "int alpha;\n"})
    for root in (narrow, wide):
        home.add(root)
    assert set(home.found("alpha", narrow)) == {"a.py", "b.go"}
    assert home.found("alpha", wide) == ["c.c"]
    assert home.status(narrow)["skipped"] == {"language": 2}
    assert not home.why(narrow / "c.c")["indexed"]
    for root in (narrow, wide):
        home.ask("remove", path=str(root))


def test_a_project_file_that_breaks_later_is_told_and_harms_nobody(own_home: Home) -> None:
    broken = grow(own_home.at / "broken", {"a.py": "alpha = 1\n", "b.c": "int alpha;\n"})
    sound = grow(own_home.at / "sound", {"a.py": "alpha = 1\n"})
    own_home.start()
    for root in (broken, sound):
        own_home.add(root)
    for text in ("[index\n", '[index]\nlanguages = ["pythn"]\n', "[watch]\nrescan_s = 1\n"):
        write(broken / ".einstein.toml", text)
        own_home.stop()
        own_home.start()
        own_home.sync(broken)
        own_home.sync(sound)
        assert own_home.found("alpha", sound) == ["a.py"]
        assert set(own_home.found("alpha", broken)) == {"a.py", "b.c"}
        assert ".einstein.toml" in own_home.status(broken)["problem"] or "pythn" in text
        assert own_home.status(broken)["problem"]
        assert not own_home.status(sound)["problem"]


def test_a_project_file_that_changes_counts_at_once(home: Home) -> None:
    root = grow(home.at / "changing", {"a.py": "alpha = 1\n", "b.c": "int alpha;\n", "sub/c.py": "alpha\n"})
    home.add(root)
    assert set(home.found("alpha", root)) == {"a.py", "b.c", "sub/c.py"}
    write(root / ".einstein.toml", '[index]\nlanguages = ["py"]\n')
    home.sync(root)
    assert set(home.found("alpha", root)) == {"a.py", "sub/c.py"}
    write(root / ".einstein.toml", '[index]\nignore = ["sub/"]\n')
    home.sync(root)
    assert set(home.found("alpha", root)) == {"a.py", "b.c"}
    (root / ".einstein.toml").unlink()
    home.sync(root)
    assert set(home.found("alpha", root)) == {"a.py", "b.c", "sub/c.py"}
    home.ask("remove", path=str(root))


def test_a_project_file_that_changes_while_no_daemon_runs_counts_at_the_next_start(own_home: Home) -> None:
    files = {"a.py": "alpha = 1\n", "b.c": "int alpha;\n", "d.go": "func alpha() {}\n", "sub/c.py": "alpha\n"}
    root = grow(own_home.at / "changing", files)
    other = grow(own_home.at / "other", files)
    write(root / ".einstein.toml", '[index]\nlanguages = ["py"]\n')
    own_home.start()
    for each in (root, other):
        own_home.add(each)
    for text, expected in (
        ('[index]\nlanguages = ["py", "c"]\n', {"a.py", "b.c", "sub/c.py"}),  # wider
        ('[index]\nlanguages = ["go"]\n', {"d.go"}),  # narrower, and another one
        ('[index]\nignore = ["sub/"]\n', {"a.py", "b.c", "d.go"}),
        ("", set(files)),
    ):
        own_home.stop()
        write(root / ".einstein.toml", text)
        own_home.start()
        own_home.sync(root)
        assert set(own_home.found("alpha", root)) == expected, text
        assert set(own_home.found("alpha", other)) == set(files)
    assert own_home.fsck() == []


def test_limits_of_the_user_that_change_while_no_daemon_runs_count_too(own_home: Home) -> None:
    root = grow(own_home.at / "tree", {"a.py": "alpha = 1\n", "big.py": "alpha = 2\n" * 200})
    for bytes_max, expected in (("1000", {"a.py"}), ("100000", {"a.py", "big.py"}), ("500", {"a.py"})):
        own_home.env["EINSTEIN_INDEX_FILE_BYTES_MAX"] = bytes_max
        own_home.start()
        own_home.add(root)
        own_home.sync(root)
        assert set(own_home.found("alpha", root)) == expected, bytes_max
        own_home.stop()


def test_files_are_judged_anew_once_and_not_at_every_start(own_home: Home) -> None:
    """A daemon that ends in the middle judges again; one that was done does not read what did not change."""
    root = grow(own_home.at / "tree", {"a.py": "alpha = 1\n", "b.c": "int alpha;\n"})
    for path in (root / "a.py", root / "b.c"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # long ago: a young file is read at every start
    own_home.start()
    own_home.add(root)
    write(root / ".einstein.toml", '[index]\nlanguages = ["c", "toml"]\n')
    os.utime(root / ".einstein.toml", (1_700_000_000, 1_700_000_000))
    own_home.stop()
    reasons, changes = [], []
    for _ in range(3):
        own_home.start()
        own_home.sync(root)
        scan = own_home.status(root)["last_scan"]
        reasons.append(scan["reason"])
        changes.append(scan["changes"])
        assert own_home.found("alpha", root) == ["b.c"]
        own_home.stop()
    assert reasons == ["limits changed", "start", "start"]
    assert changes == [3, 0, 0]
