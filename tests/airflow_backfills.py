"""Backfills as DAG runs of a real Airflow over an emulator: started, followed, counted, audited.

The pictures and the audit are those of ``backfill_runs.py``, the Airflow is that of ``airflow_instance.py``. What is
said of a run comes from Airflow's own books where it has any: its audit log, its XComs, its processes.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from airflow_instance import AirflowInstance, real_airflow
from backfill_process import memory
from backfill_runs import BUCKET, _bought, _counted, _landed, _rows, audit, bucket_of
from emulator_process import EmulatorProcess

from airflow_provider_clarity.demo.airflow_api import AirflowTask

BACKFILL, SHARDS, EMPTY = "backfill", "shards", "empty"
UPSCALE = "upscale"
QUICK_TO_NOTICE = {
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}
"""Settings with which Airflow notices within seconds that one of its processes is gone."""

_DAGS = """
import time
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_clarity.operators.batch import UpscaleBatchOperator
from airflow_provider_clarity.operators.plan import UpscalePlanOperator

WHERE = {{"source": "gs://{bucket}/raw/", "destination": "gs://{bucket}/print/"}}
RETRIES = {{"retries": {retries}, "retry_delay": timedelta(seconds=1)}}

with DAG(dag_id="{backfill}", schedule=None, default_args=RETRIES):
    UpscaleBatchOperator(task_id="{upscale}", deferrable=True, **WHERE, **{choices})

with DAG(dag_id="{shards}", schedule=None, default_args=RETRIES):
    plan = UpscalePlanOperator(task_id="plan", images_per_shard={images_per_shard}, **WHERE)
    UpscaleBatchOperator.partial(
        task_id="{upscale}", deferrable=True, max_active_tis_per_dagrun={active}, **WHERE, **{choices}
    ).expand(shard=plan.output)

with DAG(dag_id="{empty}", schedule=None):

    @task(task_id="{upscale}")
    def nothing():
        time.sleep(6)

    nothing()
