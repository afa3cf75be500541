"""An emulator behind the connections, for the operator's tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from emulator_process import EmulatorProcess
from google.cloud import storage
from google.oauth2 import service_account
from workshop import Workshop


@pytest.fixture(scope="session")
def emulator() -> Iterator[EmulatorProcess]:
    """One emulator for all tests of this folder."""
    with EmulatorProcess("--service-time", "0.2", "--seed", "1") as process:
        yield process


@pytest.fixture
def workshop(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """A fresh account, a fresh bucket, and the connections to both."""
    emulator.reset()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
    clarity = {"conn_type": "clarity", "password": emulator.api_key, "host": emulator.runware_url}
    google = {"conn_type": "google_cloud_platform", "extra": {"key_path": emulator.service_account_file}}
    monkeypatch.setenv("AIRFLOW_CONN_CLARITY_DEFAULT", json.dumps(clarity))
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(google))
    credentials = service_account.Credentials.from_service_account_file(
        emulator.service_account_file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    client = storage.Client(project="emulator", credentials=credentials)
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    client.create_bucket(bucket)
    yield Workshop(emulator, bucket, client)
    client.close()
