"""An end is said only where it is known: nothing paid is lost, nothing silent is bought, no trouble goes unnamed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
from bench import QUICK, Bench
from seams import BusyClient, Kind, ScriptedClient, ShiftedClock, WatchedStore

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.drive import Stopper
from airflow_provider_clarity.batch.engine import Run
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.ledger import record_uri
from airflow_provider_clarity.exceptions import (
    ClarityDeadlineError,
    ClarityDeliveryError,
    ClarityLostError,
)
from airflow_provider_clarity.runware.client import ClarityClient, SubmitOutcome, SubmitReply
from airflow_provider_clarity.runware.errors import task_error
from airflow_provider_clarity.storage.uris import GsUri

TOMORROW = Run("dag/tomorrow/task")
CLEARED = Run("dag/run/task", round_number=1, max_tries=2)


def put(bench: Bench, uri: GsUri, content: bytes = b"somebody else's") -> None:
    """Write an object that is not ours."""
    bench.client.bucket(uri.bucket).blob(uri.name).upload_from_string(content)


def content_of(bench: Bench, uri: GsUri) -> bytes:
    """Read an object."""
    data: bytes = bench.client.bucket(uri.bucket).blob(uri.name).download_as_bytes()
    return data


def remove(bench: Bench, uri: GsUri) -> None:
    """Delete an object."""
    bench.client.bucket(uri.bucket).blob(uri.name).delete()


async def begin(bench: Bench, item: Item, **how: Any) -> None:
    """Take the first step of a run, and leave it there, as a deferral or a death does."""
    async with bench.api(BusyClient) as client:
        engine = bench.engine(client, item, **how)
        engine.add(item)
        await engine.step()


async def test_a_kept_picture_stays_kept_when_its_name_is_taken_again(bench: Bench) -> None:
    """Breaks if the second refusal deletes what the first one kept: paid, said to be kept, and gone."""
    bench.upload()
    item = bench.item()
    await begin(bench, item)
    put(bench, item.destination)
    first = await bench.run(item)
    assert first.uri is not None
    assert (first.outcome, "/undelivered/" in first.uri) == ("failed", True)
    remove(bench, item.destination)
    taken: list[bool] = []

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "rewrite" and uri == item.destination and not taken:
            taken.append(True)  # free when it was looked at, taken when it is to be promoted
            put(bench, item.destination)

    again = await bench.run(item, run=CLEARED, store=WatchedStore(bench.client, before))
    assert taken
    assert (again.outcome, again.uri) == ("failed", first.uri)
    assert again.failure is not None
    assert first.uri in again.failure.message
    assert bench.picture(again.uri).size == (80, 60)
    assert content_of(bench, item.destination) == b"somebody else's"
    remove(bench, item.destination)
    freed = await bench.run(item, run=Run("dag/run/task", round_number=2, max_tries=4))
    assert freed.outcome == "delivered"
    assert bench.picture(freed.uri).size == (80, 60)
    assert bench.counts() == [1]


async def test_a_changed_workspace_does_not_hide_a_picture(bench: Bench) -> None:
    """Breaks if the second POST has the picture uploaded to the new workspace, and it is looked for in the old one."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"image_url_with_upload": False})
    bench.emulator.faults([{"operation": "submit", "fault": "status_500", "times": 1}])
    await begin(bench, item, timeout=0.5, rules=replace(QUICK, resubmit_after=60))
    moved = replace(bench, workspace=f"gs://{bench.bucket}/scratch/")
    end = await moved.run(item, rules=replace(QUICK, lease=0.1), timeout=0.5)
    assert end.outcome == "delivered"
    assert bench.emulator.faults()[0]["fired"] == 1
    assert bench.counts() == [1]
    assert list(bench.store.list(GsUri(bench.bucket, "scratch/"))) == []


class Rushed(ShiftedClock):
    """Ten times as fast as the clock on the wall."""

    def __call__(self) -> float:
        return time.time() * 10


