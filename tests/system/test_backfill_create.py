"""``airflow backfill create`` over past days, in a real Airflow: what it buys, and what it buys when given again."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from typing import Any

import pytest
from airflow_instance import AirflowInstance, real_airflow
from emulator_process import ROOT, EmulatorProcess
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from PIL import Image

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(version("apache-airflow") < "3", reason="`airflow backfill` is Airflow 3's; it runs on 3.3.2"),
]

DAG_ID = "clarity_daily_prefix"
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")


@dataclass
class World:
    """An Airflow with the daily example, and the service behind it."""

    airflow: AirflowInstance
    emulator: EmulatorProcess

    def backfill(self, *more: str) -> dict[str, tuple[str, str]]:
        """Create one by the command of the page, wait for its runs; return run id and state by logical date."""
        # Airflow notes twice a minute that one is over, and takes no other of the DAG before it
        self._wait("select id from backfill where completed_at is null")
        command = ["backfill", "create", "--dag-id", DAG_ID, "--from-date", DAYS[0], "--to-date", DAYS[-1]]
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command, "--max-active-runs", "2", *more],
            env=self.airflow.env,
            cwd=self.airflow.setup.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self._wait("select id from dag_run where run_type = 'backfill' and state in ('queued', 'running')")
        found = self._rows("select logical_date, run_id, state from dag_run where run_type = 'backfill'")
        return {date[:10]: (run_id, state) for date, run_id, state in found}

    def bought(self) -> dict[str, int]:
        """How often each source was bought, under whatever UUID."""
        found: dict[str, int] = {}
        for purchase in self.emulator.accounts()["purchases"].values():
            name = "/".join(purchase["source"].rsplit("/", 2)[1:])
            found[name] = found.get(name, 0) + purchase["count"]
        return found

    def told(self, day: str, run_id: str) -> dict[str, Any]:
        """What the task of a day returned."""
        value: dict[str, Any] = self.airflow.xcom(DAG_ID, run_id, "upscale")
        assert value is not None, day
        return value

    def _wait(self, query: str) -> None:
        """Wait until there is no such row any more."""
        self.airflow.wait_until(lambda: not self._rows(query), 300, f"There still is what this finds: {query}")

    def _rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.airflow.setup.home / "airflow.db", timeout=60)) as database:
            return database.execute(query).fetchall()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two pictures a day."""
    with EmulatorProcess("--service-time", "0.3", buckets=["raw", "print"]) as emulator:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
        client = storage.Client(project="x", credentials=AnonymousCredentials())
        for day in DAYS:
            for n in range(2):
                out = BytesIO()
                Image.new("RGB", (40, 30), (int(day[-1]) * 50, n * 90, 40)).save(out, "PNG")
                blob = client.bucket("raw").blob(f"catalog/{day}/{n}.png")
                blob.upload_from_string(out.getvalue(), content_type="image/png")
        client.close()
        clarity = {"conn_type": "clarity", "password": emulator.api_key, "host": emulator.runware_url}
        google = {"conn_type": "google_cloud_platform", "extra": {"key_path": emulator.service_account_file}}
        environment = {
            "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(clarity),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
            "STORAGE_EMULATOR_HOST": emulator.storage_url,
        }
        dags = {"daily_prefix.py": (ROOT / "dags_examples" / "daily_prefix.py").read_text()}
        with real_airflow(dags, environment) as airflow:
            airflow.wait_for_dag(DAG_ID)
            yield World(airflow, emulator)


def test_past_days_are_bought_once_and_only_what_failed_again(world: World) -> None:
    """Breaks if a day takes another's folder, or if ``--reprocess-behavior failed`` buys what was delivered."""
    refused = {"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1, "match": "2026-03-02/1.png"}
    world.emulator.faults([refused])
    first = world.backfill()
    states = {day: state for day, (_, state) in first.items()}
    assert states == dict(zip(DAYS, ("success", "failed", "success"), strict=True))
    once = {f"{day}/{n}.png": 1 for day in DAYS for n in range(2)}
    assert world.bought() == once
    run_id, _ = first["2026-03-01"]
    assert world.told("2026-03-01", run_id)["delivered"] == 2
    again = world.backfill("--reprocess-behavior", "failed")
    assert {day: run_id for day, (run_id, _) in again.items()} == {day: run_id for day, (run_id, _) in first.items()}
    assert {state for _, state in again.values()} == {"success"}
    assert world.bought() == once | {"2026-03-02/1.png": 2}
    run_id, _ = again["2026-03-02"]
    assert world.told("2026-03-02", run_id)["purchases"] == 1
