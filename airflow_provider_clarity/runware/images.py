"""Fetches a picture by the URL that the service gave: https, listed hosts, no redirect, no private address, a cap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import httpx

from airflow_provider_clarity.exceptions import ClarityDeliveryError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.runware import routes
from airflow_provider_clarity.runware.hosts import host_allowed, is_loopback, is_name, is_public, literal_address

IMAGE_HOSTS: Final = ("im.runware.ai", ".runware.ai")
"""Where the service keeps pictures (https://runware.ai/docs/models/clarity, the examples)."""

LOST: Final = (httpx.HTTPError, httpx.InvalidURL, OSError)
"""What a request may end in. ``httpx`` reads where a redirect leads and may choke on it, and old versions of its
transport (``httpcore`` before 1.0.6) let errors of TLS through as they are."""

_OK: Final = 200
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_PAGES: Final = frozenset({"text/html", "application/json"})
"""What somebody in the way answers in place of a picture."""
_SAFE = "The picture stays paid and is not bought again."
_LONGEST: Final = 8192
_LONGEST_SHOWN: Final = 200
_PORTS: Final = frozenset({None, 443})
_PRIVATE: Final = "its host lies in a private network"


def refusal(url: str, why: str, *, retryable: bool = False, code: str | None = None) -> ClarityDeliveryError:
    """Make the error of a picture that was not fetched.

    :param url: shown redacted, cut, and without characters that a terminal obeys
    :param why: half a sentence
    :param retryable: whether another try can mend it
    :param code: the HTTP status, where the host answered one
    """
    shown = redact(url if isinstance(url, str) else type(url).__name__)
    shown = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in shown)
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN]}…"
    return ClarityDeliveryError(
        f"The picture at {shown} was not fetched: {why}. {_SAFE} Look at the task in the Runware dashboard"
        f"{', or try again' if retryable else ''}.",
        retryable=retryable,
        code=code,
    )


def checked_url(url: str, *, allowed_hosts: Iterable[str], loopback: bool) -> httpx.URL:
    """Return the URL when it may be fetched. Pure.

    :param url: as the service gave it
    :param allowed_hosts: exact names, and suffixes beginning with a dot
    :param loopback: whether the connection's own host is loopback; then, and only then, loopback is allowed as well
    :raises ClarityDeliveryError: it may not; the URL is redacted
    """
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii")
        long = len(url) > _LONGEST
    except (httpx.InvalidURL, TypeError, ValueError):
        raise refusal(url, "it is no URL") from None
    if long:
        raise refusal(url, f"it is longer than {_LONGEST} characters")
    local = loopback and is_loopback(host)
    if parsed.scheme != "https" and not (parsed.scheme == "http" and local):
        raise refusal(url, "it is not https")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise refusal(url, "it carries a user")
    if local:
        return parsed
    if not host_allowed(host, allowed_hosts):
        raise refusal(url, "its host is not on the connection's list allowed_image_hosts")
    literal = literal_address(host)
    if literal is None and not is_name(host):
        raise refusal(url, "its host is no name")
    if literal is not None and not is_public(str(literal)):  # a proxy would be asked for it without a look of ours
        raise refusal(url, _PRIVATE)
    if parsed.port not in _PORTS:
        raise refusal(url, "it names another port than 443")
    return parsed


async def find_routes(url: httpx.URL, *, loopback: bool) -> routes.Routes:
    """Say how the host is reached, and refuse it when any of its addresses is private. A proxy resolves names itself.

    :param url: see :func:`checked_url`
    :param loopback: see :func:`checked_url`
    :raises ClarityDeliveryError: the address is private, or the name is unknown
    """
    try:
        return await routes.find(url, loopback=loopback)
    except routes.NoRouteError as error:
        raise refusal(str(url), str(error), retryable=error.passing) from None


async def fetch(http: httpx.AsyncClient, found: routes.Routes, *, max_bytes: int) -> bytes:
    """Return the body of the URL, from the first of its addresses that takes a connection.

    :param http: the client; it follows no redirects
    :param found: how to reach it
    :param max_bytes: more than this is refused while it comes in
    :raises ClarityDeliveryError: another status than 200, a page, too large, empty, or broken off
    """
    shown = str(found.url)
    requests = found.requests(http, {"Accept": "image/*,*/*;q=0.5"})
    for left, request in zip(range(len(requests) - 1, -1, -1), requests, strict=True):
        try:
            return await _body(http, request, shown, max_bytes)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if not left:
                raise _broken(shown, error) from None
        except LOST as error:
            raise _broken(shown, error) from None
    raise refusal(shown, "its host name is unknown here", retryable=True)


async def _body(http: httpx.AsyncClient, request: httpx.Request, shown: str, max_bytes: int) -> bytes:
    response = await http.send(request, stream=True)
    try:
        status = response.status_code
        if status != _OK:
            raise refusal(shown, f"the host answered {status}", retryable=status in _TRANSIENT, code=str(status))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in _PAGES:
            raise refusal(shown, f"the host answered with {kind}, which is no picture", retryable=True)
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > max_bytes:
                raise refusal(shown, f"it is larger than {max_bytes} bytes")
    finally:
        await response.aclose()
    if not body:
        raise refusal(shown, "it is empty", retryable=True)
    return bytes(body)


def _broken(shown: str, error: Exception) -> ClarityDeliveryError:
    return refusal(shown, f"the connection failed ({type(error).__name__})", retryable=True)
