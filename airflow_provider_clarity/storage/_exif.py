"""The EXIF orientation, and nothing else of EXIF (a TIFF file: TIFF 6.0 section 2; tag 274). Never raises."""

from __future__ import annotations

import struct
from typing import Final

_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_LONG: Final = 4
_FIRST_SWAPPED: Final = 5
_LAST: Final = 8
_MARK: Final = b"Exif\x00\x00"
_ENTRY: Final = 12


def swaps_sides(exif: bytes) -> bool:
    """Tell whether a viewer shows the picture with width and height exchanged (orientations 5 to 8).

    :param exif: a TIFF structure, with or without the mark ``Exif``; what cannot be read means no
    """
    while exif.startswith(_MARK):
        exif = exif[len(_MARK) :]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return False
    try:
        return _FIRST_SWAPPED <= _orientation(exif, order) <= _LAST
    except struct.error:
        return False


def _orientation(tiff: bytes, order: str) -> int:
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for entry in range(directory + 2, directory + 2 + entries * _ENTRY, _ENTRY):
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, entry)
        if tag == _ORIENTATION and count == 1 and kind in {_SHORT, _LONG}:
            (value,) = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", tiff, entry + 8)
            return int(value)
    return 1
