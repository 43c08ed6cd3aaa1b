"""Where everything of this user lives: index, socket, lock, log and settings files.

One index per user, so one cache directory; `EINSTEIN_CACHE_DIR` moves all of it, and with it the daemon that
serves it: the socket's directory is named by a hash of the cache directory's real path, so two cache
directories are two daemons that never meet. The index itself is kept in the cache directory because it can
always be built again from the sources; settings are not a cache and live in the configuration directory.

The `search` command asks this module for a socket on every start, so the way to `query_socket` imports
nothing that the interpreter has not loaded by itself (pathlib alone costs about 5 ms).
"""

from __future__ import annotations

import os
import stat
import sys

from config.errors import ConfigError, SocketPathTooLong

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is 3 ms that `search` need not pay
    from collections.abc import Mapping
    from pathlib import Path

# Bytes of sockaddr_un.sun_path without the final NUL: 104 on macOS (sys/un.h), 108 on Linux (unix(7)).
SOCKET_PATH_BYTES_MAX = 103 if sys.platform == "darwin" else 107

PROJECT_FILE = ".einstein.toml"


def cache_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The directory of the index, the lock and the log; not created here."""
    return _path(_cache(_environ(environ)))


def store_dir(version: int, environ: Mapping[str, str] | None = None) -> Path:
    """The index of one format version; another version is another directory, so both can exist."""
    return cache_dir(environ) / f"store-v{version}"


def pool_dir(version: int, fingerprint: str, environ: Mapping[str, str] | None = None) -> Path:
    """The vector pool of one model in the index of one format version; no two ever share rows."""
    return store_dir(version, environ) / "pools" / fingerprint


def transformer_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Vectors of tier 1, a directory for each model: by content, so they outlive the format of the index."""
    return cache_dir(environ) / "transformer"


def transformer_state(environ: Mapping[str, str] | None = None) -> Path:
    """What the transformer process says of itself."""
    return transformer_dir(environ) / "state.json"


def lock_path(environ: Mapping[str, str] | None = None) -> Path:
    """The file a supervisor locks for life; it is never deleted."""
    return cache_dir(environ) / "daemon.lock"


def pid_path(environ: Mapping[str, str] | None = None) -> Path:
    """The file with the supervisor's process id."""
    return cache_dir(environ) / "daemon.pid"


def log_path(environ: Mapping[str, str] | None = None) -> Path:
    """The daemon's log; rotated copies stand beside it with .1, .2, ..."""
    return cache_dir(environ) / "log" / "searchd.log"


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """The user's settings: $EINSTEIN_CONFIG_FILE, else einstein/config.toml below ~/.config (XDG rules)."""
    return _path(_user_file(_environ(environ)))


def project_file(root: str | os.PathLike[str]) -> Path:
    """The settings that a source tree brings along; they may only narrow what is indexed."""
    return _path(os.fspath(root)) / PROJECT_FILE


def runtime_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The private directory of the sockets; not created here."""
    return _path(_runtime(_environ(environ)))


def query_socket(environ: Mapping[str, str] | None = None) -> str:
    """Where the query processes listen. Raises SocketPathTooLong."""
    return _checked_socket(_runtime(_environ(environ)) + "/q.sock")


def writer_socket(environ: Mapping[str, str] | None = None) -> str:
    """Where the writer process listens for the query processes. Raises SocketPathTooLong."""
    return _checked_socket(_runtime(_environ(environ)) + "/w.sock")


def transformer_socket(environ: Mapping[str, str] | None = None) -> str:
    """Where the transformer process waits for questions. Raises SocketPathTooLong."""
    return _checked_socket(_runtime(_environ(environ)) + "/t.sock")


def ensure_private_dir(path: str | os.PathLike[str]) -> Path:
    """Create `path` with mode 0700, or verify that it is ours alone; the directory is what keeps others out.

    A directory of ours with other permissions gets these; one that belongs to somebody else, that is shared
    by design (/tmp) or that cannot be made is a ConfigError.
    """
    made = _path(os.fspath(path))
    try:
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = made.stat()
    except OSError as error:
        raise ConfigError(
            f"the directory {made} cannot be made: {error.strerror}; EINSTEIN_CACHE_DIR names another place"
        ) from None
    if found.st_uid != os.getuid():
        raise ConfigError(
            f"{made} belongs to user {found.st_uid}, not to {os.getuid()}; choose another directory"
        )
    if found.st_mode & stat.S_ISVTX:
        raise ConfigError(f"{made} is shared with other users; choose a directory of your own below it")
    if stat.S_IMODE(found.st_mode) != 0o700:
        made.chmod(0o700)
    return made


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111  pathlib stays out of `search`


def _cache(environ: Mapping[str, str]) -> str:
    chosen = environ.get("EINSTEIN_CACHE_DIR")
    if chosen:
        return os.path.abspath(chosen)  # noqa: PTH100
    if sys.platform == "darwin":
        return _home(environ) + "/Library/Caches/einstein"
    return (environ.get("XDG_CACHE_HOME") or _home(environ) + "/.cache") + "/einstein"


def _user_file(environ: Mapping[str, str]) -> str:
    chosen = environ.get("EINSTEIN_CONFIG_FILE")
    if chosen:
        return chosen
    return (environ.get("XDG_CONFIG_HOME") or _home(environ) + "/.config") + "/einstein/config.toml"


def _runtime(environ: Mapping[str, str]) -> str:
    cache = os.path.realpath(_cache(environ))
    name = f"{_fnv1a(os.fsencode(cache)):016x}"
    chosen = _socket_dir(environ)
    if chosen:
        return f"{chosen}/einstein/{name}"
    run = environ.get("XDG_RUNTIME_DIR")
    # $XDG_RUNTIME_DIR is private and emptied at log-out; macOS has none, and sweeps its temporary directory.
    if run and sys.platform != "darwin" and os.access(run, os.W_OK):
        return f"{run}/einstein/{name}"
    return f"{cache}/run/{name}"


def _socket_dir(environ: Mapping[str, str]) -> str:
    """The setting daemon.socket_dir, without reading any TOML unless the user's file mentions it.

    settings.py stands on this module, so this one setting is read here, from the two layers that can have it;
    what else is wrong with the file the daemon says.
    """
    chosen = environ.get("EINSTEIN_DAEMON_SOCKET_DIR")
    if chosen is not None:
        return chosen
    path = _user_file(environ)
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read()
    except OSError:
        return ""
    if b"socket_dir" not in content:
        return ""
    import tomllib

    try:
        group = tomllib.loads(content.decode()).get("daemon", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    chosen = group.get("socket_dir", "") if isinstance(group, dict) else ""
    if not isinstance(chosen, str):
        raise ConfigError(f"{path}: daemon.socket_dir = {chosen!r} is not of type str")
    return chosen


def _fnv1a(data: bytes) -> int:
    """FNV-1a, 64 bits: a name, not a secret, and hashlib is 2 ms that `search` need not pay."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def _checked_socket(path: str) -> str:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES_MAX:
        raise SocketPathTooLong(
            f"the socket path {path} has {length} bytes and this system allows {SOCKET_PATH_BYTES_MAX};"
            " set EINSTEIN_DAEMON_SOCKET_DIR to a shorter directory"
        )
    return path
