"""Both hooks against the second reading of the specification: the emulator, as its own process."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from emulator_process import EmulatorProcess
from runware_stub import Connect

from airflow_provider_clarity.hooks.clarity import ClarityHook
from airflow_provider_clarity.hooks.google import storage_client

SOURCE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--service-time", "0.05", buckets=["raw"]) as process:
        yield process


@pytest.fixture
def hook(connect: Connect, emulator: EmulatorProcess) -> ClarityHook:
    connect("clarity_default", conn_type="clarity", password=emulator.api_key, host=emulator.runware_url)
    return ClarityHook()


def test_the_connection_test_passes_with_its_key_and_with_no_other(
    connect: Connect, hook: ClarityHook, emulator: EmulatorProcess
) -> None:
    """The button of the form, in both cases; nothing is bought by it."""
    passed, message = hook.test_connection()
    assert passed, message
    assert "balance is" in message
    connect("clarity_default", conn_type="clarity", password="emulator-another-key", host=emulator.runware_url)
    passed, message = hook.test_connection()
    assert not passed
    assert "another-key" not in message


def test_upscale_buys_once_under_one_uuid(hook: ClarityHook) -> None:
    """A second call with the same UUID adopts what the first one bought."""
    uuid = uuid4()
    first = hook.upscale(SOURCE, task_uuid=uuid, timeout=30)
    second = hook.upscale(SOURCE, task_uuid=uuid, timeout=30)
    assert first.task_uuid == second.task_uuid == uuid
    assert first.image_url == second.image_url is not None


def test_the_key_file_of_a_connection_opens_the_bucket(
    connect: Connect, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is really fetched with the key and really checked."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
    connect("gcp", conn_type="google_cloud_platform", extra={"key_path": emulator.service_account_file})
    client = storage_client("gcp")
    client.bucket("raw").blob("a.txt").upload_from_string("hello")
    assert [blob.name for blob in client.list_blobs("raw")] == ["a.txt"]
    client.close()
