"""Fixtures of the Runware tests: a stub service on loopback, and a client of it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stub import KEY, Stub

from airflow_provider_clarity.runware import ClarityClient


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub() as running:
        yield running


@pytest.fixture
async def client(stub: Stub) -> AsyncIterator[ClarityClient]:
    async with ClarityClient(api_key=KEY, base_url=stub.url, timeout=5) as connected:
        yield connected
