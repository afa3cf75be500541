"""The Runware half over a WebSocket at ``/v1``: the same arrays and envelopes, after an ``authentication`` task.

The official SDK speaks it by default. It needs the package ``websockets`` (the SDK brings it; uvicorn refuses the
upgrade without it). Not here: replay of undelivered results, and the faults of a whole reply, which are HTTP's.
Invariants: nothing is answered before the right key came; each message is answered on its own, so that a ping never
waits for a picture.
"""

from __future__ import annotations

import asyncio
import json

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from airflow_provider_clarity.emulator.runware_errors import Reply, error
from airflow_provider_clarity.emulator.runware_service import Service


def websocket_route(service: Service) -> WebSocketRoute:
    """Return the WebSocket of this service."""

    async def answer(socket: WebSocket, tasks: list[dict[str, object]]) -> None:
        service.count(tasks)
        reply = await service.handle(tasks)
        await socket.send_json(reply.payload())

    async def serve(socket: WebSocket) -> None:
        await socket.accept()
        answering: set[asyncio.Task[None]] = set()
        authenticated = False
        try:
            while True:
                tasks = json.loads(await socket.receive_text())
                first = tasks[0] if isinstance(tasks, list) and tasks and isinstance(tasks[0], dict) else {}
                if first.get("taskType") == "authentication":
                    authenticated = first.get("apiKey") == service.world.switches.api_key
                if not authenticated or not all(isinstance(task, dict) for task in tasks):
                    refusal = error("invalidApiKey", "Invalid API key.", parameter="apiKey", taskType="authentication")
                    await socket.send_json(Reply(errors=[refusal]).payload())
                    continue
                task = asyncio.create_task(answer(socket, tasks))
                answering.add(task)
                task.add_done_callback(answering.discard)
        except (WebSocketDisconnect, ValueError, KeyError):
            pass  # the client has gone, or speaks something else
        finally:
            for task in answering:
                task.cancel()

    return WebSocketRoute("/v1", serve)
