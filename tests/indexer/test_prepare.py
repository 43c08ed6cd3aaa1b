"""Many files prepared together are what each is alone, whatever was prepared before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from indexer import prepare
from indexer.embed.static import load_static_model
from indexer.parse import parse
from indexer.prepare import Preparer
from indexer.records import FLAG_UNPARSED, PreparedFile, SourceFile
from indexer.trigram import KEY_BITS, pack
from indexer.words import WORD, term_hash, terms

HERE = Path(__file__)
LANGUAGES = {".py": "python", ".md": "markdown", ".toml": "toml"}


def sources() -> list[SourceFile]:
    files = sorted(HERE.parents[2].glob("indexer/*.py"))[:9] + sorted(HERE.parents[2].glob("*.*"))[:9]
    found = [
        SourceFile(bytes([i]) * 16, file.read_bytes(), LANGUAGES.get(file.suffix, "text"), "utf-8", 0)
        for i, file in enumerate(files)
        if file.is_file()
    ]
    odd = [b"", b"\n", b"x", "é “a_b”\n".encode(), b"  \r\n\tint x;\r\n" * 300, b"w" * 9000]
    return found + [
        SourceFile(bytes([100 + i]) * 16, content, "text", "utf-8", 0) for i, content in enumerate(odd)
    ]


def flat(value: object) -> object:
    """Arrays and tables as nested lists, with their types."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: flat(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


@pytest.mark.parametrize("batch_bytes", [1, 40_000, 1 << 30])
def test_files_prepared_together_are_what_each_is_alone(
    batch_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "BATCH_BYTES", batch_bytes)
    model, files = load_static_model(), sources()
    together = Preparer(model, 60.0)
    for order in (files, files[::-1]):
        parsed = [together.parse(source) for source in order]
        for source, found in zip(order, together.finish(order, parsed), strict=True):
            assert flat(found) == flat(Preparer(model, 60.0).prepare(source))


def check_text(found: PreparedFile, source: SourceFile) -> None:
    """Against the slow twins: a set of windows, and words taken one at a time."""
    content = source.content
    windows = {content[i : i + 3] for i in range(len(content) - 2)}
    short = {line + b"\n" for line in content.split(b"\n") if len(line) == 2}
    keys = set((found.trigrams & np.uint32((1 << KEY_BITS) - 1)).tolist())  # without the numbers of pages
    assert sorted(keys) == sorted(
        pack(three) for three in short | {three for three in windows if b"\n" not in three}
    )
    words = [
        set(WORD.findall(content[a:b]))
        for a, b in zip(found.parsed.chunks.start, found.parsed.chunks.end, strict=True)
    ]
    expected = {(i, term_hash(term)) for i, each in enumerate(words) for word in each for term in terms(word)}
    assert set(zip(found.terms.chunk.tolist(), found.terms.hash.tolist(), strict=True)) == expected


def test_files_that_are_not_parsed_get_line_chunks_and_text() -> None:
    preparer, files = Preparer(None, 60.0), sources()
    problems = ["because" if i % 2 else "" for i in range(len(files))]
    for source, problem, found in zip(files, problems, preparer.finish(files, problems), strict=True):
        assert found.parsed.problems == ((problem,) if problem else ())
        assert bool(found.source.flags & FLAG_UNPARSED) == bool(problem)
        assert not len(found.parsed.symbols) and not len(found.parsed.references)
        as_text = dataclasses.replace(source, language="text")
        assert flat(found.parsed.chunks) == flat(parse(as_text, 60.0).chunks)
        assert found.vectors.shape == (len(found.parsed.chunks), 0)
        check_text(found, source)


def test_after_a_lack_of_memory_the_vocabulary_is_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model, files = load_static_model(), sources()
    preparer = Preparer(model, 60.0)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("indexer.vocabulary.term_hashes", fail)
        with pytest.raises(MemoryError):
            preparer.prepare(files[0])
    assert flat(preparer.prepare(files[0])) == flat(Preparer(model, 60.0).prepare(files[0]))


def test_no_file_is_prepared_to_nothing() -> None:
    assert Preparer(None, 1.0).finish([], []) == []
