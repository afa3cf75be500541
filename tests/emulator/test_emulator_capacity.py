"""Slots, the queue in front of them, and how long a task takes."""

from __future__ import annotations

import statistics
import time
import uuid

import pytest
from emulator_api import Api, task, until
from emulator_process import EmulatorProcess
from emulator_receiver import Receiver

from airflow_provider_clarity.emulator.runware_runner import Timing


def test_no_more_tasks_run_than_there_are_slots_and_added_ones_are_used_at_once(
    api: Api, emulator: EmulatorProcess, receiver: Receiver, held: str
) -> None:
    """With one slot the second task's input is not even fetched; with two it is, while the first still runs."""
    emulator.switches({"slots": 1})
    api.post([task(held), task(held)])
    until(lambda: receiver.of("GET"))
    time.sleep(0.1)
    assert len(receiver.of("GET")) == 1
    emulator.switches({"slots": 2})
    until(lambda: len(receiver.of("GET")) == 2)


@pytest.mark.parametrize("named", [True, False])
def test_beyond_the_queue_a_task_is_refused_with_429(
    api: Api,
    emulator: EmulatorProcess,
    receiver: Receiver,
    held: str,
    named: bool,  # noqa: FBT001
) -> None:
    """What fits is accepted, the rest costs nothing; whether the refusal names the task is unknown."""
    emulator.switches({"slots": 1, "queue": 1, "named_429": named})
    tasks = [task(held) for _ in range(3)]
    reply = api.post(tasks)
    assert reply.status_code == 200
    errors = reply.json()["errors"]
    assert [error["code"] for error in errors] == ["rateLimitExceeded"]
    assert errors[0].get("taskUUID") == (tasks[2]["taskUUID"] if named else None)
    refused = api.post([tasks[2]])
    assert refused.status_code == 429
    accounts = emulator.accounts()
    assert (accounts["status_429"], len(accounts["purchases"])) == (2, 2)
    receiver.release()
    for one in tasks[:2]:
        api.wait(one["taskUUID"])
    assert api.post([tasks[2]]).status_code == 200


def test_a_task_that_waits_too_long_fails() -> None:
    """The documented 504 of the queue; an asynchronous task hears of it by polling, a synchronous one at once."""
    with EmulatorProcess("--service-time", "1", "--slots", "1", "--max-queue-wait", "0.1") as slow, Api(slow) as api:
        first, second, third = task(), task(), task(deliveryMethod="sync")
        api.post([first, second])
        reply = api.post([third])
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (504, "timeout")
        assert api.wait(second["taskUUID"])["code"] == "timeout"
        assert api.wait(first["taskUUID"])["status"] == "success"
        assert slow.accounts()["billed_usd"] == 0.0013


def test_the_options_of_the_command_reach_the_service() -> None:
    """Price, slots and queue as given, and as what a reset goes back to."""
    with EmulatorProcess("--price", "0.0038", "--slots", "3", "--queue", "7", "--render", "none") as emulator:
        given = {"price": 0.0038, "slots": 3, "queue": 7}
        assert given.items() <= emulator.switches().items()
        emulator.switches({"price": 1, "slots": 1, "queue": None})
        emulator.reset()
        assert given.items() <= emulator.switches().items()


def test_the_latency_model_is_seeded_and_has_the_service_time_as_its_median() -> None:
    """The same seed gives the same times, so that a measurement can be repeated."""
    uuids = [str(uuid.UUID(int=number)) for number in range(2000)]
    timing = Timing(service_time=2.0, latency_model="lognormal", seed=7)
    drawn = [timing.seconds(one) for one in uuids]
    assert drawn == [timing.seconds(one) for one in uuids]
    assert statistics.median(drawn) == pytest.approx(2.0, rel=0.1)
    assert max(drawn) > 6
    assert drawn != [Timing(2.0, "lognormal", None, 8).seconds(one) for one in uuids]
    assert Timing(2.0).seconds("any") == 2.0
