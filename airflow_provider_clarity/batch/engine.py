"""Carries out what :func:`~.adoption.next_action` decides, for one image or many, in arrays.

Invariants: a step never waits; every POST is preceded by a durable claim, and by a look at the stop flag; an answer
that did not come changes nothing but when to ask again; an error of the surroundings (a missing role, a refused key)
ends the step, not the purchase; doing any of it twice does no harm.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar
from uuid import UUID

from airflow_provider_clarity.batch import adoption, messages
from airflow_provider_clarity.batch.adoption import Action, Rules, View, next_action
from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.landing import Landing
from airflow_provider_clarity.batch.ledger import Clock, Ledger
from airflow_provider_clarity.batch.record import Attempt, RunEnd
from airflow_provider_clarity.batch.submission import Request, Requests
from airflow_provider_clarity.batch.tracked import ItemEnd, Tracked, failure_of
from airflow_provider_clarity.batch.waiting import expected_remaining
from airflow_provider_clarity.exceptions import ClarityError, ClarityInputError
from airflow_provider_clarity.runware.client import ClarityClient, PollReply, SubmitOutcome
from airflow_provider_clarity.runware.pace import backoff, next_look
from airflow_provider_clarity.storage.uris import GsUri

T = TypeVar("T")

_SLICE = 10.0
"""Seconds after which a step comes up for air, so that a deadline and a stop are seen."""

_TIMES_IN_A_ROW = 6
"""How often in a row something around us may fail before the step gives up: with the backoff about a minute."""


class Log(Protocol):
    """What the engine needs of a logger: lines for the person who opens the task log."""

    def info(self, msg: str, /, *args: Any) -> Any: ...  # noqa: ANN401, D102 - structlog returns what it likes
    def warning(self, msg: str, /, *args: Any) -> Any: ...  # noqa: ANN401, D102


@dataclass(frozen=True, slots=True)
class Run:
    """Whose work it is.

    :param key: the run key: DAG id, run id, task id
    :param place: the run key and the map index: who pays, and whose round it is
    :param round_number: from 0; a clear opens the next
    :param max_tries: Airflow's ``ti.max_tries``, stored with the end of the round
    """

    key: str
    place: str = ""
    round_number: int = 0
    max_tries: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the work stands after a step.

    :param in_flight: task UUIDs that were sent and have no outcome
    :param waiting: those of them that only need time, those first that are expected first
    :param look_at: when the next step is due, epoch seconds; None when all is over
    :param useful_at: when something is expected to be done, epoch seconds
    :param sent_at: when the first of those in flight was submitted, epoch seconds
    :param silent_at: when the silence of one of those would be too long, epoch seconds
    :param to_submit: whether a submit could leave before that
    """

    in_flight: tuple[UUID, ...]
    waiting: tuple[UUID, ...]
    look_at: float | None
    useful_at: float
    sent_at: float = 0.0
    silent_at: float = float("inf")
    to_submit: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait, in seconds: between two looks at a task of some age, and after the n-th failure in a row."""

    next_look: Callable[[float, float | None], float] = next_look
    backoff: Callable[[int, float], float] = backoff


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
        pace: Pace = Pace(),
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._requests = requests
        self._landing = landing
        self._run = run
        self._rules = rules
        self._log = log
        self._submit_timeout = submit_timeout
        self._pace = pace
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._images: list[Tracked] = []
        self._stopped = False

    @property
    def images(self) -> Sequence[Tracked]:
        """All images, those that are over too."""
        return self._images

    def add(self, item: Item) -> Tracked:
        """Take an image on."""
        image = Tracked(item, View(run_key=self._run.key, round_number=self._run.round_number))
        self._images.append(image)
        return image

    def stop(self) -> None:
        """Submit nothing more. Only sets a flag, so it may be called from a signal handler."""
        self._stopped = True

    async def step(self) -> Progress:
        """Do all that can be done now, and say when there will be more to do.

        :raises ClarityError: the surroundings do not let it go on; whatever is in flight then stays recorded
        """
        began = self._monotonic()
        while True:
            now = self._clock()
            actions = [(image, self._action(image, now)) for image in self._images if image.end is None]
            busy = [(image, action) for image, action in actions if not isinstance(action, adoption.Wait)]
            if not busy or self._monotonic() - began > _SLICE:
                return self._progress(actions, now)
            await self._do(busy)

    def _action(self, image: Tracked, now: float) -> Action:
        if now < image.paused_until:
            return adoption.Wait(image.paused_until)
        action = next_action(image.view, now, self._rules)
        if self._stopped and isinstance(action, adoption.Buy | adoption.SendAgain):
            return adoption.Wait(float("inf"))
        return action

    def _progress(self, actions: list[tuple[Tracked, Action]], now: float) -> Progress:
        waits = [(image, action.until if isinstance(action, adoption.Wait) else now) for image, action in actions]
        if not waits:
            return Progress((), (), None, now)
        sent = [image for image, _ in waits if _in_flight(image)]
        known = [image for image in sent if _only_needs_time(image)]
        known.sort(key=lambda image: image.attempt.last_sent_at or now)
        return Progress(
            in_flight=tuple(image.attempt.task_uuid for image in sent),
            waiting=tuple(image.attempt.task_uuid for image in known),
            look_at=min(until for _, until in waits),
            useful_at=min(_useful_at(image, until, now) for image, until in waits),
            sent_at=min((image.attempt.last_sent_at or now for image in known), default=now),
            to_submit=any(not _in_flight(image) for image, _ in waits),
            silent_at=min((self._silent_at(image, now) for image in known), default=float("inf")),
        )

    def _silent_at(self, image: Tracked, now: float) -> float:
        """Say when to look at an image whatever a trigger sees; one that was seen running may take its time again."""
        at = (image.attempt.last_sent_at or now) + self._rules.item_timeout
        return at if at > now else now + self._rules.item_timeout

    async def _do(self, busy: Sequence[tuple[Tracked, Action]]) -> None:
        """Do what was decided, what goes to the API in arrays."""
        for image, _ in busy:
            if image.acknowledged is not None and image.view.attempt is not None:
                await self._guarded(image, self._acknowledged(image, image.acknowledged[1]))
        asks = [image for image, action in busy if isinstance(action, adoption.AskResponse)]
        details = [image for image, action in busy if isinstance(action, adoption.AskDetails)]
        posts = [image for image, action in busy if isinstance(action, adoption.Buy | adoption.SendAgain)]
        array = (adoption.AskResponse, adoption.AskDetails, adoption.Buy, adoption.SendAgain)
        single = [
            self._guarded(image, self._alone(image, action)) for image, action in busy if not isinstance(action, array)
        ]
        for settled in await asyncio.gather(*single, return_exceptions=True):
            if isinstance(settled, BaseException):
                raise settled
        if asks:
            self._answered(
                asks, await self._client.get_response([image.attempt.task_uuid for image in asks]), "response"
            )
        if details:
            reply = await self._client.get_task_details([image.attempt.task_uuid for image in details])
            self._answered(details, reply, "details")
        for image in (*asks, *details):
            await self._guarded(image, self._acknowledge(image))
        if posts:
            await self._post(posts)

    async def _guarded(self, image: Tracked, work: Awaitable[None]) -> None:
        """Do it; what fails around one image is tried again later, up to a number of times in a row."""
        try:
            await work
        except ClarityError as error:
            image.failures += 1
            if not error.retryable or image.failures >= _TIMES_IN_A_ROW:
                raise
            self._hold(image, image.failures)
            self._log.warning("%s Trying again in %.0f s.", error, image.paused_until - self._clock())
        else:
            image.failures = 0

    async def _alone(self, image: Tracked, action: Action) -> None:
        """Do what concerns one image and no array."""
        match action:
            case adoption.LookAtDestination():
                record = await asyncio.to_thread(self._ledger.read, image.item)
                image.know(record, self._ledger.may_claim_at(record) if record is not None else 0.0)
                await asyncio.to_thread(self._landing.look_at_destination, image, self._clock())
            case adoption.LookAtStaging():
                await asyncio.to_thread(self._landing.look_at_staging, image, self._clock())
            case adoption.Promote():
                await self._promote(image)
            case adoption.Recover():
                await self._landing.recover(image, self._client)
            case adoption.End(outcome, failure):
                now, n, cost = self._clock(), image.attempt.n, image.cost_microusd
                self._log.warning("Task %s %s: %s", image.attempt.task_uuid, outcome, failure.message)
                await self._note(image, lambda r: r.ended(n, outcome, now, failure=failure, cost_microusd=cost))
                pause = self._pace.backoff(image.view.in_round, self._jitter())
                image.view = replace(image.view, send_at=max(image.view.send_at, now + pause))
            case adoption.Finish(outcome, failure):
                await self._settle(image, self._landing.finished(image, outcome, failure))
            case _:
                raise TypeError(f"{action!r} is for an array")

    async def _note(self, image: Tracked, change: Callable[[Any], Any]) -> None:
        record = await asyncio.to_thread(self._ledger.note, image.item, change, image.record)
        image.know(record, self._ledger.may_claim_at(record))

    async def _promote(self, image: Tracked) -> None:
        try:
            end = await asyncio.to_thread(self._landing.promote, image)
        except ClarityError:
            image.view = replace(image.view, staged=None)  # whatever was verified may not be there any more
            raise
        await self._settle(image, end)

    async def _settle(self, image: Tracked, end: ItemEnd) -> None:
        """Write down how it ended, in one update, and be done with the image."""
        now = self._clock()
        attempt = image.view.attempt
        if attempt is not None and attempt.sent_at is not None and end.outcome in ("delivered", "recovered"):
            end = replace(end, seconds=max(0.0, now - attempt.sent_at))
        outcome = self._landing.attempt_outcome(image, end)
        if attempt is None or (outcome is None and end.outcome != "failed"):
            image.end = end  # nothing of it is ours to write down
            return
        run_end = RunEnd(
            round=self._run.round_number,
            max_tries=self._run.max_tries,
            outcome=end.outcome,
            ended_at=now,
            failure=end.failure,
            result=result_of(end),
        )
        cost = image.cost_microusd

        def change(record: Any) -> Any:  # noqa: ANN401 - a TaskRecord; the import would be for this line alone
            if outcome is not None:
                kept = end.uri if outcome == "undelivered" else None
                record = record.ended(attempt.n, outcome, now, failure=end.failure, cost_microusd=cost, kept=kept)
            return record.run_ended(self._run.place or self._run.key, run_end)

        await self._note(image, change)
        image.end = end

    def _answered(self, images: list[Tracked], reply: PollReply, which: str) -> None:
        """Take over the answers of a look-up. What was not answered is no news."""
        now = self._clock()
        for image in images:
            state = reply.states.get(image.attempt.task_uuid)
            if state is None and image.view.staged == "ready":
                image.view = replace(image.view, asked_in_vain=True)  # it was about the cost alone
                continue
            if state is None:
                image.unanswered += 1
                self._hold(image, image.unanswered, reply.retry_after)
                continue
            image.unanswered = 0
            look = image.look_of(state, now)
            age = max(0.0, now - (image.attempt.last_sent_at or now))
            view = replace(image.view, look_at=now + self._pace.next_look(age, None))
            if look.status == "success" and view.succeeded_at is None:
                view = replace(view, succeeded_at=now)
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
        n, now = attempt.n, self._clock()
        if attempt.outcome == "lost":
            self._log.info("Task %s was lost and is found: the service knows it.", attempt.task_uuid)
            await self._note(image, lambda r: r.reopened(n).acknowledged(n, now))
        elif attempt.acknowledged_at is None and attempt.outcome is None:
            await self._acknowledged(image, now)

    async def _acknowledged(self, image: Tracked, now: float) -> None:
        """Know it at once, and write it down; a write that fails is repeated before anything else is done."""
        n = image.attempt.n
        image.acknowledged = (n, now)
        image.know(image.record, image.view.may_claim_at)
        await self._note(image, lambda r: r.acknowledged(n, now))

    async def _post(self, images: list[Tracked]) -> None:
        """Make the requests, claim them, send those that were granted, and drop their URLs."""
        ready: list[tuple[Tracked, Request]] = []
        for image in images:
            await self._guarded(image, self._prepare(image, ready))
        for image, _ in ready:
            if self._monotonic() - image.claimed_at > self._rules.lease:
                await self._guarded(image, self._renew(image))
        fresh = self._monotonic() - self._rules.lease
        ready = [(image, request) for image, request in ready if image.view.claimed and image.claimed_at >= fresh]
        if not ready or self._stopped:
            return
        reply = await self._client.submit([request.task for _, request in ready])
        now = self._clock()
        for (image, _), outcome in zip(ready, reply.outcomes, strict=True):
            image.throttled = image.throttled + 1 if outcome.status in ("unknown", "refused") else 0
            pause = max(reply.retry_after or 0.0, self._pace.backoff(image.throttled, self._jitter()))
            await self._guarded(image, self._sent(image, outcome, now, pause))
        if reply.stop is not None:
            raise reply.stop

    async def _prepare(self, image: Tracked, ready: list[tuple[Tracked, Request]]) -> None:
        if not image.item.sendable:
            raise ClarityInputError(messages.SOURCE_CHANGED)
        if image.item.pixels is None:
            image.item, warnings = await asyncio.to_thread(self._requests.inspect, image.item)
            for warning in warnings:
                self._log.warning("%s", warning)
        attempt = self._attempt(image)
        staging = GsUri.parse(attempt.staging)  # where we look for it, whatever workspace= says by now
        request = await asyncio.to_thread(self._requests.make, image.item, attempt.task_uuid, staging)
        attempt = attempt.model_copy(
            update={"endpoint_expires_at": request.endpoint_expires_at, "submit_timeout": self._submit_timeout}
        )
        await self._claim(image, attempt, request)
        if image.view.claimed:
            ready.append((image, request))

    def _attempt(self, image: Tracked) -> Attempt:
        """Return the attempt that is to be sent: the open one again, or the next."""
        last = image.view.attempt
        if last is not None and last.outcome is None:
            return last
        n = 1 if last is None else last.n + 1
        return Attempt(
            n=n,
            task_uuid=task_uuid(image.item.identity, n),
            staging=str(self._landing.staging_of(image.item, n)),
            run_key=self._run.key,
            place=self._run.place or self._run.key,
            round=self._run.round_number,
            seen=image.seen,
            submit_timeout=self._submit_timeout,
        )

    async def _claim(self, image: Tracked, attempt: Attempt, request: Request) -> None:
        at = self._monotonic()
        claim = await asyncio.to_thread(self._ledger.claim, image.item, attempt, image.record)
        new = image.view.attempt is None or image.view.attempt.n != attempt.n
        image.know(claim.record, self._ledger.may_claim_at(claim.record))
        if new and claim.granted:
            image.begin()
        image.view = replace(image.view, claimed=claim.granted)
        image.claimed_at = at
        if not claim.granted:
            image.forget_looks()
            self._log.info("Another run is sending task %s: this one follows it.", request.task.task_uuid)

    async def _renew(self, image: Tracked) -> None:
        """Renew a claim that has aged; a zombie that wakes sends nothing."""
        at = self._monotonic()
        claim = await asyncio.to_thread(self._ledger.renew, image.item, image.attempt)
        image.know(claim.record, self._ledger.may_claim_at(claim.record))
        image.view = replace(image.view, claimed=claim.granted)
        image.claimed_at = at
        if not claim.granted:
            image.forget_looks()

    async def _sent(self, image: Tracked, outcome: SubmitOutcome, now: float, pause: float) -> None:
        """Take over what became of a POST."""
        image.view = replace(image.view, claimed=False, look_at=now + self._pace.next_look(0.0, None))
        n, first = image.attempt.n, image.attempt.sent_at == image.attempt.last_sent_at
        match outcome.status:
            case "accepted" | "conflict":
                image.view = replace(image.view, response=None, details=None)
                if outcome.status == "conflict":
                    self._log.info("Task %s was accepted before: adopted, not bought again.", outcome.task_uuid)
                await self._acknowledged(image, now)
            case "failed" if first:
                failure = failure_of(outcome.error) if outcome.error is not None else None
                image.view = replace(image.view, response=adoption.Look("failed", now, failure=failure))
            case "failed":
                # It says why this POST was refused; an earlier one may have been accepted all the same.
                image.forget_looks()
                image.view = replace(image.view, no_resend=True)
                said = outcome.error.message if outcome.error is not None else "no reason given"
                self._log.warning("Task %s is not sent again: %s", outcome.task_uuid, said)
            case "refused":
                image.view = replace(image.view, send_at=now + pause)
                image.forget_looks()
                await self._note(image, lambda r: r.refused(n))
            case "unknown":
                image.view = replace(image.view, send_at=now + pause, look_at=now + self._rules.resubmit_after)
                image.forget_looks()
                self._log.warning(
                    "The reply to the submit of task %s was lost. Asking whether it arrived; nothing is bought twice.",
                    outcome.task_uuid,
                )

    def _hold(self, image: Tracked, times: int, at_least: float | None = None) -> None:
        image.paused_until = self._clock() + max(at_least or 0.0, self._pace.backoff(times, self._jitter()))


def _in_flight(image: Tracked) -> bool:
    attempt = image.view.attempt
    return attempt is not None and attempt.outcome is None and attempt.last_sent_at is not None


def _only_needs_time(image: Tracked) -> bool:
    """Say whether somebody else may wait for an image: the service knows its task, and has not settled it.

    What is not acknowledged may have to be sent again, and what is settled has its upload on its way: a trigger, which
    only sees whether a task is settled, would wait too long for the one and not at all for the other.
    """
    attempt, response = image.view.attempt, image.view.response
    if attempt is None or attempt.acknowledged_at is None:
        return False
    return response is None or response.status in ("processing", "silent")


def _useful_at(image: Tracked, until: float, now: float) -> float:
    """Say when an image is of use: one that is worked on when it is done, any other when it can be tried.

    What is sent, but needs more than time, is watched closely.
    """
    if not _in_flight(image):
        return until
    if not _only_needs_time(image):
        return now
    return max(until, now + expected_remaining(now - (image.attempt.last_sent_at or now)))


def result_of(end: ItemEnd) -> dict[str, Any] | None:
    """Return the part of an end that a later try repeats, which is what the operator returns."""
    if end.outcome == "failed":
        return None
    return {
        "uri": end.uri,
        "outcome": end.outcome,
        "width": end.size[0] if end.size else None,
        "height": end.size[1] if end.size else None,
        "cost_usd": None if end.cost_microusd is None else end.cost_microusd / 1_000_000,
        "seconds": round(end.seconds, 1),
        "task_uuid": end.task_uuid,
    }
