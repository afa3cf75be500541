"""What Airflow is told beside the return value: counters, asset events, lineage, and the name of a mapped task."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Asset, Stats, TaskDeferred
from workshop import TaskInstance, Workshop

from airflow_provider_clarity.operators.lineage import source_name
from airflow_provider_clarity.operators.telling import SOURCE_KEY, count, holds, label, tell_outlets
from airflow_provider_clarity.operators.upscale import UpscaleOperator

try:
    from airflow.sdk.execution_time.context import OutletEventAccessors

    AIRFLOW_3 = True
except ImportError:
    from airflow.utils.context import OutletEventAccessors  # type: ignore[no-redef]

    AIRFLOW_3 = False

SECRET = "https://someone:pass@Example.org/shop/cat.png?X-Goog-Signature=s3cr3t&size=2"
UUID = "0b7a5c1e-7a0e-4b5e-9a55-3f0d7d6a4f11"


@dataclass
class Counts:
    """Airflow's counters, as they arrive."""

    counted: Counter[str] = field(default_factory=Counter)
    tags: list[Any] = field(default_factory=list)

    def incr(self, stat: str, by: int = 1, *, tags: Any = None) -> None:
        if stat.startswith("clarity."):
            self.counted[stat.removeprefix("clarity.")] += by
            self.tags.append(tags)

    def take(self) -> dict[str, int]:
        counted, self.counted = dict(self.counted), Counter()
        return counted


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Listen to the counters."""
    heard = Counts()
    monkeypatch.setattr(Stats, "incr", heard.incr, raising=False)
    return heard


def context_of(**changes: Any) -> Any:
    """What the operator looks at of a context, with the real accessors of the installed Airflow."""
    return {"ti": TaskInstance(), "outlet_events": OutletEventAccessors(), "map_index_template": None} | changes


def result_of(uri: str = "gs://print/day/cat.jpg", **changes: Any) -> dict[str, Any]:
    """What the operator returns."""
    told = {
        "uri": uri,
        "outcome": "delivered",
        "width": 80,
        "height": 60,
        "cost_usd": 0.0013,
        "seconds": 3.2,
        "task_uuid": UUID,
    }
    return told | changes


# Counters


def test_a_picture_is_counted_once_however_often_it_is_asked_for(workshop: Workshop, counts: Counts) -> None:
    """Breaks where a retry, a clear or tomorrow's run adds up to more purchases than were made."""
    workshop.upload()
    workshop.run()
    assert counts.take() == {"purchases": 1, "delivered": 1, "cost_microusd": 1300}
    workshop.run()
    workshop.run(ti=TaskInstance(max_tries=1))
    workshop.run(ti=TaskInstance(run_id="tomorrow"))
    assert counts.take() == {}
    assert counts.tags[0] == {"dag_id": "dag", "task_id": "upscale"}


def test_a_deferred_purchase_is_counted_before_and_its_delivery_after(workshop: Workshop, counts: Counts) -> None:
    """Each half tells what it saw: the first may be the last that is heard of this worker."""
    workshop.upload()
    with pytest.raises(TaskDeferred) as deferred:
        workshop.run(deferrable=True, defer_after=0)
    assert counts.take() == {"purchases": 1}
    trigger: Any = deferred.value.trigger
    event = {"v": 1, "status": "settled", "run": trigger.run_uri, "settled": [], "deadline": trigger.deadline}
    operator = workshop.operator(deferrable=True, outlets=[Asset(f"gs://{workshop.bucket}/print")])
    context = context_of()
    result = operator.execute_complete(context, event)
    assert counts.take() == {"delivered": 1, "cost_microusd": 1300}
    assert context["outlet_events"][operator.outlets[0]].extra["uri"] == result["uri"]


def test_a_lost_reply_is_counted_as_the_one_purchase_that_it_was(workshop: Workshop, counts: Counts) -> None:
    """The acknowledgement comes by a look-up instead: the counter must neither miss nor double it."""
    workshop.upload()
    workshop.emulator.faults([{"operation": "submit", "fault": "reset_after"}])
    workshop.run()
    assert [fault["fired"] for fault in workshop.emulator.faults()] == [1]
    assert counts.take() == {"purchases": 1, "delivered": 1, "cost_microusd": 1300}


def test_being_throttled_is_counted(workshop: Workshop, counts: Counts) -> None:
    """It is what tells that fewer tasks should run at once."""
    workshop.upload()
    workshop.emulator.faults([{"operation": "submit", "fault": "status_429"}])
    workshop.run()
    assert counts.take() == {"throttled": 1, "purchases": 1, "delivered": 1, "cost_microusd": 1300}


