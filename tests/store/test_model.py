"""Random sequences of everything a writer can do, against a dictionary; old snapshots stay what they were."""

from __future__ import annotations

import copy
import dataclasses
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from config.errors import StoreError
from config.settings import load
from indexer.store.check import fsck
from indexer.store.merge import MergePlan, run_merge
from indexer.store.snapshot import Snapshot
from tests.store.oracle import Model, check_snapshot
from tests.support import SmallIndex, digest_of

TEXTS = [
    "",
    "x",
    "def alpha():\n    beta(1)\n",
    "class Gamma:\n    def alpha(self):\n        alpha(beta(2))\n\n\n\n# tail\n",
    "alpha(1)\nbeta(2)\n\n\ngamma(3)\n",
    "def beta(): gamma(beta())\n" * 6,
    "größe(1)\n",
]
PATHS = ["a", "b/a", "b/c", "d" * 600, "ü"]

text = st.sampled_from(TEXTS) | st.text("ab(\n", max_size=12)
path = st.sampled_from(PATHS)
SMALL = dataclasses.replace(
    load(environ={}).store, merge_fanout=3, segment_docs_max=4, changes_kept=3, segment_bytes_max=1000
)


PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # shrinking sequences of this length takes minutes


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="einstein-model-"))
        self.index = SmallIndex(self.folder, SMALL)
        self.model: Model = {}
        self.kept: list[tuple[Snapshot, Model]] = []
        self.plan: MergePlan | None = None
        self.roots = 0

    @initialize()
    def first_root(self) -> None:
        self.add_root()

    @precondition(lambda self: len(self.model) < 3)
    @rule()
    def add_root(self) -> None:
        self.roots += 1
        root_id = self.index.add_root(f"/root{self.roots}")
        assert root_id not in self.model
        self.model[root_id] = {}

    def some_root(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.model)))

    @precondition(lambda self: len(self.model) > 1)
    @rule(data=st.data())
    def remove_root(self, data: st.DataObject) -> None:
        root_id = self.some_root(data)
        self.index.writer.remove_root(root_id)
        del self.model[root_id]

    @rule(data=st.data(), files=st.dictionaries(path, text, max_size=6), removes=st.lists(path, max_size=3))
    def apply(self, data: st.DataObject, files: dict[str, str], removes: list[str]) -> None:
        root_id = self.some_root(data)
        removes = [each for each in removes if each not in files]
        self.index.apply(root_id, files, removes)
        assert not set(self.index.shallow_paths(root_id)) & set(files)
        for each in removes:
            self.model[root_id].pop(each, None)
        self.model[root_id].update(files)

    @rule(data=st.data(), files=st.dictionaries(path, text, min_size=1, max_size=6))
    def apply_text_first(self, data: st.DataObject, files: dict[str, str]) -> None:
        root_id = self.some_root(data)
        self.index.apply(root_id, files, shallow=True)
        self.model[root_id].update(files)

    @rule(data=st.data(), n=st.integers(1, 4))
    def deepen(self, data: st.DataObject, n: int) -> None:
        root_id = self.some_root(data)
        before = self.index.shallow_paths(root_id)
        self.index.apply(root_id, {each: self.model[root_id][each] for each in before[:n]})
        assert set(self.index.shallow_paths(root_id)) <= set(before[n:])

    @rule(data=st.data(), new=path)
    def rename_everything_known_without_preparing(self, data: st.DataObject, new: str) -> None:
        root_id = self.some_root(data)
        files = self.model[root_id]
        if not files:
            return
        old = sorted(files)[0]
        known = self.index.writer.known(digest_of(files[old].encode()))  # it may have been forgotten
        segments = len(self.index.snapshot().segments)
        if old != new:
            self.index.apply(root_id, {new: files[old]}, [old])
            files[new] = files.pop(old)
        assert not known or len(self.index.snapshot().segments) == segments

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        self.index.writer.forget(self.some_root(data))

    @precondition(lambda self: self.plan is None)
    @rule(any_dead=st.booleans())
    def plan_merge(self, any_dead: bool) -> None:
        self.plan = self.index.writer.plan_merge(any_dead)

    @precondition(lambda self: self.plan is not None)
    @rule()
    def finish_merge(self) -> None:
        assert self.plan is not None
        inputs = {each.segment_id for each in self.plan.inputs}
        if inputs <= {segment.id for segment in self.index.snapshot().segments}:
            self.index.writer.commit_merge(self.plan, run_merge(self.plan))
        else:  # an input was dropped
            with pytest.raises(StoreError):
                run_merge(self.plan)
            self.index.writer.abandon_merge()
        self.plan = None

    @precondition(lambda self: self.plan is not None)
    @rule()
    def abandon_merge(self) -> None:
        self.index.writer.abandon_merge()
        self.plan = None

    @rule()
    def keep_a_snapshot(self) -> None:
        self.kept = [*self.kept[-2:], (self.index.snapshot(), copy.deepcopy(self.model))]

    @rule()
    def reclaim(self) -> None:
        self.index.writer.reclaim()

    @rule()
    def reopen(self) -> None:
        self.kept.clear()
        self.plan = None
        self.index.close()
        self.index = SmallIndex(self.folder, SMALL)
        assert all("not published" in problem for problem in self.index.writer.problems)

    @precondition(lambda self: len(self.index.snapshot().segments) > 1)
    @rule(data=st.data())
    def drop_a_segment(self, data: st.DataObject) -> None:
        segment = data.draw(st.sampled_from(self.index.snapshot().segments))
        blobs = set(segment.doc_blob.tolist())
        lost = {
            (root_id, path)
            for root_id in self.model
            for path, record in self.index.writer.file_table(root_id).items()
            if record.blob_id in blobs
        }
        self.index.writer.drop_segment(segment.id)
        for root_id, each in lost:
            del self.model[root_id][each.decode()]

    @invariant()
    def newest_and_kept_snapshots_are_right(self) -> None:
        check_snapshot(self.index.snapshot(), self.model, self.index.pool)
        for snapshot, model in self.kept:
            check_snapshot(snapshot, model, self.index.pool)
        assert fsck(self.folder / "store", deep=True) == []

    def teardown(self) -> None:
        self.kept.clear()
        self.index.close()
        shutil.rmtree(self.folder)


TestModel = Machine.TestCase
TestModel.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=PHASES,
)
