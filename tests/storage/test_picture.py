"""What kind of picture some bytes are. Pillow is the judge."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from airflow_provider_clarity.storage.picture import (
    Header,
    NeedMore,
    NotAPicture,
    ends_well,
    read_header,
    read_header_with,
)

IMAGES = Path(__file__).resolve().parents[2] / "dags_examples" / "images"
SIZE = (37, 21)
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "baseline": ("JPEG", "RGB", {}),
    "progressive": ("JPEG", "RGB", {"progressive": True}),
    "grey": ("JPEG", "L", {}),
    "cmyk": ("JPEG", "CMYK", {}),
    "restarts": ("JPEG", "RGB", {"restart_marker_rows": 1}),
    "jpeg with a profile of many segments": ("JPEG", "RGB", {"icc_profile": b"\xff\xc0\xff\xd9" * 50_000}),
    "jpeg with a comment": ("JPEG", "RGB", {"comment": b"\xff\xd9\xff\xda"}),
    "bits": ("PNG", "1", {}),
    "palette": ("PNG", "P", {}),
    "palette with a clear colour": ("PNG", "P", {"transparency": 3}),
    "png grey with alpha": ("PNG", "LA", {}),
    "png with alpha": ("PNG", "RGBA", {}),
    "png of 16 bits": ("PNG", "I;16", {}),
    "png with a profile": ("PNG", "RGB", {"icc_profile": bytes(range(256)) * 2000}),
    "lossy": ("WEBP", "RGB", {}),
    "lossy with alpha": ("WEBP", "RGBA", {}),
    "lossless": ("WEBP", "RGB", {"lossless": True}),
    "lossless with alpha": ("WEBP", "RGBA", {"lossless": True}),
    "webp with a profile": ("WEBP", "RGB", {"icc_profile": b"icc" * 101}),
}
FORMATS = {"JPEG": "JPG", "PNG": "PNG", "WEBP": "WEBP"}


def saved(kind: str, mode: str, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    source = Image.effect_noise(size, 80)  # noise, so that an alpha channel has something to hide
    (source if mode == "L" else source.convert("L" if mode == "I;16" else mode)).convert(mode).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


def exif(orientation: int, *, little: bool = True, padding: int = 0) -> bytes:
    tags = Image.Exif()
    tags.endian = "<" if little else ">"
    if padding:
        tags[0x010E] = "x" * padding
    tags[0x0112] = orientation
    data = tags.tobytes()
    assert data[6:8] == (b"II" if little else b"MM")
    return data


def animated(**options: Any) -> bytes:
    frames = [Image.effect_noise(SIZE, spread).convert("RGB") for spread in (10, 60)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()


def shown_size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        return ImageOps.exif_transpose(picture).size


PICTURES = {name: saved(kind, mode, **options) for name, (kind, mode, options) in KINDS.items()}
PICTURES |= {
    f"{kind} turned {orientation} {'little' if little else 'big'}": saved(
        kind, "RGB", exif=exif(orientation, little=little)
    )
    for kind in FORMATS
    for orientation in range(1, 9)
    for little in (True, False)
}
PICTURES |= {
    "60 KB of EXIF": saved("JPEG", "RGB", exif=exif(6, padding=60_000)),
    "webp turned behind a profile of odd length": saved("WEBP", "RGB", icc_profile=b"icc" * 101, exif=exif(6)),
    "animated": animated(),
    "animated and turned": animated(exif=exif(8)),
    "fill bytes": b"\xff\xd8\xff\xff\xff" + PICTURES["progressive"][2:],
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_size_is_what_a_viewer_shows(name: str) -> None:
    """Breaks if a turned, progressive, grey or animated picture is measured wrongly, and so refused or mispriced."""
    data = PICTURES[name]
    header = read_header(data)
    assert isinstance(header, Header)
    assert header.pixels == shown_size(data)
    with Image.open(io.BytesIO(data)) as picture:
        assert header.format == FORMATS[picture.format or ""]
        assert header.alpha == picture.has_transparency_data


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.[jp][pn]g")), ids=lambda path: path.name)
def test_real_photographs_are_read(path: Path) -> None:
    """Breaks if what cameras write is not what Pillow writes."""
    data = path.read_bytes()
    header = read_header(data)
    assert isinstance(header, Header)
    assert header.pixels == shown_size(data)
    assert ends_well(header, data[-64:], len(data))


def test_an_interlaced_png_has_its_size() -> None:
    """Breaks if Adam7 pictures are refused; Pillow cannot write them, so the header is made by hand."""
    body = b"IHDR" + struct.pack(">IIBBBBB", 300, 200, 8, 2, 0, 0, 1)
    data = PICTURES["palette"][:8] + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    header = read_header(data + b"\x00\x00\x00\x10IDAT")
    assert isinstance(header, Header)
    assert header.pixels == (300, 200)


@pytest.mark.parametrize("kind", range(0xC0, 0xD0))
def test_every_frame_kind_of_jpeg_is_known_and_nothing_else_is_one(kind: int) -> None:
    """Breaks if a lossless or arithmetic JPEG is refused, or a Huffman table is read as a size."""
    frame = struct.pack(">BBHBHHB", 0xFF, kind, 11, 8, 200, 300, 1) + b"\x01\x11\x00"
    header = read_header(b"\xff\xd8" + frame + b"\xff\xda" + bytes(10))
    if kind in {0xC4, 0xC8, 0xCC}:
        assert isinstance(header, NotAPicture)
    else:
        assert isinstance(header, Header)
        assert header.pixels == (300, 200)


@given(st.sampled_from(sorted(PICTURES)), st.data())
def test_a_beginning_says_the_same_or_asks_for_more(name: str, data: st.DataObject) -> None:
    """Breaks if a short read makes a paid picture "no picture", or reading on would never end."""
    whole = PICTURES[name]
    cut = data.draw(st.integers(0, min(len(whole), 4000)) | st.integers(0, len(whole)))
    answer, full = read_header(whole[:cut]), read_header(whole)
    assert isinstance(full, Header)
    if isinstance(answer, NeedMore):
        assert answer.at_least > cut
        assert answer.skip_to <= answer.at_least
        if answer.so_far:
            assert sorted(answer.so_far.pixels) == sorted(full.pixels)
    else:
        assert answer == full


@given(
    st.binary(max_size=300)
    | st.builds(bytes.__add__, st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"]), st.binary())
)
def test_no_bytes_raise(data: bytes) -> None:
    """Breaks if what somebody uploaded can crash a run."""
    answer = read_header(data)
    assert not isinstance(answer, NeedMore) or answer.at_least > len(data)


@given(st.sampled_from(sorted(PICTURES)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))
def test_no_damage_raises(name: str, damage: list[tuple[int, int]]) -> None:
    """Breaks if lengths and offsets inside a damaged header are believed."""
    data = bytearray(PICTURES[name])
    for at, value in damage:
        data[at % len(data)] = value
    read_header(bytes(data))
    read_header_with(lambda start, length: bytes(data[start : start + length]), len(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GIF89a" + bytes(30), "GIF"),
        (b"<html>", "markup"),
        (b'{"error": 1}', "JSON"),
        (b"\x1f\x8b\x08" + bytes(30), "gzip"),
        (bytes(4) + b"ftypavif", "AVIF"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "no WEBP"),
        (b"hello, world", "neither"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, reason: str) -> None:
    """Breaks if a user cannot see that an error page was stored instead of a picture."""
    answer = read_header(data)
    assert isinstance(answer, NotAPicture)
    assert reason in answer.reason


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe0\x00\x01" + bytes(20),
        b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x00\x05" + bytes(20),
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"RIFF\x40\x00\x00\x00WEBPVP8 " + bytes(40),
        b"RIFF\x40\x00\x00\x00WEBPVP8L" + bytes(40),
        b"RIFF\x40\x00\x00\x00WEBPVP9 " + bytes(40),
    ],
)
def test_a_header_that_makes_no_sense_is_no_picture(data: bytes) -> None:
    """Breaks if a picture of no size is sent to the service, or promoted."""
    assert isinstance(read_header(data), NotAPicture)


def test_marks_without_a_length_before_the_frame_are_passed_over() -> None:
    """Breaks if junk or a restart mark before the frame header is read as a segment."""
    whole = PICTURES["baseline"]
    assert read_header(whole[:2] + b"\xff\x00\xff\xd0\x00" + whole[2:]) == read_header(b"\xff\xd8\xff" + whole[2:])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("cut", [7, 9, 20])
def test_a_damaged_orientation_is_none(kind: str, cut: int) -> None:
    """Breaks if a broken EXIF block makes a good picture unreadable."""
    header = read_header(saved(kind, "RGB", exif=exif(6)[:cut] + b"\x00" * (20 - cut)))
    assert isinstance(header, Header)
    assert header.pixels == SIZE


def test_exif_without_an_orientation_turns_nothing() -> None:
    """Breaks if a camera that writes only its name makes its pictures unreadable."""
    tags = Image.Exif()
    tags[0x010F] = "camera"
    header = read_header(saved("JPEG", "RGB", exif=tags.tobytes()))
    assert isinstance(header, Header)
    assert header.pixels == SIZE


def test_a_webp_that_only_claims_to_have_exif_is_read() -> None:
    """Breaks if a flag without its chunk is waited for until the end of the file."""
    data = bytearray(PICTURES["animated"])
    data[20] |= 0x08
    ranges = Ranges(bytes(data))
    header = read_header_with(ranges, len(data))
    assert isinstance(header, Header)
    assert header.pixels == SIZE


class Ranges:
    """Serves ranges of a file and counts what was read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.count, self.bytes = data, 0, 0

    def __call__(self, start: int, length: int) -> bytes:
        self.count += 1
        self.bytes += length
        assert length > 0
        return self.data[start : start + length]


