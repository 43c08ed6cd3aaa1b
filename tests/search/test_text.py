"""Text search finds what a scan of all bytes finds, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import Cancelled
from indexer.records import I64
from indexer.store.segment import Segment
from indexer.trigram import trigrams
from search import text
from search.budget import Budget
from search.candidates import Contents, TrigramFilter
from search.compiled import BadPattern, compile_pattern
from search.far import PageMatches, Portion, matches_in
from search.lines import LineFinder, LineSpec
from search.matcher import Case, Matcher, matching_lines
from search.rank import PER_FILE
from search.text import Order, TextMatches, scan_docs, search_docs
from tests.support import small_segment

FOREVER = Budget(1e9)


@dataclass(frozen=True)
class Snapshot:
    """Just enough of a snapshot."""

    segments: tuple[Segment, ...]
    seg_base: I64


TEXTS: tuple[tuple[str | bytes, ...], ...] = (
    (
        "def parse_config(path):\n    return load(path)\n",
        "",
        "no newline at the end",
        "a;\n\nb;\nfoo;bar\n",
        "PARSE_CONFIG = 1\r\nParse_Config = 2\r\n",
        "tas\u212a and ta\u017fk\n",
        "\n\n\n",
        "foo\n",
        b"nul \0 inside\nand\n\0\nbetween\n",
        "größe = 1\n",
    ),
    ("bar foo\n", "x" * 300 + "\n" + "parse_config\n" * 20, "foo", "\n"),
    ("nothing of the sort\n",),
)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    segments = [
        small_segment(tmp_path_factory.mktemp("text") / f"{i}.seg", list(texts), segment_id=i + 1)
        for i, texts in enumerate(TEXTS)
    ]
    base = np.concatenate(([0], np.cumsum([s.n_docs for s in segments]))).astype(np.int64)
    yield Snapshot(tuple(segments), base)
    for segment in segments:
        segment.close()


def listed(matches: TextMatches) -> list[tuple[int, list[tuple[int, int]]]]:
    bounds = matches.offsets.tolist()
    spans = list(zip(matches.start.tolist(), matches.end.tolist(), strict=True))
    return [(doc, spans[bounds[i] : bounds[i + 1]]) for i, doc in enumerate(matches.docs.tolist())]


@pytest.mark.parametrize("case", ["smart", "yes", "no"])
@pytest.mark.parametrize(
    "pattern",
    [
        "parse_config", "Parse_Config", "task", "foo", "foo$", "^foo", "^$", "$", "^", "", "x*", "a;\n\nb",
        "[^;]*",
        "(?s)f.*o", r"\Aparse", r"\Afoo\n\z", r"\z", r"foo\s+", r"\s", r"\n", r"\n\n", "nul.*inside", r"\x00",
        "größe", "GRÖSSE", "(parse|load)_?c?", "x{20}", r"\bend\b", r"\Bo", "[[:upper:]]_", r"\C",
        "nowhere at all", ";$", "(?i)FOO", r"\pL+", "(?-m)^foo", "o\n\\x00",
    ],
)  # fmt: skip
def test_search_finds_what_a_scan_finds(snapshot: Snapshot, pattern: str, case: Case) -> None:
    matcher = Matcher(pattern, case)
    found = search_docs(snapshot, matcher, None, FOREVER)
    assert found.complete
    assert listed(found) == listed(scan_docs(snapshot, matcher, None, FOREVER))


@pytest.mark.parametrize("pattern", ["foo", "parse_config", "(?i)parse_config", ";$", "x"])
@pytest.mark.parametrize("portion_bytes", [1, 40, 1 << 20])
def test_portions_hold_what_a_scan_finds(
    snapshot: Snapshot, pattern: str, portion_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "FAR_BYTES", 0)
    monkeypatch.setattr(text, "PORTION_BYTES", portion_bytes)
    elsewhere = ByItself()
    matcher = Matcher(pattern)
    whole = listed(scan_docs(snapshot, matcher, None, FOREVER))
    for somewhere in (None, elsewhere):
        found = search_docs(snapshot, matcher, None, FOREVER, elsewhere=somewhere)
        assert (listed(found), found.complete) == (whole, True)
        first = search_docs(snapshot, matcher, None, FOREVER, docs_max=2, elsewhere=somewhere)
        assert listed(first) == whole[:2]
    assert elsewhere.asked == 2


class ByItself:
    """Another place: finders are made anew, and a portion too many is searched."""

    ready = True
    asked = 0

    def find(
        self,
        spec: LineSpec,
        portions: Iterable[Portion],
        segments: Sequence[Contents],
        budget: Budget,  # noqa: ARG002
    ) -> Iterator[tuple[Portion, PageMatches]]:
        self.asked += 1
        ahead = [
            (each, matches_in(each.segment, each.pages, LineFinder(_matcher(spec)))) for each in portions
        ]
        assert all(each.segment in segments for each, _ in ahead)
        yield from ahead


def _matcher(spec: LineSpec) -> Matcher:
    return Matcher(spec.pattern, spec.case, lines=spec.lines)


@pytest.mark.parametrize("pattern", ["foo", "^", "[^;]*", "parse_config"])
def test_limits_and_masks_cut_the_same_list(snapshot: Snapshot, pattern: str) -> None:
    matcher = Matcher(pattern)
    whole = listed(search_docs(snapshot, matcher, None, FOREVER))
    first = search_docs(snapshot, matcher, None, FOREVER, docs_max=2, per_doc=1)
    assert listed(first) == [(doc, spans[:1]) for doc, spans in whole[:2]]
    assert (first.complete, first.reason) == (False, "documents")
    mask = np.arange(int(snapshot.seg_base[-1])) % 2 == 0
    masked = search_docs(snapshot, matcher, mask, FOREVER)
    assert listed(masked) == [(doc, spans) for doc, spans in whole if doc % 2 == 0]


@pytest.mark.parametrize("pattern", ["foo", "^", "[^;]*", "parse_config"])
@pytest.mark.parametrize("docs_max", [1, 3, 100])
@pytest.mark.parametrize("crowded", [False, True])
def test_documents_are_read_in_order(
    snapshot: Snapshot, pattern: str, docs_max: int, crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "FEW", 0)
    matcher = Matcher(pattern)
    n_docs = int(snapshot.seg_base[-1])
    turns = np.random.default_rng(docs_max).integers(0, 3, n_docs).astype(np.uint8)
    named = [2, 7, n_docs - 1]
    order = Order(turns, 2, np.array(named, np.int64), crowded)
    whole = listed(scan_docs(snapshot, matcher, None, FOREVER))
    in_order = sorted(whole, key=lambda match: (-1 if match[0] in named else int(turns[match[0]]), match[0]))
    found = search_docs(snapshot, matcher, None, FOREVER, docs_max=docs_max, order=order)
    assert listed(found) == in_order[:docs_max]
    assert found.complete == (len(whole) < docs_max)
    monkeypatch.setattr(text, "FEW", 256)  # then turns 0 and 1 are one
    turn_of = dict(enumerate(np.where(turns < 2, 1, turns).tolist())) | dict.fromkeys(named, 0)
    found = search_docs(snapshot, matcher, None, FOREVER, docs_max=docs_max, order=order)
    in_order.sort(key=lambda match: (turn_of[match[0]], match[0]))
    assert listed(found) == in_order[:docs_max]


@pytest.mark.parametrize("lines_max", [1, 4, 1000])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("far_bytes", [1 << 30, 30, 0])
def test_a_search_stops_where_it_has_lines_enough(
    snapshot: Snapshot, lines_max: int, long: bool, far_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "FAR_BYTES", far_bytes)
    monkeypatch.setattr(text, "PORTION_BYTES", 1)
    monkeypatch.setattr(text, "LONG_BYTES", 0 if long else 1 << 30)
    monkeypatch.setattr(text, "UNITS_MIN", 1)
    monkeypatch.setattr(text, "LINES_MIN", 5)
    monkeypatch.setattr(text, "MATCHING", 1e9)  # documents one by one
    enough = lines_max if long else max(5, lines_max)
    for pattern in ("foo", r"foo\s+", "parse_config"):
        matcher = Matcher(pattern)
        whole = listed(scan_docs(snapshot, matcher, None, FOREVER))
        found = search_docs(snapshot, matcher, None, FOREVER, docs_max=1000, lines_max=lines_max)
        got = listed(found)
        assert got == whole[: len(got)]
        lines = sum(_lines(snapshot, doc, spans) for doc, spans in got)
        assert lines >= enough or (found.complete and got == whole)
        assert lines - _lines(snapshot, *got[-1]) < enough


def _lines(snapshot: Snapshot, doc: int, spans: list[tuple[int, int]]) -> int:
    at = int(np.searchsorted(snapshot.seg_base, doc, side="right")) - 1
    content = snapshot.segments[at].doc_bytes(doc - int(snapshot.seg_base[at]))
    return min(PER_FILE, len({content.count(b"\n", 0, start) for start, _ in spans}))


def test_an_empty_mask_reads_nothing(snapshot: Snapshot) -> None:
    mask = np.zeros(int(snapshot.seg_base[-1]), np.bool_)
    found = search_docs(snapshot, Matcher("foo"), mask, FOREVER)
    assert (len(found), found.candidates, found.bytes_read, found.complete) == (0, 0, 0, True)


def test_time_that_is_up_is_said(snapshot: Snapshot) -> None:
    found = search_docs(snapshot, Matcher("foo"), None, Budget(0))
    assert (found.complete, found.reason) == (False, "time")


def test_a_query_taken_back_ends_at_once(snapshot: Snapshot) -> None:
    class Set:
        def is_set(self) -> bool:
            return True

    with pytest.raises(Cancelled):
        search_docs(snapshot, Matcher("foo"), None, Budget(1e9, Set()))


@pytest.mark.parametrize(
    ("text", "case", "fold"),
    [
        ("foo", "smart", True),
        ("Foo", "smart", False),
        ("foo", "yes", False),
        ("Foo", "no", True),
        ("123 ->", "smart", False),
        ("é", "smart", True),
        ("É", "smart", False),
    ],
)
def test_smart_case_respects_an_upper_case_letter(text: str, case: Case, fold: bool) -> None:
    assert Matcher.literal(text, case).fold == fold


@pytest.mark.parametrize(
    ("pattern", "fold"),
    [
        (r"\Sfoo\W", True),
        (r"[a-z]+", True),
        ("[A-Z]x", False),
        (r"\pLx", True),
        (r"\d+", False),
        ("(?P<Name>x)", True),
    ],
)
def test_smart_case_looks_at_written_letters_only(pattern: str, fold: bool) -> None:
    assert Matcher(pattern).fold == fold


def test_a_phrase_over_lines_finds_both_line_ends() -> None:
    matcher = Matcher.literal("a;\nb")
    assert matcher.find(b"a;\nb a;\r\nb") == [(0, 4), (5, 10)]


def test_plain_text_is_never_a_pattern() -> None:
    text = "".join(chr(c) for c in range(1, 128))
    assert Matcher.literal(text, "yes").find(b"<" + text.encode() + b">") == [(1, 128)]


def test_whole_words_have_edges() -> None:
    matcher = Matcher.literal("foo", whole_word=True)
    assert matcher.find(b"foo foobar barfoo foo_ x.foo") == [(0, 3), (25, 28)]
    assert Matcher.literal("->x", whole_word=True).find(b"a->x b->xy") == [(1, 4)]


def test_undecodable_text_is_nowhere() -> None:
    assert not Matcher.literal("caf\udce9").any("café".encode())


def test_empty_matches_stay_on_characters() -> None:
    starts = [s for s, _ in Matcher("x*").find("äöx\n".encode())]
    assert starts == [0, 2, 4, 5]


@pytest.mark.parametrize("pattern", ["a(", "[", "(?=x)", "x{2000}", r"\1", "\\"])
def test_a_bad_pattern_gets_re2s_message(pattern: str) -> None:
    with pytest.raises(BadPattern) as caught:
        compile_pattern(pattern.encode())
    assert str(caught.value) and "(?m)" not in str(caught.value)


def test_a_pattern_that_kills_others_is_fast() -> None:
    assert not Matcher("(a+)+$").any(b"a" * 5000 + b"b")


@pytest.mark.parametrize(
    "pattern", ["b", "^b", "c$", "[^x]*", r"\Aa", "a\nb", "(?:^|/)[^/\n]*\\.py$", "", "z"]
)
def test_lines_are_matched_by_themselves(pattern: str) -> None:
    lines = ["ab", "b", "", "a.py", "x/a.py", "abc", "a"]
    data = "".join(f"{line}\n" for line in lines).encode()
    offsets = np.cumsum([0, *(len(line) + 1 for line in lines)]).astype(np.int64)
    matcher = Matcher(pattern)
    expected = [bool(matcher.find(line.encode())) for line in lines]
    assert matching_lines(matcher, data, offsets).tolist() == expected


_alphabet = "abkK\u212a\n_ "


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(_alphabet, max_size=40), min_size=1, max_size=8),
    pieces=st.lists(
        st.sampled_from(["ab", "k", "K", "_", "a*", "[ab]+", "\n", ".", r"\s", "(?:ab|k_)", "^", "$"]),
        min_size=1,
        max_size=5,
    ),
    case=st.sampled_from(["smart", "yes", "no"]),
    seed=st.integers(0, 99),
)
def test_posting_lists_agree_with_a_scan_on_any_texts(
    tmp_path: Path, texts: list[str], pieces: list[str], case: Case, seed: int
) -> None:
    segment = small_segment(tmp_path / "any.seg", list(texts))
    snapshot = Snapshot((segment,), np.array([0, segment.n_docs], np.int64))
    rng = random.Random(seed)
    pattern = "".join(pieces)
    matcher = Matcher(pattern, case)
    mask = np.array([rng.random() < 0.8 for _ in texts]) if seed % 2 else None
    found = search_docs(snapshot, matcher, mask, FOREVER)
    assert listed(found) == listed(scan_docs(snapshot, matcher, mask, FOREVER)), pattern
    for wanted in (None, 1, 100):
        narrowed = TrigramFilter(matcher.query, wanted).candidates(segment)
        assert narrowed is None or set(found.docs.tolist()) <= set(narrowed.tolist())
    segment.close()


@settings(max_examples=150, deadline=None)
@given(text=st.text("abkKsS\u212aéÉ \n", min_size=1, max_size=8), around=st.text("ab \n", max_size=3))
def test_trigrams_of_plain_text_admit_what_it_matches(text: str, around: str) -> None:
    cases: tuple[Case, ...] = ("yes", "no")
    for case in cases:
        matcher = Matcher.literal(text, case)
        for content in (around + text, (text + around).swapcase(), text.upper(), text.lower()):
            if matcher.any(content.encode()):
                assert matcher.query.holds(frozenset(trigrams(content.encode()).tolist())), (text, content)


def test_plain_text_folds_ascii_letters_within_ascii() -> None:
    matcher = Matcher.literal("task", "no")
    assert matcher.any(b"TASK") and matcher.any(b"tAsK")
    assert not matcher.any("tas\u212a".encode())
    assert Matcher.literal("größe", "no").any("GRÖßE".encode())
