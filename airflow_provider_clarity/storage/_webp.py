"""The header of a WEBP, simple and extended (RFC 9649). Never raises."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from airflow_provider_clarity.storage._exif import swaps_sides
from airflow_provider_clarity.storage.header import Header, NeedMore, NotAPicture

MAGIC: Final = b"RIFF"

_FORM: Final = b"WEBP"
_FIRST_CHUNK: Final = 12
_BODY: Final = _FIRST_CHUNK + 8
_NEEDED: Final = _BODY + 10  # enough for the size in each of the three kinds
_EXIF_FLAG: Final = 0x08
_ALPHA_FLAG: Final = 0x10
_START_CODE: Final = b"\x9d\x01\x2a"
_LOSSLESS: Final = 0x2F
_FOURTEEN: Final = 0x3FFF


def read(data: bytes) -> Header | NeedMore | NotAPicture:
    """Read from the beginning of a file that starts with `MAGIC`."""
    if not _FORM.startswith(data[8:_FIRST_CHUNK]):
        return NotAPicture("a RIFF file, but no WEBP")
    if len(data) < _NEEDED:
        return NeedMore(_NEEDED)
    reader = _KINDS.get(data[_FIRST_CHUNK : _FIRST_CHUNK + 4])
    if reader is None:
        return NotAPicture("a WEBP with a broken header")
    (riff,) = struct.unpack_from("<I", data, 4)
    return reader(data, riff + 8)


def _lossy(data: bytes, length: int) -> Header | NotAPicture:
    width, height = (side & _FOURTEEN for side in struct.unpack_from("<HH", data, _BODY + 6))
    if data[_BODY + 3 : _BODY + 6] != _START_CODE or not (width and height):
        return NotAPicture("a WEBP with a broken frame")
    return Header("WEBP", width, height, alpha=False, length=length)


def _lossless(data: bytes, length: int) -> Header | NotAPicture:
    if data[_BODY] != _LOSSLESS:
        return NotAPicture("a WEBP with a broken frame")
    (bits,) = struct.unpack_from("<I", data, _BODY + 1)
    width, height = 1 + (bits & _FOURTEEN), 1 + (bits >> 14 & _FOURTEEN)
    return Header("WEBP", width, height, alpha=bool(bits >> 28 & 1), length=length)


def _extended(data: bytes, length: int) -> Header | NeedMore:
    flags = data[_BODY]
    width = 1 + int.from_bytes(data[_BODY + 4 : _BODY + 7], "little")
    height = 1 + int.from_bytes(data[_BODY + 7 : _BODY + 10], "little")
    alpha = bool(flags & _ALPHA_FLAG)
    known = Header("WEBP", width, height, alpha, length)
    if not flags & _EXIF_FLAG:
        return known
    at = _FIRST_CHUNK
    while at < length:
        if at + 8 > len(data):
            return NeedMore(at + 8, known, skip_to=at)
        kind, size = struct.unpack_from("<4sI", data, at)
        after = at + 8 + size + size % 2
        if kind == b"EXIF":
            if at + 8 + size > len(data):
                return NeedMore(at + 8 + size, known)
            swapped = swaps_sides(data[at + 8 : at + 8 + size])
            return Header("WEBP", height, width, alpha, length) if swapped else known
        at = after
    return known


_KINDS: Final[dict[bytes, Callable[[bytes, int], Header | NeedMore | NotAPicture]]] = {
    b"VP8 ": _lossy,
    b"VP8L": _lossless,
    b"VP8X": _extended,
}
