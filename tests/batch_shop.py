"""The emulator as a shop: small pictures in its buckets, and what was bought of them."""

from __future__ import annotations

import io
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from emulator_process import EmulatorProcess
from google.cloud import storage
from google.oauth2 import service_account
from PIL import Image

SOURCES, PICTURES = "raw", "print"


@dataclass
class Shop:
    """The service and the buckets, and what was bought.

    :param emulator: both
    :param client: of the buckets
    """

    emulator: EmulatorProcess
    client: Any

    def upload(self, folder: str, *names: str) -> list[str]:
        """Put pictures into a folder, each another one."""
        for number, name in enumerate(names):
            out = io.BytesIO()
            Image.new("RGB", (24, 16), (10 * number, 80, 200)).save(out, "PNG")
            self.client.bucket(SOURCES).blob(f"{folder}/{name}").upload_from_string(
                out.getvalue(), content_type="image/png"
            )
        return list(names)

    def purchases(self, folder: str) -> list[dict[str, Any]]:
        """What was bought of a folder's sources, one entry a task UUID."""
        found = self.emulator.accounts()["purchases"].values()
        return [purchase for purchase in found if f"/{SOURCES}/{folder}/" in purchase["source"]]

    def counts(self, folder: str) -> Counter[str]:
        """How often each picture of a folder was bought."""
        bought: Counter[str] = Counter()
        for purchase in self.purchases(folder):
            bought[purchase["source"].rpartition("/")[2]] += purchase["count"]
        return bought

    def bought(self, folder: str) -> int:
        """How many purchases were made of a folder."""
        return self.counts(folder).total()

    def pictures(self, folder: str) -> set[str]:
        """The names that were delivered, without their extension."""
        found = self.client.list_blobs(PICTURES, prefix=f"{folder}/")
        return {blob.name.rpartition("/")[2].rpartition(".")[0] for blob in found}

    def delete(self, folder: str, picture: str) -> None:
        """Delete a delivered picture."""
        self.client.bucket(PICTURES).blob(f"{folder}/{picture}").delete()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nothing happen at the service or in the buckets meanwhile, however long it takes."""
        os.kill(self.emulator.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.emulator.pid, signal.SIGCONT)

    @property
    def connections(self) -> dict[str, str]:
        """The variables by which an Airflow reaches both."""
        clarity = {"conn_type": "clarity", "password": self.emulator.api_key, "host": self.emulator.runware_url}
        google = {"conn_type": "google_cloud_platform", "extra": {"key_path": self.emulator.service_account_file}}
        return {
            "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(clarity),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
            "STORAGE_EMULATOR_HOST": self.emulator.storage_url,
        }


@contextmanager
def open_shop(*arguments: str) -> Iterator[Shop]:
    """Open a service with two empty buckets.

    :param arguments: of the emulator
    """
    with (
        EmulatorProcess("--render", "none", *arguments, buckets=[SOURCES, PICTURES]) as emulator,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("STORAGE_EMULATOR_HOST", emulator.storage_url)
        credentials = service_account.Credentials.from_service_account_file(
            emulator.service_account_file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        client = storage.Client(project="emulator", credentials=credentials)
        yield Shop(emulator, client)
        client.close()
