"""What a test of the Runware half says to it, in few words: an HTTP client, tasks, pictures."""

from __future__ import annotations

import base64
import io
import time
import uuid
from typing import Any, Self

import httpx
from emulator_process import EmulatorProcess
from PIL import Image

PATIENCE = 15.0


class Api:
    """Speaks to ``POST /v1`` with the right key."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self.emulator = emulator
        self.http = httpx.Client(trust_env=False, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, tasks: object, *, key: str | None = None, timeout: float = 30) -> httpx.Response:
        """POST an array."""
        headers = {"Authorization": f"Bearer {key or self.emulator.api_key}"}
        return self.http.post(self.emulator.runware_url, json=tasks, headers=headers, timeout=timeout)

    def look(self, *task_uuids: str, kind: str = "getResponse") -> dict[str, Any]:
        """Ask for tasks once."""
        return self.post([{"taskType": kind, "taskUUID": task_uuid} for task_uuid in task_uuids]).json()

    def wait(self, task_uuid: str) -> dict[str, Any]:
        """Ask until the task has ended; return its result or its error."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            reply = self.look(task_uuid)
            for item in [*reply["data"], *reply.get("errors", [])]:
                if item.get("status") != "processing":
                    return item
            time.sleep(0.02)
        raise AssertionError(f"the task has not ended: {reply}")

    def buy(self, **changes: Any) -> dict[str, Any]:
        """Submit one task and wait for its end."""
        wanted = task(**changes)
        self.post([wanted]).raise_for_status()
        return self.wait(wanted["taskUUID"])


def task(image: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a valid asynchronous task with a new UUID; None takes a key out."""
    made = {
        "taskType": "upscale",
        "taskUUID": str(uuid.uuid4()),
        "model": "runware:500@1",
        "deliveryMethod": "async",
        "includeCost": True,
        "inputs": {"image": image or data_uri(picture())},
    } | changes
    return {key: value for key, value in made.items() if value is not None}


def picture(width: int = 24, height: int = 16, kind: str = "PNG", **more: Any) -> bytes:
    """Return a picture that is not plain, so that two of them differ."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, kind, **more)
    return file.getvalue()


def data_uri(body: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(body).decode()


def opened(body: bytes) -> Image.Image:
    """Decode a picture wholly, so that one which is cut fails."""
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def until(true: Any, seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.01)
