"""The gate of a backfill: as many purchases leave as the window, the budget and the pace of the ledger allow.

Invariant: the budget is read from the ledger whenever it is asked for, so that what counts is what is written down.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_clarity.batch.brake import Brake
from airflow_provider_clarity.batch.budget import Budget
from airflow_provider_clarity.batch.window import Window
from airflow_provider_clarity.runware.client import SubmitReply
from airflow_provider_clarity.runware.pace import beat

_UNLANDED = 64
"""Pictures that are made and have no final name yet, at least so many of which hold nothing up."""


class WindowGate:
    """A window, and a budget behind it; and no more is bought while what was made does not land.

    A service that goes on while storage, or the way to its pictures, is closed would else be paid for the whole plan,
    and might have forgotten most of it when the way opens.

    :param window: what is known of the service's capacity
    :param budget: reads the account of the run as it is now
    :param fixed_beat: instead of the one that is learned
    :param brake: as an earlier try has left it
    """

    def __init__(
        self,
        window: Window,
        budget: Callable[[], Budget],
        *,
        fixed_beat: float | None = None,
        brake: Brake | None = None,
    ) -> None:
        self.window = window
        self.brake = brake or Brake()
        self._budget = budget
        self._fixed_beat = fixed_beat
        self._next_post = 0.0

    @property
    def beat(self) -> float:
        """Seconds between two look-ups, and between two POSTs, each of which has a segment of the ledger before it."""
        return beat(self.window.learned.median) if self._fixed_beat is None else self._fixed_beat

    @property
    def budget(self) -> Budget:
        """The account as it is now."""
        return self._budget()

    def room(self, in_flight: int, at_service: int, now: float) -> int:
        """Say how many purchases may leave now: the least of what window, budget and pace allow."""
        free = self.window.room(at_service, now) if now >= self._next_post else 0
        free = min(free, self._unlanded(in_flight, at_service))
        return min(free, self.budget.room(in_flight)) if free else 0

    def opens_at(self, in_flight: int, at_service: int, now: float) -> float:
        """Say when there may be room; infinity where that takes the end of one in flight."""
        if self.budget.room(in_flight) == 0 or self._unlanded(in_flight, at_service) == 0:
            return float("inf")
        return max(self.window.opens_at(at_service, now), self._next_post)

    def affords(self, in_flight: int) -> int:
        """Say how many purchases the budget allows now, beside so many that were sent and have no outcome."""
        return self.budget.room(in_flight)

    def wanted(self, in_flight: int, at_service: int) -> int:
        """Say how many images could be sent if nothing but time were in the way.

        :param in_flight: purchases that were sent and have no outcome
        :param at_service: those of them that the service may still be at work on
        """
        free = min(self.window.limit - at_service, self._unlanded(in_flight, at_service))
        return max(0, min(free, self.budget.room(in_flight)))

    def _unlanded(self, in_flight: int, at_service: int) -> int:
        """Say how many more pictures may wait for their final names."""
        if self.brake.pulled:
            return 0
        return max(0, max(_UNLANDED, 2 * self.window.limit) - (in_flight - at_service))

    def answered(self, reply: SubmitReply, sent_at: float, at_service: int, now: float) -> None:
        """Learn the capacity of the service, and keep the pace."""
        self._learn(reply, sent_at, at_service, now)
        if not self.window.whole:  # there each POST takes a part of what is free, and the rest would stay free too long
            self._next_post = max(self._next_post, sent_at + self.beat)

    def _learn(self, reply: SubmitReply, sent_at: float, at_service: int, now: float) -> None:
        if reply.overloaded:
            self.window = self.window.overloaded(sent_at=sent_at, now=now, retry_after=reply.retry_after)
            return
        statuses = [outcome.status for outcome in reply.outcomes]
        # A POST that was refused as a whole names no task: of those nobody knows, but they count as turned away.
        refused = statuses.count("refused") + (statuses.count("unknown") if reply.throttled else 0)
        self.window = self.window.answered(
            accepted=statuses.count("accepted") + statuses.count("conflict"),
            refused=refused if reply.throttled else 0,
            in_flight=at_service,
            now=now,
            retry_after=reply.retry_after,
        )

    def succeeded(self, sent_at: float, now: float, *, watched: bool) -> None:
        """Learn how long tasks take."""
        self.window = self.window.succeeded(sent_at, now, watched=watched)
