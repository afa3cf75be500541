"""An emulator for the engine's tests, and a bench over it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from bench import Bench
from emulator_process import EmulatorProcess
from google.cloud import storage
from google.oauth2 import service_account

from airflow_provider_clarity.storage.store import ObjectStore


@pytest.fixture(scope="session")
def emulator() -> Iterator[EmulatorProcess]:
    """One emulator for all tests of this folder; each test has a bucket of its own."""
    with EmulatorProcess("--service-time", "0.2", "--seed", "1") as process:
        yield process


@pytest.fixture
def bench(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A fresh account and a fresh bucket."""
    emulator.reset()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
    credentials = service_account.Credentials.from_service_account_file(
        emulator.service_account_file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    client = storage.Client(project="emulator", credentials=credentials)
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    client.create_bucket(bucket)
    yield Bench(emulator, bucket, client, ObjectStore(client))
    client.close()
