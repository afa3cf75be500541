"""A backfill as the operator wires it, over the emulator and without Airflow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench import BRISK, QUICK, Bench

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.drive import Stopper, drive
from airflow_provider_clarity.batch.engine import Pace
from airflow_provider_clarity.batch.journal.state import RunState
from airflow_provider_clarity.batch.ledger import Clock
from airflow_provider_clarity.batch.outcomes import parse_tolerated
from airflow_provider_clarity.batch.plan.grammar import parse_batch_source
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.batch.rounds import Ended
from airflow_provider_clarity.batch.running import Limits, Round, ledger_root, open_backfill
from airflow_provider_clarity.batch.submission import BucketRequests
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

TODAY = Round("dag/today/task", "dag/today/task/-1")
HASTY = Limits(beat=0.05)


@dataclass
class Shop:
    """A bucket with pictures, and backfills over it.

    :param ended: how the last round ended
    """

    bench: Bench
    pictures: int = 0
    rules: Rules = QUICK
    limits: Limits = HASTY
    pace: Pace = BRISK
    store: ObjectStore | None = None
    timeout: float = 2.0
    clock: Clock = time.time
    ended: Ended | None = None

    def fill(self, number: int, colour: str = "teal") -> None:
        """Put pictures into the source prefix."""
        for n in range(self.pictures, self.pictures + number):
            self.bench.upload(f"raw/{n:03}.png", colour=colour)
        self.pictures += number

    def wanted(self, source: str | list[str] | None = None, run_key: str = TODAY.key, **options: Any) -> Wanted:
        """What the operator would ask for."""
        bucket = self.bench.bucket
        known = dict(options)
        return Wanted(
            parse_batch_source(f"gs://{bucket}/raw/" if source is None else source),
            GsUri(bucket, "print/"),
            parameters_from_user(output_format="JPG", upscale_factor=2, **known.pop("parameters", {})),
            urlsplit(self.bench.emulator.runware_url).hostname or "",
            run_key,
            **known,
        )

    async def run(
        self,
        round_: Round = TODAY,
        *,
        source: str | list[str] | None = None,
        seconds: float = 40,
        client: type[ClarityClient] = ClarityClient,
        after: Callable[[RunState], None] | None = None,
        begun: Wanted | None = None,
        **options: Any,
    ) -> RunState:
        """Drive a backfill to its end; what its ledger says then.

        :param begun: whose ledger it is, where it began with something else
        """
        wanted = self.wanted(source, round_.key, **options)
        store = self.store or self.bench.store
        workspace = Workspace.for_destination(wanted.destination, self.bench.workspace)
        async with self.bench.api(client, timeout=self.timeout) as api:
            opened = open_backfill(
                client=api,
                store=store,
                requests=BucketRequests(
                    store, Signer(self.bench.client, self.bench.client._credentials), self.bench.upload_via
                ),
                wanted=wanted,
                workspace=workspace,
                root=ledger_root(workspace, begun or wanted, round_.place).child(f"{round_.number}/"),
                round_=round_,
                rules=self.rules,
                limits=self.limits,
                log=self.bench.log,
                submit_timeout=self.timeout,
                allowed_image_hosts=("127.0.0.1",),
                clock=self.clock,
                pace=self.pace,
            )
            try:
                await drive(
                    opened.backfill,
                    deadline=self.clock() + seconds,
                    defer_after=None,
                    stopper=Stopper(),
                    log=self.bench.log,
                    clock=self.clock,
                )
            finally:
                if after is not None:
                    after(opened.journal.state)
            await opened.backfill.settled()
            self.ended = opened.finish(tolerated=parse_tolerated(0), on_budget="stop")
            return opened.journal.state

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Read a file of rows that the last round wrote."""
        assert self.ended is not None
        uri = GsUri.parse(self.ended.result["run"]).child(name)
        blob = self.bench.client.bucket(uri.bucket).blob(uri.name)
        return [json.loads(line) for line in blob.download_as_text().splitlines()]
