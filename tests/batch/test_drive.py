"""The loop of a try: what it leaves behind, and when it is over."""

from __future__ import annotations

import itertools

import pytest
from bench import Lines

from airflow_provider_clarity.batch.drive import Stopper, drive
from airflow_provider_clarity.batch.progress import Progress
from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityDeadlineError, ClarityDeliveryError


class Driven:
    """An engine that says that it has something to do at once, and writes down what is asked of it."""

    idle = False

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.asked: list[str] = []

    async def step(self) -> Progress:
        self.asked.append("step")
        assert len(self.asked) < 20, "it is driven for ever"
        if self.fails:
            raise ClarityDeliveryError("The bucket does not answer.", retryable=True)
        return Progress((), (), 0.0, 0.0)

    async def settled(self) -> None:
        self.asked.append("settled")
        if self.fails:
            raise ClarityAuthError("The key was refused.")

    def stop(self) -> None:
        self.asked.append("stop")

    def line(self) -> str:
        return ""


async def test_nothing_is_under_way_when_a_step_has_failed() -> None:
    """Breaks if a ledger is given back while a POST is on its way, or if what comes of that hides the first error."""
    engine = Driven(fails=True)
    with pytest.raises(ClarityDeliveryError, match="does not answer"):
        await drive(engine, deadline=1e12, defer_after=None, stopper=Stopper(), log=Lines())
    assert engine.asked == ["step", "stop", "settled"]


@pytest.mark.parametrize("before", [1, 2])
async def test_a_clock_that_is_set_back_does_not_bring_a_try_back_to_life(before: int) -> None:
    """Breaks if an engine that was stopped is asked again and again until the time comes once more."""
    engine = Driven()
    clock = itertools.chain([99.0] * before, [100.0], itertools.repeat(50.0))
    with pytest.raises(ClarityDeadlineError):
        await drive(engine, deadline=100.0, defer_after=None, stopper=Stopper(), log=Lines(), clock=lambda: next(clock))
    assert engine.asked[-1] == "settled"
