"""When a deferring try frees its worker: once it has looked at everything, and nothing may leave."""

from __future__ import annotations

import threading
import time
from typing import Any, Literal

import pytest
import shop
from bench import Bench
from seams import Kind, ScriptedClient, WatchedStore

from airflow_provider_clarity.batch.backfill import WINDOW, Backfill
from airflow_provider_clarity.batch.drive import Paused, Stopper, drive
from airflow_provider_clarity.batch.engine import Engine, Run
from airflow_provider_clarity.batch.gate import OpenGate
from airflow_provider_clarity.runware.client import ClarityClient, PollReply
from airflow_provider_clarity.storage.uris import GsUri

MANY = Run("dag/run/task", "dag/run/task/-1", many=True)
LATE = 3


class Busy(ScriptedClient):
    """A client to which the service always says that it is still at work."""

    def says(self) -> Literal["processing"]:
        return "processing"


async def until_it_would_wait(bench: Bench, engine: Engine) -> Paused | None:
    """Drive an engine as a deferring operator does."""
    return await drive(engine, deadline=time.time() + 30, defer_after=0, stopper=Stopper(), log=bench.log)


class HalfASecond(OpenGate):
    """Looks are apart, as in a backfill."""

    beat = 0.5


async def test_a_resumed_try_looks_at_every_image_before_it_frees_its_worker_again(bench: Bench) -> None:
    """Breaks if what was not looked at yet counts as waiting: each resume lands a few, no more."""
    for n in range(LATE + 1):
        bench.upload(f"raw/{n}.png")
    items = [bench.item(f"raw/{n}.png", to=f"print/{n}.jpg") for n in range(LATE + 1)]
    async with bench.api(Busy) as client:
        engine = bench.engine(client, items[0], run=MANY)
        for item in items:
            engine.add(item)
        assert await until_it_would_wait(bench, engine) is not None
        await engine.settled()
    deadline = time.monotonic() + 30
    while {one["status"] for one in bench.purchases().values()} != {"success"}:
        assert time.monotonic() < deadline, "the service does not end its tasks"
        time.sleep(0.05)  # noqa: ASYNC251 - the trigger waits; nothing else runs here

    asked = threading.Event()

    class Telling(ClarityClient):
        """Says when the first look-up leaves."""

        async def get_response(self, task_uuids: Any) -> PollReply:
            asked.set()
            return await super().get_response(task_uuids)

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "stat" and uri == items[LATE].destination:
            assert asked.wait(20), "nothing was looked up"

    async with bench.api(Telling) as client:
        engine = bench.engine(client, items[0], run=MANY, store=WatchedStore(bench.client, before))
        engine._work.gate = HalfASecond()
        for item in items:
            engine.add(item)
        assert await until_it_would_wait(bench, engine) is None
        assert {image.end.outcome for image in engine.take_ended() if image.end} == {"delivered"}


async def test_an_api_that_does_not_answer_is_the_triggers_to_wait_for(bench: Bench) -> None:
    """Breaks if a worker is held as long as nobody answers what became of its tasks."""
    bench.upload()
    bench.emulator.switches({"upload_lag_s": 30})
    async with bench.api(Busy) as client:
        engine = bench.engine(client, bench.item())
        engine.add(bench.item())
        assert await until_it_would_wait(bench, engine) is not None
        await engine.settled()
    bench.emulator.faults([{"operation": "poll", "fault": "status_503", "times": 500}])
    async with bench.api() as client:
        engine = bench.engine(client, bench.item())
        engine.add(bench.item())
        assert await until_it_would_wait(bench, engine) is not None
        await engine.settled()


class Narrow(OpenGate):
    """Lets one leave when none is in flight.

    :param opens: when there is room again while one is, epoch seconds
    """

    beat = 0.0

    def __init__(self, opens: float) -> None:
        self.opens = opens

    def room(self, in_flight: int, at_service: int, now: float) -> int:  # noqa: ARG002
        return max(0, 1 - in_flight)

    def opens_at(self, in_flight: int, at_service: int, now: float) -> float:  # noqa: ARG002
        return now if in_flight == 0 else self.opens


async def test_a_full_window_frees_the_worker_though_more_is_to_be_sent(bench: Bench) -> None:
    """Breaks if a backfill holds its worker until its last image was sent: what waits for room cannot be sent."""
    bench.upload("raw/0.png")
    bench.upload("raw/1.png")
    items = [bench.item(f"raw/{n}.png", to=f"print/{n}.jpg") for n in range(2)]
    async with bench.api(Busy) as client:
        engine = bench.engine(client, items[0], run=MANY, gate=Narrow(float("inf")))
        for item in items:
            engine.add(item)
        paused = await until_it_would_wait(bench, engine)
        assert paused is not None
        assert len(paused.task_uuids) == len(bench.purchases()) == 1


async def test_a_pause_of_the_service_holds_the_worker(bench: Bench) -> None:
    """Breaks if a worker that may send again after a while leaves: no trigger wakes it for that."""
    bench.upload("raw/0.png")
    bench.upload("raw/1.png")
    items = [bench.item(f"raw/{n}.png", to=f"print/{n}.jpg") for n in range(2)]
    gate = Narrow(time.time() + 2)
    gate.room = lambda in_flight, at_service, now: int(in_flight == 0 or now >= gate.opens)  # type: ignore[method-assign] # noqa: ARG005
    async with bench.api(Busy) as client:
        engine = bench.engine(client, items[0], run=MANY, gate=gate)
        for item in items:
            engine.add(item)
        assert await until_it_would_wait(bench, engine) is not None
        assert len(bench.purchases()) == 2


async def test_what_was_learned_of_the_capacity_outlives_a_deferral(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks if the window is only written down where an image ends: a probe that was taken would be forgotten."""
    store = shop.Shop(bench)
    store.fill(6)
    seen: list[tuple[Any, Any]] = []

    class Deferred(Exception):  # noqa: N818 - it ends the try, as Airflow's own does
        pass

    async def deferring(backfill: Backfill, **how: Any) -> None:
        assert await drive(backfill, **how | {"defer_after": 0}) is not None
        await backfill.settled()
        seen.append((backfill._journal.state.learned.get(WINDOW), backfill._gate.window.to_json()))
        raise Deferred

    monkeypatch.setattr(shop, "drive", deferring)
    with pytest.raises(Deferred):
        await store.run(client=Busy)
    ((written, known),) = seen
    assert written == known
