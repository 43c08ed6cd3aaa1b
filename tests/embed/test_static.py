"""The static model against a twin that adds up one word at a time, and the model that ships."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import ModelError
from indexer.bags import bag
from indexer.embed import static
from indexer.embed.memory import MemoryModel
from indexer.embed.static import MODEL_FILE, SharedModel, StaticModel, load_static_model, write_static_model
from indexer.embed.wordpiece import WordPiece
from indexer.records import F32, ChunkTable, SymbolTable
from indexer.vocabulary import Vocabulary
from indexer.words import WORD, parts

TOKENS = ["get", "con", "##fig", "##f", "c", "##o", "n", "größe", "grosse", "64", "中", "文", "a", "b"]
DIM = 8
DAMPING = 0.5
NO_SYMBOLS = SymbolTable([], *(np.zeros(0, t) for t in (np.uint8, *[np.uint32] * 4, np.int32)))


def small_model(damping: float = DAMPING) -> StaticModel:
    random = np.random.default_rng(5)
    return StaticModel(
        name="small",
        fingerprint="small-8",
        rows=random.integers(-127, 128, (len(TOKENS), DIM), dtype=np.int8),
        scales=random.random(len(TOKENS), np.float32),
        tokens=TOKENS,
        damping=damping,
    )


def slow_vector(model: StaticModel, text: bytes) -> F32:
    pieces = WordPiece(model.tokens)
    tokens = Counter(row for word in WORD.findall(text) for part in parts(word) for row in pieces.rows(part))
    total = np.zeros(model.dim)
    for token, n in tokens.items():
        total += n**DAMPING * float(model._scales[token]) * model._rows[token].astype(float)
    length = float(np.linalg.norm(total))
    return (total / length if length else total).astype(np.float32)


@pytest.mark.parametrize(
    ("word", "tokens"),
    [
        ("get", "get"),
        ("config", "con ##fig"),
        ("conf", "con ##f"),
        ("cof", "c ##o ##f"),
        ("cox", ""),
        ("xyz", ""),
        ("64", "64"),
        ("12345", ""),
        ("中文", "中 文"),
        ("größe", ""),  # accents are dropped, and "große" is not a token
        ("con" + "f" * 200, ""),
    ],
)
def test_word_pieces(word: str, tokens: str) -> None:
    pieces = WordPiece(TOKENS)
    assert [TOKENS[row] for row in pieces.rows(word.encode())] == tokens.split()


TEXT = st.lists(
    st.sampled_from(["get", "config", "getConfig", "a_b", "AB", "nothing", "中文", "64", " ", "+", "a a a"]),
    max_size=12,
).map(" ".join)


def chunked(texts: list[str]) -> tuple[bytes, ChunkTable]:
    pieces = [text.encode() + b"\n" for text in texts]
    ends = np.cumsum([len(piece) for piece in pieces]).astype(np.uint32)
    start = np.append(np.uint32(0), ends)[: len(ends)].astype(np.uint32)
    return b"".join(pieces), ChunkTable(start, ends, start, np.full(len(ends), -1, np.int32))


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, max_size=5))
def test_a_counted_file_has_the_vectors_of_its_texts(texts: list[str]) -> None:
    model, vocabulary = small_model(), Vocabulary()
    content, chunks = chunked(texts)
    vectors = model.embed_bag(bag(content, chunks, NO_SYMBOLS, vocabulary), vocabulary)
    assert np.array_equal(vectors, model.embed_texts(texts))
    assert vectors.shape == (len(texts), DIM)
    for text, vector in zip(texts, vectors, strict=True):
        assert np.allclose(vector, slow_vector(model, text.encode()), atol=2e-3)


@given(st.text(st.sampled_from("getconfigab64ßé文_ .-+"), max_size=60), st.integers(0, 40))
def test_a_text_alone_has_the_vector_it_has_among_others(text: str, more: int) -> None:
    model = small_model()
    text += " get config 文" * more * 4  # some are too long to be looked at word by word
    alone, among = model.embed_texts([text])[0], model.embed_texts([text, "get"])[0]
    assert np.allclose(alone.astype(np.float32), among.astype(np.float32), atol=2e-3)
    assert np.allclose(alone.astype(np.float32), slow_vector(model, text.encode()), atol=2e-3)


def test_many_chunks_are_embedded_like_few() -> None:
    model, vocabulary = load_static_model(), Vocabulary()
    texts = [f"parse config {'file ' * (i % 7)} number{i}" if i % 5 else "" for i in range(200)]
    content, chunks = chunked(texts)
    vectors = model.embed_bag(bag(content, chunks, NO_SYMBOLS, vocabulary), vocabulary)
    alone = np.concatenate([model.embed_texts([text]) for text in texts])
    assert np.abs(vectors.astype(np.float32) - alone.astype(np.float32)).max() < 1e-3  # other order of adding


def test_a_vocabulary_that_starts_over_changes_nothing() -> None:
    model, vocabulary = load_static_model(), Vocabulary(words_max=3)
    for text in ("open a socket", "parse the header of a message", "open a socket"):
        content, chunks = chunked([text])
        got = model.embed_bag(bag(content, chunks, NO_SYMBOLS, vocabulary), vocabulary)
        assert np.array_equal(got, model.embed_texts([text]))
    assert vocabulary.epoch > 0


def test_two_vocabularies_do_not_mix() -> None:
    model = load_static_model()
    for text in ("alpha beta", "gamma delta", "alpha beta"):
        vocabulary = Vocabulary()
        content, chunks = chunked([text])
        got = model.embed_bag(bag(content, chunks, NO_SYMBOLS, vocabulary), vocabulary)
        assert np.array_equal(got, model.embed_texts([text]))


def test_rows_have_unit_length_or_none() -> None:
    vectors = (
        load_static_model().embed_texts(["retry the request", "", "+-*/", "0x123456789"]).astype(np.float32)
    )
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 0], atol=2e-3)
    assert load_static_model().embed_texts([]).shape == (0, 256)


NEIGHBOURS = [
    ("retry the request after a timeout", "resend when the call timed out", "draw a circle on the canvas"),
    ("acquireLock", "mutex_lock(&m)", "render_html(template)"),
    ("parse json", "def decode_json(text):", "sock.connect(address)"),
    ("allocate memory", "ptr = malloc(size)", "print the report title"),
    ("user authentication", "def check_password(login):", "matrix.transpose()"),
    ("sort a list", "items.sort(key=order)", "open_socket(port)"),
    ("delete a file", "os.unlink(path)  # remove", "sum of squares"),
]


@pytest.mark.parametrize(("query", "near", "far"), NEIGHBOURS)
def test_related_code_is_nearer(query: str, near: str, far: str) -> None:
    asked, close, distant = load_static_model().embed_texts([query, near, far]).astype(np.float32)
    assert asked @ close > asked @ distant + 0.1


def test_the_model_is_small_and_loads_fast() -> None:
    assert MODEL_FILE.stat().st_size <= 16_000_000
    assert MODEL_FILE.with_name("static-model.LICENSE").read_text().count("Apache License") > 0
    best = min(timed(load_static_model) for _ in range(5))
    assert best <= 0.1


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def test_a_written_model_is_read_back(tmp_path: Path) -> None:
    model, path = small_model(), tmp_path / "m"
    write_static_model(
        path,
        name=model.name,
        fingerprint=model.fingerprint,
        rows=model._rows,
        scales=model._scales,
        tokens=TOKENS,
        damping=DAMPING,
    )
    read = load_static_model(path)
    assert (read.name, read.fingerprint, read.dim) == ("small", "small-8", DIM)
    assert np.array_equal(read.embed_texts(["getConfig a"]), model.embed_texts(["getConfig a"]))
    for damage in (
        b"",
        b"{}\n",
        path.read_bytes()[:-3],
        path.read_bytes() + b"\n",
        path.read_bytes().replace(b'"format": "2"', b'"format": "9"'),
        path.read_bytes().replace(b'"data_offsets": [0, ', b'"data_offsets": [4, '),
        b"\xff" * 100,
    ):
        path.write_bytes(damage)
        with pytest.raises(ModelError):
            load_static_model(path)
    with pytest.raises(ModelError):
        load_static_model(tmp_path / "none")


def test_the_model_is_a_safetensors_file() -> None:
    """Its layout, read as https://github.com/huggingface/safetensors describes it."""
    raw = MODEL_FILE.read_bytes()
    nbytes = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + nbytes]), raw[8 + nbytes :]
    about = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in about.values())
    kinds = {"I8": np.int8, "F32": np.float32, "U8": np.uint8}
    tensors, at = {}, 0
    for name, said in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = said["data_offsets"]
        assert start == at  # without holes
        tensors[name] = np.frombuffer(data[start:end], kinds[said["dtype"]]).reshape(said["shape"])
        at = end
    assert at == len(data)
    model = load_static_model()
    assert np.array_equal(tensors["rows"], model._rows) and np.array_equal(tensors["scales"], model._scales)
    assert tensors["tokens"].tobytes().decode().split("\n") == list(model.tokens)
    assert about["fingerprint"] == model.fingerprint


def test_the_memory_model_knows_shared_words() -> None:
    one, two, other = MemoryModel().embed_texts(["open file", "file_open", "circle"]).astype(np.float32)
    assert one @ two > 0.99
    assert abs(one @ other) < 0.5


def test_a_shared_model_knows_itself_before_it_is_loaded_and_answers_as_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: list[Path] = []

    def load(path: Path) -> StaticModel:
        loads.append(path)
        return load_static_model(path)

    monkeypatch.setattr(static, "load_static_model", load)
    shared, model = SharedModel(), load_static_model()
    assert (shared.name, shared.fingerprint, shared.dim) == (model.name, model.fingerprint, model.dim)
    assert not loads
    texts = [f"retry request {i}" for i in range(64)]
    with ThreadPoolExecutor(8) as threads:  # loaded once, and one text at a time
        found = list(threads.map(lambda text: shared.embed_texts([text])[0], texts))
    assert np.array_equal(np.array(found), np.array([model.embed_texts([text])[0] for text in texts]))
    assert loads == [MODEL_FILE]


def test_a_shared_model_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"{}\n")
    for name in ("bad", "none"):
        with pytest.raises(ModelError, match="install the package again"):
            SharedModel(tmp_path / name)
