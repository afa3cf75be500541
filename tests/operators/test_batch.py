"""The operator for many images, and the one that plans, as Airflow runs them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator, TaskDeferred
from workshop import DagRun, TaskInstance, Workshop, event_of

from airflow_provider_clarity.batch.drive import Paused
from airflow_provider_clarity.exceptions import ClarityDeadlineError
from airflow_provider_clarity.operators.batch import UpscaleBatchOperator
from airflow_provider_clarity.operators.plan import UpscalePlanOperator
from airflow_provider_clarity.triggers.upscale import UpscaleTrigger

PRICE = 0.0013


@pytest.fixture
def day(workshop: Workshop) -> Workshop:
    """Six pictures under a prefix, and a file that is none."""
    for n in range(6):
        workshop.upload(f"raw/day/{n}.png")
    note(workshop)
    return workshop


def note(workshop: Workshop) -> None:
    """Something that is no picture."""
    workshop.client.bucket(workshop.bucket).blob("raw/day/notes.txt").upload_from_string("read me")


def operator(day: Workshop, **changes: Any) -> UpscaleBatchOperator:
    known: dict[str, Any] = {
        "task_id": "day",
        "source": f"gs://{day.bucket}/raw/day/",
        "destination": f"gs://{day.bucket}/print/day/",
    }
    return UpscaleBatchOperator(**known | changes)


def run(day: Workshop, ti: TaskInstance | None = None, dag_run: DagRun | None = None, **changes: Any) -> dict[str, Any]:
    context = {"ti": ti or TaskInstance(task_id="day"), "dag_run": dag_run}
    return operator(day, **changes).execute(context)  # type: ignore[arg-type]


def test_a_prefix_is_delivered_and_said_in_numbers_that_add_up(day: Workshop) -> None:
    """Breaks if an image is left out of the count, or the cost is not the bill."""
    ti = TaskInstance(task_id="day")
    result = run(day, ti)
    assert (result["planned"], result["delivered"], result["purchases"]) == (6, 6, 6)
    assert result["passed_over"] == {"not_an_image": 1}
    assert result["cost_usd"] == pytest.approx(6 * PRICE)
    assert day.emulator.accounts()["billed_usd"] == pytest.approx(6 * PRICE)
    assert len(json.dumps(result)) < 2048
    assert day.picture(f"gs://{day.bucket}/print/day/3.jpg").size == (80, 60)
    assert ti.pushed["clarity_manifest"] == result["manifest"]
    assert ti.pushed["clarity_object"] == f"gs://{day.bucket}/print/day/"


def test_a_second_run_submits_nothing(day: Workshop) -> None:
    """Breaks if tomorrow's run of the same prefix costs anything; a retry of an ended round repeats its result."""
    first = run(day)
    submits = day.emulator.accounts()["submits"]
    assert run(day) == first
    again = run(day, TaskInstance(run_id="tomorrow", task_id="day"))
    assert (again["planned"], again["done"], again["purchases"], again["cost_usd"]) == (6, 6, 0, 0)
    assert day.emulator.accounts()["submits"] == submits


