"""A backfill over the emulator: each image once, whatever happens, for as much as it may cost."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
from bench import Bench
from seams import Kind, ScriptedClient, ShiftedClock, WatchedStore
from shop import HASTY, TODAY, Shop

from airflow_provider_clarity.batch import window_gate
from airflow_provider_clarity.batch.brake import IN_A_ROW
from airflow_provider_clarity.batch.journal.state import RunState
from airflow_provider_clarity.batch.plan import planner
from airflow_provider_clarity.batch.running import Round, fingerprint
from airflow_provider_clarity.exceptions import (
    ClarityAuthError,
    ClarityDeadlineError,
    ClarityDeliveryError,
    ClarityFencedError,
    ClarityInputError,
)
from airflow_provider_clarity.storage.uris import GsUri

TOMORROW = Round("dag/tomorrow/task", "dag/tomorrow/task/-1")
PRICE = 1300


@pytest.fixture
def shop(bench: Bench) -> Shop:
    """Twelve pictures."""
    shop = Shop(bench)
    shop.fill(12)
    return shop


def sources(bench: Bench) -> Counter[str]:
    """How often each source was bought."""
    bought = bench.purchases().values()
    return Counter({one["source"].rpartition("/")[2]: one["count"] for one in bought})


async def test_every_picture_is_delivered_once_and_a_second_run_costs_nothing(shop: Shop) -> None:
    """Breaks if a row is left out or taken twice, or if tomorrow's run buys what is there."""
    state = await shop.run()
    assert (state.planned, state.complete, len(state.ended), len(state.open)) == (12, True, 12, 0)
    assert state.counts == {"delivered": 12}
    assert state.totals.spent_microusd == 12 * PRICE
    assert shop.bench.counts() == [1] * 12
    assert shop.ended is not None
    assert shop.ended.failure is None
    assert [row["source"].rpartition("/")[2] for row in shop.rows("manifest.jsonl")] == [
        f"{n:03}.png" for n in range(12)
    ]
    assert shop.bench.picture(f"gs://{shop.bench.bucket}/print/007.jpg").size == (80, 60)
    submits = shop.bench.emulator.accounts()["submits"]
    again = await shop.run(TOMORROW)
    assert again.counts == {"done": 12}
    assert (again.totals.purchases, again.totals.spent_microusd) == (0, 0)
    assert shop.bench.emulator.accounts()["submits"] == submits


async def test_a_try_that_was_cut_short_is_taken_up(shop: Shop) -> None:
    """Breaks if what was in flight at a deadline is bought again, forgotten, or counted twice."""
    shop.limits = replace(HASTY, max_in_flight=2)
    with pytest.raises(ClarityDeadlineError):
        await shop.run(seconds=1.2)
    cut = shop.bench.counts()
    assert 0 < len(cut) < 12
    state = await shop.run()
    assert state.counts == {"delivered": 12}
    assert state.totals.spent_microusd == 12 * PRICE
    assert shop.bench.counts() == [1] * 12


@pytest.mark.parametrize("changed", ["source", "parameters"])
async def test_what_changes_while_it_is_deferred_is_not_mixed_with_what_was_begun(shop: Shop, changed: str) -> None:
    """Breaks if one ledger is of two days, half of each, or if what was in flight is left where it is."""
    clock = ShiftedClock()
    shop.clock, shop.limits = clock, replace(HASTY, max_in_flight=2)

    class OutOfTime(ScriptedClient):
        async def after_submit(self) -> None:  # type: ignore[override]
            clock.ahead = 1000.0

    with pytest.raises(ClarityDeadlineError):
        await shop.run(seconds=500, client=OutOfTime)
    bought = shop.bench.counts()
    assert 0 < len(bought) < 12
    shop.bench.upload("raw/more/0.png")
    other = {"source": f"gs://{shop.bench.bucket}/raw/more/", "parameters": {"output_quality": 50}}
    with pytest.raises(ClarityInputError, match="has changed since it was deferred"):
        await shop.run(begun=shop.wanted(), **{changed: other[changed]})
    assert shop.bench.counts() == bought
    finals = list(shop.bench.client.list_blobs(shop.bench.bucket, prefix="print/"))
    assert len(finals) == len(bought)


