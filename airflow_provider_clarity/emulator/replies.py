"""Replies that a well-behaved server never gives; both halves use them for their faults.

Invariant: :class:`Dropped` closes the TCP connection under the request without a byte of a reply. That needs the
connection, which the servers of ``server.py`` put into the scope of each request under ``TRANSPORT``.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

TRANSPORT = "emulator.transport"
PAGE = b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>\n"
PIECES = 20
HANG_SECONDS = 3600.0


def html_page() -> Response:
    """Return what a proxy in the way would answer: status 200 and a page that is neither JSON nor a picture."""
    return Response(PAGE, media_type="text/html")


class Dropped(Response):
    """Closes the connection without a reply."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the protocol's names
        """Close the connection."""
        transport: asyncio.Transport = scope[TRANSPORT]
        transport.abort()
        await _closed(receive)


class Hanging(Response):
    """Never answers, for so many seconds or until the client goes away; then closes the connection.

    :param seconds: an hour where none are given
    :param stop: lets go when it is set
    """

    def __init__(self, seconds: float | None = None, stop: asyncio.Event | None = None) -> None:
        super().__init__()
        self._seconds = HANG_SECONDS if seconds is None else seconds
        self._stop = stop or asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then close the connection."""
        waits = [asyncio.ensure_future(_closed(receive)), asyncio.ensure_future(self._stop.wait())]
        await asyncio.wait(waits, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await Dropped()(scope, receive, send)


class Truncated(Response):
    """Promises the whole body, sends half of it and closes the connection."""

    def __init__(self, whole: Response) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half, then close the connection."""
        body = bytes(self._whole.body)
        await send(_start(self._whole))
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        transport: asyncio.Transport = scope[TRANSPORT]
        transport.close()
        await _closed(receive)


class Dripping(Response):
    """Sends the right reply in ``PIECES`` pieces, with a pause before each."""

    def __init__(self, whole: Response, pause: float) -> None:
        super().__init__()
        self._whole, self._pause = whole, pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the protocol's names
        """Send the pieces."""
        body = bytes(self._whole.body)
        await send(_start(self._whole))
        ends = [len(body) * number // PIECES for number in range(PIECES + 1)]
        for start, end in pairwise(ends):
            await asyncio.sleep(self._pause)
            await send({"type": "http.response.body", "body": body[start:end], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _start(response: Response) -> dict[str, Any]:
    return {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}


async def _closed(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
