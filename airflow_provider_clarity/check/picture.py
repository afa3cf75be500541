"""What is upscaled by ``--buy-one``: the user's file, or a small picture that is made here."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airflow_provider_clarity.storage.header import CONTENT_TYPES, Header
from airflow_provider_clarity.storage.picture import read_header

_WIDTH: Final = 256
_HEIGHT: Final = 192
_LARGEST: Final = 64 * 1024 * 1024


class PictureFileError(ValueError):
    """The file of ``--image`` cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to be upscaled.

    :param content: the file
    :param header: its format and pixels
    """

    content: bytes = field(repr=False)
    header: Header

    @property
    def content_type(self) -> str:
        """By its bytes."""
        return CONTENT_TYPES[self.header.format]


def read_picture(path: Path | None) -> Picture:
    """Read the file, or make a picture.

    :param path: of a JPEG, PNG or WEBP
    :raises PictureFileError: it cannot be read, is too large, or is none of them
    """
    try:
        content = make_png() if path is None else path.read_bytes()
    except OSError as error:
        raise PictureFileError(f"it cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise PictureFileError(f"it has {len(content)} bytes; take one of at most {_LARGEST}")
    header = read_header(content)
    if not isinstance(header, Header):
        raise PictureFileError("it is no whole JPEG, PNG or WEBP")
    return Picture(content, header)


def make_png() -> bytes:
    """Make a PNG of 256 x 192 pixels with soft and hard edges, so that an upscaler has something to do."""
    rows = b"".join(b"\x00" + b"".join(_pixel(x, y) for x in range(_WIDTH)) for y in range(_HEIGHT))
    size = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _pixel(x: int, y: int) -> bytes:
    ring = 0.5 + 0.5 * math.sin(math.hypot(x - 96, y - 96) / 6)
    square = 70 if (x // 32 + y // 32) % 2 else 0
    return bytes((int(255 * x / _WIDTH), int(180 * ring) + square, int(255 * y / _HEIGHT)))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
