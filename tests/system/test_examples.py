"""Every example a user would copy runs, with ``dag.test()``, as it is.

Those for one image have a key, and a service slow enough that they defer. Those for many run without a key, as on
Google's machines: the emulator is metadata server and IAM, too.
"""

from __future__ import annotations

import ast
import json
import os
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException
from emulator_process import ROOT, EmulatorProcess
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from PIL import Image

EXAMPLES = sorted((ROOT / "dags_examples").glob("*.py"))
OF_ONE_IMAGE = {
    "one_image.py": "clarity_one_image",
    "mapped_handful.py": "clarity_mapped_handful",
    "image_from_upstream.py": "clarity_image_from_upstream",
}
OF_MANY = {
    "daily_prefix.py": "clarity_daily_prefix",
    "dead_letter_replay.py": "clarity_dead_letter_replay",
    "archive_in_shards.py": "clarity_archive_in_shards",
    "several_brands.py": "clarity_several_brands",
    "composer_without_key.py": "clarity_composer_without_key",
}
AIRFLOW_3 = version("apache-airflow").startswith("3.")
HITL = "airflow.providers.standard.operators.hitl"
SECONDS = 300
PRICE = 0.0013


class DagTests:
    """A process that runs ``dag.test()`` of one DAG after the other, so that Airflow is loaded once.

    :param home: an empty folder
    :param dags: the DAGs folder
    :param environment: connections and other variables
    """

    def __init__(self, home: Path, dags: Path, environment: dict[str, str]) -> None:
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            **environment,
        }
        self.log = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "run_dag_tests.py")],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, dag_id: str, **how: Any) -> dict[str, Any]:
        """Run a DAG and return how its run ended; what it logged is in ``log`` then.

        :param how: ``conf``, ``logical_date``, ``answer``
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        lines: list[str] = []
        watchdog = threading.Timer(SECONDS, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps({"dag": dag_id, **how}) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if line.startswith("RESULT "):
                    self.log = "".join(lines)
                    result: dict[str, Any] = json.loads(line.split(" ", 1)[1])
                    assert result["dag"] == dag_id
                    return result
                lines.append(line)
        finally:
            watchdog.cancel()
        raise AssertionError(f"{dag_id} came to no end:\n{''.join(lines)}")


@dataclass
class World:
    """The examples, the service and the buckets."""

    dags: DagTests
    emulator: EmulatorProcess
    client: Any

    def upload(self, *uris: str) -> None:
        """Put a picture where each URI says, all different."""
        for uri in uris:
            bucket, _, name = uri.removeprefix("gs://").partition("/")
            out = BytesIO()
            shade = sum(name.encode()) % 256
            Image.new("RGB", (40, 30), (shade, 90, 200 - shade // 2)).save(out, "PNG")
            self.client.bucket(bucket).blob(name).upload_from_string(out.getvalue(), content_type="image/png")

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """List what lies in a bucket."""
        return sorted(blob.name for blob in self.client.list_blobs(bucket, prefix=prefix))

    def size(self, uri: str) -> tuple[int, int]:
        """Decode a picture."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        picture = Image.open(BytesIO(self.client.bucket(bucket).blob(name).download_as_bytes()))
        picture.load()
        return picture.size

    def bought(self, part: str) -> dict[str, list[int]]:
        """How often each source was bought, of those with this text in their name; a list has one entry a UUID."""
        found: dict[str, list[int]] = {}
        for purchase in self.emulator.accounts()["purchases"].values():
            if part in purchase["source"]:
                found.setdefault(purchase["source"].rpartition("/")[2], []).append(purchase["count"])
        return found

    def submits(self) -> int:
        """How many tasks were sent to the service, ever."""
        return int(self.emulator.accounts()["submits"])


def clarity(emulator: EmulatorProcess) -> str:
    """The connection to the service, as Airflow reads it from a variable."""
    return json.dumps({"conn_type": "clarity", "password": emulator.api_key, "host": emulator.runware_url})


