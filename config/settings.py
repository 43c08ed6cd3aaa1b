"""Every setting, read once into one frozen value that is handed down.

Layers, later ones win: defaults.toml, the user's file, the project's `.einstein.toml`, the environment
(`EINSTEIN_WATCH_DEBOUNCE_MS`), flags (`{"watch.debounce_ms": "80"}`). A project file comes from whoever wrote
the source tree, so it may only narrow what is indexed: more ignores, fewer languages. No layer below
defaults.toml can invent a key; a key that does not exist is an error that names the nearest one that does.

The classes below carry the types and defaults.toml the values; a key that is only in one of the two fails in
`load`. No other module reads the environment for a setting. Values survive pickling, for spawned workers.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from config import paths
from config.errors import ConfigError

ENV_PREFIX = "EINSTEIN_"


@dataclass(frozen=True, slots=True)
class Index:
    """Which files are indexed, and in which batches."""

    file_bytes_max: int
    line_chars_max: int
    batch_bytes: int
    batch_ms: int
    text_first_files: int
    ignore: tuple[str, ...]
    languages: tuple[str, ...]
    include_hidden: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """How changes are noticed."""

    debounce_ms: int
    settle_ms: int
    debounce_max_ms: int
    rescan_s: int
    pending_paths_max: int
    sync_timeout_ms: int


@dataclass(frozen=True, slots=True)
class Workers:
    """The parse processes and their limits."""

    count: int
    file_deadline_ms: int
    memory_mb: int
    queue_jobs: int


@dataclass(frozen=True, slots=True)
class Store:
    """The index on disk."""

    map_gib: int
    segment_bytes_max: int
    segment_docs_max: int
    merge_fanout: int
    idle_merge_s: int
    changes_kept: int


@dataclass(frozen=True, slots=True)
class Pool:
    """The vector pool."""

    rows: int


@dataclass(frozen=True, slots=True)
class Model:
    """The embedding model."""

    tier0: str


@dataclass(frozen=True, slots=True)
class Transformer:
    """The second embedding model, in the background."""

    model: str
    query_budget_ms: int


@dataclass(frozen=True, slots=True)
class Query:
    """Query processes and the limits of one query."""

    processes: int
    scan_processes: int
    deadline_ms: int
    grep_deadline_ms: int
    limit: int
    threads: int
    text_budget_ms: int
    snippet_chars_max: int
    kernel: str


@dataclass(frozen=True, slots=True)
class Daemon:
    """Sockets, log and the life of the processes."""

    idle_exit_s: int
    socket_dir: str
    log_bytes_max: int
    frame_bytes_max: int
    restart_backoff_ms: int
    start_timeout_ms: int
    clients_max: int


@dataclass(frozen=True, slots=True)
class Rank:
    """Weights of the ranking; what each one does stands in defaults.toml."""

    rrf_k: float
    bm25_k1: float
    bm25_b: float
    name_weight: float
    path_weight: float
    text_weight: float
    symbol_weight: float
    lexical_weight: float
    semantic_weight: float
    definition_boost: float
    exact_boost: float
    whole_word_boost: float
    path_boost: float
    coherence_boost: float
    recent_boost: float
    test_factor: float
    generated_factor: float
    vendored_factor: float
    docs_factor: float


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings in force for one root (or for the daemon, without a project file)."""

    index: Index
    watch: Watch
    workers: Workers
    store: Store
    pool: Pool
    model: Model
    transformer: Transformer
    query: Query
    daemon: Daemon
    rank: Rank
    # "watch.debounce_ms" -> the layer that decided, as people read it: "default", a file, "$NAME", "flag"
    origins: Mapping[str, str] = field(compare=False, repr=False)

    def items(self) -> list[tuple[str, Any, str]]:
        """Every setting as (key, value, origin), in the order of defaults.toml."""
        listed = []
        for key in _KINDS:
            group, _, name = key.partition(".")
            listed.append((key, getattr(getattr(self, group), name), self.origins[key]))
        return listed


_GROUPS: dict[str, type[Any]] = {
    "index": Index,
    "watch": Watch,
    "workers": Workers,
    "store": Store,
    "pool": Pool,
    "model": Model,
    "transformer": Transformer,
    "query": Query,
    "daemon": Daemon,
    "rank": Rank,
}

