"""The transformer process: `python -m daemon.transformer_process`, started by the supervisor.

It gives every content the vectors of a second, larger model (embedding.py), in one thread that runs behind
everything else on the background cores; in another it gives the question of a query process its vector
(transformer_link.py). It is the only process that imports PyTorch.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import logging
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from config import cores, machine, paths
from config import settings as config_settings
from config.errors import ModelError, StoreError
from config.settings import Settings
from config.threads import executor
from daemon.child import ENCODER, NOTHING_TO_DO, Supervised
from daemon.embedding import Embedding
from daemon.listening import listen
from daemon.transformer_link import serve
from daemon.transformer_state import State, write_state
from indexer.embed.contract import Embedder
from indexer.embed.transformer import load_transformer
from indexer.records import F32
from indexer.store.board import Board
from indexer.store.format import FORMAT_VERSION
from indexer.store.model_vectors import ModelVectors
from indexer.store.snapshot import Reader

IDLE_S = 1.0  # between looks for work
OPEN_WAIT_S = 60.0  # for the writer to make an index where there is none
OPEN_RETRY_S = 0.1
RETRY_S = 30.0  # after a full disk or pool
QUESTIONS_KEPT = 1_000  # their vectors: one that was too late is there when it is asked again

log = logging.getLogger("einstein.transformer")


def main() -> int:
    """Run until SIGTERM, which may end it at any point as `kill -9` may."""
    supervised = Supervised()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s transformer %(levelname)s %(message)s")
    settings = config_settings.load()
    cores.place("scan")
    directory = paths.ensure_private_dir(paths.transformer_dir())
    state = State(pid=os.getpid(), model=settings.transformer.model)
    with _alone(directory):
        worker = executor("embedding")
        worker.submit(cores.step_back).result()
        try:
            # One for each thread: the library's tokenizers may not be used by two at once.
            model, answering = [worker.submit(_encoder, settings).result() for _ in range(2)]
        except ModelError as error:
            log.error("%s", error)
            write_state(paths.transformer_state(), replace(state, problem=str(error)))
            return NOTHING_TO_DO
        state = replace(state, fingerprint=model.fingerprint, dim=model.dim)
        listener = listen(paths.transformer_socket())
        working = worker.submit(_work, settings, model, directory, state)
        working.add_done_callback(lambda _: listener.shutdown(socket.SHUT_RDWR))
        supervised.ready()
        serve(listener, model.fingerprint, _kept(answering))
        working.result()  # it ends only by an error
    return 1


def _encoder(settings: Settings) -> Embedder:
    """Load the model. Raises ModelError."""
    named = os.environ.get(ENCODER)
    if not named:
        return load_transformer(settings.transformer.model)
    module, _, function = named.partition(":")
    made: Embedder = getattr(importlib.import_module(module), function)()
    return made


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Wait until no other process writes here: one whose supervisor was killed ends soon."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _kept(model: Embedder) -> Callable[[str], F32]:
    """Return what gives a question's vector; it has answered once, for the first pays for what loads late."""

    @lru_cache(maxsize=QUESTIONS_KEPT)
    def encode(text: str) -> F32:
        vector: F32 = model.embed_texts([text])[0].astype(np.float32)
        return vector

    encode("")
    return encode


def _work(settings: Settings, model: Embedder, directory: Path, state: State) -> None:
    """Embed whatever has no vectors, for ever. Raises StoreError if there is no index."""
    own = paths.ensure_private_dir(directory / model.fingerprint)
    vectors = ModelVectors.open(own, dim=model.dim, rows_max=settings.pool.rows)
    reader, board = _index()

    def settled() -> bool:
        roots = [board.root_state(root_id) for root_id in reader.snapshot().roots]
        ready = (root is not None and root.settled and root.phase == "ready" for root in roots)
        return board.writer_alive() and all(ready)

    embedding = Embedding(reader, vectors, model, settled)
    while True:
        n, now = _step(embedding, replace(state, vector_bytes=vectors.disk_bytes))
        if now != state:
            write_state(paths.transformer_state(), now)
            state = now
        if n:
            continue
        if 0 < now.chunks_total == now.chunks_done and settled():
            _remove_others(directory, own)
        time.sleep(RETRY_S if now.problem else IDLE_S)


def _step(embedding: Embedding, state: State) -> tuple[int, State]:
    """Do a step; gives how many chunks were embedded, and the state after it."""
    paused = _pause()
    try:
        n = 0 if paused else embedding.step()
        if not n and not paused:
            embedding.tidy()
        return n, replace(state, **asdict(embedding.progress()), paused=paused, problem="")
    except StoreError as error:
        if str(error) != state.problem:
            log.error("%s", error)
        return 0, replace(state, paused=paused, problem=str(error))


def _pause() -> str:
    """Why the work rests for now; "" if it does not."""
    now = machine.conditions()
    if now.on_battery:
        return "on battery"
    if now.memory == "critical":
        return "little memory is left"
    return "the machine is hot" if now.thermal == "heavy" else ""


def _index() -> tuple[Reader, Board]:
    """Open the index; waits for the writer to make one. Raises StoreError."""
    store_dir = paths.store_dir(FORMAT_VERSION)
    deadline = time.monotonic() + OPEN_WAIT_S
    while True:
        with contextlib.ExitStack() as undo:
            try:
                reader = Reader.open(store_dir)
                undo.callback(reader.close)
                reader.snapshot()
                board = Board.open(store_dir / "board.bin")
            except StoreError:
                if time.monotonic() > deadline:
                    raise
            else:
                undo.pop_all()
                return reader, board
        time.sleep(OPEN_RETRY_S)


def _remove_others(directory: Path, own: Path) -> None:
    """Remove the vectors of other models once those of this one are complete."""
    for path in directory.iterdir():
        if path.is_dir() and path != own:
            log.info("removed the vectors of %s", path.name)
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
