"""The protocol without I/O: frames, messages, methods, limits, error codes. docs/PROTOCOL.md is its prose.

One JSON object per line in each direction, UTF-8, JSON-RPC 2.0. A request carries an id and gets exactly one
final reply; before it there may be partial results. Every reply carries `v`, the protocol's version, so that
a client needs no handshake and still notices another version.

    {"jsonrpc":"2.0","id":1,"method":"ping"}
    {"jsonrpc":"2.0","v":1,"id":1,"result":{"pid":4711}}

The `search` command imports this on every start, so it imports nothing that costs: measured with
`python -I -S` (8.7 ms bare), `_json` adds 2.6 ms, json 9, typing 21, dataclasses 30. Hence plain classes
with slots, and json's C parts without the regular expressions that their Python wrapper compiles.
"""

from __future__ import annotations

from config import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PROTOCOL_VERSION = 1

FRAME_BYTES_MAX = 4 * 1024 * 1024  # one request line, newline excluded; settings: daemon.frame_bytes_max
REPLY_BYTES_MAX = 64 * 1024 * 1024  # one reply line; a larger result is an error of the request
ID_CHARS_MAX = 128  # of an id that is a string
ID_INT_MAX = 2**53 - 1  # what every JSON reader keeps exactly
OUTSTANDING_MAX = 64  # unanswered requests of one connection
LIMIT_MAX = 10_000  # hits of one search
CONTEXT_MAX = 100  # lines around a hit
DEADLINE_MS_MAX = 3_600_000

MODES = ("auto", "text", "symbol", "semantic", "hybrid")
CASES = ("yes", "no", "smart")
WHATS = ("lines", "count", "files")  # of a grep
FILES_MODES = ("fuzzy", "substring", "regex")

# Parameters of each method: name -> type; "!" marks a required one. Types: str, int, number (int or float),
# bool, list (of str), dict, id (str or int).
METHODS: dict[str, dict[str, str]] = {
    "hello": {"version": "int", "client": "str"},
    "ping": {},
    "search": {
        "query": "str!",
        "path": "str!",
        "mode": "str",
        "limit": "int",
        "types": "list",
        "globs": "list",
        "context": "int",
        "whole": "bool",
        "per_file": "int",
        "explain": "bool",
        "deadline_ms": "int",
        "stream": "bool",
        "wait": "bool",
        "snippet": "str",
        "snippet_path": "str",
        "snippet_line": "int",
    },
    "duplicates": {
        "text": "str",
        "path": "str",
        "line": "int",
        "threshold": "number",
        "below": "str",
        "types": "list",
        "limit": "int",
        "context": "int",
        "deadline_ms": "int",
        "wait": "bool",
    },
    "grep": {
        "pattern": "str!",
        "path": "str!",
        "case": "str",
        "literal": "bool",
        "word": "bool",
        "query": "str",
        "types": "list",
        "globs": "list",
        "what": "str",
        "all": "bool",
        "limit": "int",
        "deadline_ms": "int",
        "wait": "bool",
    },
    "files": {
        "query": "str!",
        "path": "str!",
        "mode": "str",
        "limit": "int",
        "deadline_ms": "int",
        "wait": "bool",
    },
    "cancel": {"id": "id!"},
    "status": {},
    "roots": {},
    "add": {"path": "str!", "wait": "bool", "deadline_ms": "int"},
    "remove": {"path": "str!"},
    "rebuild": {"path": "str!", "wait": "bool", "deadline_ms": "int"},
    "why": {"path": "str!"},
    "sync": {"path": "str", "root": "int", "deadline_ms": "int"},
    "shutdown": {},
    "log": {"lines": "int"},
    "fsck": {"deadline_ms": "int"},
    "config": {},
}

PARTIAL = "partial"  # a notification of the server: a result so far, instead of the one before
MATCHES = "matches"  # a notification of the server: the next files of a `grep`

