"""What a person does in Airflow's web interface to a batch, each gesture with what it buys: by the emulator's accounts.

One Airflow 3 serves all tests of this file; each gesture has images of its own. The table is in docs/batch.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pytest
from airflow_instance import AirflowInstance, real_airflow
from airflow_person import Person
from batch_shop import Shop, open_shop

pytestmark = [
    pytest.mark.matrix,  # two minutes: run by .ci/run matrix
    pytest.mark.system,
    pytest.mark.skipif(
        version("apache-airflow") < "3", reason="the gestures go through the REST API of Airflow 3: run with 3.3.2"
    ),
]

DAGS = {
    "gestures.py": """
from datetime import timedelta
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_clarity.operators.batch import UpscaleBatchOperator

PATIENT = {"retries": 3, "retry_delay": timedelta(seconds=1)}
WHERE = {"source": "gs://raw/{{ dag_run.conf['folder'] }}/", "destination": "gs://print/{{ dag_run.conf['folder'] }}/"}

with DAG("batch", schedule=None, default_args=PATIENT):
    UpscaleBatchOperator(task_id="day", deferrable=True, defer_after=0, max_in_flight=4, **WHERE)

with DAG("waiting", schedule=None, default_args=PATIENT):
    UpscaleBatchOperator(task_id="day", max_in_flight=2, **WHERE)

for if_exists in ("skip", "update"):
    with DAG(if_exists, schedule=None, default_args=PATIENT) as dag:
        look = {"positivePrompt": "{{ var.value.look }}"}
        UpscaleBatchOperator(task_id="day", settings=look, if_exists=if_exists, **WHERE)
    globals()[if_exists] = dag

with DAG("shelves", schedule=None, default_args=PATIENT):

    @task
    def shelves(**context):
        folders = context["dag_run"].conf["folders"]
        return [{"source": f"gs://raw/{folder}/", "destination": f"gs://print/{folder}/"} for folder in folders]

    UpscaleBatchOperator.partial(task_id="shelf").expand_kwargs(shelves())
""",
}
SIX = [f"{name}.png" for name in "abcdef"]


@dataclass
class Desk:
    """A person at Airflow's web interface, and what their gestures buy."""

    airflow: AirflowInstance
    shop: Shop
    person: Person

    def begin(self, dag: str, folder: str, **known: Any) -> str:
        """Trigger a run over a folder."""
        return self.airflow.trigger(dag, {"folder": folder}, **known)

    def end(self, dag: str, run: str) -> str:
        """Wait until a run is over."""
        return self.airflow.wait(dag, run, 240)

    def again(self, dag: str, run: str) -> str:
        """Clear all of a run, and wait until it is over again."""
        self.person.clear(dag, run)
        return self.end(dag, run)

    def state(self, dag: str, run: str) -> str | None:
        """What the task is doing."""
        return next(task.state for task in self.airflow.task_instances(dag, run) if task.task_id == "day")

    def until(self, dag: str, run: str, state: str) -> None:
        """Wait until the task is in a state."""
        self.airflow.wait_until(lambda: self.state(dag, run) == state, 120, f"The task is not {state}")

    @contextmanager
    def held(self, dag: str, run: str, state: str, folder: str) -> Iterator[None]:
        """Hold all of the service while the task is in a state and images are bought."""
        with ExitStack() as stack:
            while True:
                self.airflow.wait_until(
                    lambda: self.shop.bought(folder) > 0 and self.state(dag, run) == state, 120, f"It is not {state}"
                )
                stack.enter_context(self.shop.frozen())
                if self.state(dag, run) == state:
                    break
                stack.close()
            yield

    def until_at_rest(self, folder: str) -> None:
        """Wait until the service has ended all that was bought."""
        self.airflow.wait_until(
            lambda: all(purchase["status"] != "processing" for purchase in self.shop.purchases(folder)),
            120,
            "The service is not done",
        )

    def tries(self, dag: str, run: str) -> list[int]:
        """The tries of the mapped task, by map index."""
        tasks = [task for task in self.airflow.task_instances(dag, run) if task.task_id == "shelf"]
        return [task.try_number for task in sorted(tasks, key=lambda task: task.map_index)]

    def result(self, dag: str, run: str) -> dict[str, Any]:
        """What the operator returned."""
        found: dict[str, Any] = self.airflow.xcom(dag, run, "day")
        return found


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """Everything, once."""
    with open_shop("--service-time", "2") as shop, real_airflow(DAGS, shop.connections) as airflow:
        person = Person(airflow)
        yield Desk(airflow, shop, person)
        person.close()


