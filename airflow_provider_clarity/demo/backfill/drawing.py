"""Draws the pictures, and recognizes each in what was delivered: one that lies under another's name must show."""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Mapping

from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat

SIZE = (96, 72)
"""Width and height of a source, in pixels."""

_HUES = 7
_FAINT = 24
_SMALL = (48, 36)


def draw(day: int, number: int) -> Image.Image:
    """Draw a picture with its number, in colours that its neighbours do not have.

    :param day: from 0
    :param number: from 1
    """
    hue = day / 3 + (number % _HUES) / (3 * _HUES)
    picture = Image.new("RGB", SIZE, _colour(hue, 0.55, 0.45))
    pen = ImageDraw.Draw(picture)
    turn = number * 0.9
    for ring in range(6, 0, -1):
        x, y = SIZE[0] / 2 + 22 * math.cos(turn), SIZE[1] / 2 + 14 * math.sin(turn)
        radius = ring * 11
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(hue + ring / 40, 0.6, 1 - ring / 9))
    pen.text((SIZE[0] / 2, SIZE[1] / 2), str(number), "white", ImageFont.load_default(36), "mm", stroke_width=2,
             stroke_fill=_colour(hue, 0.8, 0.15))  # fmt: skip
    pen.rectangle((0, 0, SIZE[0] - 1, SIZE[1] - 1), outline=(_FAINT, _FAINT, _FAINT))
    return picture


def encoded(picture: Image.Image) -> bytes:
    """Return a picture as a PNG file.

    :param picture: drawn
    """
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def most_like(picture: Image.Image, drawn: Mapping[int, Image.Image]) -> int:
    """Find what a picture was made of.

    :param picture: as it was delivered
    :param drawn: the sources by number
    """
    small = _small(picture)
    return min(drawn, key=lambda number: _difference(small, _small(drawn[number])))


def _small(picture: Image.Image) -> Image.Image:
    return picture.convert("RGB").resize(_SMALL, Image.Resampling.BILINEAR)


def _difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).sum2)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
