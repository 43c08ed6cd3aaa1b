"""Imports and files as paths of modules. Pure.

`app.retry`, `app::retry`, `./app/retry.js`, `<app/retry.h>` and the file app/retry.py are all `app/retry`. A
module may be named by its last parts; one that is written with a single part means a file beside the
importing one or in a directory above it, for `import os` is rarely the os.py of another directory.
"""

from __future__ import annotations

import posixpath
import re

from indexer.languages import LANGUAGES
from indexer.records import Bool
from indexer.store.root_view import Paths

_INDEX = re.compile(rb"/(?:__init__|__main__|index|mod)$")  # a file that stands for its directory
_OWN = re.compile(rb"^(?:crate|self|super|@)(?:::|/)")
_OF_INCLUDES = frozenset((b"h", b"hh", b"hpp", b"hxx", b"inc", b"inl", b"def", b"css", b"scss", b"less"))
_EXTENSIONS = (
    _OF_INCLUDES
    | frozenset((b"ts", b"m", b"pl"))
    | frozenset(each.encode() for language in LANGUAGES.values() for each in language.extensions)
)


def module_of_import(text: bytes) -> bytes:
    """Return what an import names, without dots in front, and extension."""
    text = _OWN.sub(b"", text.strip(b"<>\"'")).replace(b"\\", b"/").replace(b"::", b"/")
    if b"/" in text:
        return module_of_file(text)
    stem, _, extension = text.rpartition(b".")
    return _joined((stem if stem and extension in _OF_INCLUDES else text).replace(b".", b"/"))


def module_of_file(path: bytes) -> bytes:
    """Return the module that a file is."""
    directory, slash, name = path.rpartition(b"/")
    stem, _, extension = name.rpartition(b".")
    return _joined(directory + slash + (stem if stem and extension in _EXTENSIONS else name))


def named(text: str) -> tuple[bytes, ...]:
    """Return the modules that a user may mean, likeliest first: `flask.json` is one, `retry.py` a file."""
    raw = text.encode("utf-8", "surrogateescape")
    return tuple(dict.fromkeys(module for module in (module_of_import(raw), module_of_file(raw)) if module))


def _joined(path: bytes) -> bytes:
    parts = [part for part in path.split(b"/") if part not in (b"", b".", b"..")]
    return _INDEX.sub(b"", b"/" + b"/".join(parts))[1:]


class Modules:
    """The files of a root by the last part of the module that each is."""

    def __init__(self, paths: Paths, before: Modules | None = None) -> None:
        """Take in all paths, the first of which are those of `before`; Linux 6.1: 0.2 s."""
        self._module: list[bytes] = [] if before is None else before._module.copy()
        self._by_last: dict[bytes, tuple[int, ...]] = {} if before is None else before._by_last.copy()
        for slot in range(len(self._module), len(paths)):
            module = module_of_file(paths[slot] or b"")
            last = module.rpartition(b"/")[2]
            self._module.append(module)
            self._by_last[last] = (*self._by_last.get(last, ()), slot)

    def __len__(self) -> int:
        return len(self._module)

    def ending(self, module: bytes) -> list[int]:
        """Return the files whose module is this one or ends with it."""
        tail = b"/" + module
        last = self._by_last.get(module.rpartition(b"/")[2], ())
        return [slot for slot in last if (b"/" + self._module[slot]).endswith(tail)]

    def meant(self, text: bytes, importer: bytes, alive: Bool) -> list[int]:
        """Return the living files that an import in a file may mean: of several the nearest."""
        directory = posixpath.dirname(importer)
        if (near := _relative(text, directory)) is not None:
            return [slot for slot in self.ending(near) if self._module[slot] == near and alive[slot]]
        module = module_of_import(text)
        found = [slot for slot in self.ending(module) if alive[slot]] if module else []
        if b"/" not in module:
            found = [slot for slot in found if self._is_above(slot, directory)]
        shared = [_shared(self._module[slot], directory) for slot in found]
        return [slot for slot, n in zip(found, shared, strict=True) if n == max(shared)]

    def _is_above(self, slot: int, directory: bytes) -> bool:
        own = posixpath.dirname(self._module[slot])
        return not own or directory == own or directory.startswith(own + b"/")


def _relative(text: bytes, directory: bytes) -> bytes | None:
    """Return the module that an import names relative to its directory; None if it does not."""
    if text.startswith((b"./", b"../")):
        return module_of_file(posixpath.normpath(posixpath.join(directory, text)))
    if text.startswith(b"."):  # Python: each dot after the first is a directory up
        dots = len(text) - len(text.lstrip(b"."))
        above = posixpath.normpath(posixpath.join(directory, b"../" * (dots - 1)))
        return module_of_file(posixpath.join(above, text[dots:].replace(b".", b"/")))
    return None


def _shared(module: bytes, directory: bytes) -> int:
    """Return how many directories a module and a directory share from the root on."""
    n = 0
    for one, other in zip(module.split(b"/")[:-1], directory.split(b"/"), strict=False):
        if one != other:
            break
        n += 1
    return n
