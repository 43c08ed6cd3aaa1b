"""Second models for tests against a real daemon: the setting EINSTEIN_TEST_ENCODER names a function of here.

All are small and without a network; what the daemon does with them is what it does with the library's.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from config.errors import ModelError
from indexer.embed.memory import MemoryModel
from indexer.records import F16

WORDS_OF_ONE = {"automobile": "car", "physician": "doctor"}  # that tier 0 may take for different things


class Synonyms(MemoryModel):
    """Words of one meaning have one direction."""

    name = "synonyms"

    def __init__(self, dim: int = 96) -> None:
        """Vectors of `dim` numbers."""
        super().__init__(dim)
        self.fingerprint = f"synonyms-{dim}"

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """See Embedder."""
        return super().embed_texts([_translated(text) for text in texts])


def _translated(text: str) -> str:
    for word, same in WORDS_OF_ONE.items():
        text = text.replace(word, same)
    return text


def synonyms() -> Synonyms:
    """A model that knows more than tier 0 does."""
    return Synonyms()


def wider() -> Synonyms:
    """Another model."""
    return Synonyms(160)


class Slow(Synonyms):
    """Too late for every question, until it is told to hurry by the file that the environment names."""

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """See Embedder."""
        if len(texts) == 1 and texts[0].startswith("slowly") and not _told_to_hurry():
            time.sleep(0.3)
        return super().embed_texts(texts)


def _told_to_hurry() -> bool:
    return Path(os.environ["TEST_ENCODER_FILE"]).exists()


def slow() -> Slow:
    """A model that is late for questions that begin with "slowly"."""
    return Slow()


class Dying(Synonyms):
    """Kills its process, as the system may, before the chunks after the first hundred; once."""

    def __init__(self) -> None:
        """Nothing is embedded yet."""
        super().__init__()
        self._n = 0

    def embed_texts(self, texts: Sequence[str]) -> F16:
        """See Embedder."""
        self._n += len(texts)
        died = Path(os.environ["TEST_ENCODER_FILE"])
        if self._n > 300 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with died.with_suffix(".texts").open("a") as file:
            file.write("x\n" * len(texts))
        return super().embed_texts(texts)


def dying() -> Dying:
    """A model whose process is killed in the middle of its work."""
    return Dying()


def missing() -> Synonyms:
    """A model that is not on this machine."""
    raise ModelError("the model is not here")
