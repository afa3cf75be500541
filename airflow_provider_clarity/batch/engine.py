"""Carries out what :func:`~.adoption.next_action` decides, for one image or many, in arrays.

Invariants: a step never waits for what only time brings, and no image waits for another's; an image does one thing at
a time; every POST is preceded by a durable claim, by a look at the stop flag and at the gate; an answer that did not
come changes nothing but when to ask again; an error of the surroundings (a missing role, a refused key) ends the step,
not the purchase; doing any of it twice does no harm.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from airflow_provider_clarity.batch import adoption, messages
from airflow_provider_clarity.batch.adoption import Action, Rules, View, next_action
from airflow_provider_clarity.batch.gate import Gate, OpenGate
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
from airflow_provider_clarity.batch.work import Log, Pace, Run, Work
from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.runware.arrays import MAX_TASKS
from airflow_provider_clarity.runware.client import ClarityClient

__all__ = ["Engine", "Log", "Pace", "Progress", "Run", "result_of"]

_SLICE = 10.0
"""So long at most a deadline or a stop is not seen, and a window is not filled."""


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
    :param gate: how many purchases may leave; any number where there is none
    :param slice_: seconds after which a step comes up for air, with what takes long going on in the background
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
        gate: Gate | None = None,
        slice_: float = _SLICE,
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
            gate=gate or OpenGate(),
        )
        self._looker = Looker(self._work)
        self._sender = Sender(self._work)
        self._images = self._work.images
        self._running: dict[asyncio.Task[None], tuple[Tracked, ...]] = {}
        self._posting: asyncio.Task[None] | None = None
        self._next_look = 0.0
        self._slice = slice_

    @property
    def images(self) -> Sequence[Tracked]:
        """All images, those that are over too."""
        return self._images

    def line(self) -> str:
        """Say in a few words where it stands, for the log."""
        return f"{self._work.in_flight()} in flight"

    @property
    def idle(self) -> bool:
        """Whether nothing is under way in the background."""
        return not self._running

    def take_ended(self) -> list[Tracked]:
        """Return the images that are over, and let go of them."""
        ended = [image for image in self._images if image.end is not None]
        self._images[:] = [image for image in self._images if image.end is None]
        return ended

    def drop(self, image: Tracked) -> None:
        """Let go of an image of which nothing is under way."""
        self._images.remove(image)

    def waits_for_purchase(self, image: Tracked) -> bool:
        """Whether all that is left to do for an image is to buy it, for the first time or anew."""
        now = max(self._work.clock(), image.view.send_at)
        action = next_action(image.view, now, self._work.rules)
        return not image.in_flight and isinstance(action, adoption.Buy | adoption.SendAgain)

    def give_up(self, image: Tracked) -> None:
        """End an image with how its last attempt ended, though another might be bought."""
        image.end = self._work.landing.finished(image, "failed", image.attempt.failure or messages.GONE)

    @property
    def tally(self) -> Tally:
        """What was counted for the metrics."""
        return self._work.tally

    def add(self, item: Item, *, asked: bool = False) -> Tracked:
        """Take an image on.

        :param asked: a person asked for another purchase, should the last have failed or been lost
        """
        run = self._work.run
        image = Tracked(item, View(run_key=run.key, round_number=run.round_number, asked=asked, unasked=run.unasked))
        self._images.append(image)
        return image

    def stop(self) -> None:
        """Submit nothing more. Only sets a flag, so it may be called from a signal handler."""
        self._work.stopped = True

    async def step(self) -> Progress:
        """Do all that can be done now, and say when there will be more to do.

        What takes long goes on in the background; await :meth:`settled` before the engine is left.

        :raises ClarityError: the surroundings do not let it go on; whatever is in flight then stays recorded
        """
        until = self._work.monotonic() + self._slice
        while True:
            now = self._work.clock()
            self._begin(now)
            left = until - self._work.monotonic()
            if not self._running or left <= 0:
                return self._progress(now)
            done, _ = await asyncio.wait(self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            await self._ended(done)

    async def settled(self) -> None:
        """Wait for what is under way.

        :raises ClarityError: the first that came of it
        """
        if self._running:
            done, _ = await asyncio.wait(self._running)
            await self._ended(done)

    def _begin(self, now: float) -> None:
        """Start whatever can be done now and is not under way, what goes to the API in arrays."""
        array: dict[type[Action], list[Tracked]] = {adoption.AskResponse: [], adoption.AskDetails: []}
        posts: list[tuple[Tracked, adoption.Buy | adoption.SendAgain]] = []
        for image in self._images:
            if image.end is not None or image.busy or now < image.due:
                continue
            if image.acknowledged is not None and image.view.attempt is not None:
                self._start(
                    [image], self._work.guarded(image, partial(self._work.acknowledged, image, image.acknowledged[1]))
                )
                continue
            action = self._action(image, now)
            match action:
                case adoption.Wait(until):
                    image.due = until
                case adoption.AskResponse() | adoption.AskDetails():
                    array[type(action)].append(image)
                case adoption.Buy() | adoption.SendAgain():
                    posts.append((image, action))
                case adoption.LookAtDestination() | adoption.LookAtStaging():
                    self._start([image], self._work.guarded(image, partial(self._alone, image, action), mends=False))
                case _:
                    self._start([image], self._work.guarded(image, partial(self._alone, image, action)))
        self._look(array[adoption.AskResponse], array[adoption.AskDetails], now)
        self._post(posts, now)

    def _look(self, asks: list[Tracked], details: list[Tracked], now: float) -> None:
        """Look tasks up, with those that are nearly due: few large arrays cost less than many small ones."""
        if details:
            self._start(details, self._looker.look(details, "details"))
        if not asks:
            return
        if now < self._next_look:
            for image in asks:
                image.due = self._next_look
            return
        apart = self._work.gate.beat
        self._next_look = now + apart
        latest = now + max(apart, self._work.pace.look_ahead)
        later = [image for image in self._images if now < image.due <= latest and not image.busy]
        near = sorted((image for image in later if image.only_needs_time), key=lambda image: image.due)
        soon = len(asks) + sum(image.due <= self._next_look for image in near)
        whole = -(-soon // MAX_TASKS) * MAX_TASKS  # as many as the arrays hold that go anyway
        looks = [*asks, *near][: max(whole, len(asks))]
        self._start(looks, self._looker.look(looks, "response"))

    def _post(self, posts: Sequence[tuple[Tracked, adoption.Buy | adoption.SendAgain]], now: float) -> None:
        """Send what may be sent, one POST at a time: the room for the next is known when it is answered.

        What has to wait for it has its source looked at meanwhile.
        """
        if posts and self._posting is None:
            again = [image for image, _ in posts if image.in_flight]
            room = max(0, self._work.gate.room(self._work.in_flight(), self._work.at_service(), now))
            first = [image for image, _ in posts if not image.in_flight]
            sent = [*again, *first[:room]][:MAX_TASKS]
            if sent:
                self._posting = self._start(sent, self._sender.post(sent))
        for image, _ in posts:
            if not image.busy and not image.inspected:
                self._start([image], self._work.guarded(image, partial(self._sender.inspect, image), mends=False))

    def _start(self, images: Sequence[Tracked], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        for image in images:
            image.busy = True
        task = asyncio.create_task(work)
        self._running[task] = tuple(images)
        return task

    async def _ended(self, done: Iterable[asyncio.Task[None]]) -> None:
        """Take the images back; an error is raised when nothing is under way any more."""
        error = self._take_back(done)
        if error is not None:
            if self._running:
                rest, _ = await asyncio.wait(self._running)
                self._take_back(rest)
            raise error

    def _take_back(self, done: Iterable[asyncio.Task[None]]) -> BaseException | None:
        error = None
        for task in done:
            for image in self._running.pop(task):
                image.busy, image.due = False, 0.0
            self._posting = None if task is self._posting else self._posting
            raised = task.exception()  # of each, else asyncio complains that nobody asked
            error = error or raised
        return error

    def _progress(self, now: float) -> Progress:
        opens = self._work.gate.opens_at(self._work.in_flight(), self._work.at_service(), now)
        waits = [
            (image, now if image.busy else max(image.due, opens) if image.due <= now else image.due)
            for image in self._images
            if image.end is None
        ]
        return progress_of(waits, now, item_timeout=self._work.rules.item_timeout)

    def _action(self, image: Tracked, now: float) -> Action:
        if now < image.paused_until:
            return adoption.Wait(image.paused_until)
        action = next_action(image.view, now, self._work.rules)
        if self._work.stopped and isinstance(action, adoption.Buy | adoption.SendAgain):
            return adoption.Wait(float("inf"))
        return action

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
                await self._work.landing.recover(image, self._work.client, self._work.clock())
            case adoption.End(ending, failure):
                await self._end(image, ending, failure)
            case adoption.Finish(outcome, failure):
                await self._settle(image, self._work.landing.finished(image, outcome, failure))
            case _:
                raise TypeError(f"{action!r} is for an array")

    async def _end(self, image: Tracked, outcome: Literal["failed", "lost"], failure: Failure) -> None:
        """Write down how an attempt ended; another may follow after a pause."""
        work = self._work
        now, n, cost, known_at = work.clock(), image.attempt.n, image.cost_microusd, image.known_at
        work.log.warning("Task %s %s: %s", image.attempt.task_uuid, outcome, failure.message)
        await work.note(
            image,
            lambda record: record.ended(n, outcome, now, acknowledged_at=known_at, failure=failure, cost_microusd=cost),
        )
        if image.view.attempt is not None and image.view.attempt.outcome is None:
            image.forget_looks()  # the service has it from another run: that one is followed
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
            run_started=self._work.run.run_started,
        )
        cost = image.told_cost

        def change(record: TaskRecord) -> TaskRecord:
            if outcome is not None:
                kept = end.uri if outcome == "undelivered" else None
                record = record.ended(attempt.n, outcome, now, failure=end.failure, cost_microusd=cost, kept=kept)
            return (
                record if self._work.run.many else record.run_ended(self._work.run.place or self._work.run.key, run_end)
            )

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