def each(names: list[str], number: int = 1) -> dict[str, int]:
    """So many purchases of each picture."""
    return dict.fromkeys(names, number)


def test_clearing_one_task_and_then_all_buys_nothing(desk: Desk) -> None:
    """Breaks if a clear after success pays for a picture that is there, or if it does not run the task again at all."""
    for folder in ("one/shelf", "other/shelf"):
        desk.shop.upload(folder, *SIX[:4])
    run = desk.airflow.trigger("shelves", {"folders": ["one/shelf", "other/shelf"]})
    assert desk.end("shelves", run) == "success"
    before = desk.shop.emulator.accounts()["submits"]
    assert before == 8

    desk.person.clear("shelves", run, ("shelf", 1))
    assert desk.end("shelves", run) == "success"
    assert desk.tries("shelves", run) == [1, 2]
    assert desk.again("shelves", run) == "success"
    assert desk.tries("shelves", run) == [2, 3]

    for folder, index in (("one/shelf", 0), ("other/shelf", 1)):
        assert desk.shop.counts(folder) == each(SIX[:4])
        result = desk.airflow.xcom("shelves", run, "shelf", map_index=index)
        assert (result["planned"], result["done"] + result["delivered"], result["purchases"]) == (4, 4, 0)
    assert desk.shop.emulator.accounts()["submits"] == before


def test_clearing_a_deferred_task_buys_nothing_more(desk: Desk) -> None:
    """Breaks if the try that a clear begins does not adopt what the cleared one had in flight."""
    desk.shop.upload("deferred", *SIX)
    run = desk.begin("batch", "deferred")
    with desk.held("batch", run, "deferred", "deferred"):
        desk.person.clear("batch", run)
    assert desk.end("batch", run) == "success"
    assert desk.shop.counts("deferred") == each(SIX)
    assert desk.result("batch", run)["delivered"] == 6
    assert desk.shop.pictures("deferred") == set("abcdef")


def test_marking_it_a_success_in_flight_loses_nothing(desk: Desk) -> None:
    """Breaks if what was in flight is bought again by the next clear, or is never landed."""
    desk.shop.upload("marked", *SIX)
    run = desk.begin("waiting", "marked")
    with desk.held("waiting", run, "running", "marked"):
        desk.person.mark("waiting", run, "day", "success")
    assert desk.end("waiting", run) == "success"
    assert len(desk.shop.pictures("marked")) < 6, "all of it was done before the gesture"
    assert desk.again("waiting", run) == "success"
    assert desk.shop.counts("marked") == each(SIX)
    assert desk.shop.pictures("marked") == set("abcdef")
    assert desk.result("waiting", run)["planned"] == 6


def test_marking_it_failed_and_clearing_buys_what_was_left_and_what_may_be_tried_again(desk: Desk) -> None:
    """Breaks if what was in flight is paid twice, or what failed for good is bought before a person has seen it fail.

    The first clear goes on where the mark interrupted the task; the second, after its end, asks for what failed.
    """
    desk.shop.upload("failed", *SIX)
    desk.shop.emulator.faults(
        [
            {"operation": "work", "fault": "error:providerError", "times": 1, "match": "failed/a.png"},
            {"operation": "work", "fault": "error:contentPolicyViolation", "times": 1, "match": "failed/b.png"},
        ]
    )
    run = desk.begin("batch", "failed")
    with desk.held("batch", run, "deferred", "failed"):
        desk.person.mark("batch", run, "day", "failed")
    assert desk.end("batch", run) == "failed"
    desk.until_at_rest("failed")
    before = desk.shop.counts("failed")
    assert {"a.png", "b.png"} <= set(before)
    assert before.total() < 6, "nothing was left to be submitted"

    assert desk.again("batch", run) == "failed"
    bought = each(SIX) | {"a.png": 2}
    assert desk.shop.counts("failed") == bought
    assert desk.shop.pictures("failed") == set("acdef")

    assert desk.again("batch", run) == "success"
    assert desk.shop.counts("failed") == bought | {"b.png": 2}
    assert desk.result("batch", run)["purchases"] == 1
    assert desk.shop.pictures("failed") == set("abcdef")


