"""The header of a JPEG: markers up to the frame header (ITU-T T.81, annex B; EXIF in APP1). Never raises."""

from __future__ import annotations

import struct
from typing import Final

from airflow_provider_clarity.storage._exif import swaps_sides
from airflow_provider_clarity.storage.header import Header, NeedMore, NotAPicture

MAGIC: Final = b"\xff\xd8\xff"

_FILL: Final = 0xFF
_STUFFED: Final = 0x00  # FF 00 is data, no marker; before a frame it can only be junk
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # TEM, RST0 to RST7, SOI: no length follows
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 without DHT, JPG, DAC
_ENDS: Final = frozenset({0xD9, 0xDA})  # EOI, SOS
_APP1: Final = 0xE1
_EXIF: Final = b"Exif\x00\x00"
_SHORTEST_SEGMENT: Final = 2  # the length counts itself
_FRAME_SIZE: Final = 7  # length, precision, height, width


def read(data: bytes) -> Header | NeedMore | NotAPicture:
    """Read from the beginning of a file that starts with `MAGIC`."""
    exif = b""
    at = len(MAGIC) - 1
    while True:
        marker, at = _marker(data, at)
        if marker in _ENDS:
            return NotAPicture("a JPEG without a frame header")
        if marker is None or at + _FRAME_SIZE > len(data):
            return NeedMore(max(at + _FRAME_SIZE, len(data) + 1))
        if marker in _FRAMES:
            return _frame(data, at, swapped=swaps_sides(exif))
        (length,) = struct.unpack_from(">H", data, at)
        if length < _SHORTEST_SEGMENT:
            return NotAPicture("a JPEG with a broken segment")
        if at + length > len(data):
            end = at + length
            return NeedMore(end + 2, skip_to=0 if marker == _APP1 else end)
        if marker == _APP1 and data.startswith(_EXIF, at + 2):
            exif += data[at + 2 + len(_EXIF) : at + length]  # a second EXIF segment continues the first
        at += length


def _marker(data: bytes, at: int) -> tuple[int | None, int]:
    """Give the next marker that a length follows, and where that is; None where the data ends before."""
    while True:
        at = data.find(_FILL, at)
        if at < 0 or at + 2 > len(data):
            return None, len(data)
        marker = data[at + 1]
        if marker == _FILL:
            at += 1
        elif marker == _STUFFED or marker in _BARE:
            at += 2
        else:
            return marker, at + 2


def _frame(data: bytes, at: int, *, swapped: bool) -> Header | NotAPicture:
    height, width = struct.unpack_from(">HH", data, at + 3)
    if not (width and height):
        return NotAPicture("a JPEG that does not say its size")
    return Header("JPG", height, width, alpha=False) if swapped else Header("JPG", width, height, alpha=False)
