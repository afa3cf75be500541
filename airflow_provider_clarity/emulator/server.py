"""Two uvicorn servers on one loop, ended together by one signal.

Invariants: a port that is taken is found before anything is served; ``ready`` is called once, when both answer; each
request can reach the connection under it (``replies.TRANSPORT``), because some faults close it. No access log: paths
hold presigned URLs.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from airflow_provider_clarity.emulator.replies import TRANSPORT

GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: serve() handles them for both servers."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket.

    :raises OSError: the port is taken
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by every connection: without it a reply of two writes waits 40 ms for the client's acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket) -> str:
    """Return ``http://host:port`` of a bound socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    apps: Sequence[Starlette], sockets: Sequence[socket.socket], *, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Serve each app on its socket until SIGINT, SIGTERM or ``stop``; outside of the main thread only the latter.

    :param stop: set when the end has begun, so that whatever hangs on purpose lets go
    :param ready: called once, when all of them answer
    """
    servers = [_Server(_config(app)) for app in apps]
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    running = [
        asyncio.create_task(server.serve(sockets=[listening]))
        for server, listening in zip(servers, sockets, strict=True)
    ]
    while not all(server.started for server in servers):
        await asyncio.sleep(0.005)
        if any(task.done() for task in running):
            break
    else:
        ready()
    ended = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, *running], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(ended, *running)


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("Any", _protocol),
        ws="websockets-sansio",  # the older one warns of what it is built on
        log_level="warning",
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )


def _protocol(**arguments: Any) -> asyncio.Protocol:  # noqa: ANN401 - passed through
    """Return a connection whose requests know it."""
    protocol: Any = AutoHTTPProtocol(**arguments)
    inner = protocol.app

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[TRANSPORT] = protocol.transport
        await inner(scope, receive, send)

    protocol.app = app
    return cast("asyncio.Protocol", protocol)