def test_pausing_the_dag_while_it_runs_buys_nothing_more(desk: Desk) -> None:
    """Breaks if a task whose trigger has fired, and that nobody may run, is begun anew when the DAG is switched on."""
    desk.shop.upload("paused", *SIX)
    run = desk.begin("batch", "paused")
    with desk.held("batch", run, "deferred", "paused"):
        desk.person.pause("batch")
    desk.until("batch", run, "scheduled")
    desk.until_at_rest("paused")
    assert desk.shop.bought("paused") < 6, "nothing was left to be submitted"
    desk.person.pause("batch", paused=False)
    assert desk.end("batch", run) == "success"
    assert desk.shop.counts("paused") == each(SIX)
    assert desk.shop.pictures("paused") == set("abcdef")


def test_deleting_the_run_and_triggering_it_again_buys_nothing_that_is_done(desk: Desk) -> None:
    """Breaks if what is done is known from Airflow's database, which is empty then, or under the run's id only."""
    desk.shop.upload("deleted", *SIX[:4])
    desk.shop.emulator.faults(
        [{"operation": "work", "fault": "error:contentPolicyViolation", "times": 1, "match": "deleted/d.png"}]
    )
    run = desk.begin("waiting", "deleted", run_id="first")
    assert desk.end("waiting", run) == "failed"
    assert desk.shop.counts("deleted") == each(SIX[:4])
    desk.person.delete("waiting", run)
    assert desk.end("waiting", desk.begin("waiting", "deleted", run_id="first")) == "success"
    assert desk.shop.counts("deleted") == each(SIX[:4]) | {"d.png": 2}
    assert desk.result("waiting", "first")["purchases"] == 1
    assert desk.end("waiting", desk.begin("waiting", "deleted", run_id="second")) == "success"
    assert desk.shop.counts("deleted") == each(SIX[:4]) | {"d.png": 2}
    assert desk.result("waiting", "second")["done"] == 4


def test_changed_settings_are_stale_with_skip_and_bought_with_update(desk: Desk) -> None:
    """Breaks if a clear after a change pays although nothing may be replaced, or pays for what has not changed."""
    desk.person.set_variable("look", "sharp")
    runs = {}
    for dag in ("skip", "update"):
        desk.shop.upload(f"changed/{dag}", *SIX[:4])
        runs[dag] = desk.begin(dag, f"changed/{dag}")
    assert {desk.end(dag, run) for dag, run in runs.items()} == {"success"}

    desk.person.set_variable("look", "soft")
    assert {desk.again(dag, run) for dag, run in runs.items()} == {"success"}
    assert desk.shop.counts("changed/skip") == each(SIX[:4])
    assert (desk.result("skip", runs["skip"])["stale"], desk.result("skip", runs["skip"])["purchases"]) == (4, 0)
    assert desk.shop.counts("changed/update") == each(SIX[:4], 2)

    for dag in ("skip", "update"):
        desk.shop.upload(f"changed/{dag}", "c.png")
    assert {desk.again(dag, run) for dag, run in runs.items()} == {"success"}
    assert desk.shop.counts("changed/skip") == each(SIX[:4])
    assert desk.shop.counts("changed/update") == each(SIX[:4], 2) | {"c.png": 3}
    assert desk.result("update", runs["update"])["purchases"] == 1


def test_a_deleted_picture_is_fetched_or_bought_by_a_clear(desk: Desk) -> None:
    """Breaks if a clear repeats the old end while a picture is missing, or pays for what the service still has."""
    desk.shop.upload("gone", *SIX[:4])
    run = desk.begin("waiting", "gone")
    assert desk.end("waiting", run) == "success"
    desk.shop.delete("gone", "b.jpg")
    assert desk.again("waiting", run) == "success"
    assert desk.shop.pictures("gone") == set("abcd")
    assert desk.shop.counts("gone") == each(SIX[:4])

    desk.shop.delete("gone", "c.jpg")
    desk.shop.emulator.switches({"result_retention_s": 0, "details_retention_s": 0})
    try:
        assert desk.again("waiting", run) == "success"
    finally:
        desk.shop.emulator.switches({"result_retention_s": None, "details_retention_s": None})
    assert desk.shop.pictures("gone") == set("abcd")
    assert desk.shop.counts("gone") == each(SIX[:4]) | {"c.png": 2}
