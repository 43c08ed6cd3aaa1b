"""A toy benchmark is cut into chunks and scored as one can do by hand."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import scorer
from indexer.records import F32
from tests.training.repositories import parsed
from tests.training.toy_benchmark import write_benchmark
from training.bench import SOFTNESS, Bag, Repository, bag, evaluate, repositories

SECOND, THIRD = 1 / math.log2(3), 1 / math.log2(4)


@pytest.fixture
def score(tmp_path: Path) -> ModuleType:
    benchmark, _ = write_benchmark(tmp_path / "only the scorer", {}, {})
    return scorer(benchmark)


def test_a_bag_counts_parts_of_words() -> None:
    assert bag(b"getHTTPConfig(get_config, +-)") == {b"get": 2, b"http": 1, b"config": 2}
    assert bag(b"") == Counter()


LONG = "".join(
    f"def amount_of_part_{i}(ledger):\n    total = 0\n"
    + "".join(f"    total += ledger.entry({i}, {j})\n" for j in range(20))
    + "    return total\n\n\n"
    for i in range(6)
)
FILES = {
    "src/long.py": LONG,
    "src/deep/ring.c": "int ring_push(int byte)\n{\n    return byte;\n}",
    "src/README.md": "# Words\n\nNot of code.\n",
    "src/data.json": '{"a": 1}\n',
    "src/style.css": "a { color: red }\n",
    "other/outside.py": "outside = 1\n",
}


def test_files_of_code_are_cut_as_the_index_cuts_them(tmp_path: Path) -> None:
    benchmark, checkouts = write_benchmark(
        tmp_path,
        {"one": FILES, "not asked": {"a.py": "a = 1\n"}},
        {"one": [("push a byte", ["deep/ring.c"])]},
        {"one": "src"},
    )
    (checkouts / "one" / "src" / "link.py").symlink_to("long.py")
    (checkouts / "one" / "src" / "binary.py").write_bytes(bytes(range(256)))
    (one,) = repositories(benchmark, checkouts, "dev")
    assert (one.name, [item["query"] for item in one.items]) == ("one", ["push a byte"])
    assert list(dict.fromkeys(path for path, _, _ in one.place)) == ["deep/ring.c", "long.py"]
    assert len(one.place) == len(one.chunks) > 3
    assert one.chunks[0] == bag(FILES["src/deep/ring.c"].encode())
    assert sum(one.chunks[1:], Counter()) == bag(LONG.encode())
    assert list(repositories(benchmark, checkouts, "test")) == []


def test_the_lines_of_a_files_chunks_follow_each_other(tmp_path: Path) -> None:
    benchmark, checkouts = write_benchmark(tmp_path, {"one": FILES}, {"one": []}, {"one": "src"})
    (one,) = repositories(benchmark, checkouts, "dev")
    for path, text in (("long.py", LONG), ("deep/ring.c", FILES["src/deep/ring.c"])):
        lines = text.splitlines(keepends=True)
        places = [(first, last) for name, first, last in one.place if name == path]
        _, found = parsed(path, text)
        assert [first for first, _ in places] == found.chunks.line.tolist()
        assert [number for first, last in places for number in range(first, last + 1)] == [
            *range(1, len(lines) + 1)
        ]
        chunks = [chunk for chunk, (name, _, _) in zip(one.chunks, one.place, strict=True) if name == path]
        assert chunks == [bag("".join(lines[first - 1 : last]).encode()) for first, last in places]


def along(bags: list[Bag]) -> F32:
    """The vector of a text: a hundredth for each x, y and z that stands in it."""
    rows = [[bag_[b"%c" % letter] / 100 for letter in b"xyz"] for bag_ in bags]
    return np.array(rows, np.float32).reshape(-1, 3)


def text(**hundredths: int) -> Bag:
    return Bag({name.encode(): n for name, n in hundredths.items()})


def item(query: str, *paths: str, **more: Any) -> dict[str, Any]:
    return {"query": query, "relevant": list(paths), **more}


X = "x " * 100  # the vector (1, 0, 0): a chunk's cosine is its hundredths of x
Y = "y " * 100
ONE = Repository(
    "one",
    [text(x=50), text(x=50, y=10), text(x=55), text(x=20, y=80), text(x=10, y=81)],
    [("twice.py", 1, 2), ("twice.py", 3, 4), ("once.py", 1, 9), ("low.py", 1, 1), ("low.py", 2, 2)],
    [],
)


def asked(*items: dict[str, Any]) -> Repository:
    return Repository("one", ONE.chunks, ONE.place, list(items))


@pytest.mark.parametrize(
    ("asks", "nearest", "every"),
    [
        # By x: once.py has 0.55; twice.py has 0.5 twice, which by all chunks is worth 0.5 + 0.1 ln 2 = 0.569.
        (item(X, "once.py"), 1.0, SECOND),
        (item(X, "twice.py"), SECOND, 1.0),
        (item(X, "low.py"), THIRD, THIRD),
        (item(X, "nowhere.py"), 0.0, 0.0),
        (
            item(X, "once.py", secondary=["low.py"]),
            (1 + THIRD) / (1 + SECOND),
            (SECOND + THIRD) / (1 + SECOND),
        ),
        (item(Y, "low.py"), 1.0, 1.0),
    ],
)
def test_files_are_in_the_order_of_their_chunks(
    score: ModuleType, asks: dict[str, Any], nearest: float, every: float
) -> None:
    found = evaluate(score, [asked(asks)], along)
    assert found == {
        "nearest chunk": {"all": round(nearest, 4), "easy": round(nearest, 4)},
        "all chunks": {"all": round(every, 4), "easy": round(every, 4)},
    }


def test_soft_strength_is_that_of_the_docstring() -> None:
    twice = SOFTNESS * math.log(2 * math.exp(0.5 / SOFTNESS))
    assert 0.55 < twice == pytest.approx(0.5 + 0.1 * math.log(2))


def test_a_repository_counts_as_much_as_another_and_so_does_a_category(score: ModuleType) -> None:
    first = asked(item(X, "once.py"), item(X, "nowhere.py"), item(X, "low.py", category="hard"))
    second = replace(asked(item(X, "twice.py")), name="two")
    found = evaluate(score, [first, second], along)["nearest chunk"]
    assert found == {
        "all": round((np.mean([1, 0, THIRD]) + SECOND) / 2, 4),
        "easy": round((0.5 + SECOND) / 2, 4),
        "hard": round(THIRD, 4),
    }


def test_at_most_ten_files_count_and_equal_ones_stand_in_the_order_of_their_paths(score: ModuleType) -> None:
    names = [f"f{i:02}.py" for i in range(30)]
    same = Repository("many", [text(x=30)] * 30, [(name, 1, 2) for name in names], [])
    for place, value in ((0, 1.0), (9, 1 / math.log2(11)), (10, 0.0)):
        repository = Repository("many", same.chunks, same.place, [item(X, names[place])])
        found = evaluate(score, [repository], along)
        assert found["nearest chunk"]["all"] == found["all chunks"]["all"] == round(value, 4)


def test_a_file_is_shown_by_its_nearest_chunk(score: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[dict[str, Any]]] = []

    def first_rank(results: list[dict[str, Any]], *_: object) -> None:
        shown.append(results)

    monkeypatch.setattr(score, "first_rank", first_rank)
    evaluate(score, [asked(item(Y, "low.py"))], along)
    assert len(shown) == 2
    for results in shown:
        assert [tuple(result.values()) for result in results] == [
            ("low.py", 2, 2),
            ("twice.py", 3, 4),
            ("once.py", 1, 9),
        ]


def test_nothing_asked_is_nothing_found(score: ModuleType) -> None:
    assert evaluate(score, [asked()], along) == {"nearest chunk": {}, "all chunks": {}}
