"""The life of one accepted task: wait for a slot, read the input, make the picture, deliver it, settle.

Invariants: a task settles once; it holds its slot for the drawn service time, or longer where Pillow needs longer, or
shorter where its input cannot be read; the draw depends on the seed and the task's UUID only; its one PUT is never
repeated.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_clarity.emulator import runware_items as items
from airflow_provider_clarity.emulator.runware_errors import ApiError, error
from airflow_provider_clarity.emulator.runware_render import NotAPictureError, Renderer, Wanted, plain
from airflow_provider_clarity.emulator.runware_tasks import Picture, Produced, Task, World
from airflow_provider_clarity.emulator.runware_transfer import Transfer

SIGMA = 0.6  # of the lognormal model: one in twenty takes 2.7 times the median
_UPLOAD_FAULTS = ("refuse_403", "expire", "cut", "wrong_pixels", "wrong_bytes")


@dataclass(frozen=True)
class Timing:
    """How long tasks take.

    :param service_time: seconds in a slot; with ``lognormal`` their median
    :param max_queue_wait: seconds after which a waiting task fails, None for never
    :param seed: of the draws
    """

    service_time: float = 1.0
    latency_model: Literal["fixed", "lognormal"] = "fixed"
    max_queue_wait: float | None = None
    seed: int = 0

    def seconds(self, task_uuid: str) -> float:
        """Return how long this task holds its slot."""
        if self.latency_model == "fixed" or self.service_time == 0:
            return self.service_time
        draw = random.Random(f"{self.seed} {task_uuid}")  # noqa: S311 - repeatable, not secret
        return draw.lognormvariate(math.log(self.service_time), SIGMA)


class Runner:
    """Runs all tasks of one world.

    :param timing: how long they take
    """

    def __init__(self, world: World, renderer: Renderer, transfer: Transfer, timing: Timing) -> None:
        self._world, self._renderer, self._transfer, self._timing = world, renderer, transfer, timing
        self._running: set[asyncio.Task[None]] = set()

    def start(self, task: Task) -> None:
        """Take a place in the queue for the task, and go on in the background."""
        running = asyncio.create_task(self._run(task, self._world.slots.enter()))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    def cancel(self) -> None:
        """Drop all running tasks; whoever waits for one is let go."""
        for running in self._running:
            running.cancel()
        for task in self._world.tasks.values():
            if not task.done.is_set():
                task.status, task.error = "error", error("taskCancelled", "The emulator was reset.")
                task.done.set()

    def settle(self, task: Task, outcome: Picture | ApiError) -> None:
        """End a task, or turn one that had succeeded into one that failed."""
        world, before = self._world, task.status
        if before == "error" or (before == "success" and isinstance(outcome, Picture)):
            return
        task.finished_at = task.finished_at or time.monotonic()
        charge = task.price if isinstance(outcome, Picture) or world.switches.bill_failed else 0.0
        if isinstance(outcome, Picture):
            task.status, task.picture = "success", outcome
            ttl = task.request.get("ttl")
            expires = None if ttl is None else time.monotonic() + ttl
            world.images[task.image_uuid] = Produced(outcome, expires, task.subject)
        else:
            task.status, task.error = "error", outcome
        charge -= task.price if before == "success" else 0.0
        world.accounts.settled(task.uuid.lower(), task.status, charge)
        task.done.set()

    async def _run(self, task: Task, ticket: asyncio.Future[None]) -> None:
        world, slots, accounts = self._world, self._world.slots, self._world.accounts
        try:
            await asyncio.wait_for(ticket, self._timing.max_queue_wait)
        except TimeoutError:
            self.settle(task, error("timeout", "Request exceeded maximum queue wait time.", status=504))
            await self._tell(task)
            return
        started = time.monotonic()
        try:
            outcome = await self._produce(task)
            if isinstance(outcome, Picture):
                await asyncio.sleep(self._timing.seconds(task.uuid) - (time.monotonic() - started))
        finally:
            accounts.slot_seconds += time.monotonic() - started
            slots.leave()
        if task.status != "processing":
            outcome = task.error or outcome  # a look has ended it meanwhile (a fault): nothing is delivered
        elif isinstance(outcome, Picture):
            fault = world.faults.take("work", candidates={"error"}, subject=task.subject)
            fault = fault or world.faults.take("poll", candidates={"error"}, subject=task.subject)
            if fault is not None:
                outcome = failed_by_fault(fault.code)
        if isinstance(outcome, Picture):
            await self._deliver(task, outcome)
        else:
            self.settle(task, outcome)
        await self._tell(task)

    async def _produce(self, task: Task) -> Picture | ApiError:
        source = await self._transfer.read_input(task.image)
        task.image = ""
        wanted = wanted_of(task, self._world.switches.size_multiple)
        try:
            if source is not None:
                return await self._renderer.upscale(source, wanted)
        except NotAPictureError:
            pass  # told as a picture that could not be fetched, as the service does
        message = "Invalid value for 'inputs.image' parameter. Failed to transfer the provided image."
        return error("failedToTransferImage", message, parameter="inputs.image")

    async def _deliver(self, task: Task, picture: Picture) -> None:
        endpoint, switches = task.request.get("uploadEndpoint"), self._world.switches
        if endpoint is None:
            self.settle(task, picture)
            return
        may_fail = switches.refused_upload == "uploadFailed"  # read once: it may change while the upload runs
        if not switches.success_waits_for_upload and not may_fail:
            self.settle(task, picture)
        await asyncio.sleep(switches.upload_lag_s)
        stored = await self._upload(task, picture, endpoint)
        if stored or not may_fail:
            self.settle(task, picture)
        else:
            self.settle(task, error("uploadFailed", "The result could not be uploaded to 'uploadEndpoint'."))

    async def _upload(self, task: Task, picture: Picture, endpoint: str) -> bool:
        accounts, switches = self._world.accounts, self._world.switches
        fault = self._world.faults.take("upload", candidates=_UPLOAD_FAULTS, subject=task.subject)
        name = "" if fault is None else fault.name
        if name in ("refuse_403", "expire"):
            accounts.uploaded(task.uuid.lower(), 403 if name == "refuse_403" else 400, 0)
            return False
        body = await asyncio.to_thread(_body, name, picture, wanted_of(task, switches.size_multiple))
        kinds = {"none": None, "image": picture.media_type, "octet": "application/octet-stream"}
        status = await self._transfer.put(endpoint, body, kinds[switches.upload_content_type])
        accounts.uploaded(task.uuid.lower(), status, 0 if status is None else len(body))
        return status is not None and 200 <= status < 300

    async def _tell(self, task: Task) -> None:
        url = task.request.get("webhookURL")
        if url is None:
            return
        body: dict[str, Any]
        if task.error is None:
            body, key = items.result(self._world, task), "data"
        else:
            body, key = dict(items.failure(self._world, task, task.error).body), "errors"
        await self._transfer.post(url, {key: [body]} if self._world.switches.webhook_body == "data" else body)


def wanted_of(task: Task, multiple: int) -> Wanted:
    """Return what a task asks for."""
    asked = task.request
    return Wanted(
        factor=asked.get("upscaleFactor", 2),
        format=asked.get("outputFormat", "JPG"),
        quality=int(asked.get("outputQuality", 95)),
        multiple=multiple,
    )


def failed_by_fault(code: str | None) -> ApiError:
    """Return the error of a task that was made to fail."""
    return error(code or "unknownError", "The task failed (a fault of the emulator).")


def _body(fault: str, picture: Picture, wanted: Wanted) -> bytes:
    if fault == "wrong_bytes":
        return b"<?xml version='1.0'?><Error><Code>NotAPicture</Code></Error>" * 40
    if fault == "wrong_pixels":
        return plain(picture.source_size, wanted)
    whole = picture.path.read_bytes()
    return whole[: len(whole) // 2] if fault == "cut" else whole
