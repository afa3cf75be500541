"""How the service gets at the source, and what we know of the source before anything is paid.

Invariants: the bytes decide what a source is, never its name or content type. What the service would refuse, or
silently change, is refused or said here, before the purchase.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, Literal

from airflow_provider_clarity.exceptions import ClarityError, ClarityInputError
from airflow_provider_clarity.storage.header import CONTENT_TYPES, Header, NotAPicture
from airflow_provider_clarity.storage.picture import read_header, read_header_with
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import DataSource, GsSource, GsUri, HttpsSource, Source, UuidSource

InputVia = Literal["auto", "signed_url", "inline"]

LARGEST_OUTPUT: Final = 4096
"""Pixels of a side; a source that would come out larger is shrunk first by the service (docs, "Output limit")."""
LARGEST_INLINE: Final = 10 * 1024 * 1024
"""Bytes of a source that may go inline."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of a source. Of a picture that only the service can read, nothing but the source itself.

    :param source: what was given
    :param uri: the object, for a ``gs://`` source
    :param generation: the one that was read; name it in all that follows
    :param size: in bytes
    :param picture: format and pixels, EXIF applied
    :param sha256: of the bytes in hex, where all of them were read
    :param warnings: sentences for the log
    """

    source: Source
    uri: GsUri | None = None
    generation: int | None = None
    size: int | None = None
    picture: Header | None = None
    sha256: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def pixels(self) -> tuple[int, int] | None:
        """Width and height, where known."""
        return self.picture.pixels if self.picture else None


@dataclass(frozen=True, slots=True)
class ImageReference:
    """What goes into ``inputs.image``.

    :param text: a presigned URL, a data URI, or what the user gave; may be a secret, and large
    :param expires_at: from when on the service cannot read it any more, where we know
    """

    text: str = field(repr=False)
    expires_at: datetime | None = None

    def __str__(self) -> str:
        return repr(self)


def inspect(store: ObjectStore, source: Source, *, factor: float = 2) -> SourceFacts:
    """Look at a source: a stat and its first 64 KiB (up to 1 MiB).

    :param source: from `parse_source`; an ``https://`` URL or a UUID is not looked at
    :param factor: the upscale factor, for the warning about what would be shrunk
    :raises ClarityInputError: bucket or object missing, 0 bytes, no JPEG, PNG or WEBP, a side of 4096 pixels or more
    """
    match source:
        case GsSource(uri=uri):
            return _inspect_object(store, source, uri, factor)
        case DataSource():
            data = source.data
            picture = _picture(source, lambda start, length: data[start : start + length], len(data))
            warnings = _judge(source, picture, factor)
            return SourceFacts(source, size=len(data), picture=picture, sha256=source.sha256, warnings=warnings)
        case HttpsSource() | UuidSource():
            return SourceFacts(source)


def image_reference(
    source: Source, *, generation: int | None, store: ObjectStore, signer: Signer, via: InputVia
) -> ImageReference:
    """Give the service access to the source.

    :param generation: of a ``gs://`` source, as it was looked at: that one is given, or none
    :param store: reads what goes inline
    :param signer: signs the download
    :param via: ``auto`` signs where it can, and goes inline where it cannot; ``https://``, UUID and data sources pass
        through in any case
    :raises ClarityAuthError: ``signed_url``, and nothing can be signed
    :raises ClarityInputError: too large to go inline; or (retryable) replaced since it was looked at
    """
    match source:
        case HttpsSource(url=url):
            return ImageReference(url)
        case UuidSource(uuid=uuid):
            return ImageReference(str(uuid))
        case DataSource(data_uri=data_uri):
            _check_inline(source, len(source.data), None)
            return ImageReference(data_uri)
        case GsSource(uri=uri):
            refusal = signer.refusal if via == "auto" else None
            if via == "inline" or refusal is not None:
                return _inline(store, source, uri, generation or 0, refusal)
            signed = signer.sign_get(uri, generation or 0)
            return ImageReference(signed.url, signed.expires_at)


def _inspect_object(store: ObjectStore, source: GsSource, uri: GsUri, factor: float) -> SourceFacts:
    found = store.stat(uri)
    if found is None:
        raise ClarityInputError(
            f"{uri} does not exist. Nothing was paid. Look at its name, or wait for it to be written."
        )
    picture = _picture(source, partial(_part, store, uri, found.generation), found.size)
    warnings = _judge(source, picture, factor)
    return SourceFacts(source, uri, found.generation, found.size, picture, warnings=warnings)


def _part(store: ObjectStore, uri: GsUri, generation: int, start: int, length: int) -> bytes | None:
    return store.read(uri, generation=generation, start=start, length=length)


def _picture(source: Source, read: Callable[[int, int], bytes | None], size: int) -> Header:
    if size == 0:
        raise ClarityInputError(
            f"{source.shown} has 0 bytes. Nothing was paid. Its upload was cut off: write it again."
        )
    header = read_header_with(read, size)
    if header is None:
        raise _replaced(source)
    if isinstance(header, NotAPicture):
        raise ClarityInputError(
            f"{source.shown} is no picture that Clarity takes: it is {header.reason}. Nothing was paid. "
            "Give a whole JPEG, PNG or WEBP; the bytes decide, not the name or the content type."
        )
    return header


def _judge(source: Source, picture: Header, factor: float) -> tuple[str, ...]:
    size, longest = f"{picture.width} x {picture.height}", max(picture.pixels)
    if longest >= LARGEST_OUTPUT:
        raise ClarityInputError(
            f"{source.shown} has {size} pixels: Clarity's pictures have at most {LARGEST_OUTPUT} a side, so it could "
            "not become larger. Nothing was paid. Leave it out, or scale it down first."
        )
    if longest * factor > LARGEST_OUTPUT:
        warning = (
            f"{source.shown} has {size} pixels: the service shrinks it first, so that the picture will have at most "
            f"{LARGEST_OUTPUT} a side and not {factor:g} times the source's."
        )
        return (warning,)
    return ()


def _inline(
    store: ObjectStore, source: GsSource, uri: GsUri, generation: int, refusal: ClarityError | None
) -> ImageReference:
    found = store.stat(uri, generation=generation)
    if found is None:
        raise _replaced(source)
    _check_inline(source, found.size, refusal)
    data = store.read(uri, generation=generation)
    header = read_header(data) if data is not None else None
    if data is None or not isinstance(header, Header):
        raise _replaced(source)
    encoded = base64.b64encode(data).decode("ascii")
    return ImageReference(f"data:{CONTENT_TYPES[header.format]};base64,{encoded}")


def _check_inline(source: Source, size: int, refusal: ClarityError | None) -> None:
    if size <= LARGEST_INLINE:
        return
    why = f" It would go inline since no URL can be signed: {refusal.message}" if refusal else ""
    raise ClarityInputError(
        f"{source.shown} has {size} bytes, and at most {LARGEST_INLINE} may go inline. Nothing was paid.{why} "
        'Let the service read it by a URL: input_via="signed_url" with credentials that can sign (not with '
        'upload_via="worker"), or an https:// source.',
        retryable=refusal is not None and refusal.retryable,
    )


def _replaced(source: Source) -> ClarityInputError:
    return ClarityInputError(
        f"{source.shown} was replaced or deleted while it was read. Nothing was paid. Another try reads it anew.",
        retryable=True,
    )
