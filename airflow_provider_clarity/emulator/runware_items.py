"""The items that tell of a task: acknowledgement, progress, result, failure, archive.

Invariants: each carries the task's UUID as it was sent; ``status`` is in what polling gives and not in what a
synchronous submit gives (captured replies); ``cost`` only where ``includeCost`` asked for it.
"""

from __future__ import annotations

import base64
from typing import Any

from airflow_provider_clarity.emulator.runware_errors import ApiError
from airflow_provider_clarity.emulator.runware_tasks import Task, World

IMAGE_PATH = "/image/os/emulator/ws/1/ii"


def acknowledgement(world: World, task: Task) -> dict[str, Any]:
    """Return the item of a task that was accepted."""
    return {"taskType": _task_type(world, task), "taskUUID": task.uuid}


def processing(world: World, task: Task) -> dict[str, Any]:
    """Return the item of a task that runs or waits."""
    return acknowledgement(world, task) | {"status": "processing"}


def result(world: World, task: Task, *, status: bool = True, cost: bool = True) -> dict[str, Any]:
    """Return the item of a task that succeeded.

    :param status: whether it names the status
    :param cost: False leaves out a cost that was asked for
    """
    item = acknowledgement(world, task) | {"imageUUID": task.image_uuid, "inputImageUUID": task.input_image_uuid}
    if status:
        item["status"] = "success"
    if cost and task.request.get("includeCost"):
        item["cost"] = task.price
    if task.picture is None or (task.request.get("uploadEndpoint") and not world.switches.image_url_with_upload):
        return item
    picture, output_type = task.picture, task.request.get("outputType", "URL")
    if output_type == "URL":
        return item | {"imageURL": f"{world.base_url}{IMAGE_PATH}/{task.image_uuid}{picture.path.suffix}"}
    data = base64.b64encode(picture.path.read_bytes()).decode()
    if output_type == "base64Data":
        return item | {"imageBase64Data": data}
    return item | {"imageDataURI": f"data:{picture.media_type};base64,{data}"}


def failure(world: World, task: Task, found: ApiError) -> ApiError:
    """Return the error of a task that failed, as polling gives it: in a reply of status 200."""
    body = {**found.body, "status": "error", "taskUUID": task.uuid, "taskType": _task_type(world, task)}
    if world.switches.bill_failed and task.request.get("includeCost"):
        body["cost"] = task.price
    return ApiError(body=body, status=200)


def failure_in_data(world: World, task: Task, found: ApiError) -> dict[str, Any]:
    """Return the item of a task that failed, in the form that lies in ``data``."""
    body = failure(world, task, found).body
    inner = {key: body[key] for key in ("code", "message", "parameter") if key in body}
    more = {"cost": body["cost"]} if "cost" in body else {}
    return acknowledgement(world, task) | {"status": "error", "error": inner} | more


def archived(world: World, task: Task, *, cost: bool = True) -> dict[str, Any]:
    """Return the item of ``getTaskDetails``: the request and the last response that the task received."""
    response: dict[str, Any]
    found = task.conflict or task.error
    if found is not None:
        response = {"errors": [dict(found.body if found is task.conflict else failure(world, task, found).body)]}
    elif task.status == "success":
        response = {"data": [result(world, task, cost=cost)]}
    else:
        response = {"data": [acknowledgement(world, task)]}
    return {"taskType": "getTaskDetails", "taskUUID": task.uuid, "request": [task.request], "response": response}


def _task_type(world: World, task: Task) -> str:
    return "imageUpscale" if world.switches.echo_task_type == "imageUpscale" else str(task.request["taskType"])
