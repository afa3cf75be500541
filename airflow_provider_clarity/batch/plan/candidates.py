"""Which listed objects are images to take, and why another is passed over. Pure.

Invariant: an object that is passed over is counted, under one reason. The name or the content type of an object is
enough to take it; its bytes decide later, before it is paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from airflow_provider_clarity.storage.gs_uri import split_name
from airflow_provider_clarity.storage.listing import ListedObject
from airflow_provider_clarity.storage.provenance import Claim
from airflow_provider_clarity.storage.uris import EXTENSIONS_OF

Reason = Literal["folder", "empty", "not_an_image", "upscaled", "workspace", "name_too_long"]
"""``folder``: its marker. ``upscaled``: our own picture, by its metadata. ``name_too_long``: for a final name."""

_EXTENSIONS: Final = frozenset().union(*EXTENSIONS_OF.values())
_CONTENT_TYPES: Final = frozenset({"image/jpeg", "image/jpg", "image/png", "image/webp"})


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is taken.

    :param workspaces: name prefixes, in the source's bucket, of what we keep for ourselves
    :param allow_upscaled: whether our own pictures may be upscaled again
    """

    workspaces: tuple[str, ...] = ()
    allow_upscaled: bool = False

    def why_not(self, found: ListedObject, suffix: str | None = None) -> Reason | None:
        """Say why an object is passed over; None if it is an image to take.

        :param suffix: of its name, where the caller knows it already
        """
        name = found.name
        if name.endswith("/"):
            return "folder"
        if self.workspaces and name.startswith(self.workspaces):
            return "workspace"
        if not looks_like_an_image(split_name(name)[1] if suffix is None else suffix, found.content_type):
            return "not_an_image"
        if not found.size:
            return "empty"
        if found.metadata and not self.allow_upscaled and is_ours(found.metadata):
            return "upscaled"
        return None


def looks_like_an_image(suffix: str, content_type: str | None) -> bool:
    """Tell by the extension or the content type; either is enough, since either is often missing or wrong."""
    if suffix.lower() in _EXTENSIONS:
        return True
    return content_type is not None and content_type.partition(";")[0].strip().lower() in _CONTENT_TYPES


def is_ours(metadata: Mapping[str, str]) -> bool:
    """Whether an object with this metadata was made by this package."""
    return Claim.from_metadata(metadata) is not None