def test_a_final_failure_is_counted_once_and_by_its_kind(workshop: Workshop, counts: Counts) -> None:
    """An alert on a kind fires once for one failure, and not for the tries that repeat it."""
    with pytest.raises(AirflowFailException):
        workshop.run()  # no such source
    assert counts.take() == {"failed.input": 1}
    workshop.upload()
    workshop.emulator.faults([{"operation": "poll", "fault": "error:invalidProviderContent"}])
    for expected in (1, 0):
        with pytest.raises(AirflowFailException):
            workshop.run()
        assert sum(by for name, by in counts.take().items() if name.startswith("failed.")) == expected


def test_counters_that_fail_fail_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is there, whether anybody counts it or not."""

    def broken(*_: Any, **__: Any) -> None:
        raise OSError("no such host")

    monkeypatch.setattr(Stats, "incr", broken, raising=False)
    count(context_of(), {"delivered": 1})


# Asset events


@pytest.mark.parametrize(
    ("asset", "inside"),
    [
        ("gs://print/day/cat.jpg", True),
        ("gs://print/day", True),
        ("gs://print/day/", True),
        ("gs://print", True),
        ("gs://print/da", False),
        ("gs://print/day/cat", False),
        ("gs://prin", False),
        ("s3://print/day", False),
    ],
)
def test_an_asset_holds_what_lies_below_it(asset: str, *, inside: bool) -> None:
    """A neighbour whose name begins alike is another asset; Airflow takes the last slash of a URI away."""
    assert holds(Asset(asset).uri, "gs://print/day/cat.jpg") is inside


def test_the_event_of_an_outlet_says_what_was_delivered() -> None:
    """A DAG that the asset starts finds the picture without asking anybody; other outlets are left alone."""
    ours, others, context = Asset("gs://print/day/"), Asset("gs://elsewhere/"), context_of()
    context["outlet_events"][ours].extra = {"team": "shop"}
    tell_outlets(context, [ours, others, "no asset"], result_of())
    events = context["outlet_events"]
    assert len(events) == 1, "no event is made for what is not concerned"
    assert events[ours].extra == {"team": "shop"} | {k: v for k, v in result_of().items() if k != "seconds"}
    assert len(json.dumps(events[ours].extra)) < 1000


def test_no_asset_is_invented() -> None:
    """Without outlets there is nothing to tell, and nothing is told."""
    context = context_of()
    tell_outlets(context, [], result_of())
    assert len(context["outlet_events"]) == 0


@pytest.mark.parametrize("key", [None, "2026-11-22"])
def test_a_partitioned_run_names_its_partition(key: str | None) -> None:
    """On Airflow 3.3 the event belongs to the partition of the run; where there is none, no partition is made up."""
    asset, context = Asset("gs://print/day"), context_of(partition_key=key)
    tell_outlets(context, [asset], result_of())
    event = context["outlet_events"][asset]
    assert event.extra["outcome"] == "delivered"
    assert getattr(event, "partition_keys", set()) == ({key} if key and AIRFLOW_3 else set())


def test_a_partition_that_airflow_refuses_fails_no_task() -> None:
    """The extra is told all the same."""
    asset, context = Asset("gs://print/day"), context_of(partition_key="x" * 251)
    tell_outlets(context, [asset], result_of())
    assert context["outlet_events"][asset].extra["task_uuid"] == UUID
    tell_outlets({"ti": TaskInstance()}, [asset], result_of())  # type: ignore[typeddict-item]


@pytest.mark.skipif(not AIRFLOW_3, reason="runs on Airflow 3: there the worker sends the events in this form")
def test_airflow_3_sends_what_was_told() -> None:
    """The accessor's contents pass through Airflow's own serialization, as they will on their way to the API server."""
    from airflow.sdk.execution_time.task_runner import _serialize_outlet_events  # noqa: PLC0415

    asset, context = Asset("gs://print/day"), context_of(partition_key="2026-11-22")
    tell_outlets(context, [asset], result_of())
    (sent,) = _serialize_outlet_events(context["outlet_events"])
    assert json.loads(json.dumps(sent))["extra"]["uri"] == "gs://print/day/cat.jpg"
    assert sent["partition_key"] == "2026-11-22"


# The name of a mapped task


def rendered(context: Any) -> str:
    """Render as Airflow does when a try has ended."""
    with DAG("labels", schedule=None) as dag:
        return str(dag.get_template_env().from_string(context["map_index_template"]).render(context))


def test_a_mapped_task_is_named_by_its_source(workshop: Workshop) -> None:
    """A number says nothing of which of forty pictures failed."""
    workshop.upload()
    context = context_of()
    workshop.operator().execute(context)
    assert rendered(context) == f"gs://{workshop.bucket}/raw/cat.png"


def test_the_name_is_rendered_as_it_is_and_no_longer_than_airflow_takes() -> None:
    """A name is not a template, whatever is in it, and a long one keeps its end: the file's name."""
    context = context_of()
    label(context, "gs://raw/{{ conn }}/{% x %}'\".png")
    assert rendered(context) == "gs://raw/{{ conn }}/{% x %}'\".png"
    context = context_of()
    label(context, f"gs://raw/{'x' * 400}/cat.png")
    assert len(rendered(context)) == 250
    assert rendered(context).endswith("x/cat.png")


