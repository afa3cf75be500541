"""The operator: what a DAG author writes, and what Airflow sees of it."""

from __future__ import annotations

import inspect
import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from workshop import TaskInstance, Workshop, deferred, event_of, resume

from airflow_provider_clarity.exceptions import (
    ClarityDeadlineError,
    ClarityError,
    ClarityProviderError,
)
from airflow_provider_clarity.links.clarity import OBJECT_KEY
from airflow_provider_clarity.operators.upscale import UpscaleOperator


def test_it_returns_what_the_next_task_needs(workshop: Workshop) -> None:
    """The return value is the interface to the next task, and the link knows the object."""
    workshop.upload()
    ti = TaskInstance()
    result = workshop.run(ti=ti)
    assert result == {
        "uri": f"gs://{workshop.bucket}/print/cat.jpg",
        "outcome": "delivered",
        "width": 80,
        "height": 60,
        "cost_usd": 0.0013,
        "seconds": result["seconds"],
        "task_uuid": result["task_uuid"],
    }
    assert ti.pushed[OBJECT_KEY] == result["uri"]
    assert workshop.picture(result["uri"]).size == (80, 60)


def test_a_second_run_costs_nothing(workshop: Workshop) -> None:
    """The next DAG run over the same image: no submit, no cost, outcome done."""
    workshop.upload()
    first = workshop.run()
    submits = workshop.emulator.accounts()["submits"]
    second = workshop.run(ti=TaskInstance(run_id="tomorrow"))
    assert (second["outcome"], second["cost_usd"], second["task_uuid"]) == ("done", 0.0, first["task_uuid"])
    assert workshop.emulator.accounts()["submits"] == submits


def test_it_defers_and_resumes_from_the_event_alone(workshop: Workshop) -> None:
    """Nothing survives a deferral but the event and the bucket."""
    workshop.upload()
    trigger = deferred(workshop)
    result = resume(workshop, event_of(trigger))
    assert result["outcome"] == "delivered"
    assert workshop.counts() == [1]


def test_a_resume_takes_the_image_from_the_record(workshop: Workshop) -> None:
    """A source that was replaced while the old one was in flight does not lead to a second purchase by the resume."""
    workshop.upload()
    trigger = deferred(workshop)
    workshop.upload(colour="red")
    result = resume(workshop, event_of(trigger))
    assert result["outcome"] == "delivered"
    assert workshop.counts() == [1]


def test_the_trigger_is_small_plain_and_without_a_secret(workshop: Workshop) -> None:
    """Airflow stores its arguments in clear text, and shows them."""
    workshop.upload()
    path, arguments = deferred(workshop).serialize()
    text = json.dumps(arguments)
    assert len(text) < 2000
    assert workshop.emulator.api_key not in text
    assert "http" not in text
    assert path == "airflow_provider_clarity.triggers.upscale.UpscaleTrigger"
    assert set(arguments) == {
        "v",
        "clarity_conn_id",
        "run",
        "task_uuids",
        "wake_when",
        "first_look",
        "deadline",
        "sent_at",
        "wake_at",
    }


@pytest.mark.parametrize(
    "event", [None, {}, {"v": 1, "status": "new"}, {"v": 9, "status": "settled", "run": "gs://b/r"}]
)
def test_an_event_that_nobody_knows_is_a_retryable_error(workshop: Workshop, event: dict[str, Any] | None) -> None:
    """A silent success would leave the picture where it is; a retry adopts it."""
    with pytest.raises(ClarityProviderError) as raised:
        resume(workshop, event)
    assert raised.value.retryable


@pytest.mark.parametrize("status", ["unreachable", "deadline"])
def test_the_worker_looks_for_itself_whatever_woke_it(workshop: Workshop, status: str) -> None:
    """The trigger decides nothing: the worker sees whether the picture is there."""
    workshop.upload()
    trigger = deferred(workshop)
    time.sleep(1)
    assert resume(workshop, event_of(trigger, status=status))["outcome"] == "delivered"


