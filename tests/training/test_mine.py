"""A small mirror is mined, from files to arrays; what may not be learned from is left out or stops it."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.records import U64
from indexer.words import parts, words
from tests.training.repositories import MIT, Repository, parsed
from training import mine as module
from training.excluded import excluded_names
from training.mine import AT_MOST, SAME_QUERY_MAX, mine, save
from training.pairs import KINDS, Pair, file_pairs

NAME = "somebody/our-ledger"
NONE = np.zeros(0, np.uint64)
READER = '''import os
import sys

LIMIT = 3


def read_amounts(path):
    """Return every amount in the ledger, oldest first."""
    with open(path) as file:
        return [int(line) for line in file if line.strip() and not line.startswith("#")]
'''
RING = """#include <stddef.h>

static int count;

/* Put one byte into the ring and wake whoever waits for it. */
int push_ring_byte(struct ring *ring, unsigned char byte)
{
    ring->data[ring->head] = byte;
    ring->head = (ring->head + 1) % ring->size;
    return wake_waiters(ring);
}
"""
QUEUE_TEST = """const Queue = require("./queue")

test("an empty queue gives nothing back", () => {
  const queue = new Queue({ patience: 3, fairness: 4, colour: "red" })
  expect(queue.shift()).toBe(undefined)
  expect(queue.length).toBe(0)
})
"""
PAGE = """# Ring buffers

Bytes are put at the end by `push_ring_byte()` and nobody waits for them.

