"""The Cloud Storage emulator in a thread of the test, on a free port of loopback, with a clock that the test moves.

The whole command in its own process is ``tests/emulator_process.py``; here a test can reach the clock and the faults.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import httpx
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

with warnings.catch_warnings():
    # google-api-core says at import that grpcio-status is not installed; nothing here speaks gRPC.
    warnings.simplefilter("ignore", ImportWarning)
    from google.cloud import storage
    from google.oauth2 import service_account

from airflow_provider_clarity.emulator import server as emulator_server
from airflow_provider_clarity.emulator.faults import Faults
from airflow_provider_clarity.emulator.keys import ServiceAccountKey
from airflow_provider_clarity.emulator.storage_app import create_storage_app
from airflow_provider_clarity.emulator.storage_tokens import KeyRing

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def offline(credentials: Any) -> Any:
    """Keep credentials from asking the real iamcredentials.googleapis.com for a "regional access boundary"."""
    credentials._is_regional_access_boundary_lookup_required = lambda: False
    return credentials


class StorageServer:
    """A server that runs, and is a new one inside whenever a test asks for it.

    ``with StorageServer(folder) as server:`` and then ``server.renew("raw")`` give ``url``, ``key_file`` and clients.
    (Starting and stopping uvicorn takes 0.3 s; a new application takes nothing.)

    :param folder: where the key file is written
    """

    def __init__(self, folder: Path) -> None:
        self.key = ServiceAccountKey.make()
        self._socket = emulator_server.listen("127.0.0.1", 0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms a request
        self.url = emulator_server.url_of(self._socket)
        self.key_file = folder / "key.json"
        self.key.write(self.key_file, f"{self.url}/token")
        # Read once: it takes 80 ms.
        self._account = service_account.Credentials.from_service_account_file(str(self.key_file))
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storage-emulator")
        self._own: storage.Client | None = None
        self._clients: list[storage.Client] = []
        self.http = httpx.Client()
        self.renew()

    def renew(self, *buckets: str) -> Self:
        """Forget everything: an empty store with these buckets, no faults, the clock right, no client left open."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._own = None
        self.faults = Faults()
        self.ahead = 0.0
        self._app = create_storage_app(faults=self.faults, key=self.key, buckets=buckets, clock=self.clock)
        return self

    def clock(self) -> float:
        """Return the server's time: the real one plus ``ahead`` seconds."""
        return time.time() + self.ahead

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.renew()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self.http.close()
        assert not self._thread.is_alive(), "the server did not stop"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            app = cast("Starlette", self)
            await emulator_server.serve([app], [self._socket], stop=self._stop, ready=self._ready.set)

        asyncio.run(main())

    def credentials(self) -> Any:
        """Return credentials of the key file, without a token yet; it comes from the server."""
        return offline(self._account.with_scopes(SCOPES))

    def client(self, credentials: Any = None) -> storage.Client:
        """Return the real client, pointed at the server; without an argument always the same, with the key file's."""
        if credentials is None and self._own is not None:
            return self._own
        client = storage.Client(
            project=self.key.project_id,
            credentials=credentials or self.credentials(),
            client_options={"api_endpoint": self.url},
        )
        self._clients.append(client)
        if credentials is None:
            self._own = client
        return client

    @property
    def ring(self) -> KeyRing:
        """The keys that signatures are checked with."""
        ring = self._app.state.backend.ring
        assert isinstance(ring, KeyRing)
        return ring

    def forget_tokens(self) -> None:
        """Make every token that is out worthless."""
        self._app.state.backend.tokens._issued.clear()

    def fault(self, operation: str, fault: str, **more: Any) -> None:
        """Ask for a fault."""
        self.faults.register({"operation": operation, "fault": fault, **more})

    def fired(self) -> list[Mapping[str, Any]]:
        """Return the faults with how often each came."""
        return [{"fault": one["fault"], "fired": one["fired"]} for one in self.faults.describe()]
