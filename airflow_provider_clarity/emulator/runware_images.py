"""Serves the image URLs, as long as each lives, with the faults of fetching one.

Invariant: what is served is the picture that was paid for, whatever a fault did to its upload.
"""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.faults import FAULTS
from airflow_provider_clarity.emulator.replies import Dripping, html_page
from airflow_provider_clarity.emulator.runware_items import IMAGE_PATH
from airflow_provider_clarity.emulator.runware_tasks import World

DRIP_SECONDS = 0.5


def image_route(world: World) -> Route:
    """Return the route of all image URLs; a fault's ``match`` is searched in the image's UUID, task UUID and source."""

    async def serve(request: Request) -> Response:
        image_uuid = PurePosixPath(request.path_params["name"]).stem
        produced = world.image(image_uuid)
        if produced is None:
            return Response("not found", status_code=404)
        picture = produced.picture
        fault = world.faults.take("image", candidates=FAULTS["image"], subject=f"{image_uuid} {produced.subject}")
        if fault is not None and fault.name == "status_404":
            return Response("not found", status_code=404)
        if fault is not None and fault.name == "html":
            return html_page()
        whole = Response(await asyncio.to_thread(picture.path.read_bytes), media_type=picture.media_type)
        if fault is None:
            return whole
        return Dripping(whole, DRIP_SECONDS if fault.value is None else fault.value)

    return Route(IMAGE_PATH + "/{name}", serve, methods=["GET"])