There is more to be said of rings, but not here, where it would only stand in the way of what has to be read.
"""
FILES: dict[str, str | bytes] = {
    "LICENSE": MIT,
    "core/reader.py": READER,
    "core/ring.c": RING,
    "test/queue.test.js": QUEUE_TEST,
    "README.md": PAGE,
}
CHANGED = RING.replace(
    "static int count;", "static int count;\nstatic int last;\nstatic int most;\nint least;"
)
SUBJECT = "Count the last bytes of every ring"


@pytest.fixture
def mirrors(tmp_path: Path) -> Path:
    return tmp_path / "mirrors"


@pytest.fixture
def repository(mirrors: Path) -> Repository:
    return Repository(mirrors, NAME)


Mined = list[tuple[str, tuple[str, ...], dict[str, int], int]]  # kind, question, answer, blob


def read(path: Path) -> Mined:
    """Read what `save` writes, as its docstring says."""
    found = np.load(path)
    known = found["parts"].tobytes().decode().split("\n")
    rows: Mined = []
    query = code = 0
    columns = (found["query_end"], found["code_end"], found["kind"], found["blob"])
    for query_end, code_end, kind, blob in zip(*(column.tolist() for column in columns), strict=True):
        asked = tuple(known[i] for i in found["query"][query:query_end])
        bag = zip(found["code"][code:code_end], found["code_count"][code:code_end].tolist(), strict=True)
        rows.append((KINDS[kind], asked, {known[i]: n for i, n in bag}, blob))
        query, code = query_end, code_end
    assert (query, code) == (len(found["query"]), len(found["code"]))
    return rows


def said(text: bytes) -> tuple[str, ...]:
    return tuple(part.decode() for word in words(text) for part in parts(word))


def row_of(pair: Pair, blob: int) -> tuple[str, tuple[str, ...], dict[str, int], int]:
    answer = {part: min(n, 255) for part, n in Counter(said(pair.code)).items()}
    return pair.kind, said(pair.query), answer, blob


def mined(
    mirrors: Path, excluded: U64 = NONE, revision: str = "-", licence: str = "-"
) -> tuple[dict[str, Any], Mined]:
    out = mirrors.parent / "out"
    out.mkdir(exist_ok=True)
    told = mine(mirrors, out, excluded, (NAME, revision, licence))
    return told, read(out / "somebody+our-ledger.npz")


def asked(rows: Mined, kind: str) -> list[str]:
    return sorted(" ".join(query) for own, query, _, _ in rows if own == kind)


def blobs_of(repository: Repository, revision: str) -> dict[bytes, int]:
    return {blob.path: blob.number for blob in repository.mirror.files(revision)}


def test_files_documentation_tests_and_commits_are_mined(repository: Repository, mirrors: Path) -> None:
    repository.commit(FILES, "Begin")
    head = repository.commit({"core/ring.c": CHANGED}, SUBJECT)
    told, rows = mined(mirrors)
    blobs = blobs_of(repository, head)
    questions = {
        "doc": [
            "put one byte into the ring and wake whoever waits for it",
            "return every amount in the ledger oldest first",
        ],
        "name": ["push ring byte", "read amounts"],
        "path": ["core reader", "core ring"],
        "title": ["an empty queue gives nothing back"],
        "commit": ["count the last bytes of every ring"],
    }
    for kind, expected in questions.items():
        assert asked(rows, kind) == expected, kind
    assert {(kind, blob) for kind, _, _, blob in rows} == {
        *((kind, blobs[b"core/reader.py"]) for kind in ("doc", "name", "path")),
        *((kind, blobs[b"core/ring.c"]) for kind in ("doc", "name", "path")),
        ("title", blobs[b"test/queue.test.js"]),
        ("prose", blobs[b"README.md"]),
        ("commit", 0),
    }
    (page,) = [row for row in rows if row[0] == "prose"]
    assert page[2]["wake"] == 2  # the code of the name it mentions, with its comment
    (commit,) = [row for row in rows if row[0] == "commit"]
    assert {"last", "most", "least"} <= commit[2].keys()
    assert told == {
        "name": NAME,
        "revision": head,
        "licence": "MIT",
        "code_bytes": len(READER) + len(CHANGED) + len(QUEUE_TEST),
        "copies_left_out": 0,
        "pairs": dict(Counter(kind for kind, *_ in rows)),
    }


def test_mining_is_what_every_file_teaches(repository: Repository, mirrors: Path) -> None:
    head = repository.commit({"LICENSE": MIT, "core/ring.c": RING}, "Begin")
    _, rows = mined(mirrors)
    source, found = parsed("core/ring.c", RING)
    twin = file_pairs(b"core/ring.c", source, found, random.Random(NAME))
    number = blobs_of(repository, head)[b"core/ring.c"]

    def in_order(rows: Iterable[tuple[str, tuple[str, ...], dict[str, int], int]]) -> list[str]:
        return sorted(map(repr, rows))

    assert in_order(rows) == in_order(row_of(pair, number) for pair in twin)


def test_the_same_mirror_gives_the_same_file(repository: Repository, mirrors: Path) -> None:
    first = repository.commit(FILES)
    mined(mirrors)
    file = mirrors.parent / "out" / "somebody+our-ledger.npz"
    before = file.read_bytes()
    repository.commit({"core/ring.c": CHANGED}, SUBJECT)
    mined(mirrors, revision=first, licence="MIT")
    assert file.read_bytes() == before
    mined(mirrors)
    assert file.read_bytes() != before


def test_files_that_are_bytes_of_excluded_ones_are_left_out_and_counted(
    repository: Repository, mirrors: Path
) -> None:
    head = repository.commit(FILES)
    blobs = blobs_of(repository, head)
    excluded = np.unique(np.array([blobs[b"core/ring.c"], blobs[b"README.md"], 5], np.uint64))
    told, rows = mined(mirrors, excluded)
    assert told["copies_left_out"] == 2
    assert told["code_bytes"] == len(READER) + len(QUEUE_TEST)
    assert not {blob for *_, blob in rows} & set(excluded.tolist())
    assert not any("ring" in query or "ring" in answer for _, query, answer, _ in rows)


def test_a_commit_that_brings_a_file_of_an_excluded_repository_teaches_nothing(
    repository: Repository, mirrors: Path
) -> None:
    repository.commit(FILES)
    copied = repository.commit({"core/ring.c": CHANGED}, SUBJECT)
    (repository.tree / "core/ring.c").unlink()
    repository.commit({"core/sum.py": READER.replace("amounts", "sums")}, "Read the sums of the ledger too")
    _, rows = mined(mirrors)
    assert asked(rows, "commit") == ["count the last bytes of every ring", "read the sums of the ledger too"]
    excluded = np.array([blobs_of(repository, copied)[b"core/ring.c"]], np.uint64)
    _, rows = mined(mirrors, excluded)
    assert asked(rows, "commit") == ["read the sums of the ledger too"]


def test_other_peoples_directories_are_left_out(repository: Repository, mirrors: Path) -> None:
    repository.commit(FILES)
    first = mined(mirrors)
    project = next(name for name in excluded_names() if len(name.rpartition("/")[2]) >= 8).rpartition("/")[2]
    for folder in ("vendor/x", f"core/{project}", "node_modules/x"):
        copies = {f"{folder}/{name}": text for name, text in FILES.items() if name != "LICENSE"}
        repository.commit({path: str(text).replace("ring", "disc") for path, text in copies.items()}, "Bump")
    repository.commit({"vendor/x/core/ring.c": CHANGED}, SUBJECT)
    told, rows = mined(mirrors)
    assert rows == first[1]
    assert {**told, "revision": ""} == {**first[0], "revision": ""}


def test_small_data_and_generated_files_are_left_out(repository: Repository, mirrors: Path) -> None:
    repository.commit(FILES)
    _, rows = mined(mirrors)
    repository.commit(
        {
            "core/small.py": 'def small():\n    """Return the smallest thing of all."""\n',
            "core/data.json": json.dumps({f"key_{i}": i for i in range(50)}),
            "core/made.py": "# Code generated by a program. DO NOT EDIT.\n" + READER,
            "core/binary.py": bytes(range(256)) * 2,
            "core/wide.py": READER + "x = '" + "word " * 1000 + "'\n",
            "core/notes.txt": PAGE,
        },
        "Bump",
    )
    assert mined(mirrors)[1] == rows


def test_tests_come_after_all_other_code(
    repository: Repository, mirrors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit(FILES)
    monkeypatch.setattr(module, "CODE_BYTES", len(READER) + 1)
    told, rows = mined(mirrors)
    assert told["code_bytes"] == len(READER) + len(RING)
    assert asked(rows, "title") == []


@pytest.mark.parametrize(
    ("licence_file", "licence", "says"),
    [
        ({}, "-", "none that is known as permissive"),
        ({"LICENSE": "GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991\n"}, "-", "none that is known"),
        ({"LICENSE": "GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991\n"}, "MIT", "none that is known"),
        ({"LICENSE": MIT}, "Apache-2.0", "the licence is MIT, not Apache-2.0"),
    ],
)
def test_a_source_of_another_licence_stops_mining(
    repository: Repository, mirrors: Path, licence_file: dict[str, str], licence: str, says: str
) -> None:
    repository.commit({"core/ring.c": RING, **licence_file})
    with pytest.raises(SystemExit, match=f"^{NAME}: .*{says}"):
        mined(mirrors, licence=licence)
    assert list((mirrors.parent / "out").iterdir()) == []


def test_a_source_without_a_mirror_stops_mining(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"no mirror of {NAME}"):
        mine(tmp_path, tmp_path, NONE, (NAME, "-", "-"))


def test_pairs_are_read_back_as_words(tmp_path: Path) -> None:
    code = b"alpha beta gamma delta epsilon zeta eta theta getHTTPConfig get " + b"many " * 300
    pairs = [
        (Pair("doc", b"get the HTTP_config of it", code), 2**64 - 1),
        (Pair("name", b"alpha", b"too few words alpha alpha"), 7),
        (Pair("name", b"+-*/ ___", code), 8),
        (Pair("commit", "größe of alpha".encode(), code), 0),
    ]
    save(tmp_path / "x.npz", pairs)
    rows = read(tmp_path / "x.npz")
    assert rows == [row_of(*pairs[0]), row_of(*pairs[3])]
    assert rows[0][1] == ("get", "the", "http", "config", "of", "it")
    assert (rows[0][2]["get"], rows[0][2]["many"]) == (2, 255)


def test_nothing_is_read_back_as_nothing(tmp_path: Path) -> None:
    save(tmp_path / "x.npz", [])
    assert read(tmp_path / "x.npz") == []


def test_a_number_is_found_among_those_in_order() -> None:
    some = np.array([0, 3, 2**63, 2**64 - 1], np.uint64)
    for number in (0, 1, 3, 4, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1):
        assert module._is_among(number, some) == (number in some.tolist())
        assert not module._is_among(number, NONE)


def test_there_are_at_most_so_many_pairs_of_a_kind_and_of_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_MOST", AT_MOST | {"doc": 5, "name": 100})
    pairs = [(Pair("doc", b"q%d" % i, b""), i) for i in range(20)]
    pairs += [(Pair("name", b"n%d" % (i % 4), b"%d" % i), i) for i in range(40)]
    kept = module._kept(list(pairs), random.Random(1))
    assert Counter(pair.kind for pair, _ in kept) == {"doc": 5, "name": 4 * SAME_QUERY_MAX}
    assert len(set(kept)) == len(kept)
    assert set(kept) <= set(pairs)
    assert kept == module._kept(list(pairs), random.Random(1))


class Inline:
    """Does what a pool of processes does, here and one after the other."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, work: Callable[[list[str]], dict[str, Any]], rows: list[list[str]]) -> Iterator[Any]:
        return map(work, rows)


