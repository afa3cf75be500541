"""One engine over many images: none waits for another, none fails for another, and no more leave than the gate lets."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from bench import Bench
from seams import Kind, WatchedStore

from airflow_provider_clarity.batch import sending
from airflow_provider_clarity.batch.drive import Stopper, drive
from airflow_provider_clarity.batch.engine import Engine, Run
from airflow_provider_clarity.batch.gate import OpenGate
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityDeliveryError
from airflow_provider_clarity.runware.client import ClarityClient, PollReply, SubmitOutcome, SubmitReply
from airflow_provider_clarity.runware.errors import task_error
from airflow_provider_clarity.runware.wire import UpscaleTask
from airflow_provider_clarity.storage.endpoints import UploadVia
from airflow_provider_clarity.storage.uris import GsUri

MANY = Run("dag/run/task", many=True)


class Narrow(OpenGate):
    """A gate that lets one through at a time, and remembers how many it saw in flight."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def room(self, in_flight: int, at_service: int, now: float) -> int:  # noqa: ARG002
        return max(0, 1 - in_flight)

    def opens_at(self, in_flight: int, at_service: int, now: float) -> float:  # noqa: ARG002
        return now if in_flight == 0 else float("inf")

    def answered(self, reply: SubmitReply, sent_at: float, at_service: int, now: float) -> None:  # noqa: ARG002
        self.seen.append(len(reply.outcomes))


def items(bench: Bench, number: int) -> list[Item]:
    """Some pictures, uploaded."""
    for n in range(number):
        bench.upload(f"raw/{n}.png")
    return [bench.item(f"raw/{n}.png", to=f"print/{n}.jpg") for n in range(number)]


async def finish(bench: Bench, engine: Engine) -> dict[str, str]:
    """Drive an engine to its end; the outcomes by final name."""
    await drive(engine, deadline=bench.clock() + 30, defer_after=None, stopper=Stopper(), log=bench.log)
    return {image.item.destination.name: image.end.outcome for image in engine.take_ended() if image.end}


class Dearer(OpenGate):
    """Learns, while purchases are prepared, that only one of them can be paid."""

    def affords(self, in_flight: int) -> int:
        return max(0, 1 - in_flight)


async def test_what_the_budget_does_not_allow_any_more_is_taken_back(bench: Bench) -> None:
    """Breaks if a purchase leaves after a price was learned that spent the budget, since the gate was asked before."""
    wanted = items(bench, 3)
    bench.emulator.faults([{"operation": "poll", "fault": "flap", "times": 100_000}])  # none ends
    async with bench.api() as client:
        engine = bench.engine(client, wanted[0], run=MANY, gate=Dearer())
        engine._slice = 2.0
        images = [engine.add(item) for item in wanted]
        await engine.step()
        assert len(bench.purchases()) == 1
        assert [image.in_flight for image in images].count(True) == 1
        engine.stop()
        await engine.settled()


async def test_an_image_that_is_slow_holds_no_other(bench: Bench) -> None:
    """Breaks if a step waits for every call that it has begun: one slow picture would stall ten thousand."""
    first, *others = items(bench, 4)
    landed = threading.Semaphore(0)

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "delete" and first.identity not in uri.name:
            landed.release()
        if kind == "rewrite" and uri == first.destination:
            for _ in others:
                assert landed.acquire(timeout=20), "the others wait for the slow one"

    async with bench.api() as client:
        engine = bench.engine(client, first, run=MANY, store=WatchedStore(bench.client, before))
        for item in (first, *others):
            engine.add(item)
        outcomes = await finish(bench, engine)
    assert list(outcomes.values()) == ["delivered"] * 4


async def test_no_more_leave_than_the_gate_lets(bench: Bench) -> None:
    """Breaks if an array is sent whole where there is room for one, or if the rest is forgotten."""
    gate = Narrow()
    async with bench.api() as client:
        some = items(bench, 3)
        engine = bench.engine(client, some[0], run=MANY, gate=gate)
        for item in some:
            engine.add(item)
        outcomes = await finish(bench, engine)
    assert list(outcomes.values()) == ["delivered"] * 3
    assert gate.seen == [1, 1, 1]


