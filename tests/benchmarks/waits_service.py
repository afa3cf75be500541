"""The emulator's Runware half behind TLS, in a process of its own, with a plan of when each task begins and ends.

``python waits_service.py FOLDER`` writes the authority's certificate there and one JSON line to stdout: ``{"url", "ca",
"api_key"}``. It accepts the planned tasks itself, so that no submit of ours is mixed up with the looks that count.
Times are of the monotonic clock, which all processes of one machine share. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

import trustme
import uvicorn
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.faults import Faults
from airflow_provider_clarity.emulator.keys import make_api_key
from airflow_provider_clarity.emulator.runware_app import create_runware_app
from airflow_provider_clarity.emulator.runware_runner import Timing
from airflow_provider_clarity.emulator.runware_service import Service
from airflow_provider_clarity.emulator.server import listen
from airflow_provider_clarity.emulator.switches import Switches

SECONDS: dict[str, float] = {}


class Planned(Timing):
    """Each task takes what was planned for it."""

    def seconds(self, task_uuid: str) -> float:
        return SECONDS[task_uuid]


def _image() -> str:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


async def _begin(service: Service, tasks: list[dict[str, Any]]) -> None:
    image = _image()
    for task in tasks:
        await asyncio.sleep(max(0.0, task["at"] - time.monotonic()))
        request = {
            "taskType": "upscale",
            "taskUUID": task["uuid"],
            "model": "runware:500@1",
            "upscaleFactor": 2,
            "inputs": {"image": image},
            "deliveryMethod": "async",
        }
        reply = await service.handle([request])
        assert not reply.errors, reply.errors


def _routes(service: Service, running: set[asyncio.Task[None]]) -> list[Route]:
    async def plan(request: Request) -> Response:
        tasks = await request.json()
        service.reset()
        SECONDS.update({task["uuid"]: task["seconds"] for task in tasks})
        running.add(asyncio.create_task(_begin(service, tasks)))
        return JSONResponse({})

    async def finished(_: Request) -> Response:
        return JSONResponse({uuid: task.finished_at for uuid, task in service.world.tasks.items()})

    return [Route("/_bench/plan", plan, methods=["POST"]), Route("/_bench/finished", finished)]


async def serve(folder: Path) -> None:
    """Serve until standard input ends."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    listening, switches = listen("127.0.0.1", 0), Switches(api_key=make_api_key(), slots=100_000)
    url = f"https://localhost:{listening.getsockname()[1]}"
    service = Service(switches, Faults(0), base_url=url, folder=folder, render="none", timing=Planned())
    app = create_runware_app(service, stop=asyncio.Event())
    running: set[asyncio.Task[None]] = set()
    app.router.routes[:0] = _routes(service, running)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_keep_alive=75, ssl_certfile=str(folder / "server.pem")
    )
    assert config.ssl_version == ssl.PROTOCOL_TLS_SERVER
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()

    def end_with_input() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)

    threading.Thread(target=end_with_input, daemon=True).start()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has nothing else to wait for
        await asyncio.sleep(0.01)
    line = {"url": f"{url}/v1", "ca": str(folder / "ca.pem"), "api_key": switches.api_key}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    await serving


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