async def test_as_many_requests_are_under_way_as_storage_is_slow_for(shop: Shop) -> None:
    """Breaks if a worker with two processors waits for Cloud Storage with the six threads that Python gives it."""
    together = threading.Barrier(12)

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "stat" and uri.name.startswith("print/"):
            together.wait(timeout=20)

    shop.store = WatchedStore(shop.bench.client, before)
    assert (await shop.run()).counts == {"delivered": 12}


async def test_two_runners_of_one_run_buy_each_picture_once(shop: Shop) -> None:
    """Breaks if a zombie goes on submitting when its successor has begun."""
    results = await asyncio.gather(shop.run(), shop.run(), return_exceptions=True)
    fenced = [result for result in results if isinstance(result, ClarityFencedError)]
    states = [result for result in results if not isinstance(result, BaseException)]
    assert (len(fenced), len(states)) == (1, 1), results
    assert states[0].counts == {"delivered": 12}
    assert shop.bench.counts() == [1] * 12


async def test_two_runs_over_the_same_pictures_share_what_they_buy(shop: Shop) -> None:
    """Breaks if two DAGs at once pay twice, or if both or neither of them say that they paid."""
    today, tomorrow = await asyncio.gather(shop.run(), shop.run(TOMORROW))
    assert shop.bench.counts() == [1] * 12
    assert today.totals.spent_microusd + tomorrow.totals.spent_microusd == 12 * PRICE
    for state in (today, tomorrow):
        assert sum(state.counts.values()) == 12
        assert set(state.counts) <= {"delivered", "recovered", "done"}


async def test_a_budget_is_kept_to_the_cent(shop: Shop) -> None:
    """Breaks if something is submitted that the cap may not cover; what is left is named and costs nothing."""
    shop.limits = replace(HASTY, cap=7 * PRICE, expected=PRICE)
    state = await shop.run()
    # The dearest image seen so far, and a quarter more, must always fit: so the last one is left unbought.
    assert state.totals.spent_microusd <= 7 * PRICE
    bought = len(shop.bench.counts())
    assert 5 <= bought <= 7
    assert state.counts == {"delivered": bought}
    assert shop.ended is not None
    assert shop.ended.result["not_submitted"] == {"budget": 12 - bought}
    assert shop.ended.result["cost_usd"] == bought * PRICE / 1_000_000
    assert len(shop.rows("dead_letter.jsonl")) == 12 - bought
    assert len(shop.rows("manifest.jsonl")) == 12