def test_a_triggerer_that_cannot_wait_is_not_asked_again(workshop: Workshop) -> None:
    """Breaks if a task whose triggerer has no way out is deferred and resumed every few seconds for hours."""
    workshop.upload()
    trigger = deferred(workshop)
    event = event_of(trigger, status="unreachable", message="The key was refused.")
    operator = workshop.operator(deferrable=True, defer_after=0)
    assert operator.execute_complete({"ti": TaskInstance()}, event)["outcome"] == "delivered"  # type: ignore[typeddict-item]
    assert operator._pays_to_defer() is None
    operator._read(event_of(trigger))
    assert operator._pays_to_defer() == 0


def test_the_deadline_counts_over_a_deferral(workshop: Workshop) -> None:
    """Airflow ignores execution_timeout while deferred: the operator's own timeout does not begin anew."""
    workshop.upload()
    workshop.emulator.switches({"upload_lag_s": 30})
    trigger = deferred(workshop, timeout=timedelta(seconds=100))
    assert trigger.deadline == pytest.approx(time.time() + 100, abs=30)
    workshop.emulator.faults([{"operation": "poll", "fault": "forget", "times": 99}])
    with pytest.raises(ClarityDeadlineError, match="adopts"):
        resume(workshop, event_of(trigger, deadline=time.time() - 1))


def test_a_retry_adopts_what_a_killed_try_left_in_flight(workshop: Workshop) -> None:
    """The whole point."""
    workshop.upload()
    deferred(workshop)
    result = workshop.run()
    assert result["outcome"] == "delivered"
    assert workshop.counts() == [1]


