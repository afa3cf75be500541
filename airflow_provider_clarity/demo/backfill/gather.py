"""Fetches what the days delivered, looks at every picture, and lays each day out on a sheet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
from PIL import Image

from airflow_provider_clarity.demo.backfill.days import DESTINATION, EACH, picture_name
from airflow_provider_clarity.demo.backfill.drawing import SIZE, most_like
from airflow_provider_clarity.demo.emulator import Emulator
from airflow_provider_clarity.demo.pictures import FACTOR, PictureError, check_picture

COLUMNS = 8
_GAP = 6
_PAPER = (246, 245, 242)
_TILE = (SIZE[0] * FACTOR, SIZE[1] * FACTOR)


@dataclass(frozen=True)
class DayPictures:
    """The delivered pictures of a day.

    :param day: which
    :param pictures: those that are as promised, by number
    :param complaints: what is not, a sentence each
    """

    day: str
    pictures: Mapping[int, Image.Image]
    complaints: Sequence[str]


def gather(emulator: Emulator, day: str, drawn: Mapping[int, Image.Image]) -> DayPictures:
    """Fetch and check the pictures of a day.

    :param emulator: which has them
    :param day: which
    :param drawn: its sources by number
    """
    pictures, complaints = {}, []
    for number in drawn:
        uri = f"gs://{DESTINATION}/{picture_name(day, number)}"
        try:
            pictures[number] = checked(emulator.download(uri), number, drawn)
        except (PictureError, httpx.HTTPError) as error:
            complaints.append(f"{uri} is not as promised: {error}.")
    return DayPictures(day, pictures, complaints)


def checked(content: bytes, number: int, drawn: Mapping[int, Image.Image]) -> Image.Image:
    """Decode a delivered picture and see that it is the one that was asked for.

    :param content: the file
    :param number: of its source
    :param drawn: the sources of the day by number
    :raises PictureError: it is not
    """
    check_picture(content, SIZE)
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    found = most_like(picture, drawn)
    if found != number:
        raise PictureError(f"it shows number {found}")
    return picture


def sheet(pictures: Mapping[int, Image.Image], each: int = EACH) -> bytes:
    """Lay the pictures out, with a gap where one is missing.

    :param pictures: by number, from 1
    :param each: how many there should be
    :return: a JPEG file
    """
    rows = -(-each // COLUMNS)
    width, height = (_TILE[0] + _GAP) * COLUMNS - _GAP, (_TILE[1] + _GAP) * rows - _GAP
    paper = Image.new("RGB", (width, height), _PAPER)
    for number, picture in pictures.items():
        row, column = divmod(number - 1, COLUMNS)
        paper.paste(picture, (column * (_TILE[0] + _GAP), row * (_TILE[1] + _GAP)))
    out = io.BytesIO()
    paper.save(out, "JPEG", quality=88)
    return out.getvalue()
