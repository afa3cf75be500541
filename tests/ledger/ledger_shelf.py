"""What a test of the command works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator_process import EmulatorProcess

from airflow_provider_clarity.storage.store import ObjectStore


@dataclass
class Shelf:
    """A bucket, as the command finds it by the environment."""

    emulator: EmulatorProcess
    bucket: str
    store: ObjectStore
    client: Any
