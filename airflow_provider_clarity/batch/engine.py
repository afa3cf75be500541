"""Carries out what :func:`~.adoption.next_action` decides, for one image or many, in arrays.

Invariants: a step never waits; every POST is preceded by a durable claim, and by a look at the stop flag; an answer
that did not come changes nothing but when to ask again; an error of the surroundings (a missing role, a refused key)
ends the step, not the purchase; doing any of it twice does no harm.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from airflow_provider_clarity.batch import adoption
from airflow_provider_clarity.batch.adoption import Action, Rules, View, next_action
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.landing import Landing
from airflow_provider_clarity.batch.ledger import Clock, Ledger
from airflow_provider_clarity.batch.looking import Looker
from airflow_provider_clarity.batch.progress import Progress, progress_of
from airflow_provider_clarity.batch.record import Failure, RunEnd, TaskRecord
from airflow_provider_clarity.batch.sending import Sender
from airflow_provider_clarity.batch.submission import Requests
from airflow_provider_clarity.batch.tally import Tally
from airflow_provider_clarity.batch.tracked import ItemEnd, Tracked, result_of
from airflow_provider_clarity.batch.work import Log, Pace, Run, Work, together
from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.runware.client import ClarityClient

__all__ = ["Engine", "Log", "Pace", "Progress", "Run", "result_of"]

_SLICE = 10.0
"""Seconds after which a step comes up for air, so that a deadline and a stop are seen."""


class Engine:
    """Drives images from their source to their final name.

    :param client: to the API
    :param ledger: where purchases are written down before they are made
    :param requests: makes the tasks with their presigned URLs
    :param landing: looks at, verifies and promotes pictures
    :param run: whose work it is
    :param rules: the numbers of the decisions
    :param submit_timeout: seconds after which a POST cannot be on its way any more: the client's timeout
    :param pace: how long to wait
    :param clock: epoch seconds
    :param jitter: a number from 0 to 1
    """

    def __init__(  # noqa: PLR0913 - the wiring of five rooms
        self,
        *,
        client: ClarityClient,
        ledger: Ledger,
        requests: Requests,
        landing: Landing,
        run: Run,
        rules: Rules,
        log: Log,
        submit_timeout: float,
        pace: Pace | None = None,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._work = Work(
            client=client,
            ledger=ledger,
            requests=requests,
            landing=landing,
            run=run,
            rules=rules,
            log=log,
            submit_timeout=submit_timeout,
            pace=pace or Pace(),
            clock=clock,
            monotonic=monotonic,
            jitter=jitter,
        )
        self._looker = Looker(self._work)
        self._sender = Sender(self._work)
        self._images: list[Tracked] = []

    @property
    def images(self) -> Sequence[Tracked]:
        """All images, those that are over too."""
        return self._images

    @property
    def tally(self) -> Tally:
        """What was counted for the metrics."""
        return self._work.tally

    def add(self, item: Item) -> Tracked:
        """Take an image on."""
        image = Tracked(item, View(run_key=self._work.run.key, round_number=self._work.run.round_number))
        self._images.append(image)
        return image

    def stop(self) -> None:
        """Submit nothing more. Only sets a flag, so it may be called from a signal handler."""
        self._work.stopped = True

    async def step(self) -> Progress:
        """Do all that can be done now, and say when there will be more to do.

        :raises ClarityError: the surroundings do not let it go on; whatever is in flight then stays recorded
        """
        began = self._work.monotonic()
        while True:
            now = self._work.clock()
            actions = [(image, self._action(image, now)) for image in self._images if image.end is None]
            busy = [(image, action) for image, action in actions if not isinstance(action, adoption.Wait)]
            if not busy or self._work.monotonic() - began > _SLICE:
                waits = [
                    (image, action.until if isinstance(action, adoption.Wait) else now) for image, action in actions
                ]
                return progress_of(waits, now, item_timeout=self._work.rules.item_timeout)
            await self._do(busy)

    def _action(self, image: Tracked, now: float) -> Action:
        if now < image.paused_until:
            return adoption.Wait(image.paused_until)
        action = next_action(image.view, now, self._work.rules)
        if self._work.stopped and isinstance(action, adoption.Buy | adoption.SendAgain):
            return adoption.Wait(float("inf"))
        return action

    async def _do(self, busy: Sequence[tuple[Tracked, Action]]) -> None:
        """Do what was decided, what goes to the API in arrays."""
        for image, _ in busy:
            if image.acknowledged is not None and image.view.attempt is not None:
                await self._work.guarded(image, self._work.acknowledged(image, image.acknowledged[1]))
        asks = [image for image, action in busy if isinstance(action, adoption.AskResponse)]
        details = [image for image, action in busy if isinstance(action, adoption.AskDetails)]
        posts = [image for image, action in busy if isinstance(action, adoption.Buy | adoption.SendAgain)]
        array = (adoption.AskResponse, adoption.AskDetails, adoption.Buy, adoption.SendAgain)
        looks = (adoption.LookAtDestination, adoption.LookAtStaging)
        single = [
            self._work.guarded(image, self._alone(image, action), mends=not isinstance(action, looks))
            for image, action in busy
            if not isinstance(action, array)
        ]
        await together(single)
        await self._looker.look(asks, "response")
        await self._looker.look(details, "details")
        if posts:
            await self._sender.post(posts)

    async def _alone(self, image: Tracked, action: Action) -> None:
        """Do what concerns one image and no array."""
        match action:
            case adoption.LookAtDestination():
                record = await asyncio.to_thread(self._work.ledger.read, image.item)
                image.know(record, self._work.ledger.may_claim_at(record) if record is not None else 0.0)
                await asyncio.to_thread(self._work.landing.look_at_destination, image, self._work.clock())
            case adoption.LookAtStaging():
                await asyncio.to_thread(self._work.landing.look_at_staging, image, self._work.clock())
            case adoption.Promote():
                await self._promote(image)
            case adoption.Recover():
                await self._work.landing.recover(image, self._work.client)
            case adoption.End(ending, failure):
                await self._end(image, ending, failure)
            case adoption.Finish(outcome, failure):
                await self._settle(image, self._work.landing.finished(image, outcome, failure))
            case _:
                raise TypeError(f"{action!r} is for an array")

    async def _end(self, image: Tracked, outcome: Literal["failed", "lost"], failure: Failure) -> None:
        """Write down how an attempt ended; another may follow after a pause."""
        work = self._work
        now, n, cost = work.clock(), image.attempt.n, image.cost_microusd
        work.log.warning("Task %s %s: %s", image.attempt.task_uuid, outcome, failure.message)
        await work.note(image, lambda r: r.ended(n, outcome, now, failure=failure, cost_microusd=cost))
        pause = work.pace.backoff(image.view.in_round, work.jitter())
        image.view = replace(image.view, send_at=max(image.view.send_at, now + pause))

    async def _promote(self, image: Tracked) -> None:
        try:
            end = await asyncio.to_thread(self._work.landing.promote, image)
        except ClarityError:
            image.view = replace(image.view, staged=None)  # whatever was verified may not be there any more
            raise
        await self._settle(image, end)

    async def _settle(self, image: Tracked, end: ItemEnd) -> None:
        """Write down how it ended, in one update, and be done with the image."""
        now = self._work.clock()
        attempt = image.view.attempt
        if attempt is not None and attempt.sent_at is not None and end.outcome in ("delivered", "recovered"):
            end = replace(end, seconds=max(0.0, now - attempt.sent_at))
        outcome = self._work.landing.attempt_outcome(image, end)
        if attempt is None or (outcome is None and end.outcome != "failed"):
            image.end = end  # nothing of it is ours to write down
            await self._sweep(image, end, ended_now=False)
            return
        run_end = RunEnd(
            round=self._work.run.round_number,
            max_tries=self._work.run.max_tries,
            outcome=end.outcome,
            ended_at=now,
            failure=end.failure,
            result=result_of(end),
        )
        cost = image.cost_microusd

        def change(record: TaskRecord) -> TaskRecord:
            if outcome is not None:
                kept = end.uri if outcome == "undelivered" else None
                record = record.ended(attempt.n, outcome, now, failure=end.failure, cost_microusd=cost, kept=kept)
            return record.run_ended(self._work.run.place or self._work.run.key, run_end)

        await self._work.note(image, change)
        image.end = end
        await self._sweep(image, end, ended_now=True)

    async def _sweep(self, image: Tracked, end: ItemEnd, *, ended_now: bool) -> None:
        """Empty staging of what nobody needs any more, once the image is done. It may fail, and then only says so."""
        if self._work.stopped or end.outcome not in ("delivered", "recovered", "done"):
            return
        swept = await asyncio.to_thread(self._work.landing.sweep, image, self._work.clock(), ended_now=ended_now)
        if swept.deleted:
            self._work.log.info("Deleted %d object(s) that earlier attempts had left in staging.", swept.deleted)
        if swept.left:
            self._work.log.warning(
                "%d object(s) in staging could not be swept: %s The picture is safe. A lifecycle rule of the bucket "
                "deletes them, or you may.",
                swept.left,
                swept.why,
            )
