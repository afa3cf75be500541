"""A real Airflow (scheduler, triggerer, workers), the emulator behind its connections, and everything that goes wrong.

One instance serves all tests of this file; each DAG run has images of its own.
"""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow_instance import AirflowInstance, real_airflow
from emulator_process import EmulatorProcess
from google.cloud import storage
from google.oauth2 import service_account
from PIL import Image

pytestmark = pytest.mark.system

SERVICE_TIME = 7
DAGS = {
    "images.py": """
from datetime import timedelta
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_clarity.operators.upscale import UpscaleOperator

for name, deferrable in (("waiting", False), ("deferring", True)):
    with DAG(dag_id=name, schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=1)}) as dag:

        @task
        def images(params=None, **context):
            return context["dag_run"].conf["sources"]

        UpscaleOperator.partial(
            task_id="upscale",
            destination="gs://print/",
            deferrable=deferrable,
        ).expand(source=images())
    globals()[name] = dag
""",
}


@dataclass
class World:
    """An Airflow, the service behind it, and a bucket."""

    airflow: AirflowInstance
    emulator: EmulatorProcess
    client: Any

    def upload(self, *names: str) -> list[str]:
        """Put pictures into the bucket; return their URIs."""
        out = io.BytesIO()
        Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 40).convert("RGB").save(out, "PNG")
        for name in names:
            self.client.bucket("raw").blob(name).upload_from_string(out.getvalue(), content_type="image/png")
        return [f"gs://raw/{name}" for name in names]

    def purchases(self, name: str) -> list[dict[str, Any]]:
        """What was bought of a source."""
        found = self.emulator.accounts()["purchases"].values()
        return [purchase for purchase in found if purchase["source"].endswith(f"/{name}")]

    def run(self, dag: str, sources: list[str], timeout: float = 240) -> tuple[str, str]:
        """Run a DAG over sources; return the run id and its state."""
        run = self.airflow.trigger(dag, {"sources": sources})
        return run, self.airflow.wait(dag, run, timeout)

    def result(self, dag: str, run: str, index: int) -> Any:
        """What the operator returned."""
        return self.airflow.xcom(dag, run, "upscale", map_index=index)

    def log(self, dag: str, run: str, index: int) -> str:
        """All that a person can read of a task."""
        folder = next(self.airflow.logs_dir.rglob(f"*run_id={run}"))
        paths = [path for path in folder.rglob("*.log*") if f"map_index={index}{os.sep}" in f"{path}{os.sep}"]
        return "\n".join(path.read_text(errors="replace") for path in sorted(paths) if dag in str(path))

    def picture(self, name: str) -> Image.Image:
        """Decode a delivered picture."""
        picture = Image.open(io.BytesIO(self.client.bucket("print").blob(name).download_as_bytes()))
        picture.load()
        return picture


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Everything, once."""
    with (
        EmulatorProcess("--service-time", str(SERVICE_TIME), buckets=["raw", "print"]) as emulator,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
        credentials = service_account.Credentials.from_service_account_file(
            emulator.service_account_file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        client = storage.Client(project="emulator", credentials=credentials)
        clarity = {"conn_type": "clarity", "password": emulator.api_key, "host": emulator.runware_url}
        google = {"conn_type": "google_cloud_platform", "extra": {"key_path": emulator.service_account_file}}
        connections = {
            "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(clarity),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
            "STORAGE_EMULATOR_HOST": emulator.storage_url,
        }
        with real_airflow(DAGS, connections) as airflow:
            yield World(airflow, emulator, client)
        client.close()


FAULTS = {
    "reset.png": ("submit", "reset_after"),
    "unavailable.png": ("submit", "status_503_after"),
    "page.png": ("submit", "html"),
    "refused.png": ("upload", "refuse_403"),
    "provider.png": ("poll", "error:providerError"),
    "safety.png": ("poll", "error:contentPolicyViolation"),
    "plain.png": ("", ""),
}


def test_every_fault_ends_in_one_purchase_or_an_honest_failure(world: World) -> None:
    """Deferred for real; each image meets another fault, and each is paid once, or told why not."""
    names = list(FAULTS)
    sources = world.upload(*names)
    world.emulator.faults(
        [
            {"operation": operation, "fault": fault, "times": 1, "match": name}
            for name, (operation, fault) in FAULTS.items()
            if fault
        ]
    )
    run, state = world.run("deferring", sources)
    assert state == "failed", "the refused content must show"
    outcomes = {}
    for index, name in enumerate(names):
        result = world.result("deferring", run, index)
        outcomes[name] = result["outcome"] if result else None
        assert [purchase["count"] for purchase in world.purchases(name)] == ([1, 1] if name == "provider.png" else [1])
    assert outcomes == {
        "reset.png": "delivered",
        "unavailable.png": "delivered",
        "page.png": "delivered",
        "refused.png": "recovered",
        "provider.png": "delivered",
        "safety.png": None,
        "plain.png": "delivered",
    }
    assert [fault["fired"] for fault in world.emulator.faults()] == [1] * 6
    for name in (name for name in names if outcomes[name]):
        assert world.picture(name.replace(".png", ".jpg")).size == (128, 96)
    assert "ClaritySafetyError" in world.log("deferring", run, names.index("safety.png"))
    assert "trigger" in world.log("deferring", run, names.index("plain.png")).lower()


def test_a_second_run_submits_nothing_and_costs_nothing(world: World) -> None:
    """The same DAG over the same image again."""
    sources = world.upload("again.png")
    run, state = world.run("waiting", sources)
    assert state == "success"
    before = world.emulator.accounts()
    again, state = world.run("waiting", sources)
    after = world.emulator.accounts()
    assert state == "success"
    assert world.result("waiting", again, 0)["outcome"] == "done"
    assert world.result("waiting", again, 0)["cost_usd"] == 0
    assert (after["submits"], after["billed_usd"]) == (before["submits"], before["billed_usd"])
    assert world.result("waiting", run, 0)["cost_usd"] > 0


@pytest.mark.parametrize("dag", ["waiting", "deferring"])
def test_a_killed_worker_is_adopted_by_the_retry(world: World, dag: str) -> None:
    """SIGKILL after the submit: the next try finds the purchase and pays nothing."""
    name = f"killed-{dag}.png"
    run = world.airflow.trigger(dag, {"sources": world.upload(name)})
    deadline = time.monotonic() + 90
    while not world.purchases(name):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)
    pids = world.airflow.task_pids(dag, run, "upscale", 0)
    assert pids, "the task ended before it could be killed"
    os.kill(pids[0], signal.SIGKILL)
    assert world.airflow.wait(dag, run, 240) == "success"
    task = next(task for task in world.airflow.task_instances(dag, run) if task.task_id == "upscale")
    assert task.try_number >= 2
    assert world.result(dag, run, 0)["outcome"] == "delivered"
    assert [purchase["count"] for purchase in world.purchases(name)] == [1]


def test_a_clear_buys_nothing_that_is_there(world: World) -> None:
    """Clearing a delivered image: the picture is there, so nothing is paid."""
    sources = world.upload("cleared.png")
    run, _ = world.run("waiting", sources)
    before = world.emulator.accounts()["submits"]
    world.airflow.clear("waiting", run)
    assert world.airflow.wait("waiting", run, 120) == "success"
    assert world.emulator.accounts()["submits"] == before
    assert world.result("waiting", run, 0)["outcome"] == "delivered"


def test_a_clear_raises_max_tries_and_a_retry_does_not(world: World) -> None:
    """A failed image is bought again by a clear: rounds rest on what Airflow does with max_tries."""
    sources = world.upload("cursed.png")
    world.emulator.faults([{"operation": "poll", "fault": "error:promptBlocked", "times": 1, "match": "cursed.png"}])
    run, state = world.run("waiting", sources)
    assert state == "failed"
    assert len(world.purchases("cursed.png")) == 1
    world.airflow.clear("waiting", run)
    assert world.airflow.wait("waiting", run, 120) == "success"
    assert [purchase["count"] for purchase in world.purchases("cursed.png")] == [1, 1]


def test_no_secret_is_anywhere_in_airflow_or_the_bucket(world: World) -> None:
    """Logs, database (XComs, rendered fields, trigger rows, events), records: searched plain, URL-encoded, base64."""
    key_file = json.loads(Path(world.emulator.service_account_file).read_text())
    pem_line = key_file["private_key"].splitlines()[5]
    secrets = [world.emulator.api_key, pem_line, "X-Goog-Signature=", "upload_id="]
    needles = {needle: secret for secret in secrets for needle in _spellings(secret)}
    searched = 0
    texts = [path for path in world.airflow.setup.home.rglob("*") if path.is_file()]
    for path in texts:
        content = path.read_bytes()
        searched += len(content)
        for needle, secret in needles.items():
            assert needle not in content, f"{secret[:12]}... in {path.relative_to(world.airflow.setup.home)}"
    for blob in world.client.list_blobs("print", prefix="_clarity/"):
        content = blob.download_as_bytes() + json.dumps(blob.metadata or {}).encode()
        for needle, secret in needles.items():
            assert needle not in content, f"{secret[:12]}... in {blob.name}"
    assert searched > 100_000
    assert any(path.suffix == ".db" for path in texts)
    assert any("task_id=upscale" in str(path) for path in texts)


def _spellings(secret: str) -> list[bytes]:
    """The secret plain, URL-encoded, and base64 at each of its three alignments."""
    found = [secret.encode(), quote(secret, safe="").encode()]
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + secret.encode())
        found.append(coded[4 if shift else 0 : -4])
    return found
