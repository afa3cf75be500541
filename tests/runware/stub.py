"""A small HTTP server on loopback that answers as a test tells it, down to the bytes and the broken connection."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from airflow_provider_clarity.runware import UpscaleInputs, UpscaleParameters, UpscaleTask

KEY = "stub-key-0123456789"


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def tasks(self) -> list[dict[str, Any]]:
        return json.loads(self.body)

    @property
    def uuids(self) -> list[str]:
        return [task["taskUUID"] for task in self.tasks]


@dataclass(frozen=True)
class Answer:
    """What goes out.

    :param reset: break the connection instead
    :param delay: seconds before it goes out
    :param drip: seconds between two bytes of the body
    :param length: a Content-Length that is not the body's
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    delay: float = 0
    drip: float = 0
    length: int | None = None


Handler = Callable[[Request], Answer]


def answer(value: object, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), named)


def acknowledge(request: Request) -> Answer:
    return answer({"data": [{"taskType": task["taskType"], "taskUUID": task["taskUUID"]} for task in request.tasks]})


def error(code: str, task_uuid: str | None = None, **more: object) -> dict[str, object]:
    named = {} if task_uuid is None else {"taskUUID": task_uuid}
    return {"code": code, "message": f"about {code}", **named, **more}


def task(image: str = "https://example.com/in.jpg", **more: Any) -> UpscaleTask:
    parameters = UpscaleParameters(upscale_factor=2)
    return UpscaleTask(task_uuid=uuid4(), parameters=parameters, inputs=UpscaleInputs(image=image), **more)


def uuids(number: int) -> list[UUID]:
    return [uuid4() for _ in range(number)]


class Stub:
    """Serves until its block ends. ``handler`` answers; ``script`` answers first, one answer a request.

    :param tls: to be spoken to by https
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[Request] = []
        self.handler: Handler = acknowledge
        self.script: list[Answer | Handler] = []
        self.open_now = 0
        self.most_open = 0
        self._working: set[asyncio.Task[None]] = set()

    def then(self, *answers: Answer | Handler) -> None:
        self.script += answers

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def sent(self) -> Sequence[list[str]]:
        return [request.uuids for request in self.requests]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**24, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for working in list(self._working):
            working.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        self._working.add(me)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open_now -= 1
            self._working.discard(me)
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.casefold(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(first.split()[0], first.split()[1], headers, body)
        self.requests.append(request)
        planned = self.script.pop(0) if self.script else self.handler
        sent = planned if isinstance(planned, Answer) else planned(request)
        await asyncio.sleep(sent.delay)
        if sent.reset:
            return False
        shown = {"Content-Length": str(len(sent.body) if sent.length is None else sent.length), **sent.headers}
        rows = [f"HTTP/1.1 {sent.status} X", *(f"{name}: {value}" for name, value in shown.items()), "", ""]
        writer.write("\r\n".join(rows).encode())
        if not sent.drip:
            writer.write(sent.body)
        for byte in sent.body if sent.drip else b"":
            writer.write(bytes([byte]))
            await asyncio.sleep(sent.drip)
        await writer.drain()
        return sent.length is None
