"""The kinds of source a picture can come from. Pure.

Invariant: ``shown`` and ``recorded`` hold no secret; only ``HttpsSource.url``, its ``canonical`` and
``DataSource.data_uri`` may, and ``repr`` hides those that are fields.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage.gs_uri import GsUri, split_name

_SIGNING_PREFIXES: Final = ("x-goog-", "x-amz-")
_SIGNING_NAMES: Final = frozenset({"signature", "expires", "sig", "se", "token"})


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
        return f"{bare}?sha256={sha256(query.encode())}" if query else bare

    @property
    def stem(self) -> str:
        """The last part of the path, percent-decoded, without its suffix; empty where there is none."""
        return split_name(unquote(urlsplit(self.url).path))[0]

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


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """A source of which only the form that was stored is left: nothing of it can be sent.

    :param recorded: as the ``recorded`` of another kind
    """

    recorded: str

    @property
    def shown(self) -> str:
        """For logs and messages."""
        return self.recorded


Source = GsSource | HttpsSource | UuidSource | DataSource
"""Every kind of source. ``shown`` is for people, ``canonical`` for digests, ``recorded`` for what is stored."""


def _signs(name: str) -> bool:
    lowered = unquote(name).lower()
    return lowered in _SIGNING_NAMES or lowered.startswith(_SIGNING_PREFIXES)


def sha256(data: bytes) -> str:
    """Give the digest in hex."""
    return hashlib.sha256(data).hexdigest()
