"""Layers, their limits, and messages that name the mend."""

from __future__ import annotations

import pickle
import re
import tomllib
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.settings import load


class Home:
    """A user's file, a project and an environment, all made up."""

    def __init__(self, tmp_path: Path) -> None:
        self.user = tmp_path / "config.toml"
        self.root = tmp_path / "root"
        self.root.mkdir()
        self.project = self.root / ".einstein.toml"
        self.environ = {"EINSTEIN_CONFIG_FILE": str(self.user), "HOME": str(tmp_path)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_later_layers_win_and_the_origin_is_kept(home: Home) -> None:
    home.user.write_text("[watch]\ndebounce_ms = 60\nrescan_s = 5\n[query]\nlimit = 20\nthreads = 3\n")
    home.project.write_text('[index]\nignore = ["*.min.js"]\n')
    environ = home.environ | {"EINSTEIN_QUERY_LIMIT": "30", "EINSTEIN_WATCH_RESCAN_S": "7"}
    found = load(home.root, {"query.limit": 40, "daemon.idle_exit_s": "9"}, environ)
    assert (found.watch.debounce_ms, found.watch.rescan_s, found.query.limit) == (60, 7, 40)
    assert (found.index.ignore, found.daemon.idle_exit_s) == (("*.min.js",), 9)
    assert found.origins["watch.debounce_ms"] == str(home.user)
    assert found.origins["watch.rescan_s"] == "$EINSTEIN_WATCH_RESCAN_S"
    assert found.origins["index.ignore"] == str(home.project)
    assert found.origins["query.limit"] == "flag"
    assert found.origins["pool.rows"] == "default"
    assert ("query.threads", 3, str(home.user)) in found.items()


def test_settings_survive_pickling(home: Home) -> None:
    found = load(environ=home.environ)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.origins == found.origins


def test_settings_are_frozen(home: Home) -> None:
    with pytest.raises(AttributeError):
        load(environ=home.environ).watch.debounce_ms = 1  # type: ignore[misc]


def test_every_default_says_why() -> None:
    text = (Path(__file__).parents[2] / "config/defaults.toml").read_text()
    tomllib.loads(text)
    lines = [line for line in text.splitlines() if re.match(r"\w+ = ", line)]
    unexplained = [line for line in lines if "#" not in line and not re.match(r"\w+_weight = ", line)]
    assert len(lines) > 50
    assert unexplained == []


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("[watch]\ndebunce_ms = 1", "unknown setting watch.debunce_ms; did you mean watch.debounce_ms?"),
        ("[wach]\ndebounce_ms = 1", "unknown group [wach]; did you mean watch?"),
        ("[query]\ndebounce_ms = 1", "unknown setting query.debounce_ms; did you mean watch.debounce_ms?"),
        ("limit = 3", "limit stands outside of a group; did you mean query.limit?"),
        ("[query]\nlimit = '3'", "query.limit = '3' is not of type int"),
        ("[query]\nlimit = true", "query.limit = True is not of type int"),
        ("[query]\nlimit = 0", "query.limit = 0 is out of range; it must be at least 1"),
        ("[store]\nsegment_docs_max = 200000", "it must be 1 to 128000"),
        (
            "[query]\nkernel = 'cuda'",
            "query.kernel = 'cuda' is not one of 'auto', 'numpy', 'signs', 'faiss', 'mlx'",
        ),
        ("[rank]\nrrf_k = nan", "out of range"),
        ("[index]\nignore = ['a', 1]", "is not of type list of strings"),
        ("[index]\nignore = 'a'", "is not of type list of strings"),
        ("[index\n", "not valid TOML"),
        ("[watch]\ndebounce_ms = 500", "watch.debounce_max_ms = 150 is below watch.debounce_ms = 500"),
    ],
)
def test_a_users_mistake_names_file_key_and_mend(user: str, message: str, home: Home) -> None:
    home.user.write_text(user)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(environ=home.environ)


def test_whole_numbers_do_for_fractions(home: Home) -> None:
    home.user.write_text("[rank]\nrrf_k = 50")
    assert load(environ=home.environ).rank.rrf_k == 50.0


@pytest.mark.parametrize(
    ("user", "project", "ignore", "languages"),
    [
        ("", "ignore = ['a']", ("a",), ()),
        ("ignore = ['a', 'b']", "ignore = ['b', 'c']", ("a", "b", "c"), ()),
        ("", "languages = ['go', 'c']", (), ("go", "c")),
        ("languages = ['go', 'python']", "languages = ['python', 'rust']", (), ("python",)),
        ("languages = ['go']", "languages = []", (), ("go",)),
    ],
)
def test_a_project_narrows(
    user: str, project: str, ignore: tuple[str, ...], languages: tuple[str, ...], home: Home
) -> None:
    home.user.write_text(f"[index]\n{user}\n")
    home.project.write_text(f"[index]\n{project}\n")
    found = load(home.root, environ=home.environ).index
    assert (found.ignore, found.languages) == (ignore, languages)


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("[query]\nlimit = 3", "a project may set only index.ignore and index.languages, not query.limit"),
        ("[index]\nfile_bytes_max = 9", "not index.file_bytes_max; put it in the user's file"),
        ("[model]\ntier0 = ''", "not model.tier0"),
        ("[index]\nignore = ['!.env']", "may only ignore more; not allowed are !.env"),
        ("[index]\nlanguages = ['rust']", "leaves nothing of ['go']"),
        ("[indx]\n", "unknown group [indx]; did you mean index?"),
    ],
)
def test_a_project_may_do_nothing_else(project: str, message: str, home: Home) -> None:
    home.user.write_text("[index]\nlanguages = ['go']\n")
    home.project.write_text(project)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(home.root, environ=home.environ)


def test_the_environment_speaks_every_type(home: Home) -> None:
    environ = home.environ | {
        "EINSTEIN_INDEX_INCLUDE_HIDDEN": "no",
        "EINSTEIN_INDEX_LANGUAGES": "go, python,",
        "EINSTEIN_RANK_RRF_K": "10.5",
        "EINSTEIN_POOL_ROWS": "131_072",
        "EINSTEIN_CACHE_DIR": "/elsewhere",
        "EINSTEIN_OF_SOMEBODY_ELSE": "1",
    }
    found = load(environ=environ)
    assert found.index.include_hidden is False
    assert found.index.languages == ("go", "python")
    assert (found.rank.rrf_k, found.pool.rows) == (10.5, 131_072)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("EINSTEIN_WATCH_DEBOUNCE", "1", "did you mean EINSTEIN_WATCH_DEBOUNCE_MS?"),
        ("EINSTEIN_WACTH_DEBOUNCE_MS", "1", "did you mean EINSTEIN_WATCH_DEBOUNCE_MS?"),
        ("EINSTEIN_QUERY_LIMIT", "ten", "query.limit = 'ten' is not a number"),
        ("EINSTEIN_INDEX_INCLUDE_HIDDEN", "maybe", "is neither true nor false"),
    ],
)
def test_mistakes_in_the_environment(name: str, value: str, message: str, home: Home) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(environ=home.environ | {name: value})


def test_an_unknown_flag_is_an_error(home: Home) -> None:
    with pytest.raises(ConfigError, match=r"did you mean query\.limit"):
        load(flags={"query.limt": 1}, environ=home.environ)
