"""A service with one answer to what nobody knows, a bucket for each image, and an eye on both."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from emulator_process import EmulatorProcess
from google.cloud import storage
from google.oauth2 import service_account
from PIL import Image

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
SOURCE, FINAL = "raw/cat.png", "print/cat.jpg"
SIZE = (40, 30)
LOOK_EVERY = 0.15
TIMEOUT = 8
"""Seconds of the connection: after these and the lease, nobody's POST can be on its way any more."""


class World:
    """An emulator with its switches, and what is seen of it by all cases together.

    :param switches: what this service answers where the documents are silent
    :param service_time: seconds a task takes
    """

    def __init__(self, name: str, switches: Mapping[str, Any], *, service_time: float = 2.0) -> None:
        self.name = name
        self.wanted = {"slots": 1000, **switches}
        self.emulator = EmulatorProcess("--service-time", str(service_time), "--render", "cached")
        self.accounts: dict[str, Any] = {"purchases": {}, "uploads": {}}
        self.faults: list[dict[str, Any]] = []
        self.ended_at: dict[str, float] = {}
        self._stop = threading.Event()
        self._looked = threading.Condition()

    @property
    def retention(self) -> float | None:
        """How long this service knows a result, in seconds."""
        found: float | None = self.wanted.get("result_retention_s")
        return found

    def __enter__(self) -> Self:
        self.emulator.start()
        self.emulator.switches(self.wanted)
        credentials = service_account.Credentials.from_service_account_file(
            self.emulator.service_account_file, scopes=SCOPES
        )
        credentials._is_regional_access_boundary_lookup_required = lambda: False
        self.client = storage.Client(
            project="emulator", credentials=credentials, client_options={"api_endpoint": self.emulator.storage_url}
        )
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.client.close()
        self.emulator.stop()

    def look(self) -> None:
        """Wait for the next look at accounts and faults."""
        with self._looked:
            assert self._looked.wait(60), "the emulator does not answer"

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            accounts, faults = self.emulator.accounts(), self.emulator.faults()
            for task, purchase in accounts["purchases"].items():
                if purchase["status"] != "processing":
                    self.ended_at.setdefault(task, time.monotonic())
            with self._looked:
                self.accounts, self.faults = accounts, faults
                self._looked.notify_all()


