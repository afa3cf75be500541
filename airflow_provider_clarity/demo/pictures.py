"""Checks that a delivered picture is what was promised: whole, and larger than its source by the factor."""

from __future__ import annotations

import io

from PIL import Image, ImageFilter, ImageOps

FACTOR = 2
_TILE = 64


class PictureError(ValueError):
    """A delivered picture is not what was promised."""


def check_picture(content: bytes, source: tuple[int, int]) -> tuple[int, int]:
    """Decode all of a picture and compare its size with its source's.

    :param content: the file
    :param source: width and height of the source
    :return: width and height of the picture
    :raises PictureError: it cannot be decoded, or has another size
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            size = picture.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"it cannot be decoded ({error})") from None
    wanted = (source[0] * FACTOR, source[1] * FACTOR)
    if size != wanted:
        raise PictureError(f"it has {size[0]} x {size[1]} pixels instead of {wanted[0]} x {wanted[1]}")
    return size


def find_detail(content: bytes) -> tuple[float, float]:
    """Find where in a picture most happens, for an enlarged detail.

    :param content: the file
    :return: the middle of the place, as shares of width and height
    """
    with Image.open(io.BytesIO(content)) as opened:
        edges = ImageOps.exif_transpose(opened).convert("L").filter(ImageFilter.FIND_EDGES)
    columns, rows = (max(1, side // _TILE) for side in edges.size)
    tiles = edges.resize((columns, rows), Image.Resampling.BOX)
    inner = [
        (tiles.getpixel((x, y)), x, y) for y in _inner(rows) for x in _inner(columns)
    ]  # the outermost edge is none of the picture
    _, x, y = max(inner)
    return (x + 0.5) / columns, (y + 0.5) / rows


def _inner(count: int) -> range:
    return range(1, count - 1) if count > 2 else range(count)  # noqa: PLR2004