@pytest.mark.parametrize("stopped", [False, True])
async def test_storage_that_is_slower_than_its_looks_are_fresh_ends_at_the_deadline(
    bench: Bench,
    stopped: bool,  # noqa: FBT001
) -> None:
    """Breaks if looking again and again at what is old by the time it is seen never comes up for air."""
    bench.upload()
    item = bench.item()
    bench.emulator.faults([{"operation": "submit", "fault": "status_500", "times": 1}])
    rules = replace(QUICK, look_is_fresh=0.1, storage_is_fresh=0.1)
    store = WatchedStore(bench.client, lambda kind, _: time.sleep(0.1 if kind == "stat" else 0.0))
    stopper = Stopper()
    rushed = replace(bench, monotonic=Rushed())  # so that a slice of a step takes a tenth
    asyncio.get_running_loop().call_later(1.5, stopper.ask if stopped else lambda: None)
    began = time.monotonic()
    with pytest.raises(ClarityDeadlineError, match="stopped" if stopped else "time allowed"):
        await rushed.drive(
            item, rules=replace(rules, lease=30.0), store=store, seconds=60 if stopped else 3, stopper=stopper
        )
    assert time.monotonic() - began < 8
    assert bench.counts() == []
    assert (await bench.run(item, rules=replace(QUICK, lease=0.1), timeout=0.3)).outcome == "delivered"
    assert bench.counts() == [1]


async def test_storage_that_is_slower_than_a_look_up_is_fresh_does_not_keep_a_task_from_being_sent(
    bench: Bench,
) -> None:
    """Breaks if the looks at storage age the look-up that comes before them: the lost POST is never repeated."""
    bench.upload()
    item = bench.item()
    bench.emulator.faults([{"operation": "submit", "fault": "reset_before", "times": 1}])
    store = WatchedStore(bench.client, lambda kind, _: time.sleep(0.1 if kind == "stat" else 0.0))
    end = await bench.run(item, rules=replace(QUICK, look_is_fresh=0.15, lease=5.0), store=store)
    assert end.outcome == "delivered"
    assert bench.emulator.faults()[0]["fired"] == 1
    assert bench.counts() == [1]


@pytest.mark.parametrize("how", ["seam", "service"])
async def test_what_was_acknowledged_is_not_sent_again_though_the_note_of_it_failed(
    bench: Bench, how: Literal["seam", "service"]
) -> None:
    """Breaks if only the record remembers that the service took the task: look-ups are silent, so it would go again."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"conflict_after_done": "accept", "upload_lag_s": 5})
    bench.emulator.faults([{"operation": "poll", "fault": "forget", "times": 12}])
    writes = []

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and uri == record_uri(item):
            writes.append(kind)
            if len(writes) != 2:
                return
            if how == "seam":
                raise ClarityDeliveryError("Cloud Storage answered 503. Nothing was lost.", retryable=True)
            bench.emulator.faults([{"operation": "store.insert", "fault": "status_503", "times": 1}])

    store = WatchedStore(bench.client, before, patience=0.01)
    end = await bench.run(item, store=store, rules=replace(QUICK, item_timeout=30))
    assert end.outcome == "recovered"
    assert len(writes) >= 3
    assert bench.emulator.accounts()["submits"] == 1
    assert bench.counts() == [1]


async def test_one_silent_answer_after_a_long_time_at_work_is_not_lost(bench: Bench) -> None:
    """Breaks if silence is counted from the POST: a task at work for an hour would be given up at the first flap."""
    bench.upload()
    item = bench.item()
    clock = ShiftedClock()
    rules = Rules()
    bench = replace(bench, clock=clock)
    said: list[Literal["processing", "silent"] | None] = []
    async with bench.api(ScriptedClient) as client:
        client.says = lambda: said[0]
        said[:] = ["processing"]
        engine = bench.engine(client, item, rules=rules)
        image = engine.add(item)
        for _ in range(5):
            await engine.step()
            clock.ahead += rules.item_timeout / 3
        assert image.view.response is not None
        assert image.view.response.status == "processing"
        said[:] = ["silent"]
        await engine.step()
        clock.ahead += 10
        await engine.step()
        assert image.end is None
        assert bench.record(item).attempts[0].outcome is None
        said[:] = [None]
        end = await bench.finish(engine)
    assert end is not None
    assert end.outcome == "delivered"
    assert bench.counts() == [1]


class ErrorOnSecondPost(ClarityClient):
    """The service refuses the second POST of a UUID, for a reason that says nothing of the first."""

    code: str
    posts = 0

    async def submit(self, tasks: Any) -> SubmitReply:
        self.posts += 1
        if self.posts != 2:
            return await super().submit(tasks)
        error = task_error(self.code, "Not now.", task_uuid=tasks[0].task_uuid)
        return SubmitReply((SubmitOutcome(tasks[0].task_uuid, "failed", error=error),))


@pytest.mark.parametrize("code", ["providerUnavailable", "contentPolicyViolation", "unknownModel"])
async def test_an_error_of_the_second_post_says_nothing_of_the_first(bench: Bench, code: str) -> None:
    """Breaks if the purchase that the lost reply hid is written off, and another is made."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"upload_lag_s": 3})
    bench.emulator.faults(
        [
            {"operation": "submit", "fault": "reset_after", "times": 1},
            {"operation": "poll", "fault": "forget", "times": 4},
        ]
    )
    client = bench.api(ErrorOnSecondPost)
    client.code = code
    end = await bench.run(item, client=client)
    assert client.posts == 2
    assert (end.outcome, end.cost_microusd) == ("recovered", 1300)
    assert bench.counts() == [1]
    assert len(bench.record(item).attempts) == 1


