"""The engine over a journal, against the emulator: a killed runner's work goes on, and nothing is bought twice."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from bench import BRISK, QUICK, Bench

from airflow_provider_clarity.batch.drive import Stopper, drive
from airflow_provider_clarity.batch.engine import Engine, Run
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.journal_ledger import JournalLedger
from airflow_provider_clarity.batch.landing import Landing
from airflow_provider_clarity.batch.submission import BucketRequests
from airflow_provider_clarity.exceptions import ClarityFencedError
from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.uris import GsUri

RUN = Run("dag/run/task", "dag/run/task/-1", many=True)


class Runner:
    """A process of a backfill: a journal of its own, and an engine over it."""

    def __init__(self, bench: Bench, client: Any, name: str = "0a1b2c3d") -> None:
        self.bench = bench
        root = GsUri(bench.bucket, f"_clarity/runs/{RUN.place}/{name}/0/")
        self.journal = Journal(
            bench.store, root, uuid.uuid4().hex, clock=time.time, monotonic=time.monotonic, lease=QUICK.lease
        )
        self.journal.open()
        self.ledger = JournalLedger(self.journal, bench.store, clock=time.time)
        workspace = Workspace.for_destination(GsUri(bench.bucket, "print/"))
        self.engine = Engine(
            client=client,
            ledger=self.ledger,
            requests=BucketRequests(bench.store, Signer(bench.client, bench.client._credentials)),
            landing=Landing(bench.store, workspace, RUN.key, RUN.place, allowed_image_hosts=("127.0.0.1",)),
            run=RUN,
            rules=QUICK,
            log=bench.log,
            submit_timeout=2.0,
            pace=BRISK,
        )

    def add(self, items: list[Item]) -> None:
        for position, item in enumerate(items):
            self.ledger.take(item, position)
            self.engine.add(item)

    async def finish(self) -> None:
        await drive(self.engine, deadline=time.time() + 25, defer_after=None, stopper=Stopper(), log=self.bench.log)
        for image in self.engine.images:
            self.ledger.settle(image)
        self.journal.append()


def images(bench: Bench, number: int = 3) -> list[Item]:
    """Pictures that nobody has bought."""
    for n in range(number):
        bench.upload(f"raw/{n}.png", colour=("teal", "navy", "olive")[n % 3])
    return [bench.item(f"raw/{n}.png", to=f"print/{n}.jpg") for n in range(number)]


async def test_many_images_are_delivered_and_recorded(bench: Bench) -> None:
    """One segment of intents; a task record for each that a single image finds; the cost in the ledger."""
    items = images(bench)
    async with bench.api() as client:
        runner = Runner(bench, client)
        runner.add(items)
        await runner.finish()
    state = runner.journal.state
    assert state.counts == {"delivered": 3}
    assert state.open == {}
    assert bench.counts() == [1, 1, 1]
    billed = sum(purchase["cost"] for purchase in bench.purchases().values())
    assert state.totals.spent_microusd == round(billed * 1_000_000)
    assert state.totals.purchases == 3
    for item in items:
        last = bench.record(item).last
        assert last is not None
        assert last.outcome == "delivered"
        assert bench.record(item).runs == {}
    assert (await bench.run(items[0])).outcome in ("done", "delivered")
    assert bench.counts() == [1, 1, 1]


@pytest.mark.parametrize("killed", ["before the POST", "after the POST"])
async def test_a_killed_runner_is_gone_on_with(bench: Bench, killed: str) -> None:
    """Its intents are in the ledger and nowhere else; each picture is bought once, and the zombie writes nothing."""
    items = images(bench)
    async with bench.api() as client:
        first = Runner(bench, client)
        first.add(items)
        if killed == "before the POST":
            bench.emulator.faults([{"operation": "submit", "fault": "reset_before", "times": 1}])
        while not first.journal.state.open:
            await first.engine.step()
        heir = Runner(bench, client)
        assert len(heir.journal.state.open) == 3
        heir.add(items)
        await heir.finish()
        with pytest.raises(ClarityFencedError):
            first.journal.append()
    assert heir.journal.state.counts == {"delivered": 3}
    assert bench.counts() == [1, 1, 1]
    assert heir.journal.state.totals.spent_microusd > 0


async def test_two_backfills_of_the_same_images_pay_once(bench: Bench) -> None:
    """Neither sees the other's ledger. They share the UUIDs, and the bucket."""
    items = images(bench)
    async with bench.api() as client:
        one, two = Runner(bench, client, "aaaaaaaa"), Runner(bench, client, "bbbbbbbb")
        one.add(items)
        two.add(items)
        for _ in range(3):
            await one.engine.step()
            await two.engine.step()
        await one.finish()
        await two.finish()
    assert bench.counts() == [1, 1, 1]
    for runner in (one, two):
        assert sum(runner.journal.state.counts.values()) == 3
        assert not [key for key in runner.journal.state.counts if key.startswith("failed")]
