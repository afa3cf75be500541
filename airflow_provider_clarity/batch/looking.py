"""Asks the service what became of tasks, in arrays, and writes down, once, that it knows them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

from airflow_provider_clarity.batch.tracked import Tracked
from airflow_provider_clarity.batch.work import Work
from airflow_provider_clarity.runware.client import PollReply


class Looker:
    """Looks tasks up.

    :param work: what the engine works with
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    async def look(self, images: list[Tracked], which: Literal["response", "details"]) -> None:
        """Ask getResponse, or the archive, for the last attempt of each image."""
        if not images:
            return
        client = self._work.client
        ask = client.get_response if which == "response" else client.get_task_details
        self._answered(images, await ask([image.attempt.task_uuid for image in images]), which)
        for image in images:
            await self._work.guarded(image, partial(self._acknowledge, image))

    def _answered(self, images: list[Tracked], reply: PollReply, which: str) -> None:
        """Take over the answers of a look-up. What was not answered is no news."""
        now = self._work.clock()
        if reply.throttled:
            self._work.tally.throttled()
        for image in images:
            state = reply.states.get(image.attempt.task_uuid)
            if state is None and image.view.staged == "ready":
                image.view = replace(image.view, asked_in_vain=True)  # it was about the cost alone
                continue
            if state is None:
                image.unanswered += 1
                self._work.hold(image, image.unanswered, reply.retry_after)
                continue
            image.unanswered = 0
            look = image.look_of(state, now)
            age = max(0.0, now - (image.attempt.last_sent_at or now))
            view = replace(image.view, look_at=now + self._work.pace.next_look(age, None))
            if look.status == "success" and view.succeeded_at is None:
                view = replace(view, succeeded_at=now)
                self._work.gate.succeeded(image.attempt.last_sent_at or now, now, watched=view.heard_at is not None)
            if look.status != "silent":
                view = replace(view, heard_at=now, silent_since=None)
            elif view.silent_since is None:
                view = replace(view, silent_since=now)
            image.view = replace(view, response=look) if which == "response" else replace(view, details=look)
        if reply.stop is not None and any(image.view.staged != "ready" for image in images):
            raise reply.stop

    async def _acknowledge(self, image: Tracked) -> None:
        """Write down, once, that the service knows the task: from then on nobody sends it again."""
        looks = [look for look in (image.view.response, image.view.details) if look is not None]
        attempt = image.attempt
        if not any(look.status in ("processing", "success") for look in looks):
            return
        n, now = attempt.n, self._work.clock()
        if attempt.outcome == "lost":
            self._work.log.info("Task %s was lost and is found: the service knows it.", attempt.task_uuid)
            await self._work.note(image, lambda r: r.reopened(n).acknowledged(n, now))
        elif attempt.acknowledged_at is None and attempt.outcome is None:
            await self._work.acknowledged(image, now)