@pytest.mark.parametrize(("ahead", "first"), [(0.0, 1), (20.0, 4)])
async def test_a_look_takes_along_what_is_due_soon(bench: Bench, ahead: float, first: int) -> None:
    """Breaks if what is done waits for a look-up of its own, though another leaves that has room for it."""
    asked: list[int] = []
    due = itertools.chain([0.1], itertools.repeat(1.0))  # one is due long before the others

    class Watched(ClarityClient):
        async def get_response(self, task_uuids: Iterable[UUID]) -> PollReply:
            some = list(task_uuids)
            asked.append(len(some))
            return await super().get_response(some)

    async with bench.api(Watched) as client:
        some = items(bench, 4)
        engine = bench.engine(client, some[0], run=MANY)
        pace = engine._work.pace
        engine._work.pace = replace(pace, look_ahead=ahead, next_look=lambda _age, _median: next(due))
        for item in some:
            engine.add(item)
        outcomes = await finish(bench, engine)
    assert list(outcomes.values()) == ["delivered"] * 4
    assert asked[0] == first


class Shut(OpenGate):
    """A gate that lets nothing through."""

    def room(self, in_flight: int, at_service: int, now: float) -> int:  # noqa: ARG002
        return 0

    def opens_at(self, in_flight: int, at_service: int, now: float) -> float:  # noqa: ARG002
        return now + 3600


async def test_what_waits_for_room_has_its_source_looked_at_meanwhile(bench: Bench) -> None:
    """Breaks if a window stands open while sources are read that could have been read before, or are read twice."""
    looks: Counter[str] = Counter()

    def before(kind: Kind, uri: GsUri) -> None:
        looks[uri.name] += kind == "stat"

    some = items(bench, 3)
    bench.client.bucket(bench.bucket).blob("raw/1.png").upload_from_string(b"no picture")
    some[1] = bench.item("raw/1.png", to="print/1.jpg")
    async with bench.api() as client:
        engine = bench.engine(client, some[0], run=MANY, gate=Shut(), store=WatchedStore(bench.client, before))
        images = [engine.add(item) for item in some]
        looks.clear()
        for _ in range(3):
            await engine.step()
        assert [image.end and image.end.outcome for image in images] == [None, "failed", None]
        assert bench.emulator.accounts()["submits"] == 0
        engine._work.gate = OpenGate()
        await finish(bench, engine)
    assert [looks[f"raw/{n}.png"] for n in range(3)] == [1, 1, 1]
    assert bench.counts() == [1, 1]


@pytest.mark.parametrize(("via", "posts"), [("worker", [4, 4, 1]), ("signed_url", [9])])
async def test_a_post_holds_no_more_pictures_than_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, via: UploadVia, posts: list[int]
) -> None:
    """Breaks if a window of a hundred images that go inline is in memory at once, three times: that is gigabytes."""
    monkeypatch.setattr(sending, "_INLINE", 1)
    bench.upload_via = via
    seen: list[int] = []

    class Counts(ClarityClient):
        async def submit(self, tasks: Sequence[UpscaleTask]) -> SubmitReply:
            seen.append(len(tasks))
            return await super().submit(tasks)

    some = items(bench, 9)
    async with bench.api(Counts) as client:
        engine = bench.engine(client, some[0], run=MANY, gate=Shut())
        images = [engine.add(item) for item in some]
        while not all(image.inspected for image in images):
            await engine.step()
        engine._work.gate = OpenGate()
        outcomes = await finish(bench, engine)
    assert set(outcomes.values()) == {"delivered"}
    assert seen == posts
    assert bench.counts() == [1] * 9