@dataclass
class Bench:
    """One image in one world: its bucket, its faults, its purchases.

    :param label: makes its picture and its bucket its own
    """

    world: World
    label: str
    bucket: str = field(init=False)
    armed: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bucket = f"m-{hashlib.sha256(self.label.encode()).hexdigest()[:12]}-{uuid.uuid4().hex[:6]}"
        self.world.client.create_bucket(self.bucket)
        self.put_source(self.label)

    @property
    def account(self) -> str:
        """A service account of its own, so that faults of tokens and signatures are its own too."""
        return f"{self.bucket}@project.iam.gserviceaccount.com"

    def put_source(self, label: str) -> None:
        """Write the source, in the colours of that label."""
        self.shown = label
        out = io.BytesIO()
        picture_of(label, SIZE).save(out, "PNG")
        self.blob(SOURCE).upload_from_string(out.getvalue(), content_type="image/png")

    def environment(self, *, impersonated: bool = False) -> dict[str, str]:
        """Return the connections, as a deployment gives them."""
        emulator = self.world.emulator
        extra = {"key_path": emulator.service_account_file}
        clarity = {
            "conn_type": "clarity",
            "password": emulator.api_key,
            "host": emulator.runware_url,
            "extra": {"timeout": TIMEOUT},
        }
        if impersonated:
            extra["impersonation_chain"] = self.account
        return {
            "AIRFLOW_CONN_CLARITY_DEFAULT": json.dumps(clarity),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps({"conn_type": "google_cloud_platform", "extra": extra}),
            "STORAGE_EMULATOR_HOST": emulator.storage_url,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": f"{emulator.storage_url}/",
        }

    def arm(self, operation: str, fault: str, *, at: str | None = None, **more: Any) -> None:
        """Ask for a fault of this image alone.

        :param at: the beginning of the object's name, for storage
        """
        match = f"{self.bucket}/{at or ''}"
        if operation in ("store.token", "store.sign_blob"):
            match = self.account
        armed = {"operation": operation, "fault": fault, "match": match, **more}
        self.armed.append(armed)
        self.world.emulator.faults([armed])

    def fired(self, operation: str | None = None, fault: str | None = None) -> int:
        """How often faults of this image fired, as of the last look."""
        return sum(
            one["fired"]
            for one in self.world.faults
            if one.get("match", "").startswith(self.bucket)
            and operation in (None, one["operation"])
            and fault in (None, one["fault"])
        )

    @property
    def purchases(self) -> dict[str, dict[str, Any]]:
        """What was bought for this image, by task UUID, as of the last look."""
        known = {attempt["task_uuid"] for record in self.records() for attempt in record["attempts"]}
        found: dict[str, dict[str, Any]] = self.world.accounts["purchases"]
        mine = f"/{self.bucket}/"
        return {task: bought for task, bought in found.items() if task in known or mine in bought["source"]}

    @property
    def bought(self) -> bool:
        """Whether the service has accepted it, as of the last look; asks no bucket."""
        return any(f"/{self.bucket}/" in bought["source"] for bought in self.world.accounts["purchases"].values())

    def settled(self, status: str = "success") -> bool:
        """Whether the service has made the picture, as of the last look."""
        found = [one for one in self.world.accounts["purchases"].values() if f"/{self.bucket}/" in one["source"]]
        return bool(found) and all(one["status"] == status for one in found)

    def uploads(self) -> list[dict[str, Any]]:
        """What became of the service's uploads, as of the last look."""
        found = self.world.accounts["uploads"]
        return [found[task] for task in self.purchases if task in found]

    def records(self) -> list[dict[str, Any]]:
        """The task records."""
        found = [json.loads(self.blob(name).download_as_bytes()) for name in self.names("_clarity/tasks/")]
        return sorted(found, key=lambda record: int(record["source_generation"] or 0))

    def last(self) -> dict[str, Any]:
        """The last attempt of the only record."""
        (record,) = self.records()
        found: dict[str, Any] = record["attempts"][-1]
        return found

    def names(self, prefix: str = "") -> list[str]:
        """Objects by name."""
        return [blob.name for blob in self.world.client.list_blobs(self.bucket, prefix=prefix)]

    @property
    def staged(self) -> bool:
        """Whether something lies in staging."""
        return bool(self.names("_clarity/staging/"))

    @property
    def delivered(self) -> bool:
        """Whether something has the final name."""
        return FINAL in self.names("print/")

    def blob(self, name: str) -> Any:
        """One object."""
        return self.world.client.bucket(self.bucket).blob(name)

    def wait_forgotten(self) -> None:
        """Wait until the service has forgotten what it made, where it does."""
        if self.world.retention is None:
            return
        deadline = time.monotonic() + 30
        while self.bought and not all(task in self.world.ended_at for task in self.purchases):
            assert time.monotonic() < deadline, "a task does not end"
            self.world.look()
        at = max((self.world.ended_at[task] for task in self.purchases), default=0.0)
        time.sleep(max(0.0, at + self.world.retention + 0.5 - time.monotonic()))

    def check_picture(self, name: str = FINAL, label: str | None = None) -> None:
        """Decode the delivered picture: twice the size, and the right image."""
        picture = Image.open(io.BytesIO(self.blob(name).download_as_bytes()))
        picture.load()
        assert picture.size == (SIZE[0] * 2, SIZE[1] * 2)
        wanted = picture_of(label or self.shown, picture.size)
        for at in ((8, 30), (72, 30)):
            near = zip(picture.convert("RGB").getpixel(at), wanted.getpixel(at), strict=True)
            assert all(abs(one - other) < 16 for one, other in near), f"another picture lies at {name}"


def picture_of(label: str, size: Sequence[int]) -> Image.Image:
    """Make the picture of a label: two halves, in colours that hardly any other has."""
    left, right = (tuple(part) for part in (digest(label)[:3], digest(label)[3:6]))
    picture = Image.new("RGB", (size[0], size[1]), left)
    picture.paste(right, (size[0] // 2, 0, size[0], size[1]))
    return picture


def digest(label: str) -> bytes:
    """Bytes that depend on a label."""
    return hashlib.sha256(label.encode()).digest()