@pytest.mark.system
def test_every_example_of_one_image_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the defaults of its parameters, in one process, deferrals included."""
    with EmulatorProcess("--service-time", "6.5", buckets=["raw", "print"]) as emulator:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
        client = storage.Client(project="x", credentials=AnonymousCredentials())
        client.bucket("raw").blob("cat.png").upload_from_filename(ROOT / "dags_examples" / "images" / "chelsea.png")
        client.close()
        google = {"conn_type": "google_cloud_platform", "extra": {"key_path": emulator.service_account_file}}
        connections = {
            "AIRFLOW_CONN_CLARITY_DEFAULT": clarity(emulator),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
        }
        log = ""
        with DagTests(tmp_path, ROOT / "dags_examples", connections) as dags:
            for dag_id in OF_ONE_IMAGE.values():
                assert dags.run(dag_id)["state"] == "success", dags.log
                log += dags.log
        purchases = emulator.accounts()["purchases"].values()
        # one_image has a setting of its own; of the two others the second finds what the first bought
        assert [purchase["count"] for purchase in purchases] == [1, 1]
        assert "Freeing the worker" in log


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The examples for many images, without a key, and a copy of one with small shards."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("dags")
    for name in OF_MANY:
        shutil.copy(ROOT / "dags_examples" / name, folder)
    archive = (folder / "archive_in_shards.py").read_text()
    small = archive.replace("images_per_shard=10_000", "images_per_shard=2").replace(
        OF_MANY["archive_in_shards.py"], "small_shards"
    )
    assert small.count("small_shards") >= 1
    assert "images_per_shard=2," in small
    (folder / "small_shards.py").write_text(small)
    with (
        EmulatorProcess("--service-time", "0.3", buckets=["raw", "print", "scratch"]) as emulator,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
        environment.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        client = storage.Client(project="x", credentials=AnonymousCredentials())
        host = urlsplit(emulator.storage_url).netloc
        machine = {
            "AIRFLOW_CONN_CLARITY_DEFAULT": clarity(emulator),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": f"{emulator.storage_url}/",
            "CLOUDSDK_CONFIG": str(home / "no-gcloud"),
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_IP": host,
        }
        with DagTests(home, folder, machine) as dags:
            yield World(dags, emulator, client)
        client.close()


def returned(run: dict[str, Any], task: str) -> dict[str, Any]:
    """What a task returned."""
    value: dict[str, Any] = run["xcoms"][task]["return_value"]
    return value


def check_ended(run: dict[str, Any], tasks: dict[str, str], log: str) -> None:
    """All tasks are in these states, and the run is what follows from them."""
    assert run["tasks"] == tasks, log
    assert run["state"] == ("failed" if "failed" in tasks.values() else "success"), log


@pytest.mark.system
def test_a_day_is_delivered_and_its_second_run_submits_nothing(world: World) -> None:
    """Breaks if a day takes another day's images, or if a run over done images buys."""
    world.upload(*(f"gs://raw/catalog/2026-03-01/shoes/{n}.png" for n in range(3)))
    world.upload("gs://raw/catalog/2026-03-02/other.png")
    first = world.dags.run("clarity_daily_prefix", logical_date="2026-03-01")
    check_ended(first, {"upscale": "success"}, world.dags.log)
    told = returned(first, "upscale")
    assert (told["planned"], told["delivered"], told["purchases"]) == (3, 3, 3)
    assert told["cost_usd"] == pytest.approx(3 * PRICE)
    assert world.names("print", "catalog/") == [f"catalog/2026-03-01/shoes/{n}.jpg" for n in range(3)]
    assert world.size("gs://print/catalog/2026-03-01/shoes/1.jpg") == (80, 60)
    before = world.submits()
    again = world.dags.run("clarity_daily_prefix", logical_date="2026-03-01T06:00")
    check_ended(again, {"upscale": "success"}, world.dags.log)
    assert again["run_id"] != first["run_id"]
    told = returned(again, "upscale")
    assert (told["planned"], told["done"], told["purchases"], told["cost_usd"]) == (3, 3, 0, 0)
    assert world.submits() == before
    assert world.bought("2026-03-01") == {f"{n}.png": [1] for n in range(3)}


@pytest.mark.system
def test_a_day_without_images_is_skipped(world: World) -> None:
    """Breaks if the day on which nothing came is red."""
    run = world.dags.run("clarity_daily_prefix", logical_date="2026-02-28")
    check_ended(run, {"upscale": "skipped"}, world.dags.log)
    assert "There is no image to upscale in gs://raw/catalog/2026-02-28/" in world.dags.log