"""

_FINAL = frozenset({"success", "failed"})
_LOOK_EVERY = 1.0


@contextmanager
def airflow_over(
    emulator: EmulatorProcess,
    choices: Mapping[str, Any],
    *,
    timeout: float = 60.0,
    retries: int = 5,
    images_per_shard: int = 100,
    active: int = 4,
    env: Mapping[str, str] | None = None,
) -> Iterator[Backfills]:
    """Run an Airflow whose connections lead to an emulator.

    :param choices: parameters of the ``UpscaleBatchOperator``, beyond source and destination
    :param timeout: seconds of a request to the API
    :param retries: of its task
    :param images_per_shard: of the DAG with shards
    :param active: ``max_active_tis_per_dagrun`` of the DAG with shards; those that are deferred count
    :param env: further settings of Airflow
    """
    clarity = {
        "conn_type": "clarity",
        "password": emulator.api_key,
        "host": emulator.runware_url,
        "extra": {"timeout": timeout},
    }
    google = {"conn_type": "google_cloud_platform", "extra": {"key_path": emulator.service_account_file}}
    text = _DAGS.format(
        bucket=BUCKET, backfill=BACKFILL, shards=SHARDS, empty=EMPTY, upscale=UPSCALE,
        choices=dict(choices), retries=retries, images_per_shard=images_per_shard,
        active=active,
    )  # fmt: skip
    connections = {
        "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(clarity),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
        "STORAGE_EMULATOR_HOST": emulator.storage_url,
    }
    with real_airflow({"backfills.py": text}, {**connections, **(env or {})}) as airflow:
        yield Backfills(airflow, emulator)


@dataclass
class Look:
    """What was seen of a run at one moment.

    :param at: monotonic seconds
    :param tasks: the instances of its upscaling task
    """

    at: float
    tasks: Sequence[AirflowTask]

    def states(self) -> Counter[str | None]:
        """How many instances are in which state."""
        return Counter(task.state for task in self.tasks)


@dataclass
class Ran:
    """What came of a run.

    :param memory: the most that a process of its upscaling task had resident, MB
    :param deferrals: how often a worker was freed
    :param tries: how often Airflow tried, all map indexes together
    :param results: what the upscaling task returned, by map index
    """

    dag: str
    run: str
    state: str
    seconds: float
    memory: float
    deferrals: int = 0
    tries: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def result(self) -> dict[str, Any]:
        """What the only instance returned."""
        (only,) = self.results
        return only


@dataclass
class Backfills:
    """A real Airflow with the DAGs of this file, and the service behind it."""

    airflow: AirflowInstance
    emulator: EmulatorProcess

    def run(self, dag: str, *, seconds: float, at_each_look: Callable[[Look], None] = lambda _: None) -> Ran:
        """Run a DAG to its end.

        :param seconds: until it counts as stuck
        :param at_each_look: is called about once a second, on this thread; it may kill and start processes of Airflow
        """
        run, began, most, last = self.airflow.trigger(dag), time.monotonic(), 0.0, 0.0

        def over() -> bool:
            nonlocal most, last
            if time.monotonic() - last < _LOOK_EVERY:
                return False
            last = time.monotonic()
            try:
                look = Look(last, self.tasks(dag, run))
                running = [task.pid for task in look.tasks if task.state == "running" and task.pid]
                most = max([most, *map(memory, running)])
                at_each_look(look)
                return self.airflow.api.run_state(dag, run) in _FINAL
            except httpx.TimeoutException:
                return False  # Airflow on SQLite on a busy machine: the next look may be answered

        self.airflow.wait_until(over, seconds, f"The run of {dag} has not ended")
        took, tasks = time.monotonic() - began, self.tasks(dag, run)
        told = [self.airflow.xcom(dag, run, UPSCALE, map_index=task.map_index) for task in tasks]
        return Ran(
            dag,
            run,
            self.airflow.api.run_state(dag, run),
            took,
            most,
            self.deferrals(dag, run),
            sum(task.try_number for task in tasks),
            [one for one in told if one],
        )

    def tasks(self, dag: str, run: str) -> list[AirflowTask]:
        """List the instances of the upscaling task, by map index."""
        found = [task for task in self.airflow.task_instances(dag, run) if task.task_id == UPSCALE]
        return sorted(found, key=lambda task: task.map_index)

    def deferrals(self, dag: str, run: str) -> int:
        """Count how often Airflow freed a worker: by its audit log, or what it says in the task's own log (2.11)."""
        if not self.airflow.setup.is_3:
            return self.log(dag, run).count("Pausing task as DEFERRED")
        path = self.airflow.setup.home / "airflow.db"
        counted = "select count(*) from log where event = 'deferred' and dag_id = ? and run_id = ? and task_id = ?"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as database:
            ((number,),) = database.execute(counted, (dag, run, UPSCALE))
        return int(number)

    def log(self, dag: str, run: str) -> str:
        """Return all that a person can read of a run's upscaling task."""
        found = (path for path in self.airflow.logs_dir.rglob("*.log*") if path.is_file())
        mine = sorted(path for path in found if f"run_id={run}/" in str(path) and f"dag_id={dag}/" in str(path))
        return "\n".join(path.read_text(errors="replace") for path in mine)

    def kill(self, name: str) -> int:
        """Kill one of Airflow's processes, alone: what it had started lives on. It is started again at once.

        :param name: see :meth:`AirflowInstance.start_process`
        :return: the id of its session, whose members may be ended with ``reaper.end``
        """
        process = self.airflow._processes.pop(name)
        process.kill()
        process.wait()
        self.airflow.start_process(name)
        return process.pid