async def test_a_stop_is_heard_while_the_rest_of_a_plan_is_passed_over(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks if a million images that the budget leaves out are planned after the time of the try is over."""
    monkeypatch.setattr(planner, "LARGEST_PART", 2)
    clock, parts = ShiftedClock(), Counter[str]()

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and "/plan/" in uri.name:
            parts[uri.name] += 1
            clock.ahead = 1000.0 if len(parts) == 3 else clock.ahead

    shop.limits, shop.clock = replace(HASTY, cap=0, ahead=1), clock
    shop.store = WatchedStore(shop.bench.client, before)
    with pytest.raises(ClarityDeadlineError):
        await shop.run(seconds=500)
    assert len(parts) == 3
    shop.store = None
    await shop.run()
    assert shop.ended is not None
    assert shop.ended.result["not_submitted"] == {"budget": 12}
    assert shop.bench.counts() == []


async def test_no_more_is_bought_while_nothing_lands(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks if a plan is bought to its end while its pictures can get no final name, for as long as that may take."""
    monkeypatch.setattr(window_gate, "_UNLANDED", 0)
    shop.limits = replace(HASTY, max_in_flight=2)
    clock, tried = ShiftedClock(), itertools.count()
    shop.clock = clock

    def before(kind: Kind, uri: GsUri) -> None:  # noqa: ARG001
        if kind == "rewrite":
            clock.ahead = 1000.0 if next(tried) > 40 else 0.0
            raise ClarityDeliveryError("The bucket does not answer.", retryable=True)

    shop.store = WatchedStore(shop.bench.client, before)
    with pytest.raises(ClarityDeadlineError):
        await shop.run(seconds=500)
    assert len(shop.bench.counts()) <= 6  # twice the window, and the window
    shop.store = None
    assert (await shop.run()).counts == {"delivered": 12}
    assert shop.bench.counts() == [1] * 12


async def test_nothing_more_is_bought_where_no_picture_lands(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks if a plan is bought to its end while neither uploads nor fetches come through, for good."""
    monkeypatch.setattr(window_gate, "_UNLANDED", 0)
    shop.fill(12)
    shop.limits = replace(HASTY, max_in_flight=2)
    closed = [("upload", "refuse_403"), ("image", "status_404")]
    shop.bench.emulator.faults([{"operation": where, "fault": what, "times": 10_000} for where, what in closed])
    with pytest.raises(ClarityDeliveryError, match="nothing more was bought") as raised:
        await shop.run()
    assert not raised.value.retryable
    bought = len(shop.bench.counts())
    assert IN_A_ROW <= bought <= IN_A_ROW + 3 * 2  # and what was in flight: twice the window, and the window
    shop.bench.emulator.reset()
    state = await shop.run()
    assert state.counts == {"failed.delivery": bought, "delivered": 24 - bought}
    assert shop.bench.counts() == [1] * (24 - bought)


async def test_a_try_goes_on_with_the_count_of_the_last(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks if who defers, or is tried again, before eight pictures are lost buys a plan to its end in small parts."""
    monkeypatch.setattr(window_gate, "_UNLANDED", 0)
    shop.limits = replace(HASTY, max_in_flight=1)
    clock, records = ShiftedClock(), set[str]()
    closed = [("upload", "refuse_403"), ("image", "status_404")]
    shop.bench.emulator.faults([{"operation": where, "fault": what, "times": 10_000} for where, what in closed])

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and "/tasks/" in uri.name:
            records.add(uri.name)
            clock.ahead = 1000.0 if len(records) == 4 else clock.ahead

    shop.clock, shop.store = clock, WatchedStore(shop.bench.client, before)
    with pytest.raises(ClarityDeadlineError):
        await shop.run(seconds=500)
    shop.clock, shop.store = time.time, None
    with pytest.raises(ClarityDeliveryError, match="nothing more was bought"):
        await shop.run()
    assert IN_A_ROW <= len(shop.bench.counts()) < IN_A_ROW + 4
    assert (await shop.run()).counts == {"failed.delivery": 12}  # who clears it begins at none
    assert shop.bench.counts() == [1] * 12


async def test_a_failure_that_may_pass_is_bought_again_and_one_that_does_not_is_named(shop: Shop) -> None:
    """Breaks if one image's failure is another's, or if it is counted under the wrong kind."""
    shop.bench.emulator.faults(
        [
            {"operation": "poll", "fault": "error:providerError", "times": 1, "match": "003.png"},
            {"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1, "match": "005.png"},
            {"operation": "upload", "fault": "refuse_403", "times": 1, "match": "007.png"},
            {"operation": "submit", "fault": "reset_after", "times": 1},
        ]
    )
    state = await shop.run()
    assert [fault["fired"] for fault in shop.bench.emulator.faults()] == [1, 1, 1, 1]
    assert state.counts == {"delivered": 10, "recovered": 1, "failed.safety": 1}
    (dead,) = shop.rows("dead_letter.jsonl")
    assert dead["source"].endswith("005.png")
    assert dead["error"]["kind"] == "safety"
    assert shop.ended is not None
    assert shop.ended.failure is not None
    assert shop.ended.result["failed"] == {"safety": 1}
    assert sources(shop.bench) == Counter({f"{n:03}.png": 1 for n in range(12)} | {"003.png": 1})
    assert len(shop.bench.counts()) == 13


async def test_what_failed_was_bought_even_if_nobody_saw_it_accepted(shop: Shop) -> None:
    """Breaks if a task of which the reply to the submit was lost, and that a look finds failed, is no purchase."""
    shop.bench.emulator.faults(
        [
            {"operation": "submit", "fault": "reset_after", "times": 1},
            {"operation": "work", "fault": "error:contentPolicyViolation", "times": 12},
        ]
    )
    state = await shop.run()
    assert state.counts == {"failed.safety": 12}
    assert (state.totals.purchases, state.totals.spent_microusd) == (12, 0)
    assert len(shop.bench.counts()) == 12


async def test_what_a_picture_cost_is_known_to_whoever_finds_it_promoted(shop: Shop) -> None:
    """Breaks if a runner that dies between the final name and the ledger leaves purchases without a cost."""

    class Died(BaseException):
        pass

    class Mortal(type(shop.bench.store)):  # type: ignore[misc]
        def rewrite(self, *what: object, **how: object) -> object:
            super().rewrite(*what, **how)
            raise Died

    shop.store = Mortal(shop.bench.client)
    with pytest.raises(Died):
        await shop.run()
    shop.store = None
    state = await shop.run()
    assert state.counts == {"delivered": 12}
    assert (state.totals.spent_microusd, state.totals.unknown, state.totals.priced) == (12 * PRICE, 0, 12)
    assert shop.bench.counts() == [1] * 12


async def test_a_source_that_is_replaced_before_it_is_sent_is_bought_as_it_is_now(shop: Shop) -> None:
    """Breaks if a file that changes between the plan and its turn fails the image, or is bought as it was."""
    shop.limits = replace(HASTY, max_in_flight=1, ahead=0)
    replaced = []

    class Meanwhile(type(shop.bench.store)):  # type: ignore[misc]
        def rewrite(self, *what: object, **how: object) -> object:
            if not replaced:
                replaced.append(True)
                shop.bench.upload("raw/011.png", colour="red")
            return super().rewrite(*what, **how)

    shop.store = Meanwhile(shop.bench.client)
    state = await shop.run()
    assert state.counts == {"delivered": 12}
    assert shop.bench.counts() == [1] * 12
    red = shop.bench.picture(f"gs://{shop.bench.bucket}/print/011.jpg").convert("RGB").getpixel((10, 10))
    assert isinstance(red, tuple)
    assert red[0] > 200


async def test_a_key_that_is_refused_stops_the_run_and_keeps_what_is_paid(shop: Shop) -> None:
    """Breaks if twelve images fail one by one for a key, or if what is in flight is forgotten."""
    shop.limits = replace(HASTY, max_in_flight=4)
    shop.bench.emulator.faults([{"operation": "submit", "fault": "error:invalidApiKey", "times": 1}])
    with pytest.raises(ClarityAuthError):
        await shop.run()
    state = await shop.run()
    assert state.counts == {"delivered": 12}
    assert shop.bench.counts() == [1] * 12


async def test_what_is_paid_lands_though_the_plan_cannot_be_made_to_its_end(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks if a plan that fails for good leaves what is in flight to tries that fail in the same way."""
    monkeypatch.setattr(planner, "LARGEST_PART", 4)
    seen: list[RunState] = []

    def before(kind: Kind, uri: GsUri) -> None:
        if kind == "create" and uri.name.endswith("plan/00001.jsonl"):
            raise ClarityInputError("The manifest was replaced.")

    shop.store = WatchedStore(shop.bench.client, before)
    with pytest.raises(ClarityInputError, match="was replaced"):
        await shop.run(after=seen.append)
    assert seen[0].counts == {"delivered": 4}
    assert not seen[0].open
    assert shop.bench.counts() == [1] * 4
    shop.store = None
    assert (await shop.run()).counts == {"delivered": 12}
    assert shop.bench.counts() == [1] * 12


async def test_a_dead_letter_is_a_source(shop: Shop) -> None:
    """Breaks if rows that name their own destination land elsewhere, or if a lost row is not bought by asking."""
    bucket = shop.bench.bucket
    rows = [
        {"source": f"gs://{bucket}/raw/{n:03}.png", "destination": f"gs://{bucket}/again/{n}.jpg", "outcome": "lost"}
        for n in (2, 4)
    ]
    shop.bench.client.bucket(bucket).blob("dead.jsonl").upload_from_string("\n".join(map(json.dumps, rows)))
    state = await shop.run(source=f"gs://{bucket}/dead.jsonl")
    assert state.counts == {"delivered": 2}
    assert shop.bench.picture(f"gs://{bucket}/again/4.jpg").size == (80, 60)


def test_what_is_rendered_names_the_ledger(bench: Bench) -> None:
    """Breaks if two shards share a ledger, or if a changed budget hides what was begun."""
    shop = Shop(bench)
    first = fingerprint(shop.wanted())
    assert first == fingerprint(shop.wanted(run_key="another"))
    others = {
        fingerprint(shop.wanted(f"gs://{bench.bucket}/raw/*.png")),
        fingerprint(shop.wanted([f"gs://{bench.bucket}/raw/1.png"])),
        fingerprint(shop.wanted(f"gs://{bench.bucket}/raw.jsonl")),
        fingerprint(shop.wanted(parameters={"settings": {"strength": 0.3}})),
        fingerprint(replace(shop.wanted(), source=replace(shop.wanted().source, start="raw/005"))),
    }
    assert len(others | {first}) == 6
    assert TODAY.number == 0
