"""Fixtures of the tests of the Cloud Storage emulator; each of them names this module in ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from storage_server import StorageServer


@pytest.fixture(scope="session")
def storage_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    with StorageServer(tmp_path_factory.mktemp("storage")) as server:
        yield server


@pytest.fixture
def store(storage_server: StorageServer) -> Iterator[StorageServer]:
    """Give a fresh Cloud Storage emulator with the buckets ``raw`` and ``print``."""
    yield storage_server.renew("raw", "print")
    storage_server.renew()
