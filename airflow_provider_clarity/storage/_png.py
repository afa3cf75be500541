"""The header of a PNG: IHDR, then chunks up to the pixels (W3C PNG, third edition, sections 5 and 11). Never raises."""

from __future__ import annotations

import struct
from typing import Final

from airflow_provider_clarity.storage._exif import swaps_sides
from airflow_provider_clarity.storage.header import Header, NeedMore, NotAPicture

MAGIC: Final = b"\x89PNG\r\n\x1a\n"

_FIRST_CHUNK: Final = len(MAGIC)
_HEADER_END: Final = _FIRST_CHUNK + 8 + 13 + 4
_COLOURS_WITH_ALPHA: Final = frozenset({4, 6})
_PIXELS: Final = frozenset({b"IDAT", b"IEND"})


def read(data: bytes) -> Header | NeedMore | NotAPicture:
    """Read from the beginning of a file that starts with `MAGIC`.

    An orientation that comes after the pixels is not seen, as a viewer that shows the picture while it loads would not.
    """
    if len(data) < _HEADER_END:
        return NeedMore(_HEADER_END)
    length, kind, width, height, _, colour = struct.unpack_from(">I4sIIBB", data, _FIRST_CHUNK)
    if kind != b"IHDR" or length != _HEADER_END - _FIRST_CHUNK - 12 or not (0 < width < 2**31 and 0 < height < 2**31):
        return NotAPicture("a PNG with a broken header")
    alpha, swapped = colour in _COLOURS_WITH_ALPHA, False
    at = _HEADER_END
    while True:
        known = Header("PNG", height, width, alpha) if swapped else Header("PNG", width, height, alpha)
        if at + 8 > len(data):
            return NeedMore(at + 8, known, skip_to=at)
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in _PIXELS:
            return known
        after = at + 8 + length + 4
        if kind == b"tRNS":
            alpha = True
        elif kind == b"eXIf":
            if after > len(data):
                return NeedMore(after, known)
            swapped = swaps_sides(data[at + 8 : after - 4])
        at = after