@pytest.mark.parametrize("name", PICTURES)
def test_ranges_give_what_the_whole_file_gives(name: str) -> None:
    """Breaks if a picture whose header is long is refused, or its whole file is read."""
    ranges = Ranges(PICTURES[name])
    assert read_header_with(ranges, len(ranges.data)) == read_header(ranges.data)


def test_the_orientation_behind_the_pixels_of_a_large_webp_is_found_by_skipping_them() -> None:
    """Breaks if a large turned WEBP is measured the wrong way round, or read as a whole to avoid that."""
    options: dict[str, Any] = {"exif": exif(6), "lossless": True, "method": 0, "quality": 0}
    ranges = Ranges(saved("WEBP", "RGB", (1600, 1000), **options))
    assert len(ranges.data) > 1_100_000
    header = read_header_with(ranges, len(ranges.data))
    assert isinstance(header, Header)
    assert header.pixels == (1000, 1600)
    assert ranges.count == 2
    assert ranges.bytes < 100_000


def test_a_header_that_never_comes_ends_after_a_mebibyte() -> None:
    """Breaks if a file of junk behind a JPEG's first bytes is downloaded as a whole."""
    ranges = Ranges(b"\xff\xd8\xff" + b"\xff" * 5_000_000)
    assert isinstance(read_header_with(ranges, len(ranges.data)), NotAPicture)
    assert ranges.bytes <= 1024 * 1024


def test_a_file_that_is_gone_is_no_answer() -> None:
    """Breaks if an object replaced while it is read is judged by half of each."""
    assert read_header_with(lambda start, length: None, 100) is None  # noqa: ARG005


@pytest.mark.parametrize("name", ["baseline", "palette", "lossy", "lossless with alpha", "animated", "restarts"])
def test_a_file_cut_anywhere_does_not_end_well(name: str) -> None:
    """Breaks if an upload that broke off is promoted as a finished picture."""
    data = PICTURES[name]
    header = read_header(data)
    assert isinstance(header, Header)
    assert ends_well(header, data[-64:], len(data))
    assert ends_well(header, (data + bytes(3))[-64:], len(data) + 3)
    for cut in range(40, len(data)):
        assert not ends_well(header, data[:cut][-64:], cut), cut
