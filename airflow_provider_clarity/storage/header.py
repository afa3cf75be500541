"""What the first bytes of a picture can say. Types only; `picture.py` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PictureFormat = Literal["JPG", "PNG", "WEBP"]

CONTENT_TYPES: Final[dict[PictureFormat, str]] = {"JPG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


@dataclass(frozen=True, slots=True)
class Header:
    """A picture's header.

    :param format: what the bytes are, whatever name or content type say
    :param width: in pixels as a viewer shows it: the EXIF orientation is applied
    :param height: likewise
    :param alpha: whether it has transparency; None where only the part not yet read could tell
    :param length: bytes the file must have at least, where its header says so (WEBP)
    """

    format: PictureFormat
    width: int
    height: int
    alpha: bool | None = None
    length: int | None = None

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


@dataclass(frozen=True, slots=True)
class NeedMore:
    """The bytes may be a picture's beginning, but do not say enough.

    :param at_least: how many bytes from the beginning are needed to say more; more than were given
    :param so_far: the header where it is known but for transparency and an EXIF orientation that may still come
    :param skip_to: the bytes that follow the given ones are not looked at before this one
    """

    at_least: int
    so_far: Header | None = None
    skip_to: int = 0


@dataclass(frozen=True, slots=True)
class NotAPicture:
    """The bytes are no JPEG, PNG or WEBP.

    :param reason: ends the sentence "it is not a picture Clarity takes: ..."
    """

    reason: str
