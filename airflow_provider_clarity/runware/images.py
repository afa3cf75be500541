"""Fetches a picture by the URL that the service gave: https, listed hosts, no redirect, no private address, a cap."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterable
from typing import Final

import httpx

from airflow_provider_clarity.exceptions import ClarityDeliveryError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.runware.hosts import host_allowed, is_loopback, is_public

IMAGE_HOSTS: Final = ("im.runware.ai", ".runware.ai")
"""Where the service keeps pictures (https://runware.ai/docs/models/clarity, the examples)."""

_OK: Final = 200
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAFE = "The picture stays paid and is not bought again."


def refusal(url: str, why: str, *, retryable: bool = False) -> ClarityDeliveryError:
    """Make the error of a picture that was not fetched.

    :param url: shown redacted
    :param why: half a sentence
    :param retryable: whether another try can mend it
    """
    return ClarityDeliveryError(
        f"The picture at {redact(url)} was not fetched: {why}. {_SAFE} Look at the task in the Runware dashboard"
        f"{', or try again' if retryable else ''}.",
        retryable=retryable,
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
    except (httpx.InvalidURL, TypeError, ValueError):
        raise refusal(url, "it is no URL") from None
    host = parsed.raw_host.decode("ascii", "replace")
    local = loopback and is_loopback(host)
    if parsed.scheme != "https" and not (parsed.scheme == "http" and local):
        raise refusal(url, "it is not https")
    if parsed.userinfo:
        raise refusal(url, "it carries a user")
    if not local and not host_allowed(host, allowed_hosts):
        raise refusal(url, "its host is not on the connection's list allowed_image_hosts")
    return parsed


async def check_address(url: httpx.URL, *, loopback: bool) -> None:
    """Resolve the host and refuse it when any of its addresses is private. A proxy resolves names itself.

    :param url: see :func:`checked_url`
    :param loopback: see :func:`checked_url`
    :raises ClarityDeliveryError: the address is private, or the name is unknown
    """
    host = url.raw_host.decode("ascii", "replace").strip("[]")
    if loopback and is_loopback(host):
        return
    if _proxied(url.scheme, host):
        return
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, url.port or 443)
    except OSError:
        raise refusal(str(url), "its host name is unknown here", retryable=True) from None
    if not all(is_public(str(entry[4][0])) for entry in found):
        raise refusal(str(url), "its host lies in a private network")


async def fetch(http: httpx.AsyncClient, url: httpx.URL, *, max_bytes: int) -> bytes:
    """Return the body of the URL.

    :param http: the client; it follows no redirects
    :param url: checked
    :param max_bytes: more than this is refused while it comes in
    :raises ClarityDeliveryError: another status than 200, too large, empty, or broken off
    """
    shown = str(url)
    try:
        async with http.stream("GET", url, headers={"Accept": "image/*,*/*;q=0.5"}) as response:
            status = response.status_code
            if status != _OK:
                raise refusal(shown, f"the host answered {status}", retryable=status in _TRANSIENT)
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    raise refusal(shown, f"it is larger than {max_bytes} bytes")
    except httpx.HTTPError as error:
        raise refusal(shown, f"the connection failed ({type(error).__name__})", retryable=True) from None
    if not body:
        raise refusal(shown, "it is empty", retryable=True)
    return bytes(body)


def _proxied(scheme: str, host: str) -> bool:
    proxies = urllib.request.getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not urllib.request.proxy_bypass(host)
