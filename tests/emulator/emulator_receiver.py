"""A server of the test's own: it serves inputs, takes uploads and webhooks, and remembers what came."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

PATIENCE = 15.0


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    content_type: str | None
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """``with Receiver() as receiver:`` gives ``url``, ``files`` (path to body), ``status`` and ``received``.

    ``hold("GET")`` lets requests of this method wait for ``release()``: a task whose input or upload is held runs for
    as long as the test wants, however slow the machine is.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.received: list[Received] = []
        self.status = 200
        self._held = ""
        self._open = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def hold(self, method: str) -> None:
        self._held = method

    def release(self) -> None:
        self._open.set()

    def of(self, method: str) -> list[Received]:
        return [one for one in self.received if one.method == method]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                came = Received(self.command, self.path, self.headers.get("Content-Type"), self.rfile.read(size))
                receiver.received.append(came)
                if self.command == receiver._held:
                    receiver._open.wait(PATIENCE)
                body = receiver.files.get(self.path.partition("?")[0], b"") if self.command == "GET" else b""
                with contextlib.suppress(ConnectionError):  # a reset drops the one who asked
                    self.send_response(receiver.status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = answer  # noqa: N815 - the names the library calls

            def log_message(self, *_: object) -> None:
                pass

        return Handler
