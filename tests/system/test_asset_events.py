"""What a real Airflow keeps of a mapped, deferred upscale: the event of its outlet, and the name of the mapped task."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from emulator_process import ROOT, EmulatorProcess
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

DAG = """
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_clarity.operators.upscale import UpscaleOperator

with DAG(dag_id="outlets", schedule=None):
    UpscaleOperator.partial(
        task_id="upscale",
        destination="gs://print/day/",
        outlets=[Asset("gs://print/day/")],
        deferrable=True,
        defer_after=0,
    ).expand(source=["gs://raw/cat.png"])
"""


@pytest.mark.system
def test_the_event_and_the_name_reach_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through Airflow's own accessors and serialization, after a resume, on either version."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "outlets.py").write_text(DAG)
    with EmulatorProcess("--service-time", "2", buckets=["raw", "print"]) as emulator:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
        client = storage.Client(project="x", credentials=AnonymousCredentials())
        client.bucket("raw").blob("cat.png").upload_from_filename(ROOT / "dags_examples" / "images" / "chelsea.png")
        client.close()
        clarity = {"conn_type": "clarity", "password": emulator.api_key, "host": emulator.runware_url}
        google = {"conn_type": "google_cloud_platform", "extra": {"key_path": emulator.service_account_file}}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(clarity),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        done = subprocess.run(
            [sys.executable, str(Path(__file__).parent / "run_dag_tests.py"), '[["outlets", {}]]'],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert '"state": "success"' in done.stdout, done.stdout + done.stderr
    with sqlite3.connect(tmp_path / "airflow.db") as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
        events = "asset_event" if "asset_event" in tables else "dataset_event"
        ((extra,),) = database.execute(f"select extra from {events}").fetchall()  # noqa: S608 - one of two names
        ((name,),) = database.execute("select rendered_map_index from task_instance").fetchall()
    database.close()
    told = json.loads(extra)
    assert (told["uri"], told["outcome"]) == ("gs://print/day/cat.jpg", "delivered")
    assert set(told) >= {"uri", "outcome", "cost_usd", "task_uuid", "width", "height"}
    assert name == "gs://raw/cat.png"
