"""Every example a user would copy runs, with ``dag.test()``, as it is."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator_process import ROOT, EmulatorProcess
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

EXAMPLES = sorted((ROOT / "dags_examples").glob("*.py"))
DAG_IDS = {
    "one_image.py": "clarity_one_image",
    "mapped_handful.py": "clarity_mapped_handful",
    "image_from_upstream.py": "clarity_image_from_upstream",
}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorProcess]:
    """A service slow enough that the operators defer, with the image that the examples' parameters name."""
    with EmulatorProcess("--service-time", "6.5", buckets=["raw", "print"]) as process:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", process.storage_url)
        client = storage.Client(project="x", credentials=AnonymousCredentials())
        client.bucket("raw").blob("cat.png").upload_from_filename(ROOT / "dags_examples" / "images" / "chelsea.png")
        client.close()
        yield process


@pytest.mark.system
def test_every_example_runs_as_it_is(emulator: EmulatorProcess, tmp_path: Path) -> None:
    """With the defaults of its parameters, in one process, deferrals included."""
    clarity = {"conn_type": "clarity", "password": emulator.api_key, "host": emulator.runware_url}
    google = {"conn_type": "google_cloud_platform", "extra": {"key_path": emulator.service_account_file}}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags_examples"),
        "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(clarity),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    runs = [[dag_id, {}] for dag_id in DAG_IDS.values()]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "run_dag_tests.py"), json.dumps(runs)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    results = [json.loads(line.split(" ", 1)[1]) for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert results == [{"dag": dag_id, "state": "success"} for dag_id in DAG_IDS.values()], done.stdout + done.stderr
    purchases = emulator.accounts()["purchases"].values()
    assert [purchase["count"] for purchase in purchases] == [1, 1]  # the second example finds what the first bought
    assert "Freeing the worker" in done.stdout + done.stderr


def test_every_example_is_run() -> None:
    """A new example must not go untested."""
    assert [path.name for path in EXAMPLES] == sorted(DAG_IDS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_says_what_it_is_for_and_retries(path: Path) -> None:
    """A user copies the file: its docstring is the manual, and without retries nothing is taken up."""
    module = ast.parse(path.read_text())
    assert len(ast.get_docstring(module) or "") > 100
    assert '"retries"' in path.read_text()
