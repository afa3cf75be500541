"""Drives an engine to its end, or to the point from which on a worker would only wait.

One loop for the waiting and the deferring operator: the only difference is what happens where
:func:`~.waiting.should_defer` says that it pays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from airflow_provider_clarity.batch.progress import Progress
from airflow_provider_clarity.batch.waiting import should_defer
from airflow_provider_clarity.batch.work import Log
from airflow_provider_clarity.exceptions import ClarityDeadlineError, ClarityError

_LINE_EVERY = 60.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Only waiting is left, and it will take a while.

    :param task_uuids: whom to wait for, those first that are expected first
    :param first_look: when a look is due, epoch seconds
    :param sent_at: when the first of them was submitted, epoch seconds
    :param wake_at: when to look whatever is settled: silence ends there, epoch seconds
    """

    task_uuids: tuple[UUID, ...]
    first_look: float
    sent_at: float
    wake_at: float


class Driven(Protocol):
    """What is driven: an engine, or a backfill that fills one."""

    @property
    def idle(self) -> bool:
        """Whether nothing is under way in the background."""
        ...

    async def step(self) -> Progress:
        """Do all that can be done now, and say when there will be more to do."""
        ...

    async def settled(self) -> None:
        """Wait for what is under way."""
        ...

    def stop(self) -> None:
        """Submit nothing more."""
        ...

    def line(self) -> str:
        """Say in a few words where it stands."""
        ...


class Stopper:
    """A stop that a signal handler may ask for: it sets flags and wakes the loop, and does nothing else."""

    def __init__(self) -> None:
        self.asked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event: asyncio.Event | None = None
        self._engine: Driven | None = None

    def bind(self, engine: Driven) -> None:
        """Tie it to an engine and the running loop."""
        self._loop, self._event, self._engine = asyncio.get_running_loop(), asyncio.Event(), engine
        if self.asked:
            self.ask()

    def ask(self) -> None:
        """Ask for the stop; safe from a signal handler and from another thread."""
        self.asked = True
        if self._engine is not None:
            self._engine.stop()
        if self._loop is not None and self._event is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the stop is asked for."""
        if self._event is None:
            raise RuntimeError("bind() comes first")
        try:
            await asyncio.wait_for(self._event.wait(), max(0.0, seconds))
        except TimeoutError:
            return


async def drive(
    engine: Driven,
    *,
    deadline: float,
    defer_after: float | None,
    stopper: Stopper,
    log: Log,
    clock: Callable[[], float] = time.time,
) -> Paused | None:
    """Step until all is over.

    When it returns or raises an error of ours, nothing is under way any more, so that a ledger may be released.

    :param deadline: epoch seconds from which on nothing more is submitted and the try ends
    :param defer_after: the wait from which on to pause instead, in seconds; None to wait here
    :return: what to wait for, or None when all is over
    :raises ClarityDeadlineError: at the deadline; what is in flight is adopted by the next try
    """
    stopper.bind(engine)
    next_line = clock() + _LINE_EVERY
    over = False
    while True:
        over = over or clock() >= deadline  # for good: an engine that was stopped has nothing more to do
        if over or stopper.asked:
            engine.stop()
        try:
            progress = await engine.step()
        except ClarityError:
            engine.stop()
            with suppress(ClarityError):  # what comes of the rest does not hide why it ends
                await engine.settled()
            raise
        if progress.look_at is None:
            return None
        now = clock()
        over = over or now >= deadline
        if over or stopper.asked:
            await engine.settled()
            raise ClarityDeadlineError(_over(progress, asked=stopper.asked))
        if (
            defer_after is not None
            and engine.idle
            and progress.waiting
            and should_defer(
                progress.useful_at - now, something_to_submit=progress.to_submit, defer_after=defer_after
            )
        ):  # fmt: skip
            return Paused(progress.waiting, progress.look_at, progress.sent_at, min(deadline, progress.silent_at))
        if now >= next_line:
            log.info("%s, %.0f s left.", engine.line(), deadline - now)
            next_line = now + _LINE_EVERY
        await stopper.sleep(min(progress.look_at, deadline) - now)


def _over(progress: Progress, *, asked: bool) -> str:
    why = "This try was stopped" if asked else "The time allowed for this try is over"
    if not progress.in_flight:
        return f"{why} before everything was done. Nothing is in flight. A retry or a clear goes on from here."
    named = ", ".join(str(uuid) for uuid in progress.in_flight[:3])
    more = "" if len(progress.in_flight) <= 3 else f" and {len(progress.in_flight) - 3} more"  # noqa: PLR2004
    return (
        f"{why} with {len(progress.in_flight)} task(s) in flight ({named}{more}). They stay paid and are not bought "
        "again. A retry or a clear adopts them."
    )