async def test_an_error_of_the_second_post_of_what_never_arrived_is_lost_and_not_bought(bench: Bench) -> None:
    """Breaks if "nothing arrived" is concluded from silence: it is said that nobody knows, and a person decides."""
    bench.upload()
    item = bench.item()
    bench.emulator.faults([{"operation": "submit", "fault": "reset_before", "times": 1}])
    client = bench.api(ErrorOnSecondPost)
    client.code = "providerUnavailable"
    end = await bench.run(item, client=client, rules=replace(QUICK, item_timeout=0.5))
    assert client.posts == 2
    assert end.failure is not None
    assert (end.outcome, end.failure.kind) == ("failed", "lost")
    assert bench.counts() == []
    assert (await bench.run(item, run=CLEARED)).outcome == "delivered"
    assert bench.counts() == [1]


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("before", [None, b"what was there"])
async def test_overwrite_never_replaces_what_came_after_the_purchase_was_decided(
    bench: Bench,
    before: bytes | None,
    resumed: bool,  # noqa: FBT001
) -> None:
    """Breaks if the look of a resume counts as the one that the purchase was decided upon."""
    bench.upload()
    item = bench.item(salt="dag/1/task")
    run = Run("dag/1/task")
    if before is not None:
        put(bench, item.destination, before)
    if resumed:
        await begin(bench, item, run=run, if_exists="overwrite")
        put(bench, item.destination)
        end = await bench.run(item, run=run, if_exists="overwrite")
    else:
        async with bench.api(BusyClient) as client:
            engine = bench.engine(client, item, run=run, if_exists="overwrite")
            engine.add(item)
            await engine.step()
            put(bench, item.destination)
            client.busy = False
            found = await bench.finish(engine)
        assert found is not None
        end = found
    assert content_of(bench, item.destination) == b"somebody else's"
    assert end.uri is not None
    assert (end.outcome, "/undelivered/" in end.uri) == ("failed", True)
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.counts() == [1]


@pytest.mark.parametrize("resumed", [False, True])
async def test_overwrite_replaces_what_the_purchase_was_decided_upon(
    bench: Bench,
    resumed: bool,  # noqa: FBT001
) -> None:
    """Breaks if the care of the test above keeps every paid picture from its name."""
    bench.upload()
    item = bench.item(salt="dag/1/task")
    put(bench, item.destination)
    if resumed:
        await begin(bench, item, run=Run("dag/1/task"), if_exists="overwrite")
    end = await bench.run(item, run=Run("dag/1/task"), if_exists="overwrite")
    assert end.outcome == "delivered"
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.counts() == [1]


async def test_a_picture_that_strict_refuses_is_bought_again_by_a_clear_only(bench: Bench) -> None:
    """Breaks if each day's run pays for the same odd size anew, or the refusal does not say what and where."""
    bench.upload(size=(41, 31))
    item = bench.item()
    bench.emulator.switches({"size_multiple": 8})
    strict = replace(bench, verify="strict")
    first = await strict.run(item)
    assert first.failure is not None
    assert (first.outcome, first.failure.kind) == ("failed", "delivery")
    staging = bench.record(item).attempts[0].staging
    for part in ("instead of 82 x 62", staging, "lenient"):
        assert part in first.failure.message
    for run in (Run("dag/run/task"), TOMORROW):
        again = await strict.run(item, run=run)
        assert again.outcome == "failed"
        assert bench.counts() == [1]
    assert (await strict.run(item, run=CLEARED)).outcome == "failed"
    assert bench.counts() == [1, 1]


