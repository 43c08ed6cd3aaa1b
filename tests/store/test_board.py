"""The notice board: what the writer stores is what every reader loads, whoever starts first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import StoreCorrupt, StoreError
from indexer.store.board import BOARD_BYTES, HEARTBEAT_STALE_NS, ROOTS_MAX, Board, RootState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board.bin"


@pytest.fixture
def writer(path: Path) -> Iterator[Board]:
    board = Board.create(path)
    yield board
    board.close()


@pytest.fixture
def reader(path: Path, writer: Board) -> Iterator[Board]:  # noqa: ARG001  the writer comes first
    board = Board.open(path)
    yield board
    board.close()


def test_a_root_nobody_spoke_of_has_no_state(reader: Board) -> None:
    assert reader.root_state(0) is None


def test_fields_are_seen_by_readers_and_others_keep_their_value(writer: Board, reader: Board) -> None:
    writer.set_root(7, pending=3, scanning=True, files_total=2**40, phase="first_index")
    writer.set_root(7, files_done=5, healthy=True, last_scan_ns=123)
    assert reader.root_state(7) == RootState(3, True, 5, 2**40, True, 123, "first_index")
    assert reader.root_state(6) is None


@pytest.mark.parametrize(
    ("fields", "settled"),
    [
        ({}, True),
        ({"pending": 1}, False),
        ({"scanning": True}, False),
        ({"healthy": False}, False),
        ({"phase": "first_index"}, False),
        ({"phase": "missing"}, False),
    ],
)
def test_settled_needs_everything(
    writer: Board, reader: Board, fields: dict[str, int], settled: bool
) -> None:
    writer.set_root(1, healthy=True, phase="ready")
    writer.set_root(1, **fields)  # type: ignore[arg-type]
    state = reader.root_state(1)
    assert state is not None
    assert state.settled is settled


def test_slots_are_recycled_and_a_new_root_starts_from_nothing(writer: Board, reader: Board) -> None:
    for root in range(ROOTS_MAX):
        writer.set_root(root, pending=root)
    with pytest.raises(StoreError, match="64 root slots"):
        writer.set_root(ROOTS_MAX, pending=1)
    assert [state.pending for i in range(ROOTS_MAX) if (state := reader.root_state(i))] == list(range(64))
    writer.drop_root(5)
    writer.drop_root(5)
    assert reader.root_state(5) is None
    writer.set_root(1000, healthy=True)
    assert reader.root_state(1000) == RootState(0, False, 0, 0, True, 0, "starting")


def test_a_reader_that_came_first_sees_the_writer_come(path: Path) -> None:
    reader = Board.open(path)
    assert (reader.writer_pid, reader.writer_alive()) == (0, False)
    writer = Board.create(path)
    writer.set_root(2, pending=9)
    state = reader.root_state(2)
    assert state is not None
    assert state.pending == 9
    assert reader.writer_alive()
    for board in (reader, writer):
        board.close()


def test_a_restarted_writer_wipes_the_board_under_open_readers(
    path: Path, writer: Board, reader: Board
) -> None:
    writer.set_root(2, pending=9)
    writer.set_paused("battery")
    again = Board.create(path)
    assert reader.root_state(2) is None
    assert reader.paused == ""
    again.set_root(2, pending=1)
    state = reader.root_state(2)
    assert state is not None
    assert state.pending == 1
    again.close()


def test_silence_is_noticed(writer: Board, reader: Board) -> None:
    writer.beat(1_000)
    assert reader.heartbeat_ns == 1_000
    assert reader.writer_alive(1_000 + HEARTBEAT_STALE_NS - 1)
    assert not reader.writer_alive(1_000 + HEARTBEAT_STALE_NS)


def test_a_dead_writer_is_noticed_at_once(path: Path, reader: Board) -> None:
    code = "import sys; from indexer.store.board import Board; Board.create(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert reader.writer_pid not in (0, os.getpid())
    assert not reader.writer_alive()


def test_pause_reasons_travel(writer: Board, reader: Board) -> None:
    writer.set_paused("heat")
    assert reader.paused == "heat"
    writer.set_paused("")
    assert reader.paused == ""


@pytest.mark.usefixtures("writer", "reader")
def test_the_file_is_private_and_keeps_its_size(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == BOARD_BYTES


def test_something_else_is_not_taken_for_a_board(path: Path) -> None:
    path.write_bytes(b"something else entirely")
    with pytest.raises(StoreCorrupt, match="not a notice board"):
        Board.open(path)


def test_a_reader_cannot_write(reader: Board) -> None:
    with pytest.raises(TypeError):
        reader.beat()


def test_words_written_by_another_process_are_never_torn(path: Path, reader: Board) -> None:
    """The other process alternates between two patterns whose halves differ; a torn word is neither."""
    code = (
        "import sys\nfrom indexer.store.board import Board\nboard = Board.create(sys.argv[1])\n"
        "print('go', flush=True)\n"
        "for i in range(30000): board.set_root(3, last_scan_ns=(0, 2**64 - 1)[i & 1])\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"go\n"
        seen = set()
        while other.poll() is None:
            if state := reader.root_state(3):
                seen.add(state.last_scan_ns)
    assert other.returncode == 0
    assert seen <= {0, 2**64 - 1}
