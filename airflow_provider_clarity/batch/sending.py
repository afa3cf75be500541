"""Sends what was decided to be sent: makes the requests, claims them, POSTs them in arrays, reads what became of them.

Invariants: a POST leaves only within the lease of a claim that was granted and written; a request and its URLs live in
:meth:`Sender.post` and nowhere else; an outcome that is not certain changes nothing but what to ask next.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from airflow_provider_clarity.batch import adoption, messages
from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.batch.ledger import Claim, Wanted
from airflow_provider_clarity.batch.record import Attempt
from airflow_provider_clarity.batch.submission import Request
from airflow_provider_clarity.batch.tracked import Tracked, failure_of
from airflow_provider_clarity.batch.work import Work, together
from airflow_provider_clarity.exceptions import ClarityError, ClarityInputError
from airflow_provider_clarity.runware.client import SubmitOutcome
from airflow_provider_clarity.storage.uris import GsUri

_FEW = 4
"""Pictures that are read into memory at once, where they go inline."""
_INLINE = 32 * 1024 * 1024
"""Bytes of inline pictures after which a POST takes no more: it holds each of them up to three times."""


class Sender:
    """Sends tasks.

    :param work: what the engine works with
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    async def post(self, images: list[Tracked]) -> None:
        """Make the requests, claim them, send those that were granted, and drop their URLs."""
        ready = await self._claim(await self._prepared(images))
        for image, _ in ready:
            if self._age(image) > self._work.rules.lease:
                await self._work.guarded(image, partial(self._renew, image))
        lease = self._work.rules.lease
        ready = [(image, request) for image, request in ready if image.view.claimed and self._age(image) <= lease]
        ready = await self._afforded(ready)
        if not ready or self._work.stopped:
            return
        left = self._work.clock()
        reply = await self._work.client.submit([request.task for _, request in ready])
        now = self._work.clock()
        if reply.throttled:
            self._work.tally.throttled()
        told = []
        for (image, _), outcome in zip(ready, reply.outcomes, strict=True):
            image.throttled = image.throttled + 1 if outcome.status in ("unknown", "refused") else 0
            pause = max(reply.retry_after or 0.0, self._work.pace.backoff(image.throttled, self._work.jitter()))
            told.append(self._work.guarded(image, partial(self._sent, image, outcome, now, pause)))
        await together(told)  # also where the note of one fails for all: no later answer says it of the others again
        self._work.gate.answered(reply, left, self._work.at_service(), now)
        if reply.stop is not None:
            raise reply.stop

    async def _afforded(self, ready: list[tuple[Tracked, Request]]) -> list[tuple[Tracked, Request]]:
        """Take back what the budget does not allow any more: a price may have been learned since the gate was asked."""
        new = [image for image, _ in ready if image.attempt.sent_at == image.attempt.last_sent_at]
        room = self._work.gate.affords(self._work.in_flight() - len(new))
        kept = new[room:]
        for image in kept:
            outcome, pause = SubmitOutcome(image.attempt.task_uuid, "refused"), self._work.pace.backoff(1, 1.0)
            await self._work.guarded(image, partial(self._sent, image, outcome, self._work.clock(), pause))
        return [(image, request) for image, request in ready if image not in kept]

    async def inspect(self, image: Tracked) -> None:
        """Look at the source, once, before it is paid for.

        :raises ClarityInputError: it cannot be sent
        """
        if not image.item.sendable:
            raise ClarityInputError(messages.SOURCE_CHANGED)
        if image.item.pixels is None and not image.inspected:
            image.item, warnings = await asyncio.to_thread(self._work.requests.inspect, image.item)
            for warning in warnings:
                self._work.log.warning("%s", warning)
        image.inspected = True

    async def _prepared(self, images: list[Tracked]) -> list[tuple[Tracked, Request, Attempt]]:
        """Make the requests; of those that hold their pictures only as many as memory has room for.

        Whether they do is seen of a few. The others are left to the next POST.
        """
        prepared: list[tuple[Tracked, Request, Attempt]] = []
        some, rest = images[:_FEW], images[_FEW:]
        while some and sum(request.inline for _, request, _ in prepared) < _INLINE:
            await together(
                self._work.guarded(image, partial(self._prepare, image, prepared), mends=False) for image in some
            )
            few = _FEW if any(request.inline for _, request, _ in prepared) else len(rest)
            some, rest = rest[:few], rest[few:]
        return prepared

    async def _prepare(self, image: Tracked, prepared: list[tuple[Tracked, Request, Attempt]]) -> None:
        await self.inspect(image)
        attempt = self._attempt(image)
        staging = GsUri.parse(attempt.staging)  # where we look for it, whatever workspace= says by now
        request = await asyncio.to_thread(self._work.requests.make, image.item, attempt.task_uuid, staging)
        attempt = attempt.model_copy(
            update={"endpoint_expires_at": request.endpoint_expires_at, "submit_timeout": self._work.submit_timeout}
        )
        prepared.append((image, request, attempt))

    def _attempt(self, image: Tracked) -> Attempt:
        """Return the attempt that is to be sent: the open one again, or the next."""
        last = image.view.attempt
        if last is not None and last.outcome is None:
            return last
        n = 1 if last is None else last.n + 1
        return Attempt(
            n=n,
            task_uuid=task_uuid(image.item.identity, n),
            staging=str(self._work.landing.staging_of(image.item, n)),
            run_key=self._work.run.key,
            place=self._work.run.place or self._work.run.key,
            round=self._work.run.round_number,
            seen=image.seen,
            submit_timeout=self._work.submit_timeout,
        )

    async def _claim(self, prepared: list[tuple[Tracked, Request, Attempt]]) -> list[tuple[Tracked, Request]]:
        """Claim them together; return those that were granted."""
        if not prepared:
            return []
        at = self._work.monotonic()
        wanted = [Wanted(image.item, attempt, image.record) for image, _, attempt in prepared]
        answers = await asyncio.to_thread(self._work.ledger.claim, wanted)
        granted = []
        for (image, request, attempt), answer in zip(prepared, answers, strict=True):
            await self._work.guarded(image, partial(self._claimed, image, attempt, answer, at))
            if not isinstance(answer, ClarityError) and image.view.claimed:
                granted.append((image, request))
        return granted

    async def _claimed(self, image: Tracked, attempt: Attempt, answer: Claim | ClarityError, at: float) -> None:
        if isinstance(answer, ClarityError):
            raise answer
        new = image.view.attempt is None or image.view.attempt.n != attempt.n
        image.know(answer.record, self._work.ledger.may_claim_at(answer.record))
        if new and answer.granted:
            image.begin()
        image.view = replace(image.view, claimed=answer.granted)
        image.claimed_at = at
        if not answer.granted:
            image.forget_looks()
            self._work.log.info("Another run is sending task %s: this one follows it.", attempt.task_uuid)

    def _age(self, image: Tracked) -> float:
        """Say how old a claim is, in seconds, by whichever clock says more.

        A clock may be set; and the other one does not count while a whole machine is suspended.
        """
        written = image.attempt.last_sent_at
        by_day = self._work.clock() - written if written is not None else 0.0
        return max(self._work.monotonic() - image.claimed_at, by_day)

    async def _renew(self, image: Tracked) -> None:
        """Renew a claim that has aged; a zombie that wakes sends nothing."""
        at = self._work.monotonic()
        claim = await asyncio.to_thread(self._work.ledger.renew, image.item, image.attempt)
        image.know(claim.record, self._work.ledger.may_claim_at(claim.record))
        image.view = replace(image.view, claimed=claim.granted)
        image.claimed_at = at
        if not claim.granted:
            image.forget_looks()

    async def _sent(self, image: Tracked, outcome: SubmitOutcome, now: float, pause: float) -> None:
        """Take over what became of a POST."""
        image.view = replace(image.view, claimed=False, look_at=now + self._work.pace.next_look(0.0, None))
        n, first = image.attempt.n, image.attempt.sent_at == image.attempt.last_sent_at
        match outcome.status:
            case "accepted" | "conflict":
                image.view = replace(image.view, response=None, details=None)
                if outcome.status == "conflict":
                    self._work.log.info("Task %s was accepted before: adopted, not bought again.", outcome.task_uuid)
                    image.adopted = n if first else None
                await self._work.acknowledged(image, now)
            case "failed" if first:
                failure = failure_of(outcome.error) if outcome.error is not None else None
                image.view = replace(image.view, response=adoption.Look("failed", now, failure=failure))
            case "failed":
                # It says why this POST was refused; an earlier one may have been accepted all the same.
                image.forget_looks()
                image.view = replace(image.view, no_resend=True)
                said = outcome.error.message if outcome.error is not None else "no reason given"
                self._work.log.warning("Task %s is not sent again: %s", outcome.task_uuid, said)
            case "refused":
                image.view = replace(image.view, send_at=now + pause)
                image.forget_looks()
                await self._work.note(image, lambda r: r.refused(n))
            case "unknown":
                image.view = replace(image.view, send_at=now + pause, look_at=now + self._work.rules.resubmit_after)
                image.forget_looks()
                self._work.log.warning(
                    "The reply to the submit of task %s was lost. Asking whether it arrived; nothing is bought twice.",
                    outcome.task_uuid,
                )
