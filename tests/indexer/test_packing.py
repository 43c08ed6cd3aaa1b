"""What a worker sends is what arrives."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from indexer.embed.static import load_static_model
from indexer.jobs import Outcome
from indexer.packing import pack, unpack
from indexer.prepare import Preparer
from indexer.records import FileChange, Skipped, SourceFile, Stat, Upsert

CONTENTS = [
    b"def f(a):\n    return g(a)\n\n\nclass C:\n    def m(self):\n        self.m()\n",
    b"",
    b"x = 1\n" * 500,
    b"def (\n",
]


def flat(value: object) -> object:
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return (type(value), *(flat(getattr(value, field.name)) for field in dataclasses.fields(value)))
    return value


def outcomes(preparer: Preparer) -> list[Outcome]:
    found: list[Outcome] = [FileChange(b"gone", None)]
    for i, content in enumerate(CONTENTS):
        source = SourceFile(bytes([i]) * 16, content, "python", "utf-8", i)
        stat = Stat(len(content), i, i)
        found.append(Upsert(b"a%d.py" % i, stat, source.digest, preparer.prepare(source)))
        found.append(Upsert(b"b%d.py" % i, stat, source.digest, None))
        found.append(Upsert(b"c%d.py" % i, stat, source.digest, preparer.prepare_unparsed(source, "why" * i)))
    return [*found, Skipped(b"d", "binary", "", None)]


@pytest.mark.parametrize("with_vectors", [False, True])
def test_what_is_packed_arrives_as_it_was(with_vectors: bool) -> None:
    sent = outcomes(Preparer(load_static_model() if with_vectors else None, 5.0))
    arrived = unpack(pickle.loads(pickle.dumps(pack(sent))))
    assert [flat(each) for each in arrived] == [flat(each) for each in sent]


@pytest.mark.parametrize("sent", [[], [FileChange(b"gone", None)]])
def test_a_job_without_prepared_files_arrives(sent: list[Outcome]) -> None:
    assert unpack(pickle.loads(pickle.dumps(pack(sent)))) == sent
