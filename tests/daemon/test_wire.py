"""The protocol without I/O: frames survive any split, garbage gives our error or nothing else."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import errors
from daemon import wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def subclasses(kind: type[errors.EinsteinError]) -> list[type[errors.EinsteinError]]:
    return [kind, *(sub for direct in kind.__subclasses__() for sub in subclasses(direct))]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 4096])
def test_frames_survive_any_split(step: int) -> None:
    data = b'{"a":1}\n\n{"b":2}\r\n  \n{"c":"' + b"x" * 50 + b'"}\n{"unfinished"'
    reader, got = wire.FrameReader(), []
    for i in range(0, len(data), step):
        got += reader.feed(data[i : i + step])
    assert got == [b'{"a":1}', b'{"b":2}', b'{"c":"' + b"x" * 50 + b'"}']


@given(st.lists(st.binary(max_size=30)), st.data())
def test_frames_equal_split_lines(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"\n".join(pieces)
    reader, got, rest = wire.FrameReader(), [], whole
    while rest:
        cut = data.draw(st.integers(1, len(rest)))
        got += reader.feed(rest[:cut])
        rest = rest[cut:]
    assert got == [line.strip(b" \t\r") for line in whole.split(b"\n")[:-1] if line.strip(b" \t\r")]


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_a_line_that_is_too_long_is_refused_after_the_good_ones(step: int) -> None:
    data = b"good\n" + b"x" * 11 + b"\nafter\n"
    reader, got = wire.FrameReader(bytes_max=10), []
    with pytest.raises(errors.ProtocolError, match="longer than 10 bytes"):
        for i in range(0, len(data) + step, step):
            got += reader.feed(data[i : i + step])
    assert got == [b"good"]
    assert reader.broken


def test_a_line_of_exactly_the_limit_passes() -> None:
    assert wire.FrameReader(bytes_max=10).feed(b"x" * 10 + b"\n") == [b"x" * 10]


@given(JSON)
def test_the_codec_agrees_with_the_json_module(value: Any) -> None:
    assert wire.loads(wire.dumps(value)) == value
    assert json.loads(wire.dumps(value)) == value
    assert wire.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


def test_an_undecodable_path_survives() -> None:
    path = b"caf\xe9.py".decode(errors="surrogateescape")
    assert wire.loads(wire.dumps({"path": path})) == {"path": path}


@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error_or_a_value(data: bytes) -> None:
    with contextlib.suppress(errors.ProtocolError):
        wire.read_request(wire.loads(data))


@given(JSON)
def test_any_json_is_a_request_or_a_protocol_error(value: Any) -> None:
    for read in (wire.read_request, wire.read_reply):
        with contextlib.suppress(errors.ProtocolError):
            read(value)


@given(
    st.sampled_from([*wire.METHODS, "nonsense"]),
    st.dictionaries(
        st.sampled_from(sorted({name for spec in wire.METHODS.values() for name in spec})), JSON, max_size=4
    ),
    JSON,
)
def test_almost_requests_are_requests_or_protocol_errors(
    method: str, params: dict[str, Any], id: Any
) -> None:
    message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
    try:
        request = wire.read_request(message)
    except errors.ProtocolError as error:
        assert wire.loads(wire.error_frame(None, error))["error"]["data"]["code"] == "protocol"
    else:
        assert request.method == method
        wire.check_params(method, request.params)


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_deep_nesting_is_a_protocol_error(depth: int) -> None:
    with pytest.raises(errors.ProtocolError):
        wire.read_request(wire.loads(b"[" * depth + b"]" * depth))


def test_a_request_survives_the_trip() -> None:
    frame = wire.request(7, "search", {"query": "é\n", "path": "/a", "types": ["python"], "limit": 3})
    assert frame.count(b"\n") == 1
    assert frame.endswith(b"\n")
    request = wire.read_request(wire.loads(frame))
    assert (request.id, request.method) == (7, "search")
    assert request.params == {"query": "é\n", "path": "/a", "types": ["python"], "limit": 3}


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        ([], -32600, "JSON object"),
        ({"id": 1, "method": "ping"}, -32600, "jsonrpc"),
        ({"jsonrpc": "2.0", "id": 1}, -32600, "a method"),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, -32600, "id is neither"),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600, "id is neither"),
        ({"jsonrpc": "2.0", "id": "x" * 129, "method": "ping"}, -32600, "id is neither"),
        ({"jsonrpc": "2.0", "method": "ping"}, -32600, "needs an id"),
        ({"jsonrpc": "2.0", "id": 1, "method": "pong"}, -32601, "did you mean 'ping'"),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32602, "by name"),
        ({"jsonrpc": "2.0", "id": 1, "method": "why", "params": {}}, -32602, "'path'"),
        ({"jsonrpc": "2.0", "id": 1, "method": "why", "params": {"path": 1}}, -32602, "not of type str"),
        ({"jsonrpc": "2.0", "id": 1, "method": "add", "params": {"path": "/", "wait": 1}}, -32602, "bool"),
        ({"jsonrpc": "2.0", "id": 1, "method": "why", "params": {"pat": "/"}}, -32602, "mean 'path'"),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "v": 99}, -32600, "searchd restart"),
    ],
)
def test_bad_requests_say_what_is_wrong(message: Any, code: int, text: str) -> None:
    with pytest.raises(errors.ProtocolError, match=text) as caught:
        wire.read_request(message)
    reply = wire.loads(wire.error_frame(getattr(caught.value, "request_id", None), caught.value))
    assert reply["error"]["code"] == code


@pytest.mark.parametrize("kind", subclasses(errors.EinsteinError))
def test_every_error_has_a_code_of_its_own_and_comes_back_as_its_class(
    kind: type[errors.EinsteinError],
) -> None:
    error = kind.__new__(kind)
    error.args = ("what happened",)
    reply = wire.read_reply(wire.loads(wire.error_frame(3, error)))
    assert type(reply.error) is kind
    assert (reply.id, str(reply.error)) == (3, "what happened")
    assert len(set(wire.RPC_CODES.values())) == len(wire.RPC_CODES)
    assert kind.code in wire.RPC_CODES


def test_a_query_error_keeps_its_column_and_hint() -> None:
    error = errors.QuerySyntaxError("no field 'lan'", 4, "did you mean lang?")
    got = wire.read_reply(wire.loads(wire.error_frame("a", error))).error
    assert isinstance(got, errors.QuerySyntaxError)
    assert (got.column, got.hint, str(got)) == (4, "did you mean lang?", str(error))


def test_an_unknown_code_of_a_later_version_is_still_an_error() -> None:
    error = wire.read_error({"code": -1, "message": "later", "data": {"code": "invented_later"}})
    assert type(error) is errors.EinsteinError
    assert str(error) == "later"


def test_partial_and_final_results_are_told_apart() -> None:
    partial = wire.read_reply(wire.loads(wire.partial_frame(1, b'{"hits":[]}')))
    final = wire.read_reply(wire.loads(wire.result_frame(1, b'{"hits":[1]}')))
    assert (partial.id, partial.partial, partial.result) == (1, True, {"hits": []})
    assert (final.id, final.partial, final.result) == (1, False, {"hits": [1]})


def test_importing_the_protocol_costs_no_heavy_module() -> None:
    code = "import sys; before = set(sys.modules); from daemon import wire; wire.loads(wire.dumps({}));"
    code += "print(*sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    heavy = {"json", "re", "typing", "dataclasses", "socket", "subprocess", "pathlib", "enum", "collections"}
    assert not heavy & set(out.stdout.split())
