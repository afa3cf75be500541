"""One image over the whole engine, against the emulator: what a user is promised, under every fault on the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from bench import QUICK, Bench

from airflow_provider_clarity.batch.engine import Run
from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityDeadlineError, ClarityInputError
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.uris import GsUri


async def test_a_picture_is_bought_once_and_lands_under_its_name(bench: Bench) -> None:
    """The main way: one purchase, the right size, proof of it in the metadata, nothing left in staging."""
    bench.upload(size=(40, 30))
    item = bench.item()
    end = await bench.run(item)
    assert end.outcome == "delivered"
    assert bench.picture(end.uri).size == (80, 60)
    assert end.size == (80, 60)
    assert bench.counts() == [1]
    assert end.cost_microusd == 1300
    found = bench.store.stat(item.destination)
    assert found is not None
    assert found.content_type == "image/jpeg"
    proof = Provenance.from_metadata(found.metadata)
    assert proof is not None
    assert (proof.identity, proof.run_key, str(proof.task_uuid)) == (item.identity, "dag/run/task", end.task_uuid)
    assert list(bench.store.list(GsUri(bench.bucket, "_clarity/staging/"))) == []


async def test_a_second_run_submits_nothing_and_costs_nothing(bench: Bench) -> None:
    """What is done is never done again, by whichever run."""
    bench.upload()
    await bench.run(bench.item())
    submits = bench.emulator.accounts()["submits"]
    again = await bench.run(bench.item(), run=Run("dag/tomorrow/task"))
    assert (again.outcome, again.cost_microusd, again.size) == ("done", 0, (80, 60))
    assert bench.emulator.accounts()["submits"] == submits


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", ["reset_after", "status_503_after", "html", "reset_before", "status_500"])
async def test_a_lost_reply_is_one_purchase(bench: Bench, fault: str, times: int) -> None:
    """Accepted or not, the caller cannot know: it asks, and sends the same UUID or none.

    Look-ups are forgotten as often, so that the fault really comes that many times in a row.
    """
    bench.upload()
    faults: list[dict[str, Any]] = [{"operation": "submit", "fault": fault, "times": times}]
    if times > 1:
        faults.append({"operation": "poll", "fault": "forget", "times": 2 * (times - 1)})
    if times > 1 and fault.endswith("_after"):
        bench.emulator.switches({"upload_lag_s": 9})
    bench.emulator.faults(faults)
    end = await bench.run(bench.item())
    assert end.outcome == ("recovered" if bench.emulator.switches()["upload_lag_s"] else "delivered")
    assert bench.counts() == [1]
    assert bench.emulator.faults()[0]["fired"] == times
    assert any("reply to the submit" in line for line in bench.log.lines)


async def test_a_429_is_waited_for_and_sent_again_under_the_same_uuid(bench: Bench) -> None:
    """A refused submit costs nothing and changes nothing."""
    bench.upload()
    bench.emulator.faults([{"operation": "submit", "fault": "status_429", "times": 2}])
    end = await bench.run(bench.item())
    assert end.outcome == "delivered"
    assert bench.counts() == [1]
    assert bench.emulator.faults()[0]["fired"] == 2
    assert len(bench.record(bench.item()).attempts) == 1


@pytest.mark.parametrize("fault", ["refuse_403", "cut", "wrong_pixels", "wrong_bytes"])
async def test_a_failed_upload_is_recovered_without_a_second_purchase(bench: Bench, fault: str) -> None:
    """The picture was paid; the service still has it."""
    bench.upload()
    bench.emulator.faults([{"operation": "upload", "fault": fault, "times": 1}])
    end = await bench.run(bench.item())
    assert end.outcome == "recovered"
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.counts() == [1]
    assert bench.emulator.faults()[0]["fired"] == 1


async def test_a_picture_that_cannot_be_had_is_named_and_not_bought_again(bench: Bench) -> None:
    """Paid, but neither uploaded nor served: an honest failure, repeated by retries, bought again by a clear only."""
    bench.upload()
    bench.emulator.switches({"image_url_with_upload": False})
    bench.emulator.faults([{"operation": "upload", "fault": "refuse_403", "times": 1}])
    end = await bench.run(bench.item())
    assert end.outcome == "failed"
    assert end.failure is not None
    assert end.failure.kind == "delivery"
    assert bench.counts() == [1]
    cleared = await bench.run(bench.item(), run=Run("dag/run/task", round_number=1, max_tries=2))
    assert cleared.outcome == "delivered"
    assert bench.counts() == [1, 1]


async def test_a_reported_failure_leads_to_another_attempt_under_another_uuid(bench: Bench) -> None:
    """The failed task is over; its UUID is used up."""
    bench.upload()
    bench.emulator.switches({"upload_lag_s": 30})
    bench.emulator.faults([{"operation": "poll", "fault": "error:providerError", "times": 1}])
    end = await bench.run(bench.item())
    assert end.outcome == "recovered"
    record = bench.record(bench.item())
    assert [attempt.outcome for attempt in record.attempts] == ["failed", "recovered"]
    assert len({attempt.task_uuid for attempt in record.attempts}) == 2
    assert bench.counts() == [1, 1]


async def test_max_attempts_is_a_number_over_all_tries(bench: Bench) -> None:
    """A task that fails for ever is bought as often as the user said, and no more by a retry."""
    bench.upload()
    bench.emulator.switches({"upload_lag_s": 30})
    bench.emulator.faults([{"operation": "poll", "fault": "error:providerError", "times": 9}])
    rules = replace(QUICK, max_attempts=2)
    end = await bench.run(bench.item(), rules=rules)
    assert end.outcome == "failed"
    assert end.failure is not None
    assert end.failure.code == "providerError"
    again = await bench.run(bench.item(), rules=rules)
    assert again.outcome == "failed"
    assert bench.counts() == [1, 1]


@pytest.mark.parametrize(("code", "kind"), [("contentPolicyViolation", "safety"), ("failedToTransferImage", "input")])
async def test_a_final_failure_is_named_and_bought_once(bench: Bench, code: str, kind: str) -> None:
    """What would fail again is not tried again."""
    bench.upload()
    bench.emulator.switches({"upload_lag_s": 30})
    bench.emulator.faults([{"operation": "poll", "fault": f"error:{code}", "times": 1}])
    end = await bench.run(bench.item())
    assert end.failure is not None
    assert (end.outcome, end.failure.kind, end.failure.code) == ("failed", kind, code)
    assert bench.counts() == [1]


async def test_two_runs_of_one_image_at_once_are_one_purchase(bench: Bench) -> None:
    """One owns it, the others follow; all end green."""
    bench.upload()
    item = bench.item()
    ends = await asyncio.gather(*(bench.run(item, run=Run(f"dag/{n}/task")) for n in range(4)))
    assert {end.outcome for end in ends} <= {"delivered", "done"}
    assert bench.counts() == [1]
    assert sum(end.cost_microusd or 0 for end in ends) == 1300


async def test_an_image_of_another_generation_is_another_purchase(bench: Bench) -> None:
    """``skip`` leaves the older picture and says so; ``update`` replaces it."""
    bench.upload()
    await bench.run(bench.item())
    bench.upload(colour="red")
    left = await bench.run(bench.item())
    assert left.outcome == "stale"
    assert bench.counts() == [1]
    updated = await bench.run(bench.item(), if_exists="update")
    assert updated.outcome == "delivered"
    assert bench.counts() == [1, 1]


async def test_what_is_not_ours_is_left_alone(bench: Bench) -> None:
    """Whatever lies at the final name and was not made by us from this source is not overwritten."""
    bench.upload()
    bench.upload("print/cat.jpg")
    end = await bench.run(bench.item())
    assert end.outcome == "foreign"
    assert bench.counts() == []
    refused = await bench.run(bench.item(), if_exists="fail")
    assert refused.outcome == "failed"
    assert bench.counts() == []


async def test_overwrite_buys_once_a_run(bench: Bench) -> None:
    """A new DAG run wants a new picture; a retry of it does not."""
    bench.upload()
    for run, bought in (("dag/1/task", 1), ("dag/1/task", 1), ("dag/2/task", 2)):
        end = await bench.run(bench.item(salt=run), run=Run(run), if_exists="overwrite")
        assert end.outcome == "delivered"
        assert len(bench.counts()) == bought
    assert bench.counts() == [1, 1]


async def test_a_deleted_output_is_fetched_again_for_nothing(bench: Bench) -> None:
    """As long as the service has the picture."""
    bench.upload()
    first = await bench.run(bench.item())
    bench.client.bucket(bench.bucket).blob("print/cat.jpg").delete()
    again = await bench.run(bench.item(), run=Run("dag/run/task", round_number=1, max_tries=2))
    assert again.outcome == "recovered"
    assert bench.picture(again.uri).size == (80, 60)
    assert bench.counts() == [1]
    assert first.task_uuid == again.task_uuid


async def test_a_deleted_output_that_the_service_forgot_is_bought_again(bench: Bench) -> None:
    """By the next round, which a person asked for."""
    bench.upload()
    await bench.run(bench.item())
    bench.client.bucket(bench.bucket).blob("print/cat.jpg").delete()
    bench.emulator.switches({"result_retention_s": 0, "details_retention_s": 0})
    again = await bench.run(bench.item(), run=Run("dag/run/task", round_number=1, max_tries=2))
    assert again.outcome == "delivered"
    assert bench.counts() == [1, 1]


async def test_a_forgotten_task_is_lost_and_never_bought_unasked(bench: Bench) -> None:
    """Accepted, then silence: nobody can tell, so nobody pays again before a person says so."""
    bench.upload()
    bench.emulator.faults(
        [
            {"operation": "poll", "fault": "forget", "times": 500},
            {"operation": "upload", "fault": "refuse_403", "times": 1},
        ]
    )
    rules = replace(QUICK, item_timeout=0.25)
    lost = await bench.run(bench.item(), rules=rules)
    assert lost.failure is not None
    assert (lost.outcome, lost.failure.kind) == ("failed", "lost")
    assert lost.task_uuid is not None
    assert lost.task_uuid in lost.failure.message
    tomorrow = await bench.run(bench.item(), run=Run("dag/tomorrow/task"), rules=rules)
    assert (tomorrow.outcome, tomorrow.task_uuid) == ("failed", lost.task_uuid)
    assert bench.counts() == [1]
    cleared = await bench.run(bench.item(), run=Run("dag/run/task", round_number=1, max_tries=2))
    assert cleared.outcome == "delivered"
    assert bench.counts() == [1, 1]


async def test_a_lost_task_that_turns_up_is_recovered(bench: Bench) -> None:
    """The next look finds it: nothing is bought again."""
    bench.upload()
    bench.emulator.faults(
        [
            {"operation": "poll", "fault": "forget", "times": 4},
            {"operation": "upload", "fault": "refuse_403", "times": 1},
        ]
    )
    lost = await bench.run(bench.item(), rules=replace(QUICK, item_timeout=0.25, silence_confirmed=0.1))
    assert lost.failure is not None
    assert lost.failure.kind == "lost"
    found = await bench.run(bench.item(), run=Run("dag/tomorrow/task"))
    assert (found.outcome, found.cost_microusd) == ("recovered", 0)
    assert bench.counts() == [1]


async def test_a_forgotten_task_whose_picture_arrived_is_delivered(bench: Bench) -> None:
    """The bucket remembers what the service forgot."""
    bench.upload()
    bench.emulator.faults([{"operation": "poll", "fault": "forget", "times": 500}])
    end = await bench.run(bench.item())
    assert end.outcome == "delivered"
    assert bench.counts() == [1]


async def test_a_refused_key_stops_before_anything_is_paid(bench: Bench) -> None:
    """And the same try with the right key goes on under the same UUID."""
    bench.upload()
    bench.emulator.switches({"api_key": "emulator-another"})
    with pytest.raises(ClarityAuthError):
        await bench.run(bench.item())
    assert bench.counts() == []
    bench.emulator.switches({"api_key": bench.emulator.api_key})
    end = await bench.run(bench.item())
    assert end.outcome == "delivered"
    assert bench.counts() == [1]


async def test_a_source_that_is_no_picture_is_refused_before_anything_is_paid(bench: Bench) -> None:
    """Nothing is written down either: there is no purchase to remember."""
    bench.client.bucket(bench.bucket).blob("raw/cat.png").upload_from_string(b"not a picture")
    with pytest.raises(ClarityInputError):
        await bench.run(bench.item())
    assert bench.counts() == []
    assert list(bench.store.list(GsUri(bench.bucket, "_clarity/"))) == []


async def test_the_deadline_leaves_what_is_in_flight_to_the_next_try(bench: Bench) -> None:
    """The task stays paid; the next try adopts it."""
    bench.upload()
    with pytest.raises(ClarityDeadlineError, match="in flight"):
        await bench.run(bench.item(), seconds=0.2)
    end = await bench.run(bench.item())
    assert end.outcome == "delivered"
    assert bench.counts() == [1]