@pytest.mark.system
def test_a_dead_letter_is_replayed(world: World) -> None:
    """Breaks if what a red day names is no source, or if its replay buys what was delivered."""
    world.upload(*(f"gs://raw/catalog/2026-03-05/{n}.png" for n in range(3)))
    refused = {"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1, "match": "2026-03-05/1.png"}
    world.emulator.faults([refused])
    day = world.dags.run("clarity_daily_prefix", logical_date="2026-03-05")
    check_ended(day, {"upscale": "failed"}, world.dags.log)
    dead_letter = day["xcoms"]["upscale"]["clarity_dead_letter"]
    assert dead_letter in world.dags.log
    assert "ClaritySafetyError" in world.dags.log
    conf = {"dead_letter": dead_letter}
    replay = world.dags.run("clarity_dead_letter_replay", conf=conf)
    check_ended(replay, {"replay": "success"}, world.dags.log)
    told = returned(replay, "replay")
    assert (told["planned"], told["delivered"], told["purchases"]) == (1, 1, 1)
    assert world.names("print", "catalog/2026-03-05/") == [f"catalog/2026-03-05/{n}.jpg" for n in range(3)]
    assert world.bought("2026-03-05") == {"0.png": [1], "1.png": [1, 1], "2.png": [1]}
    before = world.submits()
    assert returned(world.dags.run("clarity_dead_letter_replay", conf=conf), "replay")["done"] == 1
    again = world.dags.run("clarity_daily_prefix", logical_date="2026-03-05T06:00")  # in Airflow 2 a date is a run id
    assert returned(again, "upscale")["done"] == 3
    assert world.submits() == before


@pytest.mark.system
def test_an_archive_is_bought_when_a_person_has_seen_the_estimate(world: World) -> None:
    """Breaks if a shard runs without the approval, or if the person does not see what it would cost."""
    world.upload(*(f"gs://raw/archive/{n}.png" for n in range(3)))
    approval = {"approve": "success"} if AIRFLOW_3 else {}
    before = world.submits()
    if AIRFLOW_3:
        rejected = world.dags.run("clarity_archive_in_shards", answer="Reject")
        check_ended(rejected, {"plan": "success", "approve": "success", "run": "skipped"}, world.dags.log)
        assert world.submits() == before
        (asked,) = rejected["asked"]
        assert "3 of 3 images are to be bought" in asked
        assert "about $0.01" in asked
        assert "no case for more than $400" in asked
    run = world.dags.run("clarity_archive_in_shards", answer="Approve" if AIRFLOW_3 else None)
    check_ended(run, {"plan": "success", "run[0]": "success"} | approval, world.dags.log)
    assert returned(run, "run[0]")["delivered"] == 3
    assert world.bought("archive/") == {f"{n}.png": [1] for n in range(3)}
    before = world.submits()
    again = world.dags.run("clarity_archive_in_shards", answer="Approve" if AIRFLOW_3 else None)
    check_ended(again, {"plan": "success", "run": "skipped"} | approval, world.dags.log)
    assert again["xcoms"]["plan"]["estimate"]["done"] == 3
    assert world.submits() == before


@pytest.mark.system
def test_shards_share_an_archive_and_its_cap(world: World) -> None:
    """Breaks if an image is in two shards or in none, or if together they may spend more than was allowed."""
    world.upload(*(f"gs://raw/archive/of/two/{n}.png" for n in range(3)))
    run = world.dags.run("small_shards", conf={"max_cost_usd": 2}, answer="Approve" if AIRFLOW_3 else None)
    assert run["state"] == "success", world.dags.log
    shards = run["xcoms"]["plan"]["return_value"]
    assert sum(shard["max_cost_usd"] for shard in shards) == 2
    assert [returned(run, f"run[{n}]")["delivered"] for n in range(2)] == [2, 1]
    assert world.bought("archive/of/two/") == {f"{n}.png": [1] for n in range(3)}


@pytest.mark.system
def test_each_brand_has_its_own_settings_and_stops_no_other(world: World) -> None:
    """Breaks if a brand gets another's format or folder, or if one that fails takes the others with it."""
    sources = ["atlas/1.png", "atlas/2.png", "birch/old/3.png", "birch/4.png", "cedar/5.png"]
    world.upload(*(f"gs://raw/brands/{name}" for name in sources), "gs://raw/brands/birch/5.webp")
    refused = {"operation": "poll", "fault": "error:contentPolicyViolation", "times": 1, "match": "atlas/2.png"}
    world.emulator.faults([refused])
    run = world.dags.run("clarity_several_brands")
    states = {"upscale[0]": "failed", "upscale[1]": "success", "upscale[2]": "success"}
    check_ended(run, states, world.dags.log)
    assert [returned(run, f"upscale[{n}]")["delivered"] for n in (1, 2)] == [2, 1]
    pictures = ["atlas/1.jpg", "birch/4.png", "birch/old/3.png", "cedar/5.jpg"]
    assert world.names("print", "brands/") == [f"brands/{name}" for name in pictures]
    again = world.dags.run("clarity_several_brands")
    check_ended(again, dict.fromkeys(states, "success"), world.dags.log)
    assert [returned(again, f"upscale[{n}]")["purchases"] for n in range(3)] == [1, 0, 0]
    once = {name.rpartition("/")[2]: [1] for name in sources}
    assert world.bought("brands/") == once | {"2.png": [1, 1]}


@pytest.mark.system
def test_a_perimeter_is_kept_without_a_key(world: World) -> None:
    """Breaks if the workers' own account acts, if a URL into a bucket leaves, or if the workspace is elsewhere."""
    world.upload(*(f"gs://raw/incoming/{n}.png" for n in range(2)))
    account = "clarity@my-project.iam.gserviceaccount.com"
    world.emulator.faults([{"operation": "store.token", "fault": "status_403", "times": 1, "match": account}])
    before = world.emulator.accounts()
    refused = world.dags.run("clarity_composer_without_key")
    check_ended(refused, {"upscale": "failed"}, world.dags.log)
    assert world.emulator.faults()[-1]["fired"] == 1
    assert "ClarityAuthError: Google gave no access token for gs://scratch" in world.dags.log, world.dags.log
    assert world.submits() == before["submits"]
    run = world.dags.run("clarity_composer_without_key")
    check_ended(run, {"upscale": "success"}, world.dags.log)
    told = returned(run, "upscale")
    assert (told["delivered"], told["purchases"]) == (2, 2)
    assert told["manifest"].startswith("gs://scratch/clarity/runs/")
    after = world.emulator.accounts()
    assert after["submits"] == before["submits"] + 2
    assert after["uploads"] == before["uploads"]
    new = [one for uuid, one in after["purchases"].items() if uuid not in before["purchases"]]
    assert [(one["count"], one["source"]) for one in new] == [(1, "data:image/png")] * 2
    assert world.size("gs://print/incoming/1.jpg") == (80, 60)
    assert world.names("scratch", "clarity/staging/") == []
    assert world.names("print", "_clarity/staging/") == []


def test_every_example_is_run() -> None:
    """A new example must not go untested."""
    assert [path.name for path in EXAMPLES] == sorted(OF_ONE_IMAGE | OF_MANY)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_says_what_it_is_for_and_retries(path: Path) -> None:
    """A user copies the file: its docstring is the manual, and without retries nothing is taken up."""
    module = ast.parse(path.read_text())
    assert len(ast.get_docstring(module) or "") > 100
    assert '"retries"' in path.read_text()


@pytest.mark.parametrize("error", [ImportError, AirflowOptionalProviderFeatureException])
def test_an_archive_can_do_without_the_approval(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """Breaks if the file is an import error before Airflow 3.1: without the standard provider, or with it."""

    class Before31:
        def find_spec(self, name: str, *_: object) -> None:
            if name == HITL:
                raise error

    monkeypatch.delitem(sys.modules, HITL, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Before31(), *sys.meta_path])
    found = runpy.run_path(str(ROOT / "dags_examples" / "archive_in_shards.py"))
    assert found["run"].upstream_task_ids == {"plan"}
    assert {task.task_id for task in found["plan"].dag.tasks} == {"plan", "run"}
