"""A process may die between any two effects: the next try finishes the work, and nothing is paid twice.

Every effect on the outside (an object written, rewritten or deleted; a POST) is a place to die, just before it and just
after it. The test counts them by running once without a crash, then dies at each in turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
from bench import QUICK, Bench

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.drive import Stopper, drive
from airflow_provider_clarity.batch.engine import Run
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.storage.store import ObjectStore

PATIENT = replace(QUICK, lease=0.2)
TIMEOUT = 0.6
EFFECTS = 8
"""Claim, trace, POST, acknowledgement, rewrite, deletion from staging, outcome: asserted, so that this cannot rot."""

Side = Literal["before", "after"]


class ProcessDied(BaseException):
    """Not an Exception: nothing may catch it on its way out, as nothing catches a SIGKILL."""


@dataclass
class Countdown:
    """Dies at the n-th effect."""

    at: int
    side: Side
    seen: int = 0

    def around(self, effect: Callable[[], Any]) -> Any:
        self.seen += 1
        dies = self.seen == self.at
        if dies and self.side == "before":
            raise ProcessDied
        result = effect()
        if dies:
            raise ProcessDied
        return result


class MortalStore(ObjectStore):
    """A store whose process dies at an effect."""

    countdown: Countdown

    def create(self, *args: Any, **kwargs: Any) -> Any:
        return self.countdown.around(lambda: ObjectStore.create(self, *args, **kwargs))

    def rewrite(self, *args: Any, **kwargs: Any) -> Any:
        return self.countdown.around(lambda: ObjectStore.rewrite(self, *args, **kwargs))

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self.countdown.around(lambda: ObjectStore.delete(self, *args, **kwargs))


class MortalClient(ClarityClient):
    """A client whose process dies at a POST that may buy."""

    countdown: Countdown

    async def submit(self, tasks: Any) -> Any:
        self.countdown.seen += 1
        dies = self.countdown.seen == self.countdown.at
        if dies and self.countdown.side == "before":
            raise ProcessDied
        reply = await super().submit(tasks)
        if dies:
            raise ProcessDied
        return reply


async def first_try(bench: Bench, item: Item, countdown: Countdown, rules: Rules = PATIENT) -> None:
    """Run until the end, or the death."""
    store = MortalStore(bench.client)
    store.countdown = countdown
    async with MortalClient(
        api_key=bench.emulator.api_key, base_url=bench.emulator.runware_url, timeout=TIMEOUT
    ) as client:
        client.countdown = countdown
        engine = bench.engine(client, item, rules=rules, store=store, timeout=TIMEOUT)
        engine.add(item)
        await drive(engine, deadline=time.time() + 20, defer_after=None, stopper=Stopper(), log=bench.log)


async def test_the_effects_of_one_image_are_known(bench: Bench) -> None:
    """Else a new effect would go untested."""
    bench.upload()
    countdown = Countdown(at=0, side="before")
    await first_try(bench, bench.item(), countdown, replace(PATIENT, lease=20))  # a renewed claim is one more
    assert countdown.seen == EFFECTS - 1


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("at", range(1, EFFECTS))
async def test_a_crash_at_any_effect_is_mended_by_the_next_try(bench: Bench, at: int, side: Side) -> None:
    """One purchase, the right picture under its name, an honest outcome; whoever comes next."""
    bench.upload()
    item = bench.item()
    with pytest.raises(ProcessDied):
        await first_try(bench, item, Countdown(at, side))
    end = await bench.run(item, rules=PATIENT, timeout=TIMEOUT)
    assert end.outcome == "delivered"
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.counts() == [1]
    assert end.cost_microusd == 1300
    last = bench.record(item).last
    assert last is not None
    assert last.outcome == "delivered"


@pytest.mark.parametrize("at", range(1, EFFECTS))
async def test_a_crash_is_mended_by_another_run_too(bench: Bench, at: int) -> None:
    """Tomorrow's DAG run meets today's dead one: it adopts, and pays nothing that was paid."""
    bench.upload()
    item = bench.item()
    with pytest.raises(ProcessDied):
        await first_try(bench, item, Countdown(at, "after"))
    end = await bench.run(item, run=Run("dag/tomorrow/task"), rules=PATIENT, timeout=TIMEOUT)
    assert end.outcome in ("delivered", "done")
    assert bench.counts() == [1]


@pytest.mark.parametrize("switch", ["conflict", "accept"])
async def test_a_service_that_forgets_uuids_is_not_paid_twice_while_the_picture_is_there(
    bench: Bench, switch: str
) -> None:
    """Whether a finished UUID is refused or taken again is unknown; it is not sent again where staging holds it."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"conflict_after_done": switch, "result_retention_s": 0, "details_retention_s": 0})
    with pytest.raises(ProcessDied):
        await first_try(bench, item, Countdown(3, "after"))
    await asyncio.sleep(1.0)  # the service finishes, uploads and forgets
    end = await bench.run(item, rules=PATIENT, timeout=TIMEOUT)
    assert end.outcome == "delivered"
    assert bench.counts() == [1]
