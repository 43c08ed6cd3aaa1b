"""The second model beside the daemon: it joins the answers file by file, may die at any time, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.embedding import STEP_CHUNKS
from tests.embed.library import tiny_model
from tests.end_to_end.home import Home, grow, save, until

MakeHome = Callable[..., Home]
SETTINGS = {"TRANSFORMER_QUERY_BUDGET_MS": "10000", "DAEMON_RESTART_BACKOFF_MS": "1"}
FILES: dict[str, str | bytes] = {
    "garage.py": "def park():\n    '''Put the car away.'''\n",
    "clinic.py": "def visit():\n    '''Ask the doctor.'''\n",
    "kitchen.py": "def cook():\n    '''Boil the soup.'''\n",
}
QUESTION = "where is an automobile put away"


def made(make_home: MakeHome, encoder: str, **settings: str) -> Home:
    """A home with this function of tests/embed/encoders.py as its second model; not started."""
    home = make_home(SETTINGS | {"TEST_ENCODER": f"tests.embed.encoders:{encoder}"} | settings, start=False)
    home.env["TEST_ENCODER_FILE"] = str(home.at / "encoder")
    return home


def state(home: Home) -> dict[str, Any]:
    """What status says of the second model."""
    said: dict[str, Any] = home.ask("status")["transformer"]
    return said


def whole(home: Home) -> dict[str, Any]:
    """Wait until every chunk has its vector."""

    def complete() -> dict[str, Any]:
        said = state(home)
        return said if said["running"] and 0 < said["files_total"] == said["files_done"] else {}

    return until(complete, "all vectors of the second model")


def by_transformer(home: Home, root: Path, question: str = QUESTION) -> set[str]:
    """The files of which the second model had something to say."""
    answer = home.search(question, root, explain=True)
    return {hit["path"] for hit in answer["hits"] if hit["signals"].get("transformer", 0) > 0}


def test_it_joins_the_answers_and_status_says_how_far_it_is(make_home: MakeHome) -> None:
    home = made(make_home, "synonyms")
    home.start()
    root = grow(home.at / "tree", FILES)
    home.add(root)
    said = whole(home)
    assert said["chunks_done"] == said["chunks_total"] == 3 and said["files_total"] == 3
    assert said["fingerprint"] == "synonyms-96" and said["dim"] == 96
    assert said["chunks_per_s"] > 0 and said["eta_s"] == 0 and not said["problem"]
    until(lambda: by_transformer(home, root) == set(FILES), "the second model in the answer")
    answer = home.search(QUESTION, root, explain=True)
    assert answer["hits"][0]["path"] == "garage.py" and not answer["warnings"]
    steps = {step["name"]: step for step in answer["explain"]["steps"]}
    assert steps[f'transformer("{QUESTION}")']["candidates"] == 3
    shown = home.run("searchd", "status").stdout
    assert "transformer" in shown and "synonyms-96" in shown
    home.stop()
    log = home.log()
    assert "Traceback" not in log and " ERROR " not in log, log


def test_a_saved_file_is_judged_by_the_first_model_until_its_vectors_are_there(make_home: MakeHome) -> None:
    home = made(make_home, "synonyms")
    home.start()
    root = grow(home.at / "tree", FILES)
    home.add(root)
    whole(home)
    save(root / "kitchen.py", "def wash():\n    '''Clean the car.'''\n")
    home.sync(root)
    assert "kitchen.py" in home.found("where is an automobile cleaned", root)
    until(
        lambda: "kitchen.py" in by_transformer(home, root, "where is an automobile cleaned"),
        "the saved file's vectors",
    )
    before = whole(home)
    save(root / "kitchen.py", FILES["kitchen.py"])  # back: its content was never forgotten
    home.sync(root)
    assert whole(home)["chunks_total"] == before["chunks_total"] == 3


def test_killed_in_the_middle_it_goes_on_where_it_was(make_home: MakeHome) -> None:
    home = made(make_home, "dying")
    home.start()
    root = grow(home.at / "tree", {f"f{i}.py": f"def f{i}():\n    return {i}\n" for i in range(600)})
    home.add(root)
    said = whole(home)
    assert said["chunks_done"] == 600
    assert (home.at / "encoder").exists()  # it died
    embedded = (home.at / "encoder.texts").read_text().count("x")
    assert 600 <= embedded <= 600 + STEP_CHUNKS + 20  # one step twice, and a few questions at its starts
    assert "transformer (process" in home.log() and "was killed by signal 9" in home.log()
    pid = home.children()["transformer"]
    home.kill("transformer")
    until(lambda: home.children().get("transformer", pid) != pid and state(home)["running"], "its restart")
    until(lambda: by_transformer(home, root, "what returns 77"), "its answers")
    assert not home.fsck()


def test_another_model_has_a_pool_of_its_own_and_the_old_one_goes(make_home: MakeHome) -> None:
    home = made(make_home, "synonyms")
    home.start()
    root = grow(home.at / "tree", FILES)
    home.add(root)
    whole(home)
    pools = home.cache / "transformer"
    assert (pools / "synonyms-96").is_dir()
    home.stop()
    home.env["EINSTEIN_TEST_ENCODER"] = "tests.embed.encoders:wider"
    home.start()
    until(lambda: state(home)["fingerprint"] == "synonyms-160" and whole(home), "the other model")
    assert by_transformer(home, root) <= set(FILES)
    until(lambda: by_transformer(home, root) == set(FILES), "the other model in the answer")
    until(lambda: not (pools / "synonyms-96").exists(), "the removal of the first model's vectors")
    assert (pools / "synonyms-160").is_dir()


def test_a_late_answer_of_the_model_is_not_waited_for_and_told(make_home: MakeHome) -> None:
    home = made(make_home, "slow", TRANSFORMER_QUERY_BUDGET_MS="100")
    home.start()
    root = grow(home.at / "tree", FILES)
    home.add(root)
    whole(home)
    until(lambda: by_transformer(home, root), "the second model in the answer")
    question = "slowly, where is an automobile put away"
    answer = home.search(question, root, explain=True)
    assert answer["warnings"] == [
        "the transformer model did not answer within 100 ms; the built-in one answers alone"
    ]
    assert answer["hits"] and not any(hit["signals"].get("transformer", 0) > 0 for hit in answer["hits"])
    (home.at / "encoder").touch()
    until(lambda: by_transformer(home, root, question) == set(FILES), "the vector that was late")
    assert home.search(question, root)["warnings"] == []


def test_a_model_that_is_not_there_is_told_once(make_home: MakeHome) -> None:
    home = made(make_home, "missing")
    home.start()
    root = grow(home.at / "tree", FILES)
    home.add(root)
    said = until(lambda: state(home) if state(home)["problem"] else None, "what is wrong")
    assert said["problem"] == "the model is not here"
    until(lambda: not state(home)["running"], "its end")
    answer = home.search(QUESTION, root)
    assert answer["hits"] and not answer["warnings"]
    assert home.log().count("transformer is process") == 1


def test_without_the_extra_there_is_nothing(make_home: MakeHome) -> None:
    home = make_home({"TRANSFORMER_MODEL": ""})
    assert state(home) == {
        "running": False,
        "problem": "not set, or the extra `transformer` is not installed",
    }
    assert set(home.children()) == {"writer", "query 1"}


def test_the_library_itself(make_home: MakeHome, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `transformer` is not installed")
    home = make_home(SETTINGS | {"TRANSFORMER_MODEL": str(tiny_model(tmp_path))})
    root = grow(home.at / "tree", FILES)
    home.add(root)
    until(lambda: state(home)["running"], "the model to be loaded", 120)
    assert whole(home)["fingerprint"].startswith("transformer-48-")
    until(lambda: by_transformer(home, root) == set(FILES), "the second model in the answer")
    assert not home.search(QUESTION, root)["warnings"]
