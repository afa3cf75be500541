"""The real command as a subprocess, with connections from the environment, against the emulator."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from emulator_process import EmulatorProcess
from google.cloud import storage
from google.oauth2 import service_account

KEY = "emulator-a+b/c=d&e%f-key"
WEBHOOK = "https://hooks.example/clarity?token=webhook-secret"
BUCKETS = ("raw-pictures", "print-pictures")
SECONDS = 240


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    code: int
    out: str
    err: str

    def status(self, name: str) -> str:
        """Of the line of that check."""
        return self.line(name).split()[0]

    def line(self, name: str) -> str:
        """The line of that check."""
        lines = [one for one in (self.out + self.err).splitlines() if one[6:].startswith(f"{name}  ")]
        assert len(lines) == 1, f"{name}: {lines}\n{self.out}\n{self.err}"
        return lines[0]


@dataclass
class Desk:
    """Runs the command for a test.

    :param environment: what the command finds; a test may change it
    """

    emulator: EmulatorProcess
    environment: dict[str, str] = field(default_factory=dict)

    def connect(self, conn_id: str, **fields: Any) -> None:
        """Define an Airflow connection."""
        self.environment[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command, with nobody at a terminal."""
        return subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_clarity.check", *arguments],
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for its end, and see that it gave no secret away."""
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"it did not end:\n{out}\n{err}") from None
        ended = Ended(process.returncode, out, err)
        for secret in self.secrets():
            assert secret not in out + err
        return ended

    def check(self, *arguments: str, bucket: str = "gs://print-pictures") -> Ended:
        """Run the command to its end."""
        return self.end(self.start("--bucket", bucket, *arguments))

    def secrets(self) -> Iterator[str]:
        """What must never be printed: plain, percent-encoded and in base64 at each alignment."""
        private = json.loads(Path(self.emulator.service_account_file).read_text())["private_key"]
        yield from ("X-Goog-", "x-goog-", "upload_id", "webhook-secret", "Bearer")
        for secret in (KEY, private.splitlines()[3]):
            yield secret
            yield quote(secret, safe="")
            for shift in range(3):
                encoded = base64.b64encode(b"\x00" * shift + secret.encode()).decode()
                yield encoded[4:-4]

    def objects(self) -> list[str]:
        """What lies in the buckets."""
        with self._client() as client:
            return [f"{bucket}/{blob.name}" for bucket in BUCKETS for blob in client.list_blobs(bucket)]

    def remove(self, bucket: str, name: str) -> None:
        """Delete an object."""
        with self._client() as client:
            client.bucket(bucket).blob(name).delete()

    @contextmanager
    def _client(self) -> Iterator[Any]:
        read = service_account.Credentials.from_service_account_file
        credentials = read(
            self.emulator.service_account_file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        client = storage.Client(
            project="p", credentials=credentials, client_options={"api_endpoint": self.emulator.storage_url}
        )
        try:
            yield client
        finally:
            client.close()

    @property
    def bought(self) -> int:
        """How many pictures were paid."""
        return sum(one["count"] for one in self.emulator.accounts()["purchases"].values())
