"""An index that followed every change holds what a new build of the same files holds.

Real files, ignore rules, scans, hints, parser, model and store, in this process. Compared is what a snapshot
says of each path, read out of every section of the segments, not bytes of files.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from config.settings import load
from indexer.embed.static import load_static_model
from indexer.ignore import IgnoreRules
from indexer.jobs import Job
from indexer.pipeline import as_batch
from indexer.prepare import Preparer
from indexer.records import FileChange, Skipped, SourceFile, Stat
from indexer.scan import look, scan
from indexer.source import Limits, read_source_stat
from indexer.store.check import fsck
from indexer.store.format import NO_ROW
from indexer.store.lookup import Lookup
from indexer.store.merge import MergePlan, run_merge
from indexer.store.pool import SLAB_ROWS, Pool
from indexer.store.segment import Segment
from indexer.store.snapshot import Reader, Snapshot
from indexer.store.terms import KEY_SHIFT
from indexer.store.writer import Writer
from indexer.texts import run_text_job, text_path
from indexer.workers import run_job
from tests.end_to_end.home import git
from tests.end_to_end.texts import DIRECTORIES, ODD, PATTERNS, directories, made, places, text_for

EXAMPLES = int(os.environ.get("EINSTEIN_TEST_EXAMPLES", "0"))
SETTINGS = load(environ={})
SMALL = dataclasses.replace(
    SETTINGS.store, merge_fanout=2, segment_docs_max=12, segment_bytes_max=4000, changes_kept=3
)
LIMITS = Limits.of(SETTINGS)


@cache
def shared_preparer() -> Preparer:
    """As in a worker: its vocabulary has seen other files before."""
    return Preparer(load_static_model(), 60.0)


def read(root: bytes, path: bytes) -> tuple[SourceFile | Skipped, Stat | None]:
    return read_source_stat(root, path, LIMITS)


class Index:
    """An index of directories, brought up to date by calls."""

    def __init__(self, folder: Path, preparer: Preparer) -> None:
        self.folder = folder
        self.preparer = preparer
        self.pool = Pool.open(folder / "pool", dim=load_static_model().dim, rows_max=SLAB_ROWS, writable=True)
        self.writer = Writer.open(folder / "store", SMALL, self.pool, "model")
        self.reader = Reader.open(folder / "store")
        self.lookup = Lookup(folder / "store")
        self.rules: dict[int, IgnoreRules] = {}
        self.numbers = count(1)
        self.plan: MergePlan | None = None

    def add_root(self, path: Path) -> int:
        root_id = self.writer.add_root(str(path))
        self.rules[root_id] = IgnoreRules(path, SETTINGS)
        self.scan(root_id)
        return root_id

    def scan(self, root_id: int, text_only: bool = False) -> None:
        """Find what changed by listing everything."""
        table, skipped = self.lookup.all_files(root_id), self.lookup.all_skipped(root_id)
        self.apply(root_id, scan(self.rules[root_id], table, skipped), text_only)

    def look(self, root_id: int, hints: set[bytes], trees: set[bytes]) -> None:
        """Find what changed by looking where something happened."""
        table, skipped = self.lookup.files(root_id), self.lookup.skipped(root_id)
        self.apply(root_id, look(self.rules[root_id], hints, trees, table, skipped))

    def deepen(self, root_id: int) -> None:
        """Make symbols and vectors of files whose text came first."""
        self.apply(root_id, self.lookup.shallow_files(root_id))
        assert self.lookup.shallow_files(root_id) == []

    def apply(self, root_id: int, changes: list[FileChange], text_only: bool = False) -> None:
        """Commit changes as the service does, in batches of two files."""
        rules = self.rules[root_id]
        gone = [change for change in changes if change.stat is None]
        paths = [change.path for change in changes if change.stat is not None]
        for at in range(0, len(paths), 2):
            some = tuple(paths[at : at + 2])
            job = Job(next(self.numbers), root_id, rules.root, some, text_only=text_only)
            if text_only:
                into = text_path(self.folder / "store", job.id)
                outcomes, text = run_text_job(job, into, self.lookup.known_texts, read, lambda *_: None)
                self.writer.apply(as_batch(root_id, outcomes, [text] if text else []))
                continue
            outcomes = run_job(job, self.lookup, self.preparer, read, lambda *_: None)
            self.writer.apply(as_batch(root_id, outcomes))
        self.writer.apply(as_batch(root_id, [*gone]))

    def merge_all(self) -> None:
        """Carry out every merge that is worth it."""
        while (plan := self.writer.plan_merge(any_dead=True)) is not None:
            self.writer.commit_merge(plan, run_merge(plan))

    def close(self) -> None:
        self.reader.close()
        self.lookup.close()
        self.writer.close()
        self.pool.close()


# ---- what an index holds ----------------------------------------------------------------------------


@dataclass
class Document:
    """Everything the index keeps of one content."""

    content: bytes
    language: str
    encoding: int
    flags: int
    digest: bytes
    trigrams: set[int] = field(default_factory=set)
    symbols: list[tuple[Any, ...]] = field(default_factory=list)
    references: list[tuple[Any, ...]] = field(default_factory=list)
    chunks: list[tuple[Any, ...]] = field(default_factory=list)
    terms: list[tuple[int, int, int]] = field(default_factory=list)  # hash, chunk, frequencies
    vectors: list[bytes] = field(default_factory=list)


def documents_of(segment: Segment, pool: Pool) -> list[Document]:
    """Read a segment whole: what each document has in every section."""
    documents = [
        Document(
            content=bytes(segment.doc_bytes(i)),
            language=segment.language_name(i),
            encoding=int(segment.encoding[i]),
            flags=int(segment.flags[i]),
            digest=segment.digest[i].tobytes(),
        )
        for i in range(segment.n_docs)
    ]
    for key in segment.tri_key.tolist():
        docs = segment.trigram_docs(key).tolist()
        assert len(docs) == segment.trigram_count(key)
        for i in docs:
            documents[i].trigrams.add(key)
    for i, document in enumerate(documents):
        first_def, end_def = segment.doc_def[i : i + 2].tolist()
        for at in range(first_def, end_def):
            parent = int(segment.def_parent[at])
            name = segment.name(int(segment.def_name[at]))
            assert at in segment.defs_of_name(segment.names_exact(name)).tolist()
            columns: list[Any] = [segment.def_kind, segment.def_start, segment.def_end]
            columns += [segment.def_name_start, segment.def_line]
            found = (int(column[at]) for column in columns)
            document.symbols.append((name, *found, parent - first_def if parent >= 0 else -1))
        first, end = segment.doc_chunk[i : i + 2].tolist()
        for at in range(first, end):
            columns = [segment.chunk_start, segment.chunk_end, segment.chunk_line, segment.chunk_words]
            definition = int(segment.chunk_def[at])
            document.chunks.append(
                (*(int(column[at]) for column in columns), definition - first_def if definition >= 0 else -1)
            )
            row = int(segment.chunk_row[at])
            document.vectors.append(b"" if row == NO_ROW else pool.vectors[row].tobytes())
    owner = segment.doc_of_chunk(np.arange(segment.n_chunks)).tolist()
    for term in segment.terms.keys().tolist():
        chunks, frequencies = segment.term_postings(term << KEY_SHIFT)
        for chunk, frequency in zip(chunks.tolist(), frequencies.tolist(), strict=True):
            i = owner[chunk]
            documents[i].terms.append((term, chunk - int(segment.doc_chunk[i]), frequency))
    for number in range(segment.n_names):
        docs, starts, roles = (column.tolist() for column in segment.refs_of_name(number))
        for i, start, role in zip(docs, starts, roles, strict=True):
            documents[i].references.append((segment.name(number), start, role))
    return documents


Contents = dict[str, dict[bytes, tuple[int, Document]]]  # root -> path -> size on disk and content


def contents_of(snapshot: Snapshot, pool: Pool) -> Contents:
    """What the snapshot says of every path of every root."""
    documents = [document for s in snapshot.segments for document in documents_of(s, pool)]
    found: Contents = defaultdict(dict)
    for view in snapshot.roots.values():
        found[view.path] = {}
        living = [slot for slot in range(view.n) if view.file_doc[slot] >= 0]
        assert len(living) == view.n_files
        for slot in living:
            doc = int(view.file_doc[slot])
            found[view.path][view.paths[slot]] = (int(view.size[slot]), documents[doc])
        live = {int(view.file_doc[slot]) for slot in living}
        assert set(np.flatnonzero(view.live_docs()).tolist()) == live
        chunks = snapshot.row_chunk(np.flatnonzero(view.live_rows(snapshot.pool_rows)))
        assert set(snapshot.docs_of_chunks(chunks).tolist()) == {d for d in live if documents[d].chunks}
    return dict(found)


def skipped_of(index: Index) -> dict[str, dict[bytes, str]]:
    """Why each skipped path is skipped, by root."""
    return {
        root.path: {path: record.reason for path, record in index.writer.skip_table(root.id).items()}
        for root in index.writer.roots()
    }


# ---- the machine ------------------------------------------------------------------------------------


class Machine(RuleBasedStateMachine):
    """Directories that change, an index that follows, and now and then a fresh one beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.at = Path(tempfile.mkdtemp(prefix="einstein-incremental-"))
        self.index = Index(self.at / "index", shared_preparer())
        self.roots: dict[int, Path] = {}
        self.hints: dict[int, set[bytes]] = defaultdict(set)  # what events would tell
        self.trees: dict[int, set[bytes]] = defaultdict(set)
        self.rules_changed: set[int] = set()
        self.numbers = count(1)

    @initialize()
    def first_root(self) -> None:
        self.add_root(True)

    @precondition(lambda self: len(self.roots) < 3)
    @rule(is_repository=st.booleans())
    def add_root(self, is_repository: bool) -> None:
        path = self.at / f"root{next(self.numbers)}"
        path.mkdir()
        if is_repository:
            git(path, "init", "-q")
        self.roots[self.index.add_root(path)] = path

    @precondition(lambda self: len(self.roots) > 1)
    @rule(data=st.data(), again=st.booleans())
    def remove_root(self, data: st.DataObject, again: bool) -> None:
        root_id = self.root(data)
        self.index.writer.remove_root(root_id)
        path = self.roots.pop(root_id)
        if again:
            self.roots[self.index.add_root(path)] = path

    def root(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.roots)), label="root")

    def touched(self, root_id: int, *paths: Path) -> None:
        """Note what events would tell of files."""
        self.hints[root_id].update(os.fsencode(path.relative_to(self.roots[root_id])) for path in paths)

    @rule(data=st.data(), files=st.lists(places, min_size=1, max_size=5, unique=True))
    def write(self, data: st.DataObject, files: list[str]) -> None:
        root_id = self.root(data)
        for place in files:
            target = self.roots[root_id] / place
            if target.is_dir() or not made(target.parent):
                continue
            target.write_text(data.draw(text_for(place, 4)))
            self.touched(root_id, target)

    @rule(data=st.data(), place=places, content=st.sampled_from(ODD))
    def write_something_odd(self, data: st.DataObject, place: str, content: bytes) -> None:
        root_id = self.root(data)
        target = self.roots[root_id] / place
        if not target.is_dir() and made(target.parent):
            target.write_bytes(content)
            self.touched(root_id, target)

    @rule(data=st.data(), source=places, to=places, copy=st.booleans())
    def rename_or_copy(self, data: st.DataObject, source: str, to: str, copy: bool) -> None:
        here, there = self.root(data), self.root(data)
        path, target = self.roots[here] / source, self.roots[there] / to
        if not path.is_file() or path == target or target.is_dir() or not made(target.parent):
            return
        if copy:
            shutil.copyfile(path, target)
        else:
            path.replace(target)
        self.touched(here, path)
        self.touched(there, target)

    @rule(data=st.data(), place=places)
    def delete(self, data: st.DataObject, place: str) -> None:
        root_id = self.root(data)
        path = self.roots[root_id] / place
        if path.is_file():
            path.unlink()
            self.touched(root_id, path)

    @rule(data=st.data(), source=st.sampled_from(DIRECTORIES[1:]), to=st.sampled_from(DIRECTORIES[1:]))
    def move_directory(self, data: st.DataObject, source: str, to: str) -> None:
        here, there = self.root(data), self.root(data)
        path, target = self.roots[here] / source, self.roots[there] / to
        if not path.is_dir() or target.exists() or target.is_relative_to(path) or not made(target.parent):
            return
        path.rename(target)
        self.trees[here].add(os.fsencode(source.rstrip("/")))
        self.trees[there].add(os.fsencode(to.rstrip("/")))

    @rule(data=st.data(), directory=st.sampled_from(DIRECTORIES[1:]), becomes_a_file=st.booleans())
    def delete_directory(self, data: st.DataObject, directory: str, becomes_a_file: bool) -> None:
        root_id = self.root(data)
        path = self.roots[root_id] / directory
        if path.is_dir():
            shutil.rmtree(path)
            self.trees[root_id].add(os.fsencode(directory.rstrip("/")))
            if becomes_a_file:
                path.write_text("alpha\n")
                self.touched(root_id, path)

    @rule(
        data=st.data(),
        name=st.sampled_from([".gitignore", ".einsteinignore"]),
        directory=directories,
        patterns=st.lists(st.sampled_from(PATTERNS), max_size=3),
    )
    def ignore(self, data: st.DataObject, name: str, directory: str, patterns: list[str]) -> None:
        root_id = self.root(data)
        target = self.roots[root_id] / directory / name
        if target.parent.is_dir():
            target.write_text("".join(f"{pattern}\n" for pattern in patterns))
            self.touched(root_id, target)
            self.rules_changed.add(root_id)

    # ---- the index follows

    def follow(self, root_id: int) -> None:
        """Bring a root up to date as the service would: hints, or a scan where rules changed."""
        hints, trees = self.hints.pop(root_id, set()), self.trees.pop(root_id, set())
        if root_id in self.rules_changed:
            self.rules_changed.discard(root_id)
            self.index.rules[root_id].reload()
            self.index.scan(root_id)
        else:
            self.index.look(root_id, hints, trees)

    @rule(data=st.data())
    def follow_one(self, data: st.DataObject) -> None:
        self.follow(self.root(data))
        self.index.reader.snapshot()

    @rule(data=st.data(), text_only=st.booleans())
    def scan_one(self, data: st.DataObject, text_only: bool) -> None:
        root_id = self.root(data)
        for noted in (self.hints, self.trees):
            noted.pop(root_id, None)
        self.rules_changed.discard(root_id)
        self.index.scan(root_id, text_only)

    @rule(data=st.data(), n=st.integers(1, 5))
    def deepen_some(self, data: st.DataObject, n: int) -> None:
        root_id = self.root(data)
        self.index.apply(root_id, self.index.lookup.shallow_files(root_id)[:n])

    @rule(data=st.data())
    def rebuild(self, data: st.DataObject) -> None:
        root_id = self.root(data)
        self.index.writer.forget(root_id)
        changes = scan(self.index.rules[root_id], {}, {})
        known = self.index.lookup.all_files(root_id).keys() | self.index.lookup.all_skipped(root_id).keys()
        gone = known - {change.path for change in changes}
        self.index.apply(root_id, changes + [FileChange(path, None) for path in gone])

    @rule()
    def merge(self) -> None:
        if self.index.plan is None:
            self.index.merge_all()

    @precondition(lambda self: self.index.plan is None)
    @rule()
    def begin_a_merge(self) -> None:
        self.index.plan = self.index.writer.plan_merge(any_dead=True)

    @precondition(lambda self: self.index.plan is not None)
    @rule()
    def end_the_merge(self) -> None:
        assert self.index.plan is not None
        self.index.writer.commit_merge(self.index.plan, run_merge(self.index.plan))
        self.index.plan = None

    @rule()
    def reclaim(self) -> None:
        self.index.reader.snapshot()
        self.index.writer.reclaim()

    @rule()
    def start_again(self) -> None:
        rules = self.index.rules
        self.index.close()
        self.index = Index(self.at / "index", shared_preparer())
        self.index.rules = rules

    @rule()
    def is_as_fresh(self) -> None:
        for root_id in self.roots:
            self.follow(root_id)
            self.index.deepen(root_id)
        fresh = Index(self.at / f"fresh{next(self.numbers)}", Preparer(load_static_model(), 60.0))
        try:
            for path in self.roots.values():
                fresh.add_root(path)
            fresh.merge_all()
            assert skipped_of(self.index) == skipped_of(fresh)
            followed = contents_of(self.index.reader.snapshot(), self.index.pool)
            wanted = contents_of(fresh.reader.snapshot(), fresh.pool)
            assert followed.keys() == wanted.keys()
            for root, files in wanted.items():
                assert followed[root].keys() == files.keys(), root
                for name, file in files.items():
                    assert followed[root][name] == file, (root, name)
        finally:
            fresh.close()
        assert fsck(self.at / "index/store", deep=True) == []

    def teardown(self) -> None:
        try:
            if self.roots:
                self.is_as_fresh()
        finally:
            self.index.close()
            shutil.rmtree(self.at)


TestIncremental = Machine.TestCase
TestIncremental.settings = settings(
    max_examples=EXAMPLES or 50,
    stateful_step_count=30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate] + ([Phase.shrink] if EXAMPLES else []),
    print_blob=bool(EXAMPLES),
)
