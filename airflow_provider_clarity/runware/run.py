"""One task from submit to result, without storage: for the hook, and for whoever has no Airflow.

A lost reply is adopted, never bought again: after at least a second the service is asked about the task, and only when
it *answered* without news the same UUID is sent again, which the service refuses if it knows it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from airflow_provider_clarity.exceptions import (
    ClarityLostError,
    ClarityRateLimitError,
    ClarityTimeoutError,
)
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.errors import to_exception
from airflow_provider_clarity.runware.pace import backoff, next_look
from airflow_provider_clarity.runware.replies import PollReply, SubmitOutcome, SubmitReply, TaskState
from airflow_provider_clarity.runware.wire import ResultItem, UpscaleTask

RESEND_MIN_AGE: Final = 1.0
"""Seconds between two sends of one UUID, at least; the official SDK waits as long (``runware-sdk`` 1.8.0)."""


@dataclass(frozen=True, slots=True)
class UpscaleResult:
    """A picture that was bought.

    :param task_uuid: the task
    :param image_uuid: the picture, as the service calls it
    :param image_url: where it can be fetched, with ``output_type="URL"``
    :param image_base64_data: the picture, with ``output_type="base64Data"``
    :param image_data_uri: the picture, with ``output_type="dataURI"``
    :param cost_usd: what it cost; none, when the service did not say
    :param input_image_uuid: the source, as the service calls it
    """

    task_uuid: UUID
    image_uuid: str | None = None
    image_url: str | None = field(default=None, repr=False)
    image_base64_data: str | None = field(default=None, repr=False)
    image_data_uri: str | None = field(default=None, repr=False)
    cost_usd: float | None = None
    input_image_uuid: str | None = None


async def run_task(
    client: ClarityClient,
    task: UpscaleTask,
    *,
    timeout: float = 900,  # noqa: ASYNC109 - its end is looked into, and has a name of its own
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    jitter: Callable[[], float] = random.random,
) -> UpscaleResult:
    """Submit a task and wait for its result. It is bought at most once.

    :param client: of the connection
    :param task: what to buy; calling again with the same UUID adopts what the first call bought
    :param timeout: seconds until it is given up
    :param clock: seconds, from anywhere
    :param sleep: waits for seconds
    :param jitter: draws 0 to 1
    :raises ClarityTimeoutError: the time is over and the service is still working on it; nothing is lost
    :raises ClarityLostError: the time is over and the service says nothing of it
    :raises ClarityError: what the service reported, by kind
    """
    run = _Run(client, task, clock() + timeout, clock, sleep, jitter)
    try:
        result = await run.submitted() or await run.finished()
    except _TimeIsOverError:
        result = await run.last_word()
    return UpscaleResult(
        task_uuid=task.task_uuid,
        image_uuid=result.image_uuid,
        image_url=result.image_url,
        image_base64_data=result.image_base64_data,
        image_data_uri=result.image_data_uri,
        cost_usd=result.cost,
        input_image_uuid=result.input_image_uuid,
    )


class _TimeIsOverError(Exception):
    """The deadline was reached: there is one look left."""


def _raise_failure(state: TaskState) -> None:
    if state.status == "failed" and state.error is not None:
        raise to_exception(state.error)


@dataclass(slots=True)
class _Run:
    """One task on its way, and what is known of it."""

    client: ClarityClient
    task: UpscaleTask
    deadline: float
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]
    jitter: Callable[[], float]
    first_sent: float = 0.0
    working: bool = False

    async def submitted(self) -> ResultItem | None:
        """Send until the service is known to have the task; return its result, where that is known already."""
        self.first_sent = self.clock()
        rounds = 0
        while True:
            rounds += 1
            reply = await self.client.submit([self.task])
            outcome = reply.outcomes[0]
            if outcome.status in ("accepted", "conflict"):
                return outcome.result
            if outcome.status == "failed" and outcome.error:
                raise to_exception(outcome.error)
            if outcome.status == "refused":
                await self._refused(reply, outcome, rounds)
                continue
            state = await self._look_after_silence(max(RESEND_MIN_AGE, self._pause(reply, rounds)))
            if state.status != "silent":
                return state.result if state.status == "success" else None
            if reply.stop is not None:
                raise reply.stop

    async def finished(self) -> ResultItem:
        """Look until the task is settled."""
        failures = 0
        while True:
            pause = next_look(self.clock() - self.first_sent)
            state, reply = await self._look_after(max(pause, backoff(failures, self.jitter())) if failures else pause)
            if state and state.status == "success" and state.result:
                return state.result
            failures = 0 if state else failures + 1
            if reply.retry_after:
                await self._wait(reply.retry_after)

    async def _refused(self, reply: SubmitReply, outcome: SubmitOutcome, rounds: int) -> None:
        """Wait before the next send, or say that there will be none."""
        if reply.stop is not None:
            raise reply.stop
        pause = self._pause(reply, rounds)
        if self.clock() + pause < self.deadline:
            await self.sleep(pause)
            return
        if outcome.error:
            error = to_exception(outcome.error)
            if isinstance(error, ClarityRateLimitError):
                error.retry_after = reply.retry_after
            raise error
        raise ClarityRateLimitError(
            f"Runware took task {self.task.task_uuid} not in time. Nothing was paid. Try again later.",
            retry_after=reply.retry_after,
        )

    async def _look_after_silence(self, pause: float) -> TaskState:
        """Ask until the service answers about a task of which nothing came back."""
        failures = 0
        while True:
            state, reply = await self._look_after(pause)
            if state is not None:
                return state
            failures += 1
            pause = max(backoff(failures, self.jitter()), RESEND_MIN_AGE, reply.retry_after or 0.0)

    async def _look_after(self, pause: float) -> tuple[TaskState | None, PollReply]:
        """Wait, then ask once. A reported failure is raised."""
        await self._wait(pause)
        reply = await self.client.get_response([self.task.task_uuid])
        if reply.stop is not None:
            raise reply.stop
        state = reply.states.get(self.task.task_uuid)
        if state is not None:
            self.working = state.status == "processing"
            _raise_failure(state)
        return state, reply

    async def _wait(self, pause: float) -> None:
        """Wait, not beyond the deadline."""
        left = self.deadline - self.clock()
        if left <= 0:
            raise _TimeIsOverError
        await self.sleep(min(pause, left))

    async def last_word(self) -> ResultItem:
        """Ask the archive once, then say what is known: still working, or nothing at all."""
        uuid = self.task.task_uuid
        reply = await self.client.get_task_details([uuid])
        state = reply.states.get(uuid)
        if state is not None and state.status == "success" and state.result:
            return state.result
        if state is not None:
            _raise_failure(state)
        if self.working:
            raise ClarityTimeoutError(
                f"Task {uuid} is not done in the time allowed. It goes on and stays paid; it is not bought again. "
                "Ask for it by its task UUID later, or allow more time.",
                retryable=False,
            )
        raise ClarityLostError(
            f"Runware says nothing of task {uuid}. It may have been bought and is not bought again unasked. Look the "
            "task UUID up in the Runware dashboard.",
        )

    def _pause(self, reply: SubmitReply, rounds: int) -> float:
        return max(backoff(rounds, self.jitter()), reply.retry_after or 0.0)
