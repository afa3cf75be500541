"""An Airflow connection of type ``clarity`` becomes settings. Pure: no clock, network or file.

Both ways of writing a connection are read alike, the JSON form (``"host": "https://api.runware.ai/v1"``) and the URI
form (``clarity://:KEY@api.runware.ai/v1``, where Airflow calls the path "schema"). No message holds the key or the
webhook's address.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityValidationError

DEFAULT_BASE_URL = "https://api.runware.ai/v1"
DEFAULT_IMAGE_HOSTS = (".runware.ai",)
_VERSION_PATH = "/v1"
_MAX_TIMEOUT = 600
_MAX_CONNECTIONS = 20
_SAFE = "Nothing was sent and nothing was paid."


class ConnectionLike(Protocol):
    """What is read of an Airflow connection, of any Airflow version."""

    conn_id: str
    host: str | None
    schema: str | None
    port: int | None
    password: str | None
    extra: str | None


@dataclass(frozen=True)
class ClaritySettings:
    """What a ``clarity`` connection says.

    :param conn_id: id of the connection, for messages
    :param api_key: the Runware API key
    :param base_url: address of the API, no slash at its end
    :param timeout: seconds one request may take
    :param max_connections: sockets of one client
    :param allowed_image_hosts: hosts that results may be fetched from; a leading dot allows subdomains
    :param webhook_url: where Runware posts finished tasks
    :param expected_cost_usd: what one image costs at most, as far as the user knows
    """

    conn_id: str
    api_key: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    timeout: float = 60.0
    max_connections: int = 5
    allowed_image_hosts: tuple[str, ...] = DEFAULT_IMAGE_HOSTS
    webhook_url: str | None = field(default=None, repr=False)
    expected_cost_usd: Decimal = Decimal("0.0038")


def settings_from_connection(connection: ConnectionLike) -> ClaritySettings:
    """Read the settings out of an Airflow connection.

    :param connection: an Airflow connection, of any Airflow version
    :return: the settings, defaults filled in
    :raises ClarityAuthError: there is no API key in it
    :raises ClarityValidationError: its host or one of its extras cannot be used
    """
    conn_id = connection.conn_id
    key = (connection.password or "").strip()
    if not key:
        kind = getattr(connection, "conn_type", None) or "clarity"
        other = "" if kind == "clarity" else f", and the type {kind!r}: is another meant?"
        raise ClarityAuthError(
            f"The connection {conn_id!r} has no API key{other or '.'} {_SAFE} Put your Runware API key "
            "into its password field."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ClarityAuthError(
            f"The API key of the connection {conn_id!r} holds blanks or characters that no key has. {_SAFE} Copy the "
            "key again, without quotes or line breaks."
        )
    base_url = _base_url(connection)
    extra = _Extra(conn_id, _parse_extra(connection))
    return ClaritySettings(
        conn_id=conn_id,
        api_key=key,
        base_url=base_url,
        timeout=float(extra.number("timeout", Decimal(60), at_most=_MAX_TIMEOUT)),
        max_connections=extra.whole("max_connections", 5, at_most=_MAX_CONNECTIONS),
        allowed_image_hosts=extra.hosts("allowed_image_hosts") or DEFAULT_IMAGE_HOSTS,
        webhook_url=extra.url("webhook_url"),
        expected_cost_usd=extra.number("expected_cost_usd", Decimal("0.0038")),
    )


def _base_url(connection: ConnectionLike) -> str:
    from airflow_provider_clarity.runware.hosts import checked_base_url  # noqa: PLC0415  # see _is_loopback

    host = (connection.host or "").strip()
    if not host:
        return DEFAULT_BASE_URL
    try:
        return checked_base_url(_address(host, (connection.schema or "").strip().strip("/"), connection.port))
    except ClarityValidationError as error:
        raise ClarityValidationError(f"Connection {connection.conn_id!r}: {error.message}") from None
    except ValueError:
        raise ClarityValidationError(
            f"The host of the connection {connection.conn_id!r} is not an address. {_SAFE} Give it a host such as "
            f"{DEFAULT_BASE_URL}."
        ) from None


def _address(host: str, schema: str, port: int | None) -> str:
    """Put together what a connection keeps in three fields; its schema is a scheme or a path, as it was written."""
    if "://" not in host:
        name = urlsplit(f"//{host}").hostname or ""
        scheme = schema if schema in ("http", "https") else "http" if _is_loopback(name) else "https"
        host = f"{scheme}://{host}"
    parts = urlsplit(host)
    path = parts.path.rstrip("/")
    if schema not in ("", "http", "https"):
        path = f"{path}/{schema}"
    netloc = f"{parts.netloc}:{port}" if port and parts.port is None else parts.netloc
    return urlunsplit((parts.scheme, netloc, path or _VERSION_PATH, parts.query, parts.fragment))


def _parse_extra(connection: ConnectionLike) -> Mapping[str, object]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ClarityValidationError(
            f"The extra of the connection {connection.conn_id!r} is not a JSON object. {_SAFE} Write it like "
            '{"timeout": 60}.'
        )
    return extra


@dataclass(frozen=True)
class _Extra:
    """The extras, each read with its type. Text is taken for numbers: URIs and old forms know nothing else."""

    conn_id: str
    values: Mapping[str, object] = field(repr=False)

    def _wrong(self, name: str, wanted: str) -> ClarityValidationError:
        return ClarityValidationError(
            f"The extra {name!r} of the connection {self.conn_id!r} is not {wanted}. {_SAFE} Correct it, or remove it "
            "to use the default."
        )

    def number(self, name: str, default: Decimal, *, at_most: float = math.inf) -> Decimal:
        value = self.values.get(name)
        if value is None or value == "":
            return default
        wanted = "a number above 0" if at_most == math.inf else f"a number above 0 and up to {at_most}"
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._wrong(name, wanted)
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            raise self._wrong(name, wanted) from None
        if not number.is_finite() or not 0 < number <= at_most:
            raise self._wrong(name, wanted)
        return number

    def whole(self, name: str, default: int, *, at_most: int) -> int:
        number = self.number(name, Decimal(default), at_most=at_most)
        if number != int(number):
            raise self._wrong(name, f"a whole number from 1 to {at_most}")
        return int(number)

    def hosts(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name)
        parts = value.replace(",", " ").split() if isinstance(value, str) else value or []
        if not isinstance(parts, list) or not all(isinstance(part, str) and _is_host(part) for part in parts):
            raise self._wrong(name, "a list of host names such as im.runware.ai or .runware.ai")
        return tuple(part.strip() for part in parts)

    def url(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            parts = urlsplit(value.strip()) if isinstance(value, str) else urlsplit("")
            host = parts.hostname or ""
            usable = bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))
        except ValueError:
            usable = False
        if not usable:
            raise self._wrong(name, "an https:// address")
        return str(value).strip()


def _is_loopback(host: str) -> bool:
    # The package of it loads httpx and pydantic, 0.2 s on Airflow 2.11: not when a DAG file is read.
    from airflow_provider_clarity.runware.hosts import is_loopback  # noqa: PLC0415

    return is_loopback(host)


def _is_host(text: str) -> bool:
    name = text.strip()
    return bool(name.strip(".")) and not any(sign in name for sign in "/@*?# ")
