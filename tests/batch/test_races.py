"""Two runners or more on one image: whoever is late, lags or wakes again, it is paid once and every end is honest."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from bench import QUICK, Bench
from seams import Kind, ScriptedClient, ShiftedClock, WatchedStore

from airflow_provider_clarity.batch.engine import Engine, Run
from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.ledger import record_uri
from airflow_provider_clarity.batch.tracked import ItemEnd
from airflow_provider_clarity.storage.uris import GsUri

SECONDS = 20.0


def first_fails(bench: Bench, item: Item) -> None:
    """Let the service report a failure of the first purchase, which is never uploaded."""
    bench.emulator.switches({"upload_lag_s": 30})
    first = str(task_uuid(item.identity, 1))
    bench.emulator.faults([{"operation": "poll", "fault": "error:providerError", "times": 1, "match": first}])


async def to_the_end(bench: Bench, engine: Engine) -> ItemEnd:
    """Drive an engine until all is over."""
    end = await bench.finish(engine)
    assert end is not None
    return end


@pytest.mark.parametrize("times", range(3))
async def test_one_failure_seen_by_four_runs_is_one_more_purchase(bench: Bench, times: int) -> None:
    """Breaks if each run that saw the failure buys its own second attempt."""
    bench.upload(colour=("teal", "red", "gold")[times])
    item = bench.item()
    first_fails(bench, item)
    ends = await asyncio.gather(*(bench.run(item, run=Run(f"dag/{n}/task")) for n in range(4)))
    assert {end.outcome for end in ends} <= {"delivered", "recovered", "done"}
    assert bench.counts() == [1, 1]
    first, second = bench.record(item).attempts
    assert (first.outcome, second.outcome in ("delivered", "recovered")) == ("failed", True)


async def test_a_failure_that_is_final_ends_every_run_that_waited_for_it(bench: Bench) -> None:
    """Breaks if a follower takes the refusal of the owner's picture for somebody else's, and buys it once more."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"upload_lag_s": 30})
    async with bench.api() as one, bench.api() as other:
        owner = bench.engine(one, item, run=Run("dag/1/task"))
        follower = bench.engine(other, item, run=Run("dag/2/task"))
        owner.add(item)
        follower.add(item)
        await owner.step()
        await follower.step()
        bench.emulator.faults([{"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1}])
        ends = await asyncio.gather(to_the_end(bench, owner), to_the_end(bench, follower))
    assert [(end.outcome, end.failure.kind if end.failure else None) for end in ends] == [("failed", "safety")] * 2
    assert bench.counts() == [1]


async def test_a_runner_that_lags_never_ends_the_next_attempt(bench: Bench) -> None:
    """Breaks if "failed", seen of attempt 1 and written late, is written onto attempt 2: a third would be bought."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"upload_lag_s": 30})
    armed, lags, go_on = threading.Event(), threading.Event(), threading.Event()

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and uri == record_uri(item) and armed.is_set() and not lags.is_set():
            lags.set()
            assert go_on.wait(SECONDS)

    async with bench.api() as one, bench.api() as other:
        quick = bench.engine(one, item, run=Run("dag/1/task"))
        slow = bench.engine(other, item, run=Run("dag/2/task"), store=WatchedStore(bench.client, before))
        ours, theirs = quick.add(item), slow.add(item)
        await quick.step()
        await slow.step()  # follows attempt 1
        assert (theirs.attempt.n, theirs.attempt.outcome) == (1, None)
        first_fails(bench, item)
        armed.set()
        lagging = asyncio.create_task(to_the_end(bench, slow))
        assert await asyncio.to_thread(lags.wait, SECONDS)  # it has seen the failure, and is about to write it down
        async with asyncio.timeout(SECONDS):
            while ours.attempt.n == 1:
                await quick.step()
                await asyncio.sleep(0.05)
        assert bench.record(item).attempts[0].outcome == "failed"
        go_on.set()
        ends = await asyncio.gather(to_the_end(bench, quick), lagging)
    assert {end.outcome for end in ends} <= {"delivered", "recovered", "done"}
    assert sum(end.cost_microusd or 0 for end in ends) == 1300
    first, second = bench.record(item).attempts
    assert (first.outcome, second.outcome in ("delivered", "recovered")) == ("failed", True)
    assert bench.counts() == [1, 1]


async def test_a_follower_whose_view_is_old_buys_nothing_after_the_delivery(bench: Bench) -> None:
    """Breaks if the name and staging, both seen empty before the other run promoted, count as a missing picture."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"image_url_with_upload": False})

    async with bench.api(ScriptedClient) as one, bench.api() as other:
        owner = bench.engine(one, item, run=Run("dag/1/task"))
        follower = bench.engine(other, item, run=Run("dag/2/task"))
        owner.add(item)
        view = follower.add(item).view

        async def look_early() -> None:
            nonlocal view
            bench.emulator.faults([{"operation": "poll", "fault": "status_503", "times": 1}])
            await follower.step()  # reads the record and both places; its look-up is not answered
            view = follower.images[0].view

        one.after_submit = look_early
        assert (await to_the_end(bench, owner)).outcome == "delivered"
        assert (view.verdict, view.staged, view.response) == ("buy", "empty", None)
        end = await to_the_end(bench, follower)
    assert (end.outcome, end.cost_microusd) == ("done", 0)
    assert bench.emulator.faults()[0]["fired"] == 1
    assert bench.counts() == [1]
    assert [attempt.outcome for attempt in bench.record(item).attempts] == ["delivered"]


async def test_a_follower_that_sleeps_through_two_attempts_adopts_the_second(bench: Bench) -> None:
    """Breaks if what was seen of attempt 1 (its failure, its empty staging) is taken for news of attempt 2."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"upload_lag_s": 30})
    async with bench.api() as one, bench.api() as other:
        owner = bench.engine(one, item, run=Run("dag/1/task"))
        follower = bench.engine(other, item, run=Run("dag/2/task"))
        owner.add(item)
        follower.add(item)
        await owner.step()
        await follower.step()
        first_fails(bench, item)
        assert (await to_the_end(bench, owner)).outcome == "recovered"
        end = await to_the_end(bench, follower)
    assert (end.outcome, end.cost_microusd) == ("done", 0)
    assert bench.counts() == [1, 1]


class AgedClaims(ScriptedClient):
    """Notes how old the claim of each POST is."""

    bench: Bench
    item: Item

    async def submit(self, tasks: Any) -> Any:
        last = self.bench.record(self.item).last
        assert last is not None
        assert last.last_sent_at is not None
        self.ages.append(self.bench.clock() - last.last_sent_at)
        return await super().submit(tasks)

    @property
    def ages(self) -> list[float]:
        return self.__dict__.setdefault("_ages", [])


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("writes", [1, 99])
async def test_a_claim_that_aged_is_renewed_before_its_post_or_not_used(
    bench: Bench, writes: int, *, suspended: bool
) -> None:
    """Breaks if a POST leaves when others may take it for dead: they would POST beside it.

    While a whole machine is suspended its monotonic clock does not count.
    """
    bench.upload()
    item = bench.item()
    clock = ShiftedClock()
    bench = replace(bench, clock=clock, monotonic=time.monotonic if suspended else clock)
    rules = replace(QUICK, lease=20.0, item_timeout=600.0)
    slow = [writes]

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and uri == record_uri(item) and slow[0]:
            slow[0] -= 1
            clock.ahead += rules.lease + 1  # the write is under way for as long

    async with bench.api(AgedClaims) as client:
        client.bench, client.item = bench, item
        engine = bench.engine(client, item, rules=rules, store=WatchedStore(bench.client, before))
        engine.add(item)
        await engine.step()
        # By a clock that stands still the step is not over, and goes on until a write is quick.
        assert len(client.ages) == (1 if writes == 1 or suspended else 0)
        slow[0] = 0
        clock.ahead += 100
        end = await to_the_end(bench, engine)
        assert all(0 <= age <= 1 for age in client.ages)
    assert end.outcome == "delivered"
    assert bench.counts() == [1]


@pytest.mark.parametrize("suspended", [False, True])
async def test_a_runner_that_wakes_after_its_claim_was_taken_over_sends_nothing(
    bench: Bench, *, suspended: bool
) -> None:
    """Breaks if a zombie POSTs beside its heir, also one that slept with its whole machine."""
    bench.upload()
    item = bench.item()
    clock = ShiftedClock()
    bench = replace(bench, clock=clock, monotonic=time.monotonic if suspended else clock)
    heirs: list[ItemEnd] = []

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and "/runs/" in uri.name and not heirs:  # claimed, not sent; and asleep for an hour
            clock.ahead += 3600
            heirs.append(asyncio.run(bench.run(item, run=Run("dag/2/task"))))

    end = await bench.run(item, run=Run("dag/1/task"), store=WatchedStore(bench.client, before), seconds=4000)
    assert [heir.outcome for heir in heirs] == ["delivered"]
    assert end.outcome in ("delivered", "done")
    assert bench.emulator.accounts()["submits"] == 1
    assert bench.counts() == [1]


async def test_two_map_indexes_of_one_image_at_once_are_paid_once_and_counted_once(bench: Bench) -> None:
    """Breaks if the costs of a run sum up to more than was paid."""
    bench.upload()
    item = bench.item()
    runs = [Run("dag/run/task", f"dag/run/task/{index}") for index in range(3)]
    ends = await asyncio.gather(*(bench.run(item, run=run) for run in runs))
    assert {end.outcome for end in ends} <= {"delivered", "done"}
    assert sum(end.cost_microusd or 0 for end in ends) == 1300
    assert bench.counts() == [1]
