"""The gate of a backfill over a simulated service: its pace must not starve the window."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import pytest
from service_capacity import ROUND_TRIP, Client, Service, fixed, lognormal

from airflow_provider_clarity.batch.budget import Budget
from airflow_provider_clarity.batch.window import Window
from airflow_provider_clarity.batch.window_gate import WindowGate
from airflow_provider_clarity.runware.replies import SubmitOutcome, SubmitReply

NOBODY = UUID(int=0)


def reply(accepted: int, refused: int, *, whole: bool) -> SubmitReply:
    """What the client makes of a 429: a task that is named is refused, of the others nobody knows."""
    turned_away = SubmitOutcome(NOBODY, "unknown" if whole else "refused")
    outcomes = (*(SubmitOutcome(NOBODY, "accepted"),) * accepted, *(turned_away,) * refused)
    return SubmitReply(outcomes, throttled=refused > 0)


@dataclass(slots=True)
class Gated(Client):
    """A client whose every POST passes the gate."""

    gate: WindowGate = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.gate = WindowGate(self.window, Budget)

    def _look(self, now: float) -> None:
        self.looks_every = self.gate.beat
        self.service.until(now)
        for task in self.service.done:
            self.gate.succeeded(self.sent.pop(task), now, watched=True)
        self.service.done.clear()

    def _fill(self, now: float) -> float:
        while (room := self.gate.room(len(self.sent), len(self.sent), now)) > 0:
            at = now
            self.posts.append(at)
            self.service.until(at + ROUND_TRIP / 2)
            taken = self.service.post(room)
            self.sent |= dict.fromkeys(taken, at)
            now = at + ROUND_TRIP
            self.accepted += len(taken)
            self.refused += room - len(taken)
            answer = reply(len(taken), room - len(taken), whole=self.service.whole)
            self.gate.answered(answer, at, len(self.sent), now)
            if len(taken) < room:
                break
        self.window = self.gate.window
        return now


@pytest.mark.parametrize("whole", [False, True], ids=["each task", "whole POSTs"])
@pytest.mark.parametrize("queue", [0, 100])
@pytest.mark.parametrize("model", ["fixed", "lognormal"])
def test_the_pace_of_the_ledger_does_not_starve_the_window(model: str, queue: int, *, whole: bool) -> None:
    """A slot waits for the next look and segment: that must stay a small share, and the window must still find all."""
    seconds = fixed() if model == "fixed" else lognormal()
    client = Gated(Window.opened(200), Service(seconds, 50, queue, whole)).run(600)
    assert client.used(60, 600) >= (0.95 if queue else 0.9)
    assert client.turned_away(60, 600) <= 0.01
    assert client.window.limit >= 45


def test_two_posts_are_apart() -> None:
    """Each has a segment of the ledger before it; where POSTs are refused as a whole they are small, and follow."""
    paced = Gated(Window.opened(200), Service(fixed(), 50, 0, whole=False)).run(60).posts
    assert min(later - at for at, later in pairwise(paced)) >= 0.25
    hurried = Gated(Window.opened(200), Service(fixed(), 50, 0, whole=True)).run(60).posts
    assert min(later - at for at, later in pairwise(hurried)) < 0.2


def test_what_does_not_land_holds_up_what_is_not_bought_yet() -> None:
    """Breaks if a whole plan is bought while nothing can be landed, or if a gate says that it opens and does not."""
    gate = WindowGate(Window.opened(8), Budget)
    assert gate.room(63, 0, 0.0) == 1
    assert gate.wanted(63, 0) == 1
    assert gate.room(64, 0, 0.0) == gate.wanted(64, 0) == 0
    assert gate.opens_at(64, 0, 0.0) == float("inf")
    assert gate.room(64, 1, 0.0) == 1, "what the service is at work on is the window's"
    assert gate.opens_at(64, 1, 0.0) == 0.0