async def test_what_is_wrong_with_one_ends_that_one(bench: Bench) -> None:
    """Breaks if a file that is no picture fails the other images of a backfill."""
    good, _ = items(bench, 2)
    bench.client.bucket(bench.bucket).blob("raw/1.png").upload_from_string(b"no picture")
    bad = bench.item("raw/1.png", to="print/1.jpg")
    async with bench.api() as client:
        engine = bench.engine(client, good, run=MANY)
        for item in (bad, good):
            engine.add(item)
        await drive(engine, deadline=bench.clock() + 30, defer_after=None, stopper=Stopper(), log=bench.log)
        failed, delivered = [image.end for image in engine.images]
    assert delivered is not None
    assert delivered.outcome == "delivered"
    assert failed is not None
    assert failed.outcome == "failed"
    assert failed.failure is not None
    assert failed.failure.kind == "input"
    assert bench.counts() == [1]


async def test_what_is_wrong_for_all_ends_the_step(bench: Bench) -> None:
    """Breaks if ten thousand images fail one by one for a role that is missing."""
    some = items(bench, 2)

    def before(kind: Kind, uri: GsUri) -> None:  # noqa: ARG001
        if kind == "create":
            raise ClarityAuthError("The role is missing.")

    async with bench.api() as client:
        engine = bench.engine(client, some[0], run=MANY, store=WatchedStore(bench.client, before))
        for item in some:
            engine.add(item)
        with pytest.raises(ClarityAuthError, match="role is missing"):
            await finish(bench, engine)
    assert bench.counts() == []


async def test_every_answer_of_a_post_is_taken_though_the_note_of_one_fails_for_all(bench: Bench) -> None:
    """Breaks if an image that the service refused is sent again and then lost, since another's note ended the step."""
    some = items(bench, 2)
    writes = itertools.count()

    class Answers(ClarityClient):
        async def submit(self, tasks: Sequence[UpscaleTask]) -> SubmitReply:
            accepted, failed = (task.task_uuid for task in tasks)
            refused = task_error("contentPolicyViolation", "No.", task_uuid=failed)
            return SubmitReply((SubmitOutcome(accepted, "accepted"), SubmitOutcome(failed, "failed", refused)))

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and some[0].identity in uri.name and next(writes) == 1:
            raise ClarityAuthError("The role is missing.")

    async with bench.api(Answers) as client:
        engine = bench.engine(client, some[0], run=MANY, store=WatchedStore(bench.client, before), gate=Shut())
        images = [engine.add(item) for item in some]
        while not all(image.inspected for image in images):
            await engine.step()
        engine._work.gate = OpenGate()  # both go with one POST
        with pytest.raises(ClarityAuthError, match="role is missing"):
            await finish(bench, engine)
    assert images[0].acknowledged is not None
    assert images[1].view.response is not None
    assert images[1].view.response.status == "failed"


async def test_an_image_whose_storage_fails_for_long_is_not_given_up(bench: Bench) -> None:
    """Breaks if what is paid for becomes a failure since its bucket did not answer seven times."""
    (item,) = items(bench, 1)
    times = iter(range(8))

    def before(kind: Kind, uri: GsUri) -> None:  # noqa: ARG001
        if kind == "rewrite" and next(times, None) is not None:
            raise ClarityDeliveryError("The bucket does not answer.", retryable=True)

    async with bench.api() as client:
        engine = bench.engine(client, item, run=MANY, store=WatchedStore(bench.client, before))
        engine.add(item)
        outcomes = await finish(bench, engine)
    assert outcomes == {"print/0.jpg": "delivered"}


async def test_a_round_of_many_is_not_written_into_the_records_of_its_images(bench: Bench) -> None:
    """Breaks if ten thousand records repeat what one summary says, and a daily run grows each of them."""
    (item,) = items(bench, 1)
    async with bench.api() as client:
        engine = bench.engine(client, item, run=MANY)
        engine.add(item)
        await finish(bench, engine)
    record = bench.record(item)
    assert record.runs == {}
    assert [attempt.outcome for attempt in record.attempts] == ["delivered"]
