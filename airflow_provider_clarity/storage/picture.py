"""What kind of picture some bytes are, and how large it is; the bytes decide, never a name or a content type. Pure.

Invariants: whatever the bytes are, nothing raises. The beginning of a good picture, however short, is never called no
picture; and what a shorter beginning said, a longer one does not take back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from airflow_provider_clarity.storage import _jpeg, _png, _webp
from airflow_provider_clarity.storage.header import (
    CONTENT_TYPES,
    Header,
    NeedMore,
    NotAPicture,
    PictureFormat,
)

__all__ = [
    "CONTENT_TYPES",
    "Header",
    "NeedMore",
    "NotAPicture",
    "PictureFormat",
    "ends_well",
    "read_header",
    "read_header_with",
]

FIRST_READ: Final = 64 * 1024
MOST_READ: Final = 1024 * 1024

_SHORTEST: Final = 32
_LONGEST_GAP: Final = 64 * 1024 * 1024
_READERS: Final = {_jpeg.MAGIC: _jpeg.read, _png.MAGIC: _png.read, _webp.MAGIC: _webp.read}
_OTHERS: Final = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "compressed with gzip",
    b"PK\x03\x04": "a ZIP file",
    b"<": "a text with markup, such as HTML, XML or SVG",
    b"{": "a JSON text",
}
_PADDING: Final = b"\x00\r\n"
_PNG_END: Final = b"IEND\xaeB`\x82"
_JPEG_END: Final = b"\xff\xd9"


def read_header(data: bytes) -> Header | NeedMore | NotAPicture:
    """Read the header of a JPEG (every kind of frame), PNG or WEBP; EXIF orientation is applied.

    :param data: the file, or its beginning
    """
    for magic, read in _READERS.items():
        if data.startswith(magic):
            return read(data)
        if magic.startswith(data):
            return NeedMore(_SHORTEST)
    for magic, name in _OTHERS.items():
        if data.startswith(magic):
            return NotAPicture(name)
    if data[4:8] == b"ftyp":
        return NotAPicture("a HEIC, AVIF or video file")
    return NotAPicture("neither JPEG, PNG nor WEBP")


def read_header_with(read: Callable[[int, int], bytes | None], size: int) -> Header | NotAPicture | None:
    """Read the header of a stored file by ranges: 64 KiB, growing to 1 MiB in all until its size is found.

    What the format lets us skip (the pixels before a WEBP's EXIF, a colour profile) is not read and not counted.

    :param read: gives `length` bytes from `start`, or None if the file is gone
    :param size: of the file in bytes
    :return: None if the file is gone
    """
    data, left, wanted = bytearray(), MOST_READ, FIRST_READ
    while True:
        more = read(len(data), min(wanted, size) - len(data))
        if more is None:
            return None
        data += more
        left -= len(more)
        answer = read_header(bytes(data))
        if not isinstance(answer, NeedMore):
            return answer
        if not more or answer.at_least > size:
            return answer.so_far or NotAPicture("cut off within its header")
        data += bytes(max(0, answer.skip_to - len(data)))
        if answer.at_least > len(data) + left or len(data) > _LONGEST_GAP:
            return answer.so_far or NotAPicture("a picture whose size is not in its first MiB")
        wanted = min(max(answer.at_least, len(data) + FIRST_READ, (MOST_READ - left) * 4), len(data) + left)


def ends_well(header: Header, tail: bytes, size: int) -> bool:
    """Tell whether the file is whole: JPEG ends in EOI, PNG in IEND, WEBP is as long as it says. Padding is allowed.

    :param header: of the file
    :param tail: its last bytes, 64 are enough
    :param size: of the file in bytes
    """
    if header.length is not None:
        return size >= header.length
    end = _PNG_END if header.format == "PNG" else _JPEG_END
    return tail.rstrip(_PADDING).endswith(end)
