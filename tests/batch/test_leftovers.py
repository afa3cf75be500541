"""Staging is emptied of what nobody needs any more, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args
from uuid import UUID

import pytest
from bench import QUICK, Bench
from hypothesis import given
from hypothesis import strategies as st
from seams import ShiftedClock, WatchedStore
from test_crashes import PATIENT, TIMEOUT, Countdown, ProcessDied, first_try

from airflow_provider_clarity.batch.engine import Run
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.leftovers import may_have_left, to_sweep
from airflow_provider_clarity.batch.record import Attempt, AttemptOutcome, TaskRecord
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

TOMORROW = Run("dag/tomorrow/task")
KEPT = {"lost", "superseded", "undelivered", None}


def attempt_of(n: int, outcome: AttemptOutcome | None, expires: float | None) -> Attempt:
    """An attempt with an outcome."""
    return Attempt(
        n=n, task_uuid=UUID(int=n), staging=f"gs://bkt/_clarity/staging/me-{n}.jpg", run_key="k", submit_timeout=1,
        sent_at=1, last_sent_at=1, endpoint_expires_at=expires, outcome=outcome,
    )  # fmt: skip


outcomes = st.sampled_from((*get_args(AttemptOutcome), None))
records = st.lists(st.tuples(outcomes, st.none() | st.floats(0, 1e6)), max_size=6).map(
    lambda drawn: TaskRecord(
        identity="me", content_key="c", source="gs://b/a", destination="gs://b/z", parameters={}, owner="o",
        owner_since=0, attempts=tuple(attempt_of(n, *one) for n, one in enumerate(drawn, start=1)),
    )
)  # fmt: skip
NAMES = (
    *(f"_clarity/staging/me-{n}.jpg" for n in range(1, 8)),
    *(f"_clarity/staging/me-{n}.png" for n in range(1, 3)),
    "_clarity/staging/metoo-1.jpg",
    "_clarity/staging/me-11.jpg",
    "_clarity/undelivered/me-1.jpg",
    "z",
)
objects = st.lists(st.integers(1, 99), min_size=len(NAMES), max_size=len(NAMES)).map(
    lambda drawn: [StoredObject(GsUri("bkt", name), n, 9) for name, n in zip(NAMES, drawn, strict=True)]
)
MINE = Provenance(content_key="c", identity="me", task_uuid=UUID(int=1), source="gs://b/a")
finals = st.sampled_from([None, MINE, replace(MINE, identity="another")])


@given(records, objects, finals)
def test_only_what_is_settled_and_safe_elsewhere_is_swept(
    record: TaskRecord, found: list[StoredObject], final: Provenance | None
) -> None:
    """Breaks if a paid picture goes that is on its way, lost, kept for a person, or the last of its kind."""
    swept = to_sweep(record, found, final)
    settled = {one.staging for one in record.attempts if one.outcome not in KEPT}
    expected = [one for one in found if str(one.uri) in settled] if final == MINE else []
    assert list(swept) == expected


@given(records, st.floats(0, 2e6), st.booleans(), st.none() | st.integers(1, 6))
def test_who_looks_for_leftovers_can_find_some(
    record: TaskRecord,
    now: float,
    ended_now: bool,  # noqa: FBT001 - drawn by hypothesis
    emptied: int | None,
) -> None:
    """Breaks if staging is listed for nothing: each daily run over a done image would pay for that."""
    looked = may_have_left(record, now, ended_now=ended_now, emptied=emptied)
    assert {one.outcome for one in looked}.isdisjoint(KEPT)
    assert emptied not in {one.n for one in looked}
    assert set(looked) <= set(may_have_left(record, now, ended_now=True, emptied=emptied))
    if not ended_now:
        assert all(one.endpoint_expires_at is not None and one.outcome != "delivered" for one in looked)
        assert may_have_left(record, 1e9, ended_now=False) == ()


class CountedStore(ObjectStore):
    """A store that counts listings, and may let something happen after one."""

    listed = 0

    def list(self, prefix: GsUri, **how: Any) -> Iterator[StoredObject]:
        self.listed += 1
        yield from super().list(prefix, **how)
        self.after_list()

    def after_list(self) -> None:
        pass


def put_late(bench: Bench, item: Item, n: int = 1) -> str:
    """Upload to an attempt's staging as a slow service would; the name of the object."""
    name = f"_clarity/staging/{item.identity}-{n}.jpg"
    bench.client.bucket(bench.bucket).blob(name).upload_from_string(b"late", content_type="image/jpeg")
    return name


def staged(bench: Bench) -> list[str]:
    """What lies in staging."""
    return [one.uri.name for one in bench.store.list(GsUri(bench.bucket, "_clarity/staging/"))]


