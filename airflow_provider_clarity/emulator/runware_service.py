"""The service behind ``POST /v1``: an array of tasks in, an envelope out.

Invariants: each task of an array is answered on its own; a task UUID that is in flight is never accepted again; what is
accepted is counted in the same moment, before any reply.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_clarity.emulator import runware_items as items
from airflow_provider_clarity.emulator.faults import Faults
from airflow_provider_clarity.emulator.runware_account import account_details
from airflow_provider_clarity.emulator.runware_errors import ApiError, Reply, conflict, error, too_many
from airflow_provider_clarity.emulator.runware_fields import UPSCALE_TYPES
from airflow_provider_clarity.emulator.runware_looks import Looks
from airflow_provider_clarity.emulator.runware_render import Render, Renderer
from airflow_provider_clarity.emulator.runware_runner import Runner, Timing
from airflow_provider_clarity.emulator.runware_tasks import Task, World, input_of, source_of, without_inline
from airflow_provider_clarity.emulator.runware_transfer import Transfer
from airflow_provider_clarity.emulator.runware_validation import problem, uuid_problem
from airflow_provider_clarity.emulator.switches import Switches

LOOK_TYPES = ("getResponse", "getTaskDetails")


class Service:
    """The Runware half without HTTP.

    :param base_url: where image URLs point to
    :param folder: where pictures are written
    """

    def __init__(
        self,
        switches: Switches,
        faults: Faults,
        *,
        base_url: str,
        folder: Path,
        render: Render,
        timing: Timing,
    ) -> None:
        self.world = World(switches=switches, faults=faults, base_url=base_url)
        self._renderer, self._transfer = Renderer(folder, render), Transfer(self.world)
        self._runner = Runner(self.world, self._renderer, self._transfer, timing)
        self._looks = Looks(self.world, self._runner.settle)

    def count(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Count what arrived, whatever becomes of it."""
        kinds = [task.get("taskType") for task in tasks]
        self.world.accounts.submits += sum(kind in UPSCALE_TYPES for kind in kinds)
        self.world.accounts.polls += kinds.count("getResponse")

    def subject(self, tasks: Sequence[Mapping[str, Any]]) -> str:
        """Return what a fault of a whole reply is matched with: UUIDs and sources of all its tasks."""
        return "\n".join(self._subject(task) for task in tasks)

    async def handle(self, tasks: Sequence[Mapping[str, Any]]) -> Reply:
        """Answer an array; waits for the tasks whose result was asked for in the reply itself."""
        reply = Reply(mixed_ok=self.world.switches.mixed_status == "ok")
        waiting = [task for task in (self._handle(task, reply) for task in tasks) if task is not None]
        for task in waiting:
            await task.done.wait()
            self._looks.outcome(task, reply, status=False)
        return reply

    def reset(self) -> None:
        """Forget everything but the storage half's objects."""
        self._runner.cancel()
        self.world.reset()

    def capacity_changed(self) -> None:
        """Let waiting tasks into slots that a switch has added."""
        self.world.slots.admit()

    async def aclose(self) -> None:
        """Stop all work."""
        self._runner.cancel()
        self._renderer.close()
        await self._transfer.aclose()

    def _handle(self, task: Mapping[str, Any], reply: Reply) -> Task | None:
        kind = task.get("taskType")
        if kind in UPSCALE_TYPES:
            return self._submit(task, reply)
        if kind == "ping":
            named = {"taskUUID": task["taskUUID"]} if "taskUUID" in task else {}
            reply.data.append({"taskType": "ping", "pong": True} | named)
        elif kind == "authentication":
            reply.data.append({"taskType": "authentication", "connectionSessionUUID": str(uuid.uuid4())})
        elif kind in LOOK_TYPES or kind == "accountManagement":
            self._ask(kind, task, reply)
        else:
            given = task.get("taskUUID")
            message = "Invalid value for 'taskType' parameter." if kind else "Missing required parameter 'taskType'."
            code = "unsupportedTaskType" if kind else "missingTaskType"
            reply.errors.append(
                error(code, message, parameter="taskType", taskUUID=given if isinstance(given, str) else None)
            )
        return None

    def _ask(self, kind: str, task: Mapping[str, Any], reply: Reply) -> None:
        found = uuid_problem(task)
        if found is not None:
            reply.errors.append(found)
        elif kind == "accountManagement":
            account_details(self.world, task, reply)
        elif kind == "getResponse":
            self._looks.get_response(task["taskUUID"], reply)
        else:
            self._looks.get_task_details(task["taskUUID"], reply)

    def _submit(self, request: Mapping[str, Any], reply: Reply) -> Task | None:
        """Accept a task or say why not; return it if the reply waits for it."""
        world, switches = self.world, self.world.switches
        found = problem(request, factor_two=switches.upscale_factor == "two")
        if found is None:
            fault = world.faults.take("submit", candidates={"error"}, subject=self._subject(request))
            if fault is not None and fault.code is not None:
                message = "The task was refused (a fault of the emulator)."
                found = error(fault.code, message, taskUUID=request["taskUUID"])
        if found is None:
            found = self._conflict(request["taskUUID"])
        if found is None and world.slots.full():
            found = too_many(request["taskUUID"] if switches.named_429 else None)
        if found is not None:
            world.accounts.status_429 += found.status == 429
            reply.errors.append(found)
            return None
        return self._accept(request, reply)

    def _conflict(self, task_uuid: str) -> ApiError | None:
        """Return the refusal of a UUID that was accepted before; the archive shows it from now on."""
        task, rule = self.world.task(task_uuid), self.world.switches.conflict_after_done
        if task is None:
            return None
        if task.finished_at is not None and rule != "conflict" and (rule == "accept" or task.forgotten(float(rule))):
            return None
        self.world.accounts.conflicts += 1
        task.conflict = conflict(task_uuid)
        return task.conflict

    def _accept(self, request: Mapping[str, Any], reply: Reply) -> Task | None:
        image = input_of(request)
        delivery = request.get("deliveryMethod") or ("async" if "webhookURL" in request else "sync")
        task = Task(
            request=without_inline(request),
            image=image,
            source=source_of(image),
            sync=delivery == "sync",
            price=self.world.switches.price,
        )
        self.world.tasks[task.uuid.lower()] = task
        self.world.accounts.accepted(task.uuid.lower(), task.source)
        self._runner.start(task)
        if task.sync:
            return task
        reply.acknowledged += 1
        if self.world.switches.ack == "item":
            reply.data.append(items.acknowledgement(self.world, task))
        return None

    def _subject(self, task: Mapping[str, Any]) -> str:
        given = str(task.get("taskUUID"))
        known = None if task.get("taskType") in UPSCALE_TYPES else self.world.task(given)
        return f"{given} {source_of(input_of(task))}" if known is None else known.subject
