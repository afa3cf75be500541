"""One running emulator for all tests of it, emptied before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from emulator_api import Api, picture
from emulator_process import EmulatorProcess
from emulator_receiver import Receiver


@pytest.fixture(scope="session")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--service-time", "0.05", buckets=["pictures"]) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    running.reset()
    return running


@pytest.fixture
def api(emulator: EmulatorProcess) -> Iterator[Api]:
    with Api(emulator) as api:
        yield api


@pytest.fixture
def held(receiver: Receiver) -> Iterator[str]:
    """Give the URL of an input that comes only after ``receiver.release()``: its task runs until then."""
    receiver.files["/held.png"] = picture()
    receiver.hold("GET")
    yield f"{receiver.url}/held.png"
    receiver.release()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