async def test_a_picture_that_went_its_way_needs_no_sweep(bench: Bench) -> None:
    """Breaks if each image costs a listing more, the first time or ever after."""
    bench.upload()
    item, store = bench.item(), CountedStore(bench.client)
    for run in (Run("dag/run/task"), TOMORROW):
        assert (await bench.run(item, run=run, store=store)).outcome in ("delivered", "done")
    assert (store.listed, staged(bench)) == (0, [])


async def test_a_crash_between_promotion_and_deletion_leaves_nothing(bench: Bench) -> None:
    """Breaks if the next try, which finds the picture under its name, does not look at where it came from."""
    bench.upload()
    item = bench.item()
    with pytest.raises(ProcessDied):
        await first_try(bench, item, Countdown(5, "after"))
    assert len(staged(bench)) == 1
    end = await bench.run(item, rules=PATIENT, timeout=TIMEOUT)
    assert (end.outcome, staged(bench)) == ("delivered", [])
    assert bench.picture(end.uri).size == (80, 60)


async def test_what_a_failed_attempt_uploaded_too_late_goes_when_the_next_one_is_delivered(bench: Bench) -> None:
    """Breaks if it stays for ever, or if somebody else's object goes with it; one listing does."""
    bench.upload()
    item, store = bench.item(), CountedStore(bench.client)
    bench.emulator.faults([{"operation": "poll", "fault": "error:providerError", "times": 1}])
    stranger = put_late(bench, bench.item(to="print/other.jpg"))

    def uploads_late(kind: str, _: GsUri) -> None:
        if kind == "rewrite":
            put_late(bench, item)

    watched = WatchedStore(bench.client, uploads_late)
    watched.list = store.list  # type: ignore[method-assign]
    end = await bench.run(item, store=watched)
    assert (end.outcome, bench.counts(), bench.record(item).attempts[0].outcome) == ("delivered", [1, 1], "failed")
    assert (store.listed, staged(bench)) == (1, [stranger])


async def test_a_late_upload_of_a_recovered_picture_goes_with_the_next_run(bench: Bench) -> None:
    """Breaks if it stays, if it replaces what was delivered, or is looked for when none can come any more."""
    bench.upload()
    item, store = bench.item(), CountedStore(bench.client)
    bench.emulator.faults([{"operation": "upload", "fault": "refuse_403", "times": 1}])
    recovered = await bench.run(item, store=store)
    assert (recovered.outcome, store.listed) == ("recovered", 0)
    put_late(bench, item)
    end = await bench.run(item, run=TOMORROW, store=store)
    assert (end.outcome, end.uri, staged(bench), store.listed) == ("done", recovered.uri, [], 1)
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.counts() == [1]
    a_month_later = replace(bench, clock=ShiftedClock(30 * 24 * 3600))
    assert (await a_month_later.run(item, run=TOMORROW, store=store)).outcome == "done"
    assert store.listed == 1


async def test_a_late_upload_is_kept_where_its_picture_went_meanwhile(bench: Bench) -> None:
    """Breaks if the last picture that was paid for goes: whoever clears would buy it again."""
    bench.upload()
    item = bench.item()
    bench.emulator.faults([{"operation": "upload", "fault": "refuse_403", "times": 1}])
    await bench.run(item)
    name = put_late(bench, item)
    store = CountedStore(bench.client)
    store.after_list = bench.client.bucket(bench.bucket).blob("print/cat.jpg").delete  # type: ignore[method-assign]
    assert (await bench.run(item, run=TOMORROW, store=store)).outcome == "done"
    assert (store.listed, staged(bench)) == (1, [name])


async def test_a_newer_upload_than_the_one_listed_is_left(bench: Bench) -> None:
    """Breaks if the deletion names no generation: what came after the look at the final name may be needed."""
    bench.upload()
    item = bench.item()
    bench.emulator.faults([{"operation": "upload", "fault": "refuse_403", "times": 1}])
    await bench.run(item)
    name = put_late(bench, item)
    store = CountedStore(bench.client)
    store.after_list = lambda: put_late(bench, item)  # type: ignore[method-assign, assignment, return-value]
    assert (await bench.run(item, run=TOMORROW, store=store)).outcome == "done"
    assert staged(bench) == [name]


@pytest.mark.parametrize("operation", ["list", "delete"])
async def test_a_sweep_that_fails_is_said_and_fails_nothing(bench: Bench, operation: str) -> None:
    """Breaks if an image that is done fails for what lies in staging, or if nobody hears that something does."""
    bench.upload()
    item = bench.item()
    bench.emulator.faults([{"operation": "upload", "fault": "refuse_403", "times": 1}])
    await bench.run(item)
    name = put_late(bench, item)
    bench.emulator.faults([{"operation": f"store.{operation}", "fault": "status_403", "times": 1}])
    assert (await bench.run(item, run=TOMORROW, rules=QUICK)).outcome == "done"
    assert staged(bench) == [name]
    assert [line for line in bench.log.lines if line.startswith("WARNING 1 object(s) in staging could not be swept")]
