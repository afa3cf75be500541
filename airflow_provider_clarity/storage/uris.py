"""What the strings mean that a user writes: a source, a destination. Pure.

The kinds themselves are in `gs_uri.py` and `sources.py` and are imported from here.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from airflow_provider_clarity.exceptions import ClarityInputError, ClarityValidationError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage.gs_uri import SCHEME, GsUri
from airflow_provider_clarity.storage.sources import DataSource, GsSource, HttpsSource, Source, UuidSource, sha256

__all__ = [
    "EXTENSIONS_OF",
    "DataSource",
    "GsSource",
    "GsUri",
    "HttpsSource",
    "Source",
    "UuidSource",
    "final_name",
    "parse_source",
]

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATA_URI = re.compile(r"data:([A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+);base64,", re.ASCII)
_BARE_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{100,}={0,2}\s*")
_URL_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_LONGEST_SHOWN: Final = 120
_SAFE: Final = "Nothing was sent and nothing was paid."

EXTENSIONS_OF: Final = {
    "JPG": frozenset({".jpg", ".jpeg"}),
    "PNG": frozenset({".png"}),
    "WEBP": frozenset({".webp"}),
}
"""Each output format with the endings, in lower case, that an object of it may have."""
_OTHER_IMAGES: Final = frozenset({".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jfif", ".jxl"})


def parse_source(text: str) -> Source:
    """Tell what a source string is.

    :param text: ``gs://bucket/name``, ``https://...``, the UUID of a picture the service keeps, or a base64 data URI
    :raises ClarityInputError: for anything else, with a hint what to do; no message holds a secret
    """
    if text.startswith(SCHEME):
        uri = GsUri.parse(text)
        if uri.is_prefix:
            raise ClarityInputError(f"{uri} is a prefix, not an object. {_SAFE} Name one object.")
        return GsSource(uri)
    if _UUID.fullmatch(text):
        return UuidSource(UUID(text))
    if text.startswith("data:"):
        return _parse_data(text)
    if text.startswith("https://"):
        return _parse_https(text)
    raise ClarityInputError(f"{_short(text)} is no source Clarity can read. {_SAFE} {_hint(text)}")


def final_name(destination: GsUri, source: Source, ext: str) -> GsUri:
    """Give the final name of one picture.

    :param destination: an object, or a prefix, under which the picture is called ``<stem of the source>.<ext>``
    :param source: what is upscaled
    :param ext: the output's extension, ``jpg``, ``jpeg``, ``png`` or ``webp``
    :raises ClarityInputError: if a prefix is given and the source has no name, or the final name is the source itself
    :raises ClarityValidationError: if the destination's extension is that of another image format, or `ext` of none
    """
    wanted = next((endings for endings in EXTENSIONS_OF.values() if f".{ext.lower()}" in endings), None)
    if wanted is None:
        raise ClarityValidationError(f"{ext!r} is no output extension. Use jpg, png or webp.")
    if destination.is_prefix:
        stem = source.stem if isinstance(source, GsSource | HttpsSource) else ""
        if not stem:
            raise ClarityInputError(
                f"The source {source.shown} has no name to call the picture by under {destination}. "
                f"{_SAFE} Give an object name as destination, for example {destination}picture.{ext}."
            )
        final = destination.child(f"{stem}.{ext}")
    else:
        final = destination
        ending = final.suffix.lower()
        others = _OTHER_IMAGES.union(*EXTENSIONS_OF.values()) - wanted
        if ending in others:
            raise ClarityValidationError(
                f"The destination {final} ends in {ending}, but the picture will be {ext.upper()}. "
                f"{_SAFE} Change the destination's ending, or output_format."
            )
    if isinstance(source, GsSource) and source.uri == final:
        raise ClarityInputError(f"The destination {final} is the source itself. {_SAFE} Choose another name or prefix.")
    return final


def _parse_data(text: str) -> DataSource:
    head = _DATA_URI.match(text)
    if head is None:
        raise ClarityInputError(
            f"The inline source is no base64 data URI. {_SAFE} Write it as data:image/png;base64,<bytes>."
        )
    try:
        data = base64.b64decode(text[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise ClarityInputError(
            f"The inline source data:{head[1]} is not valid base64. {_SAFE} "
            "Encode the bytes again, without line breaks."
        ) from None
    return DataSource(text, head[1].lower(), sha256(data), len(data))


def _parse_https(text: str) -> HttpsSource:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0  # reading the port checks it
        text.encode()
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in text):
        raise ClarityInputError(f"{_short(text)} is no usable URL. {_SAFE} Give a host, and percent-encode spaces.")
    return HttpsSource(text)


def _short(text: str) -> str:
    shown = redact(text)
    return repr(shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}...")


def _hint(text: str) -> str:
    if not text.strip():
        return "It is empty: was a template rendered to nothing?"
    if text != text.strip():
        return "It begins or ends with white space: take that away."
    if _BARE_BASE64.fullmatch(text):
        return "It looks like bare base64: put data:image/png;base64, (or the right type) in front."
    scheme = _URL_SCHEME.match(text)
    hints = {
        "http": "The service must be able to fetch it safely: use https://, or copy the object to gs://.",
        "gs": "Write it as gs://bucket/name, in lower case.",
        "gcs": "Write it as gs://bucket/name.",
        "https": "Write the scheme in lower case: https://...",
        "s3": "Copy the object to gs:// first, or give a presigned https:// URL.",
        "s3a": "Copy the object to gs:// first, or give a presigned https:// URL.",
        **dict.fromkeys(
            ("az", "abfs", "abfss", "wasb", "wasbs", "adl"), "Copy it to gs:// first, or give an https:// URL with SAS."
        ),
    }
    if scheme and len(scheme[1]) > 1 and scheme[1].lower() != "file":
        return hints.get(scheme[1].lower(), "Use gs://, https://, the UUID of a stored picture, or a data URI.")
    return "A local path is seen by one worker only: upload the file to gs:// first."
