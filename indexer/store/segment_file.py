"""One segment file being written: sections in any order, then the table, then the preamble.

It knows the frame of the file (places, checksums, durability), not what the sections mean. Sections whose
size is known are given their place at once and may be filled side by side; one section at a time may have
an unknown size and stands at the end until it is closed. So a merge streams gigabytes through fixed memory.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from types import TracebackType

import msgspec
import numpy as np
import numpy.typing as npt

from indexer.records import TextSegment
from indexer.store import faults
from indexer.store.disk import TEMPORARY, flush_directory, remove, translated
from indexer.store.format import (
    ALIGN,
    FORMAT_VERSION,
    MAGIC,
    PREAMBLE,
    PREAMBLE_BYTES,
    SECTIONS,
    Counts,
    Place,
    SegmentInfo,
    Table,
)

Array = npt.NDArray[np.generic]


class Section:
    """A section being filled from its start."""

    def __init__(self, file: SegmentFile, name: str, offset: int, room: int | None) -> None:
        """Start at `offset`; `room` is the largest size if it is known."""
        self._file = file
        self.name = name
        self.offset = offset
        self.room = room
        self.nbytes = 0
        self._crc = 0

    def write(self, data: Array | bytes | memoryview) -> None:
        """Append an array, converted to the section's type, or bytes."""
        if isinstance(data, bytes | memoryview):
            buffer = memoryview(data)
        else:
            buffer = np.ascontiguousarray(data, SECTIONS[self.name]).reshape(-1).view(np.uint8).data
        self._file.write_at(self.offset + self.nbytes, buffer)
        self._crc = zlib.crc32(buffer, self._crc)
        self.nbytes += len(buffer)

    def close(self) -> None:
        """Enter the section into the table; room that was not needed stays a hole in the file."""
        assert self.room is None or self.nbytes <= self.room, (self.name, self.nbytes, self.room)
        self._file.closed(self, Place(self.offset, self.nbytes, self._crc))


class SegmentFile:
    """A context: leaving it without `finish` removes every trace, and a full disk becomes StoreFull.

    A worker may fill most of a file and `suspend` it; the writer then goes on with it (`resumed`).
    """

    def __init__(self, path: Path, segment_id: int) -> None:
        """Start writing under a temporary name beside `path`."""
        self._path = path
        self._id = segment_id
        self._temporary = path.with_name(path.name + TEMPORARY)
        self._created = True
        self._fd = -1
        self._end = PREAMBLE_BYTES
        self._tail: Section | None = None
        self._places: dict[str, Place] = {}

    def __enter__(self) -> SegmentFile:
        """Create the temporary file, or open the one that was left."""
        how = os.O_CREAT | os.O_TRUNC if self._created else 0
        try:
            self._fd = os.open(self._temporary, os.O_RDWR | how, 0o600)
        except OSError as error:
            raise translated(error, f"writing segment {self._path.name}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Remove the temporary file if it was not finished."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if self._created:
                remove(self._temporary)
        if isinstance(error, OSError):
            raise translated(error, f"writing segment {self._path.name}") from error

    @classmethod
    def resumed(cls, path: Path, segment_id: int, text: TextSegment) -> SegmentFile:
        """Go on with what `suspend` left, now with a number; if that fails, it is left as it was."""
        file = cls(path, segment_id)
        file._temporary = Path(text.path)
        file._created = False
        file._end = text.end
        file._places = {name: Place(*place) for name, place in text.sections.items()}
        return file

    def suspend(self) -> tuple[str, dict[str, tuple[int, int, int]], int]:
        """Stop here; return the name of the file, the places of the sections, and its length."""
        assert self._tail is None, self._tail
        os.close(self._fd)
        self._fd = -1
        places = {name: (each.offset, each.nbytes, each.crc) for name, each in self._places.items()}
        return str(self._temporary), places, self._end

    def put(self, name: str, data: Array | bytes) -> None:
        """Write a whole section."""
        section = self.section(name)
        section.write(data)
        section.close()

    def section(self, name: str, items: int | None = None) -> Section:
        """Open a section; with `items`, the most it will hold, others may be open beside it."""
        assert self._tail is None, (name, self._tail.name if self._tail else "")
        self._end += -self._end % ALIGN
        room = None if items is None else items * np.dtype(SECTIONS[name]).itemsize
        section = Section(self, name, self._end, room)
        if room is None:
            self._tail = section
        else:
            self._end += room
        return section

    def closed(self, section: Section, place: Place) -> None:
        """Enter a filled section; called by it."""
        if section is self._tail:
            self._tail = None
            self._end = place.offset + place.nbytes
        self._places[section.name] = place

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write all of `data`."""
        while data:
            written = os.pwrite(self._fd, data, offset)
            data, offset = data[written:], offset + written

    def finish(self, counts: Counts, languages: list[str], content_bytes: int) -> SegmentInfo:
        """Write table and preamble, flush, give the file its name."""
        assert set(self._places) == set(SECTIONS), set(SECTIONS) ^ set(self._places)
        table = msgspec.msgpack.encode(Table(self._places, counts, languages))
        at = self._end + -self._end % ALIGN
        head = PREAMBLE.pack(MAGIC, FORMAT_VERSION, self._id, at, len(table), zlib.crc32(table), 0)[:-4]
        self.write_at(at, memoryview(table))
        self.write_at(0, memoryview(head + zlib.crc32(head).to_bytes(4, "little")))
        os.fsync(self._fd)
        faults.point("segment-written")
        self._temporary.replace(self._path)
        os.close(self._fd)
        self._fd = -1
        flush_directory(self._path.parent)
        sizes = {name: place.nbytes for name, place in self._places.items()}
        return SegmentInfo(self._id, counts, content_bytes, at + len(table), sizes)
