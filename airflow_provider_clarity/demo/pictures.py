"""Checks that a delivered picture is what was promised: whole, and larger than its source by the factor."""

from __future__ import annotations

import io

from PIL import Image, ImageFilter, ImageOps, ImageStat

FACTOR = 2
_TILE = 80


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
    """Find a place in a picture with many and strong edges, for an enlarged detail.

    :param content: the file
    :return: the middle of the place, as shares of width and height
    """
    with Image.open(io.BytesIO(content)) as opened:
        grey = ImageOps.exif_transpose(opened).convert("L")
    edges = grey.filter(ImageFilter.FIND_EDGES)
    columns, rows = (max(1, side // _TILE) for side in grey.size)
    places = [(x, y) for y in range(rows) for x in range(columns)]

    def worth(place: tuple[int, int]) -> float:
        left, top = (number * _TILE for number in place)
        box = (left, top, left + _TILE, top + _TILE)
        return float(ImageStat.Stat(edges.crop(box)).mean[0] * ImageStat.Stat(grey.crop(box)).stddev[0])

    x, y = max(places, key=worth)
    return (x + 0.5) * _TILE / grey.width, (y + 0.5) * _TILE / grey.height
