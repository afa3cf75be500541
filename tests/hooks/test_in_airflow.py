"""Hook and link inside a real Airflow: the connection in a triggerer, the link as its server gives it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from airflow_instance import AirflowInstance, real_airflow

pytestmark = pytest.mark.system

TRIGGER = """
from airflow.triggers.base import BaseTrigger, TriggerEvent
from airflow_provider_clarity.hooks.clarity import ClarityHook

class ReadSettings(BaseTrigger):
    def __init__(self, conn_id):
        super().__init__()
        self.conn_id = conn_id

    def serialize(self):
        return ("settings_trigger.ReadSettings", {"conn_id": self.conn_id})

    async def run(self):
        try:
            settings = await ClarityHook(self.conn_id).aget_settings()
            yield TriggerEvent({"address": settings.base_url, "key_length": len(settings.api_key)})
        except Exception as error:
            yield TriggerEvent({"error": f"{type(error).__name__}: {error}"})
"""
DAG = """
import datetime
from airflow.providers.common.compat.sdk import DAG, BaseOperator
from airflow_provider_clarity.hooks.clarity import ClarityHook
from airflow_provider_clarity.links.clarity import OBJECT_KEY, ClarityObjectLink
from settings_trigger import ReadSettings

class Probe(BaseOperator):
    operator_extra_links = (ClarityObjectLink(),)

    def __init__(self, conn_id, **kwargs):
        super().__init__(**kwargs)
        self.conn_id = conn_id

    def execute(self, context):
        if self.conn_id != "absent":
            ClarityHook(self.conn_id).get_settings()
        self.defer(trigger=ReadSettings(self.conn_id), method_name="resume")

    def resume(self, context, event):
        context["ti"].xcom_push(key=OBJECT_KEY, value="gs://print/a b.jpg")
        return event

again = {"retries": 2, "retry_delay": datetime.timedelta(seconds=1)}
with DAG("settings", schedule=None, start_date=datetime.datetime(2024, 1, 1), default_args=again):
    for conn_id in ("from_environment", "from_database", "absent"):
        Probe(task_id=conn_id, conn_id=conn_id)
"""
LINK_OF_2 = """
from airflow.models import DagBag, TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select
with create_session() as session:
    ti = session.scalar(select(TaskInstance).where(TaskInstance.task_id == "from_database"))
    task = DagBag(read_dags_from_db=True).get_dag("settings").get_task("from_database")
    print("LINK", task.get_extra_links(ti, "Delivered image"))
"""


@pytest.fixture(scope="module")
def airflow() -> Iterator[AirflowInstance]:
    connection = json.dumps({"conn_type": "clarity", "password": "key-1", "host": "http://127.0.0.1:9/v1"})
    files = {"settings_dag.py": DAG, "settings_trigger.py": TRIGGER}
    with real_airflow(files, {"AIRFLOW_CONN_FROM_ENVIRONMENT": connection}) as instance:
        uri = "clarity://:key-22@127.0.0.1:9/v1"
        added = [sys.executable, "-m", "airflow", "connections", "add", "from_database", "--conn-uri", uri]
        subprocess.run(added, env=instance.env, check=True, capture_output=True)
        yield instance


@pytest.fixture(scope="module")
def run_id(airflow: AirflowInstance) -> str:
    run = airflow.trigger("settings")
    assert airflow.wait("settings", run, 180) == "success"
    return run


@pytest.mark.parametrize(("conn_id", "length"), [("from_environment", 5), ("from_database", 6)])
def test_task_and_triggerer_read_the_connection(
    airflow: AirflowInstance, run_id: str, conn_id: str, length: int
) -> None:
    """Wherever it is stored, on the event loop of a real triggerer."""
    found = airflow.xcom("settings", run_id, conn_id)
    assert found == {"address": "http://127.0.0.1:9/v1", "key_length": length}


def test_an_absent_connection_is_named_in_the_triggerer(airflow: AirflowInstance, run_id: str) -> None:
    """In our words, as an error that the trigger can put into its event."""
    found = airflow.xcom("settings", run_id, "absent")
    assert found["error"].startswith("ClarityAuthError: The connection 'absent' does not exist.")


def test_the_link_leads_to_the_object(airflow: AirflowInstance, run_id: str) -> None:
    """As the server of this Airflow answers when somebody opens the task."""
    page = "https://console.cloud.google.com/storage/browser/_details/print/a%20b.jpg"
    if airflow.setup.is_3:
        path = f"/dags/settings/dagRuns/{run_id}/taskInstances/from_database/links"
        links = airflow.api._call("GET", path)["extra_links"]  # type: ignore[union-attr]
        assert links == {"Delivered image": page}
        assert airflow.xcom("settings", run_id, "from_database", "clarity_object") == "gs://print/a b.jpg"
    else:
        command = [sys.executable, "-c", LINK_OF_2]
        found = subprocess.run(command, env=airflow.env, check=True, capture_output=True, text=True)
        assert f"LINK {page}" in found.stdout


def test_no_log_shows_a_key(airflow: AirflowInstance, run_id: str) -> None:
    """Neither the tasks' logs nor those of Airflow's own processes."""
    assert run_id
    for log in (*airflow.logs_dir.rglob("*.log"), *airflow.process_logs_dir.glob("*.log")):
        assert "key-22" not in log.read_text(encoding="utf-8", errors="replace"), log
