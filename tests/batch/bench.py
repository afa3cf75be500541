"""The engine as the operator wires it, over the emulator and without Airflow."""

from __future__ import annotations

import io
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from emulator_process import EmulatorProcess
from PIL import Image

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.drive import Stopper, drive
from airflow_provider_clarity.batch.engine import Engine, Pace, Run
from airflow_provider_clarity.batch.gate import Gate
from airflow_provider_clarity.batch.item import Item, make_item
from airflow_provider_clarity.batch.landing import Landing
from airflow_provider_clarity.batch.ledger import Clock, RecordLedger, record_uri
from airflow_provider_clarity.batch.policy import IfExists
from airflow_provider_clarity.batch.record import TaskRecord
from airflow_provider_clarity.batch.submission import BucketRequests
from airflow_provider_clarity.batch.tracked import ItemEnd, Tracked
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.delivery import Verify, Workspace
from airflow_provider_clarity.storage.endpoints import UploadVia
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsSource, GsUri

QUICK = Rules(upload_grace=0.5, fetch_grace=0.7, lease=1.0, item_timeout=4.0, silence_confirmed=0.2, resubmit_after=0.1)
BRISK = Pace(next_look=lambda _age, _median: 0.15, backoff=lambda _times, _jitter: 0.1)


@dataclass
class Lines:
    """A log that a test can read."""

    lines: list[str] = field(default_factory=list)

    def info(self, msg: str, *args: Any) -> None:
        self.lines.append(msg % args)

    def warning(self, msg: str, *args: Any) -> None:
        self.lines.append("WARNING " + msg % args)


@dataclass
class Bench:
    """One bucket of one emulator, and engines over it."""

    emulator: EmulatorProcess
    bucket: str
    client: Any
    store: ObjectStore
    log: Lines = field(default_factory=Lines)
    upload_via: UploadVia = "auto"
    verify: Verify = "lenient"
    workspace: str | None = None
    clock: Clock = time.time
    monotonic: Clock = time.monotonic

    def upload(self, name: str = "raw/cat.png", size: tuple[int, int] = (40, 30), colour: str = "teal") -> GsUri:
        """Put a small picture into the bucket."""
        out = io.BytesIO()
        Image.new("RGB", size, colour).save(out, "PNG")
        self.client.bucket(self.bucket).blob(name).upload_from_string(out.getvalue(), content_type="image/png")
        return GsUri(self.bucket, name)

    def item(self, name: str = "raw/cat.png", *, to: str = "print/cat.jpg", salt: str = "", **parameters: Any) -> Item:
        """Give an uploaded picture its identity."""
        source = GsUri(self.bucket, name)
        found = self.store.stat(source)
        assert found is not None
        return make_item(
            api_host=urlsplit(self.emulator.runware_url).hostname or "",
            source=GsSource(source),
            source_generation=found.generation,
            destination=GsUri(self.bucket, to),
            parameters=parameters_from_user(**{"output_format": "JPG"} | parameters),
            salt=salt,
        )

    async def run(
        self,
        item: Item,
        *,
        run: Run | None = None,
        rules: Rules = QUICK,
        if_exists: IfExists = "skip",
        store: ObjectStore | None = None,
        client: ClarityClient | None = None,
        seconds: float = 25,
        timeout: float = 2.0,
    ) -> ItemEnd:
        """Drive one image to its end in this process."""
        image = await self.drive(
            item, run=run, rules=rules, if_exists=if_exists, store=store, client=client, seconds=seconds,
            timeout=timeout,
        )  # fmt: skip
        assert image.end is not None
        return image.end

    async def drive(
        self,
        item: Item,
        *,
        run: Run | None = None,
        rules: Rules = QUICK,
        if_exists: IfExists = "skip",
        store: ObjectStore | None = None,
        client: ClarityClient | None = None,
        seconds: float = 25,
        timeout: float = 2.0,
        stopper: Stopper | None = None,
    ) -> Tracked:
        async with client or self.api(timeout=timeout) as used:
            engine = self.engine(used, item, run=run, rules=rules, if_exists=if_exists, store=store, timeout=timeout)
            image = engine.add(item)
            await self.finish(engine, seconds=seconds, stopper=stopper)
            return image

    async def finish(self, engine: Engine, *, seconds: float = 25, stopper: Stopper | None = None) -> ItemEnd | None:
        """Drive an engine to its end; how it ended for its only image."""
        deadline = self.clock() + seconds
        stopper = stopper or Stopper()
        await drive(engine, deadline=deadline, defer_after=None, stopper=stopper, log=self.log, clock=self.clock)
        return engine.images[0].end

    def api(self, kind: type[ClarityClient] = ClarityClient, *, timeout: float = 2.0) -> Any:
        """A client of the emulator, of a class that a test may choose."""
        return kind(api_key=self.emulator.api_key, base_url=self.emulator.runware_url, timeout=timeout)

    def engine(
        self,
        client: ClarityClient,
        item: Item,
        *,
        run: Run | None = None,
        rules: Rules = QUICK,
        if_exists: IfExists = "skip",
        store: ObjectStore | None = None,
        timeout: float = 2.0,
        gate: Gate | None = None,
    ) -> Engine:
        """An engine of its own owner, as a new process would make it."""
        run = run or Run("dag/run/task")
        used = store or self.store
        return Engine(
            client=client,
            ledger=RecordLedger(
                used,
                owner=uuid.uuid4().hex,
                clock=self.clock,
                lease=rules.lease,
                trace=GsUri(self.bucket, f"_clarity/runs/{item.identity[:8]}.json"),
            ),
            requests=BucketRequests(used, Signer(self.client, self.client._credentials), self.upload_via),
            landing=Landing(
                used,
                Workspace.for_destination(item.destination, self.workspace),
                run.key,
                run.place,
                if_exists=if_exists,
                verify=self.verify,
                allowed_image_hosts=("127.0.0.1",),
            ),
            run=run,
            rules=rules,
            log=self.log,
            submit_timeout=timeout,
            pace=BRISK,
            clock=self.clock,
            monotonic=self.monotonic,
            gate=gate,
        )

    def record(self, item: Item) -> TaskRecord:
        """Read the task record."""
        found = self.store.read_json(record_uri(item))
        assert found is not None
        return TaskRecord.model_validate(found.value)

    def picture(self, uri: str | None) -> Image.Image:
        """Decode a delivered picture, wholly."""
        assert uri is not None
        where = GsUri.parse(uri)
        picture = Image.open(io.BytesIO(self.client.bucket(where.bucket).blob(where.name).download_as_bytes()))
        picture.load()
        return picture

    def purchases(self) -> dict[str, Any]:
        """What was bought at this emulator since the last reset."""
        found: dict[str, Any] = self.emulator.accounts()["purchases"]
        return found

    def counts(self) -> list[int]:
        """How often each bought UUID was accepted."""
        return sorted(purchase["count"] for purchase in self.purchases().values())
