"""docs/PROTOCOL.md: its tables are the code's, and its examples are what a real daemon answers."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import paths
from config.settings import load
from daemon import client, wire
from tests.daemon.toy import short_directory

DOC = (Path(__file__).parents[2] / "docs" / "PROTOCOL.md").read_text("utf-8")
EXAMPLES = [block.splitlines() for block in re.findall(r"```json\n(.*?)\n```", DOC, re.DOTALL)]
TIMEOUT_S = 60

SOURCE = '''class RetryPolicy:
    """How often a request is tried again."""

    def next_delay(self, attempt):
        return min(self.base * 2**attempt, self.max_delay)
'''


def table(title: str) -> list[list[str]]:
    """Cells of the first table below a heading."""
    part = DOC.partition(f"{title}\n")[2]
    rows = re.search(r"^\|.*?(?=\n\n)", part, re.DOTALL | re.MULTILINE)
    assert rows is not None
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows[0].splitlines()]
    return cells[2:]


def test_every_error_code_is_listed() -> None:
    listed = {row[0].strip("`"): int(row[1]) for row in table("## Errors")}
    assert listed == wire.RPC_CODES


def test_every_method_is_listed_with_its_parameters() -> None:
    listed = {row[0].strip("`"): dict(re.findall(r"`(\w+)` (\w+!?)", row[1])) for row in table("## Methods")}
    assert listed == wire.METHODS


def test_every_limit_is_the_codes() -> None:
    assert [int(row[1]) for row in table("### Limits")] == [
        wire.FRAME_BYTES_MAX,
        wire.REPLY_BYTES_MAX,
        wire.OUTSTANDING_MAX,
        load(environ={"HOME": "/nonexistent"}).daemon.clients_max,
        wire.LIMIT_MAX,
        wire.CONTEXT_MAX,
        wire.DEADLINE_MS_MAX,
    ]


def test_every_method_has_an_example() -> None:
    shown = {json.loads(lines[0])["method"] for lines in EXAMPLES if lines[0].startswith("{")}
    assert set(wire.METHODS) - shown == {"rebuild", "config"}  # slow; long


@pytest.fixture(scope="module")
def daemon() -> Iterator[tuple[socket.socket, str]]:
    """A connection to a daemon of our own, and the tree that stands for /home/me."""
    with short_directory() as home, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "HOME": str(home),
            "EINSTEIN_CACHE_DIR": str(home / "cache"),
            "EINSTEIN_DAEMON_SOCKET_DIR": str(home / "s"),
            "EINSTEIN_QUERY_PROCESSES": "1",
        }.items():
            patch.setenv(name, value)
        source = home / "me" / "project" / "src" / "retry.py"
        source.parent.mkdir(parents=True)
        source.write_text(SOURCE)
        client.start_daemon(TIMEOUT_S)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(TIMEOUT_S)
                sock.connect(paths.query_socket())
                yield sock, str(home / "me")
        finally:
            client.stop_daemon(TIMEOUT_S)


def differences(expected: Any, got: Any, where: str = "") -> list[str]:
    """What the example promises and the daemon does not keep; members that are not shown may be there."""
    if expected == "…":
        return []
    if isinstance(expected, dict) and isinstance(got, dict):
        found = [f"{where}.{name} is missing" for name in expected if name not in got]
        shared = [name for name in expected if name in got]
        return found + [
            d for name in shared for d in differences(expected[name], got[name], f"{where}.{name}")
        ]
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = enumerate(zip(expected, got, strict=True))
        return [d for i, (one, other) in pairs for d in differences(one, other, f"{where}[{i}]")]
    return [] if expected == got else [f"{where} is {got!r}, not {expected!r}"]


@pytest.mark.parametrize("lines", EXAMPLES, ids=[lines[0][16:60] for lines in EXAMPLES])
def test_the_daemon_answers_as_shown(daemon: tuple[socket.socket, str], lines: list[str]) -> None:
    sock, home = daemon
    sent, *replies = [line.replace("/home/me", home) for line in lines]
    sock.sendall(sent.encode() + b"\n")
    data = b""
    for expected in replies:
        while b"\n" not in data:
            piece = sock.recv(65536)
            assert piece, f"no {expected}"
            data += piece
        line, _, data = data.partition(b"\n")
        assert differences(json.loads(expected), json.loads(line)) == [], line.decode()
    assert not data
