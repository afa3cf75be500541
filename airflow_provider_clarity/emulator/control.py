"""The routes under ``/_emulator``: how a test says what shall happen and reads what did.

Both servers answer ``/_emulator/faults`` and share one registry; switches, accounts and reset are of the Runware
server (``runware_control.py``). Invariant: a body that is not understood changes nothing and is answered with 400.
"""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.faults import FaultError, Faults


def control_routes(faults: Faults) -> list[Route]:
    """Return ``GET|POST /_emulator/faults``: POST adds a list of faults, both answer with all of them and ``fired``."""

    async def serve(request: Request) -> Response:
        if request.method == "POST":
            try:
                descriptions = json.loads(await request.body())
                if not isinstance(descriptions, list) or not all(isinstance(one, dict) for one in descriptions):
                    return refused("the body must be a list of faults")
                trial = Faults()
                for description in descriptions:
                    trial.register(description)
            except (FaultError, ValueError) as error:
                return refused(str(error))
            for description in descriptions:
                faults.register(description)
        return JSONResponse(faults.describe())

    return [Route("/_emulator/faults", serve, methods=["GET", "POST"])]


def refused(message: str) -> Response:
    """Return the answer to a control request that was not understood."""
    return JSONResponse({"error": message}, status_code=400)
