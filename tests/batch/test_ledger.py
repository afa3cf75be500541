"""The ledger under other writers: of two one wins, the other is told, and nobody tries for ever."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from bench import QUICK, Bench
from seams import Kind, ShiftedClock, WatchedStore

from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.ledger import RecordLedger, follow_trace, leave_trace, record_uri
from airflow_provider_clarity.batch.record import Attempt
from airflow_provider_clarity.exceptions import ClarityFencedError
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri


def ledger(bench: Bench, store: ObjectStore | None = None, clock: ShiftedClock | None = None) -> RecordLedger:
    """A ledger of an owner of its own."""
    return RecordLedger(store or bench.store, owner=uuid.uuid4().hex, clock=clock or ShiftedClock(), lease=QUICK.lease)


def attempt(item: Item, n: int = 1) -> Attempt:
    """An attempt that is about to be sent."""
    staging = f"gs://{item.destination.bucket}/_clarity/staging/{item.identity}-{n}.jpg"
    return Attempt(n=n, task_uuid=task_uuid(item.identity, n), staging=staging, run_key="run", submit_timeout=2.0)


def image(bench: Bench) -> Item:
    """An image that nobody has bought."""
    bench.upload()
    return bench.item()


def test_a_claim_is_renewed_by_its_owner_only(bench: Bench) -> None:
    """Breaks if a runner that slept takes a claim back from the one that took it over."""
    item, clock = image(bench), ShiftedClock()
    sleeper, heir = ledger(bench, clock=clock), ledger(bench, clock=clock)
    claim = sleeper.claim_one(item, attempt(item))
    assert claim.granted
    last = claim.record.last
    assert last is not None
    assert not heir.renew(item, last).granted
    clock.ahead += 3600
    assert heir.claim_one(item, last).granted
    assert not sleeper.renew(item, last).granted
    assert heir.renew(item, last).granted


@pytest.mark.parametrize("what", ["acknowledged", "ended", "deleted"])
def test_a_claim_that_is_not_needed_any_more_is_not_renewed(bench: Bench, what: str) -> None:
    """Breaks if a POST leaves for a task that the service knows, that is over, or that nobody wrote down."""
    item, ours = image(bench), ledger(bench)
    ours.claim_one(item, attempt(item))
    if what == "acknowledged":
        ours.note(item, lambda record: record.acknowledged(1, 1.0))
    elif what == "ended":
        ours.note(item, lambda record: record.ended(1, "delivered", 1.0))
    else:
        bench.client.bucket(bench.bucket).blob(record_uri(item).name).delete()
    claim = ours.renew(item, attempt(item))
    assert not claim.granted
    assert (claim.record.last is None) == (what == "deleted")


def test_the_second_attempt_of_nothing_is_not_granted(bench: Bench) -> None:
    """Breaks if a record begins with attempt 2: the first, which may be on its way, would be looked up by nobody."""
    item = image(bench)
    assert not ledger(bench).claim_one(item, attempt(item, 2)).granted
    assert bench.store.stat(record_uri(item)) is None


class Crowd:
    """Somebody else who writes just before each of our writes."""

    def __init__(self, bench: Bench, at: GsUri, content: Any) -> None:
        self.bench, self.at, self.content = bench, at, content

    def __call__(self, kind: Kind, uri: GsUri) -> None:
        if kind == "create" and uri == self.at:
            found = self.bench.store.stat(uri)
            self.bench.store.create_json(uri, self.content, if_generation_match=found.generation if found else 0)


@pytest.mark.parametrize("call", ["claim", "renew", "note"])
def test_a_record_that_changes_under_every_write_is_left_to_the_others(bench: Bench, call: str) -> None:
    """Breaks if two runners that write as fast as they can keep each other busy for ever."""
    item = image(bench)
    first = ledger(bench)
    first.claim_one(item, attempt(item))
    found = bench.store.read_json(record_uri(item))
    assert found is not None
    ours = RecordLedger(
        WatchedStore(bench.client, Crowd(bench, record_uri(item), found.value)),
        owner=bench.record(item).owner, clock=ShiftedClock(), lease=QUICK.lease,
    )  # fmt: skip
    calls = {
        "claim": lambda: ours.claim_one(item, attempt(item)),
        "renew": lambda: ours.renew(item, attempt(item)),
        "note": lambda: ours.note(item, lambda record: record.acknowledged(1, 1.0)),
    }
    with pytest.raises(ClarityFencedError, match=r"changed 20 times.*Nothing was sent") as raised:
        calls[call]()
    assert raised.value.retryable
    assert bench.record(item).attempts[0].acknowledged_at is None


def test_a_trace_survives_another_writer(bench: Bench) -> None:
    """Breaks if two tries of one task that overlap leave none behind, or write for ever."""
    item = image(bench)
    trace = GsUri(bench.bucket, "_clarity/runs/one.json")
    assert follow_trace(bench.store, trace) is None
    leave_trace(bench.store, trace, record_uri(item))
    assert follow_trace(bench.store, trace) is None  # its record is not there
    ledger(bench).claim_one(item, attempt(item))
    named = follow_trace(bench.store, trace)
    assert named is not None
    assert named == (record_uri(item), bench.record(item))
    other = {"v": 1, "record": f"gs://{bench.bucket}/other"}
    with pytest.raises(ClarityFencedError):
        leave_trace(WatchedStore(bench.client, Crowd(bench, trace, other)), trace, record_uri(item))


@pytest.mark.parametrize("lease", [1.0, 60.0])
def test_nobody_claims_what_another_may_be_sending(bench: Bench, lease: float) -> None:
    """Breaks if a POST of the owner and one of its heir are on their way at once."""
    item, clock = image(bench), ShiftedClock()
    rules = replace(QUICK, lease=lease)
    one = RecordLedger(bench.store, owner="one", clock=clock, lease=rules.lease)
    other = RecordLedger(bench.store, owner="other", clock=clock, lease=rules.lease)
    claim = one.claim_one(item, attempt(item))
    last = claim.record.last
    assert last is not None
    assert last.last_sent_at is not None
    assert not other.claim_one(item, last).granted
    clock.ahead += lease + last.submit_timeout - 0.5
    assert not other.claim_one(item, last).granted
    clock.ahead += 1.0
    assert other.claim_one(item, last).granted
    assert not one.claim_one(item, last).granted