# "watch.debounce_ms" -> "int": annotations are strings here, and these five are all there are.
_KINDS: dict[str, str] = {
    f"{group}.{f.name}": str(f.type) for group, cls in _GROUPS.items() for f in fields(cls)
}

_NARROWING = ("index.ignore", "index.languages")

# Smallest value where 0 would make no sense; every other number is >= 0.
_MINIMUM: dict[str, int] = {
    "index.file_bytes_max": 1,
    "index.line_chars_max": 80,
    "index.batch_bytes": 65_536,
    "index.text_first_files": 1,
    "workers.file_deadline_ms": 1,
    "workers.memory_mb": 64,
    "workers.queue_jobs": 1,
    "store.map_gib": 1,
    "store.segment_bytes_max": 1_048_576,
    "store.segment_docs_max": 1,
    "store.merge_fanout": 2,
    "store.idle_merge_s": 0,
    "store.changes_kept": 1,
    "pool.rows": 65_536,
    "query.deadline_ms": 1,
    "query.limit": 1,
    "query.threads": 1,
    "query.snippet_chars_max": 20,
    "daemon.log_bytes_max": 4_096,
    "daemon.frame_bytes_max": 4_096,
    "daemon.restart_backoff_ms": 1,
    "daemon.start_timeout_ms": 100,
    "daemon.clients_max": 1,
}
_MAXIMUM: dict[str, int] = {"store.segment_docs_max": 128_000, "store.segment_bytes_max": 4 << 30}
_CHOICES: dict[str, tuple[str, ...]] = {
    "model.tier0": ("static", ""),
    "query.kernel": ("auto", "numpy", "signs", "faiss", "mlx"),
}


