"""What the strings mean that a user writes: a ``gs://`` URI, a source, a destination. Pure.

Invariants: a ``GsUri`` that exists is one Cloud Storage would take. A source's ``shown`` and ``recorded`` hold no
secret; only ``HttpsSource.url`` and ``DataSource.data_uri`` may, and ``repr`` hides both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

from airflow_provider_clarity.exceptions import ClarityInputError, ClarityValidationError
from airflow_provider_clarity.redact import redact

_SCHEME: Final = "gs://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9_.-]{1,220}[a-z0-9]")
_LONGEST_LABEL: Final = 63
_IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_LONGEST_NAME: Final = 1024  # bytes of UTF-8

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATA_URI = re.compile(r"data:([A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+);base64,", re.ASCII)
_BARE_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{100,}={0,2}\s*")
_URL_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_SIGNING_PREFIXES: Final = ("x-goog-", "x-amz-")
_SIGNING_NAMES: Final = frozenset({"signature", "expires", "sig", "se", "token"})

EXTENSIONS_OF: Final = {
    "JPG": frozenset({".jpg", ".jpeg"}),
    "PNG": frozenset({".png"}),
    "WEBP": frozenset({".webp"}),
}
"""Each output format with the endings, in lower case, that an object of it may have."""
_OTHER_IMAGES: Final = frozenset({".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jfif", ".jxl"})


@dataclass(frozen=True, slots=True, order=True)
class GsUri:
    """An object, or a prefix, in Cloud Storage.

    :param bucket: the bucket's name
    :param name: the object's name, up to 1024 bytes of UTF-8; empty, or ending in ``/``, it is a prefix
    :raises ClarityInputError: for a name Cloud Storage would refuse
        (cloud.google.com/storage/docs/buckets#naming and /objects#naming)
    """

    bucket: str
    name: str

    def __post_init__(self) -> None:
        if reason := _why_no_bucket(self.bucket) or _why_no_name(self.name):
            raise ClarityInputError(f"gs://{self.bucket!s}/… is no Cloud Storage URI: {reason}.")

    @classmethod
    def parse(cls, text: str) -> GsUri:
        """Read ``gs://bucket/name``. Everything after the bucket is the name, also ``?``, ``#``, ``%`` and spaces.

        :param text: the URI; ``gs://bucket`` is the bucket's root
        :raises ClarityInputError: if it is none
        """
        if not text.startswith(_SCHEME):
            raise ClarityInputError(f"{redact(text)!r} is no Cloud Storage URI. Write it as gs://bucket/name.")
        bucket, _, name = text.removeprefix(_SCHEME).partition("/")
        if not bucket:
            raise ClarityInputError(f"{text!r} names no bucket. Write it as gs://bucket/name.")
        return cls(bucket, name)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self.name}"

    @property
    def is_prefix(self) -> bool:
        """Whether this is the bucket's root or ends in ``/``."""
        return not self.name or self.name.endswith("/")

    @property
    def stem(self) -> str:
        """The last part of the name without its suffix: ``c.tar`` of ``a/b/c.tar.gz``."""
        return _split(self.name)[0]

    @property
    def suffix(self) -> str:
        """The last ending with its dot, as written: ``.gz`` of ``a/b/c.tar.gz``; empty where there is none."""
        return _split(self.name)[1]

    def child(self, name: str) -> GsUri:
        """Give what is called ``name`` under this prefix.

        :param name: appended after a ``/``, which is added where it is missing
        """
        return GsUri(self.bucket, f"{self.name}{'' if self.is_prefix else '/'}{name}")


@dataclass(frozen=True, slots=True)
class GsSource:
    """An object in Cloud Storage."""

    uri: GsUri

    @property
    def shown(self) -> str:
        """For logs and messages."""
        return str(self.uri)

    @property
    def canonical(self) -> str:
        """For the identity; the generation is added by whoever knows it."""
        return str(self.uri)

    @property
    def recorded(self) -> str:
        """For metadata and records: comparable, without a secret."""
        return str(self.uri)

    @property
    def stem(self) -> str:
        """What a final name under a prefix is made of."""
        return self.uri.stem


@dataclass(frozen=True, slots=True)
class HttpsSource:
    """A picture on the web, which the service fetches. The URL may be presigned, so ``repr`` hides it."""

    url: str = field(repr=False)

    @property
    def shown(self) -> str:
        """For logs and messages: without query and user."""
        return redact(self.url)

    @property
    def canonical(self) -> str:
        """For the identity: without user, fragment and what only signs (``X-Goog-*``, ``Signature``, ...).

        It may hold a secret under another name: put it into a digest only.
        """
        bare, query = self._parts()
        return f"{bare}?{query}" if query else bare

    @property
    def recorded(self) -> str:
        """For metadata and records: the query, if there is one, as its digest."""
        bare, query = self._parts()
        return f"{bare}?sha256={_sha256(query.encode())}" if query else bare

    @property
    def stem(self) -> str:
        """The last part of the path, percent-decoded, without its suffix; empty where there is none."""
        return _split(unquote(urlsplit(self.url).path))[0]

    def _parts(self) -> tuple[str, str]:
        parts = urlsplit(self.url)
        host = (parts.hostname or "").lower()
        host = f"[{host}]" if ":" in host else host
        port = "" if parts.port in {None, 443} else f":{parts.port}"
        kept = [pair for pair in parts.query.split("&") if pair and not _signs(pair.partition("=")[0])]
        return f"https://{host}{port}{parts.path or '/'}", "&".join(kept)


@dataclass(frozen=True, slots=True)
class UuidSource:
    """A picture that the service already keeps."""

    uuid: UUID

    @property
    def shown(self) -> str:
        """For logs and messages."""
        return str(self.uuid)

    @property
    def canonical(self) -> str:
        """For the identity."""
        return str(self.uuid)

    @property
    def recorded(self) -> str:
        """For metadata and records."""
        return str(self.uuid)


@dataclass(frozen=True, slots=True)
class DataSource:
    """A picture given inline, as ``data:<media type>;base64,...``.

    :param data_uri: all of it; ``repr`` hides it
    :param media_type: as the user wrote it; nobody relies on it
    :param sha256: of the decoded bytes, in hex
    :param size: of the decoded bytes
    """

    data_uri: str = field(repr=False)
    media_type: str
    sha256: str
    size: int

    @property
    def shown(self) -> str:
        """For logs and messages."""
        return f"data:{self.media_type} ({self.size} bytes, sha256 {self.sha256[:12]})"

    @property
    def canonical(self) -> str:
        """For the identity: the same bytes are the same source, whatever the media type says."""
        return f"data:sha256:{self.sha256}"

    @property
    def recorded(self) -> str:
        """For metadata and records."""
        return self.canonical

    @property
    def data(self) -> bytes:
        """The decoded bytes."""
        return base64.b64decode(self.data_uri.partition(",")[2])


Source = GsSource | HttpsSource | UuidSource | DataSource
"""Every kind of source. ``shown`` is for people, ``canonical`` for digests, ``recorded`` for what is stored."""


def parse_source(text: str) -> Source:
    """Tell what a source string is.

    :param text: ``gs://bucket/name``, ``https://...``, the UUID of a picture the service keeps, or a base64 data URI
    :raises ClarityInputError: for anything else, with a hint what to do; no message holds a secret
    """
    if text.startswith(_SCHEME):
        uri = GsUri.parse(text)
        if uri.is_prefix:
            raise ClarityInputError(f"{uri} is a prefix, not an object. Name one object, or use the batch operator.")
        return GsSource(uri)
    if _UUID.fullmatch(text):
        return UuidSource(UUID(text))
    if text.startswith("data:"):
        return _parse_data(text)
    if text.startswith("https://"):
        return _parse_https(text)
    raise ClarityInputError(f"{_short(text)} is no source Clarity can read. {_hint(text)}")


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
                f"Give an object name as destination, for example {destination}picture.{ext}."
            )
        final = destination.child(f"{stem}.{ext}")
    else:
        final = destination
        ending = final.suffix.lower()
        others = _OTHER_IMAGES.union(*EXTENSIONS_OF.values()) - wanted
        if ending in others:
            raise ClarityValidationError(
                f"The destination {final} ends in {ending}, but the picture will be {ext.upper()}. "
                "Change the one or the output format."
            )
    if isinstance(source, GsSource) and source.uri == final:
        raise ClarityInputError(
            f"The destination {final} is the source itself. Nothing was touched. Choose another name or prefix."
        )
    return final