class SlotsUsed:
    """How full the service is kept, as :meth:`Backfills.run` looks at it.

    :param slots: that the service has
    :param number: of the images
    :param warm_up: seconds from the first submit that do not count
    """

    def __init__(self, emulator: EmulatorProcess, slots: int, number: int, warm_up: float) -> None:
        self._emulator, self._slots, self._number, self._warm_up = emulator, slots, number, warm_up
        self._seen: list[tuple[float, int, float]] = []

    @property
    def submits(self) -> int:
        """How many tasks were submitted when it was last asked."""
        return self._seen[-1][1] if self._seen else 0

    def __call__(self, look: Look) -> bool:
        """Ask the emulator, not often, for its answer names every purchase; whether it was asked."""
        if self._seen and look.at < self._seen[-1][0] + (10.0 if self.submits else 2.0):
            return False
        if self.submits >= self._number:
            return False
        accounts = self._emulator.accounts()
        self._seen.append((time.monotonic(), accounts["submits"], accounts["slot_seconds"]))
        return True

    def share(self) -> float:
        """Return the share of the slots in use, from the warm-up to the last submit; 0 where nothing was seen of it."""
        begun = next((at for at, submits, _ in self._seen if submits), 0.0)
        counted = [one for one in self._seen if one[0] >= begun + self._warm_up and one[1] < self._number]
        if len(counted) < 2:
            return 0.0
        (first, _, before), (last, _, after) = counted[0], counted[-1]
        return (after - before) / (self._slots * (last - first))


def wrong_with(backfills: Backfills, ran: Ran, number: int, *, sample: int = 200) -> list[str]:
    """Compare a run of the DAG without shards with accounts and bucket; whatever is wrong, in words."""
    if ran.state != "success" or len(ran.results) != 1:
        return [
            f"the run ended with {ran.state}, and {len(ran.results)} results",
            backfills.log(ran.dag, ran.run)[-3000:],
        ]
    return [*audit(backfills.emulator, {"result": ran.result}, number, sample=sample), *_unfit(ran.result)]


def wrong_with_shards(backfills: Backfills, ran: Ran, shards: int, number: int, *, sample: int = 200) -> list[str]:
    """Compare a run of the DAG with shards with accounts and bucket; whatever is wrong, in words."""
    if ran.state != "success" or len(ran.results) != shards:
        return [f"the run ended with {ran.state}, and {len(ran.results)} results"]
    accounts = backfills.emulator.accounts()
    with bucket_of(backfills.emulator) as bucket:
        rows = [row for result in ran.results for row in _rows(bucket, result["manifest"])]
        return [
            *_bought(accounts["purchases"], number),
            *_landed(bucket, number, sample),
            *_counted(accounts, _summed(ran.results), sorted(rows, key=lambda row: str(row["source"])), number),
            *(f"shard {index}: {odd}" for index, result in enumerate(ran.results) for odd in _unfit(result)),
        ]


def wrong_with_another(
    before: Mapping[str, Any], after: Mapping[str, Any], results: Sequence[Mapping[str, Any]], done: int
) -> list[str]:
    """Compare another run over the same images with what it should be: nothing.

    :param before: the accounts before it
    :param after: the accounts after it
    :param done: images that were done before
    """
    told = {
        "done": (sum(result["done"] for result in results), done),
        "purchases": (sum(result["purchases"] for result in results), 0),
        "cost": (sum(result["cost_usd"] for result in results), 0),
        "submits": (after["submits"] - before["submits"], 0),
        "bill": (after["billed_usd"] - before["billed_usd"], 0),
    }
    return [f"the second run: {name}: {said} instead of {so}" for name, (said, so) in told.items() if said != so]


def _summed(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up what the shards returned."""
    numbers = ("planned", "delivered", "recovered", "purchases", "cost_usd", "cost_unknown")
    found: dict[str, Any] = {name: sum(result[name] for result in results) for name in numbers}
    for kinds in ("failed", "not_submitted"):
        found[kinds] = dict(sum((Counter(result[kinds]) for result in results), Counter()))
    return found


def _unfit(result: Mapping[str, Any]) -> Iterator[str]:
    """Say whatever shows that not every image has exactly one outcome."""
    single = sum(result[name] for name in ("delivered", "recovered", "done", "stale", "foreign"))
    settled = single + sum(result["failed"].values()) + sum(result["not_submitted"].values())
    if settled != result["planned"]:
        yield f"{result['planned']} were planned and {settled} have an outcome"
