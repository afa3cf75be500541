"""A real Airflow of the installed version: started, used, broken and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from airflow_instance import AirflowInstance, processes_in, real_airflow

from airflow_provider_clarity.demo.airflow import AirflowError

pytestmark = pytest.mark.system

TRIGGER = """
import asyncio
from airflow.triggers.base import BaseTrigger, TriggerEvent

class Later(BaseTrigger):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def serialize(self):
        return ("probe_trigger.Later", {"seconds": self.seconds})

    async def run(self):
        await asyncio.sleep(self.seconds)
        yield TriggerEvent({"waited": self.seconds})
"""
DAG = """
import datetime, time
from airflow.providers.common.compat.sdk import DAG, BaseOperator
from probe_trigger import Later

class Defer(BaseOperator):
    def execute(self, context):
        context["ti"].xcom_push(key="before", value={"x": 1})
        self.defer(trigger=Later(1.0), method_name="resume")

    def resume(self, context, event):
        return event

class Sleep(BaseOperator):
    def execute(self, context):
        time.sleep(context["dag_run"].conf.get("sleep", 0))

again = {"retries": 2, "retry_delay": datetime.timedelta(seconds=1)}
with DAG("probe", schedule=None, start_date=datetime.datetime(2024, 1, 1), default_args=again):
    Defer(task_id="defer") >> Sleep(task_id="sleep")
"""
OWNER = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have had ignored
from airflow_provider_clarity.demo.airflow import AirflowInstance
with AirflowInstance(Path(sys.argv[1]), Path(sys.argv[1])):
    raise SystemExit("it became healthy before it was ended")
"""


@pytest.fixture(scope="module")
def airflow() -> Iterator[AirflowInstance]:
    with real_airflow({"probe.py": DAG, "probe_trigger.py": TRIGGER}) as instance:
        yield instance
        home = instance.setup.home
        instance.stop()
        assert processes_in(home) == []


def listening(pids: list[int]) -> set[str]:
    """List the addresses that processes listen on."""
    inodes = set()
    for pid in pids:
        for file in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(file.readlink()))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def test_a_deferrable_task_runs_and_its_xcoms_are_read(airflow: AirflowInstance) -> None:
    """Scheduler, worker and triggerer work together."""
    run = airflow.trigger("probe", {"sleep": 0})
    assert airflow.wait("probe", run, 120) == "success"
    assert airflow.xcom("probe", run, "defer") == {"waited": 1.0}
    assert airflow.xcom("probe", run, "defer", "before") == {"x": 1}
    assert airflow.xcom("probe", run, "defer", "absent") is None
    assert {(task.task_id, task.state) for task in airflow.task_instances("probe", run)} == {
        ("defer", "success"),
        ("sleep", "success"),
    }
    assert list(airflow.logs_dir.rglob("*.log"))


def test_it_listens_on_loopback_only(airflow: AirflowInstance) -> None:
    """A demo must not open a door on the machine it runs on."""
    assert set(airflow.pids()) == set(processes_in(airflow.setup.home))
    assert listening(airflow.pids()) <= {"0100007F"}


def test_a_cleared_run_runs_again(airflow: AirflowInstance) -> None:
    """What a user does in the grid."""
    run = airflow.trigger("probe", run_id="to-be-cleared")
    assert airflow.wait("probe", run, 120) == "success"
    first = {task.task_id: task.try_number for task in airflow.task_instances("probe", run)}
    airflow.clear("probe", run)
    assert airflow.wait("probe", run, 120) == "success"
    second = {task.task_id: task.try_number for task in airflow.task_instances("probe", run)}
    assert all(second[task] > first[task] for task in first)


def test_a_killed_task_is_tried_again(airflow: AirflowInstance) -> None:
    """Tests kill workers in the middle of a purchase: the right process must be found."""
    run = airflow.trigger("probe", {"sleep": 20})
    deadline = time.monotonic() + 90
    while not (pids := airflow.task_pids("probe", run, "sleep")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert set(pids) <= set(airflow.pids())
    os.kill(pids[0], signal.SIGKILL)
    while not [task for task in airflow.task_instances("probe", run) if task.state == "up_for_retry"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_killed_triggerer_can_be_replaced(airflow: AirflowInstance) -> None:
    """Tests restart it while something is deferred."""
    before = set(airflow.pids())
    airflow.kill_process("triggerer")
    airflow.start_process("triggerer")
    airflow.wait_healthy()
    assert set(airflow.pids()) - before


def test_a_dag_that_cannot_be_read_is_an_error_that_shows_why(airflow: AirflowInstance) -> None:
    """Rather than a time-out a minute later."""
    broken = airflow.setup.dags_folder / "broken.py"
    broken.write_text("from airflow.providers.common.compat.sdk import DAG\nraise RuntimeError('my DAG is broken')")
    with pytest.raises(AirflowError, match="my DAG is broken"):
        airflow.trigger("absent")
    broken.unlink()


def test_the_web_interface_lets_its_user_in(airflow: AirflowInstance) -> None:
    """With the password that the demo prints."""
    if airflow.url is None:
        pytest.skip("Airflow 2 is started without a web interface; run on Airflow 3")
    user, password = airflow.login
    for known, status in ((password, 201), ("wrong", 401)):
        reply = httpx.post(
            f"{airflow.url}/auth/token", json={"username": user, "password": known}, trust_env=False, timeout=30
        )
        assert reply.status_code == status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_start_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C while it starts, or the end of its owner: no process is left, found another way than the reaper's."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "processes" / "triggerer.log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(processes_in(tmp_path)) > 1
    owner.send_signal(number)
    owner.wait(30)
    while processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_in(tmp_path) == []
