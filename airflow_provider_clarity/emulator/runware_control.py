"""Control routes of the Runware server: accounts, switches, reset (faults are in ``control.py``)."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.control import control_routes, refused
from airflow_provider_clarity.emulator.runware_service import Service
from airflow_provider_clarity.emulator.switches import SwitchError


def runware_control_routes(service: Service) -> list[Route]:
    """Return everything under ``/_emulator``."""
    world = service.world

    async def accounts(_: Request) -> Response:
        return JSONResponse(world.accounts.describe())

    async def switches(request: Request) -> Response:
        if request.method == "POST":
            try:
                values = json.loads(await request.body())
                if not isinstance(values, dict):
                    return refused("the body must be an object of switches")
                world.switches.set(values)
            except (SwitchError, ValueError) as error:
                return refused(str(error))
            service.capacity_changed()
        return JSONResponse(world.switches.describe())

    async def reset(_: Request) -> Response:
        service.reset()
        return JSONResponse({})

    return [
        *control_routes(world.faults),
        Route("/_emulator/accounts", accounts, methods=["GET"]),
        Route("/_emulator/switches", switches, methods=["GET", "POST"]),
        Route("/_emulator/reset", reset, methods=["POST"]),
    ]
