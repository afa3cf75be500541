"""A daily batch as it is run: by ``airflow backfill create``, by the scheduler, and by ``dag.test()``.

``airflow backfill create`` is Airflow 3's; the other two run on both versions. One Airflow serves all of the file.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from airflow_instance import AirflowInstance, real_airflow
from airflow_person import Person
from batch_shop import Shop, open_shop
from emulator_process import ROOT

pytestmark = pytest.mark.system

DAYS = [f"2026-01-{day:02}" for day in range(1, 11)]
BAD_DAY = DAYS[6]
IMAGES = ["a.png", "b.png"]
DAG = """
from datetime import datetime, timedelta
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_clarity.operators.batch import UpscaleBatchOperator

PATIENT = {"retries": 3, "retry_delay": timedelta(seconds=1)}
FIRST = datetime(2026, 1, 1)

# The scheduler runs nothing of it: its last day is long over.
with DAG("catalog", schedule="@daily", start_date=FIRST, end_date=datetime(2026, 1, 31), catchup=False,
         default_args=PATIENT):
    UpscaleBatchOperator(
        task_id="day", source="gs://raw/catalog/{{ ds }}/", destination="gs://print/catalog/{{ ds }}/"
    )

# Of it the scheduler runs one day, as soon as it has read it.
with DAG("nightly", schedule="@daily", start_date=FIRST, end_date=FIRST, catchup=True, default_args=PATIENT):
    UpscaleBatchOperator(
        task_id="day", source="gs://raw/nightly/{{ ds }}/", destination="gs://print/nightly/{{ ds }}/",
        deferrable=True, defer_after=0, max_in_flight=2,
    )
"""

only_3 = pytest.mark.skipif(
    version("apache-airflow") < "3", reason="`airflow backfill create` is a command of Airflow 3: run with 3.3.2"
)


@dataclass
class Office:
    """An Airflow with two daily DAGs, and the pictures of their days."""

    airflow: AirflowInstance
    shop: Shop

    def backfill(self, person: Person, *options: str) -> dict[str, str]:
        """Run the command over the ten days, and wait for all of its runs. Return their states by day."""
        period = ("--from-date", DAYS[0], "--to-date", DAYS[-1], "--max-active-runs", "10")
        with at_rest(self.airflow):
            done = subprocess.run(
                [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", "catalog", *period, *options],
                env=self.airflow.env,
                cwd=self.airflow.setup.home,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        self.airflow.wait_until(
            lambda: set(person.runs("catalog").values()) <= {"success", "failed"}, 240, "The backfill is not over"
        )
        person.end_backfills("catalog")
        return {run.removeprefix("backfill__")[:10]: state for run, state in person.runs("catalog").items()}

    def bought(self) -> Counter[str]:
        """How often each picture was bought, by day and name."""
        return Counter({f"{day}/{name}": n for day in DAYS for name, n in self.shop.counts(f"catalog/{day}").items()})


def log_of(airflow: AirflowInstance, dag: str) -> str:
    """All that a DAG's tasks have logged."""
    paths = sorted(path for path in airflow.logs_dir.rglob("*.log*") if f"dag_id={dag}{os.sep}" in str(path))
    return "\n".join(path.read_text(errors="replace") for path in paths)


@contextmanager
def at_rest(airflow: AirflowInstance) -> Iterator[None]:
    """Stop all of Airflow's processes meanwhile, in a moment in which none of them uses the database.

    The command reads and then writes in one transaction, which SQLite refuses wherever another process has written in
    between; the databases that Airflow is run with do not.
    """
    with ExitStack() as stack:
        while True:
            pids = airflow.pids()
            stack.callback(tell, pids, signal.SIGCONT)
            tell(pids, signal.SIGSTOP)
            if is_free(airflow.setup.home / "airflow.db"):
                break
            stack.close()
            time.sleep(0.1)
        yield


