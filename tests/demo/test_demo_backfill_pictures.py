"""The drawn pictures: each is recognized, and one under another's name is not passed over."""

from __future__ import annotations

import io

import httpx
import pytest
from PIL import Image

from airflow_provider_clarity.demo.backfill.days import DAYS, EACH, name_in_url, picture_name, source_name
from airflow_provider_clarity.demo.backfill.drawing import SIZE, draw, encoded, most_like
from airflow_provider_clarity.demo.backfill.gather import COLUMNS, checked, gather, sheet
from airflow_provider_clarity.demo.pictures import PictureError

DRAWN = {number: draw(0, number) for number in range(1, EACH + 1)}


def upscaled(source: Image.Image) -> bytes:
    """What the service makes of a picture."""
    out = io.BytesIO()
    source.resize((SIZE[0] * 2, SIZE[1] * 2), Image.Resampling.LANCZOS).save(out, "JPEG", quality=75)
    return out.getvalue()


def test_each_picture_is_recognized_in_what_is_delivered() -> None:
    """Else a right picture would be called a wrong one."""
    for number, source in DRAWN.items():
        assert checked(upscaled(source), number, DRAWN).size == (2 * SIZE[0], 2 * SIZE[1])


def test_pictures_of_different_days_are_not_alike() -> None:
    """A day must not be mistaken for another: all of them are compared."""
    every = {day * 100 + number: draw(day, number) for day in range(len(DAYS)) for number in range(1, EACH + 1, 7)}
    assert [most_like(picture, every) for picture in every.values()] == list(every)


def test_a_picture_under_another_s_name_is_noticed() -> None:
    """Paid, delivered and wrong: the worst that can happen after paying twice."""
    with pytest.raises(PictureError, match="it shows number 8"):
        checked(upscaled(DRAWN[8]), 1, DRAWN)


def test_a_picture_that_is_not_larger_or_not_whole_is_noticed() -> None:
    """What the service was given is not what it was asked for."""
    with pytest.raises(PictureError, match="96 x 72"):
        checked(encoded(DRAWN[1]), 1, DRAWN)
    with pytest.raises(PictureError, match="decoded"):
        checked(upscaled(DRAWN[1])[:400], 1, DRAWN)


class Shelf:
    """A bucket in which one picture is missing."""

    def download(self, uri: str) -> bytes:
        number = int(uri.removesuffix(".jpg")[-2:])
        if number == 3:
            raise httpx.HTTPStatusError("404", request=httpx.Request("GET", "http://x"), response=httpx.Response(404))
        return upscaled(DRAWN[number])


def test_a_missing_picture_is_told_and_leaves_a_gap() -> None:
    """The others are shown where they belong."""
    shelf: object = Shelf()
    came = gather(shelf, DAYS[0], {number: DRAWN[number] for number in range(1, 5)})  # type: ignore[arg-type]
    assert sorted(came.pictures) == [1, 2, 4]
    (complaint,) = came.complaints
    assert complaint.startswith("gs://print/catalog/2026-01-01/03.jpg is not as promised")
    paper = Image.open(io.BytesIO(sheet(came.pictures, each=COLUMNS + 1)))
    width, height = 2 * SIZE[0], 2 * SIZE[1]
    assert paper.height == 2 * height + 6
    third, fourth = (paper.getpixel(((width + 6) * column + width // 4, height // 4)) for column in (2, 3))
    assert isinstance(third, tuple)
    assert min(third) > 230, "paper where the third would be"
    assert isinstance(fourth, tuple)
    assert min(fourth) < 200


def test_names_are_those_of_the_dag() -> None:
    """The emulator's accounts name a source by a URL."""
    assert source_name(DAYS[0], 7) == "catalog/2026-01-01/07.png"
    assert picture_name(DAYS[0], 7) == "catalog/2026-01-01/07.jpg"
    assert name_in_url("http://127.0.0.1:1/raw/catalog/2026-01-01/07.png") == "catalog/2026-01-01/07.png"
    assert name_in_url("http://127.0.0.1:1/print/a.png") == "http://127.0.0.1:1/print/a.png"
