"""Pictures for tests of the demo."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from airflow_provider_clarity.demo.photographs import Photograph
from airflow_provider_clarity.demo.table import Delivery


def picture(width: int, height: int, file_format: str = "PNG", *, orientation: int | None = None) -> bytes:
    """Make a picture with something in it, so that half of its file is not all of it."""
    made = Image.effect_mandelbrot((width, height), (-2, -1.5, 1, 1.5), 50)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    out = io.BytesIO()
    made.save(out, file_format, exif=exif)
    return out.getvalue()


def photograph(name: str, width: int = 60, height: int = 40, credit: str = "") -> Photograph:
    return Photograph(Path("photographs") / name, width, height, credit)


def delivery(source: Photograph, *, cost: float | None = 0.0013) -> Delivery:
    size = (source.width * 2, source.height * 2)
    path = Path("pictures") / f"{source.path.stem}-2x.jpg"
    return Delivery(source, path, size, f"gs://print/{source.path.stem}.jpg", cost, 18.24)