def tell(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to processes, of which some may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def is_free(database: Path) -> bool:
    """Whether nobody holds a lock on a SQLite database."""
    with closing(sqlite3.connect(database, timeout=0.1)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return False
        connection.rollback()
        return True


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """The pictures of all days are there before Airflow is."""
    with open_shop("--service-time", "1") as shop:
        for day in DAYS:
            shop.upload(f"catalog/{day}", *IMAGES)
        shop.upload(f"nightly/{DAYS[0]}", "a.png", "b.png", "c.png")
        with real_airflow({"daily.py": DAG}, shop.connections) as airflow:
            yield Office(airflow, shop)


@pytest.fixture(scope="module")
def person(office: Office) -> Iterator[Person]:
    """Who looks at the backfills."""
    somebody = Person(office.airflow)
    yield somebody
    somebody.close()


@pytest.fixture(scope="module")
def first(office: Office, person: Person) -> dict[str, str]:
    """The first backfill, in which an image of one day is refused for good; the states of its days."""
    office.airflow.wait_for_dag("catalog")
    fault = {"operation": "work", "fault": "error:contentPolicyViolation", "times": 1, "match": f"{BAD_DAY}/b.png"}
    office.shop.emulator.faults([fault])
    return office.backfill(person)


def once() -> Counter[str]:
    """Every image of every day, bought once."""
    return Counter(f"{day}/{name}" for day in DAYS for name in IMAGES)


def test_the_scheduler_runs_a_day_deferred(office: Office) -> None:
    """Breaks if a batch does not survive the deferrals that a real triggerer resumes, on either version."""
    run = f"scheduled__{DAYS[0]}T00:00:00+00:00"
    office.airflow.wait_for_dag("nightly")
    api = office.airflow.api
    office.airflow.wait_until(lambda: run in api.runs("nightly").values(), 120, "The scheduler has not made the run")
    assert office.airflow.wait("nightly", run) == "success"
    folder = f"nightly/{DAYS[0]}"
    assert office.shop.counts(folder) == dict.fromkeys(["a.png", "b.png", "c.png"], 1)
    assert office.shop.pictures(folder) == set("abc")
    assert office.airflow.xcom("nightly", run, "day")["delivered"] == 3
    assert "Freeing the worker" in log_of(office.airflow, "nightly")


@only_3
def test_ten_days_are_bought_once_and_a_second_backfill_reprocesses_nothing(
    office: Office, person: Person, first: dict[str, str]
) -> None:
    """Breaks if a day or an image is left out or paid twice, or if one bad image fails another day than its own."""
    assert first == dict.fromkeys(DAYS, "success") | {BAD_DAY: "failed"}
    assert office.bought() == once()
    assert office.backfill(person) == first, "without --reprocess-behavior Airflow runs no day again"
    assert office.bought() == once()
    assert person.try_numbers("catalog", "day") == [1] * 10


@only_3
def test_reprocessing_buys_what_failed_and_nothing_that_is_done(
    office: Office, person: Person, first: dict[str, str]
) -> None:
    """Breaks if a day that failed cannot be mended by a backfill, or if days that run again pay again.

    Airflow clears the runs that it reprocesses, under the ids they have: to the operator it is a person's clear, since
    ``max_tries`` grows, and so it may buy again what failed for good.
    """
    assert first[BAD_DAY] == "failed"
    bad = DAYS.index(BAD_DAY)
    assert set(office.backfill(person, "--reprocess-behavior", "failed").values()) == {"success"}
    assert office.bought() == once() + Counter({f"{BAD_DAY}/b.png": 1})
    assert person.try_numbers("catalog", "day") == [2 if day == bad else 1 for day in range(10)]

    assert set(office.backfill(person, "--reprocess-behavior", "completed").values()) == {"success"}
    assert office.bought() == once() + Counter({f"{BAD_DAY}/b.png": 1})
    assert person.try_numbers("catalog", "day") == [3 if day == bad else 2 for day in range(10)]
    assert person.max_tries("catalog", "day") == [5 if day == bad else 4 for day in range(10)]
    for day in DAYS:
        assert office.shop.pictures(f"catalog/{day}") == {"a", "b"}


def test_dag_test_runs_a_day_and_the_same_day_again_for_nothing(tmp_path: Path) -> None:
    """Breaks if a developer's ``dag.test()`` cannot run a batch, resume it inline, or pays for a day a second time."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "daily.py").write_text(DAG)
    with open_shop("--service-time", "1") as shop:
        shop.upload(f"nightly/{DAYS[0]}", "a.png", "b.png", "c.png")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            **shop.connections,
        }
        script = Path(__file__).parent / "run_a_day.py"
        done = subprocess.run(
            [sys.executable, str(script), "[]", "nightly", DAYS[0], DAYS[0]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.stdout.count(f'DAY ["{DAYS[0]}", "success"]') == 2, said
        assert shop.counts(f"nightly/{DAYS[0]}") == dict.fromkeys(["a.png", "b.png", "c.png"], 1)
        assert shop.emulator.accounts()["submits"] == 3
        assert shop.pictures(f"nightly/{DAYS[0]}") == set("abc")
        assert "Freeing the worker" in said