# errors.py `code` -> JSON-RPC code. Both are stable: programs may look at either.
RPC_CODES: dict[str, int] = {
    "internal": -32603,
    "protocol": -32600,
    "usage": -32602,
    "config": -32001,
    "no_such_root": -32002,
    "query_syntax": -32003,
    "not_yet": -32004,
    "deadline": -32005,
    "cancelled": -32006,
    "unavailable": -32007,
    "already_running": -32008,
    "socket_path": -32009,
    "store": -32010,
    "store_corrupt": -32011,
    "store_full": -32012,
    "store_version": -32013,
    "pool_full": -32014,
    "model": -32015,
    "not_installed": -32016,
    "no_gpu": -32017,
}
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

# Attributes of an exception that travel in the error's `data`, beside `code`.
DATA_FIELDS = ("column", "hint", "path", "retry", "version")

RequestId = str | int | None


class Request:
    """A request as read from a frame: the method exists, its parameters have the right names and types."""

    __slots__ = ("id", "method", "params")

    def __init__(self, id: RequestId, method: str, params: dict[str, Any]) -> None:
        self.id = id  # None: a notification, not to be answered
        self.method = method
        self.params = params


class Reply:
    """A message of the server: `error` is set, or `result` is; `partial` results are followed by more."""

    __slots__ = ("error", "id", "partial", "result", "version")

    def __init__(
        self,
        id: RequestId,
        result: dict[str, Any],
        error: errors.EinsteinError | None = None,
        partial: bool = False,
        version: int = PROTOCOL_VERSION,
    ) -> None:
        self.id = id
        self.result = result
        self.error = error
        self.partial = partial
        self.version = version


