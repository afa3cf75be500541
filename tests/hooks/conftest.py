"""Connections as Airflow reads them in a test: from the environment. And a small Runware."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from runware_stub import Connect, Runware


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define an Airflow connection."""

    def define(conn_id: str, **fields: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return define


@pytest.fixture
def runware() -> Iterator[Runware]:
    server = Runware()
    yield server
    server.close()
