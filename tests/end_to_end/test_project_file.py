"""The project's .einstein.toml: it narrows what is indexed, and a broken one harms no other root."""

from __future__ import annotations

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