def run_main(monkeypatch: pytest.MonkeyPatch, mirrors: Path, sources: str) -> Path:
    file, out = mirrors.parent / "sources.tsv", mirrors.parent / "all"
    file.write_text(sources)
    monkeypatch.setattr(module, "ProcessPoolExecutor", Inline)
    options = ["--mirrors", str(mirrors), "--out", str(out), "--sources", str(file)]
    monkeypatch.setattr(sys, "argv", ["mine", *options])
    module.main()
    return out


def test_a_run_records_revisions_and_licences(
    repository: Repository, mirrors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head = repository.commit(FILES)
    name = excluded_names()[0]
    forbidden = Repository(mirrors, name)
    copied = forbidden.commit({"anywhere/else.c": RING})
    forbidden.commit({"anywhere/else.c": "int changed;\n"})
    out = run_main(monkeypatch, mirrors, f"# a comment\n\n{NAME}\t-\t-\n")
    assert (mirrors.parent / "sources.tsv").read_text().splitlines()[1:] == [f"{NAME}\t{head}\tMIT"]
    record = json.loads((out / "mined.json").read_text())
    assert record["no_mirror"] == excluded_names()[1:]
    (told,) = record["sources"]
    assert (told["copies_left_out"], told["revision"]) == (1, head)
    excluded = np.load(out / "excluded_blobs.npy")
    assert blobs_of(forbidden, copied)[b"anywhere/else.c"] in excluded.tolist()
    assert not any("ring" in answer for _, _, answer, _ in read(out / "somebody+our-ledger.npz"))
    assert "of 1 excluded repositories" in capsys.readouterr().out


def test_a_run_stops_at_an_excluded_name_before_it_reads_anything(
    mirrors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = "somebody/" + excluded_names()[0].rpartition("/")[2]
    with pytest.raises(SystemExit, match="not to be trained on"):
        run_main(monkeypatch, mirrors, f"{NAME}\t-\t-\n{fork}\t-\t-\n")
    assert not (mirrors.parent / "all").exists()