def test_an_ended_round_is_repeated_by_a_retry_and_opened_by_a_clear(workshop: Workshop) -> None:
    """Airflow raises max_tries at a clear only: that is how a person asks for more."""
    workshop.upload()
    workshop.emulator.switches({"upload_lag_s": 30})
    workshop.emulator.faults([{"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1}])
    for _ in range(2):
        with pytest.raises(AirflowFailException, match=r"^ClaritySafetyError: ") as raised:
            workshop.run(ti=TaskInstance(max_tries=3))
        assert isinstance(raised.value.__cause__, ClarityError)
    assert workshop.counts() == [1]
    workshop.emulator.switches({"upload_lag_s": 0})
    assert workshop.run(ti=TaskInstance(max_tries=7))["outcome"] == "delivered"
    assert workshop.counts() == [1, 1]


def test_a_delivered_round_is_repeated_by_a_retry(workshop: Workshop) -> None:
    """A worker that died between delivery and its report: the next try reports the same, cost included."""
    workshop.upload()
    ti = TaskInstance(max_tries=3)
    first = workshop.run(ti=ti)
    assert workshop.run(ti=ti) == first
    assert workshop.counts() == [1]


def test_a_round_is_not_green_without_its_picture(workshop: Workshop) -> None:
    """A retry that finds the delivered picture gone says so; only a clear buys it again."""
    workshop.upload()
    workshop.run(ti=TaskInstance(max_tries=3))
    workshop.client.bucket(workshop.bucket).blob("print/cat.jpg").delete()
    with pytest.raises(AirflowFailException, match="gone"):
        workshop.run(ti=TaskInstance(max_tries=3))
    assert workshop.counts() == [1]
    assert workshop.run(ti=TaskInstance(max_tries=7))["outcome"] == "recovered"
    assert workshop.counts() == [1]


def test_a_source_that_vanished_does_not_hide_what_is_in_flight(workshop: Workshop) -> None:
    """The retry finds the purchase by what the run wrote down, not by the source as it is now."""
    source = workshop.upload()
    deferred(workshop)
    workshop.client.bucket(workshop.bucket).blob(source.split("/", 3)[3]).delete()
    assert workshop.run()["outcome"] == "delivered"
    assert workshop.counts() == [1]


def test_a_source_that_was_replaced_in_flight_is_not_bought_beside_it(workshop: Workshop) -> None:
    """What was paid is delivered; the new source is for the next run."""
    workshop.upload()
    deferred(workshop)
    workshop.upload(colour="red")
    assert workshop.run()["outcome"] == "delivered"
    assert workshop.counts() == [1]
    assert workshop.run(ti=TaskInstance(run_id="next"), if_exists="update")["outcome"] == "delivered"
    assert workshop.counts() == [1, 1]


def test_what_was_paid_is_kept_where_its_name_was_taken_in_flight(workshop: Workshop) -> None:
    """Somebody else's object is not overwritten, the paid picture is kept, and the task says where."""
    workshop.upload()
    deferred(workshop)
    workshop.upload("print/cat.jpg")
    with pytest.raises(AirflowFailException, match=r"kept at gs://.*/undelivered/"):
        workshop.run()
    kept = [blob.name for blob in workshop.client.list_blobs(workshop.bucket, prefix="_clarity/undelivered/")]
    assert len(kept) == 1
    assert workshop.counts() == [1]


def test_the_same_image_mapped_twice_is_paid_once_and_counted_once(workshop: Workshop) -> None:
    """Two map indexes of one run: one buys, the other finds it done."""
    workshop.upload()
    first = TaskInstance()
    first.map_index = 0
    second = TaskInstance()
    second.map_index = 1
    costs = [workshop.run(ti=first)["cost_usd"], workshop.run(ti=second)["cost_usd"]]
    assert costs == [0.0013, 0.0]
    assert workshop.counts() == [1]


def test_on_kill_stops_before_the_next_post(workshop: Workshop) -> None:
    """Kill stops submitting at once; a signal handler only sets a flag."""
    workshop.upload()
    workshop.emulator.faults([{"operation": "submit", "fault": "status_429_retry_after", "times": 50, "value": 1}])
    operator = workshop.operator()
    killer = threading.Timer(1.5, operator.on_kill)
    killer.start()
    began = time.monotonic()
    with pytest.raises(ClarityDeadlineError, match="stopped"):
        operator.execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert time.monotonic() - began < 20
    assert workshop.counts() == []


def test_on_kill_while_connections_are_opened_is_not_forgotten(workshop: Workshop) -> None:
    """Breaks if a task that is killed in its first second goes on to buy what nobody waits for."""
    workshop.upload()
    operator = workshop.operator()
    operator.on_kill()
    with pytest.raises(ClarityDeadlineError, match="stopped"):
        operator.execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert workshop.counts() == []


def test_on_kill_before_anything_runs_is_harmless(workshop: Workshop) -> None:
    """Airflow may call it at any time."""
    workshop.operator().on_kill()


def test_no_attribute_hides_one_of_airflow() -> None:
    """An attribute such as ``dry_run`` would break the method of that name."""
    parameters = set(inspect.signature(UpscaleOperator.__init__).parameters) - {"self", "kwargs"}
    assert not {name for name in parameters if hasattr(BaseOperator, name)} - {"deferrable"}


def test_every_template_field_is_an_attribute() -> None:
    """Airflow renders nothing, or fails, where one is missing."""
    operator = UpscaleOperator(task_id="t", source="gs://a/b.png", destination="gs://c/")
    assert all(hasattr(operator, name) for name in operator.template_fields)


def test_a_late_upload_is_watched_by_the_worker(workshop: Workshop) -> None:
    """A trigger sees that the task is settled and wakes at once: deferring while the upload is late would never end."""
    workshop.upload()
    workshop.emulator.faults([{"operation": "upload", "fault": "refuse_403", "times": 1}])
    trigger = deferred(workshop)
    time.sleep(1)
    result = resume(workshop, event_of(trigger))
    assert result["outcome"] == "recovered"
    assert workshop.counts() == [1]


def test_what_is_not_acknowledged_stays_with_the_worker(workshop: Workshop) -> None:
    """It may have to be sent again, which a trigger cannot do."""
    workshop.upload()
    workshop.emulator.faults(
        [
            {"operation": "submit", "fault": "reset_before", "times": 1},
            {"operation": "poll", "fault": "forget", "times": 2},
        ]
    )
    trigger = deferred(workshop)
    assert resume(workshop, event_of(trigger))["outcome"] == "delivered"
    assert workshop.counts() == [1]