def test_a_clear_of_a_failed_round_goes_on_and_a_retry_does_not(day: Workshop) -> None:
    """Breaks if automatic retries buy what was refused for good, or if a person's clear does not."""
    day.emulator.faults([{"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1, "match": "3.png"}])
    for max_tries in (2, 2):
        with pytest.raises(AirflowFailException, match=r"ClaritySafetyError.*1 of 6 images failed.*dead_letter"):
            run(day, TaskInstance(task_id="day", max_tries=max_tries))
        assert day.counts() == [1] * 6
    result = run(day, TaskInstance(task_id="day", max_tries=5))
    assert result["delivered"] + result["done"] == 6
    assert result["purchases"] == 1
    assert len(day.counts()) == 7


def test_a_run_that_was_deleted_and_comes_back_under_its_id_is_looked_at_anew(day: Workshop) -> None:
    """Breaks if a failed day of a backfill can never be mended by deleting its run, or if a green one hides a gap.

    ``max_tries`` is the same in both; a retry of the new run repeats its own end again.
    """
    day.emulator.faults([{"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1, "match": "3.png"}])
    first, second = (DagRun(datetime(2026, 1, 1, hour, tzinfo=UTC)) for hour in (7, 8))
    for _ in range(2):
        with pytest.raises(AirflowFailException, match=r"ClaritySafetyError"):
            run(day, dag_run=first)
        assert day.counts() == [1] * 6
    day.client.bucket(day.bucket).blob("print/day/1.jpg").delete()
    for _ in range(2):
        result = run(day, dag_run=second)
        assert (result["planned"], result["failed"], result["purchases"]) == (6, {}, 1)
        assert len(day.counts()) == 7
        assert day.picture(f"gs://{day.bucket}/print/day/1.jpg").size == (80, 60)


def test_a_run_that_comes_back_asks_for_no_second_pictures(day: Workshop) -> None:
    """Breaks if a database that was made anew, whose runs began at other times, buys what was paid and did not land."""
    day.emulator.switches({"size_multiple": 8})
    for hour in (7, 8):
        with pytest.raises(AirflowFailException, match="6 of 6 images failed"):
            run(day, dag_run=DagRun(datetime(2026, 1, 1, hour, tzinfo=UTC)), verify="strict")
        assert day.counts() == [1] * 6
    with pytest.raises(AirflowFailException, match="6 of 6 images failed"):
        run(day, ti=TaskInstance(task_id="day", max_tries=1), verify="strict")
    assert day.counts() == [1] * 12


def test_failures_that_are_tolerated_are_green(day: Workshop) -> None:
    """Breaks if one bad picture fails a day, or if it is not named in the dead letter."""
    day.upload("raw/day/4.png", b"broken")
    result = run(day, tolerated_failures="20%")
    assert result["failed"] == {"input": 1}
    name = result["dead_letter"].removeprefix(f"gs://{day.bucket}/")
    (row,) = map(json.loads, day.client.bucket(day.bucket).blob(name).download_as_text().splitlines())
    assert row["source"].endswith("4.png")


def test_a_budget_stops_and_says_so(day: Workshop) -> None:
    """Breaks if it overspends, or if the images that were left out look like failures."""
    with pytest.raises(AirflowFailException, match="ClarityBudgetError"):
        run(day, max_cost_usd="0.004")
    spent = day.emulator.accounts()["billed_usd"]
    assert 0 < spent <= 0.004
    result = run(day, TaskInstance(run_id="tomorrow", task_id="day"), max_cost_usd=0, on_budget="stop")
    assert sum(result["not_submitted"].values()) + result["done"] == 6
    assert day.emulator.accounts()["billed_usd"] == spent


@pytest.mark.parametrize(("on_empty", "error"), [("skip", AirflowSkipException), ("fail", AirflowFailException)])
def test_nothing_to_do_is_what_the_user_says(workshop: Workshop, on_empty: str, error: type[Exception]) -> None:
    """Breaks if an empty prefix is a stack trace, or green without a word."""
    note(workshop)
    with pytest.raises(error, match="no image"):
        run(workshop, on_empty=on_empty)
    assert run(workshop, TaskInstance(run_id="other", task_id="day"), on_empty="succeed")["planned"] == 0


def test_a_deferral_is_taken_up_by_another_worker(day: Workshop) -> None:
    """Breaks if the ledger is not given back, or if the resumed task buys again."""
    day.emulator.switches({"slots": 2})
    ti = TaskInstance(task_id="day")
    with pytest.raises(TaskDeferred) as raised:
        run(day, ti, deferrable=True, defer_after=0, max_in_flight=2)
    trigger = raised.value.trigger
    assert isinstance(trigger, UpscaleTrigger)
    assert 0 < len(trigger.task_uuids) <= 2
    assert trigger.wake_when == {"settled": 1}
    resumed = operator(day, deferrable=True, defer_after=60)
    result = resumed.execute_complete({"ti": ti}, event_of(trigger))  # type: ignore[typeddict-item]
    assert result["delivered"] == 6
    assert day.counts() == [1] * 6


def test_images_that_wait_for_room_do_not_keep_the_worker(day: Workshop) -> None:
    """Breaks if a worker is held only to wait: the window is full of slow tasks, and four images wait for their end."""
    day.emulator.faults([{"operation": "poll", "fault": "flap", "times": 100_000}])
    ti = TaskInstance(task_id="day")
    with pytest.raises(TaskDeferred) as raised:
        run(day, ti, deferrable=True, defer_after=0.5, max_in_flight=2, timeout=10)
    assert isinstance(raised.value.trigger, UpscaleTrigger)
    assert len(raised.value.trigger.task_uuids) == 2
    assert day.counts() == [1, 1]


def test_a_try_that_runs_out_of_time_is_taken_up(day: Workshop) -> None:
    """Breaks if a deadline is final, or if the retry does not adopt what is in flight."""
    day.emulator.switches({"slots": 1})
    with pytest.raises(ClarityDeadlineError, match="A retry or a clear"):
        run(day, timeout=1.0, max_in_flight=1)
    names = [blob.name for blob in day.client.list_blobs(day.bucket, prefix="_clarity/runs/")]
    assert any(name.endswith("interrupted.json") for name in names)
    assert run(day)["delivered"] == 6
    assert day.counts() == [1] * 6


def test_half_of_what_a_trigger_waits_for_wakes_the_worker(day: Workshop) -> None:
    """Breaks if one slow task of hundreds in flight keeps all the others waiting: a trigger watches a hundred."""
    paused = Paused(tuple(uuid4() for _ in range(400)), 0.0, 0.0, 0.0)

    async def drive(*_: object) -> tuple[Paused, None]:
        return paused, None

    waits = operator(day, deferrable=True)
    waits._drive = drive  # type: ignore[assignment, method-assign]
    with pytest.raises(TaskDeferred) as raised:
        waits.execute({"ti": TaskInstance(task_id="day")})  # type: ignore[typeddict-item]
    assert len(raised.value.trigger.task_uuids) == 100
    assert raised.value.trigger.wake_when == {"settled": 50}


def test_a_plan_pays_nothing_and_its_shards_are_the_whole(day: Workshop) -> None:
    """Breaks if an image is in two shards or none, or if the caps do not add up."""
    ti = TaskInstance(task_id="plan")
    plan = UpscalePlanOperator(
        task_id="plan",
        source=f"gs://{day.bucket}/raw/day/",
        destination=f"gs://{day.bucket}/print/day/",
        images_per_shard=4,
        max_cost_usd=1,
    )
    shards = plan.execute({"ti": ti})  # type: ignore[typeddict-item]
    assert [shard["to_do"] for shard in shards] == [4, 2]
    assert sum(shard["max_cost_usd"] for shard in shards) == 1
    assert ti.pushed["estimate"]["cost_usd"] == {"low": 6 * PRICE, "expected": 6 * 0.0038, "high": 6 * 0.0038}
    assert day.counts() == []
    results = [
        run(day, TaskInstance(task_id="day", map_index=index), shard=shard) for index, shard in enumerate(shards)
    ]
    assert [result["delivered"] for result in results] == [4, 2]
    assert day.counts() == [1] * 6


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "gs://raw/day"}, "source: .*prefix"),
        ({"source": "/home/me/"}, "source: "),
        ({"destination": "gs://print/day.jpg"}, "destination: .*end in '/'"),
        ({"max_cost_usd": "many"}, "max_cost_usd is not an amount"),
        ({"tolerated_failures": 0.05}, "tolerated_failures"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"on_empty": "ignore"}, "on_empty"),
        ({"on_budget": "ignore"}, "on_budget"),
        ({"name_pattern": "{name}"}, "name_pattern|pattern"),
        ({"shard": {"v": 9}}, "shard"),
    ],
)
def test_bad_input_is_refused_before_anything_is_paid(day: Workshop, changes: dict[str, Any], said: str) -> None:
    """Breaks if a slip in a DAG costs money."""
    with pytest.raises(AirflowFailException, match=said):
        run(day, **changes)
    assert day.counts() == []


@pytest.mark.parametrize("kind", [UpscaleBatchOperator, UpscalePlanOperator])
def test_no_attribute_shadows_one_of_airflow(kind: type[BaseOperator]) -> None:
    """Breaks if a parameter takes the name of something that Airflow calls."""
    made = kind(task_id="x", source="gs://a/b/", destination="gs://c/d/")  # type: ignore[call-arg]
    plain = BaseOperator(task_id="y")
    ours = {name for name in vars(made) if name not in vars(plain)}
    assert not {name for name in ours if hasattr(BaseOperator, name)}
    assert set(kind.template_fields) <= set(vars(made)) | ours
