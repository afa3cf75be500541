"""The emulator as a subprocess of the demo, and how the demo speaks to it.

The package never imports the emulator, and nothing but this starts it: to the DAG it is two addresses. It ends with the
demo, however that ends.
"""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import httpx

from airflow_provider_clarity.demo.failure import COULD_NOT_START, DemoError, last_lines
from airflow_provider_clarity.demo.reaper import Reaper

_START_SECONDS = 60
_GRACE = 5.0


class Emulator:
    """Runs ``python -m airflow_provider_clarity.emulator`` while it is open.

    :param folder: a temporary folder, for its key and its log
    :param service_time: seconds that a task takes
    :param buckets: those that exist from the start
    :param slots: how many tasks run at the same time; the emulator's own number where it is left out
    """

    def __init__(self, folder: Path, *, service_time: float, buckets: Iterable[str], slots: int | None = None) -> None:
        self._folder = folder
        self._arguments = ["--service-time", str(service_time), "--key-file", str(folder / "service-account.json")]
        self._arguments += [part for name in buckets for part in ("--bucket", name)]
        self._arguments += [] if slots is None else ["--slots", str(slots)]
        self._process: subprocess.Popen[str] | None = None
        self._reaper: Reaper | None = None
        self._http = httpx.Client(timeout=60, trust_env=False)
        self._says: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def environment(self) -> dict[str, str]:
        """What leads a DAG here: two connections, and the address of Cloud Storage."""
        clarity = {"conn_type": "clarity", "host": self._says["runware_url"], "password": self._says["api_key"]}
        key = {"key_path": self._says["service_account_file"]}
        return {
            "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(clarity),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps({"conn_type": "google_cloud_platform", "extra": key}),
            "STORAGE_EMULATOR_HOST": self._says["storage_url"],
        }

    @property
    def accounts_url(self) -> str:
        """Where a person reads what was asked and bought."""
        return f"{self._says['runware_url'].removesuffix('/v1')}/_emulator/accounts"

    @property
    def _faults_url(self) -> str:
        return f"{self._says['runware_url'].removesuffix('/v1')}/_emulator/faults"

    def bucket_url(self, bucket: str) -> str:
        """Return where a person reads what is in a bucket.

        :param bucket: its name
        """
        return f"{self._says['storage_url']}/storage/v1/b/{bucket}/o"

    def purchases(self) -> dict[str, dict[str, Any]]:
        """Return all purchases by task UUID: ``count``, ``cost``, ``status`` and ``source``, the name of a file."""
        bought: dict[str, dict[str, Any]] = self.accounts()["purchases"]
        return {
            uuid: one | {"source": unquote(urlsplit(str(one["source"])).path).rpartition("/")[2]}
            for uuid, one in bought.items()
        }

    def accounts(self) -> dict[str, Any]:
        """Return what was asked and bought, as the emulator's README describes it."""
        found: dict[str, Any] = self._http.get(self.accounts_url).raise_for_status().json()
        return found

    def break_on_purpose(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Ask for faults, as the emulator's README describes them.

        :param faults: which
        """
        self._http.post(self._faults_url, json=list(faults)).raise_for_status()

    def faults_fired(self) -> list[int]:
        """Return how often each fault has fired."""
        return [int(one["fired"]) for one in self._http.get(self._faults_url).raise_for_status().json()]

    def names(self, bucket: str, prefix: str) -> list[str]:
        """List the objects under a prefix, a thousand at most.

        :param bucket: its name
        :param prefix: of their names
        """
        page = self._http.get(self.bucket_url(bucket), params={"prefix": prefix}).raise_for_status().json()
        return [str(one["name"]) for one in page.get("items", ())]

    def upload(self, bucket: str, path: Path) -> str:
        """Put a file into a bucket.

        :param bucket: its name
        :param path: of the file
        :return: its ``gs://`` URI
        """
        return self.put(bucket, path.name, path.read_bytes())

    def put(self, bucket: str, name: str, content: bytes) -> str:
        """Make an object.

        :param bucket: where
        :param name: of the object
        :param content: of the object
        :return: its ``gs://`` URI
        """
        url = f"{self._says['storage_url']}/upload/storage/v1/b/{bucket}/o"
        self._http.post(url, params={"uploadType": "media", "name": name}, content=content).raise_for_status()
        return f"gs://{bucket}/{name}"

    def download(self, uri: str) -> bytes:
        """Get a file out of a bucket.

        :param uri: its ``gs://`` URI
        """
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        url = f"{self.bucket_url(bucket)}/{quote(name, safe='')}"
        return self._http.get(url, params={"alt": "media"}).raise_for_status().content

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._reaper = Reaper(_GRACE)
        log = self._folder / "emulator.log"
        with log.open("w", encoding="utf-8") as errors:
            self._process = self._reaper.spawn(
                ["airflow_provider_clarity.emulator", *self._arguments], cwd=self._folder, stderr=errors
            )
        line = ""
        if self._process.stdout is not None and select.select([self._process.stdout], [], [], _START_SECONDS)[0]:
            line = self._process.stdout.readline()
        if not line:
            said = last_lines(log.read_text(encoding="utf-8", errors="replace"))
            raise DemoError(
                f"The emulator did not start. Nothing is left running. Its log ends so:\n{said}", COULD_NOT_START
            )
        self._says = json.loads(line)

    def _stop(self) -> None:
        self._http.close()
        if self._reaper is not None:
            self._reaper.close()
            self._reaper = None
        if self._process is not None:
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process.wait()
            self._process = None
