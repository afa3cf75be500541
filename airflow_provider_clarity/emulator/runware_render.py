"""Makes the pictures: Lanczos by Pillow, in threads, into files.

``full`` upscales each input; ``cached`` does so once for the same bytes and parameters; ``none`` makes a plain picture
of the right size. Invariants: the loop never waits for Pillow; neither side of an output is above 4096, for which the
input is shrunk first, silently, as the service documents it; the orientation of an EXIF header is applied.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageOps

from airflow_provider_clarity.emulator.runware_tasks import Picture

Render = Literal["full", "cached", "none"]
LIMIT = 4096
MEDIA_TYPES = {"JPG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
THREADS = 2


class NotAPictureError(ValueError):
    """The input is none of PNG, JPEG and WEBP, or it is broken."""


@dataclass(frozen=True)
class Wanted:
    """What shall be made of an input.

    :param multiple: both sides are cut down to a multiple of it
    """

    factor: float = 2
    format: str = "JPG"
    quality: int = 95
    multiple: int = 1


class Renderer:
    """Makes pictures in the way that was chosen at the start.

    :param folder: where they are written
    """

    def __init__(self, folder: Path, render: Render) -> None:
        self._folder, self._render = folder, render
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="render")
        self._made: dict[object, asyncio.Future[Picture]] = {}

    async def upscale(self, source: bytes, wanted: Wanted) -> Picture:
        """Return the upscaled picture.

        :raises NotAPictureError: it cannot be decoded
        """
        if self._render == "full":
            return await self._in_thread(source, wanted)
        if self._render == "cached":
            return await self._once((hashlib.sha256(source).digest(), wanted), source, wanted)
        size = await asyncio.get_running_loop().run_in_executor(self._threads, _size, source)
        return await self._once((size, wanted), source, wanted)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _once(self, key: object, source: bytes, wanted: Wanted) -> Picture:
        if key not in self._made:
            self._made[key] = asyncio.ensure_future(self._in_thread(source, wanted))
        try:
            return await asyncio.shield(self._made[key])
        except NotAPictureError:
            self._made.pop(key, None)
            raise

    async def _in_thread(self, source: bytes, wanted: Wanted) -> Picture:
        plain = self._render == "none"
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._make, source, wanted, plain)

    def _make(self, source: bytes, wanted: Wanted, plain: bool) -> Picture:  # noqa: FBT001 - of one caller
        path = self._folder / f"{uuid.uuid4()}.{wanted.format.lower()}"
        if plain:
            source_size = _size(source)
            made = Image.new("RGB", output_size(source_size, wanted)[1], (122, 142, 153))
        else:
            image = _open(source)
            source_size = image.size
            made = _upscaled(image, wanted)
        path.write_bytes(encode(made, wanted))
        return Picture(path, MEDIA_TYPES[wanted.format], made.size, source_size)


def output_size(source: tuple[int, int], wanted: Wanted) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size to which the input is shrunk first, and the size of the output."""
    scale = min(1.0, LIMIT / (max(source) * wanted.factor))
    width, height = (max(1, int(side * scale)) for side in source)
    multiple = wanted.multiple
    wide, high = (
        max(multiple, min(LIMIT, round(side * wanted.factor)) // multiple * multiple) for side in (width, height)
    )
    return (width, height), (wide, high)


def encode(image: Image.Image, wanted: Wanted) -> bytes:
    """Return the picture as a file in the wanted format."""
    file = io.BytesIO()
    if wanted.format == "PNG":
        image.save(file, "PNG", compress_level=1)
    elif wanted.format == "WEBP":
        image.save(file, "WEBP", quality=wanted.quality, method=0)
    else:
        image.convert("RGB").save(file, "JPEG", quality=wanted.quality)
    return file.getvalue()


def plain(size: tuple[int, int], wanted: Wanted) -> bytes:
    """Return a plain picture of this size."""
    return encode(Image.new("RGB", size, (122, 142, 153)), wanted)


def _upscaled(image: Image.Image, wanted: Wanted) -> Image.Image:
    shrunk, size = output_size(image.size, wanted)
    if shrunk != image.size:
        image = image.resize(shrunk, Image.Resampling.LANCZOS)
    return image.resize(size, Image.Resampling.LANCZOS)


def _open(source: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(source), formats=["PNG", "JPEG", "WEBP"]) as image:
            turned = ImageOps.exif_transpose(image)
            return (
                turned if turned.mode in ("L", "RGB", "RGBA") else turned.convert("RGBA" if _clear(turned) else "RGB")
            )
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NotAPictureError from error


def _size(source: bytes) -> tuple[int, int]:
    """Return the pixels with the orientation applied, from the header alone."""
    try:
        with Image.open(io.BytesIO(source), formats=["PNG", "JPEG", "WEBP"]) as image:
            width, height = image.size
            return (height, width) if image.getexif().get(0x0112, 1) >= 5 else (width, height)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NotAPictureError from error


def _clear(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info
