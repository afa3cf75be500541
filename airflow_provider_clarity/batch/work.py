"""What the engine works with, and the few things that all of its parts do: note, hold, try again.

Invariants: what is known is known at once and written down; what fails around one image is tried again later, a number
of times in a row; a note names its attempt, and survives a record that somebody deleted meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.gate import Gate
from airflow_provider_clarity.batch.landing import Landing
from airflow_provider_clarity.batch.ledger import Change, Clock, Ledger
from airflow_provider_clarity.batch.record import Failure, TaskRecord
from airflow_provider_clarity.batch.submission import Requests
from airflow_provider_clarity.batch.tally import Tally
from airflow_provider_clarity.batch.tracked import Tracked
from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.pace import backoff, next_look

_TIMES_IN_A_ROW = 6
"""How often in a row something around us may fail before the step gives up: with the backoff about a minute."""

AROUND_ALL: Final = frozenset({"auth", "quota", "budget", "deadline", "fenced", "plan"})
"""Kinds of errors that are not one image's."""


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
    :param run_started: when Airflow began the DAG run, epoch seconds; stored likewise
    :param unasked: no clear opened the round, but a DAG run that came back under its old id
    :param many: it is over many images: what is wrong with one ends that one, and the end of a round is not theirs
    """

    key: str
    place: str = ""
    round_number: int = 0
    max_tries: int = 0
    run_started: float | None = None
    unasked: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait, in seconds.

    :param next_look: between two looks at a task of some age
    :param backoff: after the n-th failure in a row
    :param look_ahead: what is due within that goes along where an array that goes anyway has room for it
    """

    next_look: Callable[[float, float | None], float] = next_look
    backoff: Callable[[int, float], float] = backoff
    look_ahead: float = 0.0


@dataclass(slots=True)
class Work:
    """Everything that one engine works with.

    :param client: to the API
    :param ledger: where purchases are written down before they are made
    :param requests: makes the tasks with their presigned URLs
    :param landing: looks at, verifies and promotes pictures
    :param run: whose work it is
    :param rules: the numbers of the decisions
    :param submit_timeout: seconds after which a POST cannot be on its way any more: the client's timeout
    :param pace: how long to wait
    :param clock: epoch seconds
    :param monotonic: seconds that no clock change moves
    :param jitter: a number from 0 to 1
    :param gate: how many purchases may leave
    :param stopped: nothing more is submitted
    :param tally: what is counted for the metrics
    :param images: all that are not let go of
    """

    client: ClarityClient
    ledger: Ledger
    requests: Requests
    landing: Landing
    run: Run
    rules: Rules
    log: Log
    submit_timeout: float
    pace: Pace
    clock: Clock
    monotonic: Clock
    jitter: Callable[[], float]
    gate: Gate
    stopped: bool = False
    tally: Tally = field(default_factory=Tally)
    images: list[Tracked] = field(default_factory=list)

    def in_flight(self) -> int:
        """Count what was sent and has no outcome."""
        return sum(image.in_flight for image in self.images)

    def at_service(self) -> int:
        """Count what the service may be at work on."""
        return sum(image.at_service for image in self.images)

    async def note(self, image: Tracked, change: Change) -> None:
        """Write a change down, and take over what the record says then."""
        seen: list[TaskRecord] = []

        def noted(record: TaskRecord) -> TaskRecord:
            seen.append(record)
            return change(record)

        record = await asyncio.to_thread(self.ledger.note, image.item, noted, image.record)
        self.tally.wrote(seen[-1], record, adopted=image.adopted)
        image.know(record, self.ledger.may_claim_at(record))

    async def acknowledged(self, image: Tracked, now: float) -> None:
        """Know it at once, and write it down; a write that fails is repeated before anything else is done."""
        n, adopted = image.attempt.n, image.adopted == image.attempt.n
        image.acknowledged = (n, now)
        image.know(image.record, image.view.may_claim_at)
        await self.note(image, lambda r: r.acknowledged(n, now, adopted=adopted))

    def hold(self, image: Tracked, times: int, at_least: float | None = None) -> None:
        """Leave an image alone for a while, after so many failures in a row."""
        image.paused_until = self.clock() + max(at_least or 0.0, self.pace.backoff(times, self.jitter()))

    async def guarded(self, image: Tracked, work: Callable[[], Awaitable[None]], *, mends: bool = True) -> None:
        """Do it; what fails around one image is tried again later, up to a number of times in a row.

        Of many images what fails for good ends that image; what concerns them all is raised.

        :param mends: whether its success says that the trouble is over; a look at storage says nothing of a write
        """
        try:
            await work()
        except ClarityError as error:
            image.failures += 1
            alone = self.run.many and error.kind not in AROUND_ALL
            replaced = alone and error.kind == "input"  # whoever takes images on may take it on as it is now
            if error.retryable and not replaced and (alone or image.failures < _TIMES_IN_A_ROW):
                self.hold(image, image.failures)
                self.log.warning("%s Trying again in %.0f s.", error, image.paused_until - self.clock())
            elif alone:
                failure = Failure(kind=error.kind, message=error.message, code=error.code)
                image.end = self.landing.finished(image, "failed", failure)
            else:
                raise
        else:
            image.failures = 0 if mends else image.failures


async def together(works: Iterable[Awaitable[None]]) -> None:
    """Do them at once and wait for all, also where one fails; then raise its error."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
