"""The emulator, and connections to it as Airflow reads them from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from desk import BUCKETS, KEY, WEBHOOK, Desk
from emulator_process import ROOT, EmulatorProcess


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--service-time", "0.05", buckets=BUCKETS) as process:
        yield process


@pytest.fixture
def desk(running: EmulatorProcess) -> Iterator[Desk]:
    running.reset()
    running.switches({"api_key": KEY})
    desk = Desk(
        running,
        {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "STORAGE_EMULATOR_HOST": running.storage_url,
            "no_proxy": "127.0.0.1",
        },
    )
    desk.connect(
        "clarity_default",
        conn_type="clarity",
        password=KEY,
        host=running.runware_url,
        extra={"webhook_url": WEBHOOK},
    )
    desk.connect(
        "google_cloud_default", conn_type="google_cloud_platform", extra={"key_path": running.service_account_file}
    )
    yield desk
    assert [fault for fault in running.faults() if not fault["fired"]] == [], "a fault did not fire"
    assert desk.objects() == [], "something was left in the buckets"