class FrameReader:
    """Bytes as they come -> whole lines, however they were split. Empty lines are skipped."""

    __slots__ = ("_length", "_pieces", "broken", "bytes_max")

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.broken = False  # a line was too long; where the next one begins is not known
        self._pieces: list[bytes] = []
        self._length = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are now complete, without their line ends.

        Raises ProtocolError when a line is longer than `bytes_max`. Lines completed before it in the same
        call are returned first: `broken` is then set and the next call raises.
        """
        if self.broken:
            raise self._too_long()
        frames: list[bytes] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._length + end - start > self.bytes_max:
                return self._break(frames)
            line = data[start:end]
            if self._pieces:
                self._pieces.append(line)
                line = b"".join(self._pieces)
                self._pieces.clear()
                self._length = 0
            start = end + 1
            if line := line.strip(b" \t\r"):
                frames.append(line)
        if start < len(data):
            self._length += len(data) - start
            if self._length > self.bytes_max:
                return self._break(frames)
            self._pieces.append(data[start:] if start else data)
        return frames

    def _break(self, frames: list[bytes]) -> list[bytes]:
        self.broken = True
        self._pieces.clear()
        if not frames:
            raise self._too_long()
        return frames

    def _too_long(self) -> errors.ProtocolError:
        return errors.ProtocolError(f"a message is longer than {self.bytes_max} bytes; send less at once")


def dumps(value: object) -> bytes:
    """Return `value` as JSON in ASCII; a lone surrogate (an undecodable byte of a path) becomes an escape."""
    return "".join(_encoder()(value, 0)).encode("ascii")


def loads(data: bytes) -> Any:
    """Return the value of a JSON text. Raises ProtocolError whatever is wrong with it."""
    try:
        text = data.decode().strip(" \t\r\n")
        value, end = _scanner()(text, 0)
    except (ValueError, StopIteration, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise rpc_error(f"not a JSON text: {str(error) or 'no value'}"[:200], PARSE_ERROR) from None
    if end != len(text):
        raise rpc_error(f"not a JSON text: extra data after character {end}", PARSE_ERROR)
    return value


def request(id: RequestId, method: str, params: dict[str, Any]) -> bytes:
    """Return the frame of a request; of a notification if `id` is None."""
    message = {"jsonrpc": "2.0", "method": method, "params": params, "v": PROTOCOL_VERSION}
    if id is not None:
        message["id"] = id
    return dumps(message) + b"\n"


def result_frame(id: RequestId, result_json: bytes) -> bytes:
    """Return the frame of a final reply; `result_json` is the encoded result object."""
    return b'{"jsonrpc":"2.0","v":%d,"id":%s,"result":%s}\n' % (PROTOCOL_VERSION, dumps(id), result_json)


def partial_frame(id: RequestId, result_json: bytes) -> bytes:
    """Return the frame of a result so far."""
    head = b'{"jsonrpc":"2.0","v":%d,"method":"partial","params":{"id":%s,"result":%s}}\n'
    return head % (PROTOCOL_VERSION, dumps(id), result_json)


def matches_frame(id: RequestId, files_json: bytes) -> bytes:
    """Return the frame of some files of a `grep`; `files_json` is the encoded list."""
    head = b'{"jsonrpc":"2.0","v":%d,"method":"matches","params":{"id":%s,"files":%s}}\n'
    return head % (PROTOCOL_VERSION, dumps(id), files_json)


def error_frame(id: RequestId, error: errors.EinsteinError) -> bytes:
    """Return the frame of an error reply."""
    data: dict[str, object] = {"code": error.code}
    for name in DATA_FIELDS:
        if (value := getattr(error, name, None)) not in (None, ""):
            data[name] = value
    code = getattr(error, "rpc_code", None) or RPC_CODES.get(error.code, RPC_CODES["internal"])
    body = {"code": code, "message": str(error), "data": data}
    return b'{"jsonrpc":"2.0","v":%d,"id":%s,"error":%s}\n' % (PROTOCOL_VERSION, dumps(id), dumps(body))


def read_request(message: object) -> Request:
    """Return the request that a decoded frame holds.

    Raises ProtocolError; it carries the request's id as `request_id` where one could be read, for the reply.
    """
    if not isinstance(message, dict):
        raise rpc_error("a message is a JSON object; batches are not supported", INVALID_REQUEST)
    id = message.get("id")
    if not _is_id(id):
        raise rpc_error("id is neither a short string nor an integer", INVALID_REQUEST)
    try:
        return _read_request(message, id)
    except errors.ProtocolError as error:
        error.__dict__["request_id"] = id
        raise


def read_reply(message: object) -> Reply:
    """Return the reply that a decoded frame holds. Raises ProtocolError."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise errors.ProtocolError("the other side does not speak this protocol")
    version = message.get("v")
    version = version if type(version) is int else PROTOCOL_VERSION
    partial = message.get("method") in (PARTIAL, MATCHES)
    body = message.get("params") if partial else message
    if isinstance(body, dict):
        id = body.get("id")
        if isinstance(files := body.get("files"), list):
            return Reply(id, {"files": files}, partial=True, version=version)
        if "error" in body:
            return Reply(id, {}, read_error(body["error"]), version=version)
        if isinstance(result := body.get("result"), dict):
            return Reply(id, result, partial=partial, version=version)
    raise errors.ProtocolError("a reply has neither a result nor an error")


def read_error(body: object) -> errors.EinsteinError:
    """Return the exception that an error object stands for: the class of errors.py with its code."""
    body = body if isinstance(body, dict) else {}
    data = body.get("data")
    data = data if isinstance(data, dict) else {}
    kind = _error_classes().get(str(data.get("code")), errors.EinsteinError)
    error = kind.__new__(kind)  # not kind(...): some constructors make the message themselves
    error.args = (str(body.get("message", "the daemon gave no reason")),)
    for name in DATA_FIELDS:
        if name in data:
            error.__dict__[name] = data[name]
    return error


def rpc_error(message: str, code: int) -> errors.ProtocolError:
    """Return a ProtocolError that travels under JSON-RPC's own code."""
    error = errors.ProtocolError(message)
    error.__dict__["rpc_code"] = code
    return error


