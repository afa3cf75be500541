"""What ``getResponse`` and ``getTaskDetails`` answer about one task, faults of polling included.

Invariants: a look never changes a task, but for the fault ``error:<code>``, which ends it for ever; what the service
does not know (any more) and what it was told to forget look the same.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_clarity.emulator import runware_items as items
from airflow_provider_clarity.emulator.faults import Fault
from airflow_provider_clarity.emulator.runware_errors import ApiError, Reply, not_found
from airflow_provider_clarity.emulator.runware_runner import failed_by_fault
from airflow_provider_clarity.emulator.runware_tasks import Picture, Task, World


class Looks:
    """Answers looks at tasks.

    :param settle: ends a task that a fault makes fail
    """

    def __init__(self, world: World, settle: Callable[[Task, Picture | ApiError], None]) -> None:
        self._world, self._settle = world, settle

    def get_response(self, task_uuid: str, reply: Reply) -> None:
        """Add what ``getResponse`` gives for this UUID."""
        world, task = self._world, self._world.task(task_uuid)
        if task is None or task.forgotten(world.switches.result_retention_s) or self._silent(task):
            self._unknown(task_uuid, reply)
            return
        fault = self._fault(task, {"forget", "duplicate", "error"})
        name = "" if fault is None else fault.name
        if name == "forget":
            return
        if fault is not None and name == "error":
            self._settle(task, failed_by_fault(fault.code))
        if name == "duplicate" and task.status != "processing":
            reply.data.append(items.processing(world, task))
        for _ in range(2 if name == "duplicate" else 1):
            if task.status == "processing" or name == "flap":
                reply.data.append(items.processing(world, task))
            else:
                self.outcome(task, reply, cost=name != "missing_cost")

    def get_task_details(self, task_uuid: str, reply: Reply) -> None:
        """Add what ``getTaskDetails`` gives for this UUID."""
        task = self._world.task(task_uuid)
        if task is None or task.forgotten(self._world.switches.details_retention_s):
            self._unknown(task_uuid, reply)
            return
        fault = self._fault(task, {"forget"}, flap=False)
        if fault is None or fault.name != "forget":
            reply.data.append(items.archived(self._world, task, cost=fault is None))

    def outcome(self, task: Task, reply: Reply, *, status: bool = True, cost: bool = True) -> None:
        """Add how a finished task ended.

        :param status: False gives the form of a synchronous submit
        """
        if task.error is None:
            reply.data.append(items.result(self._world, task, status=status, cost=cost))
        elif self._world.switches.failed_in == "data" and status:
            reply.data.append(items.failure_in_data(self._world, task, task.error))
        else:
            failed = items.failure(self._world, task, task.error)
            if not status:
                body = {key: value for key, value in failed.body.items() if key != "status"}
                failed = ApiError(body, task.error.status)
            reply.errors.append(failed)

    def _fault(self, task: Task, candidates: set[str], *, flap: bool = True) -> Fault | None:
        if task.status != "processing" and flap:
            candidates.add("flap")
        if task.status == "success" and task.request.get("includeCost"):
            candidates.add("missing_cost")
        if task.status == "error":
            candidates.discard("error")
        return self._world.faults.take("poll", candidates=candidates, subject=task.subject)

    def _silent(self, task: Task) -> bool:
        return task.sync and task.finished_at is not None and self._world.switches.poll_after_sync == "empty"

    def _unknown(self, task_uuid: str, reply: Reply) -> None:
        if self._world.switches.unknown_uuid == "taskNotFound":
            reply.errors.append(not_found(task_uuid))
