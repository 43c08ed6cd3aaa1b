"""The pool of vectors is deleted or replaced by hand: its vectors come back, and no others are answered."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from config import paths
from indexer.embed.static import load_static_model
from indexer.store.format import FORMAT_VERSION
from tests.end_to_end.home import Home, grow, home_at, until, write

FILES = {
    "retry.py": "def call_again(action):\n    '''Repeat a request that failed.'''\n    return action()\n",
    "colour.py": "def mix(red, green):\n    '''Blend two colours of a palette.'''\n    return red + green\n",
    "parse.py": "def read_number(text):\n    '''Turn digits into an integer.'''\n    return int(text)\n",
}
QUESTION = '~"blend the colours of a palette"'


def pool_of(home: Home) -> Path:
    return paths.pool_dir(FORMAT_VERSION, load_static_model().fingerprint, home.env)


def scores(home: Home, root: Path) -> dict[str, float]:
    """What the vectors say of every hit, relative to the best."""
    hits = home.search(QUESTION, root, explain=True)["hits"]
    return {hit["path"]: round(hit["signals"]["semantic"], 3) for hit in hits}


def delete(home: Home) -> None:
    shutil.rmtree(pool_of(home))


def replace(home: Home) -> None:
    with home_at() as other:
        tree = grow(other.at / "tree", {f"x{i}.py": f"palette_{i} = 'blend'\n" for i in range(9)})
        other.add(tree)
        other.stop()
        shutil.rmtree(pool_of(home))
        shutil.copytree(pool_of(other), pool_of(home))


def halve(home: Home) -> None:
    next(pool_of(home).glob("*.vectors")).unlink()


@pytest.mark.parametrize("harm", [delete, replace, halve])
def test_lost_vectors_are_computed_again(own_home: Home, harm: Callable[[Home], None]) -> None:
    root = grow(own_home.at / "tree", FILES)
    own_home.start()
    own_home.add(root)
    before = scores(own_home, root)
    assert before["colour.py"] == max(before.values())
    generation = own_home.sync(root)
    own_home.stop()
    harm(own_home)
    own_home.start()
    until(lambda: "all lost vectors are computed again" in own_home.log(), "the vectors")
    own_home.sync(root)
    assert scores(own_home, root) == before
    assert own_home.ask("status")["generation"] <= generation + 1  # no file was read again
    assert not own_home.search(QUESTION, root)["warnings"]
    assert "the vector pool is not the one of this index" in own_home.log()
    assert own_home.fsck() == []
    own_home.stop()
    lines = own_home.log().count("the vector pool is not")
    own_home.start()
    assert scores(own_home, root) == before
    assert own_home.log().count("the vector pool is not") == lines


def test_a_pool_that_is_deleted_under_a_running_daemon(own_home: Home) -> None:
    root = grow(own_home.at / "tree", FILES)
    own_home.start()
    own_home.add(root)
    assert scores(own_home, root)["colour.py"] == 1.0
    delete(own_home)
    until(lambda: "all lost vectors are computed again" in own_home.log(), "the vectors")
    write(root / "new.py", "def palette():\n    '''Blend the colours of a palette.'''\n")
    until(lambda: own_home.sync(root), "a writer")
    # The query process follows within a second.
    until(lambda: scores(own_home, root).get("new.py", 0) > 0.5, "the vector of the new file")
    assert scores(own_home, root)["colour.py"] > 0.5  # scores are relative to the best