def _why_no_bucket(bucket: str) -> str | None:
    if not _BUCKET.fullmatch(bucket):
        return "a bucket's name has 3 to 222 of a-z, 0-9, '-', '_', '.', and begins and ends with a letter or digit"
    if any(not label or len(label) > _LONGEST_LABEL for label in bucket.split(".")):
        return f"between its dots a bucket's name has 1 to {_LONGEST_LABEL} characters"
    if _IP_ADDRESS.fullmatch(bucket):
        return "a bucket's name is no IP address"
    return None


def _why_no_name(name: str) -> str | None:
    if name in {".", ".."}:
        return f"an object cannot be called {name!r}"
    if "\r" in name or "\n" in name:
        return "an object's name has no line break"
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "the object's name is not valid Unicode"
    return f"the object's name has {length} bytes, and {_LONGEST_NAME} are allowed" if length > _LONGEST_NAME else None


def _split(name: str) -> tuple[str, str]:
    last = name.rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    return (stem, dot + suffix) if stem.strip(".") and suffix else (last, "")


def _signs(name: str) -> bool:
    lowered = unquote(name).lower()
    return lowered in _SIGNING_NAMES or lowered.startswith(_SIGNING_PREFIXES)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _parse_data(text: str) -> DataSource:
    head = _DATA_URI.match(text)
    if head is None:
        raise ClarityInputError("The inline source is no base64 data URI. Write it as data:image/png;base64,<bytes>.")
    try:
        data = base64.b64decode(text[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise ClarityInputError(
            f"The inline source data:{head[1]} is not valid base64. Encode the bytes again, without line breaks."
        ) from None
    return DataSource(text, head[1].lower(), _sha256(data), len(data))


def _parse_https(text: str) -> HttpsSource:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0  # reading the port checks it
        text.encode()
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in text):
        raise ClarityInputError(f"{redact(text)!r} is no usable URL: give a host, and percent-encode spaces.")
    return HttpsSource(text)


def _short(text: str) -> str:
    shown = redact(text)
    return repr(shown if len(shown) <= _LONGEST_LABEL * 2 else f"{shown[: _LONGEST_LABEL * 2]}…")


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