async def test_what_strict_refused_lenient_delivers_for_nothing(bench: Bench) -> None:
    """Breaks if the way out that the refusal names costs a second purchase."""
    bench.upload(size=(41, 31))
    item = bench.item()
    bench.emulator.switches({"size_multiple": 8})
    assert (await replace(bench, verify="strict").run(item)).outcome == "failed"
    end = await bench.run(item, run=CLEARED)
    assert end.outcome in ("delivered", "recovered")
    assert any("82 x 62" in note for note in end.notes)
    assert bench.counts() == [1]


async def test_a_record_that_is_deleted_in_flight_is_written_anew(bench: Bench) -> None:
    """Breaks if a cleaned up bucket ends a running task, whose picture is paid."""
    bench.upload()
    item = bench.item()
    async with bench.api(BusyClient) as client:
        engine = bench.engine(client, item)
        engine.add(item)
        await engine.step()
        remove(bench, record_uri(item))
        client.busy = False
        end = await bench.finish(engine)
    assert end is not None
    assert (end.outcome, end.cost_microusd) == ("delivered", 1300)
    assert bench.record(item).attempts[0].outcome == "delivered"
    assert bench.counts() == [1]


@pytest.mark.parametrize("back", [True, False], ids=["rolled back", "deleted"])
async def test_a_record_that_forgot_attempt_one_does_not_stop_attempt_two(
    bench: Bench,
    back: bool,  # noqa: FBT001
) -> None:
    """Breaks if a record that was deleted, or put back as it once was, loses what is paid in an error nobody knows."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"upload_lag_s": 30})
    bench.emulator.faults([{"operation": "poll", "fault": "error:providerError", "times": 1}])
    async with bench.api(BusyClient) as client:
        engine = bench.engine(client, item)
        image = engine.add(item)
        await engine.step()
        old = content_of(bench, record_uri(item))
        client.busy = False
        async with asyncio.timeout(20):
            while image.attempt.n == 1:
                await engine.step()
                await asyncio.sleep(0.05)
        if back:
            put(bench, record_uri(item), old)
        else:
            remove(bench, record_uri(item))
        end = await bench.finish(engine)
    assert end is not None
    assert end.outcome == "recovered"
    assert [attempt.outcome for attempt in bench.record(item).attempts] == ["failed", "recovered"]
    assert bench.counts() == [1, 1]


async def test_a_record_that_is_put_back_while_the_picture_is_promoted_is_written_anew(bench: Bench) -> None:
    """Breaks if a restored backup, one attempt short, turns the end of a delivered picture into an unknown error."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"upload_lag_s": 30})
    bench.emulator.faults([{"operation": "poll", "fault": "error:providerError", "times": 1}])
    backups: list[bytes] = []
    restored = []

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and uri == record_uri(item) and bench.store.stat(uri) is not None:
            backups.append(content_of(bench, uri))
        if kind == "rewrite" and not restored:
            restored.append(uri)
            put(bench, record_uri(item), backups[0])

    end = await bench.run(item, store=WatchedStore(bench.client, before))
    assert restored
    assert end.outcome == "recovered"
    assert [attempt.outcome for attempt in bench.record(item).attempts] == ["failed", "recovered"]
    assert bench.counts() == [1, 1]


async def test_a_record_that_is_deleted_just_before_attempt_two_is_claimed_all_the_same(bench: Bench) -> None:
    """Breaks if "attempt 2 of nothing" is a bug in the log, and the task ends without its picture."""
    bench.upload()
    item = bench.item()
    bench.emulator.switches({"upload_lag_s": 30})
    bench.emulator.faults([{"operation": "poll", "fault": "error:providerError", "times": 1}])
    gone = []

    def before(kind: Kind, uri: GsUri) -> None:
        record = record_uri(item)
        if gone or (kind, uri) != ("stat", record) or bench.store.stat(record) is None:
            return
        if bench.record(item).attempts[0].outcome == "failed":
            gone.append(uri)
            remove(bench, record)

    end = await bench.run(item, store=WatchedStore(bench.client, before))
    assert gone
    assert end.outcome == "recovered"
    assert bench.counts() == [1, 1]


