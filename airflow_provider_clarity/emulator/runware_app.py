"""The Runware half over HTTP: ``POST /v1``, image URLs, control routes.

What happens to a POST, in this order: it is counted; its key is checked; its array is read; a fault of the whole reply
is drawn; unless that fault comes before acceptance, the array is handled; the fault then spoils the reply. Invariant:
the faults of ``BEFORE`` accept nothing; all others come after it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_clarity.emulator.faults import HTTP_FAULTS, Fault
from airflow_provider_clarity.emulator.replies import Dripping, Dropped, Hanging, Truncated, html_page
from airflow_provider_clarity.emulator.runware_control import runware_control_routes
from airflow_provider_clarity.emulator.runware_errors import ApiError, Reply, error, too_many
from airflow_provider_clarity.emulator.runware_fields import UPSCALE_TYPES
from airflow_provider_clarity.emulator.runware_images import image_route
from airflow_provider_clarity.emulator.runware_service import LOOK_TYPES, Service
from airflow_provider_clarity.emulator.runware_websocket import websocket_route

BEFORE = frozenset(
    {"status_429", "status_429_retry_after", "status_500", "status_503", "reset_before", "hang_before", "html"}
)
DRIP_SECONDS = 0.5
Tasks = Sequence[Mapping[str, Any]]


class RefusedError(Exception):
    """A POST that is refused as a whole, before its tasks are looked at."""

    def __init__(self, refusal: ApiError) -> None:
        super().__init__(refusal.code)
        self.reply = _envelope(Reply(errors=[refusal]))


def create_runware_app(service: Service, *, stop: asyncio.Event) -> Starlette:
    """Return the application.

    :param stop: set when the server ends, so that a hanging reply lets go
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await service.aclose()

    async def v1(request: Request) -> Response:
        service.world.accounts.posts += 1
        try:
            tasks = read(service, request, await request.body())
        except RefusedError as refused:
            return refused.reply
        service.count(tasks)
        service.world.accounts.poll_posts += any(task.get("taskType") == "getResponse" for task in tasks)
        fault = service.world.faults.take(_operation(tasks), candidates=HTTP_FAULTS, subject=service.subject(tasks))
        if fault is not None and fault.name in BEFORE:
            return _instead(service, fault, tasks, stop)
        reply = await service.handle(tasks)
        return _envelope(reply) if fault is None else _spoiled(fault, reply, stop)

    routes: list[BaseRoute] = [
        Route("/v1", v1, methods=["POST"]),
        websocket_route(service),
        image_route(service.world),
        *runware_control_routes(service),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def read(service: Service, request: Request, body: bytes) -> Tasks:
    """Return the tasks of a POST with the right key.

    :raises RefusedError: the key is wrong, the body is no array of tasks, or there is too much of it
    """
    switches = service.world.switches
    if switches.max_body_bytes is not None and len(body) > switches.max_body_bytes:
        raise RefusedError(error("requestTooLarge", "The request body is too large.", status=413))
    try:
        tasks = json.loads(body)
    except ValueError:
        tasks = None
    known = tasks if isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks) else []
    _authenticate(request, known, switches.api_key)
    if not known:
        raise RefusedError(error("invalidRequest", "The body must be a JSON array of one or more tasks."))
    if switches.max_tasks is not None and len(known) > switches.max_tasks:
        raise RefusedError(error("maxTasksExceeded", "Too many tasks in one request.", status=413))
    return known


def _authenticate(request: Request, tasks: Tasks, api_key: str) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    given = key.strip() if scheme.lower() == "bearer" else None
    if given is None and tasks and tasks[0].get("taskType") == "authentication":
        given = tasks[0].get("apiKey")
    if given != api_key:
        message = "Invalid API key. Get one at https://runware.ai/signup"
        code = "invalidApiKey" if given else "missingApiKey"
        raise RefusedError(error(code, message, parameter="apiKey", taskType="authentication"))


def _operation(tasks: Tasks) -> str:
    kinds = {task.get("taskType") for task in tasks}
    if kinds & set(UPSCALE_TYPES):
        return "submit"
    return "poll" if kinds & set(LOOK_TYPES) else "account"


def _instead(service: Service, fault: Fault, tasks: Tasks, stop: asyncio.Event) -> Response:
    """Return the reply of a fault that comes before acceptance."""
    match fault.name:
        case "reset_before":
            return Dropped()
        case "hang_before":
            return Hanging(fault.value, stop)
        case "html":
            return html_page()
        case "status_500":
            return _plain_error("internalServerError", "Internal server error.")
        case "status_503":
            return _plain_error("serviceUnavailable", "Temporary capacity constraint. Please retry.")
    submits = [task for task in tasks if task.get("taskType") in UPSCALE_TYPES]
    service.world.accounts.status_429 += len(submits)
    named = [too_many(str(task.get("taskUUID"))) for task in submits] if service.world.switches.named_429 else []
    response = _envelope(Reply(errors=named or [too_many(None)]))
    if fault.name == "status_429_retry_after":
        response.headers["Retry-After"] = f"{1 if fault.value is None else fault.value:g}"
    return response


def _spoiled(fault: Fault, reply: Reply, stop: asyncio.Event) -> Response:
    """Return the reply of a fault that comes after acceptance."""
    whole = _envelope(reply)
    spoil: dict[str, Callable[[], Response]] = {
        "reset_after": Dropped,
        "status_503_after": lambda: _plain_error("serviceUnavailable", "Temporary capacity constraint. Please retry."),
        "hang": lambda: Hanging(fault.value, stop),
        "truncated": lambda: Truncated(whole),
        "slow_drip": lambda: Dripping(whole, DRIP_SECONDS if fault.value is None else fault.value),
        "empty_errors": lambda: JSONResponse({"errors": []} | reply.payload(), status_code=reply.status),
    }
    return spoil[fault.name]()


def _plain_error(code: str, message: str) -> Response:
    return _envelope(Reply(errors=[error(code, message)]))


def _envelope(reply: Reply) -> Response:
    return JSONResponse(reply.payload(), status_code=reply.status)
