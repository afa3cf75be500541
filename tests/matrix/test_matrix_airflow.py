"""The kill matrix through a real Airflow: its scheduler, its triggerer, its workers, killed by their ids.

One instance serves all tests; each image has a bucket, and so faults and moments, of its own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pytest
from airflow_instance import AirflowInstance, real_airflow
from matrix_canaries import search, secrets_of, texts_in, texts_of
from matrix_moments import MOMENTS, Moment
from matrix_world import Bench, World

pytestmark = [pytest.mark.matrix, pytest.mark.system]

DAGS = {
    "images.py": """
from datetime import timedelta
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_clarity.operators.upscale import UpscaleOperator

for name, deferrable in (("waiting", False), ("deferring", True)):
    with DAG(dag_id=name, schedule=None, default_args={"retries": 4, "retry_delay": timedelta(seconds=1)}) as dag:

        @task
        def images(**context):
            buckets = context["dag_run"].conf["buckets"]
            return [{"source": f"gs://{b}/raw/cat.png", "destination": f"gs://{b}/print/cat.jpg"} for b in buckets]

        UpscaleOperator.partial(
            task_id="upscale", deferrable=deferrable, defer_after=0, item_timeout=90, timeout=280
        ).expand_kwargs(images())
    globals()[name] = dag
""",
}


@dataclass
class Site:
    """An Airflow, and the service behind it.

    :param made: all images so far
    """

    airflow: AirflowInstance
    world: World
    made: list[Bench] = field(default_factory=list)
    killed: int = 0
    triggerers: int = 0

    def benches(self, *labels: str) -> list[Bench]:
        """An image for each label."""
        found = [Bench(self.world, f"airflow {label}") for label in labels]
        self.made += found
        return found

    def trigger(self, dag: str, benches: Sequence[Bench]) -> str:
        """Begin a DAG run over images."""
        return self.airflow.trigger(dag, {"buckets": [bench.bucket for bench in benches]})

    def states(self, dag: str, run: str) -> dict[int, str | None]:
        """The states of the mapped task instances."""
        tasks = self.airflow.task_instances(dag, run)
        return {task.map_index: task.state for task in tasks if task.task_id == "upscale" and task.map_index >= 0}

    def until_deferred(self, dag: str, run: str, number: int) -> None:
        """Wait until so many images are bought and deferred."""
        self.airflow.wait_until(
            lambda: sum(state == "deferred" for state in self.states(dag, run).values()) >= number,
            180,
            "Too few images are deferred",
        )

    def check(self, dag: str, run: str, benches: Sequence[Bench]) -> None:
        """Each image: one purchase, the right picture."""
        assert self.airflow.wait(dag, run, 400) == "success"
        self.world.look()
        self.world.look()
        for bench in benches:
            assert [bought["count"] for bought in bench.purchases.values()] == [1], bench.label
            bench.check_picture()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Everything, once."""
    switches = {"conflict_after_done": "accept", "upload_lag_s": 18.0}  # to resume a task may take Airflow long
    with World("airflow", switches, service_time=8) as world:
        environment = Bench(world, "environment").environment()
        with real_airflow(DAGS, environment) as airflow:
            yield Site(airflow, world)


RESUMED = ("before_the_submit", "acknowledged", "while_it_uploads", "before_promotion", "after_promotion")
"""Before the deferral and after it; the other moments are the same code on the same worker."""


@pytest.mark.parametrize(("dag", "names"), [("waiting", tuple(MOMENTS)), ("deferring", RESUMED)])
def test_a_worker_may_die_at_every_moment(site: Site, dag: str, names: tuple[str, ...]) -> None:
    """Breaks if the retry that Airflow starts after a crash pays again, or loses the picture."""
    moments = {name: MOMENTS[name] for name in names}
    benches = site.benches(*(f"{dag} {name}" for name in moments))
    for bench, moment in zip(benches, moments.values(), strict=True):
        moment.arm(bench)
    run = site.trigger(dag, benches)
    killed: dict[str, bool] = {}
    over = threading.Event()

    def kill(index: int, bench: Bench, name: str, moment: Moment) -> None:
        while not over.is_set() and name not in killed:
            site.world.look()
            if not moment.come(bench):
                continue
            pids = site.airflow.task_pids(dag, run, "upscale", index)
            if pids:
                os.kill(pids[0], signal.SIGKILL)
                site.world.look()
                moment.proof(bench)
                killed[name] = True

    threads = [
        threading.Thread(target=kill, args=(index, bench, name, moment))
        for index, (bench, (name, moment)) in enumerate(zip(benches, moments.items(), strict=True))
    ]
    for thread in threads:
        thread.start()
    try:
        site.check(dag, run, benches)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert sorted(killed) == sorted(moments)
    site.killed += len(killed)


def test_the_triggerer_may_die_while_images_are_deferred(site: Site) -> None:
    """Breaks if a trigger that runs again, elsewhere, buys or strands anything."""
    benches = site.benches(*(f"triggerer {number}" for number in range(6)))
    run = site.trigger("deferring", benches)
    site.until_deferred("deferring", run, 2)
    site.airflow.kill_process("triggerer")
    site.triggerers += 1
    site.until_deferred("deferring", run, 6)
    assert all(bench.bought for bench in benches)
    site.airflow.start_process("triggerer")
    site.check("deferring", run, benches)


def test_a_clear_while_deferred_buys_nothing(site: Site) -> None:
    """Breaks if a task that is cleared while its purchase is on its way buys another."""
    benches = site.benches("cleared 1", "cleared 2")
    run = site.trigger("deferring", benches)
    site.until_deferred("deferring", run, 2)
    site.airflow.clear("deferring", run)
    site.check("deferring", run, benches)
    tries = [task.try_number for task in site.airflow.task_instances("deferring", run) if task.task_id == "upscale"]
    assert min(tries) >= 2


def test_two_runs_at_once_share_one_purchase(site: Site) -> None:
    """Breaks if two DAG runs of the same images, begun together, both buy."""
    benches = site.benches("both 1", "both 2")
    runs = [(dag, site.trigger(dag, benches)) for dag in ("waiting", "deferring")]
    for dag, run in runs:
        site.check(dag, run, benches)


def test_no_secret_is_anywhere_in_this_airflow(site: Site, counted: dict[str, list[str]]) -> None:
    """Logs, database (XComs, rendered fields, trigger rows, events), records of all runs above."""
    home = site.airflow.setup.home
    records = chain.from_iterable(texts_of(bench) for bench in site.made)
    searched = search(chain(texts_in(home), records), secrets_of(site.world))
    assert searched.found == ()
    assert searched.size > 1_000_000
    assert any(path.suffix == ".db" for path in home.rglob("*"))
    counted["The matrix through a real Airflow"] = [
        f"images: {len(site.made)}, workers killed: {site.killed}, triggerers killed: {site.triggerers}",
        f"purchases: {sum(len(bench.purchases) for bench in site.made)}",
        f"searched for secrets: {searched.files} texts, {searched.size / 1e6:.1f} MB",
    ]