def check_params(method: str, params: dict[str, Any]) -> None:
    """Raise ProtocolError unless `params` has the names and types of `method`, which must exist."""
    spec = METHODS[method]
    for name, value in params.items():
        kind = spec.get(name)
        if kind is None:
            hint = _nearest(name, spec)
            raise rpc_error(f"{method} has no parameter {name[:50]!r}{hint}", INVALID_PARAMS)
        if not _TYPES[kind.rstrip("!")](value):
            raise rpc_error(f"{method}: {name} is not of type {kind.rstrip('!')}", INVALID_PARAMS)
    for name, kind in spec.items():
        if kind.endswith("!") and name not in params:
            raise rpc_error(f"{method} needs the parameter {name!r}", INVALID_PARAMS)


def _read_request(message: dict[str, Any], id: RequestId) -> Request:
    method, params = message.get("method"), message.get("params", {})
    if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise rpc_error('a request has "jsonrpc": "2.0" and a method', INVALID_REQUEST)
    version = message.get("v", PROTOCOL_VERSION)
    if version != PROTOCOL_VERSION:
        raise version_error(version)
    if method not in METHODS:
        raise rpc_error(f"no method {method[:50]!r}{_nearest(method, METHODS)}", METHOD_NOT_FOUND)
    if not isinstance(params, dict):
        raise rpc_error("params is an object; parameters go by name", INVALID_PARAMS)
    check_params(method, params)
    if id is None and method != "cancel":
        raise rpc_error(f"{method} needs an id, else there is no way to answer it", INVALID_REQUEST)
    return Request(id, method, params)


def version_error(theirs: object) -> errors.ProtocolError:
    """Return the error of two programs of different versions; it says what to do."""
    error = errors.ProtocolError(
        f"the other side speaks version {str(theirs)[:20]} of the protocol, this one {PROTOCOL_VERSION}; "
        "run `searchd restart` so that both are of the same installation"
    )
    error.__dict__["version"] = PROTOCOL_VERSION
    return error


def _is_id(id: object) -> bool:
    if isinstance(id, str):
        return len(id) <= ID_CHARS_MAX
    return id is None or (type(id) is int and -ID_INT_MAX <= id <= ID_INT_MAX)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int and -ID_INT_MAX <= value <= ID_INT_MAX,
    "number": lambda value: type(value) is float or _TYPES["int"](value),
    "bool": lambda value: type(value) is bool,
    "list": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "dict": lambda value: isinstance(value, dict),
    "id": lambda value: value is not None and _is_id(value),
}


def _nearest(name: str, known: dict[str, Any]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name[:50], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


_classes: dict[str, type[errors.EinsteinError]] = {}


def _error_classes() -> dict[str, type[errors.EinsteinError]]:
    if not _classes:
        todo: list[type[errors.EinsteinError]] = [errors.EinsteinError]
        while todo:
            kind = todo.pop()
            _classes[kind.code] = kind
            todo += kind.__subclasses__()
    return _classes


class _Plain:
    """What json's C scanner asks for: objects as dict, numbers as int and float, any character in texts."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012

    @staticmethod
    def parse_constant(name: str) -> float:
        raise ValueError(f"{name} is not JSON")


_codec: list[Any] = []


def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    if not _codec:
        _load_codec()
    scan: Callable[[str, int], tuple[Any, int]] = _codec[0]
    return scan


def _encoder() -> Callable[[object, int], Any]:
    if not _codec:
        _load_codec()
    encode: Callable[[object, int], Any] = _codec[1]
    return encode


def _load_codec() -> None:
    """Take json's C scanner and encoder; on an interpreter without them the public module."""
    try:
        import _json

        ascii_text = _json.encode_basestring_ascii
        encode = _json.make_encoder(None, _refuse, ascii_text, None, ":", ",", False, False, False)
        context: Any = _Plain
        _codec[:] = (_json.make_scanner(context), encode)
    except (ImportError, AttributeError, TypeError):
        import json

        decoder, encoder = json.JSONDecoder(strict=False), json.JSONEncoder(separators=(",", ":"))
        _codec[:] = (decoder.raw_decode, lambda value, _level: encoder.encode(value))


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no JSON form")
