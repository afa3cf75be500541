"""Every kind of Google credentials through a real Airflow: scheduler, triggerer, workers, and one image for each.

The emulator answers as Google's token server, as the metadata server of a machine, and as IAM.
"""

from __future__ import annotations

import io
import json
from urllib.parse import urlsplit

import pytest
from airflow_instance import real_airflow
from emulator_process import EmulatorProcess
from google.cloud import storage
from google.oauth2 import service_account
from PIL import Image

pytestmark = [pytest.mark.matrix, pytest.mark.system]

DAGS = {
    "ways.py": """
import os
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_clarity.operators.upscale import UpscaleOperator


class WithoutCredentials(UpscaleOperator):
    # As where there is neither a key nor a machine's account.
    def execute(self, context):
        os.environ["NO_GCE_CHECK"] = "true"
        return super().execute(context)

    def execute_complete(self, context, event=None):
        os.environ["NO_GCE_CHECK"] = "true"
        return super().execute_complete(context, event)


with DAG(dag_id="ways", schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=1)}):

    @task
    def images(**context):
        return [
            {"source": f"gs://raw/{name}.png", "gcp_conn_id": conn_id, "upload_via": via}
            for name, conn_id, via in context["dag_run"].conf["images"]
        ]

    how = {"destination": "gs://print/", "deferrable": True, "defer_after": 0}
    UpscaleOperator.partial(task_id="with_credentials", **how).expand_kwargs(images())
    WithoutCredentials(task_id="without", source="{{ dag_run.conf['nobodys'] }}", **how)
""",
}

IMAGES = [
    ("key", "with_key", "auto"),
    ("key_worker", "with_key", "worker"),
    ("key_session", "with_key", "resumable_session"),
    ("impersonated", "impersonated", "auto"),
    ("machine", "google_cloud_default", "auto"),
    ("machine_worker", "google_cloud_default", "worker"),
]


def test_each_kind_of_credentials_delivers() -> None:
    """Breaks if credentials that work in one process do not work in a worker, after a deferral, or in the triggerer."""
    with EmulatorProcess("--service-time", "3", buckets=["raw", "print"]) as emulator:
        client = storage.Client(
            project="emulator",
            credentials=service_account.Credentials.from_service_account_file(
                emulator.service_account_file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
            ),
            client_options={"api_endpoint": emulator.storage_url},
        )
        names = [name for name, _, _ in IMAGES]
        out = io.BytesIO()
        Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 40).convert("RGB").save(out, "PNG")
        for name in (*names, "nobody", "unsigned", "nobody_again"):
            client.bucket("raw").blob(f"{name}.png").upload_from_string(out.getvalue(), content_type="image/png")
        machine = urlsplit(emulator.storage_url).netloc
        key = {"key_path": emulator.service_account_file}
        chain = {"impersonation_chain": "images@project.iam.gserviceaccount.com"}
        settings = {
            "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(
                {"conn_type": "clarity", "password": emulator.api_key, "host": emulator.runware_url}
            ),
            "AIRFLOW_CONN_WITH_KEY": json.dumps({"conn_type": "google_cloud_platform", "extra": key}),
            "AIRFLOW_CONN_IMPERSONATED": json.dumps({"conn_type": "google_cloud_platform", "extra": key | chain}),
            "STORAGE_EMULATOR_HOST": emulator.storage_url,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": f"{emulator.storage_url}/",
            "CLOUDSDK_CONFIG": "/nonexistent",
            "GCE_METADATA_HOST": machine,
            "GCE_METADATA_IP": machine,
        }
        with real_airflow(DAGS, settings) as airflow:
            run = airflow.trigger("ways", {"images": IMAGES, "nobodys": "gs://raw/nobody.png"})
            assert airflow.wait("ways", run, 240) == "success"
            assert delivered(client) == {*names, "nobody"}
            # Now nobody may sign: whoever has no key of its own goes another way.
            emulator.faults([{"operation": "store.sign_blob", "fault": "status_403", "times": 50}])
            unsigned = [("unsigned", "google_cloud_default", "auto")]
            run = airflow.trigger("ways", {"images": unsigned, "nobodys": "gs://raw/nobody_again.png"})
            assert airflow.wait("ways", run, 240) == "success"
        assert emulator.faults()[0]["fired"] >= 1
        assert delivered(client) == {*names, "nobody", "unsigned", "nobody_again"}
        accounts = emulator.accounts()
        assert [purchase["count"] for purchase in accounts["purchases"].values()] == [1] * (len(IMAGES) + 3)
        assert len(accounts["uploads"]) == len(accounts["purchases"]) - 2  # a worker's have none
        client.close()


def delivered(client: storage.Client) -> set[str]:
    """Decode what was delivered, and name it."""
    found = set()
    for blob in client.list_blobs("print"):
        if not blob.name.startswith("_clarity/"):
            picture = Image.open(io.BytesIO(blob.download_as_bytes()))
            picture.load()
            assert picture.size == (128, 96)
            found.add(blob.name.removesuffix(".jpg"))
    return found
