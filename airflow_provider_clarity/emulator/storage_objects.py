"""The values of the Cloud Storage emulator: an object's version, its attributes, preconditions.

Invariants: all are immutable, so a reader that holds one can never see half of a write; a version's checksums belong to
its content. The names of the JSON API (camelCase) stay inside :meth:`Attributes.from_wire` and ``storage_resources``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_clarity.emulator.storage_crc32c import crc32c_base64
from airflow_provider_clarity.emulator.storage_errors import invalid, not_modified, precondition_failed

__all__ = ["Attributes", "ObjectVersion", "Preconditions", "parse_integer"]

_TEXTS = ("cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "customTime", "storageClass")


def parse_integer(query: Mapping[str, str], name: str) -> int | None:
    """Read an unsigned integer from a query; anything else there is a 400."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise invalid(f"Invalid unsigned integer value for {name}.")
    return int(text)


@dataclass(frozen=True)
class Attributes:
    """What a writer may say about an object. ``texts`` are the fields without a meaning here, by their wire names."""

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> Attributes:
        """Read the writable fields of an object resource."""
        return cls().patched(body)

    def patched(self, body: Mapping[str, Any]) -> Attributes:
        """Merge as PATCH does: a null removes, custom metadata is merged key by key."""
        content_type = self.content_type
        if "contentType" in body:
            content_type = _text(body["contentType"], "contentType")
        texts = dict(self.texts)
        for name in _TEXTS:
            if name in body:
                _put(texts, name, body[name])
        metadata: dict[str, str] = dict(self.metadata)
        if "metadata" in body:
            given = body["metadata"]
            if given is None:
                metadata = {}
            elif isinstance(given, Mapping):
                for key, value in given.items():
                    _put(metadata, str(key), value)
            else:
                raise invalid("Invalid value for: metadata")
        return Attributes(content_type=content_type, metadata=metadata, texts=texts)

    def says_anything(self) -> bool:
        """Whether a copy with these attributes replaces those of the source; the storage class alone does not."""
        return bool(self.content_type or self.metadata or set(self.texts) - {"storageClass"})


def _text(value: object, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise invalid(f"Invalid value for: {name}")


def _put(target: dict[str, str], name: str, value: object) -> None:
    text = _text(value, name)
    if text is None:
        target.pop(name, None)
    else:
        target[name] = text


@dataclass(frozen=True)
class ObjectVersion:
    """One generation of one object. Times are epoch seconds; ``deleted`` is set once it is noncurrent."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    content: bytes = field(repr=False)
    attributes: Attributes
    created: float
    updated: float
    deleted: float | None
    md5: bytes = field(repr=False)
    crc32c: str

    @classmethod
    def new(
        cls, at: tuple[str, str], generation: int, content: bytes, attributes: Attributes, now: float
    ) -> ObjectVersion:
        """Make the first state of a new generation.

        :param at: bucket and name.
        """
        return cls(
            bucket=at[0],
            name=at[1],
            generation=generation,
            metageneration=1,
            content=content,
            attributes=attributes,
            created=now,
            updated=now,
            deleted=None,
            md5=hashlib.md5(content, usedforsecurity=False).digest(),
            crc32c=crc32c_base64(content),
        )

    @property
    def md5_base64(self) -> str:
        """The MD5 sum as the API writes it."""
        return base64.b64encode(self.md5).decode("ascii")

    @property
    def content_type(self) -> str:
        """The content type, with the service's default."""
        return self.attributes.content_type or "application/octet-stream"

    def with_attributes(self, attributes: Attributes, now: float) -> ObjectVersion:
        """Return the same generation with the next metageneration."""
        return replace(self, attributes=attributes, metageneration=self.metageneration + 1, updated=now)


@dataclass(frozen=True)
class Preconditions:
    """What must hold of the current object. A generation of 0 means: there is none."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str], *, source: bool = False) -> Preconditions:
        """Read ``ifGenerationMatch`` and its three siblings, or the four of a copy's source."""
        stem = "ifSource" if source else "if"
        return cls(
            generation_match=parse_integer(query, f"{stem}GenerationMatch"),
            generation_not_match=parse_integer(query, f"{stem}GenerationNotMatch"),
            metageneration_match=parse_integer(query, f"{stem}MetagenerationMatch"),
            metageneration_not_match=parse_integer(query, f"{stem}MetagenerationNotMatch"),
        )

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Preconditions:
        """Read the two that the XML API has."""
        return cls(
            generation_match=parse_integer(headers, "x-goog-if-generation-match"),
            metageneration_match=parse_integer(headers, "x-goog-if-metageneration-match"),
        )

    def require(self, current: ObjectVersion | None, *, reading: bool = False) -> None:
        """Raise 412, or 304 for a read with a ``NotMatch`` that did not hold.

        :param current: what is there now, or None.
        """
        generation = current.generation if current else 0
        metageneration = current.metageneration if current else 0
        if self.generation_match not in {None, generation} or self.metageneration_match not in {None, metageneration}:
            raise precondition_failed()
        if self.generation_not_match == generation or self.metageneration_not_match == metageneration:
            raise not_modified() if reading else precondition_failed()