def test_the_name_that_a_dag_gives_is_kept() -> None:
    """And it may use ours, which holds no secret."""
    context = context_of(map_index_template="picture {{ clarity_source }}")
    label(context, "gs://raw/cat.png")
    assert rendered(context) == "picture gs://raw/cat.png"
    assert context[SOURCE_KEY] == "gs://raw/cat.png"


# OpenLineage


@dataclass
class Dataset:
    """As OpenLineage's."""

    namespace: str
    name: str


@dataclass
class Lineage:
    """As the provider's ``OperatorLineage``."""

    inputs: list[Dataset] = field(default_factory=list)
    outputs: list[Dataset] = field(default_factory=list)
    run_facets: dict[str, Any] = field(default_factory=dict)
    job_facets: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def openlineage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for OpenLineage, which not every Airflow has."""
    for path, names in {
        "airflow.providers.common.compat.openlineage.facet": {"Dataset": Dataset, "ExternalQueryRunFacet": dict},
        "airflow.providers.openlineage": {},
        "airflow.providers.openlineage.extractors": {"OperatorLineage": Lineage},
    }.items():
        module = ModuleType(path)
        module.__dict__.update(names)
        monkeypatch.setitem(sys.modules, path, module)


def upscale(**changes: Any) -> UpscaleOperator:
    """An operator without anything behind it: what asks the network would fail."""
    known = {"task_id": "upscale", "source": "gs://raw/shop/cat.png", "destination": "gs://print/day/"}
    return UpscaleOperator(**known | changes)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("gs://raw/shop/cat.png", ("gs://raw", "shop/cat.png")),
        (SECRET, ("https://example.org", "shop/cat.png")),
        (UUID, None),
        ("data:image/png;base64,AAAA", None),
        ("nonsense", None),
    ],
)
def test_a_dataset_is_named_without_a_secret(source: str, name: tuple[str, str] | None) -> None:
    """Lineage is stored elsewhere, and read by many; what has no name, or cannot be read, is left out."""
    assert source_name(source) == name


@pytest.mark.usefixtures("openlineage")
def test_lineage_is_known_before_the_picture_is() -> None:
    """From the rendered fields alone: nothing is asked, nothing is opened."""
    told = upscale().get_openlineage_facets_on_start()
    assert (told.inputs, told.outputs) == (
        [Dataset("gs://raw", "shop/cat.png")],
        [Dataset("gs://print", "day/cat.jpg")],
    )
    assert upscale(source="nonsense").get_openlineage_facets_on_start() == Lineage()


@pytest.mark.usefixtures("openlineage")
def test_lineage_names_the_task_that_made_it(workshop: Workshop) -> None:
    """After the end, as after a resume, which ends in the same place; a failure tells what was to be."""
    workshop.upload()
    operator = workshop.operator()
    assert operator.get_openlineage_facets_on_complete(None).run_facets == {}
    result = operator.execute(context_of())
    told = operator.get_openlineage_facets_on_complete(None)
    assert told.inputs == [Dataset(f"gs://{workshop.bucket}", "raw/cat.png")]
    assert told.outputs == [Dataset(f"gs://{workshop.bucket}", "print/cat.jpg")]
    assert told.run_facets == {"externalQuery": {"externalQueryId": result["task_uuid"], "source": "runware"}}


@pytest.mark.usefixtures("openlineage")
def test_what_is_not_ours_is_no_output_of_ours() -> None:
    """A foreign object was left as it is: a lineage to it would be invented."""
    operator = upscale()
    operator._result = result_of(outcome="foreign", task_uuid=None)
    assert operator.get_openlineage_facets_on_complete(None).outputs == []