def _of(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def changed(record: dict[str, Any]) -> Any:
        told = change(record)
        return record if told is None else told

    return changed


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "version 2": (_of(lambda record: record.update(v=2)), "newer version"),
    "unknown outcome": (_of(lambda record: record["attempts"][0].update(outcome="quarantined")), "outcome"),
    "no identity": (_of(lambda record: record.pop("identity") and None), "identity"),
    "attempts are a text": (_of(lambda record: record.update(attempts="none")), "attempts"),
    "attempt 1 is missing": (_of(lambda record: record["attempts"][0].update(n=2)), "attempts"),
    "for no place": (_of(lambda record: record.update(destination="print/cat.jpg")), "damaged"),
    "staged nowhere": (_of(lambda record: record["attempts"][0].update(staging="")), "damaged"),
    "with parameters of nothing": (_of(lambda record: record.update(parameters={"upscaleFactor": "much"})), "damaged"),
    "a list": (_of(lambda record: [record]), "damaged"),
    "null": (lambda _: None, "damaged"),
    "empty": (lambda _: {}, "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_record_that_cannot_be_read_is_named_and_nothing_is_bought(bench: Bench, damage: str) -> None:
    """Breaks if what was bought is guessed, or the error is one of a library, without a way out."""
    bench.upload()
    item = bench.item()
    await bench.run(item)
    remove(bench, item.destination)
    change, says = DAMAGES[damage]
    stored = json.dumps(change(json.loads(content_of(bench, record_uri(item))))).encode()
    put(bench, record_uri(item), stored)
    with pytest.raises(ClarityLostError, match=says) as raised:
        await bench.run(item, run=CLEARED)
    assert str(record_uri(item)) in str(raised.value)
    assert content_of(bench, record_uri(item)) == stored
    assert bench.counts() == [1]


async def test_a_record_that_is_damaged_in_flight_is_named_and_left(bench: Bench) -> None:
    """Breaks if what a newer version wrote meanwhile is replaced by what this one remembers."""
    bench.upload()
    item = bench.item()
    async with bench.api(BusyClient) as client:
        engine = bench.engine(client, item)
        engine.add(item)
        await engine.step()
        put(bench, record_uri(item), b'{"v": 2}')
        client.busy = False
        with pytest.raises(ClarityLostError, match="newer version"):
            await bench.finish(engine)
    assert content_of(bench, record_uri(item)) == b'{"v": 2}'
    assert bench.counts() == [1]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"], ids=["empty", "cut", "binary"])
async def test_a_record_that_is_no_json_is_named(bench: Bench, content: bytes) -> None:
    """Breaks if a cut file is a JSONDecodeError, or a reason to buy."""
    bench.upload()
    item = bench.item()
    put(bench, record_uri(item), content)
    with pytest.raises(
        ClarityLostError, match=r"cannot be read: it is damaged \(no JSON\)\. Nothing was sent"
    ) as raised:
        await bench.run(item)
    assert str(record_uri(item)) in str(raised.value)
    assert content_of(bench, record_uri(item)) == content
    assert bench.counts() == []


async def test_staging_that_vanishes_before_the_promotion_is_recovered_in_the_same_try(bench: Bench) -> None:
    """Breaks if a lifecycle rule on staging costs a retry, or the picture, which the service still has."""
    bench.upload()
    item = bench.item()
    gone = []

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "rewrite" and not gone:
            gone.append(uri)
            remove(bench, GsUri.parse(bench.record(item).attempts[0].staging))

    end = await bench.run(item, store=WatchedStore(bench.client, before))
    assert gone == [item.destination]
    assert end.outcome == "recovered"
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.counts() == [1]


async def test_storage_that_refuses_for_a_while_is_waited_for_and_then_named(bench: Bench) -> None:
    """Breaks if a passing 503 ends the try, or one that does not pass spins for ever."""
    bench.upload()
    item = bench.item()
    writes = []

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "rewrite":
            writes.append(uri)
            raise ClarityDeliveryError("Cloud Storage answered 503. Nothing was lost.", retryable=True)

    with pytest.raises(ClarityDeliveryError, match="503"):
        await bench.run(item, store=WatchedStore(bench.client, before))
    assert 3 <= len(writes) <= 20
    assert any(line.startswith("WARNING Cloud Storage answered 503") for line in bench.log.lines)
    assert (await bench.run(item)).outcome == "delivered"
    assert bench.counts() == [1]
