"""Bytes on disk -> UTF-8 text, or the verdict that they are no text. Pure.

UTF-8 is taken as it is; UTF-16 needs its byte order mark; whatever else looks like text is Latin-1, in which
every byte has a meaning: its ASCII parts, nearly all of source code, come out right. The index and every live
read use this one function, so offsets mean the same in both.
"""

from __future__ import annotations

import re

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_UTF32_MARKS = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")

# Control characters that text does not contain: all but tab, line feed, form feed, carriage return, escape.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_CONTROL_SHARE_MAX = 0.05  # of a file that is not UTF-8; Latin-1 text has none, compressed data 12 %
_SAMPLE_BYTES = 65_536


def decode(raw: bytes) -> tuple[bytes, str] | None:
    """Return (content as UTF-8, name of the encoding), or None if the bytes are not text.

    The encoding is "utf-8", "utf-16-le", "utf-16-be" or "latin-1". A byte order mark is removed,
    line ends stay. Text holds no NUL character: that byte separates files in a segment.
    """
    utf16 = _UTF16_MARKS.get(raw[:2])
    if utf16 is not None and not raw.startswith(_UTF32_MARKS):
        return _decode_utf16(raw[2:], utf16)
    if b"\0" in raw:
        return None
    content = raw.removeprefix(_UTF8_MARK)
    if content.isascii():
        return content, "utf-8"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        sample = raw[:_SAMPLE_BYTES]
        if len(_CONTROL.findall(sample)) > _CONTROL_SHARE_MAX * len(sample):
            return None
        return raw.decode("latin-1").encode("utf-8"), "latin-1"
    return content, "utf-8"


def decode_live(raw: bytes) -> bytes | None:
    """Return the content of a file read for an answer, as the index would hold it; None if it is not text."""
    decoded = decode(raw)
    return None if decoded is None else decoded[0]


def _decode_utf16(body: bytes, encoding: str) -> tuple[bytes, str] | None:
    try:
        content = body.decode(encoding).encode("utf-8")
    except UnicodeError:  # an odd number of bytes or a lone surrogate
        return None
    return None if b"\0" in content else (content, encoding)
