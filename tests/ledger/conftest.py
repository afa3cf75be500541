"""An emulator for the command's tests, and a bucket for each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from emulator_process import EmulatorProcess
from google.cloud import storage
from google.oauth2 import service_account
from ledger_shelf import Shelf

from airflow_provider_clarity.storage.store import ObjectStore


@pytest.fixture(scope="session")
def emulator() -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--seed", "1") as process:
        yield process


@pytest.fixture
def shelf(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A fresh bucket, and application default credentials for it."""
    emulator.reset()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", emulator.service_account_file)
    credentials = service_account.Credentials.from_service_account_file(
        emulator.service_account_file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    client = storage.Client(project="emulator", credentials=credentials)
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    client.create_bucket(bucket)
    yield Shelf(emulator, bucket, ObjectStore(client), client)
    client.close()
