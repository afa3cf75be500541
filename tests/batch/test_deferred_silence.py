"""A deferred image whose task the service has forgotten: it comes to its end, however often it was deferred."""

from __future__ import annotations

import time
from dataclasses import replace

from bench import QUICK, Bench

from airflow_provider_clarity.batch.drive import Paused, Stopper, drive
from airflow_provider_clarity.batch.tracked import ItemEnd

RULES = replace(QUICK, item_timeout=1.5, silence_confirmed=0.5)


async def resumed(bench: Bench) -> tuple[Paused | None, ItemEnd | None]:
    """Work on the image as a process that was just started does, until it ends or would only wait."""
    async with bench.api() as client:
        engine = bench.engine(client, bench.item(), rules=RULES)
        image = engine.add(bench.item())
        paused = await drive(engine, deadline=time.time() + 20, defer_after=0, stopper=Stopper(), log=bench.log)
        return paused, image.end


async def test_a_silence_that_is_too_long_is_heard_by_the_worker(bench: Bench) -> None:
    """Breaks if each resume defers again before it has listened long enough: it would never come to *lost*."""
    bench.upload()
    bench.emulator.faults(
        [
            {"operation": "poll", "fault": "forget", "times": 500},
            {"operation": "upload", "fault": "refuse_403", "times": 1},
        ]
    )
    first, _ = await resumed(bench)
    assert first is not None, "with time left it frees the worker"
    time.sleep(max(0.0, first.wake_at - time.time()))  # noqa: ASYNC251 - the trigger waits; nothing else runs here
    again, end = await resumed(bench)
    assert again is None
    assert end is not None
    assert end.failure is not None
    assert end.failure.kind == "lost"
    assert str(bench.record(bench.item()).attempts[0].task_uuid) in end.failure.message
    assert bench.counts() == [1]


async def test_a_task_that_is_worked_on_for_long_frees_the_worker_again(bench: Bench) -> None:
    """Breaks if a slow task, which is no silent one, keeps its worker once ``item_timeout`` is over."""
    bench.upload()
    bench.emulator.switches({"slots": 1})
    bench.emulator.faults([{"operation": "poll", "fault": "flap", "times": 500}])
    first, _ = await resumed(bench)
    assert first is not None
    time.sleep(RULES.item_timeout)  # noqa: ASYNC251 - the trigger waits; nothing else runs here
    bench.client.bucket(bench.bucket).blob(first_staged(bench)).delete()
    again, _ = await resumed(bench)
    assert again is not None


def first_staged(bench: Bench) -> str:
    """Where the service has uploaded to: taken away, so that the task alone speaks."""
    (found,) = bench.client.list_blobs(bench.bucket, prefix="_clarity/staging/")
    return str(found.name)
