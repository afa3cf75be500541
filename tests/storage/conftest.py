"""One emulator for the session, one bucket for each test; faults that were asked for must have fired."""

from __future__ import annotations

import io
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

with (
    warnings.catch_warnings()
):  # google.api_core asks for grpcio-status where grpcio is installed; nobody here needs it
    warnings.simplefilter("ignore", ImportWarning)
    from google.cloud import storage
from google.auth.credentials import AnonymousCredentials
from google.oauth2 import service_account
from PIL import Image

from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

sys.path.append(str(Path(__file__).resolve().parent.parent))  # the tests are no package; their helpers are beside them

from emulator_process import EmulatorProcess

MakePicture = Callable[..., bytes]


@pytest.fixture(scope="session")
def emulator() -> Iterator[EmulatorProcess]:
    with EmulatorProcess() as process:
        yield process


@pytest.fixture(scope="session")
def credentials(emulator: EmulatorProcess) -> Any:
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    return service_account.Credentials.from_service_account_file(emulator.service_account_file, scopes=scopes)


@pytest.fixture(scope="session")
def client(emulator: EmulatorProcess, credentials: Any) -> Iterator[storage.Client]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
        environment.setenv("NO_PROXY", "127.0.0.1")
        client = storage.Client(project="test", credentials=credentials)
    yield client
    client.close()


@pytest.fixture
def bucket(client: storage.Client) -> GsUri:
    """Make a bucket that no other test uses; this is its root."""
    name = f"clarity-{uuid.uuid4().hex}"
    client.create_bucket(name)
    return GsUri(name, "")


@pytest.fixture
def store(client: storage.Client) -> ObjectStore:
    return ObjectStore(client, timeout=10, patience=3)


@pytest.fixture
def signer(client: storage.Client, credentials: Any) -> Signer:
    return Signer(client, credentials)


@pytest.fixture
def nobody(client: storage.Client) -> Signer:
    """Give a signer that cannot sign."""
    return Signer(client, AnonymousCredentials())  # type: ignore[no-untyped-call]


@pytest.fixture
def faults(emulator: EmulatorProcess) -> Iterator[Callable[..., None]]:
    """Ask for a fault: ``faults("store.insert", "reset_after", match=name)``."""

    def ask(operation: str, fault: str, *, match: str, times: int = 1) -> None:
        emulator.faults([{"operation": operation, "fault": fault, "times": times, "match": match}])

    yield ask
    asked = emulator.faults()
    emulator.reset()
    assert all(fault["fired"] for fault in asked), f"a fault that did not fire proves nothing: {asked}"


@pytest.fixture(scope="session")
def picture() -> MakePicture:
    """Make a picture: ``picture((64, 48), "JPEG", quality=90)``."""

    def make(size: tuple[int, int], kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
        buffer = io.BytesIO()
        Image.linear_gradient("L").resize(size).convert(mode).save(buffer, kind, **options)
        return buffer.getvalue()

    return make
