"""Everything the Runware half sends or fetches itself: inputs, uploads, webhooks.

Invariants: only loopback is spoken to; no redirect is followed; a failure is a value, never an exception; no URL is
logged or put into a message.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
from urllib.parse import urlsplit

import httpx

from airflow_provider_clarity.emulator.runware_tasks import UUID, World

MOST_BYTES = 64 * 1024 * 1024
SOCKETS = 8


class Transfer:
    """One HTTP client for all of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._client: httpx.AsyncClient | None = None
        # httpx's pool is slow with many waiting for it; and uploads that pile up must not keep inputs from being read
        self._reading, self._sending = asyncio.Semaphore(SOCKETS), asyncio.Semaphore(SOCKETS)

    async def read_input(self, image: str) -> bytes | None:
        """Return the bytes of an input in any of its forms, or None where it cannot be had."""
        if UUID.fullmatch(image):
            produced = self._world.image(image)
            return None if produced is None else await asyncio.to_thread(produced.picture.path.read_bytes)
        if image.startswith(("http://", "https://")):
            return await self._fetch(image)
        if image.startswith("data:"):
            head, _, image = image.partition(",")
            if not head.endswith(";base64"):
                return None
        try:
            return base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError):
            return None

    async def put(self, url: str, body: bytes, content_type: str | None) -> int | None:
        """PUT the whole body; return the status, or None where no answer came."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        return await self._send("PUT", url, content=body, headers=headers)

    async def post(self, url: str, body: object) -> int | None:
        """POST a JSON body; return the status, or None where no answer came."""
        return await self._send("POST", url, json=body)

    async def aclose(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()

    async def _fetch(self, url: str) -> bytes | None:
        if not is_loopback(url):
            return None
        try:
            async with self._reading, self._http().stream("GET", url) as reply:
                if reply.status_code != 200:
                    return None
                body = bytearray()
                async for piece in reply.aiter_bytes():
                    body += piece
                    if len(body) > MOST_BYTES:
                        return None
                return bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL):
            return None

    async def _send(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        json: object = None,
    ) -> int | None:
        if not is_loopback(url):
            return None
        try:
            async with self._sending:
                reply = await self._http().request(method, url, content=content, headers=headers, json=json)
        except (httpx.HTTPError, httpx.InvalidURL):
            return None
        return reply.status_code

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False, timeout=60)
        return self._client


def is_loopback(url: str) -> bool:
    """Whether the host of this URL is this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
