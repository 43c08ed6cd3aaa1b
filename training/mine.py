"""Mine pairs of words and code from the git mirrors of repositories with permissive licences.

    python -m training.mine --mirrors FOLDER --out FOLDER [--sources FILE] [--processes 2]

FOLDER of mirrors holds a bare git directory owner+name/repo for each line of the sources (owner/name,
revision, licence; a revision `-` takes and writes the mirror's own). What comes out for each source is one
file of arrays, see `save`; it holds words, not code. The same mirrors give the same files.

Stops where a source is excluded, or its licence is not permissive; files that are copies of excluded ones are
left out, and counted (training/excluded.py).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from indexer.grammar import PARSED_LANGUAGES
from indexer.languages import language_of
from indexer.parse import parse
from indexer.records import U64, SourceFile
from indexer.source import Limits, examine
from indexer.words import parts, words
from training.excluded import among, excluded_blobs, excluded_names, is_copied, refuse_names
from training.mirror import Blob, Mirror
from training.pairs import KINDS, Pair, commit_pair, file_pairs, is_test, prose_pairs, span

SOURCES = Path(__file__).with_name("sources.tsv")
NOT_CODE = frozenset({"json", "yaml", "toml", "markdown", "html", "css", "text", "sql"})
LIMITS = Limits(300_000, 2_000, frozenset())
PARSE_S = 5.0
CODE_BYTES = 12_000_000  # of a source; files are taken in the order of a hash
COMMITS = 2_500
CODE_WORDS_MIN = 8
DOC_SUFFIXES = (b".md", b".rst", b".adoc", b".mdx")
AT_MOST = {
    "doc": 6_000,
    "comment": 3_000,
    "file": 2_000,
    "path": 2_000,
    "name": 4_000,
    "title": 2_000,
    "prose": 2_000,
    "commit": 2_500,
}
SAME_QUERY_MAX = 3


def main() -> None:
    """Mine every source and say what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mirrors", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sources", type=Path, default=SOURCES)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    rows = [line.split("\t") for line in options.sources.read_text().splitlines() if line and line[0] != "#"]
    refuse_names(name for name, *_ in rows)
    excluded, absent = excluded_blobs(options.mirrors)
    print(
        f"{len(excluded)} versions of files of {len(excluded_names()) - len(absent)} excluded repositories",
        flush=True,
    )
    print("no mirror, so only the names are checked: " + (", ".join(absent) or "none"), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    np.save(options.out / "excluded_blobs.npy", excluded)
    work = partial(mine, options.mirrors, options.out, excluded)
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        told = list(pool.map(work, rows))
    lines = ["\t".join((about["name"], about["revision"], about["licence"])) for about in told]
    options.sources.write_text("# owner/name, revision, licence\n" + "\n".join(lines) + "\n")
    (options.out / "mined.json").write_text(
        json.dumps({"sources": told, "no_mirror": absent}, indent=1) + "\n"
    )
    total = Counter[str]()
    for about in told:
        total.update(about["pairs"])
    print(json.dumps({"pairs": sum(total.values()), **total}))


def mine(mirrors: Path, out: Path, excluded: U64, row: Sequence[str]) -> dict[str, Any]:
    """Mine one source into out/owner+name.npz; return what is recorded of it."""
    began = time.monotonic()
    name, revision, licence = row
    mirror = Mirror.of(mirrors, name)
    if mirror is None:
        raise SystemExit(f"{mirrors} has no mirror of {name}")
    if revision == "-":
        revision = mirror.revision()
    found = mirror.licence(revision)
    if found is None or licence not in ("-", found):
        raise SystemExit(
            f"{name}: the licence is {found or 'none that is known as permissive'}, not {licence}"
        )
    chance = random.Random(name)
    code, docs, copies = _files(mirror, revision, excluded)
    pairs, defined, n_bytes = _from_code(mirror, code, chance)
    for blob, content in mirror.contents(docs):
        pairs += [(pair, blob.number) for pair in prose_pairs(content, defined, chance)]
    pairs += [(pair, 0) for pair in _from_commits(mirror, revision, excluded)]
    kept = _kept(pairs, chance)
    save(out / (name.replace("/", "+") + ".npz"), kept)
    told = {
        "name": name,
        "revision": revision,
        "licence": found,
        "code_bytes": n_bytes,
        "copies_left_out": copies,
        "pairs": dict(Counter(pair.kind for pair, _ in kept)),
    }
    print(f"{name}: {len(kept)} pairs, {n_bytes / 1e6:.1f} MB, {time.monotonic() - began:.0f} s", flush=True)
    return told


def _files(mirror: Mirror, revision: str, excluded: U64) -> tuple[list[Blob], list[Blob], int]:
    """Return files of code, up to CODE_BYTES, documentation, and how many are copies of excluded files."""
    code: list[Blob] = []
    docs: list[Blob] = []
    copies = size = 0
    for blob in sorted(mirror.files(revision), key=lambda blob: (is_test(blob.path), blob.oid)):
        if not 200 <= blob.nbytes <= LIMITS.file_bytes_max or is_copied(blob.path):
            continue
        if _is_among(blob.number, excluded):
            copies += 1
        elif blob.path.endswith(DOC_SUFFIXES):
            docs.append(blob)
        elif size < CODE_BYTES and _is_code(blob.path):
            code.append(blob)
            size += blob.nbytes
    return code, docs[:3_000], copies


def _is_among(number: int, excluded: U64) -> bool:
    return bool(among(np.array([number], np.uint64), excluded)[0])


def _is_code(path: bytes) -> bool:
    language = language_of(path, b"")
    return language in PARSED_LANGUAGES and language not in NOT_CODE


def _from_code(
    mirror: Mirror, code: Sequence[Blob], chance: random.Random
) -> tuple[list[tuple[Pair, int]], dict[bytes, bytes], int]:
    """Return the pairs of all files, the code of names that one definition has, and the bytes read."""
    pairs: list[tuple[Pair, int]] = []
    places: dict[bytes, list[bytes]] = {}
    size = 0
    for blob, raw in mirror.contents(code):
        source = examine(blob.path, raw, LIMITS)
        if not isinstance(source, SourceFile) or source.flags & 1:
            continue
        parsed = parse(source, PARSE_S)
        size += len(raw)
        pairs += [(pair, blob.number) for pair in file_pairs(blob.path, source, parsed, chance)]
        for i, symbol in enumerate(parsed.chunks.symbol.tolist()):
            if symbol >= 0:
                a, b = span(parsed, i)
                places.setdefault(parsed.symbols.name[symbol], []).append(source.content[a:b])
    return pairs, {name: found[0] for name, found in places.items() if len(found) == 1}, size


_BLOB_AFTER = re.compile(rb"(?m)^index [0-9a-f]+\.\.([0-9a-f]{16})")


def _from_commits(mirror: Mirror, revision: str, excluded: U64) -> Iterator[Pair]:
    for subject, patch in mirror.changes(revision, COMMITS):
        if len(patch) > 60_000:
            continue
        files = []
        for part in re.split(rb"(?m)^diff --git ", patch)[1:]:
            path = part.split(b"\n", 1)[0].rpartition(b" b/")[2]
            after = _BLOB_AFTER.search(part)
            copy = after is not None and _is_among(int(after[1], 16), excluded)
            if _is_code(path) and not is_copied(path) and not copy:
                files.append((path, part))
        pair = commit_pair(subject, files)
        if pair is not None:
            yield pair


def _kept(pairs: list[tuple[Pair, int]], chance: random.Random) -> list[tuple[Pair, int]]:
    """Return at most so many of each kind, and of one question."""
    chance.shuffle(pairs)
    count = Counter[str]()
    asked = Counter[bytes]()
    kept = []
    for pair, blob in pairs:
        if count[pair.kind] < AT_MOST[pair.kind] and asked[pair.query] < SAME_QUERY_MAX:
            count[pair.kind] += 1
            asked[pair.query] += 1
            kept.append((pair, blob))
    return kept


def save(path: Path, pairs: Sequence[tuple[Pair, int]]) -> None:
    """Write the words of pairs.

    parts     the distinct parts of words, joined by line ends
    query     their numbers in the questions, one after the other; query_end says where each ends
    code      likewise the distinct ones of each answer, code_count how often each stands there, code_end
    kind      of each pair, index into KINDS
    blob      the first eight bytes of the git id of the file that each pair is from, 0 for a commit's
    """
    number: dict[bytes, int] = {}
    known: dict[bytes, tuple[int, ...]] = {}

    def numbers(text: bytes) -> list[int]:
        found: list[int] = []
        for word in words(text):
            has = known.get(word)
            if has is None:
                has = known[word] = tuple(number.setdefault(part, len(number)) for part in parts(word))
            found += has
        return found

    query, query_end, code, count, code_end, kind, blobs = [], [], [], [], [], [], []  # type: ignore[var-annotated]
    for pair, blob in pairs:
        answer = Counter(numbers(pair.code))
        asked = numbers(pair.query)
        if len(answer) < CODE_WORDS_MIN or not asked:
            continue
        query += asked
        query_end.append(len(query))
        code += answer.keys()
        count += answer.values()
        code_end.append(len(code))
        kind.append(KINDS.index(pair.kind))
        blobs.append(blob)
    np.savez_compressed(
        path,
        parts=np.frombuffer(b"\n".join(number), np.uint8),
        query=np.array(query, np.uint32),
        query_end=np.array(query_end, np.int64),
        code=np.array(code, np.uint32),
        code_count=np.minimum(np.array(count, np.int64), 255).astype(np.uint8),
        code_end=np.array(code_end, np.int64),
        kind=np.array(kind, np.uint8),
        blob=np.array(blobs, np.uint64),
    )


if __name__ == "__main__":
    main()
