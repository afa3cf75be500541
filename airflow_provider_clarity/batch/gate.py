"""What the engine asks before purchases leave, and tells what became of them.

Invariant: the gate is asked last, after everything that could make a purchase needless was looked at; it only ever says
how many may leave, never which. A second POST of a UUID is no purchase: it needs no room.
"""

from __future__ import annotations

from typing import Protocol

from airflow_provider_clarity.runware.client import SubmitReply


class Gate(Protocol):
    """How many purchases may leave. Called on the engine's loop; it does not block."""

    @property
    def beat(self) -> float:
        """Seconds between two look-ups at least, whatever is due: what comes nearer goes together."""
        ...

    def room(self, in_flight: int, at_service: int, now: float) -> int:
        """Say how many purchases may leave now.

        :param in_flight: those that were sent and have no outcome
        :param at_service: those of them that the service may still be at work on
        :param now: epoch seconds
        """
        ...

    def opens_at(self, in_flight: int, at_service: int, now: float) -> float:
        """Say when there may be room, epoch seconds; see :meth:`room`.

        Later than now where there is none; infinity where that takes the end of one in flight.
        """
        ...

    def affords(self, in_flight: int) -> int:
        """Say how many purchases the budget allows now, beside so many that were sent and have no outcome."""
        ...

    def answered(self, reply: SubmitReply, sent_at: float, at_service: int, now: float) -> None:
        """Hear how the service took a POST.

        :param sent_at: when it left, epoch seconds
        :param at_service: those that it has accepted and not finished, this POST's among them
        :param now: epoch seconds
        """
        ...

    def succeeded(self, sent_at: float, now: float, *, watched: bool) -> None:
        """Hear that a task made its picture.

        :param sent_at: when it was submitted, epoch seconds
        :param now: epoch seconds
        :param watched: whether it was seen at work before; else it may have been done for long
        """
        ...


class OpenGate:
    """For one image: whatever is decided may leave."""

    beat = 0.0

    def room(self, in_flight: int, at_service: int, now: float) -> int:  # noqa: ARG002
        """Any number."""
        return 1_000_000

    def opens_at(self, in_flight: int, at_service: int, now: float) -> float:  # noqa: ARG002
        """Now."""
        return now

    def affords(self, in_flight: int) -> int:  # noqa: ARG002
        """Any number."""
        return 1_000_000

    def answered(self, reply: SubmitReply, sent_at: float, at_service: int, now: float) -> None:
        """Nothing to learn."""

    def succeeded(self, sent_at: float, now: float, *, watched: bool) -> None:
        """Nothing to learn."""
