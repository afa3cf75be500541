"""What is counted of purchases: each fact once, whoever writes it down, and whatever is read again later."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from bench import Bench

from airflow_provider_clarity.batch.engine import Engine, Run
from airflow_provider_clarity.batch.ledger import record_uri
from airflow_provider_clarity.batch.record import Attempt, TaskRecord
from airflow_provider_clarity.batch.tally import counts_between

BLANK = TaskRecord(
    identity="i", content_key="c", source="gs://b/a", destination="gs://b/z", parameters={}, owner="o", owner_since=0
)
SENT = BLANK.begun(
    Attempt(n=1, task_uuid=UUID(int=1), staging="gs://b/s", run_key="k", submit_timeout=1, sent_at=1, last_sent_at=1)
)
KNOWN = SENT.acknowledged(1, 2)
LOST = KNOWN.ended(1, "lost", 4)


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        (BLANK, SENT, {}),
        (SENT, KNOWN, {"purchases": 1}),
        (KNOWN, KNOWN, {}),
        (SENT, SENT.ended(1, "failed", 3), {}),
        (KNOWN, KNOWN.ended(1, "failed", 3, acknowledged_at=2, cost_microusd=7), {"cost_microusd": 7}),
        (KNOWN, KNOWN.ended(1, "recovered", 3, cost_microusd=7), {"recovered": 1, "cost_microusd": 7}),
        (KNOWN, KNOWN.ended(1, "superseded", 3, cost_microusd=7), {"cost_microusd": 7}),
        (LOST, LOST.reopened(1).acknowledged(1, 5), {}),
    ],
)
def test_what_a_write_made_known_is_counted(before: TaskRecord, after: TaskRecord, counts: dict[str, int]) -> None:
    """A submit is no purchase until the service is seen to know it; what costs and does not land is still paid."""
    assert counts_between(before, after) == counts


def test_the_order_in_which_two_runs_write_changes_nothing() -> None:
    """A follower may see the picture before the owner has noted its acknowledgement: still one of everything."""
    changes: list[Any] = [
        lambda record: record.acknowledged(1, 2),
        lambda record: record.ended(1, "delivered", 3, cost_microusd=7),
        lambda record: record.ended(1, "delivered", 4, cost_microusd=7),
    ]
    for order in itertools.permutations(changes):
        record, counts = SENT, Counter[str]()
        for change in order:
            counts += counts_between(record, change(record))
            record = change(record)
        assert counts == {"purchases": 1, "delivered": 1, "cost_microusd": 7}


async def driven(bench: Bench, key: str) -> Engine:
    """One run over the picture, to its end."""
    item = bench.item()
    async with bench.api() as client:
        engine = bench.engine(client, item, run=Run(key))
        engine.add(item)
        await bench.finish(engine)
        return engine


async def test_two_runs_at_once_count_one_purchase(bench: Bench) -> None:
    """The sum over all workers is what the account was charged."""
    bench.upload()
    both = await asyncio.gather(driven(bench, "dag/a/task"), driven(bench, "dag/b/task"))
    counts = sum((Counter(engine.tally.take()) for engine in both), Counter[str]())
    assert bench.counts() == [1]
    assert counts == {"purchases": 1, "delivered": 1, "cost_microusd": 1300}
    assert both[0].tally.take() == {}, "what was taken is told once"


async def test_what_was_bought_without_this_record_is_not_counted_again(bench: Bench) -> None:
    """Somebody deleted record and picture: the service knows the task, and it was counted when it was bought."""
    bench.upload()
    item = bench.item()
    await driven(bench, "dag/a/task")
    bench.client.bucket(bench.bucket).blob(record_uri(item).name).delete()
    bench.client.bucket(bench.bucket).blob(item.destination.name).delete()
    engine = await driven(bench, "dag/b/task")
    counts = engine.tally.take()
    assert engine.images[0].adopted == 1
    assert bench.counts() == [1]
    assert "purchases" not in counts
    assert "cost_microusd" not in counts