def load(
    project_root: str | os.PathLike[str] | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force.

    project_root  a root whose .einstein.toml may narrow `index`; None for the daemon itself
    flags         "group.key" -> value, or its text as in the environment
    environ       os.environ if None

    Raises ConfigError, naming the file, the key and what would be right.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def put(key: str, value: Any, origin: str) -> None:
        values[key], origins[key] = value, origin

    for key, value in _read_toml(Path(__file__).with_name("defaults.toml")).items():
        put(key, _checked(key, value, "defaults.toml"), "default")
    missing = _KINDS.keys() - values.keys()
    assert not missing, f"defaults.toml lacks {sorted(missing)}"

    user_file = paths.user_file(environ)
    if user_file.is_file():
        for key, value in _read_toml(user_file).items():
            put(key, _checked(key, value, str(user_file)), str(user_file))
    if project_root is not None and (project_file := paths.project_file(project_root)).is_file():
        for key, value in _read_toml(project_file).items():
            put(key, _narrowed(key, value, values, str(project_file)), str(project_file))
    for name, key in _environment_keys(environ).items():
        put(key, _checked(key, _from_text(key, environ[name], name), name), f"${name}")
    for key, value in (flags or {}).items():
        _require_known(key, "flag")
        plain = _from_text(key, value, "flag") if isinstance(value, str) else value
        put(key, _checked(key, plain, "flag"), "flag")
    return _assemble(values, origins)


def variable(key: str) -> str:
    """The environment's name of a setting: watch.debounce_ms -> EINSTEIN_WATCH_DEBOUNCE_MS."""
    return ENV_PREFIX + key.replace(".", "_").upper()


def nearest(name: str, known: list[str]) -> str:
    """The known name most like `name`, or "" if none is alike."""
    import difflib

    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return found[0] if found else ""


def _read_toml(path: Path) -> dict[str, Any]:
    """The file's settings as "group.key" -> value; every key exists."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    flat: dict[str, Any] = {}
    for group, table in document.items():
        if not isinstance(table, dict):
            mend = _did_you_mean(group, list(_KINDS))
            raise ConfigError(f"{path}: {group} stands outside of a group; {mend}")
        if group not in _GROUPS:
            raise ConfigError(f"{path}: unknown group [{group}]; {_did_you_mean(group, list(_GROUPS))}")
        for key, value in table.items():
            _require_known(f"{group}.{key}", str(path))
            flat[f"{group}.{key}"] = value
    return flat


def _require_known(key: str, where: str) -> None:
    if key not in _KINDS:
        raise ConfigError(f"{where}: unknown setting {key}; {_did_you_mean(key, list(_KINDS))}")


def _did_you_mean(name: str, known: list[str]) -> str:
    """The mend: the right key in the wrong group first, then what is spelled most alike."""
    by_tail = {key.rpartition(".")[2]: key for key in known}
    tail = name.rpartition(".")[2]
    best = by_tail.get(tail) or nearest(name, known) or by_tail.get(nearest(tail, list(by_tail)), "")
    return f"did you mean {best}?" if best else f"known are {', '.join(known)}"


def _checked(key: str, value: Any, where: str) -> Any:
    """The value with the type of its field (lists become tuples); a ConfigError says what is wrong."""
    kind = _KINDS[key]
    if kind == "float" and type(value) is int:
        value = float(value)
    right = {
        "int": type(value) is int,
        "float": type(value) is float,
        "bool": type(value) is bool,
        "str": type(value) is str,
        "tuple[str, ...]": isinstance(value, (list, tuple)) and all(type(item) is str for item in value),
    }[kind]
    if not right:
        wanted = "list of strings" if kind.startswith("tuple") else kind
        raise ConfigError(f"{where}: {key} = {value!r} is not of type {wanted}")
    if kind.startswith("tuple"):
        return tuple(value)
    if kind in ("int", "float"):
        low, high = _MINIMUM.get(key, 0), _MAXIMUM.get(key)
        if not low <= value < float("inf") or (high is not None and value > high):
            bounds = f"at least {low}" if high is None else f"{low} to {high}"
            raise ConfigError(f"{where}: {key} = {value} is out of range; it must be {bounds}")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise ConfigError(f"{where}: {key} = {value!r} is not one of {', '.join(map(repr, _CHOICES[key]))}")
    return value


def _narrowed(key: str, value: Any, before: Mapping[str, Any], where: str) -> Any:
    """A project's value joined with what it narrows."""
    if key not in _NARROWING:
        allowed = " and ".join(_NARROWING)
        raise ConfigError(f"{where}: a project may set only {allowed}, not {key}; put it in the user's file")
    wanted: tuple[str, ...] = _checked(key, value, where)
    had: tuple[str, ...] = before[key]
    if key == "index.ignore":
        again = [glob for glob in wanted if glob.startswith("!")]
        if again:
            raise ConfigError(
                f"{where}: index.ignore may only ignore more; not allowed are {', '.join(again)}"
            )
        return had + tuple(glob for glob in wanted if glob not in had)
    if not had or not wanted:
        return wanted or had
    both = tuple(name for name in had if name in wanted)
    if not both:  # an empty tuple would mean all languages
        raise ConfigError(f"{where}: index.languages = {list(wanted)} leaves nothing of {list(had)}")
    return both


def _environment_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment's variable names that are settings -> their keys.

    EINSTEIN_CACHE_DIR and EINSTEIN_CONFIG_FILE are places (see paths.py), not settings. A name that starts
    like a group, or is nearly a setting, is a spelling mistake and an error; any other EINSTEIN_ name is
    somebody else's.
    """
    by_name = {variable(key): key for key in _KINDS}
    found: dict[str, str] = {}
    for name in environ:
        if not name.startswith(ENV_PREFIX):
            continue
        if name in by_name:
            found[name] = by_name[name]
            continue
        starts_like_group = name[len(ENV_PREFIX) :].split("_")[0].lower() in _GROUPS
        best = nearest(name, list(by_name))
        if starts_like_group or (best and _alike(name, best)):
            raise ConfigError(f"environment: unknown setting {name}; did you mean {best}?")
    return found


def _alike(name: str, other: str) -> bool:
    import difflib

    return difflib.SequenceMatcher(None, name, other).ratio() >= 0.9


def _from_text(key: str, text: str, where: str) -> Any:
    """The value that a text from the environment or a flag stands for."""
    kind = _KINDS[key]
    try:
        if kind == "int":
            return int(text.replace("_", ""))
        if kind == "float":
            return float(text)
    except ValueError:
        raise ConfigError(f"{where}: {key} = {text!r} is not a number") from None
    if kind == "bool":
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"{where}: {key} = {text!r} is neither true nor false")
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _assemble(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    made = {
        group: cls(**{f.name: values[f"{group}.{f.name}"] for f in fields(cls)})
        for group, cls in _GROUPS.items()
    }
    settings = Settings(**made, origins=dict(origins))
    if settings.watch.debounce_max_ms < settings.watch.debounce_ms:
        raise ConfigError(
            f"watch.debounce_max_ms = {settings.watch.debounce_max_ms} is below"
            f" watch.debounce_ms = {settings.watch.debounce_ms}"
        )
    return settings
