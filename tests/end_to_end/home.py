"""A real daemon in a private home: its own cache directory, its own sockets, the settings as they ship."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from config import paths
from config.errors import EinsteinError
from daemon import client

PATIENCE_S = 30.0
REPO = Path(__file__).resolve().parents[2]
POLL_S = 0.005

T = TypeVar("T")


class Home:
    """The user's home directory of a test, and the daemon in it. `start` runs the real supervisor."""

    def __init__(self, at: Path, settings: Mapping[str, str] | None = None) -> None:
        """Nothing runs yet. `settings` are EINSTEIN_* variables without that prefix."""
        self.at = at
        self.cache = at / "cache"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("EINSTEIN_", "XDG_"))}
        self.env: dict[str, str] = kept | {
            "HOME": str(at),
            "EINSTEIN_CACHE_DIR": str(self.cache),
            "EINSTEIN_QUERY_PROCESSES": "1",
            "NO_COLOR": "1",
        }
        self.env |= {f"EINSTEIN_{key}": value for key, value in (settings or {}).items()}
        self._ours: list[subprocess.Popen[bytes]] = []  # supervisors, to be waited for

    # The daemon.

    def start(self) -> None:
        """Start the daemon and wait until it is ready; AlreadyRunning is fine."""
        client.start_daemon(PATIENCE_S, self.env)
        self._ours.append(client._started[-1])

    def stop(self) -> None:
        """Stop the daemon if it runs and wait until it has ended."""
        client.stop_daemon(PATIENCE_S, self.env)
        while self._ours:
            self._ours.pop().wait(PATIENCE_S)

    @property
    def pid(self) -> int:
        """Process id of the supervisor; 0 if none runs."""
        return client.running_pid(self.env)

    def children(self) -> dict[str, int]:
        """Name and process id of each child of the supervisor: "writer", "query 1"."""
        try:
            lines = (self.cache / "daemon.children").read_text().splitlines()
        except FileNotFoundError:
            return {}
        return {name: int(pid) for pid, _, name in (line.partition(" ") for line in lines)}

    def pids(self, kind: str) -> list[int]:
        """The processes of a kind: "supervisor", "writer", "query" or "worker"."""
        if kind == "supervisor":
            return [self.pid]
        if kind == "worker":
            processes = self.ask("status")["processes"]
            return [each["pid"] for each in processes if each["name"] == "worker"]
        return [pid for name, pid in self.children().items() if name.split()[0] == kind]

    def kill(self, kind: str) -> list[int]:
        """Send SIGKILL to every process of a kind; returns their ids."""
        pids = self.pids(kind)
        assert pids, kind
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids

    # Requests, over the socket as any program makes them.

    def ask(
        self, method: str, params: dict[str, Any] | None = None, timeout: float = PATIENCE_S, **more: Any
    ) -> dict[str, Any]:
        """One request and its result; raises what the daemon answers. Never starts a daemon."""
        return client.ask(method, {**(params or {}), **more}, start=False, timeout=timeout, environ=self.env)

    def add(self, root: Path | str, wait: bool = True) -> dict[str, Any]:
        """Index a directory."""
        return self.ask("add", path=str(root), wait=wait)

    def sync(self, path: Path | str) -> int:
        """Wait until everything saved below the root of `path` is searchable; returns the generation."""
        return int(self.ask("sync", path=str(path))["generation"])

    def search(self, query: str, path: Path | str, **params: Any) -> dict[str, Any]:
        """The answer to a query; `limit` is large unless it is given."""
        return self.ask("search", {"query": query, "path": str(path), "limit": 10_000, **params})

    def found(self, query: str, path: Path | str, **params: Any) -> list[str]:
        """The distinct paths of the hits, best first, each followed by those with the same content."""
        hits = self.search(query, path, **params)["hits"]
        return list(dict.fromkeys(path for hit in hits for path in (hit["path"], *hit["also"])))

    def status(self, root: Path | str) -> dict[str, Any]:
        """What `status` says of one root."""
        real = os.path.realpath(root)
        return next(each for each in self.ask("status")["roots"] if each["path"] == real)

    def why(self, path: Path | str) -> dict[str, Any]:
        """Whether a file is indexed, and what decides."""
        return self.ask("why", path=str(path))

    def fsck(self) -> list[str]:
        """Everything that is wrong with the index."""
        return [str(problem) for problem in self.ask("fsck")["problems"]]

    # The commands.

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        through: Sequence[str] = (),
        given: str | None = None,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run `search` or `searchd` as a user does, without a terminal; `through` stands before it.

        given  what it reads from standard input
        """
        module = {"search": "daemon.cli", "searchd": "daemon.admin"}[command[0]]
        return subprocess.run(
            [*through, sys.executable, "-m", module, *command[1:]],
            cwd=cwd or self.at,
            env=self.env | {"PYTHONPATH": str(REPO)} | env,
            input=given,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
            check=False,
        )

    def log(self) -> str:
        """The daemon's log."""
        path = paths.log_path(self.env)
        return path.read_text("utf-8", "replace") if path.exists() else ""


def until(condition: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """Ask again and again until the answer is true, and give it; what a daemon refuses meanwhile is no."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            if result := condition():
                return result
        except EinsteinError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(POLL_S)


def write(path: Path, text: str | bytes) -> Path:
    """Write a file in place, as `echo >` does; makes its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def save(path: Path, text: str | bytes) -> Path:
    """Write a file as editors do: beside it, then renamed over it."""
    write(path.with_name(f".{path.name}.swp~"), text).replace(path)
    return path


def grow(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below `root`."""
    for name, text in files.items():
        write(root / name, text)
    return root


def git(root: Path, *arguments: str) -> str:
    """Run git in `root`, without the user's or the machine's settings."""
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    environ = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        [*command, *arguments], cwd=root, env=environ, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def home_at(settings: Mapping[str, str] | None = None, start: bool = True) -> Iterator[Home]:
    """A home in a directory of its own whose path is short enough for sockets; its daemon ends with it."""
    with tempfile.TemporaryDirectory(prefix="ein", ignore_cleanup_errors=True) as directory:
        home = Home(Path(directory).resolve(), settings)
        try:
            if start:
                home.start()
            yield home
        finally:
            home.stop()
