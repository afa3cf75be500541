"""What a later try of a task does: it delivers what is in flight, repeats what is over, and buys only when cleared."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from workshop import DagRun, TaskInstance, Workshop, deferred, event_of, resume

from airflow_provider_clarity.exceptions import ClarityInputError, ClarityLostError


def written(workshop: Workshop, prefix: str) -> Any:
    """The only object below a prefix of the workspace."""
    (found,) = workshop.client.list_blobs(workshop.bucket, prefix=f"_clarity/{prefix}")
    return found


def elsewhere(workshop: Workshop) -> str:
    """Another source than the one that is in flight."""
    return workshop.upload("raw/dog.png", colour="red")


def test_a_resume_that_renders_another_source_delivers_what_is_in_flight(workshop: Workshop) -> None:
    """Breaks if a template that renders differently after a deferral strands a paid picture, or buys a second one."""
    workshop.upload()
    trigger = deferred(workshop)
    result = resume(workshop, event_of(trigger), source=elsewhere(workshop))
    assert (result["outcome"], result["uri"]) == ("delivered", f"gs://{workshop.bucket}/print/cat.jpg")
    assert workshop.picture(result["uri"]).convert("RGB").getpixel((40, 30))[0] < 60  # type: ignore[index,operator]
    assert workshop.counts() == [1]


def test_a_resume_that_renders_another_source_sends_nothing(workshop: Workshop) -> None:
    """Breaks if the new source is bought under the name and the identity of the old one."""
    workshop.upload()
    trigger = deferred(workshop)
    submits = workshop.emulator.accounts()["submits"]
    workshop.emulator.switches({"upload_lag_s": 30})
    workshop.emulator.faults([{"operation": "poll", "fault": "error:providerError", "times": 1}])
    with pytest.raises(AirflowFailException, match=r"source is another.*Clear the task") as raised:
        resume(workshop, event_of(trigger), source=elsewhere(workshop))
    assert isinstance(raised.value.__cause__, ClarityInputError)
    assert workshop.emulator.faults()[0]["fired"] == 1
    assert workshop.emulator.accounts()["submits"] == submits
    assert workshop.counts() == [1]


def test_a_picture_that_strict_refuses_is_bought_again_by_a_clear_only(workshop: Workshop) -> None:
    """Breaks if ``verify="strict"`` and a service that rounds sizes cost a purchase a day."""
    workshop.upload()
    workshop.emulator.switches({"size_multiple": 8})
    tries = [TaskInstance(max_tries=3), TaskInstance(max_tries=3), TaskInstance(run_id="tomorrow", max_tries=3)]
    for ti in tries:
        with pytest.raises(AirflowFailException, match=r"refused: it has .* instead of 80 x 60"):
            workshop.run(ti=ti, verify="strict")
        assert workshop.counts() == [1]
    with pytest.raises(AirflowFailException, match="refused"):
        workshop.run(ti=TaskInstance(max_tries=7), verify="strict")
    assert workshop.counts() == [1, 1]


def test_a_run_that_comes_back_under_its_old_id_begins_anew(workshop: Workshop) -> None:
    """Breaks if a run that was deleted and made again repeats for ever how the deleted one failed."""
    workshop.upload()
    workshop.emulator.faults([{"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1}])
    first, again = (DagRun(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="contentPolicyViolation"):
            workshop.run(dag_run=first)
        assert workshop.counts() == [1]
    assert workshop.run(dag_run=again)["outcome"] == "delivered"
    assert workshop.counts() == [1, 1]


def test_a_run_that_comes_back_asks_for_no_second_picture(workshop: Workshop) -> None:
    """Breaks if a database that was made anew, whose runs began at other times, buys what was paid and did not land."""
    workshop.upload()
    workshop.emulator.switches({"size_multiple": 8})
    for day in (1, 2):
        with pytest.raises(AirflowFailException, match="refused: it has"):
            workshop.run(dag_run=DagRun(datetime(2026, 1, day, tzinfo=UTC)), verify="strict")
    assert workshop.counts() == [1]


def test_a_resume_without_its_record_says_so_and_a_retry_adopts(workshop: Workshop) -> None:
    """Breaks if a cleaned up workspace is a KeyError, or its paid picture is bought again."""
    workshop.upload()
    trigger = deferred(workshop)
    written(workshop, "tasks/").delete()
    with pytest.raises(AirflowFailException, match=r"record .* is gone") as raised:
        resume(workshop, event_of(trigger))
    assert isinstance(raised.value.__cause__, ClarityLostError)
    assert workshop.run()["outcome"] == "delivered"
    assert workshop.counts() == [1]


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "of version 2": lambda record: record | {"v": 2},
    "with an unknown outcome": lambda record: (
        record | {"attempts": [record["attempts"][0] | {"outcome": "quarantined"}]}
    ),
    "for no place": lambda record: record | {"destination": "print/cat.jpg"},
    "with parameters of nothing": lambda record: record | {"parameters": {"upscaleFactor": "much"}},
    "as a list": lambda record: [record],
}


@pytest.mark.parametrize("way", ["retry", "resume", "other run"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_record_that_cannot_be_read_stops_every_way_in(workshop: Workshop, way: str, damage: str) -> None:
    """Breaks if a damaged record is an error of a library, or a reason to buy."""
    workshop.upload()
    trigger = deferred(workshop)
    record = written(workshop, "tasks/")
    record.upload_from_string(json.dumps(DAMAGES[damage](json.loads(record.download_as_bytes()))))
    submits = workshop.emulator.accounts()["submits"]
    ways: dict[str, Callable[[], Any]] = {
        "retry": workshop.run,
        "resume": lambda: resume(workshop, event_of(trigger)),
        "other run": lambda: workshop.run(ti=TaskInstance(run_id="tomorrow")),
    }
    with pytest.raises(AirflowFailException, match=r"task record .* cannot be read: .*Nothing was sent") as raised:
        ways[way]()
    assert isinstance(raised.value.__cause__, ClarityLostError)
    assert workshop.emulator.accounts()["submits"] == submits
    assert workshop.counts() == [1]


@pytest.mark.parametrize(
    "content", ["[]", "{}", "null", '{"v": 1, "record": 1}', '{"v": 1, "record": "x"}', '{"v": 2}']
)
def test_a_trace_that_cannot_be_read_is_named_and_nothing_is_bought(workshop: Workshop, content: str) -> None:
    """Breaks if a damaged note of what a run is on is a KeyError, or hides what is in flight of a replaced source."""
    workshop.upload()
    deferred(workshop)
    trace = written(workshop, "runs/")
    trace.upload_from_string(content)
    workshop.upload(colour="red")
    with pytest.raises(
        AirflowFailException, match=r"image\.json, where .* cannot be read: .*Nothing was sent"
    ) as raised:
        workshop.run()
    assert isinstance(raised.value.__cause__, ClarityLostError)
    assert workshop.counts() == [1]


@pytest.mark.parametrize("content", ["{", ""], ids=["cut", "empty"])
@pytest.mark.parametrize("which", ["runs/", "tasks/"])
def test_what_is_no_json_is_named_and_nothing_is_bought(workshop: Workshop, which: str, content: str) -> None:
    """Breaks if a cut file is an error of a library, or a reason to buy."""
    workshop.upload()
    deferred(workshop)
    written(workshop, which).upload_from_string(content)
    with pytest.raises(AirflowFailException, match=r"gs://.*\.json.* cannot be read: .*Nothing was sent") as raised:
        workshop.run()
    assert isinstance(raised.value.__cause__, ClarityLostError)
    assert workshop.counts() == [1]


def test_a_retry_whose_trace_names_a_record_that_is_gone_begins_from_the_source(workshop: Workshop) -> None:
    """Breaks if a half cleaned up workspace keeps a task from ever running again; the service knows the UUID."""
    workshop.upload()
    deferred(workshop)
    written(workshop, "tasks/").delete()
    assert workshop.run()["outcome"] == "delivered"
    assert workshop.counts() == [1]
